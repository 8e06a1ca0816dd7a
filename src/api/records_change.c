#include "api/conditions.h"
#include "api/records.h"
#include "api/records_shared.h"
#include "api/references.h"

// PUT and PATCH: read the record, check what it becomes, and write that under the version that was
// read; when somebody else was quicker, begin again. So what the request demands of the record is
// true of the very version that is written over.

enum change_stage { CHANGE_READ, CHANGE_WRITE, CHANGE_CREATE };

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
    if (!conditions_hold(exchange, &exchange->version))
        return STEP_FAIL;
    struct validation validation = record_validation(exchange);
    if (!validate_replace(&validation, exchange->body, exchange->stored, exchange->values) ||
        !is_right(exchange))
        return record_invalid(exchange);
    return go_to(exchange, CHANGE_WRITE);
}

const struct handler records_replace = {
    .action = ACTION_REPLACE,
    .reads_body = true,
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

static enum step_result settle_update(struct exchange *exchange) {
    if (exchange->stage != CHANGE_READ)
        return settle_written(exchange);
    if (!record_is_done(exchange))
        return STEP_FAIL;
    if (exchange->rows == 0)
        return record_missing(exchange);
    if (!conditions_hold(exchange, &exchange->version))
        return STEP_FAIL;
    json_t *tree = stored_tree(exchange);
    if (!tree)
        return STEP_FAIL;
    exchange->values = record_values(exchange);
    struct validation validation = record_validation(exchange);
    json_decref(exchange->merged);
    exchange->merged = NULL;
    if (exchange->values)
        exchange->merged =
            validate_update(&validation, tree, exchange->body, exchange->stored, exchange->values);
    json_decref(tree);
    if (!exchange->values)
        return exchange_out_of_memory(exchange);
    return exchange->merged && is_right(exchange) ? go_to(exchange, CHANGE_WRITE)
                                                  : record_invalid(exchange);
}

const struct handler records_update = {
    .action = ACTION_UPDATE,
    .reads_body = true,
    .conditions = CONDITIONS_CHANGE,
    .merge_patch = true,
    .prepare = record_read_key,
    .plan = record_plan_change,
    .on_row = record_on_change_row,
    .settle = settle_update,
};
