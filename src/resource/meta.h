// The table trestle_meta: what every process on one database must agree on (secrets' digests, the
// key of cursors), by name.
#pragma once

#include "resource/dialect.h"

struct meta_plan {
    struct statement read;    // (name) -> value VALUE_TEXT
    struct statement list;    // () -> name, value, in order
    struct statement insert;  // (name, value); changes nothing where the name exists
    struct statement replace; // (name, value)
    struct statement raise;   // (); raises META_VERSION and tells those who listen
};

// The row by which processes see that another one changed what they keep in memory (api/watch.h):
// whoever changes that raises it in the same job, as its last call, so that such jobs take their
// locks in one order.
#define META_VERSION "cache_version"

bool meta_plan_make(struct arena *arena, const struct dialect *dialect, struct meta_plan *ret_plan);
