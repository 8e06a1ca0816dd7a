#include "api/watch.h"

#include "base/clock.h"

// Milliseconds of failure that are worth a line in the log; a server that restarts takes less.
enum { COMPLAIN_AFTER = 3000 };

static void look(struct watch *watch);

static void on_timer(uv_timer_t *timer) {
    look(timer->data);
}

static void look_in(struct watch *watch, uint64_t ms) {
    if (!watch->stopping)
        (void)uv_timer_start(&watch->timer, on_timer, ms, 0); // fails only where it is closing
}

// --- rows

static void on_restart(struct job *job) {
    struct watch *watch = job->owner;
    watch->found[0] = '\0';
    for (size_t i = 0; i < watch->item_count; i++) {
        if (watch->items[i]->on_begin)
            watch->items[i]->on_begin(watch->items[i]);
    }
}

static bool on_row(struct job *job, size_t call, const struct value *cells) {
    struct watch *watch = job->owner;
    if (call == 0) {
        struct text version = cells[0].text;
        size_t size = version.size < WATCH_VERSION_SIZE ? version.size : WATCH_VERSION_SIZE - 1;
        memcpy(watch->found, version.data, size);
        watch->found[size] = '\0';
        return true;
    }
    call--;
    for (size_t i = 0; i < watch->item_count; i++) {
        struct watched *item = watch->items[i];
        if (call < item->call_count)
            return item->on_row(item, call, cells);
        call -= item->call_count;
    }
    return false;
}

// --- what becomes of it

static void note_failure(struct watch *watch, const char *why) {
    uint64_t now = clock_monotonic();
    if (!watch->failing_since)
        watch->failing_since = now;
    if (watch->complained || now - watch->failing_since < COMPLAIN_AFTER)
        return;
    watch->complained = true;
    log_warning(watch->log, "what other processes change is not seen for now: %s", why);
}

static void note_success(struct watch *watch) {
    if (watch->complained)
        log_info(watch->log, "what other processes change is seen again");
    watch->complained = false;
    watch->failing_since = 0;
}

// All that is watched was read together with a version; false where some of it could not be handed
// on.
static bool hand_on(struct watch *watch) {
    bool all = true;
    for (size_t i = 0; i < watch->item_count; i++)
        all = watch->items[i]->on_changed(watch->items[i]) && all;
    if (all)
        memcpy(watch->version, watch->found, sizeof watch->version);
    return all;
}

static void tell_seen(const struct watch *watch) {
    for (size_t i = 0; i < watch->item_count; i++) {
        if (watch->items[i]->on_seen)
            watch->items[i]->on_seen(watch->items[i], watch->began);
    }
}

static void on_done(struct job *job, const struct outcome *outcome) {
    struct watch *watch = job->owner;
    struct failure failure;
    watch->is_out = false;
    if (watch->stopping)
        return;
    if (!outcome_failure(outcome, &failure)) {
        note_failure(watch, failure.detail);
        look_in(watch, WATCH_INTERVAL);
        return;
    }
    note_success(watch);
    bool soon = watch->news;
    watch->news = false;
    if (!watch->is_known || strcmp(watch->found, watch->version) != 0) {
        if (job->call_count == watch->call_count) {
            watch->is_known = hand_on(watch);
        } else {
            watch->is_known = false; // the next look reads everything
            soon = true;
        }
    }
    if (watch->is_known)
        tell_seen(watch);
    look_in(watch, soon ? 0 : WATCH_INTERVAL);
}

// --- looking

static void look(struct watch *watch) {
    if (watch->is_out || watch->stopping)
        return;
    watch->job.call_count = watch->is_known ? 1 : watch->call_count;
    watch->began = clock_monotonic();
    watch->job.deadline = watch->began + WATCH_TIMEOUT;
    on_restart(&watch->job);
    watch->is_out = store_submit(watch->session, &watch->job);
    if (!watch->is_out) {
        note_failure(watch, "too much waits for the database already");
        look_in(watch, WATCH_INTERVAL);
    }
}

static void on_news(void *owner) {
    struct watch *watch = owner;
    if (watch->is_out)
        watch->news = true; // it may have read what was before
    else
        look(watch);
}

// --- coming and going

static bool make_job(struct watch *watch, enum store_dialect dialect) {
    watch->call_count = 1;
    for (size_t i = 0; i < watch->item_count; i++)
        watch->call_count += watch->items[i]->call_count;
    struct call *calls =
        arena_allocate_zero(&watch->arena, watch->call_count, sizeof *watch->job.calls);
    if (!calls || !meta_plan_make(&watch->arena, dialect_of(dialect), &watch->plan))
        return false;
    watch->name = value_text(VALUE_TEXT, TEXT(META_VERSION));
    calls[0] = (struct call){.statement = &watch->plan.read,
                             .parameters = &watch->name,
                             .parameter_count = 1,
                             .expect = EXPECT_ANY};
    struct call *next = calls + 1;
    for (size_t i = 0; i < watch->item_count; i++) {
        const struct watched *item = watch->items[i];
        for (size_t j = 0; j < item->call_count; j++)
            *next++ = item->calls[j];
    }
    watch->job = (struct job){.kind = JOB_READ,
                              .calls = calls,
                              .owner = watch,
                              .on_row = on_row,
                              .on_restart = on_restart,
                              .on_done = on_done};
    return true;
}

bool watch_start(struct watch *watch, uv_loop_t *loop, struct store *store, struct log *log,
                 struct watched *const *items, size_t item_count, struct failure *failure) {
    *watch = (struct watch){.items = items, .item_count = item_count, .log = log};
    bool made = make_job(watch, store_dialect(store)) || failure_out_of_memory(failure);
    if (!made || !store_attach(store, loop, &watch->session, failure)) {
        arena_free(&watch->arena);
        watch->session = NULL;
        return false;
    }
    uv_timer_init(loop, &watch->timer); // always succeeds
    watch->timer.data = watch;
    watch->handles = 2;
    store_listen(watch->session, on_news, watch);
    look(watch);
    return true;
}

static void let_go(struct watch *watch) {
    if (--watch->handles)
        return;
    arena_free(&watch->arena);
    if (watch->on_stopped)
        watch->on_stopped(watch->owner);
}

static void on_timer_closed(uv_handle_t *timer) {
    let_go(timer->data);
}

static void on_detached(void *owner) {
    let_go(owner);
}

void watch_stop(struct watch *watch, void (*on_stopped)(void *owner), void *owner) {
    watch->stopping = true;
    watch->on_stopped = on_stopped;
    watch->owner = owner;
    if (watch->is_out)
        store_cancel(watch->session, &watch->job);
    uv_close((uv_handle_t *)&watch->timer, on_timer_closed);
    store_detach(watch->session, on_detached, watch);
}
