#include "resource/transition_plan.h"

#include "base/table.h"
#include "base/timestamp.h"
#include "resource/plan_parts.h"

#include <assert.h>

// A statement in the making.
struct making {
    const struct plan *plan;
    const struct transition *transition;
    bool ends; // the operation that holds the record
    struct sql sql;
    size_t numbers[MOVEMENT_VALUES]; // of the parameters; 0: not there yet
};

// The number of the parameter that one of a use's values will be.
static size_t number_of(struct making *making, enum movement_value value) {
    if (!making->numbers[value])
        making->numbers[value] = sql_bind(&making->sql, value_null());
    return making->numbers[value];
}

static void append_parameter(struct making *making, enum movement_value value,
                             enum value_kind kind) {
    making->sql.dialect->placeholder(&making->sql, number_of(making, value), kind);
}

static struct making begin(struct arena *arena, const struct plan *plan,
                           const struct transition_plan *whole) {
    return (struct making){.plan = plan,
                           .transition = whole->transition,
                           .ends = whole->transition->work,
                           .sql = sql_begin(plan->dialect, arena)};
}

// One that may say `this`.
static struct making begin_others(struct arena *arena, const struct plan *plan,
                                  const struct transition_plan *whole) {
    struct making making = begin(arena, plan, whole);
    making.sql.this_resource = plan->resource;
    making.sql.this_number = number_of(&making, MOVEMENT_KEY);
    return making;
}

static bool finish(struct making *making, const struct selection *selection,
                   struct prepared_call *ret_call) {
    struct sql *sql = &making->sql;
    struct prepared_call call = {.parameters = sql->parameters,
                                 .parameter_count = sql->parameter_count};
    memcpy(call.numbers, making->numbers, sizeof call.numbers);
    call.numbers[MOVEMENT_NOW] = sql->now_number;
    bool finished = selection ? plan_finish_with_selection(sql, selection, &call.statement)
                              : sql_finish(sql, NULL, 0, &call.statement);
    if (finished)
        *ret_call = call;
    return finished;
}

// ---- Records ----

static void append_update(struct making *making) {
    sql_text(&making->sql, "UPDATE ");
    sql_name(&making->sql, making->plan->resource->table);
    sql_text(&making->sql, " SET ");
}

// UPDATE … SET what the effect is.
static void append_effect(struct making *making, const struct effect *effect) {
    const struct resource *resource = making->plan->resource;
    struct sql *sql = &making->sql;
    append_update(making);
    assert(!effect->to || resource->lifecycle.property);
    if (effect->to) {
        sql_name(sql, resource->lifecycle.property->name);
        sql_text(sql, " = ");
        sql_value(sql, value_text(VALUE_TEXT, *effect->to));
        sql_text(sql, ", ");
    }
    for (size_t i = 0; i < effect->set_count; i++) {
        sql_name(sql, effect->set[i].property->name);
        sql_text(sql, " = ");
        sql_expression(sql, effect->set[i].expression, 0);
        sql_text(sql, ", ");
    }
    sql_next_version(sql);
}

static void append_where_key(struct making *making, const char *relation) {
    const struct property *key = making->plan->resource->key.property;
    sql_text(&making->sql, " WHERE ");
    sql_name(&making->sql, key->name);
    sql_text(&making->sql, relation);
    append_parameter(making, MOVEMENT_KEY, key->kind);
}

static void append_and(struct sql *sql, const struct expression *condition) {
    sql_text(sql, " AND (");
    sql_expression(sql, condition, 0);
    sql_text(sql, ")");
}

// Nobody else is at it.
static void append_hold(struct making *making) {
    struct sql *sql = &making->sql;
    if (!making->plan->resource->operation)
        return;
    sql_text(sql, " AND ");
    sql_name(sql, operation_column);
    sql_text(sql, making->ends ? " = " : " IS NULL");
    if (making->ends)
        append_parameter(making, MOVEMENT_OPERATION, VALUE_UUID);
}

// Which record: that of the key, of the version if one is given, where the guard holds.
static void append_guard(struct making *making) {
    struct sql *sql = &making->sql;
    append_where_key(making, " = ");
    sql_text(sql, " AND (");
    append_parameter(making, MOVEMENT_VERSION, VALUE_INTEGER);
    sql_text(sql, " IS NULL OR ");
    sql_name(sql, version_column);
    sql_text(sql, " = ");
    append_parameter(making, MOVEMENT_VERSION, VALUE_INTEGER);
    sql_text(sql, ")");
    append_hold(making);
    if (making->transition->guard)
        append_and(sql, making->transition->guard);
}

// Which others: all but the record itself of which the condition is true.
static void append_others(struct making *making) {
    append_where_key(making, " <> ");
    append_and(&making->sql, making->transition->others_where);
}

static bool finish_update(struct making *making, struct prepared_call *ret_call) {
    const struct selection *selection = &making->plan->selection;
    sql_text(&making->sql, " RETURNING ");
    plan_append_selection(&making->sql, selection);
    return finish(making, selection, ret_call);
}

static bool make_move(struct arena *arena, const struct plan *plan,
                      const struct transition_plan *whole, struct prepared_call *ret_call) {
    struct making making = begin(arena, plan, whole);
    append_effect(&making, whole->effect);
    if (making.ends) {
        sql_text(&making.sql, ", ");
        sql_name(&making.sql, operation_column);
        sql_text(&making.sql, " = NULL");
    }
    append_guard(&making);
    return finish_update(&making, ret_call);
}

static bool make_start(struct arena *arena, const struct plan *plan,
                       const struct transition_plan *whole, struct prepared_call *ret_call) {
    struct making making = begin(arena, plan, whole);
    making.ends = false;
    append_update(&making);
    sql_name(&making.sql, operation_column);
    sql_text(&making.sql, " = ");
    append_parameter(&making, MOVEMENT_OPERATION, VALUE_UUID);
    sql_text(&making.sql, ", ");
    sql_next_version(&making.sql);
    append_guard(&making);
    return finish_update(&making, ret_call);
}

static bool make_others(struct arena *arena, const struct plan *plan,
                        const struct transition_plan *whole, struct prepared_call *ret_call) {
    struct making making = begin_others(arena, plan, whole);
    append_effect(&making, &whole->transition->others);
    append_others(&making);
    return finish_update(&making, ret_call);
}

// Two records that move at once might each not see the other one where it goes: on PostgreSQL, who
// changes other records waits for whoever does so already. SQLite has one writer anyway.
static bool make_lock(struct arena *arena, const struct plan *plan,
                      const struct transition_plan *whole, struct prepared_call *ret_call) {
    struct making making = begin(arena, plan, whole);
    int64_t number = (int64_t)(text_hash(plan->resource->table) >> 1);
    sql_text(&making.sql, "SELECT pg_advisory_xact_lock(");
    sql_value(&making.sql, value_integer(number));
    sql_text(&making.sql, ")");
    return finish(&making, NULL, ret_call);
}

// ---- History ----

// What built_in/history.yaml declares, of records of which a condition will follow. It comes before
// they are changed, while their state is still the one that they leave.
static void append_history(struct making *making, const struct effect *effect) {
    const struct resource *resource = making->plan->resource;
    const struct text state = resource->lifecycle.property->name;
    struct sql *sql = &making->sql;
    sql_text(sql,
             "INSERT INTO trestle_history (resource, record, at, transition, \"from\", \"to\", "
             "\"by\", request_id) SELECT ");
    sql_value(sql, value_text(VALUE_TEXT, resource->name));
    sql_text(sql, ", ");
    sql_key_text(sql, resource->key.property, NULL);
    sql_text(sql, ", ");
    sql_now(sql, 0);
    sql_text(sql, ", ");
    sql_value(sql, value_text(VALUE_TEXT, making->transition->name));
    sql_text(sql, ", ");
    sql_name(sql, state);
    sql_text(sql, ", ");
    if (effect->to)
        sql_value(sql, value_text(VALUE_TEXT, *effect->to));
    else
        sql_name(sql, state);
    sql_text(sql, ", ");
    append_parameter(making, MOVEMENT_BY, VALUE_TEXT);
    sql_text(sql, ", ");
    append_parameter(making, MOVEMENT_REQUEST, VALUE_TEXT);
    sql_text(sql, " FROM ");
    sql_name(sql, resource->table);
}

// Nobody comes between what is written of a record and its change.
static bool finish_history(struct making *making, struct prepared_call *ret_call) {
    if (making->sql.dialect->store == STORE_POSTGRES)
        sql_text(&making->sql, " FOR UPDATE");
    return finish(making, NULL, ret_call);
}

static bool make_history(struct arena *arena, const struct plan *plan,
                         const struct transition_plan *whole, struct prepared_call *ret_call) {
    struct making making = begin(arena, plan, whole);
    append_history(&making, whole->effect);
    append_guard(&making);
    return finish_history(&making, ret_call);
}

static bool make_others_history(struct arena *arena, const struct plan *plan,
                                const struct transition_plan *whole,
                                struct prepared_call *ret_call) {
    struct making making = begin_others(arena, plan, whole);
    append_history(&making, &whole->transition->others);
    append_others(&making);
    return finish_history(&making, ret_call);
}

// ---- The whole ----

static bool is_unique(const struct resource *resource, const struct property *property) {
    for (size_t i = 0; i < resource->unique_count; i++)
        for (size_t j = 0; j < resource->unique[i].property_count; j++)
            if (resource->unique[i].properties[j] == property)
                return true;
    return false;
}

// Whether moves may share a transaction, so that a record which everybody wants is not locked for a
// commit each. They wait only for those of the same record, and all take records in one order; that
// would not be so with two such statements of one table.
static bool may_group(const struct resource *resource, const struct transition *transition) {
    bool groups = resource->transition_count == 1 && !resource->lifecycle.property &&
                  !transition->others_where && !transition->work;
    for (size_t i = 0; i < transition->effect.set_count; i++)
        groups = groups && !is_unique(resource, transition->effect.set[i].property);
    return groups;
}

static bool group(struct arena *arena, struct prepared_call *move) {
    size_t *keys = arena_allocate(arena, sizeof *keys);
    if (!keys)
        return false;
    keys[0] = move->numbers[MOVEMENT_KEY] - 1;
    move->statement.groups = true;
    move->statement.group_keys = keys;
    move->statement.group_key_count = 1;
    return true;
}

static bool make(struct arena *arena, const struct plan *plan, const struct transition *transition,
                 const struct effect *effect, struct transition_plan *ret_plan) {
    struct transition_plan made = {.transition = transition, .effect = effect};
    bool states = plan->resource->lifecycle.property;
    bool others = transition->others_where;
    bool locks = others && plan->dialect->store == STORE_POSTGRES;
    bool ok = (!locks || make_lock(arena, plan, &made, &made.lock)) &&
              (!states || make_history(arena, plan, &made, &made.history)) &&
              make_move(arena, plan, &made, &made.move) &&
              (!may_group(plan->resource, transition) || group(arena, &made.move)) &&
              (!others || !transition->others.to ||
               make_others_history(arena, plan, &made, &made.others_history)) &&
              (!others || make_others(arena, plan, &made, &made.others));
    if (ok)
        *ret_plan = made;
    return ok;
}

bool transition_plan_end(struct arena *arena, const struct plan *plan,
                         const struct transition *transition, const struct effect *effect,
                         struct transition_plan *ret_plan) {
    return make(arena, plan, transition, effect, ret_plan);
}

static bool make_whole(struct arena *arena, const struct plan *plan,
                       const struct transition *transition, struct transition_plan *ret_plan) {
    if (!transition->work)
        return make(arena, plan, transition, &transition->effect, ret_plan);
    *ret_plan = (struct transition_plan){.transition = transition, .effect = &transition->effect};
    return make_start(arena, plan, ret_plan, &ret_plan->move);
}

bool transition_plans_make(struct arena *arena, struct plan *plan) {
    const struct resource *resource = plan->resource;
    plan->transitions =
        arena_allocate_zero(arena, resource->transition_count, sizeof *plan->transitions);
    if (!plan->transitions)
        return false;
    for (size_t i = 0; i < resource->transition_count; i++)
        if (!make_whole(arena, plan, &resource->transitions[i], &plan->transitions[i]))
            return false;
    return true;
}

// ---- Use ----

static struct value text_or_null(struct text text) {
    return text.size ? value_text(VALUE_TEXT, text) : value_null();
}

static bool instant(int64_t now, struct arena *arena, struct value *ret_value) {
    char *text = arena_allocate(arena, TIMESTAMP_SIZE);
    if (!text)
        return false;
    timestamp_format(now, text);
    *ret_value = value_text(VALUE_TIMESTAMP, text_of(text, TIMESTAMP_SIZE));
    return true;
}

static bool find_values(const struct movement *movement, struct arena *arena,
                        struct value values[MOVEMENT_VALUES]) {
    values[MOVEMENT_KEY] = movement->key;
    values[MOVEMENT_VERSION] =
        movement->has_version ? value_integer(movement->version) : value_null();
    values[MOVEMENT_BY] = text_or_null(movement->by);
    values[MOVEMENT_REQUEST] = text_or_null(movement->request_id);
    values[MOVEMENT_OPERATION] = movement->operation;
    return instant(movement->now, arena, &values[MOVEMENT_NOW]);
}

// Adds a call, where the plan has it.
static bool use(const struct prepared_call *prepared, const struct value *values, int64_t expect,
                struct arena *arena, struct call *calls, size_t *count) {
    if (!prepared->statement.sql.data)
        return true;
    size_t parameter_count = prepared->parameter_count;
    struct value *parameters = arena_allocate(arena, parameter_count * sizeof *parameters);
    if (!parameters)
        return false;
    memcpy(parameters, prepared->parameters, parameter_count * sizeof *parameters);
    for (size_t i = 0; i < MOVEMENT_VALUES; i++)
        if (prepared->numbers[i])
            parameters[prepared->numbers[i] - 1] = values[i];
    calls[(*count)++] = (struct call){.statement = &prepared->statement,
                                      .parameters = parameters,
                                      .parameter_count = parameter_count,
                                      .expect = expect};
    return true;
}

bool transition_plan_calls(const struct transition_plan *plan, const struct movement *movement,
                           struct arena *arena, struct call *calls, size_t *ret_count) {
    struct value values[MOVEMENT_VALUES];
    size_t count = 0;
    // One of a group that changes no row must not undo the others.
    int64_t rows = plan->move.statement.groups ? EXPECT_ANY : 1;
    bool used = find_values(movement, arena, values) &&
                use(&plan->lock, values, EXPECT_ANY, arena, calls, &count) &&
                use(&plan->history, values, 1, arena, calls, &count) &&
                use(&plan->move, values, rows, arena, calls, &count) &&
                use(&plan->others_history, values, EXPECT_ANY, arena, calls, &count) &&
                use(&plan->others, values, EXPECT_ANY, arena, calls, &count);
    if (used)
        *ret_count = count;
    return used;
}
