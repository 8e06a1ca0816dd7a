// Comma-separated values as RFC 4180 has them; lines may also end with a bare LF.
#pragma once

#include "base/buffer.h"
#include "cli/input.h"

struct csv_field {
    struct text text; // without its quotes
    bool quoted;
};

// Reads rows. It owns its memory; what it gives is valid until the next row.
struct csv_reader {
    struct input *input;
    size_t row_max; // bytes of a row's text; more make it bad
    struct csv_field *fields;
    size_t field_count;
    size_t field_capacity;
    struct buffer text; // of the fields, one after another
};

enum csv_result {
    CSV_ROW,
    CSV_BAD, // the failure says why; the next row may be read
    CSV_END, // the end of the input, or its error
};

void csv_reader_init(struct csv_reader *reader, struct input *input, size_t row_max);
void csv_reader_free(struct csv_reader *reader);

// Reads the next row, passing over empty lines.
enum csv_result csv_read(struct csv_reader *reader, struct failure *failure);

// Appends a field; a text that needs quotes, or is to be read as a string whatever it looks like
// (`as_string`), gets them.
void csv_write(struct buffer *out, struct text text, bool as_string);
