#include "store/sqlite/faults.h"

#include <sqlite3.h>
#include <stdio.h>

// Primary result codes; those that are not here are OUTCOME_FAILED. Without memory or the right to
// write, the database is as good as away: trying again later may help.
static const struct {
    int code;
    enum outcome_kind kind;
} outcomes[] = {
    {SQLITE_BUSY, OUTCOME_BUSY},
    {SQLITE_LOCKED, OUTCOME_BUSY},
    {SQLITE_INTERRUPT, OUTCOME_TIMEOUT},
    {SQLITE_FULL, OUTCOME_FULL},
    {SQLITE_IOERR, OUTCOME_UNAVAILABLE},
    {SQLITE_CANTOPEN, OUTCOME_UNAVAILABLE},
    {SQLITE_PROTOCOL, OUTCOME_UNAVAILABLE},
    {SQLITE_NOMEM, OUTCOME_UNAVAILABLE},
    {SQLITE_PERM, OUTCOME_UNAVAILABLE},
    {SQLITE_READONLY, OUTCOME_UNAVAILABLE},
    {SQLITE_NOLFS, OUTCOME_FULL},
};

// "UNIQUE constraint failed: packages.name, packages.version", or "…: index 'i'" where the index is
// on an expression.
static void unique_conflict(const char *message, struct outcome *ret_outcome) {
    struct text what = text_from_string(message);
    struct text prefix = TEXT("UNIQUE constraint failed: ");
    struct text index = TEXT("index '");
    if (!text_starts_with(what, prefix))
        what = TEXT("");
    else
        what = text_from(what, prefix.size);
    if (text_starts_with(what, index)) {
        what = text_from(what, index.size);
        what.size -= what.size > 0; // the closing quote
    }
    ret_outcome->kind = OUTCOME_CONFLICT;
    ret_outcome->conflict = CONFLICT_UNIQUE;
    (void)snprintf(ret_outcome->constraint, sizeof ret_outcome->constraint, "%.*s",
                   TEXT_ARGS(what));
}

void fault_outcome(int code, const char *message, struct outcome *ret_outcome) {
    ret_outcome->constraint[0] = '\0';
    ret_outcome->kind = OUTCOME_FAILED;
    switch (code) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID: unique_conflict(message, ret_outcome); return;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        ret_outcome->kind = OUTCOME_CONFLICT;
        ret_outcome->conflict = CONFLICT_REFERENCE;
        return;
    case SQLITE_ERROR:
        if (strcmp(message, "integer overflow") == 0)
            ret_outcome->kind = OUTCOME_OVERFLOW;
        return;
    default: break;
    }
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        if (outcomes[i].code == (code & 0xff))
            ret_outcome->kind = outcomes[i].kind;
    }
}
