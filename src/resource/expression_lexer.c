#include "resource/expression_internal.h"

#include <stdarg.h>
#include <stdio.h>

// How many bytes of the source a message quotes.
enum { QUOTED_MAX = 60 };

bool parser_fail(struct parser *parser, size_t offset, const char *format, ...) {
    char detail[sizeof parser->failure->detail];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    parser->failure_offset = offset;
    size_t character = text_utf8_length(text_of(parser->source.data, offset)) + 1;
    return failure_set(parser->failure, FAILURE_INVALID_FILTER, "at character %zu: %s", character,
                       detail);
}

bool parser_expected(struct parser *parser, const char *what) {
    struct token token = parser->token;
    if (token.kind == TOKEN_END)
        return parser_fail(parser, token.start, "expected %s, found the end", what);
    struct text found = parser_slice(parser, token.start, token.end);
    if (found.size > QUOTED_MAX)
        found = text_whole_characters(text_of(found.data, QUOTED_MAX));
    return parser_fail(parser, token.start, "expected %s, found `%.*s`", what, TEXT_ARGS(found));
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name(char c) {
    return is_name_start(c) || is_digit(c);
}

// The byte at an offset, 0 at the end: the source has no U+0000 where it matters.
static char byte_at(const struct parser *parser, size_t offset) {
    return offset < parser->source.size ? parser->source.data[offset] : '\0';
}

static size_t skip_digits(const struct parser *parser, size_t offset) {
    while (is_digit(byte_at(parser, offset)))
        offset++;
    return offset;
}

// RFC 8259 section 6, without the sign, and not followed by what would be part of a name or number.
static bool scan_number(struct parser *parser) {
    size_t start = parser->token.start;
    size_t end = skip_digits(parser, start);
    bool valid = end == start + 1 || byte_at(parser, start) != '0';
    if (byte_at(parser, end) == '.') {
        size_t fraction = end + 1;
        end = skip_digits(parser, fraction);
        valid = valid && end > fraction;
    }
    if (byte_at(parser, end) == 'e' || byte_at(parser, end) == 'E') {
        size_t exponent = end + 1;
        if (byte_at(parser, exponent) == '+' || byte_at(parser, exponent) == '-')
            exponent++;
        end = skip_digits(parser, exponent);
        valid = valid && end > exponent;
    }
    if (is_name(byte_at(parser, end)) || byte_at(parser, end) == '.')
        valid = false;
    while (is_name(byte_at(parser, end)) || byte_at(parser, end) == '.')
        end++;
    parser->token.kind = TOKEN_NUMBER;
    parser->token.end = end;
    return valid || parser_expected(parser, "a number");
}

static bool scan_string(struct parser *parser) {
    size_t start = parser->token.start;
    size_t end = start + 1;
    for (; end < parser->source.size; end++) {
        if (parser->source.data[end] == '\0')
            return parser_fail(parser, end, "a string cannot have U+0000");
        if (parser->source.data[end] != '\'')
            continue;
        if (byte_at(parser, end + 1) != '\'')
            break;
        end++;
    }
    if (end >= parser->source.size)
        return parser_fail(parser, start, "the string that begins here does not end");
    parser->token.kind = TOKEN_STRING;
    parser->token.end = end + 1;
    return true;
}

static bool scan_name(struct parser *parser) {
    size_t end = parser->token.start;
    while (is_name(byte_at(parser, end)))
        end++;
    parser->token.kind = TOKEN_NAME;
    parser->token.end = end;
    return true;
}

// Longer ones stand before those that they begin with.
static const struct {
    struct text text;
    enum token_kind kind;
    enum comparison comparison;
} symbols[] = {
    {TEXT_INIT("!="), TOKEN_COMPARISON, COMPARISON_UNEQUAL},
    {TEXT_INIT("<="), TOKEN_COMPARISON, COMPARISON_LESS_OR_EQUAL},
    {TEXT_INIT(">="), TOKEN_COMPARISON, COMPARISON_GREATER_OR_EQUAL},
    {TEXT_INIT("="), TOKEN_COMPARISON, COMPARISON_EQUAL},
    {TEXT_INIT("<"), TOKEN_COMPARISON, COMPARISON_LESS},
    {TEXT_INIT(">"), TOKEN_COMPARISON, COMPARISON_GREATER},
    {TEXT_INIT("("), TOKEN_OPEN, COMPARISON_EQUAL},
    {TEXT_INIT(")"), TOKEN_CLOSE, COMPARISON_EQUAL},
    {TEXT_INIT(","), TOKEN_COMMA, COMPARISON_EQUAL},
    {TEXT_INIT("."), TOKEN_DOT, COMPARISON_EQUAL},
    {TEXT_INIT("+"), TOKEN_PLUS, COMPARISON_EQUAL},
    {TEXT_INIT("-"), TOKEN_MINUS, COMPARISON_EQUAL},
    {TEXT_INIT("*"), TOKEN_STAR, COMPARISON_EQUAL},
};

static bool scan_symbol(struct parser *parser) {
    size_t start = parser->token.start;
    struct text rest = text_from(parser->source, start);
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        if (!text_starts_with(rest, symbols[i].text))
            continue;
        parser->token.kind = symbols[i].kind;
        parser->token.comparison = symbols[i].comparison;
        parser->token.end = start + symbols[i].text.size;
        return true;
    }
    if (rest.data[0] == '"')
        return parser_fail(parser, start, "a string stands in single quotes: 'like this'");
    unsigned char byte = (unsigned char)rest.data[0];
    if (byte < 0x20 || byte == 0x7f)
        return parser_fail(parser, start, "a control character (U+%04X) has no meaning here", byte);
    size_t size = text_utf8_size(rest);
    return parser_fail(parser, start, "`%.*s` has no meaning here", (int)size, rest.data);
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool parser_advance(struct parser *parser) {
    size_t start = parser->token.end;
    while (is_space(byte_at(parser, start)))
        start++;
    parser->token = (struct token){.kind = TOKEN_END, .start = start, .end = start};
    if (start == parser->source.size)
        return true;
    char first = parser->source.data[start];
    if (is_name_start(first))
        return scan_name(parser);
    if (is_digit(first))
        return scan_number(parser);
    if (first == '\'')
        return scan_string(parser);
    return scan_symbol(parser);
}
