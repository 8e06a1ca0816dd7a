#include "resource/expression_internal.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

static bool parse_or(struct parser *parser, struct operand *ret_operand);

struct expression *parser_node(struct parser *parser, enum expression_kind kind,
                               enum value_kind type, size_t operand_count) {
    struct expression *node = expression_make(parser->arena, kind, type, operand_count);
    if (!node)
        failure_out_of_memory(parser->failure);
    return node;
}

// Counts what the source says, so that its length is bounded and not only its bytes.
static bool count_node(struct parser *parser, size_t offset) {
    if (++parser->nodes > EXPRESSION_MAX_NODES)
        return parser_fail(parser, offset, "an expression has at most %d parts",
                           EXPRESSION_MAX_NODES);
    return true;
}

static bool enter(struct parser *parser) {
    if (++parser->depth > EXPRESSION_MAX_DEPTH)
        return parser_fail(parser, parser->token.start,
                           "an expression has at most %d parentheses and `not` inside each other",
                           EXPRESSION_MAX_DEPTH);
    return true;
}

static void leave(struct parser *parser) {
    parser->depth--;
}

static bool take(struct parser *parser, enum token_kind kind, const char *what) {
    if (parser->token.kind != kind)
        return parser_expected(parser, what);
    return parser_advance(parser);
}

// A literal in place of the tokens from `start` to `end`.
static bool make_literal(struct parser *parser, struct value value, size_t start, size_t end,
                         struct operand *ret_operand) {
    struct expression *node = expression_literal(parser->arena, value);
    if (!node)
        return failure_out_of_memory(parser->failure);
    *ret_operand = (struct operand){.expression = node, .start = start, .end = end};
    return true;
}

// A number whose sign, where it has one, stands at `start`.
static bool parse_number(struct parser *parser, size_t start, struct operand *ret_operand) {
    size_t end = parser->token.end;
    struct text source = parser_slice(parser, start, end);
    struct value value;
    if (text_find(source, '.') < 0 && text_find(source, 'e') < 0 && text_find(source, 'E') < 0) {
        struct integer_bound bound = literal_bound(source);
        if (bound.beyond)
            return parser_fail(parser, start, "the integer does not fit 64 bits");
        value = value_integer(bound.floor);
    } else {
        struct text terminated = arena_copy(parser->arena, source);
        if (!terminated.data)
            return failure_out_of_memory(parser->failure);
        value = value_real(strtod(terminated.data, NULL));
        if (!isfinite(value.real))
            return parser_fail(parser, start, "the number does not fit a double");
    }
    if (!parser_advance(parser) || !make_literal(parser, value, start, end, ret_operand))
        return false;
    ret_operand->digits = source;
    return true;
}

static bool parse_negative(struct parser *parser, struct operand *ret_operand) {
    size_t start = parser->token.start;
    size_t behind = parser->token.end;
    struct token minus = parser->token;
    if (!parser_advance(parser))
        return false;
    if (parser->token.kind != TOKEN_NUMBER || parser->token.start != behind) {
        parser->token = minus;
        return parser_expected(parser, "a value");
    }
    return parse_number(parser, start, ret_operand);
}

static bool parse_string(struct parser *parser, struct operand *ret_operand) {
    size_t start = parser->token.start;
    size_t end = parser->token.end;
    struct text quoted = parser_slice(parser, start + 1, end - 1);
    char *out = arena_allocate(parser->arena, quoted.size);
    if (!out)
        return failure_out_of_memory(parser->failure);
    size_t size = 0;
    for (size_t i = 0; i < quoted.size; i++) {
        out[size++] = quoted.data[i];
        if (quoted.data[i] == '\'')
            i++; // its twin
    }
    return parser_advance(parser) &&
           make_literal(parser, value_text(VALUE_TEXT, text_of(out, size)), start, end,
                        ret_operand);
}

static const struct schema *schema_member(const struct schema *schema, struct text name) {
    for (size_t i = 0; i < schema->member_count; i++) {
        if (text_equal(schema->members[i].name, name))
            return &schema->members[i].schema;
    }
    return NULL;
}

// The kind in which a member's value is compared. What is kept as it was sent cannot be, where
// other spellings mean the same.
static enum value_kind member_kind(const struct schema *schema) {
    if (schema->format == FORMAT_DATE_TIME || schema->format == FORMAT_DECIMAL)
        return VALUE_JSON;
    switch (schema->types & ~(unsigned)SCHEMA_NULL) {
    case SCHEMA_BOOLEAN: return VALUE_BOOLEAN;
    case SCHEMA_INTEGER: return VALUE_INTEGER;
    case SCHEMA_NUMBER:
    case SCHEMA_NUMBER | SCHEMA_INTEGER: return VALUE_REAL;
    case SCHEMA_STRING: return VALUE_TEXT;
    default: return VALUE_JSON;
    }
}

// Why a path cannot go on behind what it has come to.
static bool fail_member(struct parser *parser, const struct operand *operand, struct text name) {
    struct text parent = parser_slice(parser, operand->start, operand->end);
    const struct schema *schema = operand->schema;
    if (!(schema->types & SCHEMA_OBJECT))
        return parser_fail(parser, parser->token.start, "`%.*s` is no object and has no members",
                           TEXT_ARGS(parent));
    if (!schema->has_members)
        return parser_fail(parser, parser->token.start,
                           "`%.*s` declares no `properties`, so nothing is known of its members",
                           TEXT_ARGS(parent));
    return parser_fail(parser, parser->token.start, "`%.*s` has no member `%.*s`",
                       TEXT_ARGS(parent), TEXT_ARGS(name));
}

// The members behind a property's name, at whose first "." the parser looks.
static bool parse_members(struct parser *parser, struct operand *operand) {
    const struct expression *property = operand->expression;
    struct text *path = NULL;
    size_t length = 0;
    while (parser->token.kind == TOKEN_DOT) {
        if (!parser_advance(parser))
            return false;
        if (parser->token.kind != TOKEN_NAME)
            return parser_expected(parser, "a member's name");
        struct text name = parser_slice(parser, parser->token.start, parser->token.end);
        const struct schema *schema = schema_member(operand->schema, name);
        if (!schema)
            return fail_member(parser, operand, name);
        struct text *place = arena_grow(parser->arena, &path, length, sizeof *place);
        if (!place)
            return failure_out_of_memory(parser->failure);
        *place = name;
        length++;
        operand->schema = schema;
        operand->end = parser->token.end;
        if (!parser_advance(parser))
            return false;
    }
    struct expression *member =
        parser_node(parser, EXPRESSION_MEMBER, member_kind(operand->schema), 0);
    if (!member)
        return false;
    member->property = property->property;
    member->path = path;
    member->path_length = length;
    operand->expression = member;
    // The names must not depend on the source, which need not live as long as the tree.
    for (size_t i = 0; i < length; i++) {
        path[i] = arena_copy(parser->arena, path[i]);
        if (!path[i].data)
            return failure_out_of_memory(parser->failure);
    }
    return true;
}

// A name of a property, at which the parser looks, of that resource; `start` is where the path to
// it begins.
static bool parse_property_of(struct parser *parser, const struct resource *resource, size_t start,
                              struct operand *ret_operand) {
    struct token token = parser->token;
    struct text name = parser_slice(parser, token.start, token.end);
    const struct property *property = resource_property(resource, name);
    if (!property)
        return parser_fail(parser, token.start, "`%.*s` is no property of `%.*s`", TEXT_ARGS(name),
                           TEXT_ARGS(resource->name));
    if (parser->purpose == EXPRESSION_FOR_QUERY && property->write_only)
        return parser_fail(parser, start, "`%.*s` cannot be asked for",
                           TEXT_ARGS(parser_slice(parser, start, token.end)));
    struct expression *node = parser_node(parser, EXPRESSION_PROPERTY, property->kind, 0);
    if (!node)
        return false;
    node->property = property;
    node->scale = property->scale;
    *ret_operand = (struct operand){
        .expression = node, .start = start, .end = token.end, .schema = &property->schema};
    return parser_advance(parser);
}

// Whether a path may lead through a reference: only where a database answers, and, for a client,
// where somebody could read what it leads to.
static bool check_reference(struct parser *parser, const struct operand *reference) {
    const struct resource *target = reference->expression->property->reference.resource;
    struct text name = reference->expression->property->name;
    if (parser->purpose != EXPRESSION_FOR_FILTER && parser->purpose != EXPRESSION_FOR_QUERY)
        return parser_fail(parser, reference->start,
                           "`%.*s` refers to a record of `%.*s`, into which filters alone can look",
                           TEXT_ARGS(name), TEXT_ARGS(target->name));
    if (parser->purpose == EXPRESSION_FOR_QUERY && !target->actions[ACTION_READ])
        return parser_fail(parser, reference->start,
                           "`%.*s` refers to a record of `%.*s`, which has no action `read`",
                           TEXT_ARGS(name), TEXT_ARGS(target->name));
    return true;
}

// The path behind a reference, at whose first "." the parser looks. The key that it leads to is
// what the reference is.
static bool parse_referenced(struct parser *parser, struct operand *operand) {
    const struct expression *reference = operand->expression;
    const struct resource *target = reference->property->reference.resource;
    if (!check_reference(parser, operand) || !parser_advance(parser))
        return false;
    if (parser->token.kind != TOKEN_NAME)
        return parser_expected(parser, "a property's name");
    if (!parse_property_of(parser, target, operand->start, operand))
        return false;
    const struct property *property = operand->expression->property;
    bool goes_on = parser->token.kind == TOKEN_DOT;
    if (goes_on && property->reference.resource)
        return parser_fail(parser, parser->token.start,
                           "a path leads through one reference, and `%.*s` is the second one",
                           TEXT_ARGS(parser_slice(parser, operand->start, operand->end)));
    if (goes_on && !parse_members(parser, operand))
        return false;
    const struct expression *inner = operand->expression;
    bool key = property == target->key.property;
    struct expression *node =
        parser_node(parser, key ? EXPRESSION_PROPERTY : EXPRESSION_REFERENCED, inner->type, !key);
    if (!node)
        return false;
    node->property = reference->property;
    node->scale = inner->scale;
    if (!key) {
        node->resource = parser->resource;
        node->operands[0] = inner;
    }
    operand->expression = node;
    return true;
}

static bool parse_property(struct parser *parser, struct operand *ret_operand) {
    size_t start = parser->token.start;
    if (parser->purpose == EXPRESSION_FOR_DEFAULT)
        return parser_fail(parser, start, "a default cannot depend on properties");
    if (!parse_property_of(parser, parser->resource, start, ret_operand))
        return false;
    if (parser->token.kind != TOKEN_DOT)
        return true;
    return ret_operand->expression->property->reference.resource
               ? parse_referenced(parser, ret_operand)
               : parse_members(parser, ret_operand);
}

static bool is_about_others(const struct parser *parser) {
    return parser->purpose == EXPRESSION_FOR_OTHERS || parser->purpose == EXPRESSION_FOR_OTHERS_SET;
}

// this.PATH, at whose beginning the parser looks.
static bool parse_this(struct parser *parser, struct operand *ret_operand) {
    size_t start = parser->token.start;
    if (!is_about_others(parser))
        return parser_fail(parser, start, "`this` is for `others` alone");
    if (!parser_advance(parser) || !take(parser, TOKEN_DOT, "`.` after `this`"))
        return false;
    if (parser->token.kind != TOKEN_NAME)
        return parser_expected(parser, "a property's name");
    if (!parse_property(parser, ret_operand))
        return false;
    const struct expression *inner = ret_operand->expression;
    struct expression *node = parser_node(parser, EXPRESSION_THIS, inner->type, 1);
    if (!node)
        return false;
    node->operands[0] = inner;
    node->scale = inner->scale;
    ret_operand->expression = node;
    ret_operand->start = start;
    return true;
}

static bool parse_path(struct parser *parser, struct operand *ret_operand) {
    return parser_at_word(parser, "this") ? parse_this(parser, ret_operand)
                                          : parse_property(parser, ret_operand);
}

static bool parse_now(struct parser *parser, struct operand *ret_operand) {
    size_t start = parser->token.start;
    if (!parser_advance(parser) || !take(parser, TOKEN_OPEN, "`(` after `now`"))
        return false;
    size_t end = parser->token.end;
    if (!take(parser, TOKEN_CLOSE, "`)`, as `now()` takes nothing"))
        return false;
    struct expression *node = parser_node(parser, EXPRESSION_NOW, VALUE_TIMESTAMP, 0);
    if (!node)
        return false;
    *ret_operand = (struct operand){.expression = node, .start = start, .end = end};
    return true;
}

static bool parse_term(struct parser *parser, struct operand *ret_operand);

// contains(TERM, TERM), startsWith(TERM, TERM)
static bool parse_function(struct parser *parser, enum expression_kind kind,
                           struct operand *ret_operand) {
    size_t start = parser->token.start;
    struct operand subject = {0};
    struct operand part = {0};
    if (!parser_advance(parser) || !take(parser, TOKEN_OPEN, "`(` after the function's name") ||
        !enter(parser) || !parse_term(parser, &subject) ||
        !take(parser, TOKEN_COMMA, "`,` and what to look for") || !parse_term(parser, &part))
        return false;
    leave(parser);
    size_t end = parser->token.end;
    if (!take(parser, TOKEN_CLOSE, "`)`") ||
        !type_function(parser, kind, subject, part, ret_operand))
        return false;
    ret_operand->start = start;
    ret_operand->end = end;
    return true;
}

static bool parse_parentheses(struct parser *parser, struct operand *ret_operand) {
    size_t start = parser->token.start;
    if (!enter(parser) || !parser_advance(parser) || !parse_or(parser, ret_operand))
        return false;
    leave(parser);
    ret_operand->start = start;
    ret_operand->end = parser->token.end;
    return take(parser, TOKEN_CLOSE, "`)`");
}

static bool parse_word(struct parser *parser, struct value value, struct operand *ret_operand) {
    size_t start = parser->token.start;
    size_t end = parser->token.end;
    return parser_advance(parser) && make_literal(parser, value, start, end, ret_operand);
}

static bool parse_named(struct parser *parser, struct operand *ret_operand) {
    if (parser_at_word(parser, "null"))
        return parse_word(parser, value_null(), ret_operand);
    if (parser_at_word(parser, "true"))
        return parse_word(parser, value_boolean(true), ret_operand);
    if (parser_at_word(parser, "false"))
        return parse_word(parser, value_boolean(false), ret_operand);
    if (parser_at_word(parser, "now"))
        return parse_now(parser, ret_operand);
    if (parser_at_word(parser, "contains"))
        return parse_function(parser, EXPRESSION_CONTAINS, ret_operand);
    if (parser_at_word(parser, "startsWith"))
        return parse_function(parser, EXPRESSION_STARTS_WITH, ret_operand);
    if (expression_is_reserved(parser_slice(parser, parser->token.start, parser->token.end)))
        return parser_expected(parser, "a value");
    return parse_path(parser, ret_operand);
}

static bool parse_primary(struct parser *parser, struct operand *ret_operand) {
    if (!count_node(parser, parser->token.start))
        return false;
    switch (parser->token.kind) {
    case TOKEN_NAME: return parse_named(parser, ret_operand);
    case TOKEN_NUMBER: return parse_number(parser, parser->token.start, ret_operand);
    case TOKEN_MINUS: return parse_negative(parser, ret_operand);
    case TOKEN_STRING: return parse_string(parser, ret_operand);
    case TOKEN_OPEN: return parse_parentheses(parser, ret_operand);
    default: return parser_expected(parser, "a value");
    }
}

static bool arithmetic_is_allowed(struct parser *parser) {
    if (parser->purpose == EXPRESSION_FOR_SET || parser->purpose == EXPRESSION_FOR_OTHERS_SET)
        return true;
    return parser_fail(parser, parser->token.start, "arithmetic is for `set` alone");
}

static bool parse_product(struct parser *parser, struct operand *ret_operand) {
    if (!parse_primary(parser, ret_operand))
        return false;
    while (parser->token.kind == TOKEN_STAR) {
        struct operand right = {0};
        if (!arithmetic_is_allowed(parser) || !parser_advance(parser) ||
            !parse_primary(parser, &right) ||
            !type_arithmetic(parser, EXPRESSION_MULTIPLY, *ret_operand, right, ret_operand))
            return false;
    }
    return true;
}

static bool parse_term(struct parser *parser, struct operand *ret_operand) {
    if (!parse_product(parser, ret_operand))
        return false;
    while (parser->token.kind == TOKEN_PLUS || parser->token.kind == TOKEN_MINUS) {
        enum expression_kind kind =
            parser->token.kind == TOKEN_PLUS ? EXPRESSION_ADD : EXPRESSION_SUBTRACT;
        struct operand right = {0};
        if (!arithmetic_is_allowed(parser) || !parser_advance(parser) ||
            !parse_product(parser, &right) ||
            !type_arithmetic(parser, kind, *ret_operand, right, ret_operand))
            return false;
    }
    return true;
}

// One of the values behind "in".
static bool parse_in_literal(struct parser *parser, struct operand *ret_operand) {
    static const char what[] = "a literal";
    bool literal = parser->token.kind == TOKEN_NUMBER || parser->token.kind == TOKEN_STRING ||
                   parser->token.kind == TOKEN_MINUS || parser_at_word(parser, "null") ||
                   parser_at_word(parser, "true") || parser_at_word(parser, "false");
    if (!literal)
        return parser_expected(parser, what);
    return parse_primary(parser, ret_operand);
}

// The list behind `term in`, at whose "(" the parser looks.
static bool parse_in(struct parser *parser, struct operand term, struct operand *ret_operand) {
    struct operand *literals = NULL;
    size_t count = 0;
    if (!take(parser, TOKEN_OPEN, "`(` after `in`"))
        return false;
    for (;;) {
        struct operand *literal = arena_grow(parser->arena, &literals, count, sizeof *literal);
        if (!literal)
            return failure_out_of_memory(parser->failure);
        if (!parse_in_literal(parser, literal))
            return false;
        count++;
        if (parser->token.kind != TOKEN_COMMA)
            break;
        if (!parser_advance(parser))
            return false;
    }
    size_t end = parser->token.end;
    if (!take(parser, TOKEN_CLOSE, "`,` or `)`") ||
        !type_in(parser, term, literals, count, ret_operand))
        return false;
    ret_operand->end = end;
    return true;
}

static bool parse_not_in(struct parser *parser, struct operand *operand) {
    if (!parser_advance(parser))
        return false;
    if (!parser_at_word(parser, "in"))
        return parser_expected(parser, "`in` after `not`");
    return parser_advance(parser) && parse_in(parser, *operand, operand) &&
           type_not(parser, *operand, operand);
}

static bool parse_is_null(struct parser *parser, struct operand *operand) {
    if (!parser_advance(parser))
        return false;
    bool negated = parser_at_word(parser, "not");
    if (negated && !parser_advance(parser))
        return false;
    if (!parser_at_word(parser, "null"))
        return parser_expected(parser, negated ? "`null`" : "`null` or `not null`");
    size_t end = parser->token.end;
    if (!parser_advance(parser) || !type_is_null(parser, *operand, operand))
        return false;
    operand->end = end;
    return !negated || type_not(parser, *operand, operand);
}

static bool parse_comparison(struct parser *parser, struct operand *ret_operand) {
    if (!parse_term(parser, ret_operand))
        return false;
    if (parser->token.kind == TOKEN_COMPARISON) {
        enum comparison comparison = parser->token.comparison;
        struct operand right = {0};
        return parser_advance(parser) && parse_term(parser, &right) &&
               type_comparison(parser, comparison, *ret_operand, right, ret_operand);
    }
    if (parser_at_word(parser, "not"))
        return parse_not_in(parser, ret_operand);
    if (parser_at_word(parser, "in"))
        return parser_advance(parser) && parse_in(parser, *ret_operand, ret_operand);
    if (parser_at_word(parser, "is"))
        return parse_is_null(parser, ret_operand);
    return true;
}

static bool parse_not(struct parser *parser, struct operand *ret_operand) {
    if (!parser_at_word(parser, "not"))
        return parse_comparison(parser, ret_operand);
    size_t start = parser->token.start;
    struct operand inner = {0};
    if (!enter(parser) || !count_node(parser, start) || !parser_advance(parser) ||
        !parse_not(parser, &inner))
        return false;
    leave(parser);
    if (!type_not(parser, inner, ret_operand))
        return false;
    ret_operand->start = start;
    return true;
}

// part *(WORD part): one node, however many parts there are.
static bool parse_junction(struct parser *parser, const char *word, enum expression_kind kind,
                           bool (*parse_part)(struct parser *, struct operand *),
                           struct operand *ret_operand) {
    if (!parse_part(parser, ret_operand))
        return false;
    if (!parser_at_word(parser, word))
        return true;
    struct operand *parts = NULL;
    struct operand *part = arena_grow(parser->arena, &parts, 0, sizeof *part);
    if (!part)
        return failure_out_of_memory(parser->failure);
    *part = *ret_operand;
    size_t count = 1;
    while (parser_at_word(parser, word)) {
        part = arena_grow(parser->arena, &parts, count, sizeof *part);
        if (!part)
            return failure_out_of_memory(parser->failure);
        if (!parser_advance(parser) || !parse_part(parser, part))
            return false;
        count++;
    }
    return type_junction(parser, kind, parts, count, ret_operand);
}

static bool parse_and(struct parser *parser, struct operand *ret_operand) {
    return parse_junction(parser, "and", EXPRESSION_AND, parse_not, ret_operand);
}

static bool parse_or(struct parser *parser, struct operand *ret_operand) {
    return parse_junction(parser, "or", EXPRESSION_OR, parse_and, ret_operand);
}

static bool is_junction(const struct expression *expression) {
    return expression->kind == EXPRESSION_AND || expression->kind == EXPRESSION_OR ||
           expression->kind == EXPRESSION_NOT;
}

static unsigned count_levels(const struct expression *expression) {
    unsigned levels = 0;
    bool level = is_junction(expression);
    for (size_t i = 0; i < expression->operand_count; i++) {
        const struct expression *operand = expression->operands[i];
        unsigned below = count_levels(operand);
        if (below > levels)
            levels = below;
        // A comparison of conditions; other operands have none.
        level = level || (operand->type == VALUE_BOOLEAN && operand->operand_count);
    }
    return levels + level;
}

static bool check_levels(struct parser *parser, const struct operand *root) {
    return count_levels(root->expression) <= EXPRESSION_MAX_LEVELS ||
           parser_fail(parser, root->start,
                       "an expression has at most %d levels of conditions inside others",
                       EXPRESSION_MAX_LEVELS);
}

static bool parse_all(struct parser *parser, struct operand *ret_operand) {
    if (!parser_advance(parser) || !parse_or(parser, ret_operand))
        return false;
    if (parser->token.kind != TOKEN_END)
        return parser_expected(parser, ret_operand->expression->type == VALUE_BOOLEAN
                                           ? "`and`, `or` or the end"
                                           : "a comparison or the end");
    if (!check_levels(parser, ret_operand))
        return false;
    return parser->target ? type_assignment(parser, ret_operand)
                          : type_condition(parser, ret_operand);
}

// The offset of the first byte that is no part of well-formed UTF-8.
static size_t malformed_offset(struct text source) {
    size_t offset = 0;
    while (offset < source.size) {
        size_t size = text_utf8_size(text_from(source, offset));
        if (size == 0)
            break;
        offset += size;
    }
    return offset;
}

struct expression *expression_parse(struct arena *arena, const struct resource *resource,
                                    enum expression_purpose purpose, const struct property *target,
                                    struct text source, struct failure *failure,
                                    size_t *ret_offset) {
    struct parser parser = {
        .arena = arena,
        .resource = resource,
        .purpose = purpose,
        .target = target,
        .source = source,
        .failure = failure,
    };
    struct operand root = {0};
    size_t malformed = malformed_offset(source);
    bool parsed = malformed == source.size
                      ? parse_all(&parser, &root)
                      : parser_fail(&parser, malformed, "this is not valid UTF-8");
    if (parsed) {
        assert(root.expression);
        root.expression->start = root.start;
        root.expression->end = root.end;
        return root.expression;
    }
    if (ret_offset)
        *ret_offset = parser.failure_offset;
    return NULL;
}
