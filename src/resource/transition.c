#include "resource/transition.h"

#include "resource/expression.h"
#include "resource/property_value.h"

#include <assert.h>

static bool state_is_from(const struct transition *transition, struct text state) {
    for (size_t i = 0; i < transition->from_count; i++) {
        if (text_equal(*transition->from[i], state))
            return true;
    }
    return transition->from_count == 0;
}

// "A, B or C"
static void append_states(struct buffer *out, const struct transition *transition) {
    for (size_t i = 0; i < transition->from_count; i++) {
        if (i > 0)
            buffer_append_string(out, i + 1 < transition->from_count ? ", " : " or ");
        buffer_append_text(out, *transition->from[i]);
    }
}

static void append_state_reason(struct buffer *out, const struct resource *resource,
                                const struct transition *transition, struct value state) {
    assert(resource->lifecycle.property);
    buffer_append_text(out, resource->lifecycle.property->name);
    buffer_append_string(out, " is ");
    buffer_append_text(out, value_is_null(state) ? TEXT("null") : state.text);
    buffer_append_string(out, "; ");
    buffer_append_text(out, transition->name);
    buffer_append_string(out, " needs ");
    append_states(out, transition);
}

// A condition as it was written, on one line.
static void append_condition(struct buffer *out, struct text source) {
    bool space = false;
    for (size_t i = 0; i < source.size; i++) {
        char c = source.data[i];
        bool blank = c == ' ' || c == '\n' || c == '\t' || c == '\r';
        if (!blank)
            buffer_append_byte(out, c);
        else if (!space)
            buffer_append_byte(out, ' ');
        space = blank;
    }
}

// What is looked at while reasons are gathered.
struct look {
    const struct transition *transition;
    const struct value *values;
    int64_t now;
    struct arena *arena;
    struct buffer *reason;
    struct failure *failure;
};

// One of the conditions of `when`.
static bool look_at(const struct look *look, const struct expression *condition) {
    struct value holds;
    if (!expression_evaluate(condition, look->values, look->now, look->arena, &holds,
                             look->failure))
        return false;
    if (holds.boolean)
        return true;
    if (look->reason->size == 0) {
        buffer_append_text(look->reason, look->transition->name);
        buffer_append_string(look->reason, " needs ");
    } else {
        buffer_append_string(look->reason, ", and ");
    }
    struct text source = text_from(look->transition->when_source, condition->start);
    append_condition(look->reason, text_of(source.data, condition->end - condition->start));
    return true;
}

// All of those that do not hold.
static bool look_at_all(const struct look *look) {
    const struct expression *when = look->transition->when;
    if (when->kind != EXPRESSION_AND)
        return look_at(look, when);
    for (size_t i = 0; i < when->operand_count; i++) {
        if (!look_at(look, when->operands[i]))
            return false;
    }
    return true;
}

bool transition_is_free(const struct resource *resource, const struct value *values,
                        struct failure *failure) {
    struct value operation =
        resource->operation ? values[resource->operation->index] : value_null();
    return value_is_null(operation) ||
           failure_set(failure, FAILURE_OPERATION_RUNNING,
                       "an operation is under way for the record, at /operations/%.*s; it must end "
                       "first",
                       TEXT_ARGS(operation.text));
}

bool transition_is_open(const struct resource *resource, const struct transition *transition,
                        const struct value *values, int64_t now, struct arena *arena,
                        struct failure *failure) {
    return transition_is_free(resource, values, failure) &&
           transition_guard_holds(resource, transition, values, now, arena, failure);
}

bool transition_guard_holds(const struct resource *resource, const struct transition *transition,
                            const struct value *values, int64_t now, struct arena *arena,
                            struct failure *failure) {
    struct buffer reason = {0};
    struct look look = {transition, values, now, arena, &reason, failure};
    struct value state = value_null();
    if (resource->lifecycle.property)
        state = values[resource->lifecycle.property->index];
    bool looked = true;
    if (transition->from_count && (value_is_null(state) || !state_is_from(transition, state.text)))
        append_state_reason(&reason, resource, transition, state);
    else if (transition->when)
        looked = look_at_all(&look);
    bool open = looked && reason.size == 0;
    if (reason.failed)
        open = failure_out_of_memory(failure);
    else if (looked && !open)
        failure_set(failure, FAILURE_TRANSITION_CLOSED, "%.*s", TEXT_ARGS(buffer_text(&reason)));
    buffer_free(&reason);
    return open;
}

static bool mentions(const struct expression *expression, const struct property *property) {
    if (expression->property == property)
        return true;
    for (size_t i = 0; i < expression->operand_count; i++) {
        if (mentions(expression->operands[i], property))
            return true;
    }
    return false;
}

static bool may_break(const struct resource *resource, const struct effect *effect,
                      const struct named_expression *check) {
    if (effect->to && mentions(check->expression, resource->lifecycle.property))
        return true;
    for (size_t i = 0; i < effect->set_count; i++) {
        if (mentions(check->expression, effect->set[i].property))
            return true;
    }
    return false;
}

// A stored record may break a check that is newer than it; that is nothing to do with an effect
// which leaves alone what the check is about.
bool transition_find_checks(const struct resource *resource, struct effect *effect,
                            struct arena *arena) {
    effect->check_count = 0;
    effect->checks =
        arena_allocate_zero(arena, resource->check_count, sizeof(struct named_expression *));
    if (!effect->checks)
        return false;
    for (size_t i = 0; i < resource->check_count; i++) {
        if (may_break(resource, effect, &resource->checks[i]))
            effect->checks[effect->check_count++] = &resource->checks[i];
    }
    return true;
}

bool transition_check(const struct validation *validation, const struct effect *effect,
                      const struct value *values) {
    for (size_t i = 0; i < effect->set_count; i++) {
        const struct property *property = effect->set[i].property;
        struct json_path path = {.name = property->name};
        property_check_value(property, values[property->index], &path, validation->faults);
    }
    validate_checks(validation, effect->checks, effect->check_count, values);
    return faults_none(validation->faults);
}
