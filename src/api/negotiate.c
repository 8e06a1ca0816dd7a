#include "api/negotiate.h"

enum { REQUEST_ID_MAX = 128 };

static bool is_request_id(struct text id) {
    if (id.size == 0 || id.size > REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < id.size; i++) {
        if (id.data[i] <= ' ' || id.data[i] > '~' || id.data[i] == '"' || id.data[i] == '\\')
            return false;
    }
    return true;
}

struct text request_id(struct service *service, const struct http_request *request,
                       char made[REQUEST_ID_SIZE]) {
    struct text brought = http_field(request, "X-Request-Id");
    if (is_request_id(brought))
        return brought;
    uint64_t count = __builtin_bswap64(++service->request_count);
    text_hex_encode(&service->request_seed, 8, made);
    text_hex_encode((const char *)&count + 4, 4, made + 16);
    return text_of(made, REQUEST_ID_SIZE);
}

static bool add_parameter(struct exchange *exchange, struct text part) {
    struct arena *arena = &exchange->request->arena;
    struct text name = {"", 0};
    text_split(&part, '=', &name);
    struct parameter parameter = {.value = TEXT("")};
    if (!http_percent_decode(arena, name, true, &parameter.name) ||
        (part.data && !http_percent_decode(arena, part, true, &parameter.value)))
        return exchange_fail(exchange, FAILURE_INVALID_PARAMETER,
                             "percent-encoding in a query is %%HH, and gives UTF-8 without U+0000"),
               false;
    if (text_is(parameter.name, "api-key")) {
        exchange->api_key = parameter.value;
        return true;
    }
    struct parameter *item =
        arena_grow(arena, &exchange->parameters, exchange->parameter_count, sizeof *item);
    if (!item)
        return exchange_out_of_memory(exchange), false;
    *item = parameter;
    exchange->parameter_count++;
    return true;
}

enum step_result identify_request(struct exchange *exchange) {
    exchange->request_id = request_id(exchange->service, exchange->request, exchange->made_id);
    struct text rest = exchange->request->query;
    struct text part;
    while (text_split(&rest, '&', &part)) {
        if (part.size && !add_parameter(exchange, part))
            return STEP_FAIL;
    }
    return STEP_NEXT;
}

// Whether the parameters of a media range have a weight of 0, which means "not this".
static bool is_refused(struct text parameters) {
    struct text parameter;
    while (text_split(&parameters, ';', &parameter)) {
        parameter = text_trim(parameter);
        if (parameter.size < 3 || (parameter.data[0] | 32) != 'q' || parameter.data[1] != '=')
            continue;
        for (size_t i = 2; i < parameter.size; i++) {
            if (parameter.data[i] != '0' && parameter.data[i] != '.')
                return false;
        }
        return true;
    }
    return false;
}

// The media ranges that take in application/json, from the widest: a narrower one decides.
static const struct text json_ranges[] = {
    TEXT_INIT("*/*"),
    TEXT_INIT("application/*"),
    TEXT_INIT("application/json"),
};

enum step_result negotiate_accept(struct exchange *exchange) {
    struct text rest = http_field(exchange->request, "Accept");
    if (!rest.data || text_trim(rest).size == 0)
        return STEP_NEXT;
    bool accepted = false;
    size_t decided = 0; // the narrowest range that was seen
    struct text range;
    while (text_split(&rest, ',', &range)) {
        struct text type = {"", 0};
        text_split(&range, ';', &type);
        for (size_t i = decided; i < sizeof json_ranges / sizeof json_ranges[0]; i++) {
            if (!text_equal_ignoring_case(text_trim(type), json_ranges[i]))
                continue;
            accepted = !is_refused(range);
            decided = i;
        }
    }
    if (accepted)
        return STEP_NEXT;
    return exchange_fail(exchange, FAILURE_NOT_ACCEPTABLE, "application/json is what there is");
}

static bool is_known(struct text name, const char *const *known) {
    for (; *known; known++) {
        if (text_is(name, *known))
            return true;
    }
    return false;
}

bool negotiate_parameters(struct exchange *exchange, const char *const *known) {
    for (size_t i = 0; i < exchange->parameter_count; i++) {
        struct text name = exchange->parameters[i].name;
        if (is_known(name, known))
            continue;
        faults_add(&exchange->faults, name, "is not a parameter here%s%s",
                   *known ? "; there is " : ", where there are none", *known ? *known : "");
    }
    if (faults_none(&exchange->faults))
        return true;
    exchange_fail(exchange, FAILURE_UNKNOWN_PARAMETER,
                  "the query has parameters that are not known");
    return false;
}

static bool is_charset_utf8(struct text parameters) {
    struct text parameter;
    while (text_split(&parameters, ';', &parameter)) {
        struct text name = {"", 0};
        text_split(&parameter, '=', &name);
        if (!text_equal_ignoring_case(text_trim(name), TEXT("charset")))
            continue;
        struct text value = parameter.data ? text_trim(parameter) : TEXT("");
        if (value.size >= 2 && value.data[0] == '"' && value.data[value.size - 1] == '"')
            value = text_of(value.data + 1, value.size - 2);
        return text_equal_ignoring_case(value, TEXT("utf-8"));
    }
    return true;
}

bool negotiate_content_type(struct exchange *exchange) {
    const struct http_request *request = exchange->request;
    bool merge_patch = exchange->handler->merge_patch;
    struct text coding = http_field(request, "Content-Encoding");
    struct text parameters = http_field(request, "Content-Type");
    struct text type = {"", 0};
    bool fits = !parameters.data; // a body without a type is taken at its word
    text_split(&parameters, ';', &type);
    type = text_trim(type);
    fits = fits || text_equal_ignoring_case(type, TEXT("application/json")) ||
           (merge_patch && text_equal_ignoring_case(type, TEXT("application/merge-patch+json")));
    if (fits && is_charset_utf8(parameters) &&
        (!coding.data || text_equal_ignoring_case(coding, TEXT("identity"))))
        return true;
    exchange_fail(exchange, FAILURE_UNSUPPORTED_MEDIA_TYPE,
                  "send the body as application/json%s, in UTF-8 and without a content coding",
                  merge_patch ? " or application/merge-patch+json" : "");
    return false;
}
