// Problems: every error's body, as application/problem+json (RFC 9457).
#pragma once

#include "http/http.h"
#include "resource/validate.h"

// Fills status, fields and body of an answer from a failure. `faults` may be NULL; those it has
// become the member `errors`. A failure inside the server shows none of its detail.
void problem_write(const struct failure *failure, const struct faults *faults,
                   struct text request_id, struct http_answer *answer);
