// An HTTP/1.1 server (RFC 9110, RFC 9112) on one loop: connections come in, requests go to a
// handler, answers go out. It belongs to its loop's thread.
//
// A request is lent to the handler from on_head until the handler has answered it; then its memory
// goes back to the server. A handler answers each request exactly once, by http_answer or by a
// stream (http_stream_begin to http_stream_end or http_stream_abort), also when the client has gone
// meanwhile: that answer is dropped.
#pragma once

#include "base/address.h"
#include "base/arena.h"
#include "base/buffer.h"
#include "base/failure.h"
#include "base/log.h"

#include <uv.h>

struct http_server;
struct http_connection;
struct http_answer;

// Sizes in bytes, times in milliseconds.
struct http_limits {
    size_t max_head;          // request line and fields; 431, or 414 when the target alone is over
    size_t max_body;          // of one that http_read_body reads; 413
    unsigned request_timeout; // from a request's first byte to its last; 408. For a body that is
                              // read in pieces, the wait for each of them
    unsigned idle_timeout;    // between requests; closed without a word
    unsigned write_timeout;   // for the client to take an answer, or what is gathered of a stream;
                              // closed
    unsigned max_connections; // on this server; more are answered 503 and closed; 0: no bound
};

enum http_method {
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_OTHER, // any other token that the parser knows
};

struct http_field {
    struct text name;  // as sent
    struct text value; // without white space at its ends
};

struct http_request {
    enum http_method method;
    struct text method_name;
    struct text target; // as sent
    struct text path;   // the target's path, still percent-encoded; never empty
    struct text query;  // behind the "?", still encoded; data is NULL where there is no "?"
    struct http_field *fields;
    size_t field_count;
    bool has_body;               // framing fields announce one, be it empty
    struct text body;            // complete from on_body on; empty where it was read in pieces
    const struct failure *fault; // why a body that was read in pieces broke off; NULL: it did not
    struct text peer;            // the address of who is connected, "" on a Unix socket
    struct address address;      // the same
    uint64_t started;            // clock_monotonic_ns() of its first byte
    bool gone;                   // the client has gone: nobody will read the answer
    struct arena arena;          // everything that lives as long as the request
    void *owner;                 // the handler's
    struct http_connection *connection;
};

struct http_handler {
    // Request line and fields are there. The handler now, or later on this loop, calls either
    // http_read_body or http_answer. Requests that no HTTP/1.1 server may accept never get here:
    // the server answers them itself through `explain`.
    void (*on_head)(void *context, struct http_request *request);

    // The body that http_read_body asked for is complete; or http_read_piece asked for more than
    // there is: the body ended, or it broke off, and request->fault says why. The client may still
    // be there to read an answer, after which the connection closes in that case.
    void (*on_body)(void *context, struct http_request *request);

    // The piece that http_read_piece asked for, 1 byte to 64 KiB, valid during the call and only
    // until the request is answered. NULL where the handler reads no body in pieces.
    void (*on_piece)(void *context, struct http_request *request, struct text piece);

    // The client went, or the body broke off or was refused (the server has answered then), while
    // the handler has the request: `gone` is set. The handler need not hurry, and still answers or
    // ends its stream, now or when it is done with what it waits for; nothing else is called for
    // this request from here on.
    void (*on_gone)(void *context, struct http_request *request);

    // The client took enough of a stream of which http_stream_write has said that it is full. Never
    // called inside http_stream_write. NULL where the handler has no streams.
    void (*on_writable)(void *context, struct http_request *request);

    // The server stops, and this request's stream goes on: to be ended as soon as may be, for it is
    // cut when the server's patience is over. Called once for each stream. NULL where the handler
    // has no streams.
    void (*on_stopping)(void *context, struct http_request *request);

    // Writes the body and fields of an answer that the server gives by itself. `request` has
    // whatever was understood; its texts may be empty.
    void (*explain)(void *context, const struct http_request *request,
                    const struct failure *failure, struct http_answer *answer);

    // Told about every answer, also the server's own, when it is on its way (a stream: when it has
    // ended, however it did, with what was written to it); `request` as above.
    void (*on_answered)(void *context, const struct http_request *request, unsigned status,
                        size_t body_size);
    void *context;
};

// An answer. The server adds Date, Content-Length, Connection, and frames it; a status without
// content (204, 304) and HEAD leave the body out, HEAD with the length that it would have.
struct http_answer {
    unsigned status;
    struct buffer fields; // complete lines, "Name: value\r\n"
    struct buffer body;
    bool close; // close the connection afterwards
};

// A server that takes connections from a listening socket (TCP or Unix) that is already bound; the
// descriptor is its own from now on, unless this fails. Several servers, each on its own loop, may
// have duplicates of one socket. The handler and the log must outlive it. The program must ignore
// SIGPIPE.
bool http_server_start(uv_loop_t *loop, int descriptor, const struct http_limits *limits,
                       const struct http_handler *handler, struct log *log,
                       struct http_server **ret_server, struct failure *failure);

// Ends in order: takes no more connections, closes idle ones, lets requests that are under way
// finish (their answers say "Connection: close"); after `patience` milliseconds the rest is cut.
// on_stopped is called when all is closed and every request was answered by the handler; the server
// is gone then.
void http_server_stop(struct http_server *server, unsigned patience,
                      void (*on_stopped)(void *owner), void *owner);

// How many connections there are.
size_t http_server_connections(const struct http_server *server);

// Reads the request's body (sending "100 Continue" where the client waits for it), then calls
// on_body; where there is none, on_body is called with an empty one, before this returns.
void http_read_body(struct http_request *request);

// Asks for the next piece of the body, in place of http_read_body: one on_piece for each call, or
// on_body when there is no more (before this returns where there is no body at all). Of what is not
// asked for at most 64 KiB is read, so a handler that does not ask makes the client wait. The size
// of the whole has no bound. A stream may begin before the body ends.
void http_read_piece(struct http_request *request);

// Answers, and takes the memory of both buffers. The request is gone afterwards. A body that was
// announced but not read is read and dropped up to 64 KiB, or the connection closes.
void http_answer(struct http_request *request, struct http_answer *answer);

// Begins an answer whose length is not known ahead, in place of http_answer, and takes the memory
// of both buffers; the body is what the stream starts with. It is chunked for HTTP/1.1; for
// HTTP/1.0 it ends with the connection. Answers to HEAD and statuses without content are the head
// alone: whatever is written to them is dropped. No time-out counts while the handler has nothing
// to say. An `endless` stream goes on until its client goes, so the end of the client's input means
// that it did (on_gone); of any other stream a client that sends no more still gets all.
void http_stream_begin(struct http_request *request, struct http_answer *answer, bool endless);

// Adds to the stream: the bytes are copied, and sent at the end of this turn of the loop. False
// when the stream is full, which is when HTTP_STREAM_ENOUGH bytes wait for the client: the handler
// should go on when on_writable is called (what it writes before that is kept, too).
enum { HTTP_STREAM_ENOUGH = 64 * 1024 };
bool http_stream_write(struct http_request *request, struct text bytes);

// The stream is complete. The request is gone afterwards, as with http_answer.
void http_stream_end(struct http_request *request);

// The stream cannot be completed. What was written is sent, then the connection is cut so that the
// client sees that more was to come: HTTP/1.1 misses the last chunk, HTTP/1.0 (over TCP) is reset.
// The request is gone afterwards.
void http_stream_abort(struct http_request *request);

// An answer to start with, whose buffers have memory of earlier ones: answering through it
// allocates nothing in steady state. An answer that starts zeroed is as good.
struct http_answer http_answer_begin(struct http_request *request, unsigned status);

// Adds a field line; the value must hold no CR, LF or NUL.
void http_answer_field(struct http_answer *answer, const char *name, struct text value);

// The value of the first field of that name (without case), or data NULL.
struct text http_field(const struct http_request *request, const char *name);

// The values of all fields of that name as one list (RFC 9110 section 5.3): joined in the request's
// arena where there are several; data NULL where there is none. False when there is no memory.
bool http_field_joined(struct http_request *request, const char *name, struct text *ret_value);

// Decodes percent-encoding once into the arena: false where it is malformed, the result is not
// UTF-8, or holds U+0000. "+" stands for a space where `form` is set (query strings).
bool http_percent_decode(struct arena *arena, struct text encoded, bool form,
                         struct text *ret_decoded);
