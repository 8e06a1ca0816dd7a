// A caller runs jobs on a store, one after another, for who has nothing else to do meanwhile. It
// keeps its session, where store_run makes one for each job. A database that is locked, and a
// server that is away, is waited for, up to a minute. It owns the session; several callers may
// share a loop, which must outlive them.
#pragma once

#include "store/store.h"

struct caller {
    struct job job; // the first member, so that on_done finds the caller
    struct store_session *session;
    uv_loop_t *loop;
    uv_timer_t timer;     // for a job that is to be tried again
    uint64_t gives_up_at; // clock_monotonic(); 0: the database was there at the last look
    struct outcome outcome;
    bool is_waiting; // a job is under way
    bool is_refused; // the store did not take the last one: there is no memory, or others fill it
    bool is_closing;
};

bool caller_open(struct caller *caller, uv_loop_t *loop, struct store *store,
                 struct failure *failure);

// Starts a copy of a job; its on_done is not called, and its deadline is the caller's to set. No
// other may be under way. What it points to must live until the caller has finished it.
void caller_start(struct caller *caller, const struct job *job);

// Waits for the job that was started last, if it is still under way. False and a failure unless it
// was done; caller->outcome tells more.
bool caller_finish(struct caller *caller, struct failure *failure);

// Both.
bool caller_run(struct caller *caller, const struct job *job, struct failure *failure);

// Ends the session once the job under way is answered, when the loop runs; takes zeroed memory, and
// a caller whose opening failed.
void caller_close(struct caller *caller);
