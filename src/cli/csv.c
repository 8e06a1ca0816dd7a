#include "cli/csv.h"

#include <stdlib.h>

void csv_reader_init(struct csv_reader *reader, struct input *input, size_t row_max) {
    *reader = (struct csv_reader){.input = input, .row_max = row_max};
}

void csv_reader_free(struct csv_reader *reader) {
    free(reader->fields);
    buffer_free(&reader->text);
    *reader = (struct csv_reader){0};
}

// What is wrong with a row. It is read to its end all the same.
struct row {
    struct csv_reader *reader;
    const char *fault; // NULL: nothing
};

static void append(struct row *row, int byte) {
    struct buffer *text = &row->reader->text;
    if (text->size >= row->reader->row_max)
        row->fault = "the row is larger than max_body allows";
    else
        buffer_append_byte(text, (char)byte);
}

// Notes a field, whose text is found by its size once the row is complete and its buffer rests.
static void add_field(struct row *row, size_t start, bool quoted) {
    struct csv_reader *reader = row->reader;
    if (reader->field_count == reader->field_capacity) {
        size_t capacity = reader->field_capacity ? 2 * reader->field_capacity : 16;
        struct csv_field *fields = reallocarray(reader->fields, capacity, sizeof *fields);
        if (!fields) {
            reader->text.failed = true;
            return;
        }
        reader->fields = fields;
        reader->field_capacity = capacity;
    }
    struct text text = text_of(NULL, reader->text.size - start);
    reader->fields[reader->field_count++] = (struct csv_field){text, quoted};
}

static bool ends_field(int byte) {
    return byte == ',' || byte == '\n' || byte == '\r' || byte == INPUT_END;
}

static void read_quoted(struct row *row) {
    struct input *input = row->reader->input;
    input_take(input); // the opening quote
    for (;;) {
        int byte = input_take(input);
        if (byte == INPUT_END) {
            row->fault = "a quote is not closed before the file ends";
            return;
        }
        if (byte != '"')
            append(row, byte);
        else if (input_peek(input) == '"')
            append(row, input_take(input));
        else
            return;
    }
}

static void read_plain(struct row *row) {
    struct input *input = row->reader->input;
    while (!ends_field(input_peek(input))) {
        int byte = input_take(input);
        if (byte == '"')
            row->fault = "there is a quote inside a field that is not quoted";
        append(row, byte);
    }
}

static void read_field(struct row *row) {
    struct input *input = row->reader->input;
    size_t start = row->reader->text.size;
    bool quoted = input_peek(input) == '"';
    if (quoted)
        read_quoted(row);
    if (quoted && !ends_field(input_peek(input)))
        row->fault = "there is something behind a closing quote";
    read_plain(row);
    add_field(row, start, quoted);
}

// Takes what ends a row: CRLF, LF, CR or nothing. False where the row goes on.
static bool take_row_end(struct input *input) {
    int byte = input_take(input);
    if (byte == '\r' && input_peek(input) == '\n')
        input_take(input);
    return byte != ',';
}

static void place_fields(struct csv_reader *reader) {
    size_t start = 0;
    for (size_t i = 0; i < reader->field_count; i++) {
        reader->fields[i].text.data = reader->text.data ? reader->text.data + start : "";
        start += reader->fields[i].text.size;
    }
}

enum csv_result csv_read(struct csv_reader *reader, struct failure *failure) {
    struct row row = {.reader = reader};
    struct input *input = reader->input;
    buffer_clear(&reader->text);
    reader->field_count = 0;
    while (input_peek(input) == '\n' || input_peek(input) == '\r')
        input_take(input);
    if (input_peek(input) == INPUT_END)
        return CSV_END;
    do
        read_field(&row);
    while (!take_row_end(input));
    if (reader->text.failed) {
        failure_out_of_memory(failure);
        return CSV_BAD;
    }
    if (row.fault) {
        failure_set(failure, FAILURE_INVALID_BODY, "%s", row.fault);
        return CSV_BAD;
    }
    place_fields(reader);
    return CSV_ROW;
}

static bool needs_quotes(struct text text) {
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"' || ends_field(text.data[i]))
            return true;
    }
    return false;
}

void csv_write(struct buffer *out, struct text text, bool as_string) {
    if (!as_string && !needs_quotes(text)) {
        buffer_append_text(out, text);
        return;
    }
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"')
            buffer_append_byte(out, '"');
        buffer_append_byte(out, text.data[i]);
    }
    buffer_append_byte(out, '"');
}
