#include "base/table.h"
#include "resource/planning.h"

// The longest name that both databases keep whole.
enum { MAX_NAME = 63 };

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
    size_t behind =
        count > 1 && text_equal(index->columns[count - 1], resource->key.property->name) ? 1 : 0;
    for (size_t without = 0; without <= behind; without++)
        for (unsigned hash = 0; hash < 2; hash++)
            if (text_equal(index->name, index_name(planning, resource->table, index->columns,
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
    const struct property *property = planning_property_of(planning, resource, column);
    return property && planning_column_fits(planning, resource, property, column);
}

// SQLite drops no column that an index has; PostgreSQL sees to it by itself.
static bool index_is_in_the_way(const struct planning *planning, const struct resource *resource,
                                const struct stored_index *index) {
    if (planning->dialect->store != STORE_SQLITE)
        return false;
    for (size_t i = 0; i < index->column_count; i++) {
        const struct stored_column *column =
            planning_column(planning, resource->table, index->columns[i]);
        if (column && !column_stays(planning, resource, column))
            return true;
    }
    return false;
}

static const struct resource *resource_of(const struct planning *planning, struct text table) {
    const struct plan *plan = catalogue_table(planning->catalogue, table);
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

bool planning_drop_indexes(struct planning *planning) {
    for (size_t i = 0; i < planning->schema->index_count; i++) {
        const struct stored_index *index = &planning->schema->indexes[i];
        if (!index_goes(planning, index))
            continue;
        const struct resource *resource = resource_of(planning, index->table);
        bool ours = index_is_ours(planning, resource, index);
        struct sql sql = planning_begin(planning);
        sql_text(&sql, "DROP INDEX ");
        sql_name(&sql, index->name);
        if (!planning_add(planning, ours ? STEP_SAFE : STEP_LOSSY, &sql, "%.*s: the index %.*s %s",
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
    return planning_has_table(planning, name) || resource_of(planning, name);
}

static bool index_is_there(const struct planning *planning, const struct resource *resource,
                           const struct shape *shape) {
    const struct stored_schema *schema = planning->schema;
    for (size_t i = 0; i < schema->index_count; i++)
        if (text_equal(schema->indexes[i].table, resource->table) &&
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
            sql_append(sql, planning->dialect->order_ascending);
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
        index_name(planning, resource->table, columns, shape->count, shape->unique, false);
    if (name.data && name_is_taken(planning, name))
        name = index_name(planning, resource->table, columns, shape->count, shape->unique, true);
    if (!name.data)
        return failure_out_of_memory(planning->failure);
    *slot = name;
    planning->name_count++;
    struct sql sql = planning_begin(planning);
    sql_text(&sql, shape->unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ");
    sql_name(&sql, name);
    sql_text(&sql, " ON ");
    sql_name(&sql, resource->table);
    append_index_columns(&sql, planning, resource, shape);
    return planning_add(planning, STEP_SAFE, &sql, "%.*s: a new %s, %.*s",
                        TEXT_ARGS(resource->table), shape->unique ? "unique index" : "index",
                        TEXT_ARGS(name));
}

static bool same_columns(const struct column_group *a, const struct column_group *b) {
    if (a->property_count != b->property_count)
        return false;
    for (size_t i = 0; i < a->property_count; i++)
        if (a->properties[i] != b->properties[i])
            return false;
    return true;
}

// Whether the same columns were declared before, among the first `count` of the groups.
static bool group_is_repeated(const struct column_group *groups, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (same_columns(&groups[i], &groups[count]))
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

bool planning_create_indexes(struct planning *planning, const struct resource *resource) {
    return create_missing(planning, resource, resource->unique, resource->unique_count, true) &&
           create_missing(planning, resource, resource->indexes, resource->index_count, false);
}
