#include "base/mailbox.h"

#include "unit/testing.h"

#include <pthread.h>
#include <stdlib.h>

struct note {
    struct letter letter; // first, so that a letter is its note
    int sender;
    int number;
};

enum { SENDERS = 4, NOTES = 5000 };

struct office {
    uv_loop_t loop;
    struct mailbox mailbox;
    pthread_t loop_thread;
    int last[SENDERS]; // number delivered last
    int delivered;
    int expected; // the mailbox closes after as many
    bool closed;
};

// Deliveries have no other argument than their letter.
static struct office *office;

static int set_up(void **state) {
    office = calloc(1, sizeof *office);
    if (!office || uv_loop_init(&office->loop) != 0)
        return -1;
    office->loop_thread = pthread_self();
    return mailbox_open(&office->mailbox, &office->loop);
}

static int tear_down(void **state) {
    int busy = uv_loop_close(&office->loop);
    free(office);
    return busy;
}

static void note_closed(struct mailbox *mailbox) {
    assert_ptr_equal(mailbox, &office->mailbox);
    office->closed = true;
}

static void deliver_note(struct letter *letter) {
    struct note *note = (struct note *)letter;
    assert_true(pthread_equal(pthread_self(), office->loop_thread));
    assert_int_equal(note->number, office->last[note->sender] + 1); // in order
    office->last[note->sender] = note->number;
    free(note);
    if (++office->delivered == office->expected)
        mailbox_close(&office->mailbox, note_closed);
}

static struct letter *create_note(int sender, int number) {
    struct note *note = malloc(sizeof *note);
    if (!note)
        abort();
    *note = (struct note){{.deliver = deliver_note}, sender, number};
    return &note->letter;
}

static void *send_single_notes(void *argument) {
    int sender = *(int *)argument;
    for (int i = 1; i <= NOTES; i++)
        mailbox_post(&office->mailbox, create_note(sender, i));
    return NULL;
}

static void *send_lists_of_notes(void *argument) {
    int sender = *(int *)argument;
    for (int i = 1; i <= NOTES;) {
        struct letter *first = NULL;
        struct letter **last = &first;
        for (int size = i % 7; size >= 0 && i <= NOTES; size--, i++) {
            *last = create_note(sender, i);
            (*last)->next = NULL;
            last = &(*last)->next;
        }
        mailbox_post_list(&office->mailbox, first);
    }
    return NULL;
}

static void every_letter_comes_once_in_order_on_the_loop(void **state) {
    pthread_t threads[SENDERS];
    int numbers[SENDERS];
    office->expected = SENDERS * NOTES;
    for (int i = 0; i < SENDERS; i++) {
        numbers[i] = i;
        void *(*send)(void *) = i % 2 ? send_lists_of_notes : send_single_notes;
        assert_int_equal(pthread_create(&threads[i], NULL, send, &numbers[i]), 0);
    }
    assert_int_equal(uv_run(&office->loop, UV_RUN_DEFAULT), 0);
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(office->delivered, SENDERS * NOTES);
    assert_true(office->closed);
}

static void nothing_is_delivered_while_posting(void **state) {
    office->expected = 1;
    mailbox_post_list(&office->mailbox, NULL);
    mailbox_post(&office->mailbox, create_note(0, 1));
    assert_int_equal(office->delivered, 0);
    assert_int_equal(uv_run(&office->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(office->delivered, 1);
}

static void closing_delivers_what_is_left(void **state) {
    for (int i = 1; i <= 10; i++)
        mailbox_post(&office->mailbox, create_note(1, i));
    mailbox_close(&office->mailbox, note_closed);
    assert_int_equal(office->delivered, 10);
    assert_false(office->closed);
    assert_int_equal(uv_run(&office->loop, UV_RUN_DEFAULT), 0);
    assert_true(office->closed);
}

static void deliver_and_answer(struct letter *letter) {
    struct note *note = (struct note *)letter;
    if (note->number < 5)
        mailbox_post(&office->mailbox, create_note(0, note->number));
    free(note);
}

// A delivery that posts, while the mailbox is being closed.
static void closing_delivers_answers_too(void **state) {
    for (int i = 1; i <= 8; i++) {
        struct letter *letter = create_note(0, i);
        letter->deliver = deliver_and_answer;
        mailbox_post(&office->mailbox, letter);
    }
    mailbox_close(&office->mailbox, NULL);
    assert_int_equal(office->delivered, 4);
    assert_int_equal(uv_run(&office->loop, UV_RUN_DEFAULT), 0);
}

// The delivery that closes the mailbox is not the last of its batch.
static void closing_within_a_delivery_loses_nothing(void **state) {
    office->expected = 3;
    for (int i = 1; i <= 6; i++)
        mailbox_post(&office->mailbox, create_note(2, i));
    assert_int_equal(uv_run(&office->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(office->delivered, 6);
    assert_true(office->closed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_letter_comes_once_in_order_on_the_loop, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_delivered_while_posting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_delivers_what_is_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_delivers_answers_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_within_a_delivery_loses_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
