#include "store/sqlite/writer.h"

#include "base/clock.h"
#include "store/sqlite/session.h"

#include <pthread.h>

// How one job of a group ended.
enum verdict {
    VERDICT_CLEAR,   // done, or undone without a trace
    VERDICT_STAINED, // failed, and left changes that only the whole group can undo
    VERDICT_LOST,    // failed, and took the transaction along
};

// How a try to commit a group ended.
enum fate {
    FATE_COMMITTED,   // every job has its outcome
    FATE_REFUSED,     // no transaction could begin; every job has its outcome
    FATE_UNDONE,      // all was rolled back, because of one job
    FATE_UNCOMMITTED, // all was rolled back, because the commit failed
};

// Puts a job's answer to those that its session gets next.
static void settle(struct writer *writer, struct job *job) {
    struct session *session = session_of(job);
    if (!session->answers) {
        session->next_answered = writer->answered;
        writer->answered = session;
    }
    job->letter.next = NULL;
    *session->answers_last = &job->letter;
    session->answers_last = &job->letter.next;
}

static void post_answers(struct writer *writer) {
    struct session *session = writer->answered;
    writer->answered = NULL;
    while (session) {
        struct session *next = session->next_answered; // once it has its answers, it may go
        struct letter *answers = session->answers;
        session->answers = NULL;
        session->answers_last = &session->answers;
        mailbox_post_list(&session->mailbox, answers);
        session = next;
    }
}

static size_t parameter_bytes(const struct job *job) {
    size_t bytes = 0;
    for (size_t i = 0; i < job->call_count; i++) {
        const struct call *call = &job->calls[i];
        for (size_t j = 0; !call->late && j < call->parameter_count; j++) {
            if (value_kind_has_text(call->parameters[j].kind))
                bytes += call->parameters[j].text.size;
        }
    }
    return bytes;
}

// Makes the next group of what waits; false when there will be nothing any more.
static bool gather(struct writer *writer) {
    if (!writer->waiting)
        writer->waiting = queue_take_all(&writer->queue);
    if (!writer->waiting)
        return false;
    uint64_t now = clock_monotonic();
    size_t taken = 0;
    size_t bytes = 0;
    while (writer->waiting && taken < GROUP_JOBS && bytes < GROUP_BYTES) {
        struct job *job = writer->waiting;
        writer->waiting = job->next;
        taken++;
        if (job_is_over(job, now)) {
            settle(writer, job);
        } else {
            bytes += parameter_bytes(job);
            writer->group[writer->count++] = job;
        }
    }
    queue_release(&writer->queue, taken);
    return true;
}

// Leaves no transaction behind.
static void roll_back(struct writer *writer) {
    if (sqlite_connection_in_transaction(&writer->connection))
        sqlite_connection_control(&writer->connection, CONTROL_ROLLBACK);
}

static void restart(struct job *job) {
    if (job->started && job->on_restart)
        job->on_restart(job);
}

// Once a job has begun it may take its time: being stopped would cost the others their transaction.
static uint64_t ends_of(const struct writer *writer, const struct job *job, uint64_t now) {
    uint64_t ends = now + writer->connection.query_timeout;
    return job->ends > ends ? job->ends : ends;
}

// Undoes a job inside its savepoint.
static enum verdict undo(struct connection *connection) {
    if (sqlite_connection_control(connection, CONTROL_UNDO) == SQLITE_OK &&
        sqlite_connection_control(connection, CONTROL_RELEASE) == SQLITE_OK)
        return VERDICT_CLEAR;
    return VERDICT_LOST;
}

// Runs a job so that only its own changes are undone when it fails.
static enum verdict run_in_savepoint(struct connection *connection, struct job *job) {
    int code = sqlite_connection_control(connection, CONTROL_SAVEPOINT);
    if (code == SQLITE_OK && sqlite_connection_run_all(connection, job)) {
        code = sqlite_connection_control(connection, CONTROL_RELEASE);
        if (code == SQLITE_OK)
            return VERDICT_CLEAR;
    }
    if (code != SQLITE_OK)
        sqlite_connection_fault(connection, job, job->call_count, code);
    return sqlite_connection_in_transaction(connection) ? undo(connection) : VERDICT_LOST;
}

// Runs a job that is undone, when that is needed, with the whole group. One call seldom needs it:
// a statement that fails has changed nothing.
static enum verdict run_plainly(struct connection *connection, struct job *job) {
    int64_t changes = sqlite3_total_changes64(connection->database);
    if (sqlite_connection_run_all(connection, job))
        return VERDICT_CLEAR;
    if (!sqlite_connection_in_transaction(connection))
        return VERDICT_LOST;
    return sqlite3_total_changes64(connection->database) == changes ? VERDICT_CLEAR
                                                                    : VERDICT_STAINED;
}

static enum verdict run_job(struct writer *writer, struct job *job, bool in_savepoint,
                            uint64_t now) {
    struct connection *connection = &writer->connection;
    restart(job);
    sqlite_connection_watch(connection, job, ends_of(writer, job, now));
    enum verdict verdict =
        in_savepoint ? run_in_savepoint(connection, job) : run_plainly(connection, job);
    sqlite_connection_watch(connection, NULL, 0);
    return verdict;
}

// A commit that failed while it was synchronized, or later, may still be found in the log should
// the process die before its place there is used again.
static bool leaves_doubt(int code) {
    int primary = code & 0xff;
    return (primary == SQLITE_IOERR && code != SQLITE_IOERR_WRITE) || primary == SQLITE_NOMEM;
}

static int commit(struct writer *writer) {
    int code = sqlite_connection_control(&writer->connection, CONTROL_COMMIT);
    if (leaves_doubt(code))
        writer->in_doubt = true;
    return code;
}

// Whether a job's outcome says that nothing was changed because something stood in its way.
static bool is_kept_out(const struct job *job) {
    switch (job->outcome.kind) {
    case OUTCOME_BUSY:
    case OUTCOME_TIMEOUT:
    case OUTCOME_FULL:
    case OUTCOME_UNAVAILABLE:
    case OUTCOME_CANCELLED: return true;
    default: return false;
    }
}

static void refuse(struct writer *writer, struct job **jobs, size_t count, int code) {
    for (size_t i = 0; i < count; i++)
        sqlite_connection_fault(&writer->connection, jobs[i], 0, code);
}

// The job that cost the group its transaction keeps its outcome and is not run again.
static void set_aside(struct writer *writer, size_t index) {
    settle(writer, writer->group[index]);
    writer->count--;
    memmove(&writer->group[index], &writer->group[index + 1],
            (writer->count - index) * sizeof *writer->group);
}

// One transaction for all jobs of the group. Each job of several calls has a savepoint, and where
// `careful` every job.
static enum fate try_group(struct writer *writer, bool careful) {
    struct connection *connection = &writer->connection;
    int code = sqlite_connection_control(connection, CONTROL_BEGIN_WRITE);
    if (code != SQLITE_OK) {
        refuse(writer, writer->group, writer->count, code);
        return FATE_REFUSED;
    }
    uint64_t now = clock_monotonic();
    for (size_t i = 0; i < writer->count; i++) {
        struct job *job = writer->group[i];
        enum verdict verdict = run_job(writer, job, careful || job->call_count > 1, now);
        if (verdict == VERDICT_CLEAR)
            continue;
        roll_back(writer);
        if (verdict == VERDICT_LOST)
            set_aside(writer, i);
        return FATE_UNDONE;
    }
    code = commit(writer);
    if (code == SQLITE_OK)
        return FATE_COMMITTED;
    sqlite_connection_complain(connection, code, "COMMIT");
    roll_back(writer);
    return FATE_UNCOMMITTED;
}

// A transaction for one job, which needs no savepoint. An SQLite result code: that of its BEGIN.
static int run_alone(struct writer *writer, struct job *job) {
    struct connection *connection = &writer->connection;
    int code = sqlite_connection_control(connection, CONTROL_BEGIN_WRITE);
    if (code != SQLITE_OK)
        return code;
    run_job(writer, job, false, clock_monotonic());
    if (job->outcome.kind == OUTCOME_DONE) {
        code = commit(writer);
        if (code != SQLITE_OK)
            sqlite_connection_fault(connection, job, job->call_count ? job->call_count - 1 : 0,
                                    code);
    }
    roll_back(writer);
    return SQLITE_OK;
}

static void run_each_alone(struct writer *writer) {
    for (size_t i = 0; i < writer->count; i++) {
        int code = run_alone(writer, writer->group[i]);
        if (code != SQLITE_OK) {
            refuse(writer, &writer->group[i], writer->count - i, code);
            break;
        }
    }
    for (size_t i = 0; writer->in_doubt && i < writer->count; i++) {
        if (is_kept_out(writer->group[i]))
            writer->group[i]->outcome.kind = OUTCOME_UNKNOWN;
    }
}

// A group that one job spoilt is tried again with more care, and if that does not help, too, or if
// its commit failed, job by job.
static void run_group(struct writer *writer) {
    writer->in_doubt = false;
    if (writer->count > 1) {
        enum fate fate = try_group(writer, false);
        if (fate == FATE_UNDONE)
            fate = try_group(writer, true);
        if (fate == FATE_COMMITTED || fate == FATE_REFUSED)
            return;
    }
    run_each_alone(writer);
}

static void settle_group(struct writer *writer) {
    for (size_t i = 0; i < writer->count; i++)
        settle(writer, writer->group[i]);
    writer->count = 0;
}

static void run_writer(void *argument) {
    struct writer *writer = argument;
    (void)pthread_setname_np(pthread_self(), "writer");
    while (gather(writer)) {
        if (writer->count) {
            atomic_fetch_add_explicit(&writer->groups, 1, memory_order_relaxed);
            atomic_fetch_add_explicit(&writer->grouped_jobs, writer->count, memory_order_relaxed);
            run_group(writer);
        }
        settle_group(writer);
        post_answers(writer);
        if (writer->checkpointer)
            checkpointer_notice(writer->checkpointer, &writer->connection, writer->log_pages);
    }
}

static int on_commit_logged(void *argument, sqlite3 *database, const char *name, int pages) {
    struct writer *writer = argument;
    writer->log_pages = (size_t)pages;
    writer->in_doubt = false; // what was in its place is overwritten
    return SQLITE_OK;
}

bool writer_open(struct writer *writer, size_t queue_limit,
                 const struct connection_options *options, struct failure *failure) {
    *writer = (struct writer){0};
    if (!sqlite_connection_open(&writer->connection, CONNECTION_WRITES, options, failure))
        return false;
    sqlite3_wal_hook(writer->connection.database, on_commit_logged, writer);
    if (queue_open(&writer->queue, queue_limit, failure))
        return true;
    sqlite_connection_close(&writer->connection);
    return false;
}

bool writer_start(struct writer *writer, struct checkpointer *checkpointer,
                  struct failure *failure) {
    writer->checkpointer = checkpointer;
    int error = uv_thread_create(&writer->thread, run_writer, writer);
    if (error)
        return failure_set(failure, FAILURE_UNAVAILABLE, "no thread: %s", uv_strerror(error));
    writer->running = true;
    return true;
}

void writer_stop(struct writer *writer) {
    if (!writer->running)
        return;
    queue_close(&writer->queue);
    uv_thread_join(&writer->thread);
    writer->running = false;
}

void writer_close(struct writer *writer) {
    if (!writer->connection.database)
        return;
    queue_free(&writer->queue);
    sqlite_connection_close(&writer->connection);
}
