#include "api/event_page.h"

#include "base/table.h"
#include "resource/validate.h"

// A record as it was found.
struct page_record {
    const struct plan *plan;
    struct value key;
    size_t start; // in the page's json; where nothing was found, it is as long as nothing
    size_t size;
    struct operation *operation; // that the record is; NULL: it is none
};

enum { LOOK_POSITION, LOOK_EVENTS };

static void end(struct event_page *page, bool done) {
    page->is_busy = false;
    page->on_done(page, done && !page->json.failed && !page->text.failed);
}

static bool submit(struct event_page *page) {
    page->is_busy = true; // the job may only be answered later
    if (store_submit(page->session, &page->job))
        return true;
    page->is_busy = false;
    return false;
}

// ---- The events

static bool keep_event(struct event_page *page, const struct value *cells) {
    struct page_event *item = arena_grow(&page->arena, &page->events, page->count, sizeof *item);
    if (!item)
        return false;
    *item = (struct page_event){0};
    if (!outbox_read_event(cells, &item->event))
        return false;
    item->event.resource = arena_copy(&page->arena, item->event.resource);
    item->event.key = arena_copy(&page->arena, item->event.key);
    item->event.at = arena_copy(&page->arena, item->event.at);
    page->count++;
    return item->event.resource.data && item->event.key.data && item->event.at.data;
}

static bool on_look_row(struct job *job, size_t call, const struct value *cells) {
    struct event_page *page = job->owner;
    if (call == LOOK_EVENTS)
        return keep_event(page, cells);
    page->position = outbox_read_position(cells);
    return true;
}

static void on_look_restart(struct job *job) {
    struct event_page *page = job->owner;
    page->count = 0;
}

static void on_look_done(struct job *job, const struct outcome *outcome) {
    struct event_page *page = job->owner;
    page->is_whole = page->count < EVENT_PAGE_EVENTS;
    end(page, outcome->kind == OUTCOME_DONE);
}

static bool look(struct event_page *page, struct catalogue *catalogue, enum job_kind kind,
                 const struct statement *events, size_t parameter_count) {
    event_page_clear(page);
    page->catalogue = catalogue_retain(catalogue);
    page->calls[LOOK_POSITION] =
        (struct call){.statement = &page->outbox->position, .expect = EXPECT_ANY};
    page->calls[LOOK_EVENTS] = (struct call){.statement = events,
                                             .parameters = page->parameters,
                                             .parameter_count = parameter_count,
                                             .expect = EXPECT_ANY};
    page->job = (struct job){.kind = kind,
                             .calls = page->calls,
                             .call_count = 2,
                             .owner = page,
                             .on_row = on_look_row,
                             .on_restart = on_look_restart,
                             .on_done = on_look_done};
    return submit(page);
}

bool event_page_look(struct event_page *page, struct catalogue *catalogue, int64_t after) {
    page->parameters[0] = value_integer(after);
    page->parameters[1] = value_integer(EVENT_PAGE_EVENTS);
    return look(page, catalogue, JOB_READ, &page->outbox->events, 2);
}

bool event_page_look_at(struct event_page *page, struct catalogue *catalogue,
                        const struct plan *plan, int64_t after, int64_t up_to) {
    page->parameters[0] = value_integer(after);
    page->parameters[1] = value_integer(up_to);
    page->parameters[2] = value_text(VALUE_TEXT, plan->resource->name);
    page->parameters[3] = value_integer(EVENT_PAGE_EVENTS);
    return look(page, catalogue, JOB_SCAN, &page->outbox->history, 4);
}

// ---- The records

// Whether the record is to be read: it is not known to be gone, and its key is one that the
// resource can have.
static bool has_record(struct event_page *page, const struct page_event *item,
                       struct value *ret_key) {
    struct failure failure;
    return item->plan &&
           (item->event.change == CHANGE_CREATED || item->event.change == CHANGE_UPDATED) &&
           validate_parameter(item->plan->resource->key.property, item->event.key, &page->arena,
                              ret_key, &failure);
}

static struct page_record *add_record(struct event_page *page, const struct page_event *item,
                                      struct value key) {
    struct page_record *record = &page->records[page->record_count++];
    *record = (struct page_record){.plan = item->plan, .key = key};
    return record;
}

// Each record is read once, however often it changed.
static bool list_records(struct event_page *page) {
    struct table known = {0};
    bool ok = true;
    page->records = arena_allocate_zero(&page->arena, page->wanted, sizeof *page->records);
    for (size_t i = 0; page->records && ok && i < page->wanted; i++) {
        struct page_event *item = &page->events[i];
        struct value key;
        if (!has_record(page, item, &key))
            continue;
        struct text name = arena_format(&page->arena, "%.*s/%.*s", TEXT_ARGS(item->event.resource),
                                        TEXT_ARGS(item->event.key));
        item->record = name.data ? table_get(&known, name) : NULL;
        if (!item->record) {
            item->record = add_record(page, item, key);
            ok = name.data && table_put(&known, name, item->record);
        }
    }
    table_free(&known);
    return page->records && ok;
}

// Who may hear of an operation, and what waits for it, depends on what it is about.
static bool keep_operation(struct event_page *page, struct page_record *record,
                           const struct value *cells) {
    record->operation = arena_allocate(&page->arena, sizeof *record->operation);
    return record->operation &&
           operation_read(&page->catalogue->operations, cells, &page->arena, record->operation);
}

static bool on_record_row(struct job *job, size_t call, const struct value *cells) {
    struct event_page *page = job->owner;
    struct page_record *record = &page->records[page->records_read + call];
    if (page->json.size >= page->enough && call > 0 && call < page->records_asked)
        page->records_asked = call; // it will be read again, and so will those behind it
    if (call >= page->records_asked)
        return true;
    if (record->plan == page->catalogue->operations.table && !keep_operation(page, record, cells))
        return false;
    struct json_writer writer = json_writer_on(&page->json);
    record->start = page->json.size;
    encode_record(&writer, &record->plan->selection, cells);
    record->size = page->json.size - record->start;
    return !page->json.failed;
}

static void on_records_restart(struct job *job) {
    struct event_page *page = job->owner;
    page->json.size = page->json_size;
    page->records_asked = job->call_count;
    for (size_t i = 0; i < page->records_asked; i++)
        page->records[page->records_read + i].size = 0;
}

static void on_records_done(struct job *job, const struct outcome *outcome);

// Reads the next records, as far as there are any. False when the store takes no job.
static bool read_records(struct event_page *page) {
    size_t room = sizeof page->calls / sizeof *page->calls;
    size_t left = page->record_count - page->records_read;
    page->records_asked = left < room ? left : room;
    page->json_size = page->json.size;
    for (size_t i = 0; i < page->records_asked; i++) {
        const struct page_record *record = &page->records[page->records_read + i];
        if (!plan_read(record->plan, record->key, &page->arena, &page->calls[i]))
            return false;
    }
    page->job = (struct job){.kind = JOB_READ,
                             .calls = page->calls,
                             .call_count = page->records_asked,
                             .owner = page,
                             .on_row = on_record_row,
                             .on_restart = on_records_restart,
                             .on_done = on_records_done};
    return submit(page);
}

static void write_events(struct event_page *page);

static void on_records_done(struct job *job, const struct outcome *outcome) {
    struct event_page *page = job->owner;
    page->records_read += page->records_asked;
    bool done = outcome->kind == OUTCOME_DONE && !page->json.failed;
    bool enough = page->records_read == page->record_count || page->json.size >= page->enough;
    if (done && !enough && read_records(page))
        return;
    if (done && enough)
        write_events(page);
    end(page, done && enough);
}

bool event_page_write(struct event_page *page, size_t count) {
    page->wanted = count;
    return list_records(page) && read_records(page);
}

// ---- Their form

// What stands for the key in JSON; as text where it is none that the resource could have now.
static void write_key(struct json_writer *writer, struct event_page *page,
                      const struct page_event *item) {
    const struct property *property = item->plan->resource->key.property;
    struct failure failure;
    struct value key;
    if (validate_parameter(property, item->event.key, &page->arena, &key, &failure))
        encode_value(writer, property, key);
    else
        json_write_string(writer, item->event.key);
}

static void write_change(struct json_writer *writer, struct event_page *page,
                         const struct page_event *item) {
    const struct outbox_event *event = &item->event;
    json_write_name(writer, TEXT("key"));
    write_key(writer, page, item);
    json_write_name(writer, TEXT("version"));
    if (value_is_null(event->version))
        json_write_null(writer);
    else
        json_write_integer(writer, event->version.integer);
    json_write_name(writer, TEXT("at"));
    json_write_string(writer, event->at);
    json_write_name(writer, TEXT("record"));
    if (item->record && item->record->size)
        json_write_raw(writer, text_of(page->json.data + item->record->start, item->record->size));
    else
        json_write_null(writer);
}

static void write_event(struct event_page *page, const struct page_event *item) {
    struct buffer *out = &page->text;
    struct json_writer writer = json_writer_on(out);
    buffer_append_string(out, "id: ");
    buffer_append_integer(out, item->event.number);
    buffer_append_string(out, "\nevent: ");
    buffer_append_text(out, outbox_change_name(item->event.change));
    buffer_append_string(out, "\ndata: ");
    size_t start = out->size;
    json_write_object_begin(&writer);
    if (item->event.change == CHANGE_GAP) {
        json_write_name(&writer, TEXT("from"));
        json_write_integer(&writer, item->event.number);
    } else {
        write_change(&writer, page, item);
    }
    json_write_object_end(&writer);
    // Stored JSON may have line ends between its tokens, and one would end the field.
    for (size_t i = start; i < out->size; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
    buffer_append_string(out, "\n\n");
}

static bool is_read(const struct event_page *page, const struct page_event *item) {
    return !item->record || (size_t)(item->record - page->records) < page->records_read;
}

static void write_events(struct event_page *page) {
    while (page->written < page->wanted) {
        struct page_event *item = &page->events[page->written];
        if (!is_read(page, item) || (page->written && page->text.size >= page->enough))
            return;
        if (item->plan)
            write_event(page, item);
        item->text_end = page->text.size;
        page->written++;
    }
}

struct text event_page_text(const struct event_page *page, size_t index) {
    size_t start = index ? page->events[index - 1].text_end : 0;
    return text_of(page->text.data + start, page->events[index].text_end - start);
}

const struct operation *event_page_operation(const struct event_page *page, size_t index) {
    const struct page_record *record = page->events[index].record;
    return record && record->size ? record->operation : NULL;
}

// ---- Its end

void event_page_cancel(struct event_page *page) {
    if (page->is_busy)
        store_cancel(page->session, &page->job);
}

void event_page_clear(struct event_page *page) {
    catalogue_release(page->catalogue);
    page->catalogue = NULL;
    arena_reset(&page->arena);
    buffer_clear(&page->text);
    buffer_clear(&page->json);
    page->events = NULL;
    page->records = NULL;
    page->count = page->written = page->record_count = page->records_read = 0;
}

void event_page_free(struct event_page *page) {
    event_page_clear(page);
    arena_free(&page->arena);
    buffer_free(&page->text);
    buffer_free(&page->json);
}
