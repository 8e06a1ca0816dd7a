#include "api/hal.h"
#include "api/rate_limits.h"
#include "api/records.h"
#include "api/records_shared.h"
#include "api/references.h"
#include "base/table.h"

#include <stdlib.h>

// POST of an array: one job creates all of its records, or none.

enum { ALL_MAX = 1000, SHORT_READ = 100 };
enum all_stage { ALL_INSERT, ALL_READ };

// Where a record was written into the answer's body, before that is put in order.
struct place {
    size_t start;
    size_t size; // 0: it was not
};

struct create_all {
    size_t count;
    struct value **values; // of each record
    struct place *places;  // of each record
    size_t *order;         // of each call: the record that it is about
    bool some_new;         // the last job made some that were not there before
    bool any_new;          // those before it did
};

struct text record_place(struct exchange *exchange, size_t call) {
    const struct create_all *all = exchange->all;
    return all && call < all->count ? arena_format(arena_of(exchange), "/%zu", all->order[call])
                                    : TEXT("");
}

// Notes the faults of one record, each at its place in the array.
static void note_faults(struct exchange *exchange, const struct faults *faults, size_t index) {
    exchange->faults.out_of_memory |= faults->out_of_memory;
    for (size_t i = 0; i < faults->count; i++) {
        const struct fault *fault = &faults->items[i];
        struct text pointer =
            arena_format(arena_of(exchange), "/%zu%.*s", index, TEXT_ARGS(fault->pointer));
        faults_add(&exchange->faults, pointer, "%.*s", TEXT_ARGS(fault->detail));
    }
}

static bool validate_one(struct exchange *exchange, size_t index) {
    struct faults faults = {.arena = arena_of(exchange)};
    struct validation validation = record_validation(exchange);
    struct value *values = record_values(exchange);
    validation.faults = &faults;
    exchange->all->values[index] = values;
    if (!values)
        faults.out_of_memory = true;
    else if (validate_create(&validation, json_array_get(exchange->body, index), NULL, values))
        return true;
    note_faults(exchange, &faults, index);
    return false;
}

static struct create_all *make_all(struct arena *arena, size_t count) {
    struct create_all *all = arena_allocate_zero(arena, 1, sizeof *all);
    if (!all)
        return NULL;
    all->count = count;
    all->values = arena_allocate_zero(arena, count, sizeof *all->values);
    all->places = arena_allocate_zero(arena, count, sizeof *all->places);
    all->order = arena_allocate_zero(arena, count, sizeof *all->order);
    return all->values && all->places && all->order ? all : NULL;
}

static enum step_result validate_all(struct exchange *exchange) {
    size_t count = json_array_size(exchange->body);
    if (count == 0 || count > ALL_MAX) {
        faults_add(&exchange->faults, TEXT(""), "must have 1 to %d records", ALL_MAX);
        return record_invalid(exchange);
    }
    if (!rate_limits_count_more(exchange, (uint32_t)count - 1, &exchange->failure))
        return STEP_FAIL;
    exchange->all = make_all(arena_of(exchange), count);
    if (!exchange->all)
        return exchange_out_of_memory(exchange);
    bool fit = true;
    for (size_t i = 0; i < count; i++)
        fit = validate_one(exchange, i) && fit;
    return fit ? STEP_NEXT : record_invalid(exchange);
}

static int compare_records(const void *left, const void *right, void *calls) {
    size_t a = *(const size_t *)left;
    size_t b = *(const size_t *)right;
    const struct call *of_record = calls;
    int order = call_compare(&of_record[a], &of_record[b]);
    return order ? order : a < b ? -1 : 1; // of the same content, the first one is new
}

// ---- Records that refer to each other ----

// Whether records may refer to others of the same array: to such of their own resource whose keys
// are known before they are stored.
static bool may_refer_to_each_other(const struct resource *resource) {
    if (resource->key.kind != KEY_PROPERTY && resource->key.kind != KEY_SHA256)
        return false;
    for (size_t i = 0; i < resource->property_count; i++) {
        if (resource->properties[i].reference.resource == resource)
            return true;
    }
    return false;
}

// The order of an array's records while it is made: each behind those that it refers to.
struct ordering {
    const struct resource *resource;
    struct value **values;
    struct table by_key; // to an item of `records`; they are few, whoever made up the keys
    size_t *records;     // of each record its number, which the table points to
    bool *begun;         // of each record: it has its place, or those that it refers to get theirs
    size_t *order;
    size_t count; // that have their place
};

// Begins with one record and goes to what it refers to, and so on; gives places on the way back.
// What comes round to where it has been is a circle, at which the database will take offence. No
// deeper than there are records.
static void place_record(struct ordering *ordering, size_t record) {
    const struct resource *resource = ordering->resource;
    if (ordering->begun[record])
        return;
    ordering->begun[record] = true;
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct value *value = &ordering->values[record][i];
        if (resource->properties[i].reference.resource != resource || value_is_null(*value))
            continue;
        const size_t *other = table_get(&ordering->by_key, value->text);
        if (other)
            place_record(ordering, *other);
    }
    ordering->order[ordering->count++] = record;
}

static bool find_records(struct ordering *ordering, size_t count) {
    size_t key = ordering->resource->key.property->index;
    for (size_t i = 0; i < count; i++) {
        ordering->records[i] = i;
        if (!table_put(&ordering->by_key, ordering->values[i][key].text, &ordering->records[i]))
            return false;
    }
    return true;
}

// Puts records behind those that they refer to, and leaves the order as it is otherwise.
static bool put_behind_referenced(struct exchange *exchange) {
    const struct create_all *all = exchange->all;
    struct arena *arena = arena_of(exchange);
    struct ordering ordering = {
        .resource = resource_of(exchange),
        .values = all->values,
        .records = arena_allocate_zero(arena, all->count, sizeof(size_t)),
        .begun = arena_allocate_zero(arena, all->count, sizeof(bool)),
        .order = arena_allocate_zero(arena, all->count, sizeof(size_t)),
    };
    bool made =
        ordering.records && ordering.begun && ordering.order && find_records(&ordering, all->count);
    for (size_t i = 0; made && i < all->count; i++)
        place_record(&ordering, all->order[i]);
    if (made)
        memcpy(all->order, ordering.order, all->count * sizeof *all->order);
    table_free(&ordering.by_key);
    return made;
}

// ---- The job ----

// Two arrays that share content must not wait for each other in a circle; where references decide
// on the order they may, and the database sees to it.
static bool plan_inserts(struct exchange *exchange) {
    struct create_all *all = exchange->all;
    struct arena *arena = arena_of(exchange);
    struct call *of_record = arena_allocate_zero(arena, all->count, sizeof *of_record);
    for (size_t i = 0; i < all->count; i++) {
        if (!of_record || !plan_create(exchange->plan, all->values[i], arena, &of_record[i]))
            return false;
        all->order[i] = i;
    }
    qsort_r(all->order, all->count, sizeof *all->order, compare_records, of_record);
    if (may_refer_to_each_other(resource_of(exchange)) && !put_behind_referenced(exchange))
        return false;
    for (size_t i = 0; i < all->count; i++)
        exchange->calls[i] = of_record[all->order[i]];
    return true;
}

static bool plan_reads(struct exchange *exchange) {
    const struct create_all *all = exchange->all;
    size_t key = resource_of(exchange)->key.property->index;
    for (size_t i = 0; i < all->count; i++) {
        if (!plan_read(exchange->plan, all->values[all->order[i]][key], arena_of(exchange),
                       &exchange->calls[i]))
            return false;
    }
    return true;
}

static enum step_result plan_all(struct exchange *exchange) {
    size_t count = exchange->all->count;
    bool inserts = exchange->stage == ALL_INSERT;
    if (!exchange_make_room(exchange, count) ||
        !(inserts ? plan_inserts(exchange) : plan_reads(exchange)))
        return exchange_out_of_memory(exchange);
    exchange->all->any_new = exchange->all->any_new || exchange->all->some_new;
    exchange->job.call_count = count;
    exchange->job.kind = count > SHORT_READ ? JOB_SCAN : JOB_READ;
    if (inserts || exchange->idempotency) // under whose key the answer is kept
        exchange->job.kind = JOB_WRITE;
    return STEP_NEXT;
}

static bool on_row_of_all(struct exchange *exchange, size_t call, const struct value *cells) {
    const struct create_all *all = exchange->all;
    size_t start = exchange->answer.body.size;
    exchange->writer.comma = false;
    if (!record_write_row(exchange, call, cells))
        return false;
    all->places[all->order[call]] = (struct place){start, exchange->answer.body.size - start};
    return true;
}

// Makes the answer's body the array of all records, as they came.
static void put_in_order(struct exchange *exchange) {
    const struct create_all *all = exchange->all;
    struct buffer *body = &exchange->answer.body;
    struct buffer ordered = {0};
    struct json_writer writer = json_writer_on(&ordered);
    buffer_reserve(&ordered, body->size + all->count + 1);
    if (exchange->media == MEDIA_HAL)
        hal_begin_records(&writer, resource_of(exchange)->name);
    else
        json_write_array_begin(&writer);
    for (size_t i = 0; i < all->count && !body->failed; i++)
        json_write_raw(&writer, text_of(body->data + all->places[i].start, all->places[i].size));
    if (exchange->media == MEDIA_HAL) {
        hal_end_records(&writer);
        json_write_object_end(&writer);
    } else {
        json_write_array_end(&writer);
    }
    ordered.failed = ordered.failed || body->failed;
    buffer_free(body);
    *body = ordered;
}

// Content that was there already, or is in the array twice, gave no row: then all are read.
static enum step_result settle_all(struct exchange *exchange) {
    struct create_all *all = exchange->all;
    if (!record_is_done(exchange)) {
        if (exchange->outcome.call < all->count)
            exchange->values = all->values[all->order[exchange->outcome.call]];
        return reference_explain(exchange);
    }
    all->some_new = exchange->stage == ALL_INSERT && exchange->rows > 0;
    if (exchange->rows == all->count) {
        put_in_order(exchange);
        return record_answer(exchange, all->any_new || all->some_new ? 201 : 200,
                             (struct etag){.kind = ETAG_NONE});
    }
    if (exchange->round >= RECORD_MAX_ROUNDS)
        return exchange_fail(exchange, FAILURE_CONTENTION, "records came and went too often");
    exchange->stage = exchange->stage == ALL_INSERT ? ALL_READ : ALL_INSERT;
    return STEP_REPEAT;
}

const struct handler records_create_all = {
    .action = ACTION_CREATE,
    .media = RECORD_MEDIA,
    .returns = RETURNS_NOTHING | RETURNS_ALL,
    .reads_body = true,
    .takes_record = true,
    .conditions = CONDITIONS_LIST,
    .validate = validate_all,
    .plan = plan_all,
    .on_row = on_row_of_all,
    .settle = settle_all,
};
