#include "store/sqlite/checkpointer.h"

#include <pthread.h>

// In pages of 4 KiB. A log that has grown by the first is checkpointed. One that is longer than the
// second begins anew, for which the writer has to pause: writing over old pages of a log is quicker
// than making it longer. Smaller numbers write the pages that change often more often, and their
// synchronizing keeps commits waiting; larger ones make reads and the next start slower.
enum { CHECKPOINT_PAGES = 4000, REWIND_PAGES = 16000 };

// Milliseconds for which the writer waits for readers to leave the log, before it begins anew.
enum { REWIND_TIMEOUT = 20 };

// Moves what no reader holds back; returns whether that was all, and says how long the log is.
static bool move_pages(struct checkpointer *checkpointer, size_t *ret_pages) {
    int pages = 0;
    int moved = 0;
    int code = sqlite3_wal_checkpoint_v2(checkpointer->connection.database, NULL,
                                         SQLITE_CHECKPOINT_PASSIVE, &pages, &moved);
    if (code != SQLITE_OK && code != SQLITE_BUSY)
        sqlite_connection_complain(&checkpointer->connection, code, "a checkpoint");
    if (code != SQLITE_OK || moved < 0)
        return false;
    atomic_store(&checkpointer->moved, (size_t)moved);
    *ret_pages = (size_t)pages;
    return moved == pages;
}

// Before a long log begins anew, what the writer added meanwhile is moved, too: the less is left,
// the shorter the writer's pause.
static void checkpoint(struct checkpointer *checkpointer) {
    size_t pages;
    if (move_pages(checkpointer, &pages) && pages >= REWIND_PAGES &&
        move_pages(checkpointer, &pages))
        atomic_store(&checkpointer->rewind, true);
}

static void run_checkpointer(void *argument) {
    struct checkpointer *checkpointer = argument;
    (void)pthread_setname_np(pthread_self(), "checkpointer");
    uv_mutex_lock(&checkpointer->lock);
    while (!checkpointer->stopping) {
        if (!checkpointer->wanted) {
            uv_cond_wait(&checkpointer->more, &checkpointer->lock);
            continue;
        }
        checkpointer->wanted = false;
        uv_mutex_unlock(&checkpointer->lock);
        checkpoint(checkpointer);
        uv_mutex_lock(&checkpointer->lock);
    }
    uv_mutex_unlock(&checkpointer->lock);
}

static bool start(struct checkpointer *checkpointer, struct failure *failure) {
    if (uv_mutex_init(&checkpointer->lock))
        return failure_out_of_memory(failure);
    if (uv_cond_init(&checkpointer->more)) {
        uv_mutex_destroy(&checkpointer->lock);
        return failure_out_of_memory(failure);
    }
    int error = uv_thread_create(&checkpointer->thread, run_checkpointer, checkpointer);
    checkpointer->running = !error;
    if (!error)
        return true;
    uv_cond_destroy(&checkpointer->more);
    uv_mutex_destroy(&checkpointer->lock);
    return failure_set(failure, FAILURE_UNAVAILABLE, "no thread: %s", uv_strerror(error));
}

bool checkpointer_open(struct checkpointer *checkpointer, const struct connection_options *options,
                       struct failure *failure) {
    *checkpointer = (struct checkpointer){0};
    if (!sqlite_connection_open(&checkpointer->connection, CONNECTION_CHECKPOINTS, options,
                                failure))
        return false;
    if (start(checkpointer, failure))
        return true;
    sqlite_connection_close(&checkpointer->connection);
    return false;
}

void checkpointer_close(struct checkpointer *checkpointer) {
    if (!checkpointer->running)
        return;
    uv_mutex_lock(&checkpointer->lock);
    checkpointer->stopping = true;
    uv_cond_signal(&checkpointer->more);
    uv_mutex_unlock(&checkpointer->lock);
    uv_thread_join(&checkpointer->thread);
    uv_cond_destroy(&checkpointer->more);
    uv_mutex_destroy(&checkpointer->lock);
    sqlite_connection_close(&checkpointer->connection);
    *checkpointer = (struct checkpointer){0};
}

static void ask(struct checkpointer *checkpointer, size_t pages) {
    checkpointer->asked = pages;
    uv_mutex_lock(&checkpointer->lock);
    checkpointer->wanted = true;
    uv_cond_signal(&checkpointer->more);
    uv_mutex_unlock(&checkpointer->lock);
}

// Nearly all was moved just now; moving the rest and waiting for readers that are about to leave
// takes a moment. A reader that stays on makes it fail, and a later checkpoint will ask again.
static bool rewind_log(struct connection *writer) {
    int code = sqlite_connection_checkpoint(writer, SQLITE_CHECKPOINT_RESTART, REWIND_TIMEOUT);
    if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY)
        sqlite_connection_complain(writer, code, "a checkpoint");
    return code == SQLITE_OK;
}

void checkpointer_notice(struct checkpointer *checkpointer, struct connection *writer,
                         size_t pages) {
    if (atomic_exchange(&checkpointer->rewind, false) && rewind_log(writer)) {
        checkpointer->asked = 0;
        return;
    }
    if (pages < checkpointer->asked)
        checkpointer->asked = 0;
    size_t moved = atomic_load(&checkpointer->moved);
    size_t from = moved < pages && moved > checkpointer->asked ? moved : checkpointer->asked;
    if (pages - from >= CHECKPOINT_PAGES)
        ask(checkpointer, pages);
}
