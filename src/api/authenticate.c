#include "api/authenticate.h"

static bool needs_key(const struct exchange *exchange) {
    enum action action = exchange->handler->action;
    if (exchange->transition)
        return exchange->transition->access != ACCESS_PUBLIC;
    return action != ACTIONS && resource_access(exchange->plan->resource, action) != ACCESS_PUBLIC;
}

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

enum step_result authenticate(struct exchange *exchange) {
    if (!needs_key(exchange))
        return STEP_NEXT;
    struct text key = presented_key(exchange);
    if (!key.data)
        return exchange_fail(
            exchange, FAILURE_KEY_REQUIRED,
            "send an API key as \"Authorization: Bearer KEY\", \"X-API-Key: KEY\", "
            "\"api-key: KEY\" or ?api-key=KEY");
    unsigned char digest[DIGEST_SIZE];
    if (!digest_sha256(key, digest))
        return exchange_out_of_memory(exchange);
    const unsigned char *expected = exchange->service->options->secrets.admin_digest;
    if (!digest_equal(digest, expected, DIGEST_SIZE))
        return exchange_fail(exchange, FAILURE_KEY_INVALID, "this API key is not known here");
    return STEP_NEXT;
}
