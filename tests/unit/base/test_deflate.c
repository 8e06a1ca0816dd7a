#include "base/deflate.h"

#include "base/random.h"
#include "unit/allocation.h"
#include "unit/testing.h"

#include <stdlib.h>
#include <zlib.h>

static struct buffer inflated(struct text gzip) {
    struct buffer out = {0};
    z_stream stream = {.next_in = (unsigned char *)gzip.data, .avail_in = (unsigned)gzip.size};
    int result = inflateInit2(&stream, 15 + 16);
    while (result == Z_OK) {
        assert_true(buffer_reserve(&out, 4096));
        stream.next_out = (unsigned char *)out.data + out.size;
        stream.avail_out = 4096;
        result = inflate(&stream, Z_NO_FLUSH);
        out.size += 4096 - stream.avail_out;
    }
    assert_int_equal(result, Z_STREAM_END);
    inflateEnd(&stream);
    return out;
}

static void what_goes_in_comes_out(void **state) {
    static const size_t sizes[] = {0, 1, 100, 16 * 1024, 16 * 1024 + 1, 1000 * 1000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct buffer in = {0};
        struct buffer out = {0};
        for (size_t j = 0; in.size < sizes[i]; j++)
            buffer_append_byte(&in, (char)('a' + j * j % 23));
        deflate_gzip(buffer_text(&in), SIZE_MAX, &out);
        assert_false(out.failed);
        struct buffer back = inflated(buffer_text(&out));
        assert_true(text_equal(buffer_text(&back), buffer_text(&in)));
        buffer_free(&in);
        buffer_free(&out);
        buffer_free(&back);
    }
}

static void what_grows_is_nothing(void **state) {
    char bytes[100 * 1024];
    struct buffer out = {0};
    assert_true(random_bytes(bytes, sizeof bytes));
    deflate_gzip(text_of(bytes, sizeof bytes), sizeof bytes - 1, &out);
    assert_false(out.failed);
    assert_int_equal(out.size, 0);
    deflate_gzip(text_of(bytes, sizeof bytes), SIZE_MAX, &out);
    assert_true(out.size > sizeof bytes);
    size_t size = out.size;
    buffer_clear(&out);
    deflate_gzip(text_of(bytes, sizeof bytes), size, &out);
    assert_int_equal(out.size, size);
    buffer_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(what_grows_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
