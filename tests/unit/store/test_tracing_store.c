#include "store/tracing_store.h"

#include "store/scripted_store.h"
#include "store_harness.h"
#include "unit/allocation.h"

#include <unistd.h>

struct scene {
    char path[64];
    struct log *log;
    struct harness harness;
};

static void open_scene(struct scene *scene, const struct scripted_job *script, size_t count) {
    *scene = (struct scene){.path = "/tmp/tracing-store-XXXXXX"};
    int file = mkstemp(scene->path);
    assert_true(file >= 0);
    (void)close(file);
    struct failure failure;
    scene->log = log_open(LOG_TEXT, LOG_INFO, scene->path, &failure);
    assert_non_null(scene->log);
    struct store *inner = scripted_store_open(STORE_POSTGRES, script, count, &failure);
    assert_non_null(inner);
    struct store *store = tracing_store_open(inner, scene->log, &failure);
    assert_non_null(store);
    assert_int_equal(store_dialect(store), STORE_POSTGRES);
    harness_attach(&scene->harness, store);
}

// Closes everything and gives what was logged.
static char *close_scene(struct scene *scene) {
    harness_detach(&scene->harness);
    store_close(scene->harness.store);
    log_close(scene->log);
    char *logged = calloc(1, 8192);
    FILE *file = fopen(scene->path, "r");
    assert_true(logged && file);
    assert_true(fread(logged, 1, 8191, file) > 0);
    (void)fclose(file);
    (void)unlink(scene->path);
    return logged;
}

static void expect_in(const char *logged, const char *wanted) {
    if (!strstr(logged, wanted))
        fail_msg("\"%s\" should be in: %s", wanted, logged);
}

static void everything_is_logged_but_the_values(void **state) {
    const struct value cell = value_integer(5);
    const struct scripted_call calls[] = {{.cells = &cell, .row_count = 1}, {.changes = 2}};
    const struct scripted_job script[] = {
        {.calls = calls, .call_count = 2},
        {.outcome = {.kind = OUTCOME_CONFLICT, .constraint = "items.name"}},
    };
    struct scene scene;
    open_scene(&scene, script, 2);
    struct work *work = work_create(&scene.harness, JOB_WRITE);
    work_add(work, "INSERT INTO items VALUES($1, $2) RETURNING id", "i");
    work_bind_text(work, "secret");
    work_bind(work, value_null());
    work_add(work, "UPDATE items SET size = 1", "");
    assert_int_equal(work_run(work), OUTCOME_DONE);
    assert_string_equal(work->rows, "5");
    assert_int_equal(work->calls[1].rows, 2);
    assert_int_equal(work_run(work), OUTCOME_CONFLICT);
    assert_string_equal(work->outcome.constraint, "items.name");
    free(work);
    char *logged = close_scene(&scene);
    expect_in(logged, "job 1 write, call 1 of 2: INSERT INTO items VALUES($1, $2) RETURNING id "
                      "(text[6], null)");
    expect_in(logged, "job 1 write, call 2 of 2: UPDATE items SET size = 1 ()");
    expect_in(logged, "job 1 done after ");
    expect_in(logged, " us, 3 rows");
    expect_in(logged, "job 2 conflict items.name after ");
    assert_null(strstr(logged, "secret"));
    free(logged);
}

static bool bind_secret(struct work *work, size_t call) {
    work->calls[call].parameter_count = 1;
    work->parameters[call][0] = value_text(VALUE_TEXT, TEXT("secret"));
    return work->row_count == 1;
}

static void late_calls_are_logged_when_they_begin(void **state) {
    const struct value cell = value_integer(5);
    const struct scripted_call calls[] = {{.cells = &cell, .row_count = 1}, {.changes = 1}};
    const struct scripted_call nothing[] = {{.row_count = 0}, {.changes = 1}};
    const struct scripted_job script[] = {{.calls = calls, .call_count = 2},
                                          {.calls = nothing, .call_count = 2}};
    struct scene scene;
    open_scene(&scene, script, 2);
    struct work *work = work_create(&scene.harness, JOB_WRITE);
    work_add(work, "INSERT INTO items RETURNING id", "i");
    work_add(work, "UPDATE items SET name = $1", "")->late = true;
    work->late = bind_secret;
    assert_int_equal(work_run(work), OUTCOME_DONE);
    assert_int_equal(work_run(work), OUTCOME_FAILED);
    free(work);
    char *logged = close_scene(&scene);
    expect_in(logged, "job 1 write, call 2 of 2: UPDATE items SET name = $1 (text[6])");
    expect_in(logged, "job 2 write, call 1 of 2");
    assert_null(strstr(logged, "job 2 write, call 2 of 2"));
    free(logged);
}

static void restarts_refusals_and_cancelling_pass_through(void **state) {
    const struct value cell = value_integer(5);
    const struct scripted_call call = {.cells = &cell, .row_count = 1};
    const struct scripted_job script[] = {
        {.calls = &call, .call_count = 1, .restarted = true},
        {.refused = true},
        {0},
    };
    struct scene scene;
    open_scene(&scene, script, 3);
    struct work *work = work_create(&scene.harness, JOB_READ);
    work_add(work, "SELECT 5", "i");
    assert_int_equal(work_run(work), OUTCOME_DONE);
    assert_int_equal(work->restarts, 1);
    assert_string_equal(work->rows, "5");
    assert_false(work_submit(work));
    assert_true(work_submit(work));
    struct store_statistics statistics;
    store_statistics(scene.harness.store, &statistics);
    assert_int_equal(statistics.queued, 1);
    store_cancel(scene.harness.session, &work->job);
    harness_run(&scene.harness);
    assert_int_equal(work->outcome.kind, OUTCOME_CANCELLED);
    free(work);
    char *logged = close_scene(&scene);
    expect_in(logged, "job 2 refused");
    expect_in(logged, "job 3 cancelled");
    free(logged);
}

static void many_parameters_are_cut(void **state) {
    const struct scripted_job script[1] = {0};
    struct scene scene;
    open_scene(&scene, script, 1);
    struct value parameters[200];
    for (size_t i = 0; i < 200; i++)
        parameters[i] = value_integer(1);
    struct work *work = work_create(&scene.harness, JOB_SCAN);
    struct call *call = work_add(work, "SELECT 1", "");
    call->parameters = parameters;
    call->parameter_count = 200;
    assert_int_equal(work_run(work), OUTCOME_DONE);
    free(work);
    char *logged = close_scene(&scene);
    expect_in(logged, "job 1 scan, call 1 of 1: SELECT 1 (integer, integer, ");
    free(logged);
}

static void a_lack_of_memory_refuses(void **state) {
    const struct scripted_job script[1] = {0};
    struct scene scene;
    open_scene(&scene, script, 1);
    struct work *work = work_create(&scene.harness, JOB_READ);
    allocation_fail_from(1);
    assert_false(work_submit(work));
    assert_true(allocation_allow());
    assert_int_equal(work_run(work), OUTCOME_DONE);
    struct failure failure;
    allocation_fail_from(1);
    assert_null(tracing_store_open(scene.harness.store, NULL, &failure));
    assert_true(allocation_allow());
    assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
    free(work);
    free(close_scene(&scene));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_logged_but_the_values),
        cmocka_unit_test(late_calls_are_logged_when_they_begin),
        cmocka_unit_test(restarts_refusals_and_cancelling_pass_through),
        cmocka_unit_test(many_parameters_are_cut),
        cmocka_unit_test(a_lack_of_memory_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
