// Answers whose length is not known ahead: what the handler writes within a turn of the loop
// becomes one chunk (RFC 9112 section 7.1), or plain bytes up to the connection's end for HTTP/1.0.
#include "http/connection.h"
#include "http/server.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

enum { SILENCE = 60 }; // seconds until TCP asks whether the client of an endless stream is there

static size_t bytes_that_wait(const struct http_connection *connection) {
    size_t size = connection->stream.unframed.size;
    if (connection->gathered)
        size += connection->gathered->size;
    if (connection->sending)
        size += connection->sending->size;
    return size;
}

static void set_option(struct http_connection *connection, int level, int name, const void *value,
                       socklen_t size) {
    uv_os_fd_t descriptor;
    // Where it cannot be set, a client that is lost is noticed later.
    if (connection->socket.handle.type == UV_TCP &&
        uv_fileno(&connection->socket.handle, &descriptor) == 0)
        (void)setsockopt(descriptor, level, name, value, size);
}

// A client that vanished without a word is missed by nobody while there is nothing to send.
static void watch_over_silence(struct http_connection *connection) {
    unsigned most = connection->server->limits.write_timeout;
    if (connection->socket.handle.type != UV_TCP)
        return;
    (void)uv_tcp_keepalive(&connection->socket.tcp, 1, SILENCE);
    set_option(connection, IPPROTO_TCP, TCP_USER_TIMEOUT, &most, sizeof most);
}

void http_stream_begin(struct http_request *request, struct http_answer *answer, bool endless) {
    struct http_connection *connection = request->connection;
    struct spares *spares = &connection->server->spares;
    const struct inbound *inbound = connection->inbound;
    bool duplex = connection->state == CONNECTION_BODY;
    struct stream *stream = &connection->stream;
    if (request->gone) {
        spares_give_buffer(spares, &answer->fields);
        spares_give_buffer(spares, &answer->body);
        return;
    }
    if (duplex && inbound->expects_continue && inbound->received == 0)
        connection_continue(connection);
    struct response response = {
        .answer = answer,
        .head = request->method == HTTP_METHOD_HEAD,
        .http_1_0 = inbound->http_1_0,
        .stream = true,
    };
    bool delimited = response_is_chunked(&response) || !response_has_content(&response);
    bool kept = duplex ? inbound->keep_alive && !connection->server->stopping
                       : !connection_must_close(connection);
    response.last = answer->close || !delimited || !kept;
    connection->failed = connection->failed || answer->fields.failed || answer->body.failed;
    *stream = (struct stream){.begun = true,
                              .endless = endless,
                              .has_content = response_has_content(&response),
                              .chunked = response_is_chunked(&response),
                              .last = response.last,
                              .status = answer->status};
    connection_gather_head(connection, &response);
    if (endless)
        watch_over_silence(connection);
    spares_give_buffer(spares, &answer->fields);
    (void)http_stream_write(request, buffer_text(&answer->body));
    spares_give_buffer(spares, &answer->body);
}

bool http_stream_write(struct http_request *request, struct text bytes) {
    struct http_connection *connection = request->connection;
    struct stream *stream = &connection->stream;
    if (!connection->running)
        connection_wake(connection);
    if (request->gone || !stream->has_content)
        return true;
    if (stream->unframed.capacity == 0)
        stream->unframed = spares_take_buffer(&connection->server->spares);
    buffer_append_text(&stream->unframed, bytes);
    connection->failed = connection->failed || stream->unframed.failed;
    stream->size += bytes.size;
    stream->full = bytes_that_wait(connection) >= HTTP_STREAM_ENOUGH;
    return !stream->full;
}

void stream_frame(struct http_connection *connection) {
    struct stream *stream = &connection->stream;
    if (stream->unframed.size == 0)
        return;
    struct output *output = connection_gather(connection);
    if (output && stream->chunked) {
        char line[24];
        int size = snprintf(line, sizeof line, "%zx\r\n", stream->unframed.size);
        output_append(output, line, (size_t)size);
    }
    if (output)
        output_append_buffer(output, &stream->unframed);
    if (output && stream->chunked)
        output_append(output, "\r\n", 2);
    // A stream that has nothing to say keeps no memory for it.
    spares_give_buffer(&connection->server->spares, &stream->unframed);
}

void stream_clear(struct http_connection *connection) {
    buffer_free(&connection->stream.unframed);
    connection->stream = (struct stream){0};
}

bool stream_attend(struct http_connection *connection) {
    struct stream *stream = &connection->stream;
    const struct http_server *server = connection->server;
    const struct http_handler *handler = server->handler;
    if (!stream->begun)
        return false;
    if (stream->endless && connection->ended) {
        connection->failed = true; // closes, and tells the handler
        return true;
    }
    if (server->draining && !stream->told) {
        stream->told = true;
        handler->on_stopping(handler->context, &connection->inbound->request);
        return true;
    }
    if (stream->full && !connection->sending && bytes_that_wait(connection) < HTTP_STREAM_ENOUGH) {
        stream->full = false;
        handler->on_writable(handler->context, &connection->inbound->request);
        return true;
    }
    return false;
}

// Tells of the stream, and goes on where its client has gone: true where there is no more to do.
static bool close_stream(struct http_request *request) {
    struct http_connection *connection = request->connection;
    const struct http_handler *handler = connection->server->handler;
    const struct stream *stream = &connection->stream;
    if (stream->begun)
        handler->on_answered(handler->context, request, stream->status, stream->size);
    if (!request->gone)
        stream_frame(connection);
    return request->gone;
}

static void leave_stream(struct http_connection *connection, bool last) {
    stream_clear(connection);
    connection_answered(connection, last);
}

void http_stream_end(struct http_request *request) {
    struct http_connection *connection = request->connection;
    if (close_stream(request)) {
        connection_forget(connection);
        return;
    }
    struct output *output = connection->stream.chunked ? connection_gather(connection) : NULL;
    if (output)
        output_append(output, "0\r\n\r\n", 5);
    leave_stream(connection, connection->stream.last || connection_must_close(connection));
}

void http_stream_abort(struct http_request *request) {
    static const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    struct http_connection *connection = request->connection;
    if (close_stream(request)) {
        connection_forget(connection);
        return;
    }
    bool delimited = connection->stream.chunked || !connection->stream.has_content;
    leave_stream(connection, true);
    if (!delimited) {
        set_option(connection, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        connection->lingers = false;
    }
}
