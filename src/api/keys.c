#include "api/keys.h"

#include "api/key_change.h"
#include "api/records.h"
#include "api/records_shared.h"
#include "base/clock.h"

// ---- What all of them do

// A record of a key with the secret that it has now.
static bool write_with_secret(struct exchange *exchange, const struct value *cells) {
    struct json_writer *writer = &exchange->writer;
    const struct selection *selection = &exchange->plan->selection;
    exchange->rows++;
    exchange->version = plan_version(exchange->plan, cells);
    json_write_object_begin(writer);
    for (size_t i = 0; i < selection->shown; i++) {
        json_write_prepared_name(writer, selection->properties[i]->prepared_name);
        encode_value(writer, selection->properties[i], cells[i]);
    }
    json_write_name(writer, TEXT("secret"));
    json_write_string(writer, exchange->secret);
    json_write_object_end(writer);
    return !exchange->answer.body.failed;
}

static bool make_secret(struct exchange *exchange) {
    char *secret = arena_allocate(arena_of(exchange), SECRET_SIZE);
    if (!secret ||
        !key_make_secret(resource_of(exchange), exchange->values, arena_of(exchange), secret))
        return false;
    exchange->secret = text_from_string(secret);
    return true;
}

// Whoever asks for a key is told what it is, and nobody else who comes by.
static enum step_result answer_secret(struct exchange *exchange, enum step_result result) {
    http_answer_field(&exchange->answer, "Cache-Control", TEXT("no-store"));
    exchange->representation.etag = (struct etag){.kind = ETAG_NONE};
    return result;
}

// This worker need not wait until what it remembers is old.
static void forget_keys(struct exchange *exchange) {
    key_cache_empty(&exchange->service->key_cache, clock_monotonic());
}

// ---- Create

static bool set_maker(struct exchange *exchange) {
    char *room = arena_allocate(arena_of(exchange), IDENTITY_NAME_SIZE);
    if (!room)
        return false;
    struct text name = identity_name(&exchange->identity, room);
    key_set(resource_of(exchange), exchange->values, "created_by", value_text(VALUE_TEXT, name));
    return true;
}

static enum step_result validate_key(struct exchange *exchange) {
    const struct resource *keys = resource_of(exchange);
    struct validation validation = record_validation(exchange);
    exchange->values = record_values(exchange);
    if (!exchange->values || !key_complete_body(exchange->body, exchange->now))
        return exchange_out_of_memory(exchange);
    validate_create(&validation, exchange->body, NULL, exchange->values);
    key_check_scopes(exchange->catalogue, keys, exchange->values, NULL, &exchange->faults);
    key_check_end(keys, exchange->values, exchange->now, &exchange->faults);
    if (!faults_none(&exchange->faults))
        return record_invalid(exchange);
    return make_secret(exchange) && set_maker(exchange) ? STEP_NEXT
                                                        : exchange_out_of_memory(exchange);
}

static bool on_new_key(struct exchange *exchange, size_t call, const struct value *cells) {
    const struct value *key =
        record_cell(exchange->plan, cells, resource_of(exchange)->key.property);
    return write_with_secret(exchange, cells) &&
           value_copy(arena_of(exchange), *key, &exchange->key);
}

static enum step_result settle_new_key(struct exchange *exchange) {
    if (!record_is_done(exchange))
        return STEP_FAIL;
    return answer_secret(exchange, record_answer_created(exchange, 201));
}

const struct handler keys_create = {
    .action = ACTION_CREATE,
    .reads_body = true,
    .answers_secret = true,
    .conditions = CONDITIONS_LIST,
    .validate = validate_key,
    .plan = record_plan_create,
    .on_row = on_new_key,
    .settle = settle_new_key,
};

// ---- Update

static enum step_result validate_patch(struct exchange *exchange) {
    return key_complete_patch(exchange->body) ? STEP_NEXT : exchange_out_of_memory(exchange);
}

static bool inspect_key(struct exchange *exchange) {
    key_check_scopes(exchange->catalogue, resource_of(exchange), exchange->values, exchange->stored,
                     &exchange->faults);
    return faults_none(&exchange->faults);
}

static enum step_result settle_update(struct exchange *exchange) {
    return records_update.settle(exchange);
}

const struct handler keys_update = {
    .action = ACTION_UPDATE,
    .reads_body = true,
    .body_types = 1U << BODY_MERGE_PATCH | 1U << BODY_JSON_PATCH,
    .conditions = CONDITIONS_CHANGE,
    .prepare = record_read_key,
    .validate = validate_patch,
    .plan = record_plan_change,
    .on_row = record_on_change_row,
    .inspect = inspect_key,
    .on_written = forget_keys,
    .settle = settle_update,
};

// ---- Delete

static enum step_result plan_delete(struct exchange *exchange) {
    return records_delete.plan(exchange);
}

static bool on_delete_row(struct exchange *exchange, size_t call, const struct value *cells) {
    return records_delete.on_row(exchange, call, cells);
}

static enum step_result settle_delete(struct exchange *exchange) {
    return records_delete.settle(exchange);
}

const struct handler keys_delete = {
    .action = ACTION_DELETE,
    .conditions = CONDITIONS_CHANGE,
    .prepare = record_read_key,
    .plan = plan_delete,
    .on_row = on_delete_row,
    .on_written = forget_keys,
    .settle = settle_delete,
};
