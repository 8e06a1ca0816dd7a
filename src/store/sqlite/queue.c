#include "store/sqlite/queue.h"

bool queue_open(struct queue *queue, size_t limit, struct failure *failure) {
    *queue = (struct queue){.limit = limit};
    queue->last = &queue->first;
    if (uv_mutex_init(&queue->lock))
        return failure_out_of_memory(failure);
    if (uv_cond_init(&queue->more)) {
        uv_mutex_destroy(&queue->lock);
        return failure_out_of_memory(failure);
    }
    return true;
}

void queue_free(struct queue *queue) {
    uv_cond_destroy(&queue->more);
    uv_mutex_destroy(&queue->lock);
}

bool queue_reserve(struct queue *queue) {
    if (atomic_fetch_add_explicit(&queue->waiting, 1, memory_order_relaxed) < queue->limit)
        return true;
    queue_release(queue, 1);
    return false;
}

void queue_release(struct queue *queue, size_t count) {
    atomic_fetch_sub_explicit(&queue->waiting, count, memory_order_relaxed);
}

void queue_push(struct queue *queue, struct job *first, struct job **last) {
    uv_mutex_lock(&queue->lock);
    *queue->last = first;
    queue->last = last;
    bool sleeping = queue->sleepers > 0;
    uv_mutex_unlock(&queue->lock);
    if (sleeping)
        uv_cond_signal(&queue->more);
}

// With the lock held; false when there will be no more jobs.
static bool wait_for_jobs(struct queue *queue) {
    queue->sleepers++;
    while (!queue->first && !queue->closed)
        uv_cond_wait(&queue->more, &queue->lock);
    queue->sleepers--;
    return queue->first;
}

struct job *queue_take_all(struct queue *queue) {
    struct job *jobs = NULL;
    uv_mutex_lock(&queue->lock);
    if (wait_for_jobs(queue)) {
        jobs = queue->first;
        queue->first = NULL;
        queue->last = &queue->first;
    }
    uv_mutex_unlock(&queue->lock);
    return jobs;
}

struct job *queue_take_one(struct queue *queue) {
    struct job *job = NULL;
    uv_mutex_lock(&queue->lock);
    if (wait_for_jobs(queue)) {
        job = queue->first;
        queue->first = job->next;
        if (!queue->first)
            queue->last = &queue->first;
        job->next = NULL;
    }
    uv_mutex_unlock(&queue->lock);
    return job;
}

void queue_close(struct queue *queue) {
    uv_mutex_lock(&queue->lock);
    queue->closed = true;
    uv_cond_broadcast(&queue->more);
    uv_mutex_unlock(&queue->lock);
}
