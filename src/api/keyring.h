// What the workers of a process tell each other about API keys. It outlives them all; any thread
// may use it.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { KEYRING_TOLD = 1024 };

struct keyring {
    atomic_uint_fast64_t changes;            // how often keys may have changed
    atomic_uint_fast64_t told[KEYRING_TOLD]; // hashes of what was said already
};

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
