#include "api/authorize.h"
#include "api/hal.h"
#include "api/negotiate.h"
#include "api/records.h"
#include "api/records_shared.h"
#include "resource/list_plan.h"

enum { LIST_PAGE, LIST_COUNT };

static const struct plan *listed(const struct exchange *exchange) {
    return exchange->listed ? exchange->listed : exchange->plan;
}

// What is listed of a record has no paths of its own.
static bool has_links(const struct exchange *exchange) {
    return exchange->media == MEDIA_HAL && !exchange->listed;
}

static struct text cursor_secret(const struct exchange *exchange) {
    return text_of((const char *)exchange->service->secrets.cursor_key, DIGEST_SIZE);
}

static bool is_parameter(const void *resource, struct text name) {
    return query_knows_parameter(resource, name);
}

enum step_result record_prepare_list(struct exchange *exchange, const struct query_scope *scope) {
    struct query *query = &exchange->query;
    if (prefers(&exchange->preferences, PREFER_LENIENT))
        negotiate_keep_parameters(exchange, is_parameter, scope->resource);
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
    if (has_links(exchange) && !hal_complete_selection(exchange, &query->selection))
        return exchange_out_of_memory(exchange);
    return authorize_seen(exchange);
}

static enum step_result prepare_list(struct exchange *exchange) {
    if (exchange->media == MEDIA_LINES) {
        exchange->handler = &records_list_lines;
        return records_list_lines.prepare(exchange);
    }
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

static void begin_rows(struct exchange *exchange) {
    if (exchange->media == MEDIA_HAL)
        hal_begin_records(&exchange->writer,
                          exchange->listed ? exchange->path_part : resource_of(exchange)->name);
    else
        json_write_array_begin(&exchange->writer);
    exchange->rows_start = exchange->answer.body.size;
}

static bool write_row(struct exchange *exchange, const struct value *cells) {
    const struct selection *selection = &exchange->query.selection;
    if (!exchange->listed)
        return record_write(exchange,
                            &(const struct record_row){selection, cells, selection, cells});
    encode_record(&exchange->writer, selection, cells);
    return !exchange->answer.body.failed;
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
        begin_rows(exchange);
    bool written = write_row(exchange, cells);
    if (query->backward)
        exchange->row_ends[exchange->rows - 1] = exchange->answer.body.size;
    return written && note_cursors(exchange, cells);
}

// A backward page was written from its last record to its first: turns it round.
static void reverse_rows(struct exchange *exchange, size_t count) {
    struct buffer reversed = {0};
    const struct buffer *body = &exchange->answer.body;
    buffer_append(&reversed, body->data, exchange->rows_start);
    for (size_t i = count; i-- > 0;) {
        size_t start = i ? exchange->row_ends[i - 1] + 1 : exchange->rows_start; // behind the comma
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

static void append_path(const struct exchange *exchange, struct buffer *out) {
    buffer_append_text(out, resource_of(exchange)->name);
    if (!exchange->listed)
        return;
    buffer_append_byte(out, '/');
    encode_key(out, resource_of(exchange)->key.property, exchange->key);
    buffer_append_byte(out, '/');
    buffer_append_text(out, exchange->path_part);
}

static bool says_where(const struct parameter *parameter) {
    return text_is(parameter->name, "cursor") || text_is(parameter->name, "offset");
}

// The list with the arguments that it was asked with, from behind its first slash: at the page of a
// cursor, at the first page where that is empty, or, where its data is NULL, at the same page.
static void append_target(const struct exchange *exchange, struct text cursor, struct buffer *out) {
    char separator = '?';
    append_path(exchange, out);
    for (size_t i = 0; i < exchange->parameter_count; i++) {
        const struct parameter *parameter = &exchange->parameters[i];
        if (cursor.data && says_where(parameter))
            continue;
        buffer_append_byte(out, separator);
        append_encoded(out, parameter->name);
        buffer_append_byte(out, '=');
        append_encoded(out, parameter->value);
        separator = '&';
    }
    if (cursor.size) {
        buffer_format(out, "%ccursor=", separator);
        buffer_append_text(out, cursor);
    }
}

// The pages around the one that is shown: the first one, and those before and behind it, whose
// cursors are empty where there are none.
enum { PAGE_FIRST, PAGE_PREVIOUS, PAGE_NEXT, PAGES };
static const struct text relations[PAGES] = {TEXT_INIT("first"), TEXT_INIT("prev"),
                                             TEXT_INIT("next")};

static void find_pages(const struct exchange *exchange, bool more, struct text cursors[PAGES]) {
    const struct query *query = &exchange->query;
    struct text end = more ? exchange->last_cursor : TEXT("");
    cursors[PAGE_FIRST] = TEXT("");
    cursors[PAGE_PREVIOUS] = query->backward ? end : exchange->first_cursor;
    cursors[PAGE_NEXT] = query->backward ? exchange->first_cursor : end;
}

static bool has_page(const struct text cursors[PAGES], size_t page) {
    return page == PAGE_FIRST || cursors[page].size;
}

// RFC 8288.
static void append_links(struct exchange *exchange, const struct text cursors[PAGES]) {
    struct buffer *fields = &exchange->answer.fields;
    for (size_t i = 0; i < PAGES; i++) {
        if (!has_page(cursors, i))
            continue;
        buffer_append_string(fields, "Link: </");
        append_target(exchange, cursors[i], fields);
        buffer_format(fields, ">; rel=\"%.*s\"\r\n", TEXT_ARGS(relations[i]));
    }
}

static void write_hal_end(struct exchange *exchange, const struct text cursors[PAGES]) {
    struct json_writer *writer = &exchange->writer;
    hal_end_records(writer);
    json_write_name(writer, TEXT("_links"));
    json_write_object_begin(writer);
    hal_begin_link(writer, TEXT("self"));
    append_target(exchange, (struct text){NULL, 0}, writer->out);
    hal_end_link(writer);
    for (size_t i = 0; i < PAGES; i++) {
        if (!has_page(cursors, i))
            continue;
        hal_begin_link(writer, relations[i]);
        append_target(exchange, cursors[i], writer->out);
        hal_end_link(writer);
    }
    json_write_object_end(writer);
    if (exchange->query.count) {
        json_write_name(writer, TEXT("total"));
        json_write_integer(writer, exchange->total);
    }
    json_write_object_end(writer);
}

void record_write_total(struct exchange *exchange) {
    buffer_append_string(&exchange->answer.fields, "X-Total-Count: ");
    buffer_append_integer(&exchange->answer.fields, exchange->total);
    buffer_append_string(&exchange->answer.fields, "\r\n");
}

enum step_result record_settle_page(struct exchange *exchange) {
    if (!record_is_done(exchange))
        return STEP_FAIL;
    bool more = exchange->rows > exchange->query.limit;
    size_t shown = more ? exchange->query.limit : exchange->rows;
    struct text cursors[PAGES];
    find_pages(exchange, more, cursors);
    if (shown == 0)
        begin_rows(exchange);
    else if (exchange->query.backward && !exchange->answer.body.failed)
        reverse_rows(exchange, shown);
    if (exchange->media == MEDIA_HAL)
        write_hal_end(exchange, cursors);
    else
        json_write_array_end(&exchange->writer);
    append_links(exchange, cursors);
    if (exchange->query.count)
        record_write_total(exchange);
    return record_answer(exchange, 200, (struct etag){.kind = ETAG_LIST});
}

const struct handler records_list = {
    .action = ACTION_LIST,
    .media = RECORD_MEDIA | 1U << MEDIA_LINES,
    .checks_parameters = true,
    .conditions = CONDITIONS_READ,
    .prepare = prepare_list,
    .plan = record_plan_page,
    .on_row = record_on_page_row,
    .settle = record_settle_page,
};
