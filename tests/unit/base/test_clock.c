#include "base/clock.h"

#include "unit/testing.h"

#include <time.h>
#include <uv.h>

static void wall_time_is_the_system_s(void **state) {
    time_t before = time(NULL);
    int64_t now = clock_now();
    time_t after = time(NULL);
    // time() may lag behind by a tick of the kernel.
    assert_true(now / 1000 >= before - 1 && now / 1000 <= after + 1);
}

static void monotonic_time_is_the_loop_s_and_never_goes_back(void **state) {
    uint64_t libuv = uv_hrtime();
    uint64_t ns = clock_monotonic_ns();
    uint64_t ms = clock_monotonic();
    assert_true(ns >= libuv && ns - libuv < UINT64_C(5000000000));
    assert_true(ms >= ns / 1000000 && ms - ns / 1000000 < 5000);
    for (int i = 0; i < 10000; i++) {
        uint64_t next = clock_monotonic_ns();
        assert_true(next >= ns);
        ns = next;
    }
}

static void monotonic_time_passes(void **state) {
    uint64_t start = clock_monotonic();
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    uint64_t passed = clock_monotonic() - start;
    assert_true(passed >= 19 && passed < 10000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wall_time_is_the_system_s),
        cmocka_unit_test(monotonic_time_is_the_loop_s_and_never_goes_back),
        cmocka_unit_test(monotonic_time_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
