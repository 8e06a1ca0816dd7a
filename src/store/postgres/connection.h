// A connection is one place among those that a session may have: closed, being opened, or open with
// a link on which calls are sent ahead and answered in their order. It belongs to its session, and
// the link, while there is one, to it.
#pragma once

#include "store/postgres/attempt.h"

struct pg_lane;
struct pg_session;
struct pg_watch;

// Jobs in their order, linked by next.
struct pg_queue {
    struct job *first;
    struct job **last;
};

enum pg_state { PG_CLOSED, PG_OPENING, PG_SETTING_UP, PG_READY };

// Statements of the store's own.
enum pg_control {
    PG_SETTINGS,    // makes a new connection what it is to be
    PG_WATCH,       // has the server look whether we are still there while a statement runs
    PG_INCARNATION, // tells which life of the server it is
    PG_BEGIN_READ,
    PG_BEGIN_WRITE,
    PG_LIMITS, // (statement_timeout, lock_timeout), until the transaction's end
    PG_NUMBER, // tells the transaction's number, where it has one
    PG_COMMIT,
    PG_ROLLBACK,
    PG_FATE, // (number) tells what became of a transaction, and which life of the server says so
    PG_DEALLOCATE,
    PG_LISTEN,
    PG_CONTROLS
};

enum pg_op_kind { PG_OP_PREPARE, PG_OP_CALL, PG_OP_CONTROL, PG_OP_SYNC };

// Something that was sent and whose results are not all here.
struct pg_op {
    enum pg_op_kind kind;
    bool of_control; // PG_OP_PREPARE
    size_t index;    // which call of the job, or which enum pg_control (of a sync: behind which)
    struct job *job; // NULL for a control
};

// Where the one transaction of a connection for writes stands.
enum pg_phase {
    PG_IDLE,
    PG_RUNNING,    // its statements are sent
    PG_UNDOING,    // ROLLBACK is sent
    PG_COMMITTING, // COMMIT is sent
    PG_DOUBTFUL,   // the link was lost while it committed; the next one is asked what came of it
    PG_ASKING,
};

struct pg_transaction {
    enum pg_phase phase;
    bool grouped;
    bool committed;                        // the server said so
    bool unreplicated;                     // the server stopped waiting for a standby to have it
    struct outcome outcome;                // of a COMMIT that failed …
    bool again;                            // … and whether it may be tried again
    char number[24];                       // "" while it has none
    char fate[16];                         // what was answered to PG_FATE …
    bool same_life;                        // … and whether by the server that committed
    char incarnation[PG_INCARNATION_SIZE]; // of the link that was lost
    uint64_t until;                        // PG_DOUBTFUL: when its jobs are answered anyway
    uint64_t ask_at;                       // … and when to ask next; PG_ASKING: when it was asked
};

struct pg_connection {
    struct pg_session *session; // set once
    struct pg_lane *lane;       // set once
    enum pg_state state;
    struct pg_attempt *attempt; // PG_OPENING
    struct pg_link *link;       // PG_SETTING_UP, PG_READY
    struct pg_watch *watch;     // on the link's socket
    bool broken;                // something could not be sent; noticed by pg_connection_flush
    bool retired;               // the server will not do any more; closed once it is idle

    // What was sent and not answered, as a ring.
    struct pg_op *ops;
    size_t capacity; // a power of two, or 0
    size_t first;
    size_t count;
    bool answered; // the oldest has had a result

    // The jobs under way: reads in the order of their answers, or those of the one transaction.
    struct pg_queue jobs;
    size_t job_count;

    struct pg_transaction transaction; // writes
};

// Begins to open a closed connection. It may be open at once, by a link that another session left.
void pg_connection_open(struct pg_connection *connection);

// Closes the link or gives up the attempt. Nothing becomes of what was sent; jobs that were under
// way are returned, as a list.
struct job *pg_connection_close(struct pg_connection *connection);

// Takes the jobs under way, as a list.
struct job *pg_connection_take_jobs(struct pg_connection *connection);

// The same where the link is no use any more: the lane then does what can be done for its jobs.
// `why` is for the log.
void pg_connection_lose(struct pg_connection *connection, const char *why);

// Begins a batch: has the server forget what was forgotten here, in a transaction of its own, since
// a statement that it does not know, as behind a pooler, must spoil no other.
void pg_connection_begin(struct pg_connection *connection);

// Put something into the pipeline; a job is under way from then on, with its calls up to the first
// late one. What goes wrong is noticed by pg_connection_flush.
void pg_connection_send_job(struct pg_connection *connection, struct job *job);
void pg_connection_send_control(struct pg_connection *connection, enum pg_control control,
                                const struct value *parameters, size_t count);
void pg_connection_sync(struct pg_connection *connection);

// The same for those of a job's calls that come next, which begin with a late one: all before it
// are done. False, with the job's outcome set, where its submitter gives up.
bool pg_connection_send_more(struct pg_connection *connection, struct job *job);

// Sends what is in the pipeline, as far as the socket takes it now; loses the connection where that
// is no use. The last thing that a caller does with the connection.
void pg_connection_flush(struct pg_connection *connection);

static inline bool pg_connection_is_idle(const struct pg_connection *connection) {
    return connection->state == PG_READY && connection->count == 0 &&
           connection->transaction.phase == PG_IDLE;
}
