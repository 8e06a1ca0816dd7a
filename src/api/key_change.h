// What is done to API keys, for whoever does it: /keys and the command line.
#pragma once

#include "api/secrets.h"
#include "resource/catalogue.h"
#include "resource/validate.h"

// A key is made for 15 days unless its maker says otherwise; renewing it gives as much again.
#define KEY_LIFETIME INT64_C(1296000000)

// A replaced secret is good for another day, unless who replaces it says otherwise; a month at
// most.
#define KEY_GRACE INT64_C(86400000)
#define KEY_GRACE_MOST INT64_C(2592000000)

// A new key from a body: what validate_create makes of it, and what must hold of keys besides; it
// ends after KEY_LIFETIME where the body, to which that is added, says nothing about it. False when
// there is no memory. What is wrong is noted. Its secret is key_make_secret's to make.
bool key_validate_new(const struct catalogue *catalogue, const struct validation *validation,
                      json_t *body, struct value *values);

// What a patch (a merge patch or a JSON Patch) made of a key, completed: where it says one of
// `expires_at` and `never_expires` and the other one no longer fits, that follows. A key that is to
// have an end no longer lasts for ever; one that is to last for ever has no end; and one that is no
// longer to last for ever ends after KEY_LIFETIME. What says both is taken at its word. False when
// there is no memory.
bool key_complete_change(const struct resource *keys, struct value *values, const json_t *patch,
                         int64_t now, struct arena *arena);

// Notes a key that has an end and lasts for ever, or neither.
void key_check_ends(const struct resource *keys, const struct value *values, struct faults *faults);

// Notes those scopes of a key that name nothing which there is. Those that `stored` (may be NULL)
// has already may stay: what they named may have gone since.
void key_check_scopes(const struct catalogue *catalogue, const struct resource *keys,
                      const struct value *values, const struct value *stored,
                      struct faults *faults);

// Gives a key a new secret: prefix and digest in `values`, whose texts belong to the arena, and the
// secret itself. False when there is no memory or no randomness.
bool key_make_secret(const struct resource *keys, struct value *values, struct arena *arena,
                     char ret_secret[SECRET_SIZE]);

// What a renewal is asked with: nothing, or an empty object.
void key_check_renewal(const json_t *body, struct faults *faults);

// Has a key end after KEY_LIFETIME from now, unless it ends later already or never does. False when
// there is no memory.
bool key_renew(const struct resource *keys, struct value *values, int64_t now, struct arena *arena);

// What a rotation is asked with: nothing, or {"grace_seconds": N}, in milliseconds.
void key_read_grace(const json_t *body, int64_t *ret_grace, struct faults *faults);

// Makes the secret of a key the previous one, which is good for a time of grace (milliseconds; 0:
// no more). The new one is key_make_secret's to make. False when there is no memory.
bool key_rotate(const struct resource *keys, struct value *values, int64_t now, int64_t grace,
                struct arena *arena);

// Something that was done to a key, for the history of keys.
struct key_event {
    const char *action; // one of those that the history knows
    struct value key;
    const struct resource *keys;
    const struct value *before; // NULL: it was not there
    const struct value *after;  // NULL: it is not there any more
    int64_t now;
    struct text by;
    struct text request_id; // empty: no request
};

extern const struct text key_history_table;
extern const struct text key_usage_table;

// The call that notes it; `ret_noted` is false where nothing was changed, and there is no call.
// False when there is no memory. `history` is the plan of key_history_table.
bool key_event_plan(const struct key_event *event, const struct plan *history, struct arena *arena,
                    struct call *ret_call, bool *ret_noted);

// Sets a property of a key by its name. The text is not copied.
void key_set(const struct resource *keys, struct value *values, const char *property,
             struct value value);
