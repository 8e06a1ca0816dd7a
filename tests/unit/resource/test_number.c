#include "resource/number.h"

#include "unit/testing.h"

#include <float.h>
#include <math.h>

static void order_does_not_depend_on_rounding(void **state) {
    static const struct {
        struct value a;
        struct value b;
        int order;
    } rows[] = {
        {{.kind = VALUE_INTEGER, .integer = 1}, {.kind = VALUE_REAL, .real = 1.0}, 0},
        {{.kind = VALUE_INTEGER, .integer = 1}, {.kind = VALUE_REAL, .real = 1.5}, -1},
        {{.kind = VALUE_INTEGER, .integer = 2}, {.kind = VALUE_REAL, .real = 1.5}, 1},
        {{.kind = VALUE_INTEGER, .integer = -1}, {.kind = VALUE_REAL, .real = -1.5}, 1},
        {{.kind = VALUE_INTEGER, .integer = -2}, {.kind = VALUE_REAL, .real = -1.5}, -1},
        {{.kind = VALUE_INTEGER, .integer = 0}, {.kind = VALUE_REAL, .real = -0.0}, 0},
        {{.kind = VALUE_INTEGER, .integer = 0}, {.kind = VALUE_REAL, .real = 5e-324}, -1},
        // 2^53 + 1 is no double; 2^53 is the one that it would be rounded to.
        {{.kind = VALUE_INTEGER, .integer = 9007199254740993},
         {.kind = VALUE_REAL, .real = 9007199254740992.0},
         1},
        {{.kind = VALUE_INTEGER, .integer = INT64_MAX}, {.kind = VALUE_REAL, .real = 0x1p63}, -1},
        {{.kind = VALUE_INTEGER, .integer = INT64_MIN}, {.kind = VALUE_REAL, .real = -0x1p63}, 0},
        {{.kind = VALUE_INTEGER, .integer = INT64_MIN}, {.kind = VALUE_REAL, .real = -1e300}, 1},
        {{.kind = VALUE_INTEGER, .integer = INT64_MAX}, {.kind = VALUE_REAL, .real = 1e300}, -1},
        {{.kind = VALUE_INTEGER, .integer = INT64_MIN},
         {.kind = VALUE_INTEGER, .integer = INT64_MAX},
         -1},
        {{.kind = VALUE_REAL, .real = 0.1}, {.kind = VALUE_REAL, .real = 0.1}, 0},
        {{.kind = VALUE_DECIMAL, .scale = 2, .integer = 10},
         {.kind = VALUE_DECIMAL, .scale = 2, .integer = 9},
         1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(number_compare(rows[i].a, rows[i].b), rows[i].order);
        assert_int_equal(number_compare(rows[i].b, rows[i].a), -rows[i].order);
    }
}

static struct value number(const char *json) {
    json_t *tree = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(tree);
    struct value value = number_from_json(tree);
    json_decref(tree);
    return value;
}

static void multiples_are_those_of_the_decimals(void **state) {
    static const struct {
        const char *number;
        const char *step;
        bool multiple;
    } rows[] = {
        {"0", "7", true},
        {"0.0", "0.1", true},
        {"14", "7", true},
        {"-14", "7", true},
        {"15", "7", false},
        {"9223372036854775807", "7", true},
        {"9223372036854775806", "7", false},
        {"-9223372036854775808", "2", true},
        {"-9223372036854775808", "4096", true},
        {"0.07", "0.01", true}, // where fmod finds a remainder
        {"4.35", "0.01", true},
        {"19.99", "0.01", true},
        {"1.1", "0.1", true},
        {"0.3", "0.1", true},
        {"0.075", "0.01", false},
        {"1", "0.1", true},
        {"1", "0.3", false},
        {"3", "0.3", true},
        {"0.5", "1", false},
        {"5.0", "1", true},
        {"7.5", "2.5", true},
        {"100.0", "50", true},
        {"1e20", "3", false},
        {"3e20", "3", true},
        {"1e300", "1e299", true},
        {"1e300", "7", false},
        {"1e-300", "1e-301", true},
        {"1e-301", "1e-300", false},
        {"1e308", "5e-324", true},
        {"5e-324", "1e308", false},
        {"1.7976931348623157e308", "0.1", true},
        {"123456789012345678", "0.001", true},
        {"0.1", "3", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_true_for(number_is_multiple(number(rows[i].number), number(rows[i].step)) ==
                            rows[i].multiple,
                        rows[i].number);
    assert_true(number_is_multiple(value_decimal(1250, 2), value_decimal(25, 2)));
    assert_false(number_is_multiple(value_decimal(1251, 2), value_decimal(25, 2)));
}

static void whole_doubles_become_integers(void **state) {
    int64_t integer = 7;
    assert_true(number_to_integer(-0.0, &integer));
    assert_int_equal(integer, 0);
    assert_true(number_to_integer(-0x1p63, &integer));
    assert_int_equal(integer, INT64_MIN);
    assert_true(number_to_integer(1e15, &integer));
    assert_int_equal(integer, 1000000000000000);
    assert_false(number_to_integer(0x1p63, &integer));
    assert_false(number_to_integer(1.5, &integer));
    assert_false(number_to_integer((double)NAN, &integer));
    assert_false(number_to_integer((double)INFINITY, &integer));
    assert_false(number_to_integer(DBL_MIN, &integer));
    assert_int_equal(integer, 1000000000000000);
}

static void some_integers_become_doubles(void **state) {
    double real = 7;
    assert_true(number_to_real(9007199254740992, &real));
    assert_true(number_to_real(9007199254740994, &real));
    assert_true(number_to_real(INT64_MIN, &real));
    assert_true(real <= -0x1p63 && real >= -0x1p63);
    assert_false(number_to_real(9007199254740993, &real));
    assert_false(number_to_real(-9007199254740993, &real));
    assert_false(number_to_real(INT64_MAX, &real));
    assert_true(real <= -0x1p63);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_does_not_depend_on_rounding),
        cmocka_unit_test(multiples_are_those_of_the_decimals),
        cmocka_unit_test(whole_doubles_become_integers),
        cmocka_unit_test(some_integers_become_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
