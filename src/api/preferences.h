// Which of a client's preferences (RFC 7240) a request can honour, and what it says of that.
#pragma once

#include "api/exchange.h"

// The step that reads Prefer and notes in exchange->preferences which preferences are honoured.
// With handling=strict, 400 where one is not.
enum step_result preferences_read(struct exchange *exchange);

// Adds Preference-Applied, and Vary where the answer would be another one without it.
void preferences_tell(const struct exchange *exchange, struct http_answer *answer);

// For the step "represent", with return=minimal: leaves the content out.
void preferences_leave_out(struct exchange *exchange);
