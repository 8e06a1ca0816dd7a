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

// The same for a property's value, which must also survive being stored in its column. Not null.
void property_check(const struct property *property, const json_t *value,
                    const struct json_path *path, struct faults *faults);

// The column's value of a JSON value that property_check found nothing wrong with. Texts belong to
// the arena or to the tree. False when there is no memory.
bool property_value(const struct property *property, const json_t *value, struct arena *arena,
                    struct value *ret_value);

// Whether two JSON values are equal as JSON Schema has it (1 and 1.0 are; section 4.2.2).
bool json_is_equal(const json_t *a, const json_t *b);

// "a string, an integer or null": what a set of types allows.
void schema_append_types(struct buffer *out, unsigned types);
