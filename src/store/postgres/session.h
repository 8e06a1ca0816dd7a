// A session is one loop's way into the PostgreSQL store: a few connections in lanes, and a queue
// for each lane. It belongs to its loop's thread.
#pragma once

#include "base/log.h"
#include "store/postgres/cells.h"
#include "store/postgres/connection.h"
#include "store/postgres/faults.h"
#include "store/postgres/parameters.h"

struct postgres_store;

struct pg_lane_operations {
    // Sends what waits, as far as there are connections for it.
    void (*dispatch)(struct pg_lane *lane);

    // A connection has been opened; or it is time to look after one whose transaction is in doubt,
    // open or not.
    void (*on_ready)(struct pg_connection *connection);

    // The last call of a job, the first of those under way, has its results, or was skipped because
    // of an error before it.
    void (*on_job_end)(struct pg_connection *connection);

    // One of the store's own statements has its result; false loses the connection.
    bool (*on_control)(struct pg_connection *connection, enum pg_control control,
                       const PGresult *result);

    // All that was sent before it is done.
    void (*on_sync)(struct pg_connection *connection);

    // The link is no use any more: closes the connection and sees to its jobs.
    void (*on_lost)(struct pg_connection *connection);

    // Something has come, perhaps unasked. NULL where only answers count.
    void (*on_input)(struct pg_connection *connection);
};

// PG_NEWS has one connection, which listens (listener.c), and no jobs.
enum pg_lane_kind { PG_READS, PG_SCANS, PG_WRITES, PG_NEWS, PG_LANES };

// A lane keeps one kind of job apart from the others.
struct pg_lane {
    const struct pg_lane_operations *operations;
    struct pg_session *session;
    const struct pg_address *address; // of its connections
    struct pg_connection *connections;
    size_t count;
    size_t jobs_at_once;    // that a connection may have under way
    struct pg_queue queue;  // of jobs that each have a transaction, or need none
    struct pg_queue groups; // of jobs that may share one
    bool groups_next;       // takes turns, where both queues have jobs
    unsigned failures;      // attempts to connect in a row that failed
    uint64_t retry_at;      // when the next may be made
};

struct pg_session {
    struct store_session base;
    uv_loop_t *loop;
    struct pg_lane lanes[PG_LANES];
    struct pg_connection *connections; // of all lanes
    size_t connection_count;
    uv_check_t check; // after the loop has looked at its sockets …
    uv_idle_t idle; // … for which it does not wait; both run only while there is something to do
    uv_timer_t timer;       // runs only while jobs are here or connections are missing
    struct mailbox mailbox; // brings links home
    size_t pending;         // jobs that were taken and not answered
    bool stirred;           // check and idle run
    bool ticking;           // the timer runs
    bool cancelling;        // a job may have been cancelled
    bool detaching;
    bool closing;
    size_t handles; // not yet closed
    void (*on_detached)(void *owner);
    void *owner;

    // Who wants to hear what others tell (store_listen), or NULL.
    void (*on_news)(void *owner);
    void *news_owner;
    unsigned deaf; // times in a row that the connection for it was lost before it listened

    // For one call at a time.
    struct pg_parameters parameters;
    struct pg_cells cells;

    // At most one line of trouble a second.
    uint64_t quiet_until;
    unsigned left_out;
};

extern const struct pg_lane_operations pg_read_operations;
extern const struct pg_lane_operations pg_write_operations;
extern const struct pg_lane_operations pg_news_operations;

// The slots of struct store_operations.
bool pg_session_attach(struct store *base, uv_loop_t *loop, struct store_session **ret_session,
                       struct failure *failure);
void pg_session_detach(struct store_session *base, void (*on_detached)(void *owner), void *owner);
bool pg_session_submit(struct store_session *base, struct job *job);
void pg_session_cancel(struct store_session *base, struct job *job);
void pg_session_listen(struct store_session *base, void (*on_news)(void *owner), void *owner);

struct postgres_store *pg_session_store(const struct pg_session *session);

// Has the lanes dispatched at the end of this turn of the loop.
void pg_session_stir(struct pg_session *session);

// A uv handle of the session's has been closed.
void pg_session_handle_closed(struct pg_session *session);

// Writes a line about trouble, unless there were others just now.
void pg_session_log(struct pg_session *session, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Takes a job out of a lane's queue, or puts one in; it counts as waiting meanwhile.
struct job *pg_queue_take(struct pg_session *session, struct pg_queue *queue);
void pg_queue_put(struct pg_session *session, struct pg_queue *queue, struct job *job);
void pg_queue_put_first(struct pg_session *session, struct pg_queue *queue, struct job *job);

// Takes the next job that is still to be run; the others are answered on the way.
struct job *pg_queue_take_live(struct pg_session *session, struct pg_queue *queue);

// Whether a job need not be run, as it was cancelled or is too late; its outcome is set then.
bool pg_job_is_over(const struct pg_session *session, struct job *job);

// Gives a job back to its submitter, with its outcome.
void pg_job_answer(struct pg_session *session, struct job *job);
void pg_job_answer_with(struct pg_session *session, struct job *job, enum outcome_kind kind);

// Whether it may share a transaction with others.
bool pg_job_may_share(const struct job *job);

// Sees to a job of which nothing happened because its connection was lost: it waits for another
// one, which may be as lost and not known to be, or is answered where it has been tried enough.
void pg_job_lost(struct pg_lane *lane, struct job *job);

// Whether a job that failed is to be run again, and that in a way that helps; it counts.
bool pg_job_may_try_again(const struct pg_session *session, struct job *job);

// The time that the server is to be told for a job that begins now, in milliseconds, 0 for no
// limit; false where that of the connection will do.
bool pg_job_limit(const struct pg_session *session, const struct job *job, int64_t *ret_ms);
void pg_send_limits(struct pg_connection *connection, int64_t ms);

// What the lane does where jobs wait and no connection is free: opens another one, or gives the
// jobs up where the server is away. Whether a connection is ready now.
bool pg_lane_want(struct pg_lane *lane);

// Another attempt to open a connection ended.
void pg_lane_opened(struct pg_lane *lane);
void pg_lane_open_failed(struct pg_lane *lane, const char *why);

// Has the lane wait for so many milliseconds before the next one, or up to a quarter less, so that
// processes that lost a server together do not return together.
void pg_lane_pause(struct pg_lane *lane, uint64_t ms);

// Takes the results of a call of a job.
void pg_call_take(struct pg_connection *connection, struct job *job, size_t index,
                  const PGresult *result);

// Sets the outcome of a job from an error, and logs the server's words where a client will not
// learn enough.
void pg_call_fail(struct pg_connection *connection, struct job *job, size_t call,
                  const PGresult *result);
