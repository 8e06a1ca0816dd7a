#include "cli/import_order.h"

#include "base/json_writer.h"
#include "base/table.h"
#include "resource/json.h"

#include <stdlib.h>

static bool refers_to_own(const struct resource *resource, size_t property) {
    return resource->properties[property].reference.resource == resource;
}

bool import_may_refer(const struct resource *resource) {
    for (size_t i = 0; i < resource->property_count; i++) {
        if (refers_to_own(resource, i))
            return true;
    }
    return false;
}

// ---- What a record is, and what it refers to

// A hash of a member's value as it was sent, never 0; 0 where it has none.
static uint64_t hash_member(const json_t *body, const struct property *property,
                            struct buffer *scratch) {
    const json_t *value = json_object_getn(body, property->name.data, property->name.size);
    struct json_writer writer = json_writer_on(scratch);
    buffer_clear(scratch);
    if (!value || json_is_null(value))
        return 0;
    json_write_tree(&writer, value);
    uint64_t hash = text_hash(buffer_text(scratch));
    return hash ? hash : 1;
}

bool import_identify_references(const struct resource *resource, struct import_record *record) {
    struct buffer scratch = {0};
    size_t count = 0;
    for (size_t i = 0; i < resource->property_count; i++)
        count += refers_to_own(resource, i);
    if (count == 0)
        return true;
    record->references = calloc(count, sizeof *record->references);
    if (!record->references)
        return false;
    record->key = hash_member(record->body, resource->key.property, &scratch);
    for (size_t i = 0; i < resource->property_count; i++) {
        if (refers_to_own(resource, i))
            record->references[record->reference_count++] =
                hash_member(record->body, &resource->properties[i], &scratch);
    }
    bool ok = !scratch.failed;
    buffer_free(&scratch);
    return ok;
}

bool import_refers(const struct import_record *record, const struct import_record *other) {
    for (size_t i = 0; i < record->reference_count; i++) {
        if (record->references[i] && record->references[i] == other->key)
            return true;
    }
    return false;
}

// ---- Order

static int compare_keys(const void *left, const void *right) {
    uint64_t a = (*(struct import_record *const *)left)->key;
    uint64_t b = (*(struct import_record *const *)right)->key;
    return (a > b) - (a < b);
}

// Records by the hashes of their keys, while they are put in order.
struct ordering {
    struct import_record **by_key;
    size_t count;
    struct import_record *first;
    struct import_record **last;
};

// The next of those that a record refers to which nobody looked at yet, or NULL.
static struct import_record *next_referred(const struct ordering *ordering,
                                           const struct import_record *record) {
    for (size_t i = 0; i < record->reference_count; i++) {
        const struct import_record wanted = {.key = record->references[i]};
        const struct import_record *key = &wanted;
        struct import_record **found = bsearch(&key, ordering->by_key, ordering->count,
                                               sizeof(struct import_record *), compare_keys);
        if (wanted.key && found && !(*found)->ordered)
            return *found;
    }
    return NULL;
}

// Appends a record, behind all that it refers to. `previous` links those that wait for others.
static void append(struct ordering *ordering, struct import_record *record) {
    record->ordered = true;
    record->previous = NULL;
    while (record) {
        struct import_record *referred = next_referred(ordering, record);
        if (referred) {
            referred->ordered = true;
            referred->previous = record;
            record = referred;
            continue;
        }
        struct import_record *waiting = record->previous;
        *ordering->last = record;
        ordering->last = &record->next;
        record = waiting;
    }
}

struct import_record *import_in_order(struct import_record *list, size_t count) {
    struct import_record **all = calloc(count, sizeof(struct import_record *));
    struct import_record **by_key = calloc(count, sizeof(struct import_record *));
    struct ordering ordering = {.by_key = by_key, .count = count};
    ordering.last = &ordering.first;
    if (all && by_key) {
        for (size_t i = 0; i < count; i++, list = list->next) {
            all[i] = by_key[i] = list;
            list->ordered = false;
        }
        qsort(by_key, count, sizeof(struct import_record *), compare_keys);
        for (size_t i = 0; i < count; i++) {
            if (!all[i]->ordered)
                append(&ordering, all[i]);
        }
        *ordering.last = NULL;
        list = ordering.first;
    }
    free(all);
    free(by_key);
    return list;
}
