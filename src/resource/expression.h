// Expressions are one small language for checks, filters and defaults, typed against a resource's
// definition. An expression is a tree in an arena, immutable once it is parsed.
//
//   or        = and *("or" and)
//   and       = not *("and" not)
//   not       = "not" not / comparison
//   comparison = term [ ("=" / "!=" / "<" / "<=" / ">" / ">=") term
//                     / ["not"] "in" "(" literal *("," literal) ")"
//                     / "is" ["not"] "null" ]
//   term      = product *(("+" / "-") product)      ; arithmetic only for a value that is set
//   product   = primary *("*" primary)
//   primary   = literal / path / "now()" / "contains(" term "," term ")"
//             / "startsWith(" term "," term ")" / "(" or ")"
//   path      = ["this."] name *("." name)          ; into objects, and, for a filter, into the
//                                                 ; record that the first name refers to; `this`
//                                                 ; is the record that a transition moves, seen
//                                                 ; from the others
//   name      = (letter / "_") *(letter / digit / "_")     ; ASCII
//   literal   = number / "'" string "'" / "true" / "false" / "null"    ; '' is a quote in a string
//   number    = as in JSON; integers must fit 64 bits
//
// Logic has two values: `=`, `!=` and `in` are null-safe, other comparisons with null, contains and
// startsWith are false, and `not` of that is true. Texts compare by code point. A literal means
// what the other side is: a string beside a date-time is read as RFC 3339, beside a UUID as one,
// and so on. Beside an integer or a decimal, a number is exactly what its digits say; beside a
// number, it is the nearest double. An integer and a number compare exactly. A member of an object
// whose stored JSON is not of the declared type counts as null, and so does everything of a record
// that is not there because nothing is referred to. A calculation with null is null,
// whatever else overflows in it; none stands inside a condition, where databases differ in whether
// they look at each part.
#pragma once

#include "base/arena.h"
#include "base/failure.h"
#include "resource/definition.h"

enum expression_kind {
    EXPRESSION_LITERAL,
    EXPRESSION_NOW,
    EXPRESSION_PROPERTY,
    EXPRESSION_MEMBER, // a path into an object property; VALUE_JSON: can only be asked for null
    EXPRESSION_THIS,   // its operand, a property or a member, of the record that a transition moves
    EXPRESSION_REFERENCED, // its operand, a property or a member, of the record that `property`
                           // refers to
    EXPRESSION_COMPARE,
    EXPRESSION_IN,
    EXPRESSION_IS_NULL,
    EXPRESSION_AND,
    EXPRESSION_OR,
    EXPRESSION_NOT,
    EXPRESSION_CONTAINS,
    EXPRESSION_STARTS_WITH,
    EXPRESSION_ADD,
    EXPRESSION_SUBTRACT,
    EXPRESSION_MULTIPLY,
};

enum comparison {
    COMPARISON_EQUAL,
    COMPARISON_UNEQUAL,
    COMPARISON_LESS,
    COMPARISON_LESS_OR_EQUAL,
    COMPARISON_GREATER,
    COMPARISON_GREATER_OR_EQUAL,
};

struct expression {
    enum expression_kind kind;
    enum value_kind type; // VALUE_NULL for the literal null; VALUE_BOOLEAN for every predicate
    uint8_t scale;        // VALUE_DECIMAL
    enum comparison comparison;      // EXPRESSION_COMPARE
    struct value literal;            // EXPRESSION_LITERAL; already of the type it is compared with
    const struct property *property; // EXPRESSION_PROPERTY, EXPRESSION_MEMBER, and the reference
    const struct resource *resource; // EXPRESSION_REFERENCED: which has that property
    const struct text *path;         // EXPRESSION_MEMBER: the names behind the property's
    size_t path_length;
    const struct expression **operands; // IN: the term, then literals
    size_t operand_count;
    size_t start; // of a part of an AND: where it stands in the source, in bytes
    size_t end;
};

enum expression_purpose {
    EXPRESSION_FOR_PREDICATE, // a check, a guard: must be a boolean
    EXPRESSION_FOR_FILTER,    // a named filter: the same, and a path may lead through a reference
    EXPRESSION_FOR_QUERY,     // a client's filter: the same, and write-only properties are refused,
                              // since whoever may ask about a value can find it out; so are
                              // references to what nobody can read
    EXPRESSION_FOR_DEFAULT,   // must be of the property's kind; no properties in it, now() alone
    EXPRESSION_FOR_SET,       // must be of the property's kind; arithmetic allowed
    EXPRESSION_FOR_OTHERS,    // a boolean about the records beside the one that a transition moves,
                              // which is `this` there
    EXPRESSION_FOR_OTHERS_SET, // both
};

// How deep and how long an expression may be. A level is an `and`, `or`, `not` or comparison of
// conditions inside another; chains of `and` or `or` are one level, `not not` is none. Each level
// takes up to four places of SQLite's parser's stack of 100, where the statement around the
// expression and the terms in it need theirs, too.
enum {
    EXPRESSION_MAX_LEVELS = 12,
    EXPRESSION_MAX_DEPTH = 64, // of parentheses and `not`, whether they mean something or not
    EXPRESSION_MAX_NODES = 500,
};

// Parses and types. `target` is the property that a default or a set is for, else NULL. A failure
// has the code FAILURE_INVALID_FILTER and says at which character (1 is the first) what was
// expected; `ret_offset` (may be NULL) gets that character's offset in bytes. A root that is no AND
// has its place in the source, as an AND's parts have.
struct expression *expression_parse(struct arena *arena, const struct resource *resource,
                                    enum expression_purpose purpose, const struct property *target,
                                    struct text source, struct failure *failure,
                                    size_t *ret_offset);

// Whether a word means something to the language, so that no property can have it as a name.
bool expression_is_reserved(struct text word);

// Whether it looks into records that others refer to.
bool expression_refers(const struct expression *expression);

// What it gives for a record; `now` in milliseconds. It must not look at other records (`this`,
// references). Members of objects are looked up in the JSON text of the property. Arithmetic that
// overflows fails with FAILURE_OVERFLOW. A text in the result lives as long as the values and the
// arena.
bool expression_evaluate(const struct expression *expression, const struct value *values,
                         int64_t now, struct arena *arena, struct value *ret_value,
                         struct failure *failure);

// `left and right`; either may be NULL, which stands for true. NULL too when there is no memory,
// which only happens where both are given.
struct expression *expression_and(struct arena *arena, const struct expression *left,
                                  const struct expression *right);

// property in (literals), of which none is null and at least one is there. NULL when there is no
// memory.
struct expression *expression_any(struct arena *arena, const struct property *property,
                                  const struct value *literals, size_t count);

// property = literal, as `?PROPERTY=value` has it. NULL when there is no memory.
struct expression *expression_equal(struct arena *arena, const struct property *property,
                                    struct value literal);
