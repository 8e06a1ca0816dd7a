#include "resource/plan.h"

#include "base/random.h"
#include "base/table.h"
#include "resource/plan_parts.h"
#include "resource/transition_plan.h"

#include <assert.h>

// Whether an update writes a property. A key never changes, and neither does what a digest is of:
// the record would no longer be found under its own content. What is counted may have been counted
// up since it was read.
static bool is_changeable(const struct resource *resource, const struct property *property) {
    return property != resource->key.property && property != resource->key.source &&
           !property->counted;
}

// Whether a client or trestle gives the value of a new record, and not the database.
static bool is_given(const struct resource *resource, const struct property *property) {
    return resource->key.kind != KEY_INTEGER || property != resource->key.property;
}

// Whether a new record is given its first version, and not 1 by the database. Where clients choose
// the keys, or the content does, a record may go and another one come under its key: somebody who
// read the old one must not find its version again.
static bool is_version_given(const struct resource *resource) {
    return resource->versioned &&
           (resource->key.kind == KEY_PROPERTY || resource->key.kind == KEY_SHA256);
}

// One that was not there before; it leaves room to count up from it.
static bool make_version(struct value *ret_version) {
    uint64_t random;
    if (!random_bytes(&random, sizeof random))
        return false;
    *ret_version = value_integer((int64_t)(random >> 2));
    return true;
}

static const struct property *selected(const struct selection *selection, size_t index) {
    return selection->properties[index];
}

static bool select_all(struct arena *arena, const struct resource *resource,
                       struct selection *ret_selection) {
    size_t room = resource->property_count + 1;
    struct selection all = {.properties =
                                arena_allocate_zero(arena, room, sizeof(struct property *))};
    if (!all.properties)
        return false;
    for (size_t i = 0; i < resource->property_count; i++)
        if (!resource->properties[i].write_only)
            all.properties[all.count++] = &resource->properties[i];
    all.shown = all.count;
    for (size_t i = 0; i < resource->property_count; i++)
        if (resource->properties[i].write_only)
            all.properties[all.count++] = &resource->properties[i];
    if (resource->versioned)
        all.properties[all.count++] = NULL;
    *ret_selection = all;
    return true;
}

static void set_columns(struct column *columns, const struct selection *selection) {
    for (size_t i = 0; i < selection->count; i++) {
        const struct property *property = selected(selection, i);
        columns[i].kind = property ? property->kind : VALUE_INTEGER;
        columns[i].scale = property ? property->scale : 0;
    }
}

// What the rows of a selection are read as; NULL when there is no memory.
static struct column *selection_columns(struct arena *arena, const struct selection *selection) {
    struct column *columns = arena_allocate_zero(arena, selection->count, sizeof *columns);
    if (columns)
        set_columns(columns, selection);
    return columns;
}

void plan_append_selection(struct sql *sql, const struct selection *selection) {
    for (size_t i = 0; i < selection->count; i++) {
        const struct property *property = selected(selection, i);
        sql_text(sql, i ? ", " : "");
        sql_name(sql, property ? property->name : version_column);
    }
}

// The statement's text does not depend on values, so a parameter stands there as its column's kind.
static void append_parameter(struct sql *sql, size_t *number, enum value_kind kind) {
    sql->dialect->placeholder(sql, ++*number, kind);
}

static void append_key_condition(struct sql *sql, const struct resource *resource, size_t *number) {
    sql_text(sql, " WHERE ");
    sql_name(sql, resource->key.property->name);
    sql_text(sql, " = ");
    append_parameter(sql, number, resource->key.property->kind);
}

bool plan_finish_with_selection(struct sql *sql, const struct selection *selection,
                                struct statement *ret_statement) {
    struct column *columns = selection_columns(sql->arena, selection);
    if (!columns)
        sql->failed = true;
    return sql_finish(sql, columns, selection->count, ret_statement);
}

static bool make_read(struct arena *arena, struct plan *plan) {
    struct sql sql = sql_begin(plan->dialect, arena);
    size_t number = 0;
    sql_text(&sql, "SELECT ");
    plan_append_selection(&sql, &plan->selection);
    sql_text(&sql, " FROM ");
    sql_name(&sql, plan->resource->table);
    append_key_condition(&sql, plan->resource, &number);
    return plan_finish_with_selection(&sql, &plan->selection, &plan->read);
}

static void append_given_columns(struct sql *sql, const struct resource *resource) {
    size_t count = 0;
    sql_text(sql, " (");
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        if (!is_given(resource, property))
            continue;
        sql_text(sql, count++ ? ", " : "");
        sql_name(sql, property->name);
    }
    if (is_version_given(resource)) {
        sql_text(sql, ", ");
        sql_name(sql, version_column);
    }
    sql_text(sql, ") VALUES (");
    size_t number = 0;
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        if (!is_given(resource, property))
            continue;
        sql_text(sql, number ? ", " : "");
        append_parameter(sql, &number, property->kind);
    }
    if (is_version_given(resource)) {
        sql_text(sql, ", ");
        append_parameter(sql, &number, VALUE_INTEGER);
    }
    sql_text(sql, ")");
}

// The number of a property among the parameters of a create.
static size_t parameter_of(const struct resource *resource, const struct property *property) {
    size_t number = 0;
    for (const struct property *p = resource->properties; p != property; p++)
        number += is_given(resource, p);
    return number;
}

// Whether creates may share a transaction. They wait for each other only where both give the same
// values to what must be unique; with one such group of columns all can take it in one order. With
// several there is no order that would keep them from waiting for each other in a circle.
static bool find_group(struct arena *arena, const struct plan *plan, struct statement *statement) {
    const struct resource *resource = plan->resource;
    struct property *key = resource->key.property;
    bool key_is_given = resource->key.kind == KEY_SHA256 || resource->key.kind == KEY_PROPERTY;
    const struct column_group key_group = {.properties = &key, .property_count = 1};
    const struct column_group *group = key_is_given ? &key_group : resource->unique;
    if (key_is_given + resource->unique_count > 1)
        return true;
    statement->groups = true;
    if (key_is_given + resource->unique_count == 0)
        return true;
    size_t *keys = arena_allocate_zero(arena, group->property_count, sizeof *keys);
    if (!keys)
        return false;
    for (size_t i = 0; i < group->property_count; i++)
        if (is_given(resource, group->properties[i]))
            keys[statement->group_key_count++] = parameter_of(resource, group->properties[i]);
    statement->group_keys = keys;
    return true;
}

static bool make_create(struct arena *arena, struct plan *plan) {
    const struct resource *resource = plan->resource;
    struct sql sql = sql_begin(plan->dialect, arena);
    sql_text(&sql, "INSERT INTO ");
    sql_name(&sql, resource->table);
    // A record of nothing but its number has no column to list.
    if (resource->key.kind == KEY_INTEGER && resource->property_count == 1)
        sql_text(&sql, " DEFAULT VALUES");
    else
        append_given_columns(&sql, resource);
    if (resource->key.kind == KEY_SHA256) {
        sql_text(&sql, " ON CONFLICT (");
        sql_name(&sql, resource->key.property->name);
        sql_text(&sql, ") DO NOTHING");
    }
    sql_text(&sql, " RETURNING ");
    plan_append_selection(&sql, &plan->selection);
    return plan_finish_with_selection(&sql, &plan->selection, &plan->create) &&
           find_group(arena, plan, &plan->create);
}

static void append_version_condition(struct sql *sql, size_t *number) {
    sql_text(sql, " AND ");
    sql_name(sql, version_column);
    sql_text(sql, " = ");
    append_parameter(sql, number, VALUE_INTEGER);
}

// NAME = parameter, for those properties that are assigned, with commas between them.
static void append_assignments(struct sql *sql, const struct resource *resource,
                               bool (*is_assigned)(const struct resource *resource,
                                                   const struct property *property),
                               size_t *number) {
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        if (!is_assigned(resource, property))
            continue;
        sql_text(sql, *number ? ", " : "");
        sql_name(sql, property->name);
        sql_text(sql, " = ");
        append_parameter(sql, number, property->kind);
    }
}

static bool make_update(struct arena *arena, struct plan *plan) {
    const struct resource *resource = plan->resource;
    if (!resource->versioned)
        return true;
    struct sql sql = sql_begin(plan->dialect, arena);
    size_t number = 0;
    sql_text(&sql, "UPDATE ");
    sql_name(&sql, resource->table);
    sql_text(&sql, " SET ");
    append_assignments(&sql, resource, is_changeable, &number);
    sql_text(&sql, number ? ", " : "");
    sql_next_version(&sql);
    append_key_condition(&sql, resource, &number);
    append_version_condition(&sql, &number);
    sql_text(&sql, " RETURNING ");
    plan_append_selection(&sql, &plan->selection);
    return plan_finish_with_selection(&sql, &plan->selection, &plan->update);
}

static bool make_remove(struct arena *arena, const struct plan *plan, bool of_a_version,
                        struct statement *ret_statement) {
    struct sql sql = sql_begin(plan->dialect, arena);
    size_t number = 0;
    sql_text(&sql, "DELETE FROM ");
    sql_name(&sql, plan->resource->table);
    append_key_condition(&sql, plan->resource, &number);
    if (of_a_version)
        append_version_condition(&sql, &number);
    if (plan->resource->operation) {
        sql_text(&sql, " AND ");
        sql_name(&sql, operation_column);
        sql_text(&sql, " IS NULL");
    }
    return sql_finish(&sql, NULL, 0, ret_statement);
}

static bool make_release(struct arena *arena, struct plan *plan) {
    if (!plan->resource->operation)
        return true;
    struct sql sql = sql_begin(plan->dialect, arena);
    size_t number = 0;
    sql_text(&sql, "UPDATE ");
    sql_name(&sql, plan->resource->table);
    sql_text(&sql, " SET ");
    sql_name(&sql, operation_column);
    sql_text(&sql, " = NULL, ");
    sql_next_version(&sql);
    append_key_condition(&sql, plan->resource, &number);
    sql_text(&sql, " AND ");
    sql_name(&sql, operation_column);
    sql_text(&sql, " = ");
    append_parameter(&sql, &number, VALUE_UUID);
    return sql_finish(&sql, NULL, 0, &plan->release);
}

static bool make_restore(struct arena *arena, struct plan *plan) {
    struct sql sql = sql_begin(plan->dialect, arena);
    sql_text(&sql, "INSERT INTO ");
    sql_name(&sql, plan->resource->table);
    sql_text(&sql, " (");
    plan_append_selection(&sql, &plan->selection);
    sql_text(&sql, ") VALUES (");
    size_t number = 0;
    while (number < plan->selection.count) {
        const struct property *property = selected(&plan->selection, number);
        sql_text(&sql, number ? ", " : "");
        append_parameter(&sql, &number, property ? property->kind : VALUE_INTEGER);
    }
    sql_text(&sql, ")");
    return sql_finish(&sql, NULL, 0, &plan->restore);
}

static bool is_forward(const struct resource *resource, const struct property *property) {
    return property && reference_is_forward(resource, property);
}

static bool make_relate(struct arena *arena, struct plan *plan) {
    const struct resource *resource = plan->resource;
    size_t forward = 0;
    for (size_t i = 0; i < resource->property_count; i++)
        forward += reference_is_forward(resource, &resource->properties[i]);
    if (forward == 0)
        return true;
    struct sql sql = sql_begin(plan->dialect, arena);
    size_t number = 0;
    sql_text(&sql, "UPDATE ");
    sql_name(&sql, resource->table);
    sql_text(&sql, " SET ");
    append_assignments(&sql, resource, reference_is_forward, &number);
    append_key_condition(&sql, resource, &number);
    return sql_finish(&sql, NULL, 0, &plan->relate);
}

// A row of as many booleans.
static bool finish_with_booleans(struct sql *sql, size_t count, struct statement *ret_statement) {
    struct column *columns = arena_allocate_zero(sql->arena, count, sizeof *columns);
    for (size_t i = 0; columns && i < count; i++)
        columns[i].kind = VALUE_BOOLEAN;
    if (!columns)
        sql->failed = true;
    return sql_finish(sql, columns, count, ret_statement);
}

static bool make_missing(struct arena *arena, struct plan *plan) {
    const struct resource *resource = plan->resource;
    struct sql sql = sql_begin(plan->dialect, arena);
    size_t count = 0;
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        const struct resource *target = property->reference.resource;
        if (!target)
            continue;
        sql_text(&sql, count++ ? ", " : "SELECT ");
        plan->dialect->placeholder(&sql, count, property->kind);
        sql_text(&sql, " IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ");
        sql_name(&sql, target->table);
        sql_text(&sql, " WHERE ");
        sql_name(&sql, target->key.property->name);
        sql_text(&sql, " = ");
        plan->dialect->placeholder(&sql, count, property->kind);
        sql_text(&sql, ")");
    }
    return finish_with_booleans(&sql, count, &plan->missing);
}

static bool make_referrers(struct arena *arena, struct plan *plan) {
    const struct resource *resource = plan->resource;
    struct sql sql = sql_begin(plan->dialect, arena);
    size_t count = 0;
    for (size_t i = 0; i < resource->referrer_count; i++) {
        const struct referrer *referrer = &resource->referrers[i];
        if (!plan_may_hold(referrer))
            continue;
        sql_text(&sql, count++ ? ", EXISTS (SELECT 1 FROM " : "SELECT EXISTS (SELECT 1 FROM ");
        sql_name(&sql, referrer->resource->table);
        sql_text(&sql, " WHERE ");
        sql_name(&sql, referrer->property->name);
        sql_text(&sql, " = ");
        plan->dialect->placeholder(&sql, 1, resource->key.property->kind);
        sql_text(&sql, ")");
    }
    return finish_with_booleans(&sql, count, &plan->referrers);
}

bool plan_make(struct arena *arena, const struct dialect *dialect, const struct resource *resource,
               struct plan *ret_plan) {
    struct plan plan = {.dialect = dialect, .resource = resource};
    bool made = select_all(arena, resource, &plan.selection) && make_read(arena, &plan) &&
                make_create(arena, &plan) && make_update(arena, &plan) &&
                make_remove(arena, &plan, false, &plan.remove) && make_release(arena, &plan) &&
                make_restore(arena, &plan) && make_relate(arena, &plan) &&
                make_missing(arena, &plan) && make_referrers(arena, &plan) &&
                transition_plans_make(arena, &plan);
    if (made && resource->versioned)
        made = make_remove(arena, &plan, true, &plan.remove_version);
    plan.shape = made ? selection_shape(&plan.selection) : 0;
    if (made)
        *ret_plan = plan;
    return made;
}

static struct call call_of(const struct statement *statement, const struct value *parameters,
                           size_t count) {
    return (struct call){.statement = statement,
                         .parameters = parameters,
                         .parameter_count = count,
                         .expect = EXPECT_ANY};
}

static bool call_with_key(const struct statement *statement, struct value key, struct arena *arena,
                          struct call *ret_call) {
    struct value *parameters = arena_allocate(arena, sizeof *parameters);
    if (!parameters)
        return false;
    parameters[0] = key;
    *ret_call = call_of(statement, parameters, 1);
    return true;
}

bool plan_read(const struct plan *plan, struct value key, struct arena *arena,
               struct call *ret_call) {
    return call_with_key(&plan->read, key, arena, ret_call);
}

bool plan_remove(const struct plan *plan, struct value key, struct arena *arena,
                 struct call *ret_call) {
    return call_with_key(&plan->remove, key, arena, ret_call);
}

static bool call_with_two(const struct statement *statement, struct value first,
                          struct value second, struct arena *arena, struct call *ret_call) {
    struct value *parameters = arena_allocate_zero(arena, 2, sizeof *parameters);
    if (!parameters)
        return false;
    parameters[0] = first;
    parameters[1] = second;
    *ret_call = call_of(statement, parameters, 2);
    return true;
}

bool plan_release(const struct plan *plan, struct value key, struct value operation,
                  struct arena *arena, struct call *ret_call) {
    assert(plan->resource->operation);
    return call_with_two(&plan->release, key, operation, arena, ret_call);
}

bool plan_remove_version(const struct plan *plan, struct value key, int64_t version,
                         struct arena *arena, struct call *ret_call) {
    assert(plan->resource->versioned);
    return call_with_two(&plan->remove_version, key, value_integer(version), arena, ret_call);
}

bool plan_referrers(const struct plan *plan, struct value key, struct arena *arena,
                    struct call *ret_call) {
    return call_with_key(&plan->referrers, key, arena, ret_call);
}

bool plan_missing(const struct plan *plan, const struct value *values, struct arena *arena,
                  struct call *ret_call) {
    const struct resource *resource = plan->resource;
    struct value *parameters =
        arena_allocate_zero(arena, resource->property_count, sizeof *parameters);
    if (!parameters)
        return false;
    size_t count = 0;
    for (size_t i = 0; i < resource->property_count; i++)
        if (resource->properties[i].reference.resource)
            parameters[count++] = values[i];
    *ret_call = call_of(&plan->missing, parameters, count);
    return true;
}

bool plan_create(const struct plan *plan, const struct value *values, struct arena *arena,
                 struct call *ret_call) {
    const struct resource *resource = plan->resource;
    struct value *parameters =
        arena_allocate_zero(arena, resource->property_count + 1, sizeof *parameters);
    if (!parameters)
        return false;
    size_t count = 0;
    for (size_t i = 0; i < resource->property_count; i++)
        if (is_given(resource, &resource->properties[i]))
            parameters[count++] = values[i];
    if (is_version_given(resource) && !make_version(&parameters[count++]))
        return false;
    *ret_call = call_of(&plan->create, parameters, count);
    return true;
}

bool plan_update(const struct plan *plan, struct value key, int64_t version,
                 const struct value *values, struct arena *arena, struct call *ret_call) {
    const struct resource *resource = plan->resource;
    assert(resource->versioned);
    struct value *parameters =
        arena_allocate_zero(arena, resource->property_count + 2, sizeof *parameters);
    if (!parameters)
        return false;
    size_t count = 0;
    for (size_t i = 0; i < resource->property_count; i++)
        if (is_changeable(resource, &resource->properties[i]))
            parameters[count++] = values[i];
    parameters[count++] = key;
    parameters[count++] = value_integer(version);
    *ret_call = call_of(&plan->update, parameters, count);
    return true;
}

bool plan_restore(const struct plan *plan, const struct value *cells, struct arena *arena,
                  struct call *ret_call) {
    size_t count = plan->selection.count;
    struct value *parameters = arena_allocate_zero(arena, count, sizeof *parameters);
    if (!parameters)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (is_forward(plan->resource, selected(&plan->selection, i)))
            parameters[i] = value_null();
        else if (!value_copy(arena, cells[i], &parameters[i]))
            return false;
    }
    *ret_call = call_of(&plan->restore, parameters, count);
    return true;
}

bool plan_relate(const struct plan *plan, const struct value *cells, struct arena *arena,
                 struct call *ret_call) {
    const struct resource *resource = plan->resource;
    struct value *parameters =
        arena_allocate_zero(arena, resource->property_count + 1, sizeof *parameters);
    struct value *values = arena_allocate_zero(arena, resource->property_count, sizeof *values);
    int64_t version;
    if (!parameters || !values || !plan_values(plan, cells, arena, values, &version))
        return false;
    size_t count = 0;
    bool any = false;
    for (size_t i = 0; i < resource->property_count; i++) {
        if (!reference_is_forward(resource, &resource->properties[i]))
            continue;
        parameters[count++] = values[i];
        any = any || !value_is_null(values[i]);
    }
    parameters[count++] = values[resource->key.property->index];
    *ret_call = any ? call_of(&plan->relate, parameters, count) : (struct call){0};
    return true;
}

// Any number that goes with the key alone; never negative.
static int64_t version_of_key(struct value key) {
    if (key.kind == VALUE_INTEGER)
        return key.integer;
    return (int64_t)(text_hash(key.text) >> 1);
}

int64_t plan_version(const struct plan *plan, const struct value *cells) {
    const struct selection *all = &plan->selection;
    if (plan->resource->versioned)
        return cells[all->count - 1].integer;
    size_t i = 0;
    while (selected(all, i) != plan->resource->key.property)
        i++;
    return version_of_key(cells[i]);
}

bool plan_values(const struct plan *plan, const struct value *cells, struct arena *arena,
                 struct value *values, int64_t *ret_version) {
    int64_t version = 0;
    for (size_t i = 0; i < plan->selection.count; i++) {
        const struct property *property = selected(&plan->selection, i);
        if (!property)
            version = cells[i].integer;
        else if (!value_copy(arena, cells[i], &values[property->index]))
            return false;
    }
    *ret_version = version;
    return true;
}

// ---- Lists ----

enum { MAX_KEYS = QUERY_MAX_SORT_KEYS + 1 };

// How a column of a range stands to the position.
enum relation { RELATION_GREATER, RELATION_LESS, RELATION_NOT_NULL, RELATION_NULL };

static const char *const relations[] = {
    [RELATION_GREATER] = " > ",
    [RELATION_LESS] = " < ",
    [RELATION_NOT_NULL] = " IS NOT NULL",
    [RELATION_NULL] = " IS NULL",
};

// A stretch of the order: the keys before `key` are equal to the position's, and `key` is beyond.
struct range {
    size_t key;
    enum relation relation;
};

// ---- Which index serves a list ----

// The columns of an index: those of its group, then the resource's key.
static const struct property *index_column(const struct query *query,
                                           const struct column_group *group, size_t column) {
    if (column < group->property_count)
        return group->properties[column];
    return column == group->property_count ? query->resource->key.property : NULL;
}

// How many of an index's columns, from the first one on, the filter fixes.
static size_t count_fixed_columns(const struct query *query, const struct column_group *group) {
    struct value value;
    size_t column = 0;
    while (column < group->property_count &&
           query_fixes(query->filter, group->properties[column], &value))
        column++;
    return column;
}

// Whether an index has the order, in one direction, behind the columns that the filter fixes.
static bool index_orders(const struct query *query, const struct column_group *group) {
    size_t column = count_fixed_columns(query, group);
    for (size_t key = 0; key < query->sort_count; key++, column++)
        if (index_column(query, group, column) != query->sort[key].property ||
            query->sort[key].descending != query->sort[0].descending)
            return false;
    return true;
}

// Whether the page is one stretch of an index: its first columns are those that the filter fixes,
// all of them, and the next ones are the order, in one direction.
static bool index_serves(const struct query *query, const struct column_group *group) {
    const struct resource *resource = query->resource;
    struct value value;
    size_t fixed = 0;
    for (size_t i = 0; i < resource->property_count; i++)
        fixed += query_fixes(query->filter, &resource->properties[i], &value);
    return count_fixed_columns(query, group) == fixed && index_orders(query, group);
}

// A unique index has no key behind its columns on every database, so that it breaks ties only where
// there are none: among records that lack nothing.
static bool unique_is_total(const struct column_group *group) {
    for (size_t i = 0; i < group->property_count; i++)
        if (!group->properties[i]->required)
            return false;
    return true;
}

// The declared index of which the page is one stretch, or NULL.
static const struct column_group *serving_index(const struct query *query) {
    const struct resource *resource = query->resource;
    for (size_t i = 0; i < resource->index_count; i++)
        if (index_serves(query, &resource->indexes[i]))
            return &resource->indexes[i];
    for (size_t i = 0; i < resource->unique_count; i++)
        if (unique_is_total(&resource->unique[i]) && index_serves(query, &resource->unique[i]))
            return &resource->unique[i];
    return NULL;
}

// ---- The SQL of a list ----

// A list's SQL in the making. What a range needs more than once is bound once: parameters are
// numbered, and the filter's text is kept to be repeated.
struct list {
    struct sql sql;
    const struct query *query;
    int64_t now;
    struct text filter;         // its SQL, once it was written
    size_t positions[MAX_KEYS]; // the numbers of the position's parameters; 0: not bound yet
    size_t limit;               // the number of the limit's parameter
    struct range ranges[2 * MAX_KEYS];
    size_t range_count;
};

static bool key_is_descending(const struct query *query, size_t key) {
    return query->sort[key].descending != query->backward;
}

// Only the resource's key has a NOT NULL in its table. What the definition requires may be missing
// in records that are older than the rule, and they must not be lost between two pages.
static bool key_has_nulls(const struct query *query, size_t key) {
    return query->sort[key].property != query->resource->key.property;
}

static void add_range(struct list *list, size_t key, enum relation relation) {
    list->ranges[list->range_count++] = (struct range){key, relation};
}

// The stretches beyond the position, in their order. Nulls are the smallest of all, and no
// comparison of SQL's finds them, so they are a stretch of their own.
static void find_ranges(struct list *list) {
    const struct query *query = list->query;
    for (size_t key = query->sort_count; key-- > 0;) {
        bool at_null = value_is_null(query->after[key]);
        if (!key_is_descending(query, key)) {
            add_range(list, key, at_null ? RELATION_NOT_NULL : RELATION_GREATER);
        } else if (!at_null) {
            add_range(list, key, RELATION_LESS);
            if (key_has_nulls(query, key))
                add_range(list, key, RELATION_NULL);
        }
    }
}

static void append_direction(struct sql *sql, bool descending, bool has_nulls) {
    if (!has_nulls)
        sql_text(sql, descending ? " DESC" : " ASC");
    else
        buffer_append_text(&sql->text, descending ? sql->dialect->order_descending
                                                  : sql->dialect->order_ascending);
}

static void append_bound(struct list *list, size_t *number, struct value value) {
    if (*number == 0) {
        sql_value(&list->sql, value);
        *number = list->sql.parameter_count;
    } else {
        list->sql.dialect->placeholder(&list->sql, *number, value.kind);
    }
}

static void append_filter(struct list *list) {
    struct sql *sql = &list->sql;
    if (list->filter.data) {
        sql_text(sql, list->filter.data);
        return;
    }
    size_t start = sql->text.size;
    sql_expression(sql, list->query->filter, list->now);
    if (sql->text.failed)
        return;
    // A copy, because the buffer moves while it grows.
    list->filter = arena_copy(sql->arena, text_from(buffer_text(&sql->text), start));
    if (!list->filter.data)
        sql->failed = true;
}

static void append_equal(struct list *list, size_t key) {
    sql_name(&list->sql, list->query->sort[key].property->name);
    if (value_is_null(list->query->after[key])) {
        sql_text(&list->sql, " IS NULL");
    } else {
        sql_text(&list->sql, " = ");
        append_bound(list, &list->positions[key], list->query->after[key]);
    }
}

static void append_range_conditions(struct list *list, const struct range *range) {
    for (size_t key = 0; key < range->key; key++) {
        append_equal(list, key);
        sql_text(&list->sql, " AND ");
    }
    sql_name(&list->sql, list->query->sort[range->key].property->name);
    sql_text(&list->sql, relations[range->relation]);
    if (range->relation == RELATION_GREATER || range->relation == RELATION_LESS)
        append_bound(list, &list->positions[range->key], list->query->after[range->key]);
}

static void append_conditions(struct list *list, const struct range *range) {
    const char *word = " WHERE ";
    if (list->query->filter) {
        sql_text(&list->sql, word);
        append_filter(list);
        word = " AND ";
    }
    if (range) {
        sql_text(&list->sql, word);
        append_range_conditions(list, range);
    }
}

// PostgreSQL does not see that what IS NULL is in the order of an index on it, unless that order is
// said: the first columns of the index that serves the list, where the filter wants null in them.
static bool append_order_of_nulls(struct list *list) {
    const struct query *query = list->query;
    const struct column_group *index = serving_index(query);
    struct value value;
    bool any = false;
    for (size_t i = 0; index && i < index->property_count; i++) {
        const struct property *property = index->properties[i];
        if (!query_fixes(query->filter, property, &value))
            break;
        if (!value_is_null(value))
            continue;
        sql_text(&list->sql, any ? ", " : " ORDER BY ");
        sql_name(&list->sql, property->name);
        append_direction(&list->sql, key_is_descending(query, 0), true);
        any = true;
    }
    return any;
}

// The order by the keys from `first` on, behind what was said of it already, of columns of `table`
// ("" where that goes without saying). The resource's key has no nulls, so nothing is said about
// where they go, and the index of the key itself fits on every database.
static void append_order(struct list *list, const char *table, bool begun, size_t first) {
    struct sql *sql = &list->sql;
    for (size_t key = first; key < list->query->sort_count; key++) {
        sql_text(sql, key == first && !begun ? " ORDER BY " : ", ");
        sql_text(sql, table);
        sql_name(sql, list->query->sort[key].property->name);
        append_direction(sql, key_is_descending(list->query, key), key_has_nulls(list->query, key));
    }
}

static void append_limit(struct list *list) {
    sql_text(&list->sql, " LIMIT ");
    append_bound(list, &list->limit, value_integer((int64_t)list->query->limit + 1));
}

static void append_select(struct list *list, const struct range *range) {
    struct sql *sql = &list->sql;
    sql_text(sql, "SELECT ");
    plan_append_selection(sql, &list->query->selection);
    sql_text(sql, " FROM ");
    sql_name(sql, list->query->resource->table);
    append_conditions(list, range);
    // Keys that are the same all over the range need no sorting. PostgreSQL sees that by itself,
    // and must be told all the same: it does not see that what IS NULL is in the order of its
    // index.
    bool begun = false;
    size_t first = 0;
    if (sql->dialect->store == STORE_POSTGRES)
        begun = append_order_of_nulls(list);
    else if (range)
        first = range->relation == RELATION_NULL ? range->key + 1 : range->key;
    append_order(list, "", begun, first);
    append_limit(list);
}

// Each range is a stretch of the order's index, and ends by itself when the page is full; the limit
// outside keeps those behind it from being looked at. SQLite gives the rows of a union's parts one
// part after the other. PostgreSQL promises no such thing, so there the order is said once more: it
// merges the parts, which are sorted already, and looks at one row of each in advance.
static void append_union(struct list *list) {
    struct sql *sql = &list->sql;
    for (size_t i = 0; i < list->range_count; i++) {
        sql_text(sql, i ? " UNION ALL SELECT * FROM (" : "SELECT * FROM (");
        append_select(list, &list->ranges[i]);
        sql_text(sql, ") AS part");
    }
    if (sql->dialect->store == STORE_POSTGRES)
        append_order(list, "", false, 0);
    append_limit(list);
}

static void append_page(struct list *list) {
    if (list->query->after)
        find_ranges(list);
    if (list->range_count > 1)
        append_union(list);
    else
        append_select(list, list->range_count ? &list->ranges[0] : NULL);
    if (list->query->offset > 0) {
        sql_text(&list->sql, " OFFSET ");
        sql_value(&list->sql, value_integer((int64_t)list->query->offset));
    }
}

// A statement that lives in the arena, and the call with the values that were bound on the way.
static bool finish_call(struct sql *sql, const struct column *columns, size_t column_count,
                        struct call *ret_call) {
    struct statement finished;
    if (!sql_finish(sql, columns, column_count, &finished))
        return false;
    struct statement *statement = arena_allocate(sql->arena, sizeof *statement);
    if (!statement)
        return false;
    *statement = finished;
    *ret_call = call_of(statement, sql->parameters, sql->parameter_count);
    return true;
}

// ---- What is embedded ----

// The records that a page's refer to are joined to the finished page, so that nothing about how
// that is found depends on them. Aliases have a _ at their beginning, which no resource has.

static const char page_prefix[] = "\"_page\".";

static void append_expanded_begin(struct sql *sql, const struct selection *selection,
                                  const struct expansions *expansions) {
    for (size_t i = 0; i < selection->count; i++) {
        const struct property *property = selected(selection, i);
        sql_text(sql, i ? ", " : "SELECT ");
        sql_text(sql, page_prefix);
        sql_name(sql, property ? property->name : version_column);
    }
    for (size_t i = 0; i < expansions->count; i++) {
        const struct selection *embedded = &expansions->items[i].selection;
        for (size_t j = 0; j < embedded->count; j++) {
            buffer_format(&sql->text, ", \"_%zu\".", i);
            sql_name(sql, selected(embedded, j)->name);
        }
    }
    sql_text(sql, " FROM (");
}

static void append_expanded_end(struct sql *sql, const struct expansions *expansions) {
    sql_text(sql, ") AS \"_page\"");
    for (size_t i = 0; i < expansions->count; i++) {
        const struct property *property = expansions->items[i].property;
        const struct resource *target = property->reference.resource;
        sql_text(sql, " LEFT JOIN ");
        sql_name(sql, target->table);
        buffer_format(&sql->text, " AS \"_%zu\" ON \"_%zu\".", i, i);
        sql_name(sql, target->key.property->name);
        sql_text(sql, " = ");
        sql_text(sql, page_prefix);
        sql_name(sql, property->name);
    }
}

static bool finish_expanded(struct sql *sql, const struct selection *selection,
                            const struct expansions *expansions, struct call *ret_call) {
    size_t count = selection->count;
    for (size_t i = 0; i < expansions->count; i++)
        count += expansions->items[i].selection.count;
    struct column *columns = arena_allocate_zero(sql->arena, count, sizeof *columns);
    if (!columns) {
        sql->failed = true;
    } else {
        set_columns(columns, selection);
        size_t column = selection->count;
        for (size_t i = 0; i < expansions->count; i++) {
            set_columns(columns + column, &expansions->items[i].selection);
            column += expansions->items[i].selection.count;
        }
    }
    return finish_call(sql, columns, count, ret_call);
}

bool plan_read_expanded(const struct plan *plan, struct value key,
                        const struct expansions *expansions, struct arena *arena,
                        struct call *ret_call) {
    struct sql sql = sql_begin(plan->dialect, arena);
    append_expanded_begin(&sql, &plan->selection, expansions);
    buffer_append_text(&sql.text, plan->read.sql);
    sql_bind(&sql, key);
    append_expanded_end(&sql, expansions);
    return finish_expanded(&sql, &plan->selection, expansions, ret_call);
}

// ---- Pages and counts ----

bool plan_list(const struct plan *plan, const struct query *query, int64_t now, struct arena *arena,
               struct call *ret_call) {
    struct list list = {.sql = sql_begin(plan->dialect, arena), .query = query, .now = now};
    if (query->expansions.count) {
        append_expanded_begin(&list.sql, &query->selection, &query->expansions);
        append_page(&list);
        append_expanded_end(&list.sql, &query->expansions);
        append_order(&list, page_prefix, false, 0);
        return finish_expanded(&list.sql, &query->selection, &query->expansions, ret_call);
    }
    append_page(&list);
    struct column *columns = selection_columns(arena, &query->selection);
    if (!columns)
        list.sql.failed = true;
    return finish_call(&list.sql, columns, query->selection.count, ret_call);
}

bool plan_count(const struct plan *plan, const struct query *query, int64_t now,
                struct arena *arena, struct call *ret_call) {
    static const struct column column = {.kind = VALUE_INTEGER};
    struct list list = {.sql = sql_begin(plan->dialect, arena), .query = query, .now = now};
    sql_text(&list.sql, "SELECT count(*) FROM ");
    sql_name(&list.sql, query->resource->table);
    append_conditions(&list, NULL);
    return finish_call(&list.sql, &column, 1, ret_call);
}

// ---- Made keys ----

bool plan_last_number(const struct plan *plan, struct arena *arena, struct call *ret_call) {
    static const struct column column = {.kind = VALUE_INTEGER};
    const struct resource *resource = plan->resource;
    assert(resource->key.kind == KEY_INTEGER);
    struct sql sql = sql_begin(plan->dialect, arena);
    plan->dialect->last_number(&sql, resource->table, resource->key.property->name);
    return finish_call(&sql, &column, 1, ret_call);
}

bool plan_continue_numbers(const struct plan *plan, int64_t last, struct arena *arena,
                           struct call *ret_call) {
    const struct resource *resource = plan->resource;
    assert(resource->key.kind == KEY_INTEGER);
    struct sql sql = sql_begin(plan->dialect, arena);
    plan->dialect->continue_numbers(&sql, resource->table, resource->key.property->name, last);
    return finish_call(&sql, NULL, 0, ret_call);
}

// ---- How long a list takes ----

// Skips this far without an index of positions: an offset costs as much as the rows it skips.
enum { SHORT_OFFSET = QUERY_MAX_LIMIT };

// Whether all that the filter says is that some properties have given values.
static bool filter_is_fixed(const struct expression *filter) {
    struct value literal;
    if (!filter)
        return true;
    if (filter->kind != EXPRESSION_AND)
        return query_equality(filter, &literal) != NULL;
    for (size_t i = 0; i < filter->operand_count; i++)
        if (!filter_is_fixed(filter->operands[i]))
            return false;
    return true;
}

// Whether no two records can pass the filter: it gives a value to the key, or to all of a group
// that is unique. (Nulls are not the same as each other there.)
static bool filter_finds_one(const struct query *query) {
    const struct resource *resource = query->resource;
    struct value value;
    if (query_fixes(query->filter, resource->key.property, &value))
        return true;
    for (size_t i = 0; i < resource->unique_count; i++) {
        const struct column_group *group = &resource->unique[i];
        size_t fixed = 0;
        while (fixed < group->property_count &&
               query_fixes(query->filter, group->properties[fixed], &value) &&
               !value_is_null(value))
            fixed++;
        if (fixed == group->property_count)
            return true;
    }
    return false;
}

static const struct column_group key_alone = {0};

bool plan_order_is_indexed(const struct query *query) {
    const struct resource *resource = query->resource;
    if (index_orders(query, &key_alone) || filter_finds_one(query))
        return true;
    for (size_t i = 0; i < resource->index_count; i++)
        if (index_orders(query, &resource->indexes[i]))
            return true;
    for (size_t i = 0; i < resource->unique_count; i++)
        if (unique_is_total(&resource->unique[i]) && index_orders(query, &resource->unique[i]))
            return true;
    return false;
}

bool plan_list_is_short(const struct query *query) {
    if (query->count || query->offset > SHORT_OFFSET)
        return false;
    if (query->filter && expression_refers(query->filter))
        return false; // those that others refer to may be looked for first, all of them
    if (filter_finds_one(query))
        return true;
    if (!filter_is_fixed(query->filter))
        return false;
    return index_serves(query, &key_alone) || serving_index(query);
}
