#include "resource/json_patch.h"

#include "resource/json_equality.h"
#include "unit/allocation.h"
#include "unit/testing.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST = 1000 };

static json_t *read(const char *source) {
    struct failure failure;
    json_t *tree = json_read(text_from_string(source), &failure);
    assert_true_for(tree != NULL, source);
    return tree;
}

// Applies a patch, after which target and patch must be what they were. NULL where it fails.
static json_t *apply(const json_t *target, const json_t *patch, struct faults *faults,
                     struct failure *failure) {
    json_t *target_before = json_deep_copy(target);
    json_t *patch_before = json_deep_copy(patch);
    assert_non_null(target_before);
    assert_non_null(patch_before);
    json_t *result = json_patch_apply(target, patch, MOST, faults, failure);
    assert_true(json_is_equal(target, target_before));
    assert_true(json_is_equal(patch, patch_before));
    json_decref(target_before);
    json_decref(patch_before);
    return result;
}

static void assert_gives(const char *target_source, const char *patch_source,
                         const char *expected_source) {
    struct arena arena = {0};
    struct faults faults = {.arena = &arena};
    struct failure failure = {0};
    json_t *target = read(target_source);
    json_t *patch = read(patch_source);
    json_t *expected = read(expected_source);
    assert_true_for(json_patch_check(patch, &faults), patch_source);
    json_t *result = apply(target, patch, &faults, &failure);
    if (!result)
        fail_msg("%s on %s: %s", patch_source, target_source, failure.detail);
    struct buffer out = {0};
    struct buffer wanted = {0};
    struct json_writer writer = json_writer_on(&out);
    struct json_writer wanted_writer = json_writer_on(&wanted);
    json_write_tree(&writer, result);
    json_write_tree(&wanted_writer, expected);
    if (!text_equal(buffer_text(&out), buffer_text(&wanted)))
        fail_msg("%s on %s gives %.*s", patch_source, target_source, TEXT_ARGS(buffer_text(&out)));
    buffer_free(&out);
    buffer_free(&wanted);
    json_decref(result);
    json_decref(expected);
    json_decref(patch);
    json_decref(target);
    arena_free(&arena);
}

// The examples of RFC 6902, appendix A, as far as they give something.
static void the_examples_of_the_standard(void **state) {
    static const char *const rows[][3] = {
        {"{\"foo\": \"bar\"}", "[{\"op\": \"add\", \"path\": \"/baz\", \"value\": \"qux\"}]",
         "{\"foo\": \"bar\", \"baz\": \"qux\"}"},
        {"{\"foo\": [\"bar\", \"baz\"]}",
         "[{\"op\": \"add\", \"path\": \"/foo/1\", \"value\": \"qux\"}]",
         "{\"foo\": [\"bar\", \"qux\", \"baz\"]}"},
        {"{\"baz\": \"qux\", \"foo\": \"bar\"}", "[{\"op\": \"remove\", \"path\": \"/baz\"}]",
         "{\"foo\": \"bar\"}"},
        {"{\"foo\": [\"bar\", \"qux\", \"baz\"]}", "[{\"op\": \"remove\", \"path\": \"/foo/1\"}]",
         "{\"foo\": [\"bar\", \"baz\"]}"},
        {"{\"baz\": \"qux\", \"foo\": \"bar\"}",
         "[{\"op\": \"replace\", \"path\": \"/baz\", \"value\": \"boo\"}]",
         "{\"baz\": \"boo\", \"foo\": \"bar\"}"},
        {"{\"foo\": {\"bar\": \"baz\", \"waldo\": \"fred\"}, \"qux\": {\"corge\": \"grault\"}}",
         "[{\"op\": \"move\", \"from\": \"/foo/waldo\", \"path\": \"/qux/thud\"}]",
         "{\"foo\": {\"bar\": \"baz\"}, \"qux\": {\"corge\": \"grault\", \"thud\": \"fred\"}}"},
        {"{\"foo\": [\"all\", \"grass\", \"cows\", \"eat\"]}",
         "[{\"op\": \"move\", \"from\": \"/foo/1\", \"path\": \"/foo/3\"}]",
         "{\"foo\": [\"all\", \"cows\", \"eat\", \"grass\"]}"},
        {"{\"baz\": \"qux\", \"foo\": [\"a\", 2, \"c\"]}",
         "[{\"op\": \"test\", \"path\": \"/baz\", \"value\": \"qux\"},"
         "{\"op\": \"test\", \"path\": \"/foo/1\", \"value\": 2}]",
         "{\"baz\": \"qux\", \"foo\": [\"a\", 2, \"c\"]}"},
        {"{\"foo\": \"bar\"}",
         "[{\"op\": \"add\", \"path\": \"/child\", \"value\": {\"grandchild\": {}}}]",
         "{\"foo\": \"bar\", \"child\": {\"grandchild\": {}}}"},
        {"{\"foo\": \"bar\"}",
         "[{\"op\": \"add\", \"path\": \"/baz\", \"value\": \"qux\", \"xyz\": 123}]",
         "{\"foo\": \"bar\", \"baz\": \"qux\"}"},
        {"{\"/\": 9, \"~1\": 10}", "[{\"op\": \"test\", \"path\": \"/~01\", \"value\": 10}]",
         "{\"/\": 9, \"~1\": 10}"},
        {"{\"foo\": [\"bar\"]}",
         "[{\"op\": \"add\", \"path\": \"/foo/-\", \"value\": [\"abc\", \"def\"]}]",
         "{\"foo\": [\"bar\", [\"abc\", \"def\"]]}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_gives(rows[i][0], rows[i][1], rows[i][2]);
}

// RFC 6901, section 5: a document with awkward names, and where each pointer leads.
static void the_pointers_of_the_standard(void **state) {
    static const char document[] =
        "{\"foo\": [\"bar\", \"baz\"], \"\": 0, \"a/b\": 1, \"c%d\": 2, \"e^f\": 3, \"g|h\": 4, "
        "\"i\\\\j\": 5, \"k\\\"l\": 6, \" \": 7, \"m~n\": 8}";
    static const char *const rows[][2] = {
        {"/foo", "[\"bar\", \"baz\"]"},
        {"/foo/0", "\"bar\""},
        {"/", "0"},
        {"/a~1b", "1"},
        {"/c%d", "2"},
        {"/e^f", "3"},
        {"/g|h", "4"},
        {"/i\\\\j", "5"},
        {"/k\\\"l", "6"},
        {"/ ", "7"},
        {"/m~0n", "8"},
    };
    char patch[256];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        (void)snprintf(patch, sizeof patch, "[{\"op\":\"test\",\"path\":\"%s\",\"value\":%s}]",
                       rows[i][0], rows[i][1]);
        assert_gives(document, patch, document);
    }
    (void)snprintf(patch, sizeof patch,
                   "[{\"op\":\"test\",\"path\":\"\",\"value\":{}},"
                   "{\"op\":\"add\",\"path\":\"/\",\"value\":1}]");
    assert_gives("{}", patch, "{\"\":1}");
}

static void operations(void **state) {
    static const char *const rows[][3] = {
        {"{\"a\":1}", "[]", "{\"a\":1}"},
        // What is there already is replaced by adding, in its place.
        {"{\"a\":1,\"b\":2}", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":null}]",
         "{\"a\":null,\"b\":2}"},
        {"{\"a\":[1,2,3]}", "[{\"op\":\"replace\",\"path\":\"/a/1\",\"value\":9}]",
         "{\"a\":[1,9,3]}"},
        {"{\"a\":[]}", "[{\"op\":\"add\",\"path\":\"/a/0\",\"value\":9}]", "{\"a\":[9]}"},
        {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":{\"b\":2}}]", "{\"b\":2}"},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"\",\"value\":[1]}]", "[1]"},
        {"{\"a\":1}",
         "[{\"op\":\"remove\",\"path\":\"\"},{\"op\":\"add\",\"path\":\"\",\"value\":{}}]", "{}"},
        {"{\"a\":{\"b\":1}}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/c\"}]",
         "{\"a\":{\"b\":1,\"c\":{\"b\":1}}}"},
        // A copy is not the same as what it is of, and neither is what a patch brings.
        {"{\"a\":{\"b\":1}}",
         "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/c\"},"
         "{\"op\":\"replace\",\"path\":\"/c/b\",\"value\":2}]",
         "{\"a\":{\"b\":1},\"c\":{\"b\":2}}"},
        {"{}",
         "[{\"op\":\"add\",\"path\":\"/a\",\"value\":{\"x\":[]}},"
         "{\"op\":\"add\",\"path\":\"/a/x/-\",\"value\":1},"
         "{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"},"
         "{\"op\":\"add\",\"path\":\"/a/x/-\",\"value\":2}]",
         "{\"a\":{\"x\":[1,2]},\"b\":{\"x\":[1]}}"},
        {"{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a\"}]", "{\"a\":1}"},
        {"{\"a\":{\"b\":{\"c\":1}}}", "[{\"op\":\"move\",\"from\":\"/a/b\",\"path\":\"/a\"}]",
         "{\"a\":{\"c\":1}}"},
        {"{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/ab\"}]", "{\"ab\":1}"},
        {"{\"a\":{\"b\":[1,{\"c\":2.5}]}}",
         "[{\"op\":\"test\",\"path\":\"/a\",\"value\":{\"b\":[1.0,{\"c\":2.5}]}}]",
         "{\"a\":{\"b\":[1,{\"c\":2.5}]}}"},
        {"{\"a\":null}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":null}]", "{\"a\":null}"},
        {"{\"0\":1,\"-\":2}", "[{\"op\":\"remove\",\"path\":\"/0\"}]", "{\"-\":2}"},
        {"{\"0\":1,\"-\":2}", "[{\"op\":\"remove\",\"path\":\"/-\"}]", "{\"0\":1}"},
        {"{\"a~/b\":1}", "[{\"op\":\"remove\",\"path\":\"/a~0~1b\"}]", "{}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_gives(rows[i][0], rows[i][1], rows[i][2]);
}

static void what_does_not_fit(void **state) {
    static const struct {
        const char *target;
        const char *patch;
        const char *pointer; // of the operation
    } rows[] = {
        {"{\"baz\":\"qux\"}", "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"bar\"}]", "/0"},
        {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz/bat\",\"value\":1}]", "/0"},
        {"{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":\"10\"}]", "/0"},
        {"{\"a\":1}",
         "[{\"op\":\"add\",\"path\":\"/b\",\"value\":1},{\"op\":\"remove\",\"path\":\"/c\"}]",
         "/1"},
        {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/b\",\"value\":1}]", "/0"},
        {"{\"a\":1}", "[{\"op\":\"copy\",\"from\":\"/b\",\"path\":\"/c\"}]", "/0"},
        {"{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/b\",\"path\":\"/b\"}]", "/0"},
        {"{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/b\",\"value\":null}]", "/0"},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":1}]", "/0"},
        {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/a/b/c\"}]", "/0"},
        {"{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/2\",\"value\":1}]", "/0"},
        {"{\"a\":[1]}", "[{\"op\":\"remove\",\"path\":\"/a/1\"}]", "/0"},
        {"{\"a\":[1]}", "[{\"op\":\"remove\",\"path\":\"/a/-\"}]", "/0"},
        {"{\"a\":[1]}", "[{\"op\":\"replace\",\"path\":\"/a/-\",\"value\":1}]", "/0"},
        {"{\"a\":[1,2]}", "[{\"op\":\"remove\",\"path\":\"/a/01\"}]", "/0"},
        {"{\"a\":[1,2]}", "[{\"op\":\"remove\",\"path\":\"/a/+1\"}]", "/0"},
        {"{\"a\":[1,2]}", "[{\"op\":\"remove\",\"path\":\"/a/-0\"}]", "/0"},
        {"{\"a\":[1,2]}", "[{\"op\":\"remove\",\"path\":\"/a/1e0\"}]", "/0"},
        {"{\"a\":[1,2]}", "[{\"op\":\"remove\",\"path\":\"/a/\"}]", "/0"},
        {"{\"a\":[1,2]}", "[{\"op\":\"remove\",\"path\":\"/a/99999999999999999999\"}]", "/0"},
        {"{\"a\":[[1]]}", "[{\"op\":\"move\",\"from\":\"/a/0\",\"path\":\"/a/1\"}]", "/0"},
        {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"\"}]", "/0"},
        {"{\"a\":1}",
         "[{\"op\":\"remove\",\"path\":\"\"},{\"op\":\"add\",\"path\":\"/a\",\"value\":1}]", "/1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena = {0};
        struct faults faults = {.arena = &arena};
        struct failure failure = {0};
        json_t *target = read(rows[i].target);
        json_t *patch = read(rows[i].patch);
        assert_true_for(json_patch_check(patch, &faults), rows[i].patch);
        assert_true_for(apply(target, patch, &faults, &failure) == NULL, rows[i].patch);
        assert_int_equal(failure.code, FAILURE_PATCH_CONFLICT);
        assert_int_equal(faults.count, 1);
        assert_text_is(faults.items[0].pointer, rows[i].pointer);
        json_decref(patch);
        json_decref(target);
        arena_free(&arena);
    }
}

static void what_is_no_patch(void **state) {
    static const struct {
        const char *patch;
        const char *pointers; // of the faults, with spaces between them
    } rows[] = {
        {"{}", ""},
        {"null", ""},
        {"[1]", "/0"},
        {"[{}]", "/0/op /0/path"},
        {"[{\"op\":\"append\",\"path\":\"/a\"}]", "/0/op"},
        {"[{\"op\":\"Add\",\"path\":\"/a\",\"value\":1}]", "/0/op"},
        {"[{\"op\":1,\"path\":\"/a\"}]", "/0/op"},
        {"[{\"op\":\"remove\"}]", "/0/path"},
        {"[{\"op\":\"remove\",\"path\":1}]", "/0/path"},
        {"[{\"op\":\"remove\",\"path\":\"a\"}]", "/0/path"},
        {"[{\"op\":\"remove\",\"path\":\"#/a\"}]", "/0/path"},
        {"[{\"op\":\"remove\",\"path\":\"/~2\"}]", "/0/path"},
        {"[{\"op\":\"remove\",\"path\":\"/a~\"}]", "/0/path"},
        {"[{\"op\":\"add\",\"path\":\"/a\"}]", "/0/value"},
        {"[{\"op\":\"test\",\"path\":\"/a\"},{\"op\":\"replace\",\"path\":\"\"}]",
         "/0/value /1/value"},
        {"[{\"op\":\"copy\",\"path\":\"/a\"}]", "/0/from"},
        {"[{\"op\":\"move\",\"path\":\"/a\",\"from\":\"b\"}]", "/0/from"},
        {"[{\"op\":\"move\",\"path\":\"/a/b\",\"from\":\"/a\"}]", "/0/from"},
        {"[{\"op\":\"move\",\"path\":\"/a\",\"from\":\"\"}]", "/0/from"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena = {0};
        struct faults faults = {.arena = &arena};
        json_t *patch = read(rows[i].patch);
        assert_true_for(!json_patch_check(patch, &faults), rows[i].patch);
        struct buffer found = {0};
        for (size_t j = 0; j < faults.count; j++) {
            buffer_append_string(&found, j ? " " : "");
            buffer_append_text(&found, faults.items[j].pointer);
        }
        assert_text_is(buffer_text(&found), rows[i].pointers);
        buffer_free(&found);
        json_decref(patch);
        arena_free(&arena);
    }
}

// What doubles with each operation ends before it is large, and nothing gets too deep to be read.
static void patches_that_grow(void **state) {
    static const char *const rows[] = {
        "{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/-\"}",
        "{\"op\":\"copy\",\"from\":\"\",\"path\":\"/b\"}",
        "{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/0\"}",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena = {0};
        struct faults faults = {.arena = &arena};
        struct failure failure = {0};
        struct buffer source = {0};
        for (size_t j = 0; j < 200; j++)
            buffer_format(&source, "%s%s", j ? "," : "[", rows[i]);
        buffer_append(&source, "]", 2);
        json_t *patch = read(source.data);
        json_t *target = read("{\"a\":[1]}");
        assert_true(json_patch_check(patch, &faults));
        assert_null(apply(target, patch, &faults, &failure));
        assert_int_equal(failure.code, FAILURE_PATCH_CONFLICT);
        json_decref(target);
        json_decref(patch);
        buffer_free(&source);
        arena_free(&arena);
    }
}

static void levels_have_an_end(void **state) {
    struct arena arena = {0};
    struct faults faults = {.arena = &arena};
    struct failure failure = {0};
    struct buffer path = {0};
    json_t *target = json_object();
    for (size_t levels = 2;; levels++) {
        buffer_append_string(&path, "/a");
        json_t *patch =
            json_pack("[{s:s, s:s%, s:{}}]", "op", "add", "path", path.data, path.size, "value");
        assert_non_null(patch);
        json_t *result = apply(target, patch, &faults, &failure);
        json_decref(patch);
        assert_int_equal(result != NULL, levels <= JSON_MAX_DEPTH);
        if (!result)
            break;
        json_decref(target);
        target = result;
    }
    assert_non_null(strstr(failure.detail, "levels"));
    json_decref(target);
    buffer_free(&path);
    arena_free(&arena);
}

static void too_many_operations(void **state) {
    struct arena arena = {0};
    struct faults faults = {.arena = &arena};
    json_t *patch = json_array();
    for (size_t i = 0; i < JSON_PATCH_MAX_OPERATIONS; i++)
        json_array_append_new(patch,
                              json_pack("{s:s, s:s, s:{}}", "op", "test", "path", "", "value"));
    assert_true(json_patch_check(patch, &faults));
    json_array_append_new(patch, json_integer(1));
    assert_false(json_patch_check(patch, &faults));
    json_decref(patch);
    arena_free(&arena);
}

// These are linked so that they can fail; those that the library knows by itself are not.
static void *failing_malloc(size_t size) {
    return malloc(size);
}

static void plain_free(void *memory) {
    free(memory);
}

// Wherever memory ends, it is told, and nothing is lost or given back twice.
static void without_memory(void **state) {
    json_set_alloc_funcs(failing_malloc, plain_free);
    json_t *target = read("{\"a\":{\"b\":[1,2,{\"c~d\":3}]}}");
    json_t *patch = read("[{\"op\":\"copy\",\"from\":\"/a/b\",\"path\":\"/a/e\"},"
                         "{\"op\":\"add\",\"path\":\"/f\",\"value\":{\"g\":[1]}},"
                         "{\"op\":\"test\",\"path\":\"/a/b/2/c~0d\",\"value\":3},"
                         "{\"op\":\"move\",\"from\":\"/a/b/2\",\"path\":\"/a/h\"},"
                         "{\"op\":\"replace\",\"path\":\"/a/e/0\",\"value\":\"x\"}]");
    for (ALLOCATION_FAILURES(nth)) {
        struct arena arena = {0};
        struct faults faults = {.arena = &arena};
        struct failure failure = {0};
        json_t *result = json_patch_apply(target, patch, MOST, &faults, &failure);
        bool failed = allocation_allow();
        assert_int_equal(result == NULL, failed);
        if (!result)
            assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
        json_decref(result);
        arena_free(&arena);
        if (!failed)
            break;
    }
    json_decref(patch);
    json_decref(target);
    json_set_alloc_funcs(malloc, free);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_standard),
        cmocka_unit_test(the_pointers_of_the_standard),
        cmocka_unit_test(operations),
        cmocka_unit_test(what_does_not_fit),
        cmocka_unit_test(what_is_no_patch),
        cmocka_unit_test(patches_that_grow),
        cmocka_unit_test(levels_have_an_end),
        cmocka_unit_test(too_many_operations),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
