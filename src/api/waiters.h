// Waiters are those requests of one worker that wait for something to become of operations: for one
// of them to end, or for one to be there that they may claim. The feed tells of every change,
// whichever process made it, so that none of them asks the database again and again. They come to
// the feed by the worker's listeners. All of it belongs to the worker's loop.
#pragma once

#include "api/feed.h"
#include "api/operation_claim.h"
#include "http/list.h"

#include <uv.h>

struct exchange;
struct service;
struct waiters;

// Lives in its exchange's arena. The exchange sets what it waits for, and must leave before it
// ends.
struct waiter {
    struct exchange *exchange;
    struct text operation; // whose end; data NULL: one of the claimables is to be there
    const struct claimable *claimables;
    size_t claimable_count;

    // The waiters' own.
    struct waiters *of; // NULL: they do not know it yet
    struct link link;
    enum { WAITER_FRESH, WAITER_ASKED, WAITER_INFORMED } informed; // of all that happens from now
    bool asleep;
    bool rung;      // something happened that it may wait for
    uint64_t until; // uv_now(), when it is woken in any case
};

struct waiters {
    struct service *service;
    struct link all; // by when they came
    uv_timer_t timer;
    bool open;
};

// The service, its loop and its listeners are there.
void waiters_open(struct waiters *waiters, struct service *service);

// No more request waits; before the loop ends. One that was not opened is fine.
void waiters_close(struct waiters *waiters);

// Whether anybody can wait: there is a feed, and the service goes on.
bool waiters_can(const struct waiters *waiters);

// For a step that has looked and not found what it waits for, before it says STEP_WAIT:
// exchange_resume is called when it should look again, `until` (uv_now()) at the latest. False when
// it should do so at once, or there is no memory to wait.
bool waiters_sleep(struct waiters *waiters, struct waiter *waiter, uint64_t until);

// It waits no more; one that never did is fine.
void waiters_leave(struct waiter *waiter);

// The service stops: wakes them all, and nobody waits from now on.
void waiters_stop(struct waiters *waiters);

// For the listeners, of their questions to the feed: whether one is to be asked for waiters; it is
// being asked; news came, which may be the answer.
bool waiters_want(const struct waiters *waiters);
void waiters_on_ask(struct waiters *waiters);
void waiters_on_news(struct waiters *waiters, const struct feed_news *news, bool asked);
