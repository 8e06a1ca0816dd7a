// The handlers of /operations: what people do with operations, and the protocol by which workers
// claim them.
#pragma once

#include "api/exchange.h"

// Has an exchange that began an operation wait for its end, for so many seconds at most, and answer
// with it as it is then; never for more than OPERATIONS_WAIT_MOST. It is a step: of the handler
// that began it, in its stead from here on.
enum step_result operations_await(struct exchange *exchange, struct value id, unsigned seconds);

enum { OPERATIONS_WAIT_MOST = 60 }; // seconds

extern const struct handler operations_list;
extern const struct handler operations_read;
extern const struct handler operations_cancel; // POST /operations/{id}/cancel
extern const struct handler operations_claim;  // POST /operations/claim
extern const struct handler operations_beat;   // POST /operations/{id}/beat
extern const struct handler operations_finish; // POST /operations/{id}/finish
