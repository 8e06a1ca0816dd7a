#include "api/representation.h"

#include "api/conditions.h"
#include "api/encoding.h"
#include "api/negotiate.h"
#include "api/preferences.h"
#include "base/table.h"

struct etag representation_etag(const struct exchange *exchange, uint64_t shape) {
    if (exchange->media != MEDIA_JSON)
        shape = bytes_hash(negotiate_media_type(exchange->media), shape);
    return (struct etag){
        .kind = ETAG_RECORD, .version = exchange->version, .representation = shape};
}

static bool is_read(const struct exchange *exchange) {
    enum http_method method = exchange->request->method;
    return method == HTTP_METHOD_GET || method == HTTP_METHOD_HEAD;
}

// The fields that a list's handler wrote go in too: its links and total are told by it as well, and
// a client that was answered 304 keeps those that it has. The seed is the same in all processes.
static void hash_content(struct exchange *exchange) {
    struct representation *representation = &exchange->representation;
    const struct http_answer *answer = &exchange->answer;
    uint64_t hash;
    memcpy(&hash, exchange->service->options->secrets.cursor_key, sizeof hash);
    hash = bytes_hash(representation->type, hash);
    if (representation->etag.kind == ETAG_LIST)
        hash = bytes_hash(buffer_text(&answer->fields), hash);
    representation->etag.representation = bytes_hash(buffer_text(&answer->body), hash);
}

static void write_etag(struct exchange *exchange) {
    char tag[ETAG_SIZE];
    struct buffer *fields = &exchange->answer.fields;
    struct etag etag = exchange->representation.etag;
    if (etag.kind == ETAG_NONE)
        return;
    buffer_append_text(fields, TEXT("ETag: \""));
    buffer_append(fields, tag, etag_format(etag, tag));
    buffer_append_text(fields, TEXT("\"\r\n"));
}

// What the answer depends on besides the path (section 12.5.5). Whoever may read by a key must not
// be given what was kept for another one.
static void write_cache_fields(struct exchange *exchange) {
    struct buffer *fields = &exchange->answer.fields;
    const struct representation *representation = &exchange->representation;
    if (!is_read(exchange))
        return;
    buffer_append_text(fields, TEXT("Cache-Control: "));
    buffer_append_text(fields, representation->cache_control);
    buffer_append_text(fields, TEXT("\r\nVary: Accept"));
    if (representation->keyed)
        buffer_append_text(fields, TEXT(", Authorization, X-API-Key, api-key"));
    buffer_append_text(fields, TEXT("\r\n"));
}

// Section 15.4.5: what a 200 would say of caching, and nothing of the content.
static void answer_not_modified(struct exchange *exchange) {
    exchange->answer.status = 304;
    buffer_clear(&exchange->answer.body);
    buffer_clear(&exchange->answer.fields);
    struct etag *etag = &exchange->representation.etag;
    etag->coded = conditions_know_coded(exchange, *etag);
    write_etag(exchange);
    write_cache_fields(exchange);
    encoding_tell(exchange);
}

static void write_type(struct exchange *exchange) {
    struct buffer *fields = &exchange->answer.fields;
    buffer_append_text(fields, TEXT("Content-Type: "));
    buffer_append_text(fields, exchange->representation.type);
    buffer_append_text(fields, TEXT("\r\n"));
}

static void answer_content(struct exchange *exchange) {
    if (prefers(&exchange->preferences, PREFER_MINIMAL))
        preferences_leave_out(exchange);
    else
        write_type(exchange);
    write_etag(exchange);
    write_cache_fields(exchange);
}

enum step_result represent(struct exchange *exchange) {
    struct representation *representation = &exchange->representation;
    if (!representation->type.data)
        return STEP_NEXT;
    if (representation->hashed)
        hash_content(exchange);
    enum condition condition = CONDITION_HOLDS;
    if (exchange->handler->conditions == CONDITIONS_READ && conditions_are_there(exchange))
        condition = conditions_of_read(exchange, representation->etag);
    if (condition == CONDITION_FAILED)
        return exchange_fail(exchange, FAILURE_PRECONDITION_FAILED,
                             "what is here is not what If-Match names");
    if (condition == CONDITION_NOT_MODIFIED)
        answer_not_modified(exchange);
    else
        answer_content(exchange);
    return STEP_NEXT;
}
