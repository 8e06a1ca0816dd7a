// The PostgreSQL store: each session has a few connections of its own, driven by its loop in
// libpq's pipeline mode; short reads share a pipeline, inserts share commits.
#pragma once

#include "base/log.h"
#include "store/store.h"

// A loop needs one connection each for reads, for scans and for writes.
enum { POSTGRES_LEAST_CONNECTIONS = 3 };

struct postgres_options {
    const char *url;        // postgresql://…; what it leaves open PG* variables and libpq's files
                            // tell
    const char *listen_url; // of connections that stay with one server process, to hear by LISTEN
                            // what others tell (store_listen), "" for `url`; NULL: not to listen
    unsigned connections;   // of all sessions together; 0: 10 for each
    unsigned sessions;      // that share them, each with POSTGRES_LEAST_CONNECTIONS or more;
                            // 0: 1
    unsigned queue_limit;   // jobs that may wait; 0: 8192
    unsigned query_timeout; // milliseconds for one job; 0: 5000
    unsigned lock_timeout;  // milliseconds to wait for a lock; 0: 2000
    unsigned connect_timeout;   // milliseconds for each host, taken as whole seconds, 2 at least;
                                // 0: 2000
    unsigned cached_statements; // prepared ones kept a connection; 0: 256
    bool unprepared;            // keep nothing between transactions: no prepared statements, no
                                // settings; for poolers that give each another connection
};

// Connects once, so that what is wrong with the address, the password or the database is told at
// once, however long the store then lives through. The log must outlive the store. NULL and a
// failure otherwise.
struct store *postgres_store_open(const struct postgres_options *options, struct log *log,
                                  struct failure *failure);
