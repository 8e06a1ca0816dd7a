// An attempt opens a link on a thread of its own and brings it home by mailbox. It may be given up
// at any time, though its thread cannot be stopped while it waits for a name server, say: that one
// cleans up after itself.
#pragma once

#include "base/mailbox.h"
#include "store/postgres/link.h"

#include <pthread.h>

// A thread of an attempt, which outlives the attempt by a moment.
struct pg_attempt_thread {
    pthread_t id;
    struct pg_attempts *attempts;
    struct pg_attempt_thread *next;
};

// All attempts of a store; any thread.
struct pg_attempts {
    uv_mutex_t lock;
    uv_cond_t one_ended;
    size_t running;                  // guarded by lock: threads
    struct pg_attempt_thread *ended; // guarded by lock: to be joined
    bool orphaned; // guarded by lock: nobody will join any more, and the last thread frees this
};

struct pg_attempt {
    struct letter letter;   // first, so that a letter is an attempt
    void *owner;            // on the mailbox's loop alone; NULL when it was given up
    struct pg_link *link;   // what came of it: a link …
    struct failure failure; // … or why not

    // The attempt's own.
    struct pg_attempts *attempts;
    struct pg_attempt_thread *thread;
    struct pg_address address;
    struct mailbox *mailbox; // guarded by attempts->lock; NULL when it was given up
};

// NULL when there is no memory.
struct pg_attempts *pg_attempts_create(void);

// Waits for those that still run, for some seconds at most: libraries that are being torn down at
// the program's end must not be in use. Takes NULL.
void pg_attempts_close(struct pg_attempts *attempts, unsigned seconds);

// `deliver` gets the attempt as its letter, on the mailbox's loop, and ends by freeing it. NULL
// when there is no memory or no thread.
struct pg_attempt *pg_attempt_start(struct pg_attempts *attempts, const struct pg_address *address,
                                    struct mailbox *mailbox, void (*deliver)(struct letter *letter),
                                    void *owner);

// On the mailbox's loop, before the mailbox closes: the owner wants no link any more. The letter is
// delivered all the same where it is in the mailbox already, with owner NULL.
void pg_attempt_give_up(struct pg_attempt *attempt);

// Its link goes with it unless somebody took it and set `link` to NULL.
void pg_attempt_free(struct pg_attempt *attempt);
