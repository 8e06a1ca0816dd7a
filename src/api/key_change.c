#include "api/key_change.h"

#include "api/scope.h"
#include "base/json_writer.h"
#include "base/timestamp.h"
#include "resource/encode.h"
#include "resource/schema.h"

enum { HEX_SIZE = 2 * DIGEST_SIZE };

const struct text key_history_table = TEXT_INIT("trestle_key_history");
const struct text key_usage_table = TEXT_INIT("trestle_key_usage");

static size_t index_of(const struct resource *keys, const char *property) {
    return resource_property(keys, text_from_string(property))->index;
}

void key_set(const struct resource *keys, struct value *values, const char *property,
             struct value value) {
    values[index_of(keys, property)] = value;
}

static bool make_instant(int64_t ms, struct arena *arena, struct value *ret_value) {
    char *text = arena_allocate(arena, TIMESTAMP_SIZE);
    if (!text)
        return false;
    timestamp_format(ms, text);
    *ret_value = value_text(VALUE_TIMESTAMP, text_of(text, TIMESTAMP_SIZE));
    return true;
}

// ---- When it ends

static bool says(const json_t *body, const char *member) {
    const json_t *value = json_object_get(body, member);
    return value && !json_is_null(value);
}

// A key that is to have an end, and does not say which. What is no object is left alone.
static bool complete_body(json_t *body, int64_t now) {
    char end[TIMESTAMP_SIZE];
    if (!json_is_object(body) || says(body, "expires_at") ||
        json_is_true(json_object_get(body, "never_expires")))
        return true;
    timestamp_format(now + KEY_LIFETIME, end);
    return json_object_set_new_nocheck(body, "expires_at", json_stringn_nocheck(end, sizeof end)) ==
           0;
}

// Whether the text is the pointer (RFC 6901) of a member, or of the whole.
static bool points_at(const json_t *pointer, const char *member) {
    struct text text = json_text(pointer);
    return json_is_string(pointer) &&
           (text.size == 0 || (text.data[0] == '/' && text_is(text_from(text, 1), member)));
}

static bool operation_says(const json_t *operation, const char *member) {
    bool moves = text_is(json_text(json_object_get(operation, "op")), "move");
    return !text_is(json_text(json_object_get(operation, "op")), "test") &&
           (points_at(json_object_get(operation, "path"), member) ||
            (moves && points_at(json_object_get(operation, "from"), member)));
}

// Whether a patch, which was applied, says what a member is to be.
static bool patch_says(const json_t *patch, const char *member) {
    if (json_is_object(patch))
        return json_object_get(patch, member) != NULL;
    for (size_t i = 0; i < json_array_size(patch); i++) {
        if (operation_says(json_array_get(patch, i), member))
            return true;
    }
    return false;
}

static bool is_for_ever(const struct resource *keys, const struct value *values) {
    struct value never = values[index_of(keys, "never_expires")];
    return never.kind == VALUE_BOOLEAN && never.boolean;
}

bool key_complete_change(const struct resource *keys, struct value *values, const json_t *patch,
                         int64_t now, struct arena *arena) {
    struct value *end = &values[index_of(keys, "expires_at")];
    bool for_ever = is_for_ever(keys, values);
    bool says_end = patch_says(patch, "expires_at");
    bool says_for_ever = patch_says(patch, "never_expires");
    if (for_ever == value_is_null(*end) || says_end == says_for_ever)
        return true;
    if (says_end && for_ever) {
        key_set(keys, values, "never_expires", value_boolean(false));
        return true;
    }
    if (says_end)
        return true; // without an end, and not for ever: key_check_ends has a word on that
    if (!for_ever)
        return make_instant(now + KEY_LIFETIME, arena, end);
    *end = value_null();
    return true;
}

void key_check_ends(const struct resource *keys, const struct value *values,
                    struct faults *faults) {
    bool has_end = !value_is_null(values[index_of(keys, "expires_at")]);
    bool for_ever = is_for_ever(keys, values);
    if (has_end && for_ever)
        faults_add(faults, TEXT(""), "a key has an expires_at or never_expires, not both");
    if (!has_end && !for_ever && faults_none(faults))
        faults_add(faults, TEXT("/expires_at"),
                   "must be given, unless never_expires says that the key lasts for ever");
}

static void check_ahead(const struct resource *keys, const struct value *values, int64_t now,
                        struct faults *faults) {
    struct value end = values[index_of(keys, "expires_at")];
    int64_t ms;
    if (end.kind == VALUE_TIMESTAMP && timestamp_parse(end.text, &ms) && ms <= now)
        faults_add(faults, TEXT("/expires_at"), "is not ahead: the key would be of no use");
}

// ---- Scopes

static bool has_scope(const json_t *scopes, const json_t *scope) {
    for (size_t i = 0; i < json_array_size(scopes); i++) {
        if (json_equal(json_array_get(scopes, i), scope))
            return true;
    }
    return false;
}

static void check_scope(const struct catalogue *catalogue, const json_t *scope, size_t index,
                        struct faults *faults) {
    struct failure failure;
    struct text pointer;
    if (scope_check(catalogue, json_text(scope), &failure))
        return;
    pointer = arena_format(faults->arena, "/scopes/%zu", index);
    if (pointer.data)
        faults_add(faults, pointer, "%s", failure.detail);
    else
        faults->out_of_memory = true;
}

// The scopes as a tree; NULL where there are none, or no memory.
static json_t *scopes_of(const struct resource *keys, const struct value *values,
                         struct faults *faults) {
    struct failure failure;
    struct value scopes = values ? values[index_of(keys, "scopes")] : value_null();
    if (scopes.kind != VALUE_JSON)
        return NULL;
    json_t *tree = json_read(scopes.text, &failure);
    faults->out_of_memory = faults->out_of_memory || !tree;
    return tree;
}

void key_check_scopes(const struct catalogue *catalogue, const struct resource *keys,
                      const struct value *values, const struct value *stored,
                      struct faults *faults) {
    json_t *scopes = scopes_of(keys, values, faults);
    json_t *old = scopes_of(keys, stored, faults);
    for (size_t i = 0; i < json_array_size(scopes); i++) {
        const json_t *scope = json_array_get(scopes, i);
        if (!has_scope(old, scope))
            check_scope(catalogue, scope, i, faults);
    }
    json_decref(scopes);
    json_decref(old);
}

bool key_validate_new(const struct catalogue *catalogue, const struct validation *validation,
                      json_t *body, struct value *values) {
    const struct resource *keys = validation->resource;
    if (!complete_body(body, validation->now))
        return false;
    validate_create(validation, body, NULL, values);
    key_check_scopes(catalogue, keys, values, NULL, validation->faults);
    key_check_ends(keys, values, validation->faults);
    check_ahead(keys, values, validation->now, validation->faults);
    return true;
}

// ---- Secrets

bool key_make_secret(const struct resource *keys, struct value *values, struct arena *arena,
                     char ret_secret[SECRET_SIZE]) {
    unsigned char digest[DIGEST_SIZE];
    char *hex = arena_allocate(arena, HEX_SIZE);
    if (!hex || !secret_make(ret_secret) || !digest_sha256(text_from_string(ret_secret), digest))
        return false;
    struct text prefix = arena_copy(arena, text_of(ret_secret, SECRET_PREFIX_SIZE));
    text_hex_encode(digest, DIGEST_SIZE, hex);
    key_set(keys, values, "digest", value_text(VALUE_TEXT, text_of(hex, HEX_SIZE)));
    key_set(keys, values, "prefix", value_text(VALUE_TEXT, prefix));
    return prefix.data != NULL;
}

// ---- Renewing and rotating

// Notes every member of a body but one, which may be NULL; false where it is no object.
static bool check_members(const json_t *body, const char *known, struct faults *faults) {
    const char *name;
    json_t *member;
    if (!json_is_object(body)) {
        faults_add(faults, TEXT(""), "must be an object, or no body at all");
        return false;
    }
    json_object_foreach((json_t *)body, name, member) {
        struct json_path path = {.name = text_from_string(name)};
        if (!known || strcmp(name, known) != 0)
            schema_fault(faults, &path, known ? "is not known; there is %s" : "is not known",
                         known);
    }
    return true;
}

void key_check_renewal(const json_t *body, struct faults *faults) {
    if (body)
        check_members(body, NULL, faults);
}

bool key_renew(const struct resource *keys, struct value *values, int64_t now,
               struct arena *arena) {
    struct value end = values[index_of(keys, "expires_at")];
    int64_t ms;
    if (end.kind != VALUE_TIMESTAMP || !timestamp_parse(end.text, &ms) || ms >= now + KEY_LIFETIME)
        return true;
    return make_instant(now + KEY_LIFETIME, arena, &values[index_of(keys, "expires_at")]);
}

void key_read_grace(const json_t *body, int64_t *ret_grace, struct faults *faults) {
    static const char name[] = "grace_seconds";
    *ret_grace = KEY_GRACE;
    if (!body || !check_members(body, name, faults))
        return;
    const json_t *seconds = json_object_get(body, name);
    if (!seconds || json_is_null(seconds))
        return;
    if (json_is_integer(seconds) && json_integer_value(seconds) >= 0 &&
        json_integer_value(seconds) <= KEY_GRACE_MOST / 1000)
        *ret_grace = json_integer_value(seconds) * 1000;
    else
        faults_add(faults, TEXT("/grace_seconds"), "must be a whole number from 0 to %lld",
                   (long long)(KEY_GRACE_MOST / 1000));
}

bool key_rotate(const struct resource *keys, struct value *values, int64_t now, int64_t grace,
                struct arena *arena) {
    struct value *digest = &values[index_of(keys, "digest")];
    struct value *previous_digest = &values[index_of(keys, "previous_digest")];
    struct value *previous_end = &values[index_of(keys, "previous_expires_at")];
    *previous_digest = grace ? *digest : value_null();
    *previous_end = value_null();
    return (!grace || make_instant(now + grace, arena, previous_end)) &&
           make_instant(now, arena, &values[index_of(keys, "rotated_at")]);
}

// ---- History

// What is new in a key, as JSON.
static bool write_changes(const struct key_event *event, struct arena *arena,
                          struct value *ret_changes, bool *ret_any) {
    struct buffer json = {0};
    struct json_writer writer = json_writer_on(&json);
    *ret_any = false;
    json_write_object_begin(&writer);
    for (size_t i = 0; i < event->keys->property_count; i++) {
        const struct property *property = &event->keys->properties[i];
        struct value before = event->before ? event->before[i] : value_null();
        if (property_is_hidden(property) || property->counted ||
            property == event->keys->key.property || value_equal(before, event->after[i]))
            continue;
        json_write_prepared_name(&writer, property->prepared_name);
        encode_value(&writer, property, event->after[i]);
        *ret_any = true;
    }
    json_write_object_end(&writer);
    struct text copy = {NULL, 0};
    if (!json.failed)
        copy = arena_copy(arena, buffer_text(&json));
    buffer_free(&json);
    *ret_changes = value_text(VALUE_JSON, copy);
    return copy.data != NULL;
}

bool key_event_plan(const struct key_event *event, const struct plan *history, struct arena *arena,
                    struct call *ret_call, bool *ret_noted) {
    const struct resource *resource = history->resource;
    struct value *values = arena_allocate_zero(arena, resource->property_count, sizeof *values);
    struct value changes = value_null();
    *ret_noted = true;
    if (!values || (event->after && !write_changes(event, arena, &changes, ret_noted)))
        return false;
    if (!*ret_noted)
        return true;
    key_set(resource, values, "key_id", event->key);
    key_set(resource, values, "action", value_text(VALUE_TEXT, text_from_string(event->action)));
    key_set(resource, values, "by", value_text(VALUE_TEXT, event->by));
    if (event->request_id.size)
        key_set(resource, values, "request_id", value_text(VALUE_TEXT, event->request_id));
    key_set(resource, values, "changes", changes);
    return make_instant(event->now, arena, &values[index_of(resource, "at")]) &&
           plan_create(history, values, arena, ret_call);
}
