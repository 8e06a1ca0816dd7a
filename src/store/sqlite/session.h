// A session is one loop's way into the SQLite store: it runs JOB_READ on a connection of its own,
// between two turns of the loop, and hands the other jobs to the store's threads. It belongs to its
// loop's thread.
#pragma once

#include "store/sqlite/connection.h"

struct sqlite_store;

struct session {
    struct store_session base;
    uv_loop_t *loop;     // set once
    unsigned read_limit; // set once: JOB_READ that may wait

    // The loop's thread.
    struct connection reader;
    uv_check_t check;  // after the loop has looked at its sockets …
    uv_idle_t idle;    // … for which it does not wait; both run only while jobs are here
    struct job *reads; // that wait for the end of this turn
    struct job **reads_last;
    unsigned read_count;
    struct job *writes; // that are handed over at the end of this turn
    struct job **writes_last;
    size_t pending; // jobs that were taken and not answered
    bool stirred;   // check and idle run
    bool detaching;
    bool closing;
    unsigned handles; // not yet closed
    void (*on_detached)(void *owner);
    void *owner;

    // Any thread: answers come home here.
    struct mailbox mailbox;

    // The writer's thread: answers that it gathers, to post them at once.
    struct letter *answers;
    struct letter **answers_last;
    struct session *next_answered;
};

// The slots of struct store_operations.
bool session_attach(struct store *base, uv_loop_t *loop, struct store_session **ret_session,
                    struct failure *failure);
void session_detach(struct store_session *base, void (*on_detached)(void *owner), void *owner);
bool session_submit(struct store_session *base, struct job *job);
void session_cancel(struct store_session *session, struct job *job);

static inline struct session *session_of(const struct job *job) {
    return (struct session *)job->session;
}

// Any thread: whether a job that still waits need not be run, as it was cancelled or is too late;
// its outcome is set then.
bool job_is_over(struct job *job, uint64_t now);

// Any thread: runs all calls of a job that reads, in one transaction, and sets its outcome.
void job_read(struct job *job, struct connection *connection);
