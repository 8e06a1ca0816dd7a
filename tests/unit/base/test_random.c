#include "base/random.h"

#include "unit/testing.h"

static void every_byte_is_filled_and_none_beyond(void **state) {
    // A byte that stays zero in 20 rounds was not filled: by chance this happens once in 2^160.
    for (size_t size = 0; size <= 300; size += 37) {
        unsigned char seen[304] = {0};
        for (int round = 0; round < 20; round++) {
            unsigned char bytes[304] = {0};
            assert_true(random_bytes(bytes, size));
            for (size_t i = 0; i < sizeof bytes; i++)
                seen[i] |= bytes[i];
        }
        for (size_t i = 0; i < sizeof seen; i++)
            assert_int_equal(seen[i] != 0, i < size);
    }
}

static void two_draws_differ(void **state) {
    unsigned char a[32];
    unsigned char b[32];
    assert_true(random_bytes(a, sizeof a) && random_bytes(b, sizeof b));
    assert_memory_not_equal(a, b, sizeof a);
}

// More than the kernel gives in one call that a signal may interrupt (256 bytes).
static void large_amounts(void **state) {
    static unsigned char bytes[1024 * 1024];
    unsigned counts[256] = {0};
    assert_true(random_bytes(bytes, sizeof bytes));
    for (size_t i = 0; i < sizeof bytes; i++)
        counts[bytes[i]]++;
    for (size_t i = 0; i < 256; i++) // 4096 expected, with a deviation of 64
        assert_in_range(counts[i], 4096 - 640, 4096 + 640);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_filled_and_none_beyond),
        cmocka_unit_test(two_draws_differ),
        cmocka_unit_test(large_amounts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
