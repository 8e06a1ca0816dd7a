#include "base/table.h"
#include "resource/outbox.h"
#include "resource/planning.h"

// Beside those of references. The rest of a name is made of all that the trigger does, so that
// another name is another trigger.
static const struct text prefix = TEXT_INIT("trestle_events_");

// A trigger as it should be. On PostgreSQL each has a function of its own, of the same name.
struct trigger {
    enum outbox_change change; // SQLite: a trigger a kind of change
    struct text name;
    struct text text; // what stands behind the name; PostgreSQL: the body of the function
};

enum { MAX_TRIGGERS = 3 };

static size_t expected_count(const struct planning *planning) {
    return planning->dialect->store == STORE_POSTGRES ? 1 : MAX_TRIGGERS;
}

// The text of what was put together, in the arena; data is NULL when there is no memory.
static struct text finish(struct sql *sql) {
    struct statement statement;
    return sql_finish(sql, NULL, 0, &statement) ? statement.sql : (struct text){NULL, 0};
}

// ---- What a trigger writes

static void append_insert(struct sql *sql, const struct resource *resource, const char *row,
                          const char *change) {
    bool postgres = sql->dialect->store == STORE_POSTGRES;
    sql_text(sql, "INSERT INTO trestle_events (resource, key, change, version, at) VALUES ('");
    sql_append(sql, resource->name);
    sql_text(sql, "', ");
    sql_key_text(sql, resource->key.property, row);
    sql_text(sql, ", ");
    sql_text(sql, change);
    sql_text(sql, ", ");
    if (resource->versioned) {
        sql_text(sql, row);
        sql_text(sql, ".\"_version\"");
    } else {
        sql_text(sql, "NULL");
    }
    sql_text(sql, postgres ? ", clock_timestamp())" : ", strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))");
}

static const struct {
    const char *when;
    const char *row;
    const char *change;
} sqlite_triggers[MAX_TRIGGERS] = {
    [CHANGE_CREATED] = {" AFTER INSERT ON ", "NEW", "'created'"},
    [CHANGE_UPDATED] = {" AFTER UPDATE ON ", "NEW", "'updated'"},
    [CHANGE_DELETED] = {" AFTER DELETE ON ", "OLD", "'deleted'"},
};

static void write_sqlite_trigger(struct sql *sql, const struct resource *resource,
                                 const struct trigger *trigger) {
    sql_text(sql, sqlite_triggers[trigger->change].when);
    sql_name(sql, resource->table);
    sql_text(sql, " BEGIN ");
    append_insert(sql, resource, sqlite_triggers[trigger->change].row,
                  sqlite_triggers[trigger->change].change);
    sql_text(sql, "; END");
}

static void write_postgres_body(struct sql *sql, const struct resource *resource) {
    sql_text(sql, "BEGIN IF TG_OP = 'DELETE' THEN ");
    append_insert(sql, resource, "OLD", "'deleted'");
    sql_text(sql, "; ELSE ");
    append_insert(sql, resource, "NEW",
                  "CASE TG_OP WHEN 'INSERT' THEN 'created' ELSE 'updated' END");
    sql_text(sql, "; END IF; RETURN NULL; END");
}

static bool name_it(const struct planning *planning, const struct resource *resource,
                    struct trigger *trigger) {
    struct text whole = arena_format(planning->arena, "%.*s %.*s", TEXT_ARGS(resource->table),
                                     TEXT_ARGS(trigger->text));
    if (whole.data)
        trigger->name = arena_format(planning->arena, "%.*s%016jx", TEXT_ARGS(prefix),
                                     (uintmax_t)text_hash(whole));
    return whole.data && trigger->name.data;
}

// The triggers that a resource should have; false when there is no memory.
static bool list_expected(const struct planning *planning, const struct resource *resource,
                          struct trigger triggers[MAX_TRIGGERS]) {
    for (size_t i = 0; i < expected_count(planning); i++) {
        struct trigger *trigger = &triggers[i];
        struct sql sql = planning_begin(planning);
        *trigger = (struct trigger){.change = (enum outbox_change)i};
        if (planning->dialect->store == STORE_POSTGRES)
            write_postgres_body(&sql, resource);
        else
            write_sqlite_trigger(&sql, resource, trigger);
        trigger->text = finish(&sql);
        if (!trigger->text.data || !name_it(planning, resource, trigger))
            return failure_out_of_memory(planning->failure);
    }
    return true;
}

// ---- Steps

// A function runs with its owner's rights, so that whoever may write to the table need not have any
// to the outbox; and so it says where each name is to be found, for its caller might have put
// something else in the way.
static bool create_postgres_trigger(struct planning *planning, const struct resource *resource,
                                    const struct trigger *trigger) {
    struct sql sql = planning_begin(planning);
    sql_text(&sql, "DO $do$ BEGIN EXECUTE replace($sql$CREATE OR REPLACE FUNCTION ");
    sql_name(&sql, trigger->name);
    sql_text(&sql, "() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
                   "SET search_path = pg_catalog, pg_temp AS $body$");
    sql_append(&sql, trigger->text);
    sql_text(&sql, "$body$$sql$, 'trestle_events (', "
                   "quote_ident(current_schema()) || '.trestle_events ('); END $do$");
    if (!planning_add(planning, STEP_SAFE, &sql, "%.*s: the function that notes its events",
                      TEXT_ARGS(resource->name)))
        return false;
    sql = planning_begin(planning);
    sql_text(&sql, "CREATE TRIGGER ");
    sql_name(&sql, trigger->name);
    sql_text(&sql, " AFTER INSERT OR UPDATE OR DELETE ON ");
    sql_name(&sql, resource->table);
    sql_text(&sql, " FOR EACH ROW EXECUTE FUNCTION ");
    sql_name(&sql, trigger->name);
    sql_text(&sql, "()");
    return planning_add(planning, STEP_SAFE, &sql, "%.*s: a trigger that notes its events",
                        TEXT_ARGS(resource->name));
}

static bool create_trigger(struct planning *planning, const struct resource *resource,
                           const struct trigger *trigger) {
    if (planning->dialect->store == STORE_POSTGRES)
        return create_postgres_trigger(planning, resource, trigger);
    struct sql sql = planning_begin(planning);
    sql_text(&sql, "CREATE TRIGGER ");
    sql_name(&sql, trigger->name);
    sql_append(&sql, trigger->text);
    return planning_add(planning, STEP_SAFE, &sql, "%.*s: a trigger that notes its events",
                        TEXT_ARGS(resource->name));
}

static bool drop_trigger(struct planning *planning, const struct stored_trigger *trigger) {
    bool postgres = planning->dialect->store == STORE_POSTGRES;
    struct sql sql = planning_begin(planning);
    sql_text(&sql, postgres ? "DROP FUNCTION IF EXISTS " : "DROP TRIGGER IF EXISTS ");
    sql_name(&sql, trigger->name);
    sql_text(&sql, postgres ? "() CASCADE" : "");
    return planning_add(planning, STEP_SAFE, &sql, "%.*s: a trigger that is no longer needed",
                        TEXT_ARGS(trigger->table));
}

// Nothing noted what happened before this moment, or not all of it.
static bool note_gap(struct planning *planning, const struct resource *resource) {
    struct sql sql = planning_begin(planning);
    sql_text(&sql, "INSERT INTO trestle_events (resource, key, change, at) VALUES ('");
    sql_append(&sql, resource->name);
    sql_text(&sql, "', '', 'gap', ");
    sql_text(&sql, planning->dialect->store == STORE_POSTGRES
                       ? "clock_timestamp())"
                       : "strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))");
    return planning_add(planning, STEP_SAFE, &sql, "%.*s: its events begin",
                        TEXT_ARGS(resource->name));
}

// Whether a trigger that is there is this one. When a table is renamed, its triggers keep their
// names.
static bool is_it(const struct stored_trigger *stored, const struct resource *resource,
                  const struct trigger *trigger) {
    return text_equal(stored->table, resource->table) && text_equal(stored->name, trigger->name);
}

static bool is_expected(const struct stored_trigger *stored, const struct resource *resource,
                        const struct trigger *triggers, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (is_it(stored, resource, &triggers[i]))
            return true;
    return false;
}

static bool has_needed_name(const struct stored_trigger *stored, const struct trigger *triggers,
                            size_t count) {
    for (size_t i = 0; i < count; i++)
        if (text_equal(stored->name, triggers[i].name))
            return true;
    return false;
}

static bool drop_unexpected(struct planning *planning, const struct resource *resource,
                            const struct trigger *triggers, size_t count) {
    const struct stored_schema *schema = planning->schema;
    for (size_t i = 0; i < schema->trigger_count; i++) {
        const struct stored_trigger *stored = &schema->triggers[i];
        bool concerned =
            text_starts_with(stored->name, prefix) && (text_equal(stored->table, resource->table) ||
                                                       has_needed_name(stored, triggers, count));
        if (concerned && !is_expected(stored, resource, triggers, count) &&
            !drop_trigger(planning, stored))
            return false;
    }
    return true;
}

static bool is_there(const struct planning *planning, const struct resource *resource,
                     const struct trigger *trigger) {
    for (size_t i = 0; i < planning->schema->trigger_count; i++)
        if (is_it(&planning->schema->triggers[i], resource, trigger))
            return true;
    return false;
}

// Whether its changes were noted up to now, be it in another form: triggers that are replaced
// within a transaction miss nothing.
static bool was_noted(const struct planning *planning, const struct resource *resource) {
    size_t found = 0;
    for (size_t i = 0; i < planning->schema->trigger_count; i++) {
        const struct stored_trigger *stored = &planning->schema->triggers[i];
        found +=
            text_equal(stored->table, resource->table) && text_starts_with(stored->name, prefix);
    }
    return found >= expected_count(planning);
}

static bool create_missing(struct planning *planning, const struct resource *resource,
                           const struct trigger *triggers, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!is_there(planning, resource, &triggers[i]) &&
            !create_trigger(planning, resource, &triggers[i]))
            return false;
    return count == 0 || was_noted(planning, resource) || note_gap(planning, resource);
}

// Where it was not done with the new triggers.
static bool note_gaps(struct planning *planning, const struct resource *resource,
                      const struct trigger *triggers, size_t count) {
    return count == 0 || !was_noted(planning, resource) || note_gap(planning, resource);
}

// One pass over all resources: what goes, goes first, since it may have the name of what comes.
static bool pass(struct planning *planning, enum outbox_triggers what,
                 bool (*follow)(struct planning *, const struct resource *, const struct trigger *,
                                size_t)) {
    for (size_t i = 0; i < planning->catalogue->table_count; i++) {
        const struct resource *resource = planning->catalogue->resources[i];
        struct trigger triggers[MAX_TRIGGERS];
        bool wanted = resource->events && what != TRIGGERS_GO;
        if (wanted && !list_expected(planning, resource, triggers))
            return false;
        if (!follow(planning, resource, triggers, wanted ? expected_count(planning) : 0))
            return false;
    }
    return true;
}

bool outbox_plan_triggers(const struct catalogue *catalogue, const struct stored_schema *schema,
                          enum outbox_triggers what, struct arena *arena,
                          struct migration *migration, struct failure *failure) {
    struct planning planning = {
        .catalogue = catalogue,
        .dialect = catalogue->dialect,
        .schema = schema,
        .arena = arena,
        .failure = failure,
        .migration = *migration,
    };
    bool planned = pass(&planning, what, drop_unexpected) &&
                   pass(&planning, what, create_missing) &&
                   (what != TRIGGERS_RESTART || pass(&planning, what, note_gaps));
    if (planned)
        *migration = planning.migration;
    return planned;
}
