// The SQLite store: one file in WAL mode with synchronous=FULL; one writer thread that commits
// whatever waits as one group; a read connection a session; a few reader threads for scans.
#pragma once

#include "base/log.h"
#include "store/store.h"

struct sqlite_options {
    const char *path;           // created where it is missing
    bool read_only;             // never create or change anything
    unsigned scan_threads;      // 0: 2
    unsigned queue_limit;       // jobs that may wait for the writer or the scanners; 0: 8192
    unsigned query_timeout;     // milliseconds for one job; 0: 5000
    unsigned busy_timeout;      // milliseconds to wait for another process's lock; 0: 5000
    unsigned cached_statements; // prepared ones kept a connection; 0: 256
};

// Opens (and creates) the database and starts its threads. The log must outlive the store. NULL and
// a failure otherwise.
struct store *sqlite_store_open(const struct sqlite_options *options, struct log *log,
                                struct failure *failure);

// A backup of a database that others may use meanwhile: what was committed before it began, and
// nothing of what comes later. While it lasts the database's log cannot be cut, so it grows.
struct sqlite_backup {
    const char *path; // of the database, which must exist
    const char *copy; // of the file to be made, which must not; only its owner may read it
    // How many bytes are done, again and again while it lasts; false gives up. May be NULL.
    bool (*on_progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

// Makes and checks it: one file that needs no other beside it, durable but for its name in the
// folder. On failure no file is left.
bool sqlite_store_backup(const struct sqlite_backup *backup, struct failure *failure);
