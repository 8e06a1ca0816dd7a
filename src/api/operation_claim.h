// A claim looks for an operation of some transitions that is due, takes it for a worker, and reads
// its record, all through one session, on its loop. Where there is nothing to do, it tells for how
// long.
#pragma once

#include "api/operation_finish.h"

// One of the transitions that a worker can do.
struct claimable {
    const struct plan *plan;
    const struct transition *transition; // a long one
};

enum { CLAIMABLES_MAX = 100 };

struct operation_claim {
    // The owner sets these, and keeps what they point to until on_done.
    struct store_session *session;
    const struct catalogue *catalogue;
    struct arena *arena;
    unsigned patience; // milliseconds for each answer of the store
    const struct claimable *claimables;
    size_t claimable_count; // 1 to CLAIMABLES_MAX
    struct text worker;
    int64_t lease;      // milliseconds
    struct buffer *out; // where the operation is written as JSON; or NULL
    void *owner;

    // Exactly once, if operation_claim_start gave true; never in it.
    void (*on_done)(struct operation_claim *claim);

    // The result, unless the failure is set.
    struct failure failure;
    const struct claimable *claimed; // NULL: there is nothing to do, …
    int64_t idle;                    // … for so many milliseconds; INT64_MAX: until somebody asks
    struct operation operation;
    struct value *record; // its values

    // Its own.
    struct job job;
    struct call *calls;
    int64_t *waits; // of the claimables; INT64_MAX where there is nothing at all
    unsigned stage;
    unsigned rounds;
    bool found;
    struct operation row;
    struct operation_finish finish; // of one whose record is gone
};

// Begins; false when it failed at once, with the failure set.
bool operation_claim_start(struct operation_claim *claim);

// The record of a claim, as a JSON object of all that is not hidden: write-only properties, too.
void operation_write_record(struct json_writer *writer, const struct resource *resource,
                            const struct value *values);
