#include "cli/pages.h"

#include "base/clock.h"
#include "resource/list_plan.h"

enum {
    FIRST_LIMIT = 100,
    LEAST_LIMIT = 4,
    PAGE_BYTES = 8 << 20, // about what a page may take
};

// ---- One page

static bool keep_row(struct pages *pages, const struct value *cells) {
    struct page *page = &pages->page;
    size_t count = pages->selection.count;
    struct value **row = arena_grow(&page->arena, &page->rows, page->row_count, sizeof *row);
    struct value *copy = arena_allocate_zero(&page->arena, count, sizeof *copy);
    if (!row || !copy)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!value_copy(&page->arena, cells[i], &copy[i]))
            return false;
        page->bytes += sizeof *copy + (value_kind_has_text(cells[i].kind) ? cells[i].text.size : 0);
    }
    *row = copy;
    page->row_count++;
    return true;
}

static bool on_row(struct job *job, size_t call, const struct value *cells) {
    struct pages *pages = job->owner;
    pages->page.out_of_memory = !keep_row(pages, cells);
    return !pages->page.out_of_memory;
}

static void empty(struct page *page) {
    arena_reset(&page->arena);
    page->rows = NULL;
    page->row_count = 0;
    page->bytes = 0;
    page->out_of_memory = false;
}

static void on_restart(struct job *job) {
    struct pages *pages = job->owner;
    pages->page.row_count = 0;
    pages->page.bytes = 0;
}

// One record more than the limit is asked for, which tells whether there is a next page.
static bool read_page(struct pages *pages, struct failure *failure) {
    struct page *page = &pages->page;
    struct call call;
    empty(page);
    pages->next_row = 0;
    if (!plan_list(pages->plan, &pages->query, clock_now(), &page->arena, &call))
        return failure_out_of_memory(failure);
    struct job job = {.kind = JOB_READ,
                      .calls = &call,
                      .call_count = 1,
                      .owner = pages,
                      .on_row = on_row,
                      .on_restart = on_restart};
    if (!caller_run(pages->caller, &job, failure))
        return page->out_of_memory ? failure_out_of_memory(failure) : false;
    pages->is_last = page->row_count <= pages->query.limit;
    if (!pages->is_last)
        page->row_count--;
    return true;
}

// ---- Page after page

// Records may be of 50 bytes or of a megabyte: the next page is to be about as large as we like.
static unsigned next_limit(const struct page *page) {
    size_t average = page->bytes / page->row_count + 1;
    size_t fitting = PAGE_BYTES / average;
    if (fitting < LEAST_LIMIT)
        return LEAST_LIMIT;
    return fitting < QUERY_MAX_LIMIT ? (unsigned)fitting : QUERY_MAX_LIMIT;
}

static struct selection select_for(const struct plan *plan, enum pages_of what) {
    struct selection selection = plan->selection;
    if (what != PAGES_STORED && plan->resource->versioned)
        selection.count--; // the version, which is the last
    if (what == PAGES_SHOWN)
        selection.count = selection.shown;
    selection.shown = selection.count;
    return selection;
}

size_t pages_key(const struct pages *pages) {
    size_t cell = 0;
    while (pages->selection.properties[cell] != pages->plan->resource->key.property)
        cell++;
    return cell;
}

const struct value *pages_last_key(const struct pages *pages) {
    const struct page *page = &pages->page;
    if (page->row_count > 0)
        return &page->rows[page->row_count - 1][pages_key(pages)];
    return pages->query.after; // what was behind it is gone, or nothing ever was there
}

static bool continue_behind(struct pages *pages, const struct value *key) {
    arena_reset(&pages->position);
    pages->query.after = &pages->after;
    return value_copy(&pages->position, *key, &pages->after);
}

bool pages_open(struct pages *pages, struct caller *caller, const struct plan *plan,
                enum pages_of what, const struct value *after) {
    *pages = (struct pages){.plan = plan,
                            .caller = caller,
                            .selection = select_for(plan, what),
                            .by_key = {.property = plan->resource->key.property}};
    pages->query = (struct query){.resource = plan->resource,
                                  .sort = &pages->by_key,
                                  .sort_count = 1,
                                  .limit = FIRST_LIMIT,
                                  .selection = pages->selection};
    return !after || continue_behind(pages, after);
}

static bool turn_page(struct pages *pages, struct failure *failure) {
    const struct page *page = &pages->page;
    if (page->row_count > 0) { // there was one before
        unsigned limit = next_limit(page);
        if (!continue_behind(pages, pages_last_key(pages)))
            return failure_out_of_memory(failure);
        pages->query.limit = limit;
    }
    return read_page(pages, failure);
}

bool pages_next(struct pages *pages, const struct value **ret_cells, struct failure *failure) {
    if (pages->next_row == pages->page.row_count && !pages->is_last && !turn_page(pages, failure))
        return false;
    bool is_there = pages->next_row < pages->page.row_count;
    *ret_cells = is_there ? pages->page.rows[pages->next_row++] : NULL;
    return true;
}

void pages_close(struct pages *pages) {
    arena_free(&pages->page.arena);
    arena_free(&pages->position);
}

// ---- All of them

static bool deliver_all(struct pages *pages, const struct page_reader *reader,
                        struct failure *failure) {
    const struct value *cells;
    for (;;) {
        if (!pages_next(pages, &cells, failure))
            return false;
        if (!cells)
            return true;
        if (!reader->on_record(reader->context, &pages->selection, cells)) {
            failure->code = FAILURE_NONE;
            return false;
        }
    }
}

bool pages_read(struct store *store, const struct plan *plan, enum pages_of what,
                const struct page_reader *reader, struct failure *failure) {
    uv_loop_t loop;
    struct caller caller;
    struct pages pages;
    int error = uv_loop_init(&loop);
    if (error)
        return failure_set(failure, FAILURE_UNAVAILABLE, "no event loop: %s", uv_strerror(error));
    bool ok = caller_open(&caller, &loop, store, failure);
    if (ok) {
        (void)pages_open(&pages, &caller, plan, what, NULL); // nothing is copied
        ok = deliver_all(&pages, reader, failure);
        pages_close(&pages);
        caller_close(&caller);
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop); // nothing is left on it
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
