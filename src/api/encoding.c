#include "api/encoding.h"

#include "api/accept.h"
#include "base/deflate.h"

#include <stdlib.h>

// A body of this size takes a third of a millisecond.
enum { INLINE_MAX = 16 * 1024 };

// ---- Which coding

static bool is_on(const struct exchange *exchange) {
    return exchange->service->options->gzip_min != ENCODING_OFF;
}

static enum coding choose(struct text accepted) {
    unsigned gzip = accept_coding_weight(accepted, TEXT("gzip"));
    unsigned identity = accept_coding_weight(accepted, TEXT("identity"));
    if (gzip == 0)
        return CODING_IDENTITY;
    if (identity == 0)
        return CODING_GZIP_ONLY;
    return gzip >= identity || !accept_coding_is_named(accepted, TEXT("identity"))
               ? CODING_GZIP
               : CODING_IDENTITY;
}

bool encoding_negotiate(struct exchange *exchange) {
    struct text accepted;
    if (!http_field_joined(exchange->request, "Accept-Encoding", &accepted))
        return exchange_out_of_memory(exchange), false;
    if (text_trim(accepted).size == 0)
        return true;
    if (is_on(exchange))
        exchange->coding = choose(accepted);
    if (exchange->coding != CODING_IDENTITY || accept_coding_weight(accepted, TEXT("identity")) > 0)
        return true;
    exchange_fail(exchange, FAILURE_NOT_ACCEPTABLE,
                  is_on(exchange) ? "answers are coded as gzip, or not at all"
                                  : "answers are not coded");
    return false;
}

// ---- Whether, and how

static void append_vary(struct exchange *exchange) {
    http_answer_field(&exchange->answer, "Vary", TEXT("Accept-Encoding"));
}

void encoding_tell(struct exchange *exchange) {
    if (is_on(exchange))
        append_vary(exchange);
}

// Where a field's value begins in an answer's fields; NULL where there is none.
static const char *find_field(const struct buffer *fields, struct text name_and_colon) {
    struct text rest = buffer_text(fields);
    struct text line;
    while (rest.size > 0 && text_split(&rest, '\n', &line)) {
        if (text_starts_with(line, name_and_colon))
            return line.data + name_and_colon.size;
    }
    return NULL;
}

static bool may_be_coded(const struct exchange *exchange) {
    const struct http_answer *answer = &exchange->answer;
    return is_on(exchange) && !exchange->whole && !exchange->streams && !exchange->secret.size &&
           answer->status != 204 && answer->status != 304 && answer->body.size > 0 &&
           !answer->body.failed && !find_field(&answer->fields, TEXT("Content-Encoding: "));
}

// Each coding of a representation is one of its own, with its own tag.
static void mark_tag(struct buffer *fields) {
    const char *tag = find_field(fields, TEXT("ETag: \""));
    const char *end = tag ? memchr(tag, '"', (size_t)(fields->data + fields->size - tag)) : NULL;
    struct buffer marked = {0};
    if (!end)
        return;
    size_t before = (size_t)(end - fields->data);
    buffer_append(&marked, fields->data, before);
    buffer_append_text(&marked, TEXT(ETAG_CODED));
    buffer_append(&marked, end, fields->size - before);
    buffer_free(fields);
    *fields = marked;
}

// Takes what was made of the body, which may be nothing, where it would not become smaller.
static void take(struct exchange *exchange, struct buffer *coded) {
    struct http_answer *answer = &exchange->answer;
    if (coded->failed || coded->size == 0) {
        buffer_free(coded);
        return;
    }
    buffer_free(&answer->body);
    answer->body = *coded;
    mark_tag(&answer->fields);
    http_answer_field(answer, "Content-Encoding", TEXT("gzip"));
}

// ---- On a thread

struct encoding_work {
    uv_work_t work;
    struct exchange *exchange;
    struct text body;
    size_t most;
    struct buffer coded;
};

static void on_thread(uv_work_t *work) {
    struct encoding_work *encoding = work->data;
    deflate_gzip(encoding->body, encoding->most, &encoding->coded);
}

static void on_coded(uv_work_t *work, int status) {
    struct encoding_work *encoding = work->data;
    encoding->exchange->is_busy = false;
    take(encoding->exchange, &encoding->coded);
    exchange_resume(encoding->exchange);
}

// As much as is sent in any case, where only this coding will do.
static size_t most_of(const struct exchange *exchange) {
    size_t size = exchange->answer.body.size;
    return exchange->coding == CODING_GZIP_ONLY ? SIZE_MAX : size - 1;
}

static enum step_result start_work(struct exchange *exchange) {
    struct encoding_work *encoding =
        arena_allocate_zero(&exchange->request->arena, 1, sizeof *encoding);
    if (!encoding)
        return STEP_NEXT;
    encoding->work.data = encoding;
    encoding->exchange = exchange;
    encoding->body = buffer_text(&exchange->answer.body);
    encoding->most = most_of(exchange);
    if (uv_queue_work(exchange->service->loop, &encoding->work, on_thread, on_coded) != 0)
        return STEP_NEXT;
    exchange->is_busy = true;
    exchange->step++;
    return STEP_WAIT;
}

enum step_result encoding_apply(struct exchange *exchange) {
    struct http_answer *answer = &exchange->answer;
    bool large = answer->body.size >= exchange->service->options->gzip_min;
    if (!may_be_coded(exchange) || (!large && exchange->coding != CODING_GZIP_ONLY))
        return STEP_NEXT;
    append_vary(exchange);
    if (exchange->coding == CODING_IDENTITY)
        return STEP_NEXT;
    if (answer->body.size > INLINE_MAX)
        return start_work(exchange);
    struct buffer coded = {0};
    deflate_gzip(buffer_text(&answer->body), most_of(exchange), &coded);
    take(exchange, &coded);
    return STEP_NEXT;
}
