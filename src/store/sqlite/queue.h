// A queue hands jobs from loops to the store's threads: it is bounded, and it owns no job. Jobs are
// linked by `next`.
#pragma once

#include "store/store.h"

#include <stdatomic.h>

struct queue {
    size_t limit;          // set once
    atomic_size_t waiting; // jobs with a place, up to the limit; any thread
    uv_mutex_t lock;
    uv_cond_t more;

    // Guarded by lock.
    struct job *first;
    struct job **last;
    unsigned sleepers; // threads that wait for `more`
    bool closed;
};

bool queue_open(struct queue *queue, size_t limit, struct failure *failure);

// No thread may use the queue any more, and no job be in it.
void queue_free(struct queue *queue);

// Takes a place for one job, or returns false when none is free. Any thread, without a lock.
bool queue_reserve(struct queue *queue);

// Gives `count` places back: their jobs wait no more.
void queue_release(struct queue *queue, size_t count);

// Puts in a list of jobs that have places; `last` is the `next` of its last one.
void queue_push(struct queue *queue, struct job *first, struct job **last);

// Waits for jobs and takes all of them, or one; NULL when the queue is closed and empty. Their
// places remain theirs.
struct job *queue_take_all(struct queue *queue);
struct job *queue_take_one(struct queue *queue);

// Lets the threads that wait end once the queue is empty.
void queue_close(struct queue *queue);
