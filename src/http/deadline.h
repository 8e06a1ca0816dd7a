// Deadlines of one duration, in the order in which they end, so that starting and stopping one is a
// few pointers and one timer serves all. A deadline lies inside what waits; the list owns nothing.
#pragma once

#include "http/list.h"

#include <stdint.h>

struct deadlines {
    struct link waiting; // the oldest first
    unsigned duration;   // ms
};

struct deadline {
    struct link link;
    const struct deadlines *of; // which list it is in; NULL: none
    uint64_t start;             // ms
};

void deadlines_init(struct deadlines *deadlines, unsigned duration);

// Starts (or starts again) the deadline at `now`, which never goes back.
void deadline_start(struct deadlines *deadlines, struct deadline *deadline, uint64_t now);

// Takes it out of whatever list it is in.
void deadline_stop(struct deadline *deadline);

// The oldest one that is over, still in its list, or NULL.
struct deadline *deadlines_over(const struct deadlines *deadlines, uint64_t now);
