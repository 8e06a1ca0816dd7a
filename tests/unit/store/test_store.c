#include "store_harness.h"

#include "store/scripted_store.h"
#include "unit/allocation.h"

static void every_outcome_has_its_failure(void **state) {
    static const struct {
        struct outcome outcome;
        enum failure_code code;
    } cases[] = {
        {{.kind = OUTCOME_CONFLICT, .conflict = CONFLICT_UNIQUE}, FAILURE_CONFLICT},
        {{.kind = OUTCOME_CONFLICT, .conflict = CONFLICT_REFERENCE}, FAILURE_IN_USE},
        {{.kind = OUTCOME_UNEXPECTED}, FAILURE_CONTENTION},
        {{.kind = OUTCOME_OVERFLOW}, FAILURE_OVERFLOW},
        {{.kind = OUTCOME_BUSY}, FAILURE_UNAVAILABLE},
        {{.kind = OUTCOME_TIMEOUT}, FAILURE_QUERY_TIMEOUT},
        {{.kind = OUTCOME_FULL}, FAILURE_DISK_FULL},
        {{.kind = OUTCOME_UNAVAILABLE}, FAILURE_UNAVAILABLE},
        {{.kind = OUTCOME_UNKNOWN}, FAILURE_OUTCOME_UNKNOWN},
        {{.kind = OUTCOME_CANCELLED}, FAILURE_STOPPING},
        {{.kind = OUTCOME_FAILED}, FAILURE_INTERNAL},
    };
    assert_int_equal(sizeof cases / sizeof *cases, OUTCOME_FAILED + 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct failure failure = {0};
        assert_false(outcome_failure(&cases[i].outcome, &failure));
        assert_int_equal(failure.code, cases[i].code);
        assert_true(strlen(failure.detail) > 10);
    }
    struct failure untouched = {.code = FAILURE_NOT_FOUND};
    assert_true(outcome_failure(&(struct outcome){.kind = OUTCOME_DONE}, &untouched));
    assert_int_equal(untouched.code, FAILURE_NOT_FOUND);
}

// A store whose jobs end as the script says, and a job without calls to run on it.
static bool run_scripted(const struct scripted_job *script, struct job *job,
                         struct failure *failure) {
    struct store *store = scripted_store_open(STORE_SQLITE, script, 1, failure);
    assert_non_null(store);
    bool done = store_run(store, job, failure);
    store_close(store);
    return done;
}

static void run_waits_for_the_outcome(void **state) {
    struct job job = {.kind = JOB_WRITE};
    struct failure failure = {0};
    assert_true(run_scripted(&(struct scripted_job){0}, &job, &failure));
    assert_int_equal(job.outcome.kind, OUTCOME_DONE);
    assert_null(job.on_done);
    struct scripted_job full = {.outcome = {.kind = OUTCOME_FULL}};
    assert_false(run_scripted(&full, &job, &failure));
    assert_int_equal(failure.code, FAILURE_DISK_FULL);
    assert_int_equal(job.outcome.kind, OUTCOME_FULL);
}

static void run_says_that_the_queue_is_full(void **state) {
    struct job job = {.kind = JOB_WRITE};
    struct failure failure = {0};
    assert_false(run_scripted(&(struct scripted_job){.refused = true}, &job, &failure));
    assert_int_equal(failure.code, FAILURE_QUEUE_FULL);
}

static void run_survives_a_lack_of_memory(void **state) {
    struct scripted_job script[100] = {0};
    struct failure failure = {0};
    struct store *store = scripted_store_open(STORE_SQLITE, script, 100, &failure);
    assert_non_null(store);
    for (ALLOCATION_FAILURES(nth)) {
        struct job job = {.kind = JOB_READ};
        bool done = store_run(store, &job, &failure);
        if (!allocation_allow()) {
            assert_true(done);
            break;
        }
        assert_false(done);
        assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
    }
    store_close(store);
}

static void calls_are_in_the_order_of_their_keys(void **state) {
    static const size_t keys[] = {2, 0};
    const struct statement statement = {.sql = TEXT("x"), .group_keys = keys, .group_key_count = 2};
    const struct statement other = {.sql = TEXT("y"), .hash = 1};
    const struct value rows[][3] = {
        {value_null(), value_integer(9), value_null()},
        {value_integer(7), value_integer(8), value_null()},
        {value_integer(7), value_integer(7), value_text(VALUE_TEXT, TEXT("a"))},
        {value_boolean(true), value_integer(6), value_text(VALUE_TEXT, TEXT("ab"))},
        {value_integer(1), value_integer(5), value_text(VALUE_TEXT, TEXT("ab"))},
    };
    enum { ROWS = sizeof rows / sizeof *rows };
    struct call calls[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        calls[i] =
            (struct call){.statement = &statement, .parameters = rows[i], .parameter_count = 3};
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < ROWS; j++) {
            int order = call_compare(&calls[i], &calls[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
    struct call elsewhere = {.statement = &other};
    assert_true(call_compare(&calls[0], &elsewhere) < 0);
    assert_true(call_compare(&elsewhere, &calls[0]) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_outcome_has_its_failure),
        cmocka_unit_test(run_waits_for_the_outcome),
        cmocka_unit_test(run_says_that_the_queue_is_full),
        cmocka_unit_test(run_survives_a_lack_of_memory),
        cmocka_unit_test(calls_are_in_the_order_of_their_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
