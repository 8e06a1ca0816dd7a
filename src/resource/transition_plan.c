#include "resource/transition_plan.h"

#include "base/table.h"
#include "base/timestamp.h"
#include "resource/plan_parts.h"

// What every statement begins with: the key, and the version or null. Those that need no version
// have the key alone.
enum { KEY_NUMBER = 1, VERSION_NUMBER = 2 };

// The other parameters are where the transition's expressions need them.
static bool finish(struct sql *sql, const struct selection *selection,
                   struct prepared_call *ret_call) {
    struct prepared_call call = {.parameters = sql->parameters,
                                 .parameter_count = sql->parameter_count,
                                 .now_number = sql->now_number};
    bool finished = selection ? plan_finish_with_selection(sql, selection, &call.statement)
                              : sql_finish(sql, NULL, 0, &call.statement);
    if (finished)
        *ret_call = call;
    return finished;
}

static void append_key(struct sql *sql, const struct resource *resource, const char *relation) {
    const struct property *key = resource->key.property;
    sql_name(sql, key->name);
    sql_text(sql, relation);
    sql->dialect->placeholder(sql, KEY_NUMBER, key->kind);
}

// UPDATE … SET what the effect is.
static void append_effect(struct sql *sql, const struct resource *resource,
                          const struct effect *effect) {
    sql_text(sql, "UPDATE ");
    sql_name(sql, resource->table);
    sql_text(sql, " SET ");
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
    sql_name(sql, plan_version_column);
    sql_text(sql, " = ");
    sql_name(sql, plan_version_column);
    sql_text(sql, " + 1 WHERE ");
}

static void append_returning(struct sql *sql, const struct plan *plan) {
    sql_text(sql, " RETURNING ");
    plan_append_selection(sql, &plan->selection);
}

// Which record: that of the key, of the version if one is given, where the guard holds.
static void append_guard(struct sql *sql, const struct resource *resource,
                         const struct expression *guard) {
    append_key(sql, resource, " = ");
    sql_text(sql, " AND (");
    sql->dialect->placeholder(sql, VERSION_NUMBER, VALUE_INTEGER);
    sql_text(sql, " IS NULL OR ");
    sql_name(sql, plan_version_column);
    sql_text(sql, " = ");
    sql->dialect->placeholder(sql, VERSION_NUMBER, VALUE_INTEGER);
    sql_text(sql, ")");
    if (!guard)
        return;
    sql_text(sql, " AND (");
    sql_expression(sql, guard, 0);
    sql_text(sql, ")");
}

static bool make_move(struct arena *arena, const struct plan *plan,
                      struct transition_plan *transition_plan) {
    const struct transition *transition = transition_plan->transition;
    struct sql sql = sql_begin(plan->dialect, arena);
    sql_bind(&sql, value_null());
    sql_bind(&sql, value_null());
    append_effect(&sql, plan->resource, &transition->effect);
    append_guard(&sql, plan->resource, transition->guard);
    append_returning(&sql, plan);
    return finish(&sql, &plan->selection, &transition_plan->move);
}

// Two records that move at once might each not see the other one where it goes: on PostgreSQL, who
// changes other records waits for whoever does so already. SQLite has one writer anyway.
static bool make_lock(struct arena *arena, const struct plan *plan,
                      struct transition_plan *transition_plan) {
    struct sql sql = sql_begin(plan->dialect, arena);
    int64_t number = (int64_t)(text_hash(plan->resource->table) >> 1);
    sql_text(&sql, "SELECT pg_advisory_xact_lock(");
    sql_value(&sql, value_integer(number));
    sql_text(&sql, ")");
    return finish(&sql, NULL, &transition_plan->lock);
}

static bool make_others(struct arena *arena, const struct plan *plan,
                        struct transition_plan *transition_plan) {
    const struct transition *transition = transition_plan->transition;
    if (!transition->others_where)
        return true;
    struct sql sql = sql_begin(plan->dialect, arena);
    sql_bind(&sql, value_null());
    sql.this_resource = plan->resource;
    sql.this_number = KEY_NUMBER;
    append_effect(&sql, plan->resource, &transition->others);
    append_key(&sql, plan->resource, " <> ");
    sql_text(&sql, " AND (");
    sql_expression(&sql, transition->others_where, 0);
    sql_text(&sql, ")");
    append_returning(&sql, plan);
    return finish(&sql, &plan->selection, &transition_plan->others) &&
           (plan->dialect->store != STORE_POSTGRES || make_lock(arena, plan, transition_plan));
}

bool transition_plans_make(struct arena *arena, struct plan *plan) {
    const struct resource *resource = plan->resource;
    plan->transitions =
        arena_allocate_zero(arena, resource->transition_count, sizeof *plan->transitions);
    if (!plan->transitions)
        return false;
    for (size_t i = 0; i < resource->transition_count; i++) {
        struct transition_plan *transition_plan = &plan->transitions[i];
        transition_plan->transition = &resource->transitions[i];
        if (!make_move(arena, plan, transition_plan) || !make_others(arena, plan, transition_plan))
            return false;
    }
    return true;
}

static bool put_now(struct value *parameter, int64_t now, struct arena *arena) {
    char *text = arena_allocate(arena, TIMESTAMP_SIZE);
    if (!text)
        return false;
    timestamp_format(now, text);
    *parameter = value_text(VALUE_TIMESTAMP, text_of(text, TIMESTAMP_SIZE));
    return true;
}

static bool use(const struct prepared_call *prepared, const struct movement *movement,
                struct arena *arena, struct call *ret_call) {
    size_t count = prepared->parameter_count;
    struct value *parameters = arena_allocate(arena, count * sizeof *parameters);
    if (!parameters)
        return false;
    memcpy(parameters, prepared->parameters, count * sizeof *parameters);
    parameters[KEY_NUMBER - 1] = movement->key;
    if (prepared->now_number &&
        !put_now(&parameters[prepared->now_number - 1], movement->now, arena))
        return false;
    *ret_call = (struct call){.statement = &prepared->statement,
                              .parameters = parameters,
                              .parameter_count = count,
                              .expect = EXPECT_ANY};
    return true;
}

static bool use_move(const struct prepared_call *prepared, const struct movement *movement,
                     struct arena *arena, struct call *ret_call) {
    struct call call;
    if (!use(prepared, movement, arena, &call))
        return false;
    struct value *parameters = (struct value *)call.parameters; // which are ours
    if (movement->has_version)
        parameters[VERSION_NUMBER - 1] = value_integer(movement->version);
    call.expect = 1;
    *ret_call = call;
    return true;
}

bool transition_plan_calls(const struct transition_plan *plan, const struct movement *movement,
                           struct arena *arena, struct call *calls, size_t *ret_count) {
    size_t count = 0;
    if (plan->lock.statement.sql.data)
        calls[count++] = (struct call){.statement = &plan->lock.statement,
                                       .parameters = plan->lock.parameters,
                                       .parameter_count = plan->lock.parameter_count,
                                       .expect = EXPECT_ANY};
    if (!use_move(&plan->move, movement, arena, &calls[count++]))
        return false;
    if (plan->others.statement.sql.data && !use(&plan->others, movement, arena, &calls[count++]))
        return false;
    *ret_count = count;
    return true;
}
