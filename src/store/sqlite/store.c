#include "store/sqlite/parts.h"
#include "store/sqlite/sqlite_store.h"

#include <assert.h>
#include <stdlib.h>

// Milliseconds for which closing waits for readers of other processes.
enum { CLOSE_TIMEOUT = 1000 };

static void close_store(struct store *base) {
    struct sqlite_store *store = (struct sqlite_store *)base;
    assert(atomic_load(&store->sessions) == 0);
    scanners_close(&store->scanners);
    writer_stop(&store->writer);
    checkpointer_close(&store->checkpointer);
    if (store->writer.connection.database && !store->connection.read_only) {
        int code = sqlite_connection_checkpoint(&store->writer.connection,
                                                SQLITE_CHECKPOINT_TRUNCATE, CLOSE_TIMEOUT);
        if (code != SQLITE_OK) // nothing is lost: the log stays, and is read at the next start
            sqlite_connection_complain(&store->writer.connection, code, "the last checkpoint");
    }
    writer_close(&store->writer);
    free(store->path);
    free(store);
}

static void read_statistics(struct store *base, struct store_statistics *ret_statistics) {
    struct sqlite_store *store = (struct sqlite_store *)base;
    *ret_statistics = (struct store_statistics){
        .groups = atomic_load_explicit(&store->writer.groups, memory_order_relaxed),
        .grouped_jobs = atomic_load_explicit(&store->writer.grouped_jobs, memory_order_relaxed),
        .queued = atomic_load_explicit(&store->writer.queue.waiting, memory_order_relaxed) +
                  atomic_load_explicit(&store->scanners.queue.waiting, memory_order_relaxed),
    };
}

static const struct store_operations operations = {
    .dialect = STORE_SQLITE,
    .attach = session_attach,
    .detach = session_detach,
    .submit = session_submit,
    .cancel = session_cancel,
    .statistics = read_statistics,
    .close = close_store,
};

// For the whole process and before anything else in it uses SQLite; where something did, this
// changes nothing. Counting every allocation takes a lock that all threads would share.
static void configure_sqlite(void) {
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static bool check_options(const struct sqlite_options *options, struct failure *failure) {
    struct text path = text_from_string(options->path);
    if (path.size == 0 || text_is(path, ":memory:"))
        return failure_set(failure, FAILURE_INVALID_SETTING,
                           "the database must be a file: what is in memory is not durable");
    if (text_starts_with(path, TEXT("file:")))
        return failure_set(failure, FAILURE_INVALID_SETTING,
                           "the database %s must be a plain path, not a URI", options->path);
    return true;
}

static bool open_parts(struct sqlite_store *store, const struct sqlite_options *options,
                       struct failure *failure) {
    bool writes = !options->read_only;
    return writer_open(&store->writer, store->queue_limit, &store->connection, failure) &&
           (!writes || checkpointer_open(&store->checkpointer, &store->connection, failure)) &&
           scanners_open(&store->scanners, options->scan_threads ? options->scan_threads : 2,
                         store->queue_limit, &store->connection, failure) &&
           writer_start(&store->writer, writes ? &store->checkpointer : NULL, failure);
}

struct store *sqlite_store_open(const struct sqlite_options *options, struct log *log,
                                struct failure *failure) {
    static uv_once_t configured = UV_ONCE_INIT;
    if (!check_options(options, failure))
        return NULL;
    uv_once(&configured, configure_sqlite);
    struct sqlite_store *store = calloc(1, sizeof *store);
    char *path = strdup(options->path);
    if (!store || !path) {
        free(store);
        free(path);
        failure_out_of_memory(failure);
        return NULL;
    }
    store->base.operations = &operations;
    store->path = path;
    store->queue_limit = options->queue_limit ? options->queue_limit : 8192;
    store->connection = (struct connection_options){
        .path = path,
        .read_only = options->read_only,
        .query_timeout = options->query_timeout ? options->query_timeout : 5000,
        .busy_timeout = options->busy_timeout ? options->busy_timeout : 5000,
        .cached_statements = options->cached_statements ? options->cached_statements : 256,
        .log = log,
    };
    if (open_parts(store, options, failure))
        return &store->base;
    close_store(&store->base);
    return NULL;
}
