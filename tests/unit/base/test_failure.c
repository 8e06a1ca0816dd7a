#include "base/failure.h"

#include "unit/testing.h"

static void every_code_has_its_row(void **state) {
    for (enum failure_code code = FAILURE_NONE; code < FAILURE_CODES; code++) {
        unsigned status = failure_status(code);
        assert_true(status == 200 ? code == FAILURE_NONE : status >= 400 && status < 600);
        assert_true(strlen(failure_title(code)) > 0);
        struct text type = text_from_string(failure_type(code));
        assert_true(type.size > 0);
        for (size_t i = 0; i < type.size; i++) // it becomes a part of a URL
            assert_true((type.data[i] >= 'a' && type.data[i] <= 'z') || type.data[i] == '-');
    }
    assert_int_equal(failure_status(FAILURE_NOT_FOUND), 404);
    assert_string_equal(failure_type(FAILURE_NOT_FOUND), "not-found");
}

static void types_are_distinct(void **state) {
    for (enum failure_code a = FAILURE_NONE; a < FAILURE_CODES; a++) {
        for (enum failure_code b = FAILURE_NONE; b < a; b++)
            assert_string_not_equal(failure_type(a), failure_type(b));
    }
}

static void setting_says_no(void **state) {
    struct failure failure;
    assert_false(failure_set(&failure, FAILURE_CONFLICT, "%s %d", "row", 7));
    assert_int_equal(failure.code, FAILURE_CONFLICT);
    assert_string_equal(failure.detail, "row 7");
    assert_false(failure_out_of_memory(&failure));
    assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
    assert_true(strlen(failure.detail) > 0);
}

static void a_detail_may_quote_the_old_one(void **state) {
    struct failure failure;
    failure_set(&failure, FAILURE_CONFLICT, "inner");
    failure_set(&failure, FAILURE_INTERNAL, "outer: %s: %s", failure.detail, failure.detail);
    assert_string_equal(failure.detail, "outer: inner: inner");
    failure_set(&failure, FAILURE_INTERNAL, "%s", "");
    assert_string_equal(failure.detail, "");
}

// However far it is shifted, the detail is cut between two characters.
static void long_details_are_cut_at_a_character(void **state) {
    char text[1000];
    for (size_t i = 0; i + 4 <= sizeof text; i += 4)
        memcpy(text + i, "\xF0\x9F\x98\x80", 4);
    text[996] = '\0';
    for (int shift = 0; shift < 4; shift++) {
        struct failure failure;
        failure_set(&failure, FAILURE_INTERNAL, "%.*s%s", shift, "abc", text);
        size_t size = strlen(failure.detail);
        assert_true(text_is_utf8(text_of(failure.detail, size)));
        assert_in_range(size, sizeof failure.detail - 4, sizeof failure.detail - 1);
    }
}

static void the_longest_detail_is_whole(void **state) {
    struct failure failure;
    int longest = (int)sizeof failure.detail - 1;
    failure_set(&failure, FAILURE_INTERNAL, "%*d", longest, 7);
    assert_int_equal(strlen(failure.detail), longest);
    assert_int_equal(failure.detail[longest - 1], '7');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_row),
        cmocka_unit_test(types_are_distinct),
        cmocka_unit_test(setting_says_no),
        cmocka_unit_test(a_detail_may_quote_the_old_one),
        cmocka_unit_test(long_details_are_cut_at_a_character),
        cmocka_unit_test(the_longest_detail_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
