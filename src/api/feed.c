#include "api/feed.h"

#include "api/event_page.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/timestamp.h"
#include "resource/meta.h"
#include "resource/settling.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

// Milliseconds.
enum {
    LOOK_EVERY = 100,
    TIDY_EVERY = 60 * 1000, // at most; a tenth of the retention, where that is less
    TIDY_LEAST = 500,
    TIDY_AGAIN = 50, // when there is more to remove
    COMPLAIN_AFTER = 30 * 1000,
};

enum {
    NEWS_ENOUGH = 1024 * 1024, // bytes of events that are handed over at once
    PRUNE_EVENTS = 1000,       // that are removed at once
};

// In trestle_meta: a number up to which nothing can come any more, so that a process that starts
// knows one, even while a transaction is open that will not end for long.
static const struct text settled_name = TEXT_INIT("events_settled");

// A resource that is listened to, and how many workers do.
struct interest {
    struct interest *next;
    unsigned count;
    char name[]; // ends with a zero byte
};

enum feed_state {
    FEED_RESTING,
    FEED_LOOKING, // the page is being read
    FEED_WRITING, // what is new of it is being written
};

struct feed {
    struct feed_options options;
    uv_loop_t loop;
    uv_thread_t thread;
    struct mailbox mailbox;
    struct letter stop;

    // The thread's own.
    struct arena arena;
    struct outbox_plan outbox;
    struct meta_plan meta;
    struct catalogue *catalogue; // a reference
    struct store_session *session;
    struct feed_member *members;
    struct interest *interests;
    uv_timer_t look_timer;
    uv_timer_t tidy_timer;
    enum feed_state state;
    bool stopping;
    bool detaching;
    struct event_page page;
    struct settling settling;
    int64_t numbers[EVENT_PAGE_EVENTS];
    bool placed;         // somebody may listen, and `told` is known
    int64_t told;        // up to here all is in earlier news
    bool restarts;       // the next news say that the database went back
    int64_t held_at;     // where a hole holds it back, and since when (uv_now())
    uint64_t held_since; //
    bool complained;     // of that

    // Removing what is old, and noting what is settled.
    struct job job;
    struct call calls[2];
    struct value prune_parameters[3];
    struct value settled_parameters[2];
    char cutoff[TIMESTAMP_SIZE];
    char settled[24];
    int64_t saving; // what is being noted as settled, and what is noted
    int64_t saved;  //
    bool tidy_is_due;
    bool tidying;
};

// News on their way to the members, one delivery each.
struct delivery {
    struct letter letter;
    struct feed_batch *batch;
    struct feed_member *member;
    bool asked;
};

struct feed_batch {
    atomic_uint references;
    struct feed_news news;
    struct arena arena; // of the page that they were written on
    struct buffer text;
    struct feed_event *events;
    struct delivery deliveries[];
};

static void look(struct feed *feed);

// ---- News

static void batch_release(struct feed_batch *batch) {
    if (atomic_fetch_sub_explicit(&batch->references, 1, memory_order_acq_rel) > 1)
        return;
    arena_free(&batch->arena);
    buffer_free(&batch->text);
    free(batch->events);
    free(batch);
}

static void on_delivery(struct letter *letter) {
    struct delivery *delivery = (void *)((char *)letter - offsetof(struct delivery, letter));
    struct feed_batch *batch = delivery->batch;
    delivery->member->on_news(delivery->member, &batch->news, delivery->asked);
    batch_release(batch);
}

// With the events that the page has written; NULL when there is no memory.
static struct feed_batch *make_batch(struct feed *feed, size_t deliveries) {
    struct event_page *page = &feed->page;
    struct feed_batch *batch = calloc(1, sizeof *batch + deliveries * sizeof batch->deliveries[0]);
    struct feed_event *events = calloc(page->written + 1, sizeof *events);
    if (!batch || !events) {
        free(batch);
        free(events);
        return NULL;
    }
    size_t count = 0;
    for (size_t i = 0; i < page->written; i++) {
        const struct page_event *item = &page->events[i];
        if (item->plan)
            events[count++] = (struct feed_event){.number = item->event.number,
                                                  .change = item->event.change,
                                                  .resource = item->event.resource,
                                                  .key = item->event.key,
                                                  .operation = event_page_operation(page, i),
                                                  .text = event_page_text(page, i)};
    }
    batch->events = events;
    batch->news.events = events;
    batch->news.event_count = count;
    batch->arena = page->arena;
    batch->text = page->text;
    page->arena = (struct arena){0};
    page->text = (struct buffer){0};
    return batch;
}

// Tells the members up to a number; those that asked are answered when there is nothing more to
// tell. Nothing is told where there is no memory: the next look finds the same again.
static bool tell(struct feed *feed, int64_t to, bool ends) {
    size_t count = 0;
    bool asked = false;
    for (struct feed_member *member = feed->members; member; member = member->next) {
        count++;
        asked = asked || (ends && member->taken);
    }
    if (to == feed->told && !asked && !feed->restarts)
        return true;
    struct feed_batch *batch = make_batch(feed, count);
    if (!batch)
        return false;
    batch->news.from = feed->told;
    batch->news.to = to;
    batch->news.last = feed->page.position.last;
    batch->news.restarts = feed->restarts;
    atomic_init(&batch->references, (unsigned)count + 1);
    struct delivery *delivery = batch->deliveries;
    for (struct feed_member *member = feed->members; member; member = member->next, delivery++) {
        *delivery = (struct delivery){.letter.deliver = on_delivery,
                                      .batch = batch,
                                      .member = member,
                                      .asked = ends && member->taken};
        if (delivery->asked)
            member->wants = member->taken = false;
        mailbox_post(member->mailbox, &delivery->letter);
    }
    batch_release(batch);
    feed->told = to;
    feed->restarts = false;
    return true;
}

// ---- Looking

static bool is_wanted(const struct feed *feed) {
    bool wanted = feed->interests;
    for (const struct feed_member *member = feed->members; member; member = member->next)
        wanted = wanted || member->wants;
    return wanted;
}

static void tidy(struct feed *feed);

// Where nobody listens, what happens until somebody does is of no interest.
static void rest(struct feed *feed) {
    feed->state = FEED_RESTING;
    event_page_clear(&feed->page);
    feed->placed = feed->placed && feed->interests;
    if (feed->tidy_is_due)
        tidy(feed);
    if (!is_wanted(feed))
        uv_timer_stop(&feed->look_timer);
}

// A transaction that stays open somewhere holds back all that was noted behind a hole.
static void notice_hold(struct feed *feed) {
    const struct settling *settling = &feed->settling;
    uint64_t now = uv_now(&feed->loop);
    if (!settling->waits || settling->settled != feed->held_at) {
        if (feed->complained)
            log_info(feed->options.log, "events go on behind number %jd", (intmax_t)feed->held_at);
        feed->held_at = settling->settled;
        feed->held_since = now;
        feed->complained = false;
    } else if (!feed->complained && now - feed->held_since >= COMPLAIN_AFTER) {
        log_warning(feed->options.log,
                    "events behind number %jd wait for a transaction that does not end; "
                    "pg_stat_activity tells whose it is",
                    (intmax_t)feed->held_at);
        feed->complained = true;
    }
}

static void settle(struct feed *feed) {
    const struct event_page *page = &feed->page;
    for (size_t i = 0; i < page->count; i++)
        feed->numbers[i] = page->events[i].event.number;
    settling_look(&feed->settling, &page->position, feed->numbers, page->count);
    if (feed->settling.has_gone_back) {
        log_warning(feed->options.log,
                    "events: the database has fewer than before; listeners are told of a gap");
        feed->restarts = true;
        feed->placed = false;
    }
    notice_hold(feed);
}

static bool is_listened_to(const struct feed *feed, struct text resource) {
    for (const struct interest *interest = feed->interests; interest; interest = interest->next)
        if (text_is(resource, interest->name))
            return true;
    return false;
}

// How many of the page's events are settled; their plans are set.
static size_t choose(struct feed *feed) {
    struct event_page *page = &feed->page;
    size_t count = 0;
    for (; count < page->count && feed->numbers[count] <= feed->settling.settled; count++) {
        struct page_event *item = &page->events[count];
        const struct plan *plan = is_listened_to(feed, item->event.resource)
                                      ? catalogue_plan(page->catalogue, item->event.resource)
                                      : NULL;
        item->plan = plan && plan->resource->events ? plan : NULL;
    }
    return count;
}

// The page has been read and, as far as it is wanted, written.
static void go_on(struct feed *feed) {
    const struct event_page *page = &feed->page;
    const int64_t settled = feed->settling.settled;
    bool is_all =
        page->written < page->count ? feed->numbers[page->written] > settled : page->is_whole;
    int64_t to = page->written ? feed->numbers[page->written - 1] : feed->told;
    if (is_all)
        to = settled;
    bool told = tell(feed, to, is_all);
    rest(feed);
    if (told && !is_all)
        look(feed);
}

static void on_looked(struct feed *feed) {
    settle(feed);
    if (!feed->settling.known) {
        rest(feed);
        return;
    }
    int64_t settled = feed->settling.settled;
    bool goes_on = !feed->page.is_whole && feed->numbers[feed->page.count - 1] <= settled;
    if (!feed->placed && goes_on) {
        rest(feed);
        look(feed);
        return;
    }
    if (!feed->placed) { // whoever listens from now on begins here
        feed->placed = true;
        feed->told = settled;
        (void)tell(feed, settled, true);
        rest(feed);
        return;
    }
    size_t count = choose(feed);
    if (count == 0) {
        go_on(feed);
        return;
    }
    feed->state = FEED_WRITING;
    if (!event_page_write(&feed->page, count))
        rest(feed);
}

static void detach_when_idle(struct feed *feed);

static void on_page(struct event_page *page, bool done) {
    struct feed *feed = page->owner;
    if (feed->stopping || !done) {
        rest(feed);
        detach_when_idle(feed);
    } else if (feed->state == FEED_LOOKING) {
        on_looked(feed);
    } else {
        go_on(feed);
    }
}

static void look(struct feed *feed) {
    if (feed->state != FEED_RESTING || feed->stopping)
        return;
    int64_t after = feed->settling.known ? feed->settling.settled : INT64_MAX;
    if (feed->placed)
        after = feed->told;
    for (struct feed_member *member = feed->members; member; member = member->next)
        member->taken = member->wants;
    feed->state = FEED_LOOKING;
    if (!event_page_look(&feed->page, feed->catalogue, after))
        rest(feed);
}

static void on_look_timer(uv_timer_t *timer) {
    look(timer->data);
}

// Looks at once, and then every now and then.
static void look_soon(struct feed *feed) {
    if (feed->stopping)
        return;
    if (!uv_is_active((uv_handle_t *)&feed->look_timer))
        uv_timer_start(&feed->look_timer, on_look_timer, LOOK_EVERY, LOOK_EVERY);
    look(feed);
}

// ---- Removing what is old

static void on_tidy_timer(uv_timer_t *timer) {
    struct feed *feed = timer->data;
    feed->tidy_is_due = true;
    look(feed); // which tells what is settled
}

static void tidy_after(struct feed *feed, unsigned ms) {
    if (!feed->stopping)
        uv_timer_start(&feed->tidy_timer, on_tidy_timer, ms, 0);
}

static unsigned tidy_pause(const struct feed *feed) {
    unsigned pause = feed->options.retention / 10;
    if (pause < TIDY_LEAST)
        pause = TIDY_LEAST;
    return pause < TIDY_EVERY ? pause : TIDY_EVERY;
}

static void on_tidied(struct job *job, const struct outcome *outcome) {
    struct feed *feed = job->owner;
    bool done = outcome->kind == OUTCOME_DONE;
    feed->tidying = false;
    if (done && job->call_count > 1)
        feed->saved = feed->saving;
    bool more = done && job->calls[0].rows >= PRUNE_EVENTS - 1;
    tidy_after(feed, more ? TIDY_AGAIN : tidy_pause(feed));
    detach_when_idle(feed);
}

static void tidy(struct feed *feed) {
    if (feed->tidying || feed->stopping)
        return;
    feed->tidy_is_due = false;
    if (!feed->settling.known) {
        tidy_after(feed, tidy_pause(feed));
        return;
    }
    int64_t settled = feed->saving = feed->settling.settled;
    timestamp_format(clock_now() - (int64_t)feed->options.retention, feed->cutoff);
    int size = snprintf(feed->settled, sizeof feed->settled, "%jd", (intmax_t)settled);
    feed->prune_parameters[0] = value_integer(settled);
    feed->prune_parameters[1] = value_text(VALUE_TIMESTAMP, text_of(feed->cutoff, TIMESTAMP_SIZE));
    feed->prune_parameters[2] = value_integer(PRUNE_EVENTS);
    feed->settled_parameters[0] = value_text(VALUE_TEXT, settled_name);
    feed->settled_parameters[1] = value_text(VALUE_TEXT, text_of(feed->settled, (size_t)size));
    feed->calls[0] = (struct call){.statement = &feed->outbox.prune,
                                   .parameters = feed->prune_parameters,
                                   .parameter_count = 3,
                                   .expect = EXPECT_ANY};
    feed->calls[1] = (struct call){.statement = &feed->meta.replace,
                                   .parameters = feed->settled_parameters,
                                   .parameter_count = 2,
                                   .expect = EXPECT_ANY};
    // SQLite has no holes that anybody must know about.
    bool saves = settled != feed->saved && store_dialect(feed->options.store) == STORE_POSTGRES;
    feed->job = (struct job){.kind = JOB_WRITE,
                             .calls = feed->calls,
                             .call_count = saves ? 2 : 1,
                             .owner = feed,
                             .on_done = on_tidied};
    feed->tidying = store_submit(feed->session, &feed->job);
    if (!feed->tidying)
        tidy_after(feed, tidy_pause(feed));
}

// ---- Letters

// What may be said more than once at a time.
struct note {
    struct letter letter;
    struct feed *feed;
    struct catalogue *catalogue; // a reference; or
    struct interest *interest;   // one more, or one less
    bool begins;
};

static struct note *note_of(struct letter *letter) {
    return (void *)((char *)letter - offsetof(struct note, letter));
}

static void on_catalogue(struct letter *letter) {
    struct note *note = note_of(letter);
    catalogue_release(note->feed->catalogue);
    note->feed->catalogue = note->catalogue;
    free(note);
}

bool feed_reload(struct feed *feed, struct catalogue *catalogue) {
    struct note *note = malloc(sizeof *note);
    if (!note)
        return false;
    *note = (struct note){
        .letter.deliver = on_catalogue, .feed = feed, .catalogue = catalogue_retain(catalogue)};
    mailbox_post(&feed->mailbox, &note->letter);
    return true;
}

static struct interest **find_interest(struct feed *feed, const struct interest *like) {
    struct interest **slot = &feed->interests;
    while (*slot && strcmp((*slot)->name, like->name) != 0)
        slot = &(*slot)->next;
    return slot;
}

static void on_listen(struct letter *letter) {
    struct note *note = note_of(letter);
    struct interest **slot = find_interest(note->feed, note->interest);
    struct interest *known = *slot;
    if (!known && note->begins) {
        *slot = note->interest;
        note->interest = NULL;
    } else if (known && note->begins) {
        known->count++;
    } else if (known && --known->count == 0) {
        *slot = known->next;
        free(known);
    }
    free(note->interest);
    free(note);
}

bool feed_listen(struct feed *feed, struct text resource, bool begins) {
    struct note *note = malloc(sizeof *note);
    struct interest *interest = calloc(1, sizeof *interest + resource.size + 1);
    if (!note || !interest) {
        free(note);
        free(interest);
        return false;
    }
    interest->count = 1;
    memcpy(interest->name, resource.data, resource.size);
    *note = (struct note){
        .letter.deliver = on_listen, .feed = feed, .interest = interest, .begins = begins};
    mailbox_post(&feed->mailbox, &note->letter);
    return true;
}

static void on_join(struct letter *letter) {
    struct feed_member *member = (void *)((char *)letter - offsetof(struct feed_member, join));
    member->next = member->feed->members;
    member->feed->members = member;
}

void feed_join(struct feed *feed, struct feed_member *member) {
    member->feed = feed;
    member->next = NULL;
    member->wants = member->taken = false;
    member->join.deliver = on_join;
    mailbox_post(&feed->mailbox, &member->join);
}

static void on_ask(struct letter *letter) {
    struct feed_member *member = (void *)((char *)letter - offsetof(struct feed_member, ask));
    member->wants = true;
    look_soon(member->feed);
}

void feed_ask(struct feed_member *member) {
    member->ask.deliver = on_ask;
    mailbox_post(&member->feed->mailbox, &member->ask);
}

static void on_left(struct letter *letter) {
    struct feed_member *member = (void *)((char *)letter - offsetof(struct feed_member, left));
    member->on_left(member);
}

static void on_leave(struct letter *letter) {
    struct feed_member *member = (void *)((char *)letter - offsetof(struct feed_member, leave));
    struct feed_member **slot = &member->feed->members;
    while (*slot != member)
        slot = &(*slot)->next;
    *slot = member->next;
    member->left.deliver = on_left;
    mailbox_post(member->mailbox, &member->left);
}

void feed_leave(struct feed_member *member) {
    member->leave.deliver = on_leave;
    mailbox_post(&member->feed->mailbox, &member->leave);
}

// ---- The thread

static void on_mailbox_closed(struct mailbox *mailbox) {
    (void)mailbox;
}

static void on_detached(void *owner) {
    struct feed *feed = owner;
    uv_close((uv_handle_t *)&feed->look_timer, NULL);
    uv_close((uv_handle_t *)&feed->tidy_timer, NULL);
    mailbox_close(&feed->mailbox, on_mailbox_closed);
}

static void detach_when_idle(struct feed *feed) {
    if (!feed->stopping || feed->state != FEED_RESTING || feed->tidying || feed->detaching)
        return;
    feed->detaching = true;
    store_detach(feed->session, on_detached, feed);
}

static void on_stop(struct letter *letter) {
    struct feed *feed = (void *)((char *)letter - offsetof(struct feed, stop));
    feed->stopping = true;
    uv_timer_stop(&feed->look_timer);
    uv_timer_stop(&feed->tidy_timer);
    event_page_cancel(&feed->page);
    if (feed->tidying)
        store_cancel(feed->session, &feed->job);
    detach_when_idle(feed);
}

static void run_feed(void *argument) {
    struct feed *feed = argument;
    (void)uv_run(&feed->loop, UV_RUN_DEFAULT);
}

static bool on_settled_row(struct job *job, size_t call, const struct value *cells) {
    int64_t *settled = job->owner;
    (void)text_to_integer(cells[0].text, settled); // what is no number is as good as none
    return true;
}

// Where another process, or this one in an earlier life, has noted what was settled.
static bool read_settled(struct feed *feed, struct failure *failure) {
    int64_t settled = -1;
    struct value name = value_text(VALUE_TEXT, settled_name);
    struct call call = {.statement = &feed->meta.read,
                        .parameters = &name,
                        .parameter_count = 1,
                        .expect = EXPECT_ANY};
    struct job job = {.kind = JOB_READ,
                      .calls = &call,
                      .call_count = 1,
                      .owner = &settled,
                      .on_row = on_settled_row};
    if (!store_run(feed->options.store, &job, failure))
        return false;
    if (settled >= 0)
        settling_start(&feed->settling, settled);
    feed->saved = settled;
    return true;
}

static bool prepare(struct feed *feed, struct failure *failure) {
    const struct dialect *dialect = dialect_of(store_dialect(feed->options.store));
    if (!outbox_plan_make(&feed->arena, dialect, &feed->outbox) ||
        !meta_plan_make(&feed->arena, dialect, &feed->meta))
        return failure_out_of_memory(failure);
    return read_settled(feed, failure);
}

// What stands on the loop before the session does; libuv's own faults are those of a system that
// has no descriptors left.
static bool open_loop(struct feed *feed, struct failure *failure) {
    int error = uv_loop_init(&feed->loop);
    if (error)
        return failure_set(failure, FAILURE_INTERNAL, "the feed's loop: %s", uv_strerror(error));
    error = mailbox_open(&feed->mailbox, &feed->loop);
    if (error) {
        (void)uv_loop_close(&feed->loop);
        return failure_set(failure, FAILURE_INTERNAL, "the feed's mailbox: %s", uv_strerror(error));
    }
    (void)uv_timer_init(&feed->loop, &feed->look_timer); // these two always succeed
    (void)uv_timer_init(&feed->loop, &feed->tidy_timer);
    feed->look_timer.data = feed->tidy_timer.data = feed;
    return true;
}

static bool start_thread(struct feed *feed, struct failure *failure) {
    feed->page = (struct event_page){.session = feed->session,
                                     .outbox = &feed->outbox,
                                     .enough = NEWS_ENOUGH,
                                     .owner = feed,
                                     .on_done = on_page};
    tidy_after(feed, tidy_pause(feed));
    int error = uv_thread_create(&feed->thread, run_feed, feed);
    if (!error)
        return true;
    failure_set(failure, FAILURE_INTERNAL, "the feed's thread: %s", uv_strerror(error));
    uv_timer_stop(&feed->tidy_timer);
    store_detach(feed->session, on_detached, feed);
    return false;
}

static void feed_free(struct feed *feed) {
    while (feed->interests) {
        struct interest *interest = feed->interests;
        feed->interests = interest->next;
        free(interest);
    }
    event_page_free(&feed->page);
    catalogue_release(feed->catalogue);
    arena_free(&feed->arena);
    free(feed);
}

static bool start(struct feed *feed, struct failure *failure) {
    if (!prepare(feed, failure) || !open_loop(feed, failure))
        return false;
    bool attached = store_attach(feed->options.store, &feed->loop, &feed->session, failure);
    if (attached && start_thread(feed, failure))
        return true;
    if (!attached)
        on_detached(feed);
    (void)uv_run(&feed->loop, UV_RUN_DEFAULT); // what was opened on it closes
    (void)uv_loop_close(&feed->loop);
    return false;
}

bool feed_start(const struct feed_options *options, struct catalogue *catalogue,
                struct feed **ret_feed, struct failure *failure) {
    struct feed *feed = calloc(1, sizeof *feed);
    if (!feed)
        return failure_out_of_memory(failure);
    feed->options = *options;
    feed->catalogue = catalogue_retain(catalogue);
    feed->stop.deliver = on_stop;
    if (start(feed, failure)) {
        *ret_feed = feed;
        return true;
    }
    feed_free(feed);
    return false;
}

void feed_stop(struct feed *feed) {
    if (!feed)
        return;
    mailbox_post(&feed->mailbox, &feed->stop);
    uv_thread_join(&feed->thread);
    (void)uv_loop_close(&feed->loop); // nothing is left on it
    feed_free(feed);
}
