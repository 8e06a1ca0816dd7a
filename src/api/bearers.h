// Bearers are exchanges that go on long after their API key was looked at, as streams do. Their
// keys are looked at again, so that within a second nobody goes on with one that was deactivated or
// deleted, that has lost its scope, or that has expired. Each key is looked up once, however many
// bear it, and only where keys may have changed. All of it belongs to the worker's loop.
#pragma once

#include "api/api_key.h"
#include "base/arena.h"
#include "base/digest.h"
#include "http/list.h"
#include "store/store.h"

struct exchange;
struct service;

enum { BEARER_KEYS = 32 }; // that are looked up at once

struct bearer {
    struct exchange *exchange;
    struct link link; // in no list where it came without a key
    uint64_t round;   // of looks, in which its key was looked at
};

// A key that is looked up.
struct borne_key {
    unsigned char digest[DIGEST_SIZE];
    struct api_key *key; // a reference; NULL: there is none
    bool is_admin;       // the administrator's, which is known
};

struct bearers {
    struct service *service;
    // One that may not go on, and is in no list any more; its exchange's failure says why.
    void (*on_refused)(struct bearer *bearer);

    struct link list;
    uint64_t round;    // the present one; whoever was looked at in another is in doubt
    bool doubts;       // somebody may be
    uint64_t changes;  // the keyring's, when the round began
    uint64_t began_at; // clock_monotonic() then
    int64_t first_end; // clock_now() when the first of the keys expires, or later than now
    int64_t now;       // of what is being decided

    struct job job; // looks keys up
    bool is_out;
    struct call calls[BEARER_KEYS];
    size_t key_of[BEARER_KEYS]; // by call
    struct borne_key keys[BEARER_KEYS];
    size_t key_count;
    uint64_t asked_in; // this round
    struct arena arena;
};

// The service's options and session are there, and answer what is under way before they go.
void bearers_init(struct bearers *bearers, struct service *service,
                  void (*on_refused)(struct bearer *bearer));

// Takes in an exchange that was authenticated.
void bearers_add(struct bearers *bearers, struct bearer *bearer, struct exchange *exchange);
void bearers_remove(struct bearer *bearer);

// To be called a few times a second.
void bearers_tick(struct bearers *bearers);

// Has all keys looked at with the next tick, whether or not any has changed.
void bearers_doubt(struct bearers *bearers);
