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

// Sets kind, conflict and constraint of an outcome from an error of the server's.
enum pg_remedy pg_fault_outcome(const PGresult *result, struct outcome *ret_outcome);

// The same from the SQLSTATE, the constraint's name and the name of the server's function that
// raised it, each of which may be NULL.
enum pg_remedy pg_fault_classify(const char *state, const char *constraint, const char *function,
                                 struct outcome *ret_outcome);

// Whether the server ended the connection with it.
bool pg_fault_is_fatal(const PGresult *result);
