// The feed, on its own thread, with a store that answers from a script.
#include "api/feed.h"

#include "unit/api/events.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_JOBS = 16, MAX_NEWS = 40 };

// News as they came, in words: "5-7 9 asked: notes 6, others 7".
struct listener {
    struct feed_member member;
    struct mailbox mailbox;
    uv_loop_t loop;
    char news[MAX_NEWS][200];
    size_t count;
    bool left;
};

struct rig {
    struct store *store;
    struct catalogue *catalogue;
    struct scripted_job script[MAX_JOBS];
    struct scripted_call looks[MAX_JOBS][2];
    size_t job_count;
    struct feed_options options;
    struct feed *feed;
    struct listener listener;
};

static void on_news(struct feed_member *member, const struct feed_news *news, bool asked) {
    struct listener *listener = (struct listener *)member; // its first member
    struct buffer line = {0};
    assert_true(listener->count < MAX_NEWS);
    buffer_format(&line, "%jd-%jd %jd%s%s:", (intmax_t)news->from, (intmax_t)news->to,
                  (intmax_t)news->last, asked ? " asked" : "", news->restarts ? " restarts" : "");
    for (size_t i = 0; i < news->event_count; i++)
        buffer_format(&line, " %.*s %jd", TEXT_ARGS(news->events[i].resource),
                      (intmax_t)news->events[i].number);
    (void)snprintf(listener->news[listener->count++], sizeof listener->news[0], "%.*s",
                   TEXT_ARGS(buffer_text(&line)));
    buffer_free(&line);
}

static void on_left(struct feed_member *member) {
    struct listener *listener = (struct listener *)member;
    listener->left = true;
    mailbox_close(&listener->mailbox, NULL);
}

static void join(struct listener *listener, struct feed *feed) {
    assert_int_equal(uv_loop_init(&listener->loop), 0);
    assert_int_equal(mailbox_open(&listener->mailbox, &listener->loop), 0);
    listener->member =
        (struct feed_member){.mailbox = &listener->mailbox, .on_news = on_news, .on_left = on_left};
    feed_join(feed, &listener->member);
}

static void leave(struct listener *listener) {
    feed_leave(&listener->member);
    uv_run(&listener->loop, UV_RUN_DEFAULT);
    assert_true(listener->left);
    assert_int_equal(uv_loop_close(&listener->loop), 0);
}

static void wait_for(struct listener *listener, size_t count) {
    while (listener->count < count)
        uv_run(&listener->loop, UV_RUN_ONCE);
}

static int set_up(void **state) {
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->options.retention = 1000 * 1000 * 1000;
    *state = rig;
    return 0;
}

static int tear_down(void **state) {
    free(*state);
    return 0;
}

// ---- Scripts

static struct scripted_job *add_job(struct rig *rig) {
    assert_true(rig->job_count < MAX_JOBS);
    return &rig->script[rig->job_count++];
}

static struct scripted_job *add_look(struct rig *rig, const struct value *position,
                                     const struct value *events, size_t count) {
    struct scripted_call *calls = rig->looks[rig->job_count];
    struct scripted_job *job = add_job(rig);
    calls[0] = (struct scripted_call){.sql = "min(seq)", .cells = position, .row_count = 1};
    calls[1] =
        (struct scripted_call){.sql = "ORDER BY seq LIMIT", .cells = events, .row_count = count};
    *job = (struct scripted_job){.calls = calls, .call_count = 2};
    return job;
}

static bool try_to_start(struct rig *rig, enum store_dialect dialect) {
    struct failure failure;
    rig->catalogue = events_catalogue(dialect);
    rig->store = scripted_store_open(dialect, rig->script, rig->job_count, &failure);
    rig->options.store = rig->store;
    return feed_start(&rig->options, rig->catalogue, &rig->feed, &failure);
}

static void stop(struct rig *rig) {
    feed_stop(rig->feed);
    catalogue_release(rig->catalogue);
    // It may have looked once more.
    const char *difference = scripted_store_difference(rig->store);
    if (strcmp(difference, "a job after the end of the script") != 0)
        assert_string_equal(difference, "");
    assert_int_equal(scripted_store_left(rig->store), 0);
    store_close(rig->store);
}

// A listener to notes, which asks.
static void start(struct rig *rig, enum store_dialect dialect) {
    assert_true(try_to_start(rig, dialect));
    join(&rig->listener, rig->feed);
    assert_true(feed_listen(rig->feed, TEXT("notes"), true));
    feed_ask(&rig->listener.member);
}

static void assert_news(struct listener *listener, const char *const *expected, size_t count) {
    wait_for(listener, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(listener->news[i], expected[i]);
}

#define NEWS(rig, ...)                                                                             \
    do {                                                                                           \
        static const char *const expected[] = {__VA_ARGS__};                                       \
        assert_news(&(rig)->listener, expected, sizeof expected / sizeof *expected);               \
    } while (0)

static const struct scripted_call settled_is_unknown[] = {{.sql = "trestle_meta"}};

static void begin_script(struct rig *rig) {
    *add_job(rig) = (struct scripted_job){.calls = settled_is_unknown, .call_count = 1};
}

// ---- Tests

static const struct value at_5[] = {POSITION(1, 5, 0, 0)};
static const struct value at_7[] = {POSITION(1, 7, 0, 0)};
static const struct value at_9[] = {POSITION(1, 9, 0, 0)};
static const struct value two_deleted[] = {EVENT(6, "1", "deleted", 2),
                                           EVENT(7, "2", "deleted", 1)};

static void news_follow_each_other(void **state) {
    struct rig *rig = *state;
    static const struct value created[] = {EVENT(9, "3", "created", 1)};
    static const struct value note[] = {NOTE(3, "{}", 1)};
    static const struct scripted_call read[] = {
        {.sql = "FROM \"notes\"", .cells = note, .row_count = 1}};
    begin_script(rig);
    add_look(rig, at_5, NULL, 0);
    add_look(rig, at_7, two_deleted, 2);
    *add_job(rig) = (struct scripted_job){.calls = NULL}; // nothing of them is read
    add_look(rig, at_7, NULL, 0);
    add_look(rig, at_9, created, 1);
    *add_job(rig) = (struct scripted_job){.calls = read, .call_count = 1};
    start(rig, STORE_SQLITE);
    NEWS(rig, "5-5 5 asked:", "5-7 7: notes 6 notes 7", "7-9 9: notes 9");
    leave(&rig->listener);
    stop(rig);
}

static void others_events_are_passed(void **state) {
    struct rig *rig = *state;
    static const struct value others[] = {EVENT_OF(6, "others", "1", "created", INTEGER(1)),
                                          EVENT_OF(7, "silent", "1", "created", INTEGER(1)),
                                          EVENT_OF(8, "gone", "1", "created", INTEGER(1)),
                                          EVENT(9, "1", "deleted", 1)};
    begin_script(rig);
    add_look(rig, at_5, NULL, 0);
    add_look(rig, at_9, others, 4);
    *add_job(rig) = (struct scripted_job){.calls = NULL};
    start(rig, STORE_SQLITE);
    NEWS(rig, "5-5 5 asked:", "5-9 9: notes 9");
    leave(&rig->listener);
    stop(rig);
}

static void who_asks_is_answered_without_news(void **state) {
    struct rig *rig = *state;
    begin_script(rig);
    for (size_t i = 0; i < 2; i++)
        add_look(rig, at_5, NULL, 0);
    start(rig, STORE_SQLITE);
    wait_for(&rig->listener, 1);
    feed_ask(&rig->listener.member);
    NEWS(rig, "5-5 5 asked:", "5-5 5 asked:");
    leave(&rig->listener);
    assert_int_equal(rig->listener.count, 2);
    stop(rig);
}

static void what_is_behind_a_hole_waits(void **state) {
    struct rig *rig = *state;
    static const struct value first[] = {POSITION(1, 5, 100, 100)};
    static const struct value open[] = {POSITION(1, 8, 100, 103)};
    static const struct value closed[] = {POSITION(1, 8, 103, 104)};
    static const struct value hole[] = {EVENT(6, "1", "deleted", 1), EVENT(8, "2", "deleted", 1)};
    begin_script(rig);
    add_look(rig, first, NULL, 0);
    add_look(rig, open, hole, 2);
    *add_job(rig) = (struct scripted_job){.calls = NULL};
    add_look(rig, open, hole + EVENT_CELLS, 1);
    add_look(rig, closed, hole + EVENT_CELLS, 1);
    *add_job(rig) = (struct scripted_job){.calls = NULL};
    start(rig, STORE_POSTGRES);
    NEWS(rig, "5-5 5 asked:", "5-6 8: notes 6", "6-8 8: notes 8");
    leave(&rig->listener);
    stop(rig);
}

static void what_was_settled_is_known_at_the_start(void **state) {
    struct rig *rig = *state;
    static const struct value settled[] = {STRING("5")};
    static const struct scripted_call noted[] = {{.cells = settled, .row_count = 1}};
    static const struct value open[] = {POSITION(1, 8, 100, 103)};
    static const struct value hole[] = {EVENT(6, "1", "deleted", 1), EVENT(8, "2", "deleted", 1)};
    *add_job(rig) = (struct scripted_job){.calls = noted, .call_count = 1};
    add_look(rig, open, hole, 2);
    start(rig, STORE_POSTGRES);
    NEWS(rig, "6-6 8 asked:"); // who begins now begins behind what can be told
    leave(&rig->listener);
    stop(rig);
}

static void another_life_of_the_database(void **state) {
    struct rig *rig = *state;
    static const struct value at_3[] = {POSITION(1, 3, 0, 0)};
    begin_script(rig);
    add_look(rig, at_5, NULL, 0);
    add_look(rig, at_3, NULL, 0);
    start(rig, STORE_SQLITE);
    NEWS(rig, "5-5 5 asked:", "3-3 3 restarts:");
    leave(&rig->listener);
    stop(rig);
}

static void a_store_that_is_away(void **state) {
    struct rig *rig = *state;
    begin_script(rig);
    add_job(rig)->outcome.kind = OUTCOME_UNAVAILABLE;
    add_job(rig)->refused = true;
    add_look(rig, at_5, NULL, 0);
    add_look(rig, at_7, two_deleted, 2);
    add_job(rig)->outcome.kind = OUTCOME_TIMEOUT; // of what was found, and so it is found again
    add_look(rig, at_7, two_deleted, 2);
    *add_job(rig) = (struct scripted_job){.calls = NULL};
    start(rig, STORE_SQLITE);
    NEWS(rig, "5-5 5 asked:", "5-7 7: notes 6 notes 7");
    leave(&rig->listener);
    stop(rig);
}

// Where nobody listens to anything, there are no looks but the one that notices.
static void it_rests(void **state) {
    struct rig *rig = *state;
    begin_script(rig);
    add_look(rig, at_5, NULL, 0);
    add_look(rig, at_5, NULL, 0);
    add_look(rig, at_9, NULL, 0);
    start(rig, STORE_SQLITE);
    wait_for(&rig->listener, 1);
    assert_true(feed_listen(rig->feed, TEXT("notes"), false));
    assert_true(feed_listen(rig->feed, TEXT("notes"), false)); // it heard only of one
    uv_sleep(500);
    assert_true(feed_listen(rig->feed, TEXT("others"), true));
    feed_ask(&rig->listener.member);
    wait_for(&rig->listener, 2);
    // What happened meanwhile is in the table, for whoever wants it. (On a machine that is very
    // busy it had not noticed yet, and so goes on.)
    if (strcmp(rig->listener.news[1], "5-5 5 asked:") != 0)
        assert_string_equal(rig->listener.news[1], "9-9 9 asked:");
    else
        wait_for(&rig->listener, 3);
    leave(&rig->listener);
    stop(rig);
}

static void another_catalogue(void **state) {
    struct rig *rig = *state;
    begin_script(rig);
    add_look(rig, at_5, NULL, 0);
    add_look(rig, at_7, two_deleted, 2);
    *add_job(rig) = (struct scripted_job){.calls = NULL};
    start(rig, STORE_SQLITE);
    wait_for(&rig->listener, 1);
    struct catalogue *catalogue = events_catalogue(STORE_SQLITE);
    assert_true(feed_reload(rig->feed, catalogue));
    catalogue_release(catalogue);
    NEWS(rig, "5-5 5 asked:", "5-7 7: notes 6 notes 7");
    leave(&rig->listener);
    stop(rig);
}

static void it_does_not_start_without_the_store(void **state) {
    struct rig *rig = *state;
    add_job(rig)->outcome.kind = OUTCOME_UNAVAILABLE;
    assert_false(try_to_start(rig, STORE_SQLITE));
    stop(rig);
}

// ---- Many threads

enum { THREADS = 4 };

struct worker {
    struct listener listener;
    struct feed *feed;
    uv_thread_t thread;
    uv_barrier_t *all_joined;
};

static void work(void *argument) {
    struct worker *worker = argument;
    struct listener *listener = &worker->listener;
    join(listener, worker->feed);
    (void)feed_listen(worker->feed, TEXT("notes"), true);
    (void)uv_barrier_wait(worker->all_joined); // what it is asked first is the script's first look
    feed_ask(&listener->member);
    while (listener->count == 0 || !strstr(listener->news[listener->count - 1], "-9 9"))
        uv_run(&listener->loop, UV_RUN_ONCE);
    (void)feed_listen(worker->feed, TEXT("notes"), false);
    leave(listener);
}

// Each is given all, from where it began, without a hole.
static void many_members(void **state) {
    struct rig *rig = *state;
    static const struct value last[] = {EVENT(9, "1", "deleted", 1)};
    static struct worker workers[THREADS];
    begin_script(rig);
    add_look(rig, at_5, NULL, 0);
    for (size_t i = 0; i < 3; i++)
        add_look(rig, at_5, NULL, 0);
    add_look(rig, at_7, two_deleted, 2);
    *add_job(rig) = (struct scripted_job){.calls = NULL};
    add_look(rig, at_9, last, 1);
    *add_job(rig) = (struct scripted_job){.calls = NULL};
    uv_barrier_t all_joined;
    assert_int_equal(uv_barrier_init(&all_joined, THREADS), 0);
    assert_true(try_to_start(rig, STORE_SQLITE));
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.feed = rig->feed, .all_joined = &all_joined};
        assert_int_equal(uv_thread_create(&workers[i].thread, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        uv_thread_join(&workers[i].thread);
    feed_stop(rig->feed);
    uv_barrier_destroy(&all_joined);
    for (size_t i = 0; i < THREADS; i++) {
        long to = 0;
        for (size_t n = 0; n < workers[i].listener.count; n++) {
            char *rest;
            long from = strtol(workers[i].listener.news[n], &rest, 10);
            assert_true(n == 0 || from == to);
            to = strtol(rest + 1, NULL, 10);
        }
        assert_int_equal(to, 9);
    }
    catalogue_release(rig->catalogue);
    store_close(rig->store);
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(news_follow_each_other),
        TEST(others_events_are_passed),
        TEST(who_asks_is_answered_without_news),
        TEST(what_is_behind_a_hole_waits),
        TEST(what_was_settled_is_known_at_the_start),
        TEST(another_life_of_the_database),
        TEST(a_store_that_is_away),
        TEST(it_rests),
        TEST(another_catalogue),
        TEST(it_does_not_start_without_the_store),
        TEST(many_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
