// A connection reads requests from a socket, one after the other, gives each to the handler, and
// sends the answers in the same order. It owns its socket, the request that is under way, and input
// and output that wait. Its memory goes when the socket is closed and the handler has answered.
//
// Where the diagram says http_answer, a stream may have begun in ASKED, BODY or READY (stream.c);
// its end is what leads on.
//
//            accepted                                      answered, all of it read
//               |        +--------------------------------------------------------------+
//               v        v                                                              |
//            +------------+ first byte  +------+ head complete  +-------+ http_answer   |
//            |    IDLE    |------------>| HEAD |--------------->| ASKED |---------------+
//            +------------+             +------+    on_head     +-------+               |
//             |                          |             http_read_body |    http_answer, |
//             |                          |                            v    body unread: |
//             |                          |     +-------+ complete +------+   +------+   |
//             |                          |     | READY |<---------| BODY |-->| DROP |---+
//             |                          |     +-------+  on_body +------+   +------+   |
//             |                          |         | http_answer       |          |     |
//             | end of input,            |         +-------------------+----------+-----+
//             | time-out, stop           | refused: 400, 408, 413, …   | refused  | too much,
//             v                          v                             v          v time-out
//            +----------------------------------------------------------------------+
//            |  LAST: nothing more is read as a request; what is gathered is sent   |<-- answered
//            +----------------------------------------------------------------------+    with close
//               | all is sent            | all is sent, the client may still send
//               |                        v
//               |                    +--------+  shut down for sending, reads and drops, so that
//               |                    | LINGER |  the client is not reset before it has the answer
//               v                    +--------+
//            +--------+  end of input,   |
//            | CLOSED |<-----------------+  from any state: the socket failed, the client takes no
//            +--------+  time-out, enough   answers, the server's patience is over
#pragma once

#include "http/deadline.h"
#include "http/output.h"
#include "http/request.h"
#include "http/response.h"

#include <sys/socket.h>

enum connection_state {
    CONNECTION_IDLE,   // between requests
    CONNECTION_HEAD,   // a head comes in
    CONNECTION_ASKED,  // the handler decides whether it wants the body
    CONNECTION_BODY,   // the body comes in, for the handler
    CONNECTION_READY,  // the handler has all of it
    CONNECTION_DROP,   // answered; the rest of the body comes in, for nobody
    CONNECTION_LAST,   // the last answer is being sent
    CONNECTION_LINGER, // it was sent
    CONNECTION_CLOSED,
};

// An answer that goes out while the handler writes it.
struct stream {
    bool begun;
    bool endless;           // until the client goes
    bool has_content;       // or else what is written is dropped
    bool chunked;           // or else it ends with the connection
    bool last;              // the connection closes afterwards
    bool full;              // on_writable is owed
    bool told;              // that the server stops
    unsigned status;        //
    size_t size;            // of what was written
    struct buffer unframed; // what was written since it was last framed
};

struct http_connection {
    struct http_server *server;
    struct link link; // in the server's list
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } socket;
    enum connection_state state;
    bool reading;       // the socket is read from
    bool ended;         // the client sends no more
    bool running;       // connection_turn is at work further up the stack
    bool failed;        // something could not be sent; closes at the end of its turn
    bool lingers;       // LAST ends in LINGER
    bool handle_closed; // libuv has let go of the socket
    struct link ready;  // in the server's list of those that have something to do

    struct inbound *inbound; // the request under way; NULL: none
    struct text input;       // in connection_turn alone: what is not used yet
    struct buffer waiting;   // input that came while it could not be used
    size_t waiting_used;     // how much of its front was used since
    size_t dropped;          // bytes that nobody wanted

    struct stream stream;    // the answer under way; zeroed where there is none
    struct output *gathered; // not yet sent
    struct output *sending;  // as much as the socket did not take at once

    struct deadline patience; // with the client as a sender
    struct deadline writing;  // with the client as a receiver
    struct address address;   // of who is connected
    char peer[ADDRESS_TEXT_SIZE];
};

// Opens a connection on a connected socket, in IDLE or, `refused`, on its way to LAST. NULL where
// there is no memory; the descriptor is closed then.
struct http_connection *connection_open(struct http_server *server, int descriptor,
                                        const struct sockaddr *address, bool refused);

// Has connection_turn called at the end of this turn of the loop.
void connection_wake(struct http_connection *connection);

// Does what there is to do: reads requests, answers the client's faults, sends what is gathered,
// sets the deadlines. Must not be called from within itself.
void connection_turn(struct http_connection *connection);

// The client was too slow as a sender.
void connection_time_out(struct http_connection *connection);

// Closes at once; a handler that has a request is told.
void connection_close(struct http_connection *connection);

// --- for stream.c ---

// Where to append what is to be sent; NULL where there is no memory, and the connection closes.
struct output *connection_gather(struct http_connection *connection);

// Appends the head of an answer to the request under way.
void connection_gather_head(struct http_connection *connection, const struct response *response);

// Sends "100 Continue", which the client waits for.
void connection_continue(struct http_connection *connection);

// Whether the connection cannot be kept after the answer, whatever the handler says.
bool connection_must_close(const struct http_connection *connection);

// The handler has answered, all of it gathered: goes on to the next request, or to LAST.
void connection_answered(struct http_connection *connection, bool last);

// The handler has answered a request whose client had gone.
void connection_forget(struct http_connection *connection);

// --- in stream.c ---

// Does what the stream under way waits for; true where there may be more to do at once.
bool stream_attend(struct http_connection *connection);

// Gathers what was written to the stream.
void stream_frame(struct http_connection *connection);

// Forgets the stream.
void stream_clear(struct http_connection *connection);
