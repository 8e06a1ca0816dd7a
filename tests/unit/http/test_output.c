#include "http/output.h"
#include "unit/testing.h"

#include <stdlib.h>

// A buffer of `size` bytes, all of them `byte`.
static struct buffer filled(size_t size, char byte) {
    struct buffer buffer = {0};
    assert_true(buffer_reserve(&buffer, size));
    memset(buffer.data, byte, size);
    buffer.size = size;
    return buffer;
}

// What is to be sent from `sent` on, put together.
static struct buffer put_together(const struct output *output, size_t sent) {
    uv_buf_t pieces[OUTPUT_PIECES];
    struct buffer all = {0};
    unsigned count = output_rest(output, sent, pieces);
    for (unsigned i = 0; i < count; i++) {
        assert_true(pieces[i].len > 0);
        buffer_append(&all, pieces[i].base, pieces[i].len);
    }
    return all;
}

static void pieces_keep_their_order(void **state) {
    struct output *output = calloc(1, sizeof *output);
    struct buffer expected = {0};
    assert_non_null(output);
    for (int i = 0; i < 20; i++) { // more than there are pieces
        struct buffer body = filled(i % 3 ? OUTPUT_LARGE + 1 + (size_t)i : 10, (char)('a' + i));
        output_append(output, "head", 4);
        buffer_append_string(&expected, "head");
        buffer_append_text(&expected, buffer_text(&body));
        output_append_buffer(output, &body);
        assert_int_equal(body.size, 0);
        buffer_free(&body);
    }
    assert_true(output->count <= OUTPUT_PIECES);
    assert_int_equal(output->size, expected.size);
    for (size_t sent = 0; sent <= expected.size; sent += 4999) {
        struct buffer rest = put_together(output, sent);
        assert_true(text_equal(buffer_text(&rest), text_from(buffer_text(&expected), sent)));
        buffer_free(&rest);
    }
    uv_buf_t pieces[OUTPUT_PIECES];
    assert_int_equal(output_rest(output, output->size, pieces), 0);
    output_clear(output);
    assert_int_equal(output->size, 0);
    assert_int_equal(output_rest(output, 0, pieces), 0);
    output_free(output);
    output_free(NULL);
    buffer_free(&expected);
}

static void large_bodies_are_not_copied(void **state) {
    struct output *output = calloc(1, sizeof *output);
    struct buffer small = filled(OUTPUT_LARGE, 'a');
    struct buffer large = filled(OUTPUT_LARGE + 1, 'b');
    const char *data = large.data;
    assert_non_null(output);
    output_append_buffer(output, &small);
    assert_non_null(small.data); // its memory may be used again
    output_append_buffer(output, &large);
    assert_null(large.data);
    uv_buf_t pieces[OUTPUT_PIECES];
    assert_int_equal(output_rest(output, 0, pieces), 2);
    assert_ptr_equal(pieces[1].base, data);
    buffer_free(&small);
    output_free(output);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_keep_their_order),
        cmocka_unit_test(large_bodies_are_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
