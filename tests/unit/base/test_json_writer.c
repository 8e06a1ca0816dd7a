#include "base/json_writer.h"

#include "unit/allocation.h"
#include "unit/testing.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void assert_string(struct text value, const char *expected) {
    struct buffer out = {0};
    struct json_writer writer = json_writer_on(&out);
    json_write_string(&writer, value);
    assert_text_is(buffer_text(&out), expected);
    buffer_free(&out);
}

static void strings_are_escaped(void **state) {
    assert_string((struct text){NULL, 0}, "\"\"");
    assert_string(TEXT("plain"), "\"plain\"");
    assert_string(TEXT("\"\\/"), "\"\\\"\\\\/\"");
    assert_string(TEXT("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
    assert_string(TEXT("\0\x01\x0B\x1F"), "\"\\u0000\\u0001\\u000b\\u001f\"");
    assert_string(TEXT("a\nb\nc"), "\"a\\nb\\nc\"");
    assert_string(TEXT("\x7F"), "\"\x7F\"");
    assert_string(TEXT("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\xE2\x80\xA8"),
                  "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\xE2\x80\xA8\"");
}

// Each byte of ASCII on each place of two words of eight, between bytes that are nearly escaped.
static void every_byte_is_escaped_wherever_it_stands(void **state) {
    static const char *const around[] = {"aaaaaaaaaaaaaaaaaaaa", "!!##!!##!!##!!##!!##",
                                         "  [[]]  [[]]  [[]]  ",
                                         "\xC3\xA4\xC2\xA2\xC2\xBC\xC3\xA4"
                                         "\xC3\xA4\xC2\xA2\xC2\xBC\xC3\xA4"
                                         "\xC2\x80\xC2\x9F"};
    for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
        for (size_t place = 0; place <= 20; place += i == 3 ? 2 : 1) {
            for (int byte = 0; byte < 128; byte++) {
                struct buffer text = {0};
                struct buffer out = {0};
                struct json_writer writer = json_writer_on(&out);
                buffer_append(&text, around[i], place);
                buffer_append_byte(&text, (char)byte);
                buffer_append(&text, around[i] + place, 20 - place);
                json_write_string(&writer, buffer_text(&text));
                json_t *json =
                    json_loadb(out.data, out.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
                assert_int_equal(json_string_length(json), text.size);
                assert_memory_equal(json_string_value(json), text.data, text.size);
                bool escaped = byte < 0x20 || byte == '"' || byte == '\\';
                assert_int_equal(out.size > text.size + 2, escaped);
                json_decref(json);
                buffer_free(&text);
                buffer_free(&out);
            }
        }
    }
}

static void every_code_point_reads_back(void **state) {
    struct buffer text = {0};
    struct buffer out = {0};
    for (uint32_t c = 0; c <= 0x10FFFF; c += c < 0x3000 ? 1 : 89) {
        char encoded[4];
        if (c < 0xD800 || c > 0xDFFF)
            buffer_append(&text, encoded, text_utf8_encode(c, encoded));
    }
    struct json_writer writer = json_writer_on(&out);
    json_write_array_begin(&writer);
    json_write_string(&writer, buffer_text(&text));
    json_write_array_end(&writer);
    json_t *array = json_loadb(out.data, out.size, JSON_ALLOW_NUL, NULL);
    const json_t *string = json_array_get(array, 0);
    assert_int_equal(json_string_length(string), text.size);
    assert_memory_equal(json_string_value(string), text.data, text.size);
    json_decref(array);
    buffer_free(&text);
    buffer_free(&out);
}

static void commas_stand_between_values_only(void **state) {
    struct buffer out = {0};
    struct json_writer writer = json_writer_on(&out);
    json_write_object_begin(&writer);
    json_write_name(&writer, TEXT("a"));
    json_write_array_begin(&writer);
    json_write_array_begin(&writer);
    json_write_array_end(&writer);
    json_write_object_begin(&writer);
    json_write_object_end(&writer);
    json_write_null(&writer);
    json_write_boolean(&writer, true);
    json_write_boolean(&writer, false);
    json_write_array_end(&writer);
    json_write_prepared_name(&writer, TEXT("\"b\":"));
    json_write_integer(&writer, INT64_MIN);
    json_write_name(&writer, TEXT("\"\n"));
    json_write_raw(&writer, TEXT("{\"x\": 1e2}"));
    json_write_name(&writer, TEXT("c"));
    json_write_object_begin(&writer);
    json_write_name(&writer, TEXT("d"));
    json_write_real(&writer, 0.5);
    json_write_object_end(&writer);
    json_write_object_end(&writer);
    assert_text_is(buffer_text(&out), "{\"a\":[[],{},null,true,false],\"b\":-9223372036854775808,"
                                      "\"\\\"\\n\":{\"x\": 1e2},\"c\":{\"d\":0.5}}");
    buffer_free(&out);
}

static void known_reals(void **state) {
    static const struct {
        double value;
        const char *written;
    } cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {-100.0, "-100.0"},
        {0.1, "0.1"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3.0, "0.3333333333333333"},
        {37.7749, "37.7749"},
        {-122.419416, "-122.419416"},
        {123456789012345.0, "123456789012345.0"},
        {1e15, "1e+15"},
        {1e22, "1e+22"},
        {1e-7, "1e-07"},
        {9007199254740993.0, "9007199254740992.0"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {DBL_MIN, "2.2250738585072014e-308"},
        {DBL_TRUE_MIN, "5e-324"},
        {-DBL_TRUE_MIN, "-5e-324"},
        {DBL_MIN - DBL_TRUE_MIN, "2.225073858507201e-308"},
        {1.5e-310, "1.5e-310"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[32];
        assert_text_is(text_of(out, json_format_real(cases[i].value, out)), cases[i].written);
    }
}

static size_t count_digits(struct text text) {
    size_t count = 0;
    size_t zeros = 0; // at the end, which say nothing
    for (size_t i = 0; i < text.size && text.data[i] != 'e'; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || (text.data[i] == '0' && count == 0))
            continue;
        count++;
        zeros = text.data[i] == '0' ? zeros + 1 : 0;
    }
    return count - zeros;
}

// The fewest digits that printf needs for the same number.
static size_t fewest_digits(double value) {
    for (int digits = 1; digits < 17; digits++) {
        char out[40];
        (void)snprintf(out, sizeof out, "%.*e", digits - 1, value);
        if (strtod(out, NULL) == value)
            return count_digits(text_from_string(out));
    }
    return 17;
}

// Numbers of every magnitude, from a fixed sequence (xorshift64).
static void reals_are_short_and_read_back(void **state) {
    uint64_t bits = UINT64_C(0x9E3779B97F4A7C15);
    for (int i = 0; i < 30000; i++) {
        double value;
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        uint64_t sample = i % 10 == 0 ? bits & UINT64_C(0x800FFFFFFFFFFFFF) : bits; // subnormal
        memcpy(&value, &sample, sizeof value);
        if (!isfinite(value))
            continue;
        char out[32];
        struct text text = text_of(out, json_format_real(value, out));
        assert_true(text.size < sizeof out);
        out[text.size] = '\0';
        assert_true(strtod(out, NULL) == value);
        assert_true(count_digits(text) <= fewest_digits(value));
        json_t *json = json_loadb(out, text.size, JSON_DECODE_ANY, NULL);
        assert_true(json_is_real(json) && json_real_value(json) == value);
        json_decref(json);
    }
}

static void running_out_of_memory_shows_in_the_buffer(void **state) {
    for (ALLOCATION_FAILURES(nth)) {
        struct buffer out = {0};
        struct json_writer writer = json_writer_on(&out);
        json_write_array_begin(&writer);
        for (int i = 0; i < 1000; i++)
            json_write_string(&writer, TEXT("some\ntext"));
        json_write_array_end(&writer);
        bool failed = allocation_allow();
        assert_int_equal(out.failed, failed);
        buffer_free(&out);
        if (!failed)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(every_byte_is_escaped_wherever_it_stands),
        cmocka_unit_test(every_code_point_reads_back),
        cmocka_unit_test(commas_stand_between_values_only),
        cmocka_unit_test(known_reals),
        cmocka_unit_test(reals_are_short_and_read_back),
        cmocka_unit_test(running_out_of_memory_shows_in_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
