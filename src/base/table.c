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
