#include "base/timestamp.h"
#include "resource/expression_internal.h"
#include "resource/json.h"
#include "resource/number.h"

#include <math.h>

struct evaluation {
    const struct value *values;
    int64_t now;
    struct arena *arena;
    struct failure *failure;
};

static bool evaluate(const struct evaluation *evaluation, const struct expression *expression,
                     struct value *ret_value);

static bool evaluate_literal(const struct evaluation *evaluation,
                             const struct expression *expression, struct value *ret_value) {
    *ret_value = expression->literal;
    return true;
}

static bool evaluate_now(const struct evaluation *evaluation, const struct expression *expression,
                         struct value *ret_value) {
    char *out = arena_allocate(evaluation->arena, TIMESTAMP_SIZE);
    if (!out)
        return failure_out_of_memory(evaluation->failure);
    timestamp_format(evaluation->now, out);
    *ret_value = value_text(VALUE_TIMESTAMP, text_of(out, TIMESTAMP_SIZE));
    return true;
}

static bool evaluate_property(const struct evaluation *evaluation,
                              const struct expression *expression, struct value *ret_value) {
    *ret_value = evaluation->values[expression->property->index];
    return true;
}

static bool read_boolean(const json_t *json, struct value *ret_value) {
    *ret_value = value_boolean(json_is_true(json));
    return json_is_boolean(json);
}

// 5.0 is an integer too (JSON Schema 2020-12, section 6.1.1).
static bool read_integer(const json_t *json, struct value *ret_value) {
    *ret_value = value_integer(0);
    if (json_is_real(json))
        return number_to_integer(json_real_value(json), &ret_value->integer);
    *ret_value = value_integer(json_integer_value(json));
    return json_is_integer(json);
}

static bool read_real(const json_t *json, struct value *ret_value) {
    *ret_value = value_real(json_number_value(json));
    return json_is_number(json);
}

// A member's value, as the kind that the definition gives it. False where it is of another.
static bool read_member(const struct evaluation *evaluation, enum value_kind kind,
                        const json_t *json, struct value *ret_value) {
    switch (kind) {
    case VALUE_BOOLEAN: return read_boolean(json, ret_value);
    case VALUE_INTEGER: return read_integer(json, ret_value);
    case VALUE_REAL: return read_real(json, ret_value);
    case VALUE_TEXT:
        if (!json_is_string(json))
            return false;
        *ret_value = value_text(VALUE_TEXT, arena_copy(evaluation->arena, json_text(json)));
        return true;
    default:
        // Whatever it is: it can only be asked for null.
        *ret_value = value_text(VALUE_JSON, TEXT(""));
        return json && !json_is_null(json);
    }
}

static bool evaluate_member(const struct evaluation *evaluation,
                            const struct expression *expression, struct value *ret_value) {
    struct value stored = evaluation->values[expression->property->index];
    *ret_value = value_null();
    if (value_is_null(stored))
        return true;
    json_t *root = json_read(stored.text, evaluation->failure);
    if (!root)
        return evaluation->failure->code != FAILURE_OUT_OF_MEMORY;
    const json_t *json = root;
    for (size_t i = 0; i < expression->path_length && json; i++)
        json = json_object_getn(json, expression->path[i].data, expression->path[i].size);
    struct value value;
    if (read_member(evaluation, expression->type, json, &value))
        *ret_value = value;
    json_decref(root);
    if (value_kind_has_text(ret_value->kind) && !ret_value->text.data)
        return failure_out_of_memory(evaluation->failure);
    return true;
}

static bool evaluate_pair(const struct evaluation *evaluation, const struct expression *expression,
                          struct value *ret_left, struct value *ret_right) {
    return evaluate(evaluation, expression->operands[0], ret_left) &&
           evaluate(evaluation, expression->operands[1], ret_right);
}

static bool evaluate_compare(const struct evaluation *evaluation,
                             const struct expression *expression, struct value *ret_value) {
    struct value left;
    struct value right;
    if (!evaluate_pair(evaluation, expression, &left, &right))
        return false;
    *ret_value = value_boolean(expression_compare(expression->comparison, left, right));
    return true;
}

static bool evaluate_in(const struct evaluation *evaluation, const struct expression *expression,
                        struct value *ret_value) {
    struct value term;
    if (!evaluate(evaluation, expression->operands[0], &term))
        return false;
    bool found = false;
    for (size_t i = 1; i < expression->operand_count && !found; i++)
        found = expression_compare(COMPARISON_EQUAL, term, expression->operands[i]->literal);
    *ret_value = value_boolean(found);
    return true;
}

static bool evaluate_is_null(const struct evaluation *evaluation,
                             const struct expression *expression, struct value *ret_value) {
    struct value term;
    if (!evaluate(evaluation, expression->operands[0], &term))
        return false;
    *ret_value = value_boolean(value_is_null(term));
    return true;
}

static bool evaluate_junction(const struct evaluation *evaluation,
                              const struct expression *expression, struct value *ret_value) {
    bool neutral = expression->kind == EXPRESSION_AND;
    for (size_t i = 0; i < expression->operand_count; i++) {
        struct value part;
        if (!evaluate(evaluation, expression->operands[i], &part))
            return false;
        if (part.boolean != neutral) {
            *ret_value = value_boolean(!neutral);
            return true;
        }
    }
    *ret_value = value_boolean(neutral);
    return true;
}

static bool evaluate_not(const struct evaluation *evaluation, const struct expression *expression,
                         struct value *ret_value) {
    struct value condition;
    if (!evaluate(evaluation, expression->operands[0], &condition))
        return false;
    *ret_value = value_boolean(!condition.boolean);
    return true;
}

static bool evaluate_text_search(const struct evaluation *evaluation,
                                 const struct expression *expression, struct value *ret_value) {
    struct value whole;
    struct value part;
    if (!evaluate_pair(evaluation, expression, &whole, &part))
        return false;
    bool found = false;
    if (!value_is_null(whole) && !value_is_null(part))
        found = expression->kind == EXPRESSION_CONTAINS ? expression_contains(whole.text, part.text)
                                                        : text_starts_with(whole.text, part.text);
    *ret_value = value_boolean(found);
    return true;
}

static bool reckon_integers(enum expression_kind kind, int64_t left, int64_t right,
                            int64_t *ret_result) {
    switch (kind) {
    case EXPRESSION_ADD: return !__builtin_add_overflow(left, right, ret_result);
    case EXPRESSION_SUBTRACT: return !__builtin_sub_overflow(left, right, ret_result);
    default: return !__builtin_mul_overflow(left, right, ret_result);
    }
}

static double reckon_reals(enum expression_kind kind, double left, double right) {
    switch (kind) {
    case EXPRESSION_ADD: return left + right;
    case EXPRESSION_SUBTRACT: return left - right;
    default: return left * right;
    }
}

static double as_real(struct value value) {
    return value.kind == VALUE_INTEGER ? (double)value.integer : value.real;
}

static bool reckon(const struct expression *expression, struct value left, struct value right,
                   struct value *ret_value) {
    *ret_value = (struct value){.kind = expression->type, .scale = expression->scale};
    if (expression->type != VALUE_REAL)
        return reckon_integers(expression->kind, left.integer, right.integer, &ret_value->integer);
    ret_value->real = reckon_reals(expression->kind, as_real(left), as_real(right));
    return isfinite(ret_value->real);
}

// One operand of a calculation; `*fits` becomes false where it overflows.
static bool evaluate_number(const struct evaluation *evaluation,
                            const struct expression *expression, struct value *ret_value,
                            bool *fits) {
    if (evaluate(evaluation, expression, ret_value))
        return true;
    *ret_value = value_integer(0); // not null
    *fits = false;
    return evaluation->failure->code == FAILURE_OVERFLOW;
}

// Null wins over an overflow elsewhere, so that no database need say which it meets first.
static bool evaluate_arithmetic(const struct evaluation *evaluation,
                                const struct expression *expression, struct value *ret_value) {
    struct value left;
    struct value right;
    bool fits = true;
    if (!evaluate_number(evaluation, expression->operands[0], &left, &fits) ||
        !evaluate_number(evaluation, expression->operands[1], &right, &fits))
        return false;
    if (value_is_null(left) || value_is_null(right)) {
        *ret_value = value_null();
        return true;
    }
    if (fits && reckon(expression, left, right, ret_value))
        return true;
    return failure_set(evaluation->failure, FAILURE_OVERFLOW,
                       "the result of a calculation is out of range");
}

static bool (*const evaluators[])(const struct evaluation *, const struct expression *,
                                  struct value *) = {
    [EXPRESSION_LITERAL] = evaluate_literal,      [EXPRESSION_NOW] = evaluate_now,
    [EXPRESSION_PROPERTY] = evaluate_property,    [EXPRESSION_MEMBER] = evaluate_member,
    [EXPRESSION_COMPARE] = evaluate_compare,      [EXPRESSION_IN] = evaluate_in,
    [EXPRESSION_IS_NULL] = evaluate_is_null,      [EXPRESSION_AND] = evaluate_junction,
    [EXPRESSION_OR] = evaluate_junction,          [EXPRESSION_NOT] = evaluate_not,
    [EXPRESSION_CONTAINS] = evaluate_text_search, [EXPRESSION_STARTS_WITH] = evaluate_text_search,
    [EXPRESSION_ADD] = evaluate_arithmetic,       [EXPRESSION_SUBTRACT] = evaluate_arithmetic,
    [EXPRESSION_MULTIPLY] = evaluate_arithmetic,
};

static bool evaluate(const struct evaluation *evaluation, const struct expression *expression,
                     struct value *ret_value) {
    return evaluators[expression->kind](evaluation, expression, ret_value);
}

bool expression_evaluate(const struct expression *expression, const struct value *values,
                         int64_t now, struct arena *arena, struct value *ret_value,
                         struct failure *failure) {
    struct evaluation evaluation = {
        .values = values, .now = now, .arena = arena, .failure = failure};
    struct value value;
    if (!evaluate(&evaluation, expression, &value))
        return false;
    *ret_value = value;
    return true;
}
