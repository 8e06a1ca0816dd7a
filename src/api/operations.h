// The handlers of /operations: what people do with operations, and the protocol by which workers
// claim them.
#pragma once

#include "api/exchange.h"

extern const struct handler operations_list;
extern const struct handler operations_read;
extern const struct handler operations_cancel; // POST /operations/{id}/cancel
extern const struct handler operations_claim;  // POST /operations/claim
extern const struct handler operations_beat;   // POST /operations/{id}/beat
extern const struct handler operations_finish; // POST /operations/{id}/finish
