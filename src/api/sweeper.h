// A sweeper forgets what has been kept long enough, a few rows in each job, so that no other write
// waits long: the answers that were kept for an Idempotency-Key, and how API keys were used. One
// service of a process has one; those of several processes do not get in each other's way. It
// belongs to its service, and to its loop's thread.
#pragma once

#include "base/timestamp.h"
#include "resource/catalogue.h"

#include <uv.h>

struct service;

struct sweeper {
    uv_timer_t timer;
    struct service *service;
    struct catalogue *catalogue; // a reference, while a job is out
    struct job job;
    struct call calls[2]; // the answers, the use of keys
    struct value parameters[2][2];
    char now[TIMESTAMP_SIZE];
    char day[TIMESTAMP_SIZE]; // the first one that is kept
    bool running;
};

// Starts sweeping, again and again until it is stopped.
void sweeper_start(struct sweeper *sweeper, struct service *service);

// Stops; a job that is out ends before the service's session does. One that was not started is
// fine.
void sweeper_stop(struct sweeper *sweeper);
