#include "base/arena.h"
#include "http/http.h"
#include "http/syntax.h"
#include "unit/allocation.h"
#include "unit/testing.h"

// The outcome of a run of lines fed in two parts.
static enum line_outcome scan(struct text bytes, size_t cut, size_t *ret_used) {
    enum line_place place = LINE_START;
    size_t used = 0;
    enum line_outcome outcome = line_scan(&place, text_of(bytes.data, cut), &used);
    *ret_used = used;
    if (outcome != LINE_GOES_ON)
        return outcome;
    assert_int_equal(used, cut);
    outcome = line_scan(&place, text_from(bytes, cut), &used);
    *ret_used = cut + used;
    return outcome;
}

static void lines_end_with_cr_lf(void **state) {
    static const struct {
        struct text bytes;
        enum line_outcome outcome;
        size_t used; // where it is an empty line's end
    } cases[] = {
        {TEXT_INIT(""), LINE_GOES_ON, 0},
        {TEXT_INIT("a"), LINE_GOES_ON, 0},
        {TEXT_INIT("a\r\nb\r\n"), LINE_GOES_ON, 0},
        {TEXT_INIT("a\r\n\r\nb"), LINE_EMPTY_END, 5},
        {TEXT_INIT("\r\n\x01"), LINE_EMPTY_END, 2},
        {TEXT_INIT("a\tb \xff\r\n\r\n"), LINE_EMPTY_END, 9},
        {TEXT_INIT("a\nb"), LINE_WRONG, 0},
        {TEXT_INIT("\n"), LINE_WRONG, 0},
        {TEXT_INIT("a\rb"), LINE_WRONG, 0},
        {TEXT_INIT("a\r\r\n"), LINE_WRONG, 0},
        {TEXT_INIT("a\r\n\rb"), LINE_WRONG, 0},
        {TEXT_INIT("a\r\n b"), LINE_WRONG, 0},
        {TEXT_INIT("a\r\n\tb"), LINE_WRONG, 0},
        {TEXT_INIT(" a"), LINE_WRONG, 0},
        {TEXT_INIT(":a"), LINE_WRONG, 0},
        {TEXT_INIT("a\0b"), LINE_WRONG, 0},
        {TEXT_INIT("\0"), LINE_WRONG, 0},
        {TEXT_INIT("a\x1f"), LINE_WRONG, 0},
        {TEXT_INIT("a\x7f"), LINE_WRONG, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t cut = 0; cut <= cases[i].bytes.size; cut++) {
            size_t used = 0;
            assert_true_for(scan(cases[i].bytes, cut, &used) == cases[i].outcome,
                            cases[i].bytes.data);
            if (cases[i].outcome == LINE_EMPTY_END)
                assert_int_equal(used, cases[i].used);
        }
    }
}

static void tokens(void **state) {
    assert_true(syntax_is_token(TEXT("GET")));
    assert_true(syntax_is_token(TEXT("!#$%&'*+-.^_`|~09AZaz")));
    static const char delimiters[] = "\"(),/:;<=>?@[\\]{} \t\r\n\x7f\x80\xff";
    for (size_t i = 0; i < sizeof delimiters; i++) // its final zero byte, too
        assert_false(syntax_is_token(text_of(&delimiters[i], 1)));
    assert_false(syntax_is_token(TEXT("")));
}

// Each byte at each place of a text that is as long as several words.
static void targets_and_lines_byte_by_byte(void **state) {
    char bytes[27];
    for (unsigned byte = 0; byte < 256; byte++) {
        bool in_target = byte > ' ' && byte < 0x7f && byte != '#';
        bool in_line = (byte >= ' ' && byte != 0x7f) || byte == '\t';
        for (size_t at = 1; at < sizeof bytes; at++) {
            enum line_place place = LINE_START;
            size_t used = 0;
            memset(bytes, 'a', sizeof bytes);
            bytes[at] = (char)byte;
            struct text text = text_of(bytes, sizeof bytes);
            assert_int_equal(syntax_is_target(text), in_target);
            bool passed = line_scan(&place, text, &used) == LINE_GOES_ON;
            bool last_cr = byte == '\r' && at == sizeof bytes - 1;
            assert_int_equal(passed, in_line || last_cr);
        }
    }
    assert_false(syntax_is_target(TEXT("")));
}

static void authorities(void **state) {
    static const char *const valid[] = {"a",
                                        "a.b:80",
                                        "a:",
                                        "127.0.0.1:65535",
                                        "[::1]",
                                        "[::1]:",
                                        "[fe80::1:2]:8080",
                                        "[::ffff:1.2.3.4]",
                                        "a%20b",
                                        "a-b_c~!$&'()*+,;=",
                                        "%00"};
    static const char *const invalid[] = {
        "",          ":",        ":80",
        "a:65536",   "a:123456", "a:8x",
        "a:+1",      "a:1:1",    "[]",
        "[::1",      "::1",      "[::1]80",
        "[::1]:x",   "[v1.a]",   "[fe80::1%25eth0]",
        "[1.2.3.4]", "a b",      "a/b",
        "a?b",       "a@b",      "a#b",
        "a\\b",      "a%",       "a%2",
        "a%2g",      "\xff",     "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]"};
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++)
        assert_true_for(syntax_is_authority(text_from_string(valid[i])), valid[i]);
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
        assert_true_for(!syntax_is_authority(text_from_string(invalid[i])), invalid[i]);
    assert_false(syntax_is_authority(TEXT("a\0b")));
    assert_false(syntax_is_authority(TEXT("[::1\0]")));
}

static void percent_decoding(void **state) {
    static const struct {
        const char *encoded;
        const char *decoded; // NULL: refused
        const char *form;
    } cases[] = {
        {"", "", ""},
        {"abc", "abc", "abc"},
        {"a%20b", "a b", "a b"},
        {"a+b", "a+b", "a b"},
        {"%2B", "+", "+"},
        {"%2b", "+", "+"},
        {"%25%32%30", "%20", "%20"}, // once
        {"%C3%A4", "\xc3\xa4", "\xc3\xa4"},
        {"%F0%9F%98%80", "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        {"%", NULL, NULL},
        {"%2", NULL, NULL},
        {"a%", NULL, NULL},
        {"%zz", NULL, NULL},
        {"%2z", NULL, NULL},
        {"% 2", NULL, NULL},
        {"%+2", NULL, NULL},
        {"%00", NULL, NULL},
        {"%C3", NULL, NULL},
        {"%ff", NULL, NULL},
        {"%ED%A0%80", NULL, NULL}, // a surrogate
        {"%C0%80", NULL, NULL},    // an overlong zero
    };
    struct arena arena = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text encoded = text_from_string(cases[i].encoded);
        for (int form = 0; form < 2; form++) {
            const char *expected = form ? cases[i].form : cases[i].decoded;
            struct text decoded = TEXT("untouched");
            bool valid = http_percent_decode(&arena, encoded, form, &decoded);
            assert_true_for(valid == (expected != NULL), cases[i].encoded);
            assert_text_is(decoded, expected ? expected : "untouched");
        }
    }
    struct text decoded = TEXT("untouched");
    assert_false(http_percent_decode(&arena, TEXT("a\0b"), false, &decoded));
    allocation_fail_from(1);
    struct arena empty = {0};
    assert_false(http_percent_decode(&empty, TEXT("a"), false, &decoded));
    assert_true(allocation_allow());
    assert_text_is(decoded, "untouched");
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_with_cr_lf),
        cmocka_unit_test(tokens),
        cmocka_unit_test(targets_and_lines_byte_by_byte),
        cmocka_unit_test(authorities),
        cmocka_unit_test(percent_decoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
