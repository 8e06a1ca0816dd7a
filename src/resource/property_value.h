// From JSON to the columns of a record.
#pragma once

#include "resource/schema.h"

// Notes everything in which a value, which is not null, does not fit its property: its schema, and
// what its column can hold.
void property_check(const struct property *property, const json_t *value,
                    const struct json_path *path, struct faults *faults);

// The same of a column's value, null included.
void property_check_value(const struct property *property, struct value value,
                          const struct json_path *path, struct faults *faults);

// The column's value of a JSON value that property_check found nothing wrong with. Texts belong to
// the arena or to the tree. False when there is no memory.
bool property_value(const struct property *property, const json_t *value, struct arena *arena,
                    struct value *ret_value);
