#include "api/waiters.h"

#include "api/exchange.h"

static const struct text operations = TEXT_INIT("operations");

static struct waiter *waiter_of(struct link *link) {
    return list_entry(link, struct waiter, link);
}

// ---- Waking

static void wake(struct waiter *waiter) {
    struct exchange *exchange = waiter->exchange;
    waiter->asleep = waiter->rung = false;
    exchange->is_busy = false;
    exchange_resume(exchange);
}

static struct waiter *find_rung(const struct waiters *waiters) {
    for (struct link *link = waiters->all.next; link != &waiters->all; link = link->next) {
        struct waiter *waiter = waiter_of(link);
        if (waiter->asleep && waiter->rung)
            return waiter;
    }
    return NULL;
}

// Others may come, sleep and go while one is woken.
static void wake_rung(struct waiters *waiters) {
    struct waiter *waiter;
    while ((waiter = find_rung(waiters)))
        wake(waiter);
}

// ---- The passing of time

static void on_timer(uv_timer_t *timer);

static void set_timer(struct waiters *waiters) {
    uint64_t now = uv_now(waiters->service->loop);
    uint64_t first = UINT64_MAX;
    for (struct link *link = waiters->all.next; link != &waiters->all; link = link->next) {
        const struct waiter *waiter = waiter_of(link);
        if (waiter->asleep && waiter->until < first)
            first = waiter->until;
    }
    if (first == UINT64_MAX)
        (void)uv_timer_stop(&waiters->timer);
    else
        (void)uv_timer_start(&waiters->timer, on_timer, first > now ? first - now : 0, 0);
}

static void on_timer(uv_timer_t *timer) {
    struct waiters *waiters = timer->data;
    uint64_t now = uv_now(waiters->service->loop);
    for (struct link *link = waiters->all.next; link != &waiters->all; link = link->next) {
        struct waiter *waiter = waiter_of(link);
        waiter->rung = waiter->rung || waiter->until <= now;
    }
    wake_rung(waiters);
    set_timer(waiters);
}

// ---- Coming and going

bool waiters_can(const struct waiters *waiters) {
    return waiters->open && !waiters->service->stopping;
}

static bool join(struct waiters *waiters, struct waiter *waiter) {
    struct listeners *listeners = &waiters->service->listeners;
    if (list_is_empty(&waiters->all) && !feed_listen(listeners->member.feed, operations, true))
        return false;
    waiter->of = waiters;
    waiter->informed = WAITER_FRESH;
    list_append(&waiters->all, &waiter->link);
    return true;
}

bool waiters_sleep(struct waiters *waiters, struct waiter *waiter, uint64_t until) {
    if (!waiter->of && !join(waiters, waiter))
        return false;
    bool rung = waiter->rung;
    waiter->rung = false;
    if (rung)
        return false;
    waiter->asleep = true;
    waiter->until = until;
    waiter->exchange->is_busy = true;
    if (waiter->informed == WAITER_FRESH)
        listeners_ask(&waiters->service->listeners);
    set_timer(waiters);
    return true;
}

// What one of them was told of, or what it was to be woken for, may be there for another one.
static bool wait_for_the_same(const struct waiter *a, const struct waiter *b) {
    for (size_t i = 0; i < a->claimable_count; i++)
        for (size_t j = 0; j < b->claimable_count; j++)
            if (text_equal(a->claimables[i].plan->resource->name,
                           b->claimables[j].plan->resource->name) &&
                text_equal(a->claimables[i].transition->name, b->claimables[j].transition->name))
                return true;
    return false;
}

static void pass_on(struct waiters *waiters, const struct waiter *gone) {
    for (struct link *link = waiters->all.next; link != &waiters->all; link = link->next) {
        struct waiter *waiter = waiter_of(link);
        if (!waiter->asleep || !wait_for_the_same(waiter, gone))
            continue;
        wake(waiter);
        return;
    }
}

void waiters_leave(struct waiter *waiter) {
    struct waiters *waiters = waiter->of;
    if (!waiters)
        return;
    list_remove(&waiter->link);
    waiter->of = NULL;
    // Where there is no memory to tell the feed, it goes on telling until somebody leaves again.
    if (list_is_empty(&waiters->all))
        (void)feed_listen(waiters->service->listeners.member.feed, operations, false);
    pass_on(waiters, waiter);
    if (waiters->open)
        set_timer(waiters);
}

void waiters_open(struct waiters *waiters, struct service *service) {
    *waiters = (struct waiters){.service = service, .open = true};
    list_init(&waiters->all);
    (void)uv_timer_init(service->loop, &waiters->timer); // always succeeds
    waiters->timer.data = waiters;
}

void waiters_stop(struct waiters *waiters) {
    if (!waiters->open)
        return;
    for (struct link *link = waiters->all.next; link != &waiters->all; link = link->next)
        waiter_of(link)->rung = true;
    wake_rung(waiters);
}

void waiters_close(struct waiters *waiters) {
    if (!waiters->open)
        return;
    waiters->open = false;
    uv_close((uv_handle_t *)&waiters->timer, NULL);
}

// ---- News

bool waiters_want(const struct waiters *waiters) {
    for (struct link *link = waiters->all.next; waiters->open && link != &waiters->all;
         link = link->next)
        if (waiter_of(link)->informed == WAITER_FRESH)
            return true;
    return false;
}

void waiters_on_ask(struct waiters *waiters) {
    for (struct link *link = waiters->all.next; waiters->open && link != &waiters->all;
         link = link->next)
        if (waiter_of(link)->informed == WAITER_FRESH)
            waiter_of(link)->informed = WAITER_ASKED;
}

static bool concerns(const struct waiter *waiter, const struct feed_event *event) {
    const struct operation *operation = event->operation;
    if (waiter->operation.data)
        return text_equal(waiter->operation, event->key) &&
               (!operation || operation_has_ended(operation->state));
    if (!operation || operation->state != OPERATION_QUEUED)
        return false;
    for (size_t i = 0; i < waiter->claimable_count; i++)
        if (text_equal(waiter->claimables[i].plan->resource->name, operation->resource) &&
            text_equal(waiter->claimables[i].transition->name, operation->transition))
            return true;
    return false;
}

// One operation is for one of those who would claim it; those that are about to look anyway must
// look again, since they may have looked before it was there.
static void tell(struct waiters *waiters, const struct feed_event *event) {
    bool taken = false;
    for (struct link *link = waiters->all.next; link != &waiters->all; link = link->next) {
        struct waiter *waiter = waiter_of(link);
        bool claims = !waiter->operation.data;
        if (!concerns(waiter, event) || (claims && taken && waiter->asleep))
            continue;
        taken = taken || (claims && waiter->asleep && !waiter->rung);
        waiter->rung = true;
    }
}

void waiters_on_news(struct waiters *waiters, const struct feed_news *news, bool asked) {
    if (!waiters->open)
        return;
    for (size_t i = 0; i < news->event_count; i++)
        if (text_equal(news->events[i].resource, operations))
            tell(waiters, &news->events[i]);
    for (struct link *link = waiters->all.next; link != &waiters->all; link = link->next) {
        struct waiter *waiter = waiter_of(link);
        bool informed = asked && waiter->informed == WAITER_ASKED;
        if (informed)
            waiter->informed = WAITER_INFORMED;
        // What happened between its look and this was told to nobody.
        waiter->rung = waiter->rung || informed || news->restarts;
    }
    wake_rung(waiters);
}
