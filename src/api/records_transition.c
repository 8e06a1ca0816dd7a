#include "api/conditions.h"
#include "api/operations.h"
#include "api/records.h"
#include "api/records_shared.h"
#include "api/references.h"
#include "resource/format.h"
#include "resource/schema.h"
#include "resource/transition.h"
#include "resource/transition_plan.h"

// A transition is one job that does nothing unless the record is there and its guard holds. Only
// when nothing was done is the record read, to say why; where it shows no reason, somebody was
// quicker, and it is tried again. A request that demands something of the record begins with
// reading it, and then moves that very version.
// A long one moves nothing yet: it makes an operation, which holds the record until somebody has
// done what is to be done.

enum transition_stage { TRANSITION_MOVE, TRANSITION_LOOK };

static const struct transition_plan *plan_of(const struct exchange *exchange) {
    const struct resource *resource = resource_of(exchange);
    return &exchange->plan->transitions[exchange->transition - resource->transitions];
}

static enum step_result validate_nothing(struct exchange *exchange) {
    const char *name;
    json_t *member;
    if (!exchange->body)
        return STEP_NEXT;
    if (!json_is_object(exchange->body))
        faults_add(&exchange->faults, TEXT(""), "must be an empty object, or no body at all");
    json_object_foreach(exchange->body, name, member) {
        struct json_path path = {.name = text_from_string(name)};
        schema_fault(&exchange->faults, &path, "is not known: a transition takes no members");
    }
    return faults_none(&exchange->faults) ? STEP_NEXT : record_invalid(exchange);
}

static bool is_long(const struct exchange *exchange) {
    return exchange->transition->work;
}

static const struct operation_plan *operations(const struct exchange *exchange) {
    return &exchange->catalogue->operations;
}

static bool make_operation(struct exchange *exchange) {
    char *id = arena_allocate(arena_of(exchange), FORMAT_UUID_SIZE);
    if (!id || !format_make_uuid(exchange->now, id))
        return false;
    exchange->operation = value_text(VALUE_UUID, text_of(id, FORMAT_UUID_SIZE));
    return true;
}

static bool plan_operation(struct exchange *exchange, const struct movement *movement) {
    struct operation operation = {.id = exchange->operation,
                                  .resource = resource_of(exchange)->name,
                                  .record = key_text(arena_of(exchange), exchange->key),
                                  .transition = exchange->transition->name,
                                  .requested_by = movement->by,
                                  .request_id = movement->request_id};
    struct call *call = &exchange->calls[exchange->job.call_count++];
    if (!operation.record.data ||
        !operation_plan_start(operations(exchange), &operation, arena_of(exchange), call))
        return false;
    call->expect = 1;
    return true;
}

static enum step_result plan_transition(struct exchange *exchange) {
    bool conditional = conditions_are_there(exchange);
    char *name = arena_allocate(arena_of(exchange), IDENTITY_NAME_SIZE);
    if (!name || !exchange_make_room(exchange, TRANSITION_MAX_CALLS) ||
        (is_long(exchange) && value_is_null(exchange->operation) && !make_operation(exchange)))
        return exchange_out_of_memory(exchange);
    const struct movement movement = {.key = exchange->key,
                                      .has_version = conditional,
                                      .version = exchange->version,
                                      .now = exchange->now,
                                      .by = identity_name(&exchange->identity, name),
                                      .request_id = exchange->request_id,
                                      .operation = exchange->operation};
    if (conditional && exchange->round == 0)
        exchange->stage = TRANSITION_LOOK;
    if (exchange->stage == TRANSITION_LOOK)
        return record_plan_read(exchange);
    exchange->job.kind = JOB_WRITE;
    bool planned = transition_plan_calls(plan_of(exchange), &movement, arena_of(exchange),
                                         exchange->calls, &exchange->job.call_count) &&
                   (!is_long(exchange) || plan_operation(exchange, &movement));
    return planned ? STEP_NEXT : exchange_out_of_memory(exchange);
}

// A record that was moved: it must fit the definition, or the job is undone; and so it is where an
// operation is under way for another one that was to move with it.
static bool check_moved(struct exchange *exchange, const struct effect *effect, bool is_other,
                        const struct value *cells) {
    struct validation validation = record_validation(exchange);
    struct value *values = record_values(exchange);
    int64_t version;
    exchange->faults.count = 0; // those of a try that was undone
    exchange->failure.code = FAILURE_NONE;
    return values && plan_values(exchange->plan, cells, arena_of(exchange), values, &version) &&
           (!is_other ||
            transition_is_free(exchange->plan->resource, values, &exchange->failure)) &&
           transition_check(&validation, effect, values);
}

static bool write_operation(struct exchange *exchange, const struct value *cells) {
    const struct plan *table = operations(exchange)->table;
    exchange->rows++;
    encode_record(&exchange->writer, &table->selection, cells);
    return !exchange->answer.body.failed;
}

static bool on_transition_row(struct exchange *exchange, size_t call, const struct value *cells) {
    if (exchange->stage == TRANSITION_LOOK) {
        exchange->rows++;
        exchange->stored = record_values(exchange);
        return exchange->stored && plan_values(exchange->plan, cells, arena_of(exchange),
                                               exchange->stored, &exchange->version);
    }
    bool moved = exchange->calls[call].statement == &plan_of(exchange)->move.statement;
    const struct transition *transition = exchange->transition;
    if (is_long(exchange))
        return moved || write_operation(exchange, cells);
    return check_moved(exchange, moved ? &transition->effect : &transition->others, !moved,
                       cells) &&
           (!moved || record_write_row(exchange, call, cells));
}

// What the record would become does not fit the definition.
static enum step_result refuse_result(struct exchange *exchange) {
    if (exchange->faults.out_of_memory)
        return exchange_out_of_memory(exchange);
    return exchange_fail(exchange, FAILURE_TRANSITION_CLOSED,
                         "%.*s would make of it what a record cannot be; see errors",
                         TEXT_ARGS(exchange->transition->name));
}

// A kept answer is the one that the start gave, so nobody waits who may ask for it again.
static bool may_wait(const struct exchange *exchange) {
    return !exchange->idempotency && waiters_can(&exchange->service->waiters) &&
           prefers(&exchange->preferences, PREFER_WAIT);
}

static enum step_result answer_started(struct exchange *exchange) {
    runner_wake(exchange->service->options->runner);
    if (may_wait(exchange))
        return operations_await(exchange, exchange->operation, exchange->preferences.wait);
    if (exchange->preferences.asked & 1U << PREFER_ASYNC)
        exchange->preferences.applied |= 1U << PREFER_ASYNC;
    struct buffer *fields = &exchange->answer.fields;
    buffer_append_string(fields, "Location: /operations/");
    buffer_append_text(fields, exchange->operation.text);
    buffer_append_string(fields, "\r\n");
    exchange->media = MEDIA_JSON; // an operation has no other
    return record_answer(exchange, 202, (struct etag){.kind = ETAG_NONE});
}

static enum step_result settle_move(struct exchange *exchange) {
    const struct outcome *outcome = &exchange->outcome;
    if (outcome->kind == OUTCOME_UNEXPECTED ||
        (outcome->kind == OUTCOME_DONE && exchange->rows == 0))
        return record_read_again(exchange, TRANSITION_LOOK);
    if (outcome->kind == OUTCOME_FAILED && exchange->failure.code == FAILURE_OPERATION_RUNNING)
        return STEP_FAIL;
    if (outcome->kind == OUTCOME_FAILED && !faults_none(&exchange->faults))
        return refuse_result(exchange);
    if (outcome->kind == OUTCOME_OVERFLOW)
        return exchange_fail(exchange, FAILURE_OVERFLOW,
                             "%.*s would take a number of the record out of its range",
                             TEXT_ARGS(exchange->transition->name));
    if (!record_is_done(exchange))
        return reference_explain(exchange);
    return is_long(exchange) ? answer_started(exchange) : record_answer_whole(exchange, 200);
}

static enum step_result settle_look(struct exchange *exchange) {
    if (!record_is_done(exchange))
        return STEP_FAIL;
    if (exchange->rows == 0)
        return record_missing(exchange);
    if (!transition_is_free(resource_of(exchange), exchange->stored, &exchange->failure) ||
        !conditions_hold(exchange, &exchange->version) ||
        !transition_is_open(resource_of(exchange), exchange->transition, exchange->stored,
                            exchange->now, arena_of(exchange), &exchange->failure))
        return STEP_FAIL;
    exchange->stage = TRANSITION_MOVE;
    return STEP_REPEAT;
}

static enum step_result settle_transition(struct exchange *exchange) {
    return exchange->stage == TRANSITION_MOVE ? settle_move(exchange) : settle_look(exchange);
}

static const char *const members[] = {NULL};

const struct handler records_transition = {
    .members = members,
    .action = ACTION_TRANSITION,
    .media = RECORD_MEDIA,
    .returns = RETURNS_NOTHING | RETURNS_ALL,
    .reads_body = true,
    .body_may_lack = true,
    .conditions = CONDITIONS_CHANGE,
    .prepare = record_read_key,
    .validate = validate_nothing,
    .plan = plan_transition,
    .on_row = on_transition_row,
    .settle = settle_transition,
};
