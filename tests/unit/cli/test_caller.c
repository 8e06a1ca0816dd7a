#include "cli/caller.h"

#include "base/table.h"
#include "store/scripted_store.h"
#include "unit/testing.h"

#include <stdio.h>

static const struct column column = {.kind = VALUE_INTEGER};
static const struct value cell = {.kind = VALUE_INTEGER, .integer = 5};
static const struct scripted_call row = {.cells = &cell, .row_count = 1};

// The calls of a scripted job.
#define ROW .calls = &row, .call_count = 1

struct fixture {
    struct store *store;
    uv_loop_t loop;
    struct caller caller;
    struct statement statement;
    struct call call;
    unsigned rows;
    struct failure failure;
};

static bool on_row(struct job *job, size_t call, const struct value *cells) {
    struct fixture *fixture = job->owner;
    fixture->rows++;
    return cells[0].integer == 5;
}

static void on_restart(struct job *job) {
    struct fixture *fixture = job->owner;
    fixture->rows = 0;
}

static void begin(struct fixture *fixture, enum store_dialect dialect,
                  const struct scripted_job *script, size_t count) {
    const struct text sql = TEXT("SELECT 5");
    *fixture = (struct fixture){0};
    fixture->statement = (struct statement){
        .sql = sql, .hash = text_hash(sql), .columns = &column, .column_count = 1};
    fixture->call = (struct call){.statement = &fixture->statement, .expect = EXPECT_ANY};
    fixture->store = scripted_store_open(dialect, script, count, &fixture->failure);
    assert_non_null(fixture->store);
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    assert_true(caller_open(&fixture->caller, &fixture->loop, fixture->store, &fixture->failure));
}

static struct job job_of(struct fixture *fixture) {
    return (struct job){.kind = JOB_READ,
                        .calls = &fixture->call,
                        .call_count = 1,
                        .owner = fixture,
                        .on_row = on_row,
                        .on_restart = on_restart};
}

static void end(struct fixture *fixture) {
    caller_close(&fixture->caller);
    (void)uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    assert_string_equal(scripted_store_difference(fixture->store), "");
    assert_int_equal(scripted_store_left(fixture->store), 0);
    store_close(fixture->store);
}

static void jobs_run_one_after_another(void **state) {
    static const struct scripted_job script[] = {{ROW}, {ROW}};
    struct fixture fixture;
    begin(&fixture, STORE_POSTGRES, script, 2);
    struct job job = job_of(&fixture);
    for (unsigned i = 1; i <= 2; i++) {
        assert_true(caller_run(&fixture.caller, &job, &fixture.failure));
        assert_int_equal(fixture.rows, i);
    }
    assert_true(caller_finish(&fixture.caller, &fixture.failure)); // nothing is under way
    end(&fixture);
}

// Rows that came before the database went away come again.
static void a_database_that_is_away_is_waited_for(void **state) {
    static const struct scripted_job script[] = {
        {ROW, .outcome.kind = OUTCOME_BUSY}, {ROW, .outcome.kind = OUTCOME_UNAVAILABLE}, {ROW}};
    struct fixture fixture;
    begin(&fixture, STORE_POSTGRES, script, 3);
    struct job job = job_of(&fixture);
    assert_true(caller_run(&fixture.caller, &job, &fixture.failure));
    assert_int_equal(fixture.rows, 1);
    assert_int_equal(fixture.caller.outcome.kind, OUTCOME_DONE);
    end(&fixture);
}

// What may have happened is not done twice, and what failed of itself fails again.
static void nothing_else_is_tried_again(void **state) {
    static const enum outcome_kind kinds[] = {OUTCOME_CONFLICT, OUTCOME_UNEXPECTED, OUTCOME_TIMEOUT,
                                              OUTCOME_FULL,     OUTCOME_UNKNOWN,    OUTCOME_FAILED,
                                              OUTCOME_OVERFLOW};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct scripted_job script[] = {{ROW, .outcome.kind = kinds[i]}, {ROW}};
        struct fixture fixture;
        begin(&fixture, STORE_POSTGRES, script, 2);
        struct job job = job_of(&fixture);
        assert_false(caller_run(&fixture.caller, &job, &fixture.failure));
        assert_int_equal(fixture.caller.outcome.kind, kinds[i]);
        assert_int_not_equal(fixture.failure.code, FAILURE_NONE);
        assert_true(caller_run(&fixture.caller, &job, &fixture.failure));
        end(&fixture);
    }
}

static void a_file_that_cannot_be_read_is_not_waited_for(void **state) {
    static const struct scripted_job script[] = {{ROW, .outcome.kind = OUTCOME_BUSY},
                                                 {ROW, .outcome.kind = OUTCOME_UNAVAILABLE}};
    struct fixture fixture;
    begin(&fixture, STORE_SQLITE, script, 2);
    struct job job = job_of(&fixture);
    assert_false(caller_run(&fixture.caller, &job, &fixture.failure));
    assert_int_equal(fixture.caller.outcome.kind, OUTCOME_UNAVAILABLE);
    end(&fixture);
}

static void a_refused_job_fails_at_once(void **state) {
    static const struct scripted_job script[] = {{.refused = true}, {ROW}};
    struct fixture fixture;
    begin(&fixture, STORE_POSTGRES, script, 2);
    struct job job = job_of(&fixture);
    assert_false(caller_run(&fixture.caller, &job, &fixture.failure));
    assert_int_equal(fixture.failure.code, FAILURE_QUEUE_FULL);
    assert_true(caller_run(&fixture.caller, &job, &fixture.failure));
    end(&fixture);
}

static void closing_waits_for_a_job_but_not_for_the_database(void **state) {
    static const struct scripted_job script[] = {{ROW, .outcome.kind = OUTCOME_BUSY}};
    struct fixture fixture;
    begin(&fixture, STORE_POSTGRES, script, 1);
    struct job job = job_of(&fixture);
    caller_start(&fixture.caller, &job);
    end(&fixture);
    assert_int_equal(fixture.caller.outcome.kind, OUTCOME_BUSY);
}

static void one_that_was_never_opened_may_be_closed(void **state) {
    struct caller caller = {0};
    caller_close(&caller);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_one_after_another),
        cmocka_unit_test(a_database_that_is_away_is_waited_for),
        cmocka_unit_test(nothing_else_is_tried_again),
        cmocka_unit_test(a_file_that_cannot_be_read_is_not_waited_for),
        cmocka_unit_test(a_refused_job_fails_at_once),
        cmocka_unit_test(closing_waits_for_a_job_but_not_for_the_database),
        cmocka_unit_test(one_that_was_never_opened_may_be_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
