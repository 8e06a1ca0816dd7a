#include "cli/input.h"

#include "unit/allocation.h"
#include "unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char path[] = "/tmp/trestle-input-XXXXXX";

static int set_up(void **state) {
    int descriptor = mkstemp(path);
    return descriptor >= 0 && close(descriptor) == 0 ? 0 : 1;
}

static int tear_down(void **state) {
    return unlink(path);
}

static void write_file(const char *content, size_t size) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void bytes_come_one_by_one(void **state) {
    struct input input;
    struct failure failure;
    write_file("a\n\0\xFF", 4);
    assert_true(input_open(&input, path, &failure));
    assert_int_equal(input.size, 4);
    assert_int_equal(input_peek(&input), 'a');
    assert_int_equal(input_peek(&input), 'a');
    assert_int_equal(input_take(&input), 'a');
    assert_int_equal(input.line, 1);
    assert_int_equal(input_take(&input), '\n');
    assert_int_equal(input.line, 2);
    assert_int_equal(input_take(&input), 0);
    assert_int_equal(input_take(&input), 0xFF); // which is not the end
    assert_int_equal(input_take(&input), INPUT_END);
    assert_int_equal(input_peek(&input), INPUT_END);
    assert_int_equal(input.taken, 4);
    assert_int_equal(input.error, 0);
    input_close(&input);
}

static void a_large_file_is_read_whole(void **state) {
    enum { SIZE = 300000 };
    struct input input;
    struct failure failure;
    char *content = malloc(SIZE);
    assert_non_null(content);
    for (size_t i = 0; i < SIZE; i++)
        content[i] = (char)('a' + i % 23);
    write_file(content, SIZE);
    assert_true(input_open(&input, path, &failure));
    for (size_t i = 0; i < SIZE; i++) {
        if (input_take(&input) != content[i])
            fail_msg("byte %zu", i);
    }
    assert_int_equal(input_take(&input), INPUT_END);
    input_close(&input);
    free(content);
}

static void a_byte_order_mark_is_passed_over(void **state) {
    struct input input;
    struct failure failure;
    write_file("\xEF\xBB\xBFx", 4);
    assert_true(input_open(&input, path, &failure));
    assert_int_equal(input_take(&input), 'x');
    assert_int_equal(input.taken, 4);
    input_close(&input);
    write_file("\xEF\xBB", 2);
    assert_true(input_open(&input, path, &failure));
    assert_int_equal(input_take(&input), 0xEF);
    input_close(&input);
}

static void what_cannot_be_read_is_told(void **state) {
    struct input input;
    struct failure failure;
    assert_false(input_open(&input, "/nowhere/x", &failure));
    assert_string_equal(failure.detail, "/nowhere/x cannot be opened: No such file or directory");
    assert_true(input_open(&input, "/tmp", &failure));
    assert_int_equal(input_take(&input), INPUT_END);
    assert_int_not_equal(input.error, 0);
    input_close(&input);
}

static void memory_is_an_input(void **state) {
    struct input input;
    input_from_text(&input, TEXT("ab"));
    assert_int_equal(input_take(&input), 'a');
    assert_int_equal(input_take(&input), 'b');
    assert_int_equal(input_take(&input), INPUT_END);
    assert_int_equal(input_take(&input), INPUT_END);
    input_close(&input);
}

static void want_of_memory_is_told(void **state) {
    struct input input;
    struct failure failure;
    allocation_fail_from(1);
    bool opened = input_open(&input, path, &failure);
    assert_true(allocation_allow());
    assert_false(opened);
    assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_one_by_one),
        cmocka_unit_test(a_large_file_is_read_whole),
        cmocka_unit_test(a_byte_order_mark_is_passed_over),
        cmocka_unit_test(what_cannot_be_read_is_told),
        cmocka_unit_test(memory_is_an_input),
        cmocka_unit_test(want_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
