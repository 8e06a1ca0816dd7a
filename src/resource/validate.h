// Validation turns what a client sent into a record's values, and notes every fault at once.
//
// A record's values are an array with one value for each property of the resource, in its order.
// Their texts belong to the arena or are borrowed from the JSON tree, so both must outlive them.
#pragma once

#include "base/arena.h"
#include "resource/definition.h"
#include "resource/json.h"

// One thing that is wrong with a body.
struct fault {
    struct text pointer; // RFC 6901, into the body; "" is the whole of it
    struct text detail;
};

enum { FAULTS_MAX = 100 };

struct faults {
    struct arena *arena;
    struct fault *items;
    size_t count; // at most FAULTS_MAX are noted
    bool out_of_memory;
};

static inline bool faults_none(const struct faults *faults) {
    return faults->count == 0 && !faults->out_of_memory;
}

// Notes one; both texts are copied.
void faults_add(struct faults *faults, struct text pointer, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// What validation needs to know besides the body.
struct validation {
    const struct resource *resource;
    struct arena *arena;
    struct faults *faults;
    int64_t now; // milliseconds since 1970: what now() is in this request
};

// A new record from a body: types, constraints, defaults, made keys (KEY_UUID, KEY_SHA256), the
// first state, checks. A KEY_INTEGER's value is VALUE_NULL. `values` has room for every property.
// `key` is the key that the path names, for a PUT that creates under a KEY_PROPERTY key, or NULL.
bool validate_create(const struct validation *validation, const json_t *body,
                     const struct value *key, struct value *values);

// What a stored record becomes when it is replaced by a body. Read-only properties keep what is
// stored, and may be in the body only where they are equal to that.
bool validate_replace(const struct validation *validation, const json_t *body,
                      const struct value *stored, struct value *values);

// The record that a stored one becomes by an RFC 7396 patch of its JSON form. `current` is the JSON
// tree of the stored record, write-only properties included. The result is to be released by the
// caller after the values are used; NULL and a fault, or out_of_memory, otherwise.
json_t *validate_update(const struct validation *validation, const json_t *current,
                        const json_t *patch, const struct value *stored, struct value *values);

// The record that a stored one becomes by an RFC 6902 patch of its JSON form; as above, but for
// what the failure says: FAILURE_PATCH_CONFLICT or FAILURE_OUT_OF_MEMORY, or FAILURE_NONE where
// there are faults. Operations do not see write-only properties, which stay as they are unless they
// are added; `most` as in json_patch.h.
json_t *validate_operations(const struct validation *validation, const json_t *current,
                            const json_t *patch, size_t most, const struct value *stored,
                            struct value *values, struct failure *failure);

// One property's value from the text of a query parameter or a path: `detail` says what would be
// right where it does not fit. Only types and formats are looked at, and not for VALUE_JSON
// properties, which have no such form. A KEY_SHA256 is hexadecimal of either case.
bool validate_parameter(const struct property *property, struct text text, struct arena *arena,
                        struct value *ret_value, struct failure *failure);

// Some of the resource's checks, of values that fit alone; where one does not, nothing more is
// noted.
void validate_checks(const struct validation *validation, const struct named_expression **checks,
                     size_t count, const struct value *values);

// Which stored records no longer satisfy the definition: notes the faults of one.
void validate_stored(const struct validation *validation, const json_t *record,
                     const struct value *values);
