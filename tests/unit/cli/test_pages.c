#include "cli/pages.h"

#include "resource/validate.h"
#include "store/sqlite/sqlite_store.h"
#include "unit/cli/folder.h"
#include "unit/cli/resource_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
    struct resource_fixture resource;
    const struct plan *plan;
    struct store *store;
    struct arena arena;
    char folder[40];
    char path[64];
    // What the reader saw.
    int64_t seen;
    int64_t stop_at; // 0: never
    size_t cells;
    bool in_order;
    struct failure failure;
};

static void run(struct fixture *fixture, struct call *calls, size_t count) {
    struct job job = {.kind = JOB_WRITE, .calls = calls, .call_count = count};
    bool ok = store_run(fixture->store, &job, &fixture->failure);
    assert_true_for(ok, fixture->failure.detail);
}

static void run_sql(struct fixture *fixture, const char *sql) {
    struct text text = text_from_string(sql);
    struct statement statement = {.sql = text, .hash = text_hash(text), .once = true};
    struct call call = {.statement = &statement, .expect = EXPECT_ANY};
    run(fixture, &call, 1);
}

static int set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){.folder = "/tmp/trestle-pages-XXXXXX", .in_order = true};
    *state = &fixture;
    if (!mkdtemp(fixture.folder))
        return 1;
    (void)snprintf(fixture.path, sizeof fixture.path, "%s/db", fixture.folder);
    resource_fixture_begin(&fixture.resource, "properties:\n"
                                              "  secret: {type: string, writeOnly: true}\n"
                                              "  name: {type: string}\n");
    fixture.plan = catalogue_plan(fixture.resource.catalogue, TEXT("things"));
    struct sqlite_options options = {.path = fixture.path};
    fixture.store = sqlite_store_open(&options, NULL, &fixture.failure);
    assert_non_null(fixture.store);
    run_sql(&fixture, "CREATE TABLE things (id INTEGER PRIMARY KEY, secret TEXT, name TEXT, "
                      "_version INTEGER NOT NULL DEFAULT 1)");
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    store_close(fixture->store);
    arena_free(&fixture->arena);
    resource_fixture_end(&fixture->resource);
    return folder_remove(fixture->folder);
}

static void fill(struct fixture *fixture, int count, int size) {
    char sql[200];
    (void)snprintf(sql, sizeof sql,
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
                   "INSERT INTO things (secret, name) SELECT 's', hex(zeroblob(%d)) FROM n",
                   count, size / 2);
    run_sql(fixture, sql);
}

static bool on_record(void *context, const struct selection *selection, const struct value *cells) {
    struct fixture *fixture = context;
    fixture->seen++;
    fixture->cells = selection->count;
    if (cells[0].kind != VALUE_INTEGER || cells[0].integer != fixture->seen)
        fixture->in_order = false;
    return fixture->seen != fixture->stop_at;
}

static bool read_all(struct fixture *fixture, enum pages_of what) {
    const struct page_reader reader = {on_record, fixture};
    fixture->seen = 0;
    return pages_read(fixture->store, fixture->plan, what, &reader, &fixture->failure);
}

static void every_record_comes_once_and_in_order(void **state) {
    static const int counts[] = {1, 99, 100, 101, 1099, 1100, 1101, 5000};
    struct fixture *fixture = *state;
    assert_true(read_all(fixture, PAGES_SHOWN));
    assert_int_equal(fixture->seen, 0);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        uint64_t count = 0;
        run_sql(fixture, "DELETE FROM things");
        fill(fixture, counts[i], 10);
        assert_true(read_all(fixture, PAGES_SHOWN));
        assert_int_equal(fixture->seen, counts[i]);
        assert_true(fixture->in_order);
        assert_true(pages_count(fixture->store, fixture->plan, &count, &fixture->failure));
        assert_int_equal(count, counts[i]);
    }
}

static void large_records_come_in_small_pages(void **state) {
    struct fixture *fixture = *state;
    fill(fixture, 300, 200000);
    assert_true(read_all(fixture, PAGES_SHOWN));
    assert_int_equal(fixture->seen, 300);
    assert_true(fixture->in_order);
}

static void what_is_never_shown_comes_when_asked_for(void **state) {
    struct fixture *fixture = *state;
    fill(fixture, 1, 10);
    assert_true(read_all(fixture, PAGES_SHOWN));
    assert_int_equal(fixture->cells, 2);
    assert_true(read_all(fixture, PAGES_ALL));
    assert_int_equal(fixture->cells, 3);
}

// Reads one by one from behind a key; how many came.
static int64_t read_behind(struct fixture *fixture, const struct value *after, int64_t first) {
    const struct value *cells = NULL;
    struct caller caller;
    struct pages pages;
    uv_loop_t loop;
    int64_t count = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_true(caller_open(&caller, &loop, fixture->store, &fixture->failure));
    assert_true(pages_open(&pages, &caller, fixture->plan, PAGES_STORED, after));
    assert_ptr_equal(pages_last_key(&pages), pages.query.after);
    while (pages_next(&pages, &cells, &fixture->failure) && cells) {
        assert_int_equal(cells[pages_key(&pages)].integer, first + count);
        assert_int_equal(pages.selection.count, 4);
        assert_null(pages.selection.properties[3]);
        assert_int_equal(cells[3].integer, 1);
        count++;
        if (fixture->stop_at && count == fixture->stop_at) // what is behind goes away
            run_sql(fixture, "DELETE FROM things WHERE id > 101");
    }
    assert_null(cells);
    const struct value *last = pages_last_key(&pages);
    assert_int_equal(last ? last->integer : first - 1, first + count - 1);
    pages_close(&pages);
    caller_close(&caller);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return count;
}

static void records_come_one_by_one_from_behind_a_key(void **state) {
    struct fixture *fixture = *state;
    const struct value after = value_integer(700);
    assert_int_equal(read_behind(fixture, NULL, 1), 0);
    fill(fixture, 1500, 10);
    assert_int_equal(read_behind(fixture, NULL, 1), 1500);
    assert_int_equal(read_behind(fixture, &after, 701), 800);
    fixture->stop_at = 50; // in the first page, which knows that there is a second one
    assert_int_equal(read_behind(fixture, NULL, 1), 101);
}

static void nothing_comes_behind_a_page_whose_next_is_gone(void **state) {
    struct fixture *fixture = *state;
    fill(fixture, 101, 10);
    const struct value *cells;
    struct caller caller;
    struct pages pages;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_true(caller_open(&caller, &loop, fixture->store, &fixture->failure));
    assert_true(pages_open(&pages, &caller, fixture->plan, PAGES_SHOWN, NULL));
    assert_true(pages_next(&pages, &cells, &fixture->failure));
    run_sql(fixture, "DELETE FROM things WHERE id > 100");
    for (int i = 1; i < 100; i++) {
        assert_true(pages_next(&pages, &cells, &fixture->failure));
        assert_int_equal(cells[0].integer, i + 1);
    }
    assert_true(pages_next(&pages, &cells, &fixture->failure));
    assert_null(cells);
    assert_int_equal(pages_last_key(&pages)->integer, 100);
    pages_close(&pages);
    caller_close(&caller);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void the_reader_may_end_it(void **state) {
    struct fixture *fixture = *state;
    fill(fixture, 500, 10);
    fixture->stop_at = 250;
    assert_false(read_all(fixture, PAGES_SHOWN));
    assert_int_equal(fixture->failure.code, FAILURE_NONE);
    assert_int_equal(fixture->seen, 250);
}

static void a_table_that_is_not_there_is_a_failure(void **state) {
    struct fixture *fixture = *state;
    uint64_t count;
    run_sql(fixture, "DROP TABLE things");
    assert_false(read_all(fixture, PAGES_SHOWN));
    assert_int_not_equal(fixture->failure.code, FAILURE_NONE);
    assert_false(pages_count(fixture->store, fixture->plan, &count, &fixture->failure));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_record_comes_once_and_in_order),
        TEST(large_records_come_in_small_pages),
        TEST(what_is_never_shown_comes_when_asked_for),
        TEST(the_reader_may_end_it),
        TEST(records_come_one_by_one_from_behind_a_key),
        TEST(nothing_comes_behind_a_page_whose_next_is_gone),
        TEST(a_table_that_is_not_there_is_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
