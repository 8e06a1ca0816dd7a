// What connections know of the server that they belong to. The server owns them, and the memory
// that all of them use in turn; everything belongs to the loop's thread.
#pragma once

#include "http/connection.h"
#include "http/deadline.h"
#include "http/http.h"
#include "http/response.h"
#include "http/spares.h"

enum { SERVER_READ_SIZE = 64 * 1024 };

struct http_server {
    uv_loop_t *loop;
    struct http_limits limits;
    const struct http_handler *handler;
    struct log *log;

    // Taking connections in.
    int descriptor; // -1: no longer
    uv_poll_t acceptor;
    uint64_t complained; // when the log was told that accept failed; 0: never

    struct link connections; // open ones
    size_t connection_count;
    struct link closing;      // closed ones, until libuv and the handler let go of them
    struct link ready;        // those that have something to do at the end of this turn of the loop
    uv_prepare_t end_of_turn; // does it, before the loop waits
    char *read_buffer;        // what was read last, on whichever connection

    // One timer sees to all deadlines.
    uv_timer_t ticker;
    struct deadlines requests;
    struct deadlines idles;
    struct deadlines writes;
    struct deadlines lingers;

    struct spares spares;
    struct date date;

    // Ending.
    bool stopping;    // answers say that the connection closes
    bool draining;    // and connections without a request close
    uv_timer_t delay; // until connections are taken in again, or until the next step of stopping
    unsigned turns_since_stop;
    unsigned patience;
    unsigned open_handles; // of the server itself
    void (*on_stopped)(void *owner);
    void *owner;
};

// A connection opened: sees to it that the clock ticks.
void server_connection_opened(struct http_server *server);

// A connection's memory went: ends the server when it was the last one that it waited for.
void server_connection_gone(struct http_server *server);
