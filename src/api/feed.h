// The feed reads the outbox for a whole process: one thread, with a loop and a session with the
// store, looks every now and then, as long as anybody listens, finds out up to where nothing can
// come any more (resource/settling.h), and hands what is new to the workers, in order, each event
// once and already written. It also removes what is older than the retention.
#pragma once

#include "base/log.h"
#include "base/mailbox.h"
#include "resource/catalogue.h"
#include "resource/outbox.h"

struct feed;

struct feed_options {
    struct store *store;
    struct log *log;
    unsigned retention; // milliseconds that events are kept
};

// One event as it is sent.
struct feed_event {
    int64_t number;
    enum outbox_change change;
    struct text resource;
    struct text key;
    const struct operation *operation; // as it is now, where the record is one; NULL: none, or gone
    struct text text;
};

// What became known at one moment, immutable and counted by reference. Whoever has all of them from
// one on has missed nothing.
struct feed_news {
    int64_t from;  // nothing happened up to here that was not in earlier news, or is in the table
    int64_t to;    // nothing happened up to here that is not in these
    int64_t last;  // the highest number that is there; one beyond was never given by this database
    bool restarts; // the database went back: none of the earlier numbers count
    const struct feed_event *events;
    size_t event_count;
};

struct feed_batch;

// One worker's place in the feed. The worker sets the functions and the mailbox, and keeps it until
// on_left; all else is the feed's own.
struct feed_member {
    struct mailbox *mailbox; // of the worker's loop

    // News, on the worker's loop. They are gone afterwards. `asked`: they are what was known, up to
    // its end, at some time after feed_ask.
    void (*on_news)(struct feed_member *member, const struct feed_news *news, bool asked);

    // After feed_leave, on the worker's loop: nothing more will come.
    void (*on_left)(struct feed_member *member);

    struct feed *feed;
    struct feed_member *next;
    struct letter join;
    struct letter ask;
    struct letter leave;
    struct letter left;
    bool wants; // was asked and has not answered
    bool taken; // the look that is under way will answer
};

// Starts the thread; the options, what they point to, and a reference of the catalogue are kept.
bool feed_start(const struct feed_options *options, struct catalogue *catalogue,
                struct feed **ret_feed, struct failure *failure);

// Any thread: has the feed write events by another catalogue, of which it takes a reference. False
// when there is no memory.
bool feed_reload(struct feed *feed, struct catalogue *catalogue);

// Ends the thread and waits for it; every member has left. Takes NULL.
void feed_stop(struct feed *feed);

// For members, each on its own loop. What they say is heard in order.
void feed_join(struct feed *feed, struct feed_member *member);

// Somebody begins, or ends, to listen to a resource: only of those that are listened to do events
// come. False when there is no memory.
bool feed_listen(struct feed *feed, struct text resource, bool begins);

// Asks for news, even if there are none; one question at a time. Where the store is away, the
// answer comes when it is back.
void feed_ask(struct feed_member *member);

void feed_leave(struct feed_member *member);
