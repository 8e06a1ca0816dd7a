#include "api/records.h"
#include "api/records_shared.h"

// What happened to one record, by its transitions. It outlives the record; only where there is
// neither a record nor a history of one there is nothing.

static const struct expression *equal(struct exchange *exchange, const char *name,
                                      struct text text) {
    const struct property *property =
        resource_property(exchange->listed->resource, text_from_string(name));
    return text.data ? expression_equal(arena_of(exchange), property, value_text(VALUE_TEXT, text))
                     : NULL;
}

static enum step_result prepare_history(struct exchange *exchange) {
    exchange->listed = catalogue_table(exchange->catalogue, TEXT("trestle_history"));
    enum step_result read = record_read_key(exchange);
    if (read != STEP_NEXT)
        return read;
    struct text record = key_text(arena_of(exchange), exchange->key);
    const struct expression *of_resource = equal(exchange, "resource", resource_of(exchange)->name);
    const struct expression *of_record = equal(exchange, "record", record);
    struct query_scope scope = {.resource = exchange->listed->resource, .name = record};
    if (of_resource && of_record)
        scope.filter = expression_and(arena_of(exchange), of_resource, of_record);
    if (!scope.filter)
        return exchange_out_of_memory(exchange);
    return record_prepare_list(exchange, &scope);
}

// Whether the record is there is asked in the same breath.
static enum step_result plan_history(struct exchange *exchange) {
    enum step_result planned = record_plan_page(exchange);
    if (planned != STEP_NEXT)
        return planned;
    struct call *call = &exchange->calls[exchange->job.call_count++];
    return plan_read(exchange->plan, exchange->key, arena_of(exchange), call)
               ? STEP_NEXT
               : exchange_out_of_memory(exchange);
}

static bool on_history_row(struct exchange *exchange, size_t call, const struct value *cells) {
    return call + 1 == exchange->job.call_count || record_on_page_row(exchange, call, cells);
}

static enum step_result settle_history(struct exchange *exchange) {
    const struct job *job = &exchange->job;
    bool there = job->calls[job->call_count - 1].rows > 0;
    if (job->outcome.kind == OUTCOME_DONE && !there && exchange->rows == 0)
        return record_missing(exchange);
    return record_settle_page(exchange);
}

const struct handler records_history = {
    .action = ACTION_READ,
    .media = RECORD_MEDIA,
    .checks_parameters = true,
    .conditions = CONDITIONS_READ,
    .prepare = prepare_history,
    .plan = plan_history,
    .on_row = on_history_row,
    .settle = settle_history,
};
