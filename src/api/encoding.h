// Content codings (RFC 9110 section 8.4): answers that are large enough go out as gzip (RFC 1952)
// to those who take that.
#pragma once

#include "api/exchange.h"

enum { ENCODING_OFF = 0 }; // for service_options.gzip_min

// Chooses exchange->coding by the field Accept-Encoding (section 12.5.3); false where none is
// acceptable, and the failure is set (406).
bool encoding_negotiate(struct exchange *exchange);

// The step that puts the answer's body into the coding: small bodies at once, others on a thread of
// the loop's pool. What has a secret in it is left as it is, since its size must tell nothing.
enum step_result encoding_apply(struct exchange *exchange);

// Says of an answer without content (304) on what the one with content depends.
void encoding_tell(struct exchange *exchange);
