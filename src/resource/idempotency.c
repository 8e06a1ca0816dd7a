#include "resource/idempotency.h"

// A statement with "#" for each parameter, and of which kinds they are.
struct template {
    const char *sql;
    enum value_kind parameters[7];
    const struct column *columns;
    size_t column_count;
};

static const struct column number_columns[] = {{.kind = VALUE_INTEGER}};
static const struct column answer_columns[] = {
    {.kind = VALUE_BYTES}, {.kind = VALUE_INTEGER}, {.kind = VALUE_BYTES}, {.kind = VALUE_BYTES}};

static const struct template lock = {
    .sql = "SELECT 1::bigint WHERE pg_try_advisory_xact_lock(#)",
    .parameters = {VALUE_INTEGER},
    .columns = number_columns,
    .column_count = 1,
};

static const struct template find = {
    .sql = "SELECT fingerprint, status, fields, body FROM trestle_idempotency "
           "WHERE id = # AND expires_at > #",
    .parameters = {VALUE_BYTES, VALUE_TIMESTAMP},
    .columns = answer_columns,
    .column_count = 4,
};

static const struct template keep = {
    .sql = "INSERT INTO trestle_idempotency "
           "(id, fingerprint, status, fields, body, created_at, expires_at) "
           "SELECT a.* FROM (SELECT # AS id, # AS fingerprint, # AS status, # AS fields, "
           "# AS body, # AS created_at, # AS expires_at) AS a WHERE a.status IS NOT NULL "
           "ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, "
           "status = excluded.status, fields = excluded.fields, body = excluded.body, "
           "created_at = excluded.created_at, expires_at = excluded.expires_at "
           "WHERE trestle_idempotency.expires_at <= excluded.created_at",
    .parameters = {VALUE_BYTES, VALUE_BYTES, VALUE_INTEGER, VALUE_BYTES, VALUE_BYTES,
                   VALUE_TIMESTAMP, VALUE_TIMESTAMP},
};

static const struct template forget[] = {
    [STORE_SQLITE] = {.sql = "DELETE FROM trestle_idempotency WHERE id IN "
                             "(SELECT id FROM trestle_idempotency WHERE expires_at <= # "
                             "ORDER BY expires_at LIMIT #)",
                      .parameters = {VALUE_TIMESTAMP, VALUE_INTEGER}},
    // What another process is about to forget is left to it.
    [STORE_POSTGRES] = {.sql = "DELETE FROM trestle_idempotency WHERE id = ANY (ARRAY("
                               "SELECT id FROM trestle_idempotency WHERE expires_at <= # "
                               "ORDER BY expires_at LIMIT # FOR UPDATE SKIP LOCKED))",
                        .parameters = {VALUE_TIMESTAMP, VALUE_INTEGER}},
};

static bool make(struct arena *arena, const struct dialect *dialect,
                 const struct template *template, struct statement *ret_statement) {
    struct sql sql = sql_begin(dialect, arena);
    size_t number = 0;
    for (const char *at = template->sql; *at; at++) {
        if (*at != '#') {
            buffer_append_byte(&sql.text, *at);
            continue;
        }
        dialect->placeholder(&sql, number + 1, template->parameters[number]);
        number++;
    }
    return sql_finish(&sql, template->columns, template->column_count, ret_statement);
}

bool idempotency_plan_make(struct arena *arena, const struct dialect *dialect,
                           struct idempotency_plan *ret_plan) {
    struct idempotency_plan plan = {0};
    bool made = (dialect->store != STORE_POSTGRES || make(arena, dialect, &lock, &plan.lock)) &&
                make(arena, dialect, &find, &plan.find) &&
                make(arena, dialect, &keep, &plan.keep) &&
                make(arena, dialect, &forget[dialect->store], &plan.forget);
    if (made)
        *ret_plan = plan;
    return made;
}
