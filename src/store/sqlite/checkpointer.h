// The checkpointer moves pages from the write-ahead log into the database file, on a thread and a
// connection of its own, while the writer goes on.
#pragma once

#include "store/sqlite/connection.h"

#include <stdatomic.h>

struct checkpointer {
    struct connection connection; // the checkpointer's thread
    uv_thread_t thread;
    bool running;
    uv_mutex_t lock;
    uv_cond_t more;

    // Guarded by lock.
    bool wanted;
    bool stopping;

    // Both threads: what was moved of the log, in pages, and whether only the writer can still let
    // the log begin anew.
    atomic_size_t moved;
    atomic_bool rewind;

    // The writer's thread.
    size_t asked; // how long the log was when it last asked for a checkpoint
};

bool checkpointer_open(struct checkpointer *checkpointer, const struct connection_options *options,
                       struct failure *failure);

// Takes zeroed memory.
void checkpointer_close(struct checkpointer *checkpointer);

// The writer's thread, between two groups: tells how long the log is, in pages. May let the log
// begin anew, on the writer's connection.
void checkpointer_notice(struct checkpointer *checkpointer, struct connection *writer,
                         size_t pages);
