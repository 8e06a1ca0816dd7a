#include "store/postgres/parameters.h"

#include "unit/allocation.h"
#include "unit/testing.h"

#include <stdlib.h>

#define TEXT_VALUE(kind, literal) value_text(kind, TEXT(literal))

static void kinds_have_binary_forms(void **state) {
    static const struct {
        struct value value;
        const char *bytes;
    } cases[] = {
        {{.kind = VALUE_BOOLEAN, .boolean = true}, "01"},
        {{.kind = VALUE_BOOLEAN, .boolean = false}, "00"},
        {{.kind = VALUE_INTEGER, .integer = 1}, "0000000000000001"},
        {{.kind = VALUE_INTEGER, .integer = INT64_MIN}, "8000000000000000"},
        {{.kind = VALUE_INTEGER, .integer = -2}, "fffffffffffffffe"},
        {{.kind = VALUE_REAL, .real = 1.5}, "3ff8000000000000"},
        {{.kind = VALUE_REAL, .real = -0.0}, "8000000000000000"},
        {{.kind = VALUE_TIMESTAMP, .text = TEXT_INIT("2000-01-01T00:00:00.000Z")},
         "0000000000000000"},
        {{.kind = VALUE_TIMESTAMP, .text = TEXT_INIT("2000-01-01T00:00:00.001Z")},
         "00000000000003e8"},
        {{.kind = VALUE_TIMESTAMP, .text = TEXT_INIT("1999-12-31T23:59:59.999Z")},
         "fffffffffffffc18"},
        {{.kind = VALUE_UUID, .text = TEXT_INIT("0190163d-8694-739b-aea5-966c26f8ad91")},
         "0190163d8694739baea5966c26f8ad91"},
    };
    struct pg_parameters parameters = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char hex[65] = "";
        assert_true(pg_parameters_set(&parameters, &cases[i].value, 1));
        assert_int_equal(parameters.formats[0], 1);
        assert_in_range(parameters.lengths[0], 1, 32);
        text_hex_encode(parameters.values[0], (size_t)parameters.lengths[0], hex);
        hex[2 * parameters.lengths[0]] = '\0';
        assert_string_equal(hex, cases[i].bytes);
    }
    pg_parameters_free(&parameters);
}

static void others_are_text(void **state) {
    static const struct {
        struct value value;
        const char *text;
    } cases[] = {
        {{.kind = VALUE_DECIMAL, .integer = 1999, .scale = 2}, "19.99"},
        {{.kind = VALUE_DECIMAL, .integer = -1, .scale = 2}, "-0.01"},
        {{.kind = VALUE_DECIMAL, .integer = 0, .scale = 0}, "0"},
        {{.kind = VALUE_DECIMAL, .integer = 0, .scale = 3}, "0.000"},
        {{.kind = VALUE_DECIMAL, .integer = 10, .scale = 1}, "1.0"},
        {{.kind = VALUE_DECIMAL, .integer = INT64_MAX, .scale = 0}, "9223372036854775807"},
        {{.kind = VALUE_DECIMAL, .integer = INT64_MIN, .scale = 18}, "-9.223372036854775808"},
        {{.kind = VALUE_DECIMAL, .integer = 5, .scale = 18}, "0.000000000000000005"},
        {{.kind = VALUE_DATE, .text = TEXT_INIT("2016-08-05")}, "2016-08-05"},
        // What is no such value is for the server to refuse.
        {{.kind = VALUE_UUID, .text = TEXT_INIT("nonsense")}, "nonsense"},
        {{.kind = VALUE_TIMESTAMP, .text = TEXT_INIT("yesterday")}, "yesterday"},
    };
    struct pg_parameters parameters = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(pg_parameters_set(&parameters, &cases[i].value, 1));
        assert_int_equal(parameters.formats[0], 0);
        assert_string_equal(parameters.values[0], cases[i].text);
    }
    pg_parameters_free(&parameters);
}

static void texts_are_not_copied(void **state) {
    static const char bytes[] = "a\0b";
    const struct value values[] = {
        value_text(VALUE_BYTES, text_of(bytes, 3)),
        TEXT_VALUE(VALUE_TEXT, "ä"),
        TEXT_VALUE(VALUE_JSON, "{}"),
        value_text(VALUE_TEXT, text_of(NULL, 0)),
        value_null(),
    };
    struct pg_parameters parameters = {0};
    assert_true(pg_parameters_set(&parameters, values, 5));
    for (size_t i = 0; i < 3; i++) {
        assert_ptr_equal(parameters.values[i], values[i].text.data);
        assert_int_equal(parameters.lengths[i], values[i].text.size);
        assert_int_equal(parameters.formats[i], 1);
    }
    assert_non_null(parameters.values[3]); // the empty text is none
    assert_int_equal(parameters.lengths[3], 0);
    assert_null(parameters.values[4]);
    pg_parameters_free(&parameters);
}

static void arrays_grow(void **state) {
    struct value values[100] = {{0}};
    struct pg_parameters parameters = {0};
    assert_true(pg_parameters_set(&parameters, values, 0));
    for (size_t i = 0; i < 100; i++)
        values[i] = value_integer((int64_t)i);
    for (size_t count = 1; count <= 100; count += 33) {
        assert_true(pg_parameters_set(&parameters, values, count));
        assert_int_equal(parameters.values[count - 1][7], count - 1);
    }
    pg_parameters_free(&parameters);
}

static void want_of_memory_is_told(void **state) {
    struct value value = value_integer(1);
    for (ALLOCATION_FAILURES(nth)) {
        struct pg_parameters parameters = {0};
        bool set = pg_parameters_set(&parameters, &value, 1);
        pg_parameters_free(&parameters);
        bool failed = allocation_allow();
        assert_int_equal(set, !failed);
        if (!failed)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_have_binary_forms), cmocka_unit_test(others_are_text),
        cmocka_unit_test(texts_are_not_copied),    cmocka_unit_test(arrays_grow),
        cmocka_unit_test(want_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
