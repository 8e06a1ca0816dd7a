#include "base/digest.h"
#include "base/timestamp.h"
#include "resource/encode.h"
#include "resource/format.h"
#include "resource/validate.h"

static bool read_boolean(struct text text, struct value *ret_value) {
    bool is_true = text_is(text, "true");
    if (!is_true && !text_is(text, "false"))
        return false;
    *ret_value = value_boolean(is_true);
    return true;
}

static bool read_real(struct text text, struct value *ret_value) {
    struct failure failure;
    json_t *number = json_read(text, &failure);
    bool is_number = json_is_number(number);
    if (is_number)
        *ret_value = value_real(json_number_value(number) + 0.0);
    json_decref(number);
    return is_number;
}

// A made integer key counts from 1, so that anything less cannot be one.
static bool read_integer(const struct property *property, struct text text,
                         struct value *ret_value) {
    int64_t integer;
    if (!text_to_integer(text, &integer))
        return false;
    struct value least = property->schema.minimum;
    if (property->line == 0 && least.kind == VALUE_INTEGER && integer < least.integer)
        return false;
    *ret_value = value_integer(integer);
    return true;
}

// Writes up to 36 bytes of a value's form in `out`, whose text `ret_value` then has.
static bool read_canonical(const struct property *property, struct text text, char out[36],
                           struct value *ret_value) {
    int64_t ms;
    size_t size = 36;
    if (property->kind == VALUE_TIMESTAMP) {
        if (!timestamp_parse(text, &ms))
            return false;
        timestamp_format(ms, out);
        size = TIMESTAMP_SIZE;
    } else if (property->kind == VALUE_UUID) {
        if (!format_read_uuid(text, out))
            return false;
    } else {
        size = DIGEST_SIZE;
        if (!text_hex_decode(text, out, size))
            return false;
    }
    *ret_value = value_text(property->kind, text_of(out, size));
    return true;
}

static bool read_text(const struct property *property, struct text text, struct value *ret_value) {
    *ret_value = value_text(property->kind, text);
    if (!text_is_utf8(text) || text_find(text, '\0') >= 0)
        return false;
    switch (property->schema.format) {
    case FORMAT_DATE: return date_is_valid(text);
    case FORMAT_URI: return format_is_uri(text);
    case FORMAT_EMAIL: return format_is_email(text);
    default: return true;
    }
}

static bool read_decimal(const struct property *property, struct text text,
                         struct value *ret_value) {
    int64_t digits;
    if (!format_read_decimal(text, property->scale, &digits))
        return false;
    *ret_value = value_decimal(digits, property->scale);
    return true;
}

// What a value must look like, in words.
static const char *describe(const struct property *property) {
    static const char *const words[VALUE_KINDS] = {
        [VALUE_BOOLEAN] = "true or false",
        [VALUE_INTEGER] = "a whole number of at most 64 bits",
        [VALUE_REAL] = "a number",
        [VALUE_DECIMAL] = "a decimal number",
        [VALUE_TEXT] = "text in UTF-8",
        [VALUE_BYTES] = "64 hexadecimal digits",
        [VALUE_TIMESTAMP] = "a date and time such as 2016-08-05T08:40:51.620Z",
        [VALUE_DATE] = "a date such as 2016-08-05",
        [VALUE_UUID] = "a UUID",
    };
    if (property->kind == VALUE_INTEGER && property->line == 0)
        return "a whole number from 1 up";
    if (property->schema.format == FORMAT_URI)
        return "an absolute URI";
    if (property->schema.format == FORMAT_EMAIL)
        return "an e-mail address";
    return words[property->kind];
}

bool validate_parameter(const struct property *property, struct text text, struct arena *arena,
                        struct value *ret_value, struct failure *failure) {
    char canonical[36];
    struct value value = value_null();
    bool fits = false;
    switch (property->kind) {
    case VALUE_BOOLEAN: fits = read_boolean(text, &value); break;
    case VALUE_INTEGER: fits = read_integer(property, text, &value); break;
    case VALUE_REAL: fits = read_real(text, &value); break;
    case VALUE_DECIMAL: fits = read_decimal(property, text, &value); break;
    case VALUE_TEXT:
    case VALUE_DATE: fits = read_text(property, text, &value); break;
    case VALUE_TIMESTAMP:
    case VALUE_UUID:
    case VALUE_BYTES: fits = read_canonical(property, text, canonical, &value); break;
    default:
        return failure_set(failure, FAILURE_INVALID_PARAMETER,
                           "%.*s is an object or an array, which has no form as a parameter",
                           TEXT_ARGS(property->name));
    }
    if (!fits)
        return failure_set(failure, FAILURE_INVALID_PARAMETER, "%.*s must be %s",
                           TEXT_ARGS(property->name), describe(property));
    return value_copy(arena, value, ret_value) || failure_out_of_memory(failure);
}
