// The definitions that users see: those that trestle ships with, and each example of
// docs/DEFINITIONS.md, which is read as the file that its first line names. What an example is said
// to be told stands in the block of text behind it.
#include "resource/definition_reader.h"

#include "base/buffer.h"
#include "unit/testing.h"

#include <stdio.h>
#include <stdlib.h>

static struct buffer read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file)
        print_error("%s cannot be opened; tests run in the project's folder\n", path);
    assert_non_null(file);
    struct buffer content = {0};
    char bytes[4096];
    size_t size;
    while ((size = fread(bytes, 1, sizeof bytes, file)) > 0)
        buffer_append(&content, bytes, size);
    fclose(file);
    assert_false(content.failed);
    return content;
}

// An example, which those behind it may refer to.
struct example {
    struct text file;
    struct text source;
};

enum { MAX_EXAMPLES = 100 };

// Reads an example, the last of some.
static struct resource *read_last(const struct example *examples, size_t count, struct arena *arena,
                                  struct diagnostics *diagnostics) {
    struct definition *definitions[MAX_EXAMPLES];
    struct diagnostics others;
    diagnostics_init(&others, arena);
    for (size_t i = 0; i < count; i++)
        definitions[i] =
            definition_begin(arena, examples[count - 1 - i].file, examples[count - 1 - i].source,
                             i ? &others : diagnostics);
    for (size_t i = 0; i < count; i++)
        definition_link(definitions[i], definitions, count);
    definition_finish(definitions[0]);
    for (size_t i = 1; i < count; i++)
        definition_free(definition_resource(definitions[i]));
    return definition_resource(definitions[0]);
}

static void check_definition(const struct example *examples, size_t count, struct text expected) {
    struct text source = examples[count - 1].source;
    struct arena arena = {0};
    struct diagnostics diagnostics;
    diagnostics_init(&diagnostics, &arena);
    struct resource *resource = read_last(examples, count, &arena, &diagnostics);
    struct buffer said = {0};
    diagnostics_print(&diagnostics, &said);
    if (!text_equal(buffer_text(&said), expected))
        print_error("%.*s\nsays\n%.*sand should say\n%.*s\n", TEXT_ARGS(source),
                    TEXT_ARGS(buffer_text(&said)), TEXT_ARGS(expected));
    assert_true(text_equal(buffer_text(&said), expected));
    buffer_free(&said);
    definition_free(resource);
    arena_free(&arena);
}

static void what_is_shipped_is_valid(void **state) {
    static const char *const files[] = {"resources/coupons.yaml", "resources/messages.yaml",
                                        "resources/packages.yaml"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct buffer source = read_file(files[i]);
        const struct example example = {text_from_string(files[i]), buffer_text(&source)};
        check_definition(&example, 1, TEXT(""));
        buffer_free(&source);
    }
}

// Takes a block between ``` lines off the front of `rest`, where it begins with one of that
// language.
static bool take_block(struct text *rest, const char *fence, struct text *ret_block) {
    if (!text_starts_with(*rest, text_from_string(fence)))
        return false;
    const char *begin = rest->data + strlen(fence);
    const char *end = memmem(begin, rest->size - strlen(fence), "\n```\n", 5);
    assert_non_null(end);
    *ret_block = text_of(begin, (size_t)(end + 1 - begin));
    *rest = text_from(*rest, (size_t)(end + 5 - rest->data));
    return true;
}

// "# NAME.yaml\n"
static struct text file_of(struct text block) {
    assert_true(text_starts_with(block, TEXT("# ")));
    ptrdiff_t end = text_find(block, '\n');
    return text_of(block.data + 2, (size_t)end - 2);
}

static void what_is_documented_is_true(void **state) {
    struct buffer page = read_file("docs/DEFINITIONS.md");
    struct text rest = buffer_text(&page);
    struct example examples[MAX_EXAMPLES];
    size_t count = 0;
    while (rest.size > 0) {
        struct text block;
        if (take_block(&rest, "```yaml\n", &block)) {
            struct text after = text_starts_with(rest, TEXT("\n")) ? text_from(rest, 1) : rest;
            struct text said = TEXT("");
            if (take_block(&after, "```text\n", &said))
                rest = after;
            assert_true(count < MAX_EXAMPLES);
            examples[count++] = (struct example){file_of(block), block};
            check_definition(examples, count, said);
            continue;
        }
        ptrdiff_t line = text_find(rest, '\n');
        assert_true(line >= 0);
        rest = text_from(rest, (size_t)line + 1);
    }
    assert_true(count >= 10);
    buffer_free(&page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_shipped_is_valid),
        cmocka_unit_test(what_is_documented_is_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
