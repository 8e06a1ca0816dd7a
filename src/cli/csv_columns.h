// The columns of a CSV and the members of a record that they stand for: "title" is a property, and
// "store.city" the member of an object, to any depth to which the definition declares members.
#pragma once

#include "cli/csv.h"
#include "resource/definition.h"

struct csv_column {
    struct text name;   // "store.city"
    struct text *path;  // its parts
    size_t path_length; // at least 1
    const struct schema *schema;
};

// They belong to their arena and point into the resource.
struct csv_columns {
    struct csv_column *items;
    size_t count;
    struct arena arena;
};

// From a header. Refused are names that the resource does not have, names that come twice, and a
// member beside the whole that it is a part of.
bool csv_columns_read(struct csv_columns *columns, const struct resource *resource,
                      const struct csv_field *fields, size_t field_count, struct failure *failure);

// Those of a resource as it is shown: an object whose members are declared has a column for each of
// them; other objects, and arrays, are one column of JSON.
bool csv_columns_make(struct csv_columns *columns, const struct resource *resource,
                      struct failure *failure);

void csv_columns_free(struct csv_columns *columns);

// A record from a row, which the caller releases. An empty field without quotes is an absent
// member. Others are read as what the definition says; a field that is nothing of that sort becomes
// a string, so that validation says what it should be. Where a property may be a string or
// something else, quotes make it a string.
json_t *csv_columns_record(const struct csv_columns *columns, const struct csv_field *fields,
                           size_t field_count, struct failure *failure);

// Appends a row, and the header's, ended by CRLF.
void csv_columns_write(const struct csv_columns *columns, const json_t *record, struct buffer *out);
void csv_columns_write_header(const struct csv_columns *columns, struct buffer *out);
