// A place for a test's records: a store of the kind that the variable STORE names, sqlite or
// postgres, with nothing in it. It owns the store.
#pragma once

#include "postgres_cluster.h"
#include "store/sqlite/sqlite_store.h"

#include <unistd.h>

struct store_place {
    struct store *store;
    char folder[64]; // SQLite's file is in it; on PostgreSQL its name is that of the schema
};

static inline enum store_dialect store_place_dialect(void) {
    const char *name = getenv("STORE");
    return name && strcmp(name, "postgres") == 0 ? STORE_POSTGRES : STORE_SQLITE;
}

static inline void store_place_open(struct store_place *place) {
    struct failure failure = {0};
    char path[512];
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/place_XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    if (store_place_dialect() == STORE_POSTGRES) {
        postgres_schema_url(place->folder + strlen("/tmp/"), path, sizeof path);
        place->store = postgres_store_open(&(struct postgres_options){.url = path}, NULL, &failure);
    } else {
        (void)snprintf(path, sizeof path, "%s/test.db", place->folder);
        place->store = sqlite_store_open(&(struct sqlite_options){.path = path}, NULL, &failure);
    }
    if (!place->store)
        fail_msg("%s", failure.detail);
}

static inline void store_place_close(struct store_place *place) {
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char path[128];
    store_close(place->store);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/test.db%s", place->folder, suffixes[i]);
        (void)unlink(path);
    }
    (void)rmdir(place->folder);
}
