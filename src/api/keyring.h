// What the workers of a process tell each other about API keys, and what the watch tells them all:
// that keys have changed, and up to when none has that they do not know of. It outlives them; any
// thread may use it.
#pragma once

#include "api/watch.h"

#include <stdatomic.h>

enum { KEYRING_TOLD = 1024 };

// Milliseconds without a look at the database after which anything may have changed: the database,
// too, may be another one, which a standby has become.
enum { KEYRING_GAP = 2000 };

struct keyring {
    struct watched watched;                  // first, so that one is the other; the watch's
    atomic_uint_fast64_t changes;            // how often keys may have changed
    atomic_uint_fast64_t seen;               // clock_monotonic(); 0: never yet
    atomic_uint_fast64_t told[KEYRING_TOLD]; // hashes of what was said already
};

// Has the watch tell it. Zeroed memory is a keyring that nobody tells anything.
void keyring_init(struct keyring *keyring);

// Whether something, by its hash, has not been said yet; it has, from then on. Where very much is
// said, some of it is said again.
static inline bool keyring_tells(struct keyring *keyring, uint64_t hash) {
    return atomic_exchange(&keyring->told[hash % KEYRING_TOLD], hash) != hash;
}

// Has every worker look keys up anew, from its next request on.
static inline void keyring_note_change(struct keyring *keyring) {
    atomic_fetch_add(&keyring->changes, 1);
}

static inline uint64_t keyring_changes(struct keyring *keyring) {
    return atomic_load(&keyring->changes);
}

// The moment up to which every change of a key in the database is among keyring_changes(), asked
// after this.
static inline uint64_t keyring_seen(struct keyring *keyring) {
    return atomic_load(&keyring->seen);
}
