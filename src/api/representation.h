// The representation that an answer carries (RFC 9110 section 8): its type, its tag, and what
// caches may do with it.
#pragma once

#include "api/exchange.h"

// The tag of the representation of a record that the exchange is about to send, in a selection of
// this shape and in exchange->media; exchange->version is the record's.
struct etag representation_etag(const struct exchange *exchange, uint64_t shape);

// The step that turns what a handler has written into an answer: hashes it where its tag is made of
// its bytes, compares that with the request's conditions (304 and 412), and writes the fields that
// describe it. It does nothing where the handler gave no type.
enum step_result represent(struct exchange *exchange);
