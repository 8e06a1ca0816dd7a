#include "api/rate_limits.h"

#include "api/secrets.h"
#include "base/clock.h"

#define NANOSECONDS UINT64_C(1000000000)

static bool open_limit(struct rate_limits *limits, struct text name, const struct rate *rate,
                       struct rate_limit *limit, struct failure *failure) {
    return rate_limit_make(&limits->arena, name, rate, limit) || failure_out_of_memory(failure);
}

bool rate_limits_open(struct rate_limits *limits, const struct rate_limit_rates *rates,
                      struct log *log, struct failure *failure) {
    *limits = (struct rate_limits){.arena = {0}};
    if (open_limit(limits, TEXT("key"), &rates->key, &limits->key, failure) &&
        open_limit(limits, TEXT("address"), &rates->address, &limits->address, failure) &&
        open_limit(limits, TEXT("failures"), &rates->failures, &limits->failures, failure) &&
        rate_table_open(&limits->table, failure) && attempts_open(&limits->attempts, log, failure))
        return true;
    rate_limits_close(limits);
    return false;
}

void rate_limits_close(struct rate_limits *limits) {
    attempts_close(&limits->attempts);
    rate_table_close(&limits->table);
    arena_free(&limits->arena);
}

// ---- Counting

// Rounded up, so that who waits as long has waited long enough.
static uint64_t seconds_of(uint64_t nanoseconds) {
    return (nanoseconds + NANOSECONDS - 1) / NANOSECONDS;
}

static bool refuse(const struct counted *counted, struct failure *failure) {
    const struct rate_limit *limit = counted->limit;
    return failure_set(failure, FAILURE_RATE_LIMITED,
                       "the limit \"%.*s\" (%u at once, all of them again after %u s) is used up; "
                       "try again in %llu s",
                       TEXT_ARGS(limit->name), limit->rate.burst, limit->rate.window,
                       (unsigned long long)seconds_of(counted->state.wait));
}

static bool count_under(struct exchange *exchange, const struct rate_limit *limit, struct text who,
                        uint64_t now) {
    struct rate_limits *limits = exchange->service->options->rate_limits;
    if (!rate_is_limit(&limit->rate))
        return true;
    struct counted *counted = &exchange->counted[exchange->counted_count++];
    counted->limit = limit;
    return rate_table_take(&limits->table, limit, who, 1, now, &counted->state) ||
           refuse(counted, &exchange->failure);
}

static struct text caller_of(const struct exchange *exchange) {
    const struct identity *identity = &exchange->identity;
    return identity->kind == IDENTITY_KEY ? text_of(identity->key_id, sizeof identity->key_id)
                                          : address_party(&exchange->client);
}

// What the resource's definition declares for what is to be done; NULL where there is no resource.
static const struct rate_limit *declared_for(const struct exchange *exchange) {
    const struct handler *handler = exchange->handler;
    if (handler->action == ACTIONS)
        return NULL;
    if (exchange->transition)
        return &exchange->transition->rate_limit;
    const struct resource *resource = exchange->plan->resource;
    return action_reads(handler->action) ? &resource->read_limit : &resource->write_limit;
}

// ---- Keys that are not good

// Why not; NULL where there is nothing to say against it.
static const char *fault_of(enum key_state state) {
    switch (state) {
    case KEY_MALFORMED: return "is no key of ours";
    case KEY_UNKNOWN: return "is not known";
    case KEY_INACTIVE: return "was deactivated";
    case KEY_EXPIRED: return "has expired";
    default: return NULL;
    }
}

// Also on public routes, which would otherwise tell good keys from others as often as one asks.
static bool count_failure(struct exchange *exchange, const char *fault, uint64_t now) {
    struct rate_limits *limits = exchange->service->options->rate_limits;
    struct attempt attempt = {.address = exchange->client,
                              .request_id = exchange->request_id,
                              .prefix = secret_prefix(exchange->api_key),
                              .reason = fault};
    attempts_note(&limits->attempts, &attempt, now / 1000000);
    return count_under(exchange, &limits->failures, address_party(&exchange->client), now);
}

// ---- The step

enum step_result rate_limits_count(struct exchange *exchange) {
    struct rate_limits *limits = exchange->service->options->rate_limits;
    const struct identity *identity = &exchange->identity;
    if (!limits || exchange->handler->asks_nobody || identity->kind == IDENTITY_ADMIN)
        return STEP_NEXT;
    const char *fault = fault_of(identity->state);
    const struct rate_limit *general =
        identity->kind == IDENTITY_KEY ? &limits->key : &limits->address;
    const struct rate_limit *declared = declared_for(exchange);
    bool is_declared = declared && rate_is_limit(&declared->rate);
    if (!fault && !is_declared && !rate_is_limit(&general->rate))
        return STEP_NEXT;
    uint64_t now = clock_monotonic_ns();
    bool allowed = (!fault || count_failure(exchange, fault, now)) &&
                   count_under(exchange, general, caller_of(exchange), now) &&
                   (!is_declared || count_under(exchange, declared, caller_of(exchange), now));
    return allowed ? STEP_NEXT : STEP_FAIL;
}

bool rate_limits_count_more(struct exchange *exchange, uint32_t more, struct failure *failure) {
    const struct rate_limit *declared = declared_for(exchange);
    struct counted *counted = NULL;
    for (size_t i = 0; i < exchange->counted_count; i++) {
        if (exchange->counted[i].limit == declared)
            counted = &exchange->counted[i];
    }
    if (!counted || more == 0)
        return true;
    if (more >= declared->rate.burst)
        return failure_set(failure, FAILURE_BODY_TOO_LARGE,
                           "these are %u records, and the limit \"%.*s\" is %u at once", more + 1,
                           TEXT_ARGS(declared->name), declared->rate.burst);
    return rate_table_take(&exchange->service->options->rate_limits->table, declared,
                           caller_of(exchange), more, clock_monotonic_ns(), &counted->state) ||
           refuse(counted, failure);
}

// ---- Fields

static void append_parameter(struct buffer *fields, const char *name, uint64_t value) {
    buffer_append_string(fields, name);
    buffer_append_integer(fields, (int64_t)value);
}

// As draft-ietf-httpapi-ratelimit-headers-11 has them: in the next `t` seconds `r` more are let.
void rate_limits_tell(const struct exchange *exchange, struct http_answer *answer) {
    struct buffer *fields = &answer->fields;
    const struct counted *counted = exchange->counted;
    size_t count = exchange->counted_count;
    if (count == 0)
        return;
    buffer_append_string(fields, "RateLimit-Policy: ");
    for (size_t i = 0; i < count; i++) {
        buffer_append_string(fields, i > 0 ? ", " : "");
        buffer_append_text(fields, counted[i].limit->policy);
    }
    buffer_append_string(fields, "\r\nRateLimit: ");
    for (size_t i = 0; i < count; i++) {
        buffer_append_string(fields, i > 0 ? ", \"" : "\"");
        buffer_append_text(fields, counted[i].limit->name);
        append_parameter(fields, "\";r=", counted[i].state.remaining);
        append_parameter(fields, ";t=", seconds_of(counted[i].state.wait));
    }
    buffer_append_string(fields, "\r\n");
    // The last one is the one that refused.
    if (exchange->failure.code == FAILURE_RATE_LIMITED)
        append_parameter(fields, "Retry-After: ", seconds_of(counted[count - 1].state.wait));
    if (exchange->failure.code == FAILURE_RATE_LIMITED)
        buffer_append_string(fields, "\r\n");
}
