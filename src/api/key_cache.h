// A worker's memory of the API keys that it looked up, so that a request costs one digest and no
// question to the database. It is bounded, also against those who try one key after the other. What
// it remembers counts as long as the watch (api/keyring.h) sees that no key has changed; when the
// watch cannot look, for KEY_TRUST: a key that was deactivated, by whatever process, is refused
// everywhere within a second.
#pragma once

#include "api/api_key.h"
#include "api/keyring.h"
#include "base/digest.h"

// Milliseconds from the moment a look-up began, or from that up to which the watch has seen that
// nothing changed; and from the moment a look-up began in any case, for what somebody changes in
// the table by hand, without telling (docs/KEYS.md).
enum { KEY_TRUST = 800, KEY_TRUST_MOST = 30000 };

// A digest belongs to one set; only the slots of that are looked at.
enum { KEY_CACHE_SETS = 1024, KEY_CACHE_WAYS = 4 };

struct key_slot {
    unsigned char digest[DIGEST_SIZE];
    struct api_key *key; // a reference; NULL: there was no such key
    uint64_t asked_at;   // clock_monotonic() when its look-up began; 0: the slot is free
    uint64_t used_at;    // by the cache's count of uses
};

struct key_cache {
    struct key_slot *slots;
    uint64_t seed; // so that nobody can tell which digests share a set
    uint64_t uses;
    struct keyring *keyring; // lent
    uint64_t changes;        // the keyring's, of which all that is remembered is
    uint64_t seen;           // the keyring's, when it was asked last
    uint64_t emptied_at;     // what was asked before that is not taken
};

bool key_cache_open(struct key_cache *cache, struct keyring *keyring, struct failure *failure);
void key_cache_close(struct key_cache *cache); // takes zeroed memory

// Whether the cache knows about a digest at the moment `now`; `ret_key` gets the key, without a
// reference, or NULL where there is none of that digest.
bool key_cache_find(struct key_cache *cache, const unsigned char digest[DIGEST_SIZE], uint64_t now,
                    struct api_key **ret_key);

// Remembers what a look-up found that began at `asked_at`; `key` may be NULL. Takes a reference.
// What may have changed since it began is not remembered.
void key_cache_put(struct key_cache *cache, const unsigned char digest[DIGEST_SIZE],
                   struct api_key *key, uint64_t asked_at, uint64_t now);
