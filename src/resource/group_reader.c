#include "resource/definition_reading.h"

static bool add_column(struct definition *definition, const struct yaml_node *node,
                       struct column_group *group, size_t *size) {
    struct reading *reading = definition->reading;
    struct property *property = resource_property(definition->resource, node->scalar);
    if (node->kind == YAML_SEQUENCE || node->kind == YAML_MAPPING)
        return reading_note(reading, node, "expected the name of a property; this is %s",
                            yaml_kind_name(node->kind));
    if (!property)
        return reading_note(reading, node, "`%.*s` is not one of the properties",
                            TEXT_ARGS(reading_shown(node->scalar)));
    for (size_t i = 0; i < group->property_count; i++) {
        if (group->properties[i] == property)
            return reading_note(reading, node, "`%.*s` is there twice", TEXT_ARGS(property->name));
    }
    size_t bytes = property_index_size(property);
    if (!definition->typed[property->index])
        bytes = 0; // what is wrong with it is noted where it is declared
    else if (property->kind == VALUE_JSON)
        return reading_note(reading, node, "`%.*s` is an object or an array, which has no index",
                            TEXT_ARGS(property->name));
    else if (bytes == SIZE_MAX)
        return reading_note(reading, node, "`%.*s` needs a `maxLength` to be unique or indexed",
                            TEXT_ARGS(property->name));
    *size += bytes;
    group->properties[group->property_count++] = property;
    return true;
}

// Whether two groups have the same properties, in the same order or in any.
static bool groups_are_equal(const struct column_group *a, const struct column_group *b,
                             bool ordered) {
    if (a->property_count != b->property_count)
        return false;
    for (size_t i = 0; i < a->property_count; i++) {
        bool found = false;
        for (size_t j = 0; j < b->property_count; j++)
            found |= a->properties[i] == b->properties[j] && (!ordered || i == j);
        if (!found)
            return false;
    }
    return true;
}

static bool read_group(struct definition *definition, const struct yaml_node *node,
                       const char *what, struct column_group *ret_group) {
    struct reading *reading = definition->reading;
    if (node->kind != YAML_SEQUENCE || node->sequence.count == 0)
        return reading_note(reading, node,
                            "`%s` is a list of lists of properties, such as [[name, version]]",
                            what);
    struct column_group group = {0};
    group.properties =
        arena_allocate_zero(reading->arena, node->sequence.count, sizeof(struct property *));
    if (!group.properties)
        return reading_out_of_memory(reading);
    size_t size = INDEX_ROW_OVERHEAD;
    bool read = true;
    for (size_t i = 0; i < node->sequence.count; i++)
        read &= add_column(definition, node->sequence.items[i], &group, &size);
    // The key follows the columns, so that every order is total.
    const struct property *key = definition->resource->key.property;
    size += key && property_index_size(key) != SIZE_MAX ? property_index_size(key) : 0;
    if (read && size > INDEX_ROW_MAX)
        return reading_note(reading, node,
                            "these may take %zu bytes in an index, at 4 a character; PostgreSQL "
                            "allows %d: lessen `maxLength`",
                            size, INDEX_ROW_MAX);
    *ret_group = group;
    return read;
}

static bool check_group(struct definition *definition, const struct yaml_node *node,
                        const struct column_group *group, bool unique) {
    const struct resource *resource = definition->resource;
    if (group->property_count == 1 && group->properties[0] == resource->key.property)
        return reading_note(definition->reading, node, "the key is unique and indexed already");
    for (size_t i = 0; i < resource->unique_count; i++) {
        if (groups_are_equal(&resource->unique[i], group, !unique))
            return reading_note(definition->reading, node,
                                unique ? "these are unique already"
                                       : "these are indexed already, since they are unique");
    }
    for (size_t i = 0; !unique && i < resource->index_count; i++) {
        if (groups_are_equal(&resource->indexes[i], group, true))
            return reading_note(definition->reading, node, "these are indexed already");
    }
    return true;
}

static void add_group(struct definition *definition, const struct yaml_node *node, bool unique) {
    struct resource *resource = definition->resource;
    struct column_group **groups = unique ? &resource->unique : &resource->indexes;
    size_t *count = unique ? &resource->unique_count : &resource->index_count;
    struct column_group group = {0};
    if (!read_group(definition, node, unique ? "unique" : "indexes", &group) ||
        !check_group(definition, node, &group, unique))
        return;
    struct column_group *item =
        arena_grow(definition->reading->arena, groups, *count, sizeof *item);
    if (!item) {
        reading_out_of_memory(definition->reading);
        return;
    }
    *item = group;
    (*count)++;
}

void definition_read_groups(struct definition *definition, const char *what, bool unique) {
    const struct yaml_node *node = yaml_get(definition->root, what);
    if (!node || !reading_expect(definition->reading, node, YAML_SEQUENCE, what))
        return;
    for (size_t i = 0; i < node->sequence.count; i++)
        add_group(definition, node->sequence.items[i], unique);
}

// ---- Indexes for references ----

static bool begins_group(const struct property *property, const struct column_group *groups,
                         size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (groups[i].properties[0] == property)
            return true;
    }
    return false;
}

static void index_reference(struct definition *definition, struct property *property) {
    struct reading *reading = definition->reading;
    struct resource *resource = definition->resource;
    const struct property *key = resource->key.property;
    size_t size = INDEX_ROW_OVERHEAD + property_index_size(property);
    size += key && property_index_size(key) != SIZE_MAX ? property_index_size(key) : 0;
    if (size > INDEX_ROW_MAX) {
        reading_note(reading, yaml_get(definition->nodes[property->index], "references"),
                     "`%.*s` needs an index, in which it may take %zu bytes with the key behind "
                     "it, at 4 a character; PostgreSQL allows %d: lessen `maxLength`",
                     TEXT_ARGS(property->name), size, INDEX_ROW_MAX);
        return;
    }
    struct column_group *group =
        arena_grow(reading->arena, &resource->indexes, resource->index_count, sizeof *group);
    struct property **properties = arena_allocate(reading->arena, sizeof(struct property *));
    if (!group || !properties) {
        reading_out_of_memory(reading);
        return;
    }
    properties[0] = property;
    *group = (struct column_group){.properties = properties, .property_count = 1};
    resource->index_count++;
}

void definition_index_references(struct definition *definition) {
    const struct resource *resource = definition->resource;
    for (size_t i = 0; i < resource->property_count; i++) {
        struct property *property = &resource->properties[i];
        if (property->reference.resource && definition->typed[i] &&
            property != resource->key.property &&
            !begins_group(property, resource->unique, resource->unique_count) &&
            !begins_group(property, resource->indexes, resource->index_count))
            index_reference(definition, property);
    }
}
