#include "resource/validate.h"

#include "base/digest.h"
#include "resource/encode.h"
#include "resource/expression.h"
#include "resource/format.h"
#include "resource/json_equality.h"
#include "resource/json_patch.h"
#include "resource/property_value.h"

#include <stdarg.h>
#include <stdio.h>

void faults_add(struct faults *faults, struct text pointer, const char *format, ...) {
    if (faults->count >= FAULTS_MAX)
        return;
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    struct text whole = text_whole_characters(text_from_string(size < 0 ? "" : message));
    struct fault *fault = arena_grow(faults->arena, &faults->items, faults->count, sizeof *fault);
    struct text pointer_copy = arena_copy(faults->arena, pointer);
    struct text detail = arena_copy(faults->arena, whole);
    if (!fault || !pointer_copy.data || !detail.data) {
        faults->out_of_memory = true;
        return;
    }
    *fault = (struct fault){pointer_copy, detail};
    faults->count++;
}

// ---- Made values ----

static bool make_uuid(const struct validation *validation, struct value *ret_value) {
    char uuid[FORMAT_UUID_SIZE];
    if (!format_make_uuid(validation->now, uuid))
        return false;
    struct text copy = arena_copy(validation->arena, text_of(uuid, sizeof uuid));
    *ret_value = value_text(VALUE_UUID, copy);
    return copy.data != NULL;
}

static bool make_digest(const struct validation *validation, struct value source,
                        struct value *ret_value) {
    if (value_is_null(source)) { // a fault that is noted already
        *ret_value = value_null();
        return true;
    }
    char *digest = arena_allocate(validation->arena, DIGEST_SIZE);
    if (!digest || !digest_sha256(source.text, (unsigned char *)digest))
        return false;
    *ret_value = value_text(VALUE_BYTES, text_of(digest, DIGEST_SIZE));
    return true;
}

static bool make_default(const struct validation *validation, const struct property *property,
                         struct value *ret_value) {
    struct failure failure;
    *ret_value = property->default_value;
    return !property->default_expression ||
           expression_evaluate(property->default_expression, NULL, validation->now,
                               validation->arena, ret_value, &failure);
}

// What a new record has where the client says nothing.
static bool make_value(const struct validation *validation, const struct property *property,
                       const struct value *values, struct value *ret_value) {
    const struct key *key = &validation->resource->key;
    if (property == key->property && key->kind == KEY_UUID)
        return make_uuid(validation, ret_value);
    if (property == key->property && key->kind == KEY_SHA256)
        return make_digest(validation, values[key->source->index], ret_value);
    return make_default(validation, property, ret_value);
}

// ---- Members of the body ----

// The property that a member of a body stands for, or NULL.
static const struct property *property_of(const struct validation *validation, const char *member) {
    const struct property *property =
        resource_property(validation->resource, text_from_string(member));
    return property && !property_is_hidden(property) ? property : NULL;
}

static void fault_unknown(const struct validation *validation, const char *member) {
    const struct resource *resource = validation->resource;
    struct text names[RESOURCE_MAX_PROPERTIES];
    size_t count = 0;
    for (size_t i = 0; i < resource->property_count; i++)
        if (!property_is_hidden(&resource->properties[i]))
            names[count++] = resource->properties[i].name;
    schema_fault_unknown(validation->faults, NULL, resource->name, member, names, count);
}

// Whether it is an object; notes its members that are no properties.
static bool check_members(const struct validation *validation, const json_t *body) {
    if (!json_is_object(body)) {
        faults_add(validation->faults, TEXT(""), "must be an object with the properties of %.*s",
                   TEXT_ARGS(validation->resource->name));
        return false;
    }
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)body, name, member) {
        if (!property_of(validation, name))
            fault_unknown(validation, name);
    }
    return true;
}

// The member of a property; NULL where it is absent or null, which are the same. One of a hidden
// property is noted as unknown already.
static const json_t *member_of(const json_t *body, const struct property *property) {
    const json_t *member = json_object_get(body, property->name.data);
    return json_is_null(member) || property_is_hidden(property) ? NULL : member;
}

// What a schema lets through of a key need not have a path of its own.
static void check_key(const struct validation *validation, struct value value,
                      const struct json_path *path) {
    static const char *const taken[] = {".",       "..",      "count",    "events",
                                        "history", "content", "lifecycle"};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        if (text_is(value.text, taken[i]))
            schema_fault(validation->faults, path,
                         "cannot be \"%s\", which means something else "
                         "in a path",
                         taken[i]);
    }
}

// Reads a member that is there. False, with the fault, where it does not fit.
static bool read_member(const struct validation *validation, const struct property *property,
                        const json_t *member, struct value *ret_value) {
    struct faults *faults = validation->faults;
    struct json_path path = {.name = property->name};
    size_t before = faults->count;
    property_check(property, member, &path, faults);
    if (faults->count != before || faults->count == FAULTS_MAX || faults->out_of_memory)
        return false;
    if (!property_value(property, member, validation->arena, ret_value)) {
        faults->out_of_memory = true;
        return false;
    }
    if (property == validation->resource->key.property)
        check_key(validation, *ret_value, &path);
    return faults->count == before;
}

// Whether a member stands for a value: for read-only properties, which may be sent back unchanged.
static bool member_equals(const struct validation *validation, const struct property *property,
                          const json_t *member, struct value value) {
    struct faults ignored = {.arena = validation->arena};
    struct value sent;
    if (property->kind == VALUE_BYTES) {
        unsigned char digest[DIGEST_SIZE];
        return json_is_string(member) && value.kind == VALUE_BYTES &&
               text_hex_decode(json_text(member), digest, sizeof digest) &&
               text_equal(text_of((const char *)digest, sizeof digest), value.text);
    }
    if (property->kind == VALUE_JSON && value.kind == VALUE_JSON) {
        struct failure failure;
        json_t *stored = json_read(value.text, &failure);
        bool equal = stored && json_is_equal(stored, member);
        json_decref(stored);
        return equal;
    }
    property_check(property, member, NULL, &ignored);
    if (faults_none(&ignored) && property_value(property, member, validation->arena, &sent))
        return value_equal(sent, value);
    validation->faults->out_of_memory |= faults_none(&ignored) || ignored.out_of_memory;
    return false;
}

static void check_read_only(const struct validation *validation, const struct property *property,
                            const json_t *member, struct value value) {
    struct json_path path = {.name = property->name};
    if (member && !member_equals(validation, property, member, value))
        schema_fault(validation->faults, &path,
                     "is read-only: leave it out, or send what is stored");
}

// Whether a change must leave it as it is. What is counted goes on while somebody looks at it, so
// whatever is sent of it is passed over.
static bool is_fixed(const struct resource *resource, const struct property *property) {
    return (property->read_only && !property->counted) || property == resource->key.property;
}

static void check_required(const struct validation *validation, const struct property *property,
                           struct value value) {
    struct json_path path = {.name = property->name};
    if (property->required && value_is_null(value))
        schema_fault(validation->faults, &path, "is required");
}

// ---- Checks ----

static void run_check(const struct validation *validation, const struct named_expression *check,
                      const struct value *values) {
    struct value holds;
    struct failure failure;
    if (expression_evaluate(check->expression, values, validation->now, validation->arena, &holds,
                            &failure)) {
        if (!holds.boolean)
            faults_add(validation->faults, TEXT(""), "must satisfy the check %.*s: %.*s",
                       TEXT_ARGS(check->name), TEXT_ARGS(check->source));
    } else if (failure.code == FAILURE_OUT_OF_MEMORY) {
        validation->faults->out_of_memory = true;
    } else {
        faults_add(validation->faults, TEXT(""), "cannot be tried against the check %.*s: %s",
                   TEXT_ARGS(check->name), failure.detail);
    }
}

void validate_checks(const struct validation *validation, const struct named_expression **checks,
                     size_t count, const struct value *values) {
    bool fit = faults_none(validation->faults);
    for (size_t i = 0; fit && i < count; i++)
        run_check(validation, checks[i], values);
}

// Checks see values that fit alone.
static bool run_checks(const struct validation *validation, const struct value *values) {
    const struct resource *resource = validation->resource;
    bool fit = faults_none(validation->faults);
    for (size_t i = 0; fit && i < resource->check_count; i++)
        run_check(validation, &resource->checks[i], values);
    return faults_none(validation->faults);
}

// ---- Records ----

// A member of a new record that clients cannot set.
static void create_read_only(const struct validation *validation, const struct property *property,
                             const json_t *member, struct value *values) {
    struct value *value = &values[property->index];
    if (!make_value(validation, property, values, value))
        validation->faults->out_of_memory = true;
    else
        check_read_only(validation, property, member, *value);
}

// The key of a path, under which a record is to be created: it must fit as if the body had it.
static void create_key(const struct validation *validation, const json_t *member,
                       const struct value *key, struct value *values) {
    const struct property *property = validation->resource->key.property;
    struct json_path path = {.name = property->name};
    json_t *chosen = json_stringn_nocheck(key->text.data, key->text.size);
    struct value ignored;
    values[property->index] = *key;
    if (!chosen)
        validation->faults->out_of_memory = true;
    else if (read_member(validation, property, chosen, &ignored) && member &&
             !member_equals(validation, property, member, *key))
        schema_fault(validation->faults, &path, "must be the key that the path has");
    json_decref(chosen);
}

static void create_member(const struct validation *validation, const struct property *property,
                          const json_t *member, const struct value *key, struct value *values) {
    struct value *value = &values[property->index];
    if (key && property == validation->resource->key.property) {
        create_key(validation, member, key, values);
        return;
    }
    *value = value_null();
    if (member && !read_member(validation, property, member, value))
        return;
    if (value_is_null(*value) && !make_value(validation, property, values, value))
        validation->faults->out_of_memory = true;
    check_required(validation, property, *value);
}

bool validate_create(const struct validation *validation, const json_t *body,
                     const struct value *key, struct value *values) {
    const struct resource *resource = validation->resource;
    if (!check_members(validation, body))
        return false;
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        if (!property->read_only)
            create_member(validation, property, member_of(body, property), key, values);
    }
    // What is made last may be made of the others.
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        if (property->read_only)
            create_read_only(validation, property, member_of(body, property), values);
    }
    return run_checks(validation, values);
}

static void replace_member(const struct validation *validation, const struct property *property,
                           const json_t *member, const struct value *stored, struct value *values) {
    const struct resource *resource = validation->resource;
    struct value *value = &values[property->index];
    *value = value_null();
    if (property->read_only) {
        *value = stored[property->index];
        if (is_fixed(resource, property))
            check_read_only(validation, property, member, *value);
    } else if (!member && property == resource->key.property) {
        *value = stored[property->index];
    } else if (!member || read_member(validation, property, member, value)) {
        struct json_path path = {.name = property->name};
        if (property == resource->key.property && !value_equal(*value, stored[property->index]))
            schema_fault(validation->faults, &path, "is the key, which cannot be changed");
        check_required(validation, property, *value);
    }
}

bool validate_replace(const struct validation *validation, const json_t *body,
                      const struct value *stored, struct value *values) {
    const struct resource *resource = validation->resource;
    if (!check_members(validation, body))
        return false;
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        replace_member(validation, property, member_of(body, property), stored, values);
    }
    return run_checks(validation, values);
}

// ---- Patches ----

static const struct schema_member *find_member(const struct schema *schema, struct text name) {
    for (size_t i = 0; i < schema->member_count; i++) {
        if (text_equal(schema->members[i].name, name))
            return &schema->members[i];
    }
    return NULL;
}

// A null removes a member, so what names no property would leave no trace in the merged record.
static void check_removals(const struct schema *schema, const json_t *patch,
                           const struct json_path *path, struct faults *faults) {
    if (!schema->has_members || !json_is_object(patch))
        return;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)patch, name, value) {
        const struct schema_member *member = find_member(schema, text_from_string(name));
        struct json_path place = {.parent = path, .name = text_from_string(name)};
        if (member)
            check_removals(&member->schema, value, &place, faults);
        else if (json_is_null(value))
            schema_fault(faults, &place, "is not a property of %.*s", TEXT_ARGS(path->name));
    }
}

static void check_patch(const struct validation *validation, const json_t *patch,
                        const struct value *stored) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)patch, name, value) {
        const struct property *property = property_of(validation, name);
        struct json_path path = {.name = text_from_string(name)};
        if (!property && json_is_null(value))
            fault_unknown(validation, name);
        if (!property)
            continue;
        bool fixed = is_fixed(validation->resource, property);
        if (fixed && json_is_null(value) && !value_is_null(stored[property->index]))
            schema_fault(validation->faults, &path, "is read-only and cannot be removed");
        check_removals(&property->schema, value, &path, validation->faults);
    }
}

json_t *validate_update(const struct validation *validation, const json_t *current,
                        const json_t *patch, const struct value *stored, struct value *values) {
    if (!json_is_object(patch)) {
        faults_add(validation->faults, TEXT(""),
                   "must be an object with the properties that are to change");
        return NULL;
    }
    check_patch(validation, patch, stored);
    json_t *merged = json_merge_patch(current, patch);
    if (!merged) {
        validation->faults->out_of_memory = true;
        return NULL;
    }
    if (!validate_replace(validation, merged, stored, values)) {
        json_decref(merged);
        return NULL;
    }
    return merged;
}

// What operations work on: a test or a copy would tell what is never shown.
static json_t *shown_members(const struct resource *resource, const json_t *current) {
    json_t *shown = json_copy((json_t *)current);
    for (size_t i = 0; shown && i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        if (property->write_only)
            (void)json_object_deln(shown, property->name.data, property->name.size);
    }
    return shown;
}

// Gives back what the operations did not see and did not add. False when there is no memory.
static bool keep_write_only(const struct resource *resource, const json_t *current,
                            json_t *patched) {
    for (size_t i = 0; i < resource->property_count; i++) {
        const char *name = resource->properties[i].name.data;
        json_t *stored = json_object_get(current, name);
        if (resource->properties[i].write_only && stored && !json_object_get(patched, name) &&
            json_object_set_nocheck(patched, name, stored) != 0)
            return false;
    }
    return true;
}

static void check_kept(const struct validation *validation, const json_t *patched,
                       const struct value *stored) {
    const struct resource *resource = validation->resource;
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        struct json_path path = {.name = property->name};
        if (is_fixed(resource, property) && !property->write_only && !value_is_null(stored[i]) &&
            !member_of(patched, property))
            schema_fault(validation->faults, &path, "is read-only and cannot be removed");
    }
}

static bool validate_patched(const struct validation *validation, const json_t *current,
                             json_t *patched, const struct value *stored, struct value *values) {
    if (!json_is_object(patched)) {
        faults_add(validation->faults, TEXT(""), "must leave an object");
        return false;
    }
    if (!keep_write_only(validation->resource, current, patched)) {
        validation->faults->out_of_memory = true;
        return false;
    }
    check_kept(validation, patched, stored);
    return validate_replace(validation, patched, stored, values);
}

json_t *validate_operations(const struct validation *validation, const json_t *current,
                            const json_t *patch, size_t most, const struct value *stored,
                            struct value *values, struct failure *failure) {
    failure->code = FAILURE_NONE;
    if (!json_patch_check(patch, validation->faults))
        return NULL;
    json_t *shown = shown_members(validation->resource, current);
    if (!shown) {
        failure_out_of_memory(failure);
        return NULL;
    }
    json_t *patched = json_patch_apply(shown, patch, most, validation->faults, failure);
    json_decref(shown);
    if (!patched || validate_patched(validation, current, patched, stored, values))
        return patched;
    json_decref(patched);
    return NULL;
}

void validate_stored(const struct validation *validation, const json_t *record,
                     const struct value *values) {
    const struct resource *resource = validation->resource;
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        const json_t *member = member_of(record, property);
        struct json_path path = {.name = property->name};
        if (member && property->kind != VALUE_BYTES)
            property_check(property, member, &path, validation->faults);
        check_required(validation, property, values[i]);
    }
    run_checks(validation, values);
}
