#include "dice.h"
#include "resource/settling.h"
#include "unit/testing.h"

#include <stdlib.h>

#define NUMBERS(...) ((const int64_t[]){__VA_ARGS__}), sizeof((const int64_t[]){__VA_ARGS__}) / 8

static void look(struct settling *settling, int64_t last, int64_t oldest, int64_t next,
                 const int64_t *numbers, size_t count) {
    struct outbox_position position = {.first = 1, .last = last, .oldest = oldest, .next = next};
    settling_look(settling, &position, numbers, count);
}

static void assert_settled(const struct settling *settling, int64_t number) {
    assert_true(settling->known);
    assert_int_equal(settling->settled, number);
}

static void where_nothing_runs_all_is_settled(void **state) {
    struct settling settling = {0};
    look(&settling, 17, 700, 700, NULL, 0);
    assert_settled(&settling, 17);
    assert_false(settling.waits || settling.has_gone_back);
    look(&settling, 0, 0, 0, NULL, 0); // an empty outbox is none that was ever seen fuller
    assert_true(settling.has_gone_back);
}

static void an_empty_outbox_is_settled(void **state) {
    struct settling settling = {0};
    look(&settling, 0, 0, 0, NULL, 0);
    assert_settled(&settling, 0);
    look(&settling, 2, 0, 0, NUMBERS(1, 2));
    assert_settled(&settling, 2);
}

static void at_first_nothing_is_known_while_others_run(void **state) {
    struct settling settling = {0};
    look(&settling, 17, 700, 702, NULL, 0);
    assert_false(settling.known);
    look(&settling, 19, 701, 705, NULL, 0);
    assert_false(settling.known);
    look(&settling, 25, 702, 709, NULL, 0); // whoever ran at first has ended; not so later ones
    assert_settled(&settling, 17);
    look(&settling, 25, 708, 709, NULL, 0);
    assert_settled(&settling, 17);
    look(&settling, 25, 709, 710, NULL, 0);
    assert_settled(&settling, 25);
}

static void numbers_without_a_hole_are_settled_at_once(void **state) {
    struct settling settling;
    settling_start(&settling, 10);
    look(&settling, 13, 5, 900, NUMBERS(11, 12, 13));
    assert_settled(&settling, 13);
    assert_false(settling.waits);
    look(&settling, 16, 5, 900, NUMBERS(14, 16)); // 15 is missing
    assert_settled(&settling, 14);
    assert_true(settling.waits);
    look(&settling, 17, 5, 901, NUMBERS(15, 16, 17)); // it was late
    assert_settled(&settling, 17);
    assert_false(settling.waits);
}

// Number 11 was drawn by transaction 105, which began before 103 drew 12 and has a higher number
// than any that has ended: the snapshot's own upper end, 104, says nothing about it.
static void the_barrier_is_above_all_that_have_begun(void **state) {
    struct settling settling;
    settling_start(&settling, 10);
    look(&settling, 12, 105, 106, NUMBERS(12));
    assert_settled(&settling, 10);
    look(&settling, 12, 105, 108, NUMBERS(12));
    assert_settled(&settling, 10);
    look(&settling, 12, 106, 108, NUMBERS(11, 12));
    assert_settled(&settling, 12);
}

static void a_hole_is_passed_when_all_have_ended(void **state) {
    struct settling settling;
    settling_start(&settling, 10);
    look(&settling, 12, 100, 106, NUMBERS(12));
    look(&settling, 90, 105, 300, NUMBERS(12, 13, 90)); // a later look does not put it off
    assert_settled(&settling, 10);
    look(&settling, 91, 106, 310, NUMBERS(12, 13, 90, 91));
    assert_settled(&settling, 13); // 12 by the barrier, 13 behind it without a hole
    assert_true(settling.waits);
    look(&settling, 91, 309, 311, NUMBERS(90, 91));
    assert_settled(&settling, 13);
    look(&settling, 91, 310, 311, NUMBERS(90, 91));
    assert_settled(&settling, 91);
}

static void what_is_seen_again_changes_nothing(void **state) {
    struct settling settling;
    settling_start(&settling, 10);
    look(&settling, 12, 5, 6, NUMBERS(3, 9, 10, 11, 12));
    assert_settled(&settling, 12);
    look(&settling, 12, 5, 6, NUMBERS(3, 9, 12));
    assert_settled(&settling, 12);
}

static void a_lower_end_is_another_life(void **state) {
    struct settling settling;
    settling_start(&settling, 10);
    look(&settling, 9, 5, 6, NUMBERS(9));
    assert_true(settling.has_gone_back);
    assert_false(settling.known);
    look(&settling, 9, 6, 7, NUMBERS(9));
    assert_false(settling.has_gone_back);
    assert_settled(&settling, 9);
    // What was awaited counts as well: it was visible.
    look(&settling, 20, 7, 9, NUMBERS(20));
    look(&settling, 19, 9, 9, NUMBERS(19));
    assert_true(settling.has_gone_back);
    assert_settled(&settling, 19);
}

// ---- A database in which transactions run as they like

enum { SLOTS = 6, STEPS = 4000, DRAWN_MAX = STEPS + 1 };

struct transaction {
    int64_t number; // 0: none runs
    int64_t drawn[8];
    size_t count;
};

struct database {
    struct dice dice;
    struct transaction slots[SLOTS];
    int64_t next;       // transaction's number
    int64_t last_drawn; //
    bool committed[DRAWN_MAX + 1];
    int64_t newest_visible;
};

static int64_t oldest_of(const struct database *database) {
    int64_t oldest = database->next;
    for (size_t i = 0; i < SLOTS; i++)
        if (database->slots[i].number && database->slots[i].number < oldest)
            oldest = database->slots[i].number;
    return oldest;
}

static void step(struct database *database) {
    struct transaction *transaction = &database->slots[dice_below(&database->dice, SLOTS)];
    size_t choice = dice_below(&database->dice, 10);
    if (transaction->number == 0) {
        *transaction = (struct transaction){.number = database->next++};
    } else if (choice < 5 && transaction->count < 8) {
        transaction->drawn[transaction->count++] = ++database->last_drawn;
    } else if (choice < 9) {
        for (size_t i = 0; i < transaction->count; i++) {
            database->committed[transaction->drawn[i]] = true;
            if (database->newest_visible < transaction->drawn[i])
                database->newest_visible = transaction->drawn[i];
        }
        transaction->number = 0;
    } else {
        transaction->number = 0;
    }
}

// Reads as a reader does, at most so many numbers at a time, and checks that nothing that it passed
// comes later.
struct reader {
    struct settling settling;
    int64_t read; // up to here
    bool seen[DRAWN_MAX + 1];
};

static void read_on(struct reader *reader, const struct database *database, size_t most) {
    int64_t numbers[16];
    size_t count = 0;
    for (int64_t n = reader->read + 1; n <= database->last_drawn && count < most; n++)
        if (database->committed[n])
            numbers[count++] = n;
    struct outbox_position position = {
        .last = database->newest_visible, .oldest = oldest_of(database), .next = database->next};
    settling_look(&reader->settling, &position, numbers, count);
    assert_false(reader->settling.has_gone_back);
    for (size_t i = 0; i < count && reader->settling.known; i++) {
        if (numbers[i] > reader->settling.settled)
            break;
        reader->seen[numbers[i]] = true;
        reader->read = numbers[i];
    }
    for (int64_t n = 1; n <= reader->read; n++)
        assert_true(reader->seen[n] == database->committed[n]);
}

static void nothing_is_skipped_however_they_commit(void **state) {
    for (unsigned seed = 1; seed <= 60; seed++) {
        struct database *database = calloc(1, sizeof *database);
        struct reader *reader = calloc(1, sizeof *reader);
        database->dice.state = seed;
        database->next = 100;
        if (seed % 2)
            settling_start(&reader->settling, 0);
        for (size_t i = 0; i < STEPS / 10; i++) {
            step(database);
            if (dice_below(&database->dice, 10) < seed % 9 + 1)
                read_on(reader, database, 1 + dice_below(&database->dice, 15));
        }
        for (size_t i = 0; i < SLOTS; i++)
            database->slots[i].number = 0;
        for (size_t i = 0; i < STEPS; i++)
            read_on(reader, database, 15);
        assert_int_equal(reader->read, database->newest_visible);
        free(database);
        free(reader);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_nothing_runs_all_is_settled),
        cmocka_unit_test(an_empty_outbox_is_settled),
        cmocka_unit_test(at_first_nothing_is_known_while_others_run),
        cmocka_unit_test(numbers_without_a_hole_are_settled_at_once),
        cmocka_unit_test(the_barrier_is_above_all_that_have_begun),
        cmocka_unit_test(a_hole_is_passed_when_all_have_ended),
        cmocka_unit_test(what_is_seen_again_changes_nothing),
        cmocka_unit_test(a_lower_end_is_another_life),
        cmocka_unit_test(nothing_is_skipped_however_they_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
