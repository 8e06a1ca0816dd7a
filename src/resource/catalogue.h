// The catalogue is all definitions and the statements that serve them, as one immutable value that
// every worker reads and that is replaced whole on reload. It is counted by reference; the last
// release frees it with all it has.
#pragma once

#include "base/diagnostics.h"
#include "base/table.h"
#include "resource/idempotency.h"
#include "resource/meta.h"
#include "resource/operation_plan.h"
#include "resource/plan.h"

#include <stdatomic.h>

struct catalogue {
    atomic_uint references;
    struct arena arena;
    const struct dialect *dialect;
    struct resource **resources; // the declared ones by name, and behind them the built-in ones
    struct plan *plans;          // plans[i] serves resources[i]
    size_t resource_count;       // that are declared
    size_t table_count;          // with those that are built in
    struct resource **ranked;    // all by rank: each behind those that it refers to, but for cycles
    struct table by_name;        // to struct plan
    struct idempotency_plan idempotency;
    struct meta_plan meta;
    struct operation_plan operations;
};

// Reads every *.yaml of a folder, and the definitions that are part of the program. What is wrong
// in any of them is noted in `diagnostics` (whose arena must not be the catalogue's); NULL then,
// and when the folder cannot be read, which is noted too. A folder without definitions gives an
// empty catalogue.
struct catalogue *catalogue_load(const char *folder, const struct dialect *dialect,
                                 struct diagnostics *diagnostics);

// From definitions in memory and nothing else, for tests: pairs of file name and source, `count` of
// them.
struct catalogue *catalogue_make(const struct text (*sources)[2], size_t count,
                                 const struct dialect *dialect, struct diagnostics *diagnostics);

struct catalogue *catalogue_retain(struct catalogue *catalogue);
void catalogue_release(struct catalogue *catalogue); // takes NULL

// The plan of a resource, declared or built in, or NULL.
const struct plan *catalogue_plan(const struct catalogue *catalogue, struct text resource);

// The plan of the resource that has a table, or NULL.
const struct plan *catalogue_table(const struct catalogue *catalogue, struct text table);
