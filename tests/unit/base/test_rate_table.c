#include "base/rate_table.h"

#include "base/address.h"
#include "base/clock.h"
#include "unit/allocation.h"
#include "unit/testing.h"

#include <pthread.h>
#include <stdio.h>

#define SECOND UINT64_C(1000000000)
#define START (1000 * SECOND)

struct fixture {
    struct rate_table table;
    struct arena arena;
    struct rate_limit limit;
};

static void begin(struct fixture *fixture, const char *rate_text) {
    struct failure failure;
    struct rate rate;
    *fixture = (struct fixture){.limit = {.domain = 0}};
    assert_true(rate_parse(text_from_string(rate_text), &rate));
    assert_true(rate_table_open(&fixture->table, &failure));
    assert_true(rate_limit_make(&fixture->arena, TEXT("key"), &rate, &fixture->limit));
}

static void end(struct fixture *fixture) {
    rate_table_close(&fixture->table);
    rate_table_close(&fixture->table);
    arena_free(&fixture->arena);
}

static bool take(struct fixture *fixture, const char *who, uint32_t count, uint64_t now,
                 struct rate_state *state) {
    return rate_table_take(&fixture->table, &fixture->limit, text_from_string(who), count, now,
                           state);
}

static void a_bucket_empties_and_fills(void **state) {
    struct fixture fixture;
    struct rate_state said;
    begin(&fixture, "10/s");
    for (uint32_t i = 0; i < 10; i++) {
        assert_true(take(&fixture, "a", 1, START, &said));
        assert_int_equal(said.remaining, 9 - i);
        assert_int_equal(said.wait, SECOND / 10);
    }
    assert_false(take(&fixture, "a", 1, START, &said));
    assert_int_equal(said.remaining, 0);
    assert_int_equal(said.wait, SECOND / 10);
    // Who is refused loses nothing by it.
    assert_false(take(&fixture, "a", 1, START + SECOND / 10 - 1, &said));
    assert_int_equal(said.wait, 1);
    assert_true(take(&fixture, "a", 1, START + SECOND / 10, &said));
    assert_false(take(&fixture, "a", 1, START + SECOND / 10, &said));
    // It is full after a second, and never fuller.
    assert_true(take(&fixture, "a", 1, START + 100 * SECOND, &said));
    assert_int_equal(said.remaining, 9);
    end(&fixture);
}

static void each_has_a_bucket_under_each_limit(void **state) {
    struct fixture fixture;
    struct rate_limit other;
    struct rate_state said;
    begin(&fixture, "1/s");
    assert_true(rate_limit_make(&fixture.arena, TEXT("address"), &fixture.limit.rate, &other));
    assert_true(take(&fixture, "a", 1, START, &said));
    assert_true(take(&fixture, "b", 1, START, &said));
    assert_true(rate_table_take(&fixture.table, &other, TEXT("a"), 1, START, &said));
    assert_false(take(&fixture, "a", 1, START, &said));
    assert_false(take(&fixture, "b", 1, START, &said));
    assert_false(rate_table_take(&fixture.table, &other, TEXT("a"), 1, START, &said));
    end(&fixture);
}

static void several_are_taken_all_or_none(void **state) {
    struct fixture fixture;
    struct rate_state said;
    begin(&fixture, "10/s");
    assert_true(take(&fixture, "a", 7, START, &said));
    assert_int_equal(said.remaining, 3);
    assert_false(take(&fixture, "a", 4, START, &said));
    assert_int_equal(said.remaining, 3);
    assert_int_equal(said.wait, SECOND / 10);
    assert_true(take(&fixture, "a", 3, START, &said));
    assert_false(take(&fixture, "b", 11, START, &said)); // more than there ever are
    assert_int_equal(said.remaining, 10);
    assert_true(take(&fixture, "b", 10, START, &said));
    assert_int_equal(said.remaining, 0);
    end(&fixture);
}

static void a_rate_that_becomes_smaller_counts_at_once(void **state) {
    struct fixture fixture;
    struct rate_state said;
    begin(&fixture, "1/s burst 1000");
    assert_true(take(&fixture, "a", 1000, START, &said));
    struct rate smaller;
    assert_true(rate_parse(TEXT("1/s burst 5"), &smaller));
    fixture.limit.rate = smaller;
    assert_false(take(&fixture, "a", 1, START, &said));
    assert_true(said.wait <= SECOND); // not the thousand seconds of the rate that was
    end(&fixture);
}

// All buckets of a table are busy, and more come.
static void memory_is_bounded(void **state) {
    enum { MANY = 1000000 };
    struct fixture fixture;
    struct rate_state said;
    begin(&fixture, "1/m burst 3");
    for (uint32_t i = 0; i < 3; i++) // somebody who is at the end of their limit
        assert_true(take(&fixture, "heavy", 1, START, &said));
    for (uint32_t i = 0; i < MANY; i++) {
        struct address address = {.kind = ADDRESS_IPV6, .bytes = {0x20, 1, 0x0d, 0xb8}};
        memcpy(address.bytes + 4, &i, sizeof i);
        assert_true(rate_table_take(&fixture.table, &fixture.limit, address_party(&address), 1,
                                    START, &said));
        assert_int_equal(said.remaining, 2);
    }
    uint64_t dropped = atomic_load(&fixture.table.dropped);
    assert_true(dropped >= MANY - (uint64_t)RATE_TABLE_SETS * RATE_TABLE_WAYS);
    assert_true(dropped < MANY);
    // Those who have taken least are dropped first, so this one is still known.
    assert_false(take(&fixture, "heavy", 1, START, &said));
    // A minute later all slots are free again.
    for (uint32_t i = 0; i < 1000; i++)
        assert_true(rate_table_take(&fixture.table, &fixture.limit,
                                    text_of((const char *)&i, sizeof i), 1, START + 60 * SECOND,
                                    &said));
    assert_int_equal(atomic_load(&fixture.table.dropped), dropped);
    end(&fixture);
}

static void who_shares_an_ipv6_network_shares_a_bucket(void **state) {
    struct fixture fixture;
    struct rate_state said;
    struct address one;
    struct address other;
    begin(&fixture, "1/s");
    assert_true(address_parse(TEXT("2001:db8:1:2::1"), &one));
    assert_true(address_parse(TEXT("2001:db8:1:2:aaaa::1"), &other));
    assert_true(
        rate_table_take(&fixture.table, &fixture.limit, address_party(&one), 1, START, &said));
    assert_false(
        rate_table_take(&fixture.table, &fixture.limit, address_party(&other), 1, START, &said));
    end(&fixture);
}

// ---- Threads

enum { THREADS = 16 };

struct hammer {
    struct fixture *fixture;
    pthread_barrier_t *start;
    const char *who;
    unsigned tries;
    uint64_t step; // of their clock, a try; 0: it is the real one
    unsigned number;
    unsigned allowed;
};

static void *hammer(void *argument) {
    struct hammer *mine = argument;
    struct rate_state said;
    (void)pthread_barrier_wait(mine->start);
    for (unsigned i = 0; i < mine->tries; i++) {
        uint64_t now = mine->step ? START + i * mine->step : clock_monotonic_ns();
        mine->allowed += take(mine->fixture, mine->who, 1, now, &said);
        if (mine->number % 2) { // others come and go beside it
            char name[32];
            (void)snprintf(name, sizeof name, "%u-%u", mine->number, i);
            take(mine->fixture, name, 1, now, &said);
        }
    }
    return NULL;
}

// How often all of them together were let.
static unsigned run_hammers(struct fixture *fixture, unsigned tries, uint64_t step) {
    pthread_barrier_t start;
    pthread_t threads[THREADS];
    struct hammer hammers[THREADS];
    unsigned allowed = 0;
    assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        hammers[i] = (struct hammer){.fixture = fixture,
                                     .start = &start,
                                     .who = "shared",
                                     .tries = tries,
                                     .step = step,
                                     .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &hammers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        allowed += hammers[i].allowed;
    }
    pthread_barrier_destroy(&start);
    return allowed;
}

static void threads_get_no_more_than_there_is(void **state) {
    struct fixture fixture;
    begin(&fixture, "1/d burst 20");
    for (unsigned round = 0; round < 20; round++) {
        assert_int_equal(run_hammers(&fixture, 50, 1), 20);
        rate_table_close(&fixture.table);
        struct failure failure;
        assert_true(rate_table_open(&fixture.table, &failure));
    }
    end(&fixture);
}

// Their clocks differ, as those of threads do that lose the processor between looking and taking.
static void threads_get_what_comes_back_once(void **state) {
    enum { TRIES = 4000 };
    struct fixture fixture;
    begin(&fixture, "1000/s burst 5");
    unsigned allowed = run_hammers(&fixture, TRIES, SECOND / 10000);
    assert_in_range(allowed, 5 + TRIES / 10 - 1 - 20, 5 + TRIES / 10);
    end(&fixture);
}

static void threads_on_the_clock_get_no_more_than_its_time_allows(void **state) {
    struct fixture fixture;
    begin(&fixture, "20000/s burst 10");
    uint64_t begun = clock_monotonic_ns();
    unsigned allowed = run_hammers(&fixture, 2000, 0);
    uint64_t took = clock_monotonic_ns() - begun;
    assert_in_range(allowed, 10, 10 + took / fixture.limit.rate.interval + 1);
    end(&fixture);
}

static void without_memory_there_is_no_table(void **state) {
    struct rate_table table;
    struct failure failure;
    allocation_fail_from(1);
    bool opened = rate_table_open(&table, &failure);
    assert_true(allocation_allow());
    assert_false(opened);
    assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
    rate_table_close(&table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_empties_and_fills),
        cmocka_unit_test(each_has_a_bucket_under_each_limit),
        cmocka_unit_test(several_are_taken_all_or_none),
        cmocka_unit_test(a_rate_that_becomes_smaller_counts_at_once),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(who_shares_an_ipv6_network_shares_a_bucket),
        cmocka_unit_test(threads_get_no_more_than_there_is),
        cmocka_unit_test(threads_get_what_comes_back_once),
        cmocka_unit_test(threads_on_the_clock_get_no_more_than_its_time_allows),
        cmocka_unit_test(without_memory_there_is_no_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
