// Writes records as JSON, straight from the cells of a row.
#pragma once

#include "base/json_writer.h"
#include "resource/definition.h"

// Which columns a statement selects: the first `shown` are what a client sees, the others are
// there for the program (the version, or the keys of a sort order that were not asked for).
struct selection {
    const struct property **properties; // NULL stands for the column _version
    size_t count;
    size_t shown;
};

// A hash of what is shown and how: two selections of one shape write the same bytes for the same
// cells, also in other processes and after other definitions were read.
uint64_t selection_shape(const struct selection *selection);

// A record with the selected properties that are shown; `cells` are in the selection's order.
void encode_record(struct json_writer *writer, const struct selection *selection,
                   const struct value *cells);

// Its members alone, into an object that was begun.
void encode_members(struct json_writer *writer, const struct selection *selection,
                    const struct value *cells);

// A record that others refer to by a property, to be embedded in them.
struct expansion {
    const struct property *property;
    struct selection selection; // of the resource that it refers to
    size_t key;                 // which cell of it is the key: null where nothing is referred to
};

struct expansions {
    struct expansion *items; // no two by the same property
    size_t count;
};

// The same with a last member `_embedded`, where there are expansions: a member of the property's
// name for each of them, which is the record that it refers to, or null. `embedded` are the cells
// of all expansions, one after the other.
void encode_expanded(struct json_writer *writer, const struct selection *selection,
                     const struct value *cells, const struct expansions *expansions,
                     const struct value *embedded);

// One value as JSON.
void encode_value(struct json_writer *writer, const struct property *property, struct value value);

// Whether two values of one property are the same.
bool value_equal(struct value a, struct value b);

// Copies a value with its text into the arena; false when there is no memory.
bool value_copy(struct arena *arena, struct value value, struct value *ret_copy);

// The text that a key is, as a history knows it; data is NULL when there is no memory.
struct text key_text(struct arena *arena, struct value value);

// The text that a key has in a path, percent-encoded.
void encode_key(struct buffer *out, const struct property *property, struct value value);
