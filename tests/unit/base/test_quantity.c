#include "base/quantity.h"

#include "unit/testing.h"

static void sizes_are_read(void **state) {
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"0", 0},
        {"8388608", 8388608},
        {"8388608B", 8388608},
        {"8MiB", 8388608},
        {"8M", 8388608},
        {"8m", 8388608},
        {"64KiB", 65536},
        {"64k", 65536},
        {"1G", UINT64_C(1) << 30},
        {"8589934591G", UINT64_C(8589934591) << 30},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t bytes = 7;
        assert_true_for(quantity_parse_size(text_from_string(cases[i].text), &bytes),
                        cases[i].text);
        assert_true_for(bytes == cases[i].bytes, cases[i].text);
    }
}

static void what_is_no_size_is_refused(void **state) {
    static const char *const cases[] = {
        "",
        "M",
        "MiB",
        "-1",
        "+1",
        "1.5M",
        "1 M",
        "8mib",
        "8 ",
        " 8",
        "0x10",
        "1MB",
        "1e3",
        "08",
        "1T",
        "9223372036854775808",
        "34359738368G",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t bytes = 7;
        assert_true_for(!quantity_parse_size(text_from_string(cases[i]), &bytes), cases[i]);
        assert_int_equal(bytes, 7);
    }
}

static void durations_are_read(void **state) {
    static const struct {
        const char *text;
        uint64_t ms;
    } cases[] = {
        {"0", 0},       {"0s", 0},       {"500ms", 500},   {"30s", 30000},
        {"2m", 120000}, {"1h", 3600000}, {"1d", 86400000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t ms = 7;
        assert_true_for(quantity_parse_duration(text_from_string(cases[i].text), &ms),
                        cases[i].text);
        assert_true_for(ms == cases[i].ms, cases[i].text);
    }
}

static void a_duration_needs_its_unit(void **state) {
    static const char *const cases[] = {
        "", "30", "s", "30 s", "-1s", "1.5s", "30sec", "30S", "1w", "213503982335d",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t ms;
        assert_true_for(!quantity_parse_duration(text_from_string(cases[i]), &ms), cases[i]);
    }
}

static void quantities_are_written_with_the_largest_unit(void **state) {
    char out[QUANTITY_TEXT_SIZE];
    quantity_format_size(8388608, out);
    assert_string_equal(out, "8MiB");
    quantity_format_size(1536, out);
    assert_string_equal(out, "1536B");
    quantity_format_size(1025, out);
    assert_string_equal(out, "1025B");
    quantity_format_duration(86400000, out);
    assert_string_equal(out, "1d");
    quantity_format_duration(90000, out);
    assert_string_equal(out, "90s");
    quantity_format_duration(1, out);
    assert_string_equal(out, "1ms");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(what_is_no_size_is_refused),
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(a_duration_needs_its_unit),
        cmocka_unit_test(quantities_are_written_with_the_largest_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
