#include "store/sqlite/faults.h"

#include "unit/testing.h"

#include <sqlite3.h>

static void codes_map_to_outcomes(void **state) {
    static const struct {
        int code;
        const char *message;
        enum outcome_kind kind;
    } cases[] = {
        {SQLITE_CONSTRAINT_UNIQUE, "UNIQUE constraint failed: a.b", OUTCOME_CONFLICT},
        {SQLITE_CONSTRAINT_FOREIGNKEY, "FOREIGN KEY constraint failed", OUTCOME_CONFLICT},
        {SQLITE_CONSTRAINT_CHECK, "CHECK constraint failed: c", OUTCOME_FAILED},
        {SQLITE_CONSTRAINT_NOTNULL, "NOT NULL constraint failed: a.b", OUTCOME_FAILED},
        {SQLITE_ERROR, "integer overflow", OUTCOME_OVERFLOW},
        {SQLITE_ERROR, "no such table: integer overflow", OUTCOME_FAILED},
        {SQLITE_BUSY, "database is locked", OUTCOME_BUSY},
        {SQLITE_BUSY_SNAPSHOT, "database is locked", OUTCOME_BUSY},
        {SQLITE_BUSY_RECOVERY, "database is locked", OUTCOME_BUSY},
        {SQLITE_LOCKED, "database table is locked", OUTCOME_BUSY},
        {SQLITE_INTERRUPT, "interrupted", OUTCOME_TIMEOUT},
        {SQLITE_FULL, "database or disk is full", OUTCOME_FULL},
        {SQLITE_IOERR_WRITE, "disk I/O error", OUTCOME_UNAVAILABLE},
        {SQLITE_CANTOPEN, "unable to open database file", OUTCOME_UNAVAILABLE},
        {SQLITE_NOMEM, "out of memory", OUTCOME_UNAVAILABLE},
        {SQLITE_READONLY, "attempt to write a readonly database", OUTCOME_UNAVAILABLE},
        {SQLITE_CORRUPT, "database disk image is malformed", OUTCOME_FAILED},
        {SQLITE_NOTADB, "file is not a database", OUTCOME_FAILED},
        {SQLITE_TOOBIG, "string or blob too big", OUTCOME_FAILED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome outcome = {.constraint = "left over"};
        fault_outcome(cases[i].code, cases[i].message, &outcome);
        assert_true_for(outcome.kind == cases[i].kind, cases[i].message);
        assert_true_for(outcome.conflict == CONFLICT_REFERENCE ||
                            outcome.kind != OUTCOME_CONFLICT || *outcome.constraint,
                        cases[i].message);
    }
}

static void unique_conflicts_name_what_stands_against_them(void **state) {
    static const struct {
        int code;
        const char *message;
        const char *constraint;
    } cases[] = {
        {SQLITE_CONSTRAINT_UNIQUE, "UNIQUE constraint failed: items.name", "items.name"},
        {SQLITE_CONSTRAINT_UNIQUE, "UNIQUE constraint failed: items.name, items.size",
         "items.name, items.size"},
        {SQLITE_CONSTRAINT_UNIQUE, "UNIQUE constraint failed: index 'items_lower'", "items_lower"},
        {SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE constraint failed: items.id", "items.id"},
        {SQLITE_CONSTRAINT_ROWID, "UNIQUE constraint failed: items.rowid", "items.rowid"},
        {SQLITE_CONSTRAINT_UNIQUE, "something else", ""},
        {SQLITE_CONSTRAINT_UNIQUE, "UNIQUE constraint failed: ", ""},
        {SQLITE_CONSTRAINT_UNIQUE, "UNIQUE constraint failed: index '", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome outcome = {0};
        fault_outcome(cases[i].code, cases[i].message, &outcome);
        assert_int_equal(outcome.kind, OUTCOME_CONFLICT);
        assert_int_equal(outcome.conflict, CONFLICT_UNIQUE);
        assert_string_equal(outcome.constraint, cases[i].constraint);
    }
}

static void a_long_name_is_cut(void **state) {
    char message[600] = "UNIQUE constraint failed: ";
    memset(message + strlen(message), 'n', 500);
    struct outcome outcome = {0};
    fault_outcome(SQLITE_CONSTRAINT_UNIQUE, message, &outcome);
    assert_int_equal(strlen(outcome.constraint), sizeof outcome.constraint - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_map_to_outcomes),
        cmocka_unit_test(unique_conflicts_name_what_stands_against_them),
        cmocka_unit_test(a_long_name_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
