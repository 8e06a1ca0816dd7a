// What the log says of requests whose API key is not good. The first one from an address is a line
// of its own; those that follow within ATTEMPTS_INTERVAL are counted, and become one more line. So
// however many there are, and from however many addresses, the log grows by few lines a minute. It
// is one for the process, and any thread may call it.
#pragma once

#include "base/address.h"
#include "base/log.h"

#include <uv.h>

// Addresses that are told apart at once; all others are counted together.
enum { ATTEMPTS_SETS = 32, ATTEMPTS_WAYS = 8, ATTEMPTS_INTERVAL = 60000 }; // milliseconds

// What is known of one.
struct attempt {
    struct address address;
    struct text request_id;
    struct text prefix; // how the key begins, by secret_prefix
    const char *reason; // "is unknown"
};

struct attempt_slot {
    struct address address; // that of the last one
    uint64_t since;         // clock_monotonic(); 0: the slot is free
    uint64_t count;         // of those that no line told of yet
    char last[192];         // of the last of them: its request and its key
};

struct attempts {
    uv_mutex_t lock;
    struct log *log; // lent
    struct attempt_slot *slots;
    uint64_t seed;   // so that nobody can tell who shares a set
    uint64_t others; // that had no slot, since the last flush that told of them
    uint64_t others_since;
};

bool attempts_open(struct attempts *attempts, struct log *log, struct failure *failure);

// Tells what was not told yet, and ends. Takes zeroed memory.
void attempts_close(struct attempts *attempts);

void attempts_note(struct attempts *attempts, const struct attempt *attempt, uint64_t now);

// Tells of those whose interval is over; to be called about once a second.
void attempts_flush(struct attempts *attempts, uint64_t now);
