#include "cli/caller.h"

#include "base/clock.h"

// Milliseconds: for one job, and for the database to come back; before a job is tried again.
enum { PATIENCE = 60000, DELAY = 100 };

static void submit(struct caller *caller);

static void on_timer(uv_timer_t *timer) {
    submit(timer->data);
}

// Whether nothing happened because of what may pass. (A file that cannot be read will not be read a
// second later, but a server comes back.)
static bool may_pass(const struct caller *caller, enum outcome_kind kind) {
    bool is_server = store_dialect(caller->session->store) == STORE_POSTGRES;
    return kind == OUTCOME_BUSY || (kind == OUTCOME_UNAVAILABLE && is_server);
}

static bool may_try_again(struct caller *caller, enum outcome_kind kind) {
    uint64_t now = clock_monotonic();
    if (!may_pass(caller, kind)) {
        caller->gives_up_at = 0;
        return false;
    }
    if (!caller->gives_up_at)
        caller->gives_up_at = now + PATIENCE;
    return now < caller->gives_up_at && !caller->is_closing;
}

static void on_done(struct job *job, const struct outcome *outcome) {
    struct caller *caller = (struct caller *)job;
    if (may_try_again(caller, outcome->kind)) {
        if (job->on_restart)
            job->on_restart(job);
        (void)uv_timer_start(&caller->timer, on_timer, DELAY, 0);
        return;
    }
    caller->outcome = *outcome;
    caller->is_waiting = false;
}

static void submit(struct caller *caller) {
    caller->job.deadline = clock_monotonic() + PATIENCE;
    caller->is_refused = !store_submit(caller->session, &caller->job);
    if (!caller->is_refused)
        return;
    caller->outcome = (struct outcome){.kind = OUTCOME_CANCELLED};
    caller->is_waiting = false;
}

bool caller_open(struct caller *caller, uv_loop_t *loop, struct store *store,
                 struct failure *failure) {
    *caller = (struct caller){.loop = loop, .outcome = {.kind = OUTCOME_DONE}};
    if (!store_attach(store, loop, &caller->session, failure)) {
        caller->session = NULL;
        return false;
    }
    (void)uv_timer_init(loop, &caller->timer); // always 0
    caller->timer.data = caller;
    return true;
}

void caller_start(struct caller *caller, const struct job *job) {
    caller->job = *job;
    caller->job.on_done = on_done;
    caller->is_waiting = true;
    submit(caller);
}

bool caller_finish(struct caller *caller, struct failure *failure) {
    while (caller->is_waiting)
        (void)uv_run(caller->loop, UV_RUN_ONCE);
    if (caller->is_refused)
        return failure_set(failure, FAILURE_QUEUE_FULL, "the database takes no more work");
    return outcome_failure(&caller->outcome, failure);
}

bool caller_run(struct caller *caller, const struct job *job, struct failure *failure) {
    caller_start(caller, job);
    return caller_finish(caller, failure);
}

static void on_detached(void *owner) {}

void caller_close(struct caller *caller) {
    if (!caller->session)
        return;
    caller->is_closing = true;
    while (caller->is_waiting)
        (void)uv_run(caller->loop, UV_RUN_ONCE);
    store_detach(caller->session, on_detached, NULL);
    caller->session = NULL;
    uv_close((uv_handle_t *)&caller->timer, NULL);
}
