#include "api/conditions.h"
#include "api/records.h"
#include "api/records_shared.h"
#include "api/representation.h"

static const char *const parameters[] = {"fields", NULL};

static enum step_result prepare_read(struct exchange *exchange) {
    struct selection *selection = &exchange->query.selection;
    *selection = exchange->plan->selection;
    for (size_t i = 0; i < exchange->parameter_count; i++) {
        if (!query_read_fields(resource_of(exchange), exchange->parameters[i].value,
                               arena_of(exchange), selection, &exchange->failure))
            return STEP_FAIL;
    }
    return record_read_key(exchange);
}

enum step_result record_plan_read(struct exchange *exchange) {
    return record_job(
        exchange, JOB_READ,
        plan_read(exchange->plan, exchange->key, arena_of(exchange), exchange->calls));
}

// Writes those members of the record that `fields` asked for.
static bool write_chosen(struct exchange *exchange, const struct value *cells) {
    const struct selection *chosen = &exchange->query.selection;
    struct value *picked = arena_allocate(arena_of(exchange), chosen->count * sizeof *picked);
    if (!picked)
        return false;
    for (size_t i = 0; i < chosen->shown; i++)
        picked[i] = *record_cell(exchange->plan, cells, chosen->properties[i]);
    encode_record(&exchange->writer, chosen, picked);
    return !exchange->answer.body.failed;
}

static struct etag etag_of(const struct exchange *exchange) {
    bool whole = exchange->parameter_count == 0;
    return representation_etag(exchange, whole ? exchange->plan->shape
                                               : selection_shape(&exchange->query.selection));
}

// Writes nothing where the client has it already.
static bool on_read_row(struct exchange *exchange, size_t call, const struct value *cells) {
    exchange->rows++;
    exchange->version = plan_version(exchange->plan, cells);
    if (conditions_are_there(exchange) &&
        conditions_of_read(exchange, etag_of(exchange)) != CONDITION_HOLDS)
        return true;
    if (exchange->parameter_count > 0)
        return write_chosen(exchange, cells);
    encode_record(&exchange->writer, &exchange->plan->selection, cells);
    return !exchange->answer.body.failed;
}

static enum step_result settle_read(struct exchange *exchange) {
    if (!record_is_done(exchange))
        return STEP_FAIL;
    return exchange->rows ? record_answer(exchange, 200, etag_of(exchange))
                          : record_missing(exchange);
}

const struct handler records_read = {
    .action = ACTION_READ,
    .parameters = parameters,
    .conditions = CONDITIONS_READ,
    .prepare = prepare_read,
    .plan = record_plan_read,
    .on_row = on_read_row,
    .settle = settle_read,
};
