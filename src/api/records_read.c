#include "api/records.h"
#include "api/records_shared.h"

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

static bool on_read_row(struct exchange *exchange, size_t call, const struct value *cells) {
    if (exchange->parameter_count == 0)
        return record_write_row(exchange, call, cells);
    exchange->rows++;
    return write_chosen(exchange, cells);
}

static enum step_result settle_read(struct exchange *exchange) {
    if (!record_is_done(exchange))
        return STEP_FAIL;
    return exchange->rows ? record_answer(exchange, 200) : record_missing(exchange);
}

const struct handler records_read = {
    .action = ACTION_READ,
    .parameters = parameters,
    .prepare = prepare_read,
    .plan = record_plan_read,
    .on_row = on_read_row,
    .settle = settle_read,
};
