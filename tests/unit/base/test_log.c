#include "base/log.h"

#include "base/buffer.h"
#include "base/timestamp.h"
#include "unit/allocation.h"
#include "unit/testing.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char folder[64];
    char path[96];
    char moved[96];
    struct buffer content;
};

static int set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){.folder = "/tmp/test_log.XXXXXX"};
    if (!mkdtemp(fixture.folder))
        return -1;
    (void)snprintf(fixture.path, sizeof fixture.path, "%s/log", fixture.folder);
    (void)snprintf(fixture.moved, sizeof fixture.moved, "%s/log.1", fixture.folder);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    (void)unlink(fixture->path);
    (void)unlink(fixture->moved);
    buffer_free(&fixture->content);
    return rmdir(fixture->folder);
}

static struct log *open_log(struct fixture *fixture, enum log_format format, enum log_level least) {
    struct failure failure = {0};
    struct log *log = log_open(format, least, fixture->path, &failure);
    if (!log)
        print_error("%s\n", failure.detail);
    assert_non_null(log);
    return log;
}

// What a file holds.
static struct text read_file(struct fixture *fixture, const char *path) {
    char bytes[4096];
    ssize_t size;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    buffer_clear(&fixture->content);
    while ((size = read(file, bytes, sizeof bytes)) > 0)
        buffer_append(&fixture->content, bytes, (size_t)size);
    close(file);
    return buffer_text(&fixture->content);
}

// Takes the next line off the front, without its end, which it must have.
static struct text take_line(struct text *rest) {
    struct text line;
    assert_true(text_find(*rest, '\n') >= 0);
    assert_true(text_split(rest, '\n', &line));
    return line;
}

// Takes the next line of a text log, and checks its time; what is behind it.
static struct text take_text_line(struct text *rest) {
    int64_t ms;
    struct text line = take_line(rest);
    assert_true(line.size > TIMESTAMP_SIZE && line.data[TIMESTAMP_SIZE] == ' ');
    assert_true(timestamp_parse(text_of(line.data, TIMESTAMP_SIZE), &ms));
    return text_from(line, TIMESTAMP_SIZE + 1);
}

static void text_lines_tell_time_and_level(void **state) {
    struct fixture *fixture = *state;
    struct log *log = open_log(fixture, LOG_TEXT, LOG_INFO);
    log_debug(log, "not this");
    log_info(log, "one %d", 1);
    log_warning(log, "two");
    log_error(log, "%s", "");
    struct text rest = read_file(fixture, fixture->path); // without a flush
    assert_text_is(take_text_line(&rest), "info one 1");
    assert_text_is(take_text_line(&rest), "warning two");
    assert_text_is(take_text_line(&rest), "error ");
    assert_int_equal(rest.size, 0);
    log_close(log);
}

static void text_lines_cannot_be_forged(void **state) {
    struct fixture *fixture = *state;
    struct log *log = open_log(fixture, LOG_TEXT, LOG_DEBUG);
    log_debug(log, "%s", "a\nb\r\tc\x01\x1b[31m\x7F\\d");
    log_debug(log, "%s", "\xC3\xA4\xF0\x9F\x98\x80\xC2\x9B\xE2\x80\xA8\xFF\xC3");
    struct text rest = read_file(fixture, fixture->path);
    assert_text_is(take_text_line(&rest), "debug a\\nb\\r\\tc\\x01\\x1b[31m\\x7f\\\\d");
    assert_text_is(take_text_line(&rest), "debug \xC3\xA4\xF0\x9F\x98\x80\\u009b\\u2028\\xff\\xc3");
    log_close(log);
}

static const char *string_member(const json_t *object, const char *name) {
    const char *value = json_string_value(json_object_get(object, name));
    assert_non_null(value);
    return value;
}

static json_t *take_json_line(struct text *rest) {
    struct text line = take_line(rest);
    json_t *object = json_loadb(line.data, line.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(object);
    int64_t ms;
    assert_true(timestamp_parse(text_from_string(string_member(object, "time")), &ms));
    return object;
}

static void json_lines_are_objects(void **state) {
    struct fixture *fixture = *state;
    struct log *log = open_log(fixture, LOG_JSON, LOG_DEBUG);
    log_warning(log, "%s", "a\n\"b\" \xC3\xA4");
    log_debug(log, "%s", "\xFFx\xC3");
    struct text rest = read_file(fixture, fixture->path);
    json_t *first = take_json_line(&rest);
    assert_string_equal(string_member(first, "level"), "warning");
    assert_string_equal(string_member(first, "message"), "a\n\"b\" \xC3\xA4");
    json_t *second = take_json_line(&rest);
    assert_string_equal(string_member(second, "message"), "\xEF\xBF\xBDx\xEF\xBF\xBD");
    assert_int_equal(rest.size, 0);
    json_decref(first);
    json_decref(second);
    log_close(log);
}

static const struct log_access access_line = {
    .method = TEXT_INIT("GET"),
    .target = TEXT_INIT("/coupons?filter=a b\nc"),
    .status = 200,
    .body_size = 532,
    .microseconds = 1234567,
    .request_id = TEXT_INIT("id-1"),
    .peer = TEXT_INIT("127.0.0.1"),
    .key = TEXT_INIT("admin"),
};

static void requests_are_text_in_columns(void **state) {
    struct fixture *fixture = *state;
    struct log *log = open_log(fixture, LOG_TEXT, LOG_ERROR);
    log_request(log, &access_line);
    assert_int_equal(read_file(fixture, fixture->path).size, 0); // gathered
    log_flush(log);
    struct text rest = read_file(fixture, fixture->path);
    assert_text_is(take_text_line(&rest), "request GET /coupons?filter=a\\x20b\\nc 200 532B "
                                          "1234567us id-1 127.0.0.1 admin");
    assert_int_equal(rest.size, 0);
    log_close(log);
}

static void requests_without_a_text_keep_their_columns(void **state) {
    struct fixture *fixture = *state;
    struct log *log = open_log(fixture, LOG_TEXT, LOG_INFO);
    log_request(log, &(struct log_access){.method = TEXT_INIT("G\\ET"), .status = 400});
    log_flush(log);
    struct text rest = read_file(fixture, fixture->path);
    assert_text_is(take_text_line(&rest), "request G\\\\ET - 400 0B 0us - - -");
    log_close(log);
}

static void requests_are_json_objects(void **state) {
    struct fixture *fixture = *state;
    struct log *log = open_log(fixture, LOG_JSON, LOG_INFO);
    log_request(log, &access_line);
    log_close(log);
    struct text rest = read_file(fixture, fixture->path);
    json_t *object = take_json_line(&rest);
    assert_string_equal(string_member(object, "message"), "request");
    assert_string_equal(string_member(object, "method"), "GET");
    assert_string_equal(string_member(object, "target"), "/coupons?filter=a b\nc");
    assert_string_equal(string_member(object, "request_id"), "id-1");
    assert_string_equal(string_member(object, "peer"), "127.0.0.1");
    assert_string_equal(string_member(object, "key"), "admin");
    assert_int_equal(json_integer_value(json_object_get(object, "status")), 200);
    assert_int_equal(json_integer_value(json_object_get(object, "body_size")), 532);
    assert_int_equal(json_integer_value(json_object_get(object, "microseconds")), 1234567);
    json_decref(object);
}

static void requests_and_messages_keep_their_order(void **state) {
    struct fixture *fixture = *state;
    struct log *log = open_log(fixture, LOG_TEXT, LOG_INFO);
    log_request(log, &access_line);
    log_info(log, "after");
    struct text rest = read_file(fixture, fixture->path);
    assert_true(text_starts_with(take_text_line(&rest), TEXT("request ")));
    assert_text_is(take_text_line(&rest), "info after");
    log_close(log);
}

static void many_requests_are_written_by_themselves(void **state) {
    struct fixture *fixture = *state;
    struct log *log = open_log(fixture, LOG_TEXT, LOG_INFO);
    for (int i = 0; i < 1000; i++)
        log_request(log, &access_line);
    struct text rest = read_file(fixture, fixture->path);
    assert_true(rest.size >= 64 * 1024);
    while (rest.size)
        (void)take_text_line(&rest); // whole lines only
    log_close(log);
}

static void long_messages_are_whole(void **state) {
    struct fixture *fixture = *state;
    struct log *log = open_log(fixture, LOG_TEXT, LOG_INFO);
    for (int width = 1020; width < 1030; width++)
        log_info(log, "%*d", width, 7);
    log_info(log, "%*d", 200000, 7);
    struct text rest = read_file(fixture, fixture->path);
    for (size_t width = 1020; width < 1030; width++)
        assert_int_equal(take_text_line(&rest).size, 5 + width);
    assert_int_equal(take_text_line(&rest).size, 5 + 200000);
    log_close(log);
}

static void reopening_starts_a_new_file(void **state) {
    struct fixture *fixture = *state;
    struct failure failure;
    struct log *log = open_log(fixture, LOG_TEXT, LOG_INFO);
    log_request(log, &access_line);
    assert_int_equal(rename(fixture->path, fixture->moved), 0);
    assert_true(log_reopen(log, &failure));
    log_info(log, "new");
    struct text rest = read_file(fixture, fixture->moved);
    assert_true(text_starts_with(take_text_line(&rest), TEXT("request ")));
    assert_int_equal(rest.size, 0);
    rest = read_file(fixture, fixture->path);
    assert_text_is(take_text_line(&rest), "info new");
    log_close(log);
}

static void reopening_what_cannot_be_opened_keeps_the_old(void **state) {
    struct fixture *fixture = *state;
    struct failure failure = {0};
    struct log *log = open_log(fixture, LOG_TEXT, LOG_INFO);
    assert_int_equal(rename(fixture->path, fixture->moved), 0);
    assert_int_equal(mkdir(fixture->path, 0700), 0);
    assert_false(log_reopen(log, &failure));
    assert_int_equal(failure.code, FAILURE_INVALID_SETTING);
    assert_non_null(strstr(failure.detail, fixture->path));
    log_info(log, "still here");
    struct text rest = read_file(fixture, fixture->moved);
    assert_text_is(take_text_line(&rest), "info still here");
    assert_int_equal(rmdir(fixture->path), 0);
    log_close(log);
}

static void opening_appends(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < 2; i++) {
        struct log *log = open_log(fixture, LOG_TEXT, LOG_INFO);
        log_info(log, "%d", i);
        log_close(log);
    }
    struct text rest = read_file(fixture, fixture->path);
    assert_text_is(take_text_line(&rest), "info 0");
    assert_text_is(take_text_line(&rest), "info 1");
}

static void a_file_that_cannot_be_opened_is_a_failure(void **state) {
    struct failure failure = {0};
    assert_null(log_open(LOG_TEXT, LOG_INFO, "/nowhere/at/all/log", &failure));
    assert_int_equal(failure.code, FAILURE_INVALID_SETTING);
    assert_non_null(strstr(failure.detail, "/nowhere/at/all/log"));
}

static void no_log_swallows_everything(void **state) {
    struct failure failure;
    log_info(NULL, "%d", 1);
    log_request(NULL, &access_line);
    log_flush(NULL);
    assert_true(log_reopen(NULL, &failure));
    log_close(NULL);
}

// A pipe that nobody empties: nothing waits for it, and what it lost is told when it is read again.
static void a_full_pipe_blocks_nobody(void **state) {
    struct fixture *fixture = *state;
    enum { LINES = 30000 };
    assert_int_equal(mkfifo(fixture->path, 0600), 0);
    int reader = open(fixture->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct log *log = open_log(fixture, LOG_TEXT, LOG_INFO);
    for (int i = 0; i < LINES; i++) // about 2 MB
        log_info(log, "%050d", i);
    struct buffer read_back = {0};
    for (int round = 0; round < 1000; round++) {
        char bytes[4096];
        ssize_t size;
        while ((size = read(reader, bytes, sizeof bytes)) > 0)
            buffer_append(&read_back, bytes, (size_t)size);
        log_flush(log);
    }
    log_info(log, "the last");
    char bytes[4096];
    ssize_t size = read(reader, bytes, sizeof bytes);
    assert_true(size > 0);
    buffer_append(&read_back, bytes, (size_t)size);

    struct text rest = buffer_text(&read_back);
    int whole = 0;
    for (;; whole++) {
        char expected[64];
        struct text line = take_text_line(&rest);
        (void)snprintf(expected, sizeof expected, "info %050d", whole);
        if (!text_is(line, expected)) {
            (void)snprintf(expected, sizeof expected, "warning %d log lines were lost",
                           LINES - whole);
            assert_text_is(line, expected);
            break;
        }
    }
    assert_in_range(whole, 12000, LINES - 1);
    assert_text_is(take_text_line(&rest), "info the last");
    assert_int_equal(rest.size, 0);
    buffer_free(&read_back);
    log_close(log);
    close(reader);
}

static void a_pipe_without_a_reader_harms_nobody(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(mkfifo(fixture->path, 0600), 0);
    struct failure failure = {0};
    assert_null(log_open(LOG_TEXT, LOG_INFO, fixture->path, &failure));
    int reader = open(fixture->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct log *log = open_log(fixture, LOG_TEXT, LOG_INFO);
    close(reader);
    signal(SIGPIPE, SIG_DFL); // which would end the test
    for (int i = 0; i < 100; i++)
        log_info(log, "nobody reads this");
    log_flush(log);
    reader = open(fixture->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    log_info(log, "now somebody does");
    char bytes[8192];
    ssize_t size = read(reader, bytes, sizeof bytes);
    assert_true(size > 0);
    struct text rest = text_of(bytes, (size_t)size);
    assert_text_is(take_text_line(&rest), "info nobody reads this");
    log_close(log);
    close(reader);
}

// As a full disk: no file of this process may grow beyond 8 KiB.
static void a_file_that_cannot_grow_harms_nobody(void **state) {
    struct fixture *fixture = *state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    struct log *log = open_log(fixture, LOG_TEXT, LOG_INFO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){8192, before.rlim_max}), 0);
    for (int i = 0; i < 500; i++)
        log_info(log, "line %d", i);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    log_info(log, "line 500");
    struct text rest = read_file(fixture, fixture->path);
    for (int i = 0; i <= 500; i++) {
        char expected[32];
        (void)snprintf(expected, sizeof expected, "info line %d", i);
        assert_text_is(take_text_line(&rest), expected);
    }
    log_close(log);
}

static void want_of_memory_loses_whole_lines(void **state) {
    struct fixture *fixture = *state;
    for (ALLOCATION_FAILURES(nth)) {
        struct failure failure = {0};
        struct log *log = log_open(LOG_JSON, LOG_INFO, fixture->path, &failure);
        for (int i = 0; i < 20; i++) {
            log_info(log, "%*d", 100 * i, i);
            log_info(log, "\xFF\xFE");
            log_request(log, &access_line);
        }
        bool failed = allocation_allow();
        assert_true(failed || log);
        if (!log)
            assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
        log_info(log, "at last");
        log_close(log);
        if (log) {
            struct text rest = read_file(fixture, fixture->path);
            while (rest.size)
                json_decref(take_json_line(&rest));
            assert_int_equal(unlink(fixture->path), 0);
        }
        if (!failed)
            break;
    }
}

enum { THREADS = 4, LINES_OF_EACH = 2000 };

static void *write_lines(void *argument) {
    for (int i = 0; i < LINES_OF_EACH; i++) {
        log_request(argument, &access_line);
        if (i % 10 == 0)
            log_info(argument, "message");
        if (i % 100 == 0)
            log_flush(argument);
        if (i % 500 == 0) {
            struct failure failure;
            assert_true(log_reopen(argument, &failure));
        }
    }
    return NULL;
}

static void threads_may_share_it(void **state) {
    struct fixture *fixture = *state;
    struct log *log = open_log(fixture, LOG_TEXT, LOG_INFO);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, log), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    log_close(log);
    struct text rest = read_file(fixture, fixture->path);
    size_t requests = 0;
    size_t messages = 0;
    while (rest.size) {
        struct text line = take_text_line(&rest);
        requests += text_starts_with(line, TEXT("request GET "));
        messages += text_is(line, "info message");
    }
    assert_int_equal(requests, THREADS * LINES_OF_EACH);
    assert_int_equal(messages, THREADS * LINES_OF_EACH / 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_lines_tell_time_and_level, set_up, tear_down),
        cmocka_unit_test_setup_teardown(text_lines_cannot_be_forged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_lines_are_objects, set_up, tear_down),
        cmocka_unit_test_setup_teardown(requests_are_text_in_columns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(requests_without_a_text_keep_their_columns, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(requests_are_json_objects, set_up, tear_down),
        cmocka_unit_test_setup_teardown(requests_and_messages_keep_their_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_requests_are_written_by_themselves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_messages_are_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reopening_starts_a_new_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reopening_what_cannot_be_opened_keeps_the_old, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(opening_appends, set_up, tear_down),
        cmocka_unit_test(a_file_that_cannot_be_opened_is_a_failure),
        cmocka_unit_test(no_log_swallows_everything),
        cmocka_unit_test_setup_teardown(a_full_pipe_blocks_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pipe_without_a_reader_harms_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_cannot_grow_harms_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(want_of_memory_loses_whole_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_may_share_it, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
