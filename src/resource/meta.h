// The table trestle_meta: what every process on one database must agree on (secrets' digests, the
// key of cursors), by name.
#pragma once

#include "resource/dialect.h"

struct meta_plan {
    struct statement read;    // (name) -> value VALUE_TEXT
    struct statement list;    // () -> name, value, in order
    struct statement insert;  // (name, value); changes nothing where the name exists
    struct statement replace; // (name, value)
};

bool meta_plan_make(struct arena *arena, const struct dialect *dialect, struct meta_plan *ret_plan);
