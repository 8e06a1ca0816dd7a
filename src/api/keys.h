// The handlers of /keys that are not those of any resource: what they answer has a secret in it,
// which is shown this once.
#pragma once

#include "api/exchange.h"

extern const struct handler keys_create;
extern const struct handler keys_update;
extern const struct handler keys_delete;
