#include "store/scripted_store.h"

#include "store_harness.h"
#include "unit/allocation.h"

static void open_script(struct harness *harness, const struct scripted_job *script, size_t count) {
    struct failure failure;
    struct store *store = scripted_store_open(STORE_POSTGRES, script, count, &failure);
    assert_non_null(store);
    assert_int_equal(store_dialect(store), STORE_POSTGRES);
    harness_attach(harness, store);
}

static void close_script(struct harness *harness, const char *difference, size_t left) {
    assert_int_equal(scripted_store_left(harness->store), left);
    const char *actual = scripted_store_difference(harness->store);
    if (*difference ? !strstr(actual, difference) : *actual)
        fail_msg("\"%s\" should have \"%s\"", actual, difference);
    harness_detach(harness);
    store_close(harness->store);
}

static const struct value two_rows[] = {
    {.kind = VALUE_INTEGER, .integer = 1},
    {.kind = VALUE_TEXT, .text = TEXT_INIT("a")},
    {.kind = VALUE_INTEGER, .integer = 2},
    {.kind = VALUE_NULL},
};

static struct work *select_rows(struct harness *harness) {
    struct work *work = work_create(harness, JOB_READ);
    work_add(work, "SELECT id, name FROM items WHERE id > $1", "it");
    work_bind(work, value_integer(0));
    return work;
}

static void rows_come_from_the_script(void **state) {
    const struct value zero = value_integer(0);
    const struct scripted_call call = {.sql = "FROM items",
                                       .parameters = &zero,
                                       .parameter_count = 1,
                                       .cells = two_rows,
                                       .row_count = 2};
    const struct scripted_job script[] = {{.calls = &call, .call_count = 1},
                                          {.calls = &call, .call_count = 1, .restarted = true}};
    struct harness harness;
    open_script(&harness, script, 2);
    struct work *work = select_rows(&harness);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(work_run(work), OUTCOME_DONE);
        assert_string_equal(work->rows, "1, 'a'; 2, null");
        assert_int_equal(work->calls[0].rows, 2);
        assert_int_equal(work->restarts, i);
    }
    free(work);
    close_script(&harness, "", 0);
}

static void what_every_store_says_overrides_the_script(void **state) {
    const struct scripted_call call = {.cells = two_rows, .row_count = 2};
    const struct scripted_job script[] = {{.calls = &call, .call_count = 1},
                                          {.calls = &call, .call_count = 1},
                                          {.calls = &call, .call_count = 1}};
    struct harness harness;
    open_script(&harness, script, 3);
    struct work *work = select_rows(&harness);
    work->calls[0].expect = 1;
    assert_int_equal(work_run(work), OUTCOME_UNEXPECTED);
    work->give_up_at = 2;
    assert_int_equal(work_run(work), OUTCOME_FAILED);
    assert_int_equal(work->row_count, 2);
    assert_true(work_submit(work));
    store_cancel(harness.session, &work->job);
    harness_run(&harness);
    assert_int_equal(work->outcome.kind, OUTCOME_CANCELLED);
    free(work);
    close_script(&harness, "", 0);
}

static bool bind_the_row(struct work *work, size_t call) {
    work->parameters[call][0] = value_integer(strtoll(work->rows, NULL, 10));
    return work->calls[0].rows == 1;
}

static void late_calls_are_asked_for(void **state) {
    const struct value five = value_integer(5);
    const struct scripted_call calls[] = {
        {.cells = &five, .row_count = 1},
        {.sql = "parts", .parameters = &five, .parameter_count = 1, .changes = 1}};
    const struct scripted_call nothing[] = {{.row_count = 0}, {.changes = 1}};
    const struct scripted_job script[] = {{.calls = calls, .call_count = 2},
                                          {.calls = calls, .call_count = 2, .restarted = true},
                                          {.calls = nothing, .call_count = 2}};
    struct harness harness;
    open_script(&harness, script, 3);
    struct work *work = work_create(&harness, JOB_WRITE);
    work_add(work, "INSERT INTO items RETURNING id", "i");
    work_add(work, "INSERT INTO parts VALUES($1)", "")->late = true;
    work_bind(work, value_null());
    work->late = bind_the_row;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(work_run(work), OUTCOME_DONE);
        assert_int_equal(work->lates, 1);
        assert_int_equal(work->restarts, i);
    }
    assert_int_equal(work_run(work), OUTCOME_FAILED);
    assert_int_equal(work->outcome.call, 1);
    free(work);
    close_script(&harness, "", 0);
}

static void outcomes_and_changes_come_from_the_script(void **state) {
    const struct scripted_call call = {.changes = 3};
    const struct scripted_job script[] = {
        {.calls = &call, .call_count = 1},
        {.outcome = {.kind = OUTCOME_CONFLICT, .constraint = "items.name"}},
        {.refused = true},
        {.outcome = {.kind = OUTCOME_BUSY}},
        {.outcome = {.kind = OUTCOME_FULL}},
    };
    struct harness harness;
    open_script(&harness, script, 5);
    struct work *work = work_create(&harness, JOB_WRITE);
    work_add(work, "UPDATE items SET size = 1", "")->expect = 3;
    assert_int_equal(work_run(work), OUTCOME_DONE);
    assert_int_equal(work->calls[0].rows, 3);
    struct work *other = work_create(&harness, JOB_WRITE);
    assert_true(work_submit(work));
    assert_false(work_submit(other));
    assert_true(work_submit(other));
    harness_run(&harness);
    assert_int_equal(work->outcome.kind, OUTCOME_CONFLICT);
    assert_string_equal(work->outcome.constraint, "items.name");
    assert_int_equal(other->outcome.kind, OUTCOME_BUSY);
    free(work);
    free(other);
    close_script(&harness, "", 1);
}

static void differences_are_named(void **state) {
    const struct value one = value_integer(1);
    const struct value text = value_text(VALUE_TEXT, TEXT("1"));
    const struct {
        struct scripted_call call;
        size_t call_count;
        const char *difference;
    } cases[] = {
        {{.sql = "FROM parts"}, 1, "job 1: expected 'FROM parts', not 'SELECT id, name FROM items"},
        {{.parameters = &one, .parameter_count = 1}, 1, "job 1: parameter 1 of"},
        {{.parameters = &text, .parameter_count = 1}, 1, "job 1: parameter 1 of"},
        {{.parameters = &one, .parameter_count = 0}, 1, "expected 0 parameters, not 1"},
        {{.sql = NULL}, 2, "expected 2 calls, not 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct scripted_call calls[2] = {cases[i].call};
        const struct scripted_job script = {.calls = calls, .call_count = cases[i].call_count};
        struct harness harness;
        open_script(&harness, &script, 1);
        struct work *work = select_rows(&harness);
        assert_int_equal(work_run(work), OUTCOME_FAILED);
        free(work);
        close_script(&harness, cases[i].difference, 0);
    }
}

static void a_job_beyond_the_script_fails(void **state) {
    struct harness harness;
    open_script(&harness, NULL, 0);
    struct work *work = select_rows(&harness);
    assert_int_equal(work_run(work), OUTCOME_FAILED);
    free(work);
    close_script(&harness, "after the end of the script", 0);
}

static void jobs_are_answered_before_the_session_ends(void **state) {
    const struct scripted_job script[2] = {0};
    struct harness harness;
    open_script(&harness, script, 2);
    struct work *work = select_rows(&harness);
    assert_true(work_submit(work));
    store_detach(harness.session, harness_on_detached, &harness);
    assert_int_equal(work->done, 0);
    struct work *late = select_rows(&harness);
    assert_false(work_submit(late));
    free(late);
    uv_run(&harness.loop, UV_RUN_DEFAULT);
    assert_int_equal(harness.detached, 1);
    assert_int_equal(work->done, 1);
    assert_int_equal(uv_loop_close(&harness.loop), 0);
    free(work);
    store_close(harness.store);
}

static void opening_survives_a_lack_of_memory(void **state) {
    for (ALLOCATION_FAILURES(nth)) {
        struct failure failure = {0};
        struct store *store = scripted_store_open(STORE_SQLITE, NULL, 0, &failure);
        bool failed = allocation_allow();
        assert_int_equal(!store, failed);
        store_close(store);
        if (!failed)
            break;
        assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_from_the_script),
        cmocka_unit_test(what_every_store_says_overrides_the_script),
        cmocka_unit_test(late_calls_are_asked_for),
        cmocka_unit_test(outcomes_and_changes_come_from_the_script),
        cmocka_unit_test(differences_are_named),
        cmocka_unit_test(a_job_beyond_the_script_fails),
        cmocka_unit_test(jobs_are_answered_before_the_session_ends),
        cmocka_unit_test(opening_survives_a_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
