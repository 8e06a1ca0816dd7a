// The head of a request: request line, target, fields, and what RFC 9112 says must be refused.
#include "http/request.h"

#include <stdlib.h>

enum { FIRST_FIELDS = 24 };

static const struct text special_names[SPECIAL_FIELDS] = {
    [SPECIAL_HOST] = TEXT_INIT("host"),
    [SPECIAL_CONTENT_LENGTH] = TEXT_INIT("content-length"),
    [SPECIAL_TRANSFER_ENCODING] = TEXT_INIT("transfer-encoding"),
    [SPECIAL_EXPECT] = TEXT_INIT("expect"),
};

#define refuse(inbound, ...)                                                                       \
    failure_set(&(inbound)->failure, FAILURE_MALFORMED_REQUEST, __VA_ARGS__)

// --- fields ---

// The next field's place in the array, which grows with malloc because it is used again.
static struct http_field *field_add(struct inbound *inbound) {
    struct http_request *request = &inbound->request;
    if (request->field_count == inbound->field_capacity) {
        size_t capacity = inbound->field_capacity ? inbound->field_capacity * 2 : FIRST_FIELDS;
        struct http_field *fields = realloc(request->fields, capacity * sizeof *fields);
        if (!fields)
            return NULL;
        request->fields = fields;
        inbound->field_capacity = capacity;
    }
    struct http_field *field = &request->fields[request->field_count++];
    *field = (struct http_field){{NULL, 0}, {NULL, 0}};
    return field;
}

static void text_extend(struct text *text, const char *at, size_t size) {
    if (!text->data)
        text->data = at;
    text->size = (size_t)(at + size - text->data);
}

// The head is given to the parser in one piece, so a name comes in one piece, too. Fields of
// trailers come here as well, and are dropped.
int head_on_field_name(llhttp_t *parser, const char *at, size_t size) {
    struct inbound *inbound = parser->data;
    if (inbound->head_complete)
        return 0;
    struct http_field *field = field_add(inbound);
    if (!field) {
        failure_out_of_memory(&inbound->failure);
        return HPE_USER;
    }
    field->name = text_of(at, size);
    return 0;
}

int head_on_field_value(llhttp_t *parser, const char *at, size_t size) {
    struct inbound *inbound = parser->data;
    if (!inbound->head_complete)
        text_extend(&inbound->request.fields[inbound->request.field_count - 1].value, at, size);
    return 0;
}

static void note_special(struct inbound *inbound, const struct http_field *field) {
    for (size_t i = 0; i < SPECIAL_FIELDS; i++) {
        if (field->name.size == special_names[i].size &&
            text_equal_ignoring_case(field->name, special_names[i])) {
            if (inbound->special[i].count++ == 0)
                inbound->special[i].value = field->value;
            return;
        }
    }
}

// --- what must be refused, once all fields are known ---

// RFC 9112 section 3.2. An empty Host belongs to a target without an authority, which an "http" URI
// always has (RFC 9110 section 4.2.1); only OPTIONS * goes without.
static bool check_host(struct inbound *inbound) {
    unsigned count = inbound->special[SPECIAL_HOST].count;
    struct text host = inbound->special[SPECIAL_HOST].value;
    if (count == 0 && inbound->http_1_0)
        return true;
    if (count != 1)
        return refuse(inbound, count ? "There is more than one Host field" : "There is no Host");
    if (host.size == 0 && text_is(inbound->request.target, "*"))
        return true;
    return syntax_is_authority(host) || refuse(inbound, "The Host field is not a host and a port");
}

// What a list of transfer codings is to us: chunked alone is the only one there is.
static bool check_codings(struct inbound *inbound, struct text codings) {
    bool unknown = false;
    bool chunked = false;
    struct text part;
    while (text_split(&codings, ',', &part)) {
        struct text coding = text_trim(part);
        if (chunked)
            return refuse(inbound, "Transfer-Encoding has codings behind chunked");
        if (!syntax_is_token(coding))
            return refuse(inbound, "Transfer-Encoding is not a list of codings");
        chunked = text_equal_ignoring_case(coding, TEXT("chunked"));
        unknown = unknown || !chunked;
    }
    if (unknown)
        return failure_set(&inbound->failure, FAILURE_NOT_IMPLEMENTED,
                           "The only transfer coding is chunked");
    return chunked || refuse(inbound, "Transfer-Encoding is empty");
}

// RFC 9112 sections 6.1 to 6.3. Whether a Content-Length is a number was seen by the parser.
static bool check_framing(struct inbound *inbound) {
    unsigned lengths = inbound->special[SPECIAL_CONTENT_LENGTH].count;
    unsigned codings = inbound->special[SPECIAL_TRANSFER_ENCODING].count;
    inbound->request.has_body = lengths > 0 || codings > 0;
    if (lengths > 1)
        return refuse(inbound, "There is more than one Content-Length");
    if (codings == 0) {
        inbound->content_length = inbound->parser.content_length;
        return true;
    }
    if (inbound->http_1_0)
        return refuse(inbound, "HTTP/1.0 has no Transfer-Encoding");
    if (lengths > 0)
        return refuse(inbound, "There are both a Transfer-Encoding and a Content-Length");
    if (codings > 1)
        return refuse(inbound, "There is more than one Transfer-Encoding field");
    inbound->chunked = true;
    return check_codings(inbound, inbound->special[SPECIAL_TRANSFER_ENCODING].value);
}

// RFC 9110 section 10.1.1.
static bool check_expectation(struct inbound *inbound) {
    if (inbound->special[SPECIAL_EXPECT].count == 0 || inbound->http_1_0)
        return true;
    if (inbound->special[SPECIAL_EXPECT].count > 1 ||
        !text_equal_ignoring_case(inbound->special[SPECIAL_EXPECT].value, TEXT("100-continue")))
        return failure_set(&inbound->failure, FAILURE_EXPECTATION_UNKNOWN,
                           "The only expectation is 100-continue");
    inbound->expects_continue = inbound->request.has_body;
    return true;
}

int head_on_complete(llhttp_t *parser) {
    struct inbound *inbound = parser->data;
    struct http_request *request = &inbound->request;
    for (size_t i = 0; i < request->field_count; i++) {
        struct http_field *field = &request->fields[i];
        field->value = text_trim(field->value);
        note_special(inbound, field);
    }
    inbound->head_complete = true;
    inbound->keep_alive = llhttp_should_keep_alive(parser) != 0;
    // An upgrade may be ignored (RFC 9110 section 7.8), and is: the next request is HTTP/1.1.
    parser->upgrade = 0;
    return check_host(inbound) && check_framing(inbound) && check_expectation(inbound) ? 0 : -1;
}

// --- the request line ---

static bool starts_with_ignoring_case(struct text text, struct text prefix) {
    return text.size >= prefix.size &&
           text_equal_ignoring_case(text_of(text.data, prefix.size), prefix);
}

// What the path starts at in "http://host/path": RFC 9112 section 3.2.2.
static bool read_absolute_form(struct inbound *inbound, struct text *rest) {
    static const struct text schemes[] = {TEXT_INIT("http://"), TEXT_INIT("https://")};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (!starts_with_ignoring_case(*rest, schemes[i]))
            continue;
        *rest = text_from(*rest, schemes[i].size);
        size_t size = 0;
        while (size < rest->size && rest->data[size] != '/' && rest->data[size] != '?')
            size++;
        if (!syntax_is_authority(text_of(rest->data, size)))
            return refuse(inbound, "The request target's authority is not a host and a port");
        *rest = text_from(*rest, size);
        return true;
    }
    return refuse(inbound, "The request target is neither a path nor an http URI");
}

// RFC 9112 section 3.2: origin-form, absolute-form, and asterisk-form with OPTIONS alone.
static bool read_target(struct inbound *inbound) {
    struct http_request *request = &inbound->request;
    struct text rest = request->target;
    if (!syntax_is_target(rest))
        return refuse(inbound, "The request target has characters that must be percent-encoded");
    if (text_is(rest, "*")) {
        request->path = rest;
        return text_is(request->method_name, "OPTIONS") ||
               refuse(inbound, "The request target * is for OPTIONS alone");
    }
    if (rest.data[0] != '/' && !read_absolute_form(inbound, &rest))
        return false;
    ptrdiff_t mark = text_find(rest, '?');
    request->path = mark < 0 ? rest : text_of(rest.data, (size_t)mark);
    if (mark >= 0)
        request->query = text_from(rest, (size_t)mark + 1);
    if (request->path.size == 0)
        request->path = TEXT("/");
    return true;
}

static bool read_version(struct inbound *inbound, struct text version) {
    bool valid = version.size == 8 && text_starts_with(version, TEXT("HTTP/")) &&
                 version.data[5] >= '0' && version.data[5] <= '9' && version.data[6] == '.' &&
                 version.data[7] >= '0' && version.data[7] <= '9';
    if (!valid)
        return refuse(inbound, "The request line does not end with an HTTP version");
    inbound->http_1_0 = text_is(version, "HTTP/1.0");
    return inbound->http_1_0 || text_is(version, "HTTP/1.1") ||
           failure_set(&inbound->failure, FAILURE_VERSION_NOT_SUPPORTED,
                       "Only HTTP/1.0 and HTTP/1.1 are spoken here");
}

// RFC 9112 section 3: three parts with one space between them. The parser would let more pass.
static bool read_request_line(struct inbound *inbound) {
    struct http_request *request = &inbound->request;
    const char *data = inbound->head.data;
    const char *end = memchr(data, '\r', inbound->head.size);
    const char *first = memchr(data, ' ', (size_t)(end - data));
    const char *last = memrchr(data, ' ', (size_t)(end - data));
    if (!first || first == last)
        return refuse(inbound, "The request line is not a method, a target and a version");
    request->method_name = text_of(data, (size_t)(first - data));
    request->target = text_of(first + 1, (size_t)(last - first - 1));
    if (!syntax_is_token(request->method_name))
        return refuse(inbound, "The request's method is not a token");
    if (!read_version(inbound, text_of(last + 1, (size_t)(end - last - 1))))
        return false;
    if (text_is(request->method_name, "CONNECT"))
        return failure_set(&inbound->failure, FAILURE_NOT_IMPLEMENTED,
                           "This server is no proxy and knows no CONNECT");
    return read_target(inbound);
}

static enum http_method method_of(uint8_t method) {
    switch (method) {
    case HTTP_GET: return HTTP_METHOD_GET;
    case HTTP_HEAD: return HTTP_METHOD_HEAD;
    case HTTP_POST: return HTTP_METHOD_POST;
    case HTTP_PUT: return HTTP_METHOD_PUT;
    case HTTP_PATCH: return HTTP_METHOD_PATCH;
    case HTTP_DELETE: return HTTP_METHOD_DELETE;
    case HTTP_OPTIONS: return HTTP_METHOD_OPTIONS;
    default: return HTTP_METHOD_OTHER;
    }
}

static bool parse_failed(struct inbound *inbound, llhttp_errno_t error) {
    if (inbound->failure.code != FAILURE_NONE)
        return false;
    // INVALID_CONSTANT: the method belongs to another protocol that the parser knows.
    if (error == HPE_INVALID_METHOD || error == HPE_INVALID_CONSTANT)
        return failure_set(&inbound->failure, FAILURE_NOT_IMPLEMENTED,
                           "The request's method is not known");
    const char *reason = llhttp_get_error_reason(&inbound->parser);
    return refuse(inbound, "%s", reason ? reason : "The request's head is not valid");
}

// Whether the parser ended where we saw the head end: it pauses behind a message without a body.
static bool parsed_all(const struct inbound *inbound, llhttp_errno_t error) {
    const char *end = inbound->head.data + inbound->head.size;
    return inbound->head_complete &&
           (error == HPE_OK ||
            (error == HPE_PAUSED && llhttp_get_error_pos(&inbound->parser) == end));
}

bool head_parse(struct inbound *inbound) {
    if (!read_request_line(inbound))
        return false;
    llhttp_errno_t error = llhttp_execute(&inbound->parser, inbound->head.data, inbound->head.size);
    if (!parsed_all(inbound, error))
        return parse_failed(inbound, error);
    inbound->request.method = method_of(llhttp_get_method(&inbound->parser));
    return true;
}
