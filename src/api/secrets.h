// The secrets that every process on one database shares: the administrator's key (as its SHA-256)
// and the key that cursors are authenticated with. Read once at start, immutable afterwards.
#pragma once

#include "base/digest.h"
#include "resource/meta.h"

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

// Loads the secrets from the store, which must have its system tables, making those that are not
// there yet. `admin_key` is the configured key, or empty: then the stored digest counts, and where
// there is none a key is made, stored as its digest, and given in `ret_made_key` (else "") to be
// shown this one time.
bool secrets_load(struct store *store, struct text admin_key, struct secrets *ret_secrets,
                  char ret_made_key[SECRET_SIZE], struct failure *failure);
