// An operation sweeper ends what no worker ends: operations that were to be cancelled, or were lost
// too often, and whose lease is over. And it removes those that ended long ago. One service of a
// process has one; those of several processes do not get in each other's way. It belongs to its
// service, and to its loop's thread.
#pragma once

#include "api/operation_finish.h"

#include <uv.h>

struct service;

struct operation_sweeper {
    uv_timer_t timer;
    struct service *service;
    struct catalogue *catalogue; // a reference, while it is at work
    struct arena arena;          // of that work
    struct job job;
    struct operation *stuck;
    size_t stuck_count;
    size_t ended; // of those
    struct operation_finish finish;
    uint64_t forgets_at; // uv_now()
    bool is_open;
    bool stopping;
    bool is_busy;
    void (*on_closed)(void *owner);
    void *owner;
};

// Starts sweeping, again and again until it is closed.
void operation_sweeper_start(struct operation_sweeper *sweeper, struct service *service);

// Begins nothing any more. One that was not started is fine.
void operation_sweeper_stop(struct operation_sweeper *sweeper);

// Ends it: on_closed is called when no job of its is out, maybe before this returns.
void operation_sweeper_close(struct operation_sweeper *sweeper, void (*on_closed)(void *owner),
                             void *owner);
