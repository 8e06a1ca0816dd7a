// A table finds a pointer by a text, ignoring nothing: a hash table with open addressing. It owns
// its slots but neither keys nor values; keys must outlive it.
#pragma once

#include "base/text.h"

struct table_slot {
    struct text key; // data NULL: free
    void *value;
};

struct table {
    struct table_slot *slots;
    size_t capacity; // a power of two, or 0
    size_t count;
};

// Zeroed memory is a valid empty table.
void table_init(struct table *table);
void table_free(struct table *table);

// Puts a value under a key, replacing the one that was there; false when there is no memory.
bool table_put(struct table *table, struct text key, void *value);

// The value, or NULL.
void *table_get(const struct table *table, struct text key);

// A hash that an outsider cannot steer is not what this is: it is FNV-1a, for keys of our own.
uint64_t text_hash(struct text key);

// A hash of many bytes, quickly. Who does not know the seed cannot make up bytes that have the hash
// of others; it is no digest, since who does know it can.
uint64_t bytes_hash(struct text bytes, uint64_t seed);

// A hash that also depends on something more.
static inline uint64_t hash_mix(uint64_t hash, uint64_t more) {
    hash = (hash ^ more) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}
