#include "api/attempts.h"

#include "unit/allocation.h"
#include "unit/testing.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
    char path[32];
    struct log *log;
    struct attempts attempts;
};

static void begin(struct fixture *fixture) {
    struct failure failure;
    *fixture = (struct fixture){.path = "/tmp/trestle-log-XXXXXX"};
    int descriptor = mkstemp(fixture->path);
    assert_true(descriptor >= 0);
    close(descriptor);
    fixture->log = log_open(LOG_TEXT, LOG_INFO, fixture->path, &failure);
    assert_non_null(fixture->log);
    assert_true(attempts_open(&fixture->attempts, fixture->log, &failure));
}

static void end(struct fixture *fixture) {
    attempts_close(&fixture->attempts);
    log_close(fixture->log);
    (void)unlink(fixture->path);
}

static void note_from(struct fixture *fixture, const char *address, const char *id, uint64_t now) {
    struct attempt attempt = {.request_id = text_from_string(id),
                              .prefix = TEXT("tr_12345678"),
                              .reason = "is not known"};
    if (*address)
        assert_true(address_parse(text_from_string(address), &attempt.address));
    attempts_note(&fixture->attempts, &attempt, now);
}

// How many lines of the log hold both texts.
static unsigned lines_with(const struct fixture *fixture, const char *one, const char *other) {
    char line[1024];
    unsigned count = 0;
    FILE *file = fopen(fixture->path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        count += strstr(line, one) && strstr(line, other);
    (void)fclose(file);
    return count;
}

static void the_first_is_told_and_the_rest_counted(void **state) {
    struct fixture fixture;
    begin(&fixture);
    note_from(&fixture, "192.0.2.1", "first", 1000);
    assert_int_equal(
        lines_with(&fixture, "192.0.2.1: request first, ", "whose key tr_12345678... is not known"),
        1);
    for (unsigned i = 0; i < 1000; i++)
        note_from(&fixture, "192.0.2.1", "another", 1001 + i);
    note_from(&fixture, "192.0.2.2", "other", 2000);
    note_from(&fixture, "", "local", 2000);
    assert_int_equal(lines_with(&fixture, "", ""), 3);
    assert_int_equal(lines_with(&fixture, "a Unix socket", "local"), 1);
    attempts_flush(&fixture.attempts, 1000 + ATTEMPTS_INTERVAL - 1);
    assert_int_equal(lines_with(&fixture, "", ""), 3);
    attempts_flush(&fixture.attempts, 1000 + ATTEMPTS_INTERVAL);
    assert_int_equal(lines_with(&fixture, "1000 more requests", "request another"), 1);
    assert_int_equal(lines_with(&fixture, "", ""), 4);
    end(&fixture);
}

// Who goes on gets a line an interval; who stops is forgotten, and begins anew.
static void who_goes_on_is_counted_on(void **state) {
    struct fixture fixture;
    uint64_t interval = ATTEMPTS_INTERVAL;
    begin(&fixture);
    note_from(&fixture, "192.0.2.1", "a", 1000);
    note_from(&fixture, "192.0.2.1", "b", 1000);
    attempts_flush(&fixture.attempts, 1000 + interval);
    note_from(&fixture, "192.0.2.1", "c", 1000 + interval + 1);
    assert_int_equal(lines_with(&fixture, "request c", ""), 0);
    attempts_flush(&fixture.attempts, 1000 + 2 * interval);
    assert_int_equal(lines_with(&fixture, "1 more requests", "request c"), 1);
    attempts_flush(&fixture.attempts, 1000 + 3 * interval);
    attempts_flush(&fixture.attempts, 1000 + 4 * interval);
    assert_int_equal(lines_with(&fixture, "", ""), 3);
    note_from(&fixture, "192.0.2.1", "d", 2000 + 4 * interval);
    assert_int_equal(lines_with(&fixture, "an API key that is not good", "request d"), 1);
    end(&fixture);
}

static void a_million_addresses_fill_no_disk(void **state) {
    enum { MANY = 1000000 };
    struct fixture fixture;
    begin(&fixture);
    for (uint32_t i = 0; i < MANY; i++) {
        struct attempt attempt = {.address = {.kind = ADDRESS_IPV6, .bytes = {0x20}},
                                  .request_id = TEXT("x"),
                                  .prefix = TEXT(""),
                                  .reason = "is no key of ours"};
        memcpy(attempt.address.bytes + 3, &i, sizeof i);
        attempts_note(&fixture.attempts, &attempt, 1000);
    }
    unsigned lines = lines_with(&fixture, "", "");
    assert_in_range(lines, ATTEMPTS_SETS, ATTEMPTS_SETS * ATTEMPTS_WAYS);
    attempts_flush(&fixture.attempts, 1000 + ATTEMPTS_INTERVAL);
    assert_int_equal(lines_with(&fixture, "only counted", ""), 1);
    assert_int_equal(lines_with(&fixture, "", ""), lines + 1);
    end(&fixture);
}

static void what_was_counted_is_told_at_the_end(void **state) {
    struct fixture fixture;
    begin(&fixture);
    note_from(&fixture, "2001:db8::1", "a", 1000);
    note_from(&fixture, "2001:db8::2", "b", 1000); // the same /64
    attempts_close(&fixture.attempts);
    assert_int_equal(lines_with(&fixture, "1 more requests", "2001:db8::2"), 1);
    assert_int_equal(lines_with(&fixture, "", ""), 2);
    end(&fixture);
}

static void long_ids_are_cut(void **state) {
    struct fixture fixture;
    char id[129];
    begin(&fixture);
    memset(id, 'x', sizeof id - 1);
    id[sizeof id - 1] = '\0';
    note_from(&fixture, "192.0.2.1", id, 1000);
    assert_int_equal(lines_with(&fixture, id, "tr_12345678... is not known"), 1);
    end(&fixture);
}

static void *note_many(void *argument) {
    for (unsigned i = 0; i < 2000; i++) {
        char address[32];
        (void)snprintf(address, sizeof address, "192.0.2.%u", i % 7);
        note_from(argument, address, "x", 1000);
    }
    return NULL;
}

static void threads_may_note_at_once(void **state) {
    enum { THREADS = 4 };
    struct fixture fixture;
    pthread_t threads[THREADS];
    begin(&fixture);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, note_many, &fixture), 0);
    for (unsigned i = 0; i < 50; i++)
        attempts_flush(&fixture.attempts, 1000);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    uint64_t counted = 0;
    for (unsigned i = 0; i < ATTEMPTS_SETS * ATTEMPTS_WAYS; i++)
        counted += fixture.attempts.slots[i].count;
    assert_int_equal(counted, THREADS * 2000 - 7);
    end(&fixture);
}

static void without_memory_there_are_none(void **state) {
    struct attempts attempts;
    struct failure failure;
    allocation_fail_from(1);
    bool opened = attempts_open(&attempts, NULL, &failure);
    assert_true(allocation_allow());
    assert_false(opened);
    attempts_close(&attempts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_told_and_the_rest_counted),
        cmocka_unit_test(who_goes_on_is_counted_on),
        cmocka_unit_test(a_million_addresses_fill_no_disk),
        cmocka_unit_test(what_was_counted_is_told_at_the_end),
        cmocka_unit_test(long_ids_are_cut),
        cmocka_unit_test(threads_may_note_at_once),
        cmocka_unit_test(without_memory_there_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
