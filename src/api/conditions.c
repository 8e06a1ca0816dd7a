#include "api/conditions.h"

static bool is_any(struct text list) {
    return text_is(list, "*");
}

static bool read_field(struct exchange *exchange, const char *name, struct text *ret_value) {
    if (!http_field_joined(exchange->request, name, ret_value))
        return exchange_out_of_memory(exchange), false;
    if (!ret_value->data || etag_list_is_valid(*ret_value))
        return true;
    exchange_fail(exchange, FAILURE_INVALID_FIELD,
                  "%s is * or a list of ETags in their quotes, such as \"7.mKQz0aBc\"", name);
    return false;
}

// A PUT that must create says as much as one that must replace a version.
static bool says_which(const struct exchange *exchange) {
    const struct conditions *conditions = &exchange->conditions;
    return conditions->if_match.data ||
           (exchange->request->method == HTTP_METHOD_PUT && is_any(conditions->if_none_match));
}

// A list is always there, and which tag it would have is not known while something is added to it.
static enum step_result check_list(struct exchange *exchange) {
    const struct conditions *conditions = &exchange->conditions;
    if (conditions->if_none_match.data ||
        (conditions->if_match.data && !is_any(conditions->if_match)))
        return exchange_fail(exchange, FAILURE_PRECONDITION_FAILED,
                             "conditions go with a single record; what is added to a list is under "
                             "none but If-Match: *");
    return STEP_NEXT;
}

// A record's tag is about its version and not about what is counted in it, so that nobody's
// If-Match fails because something went on counting. But then it does not say that a
// representation is still the same: there is no 304.
static bool says_too_little(const struct exchange *exchange) {
    return exchange->handler->action == ACTION_READ && !exchange->listed && exchange->plan &&
           exchange->plan->resource->counts;
}

enum step_result conditions_read(struct exchange *exchange) {
    enum conditions_use use = exchange->handler->conditions;
    struct conditions *conditions = &exchange->conditions;
    if (use == CONDITIONS_IGNORED || says_too_little(exchange))
        return STEP_NEXT;
    if (!read_field(exchange, "If-Match", &conditions->if_match) ||
        !read_field(exchange, "If-None-Match", &conditions->if_none_match))
        return STEP_FAIL;
    if (use == CONDITIONS_LIST)
        return check_list(exchange);
    if (use == CONDITIONS_CHANGE && exchange->plan->resource->requires_match &&
        !says_which(exchange))
        return exchange_fail(exchange, FAILURE_PRECONDITION_REQUIRED,
                             "say which version you mean to change: GET the record and send its "
                             "ETag as If-Match");
    return STEP_NEXT;
}

static bool is_listed_coded(const struct exchange *exchange, struct etag etag, struct text list,
                            bool strongly) {
    etag.coded = true;
    return exchange->coding != CODING_IDENTITY && etag_is_listed(etag, list, strongly);
}

// Whether a representation will be coded is not known before it is written. To whoever takes it
// coded, what they have is as good either way.
static bool is_listed(const struct exchange *exchange, struct etag etag, struct text list,
                      bool strongly) {
    return etag_is_listed(etag, list, strongly) || is_listed_coded(exchange, etag, list, strongly);
}

bool conditions_know_coded(const struct exchange *exchange, struct etag etag) {
    struct text list = exchange->conditions.if_none_match;
    return !is_any(list) && is_listed_coded(exchange, etag, list, false);
}

enum condition conditions_of_read(const struct exchange *exchange, struct etag etag) {
    const struct conditions *conditions = &exchange->conditions;
    if (conditions->if_match.data && !is_listed(exchange, etag, conditions->if_match, true))
        return CONDITION_FAILED;
    if (conditions->if_none_match.data &&
        is_listed(exchange, etag, conditions->if_none_match, false))
        return CONDITION_NOT_MODIFIED;
    return CONDITION_HOLDS;
}

bool conditions_hold(struct exchange *exchange, const int64_t *version) {
    const struct conditions *conditions = &exchange->conditions;
    struct text match = conditions->if_match;
    struct text none_match = conditions->if_none_match;
    if (match.data && !(version && etag_version_is_listed(*version, match, true)))
        return exchange_fail(exchange, FAILURE_PRECONDITION_FAILED,
                             version ? "the record is not the one that If-Match names: it was "
                                       "changed; read it again"
                                     : "there is no record, and If-Match wants one"),
               false;
    if (none_match.data && version && etag_version_is_listed(*version, none_match, false))
        return exchange_fail(exchange, FAILURE_PRECONDITION_FAILED,
                             "the record is there already, and If-None-Match does not want it"),
               false;
    return true;
}
