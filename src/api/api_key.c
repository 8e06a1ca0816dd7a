#include "api/api_key.h"

#include "api/scope.h"
#include "resource/json.h"

#include <stdlib.h>

static bool are_strings(const json_t *scopes) {
    for (size_t i = 0; i < json_array_size(scopes); i++) {
        if (!json_is_string(json_array_get(scopes, i)))
            return false;
    }
    return json_is_array(scopes);
}

// Puts a text where there is room for it, and moves the room's begin behind it.
static struct text place(char **room, struct text text) {
    char *start = *room;
    if (text.size)
        memcpy(start, text.data, text.size);
    *room += text.size;
    return text_of(start, text.size);
}

static struct api_key *make(const struct api_key_row *row, const json_t *scopes) {
    size_t count = json_array_size(scopes);
    struct api_key *key = NULL;
    size_t size = sizeof *key + count * sizeof key->scopes[0] + row->prefix.size;
    for (size_t i = 0; i < count; i++)
        size += json_string_length(json_array_get(scopes, i));
    key = calloc(1, size);
    if (!key)
        return NULL;
    char *room = (char *)&key->scopes[count];
    key->references = 1;
    memcpy(key->id, row->id.data, API_KEY_ID_SIZE);
    key->prefix = place(&room, row->prefix);
    key->active = row->active;
    key->replaced = row->replaced;
    key->ends_at = row->ends_at;
    key->scope_count = count;
    for (size_t i = 0; i < count; i++) {
        key->scopes[i] = place(&room, json_text(json_array_get(scopes, i)));
        key->admin = key->admin || text_equal(key->scopes[i], scope_admin);
    }
    return key;
}

struct api_key *api_key_make(const struct api_key_row *row, struct failure *failure) {
    json_t *scopes = json_read(row->scopes, failure);
    struct api_key *key = NULL;
    if (!scopes)
        return NULL;
    if (!are_strings(scopes) || row->id.size != API_KEY_ID_SIZE)
        failure_set(failure, FAILURE_INTERNAL, "the row of an API key in trestle_keys is damaged");
    else if (!(key = make(row, scopes)))
        failure_out_of_memory(failure);
    json_decref(scopes);
    return key;
}

void api_key_release(struct api_key *key) {
    if (key && --key->references == 0)
        free(key);
}

bool api_key_allows(const struct api_key *key, struct text resource, struct text action) {
    for (size_t i = 0; i < key->scope_count; i++) {
        if (scope_allows(key->scopes[i], resource, action))
            return true;
    }
    return false;
}
