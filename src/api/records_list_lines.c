#include "api/records.h"
#include "api/records_shared.h"
#include "api/representation.h"
#include "resource/list_plan.h"

// GET of a list as application/x-ndjson: all records that the filters let through, one a line. They
// are read in short pages, each a job of its own that begins behind the last record of the page
// before it; and none is read before the client has taken what is there.

enum {
    FIRST_LIMIT = 32, // records of the first page, when it is not known how large they are
    GROWTH = 8,       // of the next page, at most

    // A page ends with the record that makes it so many bytes; no more than so many records are
    // asked for.
    SHORT_BYTES = HTTP_STREAM_ENOUGH,
    SHORT_LIMIT = QUERY_MAX_LIMIT,

    // Of those for which the database may have to look at many others each time.
    LONG_BYTES = 4 * HTTP_STREAM_ENOUGH,
    LONG_LIMIT = 4 * QUERY_MAX_LIMIT,
};

enum { CALL_PAGE, CALL_COUNT };

struct list_stream {
    struct arena statement;    // of the page that is read
    struct arena positions[2]; // behind which that begins, and at which it ends
    unsigned position;         // which of them is the latter
    const struct value *end;   // in it
    uint64_t left;             // records that may still be sent
    size_t shown;              // of this page
    bool is_long;
    bool full;  // this page; whatever comes behind that only tells that there is more
    bool waits; // for the client to take what was written
};

static void release_stream(struct exchange *exchange) {
    struct list_stream *stream = exchange->list_stream;
    if (!stream)
        return;
    arena_free(&stream->statement);
    arena_free(&stream->positions[0]);
    arena_free(&stream->positions[1]);
}

// Where each page has to be sorted out of all records, there is to be but one.
static enum step_result refuse_order(struct exchange *exchange) {
    faults_add(&exchange->faults, TEXT("sort"),
               "is the order of no index; a stream follows the key or an index, or has a limit of "
               "at most %d",
               QUERY_MAX_LIMIT);
    return exchange_fail(exchange, FAILURE_INVALID_PARAMETER,
                         "sort: a stream follows the key or an index, or has a limit of at most %d",
                         QUERY_MAX_LIMIT);
}

static enum step_result prepare_stream(struct exchange *exchange) {
    const struct query_scope all = {.resource = resource_of(exchange), .is_stream = true};
    struct query *query = &exchange->query;
    enum step_result result = record_prepare_list(exchange, &all);
    if (result != STEP_NEXT)
        return result;
    bool indexed = plan_order_is_indexed(query);
    if (!indexed && query->whole > QUERY_MAX_LIMIT)
        return refuse_order(exchange);
    struct list_stream *stream = arena_allocate_zero(arena_of(exchange), 1, sizeof *stream);
    if (!stream)
        return exchange_out_of_memory(exchange);
    exchange->list_stream = stream;
    stream->left = query->whole;
    query->limit = indexed ? FIRST_LIMIT : QUERY_MAX_LIMIT;
    return STEP_NEXT;
}

static enum step_result plan_stream(struct exchange *exchange) {
    struct query *query = &exchange->query;
    struct list_stream *stream = exchange->list_stream;
    struct job *job = &exchange->job;
    arena_reset(&stream->statement);
    if (query->limit > stream->left)
        query->limit = (unsigned)stream->left;
    stream->is_long = !plan_list_is_short(query);
    job->kind = stream->is_long ? JOB_SCAN : JOB_READ;
    job->call_count = query->count ? 2 : 1;
    bool planned = plan_list(exchange->plan, query, exchange->now, &stream->statement,
                             &exchange->calls[CALL_PAGE]);
    if (query->count)
        planned = planned && plan_count(exchange->plan, query, exchange->now, &stream->statement,
                                        &exchange->calls[CALL_COUNT]);
    return planned ? STEP_NEXT : exchange_out_of_memory(exchange);
}

// The job may be run anew, so what is known of an earlier first row does not count.
static bool on_stream_row(struct exchange *exchange, size_t call, const struct value *cells) {
    struct list_stream *stream = exchange->list_stream;
    const struct query *query = &exchange->query;
    struct buffer *body = &exchange->answer.body;
    if (call == CALL_COUNT) {
        exchange->total = cells[0].integer;
        return true;
    }
    if (exchange->rows++ == 0) {
        stream->shown = 0;
        stream->full = false;
    }
    if (stream->full)
        return true;
    struct json_writer writer = json_writer_on(body);
    encode_expanded(&writer, &query->selection, cells, &query->expansions,
                    cells + query->selection.count);
    buffer_append_byte(body, '\n');
    stream->shown++;
    stream->full =
        stream->shown == query->limit || body->size >= (stream->is_long ? LONG_BYTES : SHORT_BYTES);
    if (!stream->full)
        return !body->failed;
    struct arena *arena = &stream->positions[stream->position];
    arena_reset(arena);
    stream->end = query_position(query, cells, arena);
    return !body->failed && stream->end;
}

// Writes the head, where there is to be a stream. False where the answer is complete with it, or
// has to be another one.
static bool begin_stream(struct exchange *exchange, enum step_result *ret_result) {
    struct buffer body = exchange->answer.body;
    if (exchange->query.count)
        record_write_total(exchange);
    (void)record_answer(exchange, 200, (struct etag){.kind = ETAG_NONE});
    exchange->representation.cache_control = TEXT("no-store");
    *ret_result = represent(exchange);
    exchange->representation = (struct representation){0}; // all is said
    bool goes_on = *ret_result == STEP_NEXT && exchange->answer.status == 200;
    if (!goes_on)
        return false;
    exchange->answer.body = (struct buffer){0};
    exchange_stream_begin(exchange, false);
    exchange->answer.body = body;
    return exchange->request->method != HTTP_METHOD_HEAD;
}

// The next page is to be about as large as we like, however large records are here.
static void turn_page(struct exchange *exchange) {
    struct list_stream *stream = exchange->list_stream;
    struct query *query = &exchange->query;
    size_t average = exchange->answer.body.size / stream->shown + 1;
    size_t limit = (stream->is_long ? LONG_BYTES : SHORT_BYTES) / average + 1;
    size_t most = stream->is_long ? LONG_LIMIT : SHORT_LIMIT;
    if (limit > stream->shown * GROWTH)
        limit = stream->shown * GROWTH;
    query->limit = (unsigned)(limit < most ? limit : most);
    query->after = stream->end;
    query->offset = 0;
    query->count = false;
    stream->position = !stream->position;
}

static enum step_result settle_stream(struct exchange *exchange) {
    struct list_stream *stream = exchange->list_stream;
    enum step_result result = STEP_NEXT;
    if (stream->waits) {
        stream->waits = false;
        return STEP_REPEAT;
    }
    if (!record_is_done(exchange))
        return STEP_FAIL;
    bool more = exchange->rows > 0 && exchange->rows > stream->shown;
    stream->left -= exchange->rows ? stream->shown : 0;
    if (!exchange->streams && !begin_stream(exchange, &result))
        return result;
    stream->waits = !http_stream_write(exchange->request, buffer_text(&exchange->answer.body));
    if (!more || stream->left == 0 || exchange->request->gone)
        return STEP_NEXT;
    turn_page(exchange);
    if (!stream->waits)
        return STEP_REPEAT;
    buffer_free(&exchange->answer.body); // it may be long
    return STEP_WAIT;
}

const struct handler records_list_lines = {
    .action = ACTION_LIST,
    .media = 1U << MEDIA_LINES,
    .checks_parameters = true,
    .conditions = CONDITIONS_READ,
    .prepare = prepare_stream,
    .plan = plan_stream,
    .on_row = on_stream_row,
    .settle = settle_stream,
    .release = release_stream,
};
