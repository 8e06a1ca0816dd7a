#include "api/sweeper.h"

#include "api/service.h"
#include "base/clock.h"

// So many rows of each kind are forgotten in one job; milliseconds from one to the next while there
// are more, and when there are not: a part of the time for which they are kept, within bounds.
enum { SWEEP_COUNT = 100, PAUSE = 20, PART = 10, LEAST_INTERVAL = 500, MOST_INTERVAL = 60000 };

enum { DAY = 86400000, DATE_SIZE = 10 };

static void on_timer(uv_timer_t *timer);

static void wait(struct sweeper *sweeper, bool more) {
    uint64_t interval = sweeper->service->options->idempotency_retention / PART;
    if (interval < LEAST_INTERVAL)
        interval = LEAST_INTERVAL;
    if (interval > MOST_INTERVAL)
        interval = MOST_INTERVAL;
    (void)uv_timer_start(&sweeper->timer, on_timer, more ? PAUSE : interval, 0);
}

static void on_done(struct job *job, const struct outcome *outcome) {
    struct sweeper *sweeper = job->owner;
    catalogue_release(sweeper->catalogue);
    sweeper->catalogue = NULL;
    bool more = sweeper->calls[0].rows == SWEEP_COUNT || sweeper->calls[1].rows == SWEEP_COUNT;
    if (sweeper->running)
        wait(sweeper, outcome->kind == OUTCOME_DONE && more);
}

static void plan(struct sweeper *sweeper) {
    const struct statement *statements[] = {&sweeper->catalogue->idempotency.forget,
                                            &sweeper->service->usage.forget};
    int64_t now = clock_now();
    timestamp_format(now, sweeper->now);
    timestamp_format(now - (int64_t)USAGE_DAYS * DAY, sweeper->day);
    sweeper->parameters[0][0] =
        value_text(VALUE_TIMESTAMP, text_of(sweeper->now, sizeof sweeper->now));
    sweeper->parameters[1][0] = value_text(VALUE_DATE, text_of(sweeper->day, DATE_SIZE));
    for (size_t i = 0; i < 2; i++) {
        sweeper->parameters[i][1] = value_integer(SWEEP_COUNT);
        sweeper->calls[i] = (struct call){.statement = statements[i],
                                          .parameters = sweeper->parameters[i],
                                          .parameter_count = 2,
                                          .expect = EXPECT_ANY};
    }
}

static void on_timer(uv_timer_t *timer) {
    struct sweeper *sweeper = timer->data;
    sweeper->catalogue = catalogue_retain(sweeper->service->catalogue);
    plan(sweeper);
    sweeper->job = (struct job){.kind = JOB_WRITE,
                                .calls = sweeper->calls,
                                .call_count = 2,
                                .owner = sweeper,
                                .on_done = on_done};
    if (store_submit(sweeper->service->session, &sweeper->job))
        return;
    catalogue_release(sweeper->catalogue); // too much waits already: later
    sweeper->catalogue = NULL;
    wait(sweeper, false);
}

void sweeper_start(struct sweeper *sweeper, struct service *service) {
    *sweeper = (struct sweeper){.service = service, .running = true};
    (void)uv_timer_init(service->loop, &sweeper->timer); // always succeeds
    sweeper->timer.data = sweeper;
    wait(sweeper, true);
}

void sweeper_stop(struct sweeper *sweeper) {
    if (!sweeper->running)
        return;
    sweeper->running = false;
    uv_close((uv_handle_t *)&sweeper->timer, NULL);
}
