#include "http/field_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MOST = 6 };

static void members_of_a_list(void **state) {
    static const struct {
        const char *list;
        const char *members[MOST];
    } rows[] = {
        {"", {NULL}},
        {" \t ", {NULL}},
        {",,, ,", {NULL}},
        {"a", {"a"}},
        {"a,b", {"a", "b"}},
        {" a , ,\tb c ,", {"a", "b c"}},
        {"a=\"x,y\", b", {"a=\"x,y\"", "b"}},
        {"a=\"x\\\",y\", b", {"a=\"x\\\",y\"", "b"}},
        {"a=\"x\\\\\",y", {"a=\"x\\\\\"", "y"}},
        {"a, b=\"never ends, c", {"a", "b=\"never ends, c"}},
        {"a, \"\\", {"a", "\"\\"}},
        {"\",\"\",\",b", {"\",\"\",\"", "b"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct text rest = text_from_string(rows[i].list);
        struct text member;
        size_t count = 0;
        for (; field_list_next(&rest, ',', &member); count++) {
            if (count == MOST || !rows[i].members[count] ||
                !text_is(member, rows[i].members[count]))
                fail_msg("row %zu, member %zu: %.*s", i, count, TEXT_ARGS(member));
        }
        assert_null(rows[i].members[count]);
        assert_int_equal(rest.size, 0);
    }
}

// The bytes end where they end: a sanitizer sees each one that is read behind them.
static void nothing_is_read_behind_the_end(void **state) {
    static const char hostile[] = "\\\"a=;, ";
    for (unsigned number = 0; number < 7 * 7 * 7 * 7; number++) {
        char *bytes = malloc(4);
        assert_non_null(bytes);
        for (unsigned i = 0, rest = number; i < 4; i++, rest /= 7)
            bytes[i] = hostile[rest % 7];
        struct text list = text_of(bytes, 4);
        struct text member;
        while (field_list_next(&list, ',', &member)) {
            struct field_parameter parameter;
            unsigned weight;
            assert_true(member.size > 0);
            if (field_parameter_read(member, &parameter) && parameter.value.data)
                field_weight_read(parameter.value, &weight);
        }
        free(bytes);
    }
}

static void parameters(void **state) {
    static const struct {
        const char *part;
        const char *name; // NULL: it is none
        const char *value;
        bool quoted;
    } rows[] = {
        {"wait", "wait", NULL, false},       {"wait=10", "wait", "10", false},
        {"wait = 10", "wait", "10", false},  {"wait=\"10\"", "wait", "10", true},
        {"a=\"\"", "a", "", true},           {"a=\"x\\\"y=;,\"", "a", "x\\\"y=;,", true},
        {"a=\"x\\\\\"", "a", "x\\\\", true}, {"a=", NULL, NULL, false},
        {"=a", NULL, NULL, false},           {"", NULL, NULL, false},
        {"a b", NULL, NULL, false},          {"a=b c", NULL, NULL, false},
        {"a=\"", NULL, NULL, false},         {"a=\"x", NULL, NULL, false},
        {"a=\"x\\\"", NULL, NULL, false},    {"a=\"x\"y", NULL, NULL, false},
        {"a=\"x\"\"y\"", NULL, NULL, false}, {"a/b=c", NULL, NULL, false},
        {"a=b=c", NULL, NULL, false},        {"\xC3\xA4=b", NULL, NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct field_parameter parameter;
        bool read = field_parameter_read(text_from_string(rows[i].part), &parameter);
        if (read != (rows[i].name != NULL))
            fail_msg("%s", rows[i].part);
        if (!read)
            continue;
        assert_true(text_is(parameter.name, rows[i].name));
        assert_int_equal(parameter.quoted, rows[i].quoted);
        if (!rows[i].value) {
            assert_null(parameter.value.data);
            continue;
        }
        assert_non_null(parameter.value.data);
        assert_true(text_is(parameter.value, rows[i].value));
    }
}

static void weights(void **state) {
    static const struct {
        const char *value;
        int weight; // -1: it is none
    } rows[] = {
        {"0", 0},      {"0.", 0},       {"0.0", 0},    {"0.000", 0},
        {"0.001", 1},  {"0.5", 500},    {"0.55", 550}, {"0.999", 999},
        {"1", 1000},   {"1.000", 1000}, {".5", 500},   {"0.9999", 999},
        {"1.5", 1000}, {"100", 1000},   {"00.2", 200}, {"10000000000000000000000", 1000},
        {"", -1},      {".", -1},       {"-1", -1},    {"0.5.5", -1},
        {"x", -1},     {"0,5", -1},     {"1x", -1},    {"0.5 ", -1},
        {"+1", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned weight = 7;
        bool read = field_weight_read(text_from_string(rows[i].value), &weight);
        if (read != (rows[i].weight >= 0) || (read && weight != (unsigned)rows[i].weight))
            fail_msg("%s: %u", rows[i].value, weight);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_of_a_list),
        cmocka_unit_test(nothing_is_read_behind_the_end),
        cmocka_unit_test(parameters),
        cmocka_unit_test(weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
