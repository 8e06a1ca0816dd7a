#include "base/table.h"

#include <stdlib.h>

void table_init(struct table *table) {
    *table = (struct table){0};
}

void table_free(struct table *table) {
    free(table->slots);
    table_init(table);
}

uint64_t text_hash(struct text key) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

// The upper and the lower half of a product: each bit of it depends on all of both factors.
static uint64_t fold(uint64_t a, uint64_t b) {
    __extension__ const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

// Up to eight bytes as a number; zeros behind them.
static uint64_t take_word(const char *at, size_t size) {
    uint64_t word = 0;
    memcpy(&word, at, size < sizeof word ? size : sizeof word);
    return word;
}

uint64_t bytes_hash(struct text bytes, uint64_t seed) {
    enum { STRIDE = 16, HALF = STRIDE / 2 };
    const uint64_t first = seed ^ UINT64_C(0x9e3779b97f4a7c15);
    const uint64_t second = fold(first, UINT64_C(0xc2b2ae3d27d4eb4f));
    uint64_t hash = first;
    size_t i = 0;
    for (; bytes.size - i >= STRIDE; i += STRIDE)
        hash = fold(take_word(bytes.data + i, HALF) ^ first,
                    take_word(bytes.data + i + HALF, HALF) ^ second ^ hash);
    size_t rest = bytes.size - i;
    if (rest > HALF)
        hash = fold(take_word(bytes.data + i, HALF) ^ first,
                    take_word(bytes.data + i + HALF, rest - HALF) ^ second ^ hash);
    else if (rest > 0)
        hash = fold(take_word(bytes.data + i, rest) ^ first, second ^ hash);
    return fold(hash ^ first, second ^ bytes.size); // zeros at the end are not nothing
}

// The slot that has the key, or the free one where it would go; there is always one.
static struct table_slot *find_slot(struct table_slot *slots, size_t capacity, struct text key) {
    size_t i = text_hash(key) & (capacity - 1);
    while (slots[i].key.data && !text_equal(slots[i].key, key))
        i = (i + 1) & (capacity - 1);
    return &slots[i];
}

static bool grow(struct table *table) {
    size_t capacity = table->capacity ? table->capacity * 2 : 16;
    struct table_slot *slots = calloc(capacity, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->slots[i].key.data)
            *find_slot(slots, capacity, table->slots[i].key) = table->slots[i];
    }
    free(table->slots);
    table->slots = slots;
    table->capacity = capacity;
    return true;
}

bool table_put(struct table *table, struct text key, void *value) {
    if ((table->count + 1) * 4 > table->capacity * 3 && !grow(table))
        return false;
    struct table_slot *slot = find_slot(table->slots, table->capacity, key);
    if (!slot->key.data)
        table->count++;
    *slot = (struct table_slot){key.data ? key : TEXT(""), value};
    return true;
}

void *table_get(const struct table *table, struct text key) {
    if (table->count == 0)
        return NULL;
    return find_slot(table->slots, table->capacity, key)->value;
}
