#include "base/json_writer.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void before_value(struct json_writer *writer) {
    if (writer->comma)
        buffer_append_byte(writer->out, ',');
    writer->comma = true;
}

static void open(struct json_writer *writer, char bracket) {
    before_value(writer);
    buffer_append_byte(writer->out, bracket);
    writer->comma = false;
}

static void close(struct json_writer *writer, char bracket) {
    buffer_append_byte(writer->out, bracket);
    writer->comma = true;
}

void json_write_object_begin(struct json_writer *writer) {
    open(writer, '{');
}

void json_write_object_end(struct json_writer *writer) {
    close(writer, '}');
}

void json_write_array_begin(struct json_writer *writer) {
    open(writer, '[');
}

void json_write_array_end(struct json_writer *writer) {
    close(writer, ']');
}

// Bytes that a JSON string cannot hold as they are: what to write after the backslash, 'u' for the
// long form. Zero: as it is.
static const char escapes[256] = {
    ['"'] = '"',  ['\\'] = '\\', [0x00] = 'u', [0x01] = 'u', [0x02] = 'u', [0x03] = 'u',
    [0x04] = 'u', [0x05] = 'u',  [0x06] = 'u', [0x07] = 'u', ['\b'] = 'b', ['\t'] = 't',
    ['\n'] = 'n', [0x0B] = 'u',  ['\f'] = 'f', ['\r'] = 'r', [0x0E] = 'u', [0x0F] = 'u',
    [0x10] = 'u', [0x11] = 'u',  [0x12] = 'u', [0x13] = 'u', [0x14] = 'u', [0x15] = 'u',
    [0x16] = 'u', [0x17] = 'u',  [0x18] = 'u', [0x19] = 'u', [0x1A] = 'u', [0x1B] = 'u',
    [0x1C] = 'u', [0x1D] = 'u',  [0x1E] = 'u', [0x1F] = 'u',
};

static void append_escape(struct buffer *out, unsigned char byte) {
    char escape = escapes[byte];
    if (escape == 'u')
        buffer_format(out, "\\u%04x", byte);
    else
        buffer_append(out, (char[]){'\\', escape}, 2);
}

// Whether any of eight bytes is to be escaped, found without looking at each: subtracting makes the
// top bit of a byte that is too small, and that had none, a 1.
static bool any_escaped(const char *bytes) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    uint64_t quote = word ^ (ones * '"');
    uint64_t backslash = word ^ (ones * '\\');
    uint64_t control = (word - ones * 0x20) & ~word;
    return (control | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) &
           (ones * 0x80);
}

// How many bytes from an offset on can be written as they are.
static size_t count_plain(struct text value, size_t offset) {
    size_t end = offset;
    while (value.size - end >= sizeof(uint64_t) && !any_escaped(value.data + end))
        end += sizeof(uint64_t);
    while (end < value.size && !escapes[(unsigned char)value.data[end]])
        end++;
    return end - offset;
}

static void append_quoted(struct buffer *out, struct text value) {
    if (!buffer_reserve(out, value.size + 2))
        return;
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < value.size;) {
        size_t plain = count_plain(value, i);
        buffer_append(out, value.data + i, plain);
        i += plain;
        if (i < value.size)
            append_escape(out, (unsigned char)value.data[i++]);
    }
    buffer_append_byte(out, '"');
}

void json_write_name(struct json_writer *writer, struct text name) {
    before_value(writer);
    append_quoted(writer->out, name);
    buffer_append_byte(writer->out, ':');
    writer->comma = false;
}

void json_write_prepared_name(struct json_writer *writer, struct text quoted_name_and_colon) {
    before_value(writer);
    buffer_append_text(writer->out, quoted_name_and_colon);
    writer->comma = false;
}

void json_write_null(struct json_writer *writer) {
    json_write_raw(writer, TEXT("null"));
}

void json_write_boolean(struct json_writer *writer, bool value) {
    json_write_raw(writer, value ? TEXT("true") : TEXT("false"));
}

void json_write_integer(struct json_writer *writer, int64_t value) {
    before_value(writer);
    buffer_append_integer(writer->out, value);
}

size_t json_format_real(double value, char out[32]) {
    // What 15 digits can say, 15 digits say with zeros left out; but for subnormal numbers, which
    // have fewer bits.
    int fewest = fabs(value) < DBL_MIN ? 1 : DBL_DIG;
    int size = 0;
    for (int digits = fewest; digits <= DBL_DECIMAL_DIG; digits++) {
        size = snprintf(out, 32, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    if (!strpbrk(out, ".e"))
        size += snprintf(out + size, 32 - (size_t)size, ".0");
    return (size_t)size;
}

void json_write_real(struct json_writer *writer, double value) {
    char digits[32];
    size_t size = json_format_real(value, digits);
    json_write_raw(writer, text_of(digits, size));
}

void json_write_string(struct json_writer *writer, struct text value) {
    before_value(writer);
    append_quoted(writer->out, value);
}

void json_write_raw(struct json_writer *writer, struct text json) {
    before_value(writer);
    buffer_append_text(writer->out, json);
}
