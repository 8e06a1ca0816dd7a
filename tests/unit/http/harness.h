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
    struct http_request *held[HARNESS_HELD]; // requests for /late, in order
    unsigned held_count;
    unsigned heads;
    unsigned bodies;
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

static inline void harness_on_head(void *context, struct http_request *request) {
    struct harness *harness = context;
    harness->heads++;
    if (text_is(request->path, "/echo") || text_is(request->path, "/late-body")) {
        http_read_body(request);
    } else if (text_is(request->path, "/late")) {
        assert_true(harness->held_count < HARNESS_HELD);
        harness->held[harness->held_count++] = request;
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
    if (text_is(request->path, "/late-body"))
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
        .on_gone = harness_on_gone,
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
