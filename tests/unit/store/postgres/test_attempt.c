#include "store/postgres/attempt.h"

#include "base/clock.h"
#include "unit/allocation.h"
#include "unit/testing.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MANY = 8 };

// A loop whose mailbox attempts come home to, and a server that accepts and never answers.
struct rig {
    uv_loop_t loop;
    struct mailbox mailbox;
    struct pg_attempts *attempts;
    int silent;
    char silent_url[64];
    unsigned delivered;
    unsigned orphaned; // delivered without an owner
    struct failure failure;
};

static struct rig *the_rig; // of the test that runs

static void deliver(struct letter *letter) {
    struct pg_attempt *attempt = (struct pg_attempt *)letter;
    the_rig->delivered++;
    the_rig->orphaned += attempt->owner == NULL;
    the_rig->failure = attempt->failure;
    assert_null(attempt->link);
    pg_attempt_free(attempt);
}

static int set_up(void **state) {
    static struct rig rig;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    rig = (struct rig){.attempts = pg_attempts_create()};
    the_rig = &rig;
    *state = &rig;
    rig.silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!rig.attempts || bind(rig.silent, (struct sockaddr *)&address, size) != 0 ||
        listen(rig.silent, 64) != 0 ||
        getsockname(rig.silent, (struct sockaddr *)&address, &size) != 0)
        return 1;
    (void)snprintf(rig.silent_url, sizeof rig.silent_url, "postgresql://u@127.0.0.1:%u/x",
                   ntohs(address.sin_port));
    return uv_loop_init(&rig.loop) || mailbox_open(&rig.mailbox, &rig.loop);
}

static void close_mailbox(struct rig *rig) {
    mailbox_close(&rig->mailbox, NULL);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
}

static int tear_down(void **state) {
    struct rig *rig = *state;
    if (rig->silent >= 0)
        (void)close(rig->silent);
    return uv_loop_close(&rig->loop);
}

static struct pg_attempt *attempt(struct rig *rig, const char *url) {
    const struct pg_address address = {.url = url, .connect_seconds = 2, .cached_statements = 4};
    return pg_attempt_start(rig->attempts, &address, &rig->mailbox, deliver, rig);
}

static const char *const nowhere = "postgresql://u@127.0.0.1:1/x";

static void what_comes_of_it_comes_home(void **state) {
    struct rig *rig = *state;
    for (unsigned i = 0; i < MANY; i++)
        assert_non_null(attempt(rig, nowhere));
    while (rig->delivered < MANY)
        uv_run(&rig->loop, UV_RUN_ONCE);
    assert_int_equal(rig->orphaned, 0);
    assert_int_equal(rig->failure.code, FAILURE_UNAVAILABLE);
    close_mailbox(rig);
    pg_attempts_close(rig->attempts, 5);
}

// One that waits for a server is left to itself; nobody waits for it, nor does it find the mailbox.
static void one_that_waits_may_be_given_up(void **state) {
    struct rig *rig = *state;
    struct pg_attempt *attempts[MANY];
    for (unsigned i = 0; i < MANY; i++)
        assert_non_null(attempts[i] = attempt(rig, rig->silent_url));
    uint64_t began = clock_monotonic();
    for (unsigned i = 0; i < MANY; i++)
        pg_attempt_give_up(attempts[i]);
    close_mailbox(rig);
    assert_in_range(clock_monotonic() - began, 0, 1500); // they take 2 seconds
    assert_int_equal(rig->delivered, 0);
    (void)close(rig->silent); // ends them
    rig->silent = -1;
    pg_attempts_close(rig->attempts, 10);
}

// It may be on its way home when it is given up: then it arrives, for nobody.
static void one_that_is_on_its_way_may_be_given_up(void **state) {
    struct rig *rig = *state;
    for (unsigned i = 0; i < 20; i++) {
        unsigned before = rig->delivered;
        struct pg_attempt *given_up = attempt(rig, nowhere);
        assert_non_null(given_up);
        for (uint64_t until = clock_monotonic() + i; clock_monotonic() < until;)
            ;
        pg_attempt_give_up(given_up);
        (void)uv_run(&rig->loop, UV_RUN_NOWAIT);
        assert_in_range(rig->delivered - before, 0, 1);
    }
    close_mailbox(rig);
    assert_int_equal(rig->orphaned, rig->delivered);
    pg_attempts_close(rig->attempts, 5);
}

// Those that do not end in time see to the rest themselves.
static void what_is_left_at_the_end_cleans_up_after_itself(void **state) {
    struct rig *rig = *state;
    for (unsigned i = 0; i < MANY; i++)
        pg_attempt_give_up(attempt(rig, rig->silent_url));
    close_mailbox(rig);
    uint64_t began = clock_monotonic();
    pg_attempts_close(rig->attempts, 0);
    assert_in_range(clock_monotonic() - began, 0, 1500);
    (void)close(rig->silent);
    rig->silent = -1;
    usleep(300000); // for LeakSanitizer, which must find nothing
}

static void without_memory_there_is_none(void **state) {
    struct rig *rig = *state;
    unsigned failed = 0;
    for (ALLOCATION_FAILURES(nth)) {
        struct pg_attempt *started = attempt(rig, nowhere);
        bool ran_out = allocation_allow();
        assert_true(started || ran_out);
        failed += !started;
        if (started) {
            unsigned before = rig->delivered;
            while (rig->delivered == before)
                uv_run(&rig->loop, UV_RUN_ONCE);
        }
        if (!ran_out)
            break;
    }
    assert_in_range(failed, 2, 10);
    close_mailbox(rig);
    pg_attempts_close(rig->attempts, 5);
    pg_attempts_close(NULL, 5);
}

#define ATTEMPT_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        ATTEMPT_TEST(what_comes_of_it_comes_home),
        ATTEMPT_TEST(one_that_waits_may_be_given_up),
        ATTEMPT_TEST(one_that_is_on_its_way_may_be_given_up),
        ATTEMPT_TEST(what_is_left_at_the_end_cleans_up_after_itself),
        ATTEMPT_TEST(without_memory_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
