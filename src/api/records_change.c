#include "api/conditions.h"
#include "api/records.h"
#include "api/records_shared.h"
#include "api/references.h"
#include "resource/transition.h"

// PUT and PATCH: read the record, check what it becomes, and write that under the version that was
// read; when somebody else was quicker, begin again. So what the request demands of the record is
// true of the very version that is written over. (An operation that begins or ends makes another
// version, so that what was read of it is true as well.)

bool record_on_change_row(struct exchange *exchange, size_t call, const struct value *cells) {
    if (exchange->stage != CHANGE_READ)
        return record_on_new_row(exchange, call, cells);
    exchange->rows++;
    exchange->stored = record_values(exchange);
    return exchange->stored && plan_values(exchange->plan, cells, arena_of(exchange),
                                           exchange->stored, &exchange->version);
}

enum step_result record_plan_change(struct exchange *exchange) {
    if (exchange->stage == CHANGE_READ)
        return record_plan_read(exchange);
    if (exchange->stage == CHANGE_CREATE)
        return record_plan_create(exchange);
    return record_job(exchange, JOB_WRITE,
                      plan_update(exchange->plan, exchange->key, exchange->version,
                                  exchange->values, arena_of(exchange), exchange->calls));
}

static enum step_result go_to(struct exchange *exchange, enum change_stage stage) {
    exchange->stage = stage;
    return STEP_REPEAT;
}

// Whether what the record becomes is right in what its definition does not know of, too.
static bool is_right(struct exchange *exchange) {
    return !exchange->handler->inspect || exchange->handler->inspect(exchange);
}

// After the write, or after the insert of a PUT that creates.
static enum step_result settle_written(struct exchange *exchange) {
    bool creating = exchange->stage == CHANGE_CREATE;
    if (!record_is_done(exchange)) {
        bool same_key = creating && exchange->faults.count == 1 &&
                        exchange->failure.code == FAILURE_CONFLICT &&
                        text_equal(text_from(exchange->faults.items[0].pointer, 1),
                                   resource_of(exchange)->key.property->name);
        if (!same_key)
            return reference_explain(exchange);
        exchange->faults.count = 0; // somebody else created it just now: replace that
        exchange->failure.code = FAILURE_NONE;
        return record_read_again(exchange, CHANGE_READ);
    }
    if (exchange->rows == 0)
        return record_read_again(exchange, CHANGE_READ);
    return creating ? record_answer_created(exchange, 201) : record_answer_whole(exchange, 200);
}

static enum step_result create_under_key(struct exchange *exchange) {
    const struct resource *resource = resource_of(exchange);
    if (resource->key.kind != KEY_PROPERTY || !resource->actions[ACTION_CREATE])
        return record_missing(exchange);
    if (!conditions_hold(exchange, NULL))
        return STEP_FAIL;
    struct validation validation = record_validation(exchange);
    if (!validate_create(&validation, exchange->body, &exchange->key, exchange->values))
        return record_invalid(exchange);
    return go_to(exchange, CHANGE_CREATE);
}

static enum step_result settle_replace(struct exchange *exchange) {
    if (exchange->stage != CHANGE_READ)
        return settle_written(exchange);
    if (!record_is_done(exchange))
        return STEP_FAIL;
    exchange->values = record_values(exchange);
    if (!exchange->values)
        return exchange_out_of_memory(exchange);
    if (exchange->rows == 0)
        return create_under_key(exchange);
    if (!transition_is_free(resource_of(exchange), exchange->stored, &exchange->failure) ||
        !conditions_hold(exchange, &exchange->version))
        return STEP_FAIL;
    struct validation validation = record_validation(exchange);
    if (!validate_replace(&validation, exchange->body, exchange->stored, exchange->values) ||
        !is_right(exchange))
        return record_invalid(exchange);
    return go_to(exchange, CHANGE_WRITE);
}

const struct handler records_replace = {
    .action = ACTION_REPLACE,
    .media = RECORD_MEDIA,
    .returns = RETURNS_NOTHING | RETURNS_ALL,
    .reads_body = true,
    .takes_record = true,
    .conditions = CONDITIONS_CHANGE,
    .prepare = record_read_key,
    .plan = record_plan_change,
    .on_row = record_on_change_row,
    .settle = settle_replace,
};

// The stored record as a JSON tree, with what clients can set and never see.
static json_t *stored_tree(struct exchange *exchange) {
    const struct resource *resource = resource_of(exchange);
    struct buffer json = {0};
    struct json_writer writer = json_writer_on(&json);
    json_write_object_begin(&writer);
    for (size_t i = 0; i < resource->property_count; i++) {
        if (property_is_hidden(&resource->properties[i]))
            continue;
        json_write_prepared_name(&writer, resource->properties[i].prepared_name);
        encode_value(&writer, &resource->properties[i], exchange->stored[i]);
    }
    json_write_object_end(&writer);
    json_t *tree = json.failed ? NULL : json_read(buffer_text(&json), &exchange->failure);
    if (json.failed)
        failure_out_of_memory(&exchange->failure);
    buffer_free(&json);
    return tree;
}

// What the stored record becomes by the body, in exchange->values. Sets the failure otherwise.
static bool patch_record(struct exchange *exchange, const json_t *current) {
    struct validation validation = record_validation(exchange);
    const struct value *stored = exchange->stored;
    size_t most = exchange->service->options->limits.max_body;
    json_decref(exchange->merged);
    exchange->merged =
        exchange->body_type == BODY_JSON_PATCH
            ? validate_operations(&validation, current, exchange->body, most, stored,
                                  exchange->values, &exchange->failure)
            : validate_update(&validation, current, exchange->body, stored, exchange->values);
    bool right = exchange->merged && is_right(exchange);
    if (!right && exchange->failure.code == FAILURE_NONE)
        record_invalid(exchange);
    return right;
}

static enum step_result settle_update(struct exchange *exchange) {
    if (exchange->stage != CHANGE_READ)
        return settle_written(exchange);
    if (!record_is_done(exchange))
        return STEP_FAIL;
    if (exchange->rows == 0)
        return record_missing(exchange);
    if (!transition_is_free(resource_of(exchange), exchange->stored, &exchange->failure) ||
        !conditions_hold(exchange, &exchange->version))
        return STEP_FAIL;
    exchange->values = record_values(exchange);
    if (!exchange->values)
        return exchange_out_of_memory(exchange);
    json_t *current = stored_tree(exchange);
    bool patched = current && patch_record(exchange, current);
    json_decref(current);
    return patched ? go_to(exchange, CHANGE_WRITE) : STEP_FAIL;
}

const struct handler records_update = {
    .action = ACTION_UPDATE,
    .media = RECORD_MEDIA,
    .returns = RETURNS_NOTHING | RETURNS_ALL,
    .reads_body = true,
    .takes_record = true,
    .conditions = CONDITIONS_CHANGE,
    .body_types = 1U << BODY_MERGE_PATCH | 1U << BODY_JSON_PATCH,
    .prepare = record_read_key,
    .plan = record_plan_change,
    .on_row = record_on_change_row,
    .settle = settle_update,
};
