#include "resource/meta.h"

static const struct column text_columns[] = {{.kind = VALUE_TEXT}, {.kind = VALUE_TEXT}};

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

static bool make_raise(struct arena *arena, const struct dialect *dialect,
                       struct statement *ret_statement) {
    struct sql sql = sql_begin(dialect, arena);
    sql_text(&sql, "INSERT INTO trestle_meta (name, value) VALUES ('" META_VERSION "', '1') "
                   "ON CONFLICT (name) DO UPDATE SET value = "
                   "CAST(CAST(trestle_meta.value AS BIGINT) + 1 AS TEXT)");
    if (dialect->tell.size)
        buffer_format(&sql.text, " RETURNING %.*s", TEXT_ARGS(dialect->tell));
    return sql_finish(&sql, NULL, 0, ret_statement);
}

bool meta_plan_make(struct arena *arena, const struct dialect *dialect,
                    struct meta_plan *ret_plan) {
    struct meta_plan plan;
    bool made = make_read(arena, dialect, &plan.read) && make_list(arena, dialect, &plan.list) &&
                make_write(arena, dialect, "NOTHING", &plan.insert) &&
                make_write(arena, dialect, "UPDATE SET value = excluded.value", &plan.replace) &&
                make_raise(arena, dialect, &plan.raise);
    if (made)
        *ret_plan = plan;
    return made;
}
