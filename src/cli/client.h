// A client speaks to a running server over HTTP, with many requests under way at once on
// connections that stay open (libcurl's multi interface). It belongs to one thread.
#pragma once

#include "base/buffer.h"
#include "base/failure.h"
#include "cli/settings.h"

#include <curl/curl.h>

struct client;

// Where the server is. Its texts end with a zero byte and outlive the client.
struct client_server {
    const char *url;         // without a slash at its end: "http://127.0.0.1:8080"
    const char *unix_socket; // NULL: TCP
    const char *key;         // the API key; NULL: none
    bool is_local;           // found by ourselves: no proxy is asked
};

// One request. Its owner keeps it, with what it points to, until on_done.
struct client_request {
    // Set by the owner.
    const char *method; // "GET", "POST", "PUT"
    const char *target; // "/packages?limit=1000", zero-terminated
    struct text body;   // JSON; data NULL: none
    char *field;        // one more line of its head, "Name: value", zero-terminated; NULL: none
    unsigned timeout;   // milliseconds for the whole of it; 0: two minutes
    void (*on_done)(struct client_request *request);
    void *owner;

    // The answer, in on_done.
    unsigned status;      // 0: there was none, and `problem` says why
    bool was_sent;        // the server may have got it; false: it surely has not
    char problem[200];    // zero-terminated
    struct buffer answer; // the body
    struct buffer link;   // the fields Link, one a line
    int64_t total;        // X-Total-Count, or -1
    unsigned retry_after; // Retry-After in seconds, or 0

    // The client's own.
    struct client *client;
    CURL *handle;
    struct curl_slist fields;    // the one more, then the client's
    struct client_request *next; // of those that wait
    uint64_t due;
};

// NULL and a failure when there is no memory.
struct client *client_open(const struct client_server *server, struct failure *failure);

// Closes it; none of its requests may be under way. Takes NULL.
void client_close(struct client *client);

// Sends a request, in `delay` milliseconds. on_done comes from client_run.
void client_send(struct client *client, struct client_request *request, unsigned delay);

// Lets things go on for as long as something does, but no longer than `timeout` milliseconds.
void client_run(struct client *client, unsigned timeout);

// The same; it ends, too, when something may be read from a descriptor (-1: none).
void client_run_with(struct client *client, int descriptor, unsigned timeout);

// Gives a request up that was sent and is not done; on_done is not called. The server may have got
// it.
void client_cancel(struct client *client, struct client_request *request);

// Sends one request and waits for its answer; on_done is not called.
void client_ask(struct client *client, struct client_request *request);

// Frees what the answer took.
void client_request_free(struct client_request *request);

// The target of the Link with a relation: path and query, whatever the server calls itself. False
// where there is none.
bool client_link(const struct client_request *request, const char *relation, struct buffer *out);

// What an answer that is no success says, for people: the problem's detail and each of its errors.
void client_explain(const struct client_request *request, struct buffer *out);

// Whether the answer is a problem of a type, "overtaken".
bool client_is_problem(const struct client_request *request, const char *type);

// Where the first of the addresses that has a way for clients would be served. Its url is put into
// the arena. False where there is none.
bool client_guess_server(const struct listen_list *listen, struct arena *arena,
                         struct client_server *ret_server);

// Whether a running server answers at one of the addresses; `ret_server` then says where. Its url
// is put into the arena.
bool client_find_server(const struct listen_list *listen, struct arena *arena,
                        struct client_server *ret_server);
