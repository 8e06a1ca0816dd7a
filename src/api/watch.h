// A watch sees that another process changed what this one keeps in memory, and has it read anew. A
// process has one, on one loop, with a session of its own. It reads one row (META_VERSION) a few
// times a second, and at once where the store hears of the change; only when that row has changed
// does it read more. A database that is away is looked at again until it is back.
#pragma once

#include "base/log.h"
#include "resource/meta.h"

// Milliseconds from one look to the next, and for the database to answer. What was committed is
// seen within half a second while the database answers at once.
enum { WATCH_INTERVAL = 250, WATCH_TIMEOUT = 2000, WATCH_VERSION_SIZE = 40 };

// Something that processes keep in memory. It is its owner's, and outlives the watch.
struct watched {
    // The statements that read it, in one snapshot with all others; may be none.
    struct call *calls;
    size_t call_count;

    // A reading begins, perhaps anew: forget the rows that came. May be NULL.
    void (*on_begin)(struct watched *watched);

    // A row of calls[call]; false where it cannot be taken. May be NULL where there are no calls.
    bool (*on_row)(struct watched *watched, size_t call, const struct value *cells);

    // All rows came, and something has changed, perhaps something else. False where it could not be
    // handed on (no memory): it is read again soon.
    bool (*on_changed)(struct watched *watched);

    // What is known is what the database had at a moment (clock_monotonic()), or what it had later;
    // after on_changed where that is due. May be NULL.
    void (*on_seen)(struct watched *watched, uint64_t moment);
};

struct watch {
    struct watched *const *items; // lent
    size_t item_count;
    struct log *log;
    struct arena arena;
    struct meta_plan plan;
    struct value name; // META_VERSION
    struct store_session *session;
    uv_timer_t timer;
    struct job job;    // calls[0] reads the version; the others are those of the items
    size_t call_count; // all calls
    bool is_out;       // the job
    uint64_t began;    // clock_monotonic() when it was submitted
    bool news;         // came while it was
    bool stopping;
    bool is_known;                    // a version was read with all items
    char version[WATCH_VERSION_SIZE]; // that one; "" while the row is not there
    char found[WATCH_VERSION_SIZE];   // what the job found
    uint64_t failing_since;           // clock_monotonic(); 0 while it can be read
    bool complained;                  // of that
    unsigned handles;                 // that are not closed: the timer and the session
    void (*on_stopped)(void *owner);
    void *owner;
};

// Starts it on a loop, from that loop's thread. All items are read once at the beginning, since
// what was read before may have changed meanwhile. `items` and the log outlive the watch. After a
// failure nothing is left of it.
bool watch_start(struct watch *watch, uv_loop_t *loop, struct store *store, struct log *log,
                 struct watched *const *items, size_t item_count, struct failure *failure);

// Ends it; on_stopped is called when nothing of it is left on the loop. No item hears of anything
// any more.
void watch_stop(struct watch *watch, void (*on_stopped)(void *owner), void *owner);
