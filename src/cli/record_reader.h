// A record reader takes the records of an import one by one from its input, whatever its form, and
// never holds more than one of them.
#pragma once

#include "cli/csv.h"
#include "cli/csv_columns.h"

#include <jansson.h>

enum record_format {
    RECORDS_JSON,   // an array of objects
    RECORDS_NDJSON, // an object a line; empty lines are passed over
    RECORDS_CSV,    // a header, then a record a row
};

struct record_reader {
    struct input *input;
    enum record_format format;
    size_t record_max;  // bytes
    uint64_t line;      // where the last record begins
    struct buffer text; // of a JSON record
    bool is_inside;     // RECORDS_JSON: behind the "["
    struct csv_reader csv;
    struct csv_columns columns;
};

enum record_result {
    RECORD_READ,
    RECORD_REJECTED, // this one is not to be had, and the failure says why; there may be more
    RECORD_END,
    RECORD_STOP, // nothing more can be read, and the failure says why
};

// "json", "ndjson" or "csv"; by name, or by a path's extension (.json, .ndjson, .jsonl, .csv).
bool record_format_parse(const char *name, enum record_format *ret_format);
bool record_format_of_path(const char *path, enum record_format *ret_format);

// Begins to read; a CSV's header is read and checked against the resource. The input and the
// resource must outlive the reader.
bool record_reader_open(struct record_reader *reader, struct input *input,
                        enum record_format format, const struct resource *resource,
                        size_t record_max, struct failure *failure);
void record_reader_close(struct record_reader *reader);

// The next record, an object, which the caller releases.
enum record_result record_reader_next(struct record_reader *reader, json_t **ret_record,
                                      struct failure *failure);

// The text of the next element of a JSON array, valid until the next call; for whoever needs no
// tree. RECORD_REJECTED where it is larger than record_max.
enum record_result record_reader_next_element(struct record_reader *reader, struct text *ret_text,
                                              struct failure *failure);
