#include "http/deadline.h"
#include "unit/testing.h"

static void the_oldest_is_over_first(void **state) {
    struct deadlines deadlines;
    struct deadline items[3] = {0};
    deadlines_init(&deadlines, 10);
    assert_null(deadlines_over(&deadlines, 1000));
    for (unsigned i = 0; i < 3; i++)
        deadline_start(&deadlines, &items[i], 100 + i);
    assert_null(deadlines_over(&deadlines, 109));
    assert_ptr_equal(deadlines_over(&deadlines, 110), &items[0]);
    deadline_start(&deadlines, &items[0], 110);
    assert_null(deadlines_over(&deadlines, 110));
    assert_ptr_equal(deadlines_over(&deadlines, 111), &items[1]);
    deadline_stop(&items[1]);
    deadline_stop(&items[1]); // once is enough
    assert_null(items[1].of);
    assert_ptr_equal(deadlines_over(&deadlines, 200), &items[2]);
    deadline_stop(&items[2]);
    assert_ptr_equal(deadlines_over(&deadlines, 200), &items[0]);
    deadline_stop(&items[0]);
    assert_null(deadlines_over(&deadlines, 200));
}

static void a_deadline_is_in_one_list(void **state) {
    struct deadlines short_ones;
    struct deadlines long_ones;
    struct deadline item = {0};
    deadlines_init(&short_ones, 10);
    deadlines_init(&long_ones, 1000);
    deadline_start(&short_ones, &item, 0);
    deadline_start(&long_ones, &item, 0);
    assert_null(deadlines_over(&short_ones, 500));
    assert_ptr_equal(deadlines_over(&long_ones, 1000), &item);
    assert_ptr_equal(item.of, &long_ones);
    deadline_stop(&item);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_is_over_first),
        cmocka_unit_test(a_deadline_is_in_one_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
