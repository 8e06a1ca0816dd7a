#include "api/conditions.h"
#include "api/records.h"
#include "api/records_shared.h"
#include "api/references.h"
#include "resource/transition.h"

// A DELETE that demands nothing but that there be a record is one statement. Any other one reads
// the record's version first, deletes that, and begins again when somebody else was quicker; and so
// does one of a record that is not there, or that an operation holds.

enum delete_stage { DELETE_ANY, DELETE_READ, DELETE_VERSION };

static bool is_conditional(const struct exchange *exchange) {
    const struct conditions *conditions = &exchange->conditions;
    return conditions->if_none_match.data ||
           (conditions->if_match.data && !text_is(conditions->if_match, "*"));
}

static bool on_delete_row(struct exchange *exchange, size_t call, const struct value *cells) {
    exchange->rows++;
    exchange->version = plan_version(exchange->plan, cells);
    if (!resource_of(exchange)->operation)
        return true;
    exchange->stored = record_values(exchange);
    return exchange->stored && plan_values(exchange->plan, cells, arena_of(exchange),
                                           exchange->stored, &exchange->version);
}

static enum step_result plan_delete(struct exchange *exchange) {
    const struct plan *plan = exchange->plan;
    struct arena *arena = arena_of(exchange);
    struct call *call = exchange->calls;
    if (exchange->stage == DELETE_ANY && is_conditional(exchange))
        exchange->stage = DELETE_READ;
    if (exchange->stage == DELETE_READ)
        return record_plan_read(exchange);
    bool of_a_version = exchange->stage == DELETE_VERSION && resource_of(exchange)->versioned;
    return record_job(exchange, JOB_WRITE,
                      of_a_version
                          ? plan_remove_version(plan, exchange->key, exchange->version, arena, call)
                          : plan_remove(plan, exchange->key, arena, call));
}

static enum step_result settle_read(struct exchange *exchange) {
    if (exchange->rows == 0)
        return record_missing(exchange);
    if (!transition_is_free(resource_of(exchange), exchange->stored, &exchange->failure) ||
        !conditions_hold(exchange, &exchange->version))
        return STEP_FAIL;
    exchange->stage = DELETE_VERSION;
    return STEP_REPEAT;
}

static enum step_result settle_delete(struct exchange *exchange) {
    if (!record_is_done(exchange))
        return reference_explain(exchange);
    if (exchange->stage == DELETE_READ)
        return settle_read(exchange);
    exchange->answer.status = 204;
    if (exchange->calls[0].rows > 0)
        return STEP_NEXT;
    bool may_be_held = resource_of(exchange)->operation;
    return exchange->stage == DELETE_ANY && !may_be_held ? record_missing(exchange)
                                                         : record_read_again(exchange, DELETE_READ);
}

const struct handler records_delete = {
    .action = ACTION_DELETE,
    .media = RECORD_MEDIA,
    .returns = RETURNS_NOTHING,
    .conditions = CONDITIONS_CHANGE,
    .prepare = record_read_key,
    .plan = plan_delete,
    .on_row = on_delete_row,
    .settle = settle_delete,
};
