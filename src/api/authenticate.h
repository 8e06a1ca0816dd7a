// Finding out who asks, by the API key that the request presents.
#pragma once

#include "api/exchange.h"

// The step that fills exchange->identity. It may wait for the database, and refuses nobody: a
// public route serves those, too, whose key is none.
enum step_result authenticate(struct exchange *exchange);

// Tells a client whose key is near its end when that is, in the field API-Key-Expires of the
// answer; and the log, once for each key and end.
void authenticate_tell_end(const struct exchange *exchange, struct http_answer *answer);
