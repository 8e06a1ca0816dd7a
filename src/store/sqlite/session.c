#include "store/sqlite/session.h"

#include "base/clock.h"
#include "store/sqlite/parts.h"

#include <stdlib.h>

// After so many reads the loop looks at its sockets again.
enum { READS_A_TURN = 128 };

bool job_is_over(struct job *job, uint64_t now) {
    if (__atomic_load_n(&job->cancelled, __ATOMIC_RELAXED))
        job->outcome.kind = OUTCOME_CANCELLED;
    else if (job->ends && now >= job->ends)
        job->outcome.kind = OUTCOME_TIMEOUT;
    else
        return false;
    return true;
}

void job_read(struct job *job, struct connection *connection) {
    // A SELECT alone is a transaction by itself.
    bool begin = job->call_count > 1 && !sqlite_connection_in_transaction(connection);
    int code = begin ? sqlite_connection_control(connection, CONTROL_BEGIN) : SQLITE_OK;
    if (code == SQLITE_OK) {
        sqlite_connection_watch(connection, job, job->ends);
        sqlite_connection_run_all(connection, job);
        sqlite_connection_watch(connection, NULL, 0);
    } else {
        sqlite_connection_fault(connection, job, 0, code);
    }
    if (begin && sqlite_connection_in_transaction(connection))
        sqlite_connection_control(connection, CONTROL_ROLLBACK); // it changed nothing
}

static void on_handle_closed(struct session *session) {
    if (--session->handles)
        return;
    struct sqlite_store *store = (struct sqlite_store *)session->base.store;
    void (*on_detached)(void *) = session->on_detached;
    void *owner = session->owner;
    sqlite_connection_close(&session->reader);
    free(session);
    atomic_fetch_sub(&store->sessions, 1);
    on_detached(owner);
}

static void on_uv_handle_closed(uv_handle_t *handle) {
    on_handle_closed(handle->data);
}

static void on_mailbox_closed(struct mailbox *mailbox) {
    void *session = (char *)mailbox - offsetof(struct session, mailbox);
    on_handle_closed(session);
}

// Closes once nothing is left to answer.
static void leave_when_empty(struct session *session) {
    if (!session->detaching || session->closing || session->pending)
        return;
    session->closing = true;
    session->handles = 3;
    uv_close((uv_handle_t *)&session->check, on_uv_handle_closed);
    uv_close((uv_handle_t *)&session->idle, on_uv_handle_closed);
    mailbox_close(&session->mailbox, on_mailbox_closed);
}

static void answer(struct job *job) {
    struct session *session = session_of(job);
    struct outcome outcome = job->outcome; // the job may be gone before its caller has read it
    session->pending--;
    job->on_done(job, &outcome);
    leave_when_empty(session);
}

static void deliver_answer(struct letter *letter) {
    void *job = (char *)letter - offsetof(struct job, letter);
    answer(job);
}

static struct job *next_read(struct session *session) {
    struct job *job = session->reads;
    session->reads = job->next;
    if (!session->reads)
        session->reads_last = &session->reads;
    session->read_count--;
    return job;
}

// Several reads share one snapshot, which spares each the system calls that take and leave it. It
// is younger than every request that the loop has seen, as no socket is read meanwhile.
static void run_reads(struct session *session) {
    struct connection *reader = &session->reader;
    if (session->reads && session->reads->next)
        sqlite_connection_control(reader, CONTROL_BEGIN);
    for (unsigned i = 0; session->reads && i < READS_A_TURN; i++) {
        struct job *job = next_read(session);
        if (!job_is_over(job, uv_now(session->loop)))
            job_read(job, reader);
        answer(job);
    }
    if (sqlite_connection_in_transaction(reader))
        sqlite_connection_control(reader, CONTROL_ROLLBACK);
}

static void hand_over_writes(struct session *session) {
    if (!session->writes)
        return;
    struct sqlite_store *store = (struct sqlite_store *)session->base.store;
    struct job *first = session->writes;
    struct job **last = session->writes_last;
    session->writes = NULL;
    session->writes_last = &session->writes;
    queue_push(&store->writer.queue, first, last);
}

// Runs after the loop has looked at its sockets, so that all writes that came from them are in one
// group.
static void on_check(uv_check_t *check) {
    struct session *session = check->data;
    hand_over_writes(session);
    run_reads(session);
    hand_over_writes(session);
    if (session->closing || session->reads)
        return;
    session->stirred = false;
    uv_check_stop(&session->check);
    uv_idle_stop(&session->idle);
}

static void on_idle(uv_idle_t *idle) {}

static void stir(struct session *session) {
    if (session->stirred)
        return;
    session->stirred = true;
    uv_check_start(&session->check, on_check);
    uv_idle_start(&session->idle, on_idle);
}

bool session_attach(struct store *base, uv_loop_t *loop, struct store_session **ret_session,
                    struct failure *failure) {
    struct sqlite_store *store = (struct sqlite_store *)base;
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return failure_out_of_memory(failure);
    if (!sqlite_connection_open(&session->reader, CONNECTION_READS, &store->connection, failure)) {
        free(session);
        return false;
    }
    int error = mailbox_open(&session->mailbox, loop);
    if (error) {
        sqlite_connection_close(&session->reader);
        free(session);
        return failure_set(failure, FAILURE_UNAVAILABLE, "no mailbox: %s", uv_strerror(error));
    }
    session->base.store = base;
    session->loop = loop;
    session->read_limit = store->queue_limit;
    session->reads_last = &session->reads;
    session->writes_last = &session->writes;
    session->answers_last = &session->answers;
    uv_check_init(loop, &session->check); // these two always succeed
    uv_idle_init(loop, &session->idle);
    session->check.data = session->idle.data = session;
    atomic_fetch_add(&store->sessions, 1);
    *ret_session = &session->base;
    return true;
}

void session_detach(struct store_session *base, void (*on_detached)(void *owner), void *owner) {
    struct session *session = (struct session *)base;
    session->detaching = true;
    session->on_detached = on_detached;
    session->owner = owner;
    leave_when_empty(session);
}

static void reset(struct job *job, struct session *session) {
    job->letter = (struct letter){.deliver = deliver_answer};
    job->outcome.kind = OUTCOME_DONE;
    job->outcome.call = 0;
    job->outcome.constraint[0] = '\0';
    job->session = &session->base;
    job->next = NULL;
    job->ends = job->deadline;
    job->cancelled = false;
    job->started = false;
}

static bool submit_read(struct session *session, struct job *job) {
    if (session->read_count == session->read_limit)
        return false;
    reset(job, session);
    session->read_count++;
    *session->reads_last = job;
    session->reads_last = &job->next;
    stir(session);
    return true;
}

// A job that may wait long has its deadline from now on.
static bool submit_elsewhere(struct session *session, struct job *job, struct queue *queue) {
    if (!queue_reserve(queue))
        return false;
    reset(job, session);
    if (!job->ends)
        job->ends = clock_monotonic() + session->reader.query_timeout;
    return true;
}

bool session_submit(struct store_session *base, struct job *job) {
    struct session *session = (struct session *)base;
    struct sqlite_store *store = (struct sqlite_store *)base->store;
    bool taken = false;
    if (session->detaching)
        return false;
    switch (job->kind) {
    case JOB_READ: taken = submit_read(session, job); break;
    case JOB_SCAN:
        taken = submit_elsewhere(session, job, &store->scanners.queue);
        if (taken)
            queue_push(&store->scanners.queue, job, &job->next);
        break;
    case JOB_WRITE:
        taken = submit_elsewhere(session, job, &store->writer.queue);
        if (taken) {
            *session->writes_last = job;
            session->writes_last = &job->next;
            stir(session);
        }
        break;
    }
    session->pending += taken;
    return taken;
}

void session_cancel(struct store_session *session, struct job *job) {
    __atomic_store_n(&job->cancelled, true, __ATOMIC_RELAXED);
}
