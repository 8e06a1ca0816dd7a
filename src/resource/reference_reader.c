#include "base/suggest.h"
#include "resource/definition_reading.h"
#include "resource/property_value.h"

// A reference while it is read.
struct reference_reading {
    struct definition *definition;
    struct property *property;
    const struct yaml_node *node;    // what stands under the property's name
    const struct yaml_node *name;    // of the resource
    const struct definition *target; // that of the resource; NULL: there is none
};

static const struct definition *find(struct definition *const *all, size_t count,
                                     struct text name) {
    for (size_t i = 0; i < count; i++) {
        if (text_equal(all[i]->resource->name, name))
            return all[i];
    }
    return NULL;
}

static void note_unknown(const struct reference_reading *reference, struct definition *const *all,
                         size_t count) {
    struct suggestion suggestion = {.word = reference->name->scalar};
    for (size_t i = 0; i < count; i++)
        suggest_offer(&suggestion, all[i]->resource->name);
    bool meant = suggestion.best.data != NULL;
    reading_note(reference->definition->reading, reference->name,
                 "there is no resource `%.*s`%s%.*s%s", TEXT_ARGS(reference->name->scalar),
                 meant ? "; did you mean `" : "", TEXT_ARGS(meant ? suggestion.best : TEXT("")),
                 meant ? "`?" : "");
}

// What the property's type must be, in the words of a definition.
static const char *type_of_key(const struct key *key) {
    if (key->property->kind == VALUE_INTEGER)
        return "an integer, so `type: integer`";
    if (key->property->kind == VALUE_UUID)
        return "a UUID, so `type: string` and `format: uuid`";
    return key->kind == KEY_SHA256 ? "a digest, so `type: string` without a format"
                                   : "a string, so `type: string`";
}

static bool check_type(const struct reference_reading *reference) {
    const struct property *property = reference->property;
    const struct resource *target = reference->target->resource;
    bool fits = target->key.kind == KEY_SHA256
                    ? property->kind == VALUE_TEXT && property->schema.format == FORMAT_NONE
                    : property->kind == target->key.property->kind;
    return fits ||
           reading_note(reference->definition->reading, reference->name,
                        "the key of `%.*s` is %s is what `%.*s` needs", TEXT_ARGS(target->name),
                        type_of_key(&target->key), TEXT_ARGS(property->name));
}

static void check_examples(const struct reference_reading *reference) {
    struct reading *reading = reference->definition->reading;
    size_t index;
    json_t *example;
    json_array_foreach(reference->property->schema.examples, index, example) {
        struct faults faults = {.arena = reading->arena};
        property_check(reference->property, example, NULL, &faults);
        reading_note_faults(reading, yaml_get(reference->node, "examples"), "examples", &faults);
    }
}

// A digest is stored as its bytes, which leave nothing to be said about.
static void make_digest(const struct reference_reading *reference) {
    static const char *const words[] = {"minLength", "maxLength", "pattern", "enum",
                                        "const",     "default",   NULL};
    struct reading *reading = reference->definition->reading;
    struct property *property = reference->property;
    const struct yaml_node *node = reference->node;
    for (size_t i = 0; i < node->mapping.count; i++) {
        const struct yaml_node *key = node->mapping.pairs[i].key;
        if (definition_word_is(key->scalar, words))
            reading_note(reading, key,
                         "`%.*s` refers to a digest of 64 hexadecimal digits; take `%.*s` out",
                         TEXT_ARGS(property->name), TEXT_ARGS(key->scalar));
    }
    const struct key *own = &reference->definition->resource->key;
    if (property == own->property || property == own->source)
        reading_note(reading, reference->name,
                     "neither a key nor what it is a digest of can refer to a digest");
    property->kind = VALUE_BYTES;
    property->schema.min_length = property->schema.max_length = 64;
    check_examples(reference);
}

// The property becomes what the other resource's key is.
static void tie(const struct reference_reading *reference) {
    const struct definition *target = reference->target;
    const struct property *key = target->resource->key.property;
    struct definition *definition = reference->definition;
    struct property *property = reference->property;
    property->reference.resource = target->resource;
    definition->targets[property->index] = target;
    if (!definition->typed[property->index])
        return;
    if (!key || !target->typed[key->index]) {
        definition->typed[property->index] = false; // what is wrong with that is noted there
        return;
    }
    if (!check_type(reference)) {
        definition->typed[property->index] = false;
        return;
    }
    if (target->resource->key.kind == KEY_SHA256)
        make_digest(reference);
    else if (property_index_size(property) == SIZE_MAX)
        property->schema.max_length = key->schema.max_length;
}

static void read_on_delete(const struct reference_reading *reference) {
    static const char *const words[] = {[ON_DELETE_RESTRICT] = "restrict",
                                        [ON_DELETE_CASCADE] = "cascade",
                                        [ON_DELETE_SET_NULL] = "set-null",
                                        [ON_DELETE_SET_NULL + 1] = NULL};
    struct reading *reading = reference->definition->reading;
    struct property *property = reference->property;
    const struct yaml_node *node = yaml_get(reference->node, "on_delete");
    size_t index;
    if (!node || !reading_word(reading, node, "an action", words, &index))
        return;
    property->reference.on_delete = (enum on_delete)index;
    if (index == ON_DELETE_SET_NULL && property->required)
        reading_note(reading, node, "`%.*s` is required, so it cannot become null",
                     TEXT_ARGS(property->name));
}

static void read_reference(struct definition *definition, struct property *property,
                           const struct yaml_node *node, struct definition *const *all,
                           size_t count) {
    struct reference_reading reference = {definition, property, node, yaml_get(node, "references"),
                                          NULL};
    const struct yaml_node *on_delete = yaml_get(node, "on_delete");
    struct text name;
    if (!reference.name) {
        if (on_delete)
            reading_note(definition->reading, on_delete,
                         "`on_delete` goes with `references`, which `%.*s` has not",
                         TEXT_ARGS(property->name));
        return;
    }
    if (!reading_name(definition->reading, reference.name, "a resource", &name))
        return;
    reference.target = find(all, count, name);
    read_on_delete(&reference);
    if (reference.target)
        tie(&reference);
    else
        note_unknown(&reference, all, count);
    definition->lost[property->index] = !reference.target;
}

void definition_link_references(struct definition *definition, struct definition *const *all,
                                size_t count) {
    struct resource *resource = definition->resource;
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct yaml_node *node = definition->nodes[i];
        if (node && node->kind == YAML_MAPPING)
            read_reference(definition, &resource->properties[i], node, all, count);
    }
}
