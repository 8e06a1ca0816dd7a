// A crew whose source is a script: what is asked of it, and when, is written down.
#include "work/crew.h"

#include "base/clock.h"
#include "unit/allocation.h"
#include "unit/testing.h"
#include "unit/work/supervisor.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { OPERATIONS_MOST = 20 };

struct office {
    struct crew_source source; // first, so that a source is its office
    uv_loop_t loop;
    struct crew crew;
    uv_timer_t timer;
    struct buffer log; // a word for each thing that happened
    const char *script;
    unsigned operations; // that can be claimed still
    unsigned claimed;
    unsigned beats;
    uint64_t claim_delay;
    bool answers_late; // a claim is answered by the timer
    bool keeps_silent; // beats are not answered at all
    bool is_claiming;
    bool is_stopped;
    enum beat_answer beat_answer;
    unsigned finish_failures; // so many ends are not taken at first
    enum finish_answer finish_answer;
    void (*on_timer)(struct office *office);
    void (*on_started)(struct office *office);
    uint64_t lease;
    unsigned size;
};

static struct office *office;

static void note(const char *word) {
    if (office->log.size)
        buffer_append_byte(&office->log, ' ');
    buffer_append_string(&office->log, word);
}

static void answer_claim(void) {
    static const char *const environment[] = {"A=declared", "TRESTLE_ATTEMPT=no", NULL};
    const char *const command[] = {"sh", "-c", office->script, NULL};
    office->is_claiming = false;
    if (!office->operations) {
        crew_not_claimed(&office->crew, 50);
        return;
    }
    office->operations--;
    office->claimed++;
    crew_claimed(&office->crew, &(struct claim){.operation = TEXT("op"),
                                                .title = TEXT("make of things/1"),
                                                .attempt = 3,
                                                .record = TEXT("{\"id\":1}"),
                                                .command = command,
                                                .environment = environment});
}

static void on_timer(uv_timer_t *timer) {
    office->on_timer(office);
}

static void after(uint64_t delay, void (*act)(struct office *office)) {
    office->on_timer = act;
    uv_timer_start(&office->timer, on_timer, delay, 0);
}

static void answer_late(struct office *late) {
    answer_claim();
}

static void claim(struct crew_source *source) {
    office->is_claiming = true;
    if (office->claim_delay)
        after(office->claim_delay, answer_late);
    else if (!office->answers_late)
        answer_claim();
}

static void stop_claiming(struct crew_source *source) {
    note("unclaim");
    office->is_claiming = false;
    crew_not_claimed(&office->crew, 0);
}

static void beat(struct crew_source *source, struct hand *hand) {
    if (office->beats++ == 0)
        note(hand->state == HAND_CONFIRMING ? "confirm" : "beat");
    if (!office->keeps_silent)
        crew_beaten(hand, office->beat_answer);
}

static void finish(struct crew_source *source, struct hand *hand) {
    note(finish_state_name(hand->outcome));
    if (hand->properties)
        note("properties");
    if (office->finish_failures > 0) {
        office->finish_failures--;
        crew_finished(hand, FINISH_UNKNOWN, "away");
    } else {
        crew_finished(hand, office->finish_answer, "");
    }
}

static void on_event(struct crew *crew, enum crew_event event, const struct hand *hand,
                     const char *reason) {
    static const char *const names[] = {"started", "", "ended", "overtaken", "unreported", "stuck"};
    if (event == CREW_NEWS)
        return;
    note(names[event]);
    if (event == CREW_STARTED && office->on_started)
        office->on_started(office);
    if (event == CREW_ENDED && *reason)
        note(reason);
}

static void on_stopped(struct crew *crew) {
    office->is_stopped = true;
    uv_close((uv_handle_t *)&office->timer, NULL);
}

static int set_up(void **state) {
    static const struct crew_source source = {claim, stop_claiming, beat, finish};
    office = calloc(1, sizeof *office);
    if (!office || uv_loop_init(&office->loop) != 0)
        return -1;
    office->source = source;
    office->script = "exit 0";
    office->operations = 1;
    office->lease = 10000;
    office->size = 1;
    return uv_timer_init(&office->loop, &office->timer);
}

static int tear_down(void **state) {
    buffer_free(&office->log);
    int busy = uv_loop_close(&office->loop);
    free(office);
    return busy;
}

static void start(void) {
    static const char *const environment[] = {"PATH=/usr/bin:/bin", "A=common", "B=common", NULL};
    struct crew_options options = {.size = office->size,
                                   .lease = office->lease,
                                   .grace = 300,
                                   .environment = environment,
                                   .on_event = on_event,
                                   .on_stopped = on_stopped};
    assert_true(crew_start(&office->crew, &office->loop, &office->source, &options));
}

// Runs until nothing can be claimed any more and nobody works, then stops.
static void run_dry(void) {
    start();
    while (office->operations || office->crew.busy || office->is_claiming)
        uv_run(&office->loop, UV_RUN_ONCE);
    crew_stop(&office->crew, 0);
    uv_run(&office->loop, UV_RUN_DEFAULT);
    assert_true(office->is_stopped);
}

static void assert_log(const char *expected) {
    assert_text_is(buffer_text(&office->log), expected);
}

static void an_operation_is_worked_on(void **state) {
    office->script = "echo '{\"a\":1}'";
    run_dry();
    assert_log("started succeeded properties ended");
}

static void its_environment_is_in_order(void **state) {
    office->script = "echo $A $B $TRESTLE_OPERATION $TRESTLE_ATTEMPT $(cat) >&2; exit 1";
    run_dry();
    assert_log("started failed ended it ended with exit status 1: declared common op 3 "
               "{\"id\":1}");
}

static void many_are_worked_on(void **state) {
    office->operations = OPERATIONS_MOST;
    office->size = 4;
    office->script = "sleep 0.05";
    run_dry();
    assert_int_equal(office->claimed, OPERATIONS_MOST);
}

static void an_end_is_reported_until_it_is_taken(void **state) {
    office->finish_failures = 2;
    run_dry();
    assert_log("started succeeded succeeded succeeded ended");
}

static void an_end_that_is_refused_is_told(void **state) {
    office->finish_answer = FINISH_REFUSED;
    run_dry();
    assert_log("started succeeded unreported");
}

static void an_end_that_comes_too_late_is_told(void **state) {
    office->finish_answer = FINISH_OVERTAKEN;
    run_dry();
    assert_log("started succeeded overtaken");
}

static void who_is_overtaken_is_killed(void **state) {
    office->beat_answer = BEAT_OVERTAKEN;
    office->script = "trap '' TERM; echo progress 1; sleep 100";
    run_dry();
    assert_log("started beat overtaken");
}

static void who_is_cancelled_ends(void **state) {
    office->beat_answer = BEAT_CANCEL;
    office->script = "echo progress 1; sleep 100";
    run_dry();
    assert_log("started beat cancelled ended");
}

static void without_beats_the_lease_ends_it(void **state) {
    office->keeps_silent = true;
    office->lease = 1000;
    office->script = "trap '' TERM; while :; do sleep 0.1; done";
    start();
    uint64_t begin = clock_monotonic();
    while (office->crew.hands[0].state != HAND_FINISHING)
        uv_run(&office->loop, UV_RUN_ONCE);
    assert_in_range(clock_monotonic() - begin, 400, 1000);
    crew_beaten(&office->crew.hands[0], BEAT_UNKNOWN); // it was never answered before
    crew_stop(&office->crew, 0);
    uv_run(&office->loop, UV_RUN_DEFAULT);
    assert_log("started beat released ended its lease ran out");
}

static void a_claim_that_took_long_is_confirmed(void **state) {
    office->claim_delay = 1200;
    run_dry();
    assert_log("confirm started succeeded ended");
}

static void a_claim_that_was_lost_meanwhile_does_not_begin(void **state) {
    office->claim_delay = 1200;
    office->beat_answer = BEAT_OVERTAKEN;
    run_dry();
    assert_log("confirm overtaken");
}

static void a_claim_that_was_cancelled_meanwhile_does_not_begin(void **state) {
    office->claim_delay = 1200;
    office->beat_answer = BEAT_CANCEL;
    run_dry();
    assert_log("confirm cancelled ended");
}

static void a_claim_may_be_waited_for_longer_than_its_lease_lasts(void **state) {
    office->claim_delay = 1200;
    office->lease = 1000;
    run_dry();
    assert_log("confirm started succeeded ended");
}

static void a_claim_that_nobody_confirms_does_not_begin(void **state) {
    office->claim_delay = 1200;
    office->lease = 1000;
    office->beat_answer = BEAT_UNKNOWN;
    run_dry();
    assert_log("confirm overtaken");
}

static void stop(struct office *late) {
    crew_stop(&office->crew, 300);
    crew_stop(&office->crew, 300);
}

static void stop_soon(struct office *late) {
    after(100, stop);
}

static void run_until_stopped(void) {
    start();
    uv_run(&office->loop, UV_RUN_DEFAULT);
    assert_true(office->is_stopped);
}

static void who_can_end_by_himself_may(void **state) {
    office->on_started = stop_soon;
    office->operations = 2;
    office->script = "sleep 0.3";
    run_until_stopped();
    assert_log("started succeeded ended");
}

static void who_cannot_hands_back(void **state) {
    office->on_started = stop_soon;
    office->script = "sleep 100";
    run_until_stopped();
    assert_log("started released ended");
}

static void hurry(struct office *late) {
    crew_hurry(&office->crew);
    crew_stop(&office->crew, 100000);
    crew_hurry(&office->crew);
    crew_hurry(&office->crew);
}

static void hurry_soon(struct office *late) {
    after(100, hurry);
}

static void who_is_hurried_hands_back_now(void **state) {
    office->on_started = hurry_soon;
    office->script = "trap '' TERM; sleep 100 & wait; sleep 100";
    run_until_stopped();
    assert_log("started released ended");
}

static void a_signal_for_all_makes_nothing_fail(void **state) {
    office->on_started = stop_soon;
    office->script = "kill -TERM $$";
    run_until_stopped();
    assert_log("started released ended it was killed by SIGTERM");
}

static void a_strangers_signal_is_a_failure(void **state) {
    office->script = "kill -TERM $$";
    run_dry();
    assert_log("started failed ended it was killed by SIGTERM");
}

static void a_claim_under_way_is_stopped(void **state) {
    office->answers_late = true;
    after(100, stop);
    run_until_stopped();
    assert_log("unclaim");
}

static void a_claim_that_comes_after_the_stop_is_handed_back(void **state) {
    office->answers_late = true;
    start();
    while (!office->is_claiming)
        uv_run(&office->loop, UV_RUN_ONCE);
    office->crew.is_stopping = true; // as when the source cannot take its question back
    answer_claim();
    uv_run(&office->loop, UV_RUN_DEFAULT);
    assert_log("released ended");
}

static void wake_with_work(struct office *late) {
    office->operations = 1;
    crew_wake(&office->crew);
    after(200, stop);
}

static void it_can_be_woken(void **state) {
    office->operations = 0;
    after(20, wake_with_work);
    run_until_stopped();
    assert_log("started succeeded ended");
}

static void no_memory_is_no_crash(void **state) {
    for (ALLOCATION_FAILURES(nth)) {
        (void)allocation_allow();
        office->operations = 1;
        start();
        allocation_fail_from(nth);
        while (office->operations || office->crew.busy)
            uv_run(&office->loop, UV_RUN_ONCE);
        bool failed = allocation_allow();
        crew_stop(&office->crew, 0);
        while (!office->is_stopped)
            uv_run(&office->loop, UV_RUN_ONCE);
        uv_run(&office->loop, UV_RUN_DEFAULT);
        uv_timer_init(&office->loop, &office->timer);
        office->is_stopped = false;
        if (!failed)
            break;
    }
    uv_close((uv_handle_t *)&office->timer, NULL);
    uv_run(&office->loop, UV_RUN_DEFAULT);
}

int main(int count, char **words) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_operation_is_worked_on),
        TEST(its_environment_is_in_order),
        TEST(many_are_worked_on),
        TEST(an_end_is_reported_until_it_is_taken),
        TEST(an_end_that_is_refused_is_told),
        TEST(an_end_that_comes_too_late_is_told),
        TEST(who_is_overtaken_is_killed),
        TEST(who_is_cancelled_ends),
        TEST(without_beats_the_lease_ends_it),
        TEST(a_claim_that_took_long_is_confirmed),
        TEST(a_claim_that_was_lost_meanwhile_does_not_begin),
        TEST(a_claim_that_was_cancelled_meanwhile_does_not_begin),
        TEST(a_claim_may_be_waited_for_longer_than_its_lease_lasts),
        TEST(a_claim_that_nobody_confirms_does_not_begin),
        TEST(who_can_end_by_himself_may),
        TEST(who_cannot_hands_back),
        TEST(who_is_hurried_hands_back_now),
        TEST(a_signal_for_all_makes_nothing_fail),
        TEST(a_strangers_signal_is_a_failure),
        TEST(a_claim_under_way_is_stopped),
        TEST(a_claim_that_comes_after_the_stop_is_handed_back),
        TEST(it_can_be_woken),
        TEST(no_memory_is_no_crash),
    };
#undef TEST
    if (is_supervisor(count, words))
        return run_supervisor(count, words);
    (void)signal(SIGPIPE, SIG_IGN); // as the program does
    return cmocka_run_group_tests(tests, NULL, NULL);
}
