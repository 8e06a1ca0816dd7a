#include "base/digest.h"
#include "base/timestamp.h"
#include "resource/expression_internal.h"
#include "resource/format.h"

#include <inttypes.h>
#include <stdio.h>

// How many bytes of an operand a message quotes.
enum { QUOTED_MAX = 60 };

static const char *const kind_nouns[VALUE_KINDS] = {
    [VALUE_NULL] = "null",
    [VALUE_BOOLEAN] = "a boolean",
    [VALUE_INTEGER] = "an integer",
    [VALUE_REAL] = "a number",
    [VALUE_DECIMAL] = "a decimal",
    [VALUE_TEXT] = "a string",
    [VALUE_BYTES] = "a digest",
    [VALUE_TIMESTAMP] = "a date-time",
    [VALUE_DATE] = "a date",
    [VALUE_UUID] = "a UUID",
    [VALUE_JSON] = "a value of several types",
};

static bool is_literal(struct operand operand) {
    return operand.expression->kind == EXPRESSION_LITERAL;
}

static bool is_null_literal(struct operand operand) {
    return is_literal(operand) && value_is_null(operand.expression->literal);
}

// What a column holds, as it is: it may be null.
static bool is_stored(const struct expression *expression) {
    return expression->kind == EXPRESSION_PROPERTY || expression->kind == EXPRESSION_MEMBER ||
           expression->kind == EXPRESSION_THIS || expression->kind == EXPRESSION_REFERENCED;
}

static const char *operand_noun(struct operand operand) {
    const struct expression *expression = operand.expression;
    if (expression->type != VALUE_JSON || !operand.schema)
        return kind_nouns[expression->type];
    const struct schema *schema = operand.schema;
    if (schema->format == FORMAT_DATE_TIME)
        return "a date-time inside an object, kept as it was sent";
    if (schema->format == FORMAT_DECIMAL)
        return "a decimal inside an object, kept as it was sent";
    switch (schema->types & ~(unsigned)SCHEMA_NULL) {
    case SCHEMA_OBJECT: return "an object";
    case SCHEMA_ARRAY: return "an array";
    default: return kind_nouns[VALUE_JSON];
    }
}

// What a message calls an operand: its source, shortened.
struct quotation {
    char text[QUOTED_MAX + 8];
};

static struct quotation quote(const struct parser *parser, struct operand operand) {
    struct quotation quotation;
    struct text source = parser_slice(parser, operand.start, operand.end);
    bool shortened = source.size > QUOTED_MAX;
    if (shortened)
        source = text_whole_characters(text_of(source.data, QUOTED_MAX));
    snprintf(quotation.text, sizeof quotation.text, "`%.*s%s`", TEXT_ARGS(source),
             shortened ? "…" : "");
    return quotation;
}

// LEFT is … and cannot be VERB RIGHT
static bool fail_pair(struct parser *parser, struct operand left, const char *verb,
                      struct operand right) {
    struct quotation left_quote = quote(parser, left);
    struct quotation right_quote = quote(parser, right);
    const char *left_noun = operand_noun(left);
    const char *right_noun = operand_noun(right);
    if (is_literal(left))
        return parser_fail(parser, left.start, "%s cannot be %s %s", left_noun, verb, right_noun);
    if (is_literal(right))
        return parser_fail(parser, left.start, "%s is %s and cannot be %s %s", left_quote.text,
                           left_noun, verb, right_noun);
    return parser_fail(parser, left.start, "%s is %s and cannot be %s %s, which is %s",
                       left_quote.text, left_noun, verb, right_quote.text, right_noun);
}

static const char compared_with[] = "compared with";

static bool finish(struct parser *parser, struct expression *node, size_t start, size_t end,
                   struct operand *ret_node) {
    if (!node) {
        failure_out_of_memory(parser->failure);
        return false;
    }
    *ret_node = (struct operand){.expression = node, .start = start, .end = end};
    return true;
}

static bool finish_constant(struct parser *parser, bool constant, size_t start, size_t end,
                            struct operand *ret_node) {
    return finish(parser, expression_literal(parser->arena, value_boolean(constant)), start, end,
                  ret_node);
}

static struct expression *make_unary(struct parser *parser, enum expression_kind kind,
                                     const struct expression *operand) {
    struct expression *node = parser_node(parser, kind, VALUE_BOOLEAN, 1);
    if (node)
        node->operands[0] = operand;
    return node;
}

static struct expression *make_binary(struct parser *parser, enum expression_kind kind,
                                      enum value_kind type, const struct expression *left,
                                      const struct expression *right) {
    struct expression *node = parser_node(parser, kind, type, 2);
    if (!node)
        return NULL;
    node->operands[0] = left;
    node->operands[1] = right;
    return node;
}

struct integer_bound literal_bound(struct text number) {
    bool negative = number.size && number.data[0] == '-';
    if (negative)
        number = text_from(number, 1);
    size_t mantissa = 0; // its bytes, "." included
    while (mantissa < number.size && number.data[mantissa] != 'e' && number.data[mantissa] != 'E')
        mantissa++;
    ptrdiff_t dot = text_find(text_of(number.data, mantissa), '.');
    long point = dot < 0 ? (long)mantissa : (long)dot; // how many digits stand before it
    bool small = mantissa + 1 < number.size && number.data[mantissa + 1] == '-';
    long exponent = 0;
    for (size_t i = mantissa + 1; i < number.size && exponent < 100000; i++) {
        if (number.data[i] >= '0' && number.data[i] <= '9')
            exponent = exponent * 10 + (number.data[i] - '0');
    }
    point += small ? -exponent : exponent;

    struct integer_bound bound = {0};
    uint64_t magnitude = 0;
    bool overflow = false;
    long digit = 0;
    for (size_t i = 0; i < mantissa; i++) {
        if (number.data[i] == '.')
            continue;
        unsigned value = (unsigned)(number.data[i] - '0');
        if (digit++ >= point)
            bound.fraction |= value != 0;
        else
            overflow |= __builtin_mul_overflow(magnitude, 10, &magnitude) ||
                        __builtin_add_overflow(magnitude, value, &magnitude);
    }
    for (; digit < point && magnitude != 0 && !overflow; digit++)
        overflow = __builtin_mul_overflow(magnitude, 10, &magnitude);

    if (negative && !overflow && bound.fraction)
        overflow = __builtin_add_overflow(magnitude, 1, &magnitude);
    uint64_t most = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    if (overflow || magnitude > most)
        bound.beyond = negative ? -1 : 1;
    else
        bound.floor = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return bound;
}

enum conversion {
    CONVERSION_DONE,
    CONVERSION_MISMATCH, // a literal of that type never means such a value
    CONVERSION_NOTED,    // it might, but not this one: the failure says why
};

static enum conversion refuse(struct parser *parser, struct operand literal, const char *expected) {
    struct quotation quotation = quote(parser, literal);
    parser_fail(parser, literal.start, "%s is not %s", quotation.text, expected);
    return CONVERSION_NOTED;
}

// A text of a literal in the arena.
static enum conversion keep_text(struct parser *parser, enum value_kind kind, const void *bytes,
                                 size_t size, struct value *ret_value) {
    struct text copy = arena_copy(parser->arena, text_of(bytes, size));
    if (!copy.data) {
        failure_out_of_memory(parser->failure);
        return CONVERSION_NOTED;
    }
    *ret_value = value_text(kind, copy);
    return CONVERSION_DONE;
}

static enum conversion convert_timestamp(struct parser *parser, struct operand literal,
                                         struct value *ret_value) {
    int64_t instant;
    if (!timestamp_parse(literal.expression->literal.text, &instant))
        return refuse(parser, literal, "a date-time, as 2016-08-05T08:40:51Z is");
    char out[TIMESTAMP_SIZE];
    timestamp_format(instant, out);
    return keep_text(parser, VALUE_TIMESTAMP, out, sizeof out, ret_value);
}

static enum conversion convert_date(struct parser *parser, struct operand literal,
                                    struct value *ret_value) {
    struct text text = literal.expression->literal.text;
    if (!date_is_valid(text))
        return refuse(parser, literal, "a date, as 2016-08-05 is");
    *ret_value = value_text(VALUE_DATE, text);
    return CONVERSION_DONE;
}

static enum conversion convert_uuid(struct parser *parser, struct operand literal,
                                    struct value *ret_value) {
    char out[36];
    if (!format_read_uuid(literal.expression->literal.text, out))
        return refuse(parser, literal, "a UUID");
    return keep_text(parser, VALUE_UUID, out, sizeof out, ret_value);
}

static enum conversion convert_digest(struct parser *parser, struct operand literal,
                                      struct value *ret_value) {
    unsigned char out[DIGEST_SIZE];
    if (!text_hex_decode(literal.expression->literal.text, out, sizeof out))
        return refuse(parser, literal, "a digest of 64 hexadecimal digits");
    return keep_text(parser, VALUE_BYTES, out, sizeof out, ret_value);
}

static enum conversion convert_text(struct parser *parser, struct operand literal,
                                    struct value *ret_value) {
    *ret_value = literal.expression->literal;
    return CONVERSION_DONE;
}

// What a string means beside a value of each kind.
static enum conversion (*const string_conversions[VALUE_KINDS])(struct parser *, struct operand,
                                                                struct value *) = {
    [VALUE_TEXT] = convert_text, [VALUE_TIMESTAMP] = convert_timestamp, [VALUE_DATE] = convert_date,
    [VALUE_UUID] = convert_uuid, [VALUE_BYTES] = convert_digest,
};

// The digits behind the point that count, or -1 where a text is not -?digits[.digits].
static long fraction_digits(struct text text) {
    if (text.size && text.data[0] == '-')
        text = text_from(text, 1);
    long before = 0;
    long behind = 0;
    long counting = 0;
    bool point = false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9')
            return -1;
        if (!point)
            before++;
        else if (++behind && c != '0')
            counting = behind;
    }
    return before == 0 || (point && behind == 0) ? -1 : counting;
}

static enum conversion convert_decimal(struct parser *parser, struct operand literal, uint8_t scale,
                                       struct value *ret_value) {
    const struct value value = literal.expression->literal;
    struct text text = value.kind == VALUE_TEXT ? value.text : literal.digits;
    int64_t digits;
    if (format_read_decimal(text, scale, &digits)) {
        *ret_value = value_decimal(digits, scale);
        return CONVERSION_DONE;
    }
    struct quotation quotation = quote(parser, literal);
    long behind = fraction_digits(text);
    if (behind < 0)
        return refuse(parser, literal, "a decimal, as 12.50 is");
    if (behind > (long)scale)
        parser_fail(parser, literal.start,
                    "%s has more digits behind the point than the %u that are kept", quotation.text,
                    scale);
    else
        parser_fail(parser, literal.start, "%s is too large for a decimal", quotation.text);
    return CONVERSION_NOTED;
}

// What a literal, not null, means beside a value of a kind. Reals beside integers are not for this.
static enum conversion convert(struct parser *parser, struct operand literal, enum value_kind kind,
                               uint8_t scale, struct value *ret_value) {
    const struct value value = literal.expression->literal;
    bool numeric = value.kind == VALUE_INTEGER || value.kind == VALUE_REAL;
    if (kind == VALUE_DECIMAL && (numeric || value.kind == VALUE_TEXT))
        return convert_decimal(parser, literal, scale, ret_value);
    if (value.kind == VALUE_TEXT && string_conversions[kind])
        return string_conversions[kind](parser, literal, ret_value);
    if (kind == VALUE_REAL && value.kind == VALUE_INTEGER) {
        *ret_value = value_real((double)value.integer);
        return CONVERSION_DONE;
    }
    if (value.kind != kind || kind == VALUE_JSON)
        return CONVERSION_MISMATCH;
    *ret_value = value;
    return CONVERSION_DONE;
}

// The literal as what it means beside `term`, or a note that it cannot be compared with it.
static struct expression *convert_beside(struct parser *parser, struct operand term,
                                         struct operand literal) {
    struct value value;
    const struct expression *beside = term.expression;
    switch (convert(parser, literal, beside->type, beside->scale, &value)) {
    case CONVERSION_NOTED: return NULL;
    case CONVERSION_MISMATCH: fail_pair(parser, term, compared_with, literal); return NULL;
    case CONVERSION_DONE: break;
    }
    struct expression *node = expression_literal(parser->arena, value);
    if (!node)
        failure_out_of_memory(parser->failure);
    return node;
}

static bool fail_only_null(struct parser *parser, struct operand operand) {
    struct quotation quotation = quote(parser, operand);
    return parser_fail(parser, operand.start, "%s is %s, of which only `is null` can be asked",
                       quotation.text, operand_noun(operand));
}

static bool make_comparison(struct parser *parser, enum comparison comparison, struct operand left,
                            struct expression *right, size_t end, struct operand *ret_node) {
    struct expression *node =
        make_binary(parser, EXPRESSION_COMPARE, VALUE_BOOLEAN, left.expression, right);
    if (node)
        node->comparison = comparison;
    return finish(parser, node, left.start, end, ret_node);
}

static bool make_is_not_null(struct parser *parser, struct operand term, size_t end,
                             struct operand *ret_node) {
    struct expression *node = make_unary(parser, EXPRESSION_IS_NULL, term.expression);
    if (node)
        node = make_unary(parser, EXPRESSION_NOT, node);
    return finish(parser, node, term.start, end, ret_node);
}

static bool compare_with_null(struct parser *parser, enum comparison comparison,
                              struct operand term, size_t end, struct operand *ret_node) {
    bool null = is_null_literal(term);
    if (comparison != COMPARISON_EQUAL && comparison != COMPARISON_UNEQUAL)
        return finish_constant(parser, false, term.start, end, ret_node);
    if (is_literal(term))
        return finish_constant(parser, null == (comparison == COMPARISON_EQUAL), term.start, end,
                               ret_node);
    if (comparison == COMPARISON_UNEQUAL)
        return make_is_not_null(parser, term, end, ret_node);
    return finish(parser, make_unary(parser, EXPRESSION_IS_NULL, term.expression), term.start, end,
                  ret_node);
}

static bool compare_literals(struct parser *parser, enum comparison comparison, struct operand left,
                             struct operand right, struct operand *ret_node) {
    struct value a = left.expression->literal;
    struct value b = right.expression->literal;
    bool numeric = (a.kind == VALUE_INTEGER || a.kind == VALUE_REAL) &&
                   (b.kind == VALUE_INTEGER || b.kind == VALUE_REAL);
    if (a.kind != b.kind && !numeric)
        return fail_pair(parser, left, compared_with, right);
    return finish_constant(parser, expression_compare(comparison, a, b), left.start, right.end,
                           ret_node);
}

// An integer beside a number that may have digits behind its point: the integers know exactly on
// which side of it they are, which a double beyond 2^53 does not.
static bool compare_with_bound(struct parser *parser, enum comparison comparison,
                               struct operand term, struct operand number,
                               struct operand *ret_node) {
    struct integer_bound bound = literal_bound(number.digits);
    bool below = comparison == COMPARISON_LESS || comparison == COMPARISON_LESS_OR_EQUAL;
    bool equality = comparison == COMPARISON_EQUAL || comparison == COMPARISON_UNEQUAL;
    if (bound.beyond == 0 && (!bound.fraction || !equality)) {
        if (bound.fraction)
            comparison = below ? COMPARISON_LESS_OR_EQUAL : COMPARISON_GREATER;
        struct expression *literal = expression_literal(parser->arena, value_integer(bound.floor));
        return literal ? make_comparison(parser, comparison, term, literal, number.end, ret_node)
                       : failure_out_of_memory(parser->failure);
    }
    if (equality)
        return finish_constant(parser, comparison == COMPARISON_UNEQUAL, term.start, number.end,
                               ret_node);
    if (below == (bound.beyond > 0))
        return make_is_not_null(parser, term, number.end, ret_node);
    return finish_constant(parser, false, term.start, number.end, ret_node);
}

static bool kinds_compare(const struct expression *a, const struct expression *b) {
    bool numeric = (a->type == VALUE_INTEGER || a->type == VALUE_REAL) &&
                   (b->type == VALUE_INTEGER || b->type == VALUE_REAL);
    return numeric || (a->type == b->type && a->scale == b->scale);
}

static bool compare_terms(struct parser *parser, enum comparison comparison, struct operand left,
                          struct operand right, struct operand *ret_node) {
    if (right.expression->type == VALUE_JSON)
        return fail_only_null(parser, right);
    if (left.expression->type == VALUE_DECIMAL && right.expression->type == VALUE_DECIMAL &&
        left.expression->scale != right.expression->scale) {
        struct quotation left_quote = quote(parser, left);
        struct quotation right_quote = quote(parser, right);
        return parser_fail(parser, left.start,
                           "%s has %u digits behind the point and %s has %u: decimals of "
                           "different scales cannot be compared",
                           left_quote.text, left.expression->scale, right_quote.text,
                           right.expression->scale);
    }
    if (!kinds_compare(left.expression, right.expression))
        return fail_pair(parser, left, compared_with, right);
    return make_comparison(parser, comparison, left, right.expression, right.end, ret_node);
}

static bool check_order(struct parser *parser, enum comparison comparison, struct operand term) {
    bool equality = comparison == COMPARISON_EQUAL || comparison == COMPARISON_UNEQUAL;
    if (equality || term.expression->type != VALUE_BOOLEAN)
        return true;
    if (is_literal(term))
        return parser_fail(parser, term.start, "booleans have no order");
    struct quotation quotation = quote(parser, term);
    return parser_fail(parser, term.start, "%s is a boolean, and booleans have no order",
                       quotation.text);
}

// `5 < x` is `x > 5`: a literal is looked for on the right alone.
static const enum comparison mirrored[] = {
    [COMPARISON_EQUAL] = COMPARISON_EQUAL,
    [COMPARISON_UNEQUAL] = COMPARISON_UNEQUAL,
    [COMPARISON_LESS] = COMPARISON_GREATER,
    [COMPARISON_LESS_OR_EQUAL] = COMPARISON_GREATER_OR_EQUAL,
    [COMPARISON_GREATER] = COMPARISON_LESS,
    [COMPARISON_GREATER_OR_EQUAL] = COMPARISON_LESS_OR_EQUAL,
};

static bool compare(struct parser *parser, enum comparison comparison, struct operand term,
                    struct operand right, struct operand *ret_node) {
    if (is_null_literal(right))
        return compare_with_null(parser, comparison, term, right.end, ret_node);
    if (term.expression->type == VALUE_JSON)
        return fail_only_null(parser, term);
    if (!check_order(parser, comparison, term))
        return false;
    if (!is_literal(right))
        return compare_terms(parser, comparison, term, right, ret_node);
    if (is_literal(term))
        return compare_literals(parser, comparison, term, right, ret_node);
    if (term.expression->type == VALUE_INTEGER && right.expression->type == VALUE_REAL)
        return compare_with_bound(parser, comparison, term, right, ret_node);
    struct expression *literal = convert_beside(parser, term, right);
    return literal && make_comparison(parser, comparison, term, literal, right.end, ret_node);
}

// In a condition, a calculation might overflow in a part that does not matter: databases differ in
// whether they look at it.
static bool check_no_calculation(struct parser *parser, struct operand operand) {
    enum expression_kind kind = operand.expression->kind;
    if (kind != EXPRESSION_ADD && kind != EXPRESSION_SUBTRACT && kind != EXPRESSION_MULTIPLY)
        return true;
    struct quotation quotation = quote(parser, operand);
    return parser_fail(parser, operand.start, "%s cannot be calculated inside a condition",
                       quotation.text);
}

bool type_comparison(struct parser *parser, enum comparison comparison, struct operand left,
                     struct operand right, struct operand *ret_node) {
    bool swap = is_literal(left) && (!is_literal(right) || is_null_literal(left));
    size_t start = left.start;
    size_t end = right.end;
    if (!check_no_calculation(parser, left) || !check_no_calculation(parser, right))
        return false;
    if (!compare(parser, swap ? mirrored[comparison] : comparison, swap ? right : left,
                 swap ? left : right, ret_node))
        return false;
    ret_node->start = start;
    ret_node->end = end;
    return true;
}

// One literal of an `in`; `*ret_node` stays as it is where no value of the term's can equal it.
static bool type_in_literal(struct parser *parser, struct operand term, struct operand literal,
                            const struct expression **ret_node) {
    if (is_null_literal(literal)) {
        *ret_node = literal.expression;
        return true;
    }
    if (term.expression->type != VALUE_INTEGER || literal.expression->type != VALUE_REAL) {
        struct expression *converted = convert_beside(parser, term, literal);
        if (converted)
            *ret_node = converted;
        return converted;
    }
    struct integer_bound bound = literal_bound(literal.digits);
    if (bound.beyond || bound.fraction)
        return true;
    *ret_node = expression_literal(parser->arena, value_integer(bound.floor));
    return *ret_node || failure_out_of_memory(parser->failure);
}

static bool literal_is_in(struct parser *parser, struct operand term,
                          const struct operand *literals, size_t count, struct operand *ret_node) {
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        struct operand equal = term;
        if (!type_comparison(parser, COMPARISON_EQUAL, term, literals[i], &equal))
            return false;
        found |= equal.expression->literal.boolean;
    }
    return finish_constant(parser, found, term.start, term.end, ret_node);
}

bool type_in(struct parser *parser, struct operand term, const struct operand *literals,
             size_t count, struct operand *ret_node) {
    if (!check_no_calculation(parser, term))
        return false;
    if (term.expression->type == VALUE_JSON)
        return fail_only_null(parser, term);
    if (is_literal(term))
        return literal_is_in(parser, term, literals, count, ret_node);
    struct expression *node = parser_node(parser, EXPRESSION_IN, VALUE_BOOLEAN, count + 1);
    if (!node)
        return false;
    node->operands[0] = term.expression;
    node->operand_count = 1;
    for (size_t i = 0; i < count; i++) {
        const struct expression *literal = NULL;
        if (!type_in_literal(parser, term, literals[i], &literal))
            return false;
        if (literal)
            node->operands[node->operand_count++] = literal;
    }
    if (node->operand_count == 1)
        return finish_constant(parser, false, term.start, term.end, ret_node);
    return finish(parser, node, term.start, term.end, ret_node);
}

bool type_is_null(struct parser *parser, struct operand term, struct operand *ret_node) {
    if (!check_no_calculation(parser, term))
        return false;
    if (is_literal(term))
        return finish_constant(parser, is_null_literal(term), term.start, term.end, ret_node);
    return finish(parser, make_unary(parser, EXPRESSION_IS_NULL, term.expression), term.start,
                  term.end, ret_node);
}

bool type_condition(struct parser *parser, struct operand *operand) {
    const struct expression *expression = operand->expression;
    if (expression->type != VALUE_BOOLEAN) {
        struct quotation quotation = quote(parser, *operand);
        return parser_fail(parser, operand->start, "expected a condition, but %s is %s",
                           quotation.text, operand_noun(*operand));
    }
    if (!is_stored(expression))
        return true;
    struct expression *literal = expression_literal(parser->arena, value_boolean(true));
    if (!literal)
        return failure_out_of_memory(parser->failure);
    return make_comparison(parser, COMPARISON_EQUAL, *operand, literal, operand->end, operand);
}

bool type_not(struct parser *parser, struct operand condition, struct operand *ret_node) {
    if (!type_condition(parser, &condition))
        return false;
    struct expression *inner = condition.expression;
    if (is_literal(condition))
        return finish_constant(parser, !inner->literal.boolean, condition.start, condition.end,
                               ret_node);
    struct expression *node = make_unary(parser, EXPRESSION_NOT, inner);
    if (node && inner->kind == EXPRESSION_NOT) // twice is not at all
        *node = *inner->operands[0];
    return finish(parser, node, condition.start, condition.end, ret_node);
}

// How many operands it gives to a junction of its kind.
static size_t junction_parts(enum expression_kind kind, const struct expression *expression) {
    return expression->kind == kind ? expression->operand_count : 1;
}

bool type_junction(struct parser *parser, enum expression_kind kind, const struct operand *operands,
                   size_t count, struct operand *ret_node) {
    bool neutral = kind == EXPRESSION_AND;
    bool decided = false;
    size_t start = operands[0].start;
    size_t end = operands[count - 1].end;
    size_t room = 0;
    for (size_t i = 0; i < count; i++)
        room += junction_parts(kind, operands[i].expression);
    struct expression *node = parser_node(parser, kind, VALUE_BOOLEAN, room);
    if (!node)
        return false;
    node->operand_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct operand part = operands[i];
        if (!type_condition(parser, &part))
            return false;
        struct expression *expression = part.expression;
        if (is_literal(part)) {
            decided |= expression->literal.boolean != neutral;
        } else if (expression->kind == kind) {
            for (size_t j = 0; j < expression->operand_count; j++)
                node->operands[node->operand_count++] = expression->operands[j];
        } else {
            expression->start = part.start;
            expression->end = part.end;
            node->operands[node->operand_count++] = expression;
        }
        if (node->operand_count == 1 && !is_literal(part))
            *ret_node = part;
    }
    if (decided || node->operand_count == 0)
        return finish_constant(parser, decided != neutral, start, end, ret_node);
    if (node->operand_count > 1)
        return finish(parser, node, start, end, ret_node);
    ret_node->start = start;
    ret_node->end = end;
    return true;
}

static bool check_string(struct parser *parser, const char *function, struct operand operand) {
    if (operand.expression->type == VALUE_TEXT || is_null_literal(operand))
        return true;
    if (operand.expression->type == VALUE_JSON)
        return fail_only_null(parser, operand);
    struct quotation quotation = quote(parser, operand);
    return parser_fail(parser, operand.start, "%s() takes strings, but %s is %s", function,
                       quotation.text, operand_noun(operand));
}

bool type_function(struct parser *parser, enum expression_kind kind, struct operand subject,
                   struct operand part, struct operand *ret_node) {
    const char *name = kind == EXPRESSION_CONTAINS ? "contains" : "startsWith";
    size_t start = subject.start;
    if (!check_string(parser, name, subject) || !check_string(parser, name, part))
        return false;
    if (is_null_literal(subject) || is_null_literal(part))
        return finish_constant(parser, false, start, part.end, ret_node);
    if (is_literal(subject) && is_literal(part)) {
        struct text whole = subject.expression->literal.text;
        struct text sought = part.expression->literal.text;
        bool found = kind == EXPRESSION_CONTAINS ? expression_contains(whole, sought)
                                                 : text_starts_with(whole, sought);
        return finish_constant(parser, found, start, part.end, ret_node);
    }
    return finish(parser,
                  make_binary(parser, kind, VALUE_BOOLEAN, subject.expression, part.expression),
                  start, part.end, ret_node);
}

static const char *arithmetic_verb(enum expression_kind kind) {
    switch (kind) {
    case EXPRESSION_ADD: return "added to";
    case EXPRESSION_SUBTRACT: return "reckoned with";
    default: return "multiplied by";
    }
}

static bool is_numeric(const struct expression *expression) {
    return expression->type == VALUE_INTEGER || expression->type == VALUE_REAL ||
           expression->type == VALUE_DECIMAL;
}

// The kind of a sum or product, VALUE_NULL where there is none.
static enum value_kind arithmetic_kind(enum expression_kind kind, const struct expression *left,
                                       const struct expression *right) {
    if (!is_numeric(left) || !is_numeric(right))
        return VALUE_NULL;
    bool left_decimal = left->type == VALUE_DECIMAL;
    bool right_decimal = right->type == VALUE_DECIMAL;
    if (!left_decimal && !right_decimal)
        return left->type == VALUE_REAL || right->type == VALUE_REAL ? VALUE_REAL : VALUE_INTEGER;
    if (kind == EXPRESSION_MULTIPLY)
        return left->type == VALUE_INTEGER || right->type == VALUE_INTEGER ? VALUE_DECIMAL
                                                                           : VALUE_NULL;
    return left_decimal && right_decimal && left->scale == right->scale ? VALUE_DECIMAL
                                                                        : VALUE_NULL;
}

// Makes a literal of what it is beside the other operand: a decimal in a sum of decimals, a real
// beside a real.
static bool adapt_literal(struct parser *parser, enum expression_kind kind, struct operand *literal,
                          const struct expression *beside) {
    if (!is_literal(*literal) || !is_numeric(literal->expression))
        return true;
    bool decimal = beside->type == VALUE_DECIMAL && kind != EXPRESSION_MULTIPLY;
    bool real = beside->type == VALUE_REAL;
    if (!decimal && !real)
        return true;
    struct value value;
    if (convert(parser, *literal, beside->type, beside->scale, &value) != CONVERSION_DONE)
        return false;
    literal->expression = expression_literal(parser->arena, value);
    return literal->expression || failure_out_of_memory(parser->failure);
}

// A calculation with literals alone, as the literal that it gives: an integer or a real.
static bool calculate(struct parser *parser, const struct expression *calculation, size_t start,
                      size_t end, struct operand *ret_node) {
    struct value value;
    if (!expression_evaluate(calculation, NULL, 0, parser->arena, &value, parser->failure))
        return parser_fail(parser, start, "the result of this calculation is out of range");
    struct text digits = value.kind == VALUE_REAL
                             ? arena_format(parser->arena, "%.17g", value.real)
                             : arena_format(parser->arena, "%" PRId64, value.integer);
    if (!digits.data ||
        !finish(parser, expression_literal(parser->arena, value), start, end, ret_node))
        return failure_out_of_memory(parser->failure);
    ret_node->digits = digits;
    return true;
}

bool type_arithmetic(struct parser *parser, enum expression_kind kind, struct operand left,
                     struct operand right, struct operand *ret_node) {
    if (!adapt_literal(parser, kind, &left, right.expression) ||
        !adapt_literal(parser, kind, &right, left.expression))
        return false;
    enum value_kind type = arithmetic_kind(kind, left.expression, right.expression);
    if (type == VALUE_NULL)
        return fail_pair(parser, left, arithmetic_verb(kind), right);
    struct expression *node = make_binary(parser, kind, type, left.expression, right.expression);
    if (node && type == VALUE_DECIMAL)
        node->scale = left.expression->type == VALUE_DECIMAL ? left.expression->scale
                                                             : right.expression->scale;
    if (node && is_literal(left) && is_literal(right))
        return calculate(parser, node, left.start, right.end, ret_node);
    return finish(parser, node, left.start, right.end, ret_node);
}

static bool fail_assignment(struct parser *parser, struct operand operand) {
    const struct property *target = parser->target;
    struct operand stand_in = {
        .expression = &(struct expression){.type = target->kind},
        .schema = &target->schema,
    };
    struct quotation quotation = quote(parser, operand);
    const char *noun = operand_noun(stand_in);
    if (is_literal(operand))
        return parser_fail(parser, operand.start, "`%.*s` is %s and cannot be %s",
                           TEXT_ARGS(target->name), noun, operand_noun(operand));
    return parser_fail(parser, operand.start, "`%.*s` is %s and cannot be %s, which is %s",
                       TEXT_ARGS(target->name), noun, quotation.text, operand_noun(operand));
}

static bool assign_literal(struct parser *parser, struct operand *operand) {
    const struct property *target = parser->target;
    struct value value;
    if (is_null_literal(*operand))
        return true;
    switch (convert(parser, *operand, target->kind, target->scale, &value)) {
    case CONVERSION_NOTED: return false;
    case CONVERSION_MISMATCH: return fail_assignment(parser, *operand);
    case CONVERSION_DONE: break;
    }
    operand->expression = expression_literal(parser->arena, value);
    return operand->expression || failure_out_of_memory(parser->failure);
}

// `expression * 1.0`, `condition = true`: the same value, as a real, and as a boolean that is never
// null.
static bool assign_with(struct parser *parser, struct operand *operand, enum expression_kind kind,
                        struct value value) {
    struct expression *literal = expression_literal(parser->arena, value);
    struct expression *node =
        literal ? make_binary(parser, kind, value.kind, operand->expression, literal) : NULL;
    if (!node)
        return failure_out_of_memory(parser->failure);
    node->comparison = COMPARISON_EQUAL;
    operand->expression = node;
    return true;
}

bool type_assignment(struct parser *parser, struct operand *operand) {
    const struct property *target = parser->target;
    const struct expression *expression = operand->expression;
    if (is_literal(*operand))
        return assign_literal(parser, operand);
    if (target->kind == VALUE_REAL && expression->type == VALUE_INTEGER)
        return assign_with(parser, operand, EXPRESSION_MULTIPLY, value_real(1.0));
    if (target->kind != expression->type || target->scale != expression->scale ||
        target->kind == VALUE_JSON)
        return fail_assignment(parser, *operand);
    if (target->kind == VALUE_BOOLEAN && !is_stored(expression))
        return assign_with(parser, operand, EXPRESSION_COMPARE, value_boolean(true));
    return true;
}
