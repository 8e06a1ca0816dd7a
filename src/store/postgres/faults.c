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
static bool is_stale_plan(const struct pg_fault *fault) {
    return strcmp(fault->state, "0A000") == 0 && fault->function &&
           strcmp(fault->function, "RevalidateCachedQuery") == 0;
}

// The columns of "Key (name, version)=(a, 1) already exists.", which every language has in this
// form; data NULL where they are not there.
static struct text columns_in(const char *detail) {
    const char *start = detail ? strchr(detail, '(') : NULL;
    const char *end = start ? strstr(start, ")=(") : NULL;
    return end ? text_of(start + 1, (size_t)(end - start - 1)) : (struct text){NULL, 0};
}

// A column's name without the quotes that PostgreSQL gives to words of its own.
static struct text bare_name(struct text name) {
    name = text_trim(name);
    if (name.size >= 2 && name.data[0] == '"' && name.data[name.size - 1] == '"')
        return text_of(name.data + 1, name.size - 2);
    return name;
}

static void name_constraint(const struct pg_fault *fault, struct outcome *ret_outcome) {
    char *name = ret_outcome->constraint;
    size_t size = sizeof ret_outcome->constraint;
    struct text columns = columns_in(fault->detail);
    struct text column;
    size_t used = 0;
    while (fault->table && used < size && text_split(&columns, ',', &column)) {
        int written = snprintf(name + used, size - used, "%s%s.%.*s", used ? ", " : "",
                               fault->table, TEXT_ARGS(bare_name(column)));
        used += written > 0 ? (size_t)written : size;
    }
    if (used == 0 || used >= size)
        (void)snprintf(name, size, "%s", fault->constraint ? fault->constraint : "");
}

enum pg_remedy pg_fault_outcome(const struct pg_fault *fault, struct outcome *ret_outcome) {
    ret_outcome->kind = OUTCOME_FAILED;
    ret_outcome->constraint[0] = '\0';
    if (!fault->state) { // libpq's own: the connection is gone, or there is no memory
        ret_outcome->kind = OUTCOME_UNAVAILABLE;
        return PG_REMEDY_NONE;
    }
    if (is_stale_plan(fault))
        return PG_REMEDY_PREPARE;
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        if (strncmp(fault->state, outcomes[i].state, strlen(outcomes[i].state)) != 0)
            continue;
        ret_outcome->kind = outcomes[i].kind;
        ret_outcome->conflict = outcomes[i].conflict;
        if (outcomes[i].kind == OUTCOME_CONFLICT)
            name_constraint(fault, ret_outcome);
        return outcomes[i].remedy;
    }
    return PG_REMEDY_NONE;
}

struct pg_fault pg_fault_of(const PGresult *result) {
    return (struct pg_fault){
        .state = PQresultErrorField(result, PG_DIAG_SQLSTATE),
        .function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION),
        .table = PQresultErrorField(result, PG_DIAG_TABLE_NAME),
        .constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME),
        .detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL),
    };
}

bool pg_fault_is_fatal(const PGresult *result) {
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    // PostgreSQL tells it of each error. One without it is libpq's own, which has nothing to read
    // from, or a pooler's, which has lost the server and is about to leave us.
    if (!severity)
        return PQresultStatus(result) == PGRES_FATAL_ERROR;
    return strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0;
}
