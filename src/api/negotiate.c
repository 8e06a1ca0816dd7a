#include "api/negotiate.h"

#include "api/accept.h"
#include "api/encoding.h"

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

static const struct text media_types[MEDIAS] = {
    [MEDIA_JSON] = TEXT_INIT("application/json"),
    [MEDIA_HAL] = TEXT_INIT("application/hal+json"),
    [MEDIA_LINES] = TEXT_INIT("application/x-ndjson"),
    [MEDIA_EVENTS] = TEXT_INIT("text/event-stream"),
};

struct text negotiate_media_type(enum media media) {
    return media_types[media];
}

// What the handler can answer, the first one of our own preference first. Lines that come in are
// answered by lines, and whoever asks for JSON takes these as such.
static unsigned offers(const struct exchange *exchange) {
    const struct handler *handler = exchange->handler;
    unsigned offered = handler->media ? handler->media : 1U << MEDIA_JSON;
    if (negotiate_takes_lines(exchange))
        offered = 1U << MEDIA_JSON | 1U << MEDIA_LINES;
    return offered;
}

static enum step_result refuse_all(struct exchange *exchange, unsigned offered) {
    struct buffer names = {0};
    for (unsigned i = 0; i < MEDIAS; i++) {
        if (!(offered & 1U << i))
            continue;
        buffer_append_string(&names, names.size ? ", " : "");
        buffer_append_text(&names, media_types[i]);
    }
    if (names.failed)
        exchange_out_of_memory(exchange);
    else
        exchange_fail(exchange, FAILURE_NOT_ACCEPTABLE, "%.*s is what there is",
                      TEXT_ARGS(buffer_text(&names)));
    buffer_free(&names);
    return STEP_FAIL;
}

static enum step_result choose_media(struct exchange *exchange) {
    unsigned offered = offers(exchange);
    unsigned best = 0;
    struct text accept;
    exchange->media = (enum media)__builtin_ctz(offered);
    if (!http_field_joined(exchange->request, "Accept", &accept))
        return exchange_out_of_memory(exchange);
    if (text_trim(accept).size == 0)
        return STEP_NEXT;
    for (unsigned i = 0; i < MEDIAS; i++) {
        unsigned weight = offered & 1U << i ? accept_media_weight(accept, media_types[i]) : 0;
        if (weight <= best)
            continue;
        best = weight;
        exchange->media = (enum media)i;
    }
    return best > 0 ? STEP_NEXT : refuse_all(exchange, offered);
}

enum step_result negotiate_accept(struct exchange *exchange) {
    return encoding_negotiate(exchange) ? choose_media(exchange) : STEP_FAIL;
}

static bool is_known(struct text name, const char *const *known) {
    for (; *known; known++) {
        if (text_is(name, *known))
            return true;
    }
    return false;
}

static void note_unknown(struct exchange *exchange, struct text name, const char *const *known) {
    struct buffer list = {0};
    const char *separator = known[0] && known[1] ? "; there are " : "; there is ";
    for (; *known; known++) {
        buffer_append_string(&list, separator);
        buffer_append_string(&list, *known);
        separator = ", ";
    }
    if (list.failed)
        exchange->faults.out_of_memory = true;
    else
        faults_add(&exchange->faults, name, "is not a parameter here%.*s",
                   TEXT_ARGS(list.size ? buffer_text(&list) : TEXT(", where there are none")));
    buffer_free(&list);
}

void negotiate_keep_parameters(struct exchange *exchange,
                               bool (*is_known_there)(const void *context, struct text name),
                               const void *context) {
    size_t kept = 0;
    for (size_t i = 0; i < exchange->parameter_count; i++) {
        if (is_known_there(context, exchange->parameters[i].name))
            exchange->parameters[kept++] = exchange->parameters[i];
    }
    exchange->parameter_count = kept;
}

static bool is_one_of(const void *context, struct text name) {
    return is_known(name, context);
}

bool negotiate_parameters(struct exchange *exchange, const char *const *known) {
    if (prefers(&exchange->preferences, PREFER_LENIENT))
        negotiate_keep_parameters(exchange, is_one_of, known);
    for (size_t i = 0; i < exchange->parameter_count; i++) {
        struct text name = exchange->parameters[i].name;
        if (!is_known(name, known))
            note_unknown(exchange, name, known);
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

static const struct text body_types[BODY_TYPES] = {
    [BODY_JSON] = TEXT_INIT("application/json"),
    [BODY_MERGE_PATCH] = TEXT_INIT("application/merge-patch+json"),
    [BODY_JSON_PATCH] = TEXT_INIT("application/json-patch+json"),
    [BODY_LINES] = TEXT_INIT("application/x-ndjson"),
};

bool negotiate_sends_lines(const struct exchange *exchange) {
    struct text parameters = http_field(exchange->request, "Content-Type");
    struct text type = {"", 0};
    text_split(&parameters, ';', &type);
    return text_equal_ignoring_case(text_trim(type), body_types[BODY_LINES]);
}

bool negotiate_takes_lines(const struct exchange *exchange) {
    const struct handler *handler = exchange->handler;
    return handler->reads_body && (handler->body_types & 1U << BODY_LINES) &&
           negotiate_sends_lines(exchange);
}

static bool takes(const struct handler *handler, unsigned type) {
    return handler->reads_body && (type == BODY_JSON || (handler->body_types & 1U << type));
}

// A body without a type is taken at its word.
static bool find_body_type(const struct handler *handler, struct text content_type,
                           enum body_type *ret_type) {
    struct text name = {"", 0};
    text_split(&content_type, ';', &name);
    name = text_trim(name);
    if (!is_charset_utf8(content_type))
        return false;
    for (unsigned i = 0; i < BODY_TYPES; i++) {
        if (!takes(handler, i) || !text_equal_ignoring_case(name, body_types[i]))
            continue;
        *ret_type = (enum body_type)i;
        return true;
    }
    return false;
}

static bool is_coded(const struct http_request *request) {
    struct text coding = http_field(request, "Content-Encoding");
    return coding.data && !text_equal_ignoring_case(coding, TEXT("identity"));
}

static void list_body_types(const struct handler *handler, struct buffer *out) {
    const char *comma = "";
    for (unsigned i = 0; i < BODY_TYPES; i++) {
        if (!takes(handler, i))
            continue;
        buffer_append_string(out, comma);
        buffer_append_text(out, body_types[i]);
        comma = ", ";
    }
}

bool negotiate_content_type(struct exchange *exchange) {
    struct text content_type = http_field(exchange->request, "Content-Type");
    struct buffer types = {0};
    if (!is_coded(exchange->request) &&
        (!content_type.data ||
         find_body_type(exchange->handler, content_type, &exchange->body_type)))
        return true;
    list_body_types(exchange->handler, &types);
    if (types.failed)
        exchange_out_of_memory(exchange);
    else
        exchange_fail(exchange, FAILURE_UNSUPPORTED_MEDIA_TYPE,
                      "send the body in UTF-8 and without a content coding, as %.*s",
                      TEXT_ARGS(buffer_text(&types)));
    buffer_free(&types);
    return false;
}

void negotiate_write_body_types(const struct handler *handler, const char *field,
                                struct http_answer *answer) {
    buffer_append_string(&answer->fields, field);
    buffer_append_text(&answer->fields, TEXT(": "));
    list_body_types(handler, &answer->fields);
    buffer_append_text(&answer->fields, TEXT("\r\n"));
}

void negotiate_explain_body(const struct exchange *exchange, struct http_answer *answer) {
    static const char *const fields[HTTP_METHOD_OTHER + 1] = {
        [HTTP_METHOD_POST] = "Accept-Post",
        [HTTP_METHOD_PATCH] = "Accept-Patch",
        [HTTP_METHOD_PUT] = "Accept",
    };
    const char *field = fields[exchange->request->method];
    if (is_coded(exchange->request))
        http_answer_field(answer, "Accept-Encoding", TEXT("identity"));
    else if (field)
        negotiate_write_body_types(exchange->handler, field, answer);
}
