#include "resource/definition_reading.h"
#include "resource/expression.h"

static bool is_name_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Whether the kind of a property is not known, or what may be reached through it: then what is
// wrong is noted already.
static bool is_unknown(const struct definition *definition, const struct property *property) {
    const struct definition *target = definition->targets[property->index];
    return !definition->typed[property->index] || definition->lost[property->index] ||
           (target && target != definition && target->faulty);
}

static bool mentions_unknown(const struct definition *definition, struct text source) {
    size_t start = 0;
    for (size_t i = 0; i <= source.size; i++) {
        if (i < source.size && is_name_byte(source.data[i]))
            continue;
        struct text word = text_of(source.data + start, i - start);
        const struct property *property = resource_property(definition->resource, word);
        if (property && is_unknown(definition, property))
            return true;
        start = i + 1;
    }
    return false;
}

struct expression *definition_read_expression(struct definition *definition,
                                              const struct yaml_node *scalar,
                                              enum expression_purpose purpose,
                                              const struct property *target,
                                              struct text *ret_source) {
    struct reading *reading = definition->reading;
    struct failure failure;
    size_t offset = 0;
    struct text source = arena_copy(reading->arena, scalar->scalar);
    if (!source.data) {
        reading_out_of_memory(reading);
        return NULL;
    }
    *ret_source = source;
    if (mentions_unknown(definition, source))
        return NULL;
    struct expression *expression = expression_parse(reading->arena, definition->resource, purpose,
                                                     target, source, &failure, &offset);
    if (!expression && failure.code == FAILURE_OUT_OF_MEMORY)
        reading_out_of_memory(reading);
    else if (!expression)
        reading_note_inside(reading, scalar, offset, failure.detail);
    return expression;
}

static bool read_expression(struct definition *definition, const struct yaml_pair *pair,
                            const char *what, enum expression_purpose purpose,
                            struct named_expression *ret_expression) {
    struct named_expression named = {.expression = NULL};
    bool read = reading_name(definition->reading, pair->key, what, &named.name);
    if (!reading_expect(definition->reading, pair->value, YAML_STRING,
                        read ? named.name.data : "expression"))
        return false;
    named.expression =
        definition_read_expression(definition, pair->value, purpose, NULL, &named.source);
    *ret_expression = named;
    return named.expression && read;
}

// An array for each pair of a mapping.
static void *allocate_for(struct definition *definition, const struct yaml_node *mapping,
                          size_t size) {
    void *items = arena_allocate_zero(definition->reading->arena, mapping->mapping.count, size);
    if (!items)
        reading_out_of_memory(definition->reading);
    return items;
}

void definition_read_checks(struct definition *definition) {
    struct resource *resource = definition->resource;
    const struct yaml_node *node = yaml_get(definition->root, "checks");
    if (!node || !reading_expect(definition->reading, node, YAML_MAPPING, "checks"))
        return;
    resource->checks = allocate_for(definition, node, sizeof *resource->checks);
    for (size_t i = 0; resource->checks && i < node->mapping.count; i++)
        resource->check_count +=
            read_expression(definition, &node->mapping.pairs[i], "a check",
                            EXPRESSION_FOR_PREDICATE, &resource->checks[resource->check_count]);
}

static bool check_filter_name(struct definition *definition, const struct yaml_node *node,
                              struct text name) {
    if (resource_property(definition->resource, name))
        return reading_note(definition->reading, node,
                            "`%.*s` cannot name a filter: it is a property, and so a parameter "
                            "already",
                            TEXT_ARGS(name));
    if (definition_is_parameter(name))
        return reading_note(definition->reading, node,
                            "`%.*s` cannot name a filter: it is a query parameter of every list",
                            TEXT_ARGS(name));
    return true;
}

static void read_filter(struct definition *definition, const struct yaml_pair *pair,
                        struct named_filter *filter) {
    struct reading *reading = definition->reading;
    if (reading_name(reading, pair->key, "a filter", &filter->name))
        check_filter_name(definition, pair->key, filter->name);
    if (pair->value->kind != YAML_MAPPING || pair->value->mapping.count == 0) {
        reading_note(reading, pair->value,
                     "a filter is a mapping of its values to expressions, such as {valid: price > "
                     "0}");
        return;
    }
    filter->values = allocate_for(definition, pair->value, sizeof *filter->values);
    for (size_t i = 0; filter->values && i < pair->value->mapping.count; i++)
        filter->value_count +=
            read_expression(definition, &pair->value->mapping.pairs[i], "a filter's value",
                            EXPRESSION_FOR_FILTER, &filter->values[filter->value_count]);
}

void definition_read_filters(struct definition *definition) {
    struct resource *resource = definition->resource;
    const struct yaml_node *node = yaml_get(definition->root, "filters");
    if (!node || !reading_expect(definition->reading, node, YAML_MAPPING, "filters"))
        return;
    resource->filters = allocate_for(definition, node, sizeof *resource->filters);
    for (size_t i = 0; resource->filters && i < node->mapping.count; i++)
        read_filter(definition, &node->mapping.pairs[i],
                    &resource->filters[resource->filter_count++]);
}
