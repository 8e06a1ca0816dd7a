// What is done to API keys, for whoever does it: /keys and the command line.
#pragma once

#include "api/secrets.h"
#include "resource/catalogue.h"
#include "resource/validate.h"

// A key is made for 15 days unless its maker says otherwise; renewing it gives as much again.
#define KEY_LIFETIME INT64_C(1296000000)

// A replaced secret is good for another day, unless who replaces it says otherwise.
#define KEY_GRACE INT64_C(86400000)

// The body of a new key, completed: it ends after KEY_LIFETIME where it says nothing about that.
// False when there is no memory. What is no object is left alone.
bool key_complete_body(json_t *body, int64_t now);

// A merge patch, completed: a key that is to have an end no longer lasts for ever, and one that is
// to last for ever no longer has an end. False when there is no memory.
bool key_complete_patch(json_t *patch);

// Notes those scopes of a key that name nothing which there is. Those that `stored` (may be NULL)
// has already may stay: what they named may have gone since.
void key_check_scopes(const struct catalogue *catalogue, const struct resource *keys,
                      const struct value *values, const struct value *stored,
                      struct faults *faults);

// Notes an end that is not ahead.
void key_check_end(const struct resource *keys, const struct value *values, int64_t now,
                   struct faults *faults);

// Gives a key a new secret: prefix and digest in `values`, whose texts belong to the arena, and the
// secret itself. False when there is no memory or no randomness.
bool key_make_secret(const struct resource *keys, struct value *values, struct arena *arena,
                     char ret_secret[SECRET_SIZE]);

// Sets a property of a key by its name. The text is not copied.
void key_set(const struct resource *keys, struct value *values, const char *property,
             struct value value);
