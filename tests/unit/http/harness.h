// A server on a loop of its own, with a handler that does what the path says, and a client that
// sends and receives raw bytes. Both run in the test's thread, in turns.
#pragma once

#include "base/clock.h"
#include "http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { HARNESS_PATIENCE = 5000, HARNESS_HELD = 64 };

struct harness {
    uv_loop_t loop;
    struct http_server *server;
    struct http_limits limits;
    struct sockaddr_in address;
    struct http_request *held[HARNESS_HELD]; // requests for /late and of streams, in order
    unsigned held_count;
    unsigned heads;
    unsigned bodies;
    unsigned pieces;
    unsigned largest_piece;
    unsigned broken; // bodies that broke off in pieces
    unsigned writable;
    unsigned stopping;
    unsigned gone;
    unsigned answered;
    unsigned explained;
    unsigned last_status;
    size_t last_body_size;
    bool stopped;
};

struct client {
    struct harness *harness;
    struct buffer in;
    int socket;
    bool ended; // the server sends no more
    bool reset;
};

// What the client got as an answer; texts point into client->in.
struct reply {
    unsigned status;
    struct text head;
    struct text body;
};

static inline void harness_answer(struct http_request *request, unsigned status, struct text body) {
    struct http_answer answer = http_answer_begin(request, status);
    http_answer_field(&answer, "Content-Type", TEXT("text/plain"));
    buffer_append_text(&answer.body, body);
    answer.close = text_equal(request->query, TEXT("close"));
    http_answer(request, &answer);
}

static inline void harness_answer_large(struct http_request *request) {
    struct http_answer answer = {.status = 200};
    size_t size = (size_t)strtoul(request->query.data, NULL, 10);
    for (size_t i = 0; i < size; i++)
        buffer_append_byte(&answer.body, (char)('a' + i % 26));
    http_answer(request, &answer);
}

// "GET /path?query" and what else there is to see of a request.
static inline void harness_answer_with_line(struct http_request *request) {
    struct text line =
        arena_format(&request->arena, "%.*s %.*s?%.*s", TEXT_ARGS(request->method_name),
                     TEXT_ARGS(request->path), TEXT_ARGS(request->query));
    harness_answer(request, 200, line);
}

static inline void harness_hold(struct harness *harness, struct http_request *request) {
    assert_true(harness->held_count < HARNESS_HELD);
    harness->held[harness->held_count++] = request;
}

static inline void harness_begin_stream(struct http_request *request, struct text first,
                                        bool endless) {
    struct http_answer answer = http_answer_begin(request, 200);
    http_answer_field(&answer, "Content-Type", TEXT("text/plain"));
    buffer_append_text(&answer.body, first);
    answer.close = text_equal(request->query, TEXT("close"));
    http_stream_begin(request, &answer, endless);
}

// /stream and /endless begin with "begin;", and the test goes on with them. /duplex, which must
// have a body, echoes each piece of it and ends with "end;" or "broken;". /pieces answers with how
// many bytes came.
static inline bool harness_stream(struct harness *harness, struct http_request *request) {
    if (text_is(request->path, "/stream") || text_is(request->path, "/endless")) {
        harness_hold(harness, request);
        harness_begin_stream(request, TEXT("begin;"), text_is(request->path, "/endless"));
    } else if (text_is(request->path, "/duplex")) {
        http_read_piece(request);
        harness_begin_stream(request, TEXT(""), false);
    } else if (text_is(request->path, "/pieces")) {
        request->owner = arena_allocate_zero(&request->arena, 1, sizeof(size_t));
        http_read_piece(request);
    } else if (text_is(request->path, "/pieces-held")) {
        harness_hold(harness, request);
    } else {
        return false;
    }
    return true;
}

static inline void harness_on_piece(void *context, struct http_request *request,
                                    struct text piece) {
    struct harness *harness = context;
    harness->pieces++;
    if (piece.size > harness->largest_piece)
        harness->largest_piece = (unsigned)piece.size;
    assert_true(piece.size > 0 && piece.size <= 65536);
    if (text_is(request->path, "/pieces-held"))
        return; // the test asks for the next
    if (text_is(request->path, "/duplex"))
        http_stream_write(request, piece);
    else
        *(size_t *)request->owner += piece.size;
    http_read_piece(request);
}

static inline void harness_end_pieces(struct harness *harness, struct http_request *request) {
    const struct failure *fault = request->fault;
    harness->broken += fault != NULL;
    if (text_is(request->path, "/duplex")) {
        http_stream_write(request, fault ? TEXT("broken;") : TEXT("end;"));
        http_stream_end(request);
    } else if (text_is(request->path, "/pieces")) {
        size_t size = *(size_t *)request->owner;
        struct text line =
            arena_format(&request->arena, "%zu %s", size, fault ? failure_type(fault->code) : "ok");
        harness_answer(request, fault ? failure_status(fault->code) : 200, line);
    }
}

static inline void harness_on_writable(void *context, struct http_request *request) {
    struct harness *harness = context;
    harness->writable++;
}

static inline void harness_on_stopping(void *context, struct http_request *request) {
    struct harness *harness = context;
    harness->stopping++;
}

static inline void harness_on_head(void *context, struct http_request *request) {
    struct harness *harness = context;
    harness->heads++;
    if (harness_stream(harness, request))
        return;
    if (text_is(request->path, "/echo") || text_is(request->path, "/late-body")) {
        http_read_body(request);
    } else if (text_is(request->path, "/late")) {
        harness_hold(harness, request);
    } else if (text_is(request->path, "/large")) {
        harness_answer_large(request);
    } else if (text_is(request->path, "/plain")) {
        harness_answer(request, 200, TEXT("plain"));
    } else {
        harness_answer_with_line(request);
    }
}

static inline void harness_on_body(void *context, struct http_request *request) {
    struct harness *harness = context;
    harness->bodies++;
    if (text_is(request->path, "/duplex") || text_starts_with(request->path, TEXT("/pieces")))
        harness_end_pieces(harness, request);
    else if (text_is(request->path, "/late-body"))
        harness->held[harness->held_count++] = request;
    else
        harness_answer(request, 200, request->body);
}

static inline void harness_on_gone(void *context, struct http_request *request) {
    struct harness *harness = context;
    assert_true(request->gone);
    harness->gone++;
    for (unsigned i = 0; i < harness->held_count; i++) {
        if (harness->held[i] == request)
            return; // the test answers it
    }
    if (text_is(request->path, "/duplex"))
        http_stream_end(request);
    else
        harness_answer(request, 200, TEXT("nobody reads this"));
}

static inline void harness_explain(void *context, const struct http_request *request,
                                   const struct failure *failure, struct http_answer *answer) {
    struct harness *harness = context;
    harness->explained++;
    assert_true(failure->code != FAILURE_NONE);
    assert_true(failure->detail[0] != '\0');
    http_answer_field(answer, "Content-Type", TEXT("text/plain"));
    buffer_append_string(&answer->body, failure_type(failure->code));
}

static inline void harness_on_answered(void *context, const struct http_request *request,
                                       unsigned status, size_t body_size) {
    struct harness *harness = context;
    harness->answered++;
    harness->last_status = status;
    harness->last_body_size = body_size;
}

static inline int harness_listen(struct sockaddr_in *ret_address) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_true(listener >= 0);
    // What is accepted inherits it. With little room in the kernel, reads and writes are partial.
    int room = 64 * 1024;
    assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &room, sizeof room), 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    *ret_address = address;
    return listener;
}

static inline void harness_start_on(struct harness *harness, int listener) {
    static struct http_handler handler;
    handler = (struct http_handler){
        .on_head = harness_on_head,
        .on_body = harness_on_body,
        .on_piece = harness_on_piece,
        .on_gone = harness_on_gone,
        .on_writable = harness_on_writable,
        .on_stopping = harness_on_stopping,
        .explain = harness_explain,
        .on_answered = harness_on_answered,
        .context = harness,
    };
    struct failure failure;
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(uv_loop_init(&harness->loop), 0);
    assert_true(http_server_start(&harness->loop, listener, &harness->limits, &handler, NULL,
                                  &harness->server, &failure));
}

// A harness whose limits may still be changed before harness_start.
static inline struct harness *harness_create(void) {
    struct harness *harness = calloc(1, sizeof *harness);
    assert_non_null(harness);
    harness->limits = (struct http_limits){
        .max_head = 4096,
        .max_body = 200000,
        .request_timeout = 5000,
        .idle_timeout = 5000,
        .write_timeout = 5000,
    };
    return harness;
}

static inline void harness_start(struct harness *harness) {
    harness_start_on(harness, harness_listen(&harness->address));
}

static inline void harness_on_stopped(void *owner) {
    struct harness *harness = owner;
    harness->stopped = true;
}

// Runs the loop until `*flag`, which must become true in time.
static inline void harness_run_until(struct harness *harness, const bool *flag) {
    uint64_t start = clock_monotonic();
    while (!*flag) {
        assert_true(clock_monotonic() - start < HARNESS_PATIENCE);
        uv_run(&harness->loop, UV_RUN_NOWAIT);
        usleep(200);
    }
}

// Runs the loop until the counter has reached a value, which it must in time.
static inline void harness_run_to(struct harness *harness, const unsigned *counter,
                                  unsigned value) {
    uint64_t start = clock_monotonic();
    while (*counter < value) {
        assert_true(clock_monotonic() - start < HARNESS_PATIENCE);
        uv_run(&harness->loop, UV_RUN_NOWAIT);
    }
}

// Stops in order, which must not leave anything behind.
static inline void harness_end(struct harness *harness) {
    if (!harness->stopped) {
        http_server_stop(harness->server, 0, harness_on_stopped, harness);
        harness_run_until(harness, &harness->stopped);
    }
    assert_int_equal(uv_run(&harness->loop, UV_RUN_NOWAIT), 0);
    assert_int_equal(uv_loop_close(&harness->loop), 0);
    free(harness);
}

// Fixtures of cmocka: a harness, one that is started, and the end of either.
static inline int setup(void **state) {
    *state = harness_create();
    return 0;
}

static inline int setup_started(void **state) {
    (void)setup(state);
    harness_start(*state);
    return 0;
}

static inline int teardown(void **state) {
    harness_end(*state);
    return 0;
}

static inline void client_open(struct client *client, struct harness *harness) {
    int one = 1;
    *client = (struct client){.harness = harness};
    client->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client->socket >= 0);
    assert_int_equal(
        connect(client->socket, (struct sockaddr *)&harness->address, sizeof harness->address), 0);
    assert_int_equal(setsockopt(client->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
    assert_int_equal(fcntl(client->socket, F_SETFL, O_NONBLOCK), 0);
}

// Closes with a reset instead of in order.
static inline void client_reset(struct client *client) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(client->socket, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(client->socket);
    buffer_free(&client->in);
    client->socket = -1;
}

static inline void client_close(struct client *client) {
    if (client->socket >= 0)
        close(client->socket);
    buffer_free(&client->in);
}

// One turn of the loop, and whatever has come then.
static inline void client_pump(struct client *client) {
    char bytes[65536];
    uv_run(&client->harness->loop, UV_RUN_NOWAIT);
    for (;;) {
        ssize_t size = recv(client->socket, bytes, sizeof bytes, 0);
        if (size <= 0) {
            client->ended = client->ended || size == 0;
            client->reset = client->reset || (size < 0 && errno == ECONNRESET);
            return;
        }
        buffer_append(&client->in, bytes, (size_t)size);
    }
}

static inline void client_send(struct client *client, const void *bytes, size_t size) {
    const char *next = bytes;
    uint64_t start = clock_monotonic();
    while (size > 0) {
        ssize_t sent = send(client->socket, next, size, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
            return; // the server closed; what it said is read later
        if (sent > 0) {
            next += sent;
            size -= (size_t)sent;
        }
        if (size > 0)
            client_pump(client);
        assert_true(clock_monotonic() - start < HARNESS_PATIENCE);
    }
}

static inline void client_send_string(struct client *client, const char *string) {
    client_send(client, string, strlen(string));
}

// Takes a whole answer off the front of `in`, from `*offset` on; false where it is not all there.
static inline bool reply_parse(struct text in, size_t *offset, bool head_only,
                               struct reply *reply) {
    struct text rest = text_from(in, *offset);
    const char *end = rest.size ? memmem(rest.data, rest.size, "\r\n\r\n", 4) : NULL;
    if (!end)
        return false;
    reply->head = text_of(rest.data, (size_t)(end + 4 - rest.data));
    reply->status = (unsigned)strtoul(rest.data + 9, NULL, 10);
    const char *length = memmem(reply->head.data, reply->head.size, "Content-Length: ", 16);
    size_t size = length && !head_only ? (size_t)strtoul(length + 16, NULL, 10) : 0;
    if (rest.size - reply->head.size < size)
        return false;
    reply->body = text_of(end + 4, size);
    *offset += reply->head.size + size;
    return true;
}

// Waits for the next answer from `*offset` on.
static inline struct reply client_receive(struct client *client, size_t *offset, bool head_only) {
    struct reply reply = {0};
    uint64_t start = clock_monotonic();
    while (!reply_parse(buffer_text(&client->in), offset, head_only, &reply)) {
        if (client->ended || client->reset || clock_monotonic() - start > HARNESS_PATIENCE)
            fail_msg("no answer; got %zu bytes: %.*s", client->in.size,
                     (int)(client->in.size < 500 ? client->in.size : 500), client->in.data);
        client_pump(client);
    }
    return reply;
}

// What a chunked answer has from `*offset` on, head and body decoded; `ended` where its last chunk
// is there, too.
struct chunked {
    struct text head;
    struct buffer body;
    unsigned chunks;
    bool ended;
};

static inline void chunked_free(struct chunked *chunked) {
    buffer_free(&chunked->body);
}

// Reads as far as whole chunks are there; a wrong one fails.
static inline struct chunked chunked_parse(struct text in, size_t *offset) {
    struct chunked chunked = {0};
    struct text rest = text_from(in, *offset);
    const char *end = rest.size ? memmem(rest.data, rest.size, "\r\n\r\n", 4) : NULL;
    if (!end)
        return chunked;
    chunked.head = text_of(rest.data, (size_t)(end + 4 - rest.data));
    rest = text_from(rest, chunked.head.size);
    while (!chunked.ended) {
        end = rest.size ? memmem(rest.data, rest.size, "\r\n", 2) : NULL;
        if (!end)
            break;
        char *stop;
        size_t size = strtoul(rest.data, &stop, 16);
        assert_ptr_equal(stop, end);
        struct text data = text_from(rest, (size_t)(end + 2 - rest.data));
        if (data.size < size + 2)
            break;
        assert_memory_equal(data.data + size, "\r\n", 2);
        buffer_append(&chunked.body, data.data, size);
        chunked.chunks++;
        chunked.ended = size == 0;
        rest = text_from(data, size + 2);
    }
    if (chunked.ended)
        *offset = in.size - rest.size;
    return chunked;
}

// Waits for a chunked answer of at least `size` bytes, or for its end.
static inline struct chunked client_receive_chunked(struct client *client, size_t *offset,
                                                    size_t size) {
    uint64_t start = clock_monotonic();
    for (;;) {
        struct chunked chunked = chunked_parse(buffer_text(&client->in), offset);
        bool there = size == SIZE_MAX ? chunked.ended : chunked.body.size >= size;
        if (there && chunked.head.data)
            return chunked;
        if (client->ended || client->reset || clock_monotonic() - start > HARNESS_PATIENCE)
            fail_msg("no such stream; got %zu bytes of it", chunked.body.size);
        chunked_free(&chunked);
        client_pump(client);
    }
}

// Waits until the server sends no more; false where it does not end, or ends with a reset.
static inline bool client_sees_end(struct client *client) {
    uint64_t start = clock_monotonic();
    while (!client->ended && !client->reset && clock_monotonic() - start < HARNESS_PATIENCE)
        client_pump(client);
    return client->ended;
}

// Whether the connection still takes requests.
static inline bool client_is_served(struct client *client, size_t *offset) {
    client_send_string(client, "GET /probe HTTP/1.1\r\nHost: a\r\n\r\n");
    uint64_t start = clock_monotonic();
    struct reply reply = {0};
    while (!client->ended && !client->reset && clock_monotonic() - start < HARNESS_PATIENCE) {
        if (reply_parse(buffer_text(&client->in), offset, false, &reply))
            return text_is(reply.body, "GET /probe?");
        client_pump(client);
    }
    return false;
}

static inline bool text_contains(struct text text, const char *string) {
    return memmem(text.data, text.size, string, strlen(string)) != NULL;
}

// At least `ms` milliseconds and ten turns of the loop: long enough for what shall not happen.
static inline void client_wait(struct client *client, unsigned ms) {
    uint64_t start = clock_monotonic();
    for (int turns = 0; turns < 10 || clock_monotonic() - start < ms; turns++) {
        client_pump(client);
        usleep(200);
    }
}
