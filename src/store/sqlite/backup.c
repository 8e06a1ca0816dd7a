#include "store/sqlite/connection.h"
#include "store/sqlite/sqlite_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
    STEP_PAGES = 256,            // between two looks at the progress
    PROGRESS_OPERATIONS = 10000, // the same, of SQLite's own operations
    BUSY_TIMEOUT = 10000,        // milliseconds
};

// One backup, while it is made.
struct making {
    const struct sqlite_backup *backup;
    struct connection source;
    sqlite3 *copy;
    bool is_made;  // its file
    uint64_t size; // of it, once it is known
};

static bool refuse_file(const struct making *making, int error, struct failure *failure) {
    return failure_set(failure, error == ENOSPC ? FAILURE_DISK_FULL : FAILURE_UNAVAILABLE,
                       "%s cannot be written: %s", making->backup->copy, strerrordesc_np(error));
}

// SQLite's words, and the system's where it had a part in the fault.
static bool fail(const struct making *making, int code, struct failure *failure) {
    int primary = code & 0xff;
    int error = making->copy ? sqlite3_system_errno(making->copy) : 0;
    if (primary != SQLITE_IOERR && primary != SQLITE_CANTOPEN)
        error = 0;
    if (primary == SQLITE_NOMEM)
        return failure_out_of_memory(failure);
    if (primary == SQLITE_INTERRUPT)
        return failure_set(failure, FAILURE_STOPPING, "the backup was given up");
    return failure_set(failure, primary == SQLITE_FULL ? FAILURE_DISK_FULL : FAILURE_UNAVAILABLE,
                       "%s cannot be copied to %s: %s%s%s", making->backup->path,
                       making->backup->copy, sqlite3_errstr(code), error ? ": " : "",
                       error ? strerrordesc_np(error) : "");
}

// The first read pins what the whole backup is of.
static bool open_source(struct making *making, struct failure *failure) {
    const struct connection_options options = {
        .path = making->backup->path, .read_only = true, .busy_timeout = BUSY_TIMEOUT};
    if (!sqlite_connection_open(&making->source, CONNECTION_READS, &options, failure))
        return false;
    sqlite3 *database = making->source.database;
    sqlite3_busy_timeout(database, BUSY_TIMEOUT);
    int code =
        sqlite3_exec(database, "BEGIN; SELECT count(*) FROM sqlite_schema;", NULL, NULL, NULL);
    return code == SQLITE_OK || fail(making, code, failure);
}

// SQLite takes an empty file for an empty database. Until all of it is synced nobody relies on it,
// so that it needs no journal.
static bool open_copy(struct making *making, struct failure *failure) {
    const char *path = making->backup->copy;
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0)
        return refuse_file(making, errno, failure);
    making->is_made = true;
    close(descriptor);
    int code =
        sqlite3_open_v2(path, &making->copy,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(making->copy,
                            "PRAGMA locking_mode = EXCLUSIVE;"
                            "PRAGMA journal_mode = OFF;"
                            "PRAGMA synchronous = OFF;",
                            NULL, NULL, NULL);
    return code == SQLITE_OK || fail(making, code, failure);
}

static int64_t page_size_of(sqlite3 *database) {
    sqlite3_stmt *statement;
    int64_t size = 0;
    if (sqlite3_prepare_v2(database, "PRAGMA page_size", -1, &statement, NULL) != SQLITE_OK)
        return 0; // there is no progress to be seen then
    if (sqlite3_step(statement) == SQLITE_ROW)
        size = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return size;
}

// Whether it is to go on.
static bool report(struct making *making, sqlite3_backup *pages, int64_t page_size) {
    int total = sqlite3_backup_pagecount(pages);
    int done = total - sqlite3_backup_remaining(pages);
    making->size = (uint64_t)(total * page_size);
    return !making->backup->on_progress ||
           making->backup->on_progress(making->backup->context, (uint64_t)(done * page_size),
                                       making->size);
}

static bool copy_pages(struct making *making, struct failure *failure) {
    int64_t page_size = page_size_of(making->source.database);
    sqlite3_backup *pages =
        sqlite3_backup_init(making->copy, "main", making->source.database, "main");
    int code = SQLITE_OK;
    while (pages && code == SQLITE_OK) {
        code = sqlite3_backup_step(pages, STEP_PAGES);
        if (!report(making, pages, page_size) && code == SQLITE_OK)
            code = SQLITE_INTERRUPT;
    }
    int finished = pages ? sqlite3_backup_finish(pages) : sqlite3_errcode(making->copy);
    if (code == SQLITE_DONE && finished == SQLITE_OK)
        return true;
    return fail(making, finished == SQLITE_OK ? code : finished, failure);
}

static int on_check_progress(void *context) {
    const struct making *making = context;
    return !making->backup->on_progress(making->backup->context, making->size, making->size);
}

// Pages are copied as they are; a database that is broken would be found out when its backup is
// needed.
static bool check_copy(struct making *making, struct failure *failure) {
    sqlite3_stmt *statement;
    char answer[200] = "";
    if (making->backup->on_progress)
        sqlite3_progress_handler(making->copy, PROGRESS_OPERATIONS, on_check_progress, making);
    int code = sqlite3_prepare_v2(making->copy, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (code != SQLITE_OK)
        return fail(making, code, failure);
    if (sqlite3_step(statement) == SQLITE_ROW) {
        const unsigned char *text = sqlite3_column_text(statement, 0);
        (void)snprintf(answer, sizeof answer, "%s", text ? (const char *)text : "");
    }
    code = sqlite3_finalize(statement);
    if (code != SQLITE_OK)
        return fail(making, code, failure);
    return strcmp(answer, "ok") == 0 ||
           failure_set(failure, FAILURE_UNAVAILABLE, "the database %s is broken: %s",
                       making->backup->path, answer);
}

// Without a log beside it the file can be read where nothing can be written.
static bool make_whole(struct making *making, struct failure *failure) {
    int code = sqlite3_exec(making->copy, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_close(making->copy);
    if (code != SQLITE_OK)
        return fail(making, code, failure);
    making->copy = NULL;
    return true;
}

static bool sync_copy(const struct making *making, struct failure *failure) {
    int descriptor = open(making->backup->copy, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return refuse_file(making, errno, failure);
    int error = fsync(descriptor) == 0 ? 0 : errno;
    close(descriptor);
    return error == 0 || refuse_file(making, error, failure);
}

bool sqlite_store_backup(const struct sqlite_backup *backup, struct failure *failure) {
    struct making making = {.backup = backup};
    bool ok = open_source(&making, failure) && open_copy(&making, failure) &&
              copy_pages(&making, failure) && check_copy(&making, failure) &&
              make_whole(&making, failure);
    sqlite3_close(making.copy);
    sqlite_connection_close(&making.source);
    ok = ok && sync_copy(&making, failure);
    if (!ok && making.is_made)
        (void)unlink(backup->copy);
    return ok;
}
