// The table trestle_meta: what every process on one database must agree on (secrets' digests, the
// key of cursors), by name.
#pragma once

#include "resource/migrate.h"

struct meta_plan {
    struct statement create_table; // harmless where it exists
    struct statement read;         // (name) -> value VALUE_TEXT
    struct statement list;         // () -> name, value, in order
    struct statement insert;       // (name, value); changes nothing where the name exists
    struct statement replace;      // (name, value)
};

bool meta_plan_make(struct arena *arena, const struct dialect *dialect, struct meta_plan *ret_plan);

// Whether a schema has the table.
bool meta_is_there(const struct stored_schema *schema);

// Makes the table where it is missing; where it is there, the right to create one is not needed.
// The plan must be of the store's dialect.
bool meta_create_table(struct store *store, const struct meta_plan *plan, struct arena *arena,
                       struct failure *failure);
