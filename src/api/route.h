// Routes: which handler serves a method at a path.
#pragma once

#include "api/exchange.h"

// The step that finds the handler: 404 for an unknown path, 405 for a known one, and the answer to
// OPTIONS.
enum step_result route_request(struct exchange *exchange);

// Adds the field Allow for the exchange's path.
void route_allow(struct exchange *exchange, struct http_answer *answer);
