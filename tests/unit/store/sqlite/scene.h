// A SQLite store in a directory of its own, with a session on it.
#pragma once

#include "store/sqlite/sqlite_store.h"
#include "store_harness.h"

#include <sqlite3.h>
#include <unistd.h>

struct scene {
    char directory[64];
    char path[96];
    struct harness harness;
};

static inline void scene_make_directory(struct scene *scene) {
    *scene = (struct scene){.directory = "/tmp/sqlite-store-XXXXXX"};
    assert_non_null(mkdtemp(scene->directory));
    (void)snprintf(scene->path, sizeof scene->path, "%s/test.db", scene->directory);
}

static inline void scene_remove_directory(struct scene *scene) {
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char name[128];
        (void)snprintf(name, sizeof name, "%s%s", scene->path, suffixes[i]);
        (void)unlink(name);
    }
    assert_int_equal(rmdir(scene->directory), 0);
}

// Opens the store of `options`, whose path is set here.
static inline void scene_open_store(struct scene *scene, struct sqlite_options options,
                                    struct log *log) {
    struct failure failure;
    options.path = scene->path;
    struct store *store = sqlite_store_open(&options, log, &failure);
    if (!store) {
        fail_msg("%s", failure.detail);
        return;
    }
    harness_attach(&scene->harness, store);
}

static inline void scene_close_store(struct scene *scene) {
    harness_detach(&scene->harness);
    store_close(scene->harness.store);
}

// A connection as another process would have one.
static inline sqlite3 *scene_open_other(const struct scene *scene) {
    sqlite3 *other;
    assert_int_equal(sqlite3_open(scene->path, &other), SQLITE_OK);
    return other;
}

static inline void scene_execute(sqlite3 *other, const char *sql) {
    char *message = NULL;
    if (sqlite3_exec(other, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
}
