// An API key as a worker knows it: what the database said about it when it was looked up, in one
// block of memory that is counted by reference. It belongs to its worker's thread and never
// changes.
#pragma once

#include "base/failure.h"
#include "store/value.h"

enum { API_KEY_ID_SIZE = 36 };

struct api_key {
    unsigned references;
    char id[API_KEY_ID_SIZE]; // its UUID
    struct text prefix;       // how its secret begins
    bool active;
    bool admin;      // one of its scopes is "admin"
    bool replaced;   // the secret is the one before the last rotation
    int64_t ends_at; // when this secret is good no more; INT64_MAX: never
    size_t scope_count;
    struct text scopes[]; // their texts are behind them
};

// What the columns of a key's row say.
struct api_key_row {
    struct text id;
    struct text prefix;
    struct text scopes; // a JSON array of strings
    bool active;
    bool replaced;
    int64_t ends_at;
};

// With one reference; NULL and a failure where there is no memory or the scopes are no list of
// strings.
struct api_key *api_key_make(const struct api_key_row *row, struct failure *failure);

static inline struct api_key *api_key_retain(struct api_key *key) {
    key->references++;
    return key;
}

void api_key_release(struct api_key *key); // takes NULL

// Whether one of its scopes allows an action ("read", "write", a transition) of a resource.
bool api_key_allows(const struct api_key *key, struct text resource, struct text action);
