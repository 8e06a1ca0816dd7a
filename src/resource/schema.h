// Checks JSON values against schemas (JSON Schema 2020-12), and turns those that fit into the
// values of columns.
#pragma once

#include "resource/validate.h"

// Where a value stands: a chain that lives on the stack, from the value to the root of the body.
struct json_path {
    const struct json_path *parent; // NULL: a member of the body, or of what is checked
    struct text name;               // of a member; data NULL: an item of an array
    size_t index;                   // of an item
};

// The JSON pointer (RFC 6901) of a place; "" for NULL. data is NULL when there is no memory.
struct text json_path_pointer(const struct json_path *path, struct arena *arena);

// Notes a fault at a place.
void schema_fault(struct faults *faults, const struct json_path *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Notes a member that is not one of `names`, of whatever `owner` is called.
void schema_fault_unknown(struct faults *faults, const struct json_path *parent, struct text owner,
                          const char *member, const struct text *names, size_t name_count);

// Notes everything in which a value does not fit.
void schema_check(const struct schema *schema, const json_t *value, const struct json_path *path,
                  struct faults *faults);

// "a string, an integer or null": what a set of types allows.
void schema_append_types(struct buffer *out, unsigned types);
