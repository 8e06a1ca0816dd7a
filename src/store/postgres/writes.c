// The lane of writes. Each transaction is run on a connection of its own, in two steps: first all
// statements and a question for the transaction's number, then, once their results are known to be
// what the jobs want, COMMIT. Jobs are answered after that, or when nothing can have happened. A
// late call is a step more: it is sent when those before it have their results.
#include "base/clock.h"
#include "store/postgres/parts.h"
#include "store/postgres/session.h"

#include <stdio.h>
#include <stdlib.h>

// A group is at most so many jobs, and ends with the one that brings its parameters to so many
// bytes. So many groups may be under way at once: while one commits, the next one fills.
enum { GROUP_JOBS = 64, GROUP_BYTES = 4 * 1024 * 1024, GROUPS_AT_ONCE = 2 };

// Milliseconds between two questions what became of a transaction that still runs: while jobs wait
// for the answer, and afterwards.
enum { ASK_AGAIN = 50, ASK_SELDOM = 250 };

// --- groups

static size_t parameter_bytes(const struct call *call) {
    size_t bytes = 0;
    for (size_t i = 0; i < call->parameter_count; i++) {
        if (value_kind_has_text(call->parameters[i].kind))
            bytes += call->parameters[i].text.size;
    }
    return bytes;
}

// Groups that take the same locks take them in the same order.
static int compare_jobs(const void *left, const void *right) {
    return call_compare((*(struct job *const *)left)->calls, (*(struct job *const *)right)->calls);
}

// Takes the jobs of the next group out of the queue; how many.
static size_t gather(struct pg_lane *lane, struct job *jobs[GROUP_JOBS]) {
    size_t count = 0;
    size_t bytes = 0;
    while (count < GROUP_JOBS && bytes < GROUP_BYTES) {
        struct job *job = pg_queue_take_live(lane->session, &lane->groups);
        if (!job)
            break;
        bytes += parameter_bytes(job->calls);
        jobs[count++] = job;
    }
    qsort(jobs, count, sizeof *jobs, compare_jobs);
    return count;
}

// --- running

// What the server is to answer to by itself. The number is asked for when all else is there.
static void send_off(struct pg_connection *connection, const struct job *last) {
    if (connection->link->tells && last->begun == last->call_count)
        pg_connection_send_control(connection, PG_NUMBER, NULL, 0);
    pg_connection_sync(connection);
    pg_connection_flush(connection);
}

static void begin(struct pg_connection *connection, struct job **jobs, size_t count) {
    struct pg_session *session = connection->session;
    struct postgres_store *store = pg_session_store(session);
    int64_t limit;
    connection->transaction = (struct pg_transaction){.phase = PG_RUNNING, .grouped = count > 1};
    atomic_fetch_add_explicit(&store->groups, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&store->grouped_jobs, count, memory_order_relaxed);
    pg_connection_begin(connection);
    pg_connection_send_control(connection, PG_BEGIN_WRITE, NULL, 0);
    if (pg_job_limit(session, jobs[0], &limit))
        pg_send_limits(connection, limit);
    for (size_t i = 0; i < count; i++)
        pg_connection_send_job(connection, jobs[i]);
    send_off(connection, jobs[count - 1]);
}

static struct pg_connection *idle_connection(const struct pg_lane *lane) {
    for (size_t i = 0; i < lane->count; i++) {
        if (pg_connection_is_idle(&lane->connections[i]) && !lane->connections[i].retired)
            return &lane->connections[i];
    }
    return NULL;
}

// Others must be able to get through beside the groups.
static bool may_group(const struct pg_lane *lane) {
    size_t groups = 0;
    for (size_t i = 0; i < lane->count; i++)
        groups += lane->connections[i].transaction.grouped;
    return groups < GROUPS_AT_ONCE && (groups == 0 || lane->count > 2);
}

static bool start_group(struct pg_lane *lane, struct pg_connection *connection) {
    struct job *jobs[GROUP_JOBS];
    size_t count = lane->groups.first && may_group(lane) ? gather(lane, jobs) : 0;
    if (count)
        begin(connection, jobs, count);
    return count;
}

static bool start_alone(struct pg_lane *lane, struct pg_connection *connection) {
    struct job *job = pg_queue_take_live(lane->session, &lane->queue);
    while (job && job->call_count == 0) {
        pg_job_answer(lane->session, job);
        job = pg_queue_take_live(lane->session, &lane->queue);
    }
    if (job)
        begin(connection, &job, 1);
    return job;
}

static void dispatch(struct pg_lane *lane) {
    while (lane->queue.first || lane->groups.first) {
        struct pg_connection *connection = idle_connection(lane);
        if (!connection) {
            bool useful = lane->queue.first || may_group(lane);
            if (useful && pg_lane_want(lane))
                continue;
            return;
        }
        bool started = lane->groups_next
                           ? start_group(lane, connection) || start_alone(lane, connection)
                           : start_alone(lane, connection) || start_group(lane, connection);
        lane->groups_next = !lane->groups_next;
        if (!started)
            return;
    }
}

// --- what becomes of it

static void answer_jobs(struct pg_session *session, struct job *jobs, enum outcome_kind kind) {
    while (jobs) {
        struct job *job = jobs;
        jobs = job->next;
        pg_job_answer_with(session, job, kind);
    }
}

static void answer_all(struct pg_connection *connection, enum outcome_kind kind) {
    struct job *jobs = pg_connection_take_jobs(connection);
    connection->transaction = (struct pg_transaction){0};
    answer_jobs(connection->session, jobs, kind);
}

// Nothing of these jobs happened, since their transaction was undone because of one of them: that
// one is run alone, or has its outcome if it was; the others are run again.
static void settle_undone(struct pg_connection *connection) {
    struct pg_lane *lane = connection->lane;
    bool grouped = connection->transaction.grouped;
    struct job *jobs = pg_connection_take_jobs(connection);
    connection->transaction = (struct pg_transaction){0};
    while (jobs) {
        struct job *job = jobs;
        bool failed = job->outcome.kind != OUTCOME_DONE;
        jobs = job->next;
        if (grouped) {
            job->alone = failed;
            pg_queue_put(lane->session, failed ? &lane->queue : &lane->groups, job);
        } else if (pg_job_may_try_again(lane->session, job)) {
            pg_queue_put(lane->session, &lane->queue, job);
        } else {
            pg_job_answer(lane->session, job);
        }
    }
}

// Nothing of these jobs happened, since their connection was lost. One that failed before, alone,
// has its outcome.
static void settle_lost(struct pg_connection *connection, struct job *jobs) {
    bool grouped = connection->transaction.grouped;
    connection->transaction = (struct pg_transaction){0};
    while (jobs) {
        struct job *job = jobs;
        jobs = job->next;
        if (!grouped && job->outcome.kind != OUTCOME_DONE && !job->again)
            pg_job_answer(connection->session, job);
        else
            pg_job_lost(connection->lane, job);
    }
}

static void keep_jobs(struct pg_connection *connection, struct job *jobs) {
    connection->jobs.first = jobs;
    while (*connection->jobs.last)
        connection->jobs.last = &(*connection->jobs.last)->next;
}

// The COMMIT failed, for what all of them did together.
static void settle_refused(struct pg_connection *connection) {
    for (struct job *job = connection->jobs.first; job; job = job->next) {
        job->outcome = connection->transaction.outcome;
        job->outcome.call = job->call_count - 1;
        job->again = connection->transaction.again;
    }
    settle_undone(connection);
}

static bool all_are_done(const struct pg_connection *connection) {
    for (const struct job *job = connection->jobs.first; job; job = job->next) {
        if (job->skipped || job->outcome.kind != OUTCOME_DONE)
            return false;
    }
    return true;
}

// A job that waits for late calls has a transaction alone.
static bool goes_on(struct pg_connection *connection) {
    struct job *job = connection->jobs.first;
    return job->begun < job->call_count && all_are_done(connection) &&
           pg_connection_send_more(connection, job);
}

// All that was sent has its results: that decides.
static void end(struct pg_connection *connection) {
    if (goes_on(connection)) {
        send_off(connection, connection->jobs.first);
        return;
    }
    bool done = all_are_done(connection);
    connection->transaction.phase = done ? PG_COMMITTING : PG_UNDOING;
    pg_connection_send_control(connection, done ? PG_COMMIT : PG_ROLLBACK, NULL, 0);
    pg_connection_sync(connection);
    pg_connection_flush(connection);
}

// --- doubt

static void ask(struct pg_connection *connection) {
    struct pg_transaction *transaction = &connection->transaction;
    struct value number = value_text(VALUE_TEXT, text_from_string(transaction->number));
    transaction->phase = PG_ASKING;
    transaction->ask_at = uv_now(connection->session->loop);
    transaction->fate[0] = '\0';
    pg_connection_send_control(connection, PG_FATE, &number, 1);
    pg_connection_sync(connection);
    pg_connection_flush(connection);
}

// What PG_FATE answered decides. A number whose records a crash destroyed is given to another
// transaction afterwards, so "committed" holds only in the same life of the server; "aborted" holds
// always, since the number of a transaction that committed is never given again.
static void conclude(struct pg_connection *connection) {
    struct pg_transaction *transaction = &connection->transaction;
    const char *fate = transaction->fate;
    if (strcmp(fate, "in progress") == 0) {
        transaction->phase = PG_DOUBTFUL;
        transaction->ask_at += connection->jobs.first ? ASK_AGAIN : ASK_SELDOM;
    } else if (strcmp(fate, "aborted") == 0) {
        settle_lost(connection, pg_connection_take_jobs(connection));
    } else {
        bool committed = strcmp(fate, "committed") == 0 && transaction->same_life;
        answer_all(connection, committed ? OUTCOME_DONE : OUTCOME_UNKNOWN);
    }
}

static void on_ready(struct pg_connection *connection) {
    struct pg_transaction *transaction = &connection->transaction;
    uint64_t now = uv_now(connection->session->loop);
    if (transaction->phase != PG_DOUBTFUL)
        return;
    bool open = connection->state == PG_READY;
    if (open && !connection->link->tells) {
        answer_all(connection, OUTCOME_UNKNOWN);
        return;
    }
    // Nothing else is done in this place before the server knows: a COMMIT that waits for a standby
    // keeps its server process whether we are there or not, and they must not become ever more.
    if (now >= transaction->until) {
        transaction->grouped = false; // and keeps no other group from being run elsewhere
        answer_jobs(connection->session, pg_connection_take_jobs(connection), OUTCOME_UNKNOWN);
    }
    if (open && now >= transaction->ask_at)
        ask(connection);
}

// --- results

static void on_job_end(struct pg_connection *connection) {}

static bool take_number(struct pg_transaction *transaction, const PGresult *result) {
    if (PQresultStatus(result) == PGRES_TUPLES_OK && !PQgetisnull(result, 0, 0))
        (void)snprintf(transaction->number, sizeof transaction->number, "%s",
                       PQgetvalue(result, 0, 0));
    return PQresultStatus(result) != PGRES_FATAL_ERROR;
}

// A number that lies in the future was lost in a crash, with all that bore it.
static void take_fate(struct pg_transaction *transaction, const PGresult *result) {
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *fate = "";
    if (PQresultStatus(result) == PGRES_TUPLES_OK) {
        fate = PQgetvalue(result, 0, 0);
        transaction->same_life = strcmp(PQgetvalue(result, 0, 1), transaction->incarnation) == 0;
    } else if (state && strcmp(state, "22023") == 0) {
        fate = "aborted";
    }
    (void)snprintf(transaction->fate, sizeof transaction->fate, "%s", fate);
}

static void take_commit(struct pg_transaction *transaction, const PGresult *result) {
    transaction->committed = PQresultStatus(result) == PGRES_COMMAND_OK &&
                             strcmp(PQcmdStatus((PGresult *)result), "COMMIT") == 0;
    struct pg_fault fault = pg_fault_of(result);
    if (!transaction->committed)
        transaction->again = pg_fault_outcome(&fault, &transaction->outcome) == PG_REMEDY_AGAIN;
}

static bool on_control(struct pg_connection *connection, enum pg_control control,
                       const PGresult *result) {
    struct pg_transaction *transaction = &connection->transaction;
    ExecStatusType status = PQresultStatus(result);
    switch (control) {
    case PG_NUMBER: return take_number(transaction, result);
    case PG_FATE: take_fate(transaction, result); return true;
    case PG_COMMIT: take_commit(transaction, result); return true;
    default:
        return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
               status == PGRES_PIPELINE_ABORTED;
    }
}

static void on_sync(struct pg_connection *connection) {
    switch (connection->transaction.phase) {
    case PG_RUNNING: end(connection); break;
    case PG_UNDOING: settle_undone(connection); break;
    case PG_COMMITTING:
        if (connection->transaction.committed)
            answer_all(connection,
                       connection->transaction.unreplicated ? OUTCOME_UNKNOWN : OUTCOME_DONE);
        else
            settle_refused(connection);
        break;
    case PG_ASKING: conclude(connection); break;
    default: break;
    }
}

// The link was lost after COMMIT was sent: the transaction's number will tell what came of it.
static void doubt(struct pg_connection *connection) {
    struct pg_transaction *transaction = &connection->transaction;
    const struct pg_session *session = connection->session;
    bool tells = connection->link->tells;
    (void)snprintf(transaction->incarnation, sizeof transaction->incarnation, "%s",
                   connection->link->incarnation);
    struct job *jobs = pg_connection_close(connection);
    keep_jobs(connection, jobs);
    bool changed_nothing = tells && !transaction->number[0];
    if (!transaction->unreplicated && (transaction->committed || changed_nothing)) {
        answer_all(connection, OUTCOME_DONE);
    } else if (transaction->unreplicated || !tells) {
        answer_all(connection, OUTCOME_UNKNOWN);
    } else {
        transaction->phase = PG_DOUBTFUL;
        transaction->until = uv_now(session->loop) + pg_session_store(session)->query_timeout;
    }
}

static void on_lost(struct pg_connection *connection) {
    struct pg_transaction *transaction = &connection->transaction;
    switch (transaction->phase) {
    case PG_IDLE: (void)pg_connection_close(connection); break;
    case PG_RUNNING:
    case PG_UNDOING: settle_lost(connection, pg_connection_close(connection)); break;
    case PG_COMMITTING: doubt(connection); break;
    case PG_DOUBTFUL:
    case PG_ASKING:
        keep_jobs(connection, pg_connection_close(connection));
        transaction->phase = PG_DOUBTFUL;
        break;
    }
}

const struct pg_lane_operations pg_write_operations = {
    .dispatch = dispatch,
    .on_ready = on_ready,
    .on_job_end = on_job_end,
    .on_control = on_control,
    .on_sync = on_sync,
    .on_lost = on_lost,
};
