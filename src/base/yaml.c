#include "base/yaml.h"

#include "base/table.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

enum { LEVELS_MAX = 64, SHOWN_KEY_MAX = 60 };

struct reader {
    yaml_parser_t parser;
    struct arena *arena;
    struct yaml_problem *problem;
    size_t end_line; // where the source ends
    size_t end_column;
};

__attribute__((format(printf, 4, 5))) static bool refuse(struct reader *reader, size_t line,
                                                         size_t column, const char *format, ...) {
    struct yaml_problem *problem = reader->problem;
    problem->line = line < INT_MAX ? (int)line : INT_MAX;
    problem->column = column < INT_MAX ? (int)column : INT_MAX;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(problem->detail, sizeof problem->detail, format, arguments);
    va_end(arguments);
    struct text shown = text_from_string(size < 0 ? "" : problem->detail);
    problem->detail[text_whole_characters(shown).size] = '\0';
    return false;
}

static bool refuse_mark(struct reader *reader, yaml_mark_t mark, const char *detail) {
    return refuse(reader, mark.line + 1, mark.column + 1, "%s", detail);
}

static bool refuse_out_of_memory(struct reader *reader) {
    return refuse(reader, 0, 0, "out of memory");
}

// What libyaml found wrong.
static bool refuse_syntax(struct reader *reader) {
    const yaml_parser_t *parser = &reader->parser;
    if (parser->error == YAML_MEMORY_ERROR)
        return refuse_out_of_memory(reader);
    size_t line = parser->problem_mark.line + 1;
    size_t column = parser->problem_mark.column + 1;
    if (line > reader->end_line) { // libyaml ends a last line that has no end
        line = reader->end_line;
        column = reader->end_column;
    }
    const char *detail = parser->problem ? parser->problem : "not YAML";
    if (!parser->context)
        return refuse(reader, line, column, "%s", detail);
    if (parser->context_mark.line + 1 == line)
        return refuse(reader, line, column, "%s %s", detail, parser->context);
    return refuse(reader, line, column, "%s %s that begins on line %zu", detail, parser->context,
                  parser->context_mark.line + 1);
}

// The characters that a YAML stream may hold (chapter 5.1), but for U+0085, U+2028 and U+2029:
// libyaml takes them for the line breaks that they were in YAML 1.1, so they can only be escaped.
static bool is_allowed(uint32_t c) {
    if (c < 0x80)
        return (c >= 0x20 && c < 0x7F) || c == '\t' || c == '\n' || c == '\r';
    return c >= 0xA0 && c != 0x2028 && c != 0x2029 && c != 0xFFFE && c != 0xFFFF;
}

// Refuses what libyaml would read in another encoding, or report without its place.
static bool check_characters(struct reader *reader, struct text source) {
    size_t line = 1;
    size_t column = 1;
    for (size_t i = 0; i < source.size;) {
        struct text rest = text_from(source, i);
        size_t size = text_utf8_size(rest);
        if (size == 0)
            return refuse(reader, line, column, "this is not UTF-8");
        uint32_t c = text_utf8_decode(rest, &size);
        if (!is_allowed(c))
            return refuse(reader, line, column, "U+%04X is not allowed here", (unsigned)c);
        i += size;
        column++;
        if (c == '\n' || (c == '\r' && (rest.size == 1 || rest.data[1] != '\n'))) {
            line++;
            column = 1;
        }
    }
    reader->end_line = line;
    reader->end_column = column;
    return true;
}

struct word {
    struct text text;
    enum yaml_kind kind;
    float value; // all of them are exact
};

// The plain scalars that are not strings, but for numbers in digits (YAML 1.2.2, 10.3.2).
static const struct word words[] = {
    {TEXT_INIT(""), YAML_NULL, 0},
    {TEXT_INIT("~"), YAML_NULL, 0},
    {TEXT_INIT("null"), YAML_NULL, 0},
    {TEXT_INIT("Null"), YAML_NULL, 0},
    {TEXT_INIT("NULL"), YAML_NULL, 0},
    {TEXT_INIT("true"), YAML_BOOLEAN, 1},
    {TEXT_INIT("True"), YAML_BOOLEAN, 1},
    {TEXT_INIT("TRUE"), YAML_BOOLEAN, 1},
    {TEXT_INIT("false"), YAML_BOOLEAN, 0},
    {TEXT_INIT("False"), YAML_BOOLEAN, 0},
    {TEXT_INIT("FALSE"), YAML_BOOLEAN, 0},
    {TEXT_INIT(".nan"), YAML_REAL, NAN},
    {TEXT_INIT(".NaN"), YAML_REAL, NAN},
    {TEXT_INIT(".NAN"), YAML_REAL, NAN},
    {TEXT_INIT(".inf"), YAML_REAL, INFINITY},
    {TEXT_INIT(".Inf"), YAML_REAL, INFINITY},
    {TEXT_INIT(".INF"), YAML_REAL, INFINITY},
    {TEXT_INIT("+.inf"), YAML_REAL, INFINITY},
    {TEXT_INIT("+.Inf"), YAML_REAL, INFINITY},
    {TEXT_INIT("+.INF"), YAML_REAL, INFINITY},
    {TEXT_INIT("-.inf"), YAML_REAL, -INFINITY},
    {TEXT_INIT("-.Inf"), YAML_REAL, -INFINITY},
    {TEXT_INIT("-.INF"), YAML_REAL, -INFINITY},
};

static bool resolve_word(struct yaml_node *node) {
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!text_equal(words[i].text, node->scalar))
            continue;
        node->kind = words[i].kind;
        if (node->kind == YAML_BOOLEAN)
            node->boolean = words[i].value != 0;
        else if (node->kind == YAML_REAL)
            node->real = (double)words[i].value;
        return true;
    }
    return false;
}

static unsigned digit_value(char c) {
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return UINT_MAX;
}

static size_t count_digits(struct text text, unsigned base) {
    size_t count = 0;
    while (count < text.size && digit_value(text.data[count]) < base)
        count++;
    return count;
}

static struct text without_sign(struct text text) {
    bool sign = text.size && (text.data[0] == '+' || text.data[0] == '-');
    return text_from(text, sign ? 1 : 0);
}

// Whether it is an integer: its digits, and their base.
static bool find_integer(struct text scalar, struct text *ret_digits, unsigned *ret_base) {
    struct text digits = without_sign(scalar);
    unsigned base = 10;
    if (text_starts_with(scalar, TEXT("0o")))
        base = 8;
    else if (text_starts_with(scalar, TEXT("0x")))
        base = 16;
    if (base != 10)
        digits = text_from(scalar, 2);
    *ret_digits = digits;
    *ret_base = base;
    return digits.size > 0 && count_digits(digits, base) == digits.size;
}

static bool to_integer(struct text digits, unsigned base, bool negative, int64_t *ret_value) {
    uint64_t magnitude = 0;
    for (size_t i = 0; i < digits.size; i++) {
        if (__builtin_mul_overflow(magnitude, base, &magnitude) ||
            __builtin_add_overflow(magnitude, digit_value(digits.data[i]), &magnitude))
            return false;
    }
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *ret_value = (int64_t)(negative ? 0 - magnitude : magnitude);
    return true;
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
static bool is_real(struct text scalar) {
    struct text rest = without_sign(scalar);
    size_t digits = count_digits(rest, 10);
    rest = text_from(rest, digits);
    if (rest.size && rest.data[0] == '.') {
        size_t fraction = count_digits(text_from(rest, 1), 10);
        digits += fraction;
        rest = text_from(rest, 1 + fraction);
    }
    if (digits == 0)
        return false;
    if (rest.size && (rest.data[0] == 'e' || rest.data[0] == 'E')) {
        rest = without_sign(text_from(rest, 1));
        return rest.size > 0 && count_digits(rest, 10) == rest.size;
    }
    return rest.size == 0;
}

// Decides what a plain scalar is.
static bool resolve(struct reader *reader, struct yaml_node *node) {
    struct text digits;
    unsigned base;
    if (resolve_word(node))
        return true;
    if (find_integer(node->scalar, &digits, &base)) {
        node->kind = YAML_INTEGER;
        if (!to_integer(digits, base, node->scalar.data[0] == '-', &node->integer))
            return refuse(reader, (size_t)node->line, (size_t)node->column,
                          "the integer does not fit 64 bits");
    } else if (is_real(node->scalar)) {
        node->kind = YAML_REAL;
        node->real = strtod(node->scalar.data, NULL);
        if (isinf(node->real))
            return refuse(reader, (size_t)node->line, (size_t)node->column,
                          "the number is too large");
    } else {
        node->kind = YAML_STRING;
    }
    return true;
}

static bool next_event(struct reader *reader, yaml_event_t *ret_event) {
    return yaml_parser_parse(&reader->parser, ret_event) || refuse_syntax(reader);
}

static bool skip_event(struct reader *reader) {
    yaml_event_t event;
    if (!next_event(reader, &event))
        return false;
    yaml_event_delete(&event);
    return true;
}

static bool read_scalar(struct reader *reader, const yaml_event_t *event, struct yaml_node *node) {
    struct text value = text_of((const char *)event->data.scalar.value, event->data.scalar.length);
    if (text_find(value, '\0') >= 0)
        return refuse_mark(reader, event->start_mark, "U+0000 is not allowed in a string");
    node->scalar = arena_copy(reader->arena, value);
    if (!node->scalar.data)
        return refuse_out_of_memory(reader);
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (!node->quoted)
        return resolve(reader, node);
    node->kind = YAML_STRING;
    return true;
}

static bool read_node(struct reader *reader, const yaml_event_t *event, int level,
                      struct yaml_node **ret_node);

static bool read_next_node(struct reader *reader, int level, struct yaml_node **ret_node) {
    yaml_event_t event;
    if (!next_event(reader, &event))
        return false;
    bool read = read_node(reader, &event, level, ret_node);
    yaml_event_delete(&event);
    return read;
}

// Appends the item that begins with the event.
static bool read_item(struct reader *reader, const yaml_event_t *event, int level,
                      struct yaml_node *node) {
    struct yaml_node *value = NULL;
    if (!read_node(reader, event, level + 1, &value))
        return false;
    struct yaml_node **item = arena_grow(reader->arena, &node->sequence.items, node->sequence.count,
                                         sizeof(struct yaml_node *));
    if (!item)
        return refuse_out_of_memory(reader);
    *item = value;
    node->sequence.count++;
    return true;
}

static bool read_sequence(struct reader *reader, int level, struct yaml_node *node) {
    node->kind = YAML_SEQUENCE;
    for (;;) {
        yaml_event_t event;
        if (!next_event(reader, &event))
            return false;
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        bool read = end || read_item(reader, &event, level, node);
        yaml_event_delete(&event);
        if (end || !read)
            return read;
    }
}

static bool note_key(struct reader *reader, struct table *keys, struct yaml_node *key) {
    const struct yaml_node *earlier = table_get(keys, key->scalar);
    if (!earlier)
        return table_put(keys, key->scalar, key) || refuse_out_of_memory(reader);
    struct text shown = key->scalar;
    if (shown.size > SHOWN_KEY_MAX)
        shown = text_whole_characters(text_of(shown.data, SHOWN_KEY_MAX));
    return refuse(reader, (size_t)key->line, (size_t)key->column,
                  "the key \"%.*s\" is repeated; it stands on line %d already", TEXT_ARGS(shown),
                  earlier->line);
}

// Appends the pair whose key begins with the event.
static bool read_pair(struct reader *reader, const yaml_event_t *event, int level,
                      struct table *keys, struct yaml_node *node) {
    struct yaml_pair pair;
    if (event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_MAPPING_START_EVENT)
        return refuse_mark(reader, event->start_mark, "a key must be a scalar");
    if (!read_node(reader, event, level + 1, &pair.key) || !note_key(reader, keys, pair.key) ||
        !read_next_node(reader, level + 1, &pair.value))
        return false;
    struct yaml_pair *item =
        arena_grow(reader->arena, &node->mapping.pairs, node->mapping.count, sizeof *item);
    if (!item)
        return refuse_out_of_memory(reader);
    *item = pair;
    node->mapping.count++;
    return true;
}

static bool read_pairs(struct reader *reader, int level, struct table *keys,
                       struct yaml_node *node) {
    for (;;) {
        yaml_event_t event;
        if (!next_event(reader, &event))
            return false;
        bool end = event.type == YAML_MAPPING_END_EVENT;
        bool read = end || read_pair(reader, &event, level, keys, node);
        yaml_event_delete(&event);
        if (end || !read)
            return read;
    }
}

static bool read_mapping(struct reader *reader, int level, struct yaml_node *node) {
    node->kind = YAML_MAPPING;
    struct table keys;
    table_init(&keys);
    bool read = read_pairs(reader, level, &keys, node);
    table_free(&keys);
    return read;
}

// Refuses the parts of YAML that a reader of a definition would have to look up elsewhere.
static bool check_properties(struct reader *reader, const yaml_event_t *event) {
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;
    if (event->type == YAML_ALIAS_EVENT)
        return refuse_mark(reader, event->start_mark, "aliases are not allowed");
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor)
        return refuse_mark(reader, event->start_mark, "anchors are not allowed");
    if (tag)
        return refuse_mark(reader, event->start_mark, "tags are not allowed");
    return true;
}

static struct yaml_node *create_node(struct reader *reader, yaml_mark_t mark) {
    struct yaml_node *node = arena_allocate_zero(reader->arena, 1, sizeof *node);
    if (node) {
        node->line = mark.line < INT_MAX ? (int)mark.line + 1 : INT_MAX;
        node->column = mark.column < INT_MAX ? (int)mark.column + 1 : INT_MAX;
    }
    return node;
}

// Reads the node that begins with the event; `level` is 1 for the root.
static bool read_node(struct reader *reader, const yaml_event_t *event, int level,
                      struct yaml_node **ret_node) {
    if (!check_properties(reader, event))
        return false;
    struct yaml_node *node = create_node(reader, event->start_mark);
    if (!node)
        return refuse_out_of_memory(reader);
    bool read;
    if (event->type == YAML_SCALAR_EVENT)
        read = read_scalar(reader, event, node);
    else if (level > LEVELS_MAX)
        read = refuse_mark(reader, event->start_mark, "more than 64 levels");
    else if (event->type == YAML_SEQUENCE_START_EVENT)
        read = read_sequence(reader, level, node);
    else
        read = read_mapping(reader, level, node);
    if (read)
        *ret_node = node;
    return read;
}

static bool expect_stream_end(struct reader *reader) {
    yaml_event_t event;
    if (!next_event(reader, &event))
        return false;
    bool end = event.type == YAML_STREAM_END_EVENT ||
               refuse_mark(reader, event.start_mark, "a second document is not allowed");
    yaml_event_delete(&event);
    return end;
}

static bool read_stream(struct reader *reader, struct yaml_node **ret_root) {
    yaml_event_t event;
    if (!skip_event(reader) || !next_event(reader, &event)) // the start of the stream
        return false;
    bool empty = event.type == YAML_STREAM_END_EVENT;
    yaml_event_delete(&event);
    if (empty) {
        struct yaml_node *node = create_node(reader, (yaml_mark_t){0});
        if (!node)
            return refuse_out_of_memory(reader);
        node->scalar = TEXT("");
        *ret_root = node;
        return true;
    }
    struct yaml_node *root = NULL;
    if (!read_next_node(reader, 1, &root) || !skip_event(reader) || // the end of the document
        !expect_stream_end(reader))
        return false;
    *ret_root = root;
    return true;
}

bool yaml_read(struct arena *arena, struct text source, struct yaml_node **ret_root,
               struct yaml_problem *problem) {
    struct reader reader = {.arena = arena, .problem = problem};
    if (text_starts_with(source, TEXT("\xEF\xBB\xBF"))) // a byte order mark
        source = text_from(source, 3);
    if (!check_characters(&reader, source))
        return false;
    if (!yaml_parser_initialize(&reader.parser))
        return refuse_out_of_memory(&reader);
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    const char *input = source.size ? source.data : "";
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)input, source.size);
    bool read = read_stream(&reader, ret_root);
    yaml_parser_delete(&reader.parser);
    return read;
}

struct yaml_node *yaml_get(const struct yaml_node *node, const char *key) {
    if (!node || node->kind != YAML_MAPPING)
        return NULL;
    for (size_t i = 0; i < node->mapping.count; i++) {
        if (text_is(node->mapping.pairs[i].key->scalar, key))
            return node->mapping.pairs[i].value;
    }
    return NULL;
}

const char *yaml_kind_name(enum yaml_kind kind) {
    static const char *const names[] = {
        [YAML_NULL] = "null",         [YAML_BOOLEAN] = "a boolean", [YAML_INTEGER] = "an integer",
        [YAML_REAL] = "a number",     [YAML_STRING] = "a string",   [YAML_SEQUENCE] = "a list",
        [YAML_MAPPING] = "a mapping",
    };
    return names[kind];
}
