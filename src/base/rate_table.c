#include "base/rate_table.h"

#include "base/random.h"
#include "base/table.h"

#include <sched.h>
#include <stdlib.h>

// The instant of a slot that is being given to another bucket.
#define CHANGING UINT64_MAX

// Somebody takes something.
struct taking {
    uint64_t hash;
    const struct rate *rate;
    uint64_t cost; // nanoseconds
    uint64_t now;
    bool allowed;
    struct rate_state *state;
};

bool rate_table_open(struct rate_table *table, struct failure *failure) {
    *table = (struct rate_table){.sets = NULL};
    if (!random_bytes(&table->seed, sizeof table->seed))
        return failure_set(failure, FAILURE_INTERNAL, "the kernel gives no randomness");
    table->sets = calloc(RATE_TABLE_SETS, sizeof *table->sets);
    return table->sets || failure_out_of_memory(failure);
}

void rate_table_close(struct rate_table *table) {
    free(table->sets);
    table->sets = NULL;
}

// What is said of a bucket that lacks `debt` nanoseconds to be full.
static void tell(const struct taking *taking, uint64_t debt) {
    const struct rate *rate = taking->rate;
    uint64_t left = rate->capacity - debt;
    uint64_t remaining = left / rate->interval;
    taking->state->remaining = (uint32_t)remaining;
    taking->state->wait = (remaining + 1) * rate->interval - left;
}

// Who comes with a clock that is behind that of others is only let less often.
static bool lets(struct taking *taking, uint64_t full_at, uint64_t *ret_full_at) {
    uint64_t debt = full_at > taking->now ? full_at - taking->now : 0;
    uint64_t capacity = taking->rate->capacity;
    if (debt > capacity) // of a rate that was another one
        debt = capacity;
    taking->allowed = taking->cost <= capacity - debt;
    tell(taking, taking->allowed ? debt + taking->cost : debt);
    if (!taking->allowed)
        taking->state->wait = debt + taking->cost - capacity;
    *ret_full_at = taking->now + debt + taking->cost;
    return taking->allowed;
}

// Whether a slot was that of the bucket; `taking` says the rest then. The instant is read before
// the hash: whoever gives the slot away changes the instant first, so that it cannot be replaced
// here by one of another bucket.
static bool take_from(struct rate_slot *slot, struct taking *taking) {
    uint_fast64_t full_at = atomic_load(&slot->full_at);
    uint64_t next;
    do {
        if (full_at == CHANGING || atomic_load(&slot->hash) != taking->hash)
            return false;
    } while (lets(taking, full_at, &next) &&
             !atomic_compare_exchange_weak(&slot->full_at, &full_at, next));
    return true;
}

static bool take_from_any(struct rate_set *set, struct taking *taking) {
    for (size_t i = 0; i < RATE_TABLE_WAYS; i++) {
        if (take_from(&set->slots[i], taking))
            return true;
    }
    return false;
}

// The slot whose bucket is full, or will be soonest; `ret_full_at` gets when.
static struct rate_slot *least_of(struct rate_set *set, uint_fast64_t *ret_full_at) {
    struct rate_slot *least = &set->slots[0];
    *ret_full_at = atomic_load(&least->full_at);
    for (size_t i = 1; i < RATE_TABLE_WAYS; i++) {
        uint_fast64_t full_at = atomic_load(&set->slots[i].full_at);
        if (full_at >= *ret_full_at)
            continue;
        least = &set->slots[i];
        *ret_full_at = full_at;
    }
    return least;
}

// A bucket that is new is full.
static void add(struct rate_table *table, struct rate_set *set, struct taking *taking) {
    struct rate_slot *slot;
    uint_fast64_t full_at;
    uint64_t next;
    if (!lets(taking, 0, &next))
        return;
    do {
        slot = least_of(set, &full_at);
    } while (!atomic_compare_exchange_strong(&slot->full_at, &full_at, CHANGING));
    if (full_at > taking->now)
        atomic_fetch_add(&table->dropped, 1);
    atomic_store(&slot->hash, taking->hash);
    atomic_store(&slot->full_at, next);
}

// It is held for as long as it takes to write a slot, unless its holder loses the processor.
static void lock(struct rate_set *set) {
    enum { SPINS = 64 };
    for (unsigned i = 0; atomic_exchange(&set->lock, true); i++) {
        if (i >= SPINS)
            (void)sched_yield();
    }
}

bool rate_table_take(struct rate_table *table, const struct rate_limit *limit, struct text who,
                     uint32_t count, uint64_t now, struct rate_state *ret_state) {
    uint64_t hash = hash_mix(bytes_hash(who, table->seed), limit->domain);
    struct rate_set *set = &table->sets[hash % RATE_TABLE_SETS];
    struct taking taking = {.hash = hash,
                            .rate = &limit->rate,
                            .cost = limit->rate.interval * count,
                            .now = now,
                            .state = ret_state};
    if (take_from_any(set, &taking))
        return taking.allowed;
    lock(set);
    if (!take_from_any(set, &taking)) // somebody else may have been quicker
        add(table, set, &taking);
    atomic_store(&set->lock, false);
    return taking.allowed;
}
