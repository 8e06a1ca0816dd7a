// Conditions: what a request demands of a resource as it is (RFC 9110 section 13).
#pragma once

#include "api/exchange.h"

// The step that reads the conditional fields: 400 where one is malformed, 428 where the resource
// wants to be told which version is meant (RFC 6585 section 3). If-Modified-Since and its like say
// nothing here, since records have no dates of their own (sections 13.1.3 and 13.1.4).
enum step_result conditions_read(struct exchange *exchange);

static inline bool conditions_are_there(const struct exchange *exchange) {
    return exchange->conditions.if_match.data || exchange->conditions.if_none_match.data;
}

enum condition { CONDITION_HOLDS, CONDITION_NOT_MODIFIED, CONDITION_FAILED };

// For a GET or HEAD: what is to be done with a representation that has this tag (section 13.2.2).
enum condition conditions_of_read(const struct exchange *exchange, struct etag etag);

// Of a read that is CONDITION_NOT_MODIFIED: whether it is the coded representation (etag.coded)
// that the client has.
bool conditions_know_coded(const struct exchange *exchange, struct etag etag);

// For a change: whether it may be made to the record of this version, or, where that is NULL, as
// there is none. Sets the failure (412) otherwise. It is the caller's to write under that version.
bool conditions_hold(struct exchange *exchange, const int64_t *version);
