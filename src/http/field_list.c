#include "http/field_list.h"

#include "http/syntax.h"

enum { WEIGHT_DIGITS = 3, WEIGHT_MOST = 1000 };

// Where a quoted string that begins at `start` ends: behind its last quote; 0 where it does not
// end.
static size_t end_of_quoted(struct text text, size_t start) {
    size_t at = start + 1;
    while (at < text.size && text.data[at] != '"')
        at += text.data[at] == '\\' ? 2 : 1;
    return at < text.size ? at + 1 : 0;
}

static size_t end_of_part(struct text rest, char separator) {
    size_t at = 0;
    while (at < rest.size && rest.data[at] != separator) {
        at = rest.data[at] == '"' ? end_of_quoted(rest, at) : at + 1;
        if (at == 0)
            return rest.size;
    }
    return at;
}

bool field_list_next(struct text *rest, char separator, struct text *ret_part) {
    while (rest->size > 0) {
        size_t end = end_of_part(*rest, separator);
        struct text part = text_trim(text_of(rest->data, end));
        *rest = text_from(*rest, end < rest->size ? end + 1 : end);
        if (part.size > 0) {
            *ret_part = part;
            return true;
        }
    }
    return false;
}

static bool is_quoted(struct text value) {
    return value.size >= 2 && value.data[0] == '"' && end_of_quoted(value, 0) == value.size;
}

bool field_parameter_read(struct text part, struct field_parameter *ret_parameter) {
    struct field_parameter parameter = {.value = {NULL, 0}};
    struct text value = part;
    text_split(&value, '=', &parameter.name);
    parameter.name = text_trim(parameter.name);
    if (!syntax_is_token(parameter.name))
        return false;
    if (value.data) {
        parameter.value = text_trim(value);
        parameter.quoted = is_quoted(parameter.value);
        if (parameter.quoted)
            parameter.value = text_of(parameter.value.data + 1, parameter.value.size - 2);
        else if (!syntax_is_token(parameter.value))
            return false;
    }
    *ret_parameter = parameter;
    return true;
}

static size_t count_digits(struct text text) {
    size_t count = 0;
    while (count < text.size && text.data[count] >= '0' && text.data[count] <= '9')
        count++;
    return count;
}

static bool has_other_than_zero(struct text digits) {
    for (size_t i = 0; i < digits.size; i++) {
        if (digits.data[i] != '0')
            return true;
    }
    return false;
}

static unsigned thousandths(struct text digits) {
    unsigned weight = 0;
    for (size_t i = 0; i < WEIGHT_DIGITS; i++)
        weight = 10 * weight + (i < digits.size ? (unsigned)(digits.data[i] - '0') : 0);
    return weight;
}

bool field_weight_read(struct text value, unsigned *ret_weight) {
    struct text whole = text_of(value.data, count_digits(value));
    struct text rest = text_from(value, whole.size);
    bool has_point = rest.size > 0 && rest.data[0] == '.';
    struct text fraction = has_point ? text_from(rest, 1) : rest;
    if (count_digits(fraction) != fraction.size || whole.size + fraction.size == 0)
        return false;
    *ret_weight = has_other_than_zero(whole) ? WEIGHT_MOST : thousandths(fraction);
    return true;
}
