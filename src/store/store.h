// A store keeps rows durably and runs jobs on them. This is the one interface behind which SQLite
// and PostgreSQL stand; nothing above it (but the command line, which opens them) knows which it
// is.
//
// A process opens one store. Every loop that wants to use it attaches a session; a session belongs
// to its loop's thread and is used on no other. Transactions, savepoints, retries and connections
// are the store's own business.
#pragma once

#include "base/failure.h"
#include "base/mailbox.h"
#include "store/value.h"

enum store_dialect { STORE_SQLITE, STORE_POSTGRES };

// What a column of a result is read as.
struct column {
    enum value_kind kind;
    uint8_t scale; // VALUE_DECIMAL
};

// One SQL statement, immutable. Its owner keeps it alive, with all that it points to, until every
// job that uses it is done; sessions prepare it once and find it again by its text.
struct statement {
    struct text sql;              // in the store's dialect; ?1 or $1 for the first parameter
    uint64_t hash;                // text_hash(sql)
    const struct column *columns; // of the rows that it gives
    size_t column_count;
    bool once; // not worth keeping prepared: DDL, PRAGMA

    // It may share a transaction with other jobs: it changes one record, and the only others that
    // have to wait for it are those that give the same values to `group_keys`, the parameters by
    // which jobs of a group are put in order.
    bool groups;
    const size_t *group_keys;
    size_t group_key_count;
};

enum { EXPECT_ANY = -1 };

// One use of a statement.
struct call {
    const struct statement *statement;
    const struct value *parameters; // alive until the job is done
    size_t parameter_count;
    int64_t expect; // the rows that it must change (write) or give (read), or EXPECT_ANY
    bool late;      // JOB_WRITE: it begins only when all calls before it are done, and then on_late
                    // may set its parameters, of which nothing is known before
    int64_t rows;   // set by the store: how many it did
};

enum job_kind {
    JOB_READ,  // short: a point read, or a page on an index
    JOB_SCAN,  // a read that may take long; it disturbs no JOB_READ
    JOB_WRITE, // all or nothing, and durable once it is done
};

enum outcome_kind {
    OUTCOME_DONE,        // a write: committed and durable
    OUTCOME_CONFLICT,    // a unique key or a foreign key stands against it; nothing was changed
    OUTCOME_UNEXPECTED,  // a call's `expect` did not hold; nothing was changed
    OUTCOME_OVERFLOW,    // arithmetic in a statement left its type's range; nothing was changed
    OUTCOME_BUSY,        // another process holds the database, or locks did not clear in time
    OUTCOME_TIMEOUT,     // its deadline passed; nothing was changed
    OUTCOME_FULL,        // the disk is full; nothing was changed
    OUTCOME_UNAVAILABLE, // the database is away; nothing was changed
    OUTCOME_UNKNOWN,     // the database went away during the commit: it may have happened
    OUTCOME_CANCELLED,   // store_cancel or shutdown; nothing was changed
    OUTCOME_FAILED,      // anything else, which is a defect; the log has the driver's words
};

enum conflict_kind { CONFLICT_UNIQUE, CONFLICT_REFERENCE };

struct outcome {
    enum outcome_kind kind;
    size_t call;                 // which call it was, where one was at fault
    enum conflict_kind conflict; // OUTCOME_CONFLICT
    char constraint[256];        // OUTCOME_CONFLICT: what stands against it, as the database names
                                 // it: an index's name, or "table.column, table.column"; may be ""
};

// A list of calls: all or nothing. The submitter owns it and keeps it alive, untouched, until
// on_done. Jobs that are under way at the same time may be run in any order, and side by side; who
// needs one after the other submits it when the other is done.
struct job {
    // Set by the submitter.
    enum job_kind kind;
    struct call *calls;
    size_t call_count;
    uint64_t deadline; // clock_monotonic(); 0 for the store's own limit, UINT64_MAX for none
    void *owner;

    // Each row of each call, in order. The cells are valid only during the call. It may run on a
    // thread of the store's, while the submitter does not touch the job. False gives up: the job is
    // undone and its outcome OUTCOME_FAILED. May be NULL where no call gives rows.
    bool (*on_row)(struct job *job, size_t call, const struct value *cells);

    // A late call is next: all calls before it did what is expected of them, and have their `rows`.
    // It may set the parameters of this call, and what is expected of it. On the same thread as
    // on_row; false gives up in the same way. May be NULL: the parameters are there already.
    bool (*on_late)(struct job *job, size_t call);

    // The job is run anew from its first call: forget the rows that came, and what on_late did. On
    // the same thread as on_row. May be NULL where on_row and on_late are.
    void (*on_restart)(struct job *job);

    // Exactly once for each job that store_submit took, on the session's loop, never inside
    // store_submit. The job may be freed or submitted again in it; the outcome lives until it ends.
    void (*on_done)(struct job *job, const struct outcome *outcome);

    // The store's own.
    struct letter letter; // brings it home
    struct outcome outcome;
    struct store_session *session;
    struct job *next;
    uint64_t ends;  // the deadline that applies
    bool cancelled; // any thread, atomically
    bool started;   // on_row or on_late may have been called
    size_t begun;   // calls that were, where they are sent ahead
    bool alone;     // it is to share no transaction with others
    bool skipped;   // another job's error kept it from being run
    bool again;     // what it failed of may pass: it may be tried again
    uint8_t tries;  // that were in vain
};

struct store;
struct store_session;

// What a store counts, for whoever watches it.
struct store_statistics {
    uint64_t groups;       // commits of grouped writes
    uint64_t grouped_jobs; // jobs in them
    uint64_t queued;       // jobs that wait now
};

// The slots of a store. Callers use the functions below.
struct store_operations {
    enum store_dialect dialect;

    // Makes a session on a loop, from that loop's thread. It keeps the loop alive until it is gone.
    bool (*attach)(struct store *store, uv_loop_t *loop, struct store_session **ret_session,
                   struct failure *failure);

    // Ends a session in order: jobs that it took are run or cancelled and their on_done called,
    // then on_detached, after which the session is gone. On the loop's thread.
    void (*detach)(struct store_session *session, void (*on_detached)(void *owner), void *owner);

    // Takes a job, or refuses it at once because the queue is full (false; on_done is not called).
    bool (*submit)(struct store_session *session, struct job *job);

    // Asks for a job to end early, which must be one that the session took and has not answered.
    // on_done still comes, later, with OUTCOME_CANCELLED or whatever it was by then: a write that
    // is being committed is not taken back.
    void (*cancel)(struct store_session *session, struct job *job);

    // Has on_news called on the session's loop, until it is detached, soon after somebody told the
    // store's other users of a change (struct dialect's `tell`), and perhaps when nobody did. Some
    // news may be lost, so that it only makes quicker what is looked at anyway. A store that hears
    // of nothing has NULL here.
    void (*listen)(struct store_session *session, void (*on_news)(void *owner), void *owner);

    void (*statistics)(struct store *store, struct store_statistics *ret_statistics);

    // Closes the store, of which no session may be left.
    void (*close)(struct store *store);
};

// Every store begins with this.
struct store {
    const struct store_operations *operations;
};

// Every session begins with this.
struct store_session {
    struct store *store;
};

static inline enum store_dialect store_dialect(const struct store *store) {
    return store->operations->dialect;
}

static inline bool store_attach(struct store *store, uv_loop_t *loop,
                                struct store_session **ret_session, struct failure *failure) {
    return store->operations->attach(store, loop, ret_session, failure);
}

static inline void store_detach(struct store_session *session, void (*on_detached)(void *owner),
                                void *owner) {
    session->store->operations->detach(session, on_detached, owner);
}

static inline bool store_submit(struct store_session *session, struct job *job) {
    return session->store->operations->submit(session, job);
}

static inline void store_cancel(struct store_session *session, struct job *job) {
    session->store->operations->cancel(session, job);
}

static inline void store_listen(struct store_session *session, void (*on_news)(void *owner),
                                void *owner) {
    if (session->store->operations->listen)
        session->store->operations->listen(session, on_news, owner);
}

static inline void store_statistics(struct store *store, struct store_statistics *ret_statistics) {
    store->operations->statistics(store, ret_statistics);
}

static inline void store_close(struct store *store) {
    if (store)
        store->operations->close(store);
}

// The order (as of qsort) in which calls that give values to `group_keys` are made, so that no two
// jobs or groups of jobs that write the same keys wait for each other: by statement, then by those
// values.
int call_compare(const struct call *a, const struct call *b);

// Runs one job on a loop of its own and waits for it: for the command line and for start-up, never
// on a loop's thread. The job's own on_done is not called. False and a failure unless the outcome
// is OUTCOME_DONE; job->outcome has it then.
bool store_run(struct store *store, struct job *job, struct failure *failure);

// The failure that an outcome other than OUTCOME_DONE stands for, in general words.
bool outcome_failure(const struct outcome *outcome, struct failure *failure);
