#include "api/listeners.h"

#include "api/authorize.h"
#include "api/event_page.h"
#include "api/exchange.h"
#include "base/random.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TICK = 250,               // milliseconds, at most
    READINGS_MAX = 4,         // pages at once
    PAGE_ENOUGH = 128 * 1024, // bytes of events that are read at once for one who is behind
    PAGE_RANGE = 20 * 1000,   // numbers that are looked through for them
    RETRY_LEAST = 1000,       // milliseconds after which clients are to come back, …
    RETRY_SPREAD = 2000,      // … and up to so many more, or all would come at once
};

// Those who listen to one resource.
struct topic {
    struct topic *next;
    struct link listeners;
    char name[]; // ends with a zero byte
};

// Lives in its exchange's arena. It is in the lists that its state asks for:
//
//     starting          in `fresh`, then `asked`; its stream has not begun
//     live              at the end of the news, and given them as they come
//     behind: waiting   in `waiting`, for a page
//             reading   a page is being read for it
//             full      until the client has taken what was written
struct listener {
    struct listeners *of;
    struct exchange *exchange;
    struct topic *topic;
    struct link in_topic;
    struct link in_queue; // fresh, asked or waiting
    struct link in_beats;
    struct bearer bearer;
    bool resumes; // it came with a number
    bool begun;
    bool live;
    bool full;
    int64_t position; // it has, or wants, nothing up to here
    uint64_t since;   // uv_now() when it came, or when it was written to last
    struct reading *reading;
};

// A page that is read for somebody behind, who may be gone before it is there.
struct reading {
    struct event_page page;
    struct listeners *of;
    struct listener *listener; // NULL: it is gone
    const struct plan *plan;   // of the page's catalogue
    int64_t up_to;
    bool writes; // the events were found, and are written
};

static uint64_t now_of(const struct listeners *listeners) {
    return uv_now(listeners->service->loop);
}

// ---- Topics

static struct topic *find_topic(const struct listeners *listeners, struct text name) {
    struct topic *topic = listeners->topics;
    while (topic && !text_is(name, topic->name))
        topic = topic->next;
    return topic;
}

static struct topic *make_topic(struct listeners *listeners, struct text name) {
    struct topic *topic = calloc(1, sizeof *topic + name.size + 1);
    if (!topic || !feed_listen(listeners->member.feed, name, true)) {
        free(topic);
        return NULL;
    }
    list_init(&topic->listeners);
    memcpy(topic->name, name.data, name.size);
    topic->next = listeners->topics;
    listeners->topics = topic;
    return topic;
}

// Those that nobody listens to any more. Where there is no memory to tell the feed, it writes
// events in vain until it is told another time.
static void drop_empty_topics(struct listeners *listeners) {
    struct topic **slot = &listeners->topics;
    while (*slot) {
        struct topic *topic = *slot;
        if (!list_is_empty(&topic->listeners)) {
            slot = &topic->next;
            continue;
        }
        *slot = topic->next;
        (void)feed_listen(listeners->member.feed, text_from_string(topic->name), false);
        free(topic);
    }
}

// ---- Writing

static void write_to(struct listener *listener, struct text text) {
    struct listeners *listeners = listener->of;
    listener->full = !http_stream_write(listener->exchange->request, text) || listener->full;
    listener->live = listener->live && !listener->full;
    listener->since = now_of(listeners);
    list_remove(&listener->in_beats);
    list_append(&listeners->beats, &listener->in_beats);
}

// What fits on the stack: numbers between few words.
static void write_line(struct listener *listener, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void write_line(struct listener *listener, const char *format, ...) {
    char line[160];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    write_to(listener, text_of(line, (size_t)size));
}

// Changes may be lost to this client; from this number on there is each.
static void write_gap(struct listener *listener, int64_t from) {
    listener->position = from - 1;
    write_line(listener, "id: %jd\nevent: gap\ndata: {\"from\":%jd}\n\n", (intmax_t)(from - 1),
               (intmax_t)from);
}

// ---- Who hears what

// Of resources whose records say who may read them, a listener hears of those that it may. What is
// gone does not say so any more.
static bool may_hear(const struct listener *listener, enum outbox_change change,
                     const struct operation *operation) {
    const struct exchange *exchange = listener->exchange;
    if (exchange->plan->resource->read_access != ACCESS_EACH || change == CHANGE_GAP)
        return true;
    return authorize_is_admin(exchange) ||
           (operation && authorize_may_verb(exchange, operation->resource, TEXT("read")));
}

// ---- Beginning and end

static void tick_on(struct listeners *listeners);
static void pump(struct listeners *listeners);

static void ask(struct listeners *listeners) {
    struct waiters *waiters = &listeners->service->waiters;
    if (listeners->asking || (list_is_empty(&listeners->fresh) && !waiters_want(waiters)))
        return;
    listeners->asking = true;
    waiters_on_ask(waiters);
    while (!list_is_empty(&listeners->fresh)) {
        struct link *link = listeners->fresh.next;
        list_remove(link);
        list_append(&listeners->asked, link);
    }
    feed_ask(&listeners->member);
}

void listeners_ask(struct listeners *listeners) {
    ask(listeners);
}

bool listeners_add(struct listeners *listeners, struct exchange *exchange, int64_t after) {
    struct text name = exchange->plan->resource->name;
    struct listener *listener = arena_allocate_zero(&exchange->request->arena, 1, sizeof *listener);
    struct topic *topic = find_topic(listeners, name);
    if (listener && !topic)
        topic = make_topic(listeners, name);
    if (!listener || !topic)
        return failure_out_of_memory(&exchange->failure);
    *listener = (struct listener){.of = listeners,
                                  .exchange = exchange,
                                  .topic = topic,
                                  .resumes = after >= 0,
                                  .position = after,
                                  .since = now_of(listeners)};
    exchange->listener = listener;
    list_append(&topic->listeners, &listener->in_topic);
    list_append(&listeners->fresh, &listener->in_queue);
    bearers_add(&listeners->bearers, &listener->bearer, exchange);
    listeners->count++;
    tick_on(listeners);
    ask(listeners);
    return true;
}

// Takes it out of everything; the exchange goes its own way.
static void forget(struct listener *listener) {
    struct listeners *listeners = listener->of;
    list_remove(&listener->in_topic);
    list_remove(&listener->in_queue);
    list_remove(&listener->in_beats);
    bearers_remove(&listener->bearer);
    drop_empty_topics(listeners);
    if (listener->reading) {
        listener->reading->listener = NULL;
        event_page_cancel(&listener->reading->page);
    }
    listener->exchange->listener = NULL;
    if (--listeners->count == 0 && listeners->open)
        uv_timer_stop(&listeners->timer);
}

static void end(struct listener *listener) {
    struct exchange *exchange = listener->exchange;
    forget(listener);
    exchange_resume(exchange);
}

// One whose stream has not begun.
static void refuse(struct listener *listener, enum failure_code code, const char *detail) {
    failure_set(&listener->exchange->failure, code, "%s", detail);
    end(listener);
}

// Nothing is known yet of what was there when the client came with its number.
static void wait_for_page(struct listener *listener) {
    list_append(&listener->of->waiting, &listener->in_queue);
}

// At the end of the news, or behind it.
static void settle_down(struct listener *listener) {
    listener->live = !listener->full && listener->position >= listener->of->told;
    if (!listener->live && !listener->full && !listener->reading)
        wait_for_page(listener);
}

static void begin(struct listener *listener) {
    struct listeners *listeners = listener->of;
    struct exchange *exchange = listener->exchange;
    unsigned spread = 0;
    (void)random_bytes(&spread, sizeof spread); // without it they all come at once
    http_answer_field(&exchange->answer, "Content-Type", TEXT("text/event-stream"));
    http_answer_field(&exchange->answer, "Cache-Control", TEXT("no-store"));
    http_answer_field(&exchange->answer, "X-Accel-Buffering", TEXT("no")); // nginx would wait
    list_remove(&listener->in_queue);
    exchange_stream_begin(exchange, true);
    listener->begun = true;
    if (exchange->request->method == HTTP_METHOD_HEAD) {
        end(listener);
        return;
    }
    if (!listener->resumes)
        listener->position = listeners->told;
    // From here on the client has a number to come back with.
    write_line(listener, "retry: %u\nid: %jd\n\n", RETRY_LEAST + spread % RETRY_SPREAD,
               (intmax_t)listener->position);
    if (listener->position > listeners->last) // given by another database, or another life of this
        write_gap(listener, listeners->told + 1);
    settle_down(listener);
}

void listeners_on_gone(struct exchange *exchange) {
    forget(exchange->listener);
    exchange_abandon(exchange);
}

void listeners_on_stopping(struct exchange *exchange) {
    end(exchange->listener);
}

void listeners_on_writable(struct exchange *exchange) {
    struct listener *listener = exchange->listener;
    listener->full = false;
    settle_down(listener);
    pump(listener->of);
}

// ---- Those behind

static void reading_free(struct reading *reading) {
    reading->of->readings--;
    if (reading->listener)
        reading->listener->reading = NULL;
    event_page_free(&reading->page);
    free(reading);
}

// The events were found. What was removed before them may have been of interest.
static void take_look(struct reading *reading) {
    struct event_page *page = &reading->page;
    if (page->position.first > reading->listener->position + 1)
        write_gap(reading->listener, page->position.first);
    for (size_t i = 0; i < page->count; i++)
        page->events[i].plan = reading->plan;
    reading->writes = true;
}

// Behind the last event that was written there is none of this resource up to where was looked.
static void hand_over(struct reading *reading) {
    struct listener *listener = reading->listener;
    const struct event_page *page = &reading->page;
    for (size_t i = 0; i < page->written; i++) {
        const struct outbox_event *event = &page->events[i].event;
        listener->position = event->number;
        if (may_hear(listener, event->change, event_page_operation(page, i)))
            write_to(listener, event_page_text(page, i));
    }
    bool is_all = page->written == page->count && page->is_whole;
    if (is_all && listener->position < reading->up_to)
        listener->position = reading->up_to;
}

static void on_page(struct event_page *page, bool done) {
    struct reading *reading = page->owner;
    struct listeners *listeners = reading->of;
    struct listener *listener = reading->listener;
    if (listener && done && !reading->writes) {
        take_look(reading);
        if (page->count && event_page_write(page, page->count))
            return;
        done = page->count == 0;
    }
    if (listener && done)
        hand_over(reading);
    reading_free(reading);
    if (listener)
        settle_down(listener);
    if (done)
        pump(listeners); // and else with the next tick: the store is away
}

static bool start_reading(struct listener *listener) {
    struct listeners *listeners = listener->of;
    struct exchange *exchange = listener->exchange;
    struct reading *reading = calloc(1, sizeof *reading);
    if (!reading)
        return false;
    listeners->readings++;
    reading->of = listeners;
    reading->plan = exchange->plan;
    reading->up_to = listeners->told;
    if (reading->up_to > listener->position + PAGE_RANGE)
        reading->up_to = listener->position + PAGE_RANGE;
    reading->page = (struct event_page){.session = listeners->service->session,
                                        .outbox = &listeners->outbox,
                                        .enough = PAGE_ENOUGH,
                                        .owner = reading,
                                        .on_done = on_page};
    if (!event_page_look_at(&reading->page, exchange->catalogue, reading->plan, listener->position,
                            reading->up_to)) {
        reading_free(reading);
        return false;
    }
    reading->listener = listener;
    listener->reading = reading;
    return true;
}

// Reads for those who wait, a few at a time, each a page before it waits again.
static void pump(struct listeners *listeners) {
    while (listeners->readings < READINGS_MAX && !list_is_empty(&listeners->waiting)) {
        struct listener *listener = list_entry(listeners->waiting.next, struct listener, in_queue);
        if (!start_reading(listener))
            return;
        list_remove(&listener->in_queue);
    }
}

// ---- News

static void give(struct topic *topic, const struct feed_event *event) {
    for (struct link *link = topic->listeners.next; link != &topic->listeners; link = link->next) {
        struct listener *listener = list_entry(link, struct listener, in_topic);
        if (!listener->live || listener->position >= event->number)
            continue;
        listener->position = event->number;
        if (may_hear(listener, event->change, event->operation))
            write_to(listener, event->text);
    }
}

// The numbers that it knows are of another life of the database.
static void start_over(struct listener *listener) {
    if (!listener->begun)
        return;
    if (listener->reading)
        listener->reading->listener = NULL;
    listener->reading = NULL;
    list_remove(&listener->in_queue);
    write_gap(listener, listener->of->told + 1);
    settle_down(listener);
}

static void start_all_over(struct listeners *listeners) {
    for (struct topic *topic = listeners->topics; topic; topic = topic->next)
        for (struct link *link = topic->listeners.next; link != &topic->listeners;
             link = link->next)
            start_over(list_entry(link, struct listener, in_topic));
}

static void on_news(struct feed_member *member, const struct feed_news *news, bool asked) {
    struct listeners *listeners = list_entry(member, struct listeners, member);
    listeners->told = news->to;
    listeners->last = news->last;
    if (news->restarts)
        start_all_over(listeners);
    for (size_t i = 0; i < news->event_count; i++) {
        struct topic *topic = find_topic(listeners, news->events[i].resource);
        if (topic)
            give(topic, &news->events[i]);
    }
    waiters_on_news(&listeners->service->waiters, news, asked);
    if (!asked)
        return;
    while (!list_is_empty(&listeners->asked))
        begin(list_entry(listeners->asked.next, struct listener, in_queue));
    listeners->asking = false;
    ask(listeners);
    pump(listeners);
}

// ---- The passing of time

static void beat(struct listener *listener) {
    const struct listeners *listeners = listener->of;
    if (listener->live)
        write_line(listener, ":\nid: %jd\n\n",
                   (intmax_t)(listener->position > listeners->told ? listener->position
                                                                   : listeners->told));
    else
        write_line(listener, ":\n\n");
}

static uint64_t before(uint64_t now, uint64_t ms) {
    return now > ms ? now - ms : 0;
}

static struct listener *first_since(const struct link *list, size_t offset, uint64_t since) {
    if (list_is_empty(list))
        return NULL;
    struct listener *listener = (void *)((char *)list->next - offset);
    return listener->since <= since ? listener : NULL;
}

static void refuse_late(struct listeners *listeners, const struct link *list, uint64_t since) {
    struct listener *listener;
    while ((listener = first_since(list, offsetof(struct listener, in_queue), since)))
        refuse(listener, FAILURE_UNAVAILABLE, "the database does not tell where the events are");
}

static void on_tick(uv_timer_t *timer) {
    struct listeners *listeners = timer->data;
    uint64_t now = now_of(listeners);
    uint64_t patience = listeners->service->options->query_timeout;
    struct listener *listener;
    while ((listener = first_since(&listeners->beats, offsetof(struct listener, in_beats),
                                   before(now, listeners->heartbeat))))
        beat(listener);
    refuse_late(listeners, &listeners->asked, before(now, patience));
    refuse_late(listeners, &listeners->fresh, before(now, patience));
    bearers_tick(&listeners->bearers);
    pump(listeners);
}

static void tick_on(struct listeners *listeners) {
    unsigned pause = listeners->heartbeat < TICK ? listeners->heartbeat : TICK;
    if (!uv_is_active((uv_handle_t *)&listeners->timer))
        uv_timer_start(&listeners->timer, on_tick, pause, pause);
}

// ---- Another catalogue, other keys

static bool may_go_on(struct listener *listener, struct catalogue *catalogue) {
    struct exchange *exchange = listener->exchange;
    const struct plan *plan = catalogue_plan(catalogue, text_from_string(listener->topic->name));
    if (!plan || !plan->resource->events)
        return failure_set(&exchange->failure, FAILURE_NOT_FOUND, "nothing is served at this path");
    catalogue_release(exchange->catalogue);
    exchange->catalogue = catalogue_retain(catalogue);
    exchange->plan = plan;
    return authorize(exchange) == STEP_NEXT;
}

// Those who must go take the topic along when they were the last: the guard keeps it.
void listeners_reload(struct listeners *listeners, struct catalogue *catalogue) {
    struct topic *next;
    for (struct topic *topic = listeners->topics; topic; topic = next) {
        struct link guard = {NULL, NULL};
        struct link *link = topic->listeners.next;
        next = topic->next;
        list_append(&topic->listeners, &guard);
        while (link != &guard) {
            struct listener *listener = list_entry(link, struct listener, in_topic);
            link = link->next;
            if (!may_go_on(listener, catalogue))
                end(listener);
        }
        list_remove(&guard);
    }
    drop_empty_topics(listeners);
}

static void on_refused(struct bearer *bearer) {
    end(list_entry(bearer, struct listener, bearer));
}

void listeners_renew(struct listeners *listeners) {
    bearers_doubt(&listeners->bearers);
}

void listeners_stop(struct listeners *listeners) {
    struct link *const lists[] = {&listeners->fresh, &listeners->asked};
    for (size_t i = 0; i < 2 && listeners->open; i++)
        while (!list_is_empty(lists[i]))
            refuse(list_entry(lists[i]->next, struct listener, in_queue), FAILURE_STOPPING,
                   "the server is stopping");
}

// ---- The worker's place in the feed

static void on_handle_closed(struct listeners *listeners) {
    if (--listeners->handles)
        return;
    listeners->on_closed(listeners->owner);
}

static void on_timer_closed(uv_handle_t *handle) {
    on_handle_closed(handle->data);
}

static void on_mailbox_closed(struct mailbox *mailbox) {
    on_handle_closed(list_entry(mailbox, struct listeners, mailbox));
}

static void on_left(struct feed_member *member) {
    struct listeners *listeners = list_entry(member, struct listeners, member);
    listeners->handles = 2;
    uv_close((uv_handle_t *)&listeners->timer, on_timer_closed);
    mailbox_close(&listeners->mailbox, on_mailbox_closed);
}

bool listeners_open(struct listeners *listeners, struct service *service, struct feed *feed,
                    unsigned heartbeat, struct failure *failure) {
    *listeners = (struct listeners){.service = service, .heartbeat = heartbeat};
    const struct dialect *dialect = dialect_of(store_dialect(service->options->store));
    if (!outbox_plan_make(&service->arena, dialect, &listeners->outbox))
        return failure_out_of_memory(failure);
    int error = mailbox_open(&listeners->mailbox, service->loop);
    if (error)
        return failure_set(failure, FAILURE_INTERNAL, "a mailbox for events: %s",
                           uv_strerror(error));
    (void)uv_timer_init(service->loop, &listeners->timer); // always succeeds
    listeners->timer.data = listeners;
    list_init(&listeners->fresh);
    list_init(&listeners->asked);
    list_init(&listeners->waiting);
    list_init(&listeners->beats);
    bearers_init(&listeners->bearers, service, on_refused);
    listeners->member = (struct feed_member){
        .mailbox = &listeners->mailbox, .on_news = on_news, .on_left = on_left};
    listeners->open = true;
    feed_join(feed, &listeners->member);
    return true;
}

void listeners_close(struct listeners *listeners, void (*on_closed)(void *owner), void *owner) {
    if (!listeners->open) {
        on_closed(owner);
        return;
    }
    listeners->open = false;
    listeners->on_closed = on_closed;
    listeners->owner = owner;
    uv_timer_stop(&listeners->timer);
    feed_leave(&listeners->member);
}
