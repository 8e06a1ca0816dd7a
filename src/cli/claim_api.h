// Operations claimed over HTTP: a source for a crew (work/crew.h). It belongs to the thread of its
// client, and lives as long as the crew.
#pragma once

#include "cli/client.h"
#include "work/crew.h"

// One thing at a time that is asked for a hand, or the claim.
struct claim_question {
    struct client_request request;
    struct claim_api *api;
    struct hand *hand; // NULL: the claim
    bool is_finish;
    struct buffer target;
    struct buffer body;
};

struct claim_api {
    struct crew_source source; // the first member, so that a crew's source is found
    struct crew *crew;
    struct client *client;
    uv_loop_t *loop;
    const char *const *command; // what the crew runs for every operation
    uint64_t lease;             // milliseconds, whole seconds
    const char *transitions;    // "packages.download", several with commas between
    char worker[200];           // HOST:PID

    // What is told to people, when it changes; `reason` is "" for good news.
    void (*on_reached)(struct claim_api *api, const char *reason);
    // Claims are refused, and would be again.
    void (*on_refused)(struct claim_api *api, const char *reason);
    void *owner;

    // Its own.
    struct claim_question claim;
    struct claim_question *questions; // one a hand
    unsigned size;
    unsigned delay; // before it is claimed again, where nobody answers
    uint64_t asked_at;
    bool is_away;
    bool cannot_wait; // the server
};

// Prepares it; the members above the line are the owner's to set before. False when there is no
// memory.
bool claim_api_open(struct claim_api *api, unsigned size);

// No request may be under way. Takes zeroed memory.
void claim_api_close(struct claim_api *api);
