#include "api/cors.h"

#include "http/http.h"
#include "http/syntax.h"

// What browsers let pages read only when it is named. What they always do is not here.
static const struct text exposed = TEXT_INIT(
    "ETag, Location, Link, Allow, Accept-Post, Accept-Patch, Retry-After, WWW-Authenticate, "
    "X-Request-Id, X-Total-Count, Idempotency-Replayed, Preference-Applied, API-Key-Expires, "
    "RateLimit, RateLimit-Policy");

// What pages may send.
static const struct text taken =
    TEXT_INIT("Authorization, X-API-Key, api-key, Accept, Content-Type, If-Match, If-None-Match, "
              "Idempotency-Key, Last-Event-ID, Prefer, X-Request-Id, traceparent, tracestate");

// For how long browsers may know this; none keeps it longer than two hours.
static const struct text max_age = TEXT_INIT("7200");

static bool is_scheme(struct text scheme) {
    for (size_t i = 0; i < scheme.size; i++) {
        char c = scheme.data[i];
        bool letter = c >= 'a' && c <= 'z';
        bool other = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (!letter && !(other && i > 0))
            return false;
    }
    return scheme.size > 0;
}

static bool ends_with(struct text text, struct text end) {
    return text.size > end.size && text_equal(text_from(text, text.size - end.size), end);
}

static bool has_default_port(struct text scheme, struct text authority) {
    return (text_is(scheme, "https") && ends_with(authority, TEXT(":443"))) ||
           (text_is(scheme, "http") && ends_with(authority, TEXT(":80")));
}

// Browsers write no more than this, whatever stands in the address bar.
static bool is_plain(struct text authority) {
    for (size_t i = 0; i < authority.size; i++) {
        char c = authority.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !(c && strchr("-._:[]", c)))
            return false;
    }
    return true;
}

bool cors_is_origin(struct text text) {
    ptrdiff_t end = text_find(text, ':');
    if (end < 0 || !text_starts_with(text_from(text, (size_t)end), TEXT("://")))
        return false;
    struct text scheme = text_of(text.data, (size_t)end);
    struct text authority = text_from(text, (size_t)end + 3);
    return is_scheme(scheme) && syntax_is_authority(authority) && is_plain(authority) &&
           !ends_with(authority, TEXT(":")) && !has_default_port(scheme, authority);
}

static bool lets_in(const struct cors_origins *origins, struct text origin) {
    for (size_t i = 0; i < origins->count; i++) {
        if (text_equal(origins->items[i], origin))
            return true;
    }
    return origins->any;
}

// Where it depends on the origin, caches must know so, also of answers to those who sent none.
void cors_write(const struct cors_origins *origins, const struct http_request *request,
                struct http_answer *answer) {
    if (!origins->any && origins->count == 0)
        return;
    struct text origin = http_field(request, "Origin");
    if (!origins->any)
        http_answer_field(answer, "Vary", TEXT("Origin"));
    if (!lets_in(origins, origin))
        return;
    http_answer_field(answer, "Access-Control-Allow-Origin", origins->any ? TEXT("*") : origin);
    http_answer_field(answer, "Access-Control-Expose-Headers", exposed);
}

bool cors_is_preflight(const struct cors_origins *origins, const struct http_request *request) {
    struct text origin = http_field(request, "Origin");
    return origin.data && lets_in(origins, origin) &&
           http_field(request, "Access-Control-Request-Method").data;
}

void cors_write_preflight(struct http_answer *answer) {
    http_answer_field(answer, "Access-Control-Allow-Headers", taken);
    http_answer_field(answer, "Access-Control-Max-Age", max_age);
}
