#include "resource/definition_reader.h"

#include "resource/expression.h"
#include "resource/property_reader.h"

#include <stdio.h>

enum {
    NAME_MAX_SIZE = 63,
    STATE_MAX = 63,
    INDEX_ROW_MAX = 2704, // PostgreSQL's limit for a row of a B-tree
    INDEX_ROW_OVERHEAD = 16,
};

bool definition_name_is_valid(struct text name) {
    if (name.size < 1 || name.size > NAME_MAX_SIZE || name.data[0] < 'a' || name.data[0] > 'z')
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_')
            return false;
    }
    return true;
}

void definition_free(struct resource *resource) {
    if (!resource)
        return;
    for (size_t i = 0; i < resource->property_count; i++)
        schema_free(&resource->properties[i].schema);
}

// What stands in the file besides what the resource keeps of it.
struct definition {
    struct reading *reading;
    const struct yaml_node *root;
    struct resource *resource;
    struct text key_name;             // a made key's, or a declared property's
    const struct yaml_node *key_node; // where it is named; NULL where it is not
    struct text key_source;           // sha256(…)
    struct text state_name;           // of the lifecycle's property; data NULL: none
    const struct yaml_node *state_node;
    const struct yaml_node **nodes; // of the properties; NULL for those that are made
    bool *typed;                    // whether the properties' kinds are known
};

// ---- Words ----

static bool is_one_of(struct text word, const char *const *words) {
    for (; *words; words++) {
        if (text_is(word, *words))
            return true;
    }
    return false;
}

// What stands at the top of a server's paths besides resources.
static const char *const path_words[] = {"keys",    "operations",   "docs",    "redoc",
                                         "console", "metrics",      "openapi", "healthz",
                                         "readyz",  "openapi_json", NULL};

// What query parameters are called besides properties and named filters.
static const char *const parameter_words[] = {"limit",  "offset", "cursor", "sort", "filter",
                                              "fields", "expand", "count",  NULL};

// What expressions, and the databases' own columns, are called.
static const char *const expression_words[] = {"and",  "or",   "not",   "in",   "is",
                                               "null", "true", "false", "this", NULL};
static const char *const column_words[] = {"xmin", "xmax",     "cmin",  "cmax",
                                           "ctid", "tableoid", "rowid", NULL};

static bool check_property_name(struct definition *definition, const struct yaml_node *node,
                                struct text name) {
    struct reading *reading = definition->reading;
    if (is_one_of(name, parameter_words))
        return reading_note(reading, node,
                            "`%.*s` cannot name a property: it is a query parameter of every list",
                            TEXT_ARGS(name));
    if (is_one_of(name, expression_words))
        return reading_note(reading, node,
                            "`%.*s` cannot name a property: it is a word of expressions",
                            TEXT_ARGS(name));
    if (is_one_of(name, column_words))
        return reading_note(reading, node,
                            "`%.*s` cannot name a property: databases have a column of that name",
                            TEXT_ARGS(name));
    return true;
}

static struct text base_name(struct text file) {
    for (size_t i = file.size; i > 0; i--) {
        if (file.data[i - 1] == '/')
            return text_from(file, i);
    }
    return file;
}

static void read_name(struct definition *definition) {
    struct reading *reading = definition->reading;
    struct text base = base_name(reading->file);
    struct text end = TEXT(".yaml");
    if (base.size >= end.size && text_equal(text_from(base, base.size - end.size), end))
        base.size -= end.size;
    struct text name = definition->resource->name = arena_copy(reading->arena, base);
    if (!name.data)
        reading_out_of_memory(reading);
    else if (!definition_name_is_valid(name))
        reading_note(reading, NULL,
                     "the file's name is the resource's, and `%.*s` cannot name one: a name has "
                     "small letters, digits and _, begins with a letter, and is at most 63 long",
                     TEXT_ARGS(reading_shown(name)));
    else if (is_one_of(name, path_words))
        reading_note(reading, NULL,
                     "`%.*s` cannot name a resource: the server has a path of that name",
                     TEXT_ARGS(name));
    else if (text_starts_with(name, TEXT("trestle_")) || text_starts_with(name, TEXT("sqlite_")) ||
             text_starts_with(name, TEXT("pg_")))
        reading_note(
            reading, NULL,
            "`%.*s` cannot name a resource: tables whose names begin like that are not for "
            "records",
            TEXT_ARGS(name));
}

// ---- The key ----

static bool note_key_form(struct definition *definition, const struct yaml_node *node) {
    return reading_note(definition->reading, node,
                        "`key` must be {NAME: integer}, {NAME: uuid}, {NAME: sha256(PROPERTY)} or "
                        "the name of a declared property");
}

// "sha256(PROPERTY)"
static bool split_digest(struct text form, struct text *ret_source) {
    struct text begin = TEXT("sha256(");
    if (!text_starts_with(form, begin) || form.data[form.size - 1] != ')')
        return false;
    *ret_source = text_trim(text_of(form.data + begin.size, form.size - begin.size - 1));
    return true;
}

static void read_key_form(struct definition *definition, const struct yaml_pair *pair) {
    struct key *key = &definition->resource->key;
    struct text form = pair->value->scalar;
    definition->key_node = pair->value;
    if (pair->value->kind != YAML_STRING)
        note_key_form(definition, pair->value);
    else if (text_is(form, "integer"))
        key->kind = KEY_INTEGER;
    else if (text_is(form, "uuid"))
        key->kind = KEY_UUID;
    else if (split_digest(form, &definition->key_source))
        key->kind = KEY_SHA256;
    else
        note_key_form(definition, pair->value);
    struct text name;
    if (reading_name(definition->reading, pair->key, "a key", &name) &&
        check_property_name(definition, pair->key, name)) {
        definition->key_name = name;
        definition->key_node = pair->key;
    }
}

static void read_key(struct definition *definition) {
    const struct yaml_node *node = yaml_get(definition->root, "key");
    definition->resource->key.kind = KEY_INTEGER;
    definition->key_name = TEXT("id");
    if (!node)
        return;
    definition->key_node = node;
    if (node->kind == YAML_STRING) {
        definition->resource->key.kind = KEY_PROPERTY;
        definition->key_name = node->scalar;
    } else if (node->kind == YAML_MAPPING && node->mapping.count == 1) {
        read_key_form(definition, &node->mapping.pairs[0]);
    } else {
        note_key_form(definition, node);
    }
}

static void check_chosen_key(struct definition *definition, struct property *property) {
    struct reading *reading = definition->reading;
    const struct yaml_node *node = definition->key_node;
    bool text = property->kind == VALUE_TEXT || property->kind == VALUE_UUID;
    size_t size = property_index_size(property);
    if (!text)
        reading_note(reading, node, "a key must be a string or a UUID; `%.*s` is neither",
                     TEXT_ARGS(property->name));
    else if (size == SIZE_MAX)
        reading_note(reading, node, "a key must be a bounded string; `%.*s` has no `maxLength`",
                     TEXT_ARGS(property->name));
    else if (size + INDEX_ROW_OVERHEAD > INDEX_ROW_MAX)
        reading_note(reading, node,
                     "a key may take %d bytes at most; `%.*s` may take %zu, at 4 a character",
                     INDEX_ROW_MAX - INDEX_ROW_OVERHEAD, TEXT_ARGS(property->name), size);
    if (property->read_only || property->write_only)
        reading_note(reading, node, "a key that clients choose cannot be `%s`",
                     property->read_only ? "readOnly" : "writeOnly");
    if (!value_is_null(property->default_value) || property->default_expression)
        reading_note(reading, node, "a key that clients choose has no default");
    // An empty key would be the path of the collection.
    if (property->schema.min_length < 1)
        property->schema.min_length = 1;
}

static void check_digest_source(struct definition *definition) {
    struct reading *reading = definition->reading;
    struct key *key = &definition->resource->key;
    const struct yaml_node *node = definition->key_node;
    struct text name = definition->key_source;
    key->source = resource_property(definition->resource, name);
    if (!key->source || key->source == key->property)
        reading_note(reading, node, "sha256(…) needs a declared property; `%.*s` is none",
                     TEXT_ARGS(reading_shown(name)));
    else if (!definition->typed[key->source->index])
        return;
    else if (key->source->kind != VALUE_TEXT)
        reading_note(reading, node, "sha256(…) needs a string; `%.*s` is none", TEXT_ARGS(name));
    else if (!key->source->required || key->source->read_only)
        reading_note(
            reading, node,
            "sha256(…) needs a property that is required and not `readOnly`; `%.*s` is not",
            TEXT_ARGS(name));
}

// Ties the key to its property, once all of them have been read.
static void link_key(struct definition *definition) {
    struct resource *resource = definition->resource;
    struct property *property = resource_property(resource, definition->key_name);
    resource->key.property = property;
    if (!property && resource->key.kind == KEY_PROPERTY)
        reading_note(definition->reading, definition->key_node,
                     "`%.*s` is not one of the properties; a key that trestle makes is written as "
                     "{NAME: integer}, {NAME: uuid} or {NAME: sha256(PROPERTY)}",
                     TEXT_ARGS(reading_shown(definition->key_name)));
    else if (resource->key.kind == KEY_PROPERTY && definition->typed[property->index])
        check_chosen_key(definition, property);
    else if (resource->key.kind == KEY_SHA256)
        check_digest_source(definition);
}

// ---- The lifecycle ----

static void add_state(struct definition *definition, const struct yaml_node *node) {
    struct reading *reading = definition->reading;
    struct lifecycle *lifecycle = &definition->resource->lifecycle;
    struct text name = node->scalar;
    if (node->kind != YAML_STRING || name.size < 1 || text_utf8_length(name) > STATE_MAX) {
        reading_note(reading, node, "a state must be a string of 1 to %d characters", STATE_MAX);
        return;
    }
    for (size_t i = 0; i < lifecycle->state_count; i++) {
        if (text_equal(lifecycle->states[i], name)) {
            reading_note(reading, node, "the state `%.*s` is there twice", TEXT_ARGS(name));
            return;
        }
    }
    struct text *state =
        arena_grow(reading->arena, &lifecycle->states, lifecycle->state_count, sizeof *state);
    struct text copy = arena_copy(reading->arena, name);
    if (!state || !copy.data) {
        reading_out_of_memory(reading);
        return;
    }
    *state = copy;
    lifecycle->state_count++;
}

static void read_states(struct definition *definition, const struct yaml_node *lifecycle) {
    const struct yaml_node *states = yaml_get(lifecycle, "states");
    if (!states)
        reading_note(definition->reading, lifecycle, "`lifecycle` needs `states`, a list of names");
    else if (states->kind != YAML_SEQUENCE || states->sequence.count == 0)
        reading_note(
            definition->reading, states,
            "`states` must be a list of names, of which the first is where a record starts");
    else
        for (size_t i = 0; i < states->sequence.count; i++)
            add_state(definition, states->sequence.items[i]);
}

static void read_lifecycle(struct definition *definition) {
    static const char *const words[] = {"property", "states", NULL};
    struct reading *reading = definition->reading;
    const struct yaml_node *node = yaml_get(definition->root, "lifecycle");
    if (!node || !reading_expect(reading, node, YAML_MAPPING, "lifecycle"))
        return;
    reading_check_keywords(reading, node, words, NULL);
    const struct yaml_node *property = yaml_get(node, "property");
    struct text name;
    if (!property)
        reading_note(reading, node, "`lifecycle` needs `property`, which holds the state");
    else if (reading_name(reading, property, "a property", &name) &&
             check_property_name(definition, property, name)) {
        definition->state_name = name;
        definition->state_node = property;
    }
    read_states(definition, node);
}

// A declared property may say what it is for, and where in the order it stands; the rest is the
// lifecycle's.
static void check_declared_state(struct definition *definition, const struct property *property) {
    static const char *const words[] = {"type", "description", "examples", "readOnly", "was", NULL};
    const struct yaml_node *node = definition->nodes[property->index];
    for (size_t i = 0; node->kind == YAML_MAPPING && i < node->mapping.count; i++) {
        const struct yaml_node *key = node->mapping.pairs[i].key;
        if (!is_one_of(key->scalar, words))
            reading_note(definition->reading, key,
                         "`%.*s` holds the lifecycle's state, which settles `%.*s`",
                         TEXT_ARGS(property->name), TEXT_ARGS(reading_shown(key->scalar)));
    }
    if (definition->typed[property->index] && property->kind != VALUE_TEXT)
        reading_note(definition->reading, node,
                     "`%.*s` holds the lifecycle's state, so its type is string",
                     TEXT_ARGS(property->name));
}

static void link_lifecycle(struct definition *definition) {
    struct resource *resource = definition->resource;
    struct property *property =
        definition->state_name.data ? resource_property(resource, definition->state_name) : NULL;
    if (!property)
        return;
    if (property == resource->key.property) {
        reading_note(definition->reading, definition->state_node,
                     "the key cannot hold the lifecycle's state");
        return;
    }
    size_t before = reading_notes(definition->reading);
    if (definition->nodes[property->index])
        check_declared_state(definition, property);
    resource->lifecycle.property = property;
    if (resource->lifecycle.state_count == 0 || reading_notes(definition->reading) != before)
        return;
    definition->typed[property->index] = true;
    if (!property_make_state(definition->reading->arena, &resource->lifecycle, property))
        reading_out_of_memory(definition->reading);
}

// ---- Properties ----

static struct property *add_property(struct definition *definition, const struct yaml_node *key,
                                     const struct yaml_node *value, struct text name) {
    struct resource *resource = definition->resource;
    size_t index = resource->property_count++;
    struct property *property = &resource->properties[index];
    definition->nodes[index] = value;
    property->index = index;
    property->line = key ? key->line : 0;
    property->column = key ? key->column : 0;
    property->schema = schema_any();
    if (!property_name_it(definition->reading->arena, property, name))
        reading_out_of_memory(definition->reading);
    return property;
}

static void declare_property(struct definition *definition, const struct yaml_pair *pair) {
    struct reading *reading = definition->reading;
    struct text name;
    if (!reading_name(reading, pair->key, "a property", &name))
        return;
    // What is wrong here is noted; the property is added all the same, so that what refers to it is
    // not wrong too.
    check_property_name(definition, pair->key, name);
    reading_expect(reading, pair->value, YAML_MAPPING, name.data);
    if (resource_property(definition->resource, name)) // only a made key can be there already
        reading_note(reading, pair->key,
                     "`%.*s` is the key, which trestle makes; take it out of `properties`, or give "
                     "the key another name",
                     TEXT_ARGS(name));
    else
        add_property(definition, pair->key, pair->value, name);
}

static void make_key(struct definition *definition) {
    enum key_kind kind = definition->resource->key.kind;
    if (kind == KEY_PROPERTY || !definition->key_name.data)
        return;
    struct property *property = add_property(definition, NULL, NULL, definition->key_name);
    definition->typed[property->index] = true;
    if (!property_make_key(definition->reading->arena, kind, property))
        reading_out_of_memory(definition->reading);
}

static bool allocate_properties(struct definition *definition, size_t count) {
    struct arena *arena = definition->reading->arena;
    definition->resource->properties =
        arena_allocate_zero(arena, count, sizeof *definition->resource->properties);
    definition->nodes = arena_allocate_zero(arena, count, sizeof *definition->nodes);
    definition->typed = arena_allocate_zero(arena, count, sizeof *definition->typed);
    return (definition->resource->properties && definition->nodes && definition->typed) ||
           reading_out_of_memory(definition->reading);
}

// Gives every property its place, its name and its index.
static bool declare_properties(struct definition *definition) {
    struct reading *reading = definition->reading;
    const struct yaml_node *node = yaml_get(definition->root, "properties");
    if (!node)
        return reading_note(reading, definition->root,
                            "`properties` is missing: it says what a record has");
    if (!reading_expect(reading, node, YAML_MAPPING, "properties"))
        return false;
    size_t count = node->mapping.count;
    if (count == 0)
        return reading_note(reading, node, "`properties` is empty: a record has at least one");
    if (count + 2 > RESOURCE_MAX_PROPERTIES)
        return reading_note(reading, node, "there are %zu properties, and %d at most", count,
                            RESOURCE_MAX_PROPERTIES - 2);
    if (!allocate_properties(definition, count + 2))
        return false;
    make_key(definition);
    for (size_t i = 0; i < count; i++)
        declare_property(definition, &node->mapping.pairs[i]);
    if (definition->state_name.data &&
        !resource_property(definition->resource, definition->state_name))
        add_property(definition, NULL, NULL, definition->state_name);
    return true;
}

static void require_property(struct definition *definition, const struct yaml_node *node) {
    struct reading *reading = definition->reading;
    struct property *property = resource_property(definition->resource, node->scalar);
    if (node->kind == YAML_SEQUENCE || node->kind == YAML_MAPPING)
        reading_note(reading, node, "expected the name of a property; this is %s",
                     yaml_kind_name(node->kind));
    else if (!property)
        reading_note(reading, node, "`%.*s` is not one of the properties",
                     TEXT_ARGS(reading_shown(node->scalar)));
    else if (!definition->nodes[property->index])
        reading_note(reading, node, "`%.*s` is made by trestle and always there; take it out",
                     TEXT_ARGS(property->name));
    else if (property->required)
        reading_note(reading, node, "`%.*s` is there twice", TEXT_ARGS(property->name));
    else
        property->required = true;
}

static void read_required(struct definition *definition) {
    const struct yaml_node *node = yaml_get(definition->root, "required");
    struct resource *resource = definition->resource;
    if (node && reading_expect(definition->reading, node, YAML_SEQUENCE, "required"))
        for (size_t i = 0; i < node->sequence.count; i++)
            require_property(definition, node->sequence.items[i]);
    if (resource->key.kind == KEY_PROPERTY) {
        struct property *key = resource_property(resource, definition->key_name);
        if (key)
            key->required = true;
    }
}

// Two properties that claim one former name.
static void check_former_names(struct definition *definition) {
    const struct resource *resource = definition->resource;
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        for (size_t j = 0; j < i && property->was.size; j++) {
            if (text_equal(resource->properties[j].was, property->was))
                reading_note(definition->reading, yaml_get(definition->nodes[i], "was"),
                             "`%.*s` was called `%.*s` too",
                             TEXT_ARGS(resource->properties[j].name), TEXT_ARGS(property->was));
        }
    }
}

static void read_properties(struct definition *definition) {
    struct resource *resource = definition->resource;
    for (size_t i = 0; i < resource->property_count; i++) {
        if (!definition->nodes[i] || definition->nodes[i]->kind != YAML_MAPPING)
            continue;
        struct property_reading context = {definition->reading, resource, definition->nodes[i],
                                           &resource->properties[i]};
        property_read(&context, &definition->typed[i]);
    }
    check_former_names(definition);
}

static void read_default_expressions(struct definition *definition) {
    struct resource *resource = definition->resource;
    for (size_t i = 0; i < resource->property_count; i++) {
        struct property_reading context = {definition->reading, resource, definition->nodes[i],
                                           &resource->properties[i]};
        if (definition->nodes[i] && definition->typed[i])
            property_read_default_expression(&context);
    }
}

// ---- Actions and access ----

static bool action_fits_key(const struct resource *resource, enum action action) {
    return resource->key.kind != KEY_SHA256 ||
           (action != ACTION_REPLACE && action != ACTION_UPDATE);
}

static void add_action(struct definition *definition, const struct yaml_node *node) {
    const char *words[ACTIONS + 1] = {NULL};
    for (size_t i = 0; i < ACTIONS; i++)
        words[i] = action_name((enum action)i);
    bool *actions = definition->resource->actions;
    size_t index;
    if (!reading_word(definition->reading, node, "an action", words, &index))
        return;
    if (!action_fits_key(definition->resource, (enum action)index))
        reading_note(
            definition->reading, node,
            "`%s` does not go with a key that is a digest: another content has another key",
            words[index]);
    else if (actions[index])
        reading_note(definition->reading, node, "the action `%s` is there twice", words[index]);
    else
        actions[index] = true;
}

static void read_actions(struct definition *definition) {
    struct resource *resource = definition->resource;
    const struct yaml_node *node = yaml_get(definition->root, "actions");
    if (!node) {
        for (size_t i = 0; i < ACTIONS; i++)
            resource->actions[i] = action_fits_key(resource, (enum action)i);
    } else if (reading_expect(definition->reading, node, YAML_SEQUENCE, "actions")) {
        if (node->sequence.count == 0)
            reading_note(definition->reading, node, "`actions` is empty: nothing could be done");
        for (size_t i = 0; i < node->sequence.count; i++)
            add_action(definition, node->sequence.items[i]);
    }
}

static void read_access_word(struct definition *definition, const struct yaml_node *access,
                             const char *name, enum access *ret_access) {
    static const char *const words[] = {
        [ACCESS_KEY] = "key", [ACCESS_PUBLIC] = "public", [ACCESS_PUBLIC + 1] = NULL};
    const struct yaml_node *node = yaml_get(access, name);
    size_t index;
    if (node && reading_word(definition->reading, node, "an access", words, &index))
        *ret_access = (enum access)index;
}

static void read_access(struct definition *definition) {
    static const char *const words[] = {"read", "write", NULL};
    struct resource *resource = definition->resource;
    const struct yaml_node *node = yaml_get(definition->root, "access");
    if (!node || !reading_expect(definition->reading, node, YAML_MAPPING, "access"))
        return;
    reading_check_keywords(definition->reading, node, words, NULL);
    read_access_word(definition, node, "read", &resource->read_access);
    read_access_word(definition, node, "write", &resource->write_access);
}

// ---- Unique groups and indexes ----

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
    struct column_group group = {
        .properties =
            arena_allocate_zero(reading->arena, node->sequence.count, sizeof *group.properties)};
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
    struct column_group group;
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

static void read_groups(struct definition *definition, const char *what, bool unique) {
    const struct yaml_node *node = yaml_get(definition->root, what);
    if (!node || !reading_expect(definition->reading, node, YAML_SEQUENCE, what))
        return;
    for (size_t i = 0; i < node->sequence.count; i++)
        add_group(definition, node->sequence.items[i], unique);
}

// ---- Checks and filters ----

static bool is_name_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Whether a property whose kind is not known is named in an expression: then what is wrong with it
// is noted already.
static bool mentions_untyped(const struct definition *definition, struct text source) {
    size_t start = 0;
    for (size_t i = 0; i <= source.size; i++) {
        if (i < source.size && is_name_byte(source.data[i]))
            continue;
        struct text word = text_of(source.data + start, i - start);
        const struct property *property = resource_property(definition->resource, word);
        if (property && !definition->typed[property->index])
            return true;
        start = i + 1;
    }
    return false;
}

static bool read_expression(struct definition *definition, const struct yaml_pair *pair,
                            const char *what, struct named_expression *ret_expression) {
    struct reading *reading = definition->reading;
    struct named_expression named = {.expression = NULL};
    struct failure failure;
    size_t offset = 0;
    bool read = reading_name(reading, pair->key, what, &named.name);
    if (!reading_string(reading, pair->value, read ? named.name.data : "expression",
                        &named.source) ||
        mentions_untyped(definition, named.source))
        return false;
    named.expression =
        expression_parse(reading->arena, definition->resource, EXPRESSION_FOR_PREDICATE, NULL,
                         named.source, &failure, &offset);
    *ret_expression = named;
    if (named.expression)
        return read;
    return failure.code == FAILURE_OUT_OF_MEMORY
               ? reading_out_of_memory(reading)
               : reading_note_inside(reading, pair->value, offset, failure.detail);
}

// An array for each pair of a mapping.
static void *allocate_for(struct definition *definition, const struct yaml_node *mapping,
                          size_t size) {
    void *items = arena_allocate_zero(definition->reading->arena, mapping->mapping.count, size);
    if (!items)
        reading_out_of_memory(definition->reading);
    return items;
}

static void read_checks(struct definition *definition) {
    struct resource *resource = definition->resource;
    const struct yaml_node *node = yaml_get(definition->root, "checks");
    if (!node || !reading_expect(definition->reading, node, YAML_MAPPING, "checks"))
        return;
    resource->checks = allocate_for(definition, node, sizeof *resource->checks);
    for (size_t i = 0; resource->checks && i < node->mapping.count; i++)
        resource->check_count += read_expression(definition, &node->mapping.pairs[i], "a check",
                                                 &resource->checks[resource->check_count]);
}

static bool check_filter_name(struct definition *definition, const struct yaml_node *node,
                              struct text name) {
    if (resource_property(definition->resource, name))
        return reading_note(definition->reading, node,
                            "`%.*s` cannot name a filter: it is a property, and so a parameter "
                            "already",
                            TEXT_ARGS(name));
    if (is_one_of(name, parameter_words))
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
                            &filter->values[filter->value_count]);
}

static void read_filters(struct definition *definition) {
    struct resource *resource = definition->resource;
    const struct yaml_node *node = yaml_get(definition->root, "filters");
    if (!node || !reading_expect(definition->reading, node, YAML_MAPPING, "filters"))
        return;
    resource->filters = allocate_for(definition, node, sizeof *resource->filters);
    for (size_t i = 0; resource->filters && i < node->mapping.count; i++)
        read_filter(definition, &node->mapping.pairs[i],
                    &resource->filters[resource->filter_count++]);
}

// ---- The whole ----

static const char *const top_words[] = {
    "description", "key",     "access", "actions", "required",  "properties",
    "unique",      "indexes", "checks", "filters", "lifecycle", NULL,
};

static const struct refused_keyword refused_words[] = {
    {"transitions", "are not supported by this version"},
    {"references", "are not supported by this version"},
    {"events", "are not supported by this version"},
    {"on_delete", "is not supported by this version"},
    {"require", "is not supported by this version"},
    {"rate_limit", "is not supported by this version"},
    {"name", "is not needed: the file's name is the resource's"},
    {"type", "is not needed: a resource is always an object"},
    {"title", "is not supported by this version; `description` says what the resource is"},
    {"additionalProperties", "is not needed: a resource has no other properties"},
    {NULL, NULL},
};

static void read_root(struct definition *definition) {
    struct reading *reading = definition->reading;
    struct resource *resource = definition->resource;
    const struct yaml_node *description = yaml_get(definition->root, "description");
    reading_check_keywords(reading, definition->root, top_words, refused_words);
    if (description)
        reading_string(reading, description, "description", &resource->description);
    read_key(definition);
    read_lifecycle(definition);
    read_actions(definition);
    read_access(definition);
    if (!declare_properties(definition))
        return;
    read_required(definition);
    read_properties(definition);
    read_default_expressions(definition);
    link_key(definition);
    link_lifecycle(definition);
    read_groups(definition, "unique", true);
    read_groups(definition, "indexes", false);
    read_checks(definition);
    read_filters(definition);
    resource->versioned = resource->actions[ACTION_REPLACE] || resource->actions[ACTION_UPDATE] ||
                          resource->lifecycle.property;
}

struct resource *definition_read(struct arena *arena, struct text file, struct text source,
                                 struct diagnostics *diagnostics) {
    struct reading reading = {arena, file, source, diagnostics};
    struct resource *resource = arena_allocate_zero(arena, 1, sizeof *resource);
    struct definition definition = {.reading = &reading, .resource = resource};
    struct yaml_problem problem;
    struct yaml_node *root;
    if (!resource) {
        reading_out_of_memory(&reading);
        return NULL;
    }
    size_t before = reading_notes(&reading);
    resource->file = arena_copy(arena, file);
    read_name(&definition);
    if (!yaml_read(arena, source, &root, &problem)) {
        diagnostics_add(diagnostics, file, problem.line, problem.column, "%s", problem.detail);
    } else if (root->kind != YAML_MAPPING) {
        reading_note(&reading, root,
                     "a definition is a mapping that begins with `properties:` or "
                     "another keyword; this is %s",
                     yaml_kind_name(root->kind));
    } else {
        definition.root = root;
        read_root(&definition);
    }
    if (reading_notes(&reading) == before)
        return resource;
    definition_free(resource);
    return NULL;
}
