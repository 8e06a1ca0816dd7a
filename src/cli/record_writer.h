// A record writer puts records, one after another, into a file of one of the forms that an import
// reads. A file that is named appears whole or not at all: it is written beside its place and moved
// there at the end.
#pragma once

#include "cli/record_reader.h"

#include <stdio.h>

struct record_writer {
    enum record_format format;
    FILE *out;
    char *path;      // NULL: standard output
    char *temporary; // what is written meanwhile
    uint64_t count;  // of records
    struct csv_columns columns;
    struct buffer row;
};

// Opens the file, or standard output where `path` is NULL or "-".
bool record_writer_open(struct record_writer *writer, const char *path, enum record_format format,
                        const struct resource *resource, struct failure *failure);

// Writes a record, whose text is a JSON object on one line.
bool record_writer_add(struct record_writer *writer, struct text record, struct failure *failure);

// Ends the file and puts it into its place, durably. The writer is closed either way.
bool record_writer_finish(struct record_writer *writer, struct failure *failure);

// Closes and leaves nothing behind; zeroed memory is a valid writer, as is one that is finished.
void record_writer_abandon(struct record_writer *writer);
