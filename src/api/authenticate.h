// Finding out who asks, by the API key that the request presents.
#pragma once

#include "api/exchange.h"

// The step that fills exchange->identity. It may wait for the database, and refuses nobody: a
// public route serves those, too, whose key is none.
enum step_result authenticate(struct exchange *exchange);

// Goes by what is known now of the key that was presented: that there is none (NULL), or that it is
// the administrator's. Takes a reference; the one before is given back.
void authenticate_again(struct exchange *exchange, struct api_key *key, bool is_admin, int64_t now);

// Tells a client whose key is near its end when that is, in the field API-Key-Expires of the
// answer; and the log, once for each key and end.
void authenticate_tell_end(const struct exchange *exchange, struct http_answer *answer);
