#include "store/sqlite/scanners.h"

#include "base/clock.h"
#include "store/sqlite/session.h"

#include <pthread.h>
#include <stdlib.h>

static void run_scanner(void *argument) {
    struct scanner *scanner = argument;
    struct queue *queue = &scanner->scanners->queue;
    (void)pthread_setname_np(pthread_self(), "scanner");
    struct job *job;
    while ((job = queue_take_one(queue))) {
        queue_release(queue, 1);
        if (!job_is_over(job, clock_monotonic()))
            job_read(job, &scanner->connection);
        mailbox_post(&session_of(job)->mailbox, &job->letter);
    }
}

static bool start_scanner(struct scanner *scanner, const struct connection_options *options,
                          struct failure *failure) {
    if (!sqlite_connection_open(&scanner->connection, CONNECTION_READS, options, failure))
        return false;
    int error = uv_thread_create(&scanner->thread, run_scanner, scanner);
    if (!error)
        return true;
    sqlite_connection_close(&scanner->connection);
    return failure_set(failure, FAILURE_UNAVAILABLE, "no thread: %s", uv_strerror(error));
}

bool scanners_open(struct scanners *scanners, unsigned count, size_t queue_limit,
                   const struct connection_options *options, struct failure *failure) {
    *scanners = (struct scanners){.scanners = calloc(count, sizeof *scanners->scanners)};
    if (!scanners->scanners)
        return failure_out_of_memory(failure);
    if (!queue_open(&scanners->queue, queue_limit, failure)) {
        free(scanners->scanners);
        *scanners = (struct scanners){0};
        return false;
    }
    for (; scanners->count < count; scanners->count++) {
        struct scanner *scanner = &scanners->scanners[scanners->count];
        scanner->scanners = scanners;
        if (!start_scanner(scanner, options, failure)) {
            scanners_close(scanners);
            return false;
        }
    }
    return true;
}

void scanners_close(struct scanners *scanners) {
    if (!scanners->scanners)
        return;
    queue_close(&scanners->queue);
    for (size_t i = 0; i < scanners->count; i++) {
        uv_thread_join(&scanners->scanners[i].thread);
        sqlite_connection_close(&scanners->scanners[i].connection);
    }
    queue_free(&scanners->queue);
    free(scanners->scanners);
    *scanners = (struct scanners){0};
}
