#include "base/json_writer.h"
#include "resource/format.h"
#include "resource/planning.h"

// Stands for the version where a property is asked for.
static const struct property version_property = {.kind = VALUE_INTEGER};

// "ALTER TABLE t " and what follows.
static struct sql begin_alter(const struct planning *planning, const struct resource *resource,
                              const char *words) {
    struct sql sql = planning_begin(planning);
    sql_text(&sql, "ALTER TABLE ");
    sql_name(&sql, resource->table);
    sql_text(&sql, words);
    return sql;
}

// ---- New tables ----

// A column of a new table. The database holds keys; all else that a property must be is trestle's
// to see to.
static void append_column(struct sql *sql, const struct resource *resource,
                          const struct property *property) {
    sql_name(sql, property->name);
    sql_text(sql, " ");
    if (property != resource->key.property) {
        sql_append(sql, sql->dialect->column_type(property));
    } else if (resource->key.kind == KEY_INTEGER) {
        sql_append(sql, sql->dialect->made_key);
    } else {
        sql_append(sql, sql->dialect->column_type(property));
        sql_text(sql, " NOT NULL PRIMARY KEY");
    }
    planning_append_reference(sql, property);
}

static void append_version(struct sql *sql) {
    sql_name(sql, version_column);
    sql_text(sql, " ");
    sql_append(sql, sql->dialect->column_type(&version_property));
    sql_text(sql, " NOT NULL DEFAULT 1");
}

bool planning_create_table(struct planning *planning, const struct resource *resource) {
    struct sql sql = planning_begin(planning);
    sql_text(&sql, "CREATE TABLE ");
    sql_name(&sql, resource->table);
    for (size_t i = 0; i < resource->property_count; i++) {
        sql_text(&sql, i ? ", " : " (");
        append_column(&sql, resource, &resource->properties[i]);
    }
    if (resource->versioned) {
        sql_text(&sql, ", ");
        append_version(&sql);
    }
    sql_text(&sql, ")");
    return planning_add(planning, STEP_SAFE, &sql, "%.*s: a new table", TEXT_ARGS(resource->table));
}

// ---- Columns of stored tables ----

// A constant of the definition's as SQL, which DDL cannot take as a parameter.
static void append_literal(struct sql *sql, struct value value) {
    char digits[32];
    bool postgres = sql->dialect->store == STORE_POSTGRES;
    switch (value.kind) {
    case VALUE_BOOLEAN:
        if (postgres)
            sql_text(sql, value.boolean ? "true" : "false");
        else
            sql_text(sql, value.boolean ? "1" : "0");
        break;
    case VALUE_DECIMAL:
        if (postgres)
            sql_append(sql,
                       text_of(digits, format_write_decimal(value.integer, value.scale, digits)));
        else
            buffer_append_integer(&sql->text, value.integer);
        break;
    case VALUE_INTEGER: buffer_append_integer(&sql->text, value.integer); break;
    case VALUE_REAL: sql_append(sql, text_of(digits, json_format_real(value.real, digits))); break;
    default:
        sql_text(sql, "'");
        for (size_t i = 0; i < value.text.size; i++) {
            if (value.text.data[i] == '\'')
                sql_text(sql, "'");
            buffer_append_byte(&sql->text, value.text.data[i]);
        }
        sql_text(sql, "'");
        break;
    }
}

// What stored records get in a new column. A default is for new records alone; but what must not be
// null would be in all that are there, and in those that an older process makes meanwhile. (SQLite
// adds no column that refers to anything but with null in it.)
static struct value new_column_value(const struct resource *resource,
                                     const struct property *property) {
    if (property == resource->lifecycle.property)
        return value_text(VALUE_TEXT, resource->lifecycle.states[0]);
    bool has_default = property->required && !property->reference.resource;
    return has_default ? property->default_value : value_null();
}

static bool add_column(struct planning *planning, const struct resource *resource,
                       const struct property *property) {
    struct sql sql = begin_alter(planning, resource, " ADD COLUMN ");
    struct value value = new_column_value(resource, property);
    append_column(&sql, resource, property);
    if (!value_is_null(value)) {
        sql_text(&sql, " DEFAULT ");
        append_literal(&sql, value);
    }
    return planning_add(planning, STEP_SAFE, &sql, "%.*s: a new column, %.*s",
                        TEXT_ARGS(resource->table), TEXT_ARGS(property->name));
}

static bool add_version(struct planning *planning, const struct resource *resource) {
    if (!resource->versioned || planning_column(planning, resource->table, version_column))
        return true;
    struct sql sql = begin_alter(planning, resource, " ADD COLUMN ");
    append_version(&sql);
    return planning_add(planning, STEP_SAFE, &sql,
                        "%.*s: records can change now, and have versions",
                        TEXT_ARGS(resource->table));
}

static bool rename_column(struct planning *planning, const struct resource *resource,
                          enum step_kind kind, struct text from, struct text to) {
    struct sql sql = begin_alter(planning, resource, " RENAME COLUMN ");
    sql_name(&sql, from);
    sql_text(&sql, " TO ");
    sql_name(&sql, to);
    return planning_add(planning, kind, &sql, "%.*s: %.*s is called %.*s now",
                        TEXT_ARGS(resource->table), TEXT_ARGS(from), TEXT_ARGS(to));
}

static bool drop_column(struct planning *planning, const struct resource *resource,
                        enum step_kind kind, struct text name, const char *reason) {
    struct sql sql = begin_alter(planning, resource, " DROP COLUMN ");
    sql_name(&sql, name);
    return planning_add(planning, kind, &sql, "%.*s: %.*s %s", TEXT_ARGS(resource->table),
                        TEXT_ARGS(name), reason);
}

// PostgreSQL changes a column's type in place.
static bool alter_type(struct planning *planning, const struct resource *resource,
                       const struct property *property, const struct stored_column *column) {
    struct text type = planning->dialect->column_type(property);
    struct sql sql = begin_alter(planning, resource, " ALTER COLUMN ");
    sql_name(&sql, property->name);
    sql_text(&sql, " TYPE ");
    sql_append(&sql, type);
    sql_text(&sql, " USING CAST(");
    sql_name(&sql, property->name);
    sql_text(&sql, " AS ");
    sql_append(&sql, planning_bare_type(type));
    sql_text(&sql, ")");
    return planning_add(planning, STEP_LOSSY, &sql, "%.*s: %.*s is %.*s and must be %.*s",
                        TEXT_ARGS(resource->table), TEXT_ARGS(property->name),
                        TEXT_ARGS(column->type), TEXT_ARGS(planning_bare_type(type)));
}

// How many digits behind the point the integers of a stored SQLite type have; -1 for other types.
static int stored_scale(struct text type) {
    struct property property = {.kind = VALUE_DECIMAL};
    static const struct text integer = TEXT_INIT("INTEGER");
    for (; property.scale <= 18; property.scale++)
        if (text_equal_ignoring_case(type, dialect_of(STORE_SQLITE)->column_type(&property)))
            return property.scale;
    return text_equal_ignoring_case(type, integer) ? 0 : -1;
}

// How SQLite makes a value of each kind from @, a value of any; # is ten to the power of the scale.
static const char *const conversions[VALUE_KINDS] = {
    [VALUE_BOOLEAN] = "CAST(@ AS INTEGER) <> 0",
    [VALUE_INTEGER] = "CAST(@ AS INTEGER)",
    [VALUE_REAL] = "CAST(@ AS REAL)",
    [VALUE_DECIMAL] = "CAST(round(@ * #) AS INTEGER)",
    [VALUE_TEXT] = "CAST(@ AS TEXT)",
    [VALUE_BYTES] = "CAST(@ AS BLOB)",
    [VALUE_TIMESTAMP] = "strftime('%Y-%m-%dT%H:%M:%fZ', @)",
    [VALUE_DATE] = "strftime('%Y-%m-%d', @)",
    [VALUE_UUID] = "CASE length(@) WHEN 36 THEN lower(@) END",
    [VALUE_JSON] = "CASE WHEN @ IS NOT NULL THEN json_quote(@) END",
};

static void append_conversion(struct sql *sql, const struct property *property, int scale) {
    for (const char *at = conversions[property->kind]; *at; at++) {
        if (*at == '#') {
            buffer_format(&sql->text, "1e%d", property->scale);
        } else if (*at != '@') {
            buffer_append_byte(&sql->text, *at);
        } else {
            sql_name(sql, property->name);
            if (scale > 0)
                buffer_format(&sql->text, " / 1e%d", scale);
        }
    }
}

// Digits stay exact where only the point moves.
static void append_moved_point(struct sql *sql, const struct property *property, int digits) {
    sql_name(sql, property->name);
    sql_text(sql, digits < 0 ? " / 1" : " * 1");
    for (int i = 0; i < (digits < 0 ? -digits : digits); i++)
        sql_text(sql, "0");
}

// SQLite changes no types, so a new column takes the values and then the name. (No property's name
// begins with an underscore.)
static bool convert_values(struct planning *planning, const struct resource *resource,
                           const struct property *property, struct text into,
                           const struct stored_column *column) {
    bool same = planning_type_fits(planning, property, column);
    int scale = stored_scale(column->type);
    struct sql sql = planning_begin(planning);
    sql_text(&sql, "UPDATE ");
    sql_name(&sql, resource->table);
    sql_text(&sql, " SET ");
    sql_name(&sql, into);
    sql_text(&sql, " = ");
    if (same)
        sql_name(&sql, property->name);
    else if (scale >= 0 && property->kind == VALUE_DECIMAL)
        append_moved_point(&sql, property, property->scale - scale);
    else
        append_conversion(&sql, property, scale);
    return planning_add(planning, same ? STEP_SAFE : STEP_LOSSY, &sql,
                        same ? "%.*s: the values of %.*s are copied"
                             : "%.*s: the values of %.*s are converted, as far as they can be",
                        TEXT_ARGS(resource->table), TEXT_ARGS(property->name));
}

static bool replace_column(struct planning *planning, const struct resource *resource,
                           const struct property *property, const struct stored_column *column) {
    struct text type = planning->dialect->column_type(property);
    struct text other = arena_format(planning->arena, "_new_%.*s", TEXT_ARGS(property->name));
    bool same = planning_type_fits(planning, property, column);
    enum step_kind kind = same ? STEP_SAFE : STEP_LOSSY;
    if (!other.data)
        return failure_out_of_memory(planning->failure);
    struct sql sql = begin_alter(planning, resource, " ADD COLUMN ");
    sql_name(&sql, other);
    sql_text(&sql, " ");
    sql_append(&sql, type);
    planning_append_reference(&sql, property);
    bool added = same ? planning_add(planning, kind, &sql, "%.*s: what %.*s refers to changes",
                                     TEXT_ARGS(resource->table), TEXT_ARGS(property->name))
                      : planning_add(planning, kind, &sql, "%.*s: %.*s is %.*s and must be %.*s",
                                     TEXT_ARGS(resource->table), TEXT_ARGS(property->name),
                                     TEXT_ARGS(column->type), TEXT_ARGS(type));
    return added && convert_values(planning, resource, property, other, column) &&
           drop_column(planning, resource, kind, property->name,
                       same ? "was copied" : "was converted") &&
           rename_column(planning, resource, kind, other, property->name);
}

static bool follow_property(struct planning *planning, const struct resource *resource,
                            const struct property *property) {
    const struct stored_column *column = planning_column_of(planning, resource, property);
    if (!column)
        return add_column(planning, resource, property);
    if (!text_equal(column->name, property->name) &&
        !rename_column(planning, resource, STEP_SAFE, column->name, property->name))
        return false;
    if (planning->dialect->store == STORE_SQLITE)
        return planning_column_fits(planning, resource, property, column) ||
               replace_column(planning, resource, property, column);
    return planning_type_fits(planning, property, column) ||
           alter_type(planning, resource, property, column);
}

static bool drop_columns(struct planning *planning, const struct resource *resource) {
    const struct stored_schema *schema = planning->schema;
    for (size_t i = 0; i < schema->column_count; i++) {
        const struct stored_column *column = &schema->columns[i];
        if (text_equal(column->table, resource->table) &&
            !text_equal(column->name, version_column) &&
            !text_equal(column->name, operation_column) &&
            !planning_property_of(planning, resource, column) &&
            !drop_column(planning, resource, STEP_LOSSY, column->name, "is no longer declared"))
            return false;
    }
    return true;
}

bool planning_follow_columns(struct planning *planning, const struct resource *resource) {
    for (size_t i = 0; i < resource->property_count; i++)
        if (!follow_property(planning, resource, &resource->properties[i]))
            return false;
    return add_version(planning, resource) && drop_columns(planning, resource);
}

// ---- Tables that are none of trestle's ----

static bool key_is_unique(const struct planning *planning, const struct stored_column *column) {
    for (size_t i = 0; i < planning->schema->index_count; i++) {
        const struct stored_index *index = &planning->schema->indexes[i];
        if (index->unique && text_equal(index->table, column->table) && index->column_count == 1 &&
            text_equal(index->columns[0], column->name))
            return true;
    }
    return false;
}

static bool refuse_table(const struct planning *planning, const struct resource *resource,
                         struct text name, const char *lack) {
    return failure_set(planning->failure, FAILURE_REFUSED,
                       "the table \"%.*s\" is none that trestle can use for the resource of that "
                       "name: its column \"%.*s\" %s; move it out of the way (ALTER TABLE "
                       "\"%.*s\" RENAME TO \"%.*s_old\"), or name the resource otherwise",
                       TEXT_ARGS(resource->table), TEXT_ARGS(name), lack,
                       TEXT_ARGS(resource->table), TEXT_ARGS(resource->table));
}

static bool check_key(const struct planning *planning, const struct resource *resource) {
    const struct property *key = resource->key.property;
    const struct stored_column *column = planning_column_of(planning, resource, key);
    if (!column)
        return refuse_table(planning, resource, key->name, "is missing");
    if (!planning_type_fits(planning, key, column))
        return refuse_table(planning, resource, key->name, "is of another type than the key");
    // The number of a record is SQLite's rowid, for which there is no index.
    bool is_rowid = planning->dialect->store == STORE_SQLITE && resource->key.kind == KEY_INTEGER;
    if (key_is_unique(planning, column) == is_rowid)
        return refuse_table(planning, resource, key->name,
                            is_rowid ? "does not count up" : "is not unique");
    if (!column->not_null)
        return refuse_table(planning, resource, key->name, "is no primary key");
    return planning->dialect->store == STORE_POSTGRES ||
           planning_reference_fits(planning, resource, key, column) ||
           refuse_table(planning, resource, key->name,
                        "refers to another table than the key does, which SQLite cannot change");
}

bool planning_check_table(const struct planning *planning, const struct resource *resource) {
    const struct stored_column *version =
        planning_column(planning, resource->table, version_column);
    if (!check_key(planning, resource))
        return false;
    if (version && !planning_type_fits(planning, &version_property, version))
        return refuse_table(planning, resource, version_column, "is no integer");
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        const struct stored_column *column = planning_column_of(planning, resource, property);
        if (column && column->not_null && !property->required && property != resource->key.property)
            return refuse_table(planning, resource, property->name,
                                "takes no null, and the property is not required");
    }
    return true;
}
