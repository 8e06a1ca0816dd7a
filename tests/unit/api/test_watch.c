#include "api/watch.h"

#include "base/clock.h"
#include "store/scripted_store.h"
#include "unit/allocation.h"
#include "unit/testing.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_JOBS = 16 };

// Something watched that remembers what it was told.
struct probe {
    struct watched base; // first, so that one is the other
    struct column column;
    struct statement statement;
    struct call calls[2];
    char rows[64];
    unsigned begun;
    unsigned changed;
    unsigned failures; // times that on_changed fails
    unsigned seen;
    uint64_t seen_at;
    unsigned changed_when_seen;
};

struct rig {
    uv_loop_t loop;
    struct store *store;
    struct store_operations operations; // the store's, but it can be told
    void (*on_news)(void *owner);
    void *news_owner;
    struct scripted_job script[MAX_JOBS];
    size_t job_count;
    struct probe first;
    struct probe second; // has no calls
    struct watched *items[2];
    struct watch watch;
    bool stopped;
};

static struct rig *the_rig; // of the test that runs

static void on_begin(struct watched *watched) {
    struct probe *probe = (struct probe *)watched;
    probe->begun++;
    probe->rows[0] = '\0';
}

static bool on_row(struct watched *watched, size_t call, const struct value *cells) {
    struct probe *probe = (struct probe *)watched;
    size_t used = strlen(probe->rows);
    (void)snprintf(probe->rows + used, sizeof probe->rows - used, "%zu:%.*s ", call,
                   TEXT_ARGS(cells[0].text));
    return true;
}

static bool on_changed(struct watched *watched) {
    struct probe *probe = (struct probe *)watched;
    if (probe->failures) {
        probe->failures--;
        return false;
    }
    probe->changed++;
    return true;
}

static void on_seen(struct watched *watched, uint64_t moment) {
    struct probe *probe = (struct probe *)watched;
    assert_true(moment >= probe->seen_at && moment <= clock_monotonic());
    probe->seen++;
    probe->seen_at = moment;
    probe->changed_when_seen = probe->changed;
}

static void listen_to_tests(struct store_session *session, void (*on_news)(void *owner),
                            void *owner) {
    the_rig->on_news = on_news;
    the_rig->news_owner = owner;
}

static void probe_init(struct probe *probe, size_t calls) {
    probe->column = (struct column){.kind = VALUE_TEXT};
    probe->statement = (struct statement){
        .sql = TEXT("SELECT name FROM things"), .columns = &probe->column, .column_count = 1};
    for (size_t i = 0; i < calls; i++)
        probe->calls[i] = (struct call){.statement = &probe->statement, .expect = EXPECT_ANY};
    probe->base = (struct watched){.calls = probe->calls,
                                   .call_count = calls,
                                   .on_begin = calls ? on_begin : NULL,
                                   .on_row = calls ? on_row : NULL,
                                   .on_changed = on_changed,
                                   .on_seen = on_seen};
}

static int set_up(void **state) {
    static struct rig rig;
    rig = (struct rig){.items = {&rig.first.base, &rig.second.base}};
    the_rig = &rig;
    probe_init(&rig.first, 2);
    probe_init(&rig.second, 0);
    *state = &rig;
    return uv_loop_init(&rig.loop);
}

static int tear_down(void **state) {
    struct rig *rig = *state;
    assert_int_equal(uv_loop_close(&rig->loop), 0);
    store_close(rig->store);
    return 0;
}

// --- scripts

static struct scripted_job *add_job(struct rig *rig) {
    assert_true(rig->job_count < MAX_JOBS);
    return &rig->script[rig->job_count++];
}

static const struct value ones[] = {{.kind = VALUE_TEXT, .text = TEXT_INIT("1")}};
static const struct value twos[] = {{.kind = VALUE_TEXT, .text = TEXT_INIT("2")}};
static const struct value threes[] = {{.kind = VALUE_TEXT, .text = TEXT_INIT("3")}};
static const struct value things[] = {{.kind = VALUE_TEXT, .text = TEXT_INIT("a")},
                                      {.kind = VALUE_TEXT, .text = TEXT_INIT("b")}};

// A look at the version alone; `version` may be NULL where the row is not there.
static struct scripted_job *add_look(struct rig *rig, struct scripted_call calls[1],
                                     const struct value *version) {
    struct scripted_job *job = add_job(rig);
    calls[0] = (struct scripted_call){
        .sql = "FROM trestle_meta WHERE name", .cells = version, .row_count = version ? 1 : 0};
    *job = (struct scripted_job){.calls = calls, .call_count = 1};
    return job;
}

// A reading of everything.
static struct scripted_job *add_reading(struct rig *rig, struct scripted_call calls[3],
                                        const struct value *version) {
    struct scripted_job *job = add_look(rig, calls, version);
    calls[1] = (struct scripted_call){.sql = "FROM things", .cells = things, .row_count = 2};
    calls[2] = (struct scripted_call){.sql = "FROM things", .cells = things, .row_count = 1};
    job->call_count = 3;
    return job;
}

static void start(struct rig *rig) {
    struct failure failure;
    rig->store = scripted_store_open(STORE_SQLITE, rig->script, rig->job_count, &failure);
    assert_non_null(rig->store);
    rig->operations = *rig->store->operations;
    rig->operations.listen = listen_to_tests;
    rig->store->operations = &rig->operations;
    assert_true(watch_start(&rig->watch, &rig->loop, rig->store, NULL, rig->items, 2, &failure));
}

static void on_stopped(void *owner) {
    struct rig *rig = owner;
    rig->stopped = true;
}

// Plays the script to its end, and stops.
static void play(struct rig *rig) {
    while (scripted_store_left(rig->store) || rig->watch.is_out)
        uv_run(&rig->loop, UV_RUN_ONCE);
    watch_stop(&rig->watch, on_stopped, rig);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_true(rig->stopped);
    assert_string_equal(scripted_store_difference(rig->store), "");
}

// --- tests

static void everything_is_read_once_and_again_when_the_version_changes(void **state) {
    struct rig *rig = *state;
    struct scripted_call calls[MAX_JOBS][3];
    add_reading(rig, calls[0], ones);
    add_look(rig, calls[1], ones);
    add_look(rig, calls[2], ones);
    add_look(rig, calls[3], twos);
    add_reading(rig, calls[4], twos)->restarted = true;
    add_look(rig, calls[5], twos);
    uint64_t began = clock_monotonic();
    start(rig);
    play(rig);
    assert_int_equal(rig->first.changed, 2);
    assert_int_equal(rig->second.changed, 2);
    assert_string_equal(rig->first.rows, ""); // a look forgets them
    assert_true(clock_monotonic() - began >= 4 * WATCH_INTERVAL - 20);
    // The look that found another version told nothing that it could not tell.
    assert_int_equal(rig->second.seen, 5);
    assert_int_equal(rig->second.changed_when_seen, 2);
}

static void rows_come_with_the_number_of_their_own_call(void **state) {
    struct rig *rig = *state;
    struct scripted_call calls[3];
    rig->items[0] = &rig->second.base;
    rig->items[1] = &rig->first.base;
    add_reading(rig, calls, NULL)->restarted = true;
    start(rig);
    play(rig);
    assert_string_equal(rig->first.rows, "0:a 0:b 1:a ");
    assert_int_equal(rig->first.begun, 2);
    assert_int_equal(rig->first.changed, 1);
}

// It may be the first to be raised, and a database that was restored may have an older one.
static void any_other_version_is_a_change(void **state) {
    struct rig *rig = *state;
    struct scripted_call calls[MAX_JOBS][3];
    const struct value *versions[] = {NULL, twos, ones, NULL};
    add_reading(rig, calls[0], versions[0]);
    add_look(rig, calls[1], versions[0]);
    for (size_t i = 1; i < 4; i++) {
        add_look(rig, calls[2 * i], versions[i]);
        add_reading(rig, calls[2 * i + 1], versions[i]);
    }
    start(rig);
    play(rig);
    assert_int_equal(rig->first.changed, 4);
}

// What was found by the look counts for nothing: another change may have come before the reading.
static void the_version_that_was_read_with_everything_counts(void **state) {
    struct rig *rig = *state;
    struct scripted_call calls[MAX_JOBS][3];
    add_reading(rig, calls[0], ones);
    add_look(rig, calls[1], twos);
    add_reading(rig, calls[2], threes);
    add_look(rig, calls[3], threes);
    start(rig);
    play(rig);
    assert_int_equal(rig->first.changed, 2);
}

static void a_database_that_is_away_is_looked_at_again(void **state) {
    struct rig *rig = *state;
    struct scripted_call calls[MAX_JOBS][3];
    *add_job(rig) = (struct scripted_job){.outcome = {.kind = OUTCOME_UNAVAILABLE}};
    *add_job(rig) = (struct scripted_job){.refused = true};
    add_reading(rig, calls[0], ones)->outcome.kind = OUTCOME_TIMEOUT;
    add_reading(rig, calls[1], ones);
    *add_job(rig) = (struct scripted_job){.outcome = {.kind = OUTCOME_FAILED}};
    add_look(rig, calls[2], ones);
    add_look(rig, calls[3], twos);
    *add_job(rig) = (struct scripted_job){.outcome = {.kind = OUTCOME_BUSY}};
    add_reading(rig, calls[4], twos);
    start(rig);
    play(rig);
    assert_int_equal(rig->first.changed, 2);
    assert_int_equal(rig->second.changed, 2);
    assert_int_equal(rig->first.seen, 3);
}

static void what_could_not_be_handed_on_is_read_again(void **state) {
    struct rig *rig = *state;
    struct scripted_call calls[MAX_JOBS][3];
    rig->second.failures = 2;
    for (size_t i = 0; i < 3; i++)
        add_reading(rig, calls[i], ones);
    add_look(rig, calls[3], ones);
    start(rig);
    play(rig);
    assert_int_equal(rig->first.changed, 3);
    assert_int_equal(rig->second.changed, 1);
    assert_int_equal(rig->second.seen, 2);
}

static void news_is_looked_at_at_once(void **state) {
    struct rig *rig = *state;
    struct scripted_call calls[MAX_JOBS][3];
    add_reading(rig, calls[0], ones);
    for (size_t i = 1; i < 7; i += 2) {
        const struct value *version = i == 1 ? twos : i == 3 ? threes : ones;
        add_look(rig, calls[i], version);
        add_reading(rig, calls[i + 1], version);
    }
    start(rig);
    assert_non_null(rig->on_news);
    while (rig->first.changed < 1)
        uv_run(&rig->loop, UV_RUN_ONCE);
    for (unsigned i = 2; i < 5; i++) {
        assert_false(rig->watch.is_out);
        rig->on_news(rig->news_owner);
        assert_true(rig->watch.is_out);
        while (rig->first.changed < i)
            uv_run(&rig->loop, UV_RUN_ONCE);
    }
    play(rig);
}

// A look that is under way may have read what was before.
static void news_during_a_look_is_not_lost(void **state) {
    struct rig *rig = *state;
    struct scripted_call calls[MAX_JOBS][3];
    add_reading(rig, calls[0], ones);
    add_look(rig, calls[1], twos);
    add_reading(rig, calls[2], twos);
    start(rig);
    assert_true(rig->watch.is_out);
    for (size_t i = 0; i < 3; i++)
        rig->on_news(rig->news_owner);
    while (rig->first.changed < 1)
        uv_run(&rig->loop, UV_RUN_ONCE);
    assert_true(rig->watch.is_out || uv_timer_get_due_in(&rig->watch.timer) == 0);
    play(rig);
}

static void it_may_be_stopped_at_any_moment(void **state) {
    struct rig *rig = *state;
    struct scripted_call calls[MAX_JOBS][3];
    add_reading(rig, calls[0], ones);
    start(rig);
    assert_true(rig->watch.is_out);
    watch_stop(&rig->watch, on_stopped, rig);
    assert_false(rig->stopped);
    rig->on_news(rig->news_owner);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_true(rig->stopped);
    assert_int_equal(rig->first.changed, 0);
}

static void without_memory_nothing_is_left_of_it(void **state) {
    struct rig *rig = *state;
    struct scripted_call calls[MAX_JOBS][3];
    struct failure failure;
    add_reading(rig, calls[0], ones);
    rig->store = scripted_store_open(STORE_POSTGRES, rig->script, 1, &failure);
    unsigned failed = 0;
    for (ALLOCATION_FAILURES(nth)) {
        bool started =
            watch_start(&rig->watch, &rig->loop, rig->store, NULL, rig->items, 2, &failure);
        if (!allocation_allow()) {
            assert_true(started);
            break;
        }
        assert_false(started);
        assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
        failed++;
    }
    assert_true(failed >= 2);
    watch_stop(&rig->watch, NULL, NULL);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
}

#define WATCH_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WATCH_TEST(everything_is_read_once_and_again_when_the_version_changes),
        WATCH_TEST(rows_come_with_the_number_of_their_own_call),
        WATCH_TEST(any_other_version_is_a_change),
        WATCH_TEST(the_version_that_was_read_with_everything_counts),
        WATCH_TEST(a_database_that_is_away_is_looked_at_again),
        WATCH_TEST(what_could_not_be_handed_on_is_read_again),
        WATCH_TEST(news_is_looked_at_at_once),
        WATCH_TEST(news_during_a_look_is_not_lost),
        WATCH_TEST(it_may_be_stopped_at_any_moment),
        WATCH_TEST(without_memory_nothing_is_left_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
