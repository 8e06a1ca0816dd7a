// The server: takes connections in, lets the clock tick for them, and ends them in order.
#include "http/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ACCEPT_AT_ONCE = 16,         // so that other loops get their share, and requests their turn
    ACCEPT_WHEN_STOPPING = 1024, // what waits in the socket when the server stops
    ACCEPT_PAUSE = 100,          // ms without accepting when there are no descriptors
    COMPLAIN_EVERY = 10000,      // ms
    REFUSED_AT_ONCE = 64,        // connections over the bound that still get an answer
    LINGER_TIME = 5000,          // ms
    STOP_TURNS = 5,  // of the loop, for requests that the kernel has but we have not read
    TICK_MOST = 250, // ms
    TICK_LEAST = 10,
};

static bool is_empty(const struct http_server *server) {
    return list_is_empty(&server->connections) && list_is_empty(&server->closing);
}

// --- the clock ---

static unsigned tick_length(const struct http_limits *limits) {
    unsigned least = limits->request_timeout;
    if (limits->idle_timeout < least)
        least = limits->idle_timeout;
    if (limits->write_timeout < least)
        least = limits->write_timeout;
    least /= 4;
    return least < TICK_LEAST ? TICK_LEAST : least > TICK_MOST ? TICK_MOST : least;
}

static void expire_senders(const struct deadlines *deadlines, uint64_t now) {
    struct deadline *over;
    while ((over = deadlines_over(deadlines, now)))
        connection_time_out(list_entry(over, struct http_connection, patience));
}

static void tick(uv_timer_t *ticker) {
    struct http_server *server = ticker->data;
    uint64_t now = uv_now(server->loop);
    struct deadline *over;
    expire_senders(&server->requests, now);
    expire_senders(&server->idles, now);
    expire_senders(&server->lingers, now);
    while ((over = deadlines_over(&server->writes, now)))
        connection_close(list_entry(over, struct http_connection, writing));
    if (is_empty(server)) {
        spares_free(&server->spares);
        uv_timer_stop(ticker);
    } else {
        spares_shrink(&server->spares);
    }
}

void server_connection_opened(struct http_server *server) {
    uint64_t length = tick_length(&server->limits);
    if (!uv_is_active((uv_handle_t *)&server->ticker))
        uv_timer_start(&server->ticker, tick, length, length);
}

static void end_turn(uv_prepare_t *prepare) {
    struct http_server *server = prepare->data;
    while (!list_is_empty(&server->ready)) {
        struct http_connection *connection =
            list_entry(server->ready.next, struct http_connection, ready);
        list_remove(&connection->ready);
        connection_turn(connection);
    }
}

// --- taking connections in ---

static void on_acceptable(uv_poll_t *acceptor, int status, int events);

static void accept_again(uv_timer_t *delay) {
    struct http_server *server = delay->data;
    uv_poll_start(&server->acceptor, UV_READABLE, on_acceptable);
}

// Without a free descriptor the socket stays readable; a loop would spin on it.
static void accept_pause(struct http_server *server, int error) {
    uint64_t now = uv_now(server->loop);
    if (server->complained == 0 || now - server->complained >= COMPLAIN_EVERY) {
        server->complained = now;
        log_warning(server->log, "connections have to wait: accept: %s", uv_strerror(-error));
    }
    if (server->stopping)
        return;
    uv_poll_stop(&server->acceptor);
    uv_timer_start(&server->delay, accept_again, ACCEPT_PAUSE, 0);
}

static void take_in(struct http_server *server, int descriptor, const struct sockaddr *address) {
    size_t most = server->limits.max_connections;
    size_t over =
        most > 0 && server->connection_count >= most ? server->connection_count - most + 1 : 0;
    if (over > REFUSED_AT_ONCE)
        close(descriptor);
    else
        connection_open(server, descriptor, address, over > 0);
}

static void accept_some(struct http_server *server, unsigned most) {
    for (unsigned i = 0; i < most; i++) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof address;
        int descriptor = accept4(server->descriptor, (struct sockaddr *)&address, &size,
                                 SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor >= 0) {
            take_in(server, descriptor, (const struct sockaddr *)&address);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            accept_pause(server, errno);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
        // Anything else is about one connection, which is gone.
    }
}

static void on_acceptable(uv_poll_t *acceptor, int status, int events) {
    accept_some(acceptor->data, ACCEPT_AT_ONCE);
}

static void on_handle_closed(uv_handle_t *handle) {
    struct http_server *server = handle->data;
    if (--server->open_handles > 0)
        return;
    void (*on_stopped)(void *owner) = server->on_stopped;
    void *owner = server->owner;
    spares_free(&server->spares);
    free(server->read_buffer);
    free(server);
    if (on_stopped)
        on_stopped(owner);
}

// Everything that can fail, before anything that would have to be undone over the loop.
static int open_listener(struct http_server *server, int descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0 ||
        listen(descriptor, SOMAXCONN) != 0)
        return -errno;
    return uv_poll_init(server->loop, &server->acceptor, descriptor);
}

static void open_handles(struct http_server *server) {
    (void)uv_timer_init(server->loop, &server->ticker);
    (void)uv_timer_init(server->loop, &server->delay);
    (void)uv_prepare_init(server->loop, &server->end_of_turn);
    server->acceptor.data = server;
    server->ticker.data = server;
    server->delay.data = server;
    server->end_of_turn.data = server;
    server->open_handles = 4;
    uv_prepare_start(&server->end_of_turn, end_turn);
    uv_poll_start(&server->acceptor, UV_READABLE, on_acceptable);
}

static struct http_server *server_create(uv_loop_t *loop, const struct http_limits *limits) {
    struct http_server *server = calloc(1, sizeof *server);
    char *read_buffer = malloc(SERVER_READ_SIZE);
    if (!server || !read_buffer) {
        free(server);
        free(read_buffer);
        return NULL;
    }
    server->loop = loop;
    server->limits = *limits;
    server->read_buffer = read_buffer;
    list_init(&server->connections);
    list_init(&server->closing);
    list_init(&server->ready);
    deadlines_init(&server->requests, limits->request_timeout);
    deadlines_init(&server->idles, limits->idle_timeout);
    deadlines_init(&server->writes, limits->write_timeout);
    deadlines_init(&server->lingers, LINGER_TIME);
    return server;
}

bool http_server_start(uv_loop_t *loop, int descriptor, const struct http_limits *limits,
                       const struct http_handler *handler, struct log *log,
                       struct http_server **ret_server, struct failure *failure) {
    struct http_server *server = server_create(loop, limits);
    if (!server)
        return failure_out_of_memory(failure);
    server->handler = handler;
    server->log = log;
    int error = open_listener(server, descriptor);
    if (error != 0) {
        free(server->read_buffer);
        free(server);
        return failure_set(failure, FAILURE_INVALID_SETTING, "the socket cannot be listened on: %s",
                           uv_strerror(error));
    }
    server->descriptor = descriptor;
    open_handles(server);
    *ret_server = server;
    return true;
}

size_t http_server_connections(const struct http_server *server) {
    return server->connection_count;
}

// --- stopping ---

static void server_end(struct http_server *server) {
    uv_close((uv_handle_t *)&server->ticker, on_handle_closed);
    uv_close((uv_handle_t *)&server->delay, on_handle_closed);
    uv_close((uv_handle_t *)&server->end_of_turn, on_handle_closed);
}

void server_connection_gone(struct http_server *server) {
    if (server->draining && is_empty(server))
        server_end(server);
}

static void cut_all(uv_timer_t *delay) {
    struct http_server *server = delay->data;
    while (!list_is_empty(&server->connections))
        connection_close(list_entry(server->connections.next, struct http_connection, link));
}

// Comes once a turn of the loop. Sockets are read between two turns, so what the kernel had when
// the server was told to stop is answered, however late the timer is.
static void drain(uv_timer_t *delay) {
    struct http_server *server = delay->data;
    if (++server->turns_since_stop < STOP_TURNS)
        return;
    server->draining = true;
    uv_timer_stop(delay);
    if (is_empty(server)) {
        server_end(server);
        return;
    }
    for (struct link *link = server->connections.next; link != &server->connections;
         link = link->next)
        connection_wake(list_entry(link, struct http_connection, link));
    uv_timer_start(delay, cut_all, server->patience, 0);
}

void http_server_stop(struct http_server *server, unsigned patience,
                      void (*on_stopped)(void *owner), void *owner) {
    if (server->stopping)
        return;
    server->stopping = true;
    server->patience = patience;
    server->on_stopped = on_stopped;
    server->owner = owner;
    // Connections that the kernel has made already, and requests that it has received, came before.
    accept_some(server, ACCEPT_WHEN_STOPPING);
    uv_close((uv_handle_t *)&server->acceptor, on_handle_closed);
    close(server->descriptor);
    uv_timer_start(&server->delay, drain, 1, 1);
}
