#include "cli/workspace.h"

#include "base/cpu.h"
#include "cli/migrate.h"
#include "resource/dialect.h"
#include "store/postgres/postgres_store.h"
#include "store/sqlite/sqlite_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { FOLDER_MODE = 0700 };

static bool make_folder(const char *path, struct failure *failure) {
    struct stat status;
    if (mkdir(path, FOLDER_MODE) == 0)
        return true;
    int error = errno;
    if (error == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return true;
    return failure_set(failure, FAILURE_UNAVAILABLE, "the folder %s cannot be made: %s", path,
                       strerror(error));
}

// Makes the folders that a path names up to byte `size`, each that is missing.
static bool make_folders(struct text path, size_t size, struct failure *failure) {
    struct arena arena = {0};
    struct text copy = arena_copy(&arena, text_of(path.data, size));
    bool ok = true;
    if (!copy.data)
        return failure_out_of_memory(failure);
    for (size_t i = 1; ok && i < size; i++) {
        if (copy.data[i] != '/')
            continue;
        struct text part = arena_copy(&arena, text_of(copy.data, i));
        ok = part.data ? make_folder(part.data, failure) : failure_out_of_memory(failure);
    }
    ok = ok && (size == 0 || make_folder(copy.data, failure));
    arena_free(&arena);
    return ok;
}

// The folder of the data, and the one that the database's file is to be in, where it is one.
static bool make_data_folders(const struct settings *settings, struct failure *failure) {
    struct text data = text_from_string(settings->data);
    const char *path = settings->database.path ? settings->database.path : "";
    const char *slash = strrchr(path, '/');
    struct text database = text_from_string(path);
    size_t size = slash ? (size_t)(slash - path) : 0;
    return make_folders(data, data.size, failure) && make_folders(database, size, failure);
}

static struct store *open_sqlite(const struct settings *settings, enum workspace_parts parts,
                                 struct log *log, struct failure *failure) {
    struct sqlite_options options = {
        .path = settings->database.path,
        .read_only = parts == WORKSPACE_READ,
        .queue_limit = settings->queue_limit,
        .query_timeout = settings->query_timeout,
    };
    return sqlite_store_open(&options, log, failure);
}

static struct store *open_postgres(const struct settings *settings, struct log *log,
                                   struct failure *failure) {
    struct postgres_options options = {
        .url = settings->database.url,
        .listen_url = settings->database_listen,
        .connections = settings->connections,
        .sessions = settings->workers ? settings->workers : cpu_available(),
        .queue_limit = settings->queue_limit,
        .query_timeout = settings->query_timeout,
        .lock_timeout = settings->lock_timeout,
        .connect_timeout = settings->connect_timeout,
        .unprepared = !settings->prepare,
    };
    return postgres_store_open(&options, log, failure);
}

static bool open_store(const struct settings *settings, enum workspace_parts parts,
                       struct workspace *workspace, struct failure *failure) {
    if (parts != WORKSPACE_READ && !make_data_folders(settings, failure))
        return false;
    workspace->store = settings->database.dialect == STORE_POSTGRES
                           ? open_postgres(settings, workspace->log, failure)
                           : open_sqlite(settings, parts, workspace->log, failure);
    return workspace->store != NULL;
}

static struct catalogue *load_catalogue(const struct settings *settings, struct failure *failure) {
    struct arena arena = {0};
    struct diagnostics diagnostics;
    diagnostics_init(&diagnostics, &arena);
    struct catalogue *catalogue =
        catalogue_load(settings->resources, dialect_of(settings->database.dialect), &diagnostics);
    if (!catalogue) {
        struct buffer out = {0};
        diagnostics_print(&diagnostics, &out);
        if (!out.failed)
            (void)fwrite(out.data, 1, out.size, stderr);
        buffer_free(&out);
        failure_set(failure, FAILURE_INVALID_DEFINITION,
                    "the definitions in %s are not valid: %zu %s", settings->resources,
                    diagnostics.count, diagnostics.count == 1 ? "fault" : "faults");
    }
    arena_free(&arena);
    return catalogue;
}

bool workspace_open(const struct settings *settings, enum workspace_parts parts,
                    struct workspace *ret_workspace, struct failure *failure) {
    struct workspace workspace = {0};
    workspace.log = log_open(settings->log, settings->log_level, settings->log_file, failure);
    if (workspace.log)
        workspace.catalogue = load_catalogue(settings, failure);
    bool ok = workspace.log && workspace.catalogue;
    if (ok && parts != WORKSPACE_DEFINITIONS)
        ok = open_store(settings, parts, &workspace, failure);
    if (ok && parts == WORKSPACE_SERVE)
        ok = migrate_at_start(settings, workspace.store, workspace.catalogue, workspace.log,
                              failure);
    if (ok && parts == WORKSPACE_FILL)
        ok = migrate_before_copy(settings, workspace.store, workspace.catalogue, workspace.log,
                                 failure);
    if (ok)
        *ret_workspace = workspace;
    else
        workspace_close(&workspace);
    return ok;
}

struct catalogue *workspace_reload(const struct settings *settings,
                                   const struct workspace *workspace, struct failure *failure) {
    struct catalogue *catalogue = load_catalogue(settings, failure);
    if (!catalogue)
        return NULL;
    if (migrate_at_start(settings, workspace->store, catalogue, workspace->log, failure))
        return catalogue;
    catalogue_release(catalogue);
    return NULL;
}

void workspace_close(struct workspace *workspace) {
    store_close(workspace->store);
    catalogue_release(workspace->catalogue);
    log_close(workspace->log);
    *workspace = (struct workspace){0};
}
