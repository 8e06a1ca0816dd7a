// Random things and random expressions about them, for tests that ask two judges. The same seed
// gives the same ones. Values come from small pools of what is easily got wrong, so that they often
// meet.
#pragma once

#include "base/buffer.h"
#include "base/digest.h"
#include "dice.h"
#include "things.h"

#include <inttypes.h>
#include <stdio.h>

static const int64_t random_integers[] = {0,
                                          1,
                                          -1,
                                          2,
                                          5,
                                          6,
                                          -6,
                                          100,
                                          INT64_C(9007199254740991),
                                          INT64_C(9007199254740992),
                                          INT64_C(9007199254740993),
                                          INT64_C(-9007199254740993),
                                          INT64_MAX,
                                          INT64_MAX - 1,
                                          INT64_MAX - 511,
                                          INT64_MAX - 512,
                                          INT64_MIN,
                                          INT64_MIN + 1,
                                          INT64_C(3037000500)};

static const double random_reals[] = {0.0,
                                      -0.0,
                                      1.0,
                                      -1.0,
                                      5.0,
                                      5.5,
                                      -5.5,
                                      0.1,
                                      0.30000000000000004,
                                      9007199254740992.0,
                                      9007199254740994.0,
                                      -9007199254740992.0,
                                      0x1p63,
                                      -0x1p63,
                                      0x1.fffffffffffffp62,
                                      0x1.0000000000001p63,
                                      -0x1.0000000000001p63,
                                      1e300,
                                      -1e300,
                                      1.7976931348623157e308,
                                      1e-300};

// Numbers as literals that beside an integer say more than a double could.
static const char *const random_numbers[] = {"5.0",
                                             "5.5",
                                             "-5.5",
                                             "0.5",
                                             "-0.5",
                                             "5e0",
                                             "50e-1",
                                             "1e2",
                                             "9007199254740992.5",
                                             "9007199254740993.0",
                                             "-9007199254740993.5",
                                             "9223372036854775807.5",
                                             "-9223372036854775808.5",
                                             "9223372036854775808.0",
                                             "1e19",
                                             "-1e300",
                                             "1e-300",
                                             "0.0",
                                             "-0.0"};

static const int64_t random_decimals[] = {0, 1, -1, 100, 1250, -1250, 99999, INT64_MAX, INT64_MIN};

static const char *const random_texts[] = {"",
                                           "a",
                                           "A",
                                           "ab",
                                           "aB",
                                           "abc",
                                           "b",
                                           "z",
                                           "a%",
                                           "a_",
                                           "it's",
                                           "\\",
                                           "é",
                                           "e\u0301",
                                           "\u00ff",
                                           "\u07ff",
                                           "\u0800",
                                           "\ud7ff",
                                           "\ue000",
                                           "\ufffd",
                                           "\uffff",
                                           "😀",
                                           "😀a",
                                           "\U0010ffff",
                                           "\U0010ffff\U0010ffff",
                                           "a\U0010ffff",
                                           " a",
                                           "a ",
                                           "\x7f",
                                           "\n",
                                           "\"",
                                           "10",
                                           "9",
                                           "null"};

static const char *const random_timestamps[] = {
    "0001-01-01T00:00:00.000Z", "1969-12-31T23:59:59.999Z", "2024-02-29T12:00:00.000Z",
    "2024-02-29T12:00:00.001Z", "2024-02-29T11:59:59.999Z", "9999-12-31T23:59:59.999Z"};

static const char *const random_dates[] = {"0001-01-01", "1999-12-31", "2000-01-01",
                                           "2024-02-29", "2024-03-01", "9999-12-31"};

static const char *const random_uuids[] = {
    "00000000-0000-0000-0000-000000000000", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    "f81d4fae-7dec-11d0-a765-00a0c91e6bf7", "ffffffff-ffff-ffff-ffff-ffffffffffff"};

static const char *const random_digests[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};

// The instant of random_timestamps[2].
enum { RANDOM_NOW_SECONDS = 1709208000 };

static inline struct value random_value(struct dice *dice, const struct property *property,
                                        struct arena *arena);

// A JSON string of a random text, quotes and backslashes escaped.
static inline void random_json_string(struct dice *dice, struct buffer *out) {
    buffer_append_byte(out, '"');
    for (const char *at = DICE_PICK(dice, random_texts); *at; at++) {
        if (*at == '"' || *at == '\\')
            buffer_append_byte(out, '\\');
        if (*at == '\n')
            buffer_append_string(out, "\\n");
        else
            buffer_append_byte(out, *at);
    }
    buffer_append_byte(out, '"');
}

// A member's value of any type, mostly of the one it should have: 's', 'i', 'n', 'b'.
static inline void random_json(struct dice *dice, struct buffer *out, char type) {
    static const char *const odd[] = {"null", "[]", "{\"a\":1}", "true", "1.5", "\"\"", "1e3"};
    if (dice_below(dice, 4) == 0)
        buffer_append_string(out, DICE_PICK(dice, odd));
    else if (type == 's')
        random_json_string(dice, out);
    else if (type == 'b')
        buffer_append_string(out, dice_below(dice, 2) ? "true" : "false");
    else if (type == 'i' || dice_below(dice, 3) == 0)
        buffer_format(out, "%" PRId64 "%s", DICE_PICK(dice, random_integers),
                      dice_below(dice, 8) == 0 ? "e0" : ""); // which is an integer, too
    else
        buffer_format(out, "%.17g", DICE_PICK(dice, random_reals));
}

static inline void random_object(struct dice *dice, struct buffer *out) {
    static const struct {
        const char *name;
        char type;
    } members[] = {{"city", 's'}, {"zip", 's'},   {"size", 'i'},   {"lat", 'n'}, {"open", 'b'},
                   {"fee", 's'},  {"since", 's'}, {"opened", 's'}, {"in", 's'},  {"mixed", 'i'}};
    const char *separator = "{";
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (dice_below(dice, 4) == 0)
            continue;
        buffer_format(out, "%s\"%s\":", separator, members[i].name);
        random_json(dice, out, members[i].type);
        separator = ", ";
    }
    buffer_format(out, "%s\"deep\":", separator);
    if (dice_below(dice, 4) == 0) {
        random_json(dice, out, 's');
    } else {
        buffer_append_string(out, "{\"name\":");
        random_json(dice, out, 's');
        buffer_append_string(out, ",\"Size_1\":");
        random_json(dice, out, 'i');
        buffer_append_string(out, "}");
    }
    buffer_append_string(out, "}");
}

static inline struct value random_value(struct dice *dice, const struct property *property,
                                        struct arena *arena) {
    struct buffer json = {0};
    unsigned char bytes[DIGEST_SIZE];
    struct text text;
    if (dice_below(dice, 5) == 0)
        return value_null();
    switch (property->kind) {
    case VALUE_BOOLEAN: return value_boolean(dice_below(dice, 2));
    case VALUE_INTEGER: return value_integer(DICE_PICK(dice, random_integers));
    case VALUE_REAL: return value_real(DICE_PICK(dice, random_reals));
    case VALUE_DECIMAL: return value_decimal(DICE_PICK(dice, random_decimals), property->scale);
    case VALUE_TEXT: return value_text(VALUE_TEXT, text_from_string(DICE_PICK(dice, random_texts)));
    case VALUE_TIMESTAMP:
        return value_text(VALUE_TIMESTAMP, text_from_string(DICE_PICK(dice, random_timestamps)));
    case VALUE_DATE: return value_text(VALUE_DATE, text_from_string(DICE_PICK(dice, random_dates)));
    case VALUE_UUID: return value_text(VALUE_UUID, text_from_string(DICE_PICK(dice, random_uuids)));
    case VALUE_BYTES:
        text_hex_decode(text_from_string(DICE_PICK(dice, random_digests)), bytes, sizeof bytes);
        return value_text(VALUE_BYTES,
                          arena_copy(arena, text_of((const char *)bytes, sizeof bytes)));
    default:
        random_object(dice, &json);
        text = arena_copy(arena, buffer_text(&json));
        buffer_free(&json);
        return value_text(VALUE_JSON, text);
    }
}

// Terms of each kind, as an expression names them.
static const char *const random_terms[VALUE_KINDS][8] = {
    [VALUE_BOOLEAN] = {"active", "hidden", "store.open"},
    [VALUE_INTEGER] = {"id", "amount", "cap", "amount", "cap", "store.size", "store.deep.Size_1"},
    [VALUE_REAL] = {"rate", "level", "rate", "level", "store.lat"},
    [VALUE_DECIMAL] = {"price", "cost"},
    [VALUE_TEXT] = {"title", "code", "title", "code", "store.city", "store.zip", "store.since",
                    "store.deep.name"},
    [VALUE_BYTES] = {"digest"},
    [VALUE_TIMESTAMP] = {"since", "until", "since", "now()"},
    [VALUE_DATE] = {"day", "eve"},
    [VALUE_UUID] = {"uid", "other"},
    [VALUE_JSON] = {"store", "tags", "store.opened", "store.fee", "store.tags", "store.mixed",
                    "store.deep"},
};

static inline const char *random_term(struct dice *dice, enum value_kind kind) {
    size_t count = 1; // at least
    while (count < 8 && random_terms[kind][count])
        count++;
    return random_terms[kind][dice_below(dice, count)];
}

static inline void random_string(struct dice *dice, struct buffer *out, const char *text) {
    (void)dice;
    buffer_append_byte(out, '\'');
    for (; *text; text++) {
        buffer_append_byte(out, *text);
        if (*text == '\'')
            buffer_append_byte(out, '\'');
    }
    buffer_append_byte(out, '\'');
}

static inline void random_decimal(struct dice *dice, struct buffer *out, bool quoted) {
    int64_t digits = DICE_PICK(dice, random_decimals);
    uint64_t magnitude = digits < 0 ? 0 - (uint64_t)digits : (uint64_t)digits;
    buffer_format(out, "%s%s%" PRIu64 ".%02u%s", quoted ? "'" : "", digits < 0 ? "-" : "",
                  magnitude / 100, (unsigned)(magnitude % 100), quoted ? "'" : "");
}

// A literal, never null, that may stand beside a term of a kind.
static inline void random_literal(struct dice *dice, struct buffer *out, enum value_kind kind) {
    switch (kind) {
    case VALUE_BOOLEAN: buffer_append_string(out, dice_below(dice, 2) ? "true" : "false"); break;
    case VALUE_INTEGER:
    case VALUE_REAL:
        if (dice_below(dice, 2))
            buffer_append_integer(out, DICE_PICK(dice, random_integers));
        else if (dice_below(dice, 2))
            buffer_append_string(out, DICE_PICK(dice, random_numbers));
        else
            buffer_format(out, "%.17e", DICE_PICK(dice, random_reals));
        break;
    case VALUE_DECIMAL: random_decimal(dice, out, dice_below(dice, 2)); break;
    case VALUE_TIMESTAMP: random_string(dice, out, DICE_PICK(dice, random_timestamps)); break;
    case VALUE_DATE: random_string(dice, out, DICE_PICK(dice, random_dates)); break;
    case VALUE_UUID: random_string(dice, out, DICE_PICK(dice, random_uuids)); break;
    case VALUE_BYTES: random_string(dice, out, DICE_PICK(dice, random_digests)); break;
    default: random_string(dice, out, DICE_PICK(dice, random_texts)); break;
    }
}

struct random_expressions {
    struct dice dice;
    struct buffer *out;
    bool refers; // paths lead through references, too
};

static inline void random_condition(struct random_expressions *random, int depth);

// A term or a calculation, as a set may have it.
static inline void random_number(struct random_expressions *random, enum value_kind kind,
                                 int depth) {
    struct dice *dice = &random->dice;
    static const char *const operators[] = {" + ", " - ", " * "};
    if (depth <= 0 || dice_below(dice, 2)) {
        buffer_append_string(random->out, random_term(dice, kind));
        return;
    }
    const char *operator= DICE_PICK(dice, operators);
    bool product = operator[1] == '*';
    buffer_append_string(random->out, "(");
    random_number(random, kind, depth - 1);
    buffer_append_string(random->out, operator);
    if ((kind == VALUE_DECIMAL && product) || (kind == VALUE_REAL && dice_below(dice, 2)))
        random_number(random, VALUE_INTEGER, depth - 1);
    else if (kind == VALUE_INTEGER && dice_below(dice, 2))
        buffer_append_integer(random->out, DICE_PICK(dice, random_integers));
    else if (kind == VALUE_DECIMAL && dice_below(dice, 2))
        random_decimal(dice, random->out, false);
    else if (kind == VALUE_REAL && dice_below(dice, 2))
        random_literal(dice, random->out, kind);
    else
        random_number(random, kind, depth - 1);
    buffer_append_string(random->out, ")");
}

static inline void random_operand(struct random_expressions *random, enum value_kind kind) {
    const char *term = random_term(&random->dice, kind);
    if (random->refers && strcmp(term, "now()") != 0 && dice_below(&random->dice, 2))
        buffer_append_string(random->out, "next.");
    buffer_append_string(random->out, term);
}

static inline enum value_kind random_kind(struct dice *dice) {
    static const enum value_kind kinds[] = {
        VALUE_BOOLEAN,   VALUE_INTEGER, VALUE_INTEGER, VALUE_REAL, VALUE_REAL,
        VALUE_DECIMAL,   VALUE_TEXT,    VALUE_TEXT,    VALUE_TEXT, VALUE_BYTES,
        VALUE_TIMESTAMP, VALUE_DATE,    VALUE_UUID};
    return DICE_PICK(dice, kinds);
}

static inline void random_comparison(struct random_expressions *random) {
    static const char *const operators[] = {" = ", " != ", " < ", " <= ", " > ", " >= "};
    struct dice *dice = &random->dice;
    enum value_kind left = random_kind(dice);
    enum value_kind right = left;
    if ((left == VALUE_INTEGER || left == VALUE_REAL) && dice_below(dice, 3) == 0)
        right = left == VALUE_INTEGER ? VALUE_REAL : VALUE_INTEGER;
    const char *operator= operators[dice_below(dice, left == VALUE_BOOLEAN ? 2 : 6)];
    size_t form = dice_below(dice, 8);
    if (form == 0) {
        random_literal(dice, random->out, left);
        buffer_append_string(random->out, operator);
        random_operand(random, left);
        return;
    }
    random_operand(random, left);
    buffer_append_string(random->out, operator);
    if (form < 4)
        random_operand(random, right);
    else if (form == 4)
        buffer_append_string(random->out, "null");
    else
        random_literal(dice, random->out, left);
}

static inline void random_in(struct random_expressions *random) {
    enum value_kind kind = random_kind(&random->dice);
    random_operand(random, kind);
    buffer_append_string(random->out, dice_below(&random->dice, 2) ? " in (" : " not in (");
    for (size_t left = dice_below(&random->dice, 4) + 1; left > 0; left--) {
        if (dice_below(&random->dice, 5) == 0)
            buffer_append_string(random->out, "null");
        else
            random_literal(&random->dice, random->out, kind);
        buffer_append_string(random->out, left > 1 ? ", " : ")");
    }
}

static inline void random_is_null(struct random_expressions *random) {
    enum value_kind kind = dice_below(&random->dice, 2) ? VALUE_JSON : random_kind(&random->dice);
    random_operand(random, kind);
    buffer_append_string(random->out, dice_below(&random->dice, 2) ? " is null" : " is not null");
}

static inline void random_search(struct random_expressions *random) {
    buffer_append_string(random->out, dice_below(&random->dice, 2) ? "contains(" : "startsWith(");
    for (int i = 0; i < 2; i++) {
        if (dice_below(&random->dice, 4) > (i ? 0 : 2))
            random_literal(&random->dice, random->out, VALUE_TEXT);
        else
            random_operand(random, VALUE_TEXT);
        buffer_append_string(random->out, i ? ")" : ", ");
    }
}

static inline void random_enclosed(struct random_expressions *random, int depth) {
    buffer_append_string(random->out, "(");
    random_condition(random, depth);
    buffer_append_string(random->out, ")");
}

static inline void random_condition(struct random_expressions *random, int depth) {
    static const char *const words[] = {" and ", " or ", " = ", " != "};
    struct dice *dice = &random->dice;
    if (depth > 0 && dice_below(dice, 3)) {
        size_t form = dice_below(dice, 6);
        if (form == 0)
            buffer_append_string(random->out, "not ");
        random_enclosed(random, depth - 1);
        if (form == 0)
            return;
        buffer_append_string(random->out, words[form < 3   ? 0
                                                : form < 5 ? 1
                                                           : 2 + dice_below(dice, 2)]);
        random_enclosed(random, depth - 1);
        return;
    }
    switch (dice_below(dice, 8)) {
    case 0: random_in(random); break;
    case 1: random_is_null(random); break;
    case 2:
    case 3: random_search(random); break;
    case 4: random_operand(random, VALUE_BOOLEAN); break;
    default: random_comparison(random); break;
    }
}
