#include "base/mailbox.h"

// Delivers what was posted before the call; false when that was nothing.
static bool deliver_all(struct mailbox *mailbox) {
    uv_mutex_lock(&mailbox->lock);
    struct letter *letter = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    uv_mutex_unlock(&mailbox->lock);
    bool any = letter != NULL;
    while (letter) {
        struct letter *next = letter->next; // the receiver may free the letter
        letter->deliver(letter);
        letter = next;
    }
    return any;
}

static void on_wake(uv_async_t *wake) {
    deliver_all(wake->data);
}

int mailbox_open(struct mailbox *mailbox, uv_loop_t *loop) {
    *mailbox = (struct mailbox){0};
    mailbox->last = &mailbox->first;
    int error = uv_mutex_init(&mailbox->lock);
    if (error)
        return error;
    error = uv_async_init(loop, &mailbox->wake, on_wake);
    if (error)
        uv_mutex_destroy(&mailbox->lock);
    mailbox->wake.data = mailbox;
    return error;
}

void mailbox_post_list(struct mailbox *mailbox, struct letter *first) {
    if (!first)
        return;
    struct letter *last = first;
    while (last->next)
        last = last->next;
    uv_mutex_lock(&mailbox->lock);
    *mailbox->last = first;
    mailbox->last = &last->next;
    // Under the lock: a mailbox that was emptied may be closed as soon as the lock is free.
    uv_async_send(&mailbox->wake);
    uv_mutex_unlock(&mailbox->lock);
}

void mailbox_post(struct mailbox *mailbox, struct letter *letter) {
    letter->next = NULL;
    mailbox_post_list(mailbox, letter);
}

static void on_handle_closed(uv_handle_t *handle) {
    struct mailbox *mailbox = handle->data;
    uv_mutex_destroy(&mailbox->lock);
    if (mailbox->on_closed)
        mailbox->on_closed(mailbox);
}

void mailbox_close(struct mailbox *mailbox, void (*on_closed)(struct mailbox *mailbox)) {
    while (deliver_all(mailbox)) // a letter's receiver may post another
        ;
    mailbox->on_closed = on_closed;
    uv_close((uv_handle_t *)&mailbox->wake, on_handle_closed);
}
