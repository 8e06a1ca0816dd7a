#include "cli/row_digest.h"

#include "unit/allocation.h"
#include "unit/testing.h"

static struct value text_value(enum value_kind kind, const char *text) {
    return value_text(kind, text_from_string(text));
}

static bool same(const struct value *a, const struct value *b, size_t count) {
    struct row_digest first = {0};
    struct row_digest second = {0};
    assert_true(row_digest_add(&first, a, count));
    assert_true(row_digest_add(&second, b, count));
    bool equal = row_digest_equal(&first, &second);
    row_digest_free(&first);
    row_digest_free(&second);
    return equal;
}

static void only_the_same_values_have_the_same_digest(void **state) {
    const struct value values[] = {
        value_null(),
        value_boolean(false),
        value_boolean(true),
        value_integer(0),
        value_integer(1),
        value_integer(INT64_MIN),
        value_integer(INT64_MAX),
        value_real(1),
        value_real(0),
        value_real(5e-324),
        value_real(-1.7976931348623157e308),
        value_decimal(0, 2),
        value_decimal(0, 3),
        value_decimal(10, 2),
        text_value(VALUE_TEXT, ""),
        text_value(VALUE_TEXT, "1"),
        text_value(VALUE_BYTES, "1"),
        text_value(VALUE_JSON, "1"),
        text_value(VALUE_JSON, "1.0"),
        text_value(VALUE_DATE, "2016-08-05"),
        text_value(VALUE_TEXT, "2016-08-05"),
        text_value(VALUE_TIMESTAMP, "2016-08-05T00:00:00.000Z"),
    };
    enum { COUNT = sizeof values / sizeof *values };
    for (size_t i = 0; i < COUNT; i++)
        for (size_t j = 0; j < COUNT; j++)
            assert_int_equal(same(&values[i], &values[j], 1), i == j);
}

// No database is to be blamed for it.
static void there_is_one_zero(void **state) {
    const struct value zero = value_real(0);
    const struct value negative = value_real(-0.0);
    assert_true(same(&zero, &negative, 1));
}

static void where_a_value_ends_matters(void **state) {
    const struct value a[] = {text_value(VALUE_TEXT, "ab"), text_value(VALUE_TEXT, "c")};
    const struct value b[] = {text_value(VALUE_TEXT, "a"), text_value(VALUE_TEXT, "bc")};
    const struct value c[] = {value_null(), text_value(VALUE_TEXT, "")};
    const struct value d[] = {text_value(VALUE_TEXT, ""), value_null()};
    assert_false(same(a, b, 2));
    assert_false(same(c, d, 2));
}

static void order_and_number_of_rows_matter(void **state) {
    const struct value one = value_integer(1);
    const struct value two = value_integer(2);
    struct row_digest a = {0};
    struct row_digest b = {0};
    assert_true(row_digest_equal(&a, &b));
    assert_true(row_digest_add(&a, &one, 1));
    assert_false(row_digest_equal(&a, &b));
    assert_true(row_digest_add(&a, &two, 1) && row_digest_add(&b, &two, 1));
    assert_true(row_digest_add(&b, &one, 1));
    assert_int_equal(a.count, 2);
    assert_int_equal(b.count, 2);
    assert_false(row_digest_equal(&a, &b));
    row_digest_free(&a);
    row_digest_free(&b);
}

// It is printed, and whoever keeps one wants to find it again: it must not change.
static void the_form_is_fixed(void **state) {
    const struct value cells[] = {value_integer(1), text_value(VALUE_TEXT, "foo"), value_null()};
    struct row_digest digest = {0};
    char hex[2 * DIGEST_SIZE];
    assert_true(row_digest_add(&digest, cells, 3));
    text_hex_encode(digest.digest, DIGEST_SIZE, hex);
    assert_text_is(text_of(hex, sizeof hex),
                   "4bc8ca3f6771d954b022724be70c6cf1508895b64386f2f3afb7320631676011");
    row_digest_free(&digest);
}

static void out_of_memory(void **state) {
    const struct value cell = value_integer(1);
    for (ALLOCATION_FAILURES(nth)) {
        struct row_digest digest = {0};
        bool done = row_digest_add(&digest, &cell, 1);
        bool failed = allocation_allow();
        row_digest_free(&digest);
        assert_int_equal(done, !failed);
        if (!failed)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_same_values_have_the_same_digest),
        cmocka_unit_test(there_is_one_zero),
        cmocka_unit_test(where_a_value_ends_matters),
        cmocka_unit_test(order_and_number_of_rows_matter),
        cmocka_unit_test(the_form_is_fixed),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
