// What a client prefers (RFC 7240): the field Prefer, read and understood.
#pragma once

#include "base/text.h"

enum preference {
    PREFER_MINIMAL,        // return=minimal
    PREFER_REPRESENTATION, // return=representation
    PREFER_STRICT,         // handling=strict
    PREFER_LENIENT,        // handling=lenient
    PREFER_WAIT,           // wait=SECONDS
    PREFER_ASYNC,          // respond-async
    PREFERENCES
};

struct preferences {
    unsigned asked;    // a set of 1 << preference
    unsigned applied;  // those of them that were honoured
    unsigned wait;     // seconds, of PREFER_WAIT; at most PREFER_WAIT_MOST
    bool others;       // some are asked for that mean nothing here
    struct text other; // the name of the first such; data NULL where it is not even one
};

enum { PREFER_WAIT_MOST = 1000 * 1000 };

static inline bool prefers(const struct preferences *preferences, enum preference preference) {
    return preferences->applied & 1U << preference;
}

// Reads the value of the field, as one list. Of preferences with the same name the first one counts
// (section 2). Parameters of preferences mean nothing to any that is known.
void prefer_read(struct text field, struct preferences *ret_preferences);

// How it is written in Preference-Applied; that of PREFER_WAIT is to be followed by the number.
const char *prefer_name(enum preference preference);
