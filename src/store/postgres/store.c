#include "base/buffer.h"
#include "base/table.h"
#include "store/postgres/parts.h"
#include "store/postgres/postgres_store.h"

#include <assert.h>
#include <stdlib.h>

// A commit must not be acknowledged before it is durable, whatever the database's default is.
#define SYNCHRONOUS_COMMIT                                                                         \
    "CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' "                             \
    "ELSE current_setting('synchronous_commit') END"

// A crash of the server's keeps its start, but not the time from which its statistics count;
// another server that takes over counts the WAL's timeline up.
#define INCARNATION                                                                                \
    "concat_ws(' ', left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), "                       \
    "extract(epoch FROM pg_postmaster_start_time())::text, "                                       \
    "(SELECT extract(epoch FROM stats_reset)::text FROM pg_stat_bgwriter))"

static const struct {
    const char *sql;
    bool once;
} controls[PG_CONTROLS] = {
    [PG_WATCH] = {"SELECT set_config('client_connection_check_interval', '1s', false)", true},
    [PG_INCARNATION] = {"SELECT " INCARNATION " "
                        "WHERE pg_current_xact_id_if_assigned() IS NULL "
                        "AND pg_xact_status(NULL) IS NULL",
                        true},
    [PG_BEGIN_READ] = {"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", false},
    [PG_BEGIN_WRITE] = {"BEGIN ISOLATION LEVEL READ COMMITTED", false},
    [PG_LIMITS] = {"SELECT set_config('statement_timeout', $1::bigint::text, true), "
                   "set_config('lock_timeout', $2::bigint::text, true), "
                   "set_config('synchronous_commit', " SYNCHRONOUS_COMMIT ", true)",
                   false},
    [PG_NUMBER] = {"SELECT pg_current_xact_id_if_assigned()::text", false},
    [PG_COMMIT] = {"COMMIT", false},
    [PG_LISTEN] = {"LISTEN trestle", true}, // as the dialect's `tell` says
    [PG_ROLLBACK] = {"ROLLBACK", false},
    // Behind a pooler the life may be another than when the link was made.
    [PG_FATE] = {"SELECT pg_xact_status($1::text::xid8), " INCARNATION, true},
};

static struct postgres_store *store_of(struct store *base) {
    return (struct postgres_store *)base; // its first member
}

struct pg_link *postgres_store_take_spare(struct postgres_store *store) {
    struct pg_link *link = NULL;
    uv_mutex_lock(&store->lock);
    for (size_t i = 0; i < PG_SPARES && !link; i++) {
        link = store->spares[i];
        store->spares[i] = NULL;
        // One that the server has left meanwhile is of no use.
        if (link &&
            (!PQconsumeInput(link->connection) || PQstatus(link->connection) != CONNECTION_OK)) {
            pg_link_close(link);
            link = NULL;
        }
    }
    uv_mutex_unlock(&store->lock);
    return link;
}

void postgres_store_leave_spare(struct postgres_store *store, struct pg_link *link) {
    uv_mutex_lock(&store->lock);
    for (size_t i = 0; i < PG_SPARES && link; i++) {
        if (store->spares[i])
            continue;
        store->spares[i] = link;
        link = NULL;
    }
    uv_mutex_unlock(&store->lock);
    pg_link_close(link);
}

static void free_store(struct postgres_store *store) {
    for (size_t i = 0; i < PG_SPARES; i++)
        pg_link_close(store->spares[i]);
    pg_attempts_close(store->attempts, store->address.connect_seconds);
    uv_mutex_destroy(&store->lock);
    free((char *)store->address.url);
    free((char *)store->news_address.url);
    free(store->settings);
    free(store);
}

static void close_store(struct store *base) {
    struct postgres_store *store = store_of(base);
    assert(atomic_load(&store->sessions) == 0);
    free_store(store);
}

static void read_statistics(struct store *base, struct store_statistics *ret_statistics) {
    struct postgres_store *store = store_of(base);
    *ret_statistics = (struct store_statistics){
        .groups = atomic_load_explicit(&store->groups, memory_order_relaxed),
        .grouped_jobs = atomic_load_explicit(&store->grouped_jobs, memory_order_relaxed),
        .queued = atomic_load_explicit(&store->waiting, memory_order_relaxed),
    };
}

static const struct store_operations operations = {
    .dialect = STORE_POSTGRES,
    .attach = pg_session_attach,
    .detach = pg_session_detach,
    .submit = pg_session_submit,
    .cancel = pg_session_cancel,
    .listen = pg_session_listen,
    .statistics = read_statistics,
    .close = close_store,
};

static unsigned or_default(unsigned value, unsigned default_value) {
    return value ? value : default_value;
}

// What PG_SETTINGS does. A server that lost us in the middle of a transaction must not keep its
// locks for ever.
static char *make_settings(const struct postgres_store *store) {
    struct buffer sql = {0};
    unsigned idle = store->query_timeout > 5000 ? 2 * store->query_timeout : 10000;
    buffer_format(&sql,
                  "SELECT set_config('statement_timeout', '%u', false), "
                  "set_config('lock_timeout', '%u', false), "
                  "set_config('idle_in_transaction_session_timeout', '%u', false), "
                  "set_config('standard_conforming_strings', 'on', false), "
                  "set_config('synchronous_commit', " SYNCHRONOUS_COMMIT ", false)",
                  store->query_timeout, store->lock_timeout, idle);
    buffer_append_byte(&sql, '\0');
    if (!sql.failed)
        return sql.data;
    buffer_free(&sql);
    return NULL;
}

static void make_controls(struct postgres_store *store) {
    for (size_t i = 0; i < PG_CONTROLS; i++) {
        struct text sql = text_from_string(i == PG_SETTINGS ? store->settings : controls[i].sql);
        store->controls[i] = (struct statement){
            .sql = sql, .hash = text_hash(sql), .once = i == PG_SETTINGS || controls[i].once};
    }
}

static bool copy_urls(struct postgres_store *store, const struct postgres_options *options) {
    const char *listen_url = options->listen_url;
    store->address.url = strdup(options->url);
    store->news_address = store->address;
    store->news_address.url = listen_url ? strdup(*listen_url ? listen_url : options->url) : NULL;
    return store->address.url && (!listen_url || store->news_address.url);
}

static struct postgres_store *make_store(const struct postgres_options *options, struct log *log) {
    struct postgres_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    if (uv_mutex_init(&store->lock) != 0) {
        free(store);
        return NULL;
    }
    unsigned sessions = or_default(options->sessions, 1);
    unsigned share = or_default(options->connections / sessions, options->connections ? 1 : 10);
    store->base.operations = &operations;
    store->log = log;
    store->connections = share > POSTGRES_LEAST_CONNECTIONS ? share : POSTGRES_LEAST_CONNECTIONS;
    store->queue_limit = or_default(options->queue_limit, 8192);
    store->query_timeout = or_default(options->query_timeout, 5000);
    store->lock_timeout = or_default(options->lock_timeout, 2000);
    store->unprepared = options->unprepared;
    store->address = (struct pg_address){
        .connect_seconds = (or_default(options->connect_timeout, 2000) + 999) / 1000,
        .cached_statements = or_default(options->cached_statements, 256),
    };
    store->settings = make_settings(store);
    store->attempts = pg_attempts_create();
    if (!copy_urls(store, options) || !store->settings || !store->attempts) {
        free_store(store);
        return NULL;
    }
    make_controls(store);
    return store;
}

struct store *postgres_store_open(const struct postgres_options *options, struct log *log,
                                  struct failure *failure) {
    const char *listen_url = options->listen_url;
    if (!pg_url_is_valid(options->url, "the URL of the database", failure) ||
        (listen_url && *listen_url &&
         !pg_url_is_valid(listen_url, "the URL to listen at", failure)))
        return NULL;
    struct postgres_store *store = make_store(options, log);
    if (!store) {
        failure_out_of_memory(failure);
        return NULL;
    }
    store->spares[0] = pg_link_open(&store->address, failure);
    if (store->spares[0])
        return &store->base;
    free_store(store);
    return NULL;
}
