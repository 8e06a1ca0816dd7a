// A rate says how often something may be done: so often in a time on average, and how often at
// once. A plain value; one that is all zero is no limit.
#pragma once

#include "base/arena.h"

struct rate {
    uint64_t interval; // nanoseconds from one time to the next; 0: there is no limit
    uint64_t capacity; // nanoseconds that `burst` times take
    uint32_t burst;    // how often at once
    uint32_t window;   // seconds after which as often is possible again, rounded up
};

// Of the count, of the burst; and seconds that `burst` times may take.
enum { RATE_COUNT_MAX = 1000000, RATE_WINDOW_MAX = 30 * 24 * 3600 };

// "100/s", "6000/m", "100/h" or "1000/d", each perhaps with " burst 200" behind it; without it the
// burst is the count. "off" is no limit.
bool rate_parse(struct text text, struct rate *ret_rate);

static inline bool rate_is_limit(const struct rate *rate) {
    return rate->interval != 0;
}

// A rate under a name, by which clients are told of it.
struct rate_limit {
    struct rate rate;
    struct text name;
    struct text policy; // "NAME";q=BURST;w=WINDOW
    uint64_t domain;    // of the name: what tells its buckets from those of others
};

// In the arena; the name must be letters, digits, ":" and "_". False when there is no memory.
bool rate_limit_make(struct arena *arena, struct text name, const struct rate *rate,
                     struct rate_limit *ret_limit);
