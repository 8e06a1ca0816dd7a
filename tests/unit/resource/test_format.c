#include "resource/format.h"

#include "unit/testing.h"

struct row {
    struct text text;
    bool fits;
};

#define FITS(literal)                                                                              \
    { TEXT_INIT(literal), true }
#define FAILS(literal)                                                                             \
    { TEXT_INIT(literal), false }

static void check_rows(const struct row *rows, size_t count, bool (*fits)(struct text text)) {
    for (size_t i = 0; i < count; i++) {
        // A copy without a zero behind it, so that reading too far is seen.
        char *copy = test_malloc(rows[i].text.size + (rows[i].text.size == 0));
        memcpy(copy, rows[i].text.data, rows[i].text.size);
        bool result = fits(text_of(copy, rows[i].text.size));
        test_free(copy);
        assert_true_for(result == rows[i].fits, rows[i].text.data);
    }
}

static void uris(void **state) {
    static const struct row rows[] = {
        FITS("https://example.org"),
        FITS("https://example.org/"),
        FITS("https://example.org/a/b;c=1,2/..?q=a/b?c&d=%C3%BC#f/?x"),
        FITS("http://user:pa%20ss@example.org:8080/"),
        FITS("http://example.org:/"),
        FITS("http://[::1]:80/"),
        FITS("http://[::]"),
        FITS("http://[1:2:3:4:5:6:7:8]"),
        FITS("http://[1::8]"),
        FITS("http://[1:2:3:4:5:6:7::]"),
        FITS("http://[::ffff:192.0.2.1]"),
        FITS("http://[1:2:3:4:5:6:192.0.2.1]"),
        FITS("http://[v1.fe:80]"),
        FITS("http://192.0.2.1/"),
        FITS("http://999.999.1.1/"), // a registered name
        FITS("urn:isbn:0451450523"),
        FITS("mailto:ann@example.org"),
        FITS("file:///etc/passwd"),
        FITS("x:"),
        FITS("a+b-c.d1:e"),
        FITS("data:text/plain,%41"),
        FITS("http://"), // an empty host is a registered name
        FITS("x:?#"),
        FAILS(""),
        FAILS(":"),
        FAILS("example.org"),
        FAILS("/a/b"),
        FAILS("//example.org/"),
        FAILS("1http://example.org"),
        FAILS("ht_tp://example.org"),
        FAILS("http ://example.org"),
        FAILS(" http://example.org"),
        FAILS("http://example.org/a b"),
        FAILS("http://example.org/\n"),
        FAILS("http://example.org/%"),
        FAILS("http://example.org/%4"),
        FAILS("http://example.org/%4G"),
        FAILS("http://example.org/{a}"),
        FAILS("http://example.org/a|b"),
        FAILS("http://example.org/\\"),
        FAILS("http://example.org/\"x\""),
        FAILS("http://example.org/<x>"),
        FAILS("http://example.org/^"),
        FAILS("http://example.org/`"),
        FAILS("http://example.org/\xC3\xBC"),
        FAILS("http://example.org/\0"),
        FAILS("http://example.org/#a#b"),
        FAILS("http://example.org:80a/"),
        FAILS("http://a:b:c/"),
        FAILS("http://a@b@c/"),
        FAILS("http://[::1/"),
        FAILS("http://::1]/"),
        FAILS("http://[]/"),
        FAILS("http://[:]/"),
        FAILS("http://[:::]/"),
        FAILS("http://[1:2]/"),
        FAILS("http://[1:2:3:4:5:6:7]"),
        FAILS("http://[1:2:3:4:5:6:7:8:9]"),
        FAILS("http://[1:2:3:4:5:6:7:8::]"),
        FAILS("http://[1::2::3]"),
        FAILS("http://[1:2:3:4:5:6:7:]"),
        FAILS("http://[12345::]"),
        FAILS("http://[::g]"),
        FAILS("http://[::256.0.2.1]"),
        FAILS("http://[::1.2.3]"),
        FAILS("http://[::1.2.3.4.5]"),
        FAILS("http://[::01.2.3.4]"),
        FAILS("http://[1:2:3:4:5:6:7:1.2.3.4]"),
        FAILS("http://[::1]a"),
        FAILS("http://[::1%25eth0]"),
        FAILS("http://[v.x]"),
        FAILS("http://[v1.]"),
        FAILS("http://[vg.x]"),
        FAILS("http://[v1.%41]"),
    };
    check_rows(rows, sizeof rows / sizeof *rows, format_is_uri);
}

#define LABEL_63 "a23456789b123456789c123456789d123456789e123456789f123456789g123"

static void emails(void **state) {
    static const struct row rows[] = {
        FITS("ann@example.org"),
        FITS("a@b"),
        FITS("first.last+tag@sub.example.org"),
        FITS("!#$%&'*+-/=?^_`{|}~@example.org"),
        FITS("a@xn--bcher-kva.example"),
        FITS("a@1.2"),
        FITS(LABEL_63 "4@example.org"),
        FITS("a@" LABEL_63 ".org"),
        FITS("a@" LABEL_63 "." LABEL_63 "." LABEL_63 ".a23456789b123456789c123456789d123456789e"
             "123456789f1234567890"), // 254
        FAILS("a@" LABEL_63 "." LABEL_63 "." LABEL_63 ".a23456789b123456789c123456789d123456789e"
              "123456789f12345678901"),
        FAILS(""),
        FAILS("@"),
        FAILS("a@"),
        FAILS("@b"),
        FAILS("a"),
        FAILS("a@b@c"),
        FAILS(".a@b"),
        FAILS("a.@b"),
        FAILS("a..b@c"),
        FAILS("a b@c"),
        FAILS("\"a\"@b"),
        FAILS("a@[192.0.2.1]"),
        FAILS("a@b."),
        FAILS("a@.b"),
        FAILS("a@b..c"),
        FAILS("a@-b"),
        FAILS("a@b-"),
        FAILS("a@b_c"),
        FAILS("a@b\n"),
        FAILS("a\0@b"),
        FAILS("\xC3\xBC@b"),
        FAILS("a@\xC3\xBC"),
        FAILS(LABEL_63 "45@example.org"),
        FAILS("a@" LABEL_63 "4.org"),
    };
    check_rows(rows, sizeof rows / sizeof *rows, format_is_email);
}

static bool is_uuid(struct text text) {
    char out[36];
    return format_read_uuid(text, out);
}

static void uuids(void **state) {
    static const struct row rows[] = {
        FITS("0190163d-8694-739b-aea5-966c26f8ad91"),
        FITS("0190163D-8694-739B-AEA5-966C26F8AD91"),
        FITS("00000000-0000-0000-0000-000000000000"),
        FITS("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"),
        FAILS(""),
        FAILS("0190163d8694739baea5966c26f8ad91"),
        FAILS("0190163d-8694-739b-aea5-966c26f8ad9"),
        FAILS("0190163d-8694-739b-aea5-966c26f8ad911"),
        FAILS("0190163d-8694-739b-aea5-966c26f8ad9g"),
        FAILS("0190163d-8694-739b-aea5-966c26f8ad9\0"),
        FAILS("0190163d8-694-739b-aea5-966c26f8ad91"),
        FAILS("0190163d-8694-739b-aea5+966c26f8ad91"),
        FAILS("{0190163d-8694-739b-aea5-966c26f8ad9"),
        FAILS("urn:uuid:0190163d-8694-739b-aea5-966"),
    };
    check_rows(rows, sizeof rows / sizeof *rows, is_uuid);
    char out[36];
    assert_true(format_read_uuid(TEXT("0190163D-8694-739B-AEA5-966C26F8AD91"), out));
    assert_memory_equal(out, "0190163d-8694-739b-aea5-966c26f8ad91", 36);
}

static void decimals(void **state) {
    static const struct {
        struct text text;
        uint8_t scale;
        bool fits;
        int64_t digits;
    } rows[] = {
        {TEXT_INIT("12.5"), 2, true, 1250},
        {TEXT_INIT("12.50"), 2, true, 1250},
        {TEXT_INIT("12.500000000000000000000000"), 2, true, 1250},
        {TEXT_INIT("12"), 2, true, 1200},
        {TEXT_INIT("0"), 0, true, 0},
        {TEXT_INIT("-0"), 0, true, 0},
        {TEXT_INIT("-0.00"), 2, true, 0},
        {TEXT_INIT("-0.01"), 2, true, -1},
        {TEXT_INIT("007"), 0, true, 7},
        {TEXT_INIT("5.0"), 0, true, 5},
        {TEXT_INIT("9223372036854775807"), 0, true, INT64_MAX},
        {TEXT_INIT("-9223372036854775808"), 0, true, INT64_MIN},
        {TEXT_INIT("92233720368547758.07"), 2, true, INT64_MAX},
        {TEXT_INIT("-9.223372036854775808"), 18, true, INT64_MIN},
        {TEXT_INIT("9223372036854775808"), 0, false, 0},
        {TEXT_INIT("-9223372036854775809"), 0, false, 0},
        {TEXT_INIT("92233720368547758.08"), 2, false, 0},
        {TEXT_INIT("10"), 18, false, 0},
        {TEXT_INIT("99999999999999999999999999"), 0, false, 0},
        {TEXT_INIT("1.005"), 2, false, 0},
        {TEXT_INIT("1.5"), 0, false, 0},
        {TEXT_INIT(""), 2, false, 0},
        {TEXT_INIT("-"), 2, false, 0},
        {TEXT_INIT("."), 2, false, 0},
        {TEXT_INIT("1."), 2, false, 0},
        {TEXT_INIT(".5"), 2, false, 0},
        {TEXT_INIT("-.5"), 2, false, 0},
        {TEXT_INIT("+1"), 2, false, 0},
        {TEXT_INIT("--1"), 2, false, 0},
        {TEXT_INIT("1e2"), 2, false, 0},
        {TEXT_INIT("1.2.3"), 2, false, 0},
        {TEXT_INIT("1,5"), 2, false, 0},
        {TEXT_INIT(" 1"), 2, false, 0},
        {TEXT_INIT("1 "), 2, false, 0},
        {TEXT_INIT("0x10"), 2, false, 0},
        {TEXT_INIT("1\0"), 2, false, 0},
        {TEXT_INIT("NaN"), 2, false, 0},
        {TEXT_INIT("\xD9\xA1"), 2, false, 0}, // a digit, but none of ours
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t digits = 77;
        bool fits = format_read_decimal(rows[i].text, rows[i].scale, &digits);
        assert_true_for(fits == rows[i].fits, rows[i].text.data);
        assert_true_for(digits == (fits ? rows[i].digits : 77), rows[i].text.data);
    }
}

static void decimals_are_written_with_all_their_digits(void **state) {
    static const struct {
        int64_t digits;
        uint8_t scale;
        const char *text;
    } rows[] = {
        {0, 0, "0"},
        {0, 2, "0.00"},
        {5, 2, "0.05"},
        {-5, 2, "-0.05"},
        {1250, 2, "12.50"},
        {100, 0, "100"},
        {INT64_MAX, 0, "9223372036854775807"},
        {INT64_MIN, 0, "-9223372036854775808"},
        {INT64_MAX, 18, "9.223372036854775807"},
        {INT64_MIN, 18, "-9.223372036854775808"},
        {1, 18, "0.000000000000000001"},
        {-1, 18, "-0.000000000000000001"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[21];
        size_t size = format_write_decimal(rows[i].digits, rows[i].scale, out);
        assert_text_is(text_of(out, size), rows[i].text);
        int64_t back;
        assert_true(format_read_decimal(text_of(out, size), rows[i].scale, &back));
        assert_int_equal(back, rows[i].digits);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uris),
        cmocka_unit_test(emails),
        cmocka_unit_test(uuids),
        cmocka_unit_test(decimals),
        cmocka_unit_test(decimals_are_written_with_all_their_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
