#include "base/rate.h"

#include "unit/allocation.h"
#include "unit/testing.h"

#define SECOND UINT64_C(1000000000)

static void rates_are_read(void **state) {
    static const struct {
        const char *text;
        uint64_t interval;
        uint32_t burst;
        uint32_t window;
    } cases[] = {
        {"100/s", SECOND / 100, 100, 1},
        {"6000/m", SECOND / 100, 6000, 60},
        {"60/m burst 100", SECOND, 100, 100},
        {"  60/m   burst   100  ", SECOND, 100, 100},
        {"1/h", 3600 * SECOND, 1, 3600},
        {"1/d burst 30", 86400 * SECOND, 30, 30 * 86400},
        {"1000000/s", 1000, 1000000, 1},
        {"3/s", 333333334, 3, 1}, // rounded up, never more than three
        {"10/s burst 1", SECOND / 10, 1, 1},
        {"10/s burst 15", SECOND / 10, 15, 2},
        {"1/s burst 1000000", SECOND, 1000000, 1000000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rate rate;
        assert_true_for(rate_parse(text_from_string(cases[i].text), &rate), cases[i].text);
        assert_true(rate_is_limit(&rate));
        assert_int_equal(rate.interval, cases[i].interval);
        assert_int_equal(rate.burst, cases[i].burst);
        assert_int_equal(rate.window, cases[i].window);
        assert_int_equal(rate.capacity, rate.interval * rate.burst);
    }
    struct rate off = {.interval = 1};
    assert_true(rate_parse(TEXT("off"), &off));
    assert_false(rate_is_limit(&off));
}

static void what_is_no_rate_is_refused(void **state) {
    static const char *const wrong[] = {"",
                                        "100",
                                        "/s",
                                        "100/",
                                        "0/s",
                                        "-1/s",
                                        "+1/s",
                                        "1.5/s",
                                        "1000001/s",
                                        "100/ms",
                                        "100/second",
                                        "100 /s",
                                        "100/ s",
                                        "100/s 200",
                                        "100/s burst",
                                        "100/s burst 0",
                                        "100/s burst -1",
                                        "100/s burst 1000001",
                                        "100/s burst 5 6",
                                        "off burst 5",
                                        "on",
                                        "100/s Burst 5",
                                        "100/S",
                                        "1/d burst 31",
                                        "1/h burst 1000000",
                                        "99999999999999999999/s",
                                        "100/s,200/m",
                                        "1/d burst 1000000"};
    struct rate rate = {.interval = 42};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_true_for(!rate_parse(text_from_string(wrong[i]), &rate), wrong[i]);
    assert_int_equal(rate.interval, 42);
}

static void a_limit_has_a_name_and_a_policy(void **state) {
    struct arena arena = {0};
    struct rate rate;
    struct rate_limit limit;
    struct rate_limit other;
    assert_true(rate_parse(TEXT("60/m burst 100"), &rate));
    assert_true(rate_limit_make(&arena, TEXT("packages:write"), &rate, &limit));
    assert_true(rate_limit_make(&arena, TEXT("packages:read"), &rate, &other));
    assert_text_is(limit.name, "packages:write");
    assert_text_is(limit.policy, "\"packages:write\";q=100;w=100");
    assert_true(limit.domain != other.domain);
    arena_free(&arena);
}

static void without_memory_there_is_none(void **state) {
    struct rate rate;
    assert_true(rate_parse(TEXT("1/s"), &rate));
    for (ALLOCATION_FAILURES(nth)) {
        struct arena arena = {0};
        struct rate_limit limit;
        bool made = rate_limit_make(&arena, TEXT("key"), &rate, &limit);
        bool failed = allocation_allow();
        assert_int_equal(made, !failed);
        arena_free(&arena);
        if (!failed)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_read),
        cmocka_unit_test(what_is_no_rate_is_refused),
        cmocka_unit_test(a_limit_has_a_name_and_a_policy),
        cmocka_unit_test(without_memory_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
