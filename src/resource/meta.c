#include "resource/meta.h"

// So many processes may change the tables while one makes this one.
enum { CREATE_TRIES = 20 };

static const struct column text_columns[] = {{.kind = VALUE_TEXT}, {.kind = VALUE_TEXT}};

static bool make_create_table(struct arena *arena, const struct dialect *dialect,
                              struct statement *ret_statement) {
    struct text type = dialect->column_type(&(struct property){.kind = VALUE_TEXT});
    struct sql sql = sql_begin(dialect, arena);
    buffer_format(&sql.text,
                  "CREATE TABLE IF NOT EXISTS trestle_meta (name %.*s NOT NULL PRIMARY KEY, "
                  "value %.*s NOT NULL)",
                  TEXT_ARGS(type), TEXT_ARGS(type));
    if (!sql_finish(&sql, NULL, 0, ret_statement))
        return false;
    ret_statement->once = true;
    return true;
}

static bool make_read(struct arena *arena, const struct dialect *dialect,
                      struct statement *ret_statement) {
    struct sql sql = sql_begin(dialect, arena);
    sql_text(&sql, "SELECT value FROM trestle_meta WHERE name = ");
    dialect->placeholder(&sql, 1, VALUE_TEXT);
    return sql_finish(&sql, text_columns, 1, ret_statement);
}

static bool make_list(struct arena *arena, const struct dialect *dialect,
                      struct statement *ret_statement) {
    struct sql sql = sql_begin(dialect, arena);
    sql_text(&sql, "SELECT name, value FROM trestle_meta ORDER BY name");
    return sql_finish(&sql, text_columns, 2, ret_statement);
}

static bool make_write(struct arena *arena, const struct dialect *dialect, const char *on_conflict,
                       struct statement *ret_statement) {
    struct sql sql = sql_begin(dialect, arena);
    sql_text(&sql, "INSERT INTO trestle_meta (name, value) VALUES (");
    dialect->placeholder(&sql, 1, VALUE_TEXT);
    sql_text(&sql, ", ");
    dialect->placeholder(&sql, 2, VALUE_TEXT);
    sql_text(&sql, ") ON CONFLICT (name) DO ");
    sql_text(&sql, on_conflict);
    return sql_finish(&sql, NULL, 0, ret_statement);
}

bool meta_plan_make(struct arena *arena, const struct dialect *dialect,
                    struct meta_plan *ret_plan) {
    struct meta_plan plan;
    bool made = make_create_table(arena, dialect, &plan.create_table) &&
                make_read(arena, dialect, &plan.read) && make_list(arena, dialect, &plan.list) &&
                make_write(arena, dialect, "NOTHING", &plan.insert) &&
                make_write(arena, dialect, "UPDATE SET value = excluded.value", &plan.replace);
    if (made)
        *ret_plan = plan;
    return made;
}

bool meta_is_there(const struct stored_schema *schema) {
    for (size_t i = 0; i < schema->column_count; i++) {
        if (text_is(schema->columns[i].table, "trestle_meta"))
            return true;
    }
    return false;
}

bool meta_create_table(struct store *store, const struct meta_plan *plan, struct arena *arena,
                       struct failure *failure) {
    struct migration_step step = {.sql = plan->create_table.sql,
                                  .reason = TEXT("trestle_meta: a new table")};
    for (unsigned tries = 0; tries < CREATE_TRIES; tries++) {
        struct migration migration = {.steps = &step, .step_count = 1};
        struct stored_schema schema;
        if (!migrate_read_schema(store, arena, &schema, failure))
            return false;
        migration_note_schema(&migration, &schema);
        if (meta_is_there(&schema) || migrate_run(store, &migration, arena, failure))
            return true;
        if (failure->code != FAILURE_CONTENTION) // another process may have been quicker
            return false;
    }
    return false;
}
