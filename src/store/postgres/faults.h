// Faults maps PostgreSQL's SQLSTATEs to outcomes.
#pragma once

#include "store/store.h"

#include <libpq-fe.h>

// What may be done about it before it becomes a job's outcome.
enum pg_remedy {
    PG_REMEDY_NONE,
    PG_REMEDY_AGAIN,   // others were in the way: the same may succeed at another try
    PG_REMEDY_PREPARE, // the statement must be prepared anew
};

// The parts of an error that count here, each of which may be NULL.
struct pg_fault {
    const char *state;      // the SQLSTATE
    const char *function;   // of the server's, that raised it
    const char *table;      // UNIQUE and the like: of which table …
    const char *constraint; // … which index
    const char *detail; // "Key (name, version)=(a, 1) already exists.", in the server's language
};

struct pg_fault pg_fault_of(const PGresult *result);

// Sets kind, conflict and constraint of an outcome. A unique key is named "table.column,
// table.column", for which the index may have any name; where that is not to be had, by its index.
enum pg_remedy pg_fault_outcome(const struct pg_fault *fault, struct outcome *ret_outcome);

// Whether the connection ended with it, by the server's will or without.
bool pg_fault_is_fatal(const PGresult *result);
