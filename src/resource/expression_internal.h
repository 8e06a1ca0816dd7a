// What the parts of the expression language share with each other and with nobody else: the
// parser's state, its tokens, and the typed nodes that the grammar asks for.
#pragma once

#include "resource/expression.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NAME,
    TOKEN_NUMBER,
    TOKEN_STRING,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_COMMA,
    TOKEN_DOT,
    TOKEN_PLUS,
    TOKEN_MINUS,
    TOKEN_STAR,
    TOKEN_COMPARISON,
};

struct token {
    enum token_kind kind;
    size_t start; // offsets in the source
    size_t end;
    enum comparison comparison; // TOKEN_COMPARISON
};

struct parser {
    struct arena *arena;
    const struct resource *resource;
    enum expression_purpose purpose;
    const struct property *target;
    struct text source;
    struct token token; // the one that is looked at
    unsigned depth;
    unsigned nodes;
    struct failure *failure;
    size_t failure_offset;
};

// A node with the place that it was read from, and the schema where it is a path (else NULL).
struct operand {
    struct expression *expression;
    size_t start;
    size_t end;
    const struct schema *schema;
    struct text digits; // of the literal that is a number, as written
};

// Notes what is wrong at an offset and returns false.
bool parser_fail(struct parser *parser, size_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// "expected WHAT, found …" at the token that is looked at.
bool parser_expected(struct parser *parser, const char *what);

// Looks at the next token.
bool parser_advance(struct parser *parser);

static inline struct text parser_slice(const struct parser *parser, size_t start, size_t end) {
    return text_of(parser->source.data + start, end - start);
}

static inline bool parser_at_word(const struct parser *parser, const char *word) {
    return parser->token.kind == TOKEN_NAME &&
           text_is(parser_slice(parser, parser->token.start, parser->token.end), word);
}

// A node with room for its operands; NULL when there is no memory.
struct expression *expression_make(struct arena *arena, enum expression_kind kind,
                                   enum value_kind type, size_t operand_count);
struct expression *expression_literal(struct arena *arena, struct value value);

// A node of the parser's: counted, and its absence noted.
struct expression *parser_node(struct parser *parser, enum expression_kind kind,
                               enum value_kind type, size_t operand_count);

// Typed nodes out of operands. Each puts the node into `ret_node`, with the place that the operands
// span, or notes what is wrong. What does not depend on a record becomes a literal.
bool type_comparison(struct parser *parser, enum comparison comparison, struct operand left,
                     struct operand right, struct operand *ret_node);
bool type_in(struct parser *parser, struct operand term, const struct operand *literals,
             size_t count, struct operand *ret_node);
bool type_is_null(struct parser *parser, struct operand term, struct operand *ret_node);
bool type_not(struct parser *parser, struct operand condition, struct operand *ret_node);
bool type_function(struct parser *parser, enum expression_kind kind, struct operand subject,
                   struct operand part, struct operand *ret_node);
bool type_arithmetic(struct parser *parser, enum expression_kind kind, struct operand left,
                     struct operand right, struct operand *ret_node);

// An operand that must be a condition: a boolean property or member becomes `it = true`.
bool type_condition(struct parser *parser, struct operand *operand);

// An operand that must give the parser's target its value.
bool type_assignment(struct parser *parser, struct operand *operand);

// `kind` (AND, OR) over operands, of which those of the same kind are taken apart.
bool type_junction(struct parser *parser, enum expression_kind kind, const struct operand *operands,
                   size_t count, struct operand *ret_node);

// A number as its digits say, seen from the integers: `floor` is the greatest that is not above it.
struct integer_bound {
    int beyond;    // 1: above every 64-bit integer, -1: below, and then the rest says nothing
    bool fraction; // it is above `floor`
    int64_t floor;
};

// From a number as the grammar has it.
struct integer_bound literal_bound(struct text number);

// A comparison of two values of one kind, or an integer and a real; either may be null.
bool expression_compare(enum comparison comparison, struct value a, struct value b);

// Whether a text has another in it; every text has the empty one.
bool expression_contains(struct text whole, struct text part);
