#include "base/buffer.h"

#include "unit/allocation.h"
#include "unit/testing.h"

static void appending_keeps_every_byte(void **state) {
    struct buffer buffer;
    buffer_init(&buffer);
    for (size_t i = 0; i < 10000; i++)
        buffer_append_byte(&buffer, (char)(i % 251));
    assert_false(buffer.failed);
    assert_int_equal(buffer.size, 10000);
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal((unsigned char)buffer.data[i], i % 251);
    buffer_free(&buffer);
    assert_null(buffer.data);
    buffer_free(&buffer);
}

static void every_way_to_append(void **state) {
    struct buffer buffer = {0};
    buffer_append(&buffer, "a\0b", 3);
    buffer_append_text(&buffer, TEXT("-text-"));
    buffer_append_string(&buffer, "string");
    buffer_format(&buffer, " %d%s", 5, "%");
    assert_int_equal(buffer.size, 18);
    assert_memory_equal(buffer.data, "a\0b-text-string 5%", 18);
    buffer_clear(&buffer);
    assert_text_is(buffer_text(&buffer), "");
    buffer_append_byte(&buffer, 'x');
    assert_text_is(buffer_text(&buffer), "x");
    buffer_free(&buffer);
}

static void appending_nothing_takes_no_memory(void **state) {
    struct buffer buffer = {0};
    buffer_append(&buffer, NULL, 0);
    buffer_append_text(&buffer, (struct text){NULL, 0});
    assert_true(buffer_reserve(&buffer, 0));
    assert_null(buffer.data);
    buffer_format(&buffer, "%s", "");
    assert_int_equal(buffer_text(&buffer).size, 0);
    buffer_free(&buffer);
}

static void integers(void **state) {
    static const struct {
        int64_t value;
        const char *digits;
    } cases[] = {
        {0, "0"},
        {7, "7"},
        {-1, "-1"},
        {10, "10"},
        {-1234567890, "-1234567890"},
        {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
    };
    struct buffer buffer = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buffer_clear(&buffer);
        buffer_append_integer(&buffer, cases[i].value);
        assert_text_is(buffer_text(&buffer), cases[i].digits);
    }
    buffer_free(&buffer);
}

// printf needs a byte more than it leaves; around a capacity this must not cut anything.
static void formats_of_every_length(void **state) {
    for (int width = 1; width < 1100; width++) {
        struct buffer buffer = {0};
        buffer_format(&buffer, "%*d", width, 1);
        buffer_format(&buffer, "%*d", width, 2);
        assert_int_equal(buffer.size, 2 * width);
        assert_int_equal(buffer.data[width - 1], '1');
        assert_int_equal(buffer.data[2 * width - 1], '2');
        buffer_free(&buffer);
    }
}

static void a_size_beyond_memory_is_a_failure(void **state) {
    struct buffer buffer = {0};
    buffer_append_string(&buffer, "kept");
    assert_false(buffer_reserve(&buffer, SIZE_MAX));
    assert_true(buffer.failed);
    assert_false(buffer_reserve(&buffer, 1));
    buffer_clear(&buffer);
    assert_false(buffer_reserve(&buffer, SIZE_MAX - 2)); // a capacity that no power of two reaches
    buffer_free(&buffer);
}

static void a_failure_is_remembered(void **state) {
    struct buffer buffer = {0};
    buffer_append_string(&buffer, "one");
    allocation_fail_from(1);
    char large[1000] = {0};
    buffer_append(&buffer, large, sizeof large);
    assert_true(allocation_allow());
    buffer_append_byte(&buffer, 'x');
    buffer_append_integer(&buffer, 5);
    buffer_format(&buffer, "%d", 5);
    assert_true(buffer.failed);
    assert_text_is(buffer_text(&buffer), "one"); // and nothing after it
    buffer_clear(&buffer);
    buffer_append_byte(&buffer, 'x');
    assert_false(buffer.failed);
    assert_text_is(buffer_text(&buffer), "x");
    buffer_free(&buffer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appending_keeps_every_byte),
        cmocka_unit_test(every_way_to_append),
        cmocka_unit_test(appending_nothing_takes_no_memory),
        cmocka_unit_test(integers),
        cmocka_unit_test(formats_of_every_length),
        cmocka_unit_test(a_size_beyond_memory_is_a_failure),
        cmocka_unit_test(a_failure_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
