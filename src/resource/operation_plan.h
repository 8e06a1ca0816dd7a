// The statements on operations (built_in/operations.yaml): one for each step of the protocol by
// which workers claim them, so that processes on one database need nothing else to agree. Leases,
// waits and the times of operations go by the database's clock, never by a process's.
//
// An operation holds its record (the column _operation) from its start to its end. Whoever changes
// both in one job changes the record first, so that no two jobs wait for each other.
#pragma once

#include "resource/plan.h"

enum operation_state {
    OPERATION_QUEUED,
    OPERATION_RUNNING,
    OPERATION_SUCCEEDED,
    OPERATION_FAILED,
    OPERATION_CANCELLED,
    OPERATION_STATES
};

static inline bool operation_has_ended(enum operation_state state) {
    return state >= OPERATION_SUCCEEDED;
}

enum {
    OPERATION_LEASE_LEAST = 1000, // milliseconds
    OPERATION_LEASE_MOST = 3600 * 1000,
    OPERATION_LEASE_DEFAULT = 30 * 1000,
    OPERATION_LOST_MAX = 10,             // attempts in a row that may end with their lease
    OPERATION_DETAIL_MAX = 4096,         // bytes; more is cut
    OPERATION_WORKER_MAX = 200,          // characters
    OPERATION_BACKOFF_LEAST = 1000,      // milliseconds after the first failure,
    OPERATION_BACKOFF_MOST = 300 * 1000, // doubled with each one up to this
};

// One row, as far as the program looks at it. The texts belong to the arena that it was read into.
struct operation {
    struct value id;
    struct text resource;
    struct text record; // key_text of its key
    struct text transition;
    enum operation_state state;
    int64_t attempts; // the number of the last claim: the only one that still counts
    int64_t failures;
    int64_t lost;
    bool cancel_requested;
    struct text requested_by; // empty: nobody in particular
    struct text request_id;
};

struct operation_plan {
    const struct plan *table; // of trestle_operations; NULL where the catalogue has no such
    struct statement start;
    struct statement due;
    struct statement claim;
    struct statement beat;
    struct statement turn;
    struct statement ask_cancel;
    struct statement stuck;
    struct statement forget;
};

// `table` may be NULL. False when there is no memory.
bool operation_plan_make(struct arena *arena, const struct plan *table,
                         struct operation_plan *ret_plan);

// Reads a row of the table's selection; false when there is no memory, or it is none that trestle
// wrote.
bool operation_read(const struct operation_plan *plan, const struct value *cells,
                    struct arena *arena, struct operation *ret_operation);

// The calls below are of one row, or none, of the table's selection, unless they say otherwise.
// Parameters are put into the arena; false when there is no memory.

// A new operation, queued: of id, resource, record, transition, requested_by and request_id. It
// goes into one job with the move that makes its record held.
bool operation_plan_start(const struct operation_plan *plan, const struct operation *operation,
                          struct arena *arena, struct call *ret_call);

// -> milliseconds (VALUE_INTEGER) until the first operation of a transition may be claimed, 0 or
// less where one may be now; no row where there is none.
bool operation_plan_due(const struct operation_plan *plan, struct text resource,
                        struct text transition, struct arena *arena, struct call *ret_call);

// Claims the one that has been due for longest, and gives it the next number of an attempt. Two
// claims never get the same one, be they of different processes. `worker` may be empty; the lease
// is in milliseconds.
bool operation_plan_claim(const struct operation_plan *plan, struct text resource,
                          struct text transition, struct text worker, int64_t lease,
                          struct arena *arena, struct call *ret_call);

// Renews the lease of an attempt that still counts; no row where it does not. `progress` -1 and a
// detail without data leave them as they are.
bool operation_plan_beat(const struct operation_plan *plan, struct value id, int64_t attempt,
                         int64_t progress, struct text detail, int64_t lease, struct arena *arena,
                         struct call *ret_call);

// What becomes of an operation that is still as it was read.
struct operation_turn {
    enum operation_state state;
    struct text detail; // data NULL: the one that it has
    bool failed;        // one failure more
    bool is_late;       // only if it may be claimed by somebody else by now
    int64_t delay;      // OPERATION_QUEUED: milliseconds until it may be claimed
};

// No row where it has changed since, but for beats.
bool operation_plan_turn(const struct operation_plan *plan, const struct operation *operation,
                         const struct operation_turn *turn, struct arena *arena,
                         struct call *ret_call);

// Notes that the worker of an operation, which is running, should stop.
bool operation_plan_ask_cancel(const struct operation_plan *plan, const struct operation *operation,
                               struct arena *arena, struct call *ret_call);

// -> those of a transition that nobody may claim though their lease is over, a few: they are to be
// cancelled, or were lost too often.
bool operation_plan_stuck(const struct operation_plan *plan, struct text resource,
                          struct text transition, struct arena *arena, struct call *ret_call);

// Removes so many of those that have ended for longer than the retention, in milliseconds; no rows.
bool operation_plan_forget(const struct operation_plan *plan, int64_t retention, int64_t count,
                           struct arena *arena, struct call *ret_call);

// How long to wait after so many failures, in milliseconds.
int64_t operation_backoff(int64_t failures);

// "queued", …
struct text operation_state_name(enum operation_state state);
