#include "resource/definition_reading.h"
#include "resource/expression.h"
#include "resource/property_value.h"
#include "resource/transition.h"

// A transition while it is read.
struct transition_reading {
    struct definition *definition;
    const struct yaml_node *node;
    struct transition *transition;
};

// What a path or a scope says besides transitions.
static const char *const taken_words[] = {"list",   "create",    "read",  "replace", "update",
                                          "delete", "write",     "admin", "history", "content",
                                          "events", "lifecycle", "usage", "run",     NULL};

static bool is_scalar(const struct yaml_node *node) {
    return node->kind != YAML_SEQUENCE && node->kind != YAML_MAPPING;
}

// ---- States ----

static bool needs_lifecycle(const struct definition *definition, const struct yaml_node *node,
                            const char *keyword) {
    return definition->resource->lifecycle.state_count ||
           reading_note(definition->reading, node,
                        "`%s` is about states, which a `lifecycle` declares", keyword);
}

// The state that a node names, or NULL and a note.
static const struct text *read_state(struct definition *definition, const struct yaml_node *node) {
    const struct lifecycle *lifecycle = &definition->resource->lifecycle;
    const char **words =
        arena_allocate_zero(definition->reading->arena, lifecycle->state_count + 1, sizeof *words);
    size_t index;
    if (!words) {
        reading_out_of_memory(definition->reading);
        return NULL;
    }
    for (size_t i = 0; i < lifecycle->state_count; i++)
        words[i] = lifecycle->states[i].data;
    return reading_word(definition->reading, node, "a state", words, &index)
               ? &lifecycle->states[index]
               : NULL;
}

static void add_from(struct transition_reading *context, const struct yaml_node *node) {
    struct transition *transition = context->transition;
    const struct text *state = read_state(context->definition, node);
    for (size_t i = 0; state && i < transition->from_count; i++) {
        if (transition->from[i] == state) {
            reading_note(context->definition->reading, node, "the state `%.*s` is there twice",
                         TEXT_ARGS(*state));
            return;
        }
    }
    if (state)
        transition->from[transition->from_count++] = state;
}

static void read_from(struct transition_reading *context) {
    struct reading *reading = context->definition->reading;
    const struct yaml_node *node = yaml_get(context->node, "from");
    if (!node || !needs_lifecycle(context->definition, node, "from"))
        return;
    if (node->kind != YAML_SEQUENCE || node->sequence.count == 0) {
        reading_note(reading, node, "`from` is a list of states, such as [Created, Paid]");
        return;
    }
    context->transition->from =
        arena_allocate_zero(reading->arena, node->sequence.count, sizeof(struct text *));
    if (!context->transition->from) {
        reading_out_of_memory(reading);
        return;
    }
    for (size_t i = 0; i < node->sequence.count; i++)
        add_from(context, node->sequence.items[i]);
}

// ---- Effects ----

static bool may_be_set(struct definition *definition, const struct yaml_node *node,
                       const struct property *property) {
    const struct resource *resource = definition->resource;
    if (property == resource->lifecycle.property)
        return reading_note(definition->reading, node,
                            "`%.*s` is the lifecycle's state, which `to` sets",
                            TEXT_ARGS(property->name));
    if (property == resource->key.property)
        return reading_note(definition->reading, node, "`%.*s` is the key, which never changes",
                            TEXT_ARGS(property->name));
    if (property == resource->key.source)
        return reading_note(definition->reading, node,
                            "`%.*s` cannot change: the key is its digest",
                            TEXT_ARGS(property->name));
    return true;
}

// A value that is known already must fit the property.
static bool check_literal(struct definition *definition, const struct yaml_node *node,
                          const struct assignment *assignment) {
    struct reading *reading = definition->reading;
    struct faults faults = {.arena = reading->arena};
    if (assignment->expression->kind == EXPRESSION_LITERAL)
        property_check_value(assignment->property, assignment->expression->literal, NULL, &faults);
    reading_note_faults(reading, node, assignment->property->name.data, &faults);
    return faults_none(&faults);
}

static bool read_assignment(struct definition *definition, const struct yaml_pair *pair,
                            enum expression_purpose purpose, struct assignment *ret_assignment) {
    struct reading *reading = definition->reading;
    struct assignment assignment = {.property =
                                        resource_property(definition->resource, pair->key->scalar)};
    if (!assignment.property)
        return reading_note(reading, pair->key, "`%.*s` is not one of the properties",
                            TEXT_ARGS(reading_shown(pair->key->scalar)));
    if (!may_be_set(definition, pair->key, assignment.property))
        return false;
    if (!is_scalar(pair->value))
        return reading_note(reading, pair->value, "`%.*s` is set to an expression; this is %s",
                            TEXT_ARGS(assignment.property->name),
                            yaml_kind_name(pair->value->kind));
    if (!definition->typed[assignment.property->index])
        return false;
    assignment.expression = definition_read_expression(definition, pair->value, purpose,
                                                       assignment.property, &assignment.source);
    if (!assignment.expression || !check_literal(definition, pair->value, &assignment))
        return false;
    *ret_assignment = assignment;
    return true;
}

static void read_set(struct definition *definition, const struct yaml_node *node,
                     enum expression_purpose purpose, struct effect *effect) {
    struct reading *reading = definition->reading;
    if (!node || !reading_expect(reading, node, YAML_MAPPING, "set"))
        return;
    if (node->mapping.count == 0)
        reading_note(reading, node, "`set` is empty");
    effect->set = arena_allocate_zero(reading->arena, node->mapping.count, sizeof *effect->set);
    if (!effect->set) {
        reading_out_of_memory(reading);
        return;
    }
    for (size_t i = 0; i < node->mapping.count; i++)
        effect->set_count += read_assignment(definition, &node->mapping.pairs[i], purpose,
                                             &effect->set[effect->set_count]);
}

static void read_effect(struct definition *definition, const struct yaml_node *node,
                        enum expression_purpose purpose, struct effect *effect) {
    const struct yaml_node *to = yaml_get(node, "to");
    if (to && needs_lifecycle(definition, to, "to"))
        effect->to = read_state(definition, to);
    read_set(definition, yaml_get(node, "set"), purpose, effect);
    if (!transition_find_checks(definition->resource, effect, definition->reading->arena))
        reading_out_of_memory(definition->reading);
}

static bool has_effect(const struct yaml_node *node) {
    return yaml_get(node, "to") || yaml_get(node, "set");
}

// ---- Guards ----

static void read_when(struct transition_reading *context) {
    struct transition *transition = context->transition;
    const struct yaml_node *node = yaml_get(context->node, "when");
    if (node && reading_expect(context->definition->reading, node, YAML_STRING, "when"))
        transition->when = definition_read_expression(
            context->definition, node, EXPRESSION_FOR_PREDICATE, NULL, &transition->when_source);
}

// property in (states), as an expression; NULL when there is no memory.
static const struct expression *make_from(struct arena *arena, const struct property *property,
                                          const struct text *const *states, size_t count) {
    struct value *values = arena_allocate_zero(arena, count, sizeof *values);
    if (!values)
        return NULL;
    for (size_t i = 0; i < count; i++)
        values[i] = value_text(VALUE_TEXT, *states[i]);
    return expression_any(arena, property, values, count);
}

static void make_guard(struct transition_reading *context) {
    struct definition *definition = context->definition;
    struct arena *arena = definition->reading->arena;
    struct transition *transition = context->transition;
    transition->guard = transition->when;
    if (!transition->from_count || !definition->resource->lifecycle.property)
        return;
    const struct expression *from = make_from(arena, definition->resource->lifecycle.property,
                                              transition->from, transition->from_count);
    transition->guard = from ? expression_and(arena, from, transition->when) : NULL;
    if (!transition->guard)
        reading_out_of_memory(definition->reading);
}

// ---- The whole ----

static void read_others(struct transition_reading *context) {
    static const char *const words[] = {"where", "to", "set", NULL};
    struct definition *definition = context->definition;
    struct reading *reading = definition->reading;
    struct transition *transition = context->transition;
    const struct yaml_node *node = yaml_get(context->node, "others");
    if (!node || !reading_expect(reading, node, YAML_MAPPING, "others"))
        return;
    reading_check_keywords(reading, node, words, NULL);
    const struct yaml_node *where = yaml_get(node, "where");
    if (!where)
        reading_note(reading, node, "`others` needs `where`: which other records change too");
    else if (reading_expect(reading, where, YAML_STRING, "where"))
        transition->others_where = definition_read_expression(
            definition, where, EXPRESSION_FOR_OTHERS, NULL, &transition->others_where_source);
    if (!has_effect(node))
        reading_note(reading, node, "`others` needs `to` or `set`: what becomes of them");
    read_effect(definition, node, EXPRESSION_FOR_OTHERS_SET, &transition->others);
}

static void check_name(struct definition *definition, const struct yaml_node *node,
                       struct text name) {
    if (definition_word_is(name, taken_words))
        reading_note(definition->reading, node,
                     "`%.*s` cannot name a transition: it means something else in paths and scopes",
                     TEXT_ARGS(name));
}

static void read_transition(struct definition *definition, const struct yaml_pair *pair,
                            struct transition *transition) {
    static const char *const words[] = {"description", "from",        "to",  "when",
                                        "set",         "others",      "run", "time_limit",
                                        "retries",     "environment", NULL};
    static const struct refused_keyword refused[] = {
        {"timeout", "is called `time_limit`"},
        {"access", "stands in the resource's `access`, under the transition's name"},
        {NULL, NULL},
    };
    struct reading *reading = definition->reading;
    struct transition_reading context = {definition, pair->value, transition};
    if (pair->value->kind != YAML_MAPPING) {
        reading_note(reading, pair->value,
                     "a transition is a mapping, such as {from: [New], to: Paid}; this is %s",
                     yaml_kind_name(pair->value->kind));
        return;
    }
    reading_check_keywords(reading, pair->value, words, refused);
    const struct yaml_node *description = yaml_get(pair->value, "description");
    if (description)
        reading_string(reading, description, "description", &transition->description);
    read_from(&context);
    read_when(&context);
    make_guard(&context);
    if (!has_effect(pair->value) && !yaml_get(pair->value, "others") &&
        !yaml_get(pair->value, "run"))
        reading_note(reading, pair->value, "it changes nothing: say `to`, `set` or `others`");
    read_effect(definition, pair->value, EXPRESSION_FOR_SET, &transition->effect);
    read_others(&context);
    transition->work = definition_read_work(definition, pair->value);
}

void definition_name_transitions(struct definition *definition) {
    struct resource *resource = definition->resource;
    struct reading *reading = definition->reading;
    const struct yaml_node *node = yaml_get(definition->root, "transitions");
    if (!node || !reading_expect(reading, node, YAML_MAPPING, "transitions"))
        return;
    resource->transitions =
        arena_allocate_zero(reading->arena, node->mapping.count, sizeof *resource->transitions);
    if (!resource->transitions) {
        reading_out_of_memory(reading);
        return;
    }
    for (size_t i = 0; i < node->mapping.count; i++) {
        const struct yaml_node *key = node->mapping.pairs[i].key;
        struct text *name = &resource->transitions[resource->transition_count++].name;
        if (reading_name(reading, key, "a transition", name))
            check_name(definition, key, *name);
    }
}

void definition_read_transitions(struct definition *definition) {
    struct resource *resource = definition->resource;
    const struct yaml_node *node = yaml_get(definition->root, "transitions");
    for (size_t i = 0; i < resource->transition_count; i++)
        read_transition(definition, &node->mapping.pairs[i], &resource->transitions[i]);
}
