#include "work/task_output.h"

#include "unit/allocation.h"
#include "unit/testing.h"

#include <stdlib.h>

static void feed(struct task_output *output, const char *text) {
    task_output_feed(output, text_from_string(text));
}

// What should come of an output: its last line as JSON, or NULL for none, or "!" for a fault.
struct outcome {
    const char *said;
    int progress;
    const char *detail;
    const char *properties;
    uint64_t ignored;
};

static void check_properties(const struct task_output *output, const struct outcome *expected) {
    json_t *properties = NULL;
    struct failure failure;
    bool ok = task_output_properties(output, &properties, &failure);
    const char *wanted = expected->properties;
    assert_true_for(ok == !(wanted && *wanted == '!'), expected->said);
    assert_true_for((properties != NULL) == (wanted && *wanted != '!'), expected->said);
    if (properties && wanted) {
        char *written = json_dumps(properties, JSON_COMPACT);
        assert_true_for(strcmp(written, wanted) == 0, expected->said);
        free(written);
    }
    json_decref(properties);
}

// In pieces of any size it is the same.
static void check(const struct outcome *expected) {
    size_t size = strlen(expected->said);
    for (size_t piece = 1; piece <= size + 1; piece++) {
        struct task_output output;
        task_output_init(&output);
        for (size_t at = 0; at < size; at += piece)
            task_output_feed(&output,
                             text_of(expected->said + at, piece < size - at ? piece : size - at));
        task_output_end(&output);
        assert_true_for(output.progress == expected->progress, expected->said);
        assert_true_for(strcmp(output.detail, expected->detail) == 0, expected->said);
        assert_true_for(output.ignored == expected->ignored, expected->said);
        check_properties(&output, expected);
        task_output_free(&output);
    }
}

static void lines_mean_what_they_say(void **state) {
    static const struct outcome cases[] = {
        {"", -1, "", NULL, 0},
        {"\n\n  \n", -1, "", NULL, 0},
        {"progress 40\n", 40, "", NULL, 0},
        {"progress 40", 40, "", NULL, 0},
        {"progress 40%\r\nprogress   41 \n", 41, "", NULL, 0},
        {"  progress\t100\n", 100, "", NULL, 0},
        {"progress 0\n", 0, "", NULL, 0},
        {"progress 101\n", -1, "", NULL, 1},
        {"progress 7\nprogress -1\nprogress x\nprogress\nprogress  \nprogress 4.5\nprogress 007\n"
         "progress 99999999999999999999\nprogressive 9\nPROGRESS 9\nprogress 9 9\nprogress 1%%\n",
         7, "", NULL, 11},
        {"detail fetching  it\n", -1, "fetching  it", NULL, 0},
        {"detail a\ndetail b\ndetail\n", -1, "b", NULL, 1},
        {"detail \xC3\xA9\xFF\x1b[1m\n", -1, "\xC3\xA9??[1m", NULL, 0},
        {"{\"a\":1}", -1, "", "{\"a\":1}", 0},
        {"progress 3\n  {\"a\": {\"b\": [1]}}  \r\n\n \n", 3, "", "{\"a\":{\"b\":[1]}}", 0},
        {"{\"a\":1}\n{\"b\":2}\n", -1, "", "{\"b\":2}", 1},
        {"{\"a\":1}\nprogress 9\n", 9, "", NULL, 1},
        {"{\"a\":1}\ndone\n", -1, "", NULL, 2},
        {"{}\n", -1, "", "{}", 0},
        {"{\"a\":1\n", -1, "", "!", 0},
        {"{\"a\":1} x\n", -1, "", "!", 0},
        {"{\"a\":1,\"a\":2}\n", -1, "", "!", 0},
        {"{\"a\":\"\xFF\"}\n", -1, "", "!", 0},
        {"{broken\n{\"a\":1}\n", -1, "", "{\"a\":1}", 1},
        {"[1]\n", -1, "", NULL, 1},
        {"\"x\"", -1, "", NULL, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(&cases[i]);
}

static void nul_bytes_are_no_end(void **state) {
    struct task_output output;
    task_output_init(&output);
    task_output_feed(&output, TEXT("detail a\0b\nprogress 1\0\n\0\n"));
    assert_string_equal(output.detail, "a?b");
    assert_int_equal(output.progress, -1);
    assert_int_equal(output.ignored, 2);
    task_output_free(&output);
}

static void news_is_told(void **state) {
    struct task_output output;
    task_output_init(&output);
    feed(&output, "what\n{}\nprogress x\nprogress 5");
    assert_false(output.has_news);
    feed(&output, "\n");
    assert_true(output.has_news);
    output.has_news = false;
    feed(&output, "detail x\n");
    assert_true(output.has_news);
    task_output_free(&output);
}

// Writes over a part of a line.
static void put(char *line, size_t at, const char *part) {
    while (*part)
        line[at++] = *part++;
}

static char *make_line(const char *begin, char filler, size_t size) {
    char *line = malloc(size + 1);
    assert_non_null(line);
    memset(line, filler, size);
    put(line, 0, begin);
    line[size] = '\0';
    return line;
}

static void long_lines_are_cut(void **state) {
    struct task_output output;
    struct failure failure;
    json_t *properties = NULL;
    task_output_init(&output);
    char *endless = make_line("progress 5", ' ', 10 * TASK_LINE_MAX);
    for (int i = 0; i < 10; i++)
        feed(&output, endless);
    feed(&output, "\n");
    assert_int_equal(output.progress, -1);
    assert_int_equal(output.ignored, 1);
    assert_true(output.line.capacity <= 2 * TASK_LINE_MAX);
    free(endless);
    char *detail = make_line("detail ", 'x', 3 * TASK_LINE_MAX);
    put(detail, 7 + TASK_DETAIL_MAX - 1, "\xC3\xA9"); // a character over the bound
    feed(&output, detail);
    feed(&output, "\nprogress 6\n");
    assert_int_equal(strlen(output.detail), TASK_DETAIL_MAX - 1);
    assert_int_equal(output.progress, 6);
    free(detail);
    char *object = make_line("{\"a\":\"", 'x', 2 * TASK_LINE_MAX);
    put(object, 2 * TASK_LINE_MAX - 2, "\"}");
    feed(&output, object);
    task_output_end(&output);
    assert_false(task_output_properties(&output, &properties, &failure));
    assert_non_null(strstr(failure.detail, "longer than 64 KiB"));
    free(object);
    task_output_free(&output);
}

static void the_longest_object_is_read(void **state) {
    struct task_output output;
    struct failure failure;
    json_t *properties = NULL;
    task_output_init(&output);
    char *object = make_line("{\"a\":\"", 'x', TASK_LINE_MAX);
    put(object, TASK_LINE_MAX - 2, "\"}");
    feed(&output, object);
    feed(&output, "\n");
    assert_true(task_output_properties(&output, &properties, &failure));
    assert_int_equal(json_string_length(json_object_get(properties, "a")), TASK_LINE_MAX - 8);
    json_decref(properties);
    free(object);
    task_output_free(&output);
}

// A result that there was no memory for is not taken for none.
static void no_memory_is_no_silence(void **state) {
    unsigned failures = 0;
    for (ALLOCATION_FAILURES(nth)) {
        struct task_output output;
        struct failure failure;
        json_t *properties = NULL;
        task_output_init(&output);
        feed(&output, "detail x\nprogress 3\n{\"a\":1}\n");
        task_output_end(&output);
        bool ok = task_output_properties(&output, &properties, &failure);
        bool failed = allocation_allow();
        assert_true(!ok || properties || !failed);
        failures += !ok;
        json_decref(properties);
        task_output_free(&output);
        if (!failed)
            break;
    }
    assert_true(failures > 0);
}

static void text_is_made_clean(void **state) {
    struct buffer out = {0};
    task_append_clean(&out, TEXT("a\tb\nc\x7F\xE2\x82\xAC\xE2\x82"), false);
    assert_text_is(buffer_text(&out), "a?b?c?\xE2\x82\xAC??");
    buffer_clear(&out);
    task_append_clean(&out, TEXT("a\tb\nc\r\0d"), true);
    assert_text_is(buffer_text(&out), "a\tb\nc??d");
    buffer_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_mean_what_they_say),
        cmocka_unit_test(nul_bytes_are_no_end),
        cmocka_unit_test(news_is_told),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(the_longest_object_is_read),
        cmocka_unit_test(no_memory_is_no_silence),
        cmocka_unit_test(text_is_made_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
