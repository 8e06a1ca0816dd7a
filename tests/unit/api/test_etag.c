#include "api/etag.h"

#include "unit/testing.h"

static const struct etag seventh = {ETAG_RECORD, 7, UINT64_C(0x0123456789ab), false};
static const struct etag list = {ETAG_LIST, 7, UINT64_C(0xffff0123456789ab), false};

static void assert_format(struct etag etag, const char *expected) {
    char out[ETAG_SIZE];
    assert_text_is(text_of(out, etag_format(etag, out)), expected);
}

static void the_form_of_tags(void **state) {
    assert_format(seventh, "7.ASNFZ4mr");
    assert_format(list, "ASNFZ4mr");
    assert_format((struct etag){ETAG_RECORD, 0, 0, false}, "0.AAAAAAAA");
    assert_format((struct etag){ETAG_RECORD, 0, 0, true}, "0.AAAAAAAA+gz");
    assert_format((struct etag){ETAG_RECORD, INT64_MAX, UINT64_MAX, false},
                  "9223372036854775807.________");
    assert_format((struct etag){ETAG_RECORD, INT64_MIN, 1, false}, "-9223372036854775808.AAAAAAAB");
}

static void lists_of_tags(void **state) {
    static const struct {
        const char *list;
        bool valid;
    } rows[] = {
        {"*", true},
        {"\"a\"", true},
        {"\"\"", true},
        {"W/\"a\"", true},
        {"\"a\", \"b\"", true},
        {"\"a\",\"b\"\t,W/\"c\"", true},
        {", ,\"a\",,", true},
        {"\"a,b\"", true},
        {"\"a\\\"", true}, // a backslash is a character like any other
        {"\"\xc3\xa4!#~\"", true},
        {"", false},
        {",", false},
        {"a", false},
        {"7.ASNFZ4mr", false},
        {"\"a", false},
        {"a\"", false},
        {"\"", false},
        {"W/", false},
        {"W/a", false},
        {"w/\"a\"", false},
        {"W/ \"a\"", false},
        {"\"a b\"", false},
        {"\"a\"b\"", false},
        {"\"a\" \"b\"", false},
        {"\"a\";\"b\"", false},
        {"\"a\x7f\"", false},
        {"*, \"a\"", false},
        {"\"a\", *", false},
        {"\"*\", **", false},
        {"'a'", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_true_for(etag_list_is_valid(text_from_string(rows[i].list)) == rows[i].valid,
                        rows[i].list);
}

static void whole_tags_are_compared(void **state) {
    static const struct {
        const char *list;
        bool weakly;
        bool strongly;
    } rows[] = {
        {"*", true, true},
        {"\"7.ASNFZ4mr\"", true, true},
        {"W/\"7.ASNFZ4mr\"", true, false},
        {"\"x\", W/\"7.ASNFZ4mr\"", true, false},
        {"W/\"7.ASNFZ4mr\",\"7.ASNFZ4mr\"", true, true},
        {"\"7.ASNFZ4ms\"", false, false},
        {"\"7.asnfz4mr\"", false, false},
        {"\"8.ASNFZ4mr\"", false, false},
        {"\"ASNFZ4mr\"", false, false},
        {"\"7\"", false, false},
        {"\"\"", false, false},
        {"\"7.ASNFZ4mr \"", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct text text = text_from_string(rows[i].list);
        assert_true_for(etag_is_listed(seventh, text, false) == rows[i].weakly, rows[i].list);
        assert_true_for(etag_is_listed(seventh, text, true) == rows[i].strongly, rows[i].list);
    }
    assert_true(etag_is_listed(list, TEXT("\"ASNFZ4mr\""), true));
    assert_false(etag_is_listed(list, TEXT("\"7.ASNFZ4mr\""), true));
}

static void versions_are_compared(void **state) {
    static const struct {
        const char *list;
        bool weakly;
        bool strongly;
    } rows[] = {
        {"*", true, true},
        {"\"7.ASNFZ4mr\"", true, true},
        {"\"7.another\"", true, true},
        {"\"7.\"", true, true},
        {"W/\"7.ASNFZ4mr\"", true, false},
        {"\"8.ASNFZ4mr\", \"7.x\"", true, true},
        {"\"8.ASNFZ4mr\"", false, false},
        {"\"7\"", false, false},
        {"\"07.x\"", false, false},
        {"\"+7.x\"", false, false},
        {"\"77.x\"", false, false},
        {"\".7\"", false, false},
        {"\"ASNFZ4mr\"", false, false},
        {"\"99999999999999999999.x\"", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct text text = text_from_string(rows[i].list);
        assert_true_for(etag_version_is_listed(7, text, false) == rows[i].weakly, rows[i].list);
        assert_true_for(etag_version_is_listed(7, text, true) == rows[i].strongly, rows[i].list);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_form_of_tags),
        cmocka_unit_test(lists_of_tags),
        cmocka_unit_test(whole_tags_are_compared),
        cmocka_unit_test(versions_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
