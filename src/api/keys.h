// The handlers of /keys that differ from those of any resource: they make secrets, and note what
// was done in the history of keys.
#pragma once

#include "api/exchange.h"

extern const struct handler keys_create;
extern const struct handler keys_update;
extern const struct handler keys_delete;
extern const struct handler keys_renew;   // POST /keys/{id}/renew
extern const struct handler keys_rotate;  // POST /keys/{id}/rotate
extern const struct handler keys_history; // GET /keys/{id}/history
extern const struct handler keys_usage;   // GET /keys/{id}/usage

// What there is about a key besides: /keys/{id}/NAME.
enum { KEYS_RENEW, KEYS_ROTATE, KEYS_HISTORY, KEYS_USAGE, KEYS_PARTS };
extern const struct text keys_parts[KEYS_PARTS];

// Puts the secret that was made into the answer's body. It is the last that is done to it, so that
// nothing that keeps answers sees the secret.
void keys_show_secret(struct exchange *exchange);
