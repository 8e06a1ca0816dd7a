#include "resource/expression_internal.h"
#include "resource/number.h"

bool expression_is_reserved(struct text word) {
    static const char *const words[] = {"and",  "or",    "not", "in",       "is",        "null",
                                        "true", "false", "now", "contains", "startsWith"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (text_is(word, words[i]))
            return true;
    }
    return false;
}

struct expression *expression_make(struct arena *arena, enum expression_kind kind,
                                   enum value_kind type, size_t operand_count) {
    struct expression *made = arena_allocate_zero(arena, 1, sizeof *made);
    if (!made)
        return NULL;
    made->kind = kind;
    made->type = type;
    made->operand_count = operand_count;
    if (operand_count) {
        made->operands = arena_allocate_zero(arena, operand_count, sizeof(struct expression *));
        if (!made->operands)
            return NULL;
    }
    return made;
}

struct expression *expression_literal(struct arena *arena, struct value value) {
    struct expression *made = expression_make(arena, EXPRESSION_LITERAL, value.kind, 0);
    if (!made)
        return NULL;
    made->literal = value;
    if (value.kind == VALUE_DECIMAL)
        made->scale = value.scale;
    return made;
}

bool expression_refers(const struct expression *expression) {
    if (expression->kind == EXPRESSION_REFERENCED)
        return true;
    for (size_t i = 0; i < expression->operand_count; i++) {
        if (expression_refers(expression->operands[i]))
            return true;
    }
    return false;
}

// How many operands an expression is of an AND.
static size_t count_in_and(const struct expression *expression) {
    return expression->kind == EXPRESSION_AND ? expression->operand_count : 1;
}

static size_t append_to_and(const struct expression **operands, size_t count,
                            const struct expression *expression) {
    if (expression->kind != EXPRESSION_AND) {
        operands[count] = expression;
        return count + 1;
    }
    for (size_t i = 0; i < expression->operand_count; i++)
        operands[count++] = expression->operands[i];
    return count;
}

struct expression *expression_and(struct arena *arena, const struct expression *left,
                                  const struct expression *right) {
    // The tree is not changed by giving it out without const: whoever has it only reads it.
    if (!left || !right) {
        const struct expression *given = left ? left : right;
        return (struct expression *)given;
    }
    size_t count = count_in_and(left) + count_in_and(right);
    struct expression *both = expression_make(arena, EXPRESSION_AND, VALUE_BOOLEAN, count);
    if (!both)
        return NULL;
    count = append_to_and(both->operands, 0, left);
    append_to_and(both->operands, count, right);
    return both;
}

static struct expression *make_property(struct arena *arena, const struct property *property) {
    struct expression *term = expression_make(arena, EXPRESSION_PROPERTY, property->kind, 0);
    if (!term)
        return NULL;
    term->property = property;
    term->scale = property->scale;
    return term;
}

struct expression *expression_any(struct arena *arena, const struct property *property,
                                  const struct value *literals, size_t count) {
    struct expression *any = expression_make(arena, EXPRESSION_IN, VALUE_BOOLEAN, count + 1);
    struct expression *term = make_property(arena, property);
    if (!any || !term)
        return NULL;
    any->operands[0] = term;
    for (size_t i = 0; i < count; i++) {
        any->operands[i + 1] = expression_literal(arena, literals[i]);
        if (!any->operands[i + 1])
            return NULL;
    }
    return any;
}

struct expression *expression_equal(struct arena *arena, const struct property *property,
                                    struct value literal) {
    struct expression *term = make_property(arena, property);
    bool null = value_is_null(literal);
    struct expression *equal = expression_make(
        arena, null ? EXPRESSION_IS_NULL : EXPRESSION_COMPARE, VALUE_BOOLEAN, null ? 1 : 2);
    struct expression *right = null ? NULL : expression_literal(arena, literal);
    if (!term || !equal || (!null && !right))
        return NULL;
    equal->operands[0] = term;
    if (!null)
        equal->operands[1] = right;
    return equal;
}

static int order_of(struct value a, struct value b) {
    switch (a.kind) {
    case VALUE_BOOLEAN: return (int)a.boolean - (int)b.boolean;
    case VALUE_INTEGER:
    case VALUE_REAL:
    case VALUE_DECIMAL: return number_compare(a, b);
    default: return text_compare(a.text, b.text);
    }
}

bool expression_compare(enum comparison comparison, struct value a, struct value b) {
    if (value_is_null(a) || value_is_null(b)) {
        bool equal = value_is_null(a) && value_is_null(b);
        return (comparison == COMPARISON_EQUAL && equal) ||
               (comparison == COMPARISON_UNEQUAL && !equal);
    }
    int order = order_of(a, b);
    switch (comparison) {
    case COMPARISON_EQUAL: return order == 0;
    case COMPARISON_UNEQUAL: return order != 0;
    case COMPARISON_LESS: return order < 0;
    case COMPARISON_LESS_OR_EQUAL: return order <= 0;
    case COMPARISON_GREATER: return order > 0;
    case COMPARISON_GREATER_OR_EQUAL: return order >= 0;
    }
    return false;
}

bool expression_contains(struct text whole, struct text part) {
    return part.size == 0 || (whole.size && memmem(whole.data, whole.size, part.data, part.size));
}
