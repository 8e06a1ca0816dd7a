// What stands between a write and the database where a reference does: which one it is. The
// database says no more than that there is one (and not every database that), so it is asked.

#include "api/references.h"

#include "api/records_shared.h"

// How often a removal is tried that is refused though nobody refers to the record.
enum { REMOVE_ROUNDS = 4 };

// Whoever stood in the way may be gone when it is looked for: then the write is tried again.
static enum step_result try_again(struct exchange *exchange, unsigned rounds,
                                  enum failure_code code, const char *otherwise) {
    if (exchange->round >= rounds)
        return exchange_fail(exchange, code, "%s", otherwise);
    exchange->failure.code = FAILURE_NONE;
    exchange->handler = exchange->refused;
    return STEP_REPEAT;
}

// ---- A record that refers to what is not there ----

static enum step_result plan_missing_ones(struct exchange *exchange) {
    return record_job(
        exchange, JOB_READ,
        plan_missing(exchange->plan, exchange->values, arena_of(exchange), exchange->calls));
}

// A record that is created may well refer to itself, which is not there yet.
static bool is_itself(const struct exchange *exchange, const struct property *property) {
    const struct resource *resource = resource_of(exchange);
    const struct property *key = resource->key.property;
    struct value own = exchange->values[key->index];
    struct value value = exchange->values[property->index];
    if (property->reference.resource != resource || value_is_null(own) || own.kind != value.kind)
        return false;
    return own.kind == VALUE_INTEGER ? own.integer == value.integer
                                     : text_equal(own.text, value.text);
}

static void note_missing(struct exchange *exchange, const struct property *property) {
    const struct resource *target = property->reference.resource;
    struct text place = record_place(exchange, exchange->refused_call);
    struct text pointer =
        arena_format(arena_of(exchange), "%.*s/%.*s", TEXT_ARGS(place), TEXT_ARGS(property->name));
    faults_add(&exchange->faults, pointer, "is the %.*s of no record of %.*s",
               TEXT_ARGS(target->key.property->name), TEXT_ARGS(target->name));
}

static bool on_missing_row(struct exchange *exchange, size_t call, const struct value *cells) {
    const struct resource *resource = resource_of(exchange);
    exchange->faults.count = 0; // the row may come again
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        if (!property->reference.resource)
            continue;
        if (cells->boolean && !is_itself(exchange, property))
            note_missing(exchange, property);
        cells++;
    }
    return !exchange->faults.out_of_memory;
}

static enum step_result settle_missing(struct exchange *exchange) {
    if (!record_is_done(exchange))
        return STEP_FAIL;
    if (exchange->faults.count == 0)
        return try_again(exchange, RECORD_MAX_ROUNDS, FAILURE_CONTENTION,
                         "what the record refers to came and went too often");
    return exchange_fail(exchange, FAILURE_REFERENCE_MISSING,
                         "the record refers to what is not there; see errors");
}

static const struct handler explain_missing = {
    .plan = plan_missing_ones,
    .on_row = on_missing_row,
    .settle = settle_missing,
};

// ---- A record that others refer to ----

static enum step_result plan_who_refers(struct exchange *exchange) {
    return record_job(
        exchange, JOB_READ,
        plan_referrers(exchange->plan, exchange->key, arena_of(exchange), exchange->calls));
}

static bool on_referrers_row(struct exchange *exchange, size_t call, const struct value *cells) {
    const struct resource *resource = resource_of(exchange);
    exchange->faults.count = 0;
    for (size_t i = 0; i < resource->referrer_count; i++) {
        const struct referrer *referrer = &resource->referrers[i];
        if (!plan_may_hold(referrer))
            continue;
        struct text name =
            arena_format(arena_of(exchange), "%.*s.%.*s", TEXT_ARGS(referrer->resource->name),
                         TEXT_ARGS(referrer->property->name));
        if (cells++->boolean)
            faults_add(&exchange->faults, name, "refers to this record");
    }
    return !exchange->faults.out_of_memory;
}

static const char held_behind[] =
    "the record cannot go: others would go with it to which records refer that would stay";

static enum step_result settle_referrers(struct exchange *exchange) {
    if (!record_is_done(exchange))
        return STEP_FAIL;
    if (exchange->faults.count == 0)
        return try_again(exchange, REMOVE_ROUNDS, FAILURE_IN_USE, held_behind);
    return exchange_fail(exchange, FAILURE_IN_USE,
                         "other records refer to this one, so it cannot go; see errors");
}

static const struct handler explain_referrers = {
    .plan = plan_who_refers,
    .on_row = on_referrers_row,
    .settle = settle_referrers,
};

// ---- Which of them it is ----

static bool may_be_held(const struct resource *resource) {
    for (size_t i = 0; i < resource->referrer_count; i++) {
        if (plan_may_hold(&resource->referrers[i]))
            return true;
    }
    return false;
}

static bool may_lack(const struct resource *resource) {
    for (size_t i = 0; i < resource->property_count; i++) {
        if (resource->properties[i].reference.resource)
            return true;
    }
    return false;
}

enum step_result reference_explain(struct exchange *exchange) {
    const struct outcome *outcome = &exchange->outcome;
    const struct resource *resource = resource_of(exchange);
    bool removes = exchange->handler->action == ACTION_DELETE;
    if (outcome->kind != OUTCOME_CONFLICT || outcome->conflict != CONFLICT_REFERENCE ||
        (!removes && !may_lack(resource)))
        return STEP_FAIL;
    if (removes && !may_be_held(resource))
        return exchange_fail(exchange, FAILURE_IN_USE, "%s", held_behind);
    if (!removes && !exchange->values) // a transition's effect
        return exchange_fail(exchange, FAILURE_REFERENCE_MISSING,
                             "the record would refer to what is not there");
    exchange->refused = exchange->handler;
    exchange->refused_call = outcome->call;
    exchange->handler = removes ? &explain_referrers : &explain_missing;
    return STEP_REPEAT;
}
