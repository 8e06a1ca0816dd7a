#include "api/records.h"

#include "api/hal.h"
#include "api/negotiate.h"
#include "api/records_shared.h"
#include "api/representation.h"

struct validation record_validation(struct exchange *exchange) {
    return (struct validation){.resource = resource_of(exchange),
                               .arena = arena_of(exchange),
                               .faults = &exchange->faults,
                               .now = exchange->now};
}

struct value *record_values(struct exchange *exchange) {
    return arena_allocate_zero(arena_of(exchange), resource_of(exchange)->property_count,
                               sizeof(struct value));
}

// One call as the whole job.
enum step_result record_job(struct exchange *exchange, enum job_kind kind, bool planned) {
    if (!planned)
        return exchange_out_of_memory(exchange);
    exchange->job.kind = kind;
    exchange->job.call_count = 1;
    if (kind != JOB_WRITE || !exchange->handler->accompany)
        return STEP_NEXT;
    exchange->calls[0].expect = 1;
    return exchange->handler->accompany(exchange) ? STEP_NEXT : exchange_out_of_memory(exchange);
}

enum step_result record_read_again(struct exchange *exchange, unsigned stage) {
    if (exchange->round >= RECORD_MAX_ROUNDS)
        return exchange_fail(exchange, FAILURE_CONTENTION,
                             "others changed the record each time; read it and try again");
    exchange->stage = stage;
    return STEP_REPEAT;
}

enum step_result record_missing(struct exchange *exchange) {
    const struct resource *resource = resource_of(exchange);
    struct text name = resource->key.property->name;
    return exchange_fail(exchange, FAILURE_NOT_FOUND, "%.*s has no record with this %.*s",
                         TEXT_ARGS(resource->name), TEXT_ARGS(name));
}

// The key that the path names. What can be no key at all is a mistake (400); a string or a digest
// that no record has is just not there.
enum step_result record_read_key(struct exchange *exchange) {
    const struct key *key = &resource_of(exchange)->key;
    bool valid = validate_parameter(key->property, exchange->path_key, arena_of(exchange),
                                    &exchange->key, &exchange->failure);
    if (valid && key->kind == KEY_INTEGER && exchange->key.integer < 1)
        valid = failure_set(&exchange->failure, FAILURE_INVALID_KEY, "%.*s must be 1 or more",
                            TEXT_ARGS(key->property->name));
    if (valid)
        return STEP_NEXT;
    if (exchange->failure.code == FAILURE_OUT_OF_MEMORY)
        return STEP_FAIL;
    if (key->kind == KEY_SHA256 || key->kind == KEY_PROPERTY)
        return record_missing(exchange);
    exchange->failure.code = FAILURE_INVALID_KEY;
    return STEP_FAIL;
}

enum step_result record_invalid(struct exchange *exchange) {
    if (exchange->faults.out_of_memory)
        return exchange_out_of_memory(exchange);
    size_t count = exchange->faults.count;
    return exchange_fail(exchange, FAILURE_INVALID_BODY, "the body has %zu fault%s; see errors",
                         count, count == 1 ? "" : "s");
}

// Whether "table.column, table.column" names just this group's columns.
static bool is_group(const struct resource *resource, const struct column_group *group,
                     struct text constraint) {
    struct text rest = constraint;
    for (size_t i = 0; i < group->property_count; i++) {
        struct text part = {"", 0};
        text_split(&rest, ',', &part);
        part = text_trim(part);
        struct text name = group->properties[i]->name;
        if (part.size != resource->table.size + 1 + name.size ||
            !text_starts_with(part, resource->table) ||
            !text_equal(text_from(part, resource->table.size + 1), name))
            return false;
    }
    return rest.data == NULL;
}

static void note_taken(struct exchange *exchange, const struct column_group *group) {
    struct text place = record_place(exchange, exchange->outcome.call);
    for (size_t i = 0; i < group->property_count; i++) {
        struct text name = group->properties[i]->name;
        struct text pointer =
            arena_format(arena_of(exchange), "%.*s/%.*s", TEXT_ARGS(place), TEXT_ARGS(name));
        faults_add(&exchange->faults, pointer,
                   group->property_count == 1
                       ? "is taken by another record"
                       : "is taken by another record, together with the others");
    }
}

static enum step_result conflict(struct exchange *exchange) {
    const struct resource *resource = resource_of(exchange);
    struct text constraint = text_from_string(exchange->outcome.constraint);
    struct property *key = resource->key.property;
    const struct column_group key_group = {.properties = &key, .property_count = 1};
    const struct column_group *group =
        is_group(resource, &key_group, constraint) ? &key_group : NULL;
    for (size_t i = 0; i < resource->unique_count && !group; i++) {
        if (is_group(resource, &resource->unique[i], constraint))
            group = &resource->unique[i];
    }
    if (group)
        note_taken(exchange, group);
    return exchange_fail(
        exchange, FAILURE_CONFLICT,
        "another record of %.*s has the same %s; a record must differ from all others in this",
        TEXT_ARGS(resource->name), group && group->property_count > 1 ? "values" : "value");
}

// Whether the store did what it was asked; a failure is set otherwise.
bool record_is_done(struct exchange *exchange) {
    const struct outcome *outcome = &exchange->outcome;
    if (outcome->kind == OUTCOME_CONFLICT && outcome->conflict == CONFLICT_UNIQUE)
        return conflict(exchange), false;
    // Nothing goes with what was not there to be changed; the handler sees that there are no rows.
    if (outcome->kind == OUTCOME_UNEXPECTED && exchange->handler->accompany)
        return true;
    return outcome_failure(outcome, &exchange->failure);
}

// Whether something in the answer is for those alone who may read it, or do what it links to.
static bool is_keyed(const struct exchange *exchange) {
    const struct query *query = &exchange->query;
    const struct resource *resource = resource_of(exchange);
    bool keyed = resource->read_access != ACCESS_PUBLIC ||
                 (exchange->media == MEDIA_HAL && hal_is_keyed(resource));
    for (size_t i = 0; i < query->seen_count; i++)
        keyed = keyed || query->seen[i]->read_access != ACCESS_PUBLIC;
    return keyed;
}

// What caches may do: what is found by its digest never changes, but what is embedded in it may,
// and which of its transitions are open.
static struct text cache_control(const struct exchange *exchange) {
    const struct resource *resource = resource_of(exchange);
    if (is_keyed(exchange))
        return TEXT("private, no-cache");
    bool immutable = resource->key.kind == KEY_SHA256 && exchange->handler == &records_read &&
                     resource_is_immutable(resource) && exchange->query.expansions.count == 0 &&
                     !(exchange->media == MEDIA_HAL && resource->transition_count);
    return immutable ? TEXT("public, max-age=31536000, immutable") : TEXT("no-cache");
}

bool record_tag_is_hashed(const struct exchange *exchange) {
    return exchange->media == MEDIA_HAL || exchange->query.expansions.count > 0;
}

enum step_result record_answer(struct exchange *exchange, unsigned status, struct etag etag) {
    exchange->answer.status = status;
    exchange->representation = (struct representation){
        .type = negotiate_media_type(exchange->media),
        .cache_control = cache_control(exchange),
        .keyed = is_keyed(exchange),
        .etag = etag,
        .hashed = etag.kind == ETAG_LIST || record_tag_is_hashed(exchange),
    };
    return STEP_NEXT;
}

enum step_result record_answer_whole(struct exchange *exchange, unsigned status) {
    return record_answer(exchange, status, representation_etag(exchange, exchange->plan->shape));
}

enum step_result record_answer_created(struct exchange *exchange, unsigned status) {
    struct buffer *fields = &exchange->answer.fields;
    buffer_append_string(fields, "Location: /");
    buffer_append_text(fields, resource_of(exchange)->name);
    buffer_append_byte(fields, '/');
    encode_key(fields, resource_of(exchange)->key.property, exchange->key);
    buffer_append_string(fields, "\r\n");
    return record_answer_whole(exchange, status);
}

// The cell of a property in the order of the plan's selection; the property must be in it.
const struct value *record_cell(const struct plan *plan, const struct value *cells,
                                const struct property *property) {
    size_t i = 0;
    while (plan->selection.properties[i] != property)
        i++;
    return &cells[i];
}

bool record_write(struct exchange *exchange, const struct record_row *row) {
    if (exchange->media == MEDIA_HAL)
        return hal_write_record(exchange, row);
    encode_expanded(&exchange->writer, row->shown, row->shown_cells, &exchange->query.expansions,
                    row->cells + row->selection->count);
    return !exchange->answer.body.failed;
}

bool record_write_row(struct exchange *exchange, size_t call, const struct value *cells) {
    exchange->rows++;
    exchange->version = plan_version(exchange->plan, cells);
    const struct selection *all = &exchange->plan->selection;
    return record_write(exchange, &(const struct record_row){all, cells, all, cells});
}
