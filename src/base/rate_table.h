// A table of token buckets, which any thread may use, in memory of a fixed size. A bucket is one
// 64-bit instant, that at which it will be full again (the generic cell rate algorithm's
// theoretical arrival time): whoever takes from it moves the instant on. One that is past says the
// same as no bucket at all, so its slot is free for another.
//
// Who takes from a bucket that has a slot waits for nobody. A new bucket's slot is taken under a
// lock of its set of slots, of which there are thousands. Where all slots of a set are busy, the
// bucket that would be full soonest is dropped, as if it were full: those who are farthest over
// their limit are held to it longest.
#pragma once

#include "base/failure.h"
#include "base/rate.h"

#include <stdatomic.h>

enum { RATE_TABLE_SETS = 16384, RATE_TABLE_WAYS = 7 };

struct rate_slot {
    atomic_uint_fast64_t hash;    // of whose it is
    atomic_uint_fast64_t full_at; // on the monotonic clock, in nanoseconds
};

struct rate_set {
    atomic_bool lock; // of who gives a slot to another bucket
    struct rate_slot slots[RATE_TABLE_WAYS];
};

struct rate_table {
    struct rate_set *sets;
    uint64_t seed;                // so that nobody can tell who shares a set
    atomic_uint_fast64_t dropped; // how many buckets were that were not full
};

// What a bucket says.
struct rate_state {
    uint32_t remaining; // how often it is possible now
    uint64_t wait;      // nanoseconds until once more than that; of who was refused: until it would
                        // have been possible
};

bool rate_table_open(struct rate_table *table, struct failure *failure);
void rate_table_close(struct rate_table *table); // takes zeroed memory

// Takes `count` times (1 to RATE_TAKE_MAX) at once from the bucket of `who` under a limit, all or
// none, at the moment `now` (clock_monotonic_ns). Whether it was let.
enum { RATE_TAKE_MAX = 1000 };
bool rate_table_take(struct rate_table *table, const struct rate_limit *limit, struct text who,
                     uint32_t count, uint64_t now, struct rate_state *ret_state);
