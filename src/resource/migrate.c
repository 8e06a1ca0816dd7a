#include "resource/migrate.h"

#include "base/json_writer.h"
#include "base/table.h"
#include "resource/format.h"

#include <stdarg.h>
#include <stdio.h>

// The longest name that both databases keep whole.
enum { MAX_NAME = 63 };

// A migration in the making.
struct planning {
    const struct catalogue *catalogue;
    const struct dialect *dialect;
    const struct stored_schema *schema;
    struct arena *arena;
    struct failure *failure;
    struct migration migration;
    struct text *names; // of the indexes that it makes
    size_t name_count;
};

static const struct text version_column = TEXT_INIT("_version");

// Stands for the version where a property is asked for.
static const struct property version_property = {.kind = VALUE_INTEGER};

// ---- Steps ----

static struct sql begin(const struct planning *planning) {
    return sql_begin(planning->dialect, planning->arena);
}

// Adds a step of the statement that was put together. False when there is no memory.
static bool add_step(struct planning *planning, enum step_kind kind, struct sql *sql,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

static bool add_step(struct planning *planning, enum step_kind kind, struct sql *sql,
                     const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char reason[512];
    int size = vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    struct statement statement;
    struct migration *migration = &planning->migration;
    if (!sql_finish(sql, NULL, 0, &statement) || size < 0)
        return failure_out_of_memory(planning->failure);
    struct migration_step *step =
        arena_grow(planning->arena, &migration->steps, migration->step_count, sizeof *step);
    struct text copy = arena_copy(planning->arena, text_from_string(reason));
    if (!step || !copy.data)
        return failure_out_of_memory(planning->failure);
    *step = (struct migration_step){kind, statement.sql, copy};
    migration->step_count++;
    migration->lossy = migration->lossy || kind == STEP_LOSSY;
    return true;
}

// "ALTER TABLE t " and what follows.
static struct sql begin_alter(const struct planning *planning, const struct resource *resource,
                              const char *words) {
    struct sql sql = begin(planning);
    sql_text(&sql, "ALTER TABLE ");
    sql_name(&sql, resource->name);
    sql_text(&sql, words);
    return sql;
}

static void append(struct sql *sql, struct text text) {
    buffer_append_text(&sql->text, text);
}

// ---- What is stored ----

static bool table_is_stored(const struct stored_schema *schema, struct text table) {
    for (size_t i = 0; i < schema->column_count; i++)
        if (text_equal(schema->columns[i].table, table))
            return true;
    return false;
}

static const struct stored_column *find_column(const struct stored_schema *schema,
                                               struct text table, struct text name) {
    for (size_t i = 0; i < schema->column_count; i++)
        if (text_equal(schema->columns[i].table, table) &&
            text_equal(schema->columns[i].name, name))
            return &schema->columns[i];
    return NULL;
}

// The column that has a property's values: of its name, or of the name that it had before.
static const struct stored_column *column_of(const struct planning *planning,
                                             const struct resource *resource,
                                             const struct property *property) {
    const struct stored_column *column =
        find_column(planning->schema, resource->name, property->name);
    if (!column && property->was.size && !resource_property(resource, property->was))
        column = find_column(planning->schema, resource->name, property->was);
    return column;
}

// The property that a stored column has the values of, or NULL.
static const struct property *property_of(const struct planning *planning,
                                          const struct resource *resource,
                                          const struct stored_column *column) {
    for (size_t i = 0; i < resource->property_count; i++)
        if (column_of(planning, resource, &resource->properties[i]) == column)
            return &resource->properties[i];
    return NULL;
}

// Types as databases write them: "TEXT COLLATE \"C\"" is kept as "text".
static struct text bare_type(struct text type) {
    static const struct text collate = TEXT_INIT(" COLLATE");
    for (size_t i = 0; i + collate.size <= type.size; i++)
        if (text_equal_ignoring_case(text_of(type.data + i, collate.size), collate))
            return text_trim(text_of(type.data, i));
    return text_trim(type);
}

static bool type_fits(const struct planning *planning, const struct property *property,
                      const struct stored_column *column) {
    return text_equal_ignoring_case(bare_type(planning->dialect->column_type(property)),
                                    bare_type(column->type));
}

// ---- Names and shapes of indexes ----

// The declared properties of an index, and whether it is unique.
struct shape {
    struct property *const *properties;
    size_t count;
    bool unique;
};

static struct shape shape_of(const struct column_group *group, bool unique) {
    return (struct shape){group->properties, group->property_count, unique};
}

// Whether the resource's key stands behind an index's columns, so that the index has the total
// order of a list. SQLite's rowid, which a KEY_INTEGER is there, stands behind those of every
// index.
static bool has_key_behind(const struct planning *planning, const struct resource *resource,
                           const struct shape *shape) {
    if (shape->unique ||
        (planning->dialect->store == STORE_SQLITE && resource->key.kind == KEY_INTEGER))
        return false;
    for (size_t i = 0; i < shape->count; i++)
        if (shape->properties[i] == resource->key.property)
            return false;
    return true;
}

static bool index_has_shape(const struct planning *planning, const struct resource *resource,
                            const struct stored_index *index, const struct shape *shape) {
    bool key_behind = has_key_behind(planning, resource, shape);
    if (index->unique != shape->unique || index->column_count != shape->count + key_behind)
        return false;
    for (size_t i = 0; i < shape->count; i++)
        if (!text_equal(index->columns[i], shape->properties[i]->name))
            return false;
    return !key_behind || text_equal(index->columns[shape->count], resource->key.property->name);
}

// TABLE_COLUMN_COLUMN_idx, or _key where it is unique. Where that is too long, or taken by another
// (the columns b_c of a, and c of a_b, give the same), a hash of the parts stands in it.
static struct text index_name(const struct planning *planning, struct text table,
                              const struct text *columns, size_t count, bool unique,
                              bool with_hash) {
    const char *suffix = unique ? "_key" : "_idx";
    struct buffer name = {0};
    struct buffer parts = {0};
    buffer_append_text(&name, table);
    buffer_append_text(&parts, table);
    for (size_t i = 0; i < count; i++) {
        buffer_append_byte(&name, '_');
        buffer_append_text(&name, columns[i]);
        buffer_append_byte(&parts, '.');
        buffer_append_text(&parts, columns[i]);
    }
    struct text made = {NULL, 0};
    if (!name.failed && !parts.failed && !with_hash && name.size + strlen(suffix) <= MAX_NAME) {
        made = arena_format(planning->arena, "%.*s%s", TEXT_ARGS(buffer_text(&name)), suffix);
    } else if (!name.failed && !parts.failed) {
        size_t room = MAX_NAME - strlen("_00000000") - strlen(suffix);
        made = arena_format(planning->arena, "%.*s_%08x%s",
                            (int)(name.size < room ? name.size : room), name.data,
                            (unsigned)(text_hash(buffer_text(&parts)) & UINT32_MAX), suffix);
    }
    buffer_free(&name);
    buffer_free(&parts);
    return made;
}

// Whether its name is one that trestle gives to an index of these columns.
static bool index_is_ours(const struct planning *planning, const struct resource *resource,
                          const struct stored_index *index) {
    size_t count = index->column_count;
    bool key_behind =
        count > 1 && text_equal(index->columns[count - 1], resource->key.property->name);
    for (size_t without = 0; without <= key_behind; without++)
        for (unsigned hash = 0; hash < 2; hash++)
            if (text_equal(index->name, index_name(planning, resource->name, index->columns,
                                                   count - without, index->unique, hash)))
                return true;
    return false;
}

static bool index_is_declared(const struct planning *planning, const struct resource *resource,
                              const struct stored_index *index) {
    for (size_t i = 0; i < resource->unique_count; i++) {
        struct shape shape = shape_of(&resource->unique[i], true);
        if (index_has_shape(planning, resource, index, &shape))
            return true;
    }
    for (size_t i = 0; i < resource->index_count; i++) {
        struct shape shape = shape_of(&resource->indexes[i], false);
        if (index_has_shape(planning, resource, index, &shape))
            return true;
    }
    return false;
}

// Whether a stored column stays as it is, under whatever name.
static bool column_stays(const struct planning *planning, const struct resource *resource,
                         const struct stored_column *column) {
    if (text_equal(column->name, version_column))
        return true;
    const struct property *property = property_of(planning, resource, column);
    return property && type_fits(planning, property, column);
}

// SQLite drops no column that an index has; PostgreSQL sees to it by itself.
static bool index_is_in_the_way(const struct planning *planning, const struct resource *resource,
                                const struct stored_index *index) {
    if (planning->dialect->store != STORE_SQLITE)
        return false;
    for (size_t i = 0; i < index->column_count; i++) {
        const struct stored_column *column =
            find_column(planning->schema, resource->name, index->columns[i]);
        if (column && !column_stays(planning, resource, column))
            return true;
    }
    return false;
}

static const struct resource *resource_of(const struct planning *planning, struct text table) {
    const struct plan *plan = catalogue_plan(planning->catalogue, table);
    return plan ? plan->resource : NULL;
}

static bool index_goes(const struct planning *planning, const struct stored_index *index) {
    const struct resource *resource = resource_of(planning, index->table);
    if (!resource)
        return false;
    return index_is_in_the_way(planning, resource, index) ||
           (!index_is_declared(planning, resource, index) &&
            index_is_ours(planning, resource, index));
}

static bool drop_indexes(struct planning *planning) {
    for (size_t i = 0; i < planning->schema->index_count; i++) {
        const struct stored_index *index = &planning->schema->indexes[i];
        if (!index_goes(planning, index))
            continue;
        const struct resource *resource = resource_of(planning, index->table);
        bool ours = index_is_ours(planning, resource, index);
        struct sql sql = begin(planning);
        sql_text(&sql, "DROP INDEX ");
        sql_name(&sql, index->name);
        if (!add_step(planning, ours ? STEP_SAFE : STEP_LOSSY, &sql, "%.*s: the index %.*s %s",
                      TEXT_ARGS(index->table), TEXT_ARGS(index->name),
                      index_is_in_the_way(planning, resource, index)
                          ? "is on a column that is dropped or rewritten"
                          : "is no longer declared"))
            return false;
    }
    return true;
}

// ---- New indexes ----

static bool name_is_taken(const struct planning *planning, struct text name) {
    const struct stored_schema *schema = planning->schema;
    for (size_t i = 0; i < schema->index_count; i++)
        if (text_equal(schema->indexes[i].name, name) && !index_goes(planning, &schema->indexes[i]))
            return true;
    for (size_t i = 0; i < planning->name_count; i++)
        if (text_equal(planning->names[i], name))
            return true;
    return table_is_stored(schema, name) || resource_of(planning, name);
}

static bool index_is_there(const struct planning *planning, const struct resource *resource,
                           const struct shape *shape) {
    const struct stored_schema *schema = planning->schema;
    for (size_t i = 0; i < schema->index_count; i++)
        if (text_equal(schema->indexes[i].table, resource->name) &&
            index_has_shape(planning, resource, &schema->indexes[i], shape) &&
            !index_goes(planning, &schema->indexes[i]))
            return true;
    return false;
}

// The columns of an index, then the key where it belongs behind them. On PostgreSQL nulls come
// first as they do in lists; what is the key has none, and lists say nothing about them.
static void append_index_columns(struct sql *sql, const struct planning *planning,
                                 const struct resource *resource, const struct shape *shape) {
    for (size_t i = 0; i < shape->count; i++) {
        const struct property *property = shape->properties[i];
        sql_text(sql, i ? ", " : " (");
        sql_name(sql, property->name);
        if (planning->dialect->store == STORE_POSTGRES && property != resource->key.property)
            append(sql, planning->dialect->order_ascending);
    }
    if (has_key_behind(planning, resource, shape)) {
        sql_text(sql, ", ");
        sql_name(sql, resource->key.property->name);
    }
    sql_text(sql, ")");
}

static bool create_index(struct planning *planning, const struct resource *resource,
                         const struct shape *shape) {
    struct text *columns = arena_allocate_zero(planning->arena, shape->count, sizeof *columns);
    struct text *slot =
        arena_grow(planning->arena, &planning->names, planning->name_count, sizeof *slot);
    if (!columns || !slot)
        return failure_out_of_memory(planning->failure);
    for (size_t i = 0; i < shape->count; i++)
        columns[i] = shape->properties[i]->name;
    struct text name =
        index_name(planning, resource->name, columns, shape->count, shape->unique, false);
    if (name.data && name_is_taken(planning, name))
        name = index_name(planning, resource->name, columns, shape->count, shape->unique, true);
    if (!name.data)
        return failure_out_of_memory(planning->failure);
    *slot = name;
    planning->name_count++;
    struct sql sql = begin(planning);
    sql_text(&sql, shape->unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ");
    sql_name(&sql, name);
    sql_text(&sql, " ON ");
    sql_name(&sql, resource->name);
    append_index_columns(&sql, planning, resource, shape);
    return add_step(planning, STEP_SAFE, &sql, "%.*s: a new %s, %.*s", TEXT_ARGS(resource->name),
                    shape->unique ? "unique index" : "index", TEXT_ARGS(name));
}

// Whether the same columns were declared before, among the first `count` of the groups.
static bool group_is_repeated(const struct column_group *groups, size_t count) {
    const struct column_group *group = &groups[count];
    for (size_t i = 0; i < count; i++)
        if (groups[i].property_count == group->property_count &&
            !memcmp(groups[i].properties, group->properties,
                    group->property_count * sizeof *group->properties))
            return true;
    return false;
}

static bool create_missing(struct planning *planning, const struct resource *resource,
                           const struct column_group *groups, size_t count, bool unique) {
    for (size_t i = 0; i < count; i++) {
        struct shape shape = shape_of(&groups[i], unique);
        if (!group_is_repeated(groups, i) && !index_is_there(planning, resource, &shape) &&
            !create_index(planning, resource, &shape))
            return false;
    }
    return true;
}

static bool create_indexes(struct planning *planning, const struct resource *resource) {
    return create_missing(planning, resource, resource->unique, resource->unique_count, true) &&
           create_missing(planning, resource, resource->indexes, resource->index_count, false);
}

// ---- New tables ----

// A column of a new table. The database holds keys; all else that a property must be is trestle's
// to see to.
static void append_column(struct sql *sql, const struct resource *resource,
                          const struct property *property) {
    sql_name(sql, property->name);
    sql_text(sql, " ");
    if (property != resource->key.property) {
        append(sql, sql->dialect->column_type(property));
    } else if (resource->key.kind == KEY_INTEGER) {
        append(sql, sql->dialect->made_key);
    } else {
        append(sql, sql->dialect->column_type(property));
        sql_text(sql, " NOT NULL PRIMARY KEY");
    }
}

static void append_version(struct sql *sql) {
    sql_name(sql, version_column);
    sql_text(sql, " ");
    append(sql, sql->dialect->column_type(&version_property));
    sql_text(sql, " NOT NULL DEFAULT 1");
}

static bool create_table(struct planning *planning, const struct resource *resource) {
    struct sql sql = begin(planning);
    sql_text(&sql, "CREATE TABLE ");
    sql_name(&sql, resource->name);
    for (size_t i = 0; i < resource->property_count; i++) {
        sql_text(&sql, i ? ", " : " (");
        append_column(&sql, resource, &resource->properties[i]);
    }
    if (resource->versioned) {
        sql_text(&sql, ", ");
        append_version(&sql);
    }
    sql_text(&sql, ")");
    return add_step(planning, STEP_SAFE, &sql, "%.*s: a new table", TEXT_ARGS(resource->name));
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
            append(sql, text_of(digits, format_write_decimal(value.integer, value.scale, digits)));
        else
            buffer_append_integer(&sql->text, value.integer);
        break;
    case VALUE_INTEGER: buffer_append_integer(&sql->text, value.integer); break;
    case VALUE_REAL: append(sql, text_of(digits, json_format_real(value.real, digits))); break;
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
// null would be in all that are there, and in those that an older process makes meanwhile.
static struct value new_column_value(const struct resource *resource,
                                     const struct property *property) {
    if (property == resource->lifecycle.property)
        return value_text(VALUE_TEXT, resource->lifecycle.states[0]);
    return property->required ? property->default_value : value_null();
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
    return add_step(planning, STEP_SAFE, &sql, "%.*s: a new column, %.*s",
                    TEXT_ARGS(resource->name), TEXT_ARGS(property->name));
}

static bool add_version(struct planning *planning, const struct resource *resource) {
    if (!resource->versioned || find_column(planning->schema, resource->name, version_column))
        return true;
    struct sql sql = begin_alter(planning, resource, " ADD COLUMN ");
    append_version(&sql);
    return add_step(planning, STEP_SAFE, &sql, "%.*s: records can change now, and have versions",
                    TEXT_ARGS(resource->name));
}

static bool rename_column(struct planning *planning, const struct resource *resource,
                          struct text from, struct text to) {
    struct sql sql = begin_alter(planning, resource, " RENAME COLUMN ");
    sql_name(&sql, from);
    sql_text(&sql, " TO ");
    sql_name(&sql, to);
    return add_step(planning, STEP_SAFE, &sql, "%.*s: %.*s is called %.*s now",
                    TEXT_ARGS(resource->name), TEXT_ARGS(from), TEXT_ARGS(to));
}

static bool drop_column(struct planning *planning, const struct resource *resource,
                        struct text name, const char *reason) {
    struct sql sql = begin_alter(planning, resource, " DROP COLUMN ");
    sql_name(&sql, name);
    return add_step(planning, STEP_LOSSY, &sql, "%.*s: %.*s %s", TEXT_ARGS(resource->name),
                    TEXT_ARGS(name), reason);
}

// PostgreSQL changes a column's type in place.
static bool alter_type(struct planning *planning, const struct resource *resource,
                       const struct property *property, const struct stored_column *column) {
    struct text type = planning->dialect->column_type(property);
    struct sql sql = begin_alter(planning, resource, " ALTER COLUMN ");
    sql_name(&sql, property->name);
    sql_text(&sql, " TYPE ");
    append(&sql, type);
    sql_text(&sql, " USING CAST(");
    sql_name(&sql, property->name);
    sql_text(&sql, " AS ");
    append(&sql, bare_type(type));
    sql_text(&sql, ")");
    return add_step(planning, STEP_LOSSY, &sql, "%.*s: %.*s is %.*s and must be %.*s",
                    TEXT_ARGS(resource->name), TEXT_ARGS(property->name), TEXT_ARGS(column->type),
                    TEXT_ARGS(bare_type(type)));
}

// SQLite does not, so a new column takes the values and then the name. (No property's name begins
// with an underscore.)
static bool replace_column(struct planning *planning, const struct resource *resource,
                           const struct property *property, const struct stored_column *column) {
    struct text type = planning->dialect->column_type(property);
    struct text other = arena_format(planning->arena, "_new_%.*s", TEXT_ARGS(property->name));
    if (!other.data)
        return failure_out_of_memory(planning->failure);
    struct sql sql = begin_alter(planning, resource, " ADD COLUMN ");
    sql_name(&sql, other);
    sql_text(&sql, " ");
    append(&sql, type);
    if (!add_step(planning, STEP_LOSSY, &sql, "%.*s: %.*s is %.*s and must be %.*s",
                  TEXT_ARGS(resource->name), TEXT_ARGS(property->name), TEXT_ARGS(column->type),
                  TEXT_ARGS(bare_type(type))))
        return false;
    sql = begin(planning);
    sql_text(&sql, "UPDATE ");
    sql_name(&sql, resource->name);
    sql_text(&sql, " SET ");
    sql_name(&sql, other);
    sql_text(&sql, " = CAST(");
    sql_name(&sql, property->name);
    sql_text(&sql, " AS ");
    append(&sql, bare_type(type));
    sql_text(&sql, ")");
    return add_step(planning, STEP_LOSSY, &sql, "%.*s: the values of %.*s are converted",
                    TEXT_ARGS(resource->name), TEXT_ARGS(property->name)) &&
           drop_column(planning, resource, property->name, "was converted") &&
           rename_column(planning, resource, other, property->name);
}

static bool follow_property(struct planning *planning, const struct resource *resource,
                            const struct property *property) {
    const struct stored_column *column = column_of(planning, resource, property);
    if (!column)
        return add_column(planning, resource, property);
    if (!text_equal(column->name, property->name) &&
        !rename_column(planning, resource, column->name, property->name))
        return false;
    if (type_fits(planning, property, column))
        return true;
    if (planning->dialect->store == STORE_SQLITE)
        return replace_column(planning, resource, property, column);
    return alter_type(planning, resource, property, column);
}

static bool drop_columns(struct planning *planning, const struct resource *resource) {
    const struct stored_schema *schema = planning->schema;
    for (size_t i = 0; i < schema->column_count; i++) {
        const struct stored_column *column = &schema->columns[i];
        if (text_equal(column->table, resource->name) &&
            !text_equal(column->name, version_column) && !property_of(planning, resource, column) &&
            !drop_column(planning, resource, column->name, "is no longer declared"))
            return false;
    }
    return true;
}

static bool follow_columns(struct planning *planning, const struct resource *resource) {
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
                       TEXT_ARGS(resource->name), TEXT_ARGS(name), lack, TEXT_ARGS(resource->name),
                       TEXT_ARGS(resource->name));
}

static bool check_key(const struct planning *planning, const struct resource *resource) {
    const struct property *key = resource->key.property;
    const struct stored_column *column = column_of(planning, resource, key);
    if (!column)
        return refuse_table(planning, resource, key->name, "is missing");
    if (!type_fits(planning, key, column))
        return refuse_table(planning, resource, key->name, "is of another type than the key");
    // The number of a record is SQLite's rowid, for which there is no index.
    bool is_rowid = planning->dialect->store == STORE_SQLITE && resource->key.kind == KEY_INTEGER;
    if (!is_rowid && !key_is_unique(planning, column))
        return refuse_table(planning, resource, key->name, "is not unique");
    return column->not_null || refuse_table(planning, resource, key->name, "is no primary key");
}

static bool check_table(const struct planning *planning, const struct resource *resource) {
    const struct stored_column *version =
        find_column(planning->schema, resource->name, version_column);
    if (!check_key(planning, resource))
        return false;
    if (version && !type_fits(planning, &version_property, version))
        return refuse_table(planning, resource, version_column, "is no integer");
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        const struct stored_column *column = column_of(planning, resource, property);
        if (column && column->not_null && !property->required && property != resource->key.property)
            return refuse_table(planning, resource, property->name,
                                "takes no null, and the property is not required");
    }
    return true;
}

// ---- All of it ----

static bool follow_tables(struct planning *planning) {
    for (size_t i = 0; i < planning->catalogue->resource_count; i++) {
        const struct resource *resource = planning->catalogue->resources[i];
        bool done = table_is_stored(planning->schema, resource->name)
                        ? follow_columns(planning, resource)
                        : create_table(planning, resource);
        if (!done)
            return false;
    }
    return true;
}

bool migrate_plan(const struct catalogue *catalogue, const struct stored_schema *schema,
                  struct arena *arena, struct migration *ret_migration, struct failure *failure) {
    struct planning planning = {
        .catalogue = catalogue,
        .dialect = catalogue->dialect,
        .schema = schema,
        .arena = arena,
        .failure = failure,
    };
    for (size_t i = 0; i < catalogue->resource_count; i++)
        if (table_is_stored(schema, catalogue->resources[i]->name) &&
            !check_table(&planning, catalogue->resources[i]))
            return false;
    // Indexes go before their columns do, and come when their columns are there.
    if (!drop_indexes(&planning) || !follow_tables(&planning))
        return false;
    for (size_t i = 0; i < catalogue->resource_count; i++)
        if (!create_indexes(&planning, catalogue->resources[i]))
            return false;
    *ret_migration = planning.migration;
    return true;
}

// ---- The store's part ----

// The schema while its rows come in.
struct reading {
    struct arena *arena;
    struct stored_schema schema;
};

enum { READ_COLUMNS, READ_INDEXES, READ_CALLS };

static bool on_column(struct reading *reading, const struct value *cells) {
    struct stored_schema *schema = &reading->schema;
    struct stored_column *column =
        arena_grow(reading->arena, &schema->columns, schema->column_count, sizeof *column);
    if (!column)
        return false;
    *column = (struct stored_column){
        .table = arena_copy(reading->arena, cells[0].text),
        .name = arena_copy(reading->arena, cells[1].text),
        .type = arena_copy(reading->arena, cells[2].text),
        .not_null = cells[3].boolean,
    };
    schema->column_count++;
    return column->table.data && column->name.data && column->type.data;
}

// The index of the row before, where this row is another column of it, or a new one.
static struct stored_index *index_of_row(struct reading *reading, const struct value *cells) {
    struct stored_schema *schema = &reading->schema;
    struct stored_index *last =
        schema->index_count ? &schema->indexes[schema->index_count - 1] : NULL;
    if (last && text_equal(last->table, cells[0].text) && text_equal(last->name, cells[1].text))
        return last;
    struct stored_index *index =
        arena_grow(reading->arena, &schema->indexes, schema->index_count, sizeof *index);
    if (!index)
        return NULL;
    *index = (struct stored_index){
        .table = arena_copy(reading->arena, cells[0].text),
        .name = arena_copy(reading->arena, cells[1].text),
        .unique = cells[2].boolean,
    };
    schema->index_count++;
    return index->table.data && index->name.data ? index : NULL;
}

static bool on_index_column(struct reading *reading, const struct value *cells) {
    struct stored_index *index = index_of_row(reading, cells);
    struct text *column =
        index ? arena_grow(reading->arena, &index->columns, index->column_count, sizeof *column)
              : NULL;
    if (!column)
        return false;
    // An expression has no name, and is no column that anything is looked for in.
    struct text name = value_is_null(cells[3]) ? TEXT("") : cells[3].text;
    *column = arena_copy(reading->arena, name);
    index->column_count++;
    return column->data != NULL;
}

static bool on_schema_row(struct job *job, size_t call, const struct value *cells) {
    struct reading *reading = job->owner;
    return call == READ_COLUMNS ? on_column(reading, cells) : on_index_column(reading, cells);
}

static void on_schema_restart(struct job *job) {
    struct reading *reading = job->owner;
    reading->schema = (struct stored_schema){0};
}

static struct statement statement_once(struct text sql, const struct column *columns,
                                       size_t count) {
    return (struct statement){.sql = sql,
                              .hash = text_hash(sql),
                              .columns = columns,
                              .column_count = count,
                              .once = true};
}

bool migrate_read_schema(struct store *store, struct arena *arena, struct stored_schema *ret_schema,
                         struct failure *failure) {
    static const struct column of_columns[] = {
        {.kind = VALUE_TEXT}, {.kind = VALUE_TEXT}, {.kind = VALUE_TEXT}, {.kind = VALUE_BOOLEAN}};
    static const struct column of_indexes[] = {
        {.kind = VALUE_TEXT}, {.kind = VALUE_TEXT}, {.kind = VALUE_BOOLEAN}, {.kind = VALUE_TEXT}};
    const struct dialect *dialect = dialect_of(store_dialect(store));
    const struct statement statements[] = {
        [READ_COLUMNS] = statement_once(dialect->list_columns, of_columns, 4),
        [READ_INDEXES] = statement_once(dialect->list_indexes, of_indexes, 4),
    };
    struct call calls[] = {
        [READ_COLUMNS] = {.statement = &statements[READ_COLUMNS], .expect = EXPECT_ANY},
        [READ_INDEXES] = {.statement = &statements[READ_INDEXES], .expect = EXPECT_ANY},
    };
    struct reading reading = {.arena = arena};
    struct job job = {
        .kind = JOB_SCAN,
        .calls = calls,
        .call_count = READ_CALLS,
        .owner = &reading,
        .on_row = on_schema_row,
        .on_restart = on_schema_restart,
    };
    if (!store_run(store, &job, failure))
        return false;
    *ret_schema = reading.schema;
    return true;
}

// What failed, with the step that it was.
static bool explain_failure(const struct migration *migration, const struct job *job,
                            struct failure *failure) {
    char words[sizeof failure->detail];
    size_t step = job->outcome.call;
    if (job->outcome.kind == OUTCOME_DONE || step >= migration->step_count)
        return false;
    bool duplicates =
        job->outcome.kind == OUTCOME_CONFLICT && job->outcome.conflict == CONFLICT_UNIQUE;
    (void)snprintf(words, sizeof words, "%s", failure->detail);
    return failure_set(failure, failure->code, "%s (%.*s: %.*s)",
                       duplicates ? "stored records have the same values there" : words,
                       TEXT_ARGS(migration->steps[step].reason),
                       TEXT_ARGS(migration->steps[step].sql));
}

bool migrate_run(struct store *store, const struct migration *migration, struct arena *arena,
                 struct failure *failure) {
    size_t count = migration->step_count;
    struct statement *statements = arena_allocate_zero(arena, count, sizeof *statements);
    struct call *calls = arena_allocate_zero(arena, count, sizeof *calls);
    if (!statements || !calls)
        return failure_out_of_memory(failure);
    if (count == 0)
        return true;
    for (size_t i = 0; i < count; i++) {
        statements[i] = statement_once(migration->steps[i].sql, NULL, 0);
        calls[i] = (struct call){.statement = &statements[i], .expect = EXPECT_ANY};
    }
    struct job job = {
        .kind = JOB_WRITE, .calls = calls, .call_count = count, .deadline = UINT64_MAX};
    return store_run(store, &job, failure) || explain_failure(migration, &job, failure);
}
