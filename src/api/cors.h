// Cross-origin requests (the Fetch standard, section 3.2): which web pages of other origins may
// read what is answered. Keys travel in fields that pages set themselves, so there is no mode with
// credentials, and an origin that is let in can do no more than anybody without a browser can.
#pragma once

#include "base/text.h"

// Serialized origins (RFC 6454 section 6.2); none: cross-origin requests are not known of.
struct cors_origins {
    const struct text *items;
    size_t count;
    bool any; // whatever the origin is; there are no items then
};

struct http_answer;
struct http_request;

// Whether a text is an origin as browsers send it: SCHEME://HOST[:PORT], in lower case, without the
// port that the scheme has anyway.
bool cors_is_origin(struct text text);

// Adds the fields that every answer has, errors and streams included.
void cors_write(const struct cors_origins *origins, const struct http_request *request,
                struct http_answer *answer);

// Whether it is a preflight, of an origin that is let in: what else the answer to OPTIONS says is
// written by cors_write_preflight, after the field Access-Control-Allow-Methods.
bool cors_is_preflight(const struct cors_origins *origins, const struct http_request *request);
void cors_write_preflight(struct http_answer *answer);
