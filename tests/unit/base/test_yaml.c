#include "base/yaml.h"

#include "base/buffer.h"
#include "unit/allocation.h"
#include "unit/testing.h"

#include <math.h>

static struct arena arena;

static int tear_down(void **state) {
    arena_free(&arena);
    return 0;
}

static struct yaml_node *read_well(struct text source) {
    struct yaml_node *root = NULL;
    struct yaml_problem problem;
    if (!yaml_read(&arena, source, &root, &problem)) {
        print_error("%d:%d: %s\n", problem.line, problem.column, problem.detail);
        fail();
    }
    return root;
}

static void assert_place(const struct yaml_node *node, int line, int column) {
    assert_non_null(node);
    assert_int_equal(node->line, line);
    assert_int_equal(node->column, column);
}

// Plain scalars, by YAML 1.2's core schema.
static const struct {
    struct text text;
    enum yaml_kind kind;
    double number; // a boolean's, an integer's, a real's value
} scalars[] = {
    {TEXT_INIT("null"), YAML_NULL, 0},
    {TEXT_INIT("Null"), YAML_NULL, 0},
    {TEXT_INIT("NULL"), YAML_NULL, 0},
    {TEXT_INIT("~"), YAML_NULL, 0},
    {TEXT_INIT("nULL"), YAML_STRING, 0},
    {TEXT_INIT("nul"), YAML_STRING, 0},
    {TEXT_INIT("true"), YAML_BOOLEAN, 1},
    {TEXT_INIT("True"), YAML_BOOLEAN, 1},
    {TEXT_INIT("TRUE"), YAML_BOOLEAN, 1},
    {TEXT_INIT("false"), YAML_BOOLEAN, 0},
    {TEXT_INIT("False"), YAML_BOOLEAN, 0},
    {TEXT_INIT("FALSE"), YAML_BOOLEAN, 0},
    {TEXT_INIT("tRUE"), YAML_STRING, 0},
    {TEXT_INIT("yes"), YAML_STRING, 0},
    {TEXT_INIT("no"), YAML_STRING, 0},
    {TEXT_INIT("No"), YAML_STRING, 0},
    {TEXT_INIT("on"), YAML_STRING, 0},
    {TEXT_INIT("off"), YAML_STRING, 0},
    {TEXT_INIT("y"), YAML_STRING, 0},
    {TEXT_INIT("n"), YAML_STRING, 0},
    {TEXT_INIT("0"), YAML_INTEGER, 0},
    {TEXT_INIT("-0"), YAML_INTEGER, 0},
    {TEXT_INIT("42"), YAML_INTEGER, 42},
    {TEXT_INIT("+42"), YAML_INTEGER, 42},
    {TEXT_INIT("-42"), YAML_INTEGER, -42},
    {TEXT_INIT("0042"), YAML_INTEGER, 42}, // not octal
    {TEXT_INIT("0o52"), YAML_INTEGER, 42},
    {TEXT_INIT("0x2a"), YAML_INTEGER, 42},
    {TEXT_INIT("0x2A"), YAML_INTEGER, 42},
    {TEXT_INIT("0o"), YAML_STRING, 0},
    {TEXT_INIT("0x"), YAML_STRING, 0},
    {TEXT_INIT("0o8"), YAML_STRING, 0},
    {TEXT_INIT("0xg"), YAML_STRING, 0},
    {TEXT_INIT("-0x2a"), YAML_STRING, 0},
    {TEXT_INIT("+0o52"), YAML_STRING, 0},
    {TEXT_INIT("0X2a"), YAML_STRING, 0},
    {TEXT_INIT("0b101"), YAML_STRING, 0},
    {TEXT_INIT("1_000"), YAML_STRING, 0},
    {TEXT_INIT("190:20:30"), YAML_STRING, 0},
    {TEXT_INIT("+"), YAML_STRING, 0},
    {TEXT_INIT("--1"), YAML_STRING, 0},
    {TEXT_INIT("1.5"), YAML_REAL, 1.5},
    {TEXT_INIT("-1.5e3"), YAML_REAL, -1500},
    {TEXT_INIT("+1.5E+3"), YAML_REAL, 1500},
    {TEXT_INIT("15e-1"), YAML_REAL, 1.5},
    {TEXT_INIT("1e3"), YAML_REAL, 1000},
    {TEXT_INIT(".5"), YAML_REAL, 0.5},
    {TEXT_INIT("-.5"), YAML_REAL, -0.5},
    {TEXT_INIT("5."), YAML_REAL, 5},
    {TEXT_INIT("5.e1"), YAML_REAL, 50},
    {TEXT_INIT("1e-999"), YAML_REAL, 0},
    {TEXT_INIT("."), YAML_STRING, 0},
    {TEXT_INIT("-."), YAML_STRING, 0},
    {TEXT_INIT(".e1"), YAML_STRING, 0},
    {TEXT_INIT("e1"), YAML_STRING, 0},
    {TEXT_INIT("1e"), YAML_STRING, 0},
    {TEXT_INIT("1e+"), YAML_STRING, 0},
    {TEXT_INIT("1e1.5"), YAML_STRING, 0},
    {TEXT_INIT("1.2.3"), YAML_STRING, 0},
    {TEXT_INIT("1,5"), YAML_STRING, 0},
    {TEXT_INIT("1 5"), YAML_STRING, 0},
    {TEXT_INIT("inf"), YAML_STRING, 0},
    {TEXT_INIT("nan"), YAML_STRING, 0},
    {TEXT_INIT("0x1p3"), YAML_STRING, 0},
    {TEXT_INIT(".inf"), YAML_REAL, (double)INFINITY},
    {TEXT_INIT("+.Inf"), YAML_REAL, (double)INFINITY},
    {TEXT_INIT("-.INF"), YAML_REAL, -(double)INFINITY},
    {TEXT_INIT(".iNF"), YAML_STRING, 0},
    {TEXT_INIT("+.nan"), YAML_STRING, 0},
    {TEXT_INIT("2016-08-05"), YAML_STRING, 0},
    {TEXT_INIT("<<"), YAML_STRING, 0},
    {TEXT_INIT("="), YAML_STRING, 0},
    {TEXT_INIT("\xC3\xA4"), YAML_STRING, 0},
};

static double number_of(const struct yaml_node *node) {
    if (node->kind == YAML_BOOLEAN)
        return node->boolean;
    if (node->kind == YAML_INTEGER)
        return (double)node->integer;
    return node->kind == YAML_REAL ? node->real : 0;
}

static void plain_scalars_have_the_core_schema_s_kinds(void **state) {
    for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++) {
        const struct yaml_node *node = read_well(scalars[i].text);
        assert_true_for(node->kind == scalars[i].kind, scalars[i].text.data);
        assert_true_for(number_of(node) == scalars[i].number, scalars[i].text.data);
        assert_text_is(node->scalar, scalars[i].text.data);
        assert_false(node->quoted);
    }
    static const struct text nans[] = {TEXT_INIT(".nan"), TEXT_INIT(".NaN"), TEXT_INIT(".NAN")};
    for (size_t i = 0; i < 3; i++)
        assert_true(isnan(read_well(nans[i])->real));
}

static void quoted_scalars_are_strings(void **state) {
    static const struct {
        struct text source;
        struct text value;
    } cases[] = {
        {TEXT_INIT("'null'"), TEXT_INIT("null")},
        {TEXT_INIT("\"1\""), TEXT_INIT("1")},
        {TEXT_INIT("''"), TEXT_INIT("")},
        {TEXT_INIT("\"\""), TEXT_INIT("")},
        {TEXT_INIT("'it''s'"), TEXT_INIT("it's")},
        {TEXT_INIT("\"a\\tb\\x41\\u00e4\\U0001F600\\/\""),
         TEXT_INIT("a\tbA\xC3\xA4\xF0\x9F\x98\x80/")},
        {TEXT_INIT("'^[0-9]\\d+$'"), TEXT_INIT("^[0-9]\\d+$")},
        {TEXT_INIT("\"a\\\n  b\""), TEXT_INIT("ab")},
        {TEXT_INIT("|\n 1\n 2\n"), TEXT_INIT("1\n2\n")},
        {TEXT_INIT("|-\n 1\n"), TEXT_INIT("1")},
        {TEXT_INIT(">\n  a\n  b\n\n  c\n"), TEXT_INIT("a b\nc\n")},
        {TEXT_INIT(">\n"), TEXT_INIT("")},
        {TEXT_INIT("\"\\u2028\\N\""), TEXT_INIT("\xE2\x80\xA8\xC2\x85")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct yaml_node *node = read_well(cases[i].source);
        assert_true_for(node->kind == YAML_STRING && node->quoted, cases[i].source.data);
        assert_true_for(text_equal(node->scalar, cases[i].value), cases[i].source.data);
        assert_int_equal(node->scalar.data[node->scalar.size], '\0');
    }
}

static void integers_reach_to_both_ends(void **state) {
    assert_int_equal(read_well(TEXT("9223372036854775807"))->integer, INT64_MAX);
    assert_int_equal(read_well(TEXT("-9223372036854775808"))->integer, INT64_MIN);
    assert_int_equal(read_well(TEXT("0x7FFFFFFFFFFFFFFF"))->integer, INT64_MAX);
    assert_int_equal(read_well(TEXT("0o777777777777777777777"))->integer, INT64_MAX);
    assert_int_equal(read_well(TEXT("00000000000000000000000000000007"))->integer, 7);
}

static void an_empty_source_is_null(void **state) {
    static const struct text sources[] = {
        {NULL, 0},
        TEXT_INIT(""),
        TEXT_INIT("\n\n"),
        TEXT_INIT("# only\n"),
        TEXT_INIT("---\n"),
        TEXT_INIT("---"),
        TEXT_INIT("\xEF\xBB\xBF"),
        TEXT_INIT("--- ~\n...\n"),
        TEXT_INIT("  \n#x"),
        TEXT_INIT("%YAML 1.2\n---\n"),
    };
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        const struct yaml_node *root = read_well(sources[i]);
        assert_int_equal(root->kind, YAML_NULL);
        assert_true(root->line >= 1 && root->column >= 1);
    }
    assert_place(read_well(TEXT("")), 1, 1);
}

static void nodes_know_their_places(void **state) {
    struct yaml_node *root = read_well(TEXT("# a comment\n"
                                            "name: \xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80 # four\r\n"
                                            "\xC3\xA4\xC3\xB6:   value\r\n"
                                            "list:\n"
                                            "  - 1\n"
                                            "  -   {a: 'x', \xC3\xBC: y}\n"
                                            "block: |\n"
                                            "  text\n"
                                            "nothing:\n"
                                            "last: [1, [2]]"));
    assert_place(root, 2, 1);
    assert_int_equal(root->kind, YAML_MAPPING);
    assert_int_equal(root->mapping.count, 6);
    assert_place(root->mapping.pairs[0].key, 2, 1);
    assert_place(yaml_get(root, "name"), 2, 7);
    assert_place(yaml_get(root, "\xC3\xA4\xC3\xB6"), 3, 7);
    struct yaml_node *list = yaml_get(root, "list");
    assert_place(list, 5, 3);
    assert_int_equal(list->sequence.count, 2);
    assert_place(list->sequence.items[0], 5, 5);
    assert_place(list->sequence.items[1], 6, 7);
    assert_place(list->sequence.items[1]->mapping.pairs[1].key, 6, 16);
    assert_place(list->sequence.items[1]->mapping.pairs[1].value, 6, 19);
    assert_place(yaml_get(root, "block"), 7, 8);
    assert_int_equal(yaml_get(root, "nothing")->kind, YAML_NULL);
    assert_int_equal(yaml_get(root, "nothing")->line, 9);
    assert_place(yaml_get(root, "last")->sequence.items[1]->sequence.items[0], 10, 12);
}

static void a_byte_order_mark_takes_no_column(void **state) {
    struct yaml_node *root = read_well(TEXT("\xEF\xBB\xBF"
                                            "a: 1"));
    assert_place(yaml_get(root, "a"), 1, 4);
}

static void get_finds_the_keys_of_mappings(void **state) {
    struct yaml_node *root = read_well(TEXT("{a: 1, 'b': 2, 3: c, '': d, null: e}"));
    assert_int_equal(yaml_get(root, "a")->integer, 1);
    assert_int_equal(yaml_get(root, "b")->integer, 2);
    assert_text_is(yaml_get(root, "3")->scalar, "c");
    assert_text_is(yaml_get(root, "")->scalar, "d");
    assert_text_is(yaml_get(root, "null")->scalar, "e");
    assert_null(yaml_get(root, "c"));
    assert_null(yaml_get(yaml_get(root, "a"), "a"));
    assert_null(yaml_get(NULL, "a"));
    assert_null(yaml_get(read_well(TEXT("[a]")), "a"));
}

static const struct {
    struct text source;
    int line;
    int column;
    const char *detail; // a part of it
} problems[] = {
    // what libyaml says
    {TEXT_INIT("a: [1, 2"), 1, 9, "did not find expected ',' or ']' while parsing a flow sequence"},
    {TEXT_INIT("a: {b: 1"), 1, 9, "did not find expected ',' or '}'"},
    {TEXT_INIT("a: 'x"), 1, 6, "found unexpected end of stream while scanning a quoted scalar"},
    {TEXT_INIT("a: b: c"), 1, 5, "mapping values are not allowed in this context"},
    {TEXT_INIT("a: 1\n  b: 2"), 2, 4, "mapping values are not allowed"},
    {TEXT_INIT("a: 1\nb\nc: 2"), 3, 1,
     "could not find expected ':' while scanning a simple key that begins on line 2"},
    {TEXT_INIT("a:\n\t- 1"), 2, 1, "found character that cannot start any token"},
    {TEXT_INIT("a: @x"), 1, 4, "found character that cannot start any token"},
    {TEXT_INIT("a: \"\\q\""), 1, 5, "found unknown escape character"},
    {TEXT_INIT("a: \"\\ud800\""), 1, 7, "found invalid Unicode character escape code"},
    {TEXT_INIT("a: 1\n b: 2\nc: 3"), 2, 3, "mapping values are not allowed"},
    {TEXT_INIT("- 1\nb: 2"), 2, 1, "did not find expected '-' indicator"},
    {TEXT_INIT("%YAML 2.0\n---\na"), 1, 1, "found incompatible YAML document"},
    // characters
    {TEXT_INIT("a: \xC3\xA4\xFF"), 1, 5, "not UTF-8"},
    {TEXT_INIT("a\nb\r\nc\rd\xC0\x80"), 4, 2, "not UTF-8"},
    {TEXT_INIT("\xFF\xFE"
               "a\0"),
     1, 1, "not UTF-8"}, // UTF-16
    {TEXT_INIT("a: \xED\xA0\x80"), 1, 4, "not UTF-8"},
    {TEXT_INIT("a: b\0c"), 1, 5, "U+0000 is not allowed"},
    {TEXT_INIT("a: b\n\x07"), 2, 1, "U+0007 is not allowed"},
    {TEXT_INIT("a: \x7F"), 1, 4, "U+007F is not allowed"},
    {TEXT_INIT("\xC3\xA4: \xC2\x85"), 1, 4, "U+0085 is not allowed"},
    {TEXT_INIT("# \xE2\x80\xA8"), 1, 3, "U+2028 is not allowed"},
    {TEXT_INIT("a: \"\xE2\x80\xA9\""), 1, 5, "U+2029 is not allowed"},
    {TEXT_INIT("a: \xEF\xBF\xBF"), 1, 4, "U+FFFF is not allowed"},
    {TEXT_INIT("a: \"b\\0c\""), 1, 4, "U+0000 is not allowed in a string"},
    // what we do not take
    {TEXT_INIT("a: 1\n---\nb: 2"), 2, 1, "a second document"},
    {TEXT_INIT("a: 1\n...\nb: 2"), 3, 1, "did not find expected <document start>"},
    {TEXT_INIT("a: 1\nb: 2\na: 3"), 3, 1, "the key \"a\" is repeated; it stands on line 1"},
    {TEXT_INIT("{a: {b: 1, c: 2, 'b': 3}}"), 1, 18, "the key \"b\" is repeated"},
    {TEXT_INIT("1: a\n'1': b"), 2, 1, "the key \"1\" is repeated"},
    {TEXT_INIT("? [a]\n: b"), 1, 3, "a key must be a scalar"},
    {TEXT_INIT("{{a: b}: c}"), 1, 2, "a key must be a scalar"},
    {TEXT_INIT("a: &x 1"), 1, 4, "anchors are not allowed"},
    {TEXT_INIT("a: 1\nb: *x"), 2, 4, "aliases are not allowed"},
    {TEXT_INIT("*x : 1"), 1, 1, "aliases are not allowed"},
    {TEXT_INIT("&x a: 1"), 1, 1, "anchors are not allowed"},
    {TEXT_INIT("a: &x [1]"), 1, 4, "anchors are not allowed"},
    {TEXT_INIT("a: &x {b: 1}"), 1, 4, "anchors are not allowed"},
    {TEXT_INIT("a: !!str 1"), 1, 4, "tags are not allowed"},
    {TEXT_INIT("a: ! 1"), 1, 4, "tags are not allowed"},
    {TEXT_INIT("a: !x [1]"), 1, 4, "tags are not allowed"},
    {TEXT_INIT("- !!map {}"), 1, 3, "tags are not allowed"},
    {TEXT_INIT("a: 9223372036854775808"), 1, 4, "the integer does not fit 64 bits"},
    {TEXT_INIT("a: -9223372036854775809"), 1, 4, "the integer does not fit 64 bits"},
    {TEXT_INIT("a: 18446744073709551616"), 1, 4, "the integer does not fit 64 bits"},
    {TEXT_INIT("a: 0xFFFFFFFFFFFFFFFF"), 1, 4, "the integer does not fit 64 bits"},
    {TEXT_INIT("a: 0o7777777777777777777777"), 1, 4, "the integer does not fit 64 bits"},
    {TEXT_INIT("a: 1e999"), 1, 4, "the number is too large"},
    {TEXT_INIT("a: -1.5e309"), 1, 4, "the number is too large"},
};

static void problems_have_their_places(void **state) {
    bool all_well = true;
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        struct yaml_node *root = NULL;
        struct yaml_problem problem = {0};
        const char *source = problems[i].source.data;
        assert_true_for(!yaml_read(&arena, problems[i].source, &root, &problem), source);
        assert_null(root);
        if (problem.line != problems[i].line || problem.column != problems[i].column ||
            !strstr(problem.detail, problems[i].detail)) {
            print_error("%s\n%d:%d: %s\nshould be %d:%d: %s\n", source, problem.line,
                        problem.column, problem.detail, problems[i].line, problems[i].column,
                        problems[i].detail);
            all_well = false;
        }
    }
    assert_true(all_well);
}

// [[[…]]], and {a: {a: …}}
static void assert_depth(const char *open, const char *close, size_t depth, bool fits) {
    struct buffer source = {0};
    struct yaml_node *root = NULL;
    struct yaml_problem problem;
    for (size_t i = 0; i < depth; i++)
        buffer_append_string(&source, open);
    for (size_t i = 0; i < depth; i++)
        buffer_append_string(&source, close);
    assert_int_equal(yaml_read(&arena, buffer_text(&source), &root, &problem), fits);
    if (!fits) {
        assert_string_equal(problem.detail, "more than 64 levels");
        assert_int_equal(problem.column, 64 * strlen(open) + 1);
    }
    buffer_free(&source);
}

static void levels_are_bounded(void **state) {
    assert_depth("[", "]", 64, true);
    assert_depth("[", "]", 65, false);
    assert_depth("[", "]", 100000, false);
    assert_depth("{a: ", "}", 64, true);
    assert_depth("{a: ", "}", 65, false);
}

static void repeated_keys_are_told_however_long(void **state) {
    struct buffer source = {0};
    struct yaml_node *root;
    struct yaml_problem problem;
    for (int round = 0; round < 2; round++) {
        buffer_append_byte(&source, '"');
        for (int i = 0; i < 100; i++)
            buffer_append_string(&source, "\xE2\x82\xAC");
        buffer_append_string(&source, "\": 1\n");
    }
    assert_false(yaml_read(&arena, buffer_text(&source), &root, &problem));
    assert_int_equal(problem.line, 2);
    assert_non_null(strstr(problem.detail, "is repeated; it stands on line 1 already"));
    assert_true(text_is_utf8(text_from_string(problem.detail)));
    buffer_free(&source);
}

static void many_keys_are_read_in_time(void **state) {
    enum { COUNT = 20000 };
    struct buffer source = {0};
    for (int i = 0; i < COUNT; i++)
        buffer_format(&source, "key%d: %d\n", i, i);
    struct yaml_node *root = read_well(buffer_text(&source));
    assert_int_equal(root->mapping.count, COUNT);
    assert_int_equal(yaml_get(root, "key19999")->integer, 19999);
    assert_place(yaml_get(root, "key19999"), COUNT, 11);
    buffer_free(&source);
}

static void every_beginning_is_read_or_refused(void **state) {
    struct text whole = TEXT("a: {b: [1, 'x', \"\\u00e4\"], c: |\n  d\n}\n? e\n: &f !!g *h\n%");
    for (size_t size = 0; size <= whole.size; size++) {
        struct yaml_node *root;
        struct yaml_problem problem = {0};
        if (!yaml_read(&arena, text_of(whole.data, size), &root, &problem))
            assert_true(problem.line >= 1 && problem.column >= 1 && problem.detail[0]);
    }
}

static void running_out_of_memory_is_told(void **state) {
    struct text source = TEXT("a: [1, 2, 3, 4, 5, 6, 7, 8, 9]\nb: {c: 'd', e: }\n");
    for (ALLOCATION_FAILURES(nth)) {
        struct yaml_node *root = NULL;
        struct yaml_problem problem = {0};
        bool read = yaml_read(&arena, source, &root, &problem);
        bool failed = allocation_allow();
        assert_int_equal(read, !failed);
        arena_free(&arena);
        if (!failed)
            break;
        assert_null(root);
        assert_int_equal(problem.line, 0);
        assert_string_equal(problem.detail, "out of memory");
    }
}

static void kinds_have_names(void **state) {
    for (enum yaml_kind kind = YAML_NULL; kind <= YAML_MAPPING; kind++)
        assert_true(strlen(yaml_kind_name(kind)) > 0);
    assert_string_equal(yaml_kind_name(YAML_STRING), "a string");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(plain_scalars_have_the_core_schema_s_kinds, tear_down),
        cmocka_unit_test_teardown(quoted_scalars_are_strings, tear_down),
        cmocka_unit_test_teardown(integers_reach_to_both_ends, tear_down),
        cmocka_unit_test_teardown(an_empty_source_is_null, tear_down),
        cmocka_unit_test_teardown(nodes_know_their_places, tear_down),
        cmocka_unit_test_teardown(a_byte_order_mark_takes_no_column, tear_down),
        cmocka_unit_test_teardown(get_finds_the_keys_of_mappings, tear_down),
        cmocka_unit_test_teardown(problems_have_their_places, tear_down),
        cmocka_unit_test_teardown(levels_are_bounded, tear_down),
        cmocka_unit_test_teardown(repeated_keys_are_told_however_long, tear_down),
        cmocka_unit_test_teardown(many_keys_are_read_in_time, tear_down),
        cmocka_unit_test_teardown(every_beginning_is_read_or_refused, tear_down),
        cmocka_unit_test_teardown(running_out_of_memory_is_told, tear_down),
        cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
