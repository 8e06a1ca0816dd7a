#include "cli/serve.h"

#include "api/rate_limits.h"
#include "api/service.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "cli/listen.h"
#include "cli/workspace.h"

#include <signal.h>
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

// Definitions are read, and tables changed, beside the main thread's loop, which has to see to
// signals and to what other processes change meanwhile.
struct reload {
    uv_work_t work;
    struct catalogue *catalogue; // what came of it, or NULL …
    struct failure failure;      // … and why
    bool is_running;
    bool again; // it was asked for once more meanwhile
};

// The process: the main thread's loop has the signals, the workers do the work.
struct server {
    const struct settings *settings;
    struct workspace workspace;
    struct service_options options;
    struct keyring keyring;
    struct rate_limits rate_limits;
    struct feed *feed;     // a thread of its own, from before the workers until after them
    struct runner *runner; // and so is this; NULL: no commands are run here
    uv_loop_t loop;
    struct mailbox mailbox;
    uv_signal_t terminate;
    uv_signal_t interrupt;
    uv_signal_t hang_up;
    uv_timer_t flush; // writes the gathered log lines
    struct reload reload;
    struct watch watch;
    struct watched_secrets secrets;
    struct watched *watched[2];
    bool is_watching;
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

// Secrets for a worker, which frees the order.
struct new_secrets {
    struct letter letter;
    struct worker *worker;
    struct secrets secrets;
};

static void on_new_secrets(struct letter *letter) {
    void *owner = (char *)letter - offsetof(struct new_secrets, letter);
    struct new_secrets *order = owner;
    service_renew(&order->worker->service, &order->secrets);
    explicit_bzero(&order->secrets, sizeof order->secrets);
    free(order);
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

// Only the main thread takes these signals, and only while its loop runs: whoever asks again, while
// the store closes, must not cut that short.
static void hold_signals(int how) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(how, &signals, NULL); // fails only where `how` is wrong
}

static void close_handles(struct server *server) {
    hold_signals(SIG_BLOCK); // libuv gives them their default action back
    uv_close((uv_handle_t *)&server->terminate, NULL);
    uv_close((uv_handle_t *)&server->interrupt, NULL);
    uv_close((uv_handle_t *)&server->hang_up, NULL);
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
    if (server->is_watching)
        watch_stop(&server->watch, NULL, NULL);
    runner_stop(server->runner);
    for (unsigned i = 0; i < server->worker_count; i++) {
        if (server->workers[i].is_running)
            mailbox_post(&server->workers[i].mailbox, &server->workers[i].stop_order);
    }
    if (server->running == 0)
        close_handles(server);
}

static void on_stop_signal(uv_signal_t *signal, int number) {
    struct server *server = signal->data;
    if (server->stopping)
        return;
    log_info(server->workspace.log, "%s: stopping when the requests under way are answered",
             number == SIGTERM ? "SIGTERM" : "SIGINT");
    stop(server);
}

// Gives every worker the new catalogue, each its own reference. The feed has it first: it must know
// what is asked of it.
static bool hand_out_catalogue(struct server *server) {
    bool all = feed_reload(server->feed, server->workspace.catalogue);
    all = runner_reload(server->runner, server->workspace.catalogue) && all;
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

// On another thread.
static void run_reload(uv_work_t *work) {
    struct server *server = work->data;
    server->reload.catalogue =
        workspace_reload(server->settings, &server->workspace, &server->reload.failure);
}

static void reload(struct server *server);

static void on_reloaded(uv_work_t *work, int status) {
    struct server *server = work->data;
    struct log *log = server->workspace.log;
    struct catalogue *catalogue = server->reload.catalogue;
    server->reload.is_running = false;
    if (!catalogue) {
        log_error(log, "SIGHUP: the old definitions stay: %s", server->reload.failure.detail);
    } else {
        catalogue_release(server->workspace.catalogue);
        server->workspace.catalogue = catalogue;
        if (server->stopping) // there is nobody to give it to any more
            return;
        if (hand_out_catalogue(server))
            log_info(log, "SIGHUP: serving %zu resources", catalogue->resource_count);
        else
            log_error(log, "SIGHUP: no memory for the new definitions; send it again");
    }
    if (server->reload.again && !server->stopping)
        reload(server);
}

static void reload(struct server *server) {
    server->reload.again = server->reload.is_running;
    if (server->reload.is_running)
        return;
    server->reload.is_running = true;
    server->reload.work.data = server;
    // It fails only where there is no function to run.
    (void)uv_queue_work(&server->loop, &server->reload.work, run_reload, on_reloaded);
}

static void on_hang_up(uv_signal_t *signal, int number) {
    struct server *server = signal->data;
    struct failure failure;
    if (server->stopping || !server->workspace.store) // or it waits, and will read them anyway
        return;
    if (!log_reopen(server->workspace.log, &failure))
        log_error(server->workspace.log, "SIGHUP: the old log stays: %s", failure.detail);
    reload(server);
}

// Gives every worker the secrets that another process has stored.
static bool hand_out_secrets(void *owner, const struct secrets *secrets) {
    struct server *server = owner;
    bool all = true;
    for (unsigned i = 0; i < server->worker_count; i++) {
        struct new_secrets *order = malloc(sizeof *order);
        all = all && order;
        if (!order)
            continue;
        *order = (struct new_secrets){
            .letter.deliver = on_new_secrets, .worker = &server->workers[i], .secrets = *secrets};
        mailbox_post(&server->workers[i].mailbox, &order->letter);
    }
    log_info(server->workspace.log,
             "another process has stored another administrator's key or cursor key");
    return all;
}

static void on_flush(uv_timer_t *timer) {
    struct server *server = timer->data;
    if (server->options.rate_limits)
        attempts_flush(&server->rate_limits.attempts, clock_monotonic());
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

static bool start_watching(struct server *server, struct failure *failure) {
    struct store *store = server->workspace.store;
    if (!watched_secrets_init(&server->secrets, store_dialect(store), &server->options.secrets,
                              hand_out_secrets, server))
        return failure_out_of_memory(failure);
    server->watched[0] = &server->secrets.base;
    server->watched[1] = &server->keyring.watched;
    server->is_watching = watch_start(&server->watch, &server->loop, store, server->workspace.log,
                                      server->watched, 2, failure);
    return server->is_watching;
}

static bool open_rate_limits(struct server *server, struct failure *failure) {
    const struct settings *settings = server->settings;
    struct rate_limit_rates rates = {.key = settings->rate_limit_key,
                                     .address = settings->rate_limit_address,
                                     .failures = settings->rate_limit_failures};
    if (!rate_limits_open(&server->rate_limits, &rates, server->workspace.log, failure))
        return false;
    server->options.rate_limits = &server->rate_limits;
    return true;
}

static bool start_feed(struct server *server, struct failure *failure) {
    struct feed_options options = {.store = server->workspace.store,
                                   .log = server->workspace.log,
                                   .retention = server->settings->events_retention};
    if (!feed_start(&options, server->workspace.catalogue, &server->feed, failure))
        return false;
    server->options.feed = server->feed;
    return true;
}

static bool start_runner(struct server *server, struct failure *failure) {
    const struct settings *settings = server->settings;
    struct runner_options options = {.store = server->workspace.store,
                                     .log = server->workspace.log,
                                     .data = settings->data,
                                     .size = settings->runner,
                                     .patience = settings->query_timeout,
                                     .lease = settings->runner_lease,
                                     .grace = settings->shutdown_timeout};
    if (options.size == 0)
        return true;
    if (!runner_start(&options, server->workspace.catalogue, &server->runner, failure))
        return false;
    server->options.runner = server->runner;
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
    keyring_init(&server->keyring);
    server->options.keyring = &server->keyring;
    server->options.proxies = &settings->proxies;
    server->options.query_timeout = settings->query_timeout;
    server->options.key_warning = settings->key_warning;
    server->options.shutdown_timeout = settings->shutdown_timeout;
    server->options.idempotency_retention = settings->idempotency_retention;
    server->options.log_access = settings->log_access;
    server->options.cors_origins = settings->cors_origins;
    server->options.gzip_min = settings->gzip_min;
    server->options.events_heartbeat = settings->events_heartbeat;
    server->options.operations_retention = settings->operations_retention;
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
        hold_signals(SIG_UNBLOCK);
        uv_run(&server->loop, UV_RUN_ONCE); // `flush` wakes it
        hold_signals(SIG_BLOCK);
        if (server->stopping)
            return false;
    }
    return true;
}

static bool start(struct server *server, struct failure *failure) {
    const struct settings *settings = server->settings;
    if (settings->database_listen && settings->database.dialect != STORE_POSTGRES)
        return failure_set(failure, FAILURE_INVALID_SETTING,
                           "database_listen: only PostgreSQL tells of changes; the database is "
                           "SQLite's");
    raise_descriptor_limit();
    if (!open_sockets(server, failure) || !open_workspace(server, failure))
        return false;
    set_options(server);
    return load_secrets(server, failure) && open_rate_limits(server, failure) &&
           start_feed(server, failure) && start_runner(server, failure) &&
           start_workers(server, failure) && start_watching(server, failure);
}

static void serve(struct server *server, struct failure *failure) {
    hold_signals(SIG_BLOCK); // threads that are made from here on never take them
    bool watching = watch_signals(server, failure);
    bool started = watching && start(server, failure);
    server->failed = !started && !server->stopping; // one that was stopped while it waited is well
    if (started) {
        announce(server);
        hold_signals(SIG_UNBLOCK);
    } else {
        stop(server);
    }
    uv_run(&server->loop, UV_RUN_DEFAULT);
}

static void clean_up(struct server *server) {
    for (unsigned i = 0; i < server->worker_count; i++)
        (void)uv_loop_close(&server->workers[i].loop); // its handles were closed by its thread
    free(server->workers);
    runner_join(server->runner); // its commands may take their time
    feed_stop(server->feed);
    rate_limits_close(&server->rate_limits);
    close_sockets(server);
    watched_secrets_free(&server->secrets);
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
