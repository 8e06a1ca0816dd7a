#include "cli/pages.h"

#include "base/clock.h"

enum {
    FIRST_LIMIT = 100,
    LEAST_LIMIT = 4,
    PAGE_BYTES = 8 << 20, // about what a page may take
};

// A page while it is read. Its rows are kept until the store is done with the job, since it may run
// the job anew.
struct page {
    struct selection selection;
    struct arena arena; // of this page
    struct value **rows;
    size_t row_count;
    size_t bytes;
    bool out_of_memory;
};

static bool on_row(struct job *job, size_t call, const struct value *cells) {
    struct page *page = job->owner;
    size_t count = page->selection.count;
    struct value **row = arena_grow(&page->arena, &page->rows, page->row_count, sizeof *row);
    struct value *copy = arena_allocate_zero(&page->arena, count, sizeof *copy);
    page->out_of_memory = !row || !copy;
    for (size_t i = 0; i < count && !page->out_of_memory; i++) {
        page->out_of_memory = !value_copy(&page->arena, cells[i], &copy[i]);
        page->bytes += sizeof *copy + (value_kind_has_text(cells[i].kind) ? cells[i].text.size : 0);
    }
    if (page->out_of_memory)
        return false;
    *row = copy;
    page->row_count++;
    return true;
}

static void empty(struct page *page) {
    arena_reset(&page->arena);
    page->rows = NULL;
    page->row_count = 0;
    page->bytes = 0;
    page->out_of_memory = false;
}

static void on_restart(struct job *job) {
    struct page *page = job->owner;
    page->row_count = 0;
    page->bytes = 0;
}

static bool read_page(struct store *store, const struct plan *plan, const struct query *query,
                      struct page *page, struct failure *failure) {
    struct call call;
    if (!plan_list(plan, query, clock_now(), &page->arena, &call))
        return failure_out_of_memory(failure);
    struct job job = {.kind = JOB_READ,
                      .calls = &call,
                      .call_count = 1,
                      .owner = page,
                      .on_row = on_row,
                      .on_restart = on_restart};
    bool ok = store_run(store, &job, failure);
    return ok || (page->out_of_memory ? failure_out_of_memory(failure) : false);
}

static bool deliver(const struct page *page, const struct query *query,
                    const struct page_reader *reader, struct failure *failure) {
    for (size_t i = 0; i < page->row_count && i < query->limit; i++) {
        if (!reader->on_record(reader->context, &page->selection, page->rows[i])) {
            failure->code = FAILURE_NONE;
            return false;
        }
    }
    return true;
}

// Records may be of 50 bytes or of a megabyte: the next page is to be about as large as we like.
static unsigned next_limit(const struct page *page) {
    size_t average = page->bytes / page->row_count + 1;
    size_t fitting = PAGE_BYTES / average;
    if (fitting < LEAST_LIMIT)
        return LEAST_LIMIT;
    return fitting < QUERY_MAX_LIMIT ? (unsigned)fitting : QUERY_MAX_LIMIT;
}

static size_t key_cell(const struct selection *selection, const struct resource *resource) {
    size_t cell = 0;
    while (selection->properties[cell] != resource->key.property)
        cell++;
    return cell;
}

static struct selection select_for(const struct plan *plan, enum pages_of what) {
    struct selection selection = plan->selection;
    if (plan->resource->versioned)
        selection.count--; // the version, which is the last
    if (what == PAGES_SHOWN)
        selection.count = selection.shown;
    selection.shown = selection.count;
    return selection;
}

// Where the next page begins.
struct position {
    struct arena arena;
    struct value key;
};

// The pages after one another, each read from the position of the last.
static bool read_pages(struct store *store, const struct plan *plan, struct query *query,
                       struct page *page, struct position *position,
                       const struct page_reader *reader, struct failure *failure) {
    size_t key = key_cell(&page->selection, plan->resource);
    for (;;) {
        empty(page);
        if (!read_page(store, plan, query, page, failure) || !deliver(page, query, reader, failure))
            return false;
        if (page->row_count <= query->limit)
            return true;
        arena_reset(&position->arena);
        if (!value_copy(&position->arena, page->rows[query->limit - 1][key], &position->key))
            return failure_out_of_memory(failure);
        query->after = &position->key;
        query->limit = next_limit(page);
    }
}

bool pages_read(struct store *store, const struct plan *plan, enum pages_of what,
                const struct page_reader *reader, struct failure *failure) {
    struct page page = {.selection = select_for(plan, what)};
    struct position position = {0};
    struct sort_key by_key = {.property = plan->resource->key.property};
    struct query query = {.resource = plan->resource,
                          .sort = &by_key,
                          .sort_count = 1,
                          .limit = FIRST_LIMIT,
                          .selection = page.selection};
    bool ok = read_pages(store, plan, &query, &page, &position, reader, failure);
    arena_free(&position.arena);
    arena_free(&page.arena);
    return ok;
}

static bool on_count(struct job *job, size_t call, const struct value *cells) {
    uint64_t *count = job->owner;
    *count = (uint64_t)cells[0].integer;
    return true;
}

bool pages_count(struct store *store, const struct plan *plan, uint64_t *ret_count,
                 struct failure *failure) {
    struct arena arena = {0};
    struct query query = {.resource = plan->resource};
    struct call call;
    uint64_t count = 0;
    bool ok =
        plan_count(plan, &query, clock_now(), &arena, &call) || failure_out_of_memory(failure);
    if (ok) {
        struct job job = {
            .kind = JOB_SCAN, .calls = &call, .call_count = 1, .owner = &count, .on_row = on_count};
        ok = store_run(store, &job, failure);
    }
    arena_free(&arena);
    if (ok)
        *ret_count = count;
    return ok;
}
