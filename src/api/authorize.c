#include "api/authorize.h"

#include "api/scope.h"
#include "base/timestamp.h"

// What somebody wants, in the words of scopes.
struct want {
    struct text resource;
    struct text verb; // "read", "write", "run", a transition
    enum access access;
};

static struct want want_action(const struct resource *resource, enum action action) {
    return (struct want){resource->name, scope_verb(action), resource_access(resource, action)};
}

static struct want want_transition(const struct resource *resource,
                                   const struct transition *transition) {
    return (struct want){resource->name, transition->name, transition->access};
}

static struct want want_verb(const struct exchange *exchange, struct text name, struct text verb) {
    const struct plan *plan = catalogue_plan(exchange->catalogue, name);
    struct want want = {name, verb, ACCESS_KEY};
    const struct transition *transition = plan ? resource_transition(plan->resource, verb) : NULL;
    if (plan && text_is(verb, "read"))
        want.access = plan->resource->read_access;
    else if (transition)
        want.access = transition->access;
    return want;
}

static struct want want_of(const struct exchange *exchange) {
    const struct resource *resource = exchange->plan->resource;
    if (exchange->unseen)
        return want_action(exchange->unseen, ACTION_READ);
    if (exchange->wanted_verb.data)
        return want_verb(exchange, exchange->wanted_resource, exchange->wanted_verb);
    return exchange->transition ? want_transition(resource, exchange->transition)
                                : want_action(resource, exchange->handler->action);
}

static bool starts_publicly(const struct resource *resource) {
    for (size_t i = 0; i < resource->transition_count; i++) {
        if (resource->transitions[i].work && resource->transitions[i].access == ACCESS_PUBLIC)
            return true;
    }
    return false;
}

// Whether there are operations that anybody may read, or cancel.
static bool any_is_public(const struct catalogue *catalogue) {
    for (size_t i = 0; i < catalogue->resource_count; i++) {
        const struct resource *resource = catalogue->resources[i];
        if (resource->operation &&
            (resource->read_access == ACCESS_PUBLIC || starts_publicly(resource)))
            return true;
    }
    return false;
}

static bool may(const struct exchange *exchange, struct want want) {
    const struct identity *identity = &exchange->identity;
    if (want.access == ACCESS_PUBLIC || identity->kind == IDENTITY_ADMIN)
        return true;
    if (want.access == ACCESS_EACH) // each record is looked at when it is there
        return identity->kind == IDENTITY_KEY || any_is_public(exchange->catalogue);
    if (identity->kind != IDENTITY_KEY)
        return false;
    return identity->key->admin ||
           (want.access == ACCESS_KEY && api_key_allows(identity->key, want.resource, want.verb));
}

bool authorize_may_verb(const struct exchange *exchange, struct text resource, struct text verb) {
    return may(exchange, want_verb(exchange, resource, verb));
}

bool authorize_may(const struct exchange *exchange, const struct resource *resource,
                   enum action action) {
    return may(exchange, want_action(resource, action));
}

bool authorize_may_move(const struct exchange *exchange, const struct resource *resource,
                        const struct transition *transition) {
    return may(exchange, want_transition(resource, transition));
}

bool authorize_may_this(const struct exchange *exchange, const struct handler *handler) {
    if (handler->action == ACTIONS)
        return !handler->each || may(exchange, (struct want){.access = ACCESS_EACH});
    if (handler->action == ACTION_TRANSITION)
        return authorize_may_move(exchange, exchange->plan->resource, exchange->transition);
    return authorize_may(exchange, exchange->plan->resource, handler->action);
}

bool authorize_is_admin(const struct exchange *exchange) {
    const struct identity *identity = &exchange->identity;
    return identity->kind == IDENTITY_ADMIN || (identity->key && identity->key->admin);
}

// ---- Refusals

static void format_instant(int64_t ms, char out[TIMESTAMP_SIZE + 1]) {
    timestamp_format(ms, out);
    out[TIMESTAMP_SIZE] = '\0';
}

static enum step_result refuse_expired(struct exchange *exchange) {
    const struct api_key *key = exchange->identity.key;
    char when[TIMESTAMP_SIZE + 1];
    format_instant(key->ends_at, when);
    if (key->replaced)
        return exchange_fail(exchange, FAILURE_KEY_EXPIRED,
                             "this secret was replaced by another one, and was good until %s",
                             when);
    return exchange_fail(exchange, FAILURE_KEY_EXPIRED, "this API key expired at %s", when);
}

static enum step_result refuse_unchecked(struct exchange *exchange) {
    struct failure *failure = &exchange->failure;
    if (exchange->identity.state == KEY_UNASKED)
        return exchange_fail(exchange, FAILURE_QUEUE_FULL,
                             "too many requests wait for the database; try again");
    outcome_failure(&exchange->job.outcome, failure);
    return STEP_FAIL;
}

// Nobody whose key is none gets in. What is said about a key is said to somebody who has it.
static enum step_result refuse_nobody(struct exchange *exchange) {
    switch (exchange->identity.state) {
    case KEY_MALFORMED:
        return exchange_fail(exchange, FAILURE_KEY_INVALID,
                             "this is no API key of ours: a character is wrong, missing or added");
    case KEY_UNKNOWN:
        return exchange_fail(exchange, FAILURE_KEY_INVALID, "this API key is not known here");
    case KEY_INACTIVE:
        return exchange_fail(exchange, FAILURE_KEY_INACTIVE, "this API key was deactivated");
    case KEY_EXPIRED: return refuse_expired(exchange);
    case KEY_UNCHECKED:
    case KEY_UNASKED: return refuse_unchecked(exchange);
    default:
        return exchange_fail(
            exchange, FAILURE_KEY_REQUIRED,
            "send an API key as \"Authorization: Bearer KEY\", \"X-API-Key: KEY\", "
            "\"api-key: KEY\" or ?api-key=KEY");
    }
}

// The scope that would have let the request through: "packages:write".
static void append_missing_scope(const struct exchange *exchange, struct buffer *out) {
    struct want want = want_of(exchange);
    if (want.access == ACCESS_ADMIN) {
        buffer_append_text(out, scope_admin);
        return;
    }
    buffer_append_text(out, want.resource);
    buffer_append_byte(out, ':');
    buffer_append_text(out, want.verb);
}

static enum step_result refuse_forbidden(struct exchange *exchange) {
    struct buffer scope = {0};
    append_missing_scope(exchange, &scope);
    if (scope.failed)
        exchange_out_of_memory(exchange);
    else
        exchange_fail(exchange, FAILURE_FORBIDDEN, "this API key lacks the scope %.*s",
                      TEXT_ARGS(buffer_text(&scope)));
    buffer_free(&scope);
    return STEP_FAIL;
}

static enum step_result refuse(struct exchange *exchange) {
    return exchange->identity.kind == IDENTITY_NOBODY ? refuse_nobody(exchange)
                                                      : refuse_forbidden(exchange);
}

enum step_result authorize(struct exchange *exchange) {
    return authorize_may_this(exchange, exchange->handler) ? STEP_NEXT : refuse(exchange);
}

enum step_result authorize_seen(struct exchange *exchange) {
    const struct query *query = &exchange->query;
    for (size_t i = 0; i < query->seen_count; i++) {
        if (authorize_may(exchange, query->seen[i], ACTION_READ))
            continue;
        exchange->unseen = query->seen[i];
        return refuse(exchange);
    }
    return STEP_NEXT;
}

enum step_result authorize_verb(struct exchange *exchange, struct text resource, struct text verb) {
    exchange->wanted_resource = resource;
    exchange->wanted_verb = verb;
    return authorize_may_verb(exchange, resource, verb) ? STEP_NEXT : refuse(exchange);
}

enum step_result authorize_somebody(struct exchange *exchange) {
    return exchange->identity.kind == IDENTITY_NOBODY ? refuse_nobody(exchange) : STEP_NEXT;
}

void authorize_challenge(const struct exchange *exchange, struct http_answer *answer) {
    enum failure_code code = exchange->failure.code;
    struct buffer *fields = &answer->fields;
    if (failure_status(code) != 401 && code != FAILURE_FORBIDDEN)
        return;
    buffer_append_string(fields, "WWW-Authenticate: Bearer realm=\"trestle\"");
    if (code == FAILURE_FORBIDDEN) {
        buffer_append_string(fields, ", error=\"insufficient_scope\", scope=\"");
        append_missing_scope(exchange, fields);
        buffer_append_byte(fields, '"');
    } else if (code != FAILURE_KEY_REQUIRED) {
        buffer_append_string(fields, ", error=\"invalid_token\"");
    }
    buffer_append_string(fields, "\r\n");
}
