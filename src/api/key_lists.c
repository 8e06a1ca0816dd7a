// What is kept about one key: what was done to it, and how often it was used. Both outlive it; only
// where there is neither a key nor anything of the kind there is nothing.

#include "api/key_change.h"
#include "api/keys.h"
#include "api/records.h"
#include "api/records_shared.h"

static enum step_result prepare(struct exchange *exchange, struct text table) {
    exchange->listed = catalogue_table(exchange->catalogue, table);
    enum step_result read = record_read_key(exchange);
    if (read != STEP_NEXT)
        return read;
    const struct resource *resource = exchange->listed->resource;
    const struct property *key = resource_property(resource, TEXT("key_id"));
    const struct query_scope scope = {
        .resource = resource,
        .filter = expression_equal(arena_of(exchange), key, exchange->key),
        .name = exchange->key.text,
    };
    return scope.filter ? record_prepare_list(exchange, &scope) : exchange_out_of_memory(exchange);
}

static enum step_result prepare_history(struct exchange *exchange) {
    return prepare(exchange, key_history_table);
}

static enum step_result prepare_usage(struct exchange *exchange) {
    return prepare(exchange, key_usage_table);
}

static enum step_result plan(struct exchange *exchange) {
    return records_history.plan(exchange);
}

static bool on_row(struct exchange *exchange, size_t call, const struct value *cells) {
    return records_history.on_row(exchange, call, cells);
}

static enum step_result settle(struct exchange *exchange) {
    return records_history.settle(exchange);
}

const struct handler keys_history = {
    .action = ACTION_READ,
    .media = RECORD_MEDIA,
    .checks_parameters = true,
    .conditions = CONDITIONS_READ,
    .prepare = prepare_history,
    .plan = plan,
    .on_row = on_row,
    .settle = settle,
};

const struct handler keys_usage = {
    .action = ACTION_READ,
    .media = RECORD_MEDIA,
    .checks_parameters = true,
    .conditions = CONDITIONS_READ,
    .prepare = prepare_usage,
    .plan = plan,
    .on_row = on_row,
    .settle = settle,
};
