// A mailbox is the one door through which something crosses from any thread to a loop's thread:
// letters are put in anywhere and delivered, in order, on the loop. Letters are owned by whoever
// posts them until they are delivered, and by the receiver from then on.
#pragma once

#include <stdbool.h>
#include <uv.h>

struct letter {
    struct letter *next;
    void (*deliver)(struct letter *letter); // called on the loop's thread
};

struct mailbox {
    uv_async_t wake;
    uv_mutex_t lock;
    struct letter *first; // guarded by lock
    struct letter **last; // guarded by lock
    void (*on_closed)(struct mailbox *mailbox);
};

// Ties the mailbox to a loop; 0 or a libuv error. The mailbox keeps its loop alive until it is
// closed, unless the caller unrefs `wake`.
int mailbox_open(struct mailbox *mailbox, uv_loop_t *loop);

// Puts a letter in and wakes the loop. Any thread. Must not be called once mailbox_close has
// returned.
void mailbox_post(struct mailbox *mailbox, struct letter *letter);

// Puts a list of letters in (linked by `next`, NULL at its end; it may be empty), waking the loop
// once.
void mailbox_post_list(struct mailbox *mailbox, struct letter *first);

// Loop's thread: delivers what is left, then closes; on_closed (may be NULL) is called when the
// memory may go.
void mailbox_close(struct mailbox *mailbox, void (*on_closed)(struct mailbox *mailbox));
