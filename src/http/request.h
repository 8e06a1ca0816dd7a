// An inbound request: what comes in from the wire until it is a struct http_request that a handler
// can be given. It owns the memory of everything in there and is used again for later requests.
#pragma once

#include "http/http.h"
#include "http/syntax.h"

#include <llhttp.h>

// Fields that frame the message or that the server itself answers to.
enum special_field {
    SPECIAL_HOST,
    SPECIAL_CONTENT_LENGTH,
    SPECIAL_TRANSFER_ENCODING,
    SPECIAL_EXPECT,
    SPECIAL_FIELDS
};

struct inbound {
    struct http_request request; // first, so that one pointer is the other
    struct inbound *next;        // among the server's spare ones
    const struct http_limits *limits;
    llhttp_t parser;

    // The head, as sent; the request's texts point into it.
    struct buffer head;
    enum line_place place; // of the next byte of head or chunk framing
    bool blank_line_seen;  // an empty line before the request line was passed over
    bool head_complete;
    size_t field_capacity;
    struct {
        unsigned count;
        struct text value; // of the first
    } special[SPECIAL_FIELDS];
    bool http_1_0;
    bool keep_alive;
    bool expects_continue;
    uint64_t content_length; // 0 where the body is chunked

    // The body.
    bool chunked;
    bool keep_body;         // or else it is read and dropped
    bool in_pieces;         // `body` is what came since the last piece; any size may come
    bool piece_wanted;      // by the handler
    bool complete;          // the message's last byte was read
    struct buffer body;     // as far as it was kept
    uint64_t received;      // bytes of body, kept or dropped
    const char *framing;    // from here on, bytes were not yet looked at as chunk framing
    size_t framing_run;     // bytes of framing since the last byte of data
    size_t framing_surplus; // bytes of chunk extensions and trailers

    bool lent; // the handler has it
    struct failure failure;
};

enum inbound_outcome {
    INBOUND_GOES_ON, // all input is used, more is needed
    INBOUND_DONE,    // the head, or the message, is complete; input behind it is left
    INBOUND_REFUSED, // `failure` says why
};

// A zeroed struct is a valid one to start with.
void inbound_start(struct inbound *inbound, const struct http_limits *limits);

// Ends the request, keeping what memory the next one will want.
void inbound_reset(struct inbound *inbound);
void inbound_free(struct inbound *inbound);

// Reads the head from the front of `input` (RFC 9112 sections 2 to 6).
enum inbound_outcome inbound_read_head(struct inbound *inbound, struct text *input);

// Reads the body from the front of `input` (RFC 9112 sections 6 and 7). One that is to be kept and
// too large is refused before any of it is read.
enum inbound_outcome inbound_read_body(struct inbound *inbound, struct text *input);

// Parts of inbound_read_head, in head.c: reads the complete head in `inbound->head`.
bool head_parse(struct inbound *inbound);

// The parser's callbacks for fields and their end, in head.c; for request.c's settings.
int head_on_field_name(llhttp_t *parser, const char *at, size_t size);
int head_on_field_value(llhttp_t *parser, const char *at, size_t size);
int head_on_complete(llhttp_t *parser);
