#include "resource/system_tables.h"

#include "base/table.h"

enum { MAX_STATEMENTS = 4 };

// Each with the statements that make it, the first of which is its CREATE TABLE.
static const struct {
    struct text name;
    struct text sqlite[MAX_STATEMENTS];
    struct text postgres[MAX_STATEMENTS];
} tables[] = {
    // What every process on one database must agree on; resource/meta.h.
    {
        TEXT_INIT("trestle_meta"),
        {TEXT_INIT("CREATE TABLE trestle_meta (name TEXT NOT NULL PRIMARY KEY, "
                   "value TEXT NOT NULL)")},
        {TEXT_INIT("CREATE TABLE trestle_meta (name text COLLATE \"C\" NOT NULL PRIMARY KEY, "
                   "value text COLLATE \"C\" NOT NULL)")},
    },
    // The answers that are given again under the same Idempotency-Key; resource/idempotency.h.
    {
        TEXT_INIT("trestle_idempotency"),
        {TEXT_INIT("CREATE TABLE trestle_idempotency (id BLOB NOT NULL PRIMARY KEY, "
                   "fingerprint BLOB NOT NULL, status INTEGER NOT NULL, fields BLOB NOT NULL, "
                   "body BLOB NOT NULL, created_at TIMESTAMP_TEXT NOT NULL, "
                   "expires_at TIMESTAMP_TEXT NOT NULL)"),
         TEXT_INIT("CREATE INDEX trestle_idempotency_expires_at_idx "
                   "ON trestle_idempotency (expires_at)")},
        {TEXT_INIT("CREATE TABLE trestle_idempotency (id bytea NOT NULL PRIMARY KEY, "
                   "fingerprint bytea NOT NULL, status bigint NOT NULL, fields bytea NOT NULL, "
                   "body bytea NOT NULL, created_at timestamp(3) with time zone NOT NULL, "
                   "expires_at timestamp(3) with time zone NOT NULL)"),
         TEXT_INIT("CREATE INDEX trestle_idempotency_expires_at_idx "
                   "ON trestle_idempotency (expires_at)")},
    },
};

enum { TABLES = sizeof tables / sizeof *tables };

bool system_table_is(struct text name) {
    for (size_t i = 0; i < TABLES; i++)
        if (text_equal(name, tables[i].name))
            return true;
    return false;
}

bool system_table_is_there(const struct stored_schema *schema, struct text name) {
    for (size_t i = 0; i < schema->column_count; i++)
        if (text_equal(schema->columns[i].table, name))
            return true;
    return false;
}

static bool add_step(struct migration *migration, struct text sql, struct text table, bool is_first,
                     struct arena *arena) {
    struct text reason = arena_format(arena, "%.*s: %s", TEXT_ARGS(table),
                                      is_first ? "a table of trestle's own" : "what goes with it");
    struct migration_step *step =
        arena_grow(arena, &migration->steps, migration->step_count, sizeof *step);
    if (!step || !reason.data)
        return false;
    *step = (struct migration_step){.kind = STEP_SAFE, .sql = sql, .reason = reason};
    migration->step_count++;
    return true;
}

bool system_tables_plan(const struct stored_schema *schema, enum store_dialect dialect,
                        struct arena *arena, struct migration *migration, struct failure *failure) {
    for (size_t i = 0; i < TABLES; i++) {
        if (system_table_is_there(schema, tables[i].name))
            continue;
        const struct text *sql = dialect == STORE_POSTGRES ? tables[i].postgres : tables[i].sqlite;
        for (size_t j = 0; j < MAX_STATEMENTS && sql[j].data; j++)
            if (!add_step(migration, sql[j], tables[i].name, j == 0, arena))
                return failure_out_of_memory(failure);
    }
    return true;
}
