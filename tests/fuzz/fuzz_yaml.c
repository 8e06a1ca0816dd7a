// Any bytes as a YAML document: read into a tree that keeps what base/yaml.h promises, or refused
// with a place.
#include "fuzz/fuzz.h"

#include "base/yaml.h"

#include <assert.h>

enum { LEVELS_MAX = 64 };

static void check_node(const struct yaml_node *node, int level);

static void check_mapping(const struct yaml_node *node, int level) {
    for (size_t i = 0; i < node->mapping.count; i++) {
        const struct yaml_node *key = node->mapping.pairs[i].key;
        assert(key->kind < YAML_SEQUENCE);
        check_node(key, level + 1);
        check_node(node->mapping.pairs[i].value, level + 1);
        // The first that has the text is the only one, unless yaml_get sees a shorter string.
        if (i < 100 && strlen(key->scalar.data) == key->scalar.size)
            assert(yaml_get(node, key->scalar.data) == node->mapping.pairs[i].value);
    }
}

static void check_scalar(const struct yaml_node *node) {
    assert(text_is_utf8(node->scalar));
    assert(node->quoted == false || node->kind == YAML_STRING);
    if (node->scalar.size)
        assert(text_find(node->scalar, '\0') < 0);
}

static void check_node(const struct yaml_node *node, int level) {
    assert(node->line >= 1 && node->column >= 1);
    if (node->kind < YAML_SEQUENCE) {
        check_scalar(node);
        return;
    }
    assert(level <= LEVELS_MAX);
    if (node->kind == YAML_MAPPING) {
        check_mapping(node, level);
        return;
    }
    for (size_t i = 0; i < node->sequence.count; i++)
        check_node(node->sequence.items[i], level + 1);
}

// Lines and columns of the source: a problem stands in it, or just behind.
static void check_problem(const struct yaml_problem *problem, struct text source) {
    int lines = 1;
    for (size_t i = 0; i < source.size; i++)
        lines += source.data[i] == '\n' || source.data[i] == '\r';
    assert(problem->line >= 1 && problem->line <= lines);
    assert(problem->column >= 1 && (size_t)problem->column <= source.size + 1);
    assert(problem->detail[0] && text_is_utf8(text_from_string(problem->detail)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct text source = text_of((const char *)data, size);
    struct arena arena;
    struct yaml_node *root = NULL;
    struct yaml_problem problem = {0};
    arena_init(&arena);
    if (yaml_read(&arena, source, &root, &problem)) {
        check_node(root, 1);
    } else {
        assert(root == NULL);
        check_problem(&problem, source);
    }
    arena_free(&arena);
    return 0;
}
