#include "resource/lenient.h"

static void strip_value(const struct schema *schema, json_t *value);

static const struct schema *member_schema(const struct schema *schema, const char *name) {
    for (size_t i = 0; i < schema->member_count; i++) {
        if (text_is(schema->members[i].name, name))
            return &schema->members[i].schema;
    }
    return NULL;
}

static void strip_members(const struct schema *schema, json_t *object) {
    const char *name;
    json_t *member;
    void *next;
    json_object_foreach_safe(object, next, name, member) {
        const struct schema *known = member_schema(schema, name);
        if (known)
            strip_value(known, member);
        else
            json_object_del(object, name);
    }
}

// As deep as bodies are, and definitions.
static void strip_value(const struct schema *schema, json_t *value) {
    if (json_is_object(value) && schema->has_members)
        strip_members(schema, value);
    for (size_t i = 0; schema->items && i < json_array_size(value); i++)
        strip_value(schema->items, json_array_get(value, i));
}

static void strip_record(const struct resource *resource, json_t *record) {
    const char *name;
    json_t *member;
    void *next;
    json_object_foreach_safe(record, next, name, member) {
        const struct property *property = resource_property(resource, text_from_string(name));
        if (property && !property_is_hidden(property))
            strip_value(&property->schema, member);
        else
            json_object_del(record, name);
    }
}

void lenient_strip_record(const struct resource *resource, json_t *body) {
    if (json_is_object(body))
        strip_record(resource, body);
    for (size_t i = 0; i < json_array_size(body); i++) {
        json_t *record = json_array_get(body, i);
        if (json_is_object(record))
            strip_record(resource, record);
    }
}

void lenient_strip_others(const char *const *names, json_t *body) {
    const char *name;
    json_t *member;
    void *next;
    json_object_foreach_safe(body, next, name, member) {
        size_t i = 0;
        while (names[i] && strcmp(names[i], name) != 0)
            i++;
        if (!names[i])
            json_object_del(body, name);
    }
}
