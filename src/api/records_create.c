#include "api/negotiate.h"
#include "api/records.h"
#include "api/records_shared.h"
#include "api/references.h"

enum create_stage { CREATE_INSERT, CREATE_READ_TWIN };

static enum step_result prepare_new(struct exchange *exchange) {
    if (!negotiate_sends_lines(exchange))
        return STEP_NEXT;
    if (!negotiate_content_type(exchange))
        return STEP_FAIL;
    exchange->handler = &records_create_lines;
    if (http_field(exchange->request, "Idempotency-Key").data)
        return exchange_fail(exchange, FAILURE_INVALID_FIELD,
                             "an Idempotency-Key is for one write, and each line is one");
    return STEP_NEXT;
}

static enum step_result validate_new(struct exchange *exchange) {
    if (json_is_array(exchange->body) && !exchange->whole) {
        exchange->handler = &records_create_all;
        return records_create_all.validate(exchange);
    }
    struct validation validation = record_validation(exchange);
    exchange->values = record_values(exchange);
    if (!exchange->values)
        return exchange_out_of_memory(exchange);
    return validate_create(&validation, exchange->body, NULL, exchange->values)
               ? STEP_NEXT
               : record_invalid(exchange);
}

enum step_result record_plan_create(struct exchange *exchange) {
    return record_job(
        exchange, JOB_WRITE,
        plan_create(exchange->plan, exchange->values, arena_of(exchange), exchange->calls));
}

static enum step_result plan_new(struct exchange *exchange) {
    if (exchange->stage == CREATE_INSERT)
        return record_plan_create(exchange);
    enum step_result result = record_plan_read(exchange);
    if (exchange->idempotency)
        exchange->job.kind = JOB_WRITE; // under whose key the answer is kept
    return result;
}

bool record_on_new_row(struct exchange *exchange, size_t call, const struct value *cells) {
    const struct value *key =
        record_cell(exchange->plan, cells, resource_of(exchange)->key.property);
    return record_write_row(exchange, call, cells) &&
           value_copy(arena_of(exchange), *key, &exchange->key);
}

static enum step_result settle_new(struct exchange *exchange) {
    if (!record_is_done(exchange))
        return reference_explain(exchange);
    if (exchange->rows)
        return record_answer_created(exchange, exchange->stage == CREATE_INSERT ? 201 : 200);
    // No row: content that is there already, or that was deleted between the two looks.
    if (exchange->round >= RECORD_MAX_ROUNDS)
        return exchange_fail(exchange, FAILURE_CONTENTION, "the record came and went too often");
    exchange->key = exchange->values[resource_of(exchange)->key.property->index];
    exchange->stage = exchange->stage == CREATE_INSERT ? CREATE_READ_TWIN : CREATE_INSERT;
    return STEP_REPEAT;
}

const struct handler records_create = {
    .action = ACTION_CREATE,
    .media = RECORD_MEDIA,
    .returns = RETURNS_NOTHING | RETURNS_ALL,
    .reads_body = true,
    .takes_record = true,
    .body_types = 1U << BODY_LINES,
    .conditions = CONDITIONS_LIST,
    .prepare = prepare_new,
    .validate = validate_new,
    .plan = plan_new,
    .on_row = record_on_new_row,
    .settle = settle_new,
};
