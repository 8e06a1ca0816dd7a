// Listeners are those clients of one worker who follow a resource's events: streams that go on
// until somebody ends them. Most are at the end of what is known and are given news as these come;
// one that comes back after a while, or that reads slowly, is behind and is given the outbox's
// table page by page until it has caught up. All of it belongs to the worker's loop.
#pragma once

#include "api/bearers.h"
#include "api/feed.h"
#include "http/list.h"
#include "resource/outbox.h"

struct exchange;
struct listener;
struct service;
struct topic;

struct listeners {
    struct service *service;
    struct feed_member member;
    struct mailbox mailbox;
    uv_timer_t timer; // runs while anybody listens
    unsigned heartbeat;
    struct bearers bearers;
    struct outbox_plan outbox;
    struct topic *topics; // that anybody listens to
    size_t count;         // of listeners
    int64_t told;         // the news up to here have come
    int64_t last;         // a number that was never given is above
    bool asking;
    struct link fresh;   // those who have to wait for the next question to the feed, …
    struct link asked;   // … and for the answer to this one
    struct link waiting; // those behind, until a page may be read for them
    struct link beats;   // those whose streams have begun, by when they were written to
    unsigned readings;   // pages that are being read
    bool open;           // listeners_open was called, and listeners_close was not
    unsigned handles;    // that are not closed yet
    void (*on_closed)(void *owner);
    void *owner;
};

// Makes the worker a member of the feed. The service, its loop, its session and its options are
// there; `heartbeat` is in milliseconds.
bool listeners_open(struct listeners *listeners, struct service *service, struct feed *feed,
                    unsigned heartbeat, struct failure *failure);

// Leaves the feed; nobody listens any more. on_closed is called when nothing is left on the loop,
// before this returns where listeners_open was not called or failed. Pages that are still read end
// with the session.
void listeners_close(struct listeners *listeners, void (*on_closed)(void *owner), void *owner);

// Takes in an exchange whose plan's resource has events. Its stream begins when it is known from
// where; in the end exchange_resume is called, with exchange->failure set where it did not begin.
// `after` is the last event that it has seen; -1: it begins now. False when there is no memory.
bool listeners_add(struct listeners *listeners, struct exchange *exchange, int64_t after);

// For the service's waiters, who have no listener of their own: asks the feed for them, too.
void listeners_ask(struct listeners *listeners);

// What a handler is told of an exchange that was taken in.
void listeners_on_writable(struct exchange *exchange);
void listeners_on_stopping(struct exchange *exchange);
void listeners_on_gone(struct exchange *exchange);

// Goes on with another catalogue: ends the streams of those who may no longer listen.
void listeners_reload(struct listeners *listeners, struct catalogue *catalogue);

// The administrator's key is another one: the same, soon.
void listeners_renew(struct listeners *listeners);

// The service stops: refuses those whose streams have not begun.
void listeners_stop(struct listeners *listeners);
