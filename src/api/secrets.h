// The secrets that every process on one database shares: the administrator's key (as its SHA-256)
// and the key that cursors are authenticated with. Read at start, and anew when another process
// changed them.
#pragma once

#include "api/watch.h"
#include "base/digest.h"

struct secrets {
    unsigned char admin_digest[DIGEST_SIZE];
    unsigned char cursor_key[DIGEST_SIZE];
};

// "tr_", 43 base-62 digits of 256 random bits, 6 of a CRC-32 over what stands before them, and a
// zero byte.
enum { SECRET_SIZE = 3 + 43 + 6 + 1 };

// Makes a new API key. False when the kernel gives no randomness.
bool secret_make(char out[SECRET_SIZE]);

// Whether a text has the form of a key that secret_make makes, the check digits included. What was
// mistyped is told without asking the database.
bool secret_is_well_formed(struct text text);

// What may be shown of a key that somebody presents: how it begins, where it has the form of one of
// ours, whether or not its check digits are right; nothing of anything else, which may be a secret
// in another form.
enum { SECRET_PREFIX_SIZE = 3 + 8 };
struct text secret_prefix(struct text presented);

// Has a watch read the secrets anew, and hands on those that are new.
struct watched_secrets {
    struct watched base; // first, so that one is the other
    struct arena arena;
    struct meta_plan plan;
    struct call call;
    struct secrets secrets; // as they are known now
    struct secrets found;
    // False where they could not be handed on; they will be tried again.
    bool (*on_secrets)(void *owner, const struct secrets *secrets);
    void *owner;
};

// `secrets` are those that were loaded. False when there is no memory.
bool watched_secrets_init(struct watched_secrets *watched, enum store_dialect dialect,
                          const struct secrets *secrets,
                          bool (*on_secrets)(void *owner, const struct secrets *secrets),
                          void *owner);
void watched_secrets_free(struct watched_secrets *watched); // takes zeroed memory

// Loads the secrets from the store, which must have its system tables, making those that are not
// there yet. `admin_key` is the configured key, which from then on is that of all processes, or
// empty: then the stored digest counts, and where there is none a key is made, stored as its
// digest, and given in `ret_made_key` (else "") to be shown this one time.
bool secrets_load(struct store *store, struct text admin_key, struct secrets *ret_secrets,
                  char ret_made_key[SECRET_SIZE], struct failure *failure);
