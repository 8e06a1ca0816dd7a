// Who asks: the administrator, an API key, or nobody in particular; and what became of the key that
// the request presents.
#pragma once

#include "api/api_key.h"
#include "base/digest.h"

enum identity_kind {
    IDENTITY_NOBODY, // or somebody whose key is none
    IDENTITY_ADMIN,  // the administrator's key, which may do everything
    IDENTITY_KEY,
};

enum key_state {
    KEY_ABSENT,
    KEY_GOOD,
    KEY_MALFORMED, // it cannot be one: a typing error
    KEY_UNKNOWN,
    KEY_INACTIVE,
    KEY_EXPIRED,
    KEY_UNCHECKED, // the database did not tell; the exchange's job has its outcome
    KEY_UNASKED,   // the database has too much to do already
};

struct identity {
    enum identity_kind kind;
    char key_id[API_KEY_ID_SIZE]; // IDENTITY_KEY
    enum key_state state;
    struct api_key *key;               // a reference: what is known of the key; NULL: nothing
    unsigned char digest[DIGEST_SIZE]; // of what was presented
    uint64_t asked_at;                 // clock_monotonic() when a look-up began; 0: none did
};

// The same caller once more, with a reference of its own.
static inline struct identity identity_copy(const struct identity *identity) {
    if (identity->key)
        api_key_retain(identity->key);
    return *identity;
}

// Gives the key back; who it was stays known.
static inline void identity_release(struct identity *identity) {
    api_key_release(identity->key);
    identity->key = NULL;
}

enum { IDENTITY_NAME_SIZE = 4 + API_KEY_ID_SIZE };

// "admin", "key:UUID", or empty for nobody: for logs and histories.
static inline struct text identity_name(const struct identity *identity,
                                        char room[IDENTITY_NAME_SIZE]) {
    if (identity->kind == IDENTITY_ADMIN)
        return TEXT("admin");
    if (identity->kind == IDENTITY_NOBODY)
        return TEXT("");
    static const char prefix[] = {'k', 'e', 'y', ':'};
    memcpy(room, prefix, sizeof prefix);
    memcpy(room + sizeof prefix, identity->key_id, API_KEY_ID_SIZE);
    return text_of(room, IDENTITY_NAME_SIZE);
}
