// What ends an attempt at an operation, or the operation itself: what its worker says became of it,
// a cancellation, a lease that was lost. The record's change, the history and the operation's end
// are one job; where the record has gone another way, or what was made of it does not fit its
// definition, the operation fails and says why. It is asked for through a session, on its loop.
#pragma once

#include "resource/catalogue.h"
#include "resource/operation_plan.h"
#include "resource/transition_plan.h"
#include "resource/validate.h"

enum finish_kind {
    // Of an attempt, which must still count.
    FINISH_SUCCEEDED,
    FINISH_FAILED, // it is tried again, if the transition says so
    FINISH_CANCELLED,
    FINISH_RELEASED,   // handed back: somebody else may claim it at once
    FINISH_IMPOSSIBLE, // it failed and would fail again
    // Of an operation, whatever attempt it is at.
    FINISH_CANCEL, // one that is queued ends; of one that is running the worker is asked to stop
    FINISH_LOST,   // one that nobody may claim though its lease is over (operation_plan_stuck)
};

enum { FINISH_MAX_CALLS = TRANSITION_MAX_CALLS + 1 };

struct operation_finish {
    // The owner sets these, and keeps what they point to until on_done.
    struct store_session *session;
    const struct catalogue *catalogue;
    struct arena *arena;
    unsigned patience; // milliseconds for each answer of the store
    enum finish_kind kind;
    struct value id;
    int64_t attempt;    // of those that are of one
    const json_t *set;  // FINISH_SUCCEEDED: an object, the properties that the worker sets; or NULL
    struct text detail; // data NULL: none
    struct buffer *out; // where the operation is written as JSON; or NULL
    void *owner;

    // Exactly once, if operation_finish_start gave true; never in it.
    void (*on_done)(struct operation_finish *finish);

    // The result. FAILURE_NONE: it is done, which may mean that the operation failed; or the
    // store's failures, FAILURE_NOT_FOUND, FAILURE_OVERTAKEN (the attempt no longer counts),
    // FAILURE_OPERATION_ENDED (FINISH_CANCEL), FAILURE_CONTENTION.
    struct failure failure;
    struct operation operation; // as it is now
    int64_t version;            // of its row

    // Its own.
    struct job job;
    struct call calls[FINISH_MAX_CALLS];
    unsigned stage;
    unsigned rounds;
    bool found;              // the row that was looked for
    struct operation row;    // the operation as the job that is out shows it
    const struct plan *plan; // of the resource; NULL: it is not there any more
    const struct transition *transition;
    struct value key; // of the record
    struct effect effect;
    struct transition_plan end;
    struct faults faults;
    struct value *stored; // the record
    int64_t now;
};

// Begins; false when it failed at once, with the failure set.
bool operation_finish_start(struct operation_finish *finish);
