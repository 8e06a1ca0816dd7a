#include "cli/serve.h"

#include "api/service.h"
#include "base/cpu.h"
#include "cli/listen.h"
#include "cli/workspace.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

struct server;

// A worker is a thread with a loop and a service on it. What its thread alone uses comes first.
struct worker {
    uv_loop_t loop;
    struct service service;
    struct mailbox mailbox; // orders from the main thread
    struct letter stop_order;
    struct server *server;
    int sockets[SERVICE_MAX_SOCKETS]; // its own descriptors of the shared sockets
    uv_thread_t thread;
    bool is_running;     // main thread: the thread was started and not joined
    struct letter ended; // to the main thread
};

// The process: the main thread's loop has the signals, the workers do the work.
struct server {
    const struct settings *settings;
    struct workspace workspace;
    struct service_options options;
    uv_loop_t loop;
    struct mailbox mailbox;
    uv_signal_t terminate;
    uv_signal_t interrupt;
    uv_signal_t hang_up;
    uv_timer_t flush; // writes the gathered log lines
    struct worker *workers;
    unsigned worker_count;
    unsigned running;
    bool waits; // for a database that is not there yet
    bool stopping;
    bool failed;
    int sockets[SERVICE_MAX_SOCKETS];
    size_t socket_count;
};

// ---- a worker's thread

static void on_mailbox_closed(struct mailbox *mailbox) {}

static void on_service_stopped(void *owner) {
    struct worker *worker = owner;
    mailbox_close(&worker->mailbox, on_mailbox_closed);
}

static void on_stop_order(struct letter *letter) {
    void *owner = (char *)letter - offsetof(struct worker, stop_order);
    struct worker *worker = owner;
    service_stop(&worker->service, on_service_stopped, worker);
}

// Definitions for a worker, which frees the order.
struct new_catalogue {
    struct letter letter;
    struct worker *worker;
    struct catalogue *catalogue; // a reference
};

static void on_new_catalogue(struct letter *letter) {
    void *owner = (char *)letter - offsetof(struct new_catalogue, letter);
    struct new_catalogue *order = owner;
    service_reload(&order->worker->service, order->catalogue);
    catalogue_release(order->catalogue);
    free(order);
}

static void run_worker(void *argument) {
    struct worker *worker = argument;
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    mailbox_post(&worker->server->mailbox, &worker->ended);
}

// ---- the main thread

static void close_handles(struct server *server) {
    uv_close((uv_handle_t *)&server->terminate, NULL);
    uv_close((uv_handle_t *)&server->interrupt, NULL);
    uv_close((uv_handle_t *)&server->hang_up, NULL);
    // Whoever asks again, while the store closes, must not cut that short.
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    uv_close((uv_handle_t *)&server->flush, NULL);
    mailbox_close(&server->mailbox, on_mailbox_closed);
}

static void on_worker_ended(struct letter *letter) {
    void *owner = (char *)letter - offsetof(struct worker, ended);
    struct worker *worker = owner;
    struct server *server = worker->server;
    uv_thread_join(&worker->thread);
    worker->is_running = false;
    if (--server->running == 0)
        close_handles(server);
}

// A socket goes on taking connections, which nobody would serve, while any descriptor of it is
// open.
static void close_sockets(struct server *server) {
    for (size_t i = 0; i < server->socket_count; i++) {
        close(server->sockets[i]);
        if (server->settings->listen.items[i].kind == LISTEN_UNIX)
            (void)unlink(server->settings->listen.items[i].path);
    }
    server->socket_count = 0;
}

static void stop(struct server *server) {
    if (server->stopping)
        return;
    server->stopping = true;
    close_sockets(server);
    for (unsigned i = 0; i < server->worker_count; i++) {
        if (server->workers[i].is_running)
            mailbox_post(&server->workers[i].mailbox, &server->workers[i].stop_order);
    }
    if (server->running == 0)
        close_handles(server);
}

static void on_stop_signal(uv_signal_t *signal, int number) {
    struct server *server = signal->data;
    log_info(server->workspace.log, "%s: stopping when the requests under way are answered",
             number == SIGTERM ? "SIGTERM" : "SIGINT");
    stop(server);
}

// Gives every worker the new catalogue, each its own reference.
static bool hand_out_catalogue(struct server *server) {
    bool all = true;
    for (unsigned i = 0; i < server->worker_count; i++) {
        struct new_catalogue *order = malloc(sizeof *order);
        all = all && order;
        if (!order)
            continue;
        *order = (struct new_catalogue){.letter.deliver = on_new_catalogue,
                                        .worker = &server->workers[i],
                                        .catalogue = catalogue_retain(server->workspace.catalogue)};
        mailbox_post(&server->workers[i].mailbox, &order->letter);
    }
    return all;
}

static void reload(struct server *server) {
    struct log *log = server->workspace.log;
    struct failure failure;
    if (!workspace_reload(server->settings, &server->workspace, &failure))
        log_error(log, "SIGHUP: the old definitions stay: %s", failure.detail);
    else if (!hand_out_catalogue(server))
        log_error(log, "SIGHUP: no memory for the new definitions; send it again");
    else
        log_info(log, "SIGHUP: serving %zu resources", server->workspace.catalogue->resource_count);
}

static void on_hang_up(uv_signal_t *signal, int number) {
    struct server *server = signal->data;
    struct failure failure;
    if (server->stopping)
        return;
    if (!log_reopen(server->workspace.log, &failure))
        log_error(server->workspace.log, "SIGHUP: the old log stays: %s", failure.detail);
    reload(server);
}

static void on_flush(uv_timer_t *timer) {
    struct server *server = timer->data;
    log_flush(server->workspace.log);
}

static bool watch_signals(struct server *server, struct failure *failure) {
    uv_loop_t *loop = &server->loop;
    struct {
        uv_signal_t *handle;
        uv_signal_cb callback;
        int number;
    } signals[] = {{&server->terminate, on_stop_signal, SIGTERM},
                   {&server->interrupt, on_stop_signal, SIGINT},
                   {&server->hang_up, on_hang_up, SIGHUP}};
    int error = 0;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        uv_signal_init(loop, signals[i].handle); // cannot fail once the loop's own pipe is there
        signals[i].handle->data = server;
        if (!error)
            error = uv_signal_start(signals[i].handle, signals[i].callback, signals[i].number);
    }
    uv_timer_init(loop, &server->flush);
    server->flush.data = server;
    if (!error)
        error = uv_timer_start(&server->flush, on_flush, 1000, 1000);
    return error == 0 || failure_set(failure, FAILURE_INTERNAL, "signals: %s", uv_strerror(error));
}

static bool open_sockets(struct server *server, struct failure *failure) {
    const struct listen_list *listen = &server->settings->listen;
    if (listen->count > SERVICE_MAX_SOCKETS)
        return failure_set(failure, FAILURE_INVALID_SETTING,
                           "listen has %zu addresses; there may be %d", listen->count,
                           SERVICE_MAX_SOCKETS);
    for (size_t i = 0; i < listen->count; i++) {
        if (!listen_open(&listen->items[i], &server->sockets[i], failure))
            return false;
        server->socket_count++;
    }
    return true;
}

// Each worker has descriptors of its own for the shared sockets, since closing is each one's
// affair.
static bool duplicate_sockets(struct worker *worker, struct failure *failure) {
    const struct server *server = worker->server;
    for (size_t i = 0; i < server->socket_count; i++) {
        worker->sockets[i] = dup(server->sockets[i]);
        if (worker->sockets[i] < 0) {
            while (i-- > 0)
                close(worker->sockets[i]);
            return failure_set(failure, FAILURE_INTERNAL, "no descriptor is free for a worker");
        }
    }
    return true;
}

static bool start_service(struct worker *worker, struct failure *failure) {
    struct server *server = worker->server;
    int error = mailbox_open(&worker->mailbox, &worker->loop);
    if (error)
        return failure_set(failure, FAILURE_INTERNAL, "a worker's mailbox: %s", uv_strerror(error));
    if (duplicate_sockets(worker, failure) &&
        service_start(&worker->service, &worker->loop, worker->sockets, server->socket_count,
                      server->workspace.catalogue, &server->options, failure))
        return true;
    mailbox_close(&worker->mailbox, on_mailbox_closed);
    return false;
}

static bool start_worker(struct server *server, struct worker *worker, struct failure *failure) {
    worker->server = server;
    worker->stop_order.deliver = on_stop_order;
    worker->ended.deliver = on_worker_ended;
    int error = uv_loop_init(&worker->loop);
    if (error)
        return failure_set(failure, FAILURE_INTERNAL, "a worker's loop: %s", uv_strerror(error));
    bool ok = start_service(worker, failure);
    if (ok) {
        if (worker == server->workers)
            service_sweep(&worker->service);
        error = uv_thread_create(&worker->thread, run_worker, worker);
        ok = error == 0 ||
             failure_set(failure, FAILURE_INTERNAL, "a worker's thread: %s", uv_strerror(error));
        if (!ok)
            service_stop(&worker->service, on_service_stopped, worker);
    }
    if (!ok) {
        uv_run(&worker->loop, UV_RUN_DEFAULT); // what was opened on it closes
        (void)uv_loop_close(&worker->loop);
        return false;
    }
    worker->is_running = true;
    server->running++;
    return true;
}

static bool start_workers(struct server *server, struct failure *failure) {
    unsigned wanted = server->settings->workers ? server->settings->workers : cpu_available();
    server->workers = calloc(wanted, sizeof *server->workers);
    if (!server->workers)
        return failure_out_of_memory(failure);
    server->options.limits.max_connections =
        (server->settings->max_connections + wanted - 1) / wanted;
    for (unsigned i = 0; i < wanted; i++) {
        server->worker_count++;
        if (!start_worker(server, &server->workers[i], failure)) {
            server->worker_count--;
            return false;
        }
    }
    return true;
}

static bool load_secrets(struct server *server, struct failure *failure) {
    char made_key[SECRET_SIZE];
    if (!secrets_load(server->workspace.store, text_from_string(server->settings->admin_key),
                      &server->options.secrets, made_key, failure))
        return false;
    if (made_key[0])
        (void)fprintf(stderr,
                      "The administrator's API key, shown only this once:\n\n    %s\n\n"
                      "Send it as \"Authorization: Bearer KEY\". To choose your own, set "
                      "TRESTLE_ADMIN_KEY.\n",
                      made_key);
    return true;
}

static void announce(const struct server *server) {
    for (size_t i = 0; i < server->socket_count; i++) {
        struct buffer where = {0};
        listen_describe(server->sockets[i], &where);
        log_info(server->workspace.log, "serving %zu resources on %.*s with %u workers",
                 server->workspace.catalogue->resource_count, TEXT_ARGS(buffer_text(&where)),
                 server->worker_count);
        buffer_free(&where);
    }
}

// As many connections as the system lets this process have.
static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); // the old limit will do, if it must
    }
}

static void set_options(struct server *server) {
    const struct settings *settings = server->settings;
    server->options.store = server->workspace.store;
    server->options.log = server->workspace.log;
    server->options.query_timeout = settings->query_timeout;
    server->options.shutdown_timeout = settings->shutdown_timeout;
    server->options.idempotency_retention = settings->idempotency_retention;
    server->options.log_access = settings->log_access;
    server->options.limits = (struct http_limits){
        .max_head = settings->max_head,
        .max_body = settings->max_body,
        .request_timeout = settings->request_timeout,
        .idle_timeout = settings->idle_timeout,
        .write_timeout = settings->write_timeout,
    };
}

// Tries about once a second, for as long as nobody stops it. What is in the way is said when it
// changes.
static bool open_workspace(struct server *server, struct failure *failure) {
    char said[sizeof failure->detail] = "";
    while (!workspace_open(server->settings, WORKSPACE_SERVE, &server->workspace, failure)) {
        if (!server->waits || failure->code != FAILURE_UNAVAILABLE)
            return false;
        if (strcmp(said, failure->detail) != 0)
            (void)fprintf(stderr, "trestle: waiting: %s\n", failure->detail);
        (void)snprintf(said, sizeof said, "%s", failure->detail);
        uv_run(&server->loop, UV_RUN_ONCE); // `flush` wakes it
        if (server->stopping)
            return false;
    }
    return true;
}

static bool start(struct server *server, struct failure *failure) {
    raise_descriptor_limit();
    if (!open_sockets(server, failure) || !open_workspace(server, failure))
        return false;
    set_options(server);
    return load_secrets(server, failure) && start_workers(server, failure);
}

static void serve(struct server *server, struct failure *failure) {
    bool watching = watch_signals(server, failure);
    bool started = watching && start(server, failure);
    server->failed = !started && !server->stopping; // one that was stopped while it waited is well
    if (started)
        announce(server);
    else
        stop(server);
    uv_run(&server->loop, UV_RUN_DEFAULT);
}

static void clean_up(struct server *server) {
    for (unsigned i = 0; i < server->worker_count; i++)
        (void)uv_loop_close(&server->workers[i].loop); // its handles were closed by its thread
    free(server->workers);
    close_sockets(server);
    workspace_close(&server->workspace);
}

int serve_run(const struct settings *settings, bool wait) {
    struct server server = {.settings = settings, .waits = wait};
    struct failure failure = {0};
    signal(SIGPIPE, SIG_IGN);
    int error = uv_loop_init(&server.loop);
    if (!error)
        error = mailbox_open(&server.mailbox, &server.loop);
    if (error) {
        (void)fprintf(stderr, "trestle: no event loop: %s\n", uv_strerror(error));
        return EXIT_FAILURE;
    }
    serve(&server, &failure);
    (void)uv_loop_close(&server.loop);
    if (server.failed)
        (void)fprintf(stderr, "trestle: %s\n", failure.detail);
    else
        log_info(server.workspace.log, "stopped");
    clean_up(&server);
    return server.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
