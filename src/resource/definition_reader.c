#include "resource/definition_reading.h"
#include "resource/dialect.h"
#include "resource/expression.h"

// A made key, a state and an operation are properties besides those that are declared.
enum { NAME_MAX_SIZE = 63, MADE_PROPERTIES = 3 };

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

// ---- Words ----

bool definition_word_is(struct text word, const char *const *words) {
    for (; *words; words++) {
        if (text_is(word, *words))
            return true;
    }
    return false;
}

// What stands at the top of a server's paths besides resources.
static const char *const path_words[] = {"keys",    "operations", "docs",    "redoc",  "console",
                                         "metrics", "openapi",    "healthz", "readyz", NULL};

// What query parameters are called besides properties and named filters.
static const char *const parameter_words[] = {"limit",  "offset", "cursor", "sort", "filter",
                                              "fields", "expand", "count",  NULL};

bool definition_is_parameter(struct text word) {
    return definition_word_is(word, parameter_words);
}

// What the databases' own columns are called.
static const char *const column_words[] = {"xmin", "xmax",     "cmin",  "cmax",
                                           "ctid", "tableoid", "rowid", NULL};

bool definition_check_property_name(struct definition *definition, const struct yaml_node *node,
                                    struct text name) {
    struct reading *reading = definition->reading;
    if (definition_is_parameter(name))
        return reading_note(reading, node,
                            "`%.*s` cannot name a property: it is a query parameter of every list",
                            TEXT_ARGS(name));
    if (expression_is_reserved(name) || text_is(name, "this"))
        return reading_note(reading, node,
                            "`%.*s` cannot name a property: it is a word of expressions",
                            TEXT_ARGS(name));
    if (definition_word_is(name, column_words))
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
    definition->resource->table = name;
    if (!name.data)
        reading_out_of_memory(reading);
    else if (definition->built_in)
        return;
    else if (!definition_name_is_valid(name))
        reading_note(reading, NULL,
                     "the file's name is the resource's, and `%.*s` cannot name one: a name has "
                     "small letters, digits and _, begins with a letter, and is at most 63 long",
                     TEXT_ARGS(reading_shown(name)));
    else if (definition_word_is(name, path_words))
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
    definition_check_property_name(definition, pair->key, name);
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

static void make_operation(struct definition *definition) {
    if (!definition_has_work(definition))
        return;
    struct property *property = add_property(definition, NULL, NULL, operation_column);
    definition->typed[property->index] = true;
    property_make_operation(property);
    definition->resource->operation = property;
}

static bool allocate_properties(struct definition *definition, size_t count) {
    struct arena *arena = definition->reading->arena;
    definition->resource->properties =
        arena_allocate_zero(arena, count, sizeof *definition->resource->properties);
    definition->nodes = arena_allocate_zero(arena, count, sizeof(struct yaml_node *));
    definition->typed = arena_allocate_zero(arena, count, sizeof *definition->typed);
    definition->targets = arena_allocate_zero(arena, count, sizeof(struct definition *));
    definition->lost = arena_allocate_zero(arena, count, sizeof *definition->lost);
    return (definition->resource->properties && definition->nodes && definition->typed &&
            definition->targets && definition->lost) ||
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
    if (count + MADE_PROPERTIES > RESOURCE_MAX_PROPERTIES)
        return reading_note(reading, node, "there are %zu properties, and %d at most", count,
                            RESOURCE_MAX_PROPERTIES - MADE_PROPERTIES);
    if (!allocate_properties(definition, count + MADE_PROPERTIES))
        return false;
    make_key(definition);
    for (size_t i = 0; i < count; i++)
        declare_property(definition, &node->mapping.pairs[i]);
    if (definition->state_name.data &&
        !resource_property(definition->resource, definition->state_name))
        add_property(definition, NULL, NULL, definition->state_name);
    make_operation(definition);
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

// Of what is built in: the properties that are counted in the table, beside all changes.
static void read_counted(const struct definition *definition) {
    const struct yaml_node *node = yaml_get(definition->root, "counted");
    if (!node || !definition->built_in ||
        !reading_expect(definition->reading, node, YAML_SEQUENCE, "counted"))
        return;
    for (size_t i = 0; i < node->sequence.count; i++) {
        const struct yaml_node *item = node->sequence.items[i];
        struct property *property = resource_property(definition->resource, item->scalar);
        if (property && property->read_only)
            property->counted = definition->resource->counts = true;
        else
            reading_note(definition->reading, item, "only what is `readOnly` can be counted");
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
    const char *words[ACTION_TRANSITION + 1] = {NULL};
    for (size_t i = 0; i < ACTION_TRANSITION; i++)
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
        for (size_t i = 0; i < ACTION_TRANSITION; i++)
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
        [ACCESS_KEY] = "key", [ACCESS_PUBLIC] = "public", [ACCESS_ADMIN] = NULL};
    static const char *const all_words[] = {[ACCESS_KEY] = "key",
                                            [ACCESS_PUBLIC] = "public",
                                            [ACCESS_ADMIN] = "admin",
                                            [ACCESS_EACH] = "each",
                                            [ACCESS_EACH + 1] = NULL};
    const struct yaml_node *node = yaml_get(access, name);
    size_t index;
    if (node && reading_word(definition->reading, node, "an access",
                             definition->built_in ? all_words : words, &index))
        *ret_access = (enum access)index;
}

// What has an access, and may have a rate limit: NULL, noted, when there is no memory.
static const char **access_words(struct definition *definition) {
    const struct resource *resource = definition->resource;
    const char **words = arena_allocate_zero(definition->reading->arena,
                                             resource->transition_count + 3, sizeof *words);
    if (!words) {
        reading_out_of_memory(definition->reading);
        return NULL;
    }
    size_t count = 0;
    words[count++] = "read";
    words[count++] = "write";
    for (size_t i = 0; i < resource->transition_count; i++) {
        if (resource->transitions[i].name.data)
            words[count++] = resource->transitions[i].name.data;
    }
    return words;
}

static void read_access(struct definition *definition) {
    struct resource *resource = definition->resource;
    const struct yaml_node *node = yaml_get(definition->root, "access");
    if (!node || !reading_expect(definition->reading, node, YAML_MAPPING, "access"))
        return;
    const char **words = access_words(definition);
    if (words)
        reading_check_keywords(definition->reading, node, words, NULL);
    read_access_word(definition, node, "read", &resource->read_access);
    read_access_word(definition, node, "write", &resource->write_access);
    for (size_t i = 0; i < resource->transition_count; i++) {
        struct transition *transition = &resource->transitions[i];
        if (transition->name.data)
            read_access_word(definition, node, transition->name.data, &transition->access);
    }
}

// ---- Rate limits

static void read_rate_limit(struct definition *definition, const struct yaml_node *limits,
                            const char *verb, struct rate_limit *ret_limit) {
    struct reading *reading = definition->reading;
    const struct yaml_node *node = yaml_get(limits, verb);
    struct rate rate;
    if (!node || !reading_expect(reading, node, YAML_STRING, verb))
        return;
    if (!rate_parse(node->scalar, &rate) || !rate_is_limit(&rate)) {
        reading_note(
            reading, node,
            "`%.*s` is no rate; write 100/s, 6000/m, 100/h or 1000/d, perhaps with ` burst "
            "200` behind it",
            TEXT_ARGS(reading_shown(node->scalar)));
        return;
    }
    struct text name =
        arena_format(reading->arena, "%.*s:%s", TEXT_ARGS(definition->resource->name), verb);
    if (!name.data || !rate_limit_make(reading->arena, name, &rate, ret_limit))
        reading_out_of_memory(reading);
}

static void read_rate_limits(struct definition *definition) {
    struct resource *resource = definition->resource;
    const struct yaml_node *node = yaml_get(definition->root, "rate_limit");
    if (!node || !reading_expect(definition->reading, node, YAML_MAPPING, "rate_limit"))
        return;
    const char **words = access_words(definition);
    if (words)
        reading_check_keywords(definition->reading, node, words, NULL);
    read_rate_limit(definition, node, "read", &resource->read_limit);
    read_rate_limit(definition, node, "write", &resource->write_limit);
    for (size_t i = 0; i < resource->transition_count; i++) {
        struct transition *transition = &resource->transitions[i];
        if (transition->name.data)
            read_rate_limit(definition, node, transition->name.data, &transition->rate_limit);
    }
}

// Whether another record can come under the key of one that was deleted. Made keys never come
// again, and where a record is nothing but its digest and what that is of, it comes again as it
// was.
static bool keys_come_again(const struct resource *resource) {
    enum { DIGEST_AND_SOURCE = 2 };
    if (!resource->actions[ACTION_DELETE])
        return false;
    return resource->key.kind == KEY_PROPERTY ||
           (resource->key.kind == KEY_SHA256 && resource->property_count > DIGEST_AND_SOURCE);
}

static void read_require(struct definition *definition) {
    static const char *const words[] = {"if-match", NULL};
    struct resource *resource = definition->resource;
    const struct yaml_node *node = yaml_get(definition->root, "require");
    size_t index;
    if (!node || !reading_word(definition->reading, node, "a requirement", words, &index))
        return;
    resource->requires_match = true;
    if (!resource->actions[ACTION_REPLACE] && !resource->actions[ACTION_UPDATE] &&
        !resource->actions[ACTION_DELETE] && !resource->transition_count)
        reading_note(definition->reading, node,
                     "`if-match` is for replace, update, delete and transitions, none of which "
                     "is there");
}

// ---- Events ----

static void read_events(struct definition *definition) {
    struct reading *reading = definition->reading;
    struct resource *resource = definition->resource;
    const struct yaml_node *node = yaml_get(definition->root, "events");
    if (!node || !reading_boolean(reading, node, "events", &resource->events))
        return;
    if (resource->events && !(resource->actions[ACTION_LIST] && resource->actions[ACTION_READ]))
        reading_note(reading, node,
                     "`events` need the actions `list` and `read`: they tell of every record");
}

// ---- The whole ----

static const char *const top_words[] = {
    "description", "key",     "access",     "actions", "required",  "properties",
    "unique",      "indexes", "checks",     "filters", "lifecycle", "transitions",
    "require",     "events",  "rate_limit", NULL,
};

static const char *const built_in_words[] = {
    "table",   "description", "key",     "access",    "actions", "required", "properties", "unique",
    "indexes", "checks",      "filters", "lifecycle", "counted", "events",   NULL,
};

static const struct refused_keyword refused_words[] = {
    {"references", "stands in the schema of the property that refers to something"},
    {"on_delete", "stands beside `references`, in the schema of a property"},
    {"name", "is not needed: the file's name is the resource's"},
    {"type", "is not needed: a resource is always an object"},
    {"title", "is not supported by this version; `description` says what the resource is"},
    {"additionalProperties", "is not needed: a resource has no other properties"},
    {NULL, NULL},
};

// What it says by itself; false where it has no properties that more could be said of.
static bool read_root(struct definition *definition) {
    struct reading *reading = definition->reading;
    struct resource *resource = definition->resource;
    const struct yaml_node *description = yaml_get(definition->root, "description");
    const struct yaml_node *table = yaml_get(definition->root, "table");
    reading_check_keywords(reading, definition->root,
                           definition->built_in ? built_in_words : top_words, refused_words);
    if (description)
        reading_string(reading, description, "description", &resource->description);
    if (table && definition->built_in)
        reading_string(reading, table, "table", &resource->table);
    definition_read_key(definition);
    definition_read_lifecycle(definition);
    read_actions(definition);
    definition_name_transitions(definition);
    read_access(definition);
    read_rate_limits(definition);
    read_events(definition);
    if (!declare_properties(definition))
        return false;
    read_required(definition);
    read_properties(definition);
    read_counted(definition);
    definition_link_key(definition);
    definition_link_lifecycle(definition);
    return true;
}

// Whether there is something that changes its records.
static bool is_versioned(const struct resource *resource) {
    if (resource->actions[ACTION_REPLACE] || resource->actions[ACTION_UPDATE] ||
        resource->lifecycle.property || resource->transition_count || keys_come_again(resource))
        return true;
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct reference *reference = &resource->properties[i].reference;
        if (reference->resource && reference->on_delete == ON_DELETE_SET_NULL)
            return true;
    }
    return false;
}

static bool read_source(struct definition *definition) {
    struct reading *reading = definition->reading;
    struct yaml_problem problem;
    struct yaml_node *root;
    read_name(definition);
    if (!yaml_read(reading->arena, reading->source, &root, &problem)) {
        diagnostics_add(reading->diagnostics, reading->file, problem.line, problem.column, "%s",
                        problem.detail);
        return false;
    }
    if (root->kind != YAML_MAPPING)
        return reading_note(reading, root,
                            "a definition is a mapping that begins with `properties:` or "
                            "another keyword; this is %s",
                            yaml_kind_name(root->kind));
    definition->root = root;
    return read_root(definition);
}

static struct definition *begin(struct arena *arena, struct text file, struct text source,
                                bool built_in, struct diagnostics *diagnostics) {
    struct definition *definition = arena_allocate_zero(arena, 1, sizeof *definition);
    struct reading *reading = arena_allocate_zero(arena, 1, sizeof *reading);
    struct resource *resource = arena_allocate_zero(arena, 1, sizeof *resource);
    if (!definition || !reading || !resource) {
        diagnostics->out_of_memory = true;
        return NULL;
    }
    *reading = (struct reading){arena, file, source, diagnostics};
    resource->file = arena_copy(arena, file);
    resource->built_in = built_in;
    definition->reading = reading;
    definition->resource = resource;
    definition->built_in = built_in;
    size_t before = reading_notes(reading);
    definition->complete = read_source(definition);
    definition->faulty = reading_notes(reading) != before;
    return definition;
}

struct definition *definition_begin(struct arena *arena, struct text file, struct text source,
                                    struct diagnostics *diagnostics) {
    return begin(arena, file, source, false, diagnostics);
}

void definition_link(struct definition *definition, struct definition *const *all, size_t count) {
    size_t before = reading_notes(definition->reading);
    if (!definition->complete)
        return;
    definition_link_references(definition, all, count);
    definition->faulty = definition->faulty || reading_notes(definition->reading) != before;
}

void definition_finish(struct definition *definition) {
    struct resource *resource = definition->resource;
    if (!definition->complete)
        return;
    read_default_expressions(definition);
    definition_read_groups(definition, "unique", true);
    definition_read_groups(definition, "indexes", false);
    definition_index_references(definition);
    definition_read_checks(definition);
    definition_read_filters(definition);
    definition_read_transitions(definition);
    resource->actions[ACTION_TRANSITION] = resource->transition_count > 0;
    resource->versioned = is_versioned(resource);
    read_require(definition);
}

struct resource *definition_resource(const struct definition *definition) {
    return definition->resource;
}

static struct resource *read_alone(struct arena *arena, struct text file, struct text source,
                                   bool built_in, struct diagnostics *diagnostics) {
    size_t before = diagnostics->count;
    struct definition *definition = begin(arena, file, source, built_in, diagnostics);
    if (!definition)
        return NULL;
    definition_link(definition, &definition, 1);
    definition_finish(definition);
    if (diagnostics->count == before && !diagnostics->out_of_memory)
        return definition->resource;
    definition_free(definition->resource);
    return NULL;
}

struct resource *definition_read(struct arena *arena, struct text file, struct text source,
                                 struct diagnostics *diagnostics) {
    return read_alone(arena, file, source, false, diagnostics);
}

struct resource *definition_read_built_in(struct arena *arena, struct text file, struct text source,
                                          struct diagnostics *diagnostics) {
    return read_alone(arena, file, source, true, diagnostics);
}
