// An event page is some of the outbox's events, one after the other, with the records that they are
// of as these are now, written as server-sent events (the HTML standard, section 9.2). It is read
// through a session with the store, on its loop: first the events (event_page_look), then, for as
// many of them as are wanted, the records (event_page_write).
#pragma once

#include "resource/catalogue.h"
#include "resource/outbox.h"

enum { EVENT_PAGE_EVENTS = 256 }; // at most

struct page_record;

struct page_event {
    struct outbox_event event;  // its texts are the page's
    const struct plan *plan;    // the resource's; NULL: nobody wants it, so nothing is written
    struct page_record *record; // the page's own
    size_t text_end;            // where it ends in the page's text; it begins where the one before
                                // ends
};

struct event_page {
    // The owner sets these once.
    struct store_session *session;
    const struct outbox_plan *outbox;
    size_t enough; // bytes; what is written ends with the event that brings it there
    void *owner;
    // The look, or the writing, has ended; false where the store failed, or memory did. Never
    // inside the calls below. The page may be freed in it.
    void (*on_done)(struct event_page *page, bool done);

    // What the look found.
    struct outbox_position position;
    struct page_event *events;
    size_t count;
    bool is_whole; // the snapshot has no more of what was asked for

    // What the writing made.
    struct buffer text;
    size_t written; // of the events

    // The page's own.
    struct catalogue *catalogue; // a reference, from the look on until it is cleared
    struct arena arena;
    struct job job;
    struct call calls[32];
    struct value parameters[4];
    struct page_record *records;
    size_t record_count;
    size_t records_read;
    size_t records_asked; // for, by the job that is out
    struct buffer json;   // of the records
    size_t json_size;     // of those that were read before that job
    size_t wanted;        // events to be written
    bool is_busy;         // a job is out
};

// Reads the events behind a number: all of them, with the position of the outbox in the same
// snapshot; or those of one resource up to another number, which may take longer (JOB_SCAN). False
// when the store takes no job.
bool event_page_look(struct event_page *page, struct catalogue *catalogue, int64_t after);
bool event_page_look_at(struct event_page *page, struct catalogue *catalogue,
                        const struct plan *plan, int64_t after, int64_t up_to);

// Writes the first `count` of the events, or fewer, but at least one. Their plans are set by now,
// and are of the catalogue. False when the store takes no job; nothing is written then.
bool event_page_write(struct event_page *page, size_t count);

// Asks for what is under way to end early; on_done still comes.
void event_page_cancel(struct event_page *page);

// The text of a written event.
struct text event_page_text(const struct event_page *page, size_t index);

// The operation that an event is about, as it is now; NULL where it is about no operation, or about
// one that was not found. It lives as long as the page's arena.
const struct operation *event_page_operation(const struct event_page *page, size_t index);

// Gives back the catalogue and forgets what was read; nothing may be under way. A look begins with
// it.
void event_page_clear(struct event_page *page);

// Gives back all memory, too.
void event_page_free(struct event_page *page);
