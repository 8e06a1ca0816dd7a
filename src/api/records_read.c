#include "api/authorize.h"
#include "api/conditions.h"
#include "api/records.h"
#include "api/records_shared.h"
#include "api/representation.h"
#include "resource/list_plan.h"

static const char *const parameters[] = {"fields", "expand", NULL};

static enum step_result prepare_read(struct exchange *exchange) {
    if (!query_read_record(resource_of(exchange), exchange->parameters, exchange->parameter_count,
                           arena_of(exchange), &exchange->faults, &exchange->query,
                           &exchange->failure))
        return STEP_FAIL;
    enum step_result may = authorize_seen(exchange);
    return may == STEP_NEXT ? record_read_key(exchange) : may;
}

enum step_result record_plan_read(struct exchange *exchange) {
    return record_job(
        exchange, JOB_READ,
        plan_read(exchange->plan, exchange->key, arena_of(exchange), exchange->calls));
}

static enum step_result plan_expanded_read(struct exchange *exchange) {
    const struct expansions *expansions = &exchange->query.expansions;
    if (expansions->count == 0)
        return record_plan_read(exchange);
    return record_job(exchange, JOB_READ,
                      plan_read_expanded(exchange->plan, exchange->key, expansions,
                                         arena_of(exchange), exchange->calls));
}

// Writes those members of the record that were asked for, and what is embedded in it.
static bool write_chosen(struct exchange *exchange, const struct value *cells) {
    const struct selection *chosen = &exchange->query.selection;
    struct value *picked = arena_allocate(arena_of(exchange), chosen->count * sizeof *picked);
    if (!picked)
        return false;
    for (size_t i = 0; i < chosen->shown; i++)
        picked[i] = *record_cell(exchange->plan, cells, chosen->properties[i]);
    return record_write(
        exchange, &(const struct record_row){&exchange->plan->selection, cells, chosen, picked});
}

static struct etag etag_of(const struct exchange *exchange) {
    bool whole = exchange->parameter_count == 0;
    return representation_etag(exchange, whole ? exchange->plan->shape
                                               : selection_shape(&exchange->query.selection));
}

// Whether the client has it already, as far as that can be told before it is written.
static bool is_known(struct exchange *exchange) {
    return !record_tag_is_hashed(exchange) && conditions_are_there(exchange) &&
           conditions_of_read(exchange, etag_of(exchange)) != CONDITION_HOLDS;
}

static bool on_read_row(struct exchange *exchange, size_t call, const struct value *cells) {
    exchange->rows++;
    exchange->version = plan_version(exchange->plan, cells);
    if (is_known(exchange))
        return true;
    if (exchange->parameter_count > 0)
        return write_chosen(exchange, cells);
    const struct selection *all = &exchange->plan->selection;
    return record_write(exchange, &(const struct record_row){all, cells, all, cells});
}

static enum step_result settle_read(struct exchange *exchange) {
    if (!record_is_done(exchange))
        return STEP_FAIL;
    return exchange->rows ? record_answer(exchange, 200, etag_of(exchange))
                          : record_missing(exchange);
}

const struct handler records_read = {
    .action = ACTION_READ,
    .media = RECORD_MEDIA,
    .parameters = parameters,
    .conditions = CONDITIONS_READ,
    .prepare = prepare_read,
    .plan = plan_expanded_read,
    .on_row = on_read_row,
    .settle = settle_read,
};
