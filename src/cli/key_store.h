// API keys in the database, for the command line: what /keys does to them, done to the store
// itself, also while servers run. Everything is in the caller's arena.
#pragma once

#include "api/key_change.h"

struct key_store {
    struct store *store;               // lent
    const struct catalogue *catalogue; // lent
    const struct plan *plan;           // of the keys
    const char *by;                    // who does it, for the history
};

// A key as it is stored.
struct stored_key {
    struct value id;
    struct value *values;
    int64_t version;
};

void key_store_init(struct key_store *keys, struct store *store, const struct catalogue *catalogue,
                    const char *by);

// The key that somebody means: its id, the beginning of its secret (`prefix`), or a name that no
// other key has. FAILURE_NOT_FOUND, or FAILURE_INVALID_PARAMETER where it could be several.
bool key_store_find(const struct key_store *keys, struct text meant, struct arena *arena,
                    struct stored_key *ret_key, struct failure *failure);

// Makes a key from a body as POST /keys takes it, to which the end is added where it says none.
// FAILURE_INVALID_BODY where it does not fit, with all that is wrong in `faults`.
bool key_store_create(const struct key_store *keys, json_t *body, struct arena *arena,
                      struct faults *faults, struct stored_key *ret_key,
                      char ret_secret[SECRET_SIZE], struct failure *failure);

// What is done to a key: changes `values`, which are what is stored, at an instant. It is done anew
// where somebody else was quicker. False when there is no memory.
struct key_action {
    const char *name; // in the history
    bool (*change)(void *context, const struct resource *keys, struct value *values, int64_t now,
                   struct arena *arena);
    void *context;
};

// Does it, and notes it; `key` is what the key is then.
bool key_store_change(const struct key_store *keys, const struct key_action *action,
                      struct arena *arena, struct stored_key *key, struct failure *failure);

bool key_store_delete(const struct key_store *keys, const struct stored_key *key,
                      struct arena *arena, struct failure *failure);

// A page of a list.
struct key_page {
    const struct query *query;
    const struct value *const *rows; // cells in the order of query->selection
    size_t count;
};

// Reads the records of a plan within a scope, by parameters of a list besides `limit` and `cursor`,
// and gives them a page at a time. `on_page` may end it by a false.
bool key_store_list(const struct key_store *keys, const struct plan *plan,
                    const struct query_scope *scope, const struct parameter *parameters,
                    size_t parameter_count, bool (*on_page)(void *context, struct key_page *page),
                    void *context, struct failure *failure);
