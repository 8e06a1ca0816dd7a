#include "api/operation_sweeper.h"

#include "api/service.h"
#include "base/clock.h"

// Milliseconds from one look to the next; so many operations are removed in one job, and that once
// in a part of the time for which they are kept, within bounds.
enum { LOOK_EVERY = 2000, FORGET_COUNT = 100, PART = 10, LEAST_PAUSE = 500, MOST_PAUSE = 60000 };

static void on_timer(uv_timer_t *timer);

static void rest(struct operation_sweeper *sweeper, bool again) {
    sweeper->is_busy = false;
    catalogue_release(sweeper->catalogue);
    sweeper->catalogue = NULL;
    arena_reset(&sweeper->arena);
    if (!sweeper->stopping)
        (void)uv_timer_start(&sweeper->timer, on_timer, again ? 0 : LOOK_EVERY, 0);
    if (sweeper->on_closed)
        operation_sweeper_close(sweeper, sweeper->on_closed, sweeper->owner);
}

static bool submit(struct operation_sweeper *sweeper) {
    sweeper->job.owner = sweeper;
    return store_submit(sweeper->service->session, &sweeper->job);
}

// ---- What ended long ago

static uint64_t forget_pause(const struct operation_sweeper *sweeper) {
    uint64_t pause = sweeper->service->options->operations_retention / PART;
    if (pause < LEAST_PAUSE)
        pause = LEAST_PAUSE;
    return pause < MOST_PAUSE ? pause : MOST_PAUSE;
}

static void on_forgotten(struct job *job, const struct outcome *outcome) {
    struct operation_sweeper *sweeper = job->owner;
    bool more = outcome->kind == OUTCOME_DONE && job->calls[0].rows == FORGET_COUNT;
    sweeper->forgets_at = uv_now(sweeper->service->loop) + (more ? 0 : forget_pause(sweeper));
    rest(sweeper, more);
}

static void forget(struct operation_sweeper *sweeper) {
    struct call *call = arena_allocate_zero(&sweeper->arena, 1, sizeof *call);
    sweeper->job =
        (struct job){.kind = JOB_WRITE, .calls = call, .call_count = 1, .on_done = on_forgotten};
    if (sweeper->stopping || uv_now(sweeper->service->loop) < sweeper->forgets_at || !call ||
        !operation_plan_forget(&sweeper->catalogue->operations,
                               sweeper->service->options->operations_retention, FORGET_COUNT,
                               &sweeper->arena, call) ||
        !submit(sweeper))
        rest(sweeper, false);
}

// ---- What nobody else ends

static void end_next(struct operation_sweeper *sweeper);

static void on_finished(struct operation_finish *finish) {
    end_next(finish->owner);
}

static void end_next(struct operation_sweeper *sweeper) {
    if (sweeper->stopping || sweeper->ended == sweeper->stuck_count) {
        forget(sweeper);
        return;
    }
    const struct operation *operation = &sweeper->stuck[sweeper->ended++];
    sweeper->finish =
        (struct operation_finish){.session = sweeper->service->session,
                                  .catalogue = sweeper->catalogue,
                                  .arena = &sweeper->arena,
                                  .patience = sweeper->service->options->query_timeout,
                                  .kind = FINISH_LOST,
                                  .id = operation->id,
                                  .owner = sweeper,
                                  .on_done = on_finished};
    if (!operation_finish_start(&sweeper->finish))
        forget(sweeper);
}

static bool on_stuck_row(struct job *job, size_t call, const struct value *cells) {
    struct operation_sweeper *sweeper = job->owner;
    struct operation *place =
        arena_grow(&sweeper->arena, &sweeper->stuck, sweeper->stuck_count, sizeof *place);
    if (!place || !operation_read(&sweeper->catalogue->operations, cells, &sweeper->arena, place))
        return false;
    sweeper->stuck_count++;
    return true;
}

static void on_stuck_restart(struct job *job) {
    struct operation_sweeper *sweeper = job->owner;
    sweeper->stuck_count = 0;
}

static void on_stuck(struct job *job, const struct outcome *outcome) {
    struct operation_sweeper *sweeper = job->owner;
    if (outcome->kind == OUTCOME_DONE)
        end_next(sweeper);
    else
        rest(sweeper, false);
}

static bool add_call(struct operation_sweeper *sweeper, const struct resource *resource,
                     const struct transition *transition) {
    struct job *job = &sweeper->job;
    struct call *call = arena_grow(&sweeper->arena, &job->calls, job->call_count, sizeof *call);
    if (!call || !operation_plan_stuck(&sweeper->catalogue->operations, resource->name,
                                       transition->name, &sweeper->arena, call))
        return false;
    job->call_count++;
    return true;
}

// One call for each long transition; false when there is no memory.
static bool plan_look(struct operation_sweeper *sweeper) {
    const struct catalogue *catalogue = sweeper->catalogue;
    sweeper->stuck = NULL;
    sweeper->stuck_count = sweeper->ended = 0;
    sweeper->job = (struct job){.kind = JOB_READ,
                                .on_row = on_stuck_row,
                                .on_restart = on_stuck_restart,
                                .on_done = on_stuck};
    for (size_t i = 0; i < catalogue->resource_count; i++) {
        const struct resource *resource = catalogue->resources[i];
        for (size_t j = 0; j < resource->transition_count; j++)
            if (resource->transitions[j].work &&
                !add_call(sweeper, resource, &resource->transitions[j]))
                return false;
    }
    return true;
}

static void on_timer(uv_timer_t *timer) {
    struct operation_sweeper *sweeper = timer->data;
    sweeper->catalogue = catalogue_retain(sweeper->service->catalogue);
    sweeper->is_busy = true;
    bool planned = plan_look(sweeper);
    if (planned && sweeper->job.call_count == 0)
        forget(sweeper);
    else if (!planned || !submit(sweeper))
        rest(sweeper, false);
}

void operation_sweeper_start(struct operation_sweeper *sweeper, struct service *service) {
    *sweeper = (struct operation_sweeper){.service = service, .is_open = true};
    (void)uv_timer_init(service->loop, &sweeper->timer); // always succeeds
    sweeper->timer.data = sweeper;
    sweeper->forgets_at = uv_now(service->loop) + forget_pause(sweeper);
    (void)uv_timer_start(&sweeper->timer, on_timer, LOOK_EVERY, 0);
}

void operation_sweeper_stop(struct operation_sweeper *sweeper) {
    sweeper->stopping = true;
    if (sweeper->is_open)
        (void)uv_timer_stop(&sweeper->timer);
}

void operation_sweeper_close(struct operation_sweeper *sweeper, void (*on_closed)(void *owner),
                             void *owner) {
    operation_sweeper_stop(sweeper);
    sweeper->on_closed = on_closed;
    sweeper->owner = owner;
    if (sweeper->is_busy)
        return;
    if (sweeper->is_open)
        uv_close((uv_handle_t *)&sweeper->timer, NULL);
    sweeper->is_open = false;
    sweeper->on_closed = NULL;
    arena_free(&sweeper->arena);
    on_closed(owner);
}
