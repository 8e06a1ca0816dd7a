// A value is one cell of a row or one parameter of a statement, in a form that every store takes
// and gives. It owns nothing: its text lives as long as whoever made it says.
#pragma once

#include "base/text.h"

enum value_kind {
    VALUE_NULL,
    VALUE_BOOLEAN,
    VALUE_INTEGER,
    VALUE_REAL,    // finite
    VALUE_DECIMAL, // integer * 10^-scale
    VALUE_TEXT,    // UTF-8 without U+0000
    VALUE_BYTES,
    VALUE_TIMESTAMP, // text of TIMESTAMP_SIZE bytes, as timestamp_format writes it
    VALUE_DATE,      // text, "2016-08-05"
    VALUE_UUID,      // text of 36 bytes, lower case
    VALUE_JSON,      // text of valid JSON, kept as it is
    VALUE_KINDS
};

struct value {
    enum value_kind kind;
    uint8_t scale; // VALUE_DECIMAL: 0 to 18
    union {
        bool boolean;
        int64_t integer; // VALUE_INTEGER, and VALUE_DECIMAL's digits
        double real;
        struct text text; // every other kind
    };
};

static inline struct value value_null(void) {
    return (struct value){.kind = VALUE_NULL};
}

static inline struct value value_boolean(bool boolean) {
    return (struct value){.kind = VALUE_BOOLEAN, .boolean = boolean};
}

static inline struct value value_integer(int64_t integer) {
    return (struct value){.kind = VALUE_INTEGER, .integer = integer};
}

static inline struct value value_real(double real) {
    return (struct value){.kind = VALUE_REAL, .real = real};
}

static inline struct value value_decimal(int64_t digits, uint8_t scale) {
    return (struct value){.kind = VALUE_DECIMAL, .scale = scale, .integer = digits};
}

// A value of one of the kinds that are texts.
static inline struct value value_text(enum value_kind kind, struct text text) {
    return (struct value){.kind = kind, .text = text};
}

static inline bool value_is_null(struct value value) {
    return value.kind == VALUE_NULL;
}

static inline bool value_kind_has_text(enum value_kind kind) {
    return kind >= VALUE_TEXT && kind <= VALUE_JSON;
}
