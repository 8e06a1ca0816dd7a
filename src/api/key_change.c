#include "api/key_change.h"

#include "api/scope.h"
#include "base/timestamp.h"

enum { PREFIX_SIZE = 3 + 8, HEX_SIZE = 2 * DIGEST_SIZE };

static size_t index_of(const struct resource *keys, const char *property) {
    return resource_property(keys, text_from_string(property))->index;
}

void key_set(const struct resource *keys, struct value *values, const char *property,
             struct value value) {
    values[index_of(keys, property)] = value;
}

// ---- When it ends

static bool says(const json_t *body, const char *member) {
    const json_t *value = json_object_get(body, member);
    return value && !json_is_null(value);
}

bool key_complete_body(json_t *body, int64_t now) {
    char end[TIMESTAMP_SIZE];
    if (!json_is_object(body) || says(body, "expires_at") ||
        json_is_true(json_object_get(body, "never_expires")))
        return true;
    timestamp_format(now + KEY_LIFETIME, end);
    return json_object_set_new_nocheck(body, "expires_at", json_stringn_nocheck(end, sizeof end)) ==
           0;
}

bool key_complete_patch(json_t *patch) {
    if (!json_is_object(patch))
        return true;
    if (json_is_true(json_object_get(patch, "never_expires")) &&
        !json_object_get(patch, "expires_at"))
        return json_object_set_new_nocheck(patch, "expires_at", json_null()) == 0;
    if (says(patch, "expires_at") && !json_object_get(patch, "never_expires"))
        return json_object_set_new_nocheck(patch, "never_expires", json_false()) == 0;
    return true;
}

void key_check_end(const struct resource *keys, const struct value *values, int64_t now,
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

// ---- Secrets

bool key_make_secret(const struct resource *keys, struct value *values, struct arena *arena,
                     char ret_secret[SECRET_SIZE]) {
    unsigned char digest[DIGEST_SIZE];
    char *hex = arena_allocate(arena, HEX_SIZE);
    if (!hex || !secret_make(ret_secret) || !digest_sha256(text_from_string(ret_secret), digest))
        return false;
    struct text prefix = arena_copy(arena, text_of(ret_secret, PREFIX_SIZE));
    text_hex_encode(digest, DIGEST_SIZE, hex);
    key_set(keys, values, "digest", value_text(VALUE_TEXT, text_of(hex, HEX_SIZE)));
    key_set(keys, values, "prefix", value_text(VALUE_TEXT, prefix));
    return prefix.data != NULL;
}
