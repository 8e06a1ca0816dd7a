#include "base/table.h"
#include "resource/planning.h"

// How SQL spells what becomes of a record. (NO ACTION looks at the end of a statement, so that what
// cascades in it is gone by then, in whichever order; RESTRICT would look at once.)
static const struct text actions[] = {
    [ON_DELETE_RESTRICT] = TEXT_INIT("NO ACTION"),
    [ON_DELETE_CASCADE] = TEXT_INIT("CASCADE"),
    [ON_DELETE_SET_NULL] = TEXT_INIT("SET NULL"),
};

// ---- What is stored ----

// What the key's column is called before the migration.
static struct text key_column(const struct planning *planning, const struct resource *resource) {
    const struct property *key = resource->key.property;
    const struct stored_column *column = planning_column_of(planning, resource, key);
    return column ? column->name : key->name;
}

static bool reference_is(const struct planning *planning, const struct stored_reference *stored,
                         const struct reference *declared) {
    const struct resource *target = declared->resource;
    return target && text_equal(stored->to_table, target->table) &&
           (stored->to_column.size == 0 ||
            text_equal(stored->to_column, key_column(planning, target))) &&
           text_equal(stored->on_delete, actions[declared->on_delete]);
}

bool planning_reference_fits(const struct planning *planning, const struct resource *resource,
                             const struct property *property, const struct stored_column *column) {
    const struct stored_schema *schema = planning->schema;
    size_t fitting = 0;
    for (size_t i = 0; i < schema->reference_count; i++) {
        const struct stored_reference *stored = &schema->references[i];
        if (!text_equal(stored->table, resource->table) ||
            !text_equal(stored->column, column->name))
            continue;
        if (!reference_is(planning, stored, &property->reference))
            return false;
        fitting++;
    }
    return fitting == (property->reference.resource ? 1 : 0);
}

bool planning_column_fits(const struct planning *planning, const struct resource *resource,
                          const struct property *property, const struct stored_column *column) {
    return planning_type_fits(planning, property, column) &&
           (planning->dialect->store == STORE_POSTGRES ||
            planning_reference_fits(planning, resource, property, column));
}

// ---- Foreign keys ----

static void append_target(struct sql *sql, const struct reference *reference) {
    sql_text(sql, " REFERENCES ");
    sql_name(sql, reference->resource->table);
    sql_text(sql, " (");
    sql_name(sql, reference->resource->key.property->name);
    sql_text(sql, ") ON DELETE ");
    sql_append(sql, actions[reference->on_delete]);
}

void planning_append_reference(struct sql *sql, const struct property *property) {
    if (property->reference.resource && sql->dialect->store == STORE_SQLITE)
        append_target(sql, &property->reference);
}

// Whether a stored foreign key is one that its column's property has.
static bool reference_stays(const struct planning *planning, const struct resource *resource,
                            const struct stored_reference *stored,
                            const struct stored_column *column) {
    const struct property *property = planning_property_of(planning, resource, column);
    return property && reference_is(planning, stored, &property->reference) &&
           planning_type_fits(planning, property, column);
}

bool planning_drop_references(struct planning *planning) {
    const struct stored_schema *schema = planning->schema;
    for (size_t i = 0; i < schema->reference_count; i++) {
        const struct stored_reference *stored = &schema->references[i];
        const struct plan *plan = catalogue_table(planning->catalogue, stored->table);
        const struct stored_column *column =
            planning_column(planning, stored->table, stored->column);
        if (planning->dialect->store == STORE_SQLITE || !plan || !column ||
            reference_stays(planning, plan->resource, stored, column))
            continue;
        struct sql sql = planning_begin(planning);
        sql_text(&sql, "ALTER TABLE ");
        sql_name(&sql, stored->table);
        sql_text(&sql, " DROP CONSTRAINT ");
        sql_name(&sql, stored->name);
        if (!planning_add(
                planning, STEP_SAFE, &sql, "%.*s: %.*s no longer refers to %.*s in this way",
                TEXT_ARGS(stored->table), TEXT_ARGS(stored->column), TEXT_ARGS(stored->to_table)))
            return false;
    }
    return true;
}

// Whether one of the stored foreign keys is what a property needs.
static bool reference_is_there(const struct planning *planning, const struct resource *resource,
                               const struct property *property) {
    const struct stored_schema *schema = planning->schema;
    const struct stored_column *column = planning_column_of(planning, resource, property);
    for (size_t i = 0; column && i < schema->reference_count; i++) {
        const struct stored_reference *stored = &schema->references[i];
        if (text_equal(stored->table, resource->table) &&
            text_equal(stored->column, column->name) &&
            reference_stays(planning, resource, stored, column))
            return true;
    }
    return false;
}

bool planning_create_references(struct planning *planning, const struct resource *resource) {
    if (planning->dialect->store == STORE_SQLITE)
        return true;
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        if (!property->reference.resource || reference_is_there(planning, resource, property))
            continue;
        struct sql sql = planning_begin(planning);
        sql_text(&sql, "ALTER TABLE ");
        sql_name(&sql, resource->table);
        sql_text(&sql, " ADD FOREIGN KEY (");
        sql_name(&sql, property->name);
        sql_text(&sql, ")");
        append_target(&sql, &property->reference);
        if (!planning_add(planning, STEP_SAFE, &sql, "%.*s: %.*s refers to %.*s",
                          TEXT_ARGS(resource->table), TEXT_ARGS(property->name),
                          TEXT_ARGS(property->reference.resource->table)))
            return false;
    }
    return true;
}

// ---- Triggers ----

// A record that loses what it refers to is another one for whoever knows its version. On
// PostgreSQL, the update that the foreign key makes is given a new version. On SQLite no trigger
// changes an update, so there it is made before the foreign key would. (The record that goes is
// left alone, should it refer to itself.)
static const char trigger_prefix[] = "trestle_version_";

static void append_sqlite_trigger(struct sql *sql, const struct resource *resource,
                                  const struct property *property) {
    const struct resource *target = property->reference.resource;
    struct text key = target->key.property->name;
    sql_text(sql, " BEFORE DELETE ON ");
    sql_name(sql, target->table);
    sql_text(sql, " BEGIN UPDATE ");
    sql_name(sql, resource->table);
    sql_text(sql, " SET ");
    sql_name(sql, property->name);
    sql_text(sql, " = NULL, ");
    sql_next_version(sql);
    sql_text(sql, " WHERE ");
    sql_name(sql, property->name);
    sql_text(sql, " = OLD.");
    sql_name(sql, key);
    if (target == resource) {
        sql_text(sql, " AND ");
        sql_name(sql, key);
        sql_text(sql, " <> OLD.");
        sql_name(sql, key);
    }
    sql_text(sql, "; END");
}

static void append_postgres_trigger(struct sql *sql, const struct resource *resource,
                                    const struct property *property) {
    sql_text(sql, " BEFORE UPDATE OF ");
    sql_name(sql, property->name);
    sql_text(sql, " ON ");
    sql_name(sql, resource->table);
    sql_text(sql, " FOR EACH ROW WHEN (OLD.");
    sql_name(sql, property->name);
    sql_text(sql, " IS NOT NULL AND NEW.");
    sql_name(sql, property->name);
    sql_text(sql, " IS NULL AND NEW._version = OLD._version) "
                  "EXECUTE FUNCTION trestle_next_version()");
}

static const char postgres_function[] =
    "CREATE OR REPLACE FUNCTION trestle_next_version() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN NEW._version := OLD._version + 1; RETURN NEW; END'";

// The text behind the name.
static bool make_trigger(struct planning *planning, const struct resource *resource,
                         const struct property *property, struct text *ret_text) {
    struct sql sql = planning_begin(planning);
    struct statement statement;
    if (planning->dialect->store == STORE_POSTGRES)
        append_postgres_trigger(&sql, resource, property);
    else
        append_sqlite_trigger(&sql, resource, property);
    if (!sql_finish(&sql, NULL, 0, &statement))
        return false;
    *ret_text = statement.sql;
    return true;
}

static bool expect_trigger(struct planning *planning, const struct resource *resource,
                           const struct property *property) {
    struct expected_trigger *trigger =
        arena_grow(planning->arena, &planning->triggers, planning->trigger_count, sizeof *trigger);
    struct text text;
    if (!trigger || !make_trigger(planning, resource, property, &text))
        return failure_out_of_memory(planning->failure);
    bool postgres = planning->dialect->store == STORE_POSTGRES;
    struct text name =
        arena_format(planning->arena, "%s%016jx", trigger_prefix, (uintmax_t)text_hash(text));
    *trigger = (struct expected_trigger){
        .table = postgres ? resource->table : property->reference.resource->table,
        .name = name,
        .sql = arena_format(planning->arena, "CREATE TRIGGER %.*s%.*s", TEXT_ARGS(name),
                            TEXT_ARGS(text)),
        .resource = resource,
        .property = property,
    };
    planning->trigger_count++;
    return (name.data && trigger->sql.data) || failure_out_of_memory(planning->failure);
}

bool planning_expect_triggers(struct planning *planning) {
    for (size_t i = 0; i < planning->catalogue->table_count; i++) {
        const struct resource *resource = planning->catalogue->resources[i];
        for (size_t j = 0; j < resource->property_count; j++) {
            const struct property *property = &resource->properties[j];
            if (property->reference.resource &&
                property->reference.on_delete == ON_DELETE_SET_NULL &&
                !expect_trigger(planning, resource, property))
                return false;
        }
    }
    return true;
}

// Whether the column that a trigger is about is neither renamed nor made anew.
static bool column_stays(const struct planning *planning, const struct expected_trigger *trigger) {
    const struct stored_column *column =
        planning_column(planning, trigger->resource->table, trigger->property->name);
    return column && planning_column_fits(planning, trigger->resource, trigger->property, column);
}

static bool trigger_stays(const struct planning *planning, const struct stored_trigger *stored) {
    for (size_t i = 0; i < planning->trigger_count; i++) {
        const struct expected_trigger *expected = &planning->triggers[i];
        if (text_equal(stored->name, expected->name) && text_equal(stored->table, expected->table))
            return column_stays(planning, expected);
    }
    return false;
}

bool planning_drop_triggers(struct planning *planning) {
    const struct stored_schema *schema = planning->schema;
    for (size_t i = 0; i < schema->trigger_count; i++) {
        const struct stored_trigger *stored = &schema->triggers[i];
        if (!text_starts_with(stored->name, text_from_string(trigger_prefix)) ||
            trigger_stays(planning, stored))
            continue;
        struct sql sql = planning_begin(planning);
        sql_text(&sql, "DROP TRIGGER ");
        sql_name(&sql, stored->name);
        if (planning->dialect->store == STORE_POSTGRES) {
            sql_text(&sql, " ON ");
            sql_name(&sql, stored->table);
        }
        if (!planning_add(planning, STEP_SAFE, &sql, "%.*s: a trigger that is no longer needed",
                          TEXT_ARGS(stored->table)))
            return false;
    }
    return true;
}

static bool trigger_is_there(const struct planning *planning,
                             const struct expected_trigger *expected) {
    const struct stored_schema *schema = planning->schema;
    for (size_t i = 0; i < schema->trigger_count; i++) {
        if (text_equal(schema->triggers[i].name, expected->name) &&
            text_equal(schema->triggers[i].table, expected->table))
            return column_stays(planning, expected);
    }
    return false;
}

static bool create_function(struct planning *planning) {
    struct sql sql = planning_begin(planning);
    sql_text(&sql, postgres_function);
    return planning_add(planning, STEP_SAFE, &sql, "the function that raises a record's version");
}

bool planning_create_triggers(struct planning *planning) {
    bool has_function = planning->dialect->store == STORE_SQLITE;
    for (size_t i = 0; i < planning->trigger_count; i++) {
        const struct expected_trigger *trigger = &planning->triggers[i];
        if (trigger_is_there(planning, trigger))
            continue;
        if (!has_function && !create_function(planning))
            return false;
        has_function = true;
        struct sql sql = planning_begin(planning);
        sql_append(&sql, trigger->sql);
        if (!planning_add(planning, STEP_SAFE, &sql,
                          "%.*s: records get a new version when %.*s becomes null",
                          TEXT_ARGS(trigger->resource->table), TEXT_ARGS(trigger->property->name)))
            return false;
    }
    return true;
}
