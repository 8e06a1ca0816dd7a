#include "base/progress.h"

#include "base/buffer.h"
#include "unit/allocation.h"
#include "unit/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

// The clock that the tests turn, and the pipe that progress is written to.
static uint64_t now;
static int pipe_ends[2];
static char written[65536];

static uint64_t tell_now(void) {
    return now;
}

static int set_up(void **state) {
    now = 5000;
    return pipe2(pipe_ends, O_NONBLOCK | O_CLOEXEC);
}

static int tear_down(void **state) {
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return 0;
}

// What was written since the last call.
static struct text take_written(int file) {
    size_t size = 0;
    ssize_t got;
    while (size < sizeof written && (got = read(file, written + size, sizeof written - size)) > 0)
        size += (size_t)got;
    return text_of(written, size);
}

#define assert_written(expected) assert_text_is(take_written(pipe_ends[0]), expected)

static void start(struct progress *progress, bool terminal, unsigned columns, const char *unit,
                  uint64_t total) {
    progress_start_on(
        progress,
        &(struct progress_work){.label = "Importing packages", .unit = unit, .total = total},
        &(struct progress_output){pipe_ends[1], terminal, columns, tell_now});
}

static void a_terminal_shows_a_bar(void **state) {
    struct progress progress;
    start(&progress, true, 100, "records", 60000);
    assert_written("\rImporting packages  [....................................]   0%  "
                   "0/60,000 records  0.0/s  -:-- left\x1b[K");
    now += 99;
    progress_update(&progress, 500);
    assert_written("");
    now += 901;
    progress_update(&progress, 15000);
    assert_written("\rImporting packages  [#######.....................]  25%  "
                   "15,000/60,000 records  15,000/s  0:03 left\x1b[K");
    now += 3000;
    progress_update(&progress, 60000);
    assert_written("\rImporting packages  [############################] 100%  "
                   "60,000/60,000 records  15,000/s  0:00 left\x1b[K");
    progress_finish(&progress);
    assert_written("\r\x1b[KImporting packages: 60,000 records in 0:04, 15,000/s\n");
}

static void a_wide_terminal_gets_no_endless_bar(void **state) {
    struct progress progress;
    start(&progress, true, 300, "records", 10);
    assert_written("\rImporting packages  [........................................]   0%  "
                   "0/10 records  0.0/s  -:-- left\x1b[K");
}

// However narrow, a line is never as wide as the terminal.
static void a_narrow_terminal_gets_what_fits(void **state) {
    for (unsigned columns = 1; columns < 120; columns++) {
        struct progress progress;
        start(&progress, true, columns, "records", 60000);
        struct text text = take_written(pipe_ends[0]);
        assert_true(text_starts_with(text, TEXT("\r")));
        assert_true(text_utf8_length(text) - 4 <= columns - 1);
        assert_int_equal(memchr(text.data, '[', text.size - 3) != NULL, columns >= 74);
    }
}

static void labels_are_cut_between_characters(void **state) {
    struct progress progress;
    progress_start_on(&progress, &(struct progress_work){.label = "\xC3\xA4\xC3\xB6\xC3\xBC"},
                      &(struct progress_output){pipe_ends[1], true, 3, tell_now});
    assert_written("\r\xC3\xA4\xC3\xB6\x1b[K");
}

static void elsewhere_lines_come_every_ten_seconds(void **state) {
    struct progress progress;
    start(&progress, false, 0, "records", 60000);
    assert_written("");
    for (uint64_t i = 1; i <= 250; i++) { // 25 seconds
        now += 100;
        progress_update(&progress, i * 100);
    }
    assert_written("Importing packages: 10,000 of 60,000 records (16%), 1,000/s, 0:50 left\n"
                   "Importing packages: 20,000 of 60,000 records (33%), 1,000/s, 0:40 left\n");
    progress_hide(&progress);
    assert_written("");
    progress_finish(&progress);
    assert_written("Importing packages: 25,000 of 60,000 records in 0:25, 1,000/s\n");
}

static void without_a_total_the_time_that_passed_is_told(void **state) {
    struct progress progress;
    start(&progress, true, 80, "records", 0);
    assert_written("\rImporting packages  0 records  0.0/s  0:00\x1b[K");
    now += 4000;
    progress_update(&progress, 10);
    assert_written("\rImporting packages  10 records  2.5/s  0:04\x1b[K");
    progress_finish(&progress);
    assert_written("\r\x1b[KImporting packages: 10 records in 0:04, 2.5/s\n");

    start(&progress, false, 0, NULL, 0);
    now += 10000;
    progress_update(&progress, 5 * 1024 * 1024);
    assert_written("Importing packages: 5.0 MiB, 512.0 KiB/s, 0:10\n");
}

static void a_total_may_come_late_and_be_wrong(void **state) {
    struct progress progress;
    start(&progress, false, 0, NULL, 0);
    progress_set_total(&progress, 2048);
    now += 10000;
    progress_update(&progress, 1024);
    assert_written("Importing packages: 1.0 KiB of 2.0 KiB (50%), 102 B/s, 0:10 left\n");
    now += 10000;
    progress_update(&progress, 4096);
    assert_written("Importing packages: 4.0 KiB of 2.0 KiB (100%), 307 B/s, 0:00 left\n");
    progress_finish(&progress);
    assert_written("Importing packages: 4.0 KiB in 0:20, 205 B/s\n");
}

static void what_was_done_before_does_not_count_for_the_rate(void **state) {
    struct progress progress;
    progress_start_on(&progress,
                      &(struct progress_work){"Fetching", "parts", .total = 2000, .done = 1000},
                      &(struct progress_output){pipe_ends[1], false, 0, tell_now});
    now += 10000;
    progress_update(&progress, 1100);
    assert_written("Fetching: 1,100 of 2,000 parts (55%), 10/s, 1:30 left\n");
}

static void a_share_is_told_without_amounts(void **state) {
    const struct progress_work work = {.label = "Making", .total = 200, .is_share = true};
    struct progress progress;
    progress_start_on(&progress, &work,
                      &(struct progress_output){pipe_ends[1], true, 60, tell_now});
    assert_written("\rMaking  [.................................]   0%  -:-- left\x1b[K");
    now += 1000;
    progress_update(&progress, 50);
    assert_written("\rMaking  [########.........................]  25%  0:03 left\x1b[K");
    progress_finish(&progress);
    assert_written("\r\x1b[KMaking: 25% in 0:01\n");
    progress_start_on(&progress, &work,
                      &(struct progress_output){pipe_ends[1], false, 0, tell_now});
    now += 10000;
    progress_update(&progress, 100);
    assert_written("Making: 50%, 0:10 left\n");
}

// Work that becomes ten times slower: the rate follows, and what is left with it.
static void the_rate_is_that_of_the_last_seconds(void **state) {
    struct progress progress;
    start(&progress, false, 0, "records", 1000000);
    uint64_t done = 0;
    for (int i = 0; i < 600; i++) {
        now += 100;
        progress_update(&progress, done += i < 300 ? 1000 : 100);
    }
    struct text text = take_written(pipe_ends[0]);
    struct text line;
    for (int i = 0; i < 6; i++)
        assert_true(text_split(&text, '\n', &line));
    assert_text_is(line, "Importing packages: 330,000 of 1,000,000 records (33%), 1,000/s, "
                         "11:10 left");
}

static void work_that_stands_still_has_no_rate(void **state) {
    struct progress progress;
    start(&progress, true, 90, "records", 1000);
    for (int i = 0; i < 3000; i++) {
        now += 100;
        progress_update(&progress, 500);
    }
    struct text text = take_written(pipe_ends[0]); // as much as the pipe holds
    assert_true(text.size > 0);
    assert_true(progress.rate < 0.1);
}

static void times_of_every_size(void **state) {
    static const struct {
        uint64_t total; // at 10 a second
        const char *left;
    } cases[] = {
        {101, "0:00 left"},        {110, "0:01 left"},       {690, "0:59 left"},
        {700, "1:00 left"},        {36089, "59:59 left"},    {36100, "1:00:00 left"},
        {360100, "10:00:00 left"}, {35964100, "weeks left"}, {UINT64_MAX, "weeks left"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct progress progress;
        start(&progress, false, 0, "records", cases[i].total);
        now += 10000;
        progress_update(&progress, 100);
        struct text text = take_written(pipe_ends[0]);
        size_t size = strlen(cases[i].left);
        assert_true(text.size > size);
        assert_text_is(text_of(text.data + text.size - 1 - size, size), cases[i].left);
    }
}

static void hiding_clears_the_bar_once(void **state) {
    struct progress progress;
    start(&progress, true, 80, "records", 10);
    (void)take_written(pipe_ends[0]);
    progress_hide(&progress);
    assert_written("\r\x1b[K");
    progress_hide(&progress);
    assert_written("");
    now += 100;
    progress_update(&progress, 1);
    assert_true(take_written(pipe_ends[0]).size > 0);
}

static void no_memory_and_no_reader_harm_nobody(void **state) {
    for (ALLOCATION_FAILURES(nth)) {
        struct progress progress;
        start(&progress, nth % 2, 80, "records", 10);
        now += 20000;
        progress_update(&progress, 5);
        progress_finish(&progress);
        if (!allocation_allow())
            break;
    }
    struct progress progress;
    progress_start_on(&progress, &(struct progress_work){.label = "x"},
                      &(struct progress_output){-1, true, 0, tell_now});
    progress_finish(&progress);
}

static bool is_readable(int file) {
    return poll(&(struct pollfd){.fd = file, .events = POLLIN}, 1, 2000) == 1;
}

// A real terminal as standard error: its width is asked for at every drawing.
static void standard_error_may_be_a_terminal(void **state) {
    int controller = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (controller < 0 && (errno == ENOENT || errno == ENODEV || errno == ENOSPC))
        skip(); // a container without pseudo-terminals
    assert_true(controller >= 0 && grantpt(controller) == 0 && unlockpt(controller) == 0);
    int terminal = open(ptsname(controller), O_RDWR | O_NOCTTY | O_CLOEXEC);
    int kept = dup(STDERR_FILENO);
    struct winsize size = {.ws_row = 24, .ws_col = 40};
    assert_true(terminal >= 0 && ioctl(terminal, TIOCSWINSZ, &size) == 0);
    assert_int_equal(dup2(terminal, STDERR_FILENO), STDERR_FILENO);
    struct progress progress;
    setenv("TERM", "xterm", 1);
    progress_start(&progress, &(struct progress_work){.label = "Copying", .total = 1000});
    bool bar = progress.output.terminal;
    setenv("TERM", "dumb", 1);
    progress_start(&progress, &(struct progress_work){.label = "Copying", .total = 1000});
    bool dumb_bar = progress.output.terminal;
    dup2(kept, STDERR_FILENO);
    close(kept);
    assert_true(bar);
    assert_false(dumb_bar);
    assert_true(is_readable(controller));
    assert_text_is(take_written(controller), "\rCopying   0%  0 B/1000 B  0 B/s  -:-- l\x1b[K");
    close(terminal);
    close(controller);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_terminal_shows_a_bar, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wide_terminal_gets_no_endless_bar, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_narrow_terminal_gets_what_fits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(labels_are_cut_between_characters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(elsewhere_lines_come_every_ten_seconds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_total_the_time_that_passed_is_told, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_total_may_come_late_and_be_wrong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_share_is_told_without_amounts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_done_before_does_not_count_for_the_rate, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_rate_is_that_of_the_last_seconds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(work_that_stands_still_has_no_rate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(times_of_every_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hiding_clears_the_bar_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_memory_and_no_reader_harm_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(standard_error_may_be_a_terminal, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
