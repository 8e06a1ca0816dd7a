#include "resource/json.h"

#include "unit/allocation.h"
#include "unit/testing.h"

#include <stdlib.h>

static json_t *read(struct text source, struct failure *failure) {
    *failure = (struct failure){0};
    char *copy = test_malloc(source.size + (source.size == 0));
    if (source.size)
        memcpy(copy, source.data, source.size);
    json_t *tree = json_read(text_of(copy, source.size), failure);
    test_free(copy);
    return tree;
}

static void assert_writes(const json_t *tree, const char *expected) {
    struct buffer out = {0};
    struct json_writer writer = json_writer_on(&out);
    json_write_tree(&writer, tree);
    assert_text_is(buffer_text(&out), expected);
    buffer_free(&out);
}

static void what_is_read_is_written(void **state) {
    static const struct {
        struct text source;
        const char *written;
    } rows[] = {
        {TEXT_INIT("null"), "null"},
        {TEXT_INIT(" true "), "true"},
        {TEXT_INIT("\"a\""), "\"a\""},
        {TEXT_INIT("\"\""), "\"\""},
        {TEXT_INIT("{}"), "{}"},
        {TEXT_INIT("[]"), "[]"},
        {TEXT_INIT("{\"b\":1,\"a\":{\"z\":[],\"y\":null},\"\":2}"),
         "{\"b\":1,\"a\":{\"z\":[],\"y\":null},\"\":2}"}, // members in their order
        {TEXT_INIT("[1, -1, 0, -0, 9223372036854775807, -9223372036854775808]"),
         "[1,-1,0,0,9223372036854775807,-9223372036854775808]"},
        {TEXT_INIT("[1.0, 1e2, 1.5e-7, 0.1, 1e300, -2.50]"), "[1.0,100.0,1.5e-07,0.1,1e+300,-2.5]"},
        {TEXT_INIT("1e-400"), "0.0"},
        {TEXT_INIT("\"\\u00e9\\ud83d\\ude00\\n\\/\\\\\""), "\"\xC3\xA9\xF0\x9F\x98\x80\\n/\\\\\""},
        {TEXT_INIT("\"\xEF\xBF\xBF\xF4\x8F\xBF\xBF\""), "\"\xEF\xBF\xBF\xF4\x8F\xBF\xBF\""},
        {TEXT_INIT("\"\x7F[[{{\""), "\"\x7F[[{{\""},
        {TEXT_INIT("[\"\\\"[\", \"\\\\\"]"), "[\"\\\"[\",\"\\\\\"]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct failure failure;
        json_t *tree = read(rows[i].source, &failure);
        assert_true_for(tree != NULL, rows[i].source.data);
        assert_writes(tree, rows[i].written);
        json_decref(tree);
    }
}

static void what_is_no_json_is_refused_with_its_place(void **state) {
    static const struct {
        struct text source;
        const char *detail; // the beginning
    } rows[] = {
        {TEXT_INIT(""), "line 1, column 1: the text ends too early"},
        {TEXT_INIT("[1,\n 2"), "line 2, column 2: the text ends too early"},
        {TEXT_INIT("{} {}"), "line 1, column 4: there is more behind the end of the value"},
        {TEXT_INIT("[1,]"), "line 1, column 4: unexpected token near ']'"},
        {TEXT_INIT("{\"a\":1,\n\"a\":2}"), "line 2, column 3: the member is there twice"},
        {TEXT_INIT("{\"a\":{\"b\":1,\"b\":1}}"), "line 1, column 15: the member is there twice"},
        {TEXT_INIT("{'a':1}"), "line 1, column 2: "},
        {TEXT_INIT("{a:1}"), "line 1, column 2: "},
        {TEXT_INIT("\"a"), "line 1, column 2: the text ends too early"},
        {TEXT_INIT("\"a\nb\""), "line 1, column 2: "},
        {TEXT_INIT("\"\\x\""), "line 1, column 3: "},
        {TEXT_INIT("\"\xFF\""), "line 1, column 1: this is not UTF-8"},
        {TEXT_INIT("\"\xED\xA0\x80\""), "line 1, column 1: this is not UTF-8"},
        {TEXT_INIT("\"\xC3"), "line 1, column 1: this is not UTF-8"},
        {TEXT_INIT("\"\\ud800\""), "line 1, column 8: "},
        {TEXT_INIT("\"\\udc00\""), "line 1, column 8: "},
        {TEXT_INIT("\"\\u0000\""), "line 1, column 8: U+0000 is not allowed"},
        {TEXT_INIT("{\"a\\u0000b\":1}"), "line 1, column 11: U+0000 is not allowed"},
        {TEXT_INIT("\"a\0b\""), "line 1, column 2: "},
        {TEXT_INIT("\0"), "line 1, column 1: "},
        {TEXT_INIT("9223372036854775808"), "line 1, column 19: the number is too large"},
        {TEXT_INIT("-9223372036854775809"), "line 1, column 20: the number is too large"},
        {TEXT_INIT("[1e400]"), "line 1, column 6: the number is too large"},
        {TEXT_INIT("-1e400"), "line 1, column 6: the number is too large"},
        {TEXT_INIT("01"), "line 1, column 1: "},
        {TEXT_INIT("+1"), "line 1, column 1: "},
        {TEXT_INIT(".5"), "line 1, column 1: "},
        {TEXT_INIT("1."), "line 1, column 2: "},
        {TEXT_INIT("0x10"), "line 1, column 2: "},
        {TEXT_INIT("NaN"), "line 1, column 3: "},
        {TEXT_INIT("Infinity"), "line 1, column 8: "},
        {TEXT_INIT("nul"), "line 1, column 3: "},
        {TEXT_INIT("TRUE"), "line 1, column 4: "},
        {TEXT_INIT("// x\n1"), "line 1, column 1: "},
        {TEXT_INIT("\xEF\xBB\xBF{}"), "line 1, column 1: "},
        {TEXT_INIT("[\xC2\xA0]"), "line 1, column 2: "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct failure failure;
        json_t *tree = read(rows[i].source, &failure);
        assert_true_for(tree == NULL, rows[i].source.data);
        assert_int_equal(failure.code, FAILURE_MALFORMED_JSON);
        if (strncmp(failure.detail, rows[i].detail, strlen(rows[i].detail)) != 0)
            print_error("%s: %s\n", rows[i].source.data, failure.detail);
        assert_memory_equal(failure.detail, rows[i].detail, strlen(rows[i].detail));
        assert_true(text_is_utf8(text_from_string(failure.detail)));
    }
}

// Levels of arrays and objects by turns.
static json_t *read_nested(size_t levels, struct failure *failure) {
    struct buffer source = {0};
    buffer_append_string(&source, "\n");
    for (size_t i = 0; i < levels; i++)
        buffer_append_string(&source, i % 2 ? "{\"[[\":" : "[");
    buffer_append_string(&source, "1");
    for (size_t i = levels; i > 0; i--)
        buffer_append_string(&source, (i - 1) % 2 ? "}" : "]");
    json_t *tree = read(buffer_text(&source), failure);
    buffer_free(&source);
    return tree;
}

static void depth_is_limited(void **state) {
    struct failure failure;
    json_t *tree = read_nested(JSON_MAX_DEPTH, &failure);
    assert_non_null(tree);
    json_decref(tree);
    assert_null(read_nested(JSON_MAX_DEPTH + 1, &failure));
    assert_int_equal(failure.code, FAILURE_MALFORMED_JSON);
    assert_string_equal(failure.detail,
                        "line 2, column 225: more than 64 levels of arrays and objects");
    assert_null(read_nested(1000000, &failure));
    assert_int_equal(failure.code, FAILURE_MALFORMED_JSON);
    // Brackets beside each other are no depth.
    struct buffer wide = {0};
    buffer_append_string(&wide, "[[]");
    for (int i = 0; i < 1000; i++)
        buffer_append_string(&wide, ",[{}]");
    buffer_append_string(&wide, "]");
    tree = read(buffer_text(&wide), &failure);
    assert_non_null(tree);
    json_decref(tree);
    buffer_free(&wide);
}

// The examples of RFC 7396, appendix A, and some more.
static void patches_are_merged(void **state) {
    static const struct {
        const char *target;
        const char *patch;
        const char *result;
    } rows[] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
        {"{\"a\":1,\"b\":2,\"c\":3}", "{\"b\":9}", "{\"a\":1,\"b\":9,\"c\":3}"}, // in its place
        {"{\"a\":[null]}", "{\"b\":[null,{\"c\":null}]}",
         "{\"a\":[null],\"b\":[null,{\"c\":null}]}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct failure failure;
        json_t *target = read(text_from_string(rows[i].target), &failure);
        json_t *patch = read(text_from_string(rows[i].patch), &failure);
        json_t *result = json_merge_patch(target, patch);
        assert_writes(result, rows[i].result);
        assert_writes(target, rows[i].target); // untouched
        assert_writes(patch, rows[i].patch);
        json_decref(target);
        json_decref(patch);
        json_decref(result);
    }
}

static void a_patch_needs_no_target(void **state) {
    struct failure failure;
    json_t *patch = read(TEXT("{\"a\":{\"b\":null,\"c\":1}}"), &failure);
    json_t *result = json_merge_patch(NULL, patch);
    assert_writes(result, "{\"a\":{\"c\":1}}");
    json_decref(patch);
    json_decref(result);
}

static void pointers_are_escaped(void **state) {
    struct buffer pointer = {0};
    json_pointer_append(&pointer, TEXT("a/b~c"));
    json_pointer_append(&pointer, TEXT(""));
    json_pointer_append(&pointer, TEXT("~1"));
    assert_text_is(buffer_text(&pointer), "/a~1b~0c//~01");
    buffer_free(&pointer);
}

// jansson's own allocations are not made to fail here; what is ours is.
static void no_memory_is_told(void **state) {
    struct failure failure;
    json_t *tree = read(TEXT("[\"abc\"]"), &failure);
    struct buffer out = {0};
    struct json_writer writer = json_writer_on(&out);
    allocation_fail_from(1);
    json_write_tree(&writer, tree);
    assert_true(allocation_allow());
    assert_true(out.failed);
    buffer_free(&out);
    json_decref(tree);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_is_written),
        cmocka_unit_test(what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(patches_are_merged),
        cmocka_unit_test(a_patch_needs_no_target),
        cmocka_unit_test(pointers_are_escaped),
        cmocka_unit_test(no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
