#include "http/connection.h"

#include "base/clock.h"
#include "http/server.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    DROP_MAX = 64 * 1024,          // of a body that nobody wanted, for the connection's sake
    LINGER_MAX = 32 * 1024 * 1024, // of whatever comes behind the last answer
    WAITING_MAX = SERVER_READ_SIZE,
};

// --- input ---

static size_t waiting_size(const struct http_connection *connection) {
    return connection->waiting.size - connection->waiting_used;
}

static size_t input_left(const struct http_connection *connection) {
    return connection->running ? connection->input.size : waiting_size(connection);
}

// Puts what was just read behind what waits, where anything does.
static void input_begin(struct http_connection *connection) {
    struct buffer *waiting = &connection->waiting;
    if (waiting->size == 0)
        return;
    if (connection->input.size > 0) {
        size_t left = waiting_size(connection);
        memmove(waiting->data, waiting->data + connection->waiting_used, left);
        waiting->size = left;
        connection->waiting_used = 0;
        buffer_append_text(waiting, connection->input);
        connection->failed = connection->failed || waiting->failed;
    }
    connection->input = text_from(buffer_text(waiting), connection->waiting_used);
}

// What was not used waits; the memory that was read into belongs to the next connection.
static void input_end(struct http_connection *connection) {
    struct buffer *waiting = &connection->waiting;
    if (waiting->size > 0) {
        connection->waiting_used = waiting->size - connection->input.size;
    } else if (connection->input.size > 0) {
        buffer_append_text(waiting, connection->input);
        connection->failed = connection->failed || waiting->failed;
    }
    if (connection->input.size == 0) {
        buffer_free(waiting);
        connection->waiting_used = 0;
    }
    connection->input = (struct text){NULL, 0};
}

// --- output ---

struct output *connection_gather(struct http_connection *connection) {
    if (!connection->gathered)
        connection->gathered = spares_take_output(&connection->server->spares);
    if (!connection->gathered)
        connection->failed = true;
    return connection->gathered;
}

static void on_sent(uv_write_t *write, int status) {
    struct http_connection *connection = write->data;
    spares_give_output(&connection->server->spares, connection->sending);
    connection->sending = NULL;
    deadline_stop(&connection->writing);
    if (connection->state == CONNECTION_CLOSED)
        return;
    if (status < 0)
        connection_close(connection);
    else
        connection_wake(connection);
}

// Has libuv send the rest when the socket takes more.
static bool send_later(struct http_connection *connection, size_t sent) {
    struct http_server *server = connection->server;
    struct output *output = connection->gathered;
    uv_buf_t pieces[OUTPUT_PIECES];
    unsigned count = output_rest(output, sent, pieces);
    output->write.data = connection;
    if (uv_write(&output->write, &connection->socket.stream, pieces, count, on_sent) != 0)
        return false;
    connection->gathered = NULL;
    connection->sending = output;
    deadline_start(&server->writes, &connection->writing, uv_now(server->loop));
    return true;
}

static bool send_gathered(struct http_connection *connection) {
    if (connection->sending)
        return true;
    stream_frame(connection);
    struct output *output = connection->gathered;
    if (!output)
        return true;
    if (output->copied.failed)
        return false;
    // The end of what libuv sends comes in another turn of the loop, so that a stream that fills as
    // quickly as its client takes it does not keep the loop from others.
    if (connection->stream.full)
        return send_later(connection, 0);
    uv_buf_t pieces[OUTPUT_PIECES];
    unsigned count = output_rest(output, 0, pieces);
    int sent = uv_try_write(&connection->socket.stream, pieces, count);
    if (sent == UV_EAGAIN)
        sent = 0;
    if (sent < 0)
        return false;
    if ((size_t)sent < output->size)
        return send_later(connection, (size_t)sent);
    connection->gathered = NULL;
    spares_give_output(&connection->server->spares, output);
    return true;
}

// --- answers ---

static void give_buffers(struct http_connection *connection, struct http_answer *answer) {
    spares_give_buffer(&connection->server->spares, &answer->fields);
    spares_give_buffer(&connection->server->spares, &answer->body);
}

static void explain(struct http_connection *connection, const struct failure *failure,
                    struct http_answer *answer) {
    const struct http_handler *handler = connection->server->handler;
    answer->status = failure_status(failure->code);
    handler->explain(handler->context, &connection->inbound->request, failure, answer);
}

// An answer for which there was no memory becomes one that says so, with as much as there is for.
static void explain_want_of_memory(struct http_connection *connection, struct http_answer *answer) {
    struct failure failure;
    failure_out_of_memory(&failure);
    buffer_clear(&answer->fields);
    buffer_clear(&answer->body);
    explain(connection, &failure, answer);
    if (answer->fields.failed || answer->body.failed) {
        buffer_clear(&answer->fields);
        buffer_clear(&answer->body);
    }
}

void connection_gather_head(struct http_connection *connection, const struct response *response) {
    struct http_server *server = connection->server;
    struct output *output = connection_gather(connection);
    if (!output)
        return;
    date_refresh(&server->date, clock_now() / 1000);
    response_write_head(response, &server->date, output);
}

static void gather_answer(struct http_connection *connection, struct http_answer *answer,
                          bool last) {
    struct http_server *server = connection->server;
    const struct inbound *inbound = connection->inbound;
    if (answer->fields.failed || answer->body.failed)
        explain_want_of_memory(connection, answer);
    struct response response = {
        .answer = answer,
        .head = inbound->request.method == HTTP_METHOD_HEAD,
        .http_1_0 = inbound->http_1_0,
        .last = last,
    };
    size_t size = response_has_content(&response) ? answer->body.size : 0;
    connection_gather_head(connection, &response);
    if (size > 0 && connection->gathered)
        output_append_buffer(connection->gathered, &answer->body);
    server->handler->on_answered(server->handler->context, &inbound->request, answer->status, size);
    give_buffers(connection, answer);
}

// Takes the request from the connection, which has no more to do with it.
static void release_request(struct http_connection *connection) {
    spares_give_inbound(&connection->server->spares, connection->inbound);
    connection->inbound = NULL;
}

// Nothing more will become of the request under way; a handler that has it is told.
static void abandon_request(struct http_connection *connection) {
    const struct http_handler *handler = connection->server->handler;
    struct inbound *inbound = connection->inbound;
    if (!inbound || inbound->request.gone)
        return;
    if (!inbound->lent) {
        release_request(connection);
        return;
    }
    inbound->request.gone = true;
    handler->on_gone(handler->context, &inbound->request);
}

static void become_last(struct http_connection *connection, bool lingers) {
    connection->state = CONNECTION_LAST;
    connection->lingers = lingers;
    connection->dropped = 0;
}

// Answers in the handler's place.
static void refuse(struct http_connection *connection, const struct failure *failure) {
    struct http_answer answer = {.close = true};
    explain(connection, failure, &answer);
    gather_answer(connection, &answer, true);
    become_last(connection, true);
    abandon_request(connection);
}

static void refuse_broken_off(struct http_connection *connection) {
    struct failure *failure = &connection->inbound->failure;
    failure_set(failure, FAILURE_MALFORMED_REQUEST, "The request broke off");
    refuse(connection, failure);
}

// --- the steps, one a state: true when there may be more to do at once ---

static bool begin_request(struct http_connection *connection) {
    struct http_server *server = connection->server;
    struct inbound *inbound = spares_take_inbound(&server->spares);
    if (!inbound)
        return false;
    inbound_start(inbound, &server->limits);
    inbound->request.peer = text_from_string(connection->peer);
    inbound->request.address = connection->address;
    inbound->request.started = clock_monotonic_ns();
    inbound->request.connection = connection;
    connection->inbound = inbound;
    deadline_stop(&connection->patience);
    return true;
}

static bool step_idle(struct http_connection *connection) {
    bool draining = connection->server->draining;
    if (connection->gathered && connection->gathered->size >= OUTPUT_ENOUGH)
        connection->failed = !send_gathered(connection);
    if (connection->failed || connection->sending)
        return false;
    if (connection->input.size == 0 && !connection->ended && !draining)
        return false;
    if (connection->input.size == 0 || draining) {
        become_last(connection, connection->input.size > 0);
    } else if (begin_request(connection)) {
        connection->state = CONNECTION_HEAD;
    } else {
        connection->failed = true;
    }
    return true;
}

static bool step_head(struct http_connection *connection) {
    struct http_server *server = connection->server;
    struct inbound *inbound = connection->inbound;
    switch (inbound_read_head(inbound, &connection->input)) {
    case INBOUND_DONE:
        connection->state = CONNECTION_ASKED;
        inbound->lent = true;
        server->handler->on_head(server->handler->context, &inbound->request);
        return true;
    case INBOUND_REFUSED: refuse(connection, &inbound->failure); return true;
    case INBOUND_GOES_ON: break;
    }
    if (!connection->ended)
        return false;
    if (inbound->head.size > 0) {
        refuse_broken_off(connection);
    } else {
        become_last(connection, false);
        abandon_request(connection);
    }
    return true;
}

static bool step_with_handler(struct http_connection *connection) {
    return false;
}

void connection_continue(struct http_connection *connection) {
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct output *output = connection_gather(connection);
    connection->inbound->expects_continue = false;
    if (output)
        output_append(output, line, sizeof line - 1);
}

// The handler is told that no more of the body comes; `fault` where it did not come to its end.
static void end_pieces(struct http_connection *connection, const struct failure *fault) {
    const struct http_handler *handler = connection->server->handler;
    struct http_request *request = &connection->inbound->request;
    connection->state = CONNECTION_READY;
    request->body = TEXT("");
    request->fault = fault;
    handler->on_body(handler->context, request);
}

static void give_piece(struct http_connection *connection, struct text piece) {
    const struct http_handler *handler = connection->server->handler;
    struct inbound *inbound = connection->inbound;
    inbound->piece_wanted = false;
    buffer_clear(&inbound->body); // the memory stays
    deadline_stop(&connection->patience);
    handler->on_piece(handler->context, &inbound->request, piece);
}

static bool step_pieces(struct http_connection *connection) {
    struct inbound *inbound = connection->inbound;
    struct failure *failure = &inbound->failure;
    if (!inbound->piece_wanted)
        return false;
    if (!inbound->complete && failure->code == FAILURE_NONE)
        (void)inbound_read_body(inbound, &connection->input); // its outcome stays in `inbound`
    struct text piece = buffer_text(&inbound->body);
    if (piece.size > 0) {
        give_piece(connection, piece);
        return true;
    }
    if (connection->ended && !inbound->complete && failure->code == FAILURE_NONE)
        failure_set(failure, FAILURE_MALFORMED_REQUEST, "The request broke off");
    if (inbound->complete || failure->code != FAILURE_NONE) {
        end_pieces(connection, inbound->complete ? NULL : failure);
        return true;
    }
    if (inbound->expects_continue && inbound->received == 0)
        connection_continue(connection);
    return false;
}

static bool step_body(struct http_connection *connection) {
    struct http_server *server = connection->server;
    struct inbound *inbound = connection->inbound;
    if (inbound->in_pieces)
        return step_pieces(connection);
    switch (inbound_read_body(inbound, &connection->input)) {
    case INBOUND_DONE:
        connection->state = CONNECTION_READY;
        server->handler->on_body(server->handler->context, &inbound->request);
        return true;
    case INBOUND_REFUSED: refuse(connection, &inbound->failure); return true;
    case INBOUND_GOES_ON: break;
    }
    if (connection->ended) {
        refuse_broken_off(connection);
        return true;
    }
    if (inbound->expects_continue && inbound->received == 0)
        connection_continue(connection);
    return false;
}

static bool step_drop(struct http_connection *connection) {
    size_t before = connection->input.size;
    enum inbound_outcome outcome = inbound_read_body(connection->inbound, &connection->input);
    connection->dropped += before - connection->input.size;
    if (outcome == INBOUND_DONE) {
        connection->state = CONNECTION_IDLE;
        release_request(connection);
        return true;
    }
    if (outcome == INBOUND_GOES_ON && !connection->ended && connection->dropped <= DROP_MAX)
        return false;
    become_last(connection, true);
    abandon_request(connection);
    return true;
}

static bool step_last(struct http_connection *connection) {
    connection->dropped += connection->input.size;
    connection->input.size = 0;
    return false;
}

static bool step_linger(struct http_connection *connection) {
    step_last(connection);
    if (connection->ended || connection->dropped > LINGER_MAX)
        connection_close(connection);
    return false;
}

static bool (*const steps[])(struct http_connection *connection) = {
    [CONNECTION_IDLE] = step_idle,           [CONNECTION_HEAD] = step_head,
    [CONNECTION_ASKED] = step_with_handler,  [CONNECTION_BODY] = step_body,
    [CONNECTION_READY] = step_with_handler,  [CONNECTION_DROP] = step_drop,
    [CONNECTION_LAST] = step_last,           [CONNECTION_LINGER] = step_linger,
    [CONNECTION_CLOSED] = step_with_handler,
};

// --- what surrounds the steps ---

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer) {
    struct http_connection *connection = handle->data;
    *ret_buffer = (uv_buf_t){.base = connection->server->read_buffer,
                             .len = SERVER_READ_SIZE - waiting_size(connection)};
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer) {
    struct http_connection *connection = stream->data;
    if (size < 0 && size != UV_EOF) {
        connection_close(connection);
        return;
    }
    if (size == 0)
        return;
    connection->ended = size == UV_EOF;
    if (size > 0)
        connection->input = text_of(buffer->base, (size_t)size);
    connection_turn(connection);
}

// Reads as long as there is somewhere to put it, also while the handler has a request: that is how
// a client that went away is noticed.
static void settle_reading(struct http_connection *connection) {
    bool wanted = !connection->ended && waiting_size(connection) < WAITING_MAX &&
                  (connection->state != CONNECTION_LAST || connection->dropped <= LINGER_MAX);
    if (wanted == connection->reading)
        return;
    connection->reading = wanted;
    if (!wanted)
        uv_read_stop(&connection->socket.stream);
    else if (uv_read_start(&connection->socket.stream, allocate, on_read) != 0)
        connection_close(connection);
}

// A handler that reads a body in pieces may be what the client waits for.
static bool wants_input(const struct http_connection *connection) {
    assert(connection->inbound);
    return !connection->inbound->in_pieces || connection->inbound->piece_wanted;
}

static struct deadlines *deadlines_of(const struct http_connection *connection) {
    struct http_server *server = connection->server;
    switch (connection->state) {
    case CONNECTION_IDLE: return connection->sending ? NULL : &server->idles;
    case CONNECTION_BODY: return wants_input(connection) ? &server->requests : NULL;
    case CONNECTION_HEAD:
    case CONNECTION_DROP: return &server->requests;
    case CONNECTION_LINGER: return &server->lingers;
    default: return NULL;
    }
}

// The clock of a request runs on while more of it comes, all others start again.
static void settle_deadline(struct http_connection *connection) {
    struct http_server *server = connection->server;
    struct deadlines *wanted = deadlines_of(connection);
    if (!wanted)
        deadline_stop(&connection->patience);
    else if (connection->patience.of != wanted || wanted == &server->idles)
        deadline_start(wanted, &connection->patience, uv_now(server->loop));
}

// All is sent, and nothing more will be.
static void finish(struct http_connection *connection) {
    uv_os_fd_t descriptor;
    bool lingers = connection->lingers && !connection->ended &&
                   uv_fileno(&connection->socket.handle, &descriptor) == 0 &&
                   shutdown(descriptor, SHUT_WR) == 0;
    if (!lingers) {
        connection_close(connection);
        return;
    }
    connection->state = CONNECTION_LINGER;
    connection->dropped = 0;
}

void connection_turn(struct http_connection *connection) {
    if (connection->state == CONNECTION_CLOSED)
        return;
    connection->running = true;
    input_begin(connection);
    while (!connection->failed &&
           (stream_attend(connection) || steps[connection->state](connection)))
        ;
    input_end(connection);
    connection->running = false;
    if (connection->state == CONNECTION_CLOSED)
        return;
    if (connection->failed || !send_gathered(connection)) {
        connection_close(connection);
        return;
    }
    if (connection->state == CONNECTION_LAST && !connection->gathered && !connection->sending)
        finish(connection);
    if (connection->state == CONNECTION_CLOSED)
        return;
    settle_deadline(connection);
    settle_reading(connection);
}

void connection_wake(struct http_connection *connection) {
    if (connection->state != CONNECTION_CLOSED && !link_is_in_list(&connection->ready))
        list_append(&connection->server->ready, &connection->ready);
}

void connection_time_out(struct http_connection *connection) {
    struct inbound *inbound = connection->inbound;
    bool said_something = connection->state == CONNECTION_BODY ||
                          (connection->state == CONNECTION_HEAD && inbound->head.size > 0);
    deadline_stop(&connection->patience);
    if (said_something) {
        failure_set(&inbound->failure, FAILURE_REQUEST_TIMEOUT,
                    inbound->in_pieces ? "The request's body stood still for %u ms"
                                       : "The request did not arrive within %u ms",
                    connection->server->limits.request_timeout);
        if (inbound->in_pieces)
            end_pieces(connection, &inbound->failure);
        else
            refuse(connection, &inbound->failure);
    } else if (connection->state == CONNECTION_DROP) {
        become_last(connection, true);
        abandon_request(connection);
    } else {
        connection_close(connection);
        return;
    }
    connection_turn(connection);
}

// --- beginning and end ---

static void connection_free(struct http_connection *connection) {
    struct http_server *server = connection->server;
    list_remove(&connection->link);
    free(connection);
    server_connection_gone(server);
}

static void on_closed(uv_handle_t *handle) {
    struct http_connection *connection = handle->data;
    connection->handle_closed = true;
    if (!connection->inbound)
        connection_free(connection);
}

void connection_close(struct http_connection *connection) {
    struct http_server *server = connection->server;
    if (connection->state == CONNECTION_CLOSED)
        return;
    connection->state = CONNECTION_CLOSED;
    deadline_stop(&connection->patience);
    deadline_stop(&connection->writing);
    list_remove(&connection->ready);
    list_remove(&connection->link);
    list_append(&server->closing, &connection->link);
    server->connection_count--;
    connection->input = (struct text){NULL, 0};
    buffer_free(&connection->waiting);
    connection->waiting_used = 0;
    if (connection->gathered)
        spares_give_output(&server->spares, connection->gathered);
    connection->gathered = NULL;
    buffer_free(&connection->stream.unframed);
    uv_close(&connection->socket.handle, on_closed);
    abandon_request(connection);
}

static int open_socket(struct http_connection *connection, int descriptor, bool local) {
    uv_loop_t *loop = connection->server->loop;
    if (local) {
        (void)uv_pipe_init(loop, &connection->socket.pipe, 0);
        return uv_pipe_open(&connection->socket.pipe, descriptor);
    }
    (void)uv_tcp_init(loop, &connection->socket.tcp);
    int error = uv_tcp_open(&connection->socket.tcp, descriptor);
    // Answers are written whole; waiting for more to send would only delay them. Where it cannot be
    // set, they are late.
    if (error == 0)
        (void)uv_tcp_nodelay(&connection->socket.tcp, 1);
    return error;
}

static void refuse_connection(struct http_connection *connection) {
    if (!begin_request(connection)) {
        connection_close(connection);
        return;
    }
    struct failure *failure = &connection->inbound->failure;
    failure_set(failure, FAILURE_QUEUE_FULL, "There are too many connections");
    refuse(connection, failure);
}

struct http_connection *connection_open(struct http_server *server, int descriptor,
                                        const struct sockaddr *address, bool refused) {
    struct http_connection *connection = calloc(1, sizeof *connection);
    if (!connection) {
        close(descriptor);
        return NULL;
    }
    connection->server = server;
    connection->address = address_of_socket(address);
    (void)address_format(&connection->address, connection->peer);
    list_append(&server->connections, &connection->link);
    server->connection_count++;
    server_connection_opened(server);
    int error = open_socket(connection, descriptor, address->sa_family == AF_UNIX);
    connection->socket.handle.data = connection;
    if (error != 0) {
        close(descriptor);
        connection_close(connection);
    } else if (refused) {
        refuse_connection(connection);
    }
    connection_turn(connection);
    return connection;
}

// --- what handlers call ---

void http_read_body(struct http_request *request) {
    struct http_connection *connection = request->connection;
    struct inbound *inbound = connection->inbound;
    const struct http_handler *handler = connection->server->handler;
    if (request->gone || connection->state != CONNECTION_ASKED)
        return;
    if (inbound->complete) {
        connection->state = CONNECTION_READY;
        request->body = TEXT("");
        handler->on_body(handler->context, request);
        return;
    }
    inbound->keep_body = true;
    connection->state = CONNECTION_BODY;
    if (!connection->running)
        connection_wake(connection);
}

void http_read_piece(struct http_request *request) {
    struct http_connection *connection = request->connection;
    struct inbound *inbound = connection->inbound;
    if (request->gone)
        return;
    if (connection->state == CONNECTION_ASKED) {
        if (inbound->complete) {
            end_pieces(connection, NULL);
            return;
        }
        inbound->keep_body = true;
        inbound->in_pieces = true;
        connection->state = CONNECTION_BODY;
    }
    if (connection->state != CONNECTION_BODY || !inbound->in_pieces)
        return;
    inbound->piece_wanted = true;
    if (!connection->running)
        connection_wake(connection);
}

// A body that nobody read is in the way of the next request, and one that waits for "100 Continue"
// may or may not come.
bool connection_must_close(const struct http_connection *connection) {
    const struct inbound *inbound = connection->inbound;
    if (!inbound->keep_alive || connection->server->stopping || inbound->request.fault)
        return true;
    if (inbound->complete)
        return false;
    return inbound->expects_continue ||
           (!inbound->chunked && inbound->content_length - inbound->received > DROP_MAX);
}

void connection_forget(struct http_connection *connection) {
    release_request(connection);
    if (connection->handle_closed)
        connection_free(connection);
}

void connection_answered(struct http_connection *connection, bool last) {
    struct inbound *inbound = connection->inbound;
    bool complete = inbound->complete;
    inbound->lent = false;
    if (last) {
        become_last(connection, !complete || input_left(connection) > 0);
    } else {
        connection->state = complete ? CONNECTION_IDLE : CONNECTION_DROP;
        connection->dropped = 0;
        inbound->keep_body = false;
    }
    if (last || complete)
        release_request(connection);
    else
        arena_reset(&inbound->request.arena);
    if (!connection->running)
        connection_wake(connection);
}

void http_answer(struct http_request *request, struct http_answer *answer) {
    struct http_connection *connection = request->connection;
    if (request->gone) {
        give_buffers(connection, answer);
        connection_forget(connection);
        return;
    }
    bool last = answer->close || connection_must_close(connection);
    gather_answer(connection, answer, last);
    connection_answered(connection, last);
}

struct http_answer http_answer_begin(struct http_request *request, unsigned status) {
    struct spares *spares = &request->connection->server->spares;
    return (struct http_answer){
        .status = status,
        .fields = spares_take_buffer(spares),
        .body = spares_take_buffer(spares),
    };
}
