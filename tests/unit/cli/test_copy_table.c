#include "cli/copy_table.h"

#include "base/clock.h"
#include "store/scripted_store.h"
#include "store/sqlite/sqlite_store.h"
#include "unit/allocation.h"
#include "unit/cli/folder.h"
#include "unit/cli/resource_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char create[] =
    "CREATE TABLE IF NOT EXISTS things (id INTEGER PRIMARY KEY AUTOINCREMENT, "
    "secret TEXT, name TEXT, _version INTEGER NOT NULL DEFAULT 1)";

struct fixture {
    struct resource_fixture resource;
    char folder[40];
    struct store *source;
    struct store *target;
    uv_loop_t loop;
    struct copying copying;
    struct table_copy copy;
    struct failure failure;
};

static void run_sql(struct store *store, const char *sql) {
    struct failure failure;
    struct text text = text_from_string(sql);
    struct statement statement = {.sql = text, .hash = text_hash(text), .once = true};
    struct call call = {.statement = &statement, .expect = EXPECT_ANY};
    struct job job = {.kind = JOB_WRITE, .calls = &call, .call_count = 1};
    bool ok = store_run(store, &job, &failure);
    assert_true_for(ok, failure.detail);
}

static bool on_number(struct job *job, size_t call, const struct value *cells) {
    int64_t *number = job->owner;
    *number = cells[0].integer;
    return true;
}

static int64_t ask(struct store *store, const char *sql) {
    static const struct column column = {.kind = VALUE_INTEGER};
    struct failure failure;
    int64_t number = -1;
    struct text text = text_from_string(sql);
    struct statement statement = {
        .sql = text, .hash = text_hash(text), .columns = &column, .column_count = 1};
    struct call call = {.statement = &statement, .expect = EXPECT_ANY};
    struct job job = {
        .kind = JOB_READ, .calls = &call, .call_count = 1, .owner = &number, .on_row = on_number};
    bool ok = store_run(store, &job, &failure);
    assert_true_for(ok, failure.detail);
    return number;
}

static struct store *open_store(const struct fixture *fixture, const char *name,
                                const char *create_table) {
    char path[64];
    struct failure failure;
    (void)snprintf(path, sizeof path, "%s/%s", fixture->folder, name);
    struct store *store = sqlite_store_open(&(struct sqlite_options){.path = path}, NULL, &failure);
    assert_non_null(store);
    run_sql(store, create_table);
    return store;
}

// Both callers, and a copy that nothing is known of yet.
static void begin(struct fixture *fixture) {
    const struct plan *plan = catalogue_plan(fixture->resource.catalogue, TEXT("things"));
    const struct progress_output nowhere = {.file = open("/dev/null", O_WRONLY | O_CLOEXEC),
                                            .clock = clock_monotonic};
    fixture->copy = (struct table_copy){.from = plan, .to = plan};
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    assert_true(
        caller_open(&fixture->copying.source, &fixture->loop, fixture->source, &fixture->failure));
    assert_true(
        caller_open(&fixture->copying.target, &fixture->loop, fixture->target, &fixture->failure));
    progress_start_on(&fixture->copying.progress, &(struct progress_work){.label = "Copying"},
                      &nowhere);
    fixture->copying.done = 0;
}

static void end(struct fixture *fixture) {
    table_copy_free(&fixture->copy);
    caller_close(&fixture->copying.source);
    caller_close(&fixture->copying.target);
    close(fixture->copying.progress.output.file);
    (void)uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
}

static int set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){.folder = "/tmp/trestle-copy-XXXXXX"};
    *state = &fixture;
    if (!mkdtemp(fixture.folder))
        return 1;
    resource_fixture_begin(&fixture.resource, "properties:\n"
                                              "  secret: {type: string, writeOnly: true}\n"
                                              "  name: {type: string}\n");
    fixture.source = open_store(&fixture, "source", create);
    fixture.target = open_store(&fixture, "target", create);
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    store_close(fixture->source);
    store_close(fixture->target);
    resource_fixture_end(&fixture->resource);
    return folder_remove(fixture->folder);
}

static void fill(struct store *store, int count, int size) {
    char sql[300];
    (void)snprintf(sql, sizeof sql,
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
                   "INSERT INTO things (secret, name, _version) "
                   "SELECT 's' || i, hex(zeroblob(%d)), i %% 9 + 1 FROM n WHERE i <= %d",
                   count, size / 2, count);
    run_sql(store, sql);
}

static bool resume(struct fixture *fixture) {
    return table_copy_resume(&fixture->copy, &fixture->copying, &fixture->failure);
}

static bool copy_rest(struct fixture *fixture) {
    return table_copy_fill(&fixture->copy, &fixture->copying, &fixture->failure);
}

static bool verify(struct fixture *fixture) {
    return table_copy_verify(&fixture->copy, &fixture->copying, &fixture->failure);
}

// One whole run.
static void copy_all(struct fixture *fixture) {
    begin(fixture);
    bool ok = resume(fixture) && copy_rest(fixture) && verify(fixture);
    assert_true_for(ok, fixture->failure.detail);
    end(fixture);
}

static void assert_refused(struct fixture *fixture, const char *why) {
    assert_int_equal(fixture->failure.code, FAILURE_REFUSED);
    if (!strstr(fixture->failure.detail, why))
        fail_msg("\"%s\" should say %s", fixture->failure.detail, why);
}

static const char sum[] = "SELECT count(*) + sum(id) + sum(_version) + sum(length(name)) + "
                          "sum(length(secret)) FROM things";

static void everything_comes_as_it_was(void **state) {
    static const int counts[] = {1, 100, 999, 1000, 1001, 2000, 2001, 3500};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        run_sql(fixture->source, "DELETE FROM things");
        run_sql(fixture->target, "DELETE FROM things");
        fill(fixture->source, counts[i], 20);
        run_sql(fixture->source, "DELETE FROM things WHERE id % 10 = 7");
        copy_all(fixture);
        assert_int_equal(fixture->copy.there, 0);
        assert_int_equal(fixture->copy.count, ask(fixture->source, "SELECT count(*) FROM things"));
        assert_int_equal(ask(fixture->target, sum), ask(fixture->source, sum));
    }
}

static void an_empty_table_is_copied_too(void **state) {
    struct fixture *fixture = *state;
    copy_all(fixture);
    assert_int_equal(fixture->copy.count, 0);
}

// No batch and no page takes all of them.
static void large_records_come_too(void **state) {
    struct fixture *fixture = *state;
    fill(fixture->source, 60, 400000);
    copy_all(fixture);
    assert_int_equal(ask(fixture->target, sum), ask(fixture->source, sum));
}

// New keys go on behind those that were made, though their records are gone.
static void numbers_go_on(void **state) {
    struct fixture *fixture = *state;
    fill(fixture->source, 10, 2);
    run_sql(fixture->source, "DELETE FROM things WHERE id > 5");
    copy_all(fixture);
    run_sql(fixture->target, "INSERT INTO things (name) VALUES ('new')");
    assert_int_equal(ask(fixture->target, "SELECT max(id) FROM things"), 11);
}

static void numbers_go_on_where_all_records_are_gone(void **state) {
    struct fixture *fixture = *state;
    fill(fixture->source, 10, 2);
    run_sql(fixture->source, "DELETE FROM things");
    copy_all(fixture);
    copy_all(fixture);
    run_sql(fixture->target, "INSERT INTO things (name) VALUES ('new')");
    assert_int_equal(ask(fixture->target, "SELECT max(id) FROM things"), 11);
    assert_int_equal(ask(fixture->target, "SELECT count(*) FROM sqlite_sequence"), 1);
}

// Numbers that the target made itself are not given again either.
static void numbers_do_not_go_back(void **state) {
    struct fixture *fixture = *state;
    fill(fixture->target, 20, 2);
    run_sql(fixture->target, "DELETE FROM things");
    fill(fixture->source, 10, 2);
    copy_all(fixture);
    run_sql(fixture->target, "INSERT INTO things (name) VALUES ('new')");
    assert_int_equal(ask(fixture->target, "SELECT max(id) FROM things"), 21);
}

// A table that others made counts from its last row, and SQLite may not count at all.
static void a_table_without_a_counter_is_copied_too(void **state) {
    static const char plain[] =
        "CREATE TABLE IF NOT EXISTS things (id INTEGER PRIMARY KEY, secret TEXT, "
        "name TEXT, _version INTEGER NOT NULL DEFAULT 1)";
    struct fixture *fixture = *state;
    for (int i = 1; i < 4; i++) {
        store_close(fixture->source);
        store_close(fixture->target);
        fixture->source =
            open_store(fixture, i & 1 ? "source_1" : "source_0", i & 1 ? plain : create);
        fixture->target =
            open_store(fixture, i & 2 ? "target_1" : "target_0", i & 2 ? plain : create);
        run_sql(fixture->source, "DELETE FROM things");
        run_sql(fixture->target, "DELETE FROM things");
        fill(fixture->source, 10, 2);
        copy_all(fixture);
        run_sql(fixture->target, "INSERT INTO things (name) VALUES ('new')");
        assert_int_equal(ask(fixture->target, "SELECT max(id) FROM things"), 11);
    }
}

static void it_goes_on_where_it_stopped(void **state) {
    static const int there[] = {1, 100, 101, 1000, 2499, 2500};
    struct fixture *fixture = *state;
    unsigned char digest[DIGEST_SIZE];
    fill(fixture->source, 2500, 20);
    copy_all(fixture);
    memcpy(digest, fixture->copy.digest, DIGEST_SIZE);
    for (size_t i = 0; i < sizeof there / sizeof *there; i++) {
        char sql[64];
        (void)snprintf(sql, sizeof sql, "DELETE FROM things WHERE id > %d", there[i]);
        run_sql(fixture->target, sql);
        copy_all(fixture);
        assert_int_equal(fixture->copy.there, there[i]);
        assert_int_equal(fixture->copy.count, 2500);
        assert_memory_equal(fixture->copy.digest, digest, DIGEST_SIZE);
        assert_int_equal(ask(fixture->target, sum), ask(fixture->source, sum));
    }
}

static void a_target_with_other_records_is_refused(void **state) {
    static const struct {
        const char *change; // of the target, which was the same
        const char *why;
    } cases[] = {
        {"UPDATE things SET name = 'other' WHERE id = 150", "things/150 is not the same in both"},
        {"UPDATE things SET secret = NULL WHERE id = 1", "things/1 is not the same in both"},
        {"UPDATE things SET _version = 99 WHERE id = 300", "things/300 is not the same in both"},
        {"INSERT INTO things (id, name) VALUES (301, 'x')",
         "the target has things/301, which the source has not"},
        {"INSERT INTO things (id, name) VALUES (0, 'x')",
         "the target has things/0 where the source has things/1"},
        {"DELETE FROM things WHERE id = 150",
         "the target has things/151 where the source has things/150"},
        {"DELETE FROM things WHERE id < 300",
         "the target has things/300 where the source has things/1"},
    };
    struct fixture *fixture = *state;
    fill(fixture->source, 300, 20);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_sql(fixture->target, "DELETE FROM things");
        copy_all(fixture);
        run_sql(fixture->target, cases[i].change);
        begin(fixture);
        assert_false(resume(fixture));
        assert_refused(fixture, cases[i].why);
        end(fixture);
    }
}

static void a_source_that_changes_meanwhile_is_noticed(void **state) {
    static const struct {
        const char *change;
        const char *why;
    } cases[] = {
        {"UPDATE things SET name = 'other' WHERE id = 150", "things/150 is not the same in both"},
        {"INSERT INTO things (id, name) VALUES (301, 'x')",
         "the source has things/301, which the target has not"},
        {"DELETE FROM things WHERE id = 300",
         "the target has things/300, which the source has not"},
        {"DELETE FROM things WHERE id = 10",
         "the target has things/10 where the source has things/11"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_sql(fixture->target, "DELETE FROM things");
        run_sql(fixture->source, "DELETE FROM things");
        run_sql(fixture->source, "DELETE FROM sqlite_sequence");
        fill(fixture->source, 300, 20);
        begin(fixture);
        assert_true(resume(fixture) && copy_rest(fixture));
        run_sql(fixture->source, cases[i].change);
        assert_false(verify(fixture));
        assert_refused(fixture, cases[i].why);
        assert_non_null(strstr(fixture->failure.detail, "was the source written to meanwhile?"));
        end(fixture);
    }
}

// Somebody else writes to the target.
static void a_record_in_the_way_is_named(void **state) {
    struct fixture *fixture = *state;
    fill(fixture->source, 2500, 20);
    begin(fixture);
    assert_true(resume(fixture));
    run_sql(fixture->target, "INSERT INTO things (id, name) VALUES (1234, 'x')");
    assert_false(copy_rest(fixture));
    assert_int_equal(fixture->failure.code, FAILURE_CONFLICT);
    assert_non_null(strstr(fixture->failure.detail, "things/1234 cannot be stored: "));
    end(fixture);
    // What was written before is whole batches.
    assert_int_equal(ask(fixture->target, "SELECT count(*) FROM things"), 1001);
}

static void a_source_that_fails_leaves_what_it_gave(void **state) {
    struct fixture *fixture = *state;
    fill(fixture->source, 5000, 20);
    run_sql(fixture->source, "UPDATE things SET name = x'00' WHERE id = 4500");
    begin(fixture);
    assert_true(resume(fixture));
    assert_false(copy_rest(fixture));
    assert_int_equal(fixture->copying.source.outcome.kind, OUTCOME_FAILED);
    end(fixture);
    run_sql(fixture->source, "UPDATE things SET name = 'repaired' WHERE id = 4500");
    copy_all(fixture);
    assert_true(fixture->copy.there >= 3000 && fixture->copy.there < 4500);
    assert_int_equal(ask(fixture->target, sum), ask(fixture->source, sum));
}

// Whether the last batch is there is not known; the next run finds out.
static void a_doubtful_commit_can_be_gone_on_from(void **state) {
    static const struct scripted_job script[] = {{.outcome.kind = OUTCOME_UNKNOWN}};
    struct fixture *fixture = *state;
    struct store *real = fixture->target;
    fill(fixture->source, 10, 20);
    fixture->target = scripted_store_open(STORE_SQLITE, script, 1, &fixture->failure);
    assert_non_null(fixture->target);
    begin(fixture);
    assert_false(copy_rest(fixture));
    assert_int_equal(fixture->failure.code, FAILURE_OUTCOME_UNKNOWN);
    assert_non_null(strstr(fixture->failure.detail, "run it again"));
    end(fixture);
    store_close(fixture->target);
    fixture->target = real;
}

// What fails says so, and leaves a target that can be gone on from.
static void out_of_memory(void **state) {
    struct fixture *fixture = *state;
    fill(fixture->source, 5, 20);
    for (size_t nth = 1;; nth++) {
        begin(fixture);
        allocation_fail_from(nth);
        bool done = resume(fixture) && copy_rest(fixture) && verify(fixture);
        bool failed = allocation_allow();
        end(fixture);
        assert_true(done || failed);
        if (!done)
            assert_int_not_equal(fixture->failure.code, FAILURE_NONE);
        copy_all(fixture);
        assert_int_equal(fixture->copy.count, 5);
        run_sql(fixture->target, "DELETE FROM things");
        if (!failed)
            break;
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(everything_comes_as_it_was),
        TEST(an_empty_table_is_copied_too),
        TEST(large_records_come_too),
        TEST(numbers_go_on),
        TEST(numbers_go_on_where_all_records_are_gone),
        TEST(numbers_do_not_go_back),
        TEST(a_table_without_a_counter_is_copied_too),
        TEST(it_goes_on_where_it_stopped),
        TEST(a_target_with_other_records_is_refused),
        TEST(a_source_that_changes_meanwhile_is_noticed),
        TEST(a_record_in_the_way_is_named),
        TEST(a_source_that_fails_leaves_what_it_gave),
        TEST(a_doubtful_commit_can_be_gone_on_from),
        TEST(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
