// A JSON writer puts JSON tokens into a buffer and sees to the commas. It owns nothing; running out
// of memory shows in the buffer.
#pragma once

#include "base/buffer.h"

struct json_writer {
    struct buffer *out;
    bool comma; // a value was written at this level, so the next one needs a comma before it
};

static inline struct json_writer json_writer_on(struct buffer *out) {
    return (struct json_writer){.out = out, .comma = false};
}

void json_write_object_begin(struct json_writer *writer);
void json_write_object_end(struct json_writer *writer);
void json_write_array_begin(struct json_writer *writer);
void json_write_array_end(struct json_writer *writer);

// The name of a member; its value follows.
void json_write_name(struct json_writer *writer, struct text name);

// A name that was prepared as `"name":`, which saves looking for what to escape.
void json_write_prepared_name(struct json_writer *writer, struct text quoted_name_and_colon);

void json_write_null(struct json_writer *writer);
void json_write_boolean(struct json_writer *writer, bool value);
void json_write_integer(struct json_writer *writer, int64_t value);

// The shortest decimal that reads back as the same number; it must be finite.
void json_write_real(struct json_writer *writer, double value);

// A string of well-formed UTF-8; quotes, backslashes and control characters are escaped (RFC 8259).
void json_write_string(struct json_writer *writer, struct text value);

// JSON that is already written, as a value.
void json_write_raw(struct json_writer *writer, struct text json);

// The shortest decimal that reads back as the same finite number, as JSON writes it (100.0 and
// not 100, so that it stays a real): at most 32 bytes, returns how many.
size_t json_format_real(double value, char out[32]);
