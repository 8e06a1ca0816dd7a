#include "http/request.h"

#include <stdlib.h>

enum {
    KEPT_HEAD = 4096,  // what a spare request may keep of its buffers
    KEPT_BODY = 16384, //
    KEPT_FIELDS = 64,
    PLAIN_FRAMING = 20, // what a chunk needs: CR LF, up to 16 digits, CR LF
};

static int on_chunk_size(llhttp_t *parser);
static int on_body(llhttp_t *parser, const char *at, size_t size);
static int on_message_complete(llhttp_t *parser);

static const llhttp_settings_t settings = {
    .on_header_field = head_on_field_name,
    .on_header_value = head_on_field_value,
    .on_headers_complete = head_on_complete,
    .on_chunk_header = on_chunk_size,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void inbound_start(struct inbound *inbound, const struct http_limits *limits) {
    inbound->limits = limits;
    llhttp_init(&inbound->parser, HTTP_REQUEST, &settings);
    inbound->parser.data = inbound;
    inbound->request.method = HTTP_METHOD_OTHER;
}

static void trim(struct buffer *buffer, size_t most) {
#if defined(__SANITIZE_ADDRESS__)
    most = 0; // so that whoever still points into it is found
#endif
    if (buffer->capacity > most)
        buffer_free(buffer);
    buffer_clear(buffer);
}

void inbound_reset(struct inbound *inbound) {
    trim(&inbound->head, KEPT_HEAD);
    trim(&inbound->body, KEPT_BODY);
    if (inbound->field_capacity > KEPT_FIELDS) {
        free(inbound->request.fields);
        inbound->request.fields = NULL;
        inbound->field_capacity = 0;
    }
    arena_reset(&inbound->request.arena);
    *inbound = (struct inbound){
        .request.fields = inbound->request.fields,
        .request.arena = inbound->request.arena,
        .field_capacity = inbound->field_capacity,
        .head = inbound->head,
        .body = inbound->body,
    };
}

void inbound_free(struct inbound *inbound) {
    if (!inbound)
        return;
    buffer_free(&inbound->head);
    buffer_free(&inbound->body);
    arena_free(&inbound->request.arena);
    free(inbound->request.fields);
    free(inbound);
}

// --- the head ---

static void take(struct text *input, size_t size) {
    *input = text_from(*input, size);
}

static void refuse_size(struct inbound *inbound) {
    size_t most = inbound->limits->max_head;
    const char *space = memchr(inbound->head.data, ' ', inbound->head.size);
    if (space && !memchr(inbound->head.data, '\n', inbound->head.size))
        failure_set(&inbound->failure, FAILURE_TARGET_TOO_LONG,
                    "The request target is longer than %zu bytes", most);
    else
        failure_set(&inbound->failure, FAILURE_FIELDS_TOO_LARGE,
                    "The request's head is larger than %zu bytes", most);
}

// One empty line before the request line is passed over (RFC 9112 section 2.2).
static bool pass_blank_line(struct inbound *inbound) {
    if (inbound->head.size != 2 || inbound->blank_line_seen)
        return false;
    inbound->blank_line_seen = true;
    buffer_clear(&inbound->head);
    return true;
}

enum inbound_outcome inbound_read_head(struct inbound *inbound, struct text *input) {
    while (input->size > 0) {
        size_t room = inbound->limits->max_head - inbound->head.size;
        size_t used = 0;
        struct text window = text_of(input->data, input->size < room ? input->size : room);
        enum line_outcome outcome = line_scan(&inbound->place, window, &used);
        if (outcome == LINE_WRONG) {
            failure_set(&inbound->failure, FAILURE_MALFORMED_REQUEST,
                        "The request's head has a line that HTTP does not allow");
            return INBOUND_REFUSED;
        }
        buffer_append(&inbound->head, input->data, used);
        take(input, used);
        if (inbound->head.failed) {
            failure_out_of_memory(&inbound->failure);
            return INBOUND_REFUSED;
        }
        if (outcome == LINE_EMPTY_END) {
            if (!pass_blank_line(inbound))
                return head_parse(inbound) ? INBOUND_DONE : INBOUND_REFUSED;
        } else if (input->size > 0) {
            refuse_size(inbound);
            return INBOUND_REFUSED;
        }
    }
    return INBOUND_GOES_ON;
}

// --- the body ---

static bool framing_failed(struct inbound *inbound) {
    return failure_set(&inbound->failure, FAILURE_MALFORMED_REQUEST,
                       "The framing of the body's chunks is not valid");
}

static size_t surplus_of(size_t framing_run) {
    return framing_run > PLAIN_FRAMING ? framing_run - PLAIN_FRAMING : 0;
}

// Looks at the bytes up to `end` that the parser took as framing: chunk sizes with their
// extensions, line ends, and trailers. The parser is less strict with line ends, and has no bounds.
static bool check_chunk_framing(struct inbound *inbound, const char *end) {
    struct text bytes = text_of(inbound->framing, (size_t)(end - inbound->framing));
    inbound->framing = end;
    inbound->framing_surplus -= surplus_of(inbound->framing_run);
    inbound->framing_run += bytes.size;
    inbound->framing_surplus += surplus_of(inbound->framing_run);
    if (inbound->framing_surplus > inbound->limits->max_head)
        return failure_set(&inbound->failure, FAILURE_FIELDS_TOO_LARGE,
                           "Chunk extensions and trailers are larger than %zu bytes",
                           inbound->limits->max_head);
    while (bytes.size > 0) {
        size_t used = 0;
        if (line_scan(&inbound->place, bytes, &used) == LINE_WRONG)
            return framing_failed(inbound);
        bytes = text_from(bytes, used);
    }
    return true;
}

static bool body_too_large(struct inbound *inbound) {
    return failure_set(&inbound->failure, FAILURE_BODY_TOO_LARGE,
                       "The body is larger than %zu bytes", inbound->limits->max_body);
}

// A chunk that would be too much is refused before it is there.
static int on_chunk_size(llhttp_t *parser) {
    struct inbound *inbound = parser->data;
    size_t most = inbound->limits->max_body;
    if (!inbound->keep_body || inbound->in_pieces ||
        (inbound->received <= most && parser->content_length <= most - inbound->received))
        return 0;
    body_too_large(inbound);
    return HPE_USER;
}

static bool keep_body(struct inbound *inbound, struct text bytes) {
    if (!inbound->in_pieces && inbound->received > inbound->limits->max_body)
        return body_too_large(inbound);
    buffer_append_text(&inbound->body, bytes);
    return !inbound->body.failed || failure_out_of_memory(&inbound->failure);
}

static int on_body(llhttp_t *parser, const char *at, size_t size) {
    struct inbound *inbound = parser->data;
    if (inbound->chunked) {
        if (!check_chunk_framing(inbound, at))
            return HPE_USER;
        inbound->framing = at + size;
        inbound->framing_run = 0;
        inbound->place = LINE_START;
    }
    inbound->received += size;
    return !inbound->keep_body || keep_body(inbound, text_of(at, size)) ? 0 : HPE_USER;
}

static int on_message_complete(llhttp_t *parser) {
    struct inbound *inbound = parser->data;
    inbound->complete = true;
    return HPE_PAUSED; // what follows is the next request
}

enum inbound_outcome inbound_read_body(struct inbound *inbound, struct text *input) {
    bool bounded = inbound->keep_body && !inbound->in_pieces;
    if (bounded && inbound->content_length > inbound->limits->max_body) {
        body_too_large(inbound);
        return INBOUND_REFUSED;
    }
    if (input->size == 0)
        return INBOUND_GOES_ON; // the parser must not be called without a byte
    inbound->framing = input->data;
    llhttp_errno_t error = llhttp_execute(&inbound->parser, input->data, input->size);
    const char *end = input->data + input->size;
    if (error == HPE_PAUSED)
        end = llhttp_get_error_pos(&inbound->parser);
    else if (error != HPE_OK && inbound->failure.code == FAILURE_NONE)
        framing_failed(inbound);
    if (inbound->failure.code != FAILURE_NONE ||
        (inbound->chunked && !check_chunk_framing(inbound, end)))
        return INBOUND_REFUSED;
    take(input, (size_t)(end - input->data));
    if (!inbound->complete)
        return INBOUND_GOES_ON;
    inbound->request.body = buffer_text(&inbound->body);
    return INBOUND_DONE;
}

// --- what handlers ask of a request ---

// The first field of that name from `start` on, or the count of all.
static size_t find_field(const struct http_request *request, struct text name, size_t start) {
    size_t i = start;
    while (i < request->field_count && (request->fields[i].name.size != name.size ||
                                        !text_equal_ignoring_case(request->fields[i].name, name)))
        i++;
    return i;
}

struct text http_field(const struct http_request *request, const char *name) {
    size_t i = find_field(request, text_from_string(name), 0);
    return i < request->field_count ? request->fields[i].value : (struct text){NULL, 0};
}

// Writes the values one after the other, where there is room for them, and gives their size.
static size_t join_fields(const struct http_request *request, struct text name, char *out) {
    size_t size = 0;
    for (size_t i = find_field(request, name, 0); i < request->field_count;
         i = find_field(request, name, i + 1)) {
        struct text value = request->fields[i].value;
        if (size && out) {
            out[size] = ',';
            out[size + 1] = ' ';
        }
        size += size ? 2 : 0;
        if (out && value.size)
            memcpy(out + size, value.data, value.size);
        size += value.size;
    }
    return size;
}

bool http_field_joined(struct http_request *request, const char *name, struct text *ret_value) {
    struct text wanted = text_from_string(name);
    size_t first = find_field(request, wanted, 0);
    if (first == request->field_count) {
        *ret_value = (struct text){NULL, 0};
        return true;
    }
    if (find_field(request, wanted, first + 1) >= request->field_count) {
        *ret_value = request->fields[first].value;
        return true;
    }
    size_t size = join_fields(request, wanted, NULL);
    char *joined = arena_allocate(&request->arena, size);
    if (!joined)
        return false;
    join_fields(request, wanted, joined);
    *ret_value = text_of(joined, size);
    return true;
}
