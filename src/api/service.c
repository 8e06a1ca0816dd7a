#include "api/service.h"

#include "api/access_log.h"
#include "api/exchange.h"
#include "base/random.h"

#include <unistd.h>

static void on_head(void *context, struct http_request *request) {
    exchange_start(context, request);
}

static void on_body(void *context, struct http_request *request) {
    struct exchange *exchange = request->owner;
    if (exchange->handler->on_last_piece)
        exchange->handler->on_last_piece(exchange);
    else
        exchange_resume(exchange);
}

static void on_piece(void *context, struct http_request *request, struct text piece) {
    struct exchange *exchange = request->owner;
    exchange->handler->on_piece(exchange, piece);
}

// Nobody will read the answer. What the store has under way is let finish (a write) or given up (a
// read); a body that will not come ends the exchange at once.
static void on_gone(void *context, struct http_request *request) {
    struct exchange *exchange = request->owner;
    struct service *service = context;
    if (exchange->is_busy)
        return; // it is resumed when that is done
    if (exchange->handler->on_gone)
        exchange->handler->on_gone(exchange);
    else if (!exchange->job_is_out)
        exchange_abandon(exchange);
    else if (exchange->job.kind != JOB_WRITE)
        store_cancel(service->session, &exchange->job);
}

static void on_writable(void *context, struct http_request *request) {
    struct exchange *exchange = request->owner;
    if (exchange->handler->on_writable)
        exchange->handler->on_writable(exchange);
    else
        exchange_resume(exchange);
}

static void on_stopping(void *context, struct http_request *request) {
    struct exchange *exchange = request->owner;
    if (exchange->handler->on_stopping)
        exchange->handler->on_stopping(exchange);
}

static void explain(void *context, const struct http_request *request,
                    const struct failure *failure, struct http_answer *answer) {
    exchange_explain(context, request, failure, answer);
}

static void on_answered(void *context, const struct http_request *request, unsigned status,
                        size_t body_size) {
    const struct service *service = context;
    if (service->options->log_access)
        access_log_write(service->options->log, request, status, body_size);
}

static void close_parts(struct service *service) {
    key_cache_close(&service->key_cache);
    usage_close(&service->usage);
    arena_free(&service->arena);
}

static void on_detached(void *owner) {
    struct service *service = owner;
    catalogue_release(service->catalogue);
    service->catalogue = NULL;
    close_parts(service);
    if (service->on_stopped)
        service->on_stopped(service->owner);
}

static void on_usage_stopped(void *owner) {
    struct service *service = owner;
    store_detach(service->session, on_detached, service);
}

// Every request has its answer, and is counted.
static void on_listeners_closed(void *owner) {
    struct service *service = owner;
    usage_stop(&service->usage, on_usage_stopped, service);
}

static void on_sweeper_closed(void *owner) {
    struct service *service = owner;
    waiters_close(&service->waiters);
    listeners_close(&service->listeners, on_listeners_closed, service);
}

static void on_server_stopped(void *owner) {
    struct service *service = owner;
    if (--service->server_count == 0)
        operation_sweeper_close(&service->operation_sweeper, on_sweeper_closed, service);
}

void service_sweep(struct service *service) {
    sweeper_start(&service->sweeper, service);
    operation_sweeper_start(&service->operation_sweeper, service);
}

void service_reload(struct service *service, struct catalogue *catalogue) {
    if (!service->catalogue)
        return; // it has stopped
    catalogue_retain(catalogue);
    catalogue_release(service->catalogue);
    service->catalogue = catalogue;
    listeners_reload(&service->listeners, catalogue);
}

void service_renew(struct service *service, const struct secrets *secrets) {
    service->secrets = *secrets;
    listeners_renew(&service->listeners);
}

void service_stop(struct service *service, void (*on_stopped)(void *owner), void *owner) {
    if (service->stopping)
        return;
    service->stopping = true;
    service->on_stopped = on_stopped;
    service->owner = owner;
    sweeper_stop(&service->sweeper);
    operation_sweeper_stop(&service->operation_sweeper);
    listeners_stop(&service->listeners);
    waiters_stop(&service->waiters);
    for (size_t i = 0, count = service->server_count; i < count; i++)
        http_server_stop(service->servers[i], service->options->shutdown_timeout, on_server_stopped,
                         service);
}

// Starts a server a socket, if all went well so far; closes those that it does not come to.
static bool start_servers(struct service *service, const int *sockets, size_t count, bool ok,
                          struct failure *failure) {
    for (size_t i = 0; i < count; i++) {
        if (!ok) {
            close(sockets[i]);
            continue;
        }
        ok = http_server_start(service->loop, sockets[i], &service->options->limits,
                               &service->handler, service->options->log, &service->servers[i],
                               failure);
        service->server_count += ok;
    }
    return ok;
}

// What requests need besides the catalogue; the session last, which is not closed at once.
static bool open_parts(struct service *service, struct failure *failure) {
    const struct dialect *dialect = dialect_of(store_dialect(service->options->store));
    if (!random_bytes(&service->request_seed, sizeof service->request_seed))
        return failure_set(failure, FAILURE_INTERNAL, "the kernel gives no randomness");
    if (!key_lookup_plan_make(&service->arena, dialect, &service->key_lookup) ||
        !usage_open(&service->usage, &service->arena, dialect, service->options->log))
        return failure_out_of_memory(failure);
    return key_cache_open(&service->key_cache, service->options->keyring, failure) &&
           store_attach(service->options->store, service->loop, &service->session, failure);
}

bool service_start(struct service *service, uv_loop_t *loop, const int *sockets,
                   size_t socket_count, struct catalogue *catalogue,
                   const struct service_options *options, struct failure *failure) {
    *service = (struct service){.options = options, .loop = loop, .secrets = options->secrets};
    service->handler = (struct http_handler){.on_head = on_head,
                                             .on_body = on_body,
                                             .on_piece = on_piece,
                                             .on_gone = on_gone,
                                             .on_writable = on_writable,
                                             .on_stopping = on_stopping,
                                             .explain = explain,
                                             .on_answered = on_answered,
                                             .context = service};
    if (!open_parts(service, failure)) {
        close_parts(service);
        for (size_t i = 0; i < socket_count; i++)
            close(sockets[i]);
        return false;
    }
    usage_start(&service->usage, loop, service->session);
    service->catalogue = catalogue_retain(catalogue);
    bool ok = !options->feed || listeners_open(&service->listeners, service, options->feed,
                                               options->events_heartbeat, failure);
    if (ok && options->feed)
        waiters_open(&service->waiters, service);
    if (start_servers(service, sockets, socket_count, ok, failure))
        return true;
    service->server_count++; // so that the last of them, or this, detaches the session
    service_stop(service, NULL, NULL);
    on_server_stopped(service);
    return false;
}
