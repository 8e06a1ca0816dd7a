// The parts of the SQLite store, for its own files.
#pragma once

#include "store/sqlite/checkpointer.h"
#include "store/sqlite/scanners.h"
#include "store/sqlite/session.h"
#include "store/sqlite/writer.h"

struct sqlite_store {
    struct store base;

    // Set once.
    struct connection_options connection; // its path is the store's own
    char *path;
    unsigned queue_limit;

    atomic_uint sessions; // any thread
    struct writer writer;
    struct scanners scanners;
    struct checkpointer checkpointer; // closed while the database is only read
};
