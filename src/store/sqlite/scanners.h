// Scanners are the threads for reads that may take long, each with its own connection.
#pragma once

#include "store/sqlite/connection.h"
#include "store/sqlite/queue.h"

struct scanner {
    struct scanners *scanners;
    uv_thread_t thread;
    struct connection connection; // the thread's
};

struct scanners {
    struct queue queue;
    struct scanner *scanners;
    size_t count; // that run
};

bool scanners_open(struct scanners *scanners, unsigned count, size_t queue_limit,
                   const struct connection_options *options, struct failure *failure);

// Runs what waits, then ends the threads. Takes zeroed memory.
void scanners_close(struct scanners *scanners);
