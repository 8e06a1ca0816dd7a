#include "store/postgres/faults.h"

#include <stdio.h>

// SQLSTATEs, or how they begin; the first one that fits counts, and what is not here is
// OUTCOME_FAILED. A server that is short of memory, connections or the right to write is as good as
// away: trying again later may help.
static const struct {
    const char *state;
    enum outcome_kind kind;
    enum conflict_kind conflict;
    enum pg_remedy remedy;
} outcomes[] = {
    {"23505", OUTCOME_CONFLICT, CONFLICT_UNIQUE, PG_REMEDY_NONE},
    {"23P01", OUTCOME_CONFLICT, CONFLICT_UNIQUE, PG_REMEDY_NONE}, // an EXCLUDE constraint
    {"23503", OUTCOME_CONFLICT, CONFLICT_REFERENCE, PG_REMEDY_NONE},
    {"23001", OUTCOME_CONFLICT, CONFLICT_REFERENCE, PG_REMEDY_NONE},
    {"22003", OUTCOME_OVERFLOW, 0, PG_REMEDY_NONE},
    {"57014", OUTCOME_TIMEOUT, 0, PG_REMEDY_NONE},
    {"40001", OUTCOME_BUSY, 0, PG_REMEDY_AGAIN},     // serialization
    {"40P01", OUTCOME_BUSY, 0, PG_REMEDY_AGAIN},     // deadlock
    {"55P03", OUTCOME_BUSY, 0, PG_REMEDY_AGAIN},     // lock_timeout
    {"26000", OUTCOME_FAILED, 0, PG_REMEDY_PREPARE}, // a pooler gave us another server connection
    {"53100", OUTCOME_FULL, 0, PG_REMEDY_NONE},
    {"53", OUTCOME_UNAVAILABLE, 0, PG_REMEDY_NONE},
    {"57P0", OUTCOME_UNAVAILABLE, 0, PG_REMEDY_NONE},  // shutdown, crash, starting up
    {"25006", OUTCOME_UNAVAILABLE, 0, PG_REMEDY_NONE}, // it became a standby
    {"58030", OUTCOME_UNAVAILABLE, 0, PG_REMEDY_NONE}, // I/O error
    {"08P01", OUTCOME_FAILED, 0, PG_REMEDY_NONE},      // the wrong number of parameters
    {"08", OUTCOME_UNAVAILABLE, 0, PG_REMEDY_NONE},
};

// "cached plan must not change result type" has no SQLSTATE of its own.
static bool is_stale_plan(const char *state, const char *function) {
    return strcmp(state, "0A000") == 0 && function &&
           strcmp(function, "RevalidateCachedQuery") == 0;
}

enum pg_remedy pg_fault_classify(const char *state, const char *constraint, const char *function,
                                 struct outcome *ret_outcome) {
    ret_outcome->kind = OUTCOME_FAILED;
    ret_outcome->constraint[0] = '\0';
    if (!state) { // libpq's own: the connection is gone, or there is no memory
        ret_outcome->kind = OUTCOME_UNAVAILABLE;
        return PG_REMEDY_NONE;
    }
    if (is_stale_plan(state, function))
        return PG_REMEDY_PREPARE;
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        if (strncmp(state, outcomes[i].state, strlen(outcomes[i].state)) != 0)
            continue;
        ret_outcome->kind = outcomes[i].kind;
        ret_outcome->conflict = outcomes[i].conflict;
        if (outcomes[i].kind == OUTCOME_CONFLICT && constraint)
            (void)snprintf(ret_outcome->constraint, sizeof ret_outcome->constraint, "%s",
                           constraint);
        return outcomes[i].remedy;
    }
    return PG_REMEDY_NONE;
}

enum pg_remedy pg_fault_outcome(const PGresult *result, struct outcome *ret_outcome) {
    return pg_fault_classify(PQresultErrorField(result, PG_DIAG_SQLSTATE),
                             PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME),
                             PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION), ret_outcome);
}

bool pg_fault_is_fatal(const PGresult *result) {
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    return severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
}
