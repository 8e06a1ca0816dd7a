// Stands between the store and PostgreSQL, on a thread of its own, and cuts the connection after as
// many bytes as it is told, in the direction that it is told. For tests of what the store makes of
// a network that fails at the worst moment.
#pragma once

#include "unit/testing.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PROXY_PAIRS = 16, PROXY_TO_SERVER = 0, PROXY_TO_CLIENT = 1 };

struct proxy {
    pthread_t thread;
    int listener;
    uint16_t port;
    uint16_t server_port;
    atomic_bool stopping;
    atomic_int direction; // in which bytes count
    atomic_long left;     // bytes until all connections are cut; below 0: they are not

    // The thread's own.
    int pairs[PROXY_PAIRS][2]; // the client's and the server's side; -1 where there is none
};

static inline void proxy_reset(int socket) {
    struct linger reset = {.l_onoff = 1};
    (void)setsockopt(socket, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    (void)close(socket);
}

static inline void proxy_drop(struct proxy *proxy, size_t pair) {
    for (size_t side = 0; side < 2; side++) {
        if (proxy->pairs[pair][side] >= 0)
            proxy_reset(proxy->pairs[pair][side]);
        proxy->pairs[pair][side] = -1;
    }
}

static inline void proxy_accept(struct proxy *proxy) {
    int client = accept(proxy->listener, NULL, NULL);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons(proxy->server_port)};
    bool connected = client >= 0 && server >= 0 &&
                     connect(server, (struct sockaddr *)&address, sizeof address) == 0;
    for (size_t i = 0; connected && i < PROXY_PAIRS; i++) {
        if (proxy->pairs[i][0] >= 0)
            continue;
        proxy->pairs[i][0] = client;
        proxy->pairs[i][1] = server;
        return;
    }
    proxy_reset(client);
    proxy_reset(server);
}

// Passes on what one side has to say; false when that ends the connection.
static inline bool proxy_pass(struct proxy *proxy, size_t pair, int from) {
    char data[16384];
    ssize_t size = read(proxy->pairs[pair][from], data, sizeof data);
    if (size <= 0)
        return false;
    long left = atomic_load(&proxy->left);
    bool counts = left >= 0 && from == atomic_load(&proxy->direction);
    bool cut = counts && size >= left;
    if (cut)
        size = left;
    if (size && send(proxy->pairs[pair][!from], data, (size_t)size, MSG_NOSIGNAL) != size)
        return false;
    if (counts)
        atomic_store(&proxy->left, cut ? -1 : left - size);
    for (size_t i = 0; cut && i < PROXY_PAIRS; i++)
        proxy_drop(proxy, i);
    return true;
}

static inline void *proxy_run(void *argument) {
    struct proxy *proxy = argument;
    while (!atomic_load(&proxy->stopping)) {
        struct pollfd waits[1 + 2 * PROXY_PAIRS] = {{.fd = proxy->listener, .events = POLLIN}};
        for (size_t i = 0; i < 2 * PROXY_PAIRS; i++)
            waits[1 + i] = (struct pollfd){.fd = proxy->pairs[i / 2][i % 2], .events = POLLIN};
        (void)poll(waits, 1 + 2 * PROXY_PAIRS, 20);
        for (size_t i = 0; i < 2 * PROXY_PAIRS; i++) {
            bool same = waits[1 + i].fd >= 0 && waits[1 + i].fd == proxy->pairs[i / 2][i % 2];
            if (same && waits[1 + i].revents && !proxy_pass(proxy, i / 2, (int)(i % 2)))
                proxy_drop(proxy, i / 2);
        }
        if (waits[0].revents)
            proxy_accept(proxy);
    }
    for (size_t i = 0; i < PROXY_PAIRS; i++)
        proxy_drop(proxy, i);
    return NULL;
}

static inline void proxy_open(struct proxy *proxy, uint16_t server_port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *proxy = (struct proxy){.server_port = server_port, .left = -1};
    memset(proxy->pairs, -1, sizeof proxy->pairs);
    proxy->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(proxy->listener >= 0);
    assert_int_equal(bind(proxy->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(proxy->listener, 64), 0);
    assert_int_equal(getsockname(proxy->listener, (struct sockaddr *)&address, &size), 0);
    proxy->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&proxy->thread, NULL, proxy_run, proxy), 0);
}

static inline void proxy_close(struct proxy *proxy) {
    atomic_store(&proxy->stopping, true);
    assert_int_equal(pthread_join(proxy->thread, NULL), 0);
    (void)close(proxy->listener);
}

// Cuts all connections after so many more bytes in a direction.
static inline void proxy_cut_after(struct proxy *proxy, int direction, long bytes) {
    atomic_store(&proxy->direction, direction);
    atomic_store(&proxy->left, bytes);
}
