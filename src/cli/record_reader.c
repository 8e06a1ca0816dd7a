#include "cli/record_reader.h"

#include "resource/json.h"

#include <inttypes.h>
#include <strings.h>

static const struct {
    const char *name;
    enum record_format format;
} formats[] = {
    {"json", RECORDS_JSON},
    {"ndjson", RECORDS_NDJSON},
    {"csv", RECORDS_CSV},
    {"jsonl", RECORDS_NDJSON}, // as an extension alone
};

enum { FORMAT_NAMES = 3, FORMAT_EXTENSIONS = 4 };

bool record_format_parse(const char *name, enum record_format *ret_format) {
    for (size_t i = 0; i < FORMAT_NAMES; i++) {
        if (strcmp(name, formats[i].name) == 0) {
            *ret_format = formats[i].format;
            return true;
        }
    }
    return false;
}

bool record_format_of_path(const char *path, enum record_format *ret_format) {
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < FORMAT_EXTENSIONS; i++) {
        if (strcasecmp(dot + 1, formats[i].name) == 0) {
            *ret_format = formats[i].format;
            return true;
        }
    }
    return false;
}

static enum record_result stop(struct record_reader *reader, struct failure *failure,
                               const char *detail) {
    failure_set(failure, FAILURE_MALFORMED_JSON, "%s:%ju: %s", reader->input->name,
                (uintmax_t)reader->input->line, detail);
    return RECORD_STOP;
}

static enum record_result stop_out_of_memory(struct failure *failure) {
    failure_out_of_memory(failure);
    return RECORD_STOP;
}

// At the end of the input: whether it is the end, or it cannot be read.
static enum record_result end(struct record_reader *reader, struct failure *failure) {
    if (reader->input->error == 0)
        return RECORD_END;
    return stop(reader, failure, strerror(reader->input->error));
}

static enum record_result stop_inside(struct record_reader *reader, struct failure *failure) {
    return stop(reader, failure,
                reader->input->error ? strerror(reader->input->error)
                                     : "the file ends before the array does");
}

static enum record_result reject_size(const struct record_reader *reader, struct failure *failure) {
    failure_set(failure, FAILURE_BODY_TOO_LARGE,
                "the record is larger than the %zu bytes that max_body allows", reader->record_max);
    return RECORD_REJECTED;
}

// ---- JSON arrays

static bool is_space(int byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static int peek_behind_space(struct input *input) {
    while (is_space(input_peek(input)))
        input_take(input);
    return input_peek(input);
}

// Keeps a byte of the record, up to one more than it may have.
static void keep(struct record_reader *reader, int byte) {
    if (reader->text.size <= reader->record_max)
        buffer_append_byte(&reader->text, (char)byte);
}

// Takes a string with its quotes. False where the input ends inside.
static bool take_string(struct record_reader *reader) {
    keep(reader, input_take(reader->input));
    for (;;) {
        int byte = input_take(reader->input);
        if (byte == INPUT_END)
            return false;
        keep(reader, byte);
        if (byte == '"')
            return true;
        if (byte == '\\' && input_peek(reader->input) != INPUT_END)
            keep(reader, input_take(reader->input));
    }
}

// Takes an object or an array by its brackets and quotes; whether it is JSON is seen later.
static bool take_brackets(struct record_reader *reader) {
    size_t depth = 0;
    do {
        int byte = input_peek(reader->input);
        if (byte == INPUT_END)
            return false;
        if (byte == '"') {
            if (!take_string(reader))
                return false;
            continue;
        }
        depth += byte == '{' || byte == '[';
        depth -= byte == '}' || byte == ']';
        keep(reader, input_take(reader->input));
    } while (depth > 0);
    return true;
}

static bool ends_scalar(int byte) {
    return byte == INPUT_END || byte == ',' || byte == ']' || byte == '}' || is_space(byte);
}

static bool take_value(struct record_reader *reader) {
    int byte = input_peek(reader->input);
    if (byte == '"')
        return take_string(reader);
    if (byte == '{' || byte == '[')
        return take_brackets(reader);
    while (!ends_scalar(input_peek(reader->input)))
        keep(reader, input_take(reader->input));
    return reader->text.size > 0;
}

// Goes to the next element: RECORD_READ when there is one.
static enum record_result enter_element(struct record_reader *reader, struct failure *failure) {
    struct input *input = reader->input;
    int byte = peek_behind_space(input);
    if (!reader->is_inside) {
        if (byte == INPUT_END && !input->error)
            return stop(reader, failure, "there is nothing in it; a JSON array is expected");
        if (byte != '[')
            return stop(reader, failure,
                        "a JSON array is expected (for an object a line: --format ndjson)");
        reader->is_inside = true;
        input_take(input);
        if (peek_behind_space(input) != ']')
            return RECORD_READ;
    } else if (byte == ',') {
        input_take(input);
        return peek_behind_space(input) == ']'
                   ? stop(reader, failure, "there is nothing behind ','")
                   : RECORD_READ;
    } else if (byte == INPUT_END) {
        return stop_inside(reader, failure);
    } else if (byte != ']') {
        return stop(reader, failure, "',' or ']' is expected behind a record");
    }
    input_take(input);
    if (peek_behind_space(input) != INPUT_END)
        return stop(reader, failure, "there is something behind the end of the array");
    return end(reader, failure);
}

enum record_result record_reader_next_element(struct record_reader *reader, struct text *ret_text,
                                              struct failure *failure) {
    buffer_clear(&reader->text);
    enum record_result result = enter_element(reader, failure);
    if (result != RECORD_READ)
        return result;
    reader->line = reader->input->line;
    if (!take_value(reader))
        return stop_inside(reader, failure);
    if (reader->text.failed)
        return stop_out_of_memory(failure);
    if (reader->text.size > reader->record_max)
        return reject_size(reader, failure);
    *ret_text = buffer_text(&reader->text);
    return RECORD_READ;
}

// ---- Lines

static enum record_result next_line(struct record_reader *reader, struct text *ret_text,
                                    struct failure *failure) {
    if (peek_behind_space(reader->input) == INPUT_END)
        return end(reader, failure);
    reader->line = reader->input->line;
    buffer_clear(&reader->text);
    for (int byte; (byte = input_take(reader->input)) != INPUT_END && byte != '\n';)
        keep(reader, byte);
    if (reader->text.failed)
        return stop_out_of_memory(failure);
    if (reader->text.size > reader->record_max)
        return reject_size(reader, failure);
    *ret_text = buffer_text(&reader->text);
    return RECORD_READ;
}

// ---- Trees

// Takes a word and the number behind it off the front.
static bool take_number(const char **rest, const char *word, uintmax_t *ret_number) {
    size_t size = strlen(word);
    if (strncmp(*rest, word, size) != 0)
        return false;
    char *end;
    *ret_number = strtoumax(*rest + size, &end, 10);
    *rest = end;
    return true;
}

// A position in the record, "line 1, column 8: …", is turned into one in the file.
static void place_failure(const struct record_reader *reader, struct failure *failure) {
    uintmax_t line;
    uintmax_t column;
    struct failure whole = *failure;
    const char *rest = whole.detail;
    if (!take_number(&rest, "line ", &line) || !take_number(&rest, ", column ", &column))
        return;
    if (line > 1)
        failure_set(failure, whole.code, "line %ju, column %ju%s",
                    (uintmax_t)reader->line + line - 1, column, rest);
    else
        failure_set(failure, whole.code, "character %ju of the record%s", column, rest);
}

static enum record_result read_tree(struct record_reader *reader, struct text text,
                                    json_t **ret_record, struct failure *failure) {
    json_t *record = json_read(text, failure);
    if (!record) {
        place_failure(reader, failure);
        return failure->code == FAILURE_OUT_OF_MEMORY ? RECORD_STOP : RECORD_REJECTED;
    }
    if (!json_is_object(record)) {
        json_decref(record);
        failure_set(failure, FAILURE_INVALID_BODY, "a record must be an object");
        return RECORD_REJECTED;
    }
    *ret_record = record;
    return RECORD_READ;
}

static enum record_result next_row(struct record_reader *reader, json_t **ret_record,
                                   struct failure *failure) {
    while (input_peek(reader->input) == '\n' || input_peek(reader->input) == '\r')
        input_take(reader->input);
    reader->line = reader->input->line;
    enum csv_result result = csv_read(&reader->csv, failure);
    if (result == CSV_END)
        return end(reader, failure);
    json_t *record = NULL;
    if (result == CSV_ROW)
        record = csv_columns_record(&reader->columns, reader->csv.fields, reader->csv.field_count,
                                    failure);
    if (!record)
        return failure->code == FAILURE_OUT_OF_MEMORY ? RECORD_STOP : RECORD_REJECTED;
    *ret_record = record;
    return RECORD_READ;
}

enum record_result record_reader_next(struct record_reader *reader, json_t **ret_record,
                                      struct failure *failure) {
    struct text text;
    enum record_result result;
    if (reader->format == RECORDS_CSV)
        return next_row(reader, ret_record, failure);
    if (reader->format == RECORDS_NDJSON)
        result = next_line(reader, &text, failure);
    else
        result = record_reader_next_element(reader, &text, failure);
    return result == RECORD_READ ? read_tree(reader, text, ret_record, failure) : result;
}

static bool read_header(struct record_reader *reader, const struct resource *resource,
                        struct failure *failure) {
    csv_reader_init(&reader->csv, reader->input, reader->record_max);
    enum csv_result result = csv_read(&reader->csv, failure);
    if (result == CSV_END)
        return failure_set(failure, FAILURE_INVALID_BODY, "%s: %s", reader->input->name,
                           reader->input->error ? strerror(reader->input->error)
                                                : "there is no header in it");
    return result == CSV_ROW && csv_columns_read(&reader->columns, resource, reader->csv.fields,
                                                 reader->csv.field_count, failure);
}

bool record_reader_open(struct record_reader *reader, struct input *input,
                        enum record_format format, const struct resource *resource,
                        size_t record_max, struct failure *failure) {
    *reader = (struct record_reader){.input = input, .format = format, .record_max = record_max};
    if (format != RECORDS_CSV || read_header(reader, resource, failure))
        return true;
    record_reader_close(reader);
    return false;
}

void record_reader_close(struct record_reader *reader) {
    buffer_free(&reader->text);
    csv_reader_free(&reader->csv);
    csv_columns_free(&reader->columns);
}
