// The lanes of reads and of scans. The short reads of one turn share a sync; each is answered as
// soon as its own results are here, since what was read once was read.
#include "store/postgres/parts.h"
#include "store/postgres/session.h"

// So many reads share a sync: when one fails, those behind it have to be run again.
enum { READS_A_BATCH = 64 };

// The open connection with the least under way that has room for more; NULL where none has.
static struct pg_connection *choose(const struct pg_lane *lane) {
    struct pg_connection *best = NULL;
    for (size_t i = 0; i < lane->count; i++) {
        struct pg_connection *connection = &lane->connections[i];
        if (connection->state == PG_READY && !connection->retired &&
            connection->job_count < lane->jobs_at_once &&
            (!best || connection->job_count < best->job_count))
            best = connection;
    }
    return best;
}

// A job of several calls reads one snapshot. What the COMMIT stands behind a sync for: it must come
// also after an error.
static void send_alone(struct pg_connection *connection, struct job *job) {
    int64_t limit;
    bool begin = job->call_count > 1;
    bool limited =
        connection->lane->jobs_at_once == 1 && pg_job_limit(connection->session, job, &limit);
    if (begin)
        pg_connection_send_control(connection, PG_BEGIN_READ, NULL, 0);
    if (limited)
        pg_send_limits(connection, limit);
    pg_connection_send_job(connection, job);
    pg_connection_sync(connection);
    if (!begin)
        return;
    pg_connection_send_control(connection, PG_COMMIT, NULL, 0);
    pg_connection_sync(connection);
}

// Answers what need not be run and stands at the front; false when nothing waits behind it.
static bool has_live_job(struct pg_lane *lane) {
    struct job *job = pg_queue_take_live(lane->session, &lane->queue);
    while (job && job->call_count == 0) {
        pg_job_answer(lane->session, job);
        job = pg_queue_take_live(lane->session, &lane->queue);
    }
    if (job)
        pg_queue_put_first(lane->session, &lane->queue, job);
    return job;
}

static void send_batch(struct pg_connection *connection) {
    struct pg_lane *lane = connection->lane;
    bool open = false;
    pg_connection_begin(connection);
    for (size_t i = 0; i < READS_A_BATCH && connection->job_count < lane->jobs_at_once; i++) {
        if (!has_live_job(lane))
            break;
        struct job *job = pg_queue_take(lane->session, &lane->queue);
        bool alone = job->alone || job->call_count > 1 || lane->jobs_at_once == 1;
        if (alone && open)
            pg_connection_sync(connection);
        open = !alone;
        if (alone)
            send_alone(connection, job);
        else
            pg_connection_send_job(connection, job);
    }
    if (open)
        pg_connection_sync(connection);
    pg_connection_flush(connection);
}

static void dispatch(struct pg_lane *lane) {
    while (has_live_job(lane)) {
        struct pg_connection *connection = choose(lane);
        if (connection)
            send_batch(connection);
        else if (!pg_lane_want(lane))
            return;
    }
}

static void on_ready(struct pg_connection *connection) {}

static void on_job_end(struct pg_connection *connection) {
    struct pg_lane *lane = connection->lane;
    struct job *job = connection->jobs.first;
    connection->jobs.first = job->next;
    if (!job->next)
        connection->jobs.last = &connection->jobs.first;
    connection->job_count--;
    if (job->skipped || pg_job_may_try_again(lane->session, job)) {
        job->alone = true;
        pg_queue_put(lane->session, &lane->queue, job);
    } else {
        pg_job_answer(lane->session, job);
    }
}

static bool on_control(struct pg_connection *connection, enum pg_control control,
                       const PGresult *result) {
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
           status == PGRES_PIPELINE_ABORTED;
}

static void on_sync(struct pg_connection *connection) {}

static void on_lost(struct pg_connection *connection) {
    struct job *jobs = pg_connection_close(connection);
    while (jobs) {
        struct job *job = jobs;
        jobs = job->next;
        if (job->outcome.kind != OUTCOME_DONE) // it failed before that
            pg_job_answer(connection->session, job);
        else
            pg_job_lost(connection->lane, job);
    }
}

const struct pg_lane_operations pg_read_operations = {
    .dispatch = dispatch,
    .on_ready = on_ready,
    .on_job_end = on_job_end,
    .on_control = on_control,
    .on_sync = on_sync,
    .on_lost = on_lost,
};
