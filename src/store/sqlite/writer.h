// The writer is the one thread of this process that changes the database. It takes every job that
// waits into one transaction, in which each stands for itself, commits once, and answers them all.
#pragma once

#include "store/sqlite/checkpointer.h"
#include "store/sqlite/queue.h"

// A group is at most so many jobs, and ends with the one that brings its parameters to so many
// bytes: others wait no longer than that takes.
enum { GROUP_JOBS = 1000, GROUP_BYTES = 16 * 1024 * 1024 };

struct session;

struct writer {
    struct queue queue;
    uv_thread_t thread;
    bool running;

    // Any thread, for statistics.
    atomic_uint_fast64_t groups;
    atomic_uint_fast64_t grouped_jobs;

    // The writer's thread.
    struct connection connection;
    struct checkpointer *checkpointer; // NULL: the database is only read
    struct job *waiting;               // taken from the queue, not in a group yet
    struct job *group[GROUP_JOBS];     // jobs without an answer
    size_t count;
    struct session *answered; // sessions with answers that are not posted yet
    size_t log_pages;         // in the write-ahead log
    bool in_doubt;            // a commit of this group failed, and may be found all the same
};

// Opens the database, creating the file, without starting the thread.
bool writer_open(struct writer *writer, size_t queue_limit,
                 const struct connection_options *options, struct failure *failure);

bool writer_start(struct writer *writer, struct checkpointer *checkpointer,
                  struct failure *failure);

// Finishes what waits and ends the thread.
void writer_stop(struct writer *writer);

// Closes the connection, after all others. Takes zeroed memory.
void writer_close(struct writer *writer);
