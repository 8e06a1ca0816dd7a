#include "resource/expression.h"

#include "base/buffer.h"
#include "base/timestamp.h"
#include "things.h"
#include "unit/allocation.h"
#include "unit/testing.h"

#include <inttypes.h>

// 2024-02-29T12:00:00.000Z
static const int64_t now = INT64_C(1709208000000);

static struct expression *parse_for(struct arena *arena, enum expression_purpose purpose,
                                    const char *target, const char *source,
                                    struct failure *failure) {
    struct property *property =
        target ? resource_property(&things, text_from_string(target)) : NULL;
    return expression_parse(arena, &things, purpose, property, text_from_string(source), failure,
                            NULL);
}

static void print_value(struct buffer *out, struct value value) {
    switch (value.kind) {
    case VALUE_NULL: buffer_append_string(out, "null"); break;
    case VALUE_BOOLEAN: buffer_append_string(out, value.boolean ? "true" : "false"); break;
    case VALUE_INTEGER: buffer_append_integer(out, value.integer); break;
    case VALUE_DECIMAL: buffer_format(out, "%" PRId64 "e-%u", value.integer, value.scale); break;
    case VALUE_REAL: buffer_format(out, "%.17gr", value.real); break;
    case VALUE_BYTES: buffer_format(out, "x%zu", value.text.size); break;
    case VALUE_TEXT: buffer_format(out, "'%.*s'", TEXT_ARGS(value.text)); break;
    case VALUE_TIMESTAMP:
    case VALUE_DATE:
    case VALUE_UUID: buffer_append_text(out, value.text); break;
    default: buffer_append_string(out, "?"); break;
    }
}

static const char *const comparisons[] = {"=", "!=", "<", "<=", ">", ">="};

static const char *const kinds[] = {
    [EXPRESSION_THIS] = "this",
    [EXPRESSION_REFERENCED] = "next",
    [EXPRESSION_IN] = "in",
    [EXPRESSION_IS_NULL] = "null?",
    [EXPRESSION_AND] = "and",
    [EXPRESSION_OR] = "or",
    [EXPRESSION_NOT] = "not",
    [EXPRESSION_CONTAINS] = "contains",
    [EXPRESSION_STARTS_WITH] = "startsWith",
    [EXPRESSION_ADD] = "+",
    [EXPRESSION_SUBTRACT] = "-",
    [EXPRESSION_MULTIPLY] = "*",
};

// As (operator operand …); a literal by its type's own look.
static void print_tree(struct buffer *out, const struct expression *expression) {
    if (expression->kind == EXPRESSION_LITERAL) {
        print_value(out, expression->literal);
        return;
    }
    if (expression->kind == EXPRESSION_NOW) {
        buffer_append_string(out, "now");
        return;
    }
    if (expression->kind == EXPRESSION_PROPERTY || expression->kind == EXPRESSION_MEMBER) {
        buffer_append_text(out, expression->property->name);
        for (size_t i = 0; i < expression->path_length; i++)
            buffer_format(out, ".%.*s", TEXT_ARGS(expression->path[i]));
        return;
    }
    buffer_format(out, "(%s",
                  expression->kind == EXPRESSION_COMPARE ? comparisons[expression->comparison]
                                                         : kinds[expression->kind]);
    for (size_t i = 0; i < expression->operand_count; i++) {
        buffer_append_byte(out, ' ');
        print_tree(out, expression->operands[i]);
    }
    buffer_append_byte(out, ')');
}

// What a source becomes: its tree, or the failure's detail.
struct parse_case {
    const char *source;
    const char *expected;
};

static void check_cases(enum expression_purpose purpose, const char *target,
                        const struct parse_case *cases, size_t count) {
    struct buffer out;
    buffer_init(&out);
    for (size_t i = 0; i < count; i++) {
        struct arena arena = {0};
        struct failure failure = {0};
        buffer_clear(&out);
        const struct expression *tree =
            parse_for(&arena, purpose, target, cases[i].source, &failure);
        if (tree)
            print_tree(&out, tree);
        else
            buffer_append_string(&out, failure.detail);
        if (!tree)
            assert_int_equal(failure.code, FAILURE_INVALID_FILTER);
        if (!text_is(buffer_text(&out), cases[i].expected))
            print_error("%s\n", cases[i].source);
        assert_text_is(buffer_text(&out), cases[i].expected);
        arena_free(&arena);
    }
    buffer_free(&out);
}

#define CHECK_CASES(purpose, target, cases)                                                        \
    check_cases(purpose, target, cases, sizeof(cases) / sizeof(cases)[0])

static void grammar(void **state) {
    static const struct parse_case cases[] = {
        {"amount = 1", "(= amount 1)"},
        {"amount=1", "(= amount 1)"},
        {"\tamount\n=\r 1 ", "(= amount 1)"},
        {"amount = -1", "(= amount -1)"},
        {"amount=-1", "(= amount -1)"},
        {"title = 'it''s'", "(= title 'it's')"},
        {"title = ''", "(= title '')"},
        {"title = ''''", "(= title ''')"},
        {"title = 'naïve 😀'", "(= title 'naïve 😀')"},
        {"amount != cap", "(!= amount cap)"},
        {"amount < cap", "(< amount cap)"},
        {"amount <= cap", "(<= amount cap)"},
        {"amount > cap", "(> amount cap)"},
        {"amount >= cap", "(>= amount cap)"},
        {"(amount) >= (((cap)))", "(>= amount cap)"},
        {"amount is null", "(null? amount)"},
        {"amount is not null", "(not (null? amount))"},
        {"not amount is null", "(not (null? amount))"},
        {"not not amount is null", "(null? amount)"},
        {"not not not active", "(not (= active true))"},
        {"amount in (1)", "(in amount 1)"},
        {"amount in (1, -2,3)", "(in amount 1 -2 3)"},
        {"amount not in (1, null)", "(not (in amount 1 null))"},
        {"title in ('a', 'b')", "(in title 'a' 'b')"},
        {"active", "(= active true)"},
        {"not active", "(not (= active true))"},
        {"active and not hidden", "(and (= active true) (not (= hidden true)))"},
        {"active = hidden", "(= active hidden)"},
        {"active != false", "(!= active false)"},
        {"active in (true, null)", "(in active true null)"},
        {"active = (amount < 1)", "(= active (< amount 1))"},
        {"(amount < 1) = (cap < 1)", "(= (< amount 1) (< cap 1))"},
        {"(amount < 1) is null", "(null? (< amount 1))"},
        {"a1 = 1", "at character 1: `a1` is no property of `things`"},
        {"contains(title, 'x')", "(contains title 'x')"},
        {"startsWith(title, code)", "(startsWith title code)"},
        {"contains(store.city, title) = active", "(= (contains store.city title) active)"},
        {"since <= now()", "(<= since now)"},
        {"since <= now ( )", "(<= since now)"},
        {"now() > since", "(> now since)"},
        {"store.city = 'x'", "(= store.city 'x')"},
        {"store . city = 'x'", "(= store.city 'x')"},
        {"store.in = 'x'", "(= store.in 'x')"},
        {"store.deep.name = 'x'", "(= store.deep.name 'x')"},
        {"store.deep.Size_1 = 1", "(= store.deep.Size_1 1)"},
        {"store.open", "(= store.open true)"},
        {"store is null", "(null? store)"},
        {"store.opened is null", "(null? store.opened)"},
        {"store.tags is not null", "(not (null? store.tags))"},
        // Precedence, and chains as one node.
        {"amount=1 or amount=2 and amount=3", "(or (= amount 1) (and (= amount 2) (= amount 3)))"},
        {"(amount=1 or amount=2) and amount=3",
         "(and (or (= amount 1) (= amount 2)) (= amount 3))"},
        {"not amount=1 and amount=2", "(and (not (= amount 1)) (= amount 2))"},
        {"not (amount=1 and amount=2)", "(not (and (= amount 1) (= amount 2)))"},
        {"amount=1 and amount=2 and amount=3", "(and (= amount 1) (= amount 2) (= amount 3))"},
        {"amount=1 and (amount=2 and amount=3)", "(and (= amount 1) (= amount 2) (= amount 3))"},
        {"(amount=1 or amount=2) or amount=3", "(or (= amount 1) (= amount 2) (= amount 3))"},
        // The shipped coupons.
        {"cap is null or amount <= cap", "(or (null? cap) (<= amount cap))"},
    };
    CHECK_CASES(EXPRESSION_FOR_PREDICATE, NULL, cases);
}

static void syntax_errors(void **state) {
    static const struct parse_case cases[] = {
        {"", "at character 1: expected a value, found the end"},
        {"  ", "at character 3: expected a value, found the end"},
        {"amount", "at character 1: expected a condition, but `amount` is an integer"},
        {"amount =", "at character 9: expected a value, found the end"},
        {"amount = )", "at character 10: expected a value, found `)`"},
        {"amount = 1)", "at character 11: expected `and`, `or` or the end, found `)`"},
        {"(amount = 1", "at character 12: expected `)`, found the end"},
        {"amount = 1 cap = 1", "at character 12: expected `and`, `or` or the end, found `cap`"},
        {"amount 1", "at character 8: expected a comparison or the end, found `1`"},
        {"1 < amount < 3", "at character 12: expected `and`, `or` or the end, found `<`"},
        {"amount == 1", "at character 9: expected a value, found `=`"},
        {"amount <> 1", "at character 9: expected a value, found `>`"},
        {"amount = 1 AND cap = 2", "at character 12: expected `and`, `or` or the end, found `AND`"},
        {"amount = 1 && cap = 2", "at character 12: `&` has no meaning here"},
        {"amount = 1; drop", "at character 11: `;` has no meaning here"},
        {"title = \"x\"", "at character 9: a string stands in single quotes: 'like this'"},
        {"title = 'x", "at character 9: the string that begins here does not end"},
        {"title = 'x''", "at character 9: the string that begins here does not end"},
        {"title = '", "at character 9: the string that begins here does not end"},
        {"title = 'ü' ü", "at character 13: `ü` has no meaning here"},
        {"title = \x01", "at character 9: a control character (U+0001) has no meaning here"},
        {"title = '\xff'", "at character 10: this is not valid UTF-8"},
        {"title = '\xc3", "at character 10: this is not valid UTF-8"},
        {"title = '\xed\xa0\x80'", "at character 10: this is not valid UTF-8"},
        {"not", "at character 4: expected a value, found the end"},
        {"and", "at character 1: expected a value, found `and`"},
        {"amount is", "at character 10: expected `null` or `not null`, found the end"},
        {"amount is 5", "at character 11: expected `null` or `not null`, found `5`"},
        {"amount is not 5", "at character 15: expected `null`, found `5`"},
        {"amount not 5", "at character 12: expected `in` after `not`, found `5`"},
        {"amount in 5", "at character 11: expected `(` after `in`, found `5`"},
        {"amount in ()", "at character 12: expected a literal, found `)`"},
        {"amount in (1,)", "at character 14: expected a literal, found `)`"},
        {"amount in (cap)", "at character 12: expected a literal, found `cap`"},
        {"amount in (1 2)", "at character 14: expected `,` or `)`, found `2`"},
        {"amount in (-cap)", "at character 12: expected a value, found `-`"},
        {"amount = 01", "at character 10: expected a number, found `01`"},
        {"amount = 1.", "at character 10: expected a number, found `1.`"},
        {"amount = .5", "at character 10: expected a value, found `.`"},
        {"amount = 1e", "at character 10: expected a number, found `1e`"},
        {"amount = 1e+", "at character 10: expected a number, found `1e+`"},
        {"amount = 1x", "at character 10: expected a number, found `1x`"},
        {"amount = 1.2.3", "at character 10: expected a number, found `1.2.3`"},
        {"amount = 0x10", "at character 10: expected a number, found `0x10`"},
        {"amount = - 1", "at character 10: expected a value, found `-`"},
        {"amount = --1", "at character 10: expected a value, found `-`"},
        {"amount = +1", "at character 10: expected a value, found `+`"},
        {"amount = -cap", "at character 10: expected a value, found `-`"},
        {"amount + 1 = 2", "at character 8: arithmetic is for `set` alone"},
        {"amount -1 = 2", "at character 8: arithmetic is for `set` alone"},
        {"amount * 2 = 2", "at character 8: arithmetic is for `set` alone"},
        {"now > since", "at character 5: expected `(` after `now`, found `>`"},
        {"now(1) > since", "at character 5: expected `)`, as `now()` takes nothing, found `1`"},
        {"contains title",
         "at character 10: expected `(` after the function's name, found `title`"},
        {"contains(title)", "at character 15: expected `,` and what to look for, found `)`"},
        {"contains(title, 'a', 'b')", "at character 20: expected `)`, found `,`"},
        {"contains(title, 'a'", "at character 20: expected `)`, found the end"},
        {"store. = 1", "at character 8: expected a member's name, found `=`"},
        {"store.", "at character 7: expected a member's name, found the end"},
        {"store.town = 'x'", "at character 7: `store` has no member `town`"},
        {"store.deep.town = 'x'", "at character 12: `store.deep` has no member `town`"},
        {"store.city.x = 'x'", "at character 12: `store.city` is no object and has no members"},
        {"title.x = 'x'", "at character 7: `title` is no object and has no members"},
        {"null", "at character 1: expected a condition, but `null` is null"},
        {"'x'", "at character 1: expected a condition, but `'x'` is a string"},
        {"active and title", "at character 12: expected a condition, but `title` is a string"},
        {"title and active", "at character 1: expected a condition, but `title` is a string"},
        {"not title", "at character 5: expected a condition, but `title` is a string"},
        {"not now()", "at character 5: expected a condition, but `now()` is a date-time"},
        {"store", "at character 1: expected a condition, but `store` is an object"},
        {"'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaüüüüüüüüüüü' and active",
         "at character 1: expected a condition, but "
         "`'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is a string"},
    };
    CHECK_CASES(EXPRESSION_FOR_PREDICATE, NULL, cases);
}

static void types_that_do_not_meet(void **state) {
    static const struct parse_case cases[] = {
        {"  amount = 'x'",
         "at character 3: `amount` is an integer and cannot be compared with a string"},
        {"'x' = amount",
         "at character 7: `amount` is an integer and cannot be compared with a string"},
        {"amount = true",
         "at character 1: `amount` is an integer and cannot be compared with a boolean"},
        {"amount = title", "at character 1: `amount` is an integer and cannot be compared with "
                           "`title`, which is a string"},
        {"title = 5", "at character 1: `title` is a string and cannot be compared with an integer"},
        {"title = 5.5", "at character 1: `title` is a string and cannot be compared with a number"},
        {"rate = '5'", "at character 1: `rate` is a number and cannot be compared with a string"},
        {"active = 1",
         "at character 1: `active` is a boolean and cannot be compared with an integer"},
        {"active < hidden", "at character 1: `active` is a boolean, and booleans have no order"},
        {"active >= true", "at character 1: `active` is a boolean, and booleans have no order"},
        {"true < false", "at character 1: booleans have no order"},
        {"1 = 'x'", "at character 1: an integer cannot be compared with a string"},
        {"price = rate", "at character 1: `price` is a decimal and cannot be compared with `rate`, "
                         "which is a number"},
        {"price = amount", "at character 1: `price` is a decimal and cannot be compared with "
                           "`amount`, which is an integer"},
        {"price < fee", "at character 1: `price` has 2 digits behind the point and `fee` has 4: "
                        "decimals of different scales cannot be compared"},
        {"price = true",
         "at character 1: `price` is a decimal and cannot be compared with a boolean"},
        {"price = 12.345", "at character 9: `12.345` has more digits behind the point than the 2 "
                           "that are kept"},
        {"price = '0.001'",
         "at character 9: `'0.001'` has more digits behind the point than the 2 that are kept"},
        {"price = 1e2", "at character 9: `1e2` is not a decimal, as 12.50 is"},
        {"price = 'x'", "at character 9: `'x'` is not a decimal, as 12.50 is"},
        {"price = ''", "at character 9: `''` is not a decimal, as 12.50 is"},
        {"price = '1.'", "at character 9: `'1.'` is not a decimal, as 12.50 is"},
        {"price = 99999999999999999999.5",
         "at character 9: `99999999999999999999.5` is too large for a decimal"},
        {"price = 92233720368547758.08",
         "at character 9: `92233720368547758.08` is too large for a decimal"},
        {"price in (1, 'y')", "at character 14: `'y'` is not a decimal, as 12.50 is"},
        {"since = '2016-08-05'",
         "at character 9: `'2016-08-05'` is not a date-time, as 2016-08-05T08:40:51Z is"},
        {"since = day", "at character 1: `since` is a date-time and cannot be compared with `day`, "
                        "which is a date"},
        {"since = 5", "at character 1: `since` is a date-time and cannot be compared with an "
                      "integer"},
        {"now() > day", "at character 1: `now()` is a date-time and cannot be compared with `day`, "
                        "which is a date"},
        {"day = '2023-02-29'", "at character 7: `'2023-02-29'` is not a date, as 2016-08-05 is"},
        {"uid = 'x'", "at character 7: `'x'` is not a UUID"},
        {"uid = title", "at character 1: `uid` is a UUID and cannot be compared with `title`, "
                        "which is a string"},
        {"digest = 'abc'", "at character 10: `'abc'` is not a digest of 64 hexadecimal digits"},
        {"digest = title", "at character 1: `digest` is a digest and cannot be compared with "
                           "`title`, which is a string"},
        {"store = 'x'",
         "at character 1: `store` is an object, of which only `is null` can be asked"},
        {"store = tags",
         "at character 1: `store` is an object, of which only `is null` can be asked"},
        {"title = tags",
         "at character 9: `tags` is an array, of which only `is null` can be asked"},
        {"anything in (1)", "at character 1: `anything` is a value of several types, of which only "
                            "`is null` can be asked"},
        {"store.mixed = 1", "at character 1: `store.mixed` is a value of several types, of which "
                            "only `is null` can be asked"},
        {"store.opened < now()", "at character 1: `store.opened` is a date-time inside an object, "
                                 "kept as it was sent, of which only `is null` can be asked"},
        {"store.fee = 5", "at character 1: `store.fee` is a decimal inside an object, kept as it "
                          "was sent, of which only `is null` can be asked"},
        {"contains(amount, 'x')",
         "at character 10: contains() takes strings, but `amount` is an integer"},
        {"startsWith(title, 5)", "at character 19: startsWith() takes strings, but `5` is an "
                                 "integer"},
        {"contains(uid, 'x')", "at character 10: contains() takes strings, but `uid` is a UUID"},
        {"contains(tags, 'x')",
         "at character 10: `tags` is an array, of which only `is null` can be asked"},
        {"1 in ('x')", "at character 1: an integer cannot be compared with a string"},
        {"amount in (1, 'x')",
         "at character 1: `amount` is an integer and cannot be compared with a string"},
        {"amount = 9223372036854775808", "at character 10: the integer does not fit 64 bits"},
        {"amount = -9223372036854775809", "at character 10: the integer does not fit 64 bits"},
        {"rate = 100000000000000000000", "at character 8: the integer does not fit 64 bits"},
        {"rate = 1e309", "at character 8: the number does not fit a double"},
        {"rate = -1e309", "at character 8: the number does not fit a double"},
    };
    CHECK_CASES(EXPRESSION_FOR_PREDICATE, NULL, cases);
}

static const struct parse_case literal_cases[] = {
    {"amount = 9223372036854775807", "(= amount 9223372036854775807)"},
    {"amount = -9223372036854775808", "(= amount -9223372036854775808)"},
    {"amount = -0", "(= amount 0)"},
    {"rate = 1", "(= rate 1r)"},
    {"rate = 9007199254740993", "(= rate 9007199254740992r)"},
    {"rate in (1, 2.5e1)", "(in rate 1r 25r)"},
    {"rate = amount", "(= rate amount)"},
    {"price = 12.5", "(= price 1250e-2)"},
    {"price = 12.500", "(= price 1250e-2)"},
    {"price = '12.50'", "(= price 1250e-2)"},
    {"price = -12", "(= price -1200e-2)"},
    {"price = 92233720368547758.07", "(= price 9223372036854775807e-2)"},
    {"price in (1, 2.5, '3', null)", "(in price 100e-2 250e-2 300e-2 null)"},
    {"price = cost", "(= price cost)"},
    {"since = '2016-08-05T10:40:51.6204+02:00'", "(= since 2016-08-05T08:40:51.620Z)"},
    {"'2016-08-05t08:40:51z' < since", "(> since 2016-08-05T08:40:51.000Z)"},
    {"now() > '2016-08-05T08:40:51Z'", "(> now 2016-08-05T08:40:51.000Z)"},
    {"day = '2024-02-29'", "(= day 2024-02-29)"},
    {"uid = 'F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6'",
     "(= uid f81d4fae-7dec-11d0-a765-00a0c91e6bf6)"},
    {"digest = '2C26B46B68FFC68FF99B453C1D30413413422D706483BFA0F98A5E886266E7AE'",
     "(= digest x32)"},
    {"store.since = '2024-02-29'", "(= store.since '2024-02-29')"},
    // An integer knows on which side of a fraction it is.
    {"amount = 5.0", "(= amount 5)"},
    {"amount = 5e0", "(= amount 5)"},
    {"amount = 0.5e1", "(= amount 5)"},
    {"amount = 500e-2", "(= amount 5)"},
    {"amount = 5.5", "false"},
    {"amount != 5.5", "true"},
    {"amount < 5.5", "(<= amount 5)"},
    {"amount <= 5.5", "(<= amount 5)"},
    {"amount > 5.5", "(> amount 5)"},
    {"amount >= 5.5", "(> amount 5)"},
    {"5.5 > amount", "(<= amount 5)"},
    {"amount < -5.5", "(<= amount -6)"},
    {"amount > -5.5", "(> amount -6)"},
    {"amount < -0.5", "(<= amount -1)"},
    {"amount < 0.0", "(< amount 0)"},
    {"amount < -0.0", "(< amount 0)"},
    {"amount < 1e-400", "(<= amount 0)"},
    {"amount > -1e-400", "(> amount -1)"},
    {"amount = 0e400", "(= amount 0)"},
    {"amount <= 9007199254740993.0", "(<= amount 9007199254740993)"},
    {"amount <= 9007199254740992.9", "(<= amount 9007199254740992)"},
    {"amount <= 9223372036854775807.0", "(<= amount 9223372036854775807)"},
    {"amount <= 9223372036854775807.5", "(<= amount 9223372036854775807)"},
    {"amount >= -9223372036854775808.0", "(>= amount -9223372036854775808)"},
    {"amount >= -9223372036854775808.5", "(not (null? amount))"},
    {"amount < -9223372036854775808.5", "false"},
    {"amount < 1e19", "(not (null? amount))"},
    {"amount > 1e19", "false"},
    {"amount = 1e19", "false"},
    {"amount != 1e19", "true"},
    {"amount > -1e300", "(not (null? amount))"},
    {"amount <= -1e300", "false"},
    {"amount in (1.0, 2.5, 3e0)", "(in amount 1 3)"},
    {"amount in (2.5)", "false"},
    {"amount not in (2.5, 1e30)", "true"},
    {"amount in (2.5, null)", "(in amount null)"},
    {"store.size < 5.5", "(<= store.size 5)"},
    {"store.lat < 5", "(< store.lat 5r)"},
    // What depends on no record.
    {"true", "true"},
    {"not true", "false"},
    {"1 < 2", "true"},
    {"1 < 1.5", "true"},
    {"1.5 in (1, 1.5)", "true"},
    {"'a' < 'b'", "true"},
    {"'a' = 'b' or 'a' = 'a'", "true"},
    {"null = null", "true"},
    {"null != null", "false"},
    {"null is null", "true"},
    {"5 is null", "false"},
    {"null < 5", "false"},
    {"5 = null", "false"},
    {"null != 5", "true"},
    {"null in (1, null)", "true"},
    {"null in (1)", "false"},
    {"amount = null", "(null? amount)"},
    {"null = amount", "(null? amount)"},
    {"amount != null", "(not (null? amount))"},
    {"null >= amount", "false"},
    {"store = null", "(null? store)"},
    {"contains('abc', 'bc')", "true"},
    {"contains('abc', '')", "true"},
    {"contains('', '')", "true"},
    {"contains('', 'a')", "false"},
    {"startsWith('abc', 'bc')", "false"},
    {"startsWith('abc', 'ab')", "true"},
    {"contains(title, null)", "false"},
    {"not startsWith(null, title)", "true"},
    {"active and false", "false"},
    {"active and true", "(= active true)"},
    {"true and active and hidden", "(and (= active true) (= hidden true))"},
    {"active or true", "true"},
    {"active or false", "(= active true)"},
    {"false or false", "false"},
    {"false or (active and hidden) or false", "(and (= active true) (= hidden true))"},
    {"active = true", "(= active true)"},
    {"false = active", "(= active false)"},
};

static void literals_become_what_they_are_beside(void **state) {
    CHECK_CASES(EXPRESSION_FOR_PREDICATE, NULL, literal_cases);
}

static void a_client_cannot_ask_for_what_is_write_only(void **state) {
    static const struct parse_case allowed[] = {{"secret != ''", "(!= secret '')"}};
    CHECK_CASES(EXPRESSION_FOR_PREDICATE, NULL, allowed);
    static const struct parse_case refused[] = {
        {"startsWith(secret, 'a')", "at character 12: `secret` cannot be asked for"},
        {"amount = 1", "(= amount 1)"},
        {"amount", "at character 1: expected a condition, but `amount` is an integer"},
    };
    CHECK_CASES(EXPRESSION_FOR_QUERY, NULL, refused);
}

static void defaults(void **state) {
    static const struct parse_case times[] = {
        {"now()", "now"},
        {"null", "null"},
        {"'2024-01-01T00:00:00Z'", "2024-01-01T00:00:00.000Z"},
        {"'x'", "at character 1: `'x'` is not a date-time, as 2016-08-05T08:40:51Z is"},
        {"5", "at character 1: `since` is a date-time and cannot be an integer"},
        {"until", "at character 1: a default cannot depend on properties"},
        {"", "at character 1: expected a value, found the end"},
    };
    CHECK_CASES(EXPRESSION_FOR_DEFAULT, "since", times);
    static const struct parse_case integers[] = {
        {"5", "5"},
        {"1 + 1", "at character 3: arithmetic is for `set` alone"},
        {"now()", "at character 1: `amount` is an integer and cannot be `now()`, which is a "
                  "date-time"},
        {"5.5", "at character 1: `amount` is an integer and cannot be a number"},
        {"5 6", "at character 3: expected a comparison or the end, found `6`"},
    };
    CHECK_CASES(EXPRESSION_FOR_DEFAULT, "amount", integers);
    static const struct parse_case booleans[] = {
        {"true", "true"},
        {"now() > '2024-01-01T00:00:00Z'", "(= (> now 2024-01-01T00:00:00.000Z) true)"},
    };
    CHECK_CASES(EXPRESSION_FOR_DEFAULT, "active", booleans);
    static const struct parse_case objects[] = {
        {"null", "null"},
        {"'x'", "at character 1: `store` is an object and cannot be a string"},
    };
    CHECK_CASES(EXPRESSION_FOR_DEFAULT, "store", objects);
    static const struct parse_case reals[] = {{"5", "5r"}, {"2.5", "2.5r"}};
    CHECK_CASES(EXPRESSION_FOR_DEFAULT, "rate", reals);
    static const struct parse_case decimals[] = {
        {"5", "500e-2"},
        {"'2.5'", "250e-2"},
        {"0.001", "at character 1: `0.001` has more digits behind the point than the 2 that are "
                  "kept"}};
    CHECK_CASES(EXPRESSION_FOR_DEFAULT, "price", decimals);
}

static void others(void **state) {
    static const struct parse_case conditions[] = {
        {"title = this.title and amount > 1", "(and (= title (this title)) (> amount 1))"},
        {"this.store.city = store.city", "(= (this store.city) store.city)"},
        {"5 < this.amount", "(> (this amount) 5)"},
        {"this.active", "(= (this active) true)"},
        {"not this.active", "(not (= (this active) true))"},
        {"this.until is null", "(null? (this until))"},
        {"this.amount in (1, 2)", "(in (this amount) 1 2)"},
        {"contains(title, this.code)", "(contains title (this code))"},
        {"this.amount = title",
         "at character 1: `this.amount` is an integer and cannot be compared with `title`, which "
         "is a string"},
        {"this.store = 'x'",
         "at character 1: `this.store` is an object, of which only `is null` can be asked"},
        {"this.none = 1", "at character 6: `none` is no property of `things`"},
        {"this.store.none = 1", "at character 12: `store` has no member `none`"},
        {"this", "at character 5: expected `.` after `this`, found the end"},
        {"this.5 = 1", "at character 6: expected a property's name, found `5`"},
        {"this.'a' = 1", "at character 6: expected a property's name, found `'a'`"},
        {"this.this.title = 'a'", "at character 6: `this` is no property of `things`"},
        {"this.amount + 1 = 2", "at character 13: arithmetic is for `set` alone"},
    };
    CHECK_CASES(EXPRESSION_FOR_OTHERS, NULL, conditions);
    static const struct parse_case sets[] = {
        {"this.amount + amount", "(+ (this amount) amount)"},
        {"this.title", "at character 1: `amount` is an integer and cannot be `this.title`, which "
                       "is a string"},
    };
    CHECK_CASES(EXPRESSION_FOR_OTHERS_SET, "amount", sets);
    static const struct parse_case booleans[] = {
        {"this.active", "(this active)"},
        {"this.amount > 1", "(= (> (this amount) 1) true)"},
    };
    CHECK_CASES(EXPRESSION_FOR_OTHERS_SET, "active", booleans);
    static const struct parse_case elsewhere[] = {
        {"this.title = 'a'", "at character 1: `this` is for `others` alone"},
    };
    CHECK_CASES(EXPRESSION_FOR_PREDICATE, NULL, elsewhere);
    CHECK_CASES(EXPRESSION_FOR_QUERY, NULL, elsewhere);
    CHECK_CASES(EXPRESSION_FOR_SET, "title", elsewhere);
}

static void paths_through_references(void **state) {
    static const struct parse_case cases[] = {
        {"next = 5", "(= next 5)"},
        {"next.title = 'a'", "(= (next title) 'a')"},
        {"5 < next . amount", "(> (next amount) 5)"},
        {"next.store.deep.name = title", "(= (next store.deep.name) title)"},
        {"next.active", "(= (next active) true)"},
        {"next.price in (1.5, null)", "(in (next price) 150e-2 null)"},
        {"contains(next.title, next.code)", "(contains (next title) (next code))"},
        {"next.store is null", "(null? (next store))"},
        {"next.next is null", "(null? (next next))"},
        {"next.id = 5", "(= next 5)"}, // the key is what the reference is
        {"next.id.x = 5", "at character 9: `next.id` is no object and has no members"},
        {"next.next.title = 'a'",
         "at character 10: a path leads through one reference, and `next.next` is the second one"},
        {"next.none = 1", "at character 6: `none` is no property of `things`"},
        {"next.", "at character 6: expected a property's name, found the end"},
        {"next.5 = 5", "at character 6: expected a property's name, found `5`"},
        {"next.store.none = 1", "at character 12: `next.store` has no member `none`"},
        {"next.anything.x = 1",
         "at character 15: `next.anything` declares no `properties`, so nothing is known of its "
         "members"},
        {"next.amount = title",
         "at character 1: `next.amount` is an integer and cannot be compared "
         "with `title`, which is a string"},
        {"next.price = next.fee",
         "at character 1: `next.price` has 2 digits behind the point and `next.fee` has 4: "
         "decimals of different scales cannot be compared"},
        {"next.amount + 1 = 2", "at character 13: arithmetic is for `set` alone"},
    };
    CHECK_CASES(EXPRESSION_FOR_FILTER, NULL, cases);
    CHECK_CASES(EXPRESSION_FOR_QUERY, NULL, cases);
    static const struct parse_case secret[] = {{"next.secret = 'a'", "(= (next secret) 'a')"}};
    CHECK_CASES(EXPRESSION_FOR_FILTER, NULL, secret);
    static const struct parse_case asked[] = {
        {"next.secret = 'a'", "at character 1: `next.secret` cannot be asked for"}};
    CHECK_CASES(EXPRESSION_FOR_QUERY, NULL, asked);
    static const struct parse_case elsewhere[] = {
        {"next.title = 'a'",
         "at character 1: `next` refers to a record of `things`, into which filters alone can "
         "look"}};
    CHECK_CASES(EXPRESSION_FOR_PREDICATE, NULL, elsewhere);
    CHECK_CASES(EXPRESSION_FOR_OTHERS, NULL, elsewhere);
    CHECK_CASES(EXPRESSION_FOR_SET, "title", elsewhere);
}

// What nobody can read, the definition may still ask about.
static void references_to_what_nobody_reads(void **state) {
    static const struct parse_case named[] = {{"next.title = 'a'", "(= (next title) 'a')"}};
    static const struct parse_case asked[] = {
        {"next.title = 'a'",
         "at character 1: `next` refers to a record of `things`, which has no action `read`"},
        {"next = 5", "(= next 5)"}};
    things.actions[ACTION_READ] = false;
    CHECK_CASES(EXPRESSION_FOR_FILTER, NULL, named);
    CHECK_CASES(EXPRESSION_FOR_QUERY, NULL, asked);
    things.actions[ACTION_READ] = true;
}

static void what_looks_into_others(void **state) {
    static const struct {
        const char *source;
        bool refers;
    } cases[] = {
        {"next = 5", false},
        {"next.id = 5", false},
        {"next.title = 'a'", true},
        {"amount = 1 or not (title = 'a' and contains(title, next.code))", true},
        {"next.title = 'a' and false", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = {0};
        struct failure failure;
        const struct expression *expression =
            parse_for(&arena, EXPRESSION_FOR_FILTER, NULL, cases[i].source, &failure);
        assert_non_null(expression);
        assert_true_for(expression_refers(expression) == cases[i].refers, cases[i].source);
        arena_free(&arena);
    }
}

static void assert_place(const char *source, const struct expression *part, const char *place) {
    assert_text_is(text_of(source + part->start, part->end - part->start), place);
}

static void parts_know_where_they_stand(void **state) {
    static const char source[] = " amount > 1 and (active or cap = 2) and (title = 'a' and not "
                                 "hidden) and true";
    struct arena arena = {0};
    struct failure failure;
    const struct expression *all =
        parse_for(&arena, EXPRESSION_FOR_PREDICATE, NULL, source, &failure);
    assert_non_null(all);
    assert_int_equal(all->kind, EXPRESSION_AND);
    assert_int_equal(all->operand_count, 4);
    assert_place(source, all->operands[0], "amount > 1");
    assert_place(source, all->operands[1], "(active or cap = 2)");
    assert_place(source, all->operands[2], "title = 'a'");
    assert_place(source, all->operands[3], "not hidden");
    static const char alone[] = "  not (amount > 1) ";
    const struct expression *one =
        parse_for(&arena, EXPRESSION_FOR_PREDICATE, NULL, alone, &failure);
    assert_place(alone, one, "not (amount > 1)");
    arena_free(&arena);
}

static void arithmetic(void **state) {
    static const struct parse_case integers[] = {
        {"amount + 1", "(+ amount 1)"},
        {"amount+1", "(+ amount 1)"},
        {"amount -1", "(- amount 1)"},
        {"amount - -1", "(- amount -1)"},
        {"amount - 1 - cap", "(- (- amount 1) cap)"},
        {"amount - (1 - cap)", "(- amount (- 1 cap))"},
        {"amount + cap * 2", "(+ amount (* cap 2))"},
        {"(amount + cap) * 2", "(* (+ amount cap) 2)"},
        {"amount * 2 * 3", "(* (* amount 2) 3)"},
        {"store.size * 2", "(* store.size 2)"},
        {"cap", "cap"},
        {"amount + 1.5", "at character 1: `amount` is an integer and cannot be `amount + 1.5`, "
                         "which is a number"},
        {"amount + 'x'", "at character 1: `amount` is an integer and cannot be added to a string"},
        {"amount * title", "at character 1: `amount` is an integer and cannot be multiplied by "
                           "`title`, which is a string"},
        {"amount - null", "at character 1: `amount` is an integer and cannot be reckoned with "
                          "null"},
        {"1 + 'x'", "at character 1: an integer cannot be added to a string"},
        {"store + 1", "at character 1: `store` is an object and cannot be added to an integer"},
        {"amount + since", "at character 1: `amount` is an integer and cannot be added to `since`, "
                           "which is a date-time"},
        {"title", "at character 1: `amount` is an integer and cannot be `title`, which is a "
                  "string"},
        {"60 * 60 * 24", "86400"},
        {"amount + (1 + 2) * -3", "(+ amount -9)"},
        {"9223372036854775807 + 1",
         "at character 1: the result of this calculation is out of range"},
        {"amount + -9223372036854775808 * -1",
         "at character 10: the result of this calculation is out of range"},
        {"1 + 0.5", "at character 1: `amount` is an integer and cannot be a number"},
        {"amount > 5", "at character 1: `amount` is an integer and cannot be `amount > 5`, which "
                       "is a boolean"},
    };
    CHECK_CASES(EXPRESSION_FOR_SET, "amount", integers);
    static const struct parse_case reals[] = {
        {"rate + 1", "(+ rate 1r)"},           {"1 - rate", "(- 1r rate)"},
        {"amount * 1.5", "(* amount 1.5r)"},   {"amount + rate", "(+ amount rate)"},
        {"amount + 1", "(* (+ amount 1) 1r)"}, {"amount", "(* amount 1r)"},
    };
    CHECK_CASES(EXPRESSION_FOR_SET, "rate", reals);
    static const struct parse_case decimals[] = {
        {"price + 1", "(+ price 100e-2)"},
        {"price + (1 + 2)", "(+ price 300e-2)"},
        {"price + 0.5 * 3", "(+ price 150e-2)"},
        {"1 + 2", "300e-2"},
        {"price - 0.01", "(- price 1e-2)"},
        {"'0.5' + price", "at character 1: a string cannot be added to a decimal"},
        {"price + cost", "(+ price cost)"},
        {"price * 2", "(* price 2)"},
        {"amount * price", "(* amount price)"},
        {"price * 1.5",
         "at character 1: `price` is a decimal and cannot be multiplied by a number"},
        {"price * cost", "at character 1: `price` is a decimal and cannot be multiplied by `cost`, "
                         "which is a decimal"},
        {"price + amount", "at character 1: `price` is a decimal and cannot be added to `amount`, "
                           "which is an integer"},
        {"price + fee", "at character 1: `price` is a decimal and cannot be added to `fee`, which "
                        "is a decimal"},
        {"price + 0.001", "at character 9: `0.001` has more digits behind the point than the 2 "
                          "that are kept"},
        {"fee", "at character 1: `price` is a decimal and cannot be `fee`, which is a decimal"},
    };
    CHECK_CASES(EXPRESSION_FOR_SET, "price", decimals);
    static const struct parse_case booleans[] = {
        {"hidden", "hidden"},
        {"amount > 1 + 2 * 3", "(= (> amount 7) true)"},
        {"amount + 1 > cap",
         "at character 1: `amount + 1` cannot be calculated inside a condition"},
        {"1 = (cap*2)", "at character 5: `(cap*2)` cannot be calculated inside a condition"},
        {"(amount + 1) in (2)",
         "at character 1: `(amount + 1)` cannot be calculated inside a condition"},
        {"amount - 1 is null",
         "at character 1: `amount - 1` cannot be calculated inside a condition"},
        {"not hidden", "(= (not (= hidden true)) true)"},
    };
    CHECK_CASES(EXPRESSION_FOR_SET, "active", booleans);
    static const struct parse_case objects[] = {
        {"store", "at character 1: `store` is an object and cannot be `store`, which is an object"},
    };
    CHECK_CASES(EXPRESSION_FOR_SET, "store", objects);
}

static void nul_is_refused(void **state) {
    struct arena arena = {0};
    struct failure failure;
    size_t offset = 0;
    assert_null(expression_parse(&arena, &things, EXPRESSION_FOR_PREDICATE, NULL,
                                 TEXT("title = 'ü\0'"), &failure, &offset));
    assert_string_equal(failure.detail, "at character 11: a string cannot have U+0000");
    assert_int_equal(offset, 11);
    assert_null(expression_parse(&arena, &things, EXPRESSION_FOR_PREDICATE, NULL, TEXT("active\0"),
                                 &failure, &offset));
    assert_string_equal(failure.detail,
                        "at character 7: a control character (U+0000) has no meaning here");
    arena_free(&arena);
}

// `count` times a text, then one more.
static void repeat(struct buffer *out, const char *text, int count) {
    for (int i = 0; i < count; i++)
        buffer_append_string(out, text);
}

static bool parses(enum expression_purpose purpose, const char *target, struct text source,
                   struct failure *failure) {
    struct arena arena = {0};
    struct property *property =
        target ? resource_property(&things, text_from_string(target)) : NULL;
    bool parsed =
        expression_parse(&arena, &things, purpose, property, source, failure, NULL) != NULL;
    arena_free(&arena);
    return parsed;
}

// Opening texts, the word behind the innermost, and closing ones: as deep as is allowed, and one
// deeper.
static void check_depth(const char *opening, const char *closing, int limit, const char *detail) {
    for (int more = 0; more < 2; more++) {
        struct buffer source;
        struct failure failure = {0};
        buffer_init(&source);
        repeat(&source, opening, limit + more);
        buffer_append_string(&source, "id = 1");
        repeat(&source, closing, limit + more);
        bool parsed = parses(EXPRESSION_FOR_PREDICATE, NULL, buffer_text(&source), &failure);
        assert_true_for(parsed == (more == 0), opening);
        if (more)
            assert_non_null(strstr(failure.detail, detail));
        buffer_free(&source);
    }
}

static void depth_is_bounded(void **state) {
    static const char levels[] =
        "at character 1: an expression has at most 12 levels of conditions";
    static const char depth[] = "an expression has at most 64 parentheses and `not`";
    check_depth("(", ")", 64, depth);
    check_depth("not ", "", 64, depth);
    check_depth("not (", ")", 32, depth);
    check_depth("active and (", ")", 64, depth); // one level
    check_depth("active = (", ")", 12, levels);
    check_depth("active and (hidden or (", "))", 6, levels);
    check_depth("active and hidden or active and (", ")", 6, levels);
    check_depth("(active = (", ") and hidden)", 6, levels);
    check_depth("not (active and ", ")", 6, levels);
    check_depth("(", ") in (true)", 12, levels);
    check_depth("(", ") = true", 12, levels);
}

static void length_is_bounded_and_chains_are_not_deep(void **state) {
    static const struct {
        const char *target;
        const char *first;
        const char *more;
        const char *last;
        enum expression_purpose purpose;
        int count;
    } chains[] = {
        {NULL, "active", " and active", "", EXPRESSION_FOR_PREDICATE, EXPRESSION_MAX_NODES},
        {NULL, "active", " or (active)", "", EXPRESSION_FOR_PREDICATE, EXPRESSION_MAX_NODES / 2},
        {NULL, "amount in (1", ", 1", ")", EXPRESSION_FOR_PREDICATE, EXPRESSION_MAX_NODES - 1},
        {"amount", "amount", " + 1", "", EXPRESSION_FOR_SET, EXPRESSION_MAX_NODES},
    };
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        for (int more = 0; more < 2; more++) {
            struct buffer source;
            struct failure failure = {0};
            buffer_init(&source);
            buffer_append_string(&source, chains[i].first);
            repeat(&source, chains[i].more, chains[i].count - 1 + more);
            buffer_append_string(&source, chains[i].last);
            bool parsed =
                parses(chains[i].purpose, chains[i].target, buffer_text(&source), &failure);
            assert_true_for(parsed == (more == 0), chains[i].more);
            if (more)
                assert_non_null(strstr(failure.detail, "at most 500 parts"));
            buffer_free(&source);
        }
    }
}

static void reserved_words(void **state) {
    static const char *const reserved[] = {"in",   "is",    "and", "or",       "not",       "null",
                                           "true", "false", "now", "contains", "startsWith"};
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        assert_true_for(expression_is_reserved(text_from_string(reserved[i])), reserved[i]);
    static const char *const others[] = {"", "i", "inn", "In", "title", "now_", "an"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_true_for(!expression_is_reserved(text_from_string(others[i])), others[i]);
}

// The record that the evaluation's tables are about; what is not here is null.
static void make_record(struct value values[THING_COUNT]) {
    static const unsigned char digest[32] = {0x2c, 0x26};
    for (size_t i = 0; i < THING_COUNT; i++)
        values[i] = value_null();
    values[0] = value_integer(7);
    values[1] = value_text(VALUE_TEXT, TEXT("naïve 😀"));
    values[2] = value_text(VALUE_TEXT, TEXT(""));
    values[3] = value_integer(INT64_C(9007199254740993));
    values[5] = value_decimal(1250, 2);
    values[8] = value_real(9007199254740992.0);
    values[9] = value_real(-0.0);
    values[10] = value_boolean(true);
    values[12] = value_text(VALUE_TIMESTAMP, TEXT("2024-02-29T12:00:00.000Z"));
    values[14] = value_text(VALUE_DATE, TEXT("2024-02-29"));
    values[16] = value_text(VALUE_UUID, TEXT("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"));
    values[18] = value_text(VALUE_BYTES, text_of((const char *)digest, sizeof digest));
    values[19] = value_text(
        VALUE_JSON,
        TEXT("{\"city\":\"K\\u00f6ln\",\"zip\":null,\"size\":5.0,\"lat\":9007199254740993,"
             "\"open\":true,\"opened\":\"2024-02-29T12:00:00Z\",\"since\":5,"
             "\"deep\":{\"name\":\"x\",\"Size_1\":5.5},\"tags\":[]}"));
}

static const struct {
    const char *source;
    bool expected;
} condition_cases[] = {
    {"amount = 9007199254740993", true},
    {"amount = 9007199254740992", false},
    {"amount > rate", true},
    {"rate < amount", true},
    {"amount = rate", false},
    {"amount != rate", true},
    {"rate = 9007199254740993", true}, // the nearest double
    {"amount >= 9007199254740992.5", true},
    {"level = 0", true},
    {"level < 0", false},
    {"id < rate and id > level", true},
    {"cap = null", true},
    {"cap != 5", true},
    {"cap < 5", false},
    {"not cap < 5", true},
    {"cap >= 5", false},
    {"cap in (1, 2)", false},
    {"cap in (1, null)", true},
    {"cap not in (1, 2)", true},
    {"cap != cap", false},
    {"cap = cap", true},
    {"cap <= cap", false},
    {"amount = cap", false},
    {"amount != cap", true},
    {"cap < amount or cap is null", true},
    {"hidden", false},
    {"not hidden", true},
    {"hidden = false", false},
    {"hidden != true", true},
    {"hidden = active", false},
    {"active", true},
    {"active = (amount > 1)", true},
    {"hidden = (cap > 1)", false},
    {"(cap > 1) = false", true},
    {"(cap > 1) is null", false},
    {"(cap > 1) in (false)", true},
    {"price = 12.5", true},
    {"price > '12.49'", true},
    {"price < 12.50", false},
    {"price > cost", false},
    {"price != cost", true},
    {"since = now()", true},
    {"since < now()", false},
    {"since >= '2024-02-29T13:00:00+01:00'", true},
    {"until > now()", false},
    {"until is null or until > now()", true},
    {"day = '2024-02-29'", true},
    {"day > '2024-02-28'", true},
    {"uid = 'F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6'", true},
    {"uid < 'f81d4fae-7dec-11d0-a765-00a0c91e6bf7'", true},
    {"digest = '2c26000000000000000000000000000000000000000000000000000000000000'", true},
    {"title = 'naïve 😀'", true},
    {"title = 'Naïve 😀'", false},
    {"title > 'nz'", false},
    {"title < 'nb'", true},
    {"code = ''", true},
    {"code is null", false},
    {"code < title", true},
    {"contains(title, 'ïve ')", true},
    {"contains(title, 'IVE')", false},
    {"contains(title, '')", true},
    {"contains(title, code)", true},
    {"contains(code, title)", false},
    {"contains(code, '')", true},
    {"contains(secret, '')", false},
    {"contains(title, secret)", false},
    {"startsWith(title, 'naï')", true},
    {"startsWith(title, 'naïve 😀!')", false},
    {"startsWith(title, code)", true},
    {"startsWith(secret, '')", false},
    {"not startsWith(secret, '')", true},
    {"store is null", false},
    {"tags is null", true},
    {"store.city = 'Köln'", true},
    {"startsWith(store.city, 'K')", true},
    {"store.zip is null", true},
    {"store.zip = 'x'", false},
    {"store.zip != 'x'", true},
    {"store.in is null", true},
    {"store.size = 5", true}, // written as 5.0
    {"store.lat = 9007199254740992.0", true},
    {"store.lat < amount", true},
    {"store.open", true},
    {"store.opened is null", false},
    {"store.fee is null", true},
    {"store.tags is null", false},
    {"store.since is null", true}, // no string, as it should be
    {"store.deep is null", false},
    {"store.deep.name = 'x'", true},
    {"store.deep.Size_1 is null", true}, // no integer
    {"false", false},
    {"active and amount = 1", false},
    {"active and amount > 1 and id = 7", true},
    {"hidden or id = 7", true},
    {"hidden or id = 8", false},
};

static void conditions_of_a_record(void **state) {
    struct value values[THING_COUNT];
    make_record(values);
    for (size_t i = 0; i < sizeof condition_cases / sizeof condition_cases[0]; i++) {
        struct arena arena = {0};
        struct failure failure = {0};
        struct value result = value_null();
        const struct expression *tree =
            parse_for(&arena, EXPRESSION_FOR_PREDICATE, NULL, condition_cases[i].source, &failure);
        assert_true_for(tree != NULL, condition_cases[i].source);
        assert_true_for(expression_evaluate(tree, values, now, &arena, &result, &failure),
                        condition_cases[i].source);
        assert_true_for(result.kind == VALUE_BOOLEAN, condition_cases[i].source);
        assert_true_for(result.boolean == condition_cases[i].expected, condition_cases[i].source);
        arena_free(&arena);
    }
}

// The values that a set gives, or "overflow".
static void values_of_a_record(void **state) {
    static const struct {
        const char *target;
        const char *source;
        const char *expected;
    } cases[] = {
        {"amount", "id + 1", "8"},
        {"amount", "id - 8", "-1"},
        {"amount", "id * -3", "-21"},
        {"amount", "amount", "9007199254740993"},
        {"amount", "cap + 1", "null"},
        {"amount", "id + 9223372036854775800", "9223372036854775807"},
        {"amount", "id + 9223372036854775801", "overflow"},
        {"amount", "-9223372036854775808 - id", "overflow"},
        {"amount", "-9223372036854775808 * (id - 8)", "overflow"},
        {"amount", "amount * 1024 + cap", "null"},
        {"amount", "cap - amount * 1024", "null"},
        {"amount", "amount * 1024", "overflow"},
        {"amount", "amount * 1024 - amount * 1024", "overflow"},
        {"amount", "store.size + 1", "6"},
        {"amount", "null", "null"},
        {"rate", "id", "7r"},
        {"rate", "amount", "9007199254740992r"},
        {"rate", "id * 0.5", "3.5r"},
        {"rate", "rate * rate", "8.1129638414606682e+31r"},
        {"rate", "rate * 1e308", "overflow"},
        {"rate", "rate * 1e308 - rate * 1e308", "overflow"},
        {"rate", "cap * 0.5", "null"},
        {"price", "price + 0.01", "1251e-2"},
        {"price", "price * id", "8750e-2"},
        {"price", "price * amount", "overflow"},
        {"price", "cost - 1", "null"},
        {"until", "now()", "2024-02-29T12:00:00.000Z"},
        {"title", "store.city", "'Köln'"},
        {"title", "'x'", "'x'"},
        {"active", "hidden", "null"},
        {"active", "not hidden", "true"},
        {"active", "cap > 1", "false"},
    };
    struct value values[THING_COUNT];
    make_record(values);
    struct buffer out;
    buffer_init(&out);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = {0};
        struct failure failure = {0};
        struct value result = value_null();
        const struct expression *tree =
            parse_for(&arena, EXPRESSION_FOR_SET, cases[i].target, cases[i].source, &failure);
        assert_true_for(tree != NULL, cases[i].source);
        buffer_clear(&out);
        if (expression_evaluate(tree, values, now, &arena, &result, &failure)) {
            print_value(&out, result);
        } else {
            assert_int_equal(failure.code, FAILURE_OVERFLOW);
            buffer_append_string(&out, "overflow");
        }
        assert_text_is(buffer_text(&out), cases[i].expected);
        arena_free(&arena);
    }
    buffer_free(&out);
}

static void joined(void **state) {
    struct arena arena = {0};
    struct failure failure;
    struct buffer out;
    buffer_init(&out);
    assert_null(expression_and(&arena, NULL, NULL));
    struct expression *one =
        parse_for(&arena, EXPRESSION_FOR_PREDICATE, NULL, "active and hidden", &failure);
    struct expression *two = expression_equal(&arena, &thing_properties[3], value_integer(5));
    struct expression *three = expression_equal(&arena, &thing_properties[3], value_null());
    assert_ptr_equal(expression_and(&arena, one, NULL), one);
    assert_ptr_equal(expression_and(&arena, NULL, one), one);
    struct expression *all = expression_and(&arena, expression_and(&arena, two, one), three);
    print_tree(&out, all);
    assert_text_is(buffer_text(&out),
                   "(and (= amount 5) (= active true) (= hidden true) (null? amount))");
    buffer_clear(&out);
    struct expression *price =
        expression_equal(&arena, &thing_properties[5], value_decimal(1250, 2));
    assert_int_equal(price->operands[0]->scale, 2);
    assert_int_equal(price->operands[1]->scale, 2);
    print_tree(&out, price);
    assert_text_is(buffer_text(&out), "(= price 1250e-2)");
    buffer_free(&out);
    arena_free(&arena);
}

// The tree does not depend on the source, which may be gone.
static void the_source_may_go(void **state) {
    static const char source[] = "store.city = 'x' and day = '2024-02-29'";
    struct arena arena = {0};
    struct failure failure;
    char copy[sizeof source];
    memcpy(copy, source, sizeof source);
    struct expression *tree = parse_for(&arena, EXPRESSION_FOR_PREDICATE, NULL, copy, &failure);
    memset(copy, '?', sizeof copy);
    struct buffer out;
    buffer_init(&out);
    print_tree(&out, tree);
    assert_text_is(buffer_text(&out), "(and (= store.city 'x') (= day 2024-02-29))");
    buffer_free(&out);
    arena_free(&arena);
}

static void no_memory(void **state) {
    static const char source[] =
        "(title in ('it''s', null) or not contains(store.deep.name, 'x')) and price = 1.5 and "
        "since <= now() and uid != 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6' and amount < 5.5 and "
        "active and amount not in (1.5, 2) and id < 1e30 and startsWith(code, title)";
    struct value values[THING_COUNT];
    make_record(values);
    for (ALLOCATION_FAILURES(nth)) {
        struct arena arena = {0};
        struct failure failure = {0};
        struct value result;
        struct expression *tree =
            parse_for(&arena, EXPRESSION_FOR_PREDICATE, NULL, source, &failure);
        bool evaluated = tree && expression_evaluate(tree, values, now, &arena, &result, &failure);
        struct expression *more =
            evaluated ? expression_equal(&arena, &thing_properties[3], value_integer(5)) : NULL;
        struct expression *both = more ? expression_and(&arena, tree, more) : NULL;
        bool failed = allocation_allow();
        assert_int_equal(both == NULL, failed);
        if (!evaluated)
            assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
        arena_free(&arena);
        if (!failed)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grammar),
        cmocka_unit_test(syntax_errors),
        cmocka_unit_test(types_that_do_not_meet),
        cmocka_unit_test(literals_become_what_they_are_beside),
        cmocka_unit_test(a_client_cannot_ask_for_what_is_write_only),
        cmocka_unit_test(defaults),
        cmocka_unit_test(others),
        cmocka_unit_test(paths_through_references),
        cmocka_unit_test(references_to_what_nobody_reads),
        cmocka_unit_test(what_looks_into_others),
        cmocka_unit_test(parts_know_where_they_stand),
        cmocka_unit_test(arithmetic),
        cmocka_unit_test(nul_is_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(length_is_bounded_and_chains_are_not_deep),
        cmocka_unit_test(reserved_words),
        cmocka_unit_test(conditions_of_a_record),
        cmocka_unit_test(values_of_a_record),
        cmocka_unit_test(joined),
        cmocka_unit_test(the_source_may_go),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
