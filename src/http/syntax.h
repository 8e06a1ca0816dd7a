// The syntax of HTTP/1.1 messages as far as it depends on no connection (RFC 9110, RFC 9112,
// RFC 3986). These functions look at bytes that others own.
#pragma once

#include "base/text.h"

// Where in a line the next byte stands. Lines are what heads, chunk framing and trailers are made
// of; zero is the start of a line.
enum line_place { LINE_START, LINE_INSIDE, LINE_AFTER_CR, LINE_EMPTY_AFTER_CR };

enum line_outcome {
    LINE_GOES_ON,   // all bytes are used
    LINE_EMPTY_END, // an empty line is complete; the bytes behind it are not looked at
    LINE_WRONG,     // what no lenient reading shall be given to
};

// Looks at the next bytes of a run of lines. Every line must end with CR LF; a CR or LF that stands
// elsewhere, any other control character but HTAB, and a line that starts with a space or HTAB
// (obsolete folding, RFC 9112 section 5.2) or with ":" (no name) is wrong.
enum line_outcome line_scan(enum line_place *place, struct text bytes, size_t *ret_used);

// Whether it is a token (RFC 9110 section 5.6.2).
bool syntax_is_token(struct text text);

// Whether it is uri-host [":" port] (RFC 9110 section 7.2), with a host that is not empty.
bool syntax_is_authority(struct text text);

// Whether all its bytes may stand in a request target: visible ASCII but "#", which is never sent.
bool syntax_is_target(struct text text);
