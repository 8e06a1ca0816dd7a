#include "resource/property_reader.h"

#include "resource/encode.h"
#include "resource/expression.h"
#include "resource/property_value.h"

bool property_name_it(struct arena *arena, struct property *property, struct text name) {
    property->name = name;
    property->prepared_name = arena_format(arena, "\"%.*s\":", TEXT_ARGS(name));
    return property->prepared_name.data != NULL;
}

// ---- Kinds ----

static enum value_kind kind_of(const struct schema *schema) {
    static const enum value_kind formats[] = {
        [FORMAT_NONE] = VALUE_TEXT,       [FORMAT_DATE_TIME] = VALUE_TIMESTAMP,
        [FORMAT_DATE] = VALUE_DATE,       [FORMAT_UUID] = VALUE_UUID,
        [FORMAT_URI] = VALUE_TEXT,        [FORMAT_EMAIL] = VALUE_TEXT,
        [FORMAT_DECIMAL] = VALUE_DECIMAL,
    };
    switch (schema->types & ~(unsigned)SCHEMA_NULL) {
    case SCHEMA_BOOLEAN: return VALUE_BOOLEAN;
    case SCHEMA_INTEGER: return VALUE_INTEGER;
    case SCHEMA_NUMBER: return VALUE_REAL;
    case SCHEMA_STRING: return formats[schema->format];
    default: return VALUE_JSON;
    }
}

// The longest of some strings, in bytes.
static size_t longest(const json_t *choices) {
    size_t size = 0;
    for (size_t i = 0; i < json_array_size(choices); i++) {
        struct text choice = json_text(json_array_get(choices, i));
        size = choice.size > size ? choice.size : size;
    }
    return size;
}

size_t property_index_size(const struct property *property) {
    enum { TEXT_OVERHEAD = 8, CHARACTER_MAX = 4 }; // a length and alignment; UTF-8
    const struct schema *schema = &property->schema;
    switch (property->kind) {
    case VALUE_JSON: return SIZE_MAX;
    case VALUE_TEXT:
        if (schema->enumeration)
            return TEXT_OVERHEAD + longest(schema->enumeration);
        if (json_is_string(schema->constant))
            return TEXT_OVERHEAD + json_string_length(schema->constant);
        if (schema->max_length < 0 || schema->max_length > INT32_MAX)
            return SIZE_MAX;
        return TEXT_OVERHEAD + CHARACTER_MAX * (size_t)schema->max_length;
    case VALUE_BYTES: return TEXT_OVERHEAD + 32;
    case VALUE_DECIMAL: return TEXT_OVERHEAD + 16;
    case VALUE_UUID: return 16;
    default: return 8;
    }
}

// ---- Reading ----

static void read_was(const struct property_reading *context) {
    const struct yaml_node *node = yaml_get(context->node, "was");
    struct property *property = context->property;
    if (!node || !reading_name(context->reading, node, "a property", &property->was))
        return;
    const struct property *other = resource_property(context->resource, property->was);
    if (!other)
        return;
    reading_note(context->reading, node, "`%.*s` was never called `%.*s`: that is %s",
                 TEXT_ARGS(property->name), TEXT_ARGS(property->was),
                 other == property ? "what it is called" : "another property");
    property->was = TEXT("");
}

static void read_access_words(const struct property_reading *context) {
    struct property *property = context->property;
    const struct yaml_node *read_only = yaml_get(context->node, "readOnly");
    const struct yaml_node *write_only = yaml_get(context->node, "writeOnly");
    if (read_only)
        reading_boolean(context->reading, read_only, "readOnly", &property->read_only);
    if (write_only)
        reading_boolean(context->reading, write_only, "writeOnly", &property->write_only);
    if (property_is_hidden(property) && !context->resource->built_in)
        reading_note(context->reading, write_only,
                     "`%.*s` is `readOnly` and `writeOnly`, so that nobody could use it",
                     TEXT_ARGS(property->name));
}

static void read_default(const struct property_reading *context, struct schema_reading *schema) {
    struct reading *reading = context->reading;
    struct property *property = context->property;
    const struct yaml_node *node = yaml_get(context->node, "default");
    if (!node)
        return;
    if (node->kind == YAML_NULL) {
        reading_note(reading, node, "a default of null says nothing: leave it out");
        return;
    }
    json_t *value = schema_read_value(schema, node, "default", &property->schema);
    struct faults faults = {.arena = reading->arena};
    if (value && schema->sound && schema->typed) {
        property_check(property, value, NULL, &faults);
        reading_note_faults(reading, node, "default", &faults);
        struct value borrowed;
        if (faults_none(&faults) &&
            (!property_value(property, value, reading->arena, &borrowed) ||
             !value_copy(reading->arena, borrowed, &property->default_value)))
            reading_out_of_memory(reading);
    }
    json_decref(value);
}

static void check_default_words(const struct property_reading *context) {
    const struct property *property = context->property;
    const struct yaml_node *value = yaml_get(context->node, "default");
    const struct yaml_node *expression = yaml_get(context->node, "default_expression");
    if (value && expression)
        reading_note(context->reading, expression,
                     "`%.*s` has a `default` and a `default_expression`; it can have one of them",
                     TEXT_ARGS(property->name));
    if (property->read_only && property->required && !value && !expression)
        reading_note(context->reading, yaml_get(context->node, "readOnly"),
                     "`%.*s` is `readOnly` and required, so it needs a `default`",
                     TEXT_ARGS(property->name));
}

// A list of types with "null" in it, of a property that is required.
static void check_nullable(const struct property_reading *context) {
    const struct yaml_node *type = yaml_get(context->node, "type");
    if (!context->property->required || !type || type->kind != YAML_SEQUENCE)
        return;
    for (size_t i = 0; i < type->sequence.count; i++) {
        if (text_is(type->sequence.items[i]->scalar, "null"))
            reading_note(context->reading, type->sequence.items[i],
                         "`%.*s` is required, so it cannot be null",
                         TEXT_ARGS(context->property->name));
    }
}

void property_read(const struct property_reading *context, bool *ret_typed) {
    struct property *property = context->property;
    struct schema_reading schema = {
        .reading = context->reading, .label = property->name, .nullable = !property->required};
    schema_read(&schema, context->node, &property->schema);
    property->kind = kind_of(&property->schema);
    property->scale = property->schema.scale;
    check_nullable(context);
    read_access_words(context);
    read_default(context, &schema);
    check_default_words(context);
    read_was(context);
    *ret_typed = schema.typed;
}

void property_read_default_expression(const struct property_reading *context) {
    const struct yaml_node *node = yaml_get(context->node, "default_expression");
    struct text source;
    struct failure failure;
    size_t offset = 0;
    if (!node || !reading_string(context->reading, node, "default_expression", &source))
        return;
    context->property->default_expression =
        expression_parse(context->reading->arena, context->resource, EXPRESSION_FOR_DEFAULT,
                         context->property, source, &failure, &offset);
    if (context->property->default_expression)
        return;
    if (failure.code == FAILURE_OUT_OF_MEMORY)
        reading_out_of_memory(context->reading);
    else
        reading_note_inside(context->reading, node, offset, failure.detail);
}

// ---- Made properties ----

bool property_make_key(struct arena *arena, enum key_kind kind, struct property *property) {
    struct schema *schema = &property->schema;
    *schema = schema_any();
    schema->types = SCHEMA_STRING;
    property->required = true;
    property->read_only = true;
    const char *description = "The key, counted up.";
    if (kind == KEY_INTEGER) {
        property->kind = VALUE_INTEGER;
        schema->types = SCHEMA_INTEGER;
        schema->minimum = value_integer(1);
    } else if (kind == KEY_UUID) {
        property->kind = VALUE_UUID;
        schema->format = FORMAT_UUID;
        description = "The key, a UUID of version 7.";
    } else {
        property->kind = VALUE_BYTES;
        schema->min_length = schema->max_length = 64;
        description = "The key, a SHA-256 in hexadecimal.";
    }
    schema->description = arena_copy(arena, text_from_string(description));
    return schema->description.data != NULL;
}

void property_make_operation(struct property *property) {
    property->schema = schema_any();
    property->schema.types = SCHEMA_STRING | SCHEMA_NULL;
    property->schema.format = FORMAT_UUID;
    property->kind = VALUE_UUID;
    property->read_only = true;
    property->write_only = true;
}

bool property_make_state(struct arena *arena, const struct lifecycle *lifecycle,
                         struct property *property) {
    struct schema *schema = &property->schema;
    if (property->line == 0) {
        *schema = schema_any();
        schema->description = arena_copy(arena, TEXT("The state that the record is in."));
    }
    schema->types = SCHEMA_STRING;
    schema->enumeration = json_array();
    property->kind = VALUE_TEXT;
    property->required = true;
    property->read_only = true;
    property->default_value = value_text(VALUE_TEXT, lifecycle->states[0]);
    for (size_t i = 0; i < lifecycle->state_count; i++) {
        struct text state = lifecycle->states[i];
        if (json_array_append_new(schema->enumeration,
                                  json_stringn_nocheck(state.data, state.size)))
            return false;
    }
    return property->line != 0 || schema->description.data != NULL;
}
