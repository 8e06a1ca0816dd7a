#include "resource/schema_reader.h"

#include "resource/format.h"
#include "resource/json_equality.h"
#include "resource/number.h"
#include "resource/pattern.h"
#include "resource/schema.h"

#include <math.h>

enum { NUMERIC = SCHEMA_INTEGER | SCHEMA_NUMBER };

struct schema schema_any(void) {
    return (struct schema){.types = SCHEMA_ANY, .max_length = -1, .max_items = -1};
}

void schema_free(struct schema *schema) {
    pattern_free(schema->pattern);
    json_decref(schema->enumeration);
    json_decref(schema->constant);
    json_decref(schema->examples);
    for (size_t i = 0; i < schema->member_count; i++)
        schema_free(&schema->members[i].schema);
    if (schema->items)
        schema_free(schema->items);
}

// ---- Types and formats ----

static const char *const type_words[] = {"string", "integer", "number", "boolean",
                                         "object", "array",   "null",   NULL};
static const unsigned type_bits[] = {
    SCHEMA_STRING, SCHEMA_INTEGER, SCHEMA_NUMBER, SCHEMA_BOOLEAN,
    SCHEMA_OBJECT, SCHEMA_ARRAY,   SCHEMA_NULL,
};

static bool add_type(struct reading *reading, const struct yaml_node *node, unsigned *types) {
    size_t index;
    if (!reading_word(reading, node, "a type", type_words, &index))
        return false;
    if (*types & type_bits[index])
        return reading_note(reading, node, "the type `%s` is there twice", type_words[index]);
    *types |= type_bits[index];
    return true;
}

static bool read_types(struct reading *reading, const struct yaml_node *node, unsigned *types) {
    if (node->kind != YAML_SEQUENCE)
        return add_type(reading, node, types);
    bool read = true;
    for (size_t i = 0; i < node->sequence.count; i++)
        read &= add_type(reading, node->sequence.items[i], types);
    if (node->sequence.count == 0)
        read = reading_note(reading, node, "`type` is an empty list, so that nothing would fit");
    return read;
}

// A property of the resource is one column, so it has one type.
static bool check_one_type(struct schema_reading *context, const struct yaml_node *node,
                           unsigned types) {
    unsigned besides = types & ~(unsigned)SCHEMA_NULL;
    if (besides != 0 && (besides & (besides - 1)) == 0)
        return true;
    return reading_note(
        context->reading, node,
        "a property has one type, which may be in a list with \"null\"; only inside "
        "objects and arrays it may have several");
}

static void read_type(struct schema_reading *context, const struct yaml_node *node,
                      struct schema *schema) {
    const struct yaml_node *type = yaml_get(node, "type");
    unsigned types = 0;
    context->typed = context->nested;
    if (!type) {
        if (!context->nested)
            reading_note(context->reading, node,
                         "`%.*s` has no `type`: string, integer, number, boolean, object or array",
                         TEXT_ARGS(context->label));
        return;
    }
    context->typed = read_types(context->reading, type, &types) &&
                     (context->nested || check_one_type(context, type, types));
    if (context->typed)
        schema->types = types | (context->nullable ? SCHEMA_NULL : 0);
}

static const char *const format_words[] = {"date-time", "date",    "uuid", "uri",
                                           "email",     "decimal", NULL};
static const enum schema_format format_values[] = {FORMAT_DATE_TIME, FORMAT_DATE,  FORMAT_UUID,
                                                   FORMAT_URI,       FORMAT_EMAIL, FORMAT_DECIMAL};

// "`minLength` is for strings; `count` is an integer"
static bool note_misplaced(struct schema_reading *context, const struct yaml_node *key,
                           const char *purpose, const struct schema *schema) {
    struct buffer types = {0};
    unsigned own = schema->types & ~(unsigned)SCHEMA_NULL;
    schema_append_types(&types, own ? own : SCHEMA_NULL);
    if (types.failed)
        reading_out_of_memory(context->reading);
    else
        reading_note(context->reading, key, "`%.*s` is for %s; `%.*s` is %.*s",
                     TEXT_ARGS(key->scalar), purpose, TEXT_ARGS(context->label),
                     TEXT_ARGS(buffer_text(&types)));
    buffer_free(&types);
    return false;
}

static const struct yaml_pair *find_pair(const struct yaml_node *node, const char *name) {
    for (size_t i = 0; i < node->mapping.count; i++) {
        if (text_is(node->mapping.pairs[i].key->scalar, name))
            return &node->mapping.pairs[i];
    }
    return NULL;
}

static void read_scale(struct schema_reading *context, const struct yaml_node *node,
                       struct schema *schema) {
    const struct yaml_pair *scale = find_pair(node, "scale");
    bool decimal = schema->format == FORMAT_DECIMAL;
    if (scale && !decimal) {
        reading_note(context->reading, scale->key,
                     "`scale` goes with `format: decimal`; `%.*s` has no such format",
                     TEXT_ARGS(context->label));
    } else if (decimal && !scale) {
        context->typed = reading_note(context->reading, find_pair(node, "format")->value,
                                      "a decimal needs `scale`: how many digits it has behind the "
                                      "point, 0 to 18");
    } else if (decimal && (scale->value->kind != YAML_INTEGER || scale->value->integer < 0 ||
                           scale->value->integer > 18)) {
        context->typed =
            reading_note(context->reading, scale->value, "`scale` must be an integer from 0 to 18");
    } else if (decimal) {
        schema->scale = (uint8_t)scale->value->integer;
    }
}

static void read_format(struct schema_reading *context, const struct yaml_node *node,
                        struct schema *schema) {
    const struct yaml_pair *format = find_pair(node, "format");
    size_t index;
    if (format && !(schema->types & SCHEMA_STRING)) {
        note_misplaced(context, format->key, "strings", schema);
    } else if (format) {
        bool known =
            reading_word(context->reading, format->value, "a format", format_words, &index);
        context->typed &= known;
        if (known)
            schema->format = format_values[index];
        if (known && schema->format == FORMAT_DECIMAL && (schema->types & NUMERIC) &&
            context->typed)
            reading_note(context->reading, format->value,
                         "a decimal is a string in JSON, so its type is string alone");
    }
    read_scale(context, node, schema);
}

// ---- Keywords ----

struct keyword_use {
    struct schema_reading *context;
    const struct yaml_node *key;
    const struct yaml_node *value;
    struct schema *schema;
};

static bool read_count(const struct keyword_use *use, int64_t *ret_count) {
    if (use->value->kind != YAML_INTEGER || use->value->integer < 0)
        return reading_note(use->context->reading, use->value,
                            "`%.*s` must be a whole number from 0 up", TEXT_ARGS(use->key->scalar));
    *ret_count = use->value->integer;
    return true;
}

static void read_min_length(const struct keyword_use *use) {
    read_count(use, &use->schema->min_length);
}

static void read_max_length(const struct keyword_use *use) {
    if (read_count(use, &use->schema->max_length) &&
        use->schema->max_length < use->schema->min_length)
        reading_note(use->context->reading, use->value,
                     "`maxLength` is less than `minLength`, so that nothing would fit");
}

static void read_min_items(const struct keyword_use *use) {
    read_count(use, &use->schema->min_items);
}

static void read_max_items(const struct keyword_use *use) {
    if (read_count(use, &use->schema->max_items) && use->schema->max_items < use->schema->min_items)
        reading_note(use->context->reading, use->value,
                     "`maxItems` is less than `minItems`, so that nothing would fit");
}

static void read_unique_items(const struct keyword_use *use) {
    reading_boolean(use->context->reading, use->value, "uniqueItems", &use->schema->unique_items);
}

static void read_pattern(const struct keyword_use *use) {
    struct reading *reading = use->context->reading;
    struct text source;
    struct failure failure;
    if (!reading_string(reading, use->value, "pattern", &source))
        return;
    use->schema->pattern = pattern_compile(source, &failure);
    if (use->schema->pattern)
        use->schema->pattern_source = source;
    else if (failure.code == FAILURE_OUT_OF_MEMORY)
        reading_out_of_memory(reading);
    else
        reading_note(reading, use->value, "`pattern` is no regular expression: %s", failure.detail);
}

static bool read_bound(const struct keyword_use *use, struct value *ret_bound) {
    struct reading *reading = use->context->reading;
    const struct yaml_node *node = use->value;
    const struct schema *schema = use->schema;
    int64_t digits;
    if (schema->format == FORMAT_DECIMAL) {
        if (node->kind == YAML_SEQUENCE || node->kind == YAML_MAPPING ||
            !format_read_decimal(node->scalar, schema->scale, &digits))
            return reading_note(
                reading, node,
                "`%.*s` must be a decimal number with at most %d digit%s behind the "
                "point",
                TEXT_ARGS(use->key->scalar), schema->scale, schema->scale == 1 ? "" : "s");
        *ret_bound = value_decimal(digits, schema->scale);
        return true;
    }
    if (node->kind == YAML_INTEGER)
        *ret_bound = value_integer(node->integer);
    else if (node->kind == YAML_REAL && isfinite(node->real))
        *ret_bound = value_real(node->real);
    else
        return reading_note(reading, node, "`%.*s` must be a number", TEXT_ARGS(use->key->scalar));
    return true;
}

static void read_minimum(const struct keyword_use *use) {
    read_bound(use, &use->schema->minimum);
}

static void read_maximum(const struct keyword_use *use) {
    read_bound(use, &use->schema->maximum);
}

static void read_exclusive_minimum(const struct keyword_use *use) {
    read_bound(use, &use->schema->exclusive_minimum);
}

static void read_exclusive_maximum(const struct keyword_use *use) {
    read_bound(use, &use->schema->exclusive_maximum);
}

static void read_multiple_of(const struct keyword_use *use) {
    struct value step = value_null();
    if (!read_bound(use, &step))
        return;
    struct value zero =
        step.kind == VALUE_DECIMAL ? value_decimal(0, step.scale) : value_integer(0);
    if (number_compare(step, zero) > 0)
        use->schema->multiple_of = step;
    else
        reading_note(use->context->reading, use->value, "`multipleOf` must be more than 0");
}

static void read_description(const struct keyword_use *use) {
    reading_string(use->context->reading, use->value, "description", &use->schema->description);
}

static struct schema_member *find_member(struct schema *schema, struct text name) {
    for (size_t i = 0; i < schema->member_count; i++) {
        if (text_equal(schema->members[i].name, name))
            return &schema->members[i];
    }
    return NULL;
}

static void read_inner(const struct keyword_use *use, struct text label,
                       const struct yaml_node *node, struct schema *ret_schema) {
    struct schema_reading inner = {
        .reading = use->context->reading, .label = label, .nested = true};
    *ret_schema = schema_any();
    if (!label.data)
        reading_out_of_memory(use->context->reading);
    else if (reading_expect(inner.reading, node, YAML_MAPPING, label.data))
        schema_read(&inner, node, ret_schema);
}

static void read_properties(const struct keyword_use *use) {
    struct reading *reading = use->context->reading;
    struct schema *schema = use->schema;
    if (!reading_expect(reading, use->value, YAML_MAPPING, "properties"))
        return;
    size_t count = use->value->mapping.count;
    schema->members = arena_allocate_zero(reading->arena, count, sizeof *schema->members);
    schema->has_members = schema->members != NULL;
    for (size_t i = 0; schema->members && i < count; i++) {
        const struct yaml_pair *pair = &use->value->mapping.pairs[i];
        struct schema_member *member = &schema->members[schema->member_count];
        member->name = arena_copy(reading->arena, pair->key->scalar);
        if (!member->name.data)
            break;
        schema->member_count++;
        struct text label = arena_format(reading->arena, "%.*s.%.*s",
                                         TEXT_ARGS(use->context->label), TEXT_ARGS(member->name));
        read_inner(use, label, pair->value, &member->schema);
    }
    if (schema->member_count < count)
        reading_out_of_memory(reading);
}

static void require_member(const struct keyword_use *use, const struct yaml_node *node) {
    struct reading *reading = use->context->reading;
    struct schema_member *member = find_member(use->schema, node->scalar);
    if (node->kind == YAML_SEQUENCE || node->kind == YAML_MAPPING)
        reading_note(reading, node, "expected the name of a property; this is %s",
                     yaml_kind_name(node->kind));
    else if (!member)
        reading_note(reading, node, "`%.*s` is not one of the properties of `%.*s`",
                     TEXT_ARGS(reading_shown(node->scalar)), TEXT_ARGS(use->context->label));
    else if (member->required)
        reading_note(reading, node, "`%.*s` is there twice", TEXT_ARGS(node->scalar));
    else
        member->required = true;
}

static void read_required(const struct keyword_use *use) {
    struct reading *reading = use->context->reading;
    if (!use->schema->has_members)
        reading_note(reading, use->key, "`required` needs the `properties` that it names");
    else if (reading_expect(reading, use->value, YAML_SEQUENCE, "required"))
        for (size_t i = 0; i < use->value->sequence.count; i++)
            require_member(use, use->value->sequence.items[i]);
}

static void read_items(const struct keyword_use *use) {
    struct reading *reading = use->context->reading;
    struct schema *items = arena_allocate_zero(reading->arena, 1, sizeof *items);
    if (!items) {
        reading_out_of_memory(reading);
        return;
    }
    struct text label = arena_format(reading->arena, "%.*s[]", TEXT_ARGS(use->context->label));
    use->schema->items = items;
    read_inner(use, label, use->value, items);
}

// ---- Values ----

json_t *schema_read_value(struct schema_reading *context, const struct yaml_node *node,
                          const char *what, const struct schema *schema) {
    json_t *value = reading_json(context->reading, node, schema->format == FORMAT_DECIMAL);
    if (!value || !context->sound)
        return value;
    struct faults faults = {.arena = context->reading->arena};
    schema_check(schema, value, NULL, &faults);
    if (faults_none(&faults))
        return value;
    reading_note_faults(context->reading, node, what, &faults);
    json_decref(value);
    return NULL;
}

// A list of values that fit the schema; NULL where one of them does not.
static json_t *read_values(const struct keyword_use *use, const char *what, bool distinct) {
    struct reading *reading = use->context->reading;
    const struct yaml_node *list = use->value;
    if (!reading_expect(reading, list, YAML_SEQUENCE, what))
        return NULL;
    if (list->sequence.count == 0)
        reading_note(reading, list, "`%s` is an empty list", what);
    json_t *values = json_array();
    bool complete = values && list->sequence.count > 0;
    for (size_t i = 0; values && i < list->sequence.count; i++) {
        const struct yaml_node *node = list->sequence.items[i];
        json_t *value = schema_read_value(use->context, node, what, use->schema);
        for (size_t j = 0; value && distinct && j < json_array_size(values); j++) {
            if (json_is_equal(value, json_array_get(values, j))) {
                reading_note(reading, node, "`%s` has this value twice", what);
                break;
            }
        }
        complete &= value && json_array_append_new(values, value) == 0;
    }
    if (!values)
        reading_out_of_memory(reading);
    if (complete)
        return values;
    json_decref(values);
    return NULL;
}

static void read_enum(const struct keyword_use *use) {
    use->schema->enumeration = read_values(use, "enum", true);
}

static void read_const(const struct keyword_use *use) {
    use->schema->constant = schema_read_value(use->context, use->value, "const", use->schema);
}

static void read_examples(const struct keyword_use *use) {
    use->schema->examples = read_values(use, "examples", false);
}

// ---- The table ----

enum {
    PLAIN_TEXT = 1 << 0, // not for strings whose format settles their form
    DECIMALS = 1 << 1,   // for decimals too, which are strings
    VALUES = 1 << 2,     // its values are checked against the other keywords
};

// In the order in which they are read: what a keyword is checked against comes before it.
static const struct schema_keyword {
    const char *name;
    void (*read)(const struct keyword_use *use);
    unsigned types; // that it says something about
    unsigned flags;
    const char *purpose;
} schema_keywords[] = {
    {"description", read_description, SCHEMA_ANY, 0, ""},
    {"minLength", read_min_length, SCHEMA_STRING, PLAIN_TEXT, "strings"},
    {"maxLength", read_max_length, SCHEMA_STRING, PLAIN_TEXT, "strings"},
    {"pattern", read_pattern, SCHEMA_STRING, PLAIN_TEXT, "strings"},
    {"minimum", read_minimum, NUMERIC, DECIMALS, "numbers"},
    {"maximum", read_maximum, NUMERIC, DECIMALS, "numbers"},
    {"exclusiveMinimum", read_exclusive_minimum, NUMERIC, DECIMALS, "numbers"},
    {"exclusiveMaximum", read_exclusive_maximum, NUMERIC, DECIMALS, "numbers"},
    {"multipleOf", read_multiple_of, NUMERIC, DECIMALS, "numbers"},
    {"properties", read_properties, SCHEMA_OBJECT, 0, "objects"},
    {"required", read_required, SCHEMA_OBJECT, 0, "objects"},
    {"items", read_items, SCHEMA_ARRAY, 0, "arrays"},
    {"minItems", read_min_items, SCHEMA_ARRAY, 0, "arrays"},
    {"maxItems", read_max_items, SCHEMA_ARRAY, 0, "arrays"},
    {"uniqueItems", read_unique_items, SCHEMA_ARRAY, 0, "arrays"},
    {"enum", read_enum, SCHEMA_ANY, VALUES, ""},
    {"const", read_const, SCHEMA_ANY, VALUES, ""},
    {"examples", read_examples, SCHEMA_ANY, VALUES, ""},
};

enum { SCHEMA_KEYWORDS = sizeof schema_keywords / sizeof *schema_keywords };

static const char *const inner_words[] = {
    "type",       "format",   "scale",    "description", "minLength",        "maxLength",
    "pattern",    "minimum",  "maximum",  "multipleOf",  "exclusiveMinimum", "exclusiveMaximum",
    "properties", "required", "items",    "minItems",    "maxItems",         "uniqueItems",
    "enum",       "const",    "examples", NULL,
};
static const char *const property_words[] = {
    "type",
    "format",
    "scale",
    "description",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "multipleOf",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "properties",
    "required",
    "items",
    "minItems",
    "maxItems",
    "uniqueItems",
    "enum",
    "const",
    "examples",
    "default",
    "default_expression",
    "readOnly",
    "writeOnly",
    "was",
    "references",
    "on_delete",
    NULL,
};

#define UNSUPPORTED "is not supported by this version"
#define COLUMNS_ONLY "is for the properties of the resource, not for what is inside them"

// Words of JSON Schema, of OpenAPI and of our own that would otherwise seem to be misspelt.
static const struct refused_keyword refused_words[] = {
    {"nullable", "is not needed: a property that is not required may be null; inside an object, "
                 "write type: [string, \"null\"]"},
    {"title", UNSUPPORTED "; `description` says what a property is"},
    {"additionalProperties", UNSUPPORTED "; an object with `properties` has no others"},
    {"patternProperties", UNSUPPORTED},
    {"propertyNames", UNSUPPORTED},
    {"minProperties", UNSUPPORTED},
    {"maxProperties", UNSUPPORTED},
    {"unevaluatedProperties", UNSUPPORTED},
    {"unevaluatedItems", UNSUPPORTED},
    {"dependentRequired", UNSUPPORTED "; a check can say it"},
    {"dependentSchemas", UNSUPPORTED},
    {"prefixItems", UNSUPPORTED},
    {"contains", UNSUPPORTED},
    {"minContains", UNSUPPORTED},
    {"maxContains", UNSUPPORTED},
    {"allOf", UNSUPPORTED},
    {"anyOf", UNSUPPORTED},
    {"oneOf", UNSUPPORTED},
    {"not", UNSUPPORTED},
    {"if", UNSUPPORTED "; a check can say it"},
    {"then", UNSUPPORTED},
    {"else", UNSUPPORTED},
    {"$ref", UNSUPPORTED},
    {"$defs", UNSUPPORTED},
    {"$comment", UNSUPPORTED "; YAML has comments of its own"},
    {"deprecated", UNSUPPORTED},
    {"contentEncoding", UNSUPPORTED},
    {"contentMediaType", UNSUPPORTED},
    {"unique", "stands beside `properties`, as in unique: [[name]]"},
    {"default", COLUMNS_ONLY ": defaults apply to them alone"},
    {"default_expression", COLUMNS_ONLY ": defaults apply to them alone"},
    {"readOnly", COLUMNS_ONLY},
    {"writeOnly", COLUMNS_ONLY},
    {"was", COLUMNS_ONLY ": it renames a column"},
    {"references", COLUMNS_ONLY},
    {"on_delete", COLUMNS_ONLY},
    {NULL, NULL},
};

// Whether the keyword says anything about such a value; notes where it does not.
static bool applies(struct schema_reading *context, const struct schema_keyword *keyword,
                    const struct yaml_node *key, const struct schema *schema) {
    bool decimal = schema->format == FORMAT_DECIMAL;
    bool formed = schema->format != FORMAT_NONE && schema->format != FORMAT_URI &&
                  schema->format != FORMAT_EMAIL;
    if ((keyword->flags & PLAIN_TEXT) && formed && (schema->types & SCHEMA_STRING))
        return reading_note(context->reading, key,
                            "`%s` is for strings of no format, uri and email; the format of `%.*s` "
                            "settles its form",
                            keyword->name, TEXT_ARGS(context->label));
    if ((schema->types & keyword->types) || (decimal && (keyword->flags & DECIMALS)))
        return true;
    return note_misplaced(context, key, keyword->purpose, schema);
}

// Bounds between which there is nothing.
static void check_bounds(struct schema_reading *context, const struct yaml_node *node,
                         const struct schema *schema) {
    const struct {
        struct value low;
        struct value high;
        const char *low_name;
        const char *high_name;
        bool touch; // they may be equal
    } pairs[] = {
        {schema->minimum, schema->maximum, "minimum", "maximum", true},
        {schema->minimum, schema->exclusive_maximum, "minimum", "exclusiveMaximum", false},
        {schema->exclusive_minimum, schema->maximum, "exclusiveMinimum", "maximum", false},
        {schema->exclusive_minimum, schema->exclusive_maximum, "exclusiveMinimum",
         "exclusiveMaximum", false},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (value_is_null(pairs[i].low) || value_is_null(pairs[i].high))
            continue;
        int order = number_compare(pairs[i].low, pairs[i].high);
        if (order > 0 || (order == 0 && !pairs[i].touch))
            reading_note(context->reading, yaml_get(node, pairs[i].high_name),
                         "`%s` leaves nothing above `%s`, so that nothing would fit",
                         pairs[i].high_name, pairs[i].low_name);
    }
}

static void read_keywords(struct schema_reading *context, const struct yaml_node *node, bool values,
                          struct schema *schema) {
    for (size_t i = 0; i < SCHEMA_KEYWORDS; i++) {
        const struct schema_keyword *keyword = &schema_keywords[i];
        const struct yaml_pair *pair = find_pair(node, keyword->name);
        if (!pair || ((keyword->flags & VALUES) != 0) != values ||
            !applies(context, keyword, pair->key, schema))
            continue;
        keyword->read(&(struct keyword_use){context, pair->key, pair->value, schema});
    }
}

void schema_read(struct schema_reading *context, const struct yaml_node *node,
                 struct schema *ret_schema) {
    struct schema *schema = ret_schema;
    *schema = schema_any();
    const char *const *words = context->nested ? inner_words : property_words;
    reading_check_keywords(context->reading, node, words, refused_words);
    size_t before = reading_notes(context->reading);
    read_type(context, node, schema);
    read_format(context, node, schema);
    read_keywords(context, node, false, schema);
    check_bounds(context, node, schema);
    context->sound = reading_notes(context->reading) == before;
    read_keywords(context, node, true, schema);
}
