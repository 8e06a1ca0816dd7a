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

void plan_set_columns(struct column *columns, const struct selection *selection) {
    for (size_t i = 0; i < selection->count; i++) {
        const struct property *property = selected(selection, i);
        columns[i].kind = property ? property->kind : VALUE_INTEGER;
        columns[i].scale = property ? property->scale : 0;
    }
}

struct column *plan_selection_columns(struct arena *arena, const struct selection *selection) {
    struct column *columns = arena_allocate_zero(arena, selection->count, sizeof *columns);
    if (columns)
        plan_set_columns(columns, selection);
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
    struct column *columns = plan_selection_columns(sql->arena, selection);
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

bool plan_finish_call(struct sql *sql, const struct column *columns, size_t column_count,
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

// ---- Made keys ----

bool plan_last_number(const struct plan *plan, struct arena *arena, struct call *ret_call) {
    static const struct column column = {.kind = VALUE_INTEGER};
    const struct resource *resource = plan->resource;
    assert(resource->key.kind == KEY_INTEGER);
    struct sql sql = sql_begin(plan->dialect, arena);
    plan->dialect->last_number(&sql, resource->table, resource->key.property->name);
    return plan_finish_call(&sql, &column, 1, ret_call);
}

bool plan_continue_numbers(const struct plan *plan, int64_t last, struct arena *arena,
                           struct call *ret_call) {
    const struct resource *resource = plan->resource;
    assert(resource->key.kind == KEY_INTEGER);
    struct sql sql = sql_begin(plan->dialect, arena);
    plan->dialect->continue_numbers(&sql, resource->table, resource->key.property->name, last);
    return plan_finish_call(&sql, NULL, 0, ret_call);
}
