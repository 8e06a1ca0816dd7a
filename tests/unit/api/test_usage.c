#include "api/usage.h"

#include "store/scripted_store.h"
#include "unit/allocation.h"
#include "unit/testing.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_JOBS = 8, DAY = 86400000 };

struct rig {
    uv_loop_t loop;
    struct store *store;
    struct store_session *session;
    struct arena arena;
    struct usage usage;
    bool stopped;
    bool detached;
};

static const struct scripted_call key_call = {.sql = "UPDATE trestle_keys", .changes = 1};
static const struct scripted_call day_call = {.sql = "INSERT INTO trestle_key_usage", .changes = 1};
static const struct scripted_call one_key[] = {
    {.sql = "UPDATE trestle_keys", .changes = 1},
    {.sql = "INSERT INTO trestle_key_usage", .changes = 1}};

static struct rig *begin(struct rig *rig, const struct scripted_job *script, size_t count) {
    struct failure failure;
    *rig = (struct rig){0};
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    rig->store = scripted_store_open(STORE_SQLITE, script, count, &failure);
    assert_non_null(rig->store);
    assert_true(store_attach(rig->store, &rig->loop, &rig->session, &failure));
    assert_true(usage_open(&rig->usage, &rig->arena, dialect_of(STORE_SQLITE), NULL));
    usage_start(&rig->usage, &rig->loop, rig->session);
    return rig;
}

static void on_detached(void *owner) {
    struct rig *rig = owner;
    rig->detached = true;
}

static void on_stopped(void *owner) {
    struct rig *rig = owner;
    rig->stopped = true;
    store_detach(rig->session, on_detached, rig);
}

static void end(struct rig *rig) {
    usage_stop(&rig->usage, on_stopped, rig);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_true(rig->stopped && rig->detached);
    assert_string_equal(scripted_store_difference(rig->store), "");
    assert_int_equal(scripted_store_left(rig->store), 0);
    usage_close(&rig->usage);
    usage_close(&rig->usage);
    arena_free(&rig->arena);
    store_close(rig->store);
    assert_int_equal(uv_loop_close(&rig->loop), 0);
}

static void run_until_left(struct rig *rig, size_t left) {
    while (scripted_store_left(rig->store) > left || rig->usage.is_out)
        uv_run(&rig->loop, UV_RUN_ONCE);
}

static void count(struct rig *rig, unsigned key, int64_t now, unsigned status) {
    char id[API_KEY_ID_SIZE + 1];
    snprintf(id, sizeof id, "01890000-0000-7000-8000-%012x", key);
    usage_count(&rig->usage, id, now, status);
}

// The parameters of the last job: of a key, and of its day.
static int64_t written(const struct rig *rig, size_t place) {
    return rig->usage.writing->of_keys[place][0].integer;
}

static void requests_of_a_key_and_day_are_written_at_once(void **state) {
    const struct scripted_job script[] = {{.calls = one_key, .call_count = 2}};
    struct rig rig;
    begin(&rig, script, 1);
    count(&rig, 1, 5 * DAY + 20, 200);
    count(&rig, 1, 5 * DAY + 10, 404);
    count(&rig, 1, 6 * DAY - 1, 503);
    count(&rig, 1, 5 * DAY, 304);
    count(&rig, 1, 5 * DAY, 204);
    uint64_t since = uv_now(&rig.loop);
    run_until_left(&rig, 0);
    assert_in_range(uv_now(&rig.loop) - since, USAGE_INTERVAL - 1, 10000);
    const struct value *key = rig.usage.writing->of_keys[0];
    const struct value *day = rig.usage.writing->of_days[0];
    assert_int_equal(key[0].integer, 5);
    assert_text_is(key[1].text, "1970-01-06T23:59:59.999Z");
    assert_text_is(key[2].text, "01890000-0000-7000-8000-000000000001");
    assert_text_is(day[0].text, "01890000-0000-7000-8000-000000000001");
    assert_text_is(day[1].text, "1970-01-06");
    const int64_t numbers[] = {5, 2, 1, 1, 1};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(day[2 + i].integer, numbers[i]);
    assert_text_is(day[7].text, "1970-01-06T23:59:59.999Z");
    end(&rig); // and there is nothing more to write
}

static void days_are_told_apart_and_keys_are_in_order(void **state) {
    struct scripted_call calls[6];
    for (size_t i = 0; i < 6; i++)
        calls[i] = i % 2 ? day_call : key_call;
    const struct scripted_job script[] = {{.calls = calls, .call_count = 6}};
    struct rig rig;
    begin(&rig, script, 1);
    count(&rig, 2, 1 * DAY, 200);
    count(&rig, 1, 2 * DAY, 200);
    count(&rig, 1, 1 * DAY, 200);
    count(&rig, 1, 2 * DAY - 1, 200);
    end(&rig); // writes them
}

static void what_fails_is_added_later(void **state) {
    const struct scripted_job script[] = {
        {.refused = true},
        {.outcome = {.kind = OUTCOME_UNAVAILABLE}},
        {.outcome = {.kind = OUTCOME_BUSY}},
        {.calls = one_key, .call_count = 2},
    };
    struct rig rig;
    begin(&rig, script, 4);
    count(&rig, 1, DAY, 200);
    run_until_left(&rig, 3);
    count(&rig, 1, DAY, 200);
    run_until_left(&rig, 2);
    count(&rig, 1, DAY, 404);
    run_until_left(&rig, 0);
    assert_int_equal(written(&rig, 0), 3);
    assert_int_equal(rig.usage.counting->count, 0);
    end(&rig);
}

// Rather a request too few than counted twice.
static void what_may_have_been_written_is_not_written_again(void **state) {
    const struct scripted_job script[] = {
        {.calls = one_key, .call_count = 2, .outcome = {.kind = OUTCOME_UNKNOWN}},
        {.calls = one_key, .call_count = 2},
    };
    struct rig rig;
    begin(&rig, script, 2);
    count(&rig, 1, DAY, 200);
    count(&rig, 1, DAY, 200);
    run_until_left(&rig, 1);
    count(&rig, 1, DAY, 200);
    run_until_left(&rig, 0);
    assert_int_equal(written(&rig, 0), 1);
    end(&rig);
}

static void many_keys_take_several_jobs(void **state) {
    static struct scripted_call calls[2 * USAGE_BATCH];
    for (size_t i = 0; i < 2 * USAGE_BATCH; i++)
        calls[i] = i % 2 ? day_call : key_call;
    const struct scripted_job script[] = {
        {.calls = calls, .call_count = 2 * USAGE_BATCH},
        {.outcome = {.kind = OUTCOME_TIMEOUT}},
        {.calls = calls, .call_count = 2 * USAGE_BATCH},
        {.calls = calls, .call_count = 2},
    };
    struct rig rig;
    begin(&rig, script, 4);
    for (unsigned i = 0; i < 2 * USAGE_BATCH + 1; i++)
        count(&rig, i, DAY, 200);
    run_until_left(&rig, 0);
    assert_text_is(rig.usage.writing->of_keys[0][2].text, "01890000-0000-7000-8000-000000000080");
    end(&rig);
}

static void more_keys_than_there_is_room_for(void **state) {
    static struct scripted_call calls[2 * USAGE_BATCH];
    struct scripted_job script[USAGE_ROOM / USAGE_BATCH];
    struct rig rig;
    for (size_t i = 0; i < 2 * USAGE_BATCH; i++)
        calls[i] = i % 2 ? day_call : key_call;
    for (size_t i = 0; i < USAGE_ROOM / USAGE_BATCH; i++)
        script[i] = (struct scripted_job){.calls = calls, .call_count = 2 * USAGE_BATCH};
    begin(&rig, script, USAGE_ROOM / USAGE_BATCH);
    for (unsigned i = 0; i < USAGE_ROOM + 10; i++)
        count(&rig, i, DAY, 200);
    for (unsigned i = 0; i < USAGE_ROOM; i++)
        count(&rig, i, DAY, 200); // those that are there go on
    assert_int_equal(rig.usage.lost, 10);
    run_until_left(&rig, 0);
    assert_int_equal(written(&rig, 0), 2);
    assert_int_equal(rig.usage.lost, 0); // it was said
    end(&rig);
}

static void a_database_that_is_away_at_the_end(void **state) {
    const struct scripted_job script[] = {{.outcome = {.kind = OUTCOME_UNAVAILABLE}},
                                          {.outcome = {.kind = OUTCOME_UNAVAILABLE}}};
    struct rig rig;
    begin(&rig, script, 2);
    count(&rig, 1, DAY, 200);
    run_until_left(&rig, 1);
    end(&rig); // tries once more
}

static void it_ends_while_a_job_is_out(void **state) {
    const struct scripted_job script[] = {{.calls = one_key, .call_count = 2},
                                          {.calls = one_key, .call_count = 2}};
    struct rig rig;
    begin(&rig, script, 2);
    count(&rig, 1, DAY, 200);
    while (!rig.usage.is_out)
        uv_run(&rig.loop, UV_RUN_ONCE);
    count(&rig, 2, DAY, 200);
    end(&rig);
}

static void without_memory(void **state) {
    unsigned failed = 0;
    for (ALLOCATION_FAILURES(nth)) {
        struct usage usage;
        struct arena arena = {0};
        bool opened = usage_open(&usage, &arena, dialect_of(STORE_POSTGRES), NULL);
        bool failing = allocation_allow();
        assert_int_equal(opened, !failing);
        usage_close(&usage);
        arena_free(&arena);
        if (!failing)
            break;
        failed++;
    }
    assert_true(failed >= 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_of_a_key_and_day_are_written_at_once),
        cmocka_unit_test(days_are_told_apart_and_keys_are_in_order),
        cmocka_unit_test(what_fails_is_added_later),
        cmocka_unit_test(what_may_have_been_written_is_not_written_again),
        cmocka_unit_test(many_keys_take_several_jobs),
        cmocka_unit_test(more_keys_than_there_is_room_for),
        cmocka_unit_test(a_database_that_is_away_at_the_end),
        cmocka_unit_test(it_ends_while_a_job_is_out),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
