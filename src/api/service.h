// A service is a worker's whole API on one loop: its session with the store, its HTTP server, the
// catalogue that it serves. It belongs to its loop's thread.
#pragma once

#include "api/cors.h"
#include "api/key_cache.h"
#include "api/key_lookup.h"
#include "api/listeners.h"
#include "api/operation_sweeper.h"
#include "api/runner.h"
#include "api/secrets.h"
#include "api/sweeper.h"
#include "api/usage.h"
#include "api/waiters.h"
#include "http/http.h"
#include "resource/catalogue.h"

struct proxies;
struct rate_limits;

// What all services of a process share; immutable, and outlives them.
struct service_options {
    struct store *store;
    struct log *log;
    struct feed *feed;      // NULL: nobody can listen to events
    struct runner *runner;  // NULL: this process runs no commands
    struct secrets secrets; // as they are when services start
    struct keyring *keyring;
    const struct proxies *proxies;   // that are trusted; NULL: none
    struct rate_limits *rate_limits; // NULL: nothing is limited
    struct http_limits limits;
    unsigned query_timeout;    // milliseconds
    int64_t key_warning;       // milliseconds before its end from which on a key is warned
    unsigned shutdown_timeout; // milliseconds that requests under way get when the service stops
    unsigned idempotency_retention; // milliseconds for which answers under an Idempotency-Key are
                                    // kept
    unsigned operations_retention;  // milliseconds for which operations are kept that have ended
    unsigned events_heartbeat;      // milliseconds
    struct cors_origins cors_origins;
    size_t gzip_min; // bytes of an answer from which on it is compressed; ENCODING_OFF: none is
    bool log_access;
};

enum { SERVICE_MAX_SOCKETS = 16 };

struct service {
    const struct service_options *options;
    uv_loop_t *loop;
    struct catalogue *catalogue; // a reference
    struct secrets secrets;
    struct store_session *session;
    struct listeners listeners;
    struct waiters waiters;
    struct http_server *servers[SERVICE_MAX_SOCKETS]; // one a listening socket
    size_t server_count;
    struct http_handler handler;
    struct key_cache key_cache;
    struct key_lookup_plan key_lookup;
    struct usage usage; // of API keys
    struct arena arena; // of what it needs as long as it lives
    struct sweeper sweeper;
    struct operation_sweeper operation_sweeper;
    uint64_t request_seed; // request ids are this and a count, so that processes do not repeat them
    uint64_t request_count;
    bool stopping; // not ready; http_server_stop was called
    void (*on_stopped)(void *owner);
    void *owner;
};

// Starts serving what comes in at listening sockets, at most SERVICE_MAX_SOCKETS, which are the
// service's from then on, also when it fails. Takes a reference of the catalogue. After a failure
// the loop must be run until what was opened on it is closed.
bool service_start(struct service *service, uv_loop_t *loop, const int *sockets,
                   size_t socket_count, struct catalogue *catalogue,
                   const struct service_options *options, struct failure *failure);

// Has this service, one of a process, clean up behind all. Before its loop runs, or on its thread.
void service_sweep(struct service *service);

// Serves by another catalogue from the next request on; takes a reference. Requests under way end
// with the one that they began with.
void service_reload(struct service *service, struct catalogue *catalogue);

// Goes by other secrets from now on.
void service_renew(struct service *service, const struct secrets *secrets);

// Ends in order: requests under way are answered, the session is detached, then on_stopped is
// called, after which nothing of the service is left on the loop.
void service_stop(struct service *service, void (*on_stopped)(void *owner), void *owner);
