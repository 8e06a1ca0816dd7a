#include "api/access_log.h"

#include "base/clock.h"

// Every value of the parameter api-key is replaced; however its name is written, since the decoded
// name is what counts.
static void append_scrubbed(struct buffer *out, struct arena *arena, struct text query) {
    struct text part;
    char separator = '?';
    while (text_split(&query, '&', &part)) {
        struct text name = {"", 0};
        struct text value = part;
        struct text decoded = {"", 0};
        text_split(&value, '=', &name);
        buffer_append_byte(out, separator);
        separator = '&';
        if (http_percent_decode(arena, name, true, &decoded) && !text_is(decoded, "api-key"))
            buffer_append_text(out, part);
        else
            buffer_append_text(out, TEXT("api-key=***"));
    }
}

void access_log_write(struct log *log, const struct http_request *request, unsigned status,
                      size_t body_size) {
    struct log_access access = {
        .method = request->method_name,
        .target = request->target,
        .status = status,
        .body_size = body_size,
        .microseconds = (clock_monotonic_ns() - request->started) / 1000,
        .peer = request->peer,
    };
    const struct exchange *exchange = request->owner;
    char caller[IDENTITY_NAME_SIZE];
    char client[ADDRESS_TEXT_SIZE];
    if (exchange) {
        if (!address_equal(&exchange->client, &request->address))
            access.peer = address_format(&exchange->client, client);
        access.request_id = exchange->request_id;
        access.key = identity_name(&exchange->identity, caller);
    }
    struct buffer scrubbed = {0};
    if (request->query.data) {
        struct arena arena = {0};
        buffer_append_text(&scrubbed, request->path);
        append_scrubbed(&scrubbed, &arena, request->query);
        access.target = scrubbed.failed ? request->path : buffer_text(&scrubbed);
        arena_free(&arena);
    }
    log_request(log, &access);
    buffer_free(&scrubbed);
}
