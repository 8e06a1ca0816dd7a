#include "api/key_cache.h"

#include "base/random.h"

#include <stdlib.h>

bool key_cache_open(struct key_cache *cache, struct keyring *keyring, struct failure *failure) {
    *cache = (struct key_cache){.keyring = keyring, .changes = keyring_changes(keyring)};
    if (!random_bytes(&cache->seed, sizeof cache->seed))
        return failure_set(failure, FAILURE_INTERNAL, "the kernel gives no randomness");
    cache->slots = calloc((size_t)KEY_CACHE_SETS * KEY_CACHE_WAYS, sizeof *cache->slots);
    return cache->slots || failure_out_of_memory(failure);
}

static void clear_slot(struct key_slot *slot) {
    api_key_release(slot->key);
    slot->key = NULL;
    slot->asked_at = 0;
}

static void clear_all(struct key_cache *cache) {
    for (size_t i = 0; cache->slots && i < (size_t)KEY_CACHE_SETS * KEY_CACHE_WAYS; i++)
        clear_slot(&cache->slots[i]);
}

void key_cache_close(struct key_cache *cache) {
    clear_all(cache);
    free(cache->slots);
    *cache = (struct key_cache){0};
}

// Forgets everything where keys may have changed, and what is being looked up at this moment, too.
static void keep_up(struct key_cache *cache, uint64_t now) {
    cache->seen = keyring_seen(cache->keyring); // before the changes, which it is about
    uint64_t changes = keyring_changes(cache->keyring);
    if (changes == cache->changes)
        return;
    clear_all(cache);
    cache->changes = changes;
    cache->emptied_at = now;
}

static struct key_slot *set_of(struct key_cache *cache, const unsigned char *digest) {
    uint64_t head;
    memcpy(&head, digest, sizeof head);
    uint64_t mixed = (head ^ cache->seed) * UINT64_C(0x9E3779B97F4A7C15);
    return &cache->slots[(mixed >> 32) % KEY_CACHE_SETS * KEY_CACHE_WAYS];
}

static bool is_fresh(const struct key_cache *cache, const struct key_slot *slot, uint64_t now) {
    uint64_t known_at = cache->seen > slot->asked_at ? cache->seen : slot->asked_at;
    return slot->asked_at && now < known_at + KEY_TRUST && now < slot->asked_at + KEY_TRUST_MOST;
}

bool key_cache_find(struct key_cache *cache, const unsigned char digest[DIGEST_SIZE], uint64_t now,
                    struct api_key **ret_key) {
    struct key_slot *set = set_of(cache, digest);
    keep_up(cache, now);
    for (size_t i = 0; i < KEY_CACHE_WAYS; i++) {
        if (!is_fresh(cache, &set[i], now) || !digest_equal(set[i].digest, digest, DIGEST_SIZE))
            continue;
        set[i].used_at = ++cache->uses;
        *ret_key = set[i].key;
        return true;
    }
    return false;
}

// How little a slot would be missed: one that is free or stale least, then one of a key that does
// not exist, then the one that was used least lately.
static uint64_t worth_of(const struct key_cache *cache, const struct key_slot *slot, uint64_t now) {
    if (!is_fresh(cache, slot, now))
        return 0;
    return slot->key ? 2 + slot->used_at : 1;
}

static struct key_slot *slot_for(struct key_cache *cache, const unsigned char *digest,
                                 uint64_t now) {
    struct key_slot *set = set_of(cache, digest);
    struct key_slot *least = set;
    for (size_t i = 0; i < KEY_CACHE_WAYS; i++) {
        if (set[i].asked_at && digest_equal(set[i].digest, digest, DIGEST_SIZE))
            return &set[i];
        if (worth_of(cache, &set[i], now) < worth_of(cache, least, now))
            least = &set[i];
    }
    return least;
}

void key_cache_put(struct key_cache *cache, const unsigned char digest[DIGEST_SIZE],
                   struct api_key *key, uint64_t asked_at, uint64_t now) {
    keep_up(cache, now);
    struct key_slot *slot = slot_for(cache, digest, now);
    if (asked_at <= cache->emptied_at)
        return;
    bool is_same = slot->asked_at && digest_equal(slot->digest, digest, DIGEST_SIZE);
    if (is_same && slot->asked_at > asked_at)
        return; // a later look-up was quicker
    // Somebody who tries keys drives out none that exist.
    if (!key && !is_same && worth_of(cache, slot, now) > 1)
        return;
    if (key)
        api_key_retain(key);
    clear_slot(slot);
    memcpy(slot->digest, digest, DIGEST_SIZE);
    slot->key = key;
    slot->asked_at = asked_at;
    slot->used_at = ++cache->uses;
}
