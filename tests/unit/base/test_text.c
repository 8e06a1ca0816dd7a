#include "base/text.h"

#include "unit/testing.h"

static void equality_is_by_bytes(void **state) {
    assert_true(text_equal(TEXT("ab"), TEXT("ab")));
    assert_false(text_equal(TEXT("ab"), TEXT("abc")));
    assert_false(text_equal(TEXT("ab"), TEXT("aB")));
    assert_true(text_equal(TEXT(""), (struct text){NULL, 0}));
    assert_false(text_equal(TEXT("a\0b"), TEXT("a\0c")));
    assert_true(text_is(TEXT("x"), "x"));
    assert_true(text_is((struct text){NULL, 0}, NULL));
}

static void prefixes_and_rests(void **state) {
    assert_true(text_starts_with(TEXT("abc"), TEXT("ab")));
    assert_true(text_starts_with(TEXT("abc"), TEXT("")));
    assert_true(text_starts_with((struct text){NULL, 0}, (struct text){NULL, 0}));
    assert_false(text_starts_with(TEXT("ab"), TEXT("abc")));
    assert_text_is(text_from(TEXT("abc"), 2), "c");
    assert_text_is(text_from(TEXT("abc"), 3), "");
    assert_null(text_from((struct text){NULL, 0}, 0).data);
}

static void only_ascii_letters_have_case(void **state) {
    assert_true(text_equal_ignoring_case(TEXT("Content-TYPE"), TEXT("cONTENT-type")));
    assert_false(text_equal_ignoring_case(TEXT("ab"), TEXT("abc")));
    assert_false(text_equal_ignoring_case(TEXT("@"), TEXT("`")));
    assert_false(text_equal_ignoring_case(TEXT("["), TEXT("{")));
    assert_false(text_equal_ignoring_case(TEXT("\xC3\x84"), TEXT("\xC3\xA4")));
}

static void order_is_that_of_code_points(void **state) {
    // Ascending. UTF-16 would have the last two the other way around.
    static const struct text ascending[] = {
        TEXT_INIT(""),
        TEXT_INIT("\0"),
        TEXT_INIT("a"),
        TEXT_INIT("a\0"),
        TEXT_INIT("aa"),
        TEXT_INIT("b"),
        TEXT_INIT("\x7F"),
        TEXT_INIT("\xC2\x80"),
        TEXT_INIT("\xDF\xBF"),
        TEXT_INIT("\xE0\xA0\x80"),
        TEXT_INIT("\xEF\xBF\xBD"),
        TEXT_INIT("\xF0\x90\x80\x80"),
    };
    size_t count = sizeof ascending / sizeof *ascending;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            int order = text_compare(ascending[i], ascending[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
}

static void find_and_trim(void **state) {
    assert_int_equal(text_find(TEXT("abcb"), 'b'), 1);
    assert_int_equal(text_find(TEXT("abc"), 'x'), -1);
    assert_int_equal(text_find((struct text){NULL, 0}, 'x'), -1);
    assert_int_equal(text_find(TEXT("a\0b"), '\0'), 1);
    assert_text_is(text_trim(TEXT(" \t a b\t ")), "a b");
    assert_text_is(text_trim(TEXT(" \t ")), "");
    assert_text_is(text_trim(TEXT("\na\n")), "\na\n");
    assert_text_is(text_trim((struct text){NULL, 0}), "");
}

static void split_yields_every_part(void **state) {
    struct text rest = TEXT("a,,b,");
    struct text part;
    static const char *const parts[] = {"a", "", "b", ""};
    for (size_t i = 0; i < 4; i++) {
        assert_true(text_split(&rest, ',', &part));
        assert_text_is(part, parts[i]);
    }
    assert_false(text_split(&rest, ',', &part));
    assert_text_is(part, "");
}

static void split_yields_an_empty_text_once(void **state) {
    struct text rest = TEXT("");
    struct text part;
    assert_true(text_split(&rest, ',', &part));
    assert_text_is(part, "");
    assert_false(text_split(&rest, ',', &part));
}

static void integers_that_are(void **state) {
    static const struct {
        struct text text;
        int64_t value;
    } cases[] = {
        {TEXT_INIT("0"), 0},
        {TEXT_INIT("7"), 7},
        {TEXT_INIT("-1"), -1},
        {TEXT_INIT("1000000000000000000"), INT64_C(1000000000000000000)},
        {TEXT_INIT("9223372036854775807"), INT64_MAX},
        {TEXT_INIT("-9223372036854775808"), INT64_MIN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = 42;
        assert_true_for(text_to_integer(cases[i].text, &value), cases[i].text.data);
        assert_int_equal(value, cases[i].value);
    }
}

static void integers_that_are_not(void **state) {
    static const struct text cases[] = {
        TEXT_INIT(""),
        TEXT_INIT("-"),
        TEXT_INIT("+1"),
        TEXT_INIT("-0"),
        TEXT_INIT("00"),
        TEXT_INIT("01"),
        TEXT_INIT("-01"),
        TEXT_INIT(" 1"),
        TEXT_INIT("1 "),
        TEXT_INIT("1.0"),
        TEXT_INIT("1e1"),
        TEXT_INIT("0x1"),
        TEXT_INIT("--1"),
        TEXT_INIT("1\0"),
        TEXT_INIT("\xD9\xA1"),
        TEXT_INIT("9223372036854775808"),
        TEXT_INIT("-9223372036854775809"),
        TEXT_INIT("18446744073709551616"),
        TEXT_INIT("99999999999999999999999999"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = 42;
        assert_true_for(!text_to_integer(cases[i], &value), cases[i].data);
        assert_int_equal(value, 42);
    }
}

// Unicode 15, table 3-7: the first and last of each row.
static void utf8_that_is_well_formed(void **state) {
    static const struct {
        struct text text;
        uint32_t code_point;
    } cases[] = {
        {TEXT_INIT("\0"), 0},
        {TEXT_INIT("\x7F"), 0x7F},
        {TEXT_INIT("\xC2\x80"), 0x80},
        {TEXT_INIT("\xDF\xBF"), 0x7FF},
        {TEXT_INIT("\xE0\xA0\x80"), 0x800},
        {TEXT_INIT("\xE0\xBF\xBF"), 0xFFF},
        {TEXT_INIT("\xE1\x80\x80"), 0x1000},
        {TEXT_INIT("\xEC\xBF\xBF"), 0xCFFF},
        {TEXT_INIT("\xED\x80\x80"), 0xD000},
        {TEXT_INIT("\xED\x9F\xBF"), 0xD7FF},
        {TEXT_INIT("\xEE\x80\x80"), 0xE000},
        {TEXT_INIT("\xEF\xBF\xBF"), 0xFFFF},
        {TEXT_INIT("\xF0\x90\x80\x80"), 0x10000},
        {TEXT_INIT("\xF0\xBF\xBF\xBF"), 0x3FFFF},
        {TEXT_INIT("\xF1\x80\x80\x80"), 0x40000},
        {TEXT_INIT("\xF3\xBF\xBF\xBF"), 0xFFFFF},
        {TEXT_INIT("\xF4\x80\x80\x80"), 0x100000},
        {TEXT_INIT("\xF4\x8F\xBF\xBF"), 0x10FFFF},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text text = cases[i].text;
        size_t size = 0;
        char encoded[4];
        assert_true(text_is_utf8(text));
        assert_int_equal(text_utf8_size(text), text.size);
        assert_int_equal(text_utf8_length(text), 1);
        assert_int_equal(text_utf8_decode(text, &size), cases[i].code_point);
        assert_int_equal(size, text.size);
        assert_int_equal(text_utf8_encode(cases[i].code_point, encoded), text.size);
        assert_memory_equal(encoded, text.data, text.size);
    }
    assert_true(text_is_utf8((struct text){NULL, 0}));
}

static const struct text ill_formed[] = {
    TEXT_INIT("\x80"), // a continuation alone
    TEXT_INIT("\xBF"),
    TEXT_INIT("\xC0\x80"), // overlong NUL
    TEXT_INIT("\xC1\xBF"), // overlong U+007F
    TEXT_INIT("\xC2"),     // cut
    TEXT_INIT("\xC2\x7F"),
    TEXT_INIT("\xC2\xC0"),
    TEXT_INIT("\xE0\x80\x80"), // overlong
    TEXT_INIT("\xE0\x9F\xBF"),
    TEXT_INIT("\xE1\x80"), // cut
    TEXT_INIT("\xE1\x80\x7F"),
    TEXT_INIT("\xED\xA0\x80"), // the surrogates
    TEXT_INIT("\xED\xBF\xBF"),
    TEXT_INIT("\xF0\x80\x80\x80"), // overlong
    TEXT_INIT("\xF0\x8F\xBF\xBF"),
    TEXT_INIT("\xF1\x80\x80"), // cut
    TEXT_INIT("\xF1\x80\x80\xC0"),
    TEXT_INIT("\xF4\x90\x80\x80"), // over U+10FFFF
    TEXT_INIT("\xF5\x80\x80\x80"),
    TEXT_INIT("\xFE"),
    TEXT_INIT("\xFF"),
};

// Each at every offset among ASCII, so that it falls on each place of a word of eight bytes.
static void utf8_that_is_ill_formed(void **state) {
    for (size_t i = 0; i < sizeof ill_formed / sizeof *ill_formed; i++) {
        assert_int_equal(text_utf8_size(ill_formed[i]), 0);
        for (size_t offset = 0; offset <= 20; offset++) {
            char bytes[24];
            memset(bytes, 'a', sizeof bytes);
            memcpy(bytes + offset, ill_formed[i].data, ill_formed[i].size);
            assert_false(text_is_utf8(text_of(bytes, offset + ill_formed[i].size)));
            assert_true(text_is_utf8(text_of(bytes, offset)));
        }
    }
}

static void every_code_point_survives(void **state) {
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        char encoded[4];
        size_t size = 0;
        struct text text = text_of(encoded, text_utf8_encode(c, encoded));
        bool surrogate = c >= 0xD800 && c <= 0xDFFF;
        assert_int_equal(text_is_utf8(text), !surrogate);
        if (!surrogate)
            assert_int_equal(text_utf8_decode(text, &size), c);
    }
}

static void length_counts_code_points(void **state) {
    assert_int_equal(text_utf8_length((struct text){NULL, 0}), 0);
    assert_int_equal(text_utf8_length(TEXT("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80")), 4);
    assert_int_equal(text_utf8_length(TEXT("e\xCC\x81")), 2); // combining
}

static void cutting_leaves_whole_characters(void **state) {
    struct text whole = TEXT("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80");
    static const size_t left[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
    for (size_t size = 0; size <= whole.size; size++)
        assert_int_equal(text_whole_characters(text_of(whole.data, size)).size, left[size]);
    assert_int_equal(text_whole_characters((struct text){NULL, 0}).size, 0);
    assert_int_equal(text_whole_characters(TEXT("\xF0\x9F\x98")).size, 0);
    assert_int_equal(text_whole_characters(TEXT("\x80\x80\x80\x80\x80")).size, 5); // not UTF-8
}

static void hexadecimal_both_ways(void **state) {
    unsigned char bytes[256];
    unsigned char back[256];
    char hex[512];
    for (int i = 0; i < 256; i++)
        bytes[i] = (unsigned char)i;
    text_hex_encode(bytes, sizeof bytes, hex);
    assert_memory_equal(hex, "000102030405060708090a0b0c0d0e0f10", 34);
    assert_true(text_hex_decode(text_of(hex, sizeof hex), back, sizeof back));
    assert_memory_equal(back, bytes, sizeof bytes);
    assert_true(text_hex_decode(TEXT("aBcDEf"), back, 3));
    assert_memory_equal(back, "\xAB\xCD\xEF", 3);
    assert_true(text_hex_decode((struct text){NULL, 0}, back, 0));
}

static void hexadecimal_that_is_none(void **state) {
    unsigned char out[2];
    static const struct text cases[] = {
        TEXT_INIT(""),     TEXT_INIT("ab"),   TEXT_INIT("abc"),  TEXT_INIT("abcde"),
        TEXT_INIT("abcg"), TEXT_INIT("gabc"), TEXT_INIT("ab:c"), TEXT_INIT("ab/c"),
        TEXT_INIT("ab@c"), TEXT_INIT("ab`c"), TEXT_INIT("0xab"), TEXT_INIT("ab\0\0"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true_for(!text_hex_decode(cases[i], out, 2), cases[i].data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_is_by_bytes),
        cmocka_unit_test(prefixes_and_rests),
        cmocka_unit_test(only_ascii_letters_have_case),
        cmocka_unit_test(order_is_that_of_code_points),
        cmocka_unit_test(find_and_trim),
        cmocka_unit_test(split_yields_every_part),
        cmocka_unit_test(split_yields_an_empty_text_once),
        cmocka_unit_test(integers_that_are),
        cmocka_unit_test(integers_that_are_not),
        cmocka_unit_test(utf8_that_is_well_formed),
        cmocka_unit_test(utf8_that_is_ill_formed),
        cmocka_unit_test(every_code_point_survives),
        cmocka_unit_test(length_counts_code_points),
        cmocka_unit_test(cutting_leaves_whole_characters),
        cmocka_unit_test(hexadecimal_both_ways),
        cmocka_unit_test(hexadecimal_that_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
