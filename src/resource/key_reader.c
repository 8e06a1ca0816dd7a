#include "resource/definition_reading.h"

// In characters. A history is found by its record's key, in an index (built_in/history.yaml).
enum { STATE_MAX = 63, HISTORY_KEY_MAX = 600 };

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
    // What is no scalar has an empty text.
    if (text_is(form, "integer"))
        key->kind = KEY_INTEGER;
    else if (text_is(form, "uuid"))
        key->kind = KEY_UUID;
    else if (split_digest(form, &definition->key_source))
        key->kind = KEY_SHA256;
    else
        note_key_form(definition, pair->value);
    struct text name;
    if (reading_name(definition->reading, pair->key, "a key", &name) &&
        definition_check_property_name(definition, pair->key, name))
        definition->key_name = name;
}

void definition_read_key(struct definition *definition) {
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
void definition_link_key(struct definition *definition) {
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

void definition_read_lifecycle(struct definition *definition) {
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
             definition_check_property_name(definition, property, name)) {
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
        if (!definition_word_is(key->scalar, words))
            reading_note(definition->reading, key,
                         "`%.*s` holds the lifecycle's state, which settles `%.*s`",
                         TEXT_ARGS(property->name), TEXT_ARGS(reading_shown(key->scalar)));
    }
    if (definition->typed[property->index] && property->kind != VALUE_TEXT)
        reading_note(definition->reading, node,
                     "`%.*s` holds the lifecycle's state, so its type is string",
                     TEXT_ARGS(property->name));
}

// Histories and operations are found by the key of the record that they are of.
static void check_recorded_key(struct definition *definition, const char *what) {
    const struct key *key = &definition->resource->key;
    if (key->kind == KEY_PROPERTY && key->property &&
        key->property->schema.max_length > HISTORY_KEY_MAX)
        reading_note(definition->reading, definition->key_node,
                     "the key of a resource with %s has at most %d characters, since its history "
                     "is found by it",
                     what, HISTORY_KEY_MAX);
}

void definition_link_lifecycle(struct definition *definition) {
    struct resource *resource = definition->resource;
    struct property *property =
        definition->state_name.data ? resource_property(resource, definition->state_name) : NULL;
    if (!property && definition_has_work(definition))
        check_recorded_key(definition, "long transitions");
    if (!property)
        return;
    if (property == resource->key.property) {
        reading_note(definition->reading, definition->state_node,
                     "the key cannot hold the lifecycle's state");
        return;
    }
    check_recorded_key(definition, "a lifecycle");
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
