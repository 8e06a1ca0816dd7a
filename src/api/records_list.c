#include "api/authorize.h"
#include "api/records.h"
#include "api/records_shared.h"

enum { LIST_PAGE, LIST_COUNT };

static const struct plan *listed(const struct exchange *exchange) {
    return exchange->listed ? exchange->listed : exchange->plan;
}

static struct text cursor_secret(const struct exchange *exchange) {
    return text_of((const char *)exchange->service->secrets.cursor_key, DIGEST_SIZE);
}

enum step_result record_prepare_list(struct exchange *exchange, const struct query_scope *scope) {
    struct query *query = &exchange->query;
    if (!query_read_within(scope, exchange->parameters, exchange->parameter_count,
                           cursor_secret(exchange), arena_of(exchange), &exchange->faults, query,
                           &exchange->failure))
        return STEP_FAIL;
    if (query->backward) {
        exchange->row_ends =
            arena_allocate(arena_of(exchange), query->limit * sizeof *exchange->row_ends);
        if (!exchange->row_ends)
            return exchange_out_of_memory(exchange);
    }
    return authorize_seen(exchange);
}

static enum step_result prepare_list(struct exchange *exchange) {
    const struct query_scope all = {.resource = resource_of(exchange)};
    return record_prepare_list(exchange, &all);
}

enum step_result record_plan_page(struct exchange *exchange) {
    const struct query *query = &exchange->query;
    struct arena *arena = arena_of(exchange);
    struct job *job = &exchange->job;
    job->kind = query->count || !plan_list_is_short(query) ? JOB_SCAN : JOB_READ;
    job->call_count = query->count ? 2 : 1;
    bool planned =
        plan_list(listed(exchange), query, exchange->now, arena, &exchange->calls[LIST_PAGE]);
    if (query->count)
        planned = planned && plan_count(listed(exchange), query, exchange->now, arena,
                                        &exchange->calls[LIST_COUNT]);
    return planned ? STEP_NEXT : exchange_out_of_memory(exchange);
}

// The page after the last row shown and the page before the first one are found by cursors at those
// rows; a backward page comes last row first.
static bool note_cursors(struct exchange *exchange, const struct value *cells) {
    const struct query *query = &exchange->query;
    struct arena *arena = arena_of(exchange);
    bool first = exchange->rows == 1 && (query->after || query->offset > 0);
    bool last = exchange->rows == query->limit;
    if (first)
        exchange->first_cursor =
            query_cursor(query, cells, !query->backward, cursor_secret(exchange), arena);
    if (last)
        exchange->last_cursor =
            query_cursor(query, cells, query->backward, cursor_secret(exchange), arena);
    return (!first || exchange->first_cursor.data) && (!last || exchange->last_cursor.data);
}

bool record_on_page_row(struct exchange *exchange, size_t call, const struct value *cells) {
    if (call == LIST_COUNT) {
        exchange->total = cells[0].integer;
        return true;
    }
    const struct query *query = &exchange->query;
    if (++exchange->rows > query->limit)
        return true; // it only tells that there is a page behind this one
    if (exchange->rows == 1)
        json_write_array_begin(&exchange->writer);
    encode_expanded(&exchange->writer, &query->selection, cells, &query->expansions,
                    cells + query->selection.count);
    if (query->backward)
        exchange->row_ends[exchange->rows - 1] = exchange->answer.body.size;
    return !exchange->answer.body.failed && note_cursors(exchange, cells);
}

// A backward page was written from its last record to its first: turns it round.
static void reverse_rows(struct exchange *exchange, size_t count) {
    struct buffer reversed = {0};
    const struct buffer *body = &exchange->answer.body;
    buffer_append_byte(&reversed, '[');
    for (size_t i = count; i-- > 0;) {
        size_t start = i ? exchange->row_ends[i - 1] + 1 : 1; // behind the comma or the bracket
        buffer_append(&reversed, body->data + start, exchange->row_ends[i] - start);
        if (i)
            buffer_append_byte(&reversed, ',');
    }
    buffer_free(&exchange->answer.body);
    exchange->answer.body = reversed;
}

static void append_encoded(struct buffer *out, struct text text) {
    static const char kept[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~,:()";
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] && strchr(kept, text.data[i]))
            buffer_append_byte(out, text.data[i]);
        else
            buffer_format(out, "%%%02X", (unsigned char)text.data[i]);
    }
}

// One link of RFC 8288: the list with the arguments that it was asked with, but at another page.
static void append_link(struct exchange *exchange, const char *relation, struct text cursor) {
    struct buffer *fields = &exchange->answer.fields;
    char separator = '?';
    buffer_append_string(fields, "Link: </");
    buffer_append_text(fields, resource_of(exchange)->name);
    if (exchange->listed) {
        buffer_append_byte(fields, '/');
        encode_key(fields, resource_of(exchange)->key.property, exchange->key);
        buffer_append_byte(fields, '/');
        buffer_append_text(fields, exchange->path_part);
    }
    for (size_t i = 0; i < exchange->parameter_count; i++) {
        const struct parameter *parameter = &exchange->parameters[i];
        if (text_is(parameter->name, "cursor") || text_is(parameter->name, "offset"))
            continue;
        buffer_append_byte(fields, separator);
        append_encoded(fields, parameter->name);
        buffer_append_byte(fields, '=');
        append_encoded(fields, parameter->value);
        separator = '&';
    }
    if (cursor.size) {
        buffer_format(fields, "%ccursor=", separator);
        buffer_append_text(fields, cursor);
    }
    buffer_format(fields, ">; rel=\"%s\"\r\n", relation);
}

static void append_links(struct exchange *exchange, bool more) {
    const struct query *query = &exchange->query;
    struct text end = more ? exchange->last_cursor : TEXT("");
    struct text previous = query->backward ? end : exchange->first_cursor;
    struct text next = query->backward ? exchange->first_cursor : end;
    append_link(exchange, "first", TEXT(""));
    if (previous.size)
        append_link(exchange, "prev", previous);
    if (next.size)
        append_link(exchange, "next", next);
}

enum step_result record_settle_page(struct exchange *exchange) {
    if (!record_is_done(exchange))
        return STEP_FAIL;
    bool more = exchange->rows > exchange->query.limit;
    size_t shown = more ? exchange->query.limit : exchange->rows;
    if (shown == 0)
        json_write_array_begin(&exchange->writer);
    else if (exchange->query.backward && !exchange->answer.body.failed)
        reverse_rows(exchange, shown);
    json_write_array_end(&exchange->writer);
    append_links(exchange, more);
    if (exchange->query.count) {
        buffer_append_string(&exchange->answer.fields, "X-Total-Count: ");
        buffer_append_integer(&exchange->answer.fields, exchange->total);
        buffer_append_string(&exchange->answer.fields, "\r\n");
    }
    return record_answer(exchange, 200, (struct etag){.kind = ETAG_LIST});
}

const struct handler records_list = {
    .action = ACTION_LIST,
    .checks_parameters = true,
    .conditions = CONDITIONS_READ,
    .prepare = prepare_list,
    .plan = record_plan_page,
    .on_row = record_on_page_row,
    .settle = record_settle_page,
};
