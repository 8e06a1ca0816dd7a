#include "api/authenticate.h"

#include "base/clock.h"
#include "base/table.h"
#include "base/timestamp.h"

// The credentials of "Authorization: Bearer KEY" (RFC 6750 section 2.1), or data NULL.
static struct text bearer_key(struct text authorization) {
    static const struct text scheme = TEXT_INIT("Bearer ");
    if (authorization.size <= scheme.size ||
        !text_equal_ignoring_case(text_of(authorization.data, scheme.size), scheme))
        return (struct text){NULL, 0};
    return text_trim(text_from(authorization, scheme.size));
}

// The key that the request brings, from the first of the places where one may stand.
static struct text presented_key(const struct exchange *exchange) {
    const struct http_request *request = exchange->request;
    struct text key = bearer_key(http_field(request, "Authorization"));
    if (!key.data)
        key = http_field(request, "X-API-Key");
    if (!key.data)
        key = http_field(request, "api-key");
    return key.data ? key : exchange->api_key;
}

// A key that the database has, or NULL; the reference stays the giver's.
static enum step_result settle(struct exchange *exchange, struct api_key *key, int64_t now) {
    struct identity *identity = &exchange->identity;
    if (!key) {
        identity->state = KEY_UNKNOWN;
        return STEP_NEXT;
    }
    identity->key = api_key_retain(key);
    if (!key->active) {
        identity->state = KEY_INACTIVE;
    } else if (now >= key->ends_at) {
        identity->state = KEY_EXPIRED;
    } else {
        identity->state = KEY_GOOD;
        identity->kind = IDENTITY_KEY;
        memcpy(identity->key_id, key->id, sizeof identity->key_id);
    }
    return STEP_NEXT;
}

static enum step_result settle_admin(struct exchange *exchange) {
    exchange->identity.kind = IDENTITY_ADMIN;
    exchange->identity.state = KEY_GOOD;
    return STEP_NEXT;
}

// ---- Looking up

static bool on_row(struct job *job, size_t call, const struct value *cells) {
    struct exchange *exchange = job->owner;
    struct identity *identity = &exchange->identity;
    api_key_release(identity->key);
    identity->key = key_lookup_read(cells, identity->digest, &exchange->failure);
    return identity->key != NULL;
}

static void on_restart(struct job *job) {
    struct exchange *exchange = job->owner;
    identity_release(&exchange->identity);
}

static void on_done(struct job *job, const struct outcome *outcome) {
    struct exchange *exchange = job->owner;
    exchange->job_is_out = false;
    exchange_resume(exchange);
}

static enum step_result look_up(struct exchange *exchange) {
    struct identity *identity = &exchange->identity;
    struct job *job = &exchange->job;
    *job = (struct job){.kind = JOB_READ,
                        .calls = exchange->few_calls,
                        .call_count = 1,
                        .deadline = clock_monotonic() + exchange->service->options->query_timeout,
                        .owner = exchange,
                        .on_row = on_row,
                        .on_restart = on_restart,
                        .on_done = on_done};
    if (!key_lookup_call(&exchange->service->key_lookup, identity->digest,
                         &exchange->request->arena, &exchange->few_calls[0]))
        return exchange_out_of_memory(exchange);
    identity->asked_at = clock_monotonic();
    if (!store_submit(exchange->service->session, job)) {
        identity->state = KEY_UNASKED;
        return STEP_NEXT;
    }
    exchange->job_is_out = true;
    return STEP_WAIT; // and comes back to this step
}

static enum step_result looked_up(struct exchange *exchange) {
    struct identity *identity = &exchange->identity;
    struct api_key *key = identity->key;
    identity->key = NULL;
    if (exchange->job.outcome.kind == OUTCOME_DONE) {
        key_cache_put(&exchange->service->key_cache, identity->digest, key, identity->asked_at,
                      clock_monotonic());
        settle(exchange, key, exchange->now);
    } else {
        identity->state = KEY_UNCHECKED;
        if (exchange->failure.code != FAILURE_NONE)
            log_error(exchange->service->options->log, "request %.*s: %s",
                      TEXT_ARGS(exchange->request_id), exchange->failure.detail);
    }
    api_key_release(key);
    exchange->failure.code = FAILURE_NONE;
    // What comes next may want a body that will not come.
    return exchange->request->gone
               ? exchange_fail(exchange, FAILURE_STOPPING, "the client has gone")
               : STEP_NEXT;
}

// ---- The step

enum step_result authenticate(struct exchange *exchange) {
    struct identity *identity = &exchange->identity;
    struct service *service = exchange->service;
    struct api_key *key;
    if (identity->asked_at)
        return looked_up(exchange);
    struct text presented = exchange->api_key = presented_key(exchange);
    if (!presented.data || exchange->handler->asks_nobody)
        return STEP_NEXT;
    if (!digest_sha256(presented, identity->digest))
        return exchange_out_of_memory(exchange);
    if (digest_equal(identity->digest, service->secrets.admin_digest, DIGEST_SIZE))
        return settle_admin(exchange);
    if (key_cache_find(&service->key_cache, identity->digest, clock_monotonic(), &key))
        return settle(exchange, key, exchange->now);
    if (secret_is_well_formed(presented))
        return look_up(exchange);
    identity->state = KEY_MALFORMED;
    return STEP_NEXT;
}

void authenticate_again(struct exchange *exchange, struct api_key *key, bool is_admin,
                        int64_t now) {
    struct identity *identity = &exchange->identity;
    struct api_key *before = identity->key;
    identity->key = NULL;
    identity->kind = IDENTITY_NOBODY;
    if (is_admin)
        settle_admin(exchange);
    else
        settle(exchange, key, now);
    api_key_release(before);
}

// ---- The end that is near

static void log_end(const struct exchange *exchange, const struct api_key *key, struct text end) {
    const struct service_options *options = exchange->service->options;
    struct text id = text_of(key->id, sizeof key->id);
    uint64_t what = text_hash(id) ^ (uint64_t)key->ends_at ^ key->replaced;
    if (keyring_tells(options->keyring, what))
        log_warning(options->log, "%s %.*s (%.*s...) is in use and expires at %.*s",
                    key->replaced ? "the replaced secret of the API key" : "the API key",
                    TEXT_ARGS(id), TEXT_ARGS(key->prefix), TEXT_ARGS(end));
}

void authenticate_tell_end(const struct exchange *exchange, struct http_answer *answer) {
    const struct identity *identity = &exchange->identity;
    const struct api_key *key = identity->key;
    char end[TIMESTAMP_SIZE];
    if (identity->kind != IDENTITY_KEY ||
        (key->ends_at - exchange->now > exchange->service->options->key_warning && !key->replaced))
        return;
    timestamp_format(key->ends_at, end);
    http_answer_field(answer, "API-Key-Expires", text_of(end, sizeof end));
    log_end(exchange, key, text_of(end, sizeof end));
}
