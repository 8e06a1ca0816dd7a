// Tasks on a real loop; this program is its own supervisor.
#include "work/task.h"

#include "base/clock.h"
#include "unit/allocation.h"
#include "unit/testing.h"
#include "unit/work/supervisor.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct trial {
    uv_loop_t loop;
    uv_timer_t timer;
    struct task task;
    unsigned news;
    bool ended;
    void (*on_timer)(struct trial *trial);
    bool at_news; // the timer's act comes with the first news instead
};

static const char *const environment[] = {"PATH=/usr/bin:/bin", "GREETING=hello", NULL};

static void on_news(struct task *task) {
    struct trial *trial = task->owner;
    task->output.has_news = false;
    if (trial->news++ == 0 && trial->at_news)
        trial->on_timer(trial);
}

static void on_ended(struct task *task) {
    struct trial *trial = task->owner;
    trial->ended = true;
    if (!uv_is_closing((uv_handle_t *)&trial->timer))
        uv_close((uv_handle_t *)&trial->timer, NULL);
}

static void on_time(uv_timer_t *timer) {
    struct trial *trial = timer->data;
    trial->on_timer(trial);
}

static struct trial *make_trial(void) {
    struct trial *trial = calloc(1, sizeof *trial);
    assert_non_null(trial);
    assert_int_equal(uv_loop_init(&trial->loop), 0);
    uv_timer_init(&trial->loop, &trial->timer);
    trial->timer.data = trial;
    trial->task.owner = trial;
    trial->task.on_news = on_news;
    trial->task.on_ended = on_ended;
    return trial;
}

static void start(struct trial *trial, const struct task_options *given) {
    struct task_options options = *given;
    if (!options.environment)
        options.environment = environment;
    if (!options.grace)
        options.grace = 200;
    task_start(&trial->task, &trial->loop, &options);
    assert_false(trial->ended);
}

static struct trial *start_trial(const struct task_options *options) {
    struct trial *trial = make_trial();
    start(trial, options);
    return trial;
}

static void run_to_end(struct trial *trial) {
    assert_int_equal(uv_run(&trial->loop, UV_RUN_DEFAULT), 0);
    assert_true(trial->ended);
}

// Runs a shell's script, or the command of the options, to its end.
static struct trial *run(const struct task_options *given, const char *script) {
    struct task_options options = given ? *given : (struct task_options){0};
    const char *const command[] = {"sh", "-c", script, NULL};
    if (!options.command)
        options.command = command;
    struct trial *trial = start_trial(&options);
    run_to_end(trial);
    return trial;
}

static void end_trial(struct trial *trial) {
    task_free(&trial->task);
    assert_int_equal(uv_loop_close(&trial->loop), 0);
    free(trial);
}

static const char *description(const struct trial *trial) {
    return trial->task.description.data;
}

static void what_it_says_is_heard(void **state) {
    struct trial *trial = run(&(struct task_options){.input = TEXT("{\"id\":7}")},
                              "read x; echo progress 30; echo what; echo \"detail $x\"; "
                              "echo '{\"a\":1}'");
    assert_int_equal(trial->task.end, TASK_SUCCEEDED);
    assert_int_equal(trial->task.output.progress, 30);
    assert_string_equal(trial->task.output.detail, "{\"id\":7}");
    assert_int_equal(trial->task.output.ignored, 1);
    assert_int_equal(json_integer_value(json_object_get(trial->task.properties, "a")), 1);
    assert_string_equal(description(trial), "");
    assert_true(trial->news > 0);
    end_trial(trial);
}

static void ends_are_told_in_words(void **state) {
    static const struct {
        const char *script;
        enum task_end end;
        const char *description;
    } cases[] = {
        {"exit 0", TASK_SUCCEEDED, ""},
        {"exit 3", TASK_FAILED, "it ended with exit status 3"},
        {"echo no such host >&2; exit 1", TASK_FAILED, "it ended with exit status 1: no such host"},
        {"printf 'a\\nb\\377\\033[\\n\\n' >&2; exit 1", TASK_FAILED,
         "it ended with exit status 1: a\nb??["},
        {"kill -SEGV $$", TASK_FAILED, "it was killed by SIGSEGV"},
        {"kill -9 $$", TASK_FAILED, "it was killed by SIGKILL"},
        {"kill -40 $$", TASK_FAILED, "it was killed by signal 40"},
        {"kill -9 $PPID; sleep 60", TASK_FAILED, "its supervisor was killed, and it with it"},
        {"echo '{'", TASK_FAILED, NULL},
        {"exec >&-; exit 0", TASK_SUCCEEDED, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct trial *trial = run(NULL, cases[i].script);
        assert_true_for(trial->task.end == cases[i].end, cases[i].script);
        if (cases[i].description)
            assert_string_equal(description(trial), cases[i].description);
        assert_true(text_is_utf8(buffer_text(&trial->task.description)));
        end_trial(trial);
    }
}

static void what_cannot_be_started_fails(void **state) {
    const char *const command[] = {"no-such-command", NULL};
    struct trial *trial = run(&(struct task_options){.command = command}, NULL);
    assert_int_equal(trial->task.end, TASK_FAILED);
    assert_string_equal(description(trial),
                        "no-such-command cannot be started: no such file or directory");
    end_trial(trial);
}

static void without_a_supervisor_nothing_starts(void **state) {
    struct trial *trial = run(&(struct task_options){.program = "/no/such/trestle"}, "exit 0");
    assert_int_equal(trial->task.end, TASK_NOT_STARTED);
    assert_string_equal(description(trial), "no process can be started: no such file or directory");
    end_trial(trial);
}

static void only_the_declared_environment_is_there(void **state) {
    assert_int_equal(setenv("SECRET", "x", 1), 0);
    struct trial *trial = run(NULL, "echo detail $(env | grep -v _= | sort)");
    assert_string_equal(trial->task.output.detail, "GREETING=hello PATH=/usr/bin:/bin PWD=/tmp");
    end_trial(trial);
}

static void the_time_limit_counts(void **state) {
    uint64_t begin = clock_monotonic();
    struct trial *trial = run(&(struct task_options){.time_limit = 300},
                              "echo late >&2; trap '' TERM; while :; do sleep 1; done");
    assert_int_equal(trial->task.end, TASK_FAILED);
    assert_string_equal(description(trial), "it took longer than its time limit, 0.3 s: late");
    assert_false(trial->task.was_terminated);
    assert_in_range(clock_monotonic() - begin, 500, 30000);
    end_trial(trial);
}

static void cancel(struct trial *trial) {
    task_cancel(&trial->task);
    task_cancel(&trial->task);
}

static void kill_at_once(struct trial *trial) {
    task_kill(&trial->task);
    task_kill(&trial->task);
}

static void cancel_and_kill(struct trial *trial) {
    task_cancel(&trial->task);
    task_kill(&trial->task);
    task_extend(&trial->task, INT64_MAX);
}

static void lose_lease(struct trial *trial) {
    task_extend(&trial->task, supervisor_clock() + 100);
}

static void keep_lease(struct trial *trial) {
    task_extend(&trial->task, supervisor_clock() + 1000);
    task_extend(&trial->task, supervisor_clock() + 1000000);
    trial->on_timer = cancel;
    uv_timer_start(&trial->timer, on_time, 1500, 0);
}

static void what_is_asked_of_it_is_done(void **state) {
    static const struct {
        void (*act)(struct trial *trial);
        enum task_end end;
    } cases[] = {
        {cancel, TASK_CANCELLED}, {kill_at_once, TASK_CANCELLED}, {cancel_and_kill, TASK_CANCELLED},
        {lose_lease, TASK_LOST},  {keep_lease, TASK_CANCELLED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const command[] = {
            "sh", "-c",
            "trap '' TERM; echo progress 1; setsid sleep 1000 & while :; do sleep 1; done", NULL};
        struct trial *trial = start_trial(&(struct task_options){.command = command});
        trial->on_timer = cases[i].act;
        trial->at_news = true;
        run_to_end(trial);
        assert_int_equal(trial->task.end, cases[i].end);
        end_trial(trial);
    }
}

// Before anything of it runs, and after all of it has.
static void asking_at_any_time_is_fine(void **state) {
    for (unsigned delay = 0; delay < 40; delay += 3) {
        const char *const command[] = {"true", NULL};
        struct trial *trial = start_trial(&(struct task_options){.command = command});
        trial->on_timer = delay % 2 ? cancel_and_kill : cancel;
        if (delay == 0)
            cancel(trial);
        else
            uv_timer_start(&trial->timer, on_time, delay, 0);
        run_to_end(trial);
        assert_true(trial->task.end == TASK_CANCELLED || trial->task.end == TASK_SUCCEEDED);
        end_trial(trial);
    }
}

static void a_strangers_sigterm_is_told(void **state) {
    struct trial *trial = run(NULL, "kill -TERM $$");
    assert_int_equal(trial->task.end, TASK_FAILED);
    assert_true(trial->task.was_terminated);
    end_trial(trial);
    trial = run(NULL, "kill -TERM $PPID; sleep 60");
    assert_int_equal(trial->task.end, TASK_FAILED);
    assert_true(trial->task.was_terminated);
    end_trial(trial);
}

static void much_output_takes_no_memory(void **state) {
    struct trial *trial = run(NULL, "head -c 100000000 /dev/zero; echo; echo progress 4; "
                                    "yes | head -c 100000000 >&2; echo the end >&2; exit 1");
    assert_int_equal(trial->task.end, TASK_FAILED);
    assert_int_equal(trial->task.output.progress, 4);
    assert_int_equal(trial->task.output.ignored, 1);
    assert_true(trial->task.output.line.capacity <= 2 * TASK_LINE_MAX);
    assert_in_range(trial->task.description.size, 4000, TASK_DESCRIPTION_MAX);
    assert_non_null(strstr(description(trial), "exit status 1: y\ny\n"));
    assert_non_null(strstr(description(trial), "y\nthe end"));
    end_trial(trial);
}

static void input_need_not_be_read(void **state) {
    size_t size = 10000000;
    char *input = malloc(size);
    assert_non_null(input);
    memset(input, 'x', size);
    struct task_options options = {.input = text_of(input, size)};
    struct trial *trial = run(&options, "exec <&-; exit 0");
    assert_int_equal(trial->task.end, TASK_SUCCEEDED);
    end_trial(trial);
    trial = run(&options, "echo progress 1; sleep 0.1");
    assert_int_equal(trial->task.end, TASK_SUCCEEDED);
    end_trial(trial);
    trial = run(&options, "echo detail $(wc -c)");
    assert_string_equal(trial->task.output.detail, "10000000");
    end_trial(trial);
    free(input);
}

// Real pipes, which can be opened again by their names.
static void streams_can_be_opened_by_name(void **state) {
    struct trial *trial = run(NULL, "echo progress 9 > /dev/stdout; echo x > /dev/stderr; exit 2");
    assert_int_equal(trial->task.output.progress, 9);
    assert_string_equal(description(trial), "it ended with exit status 2: x");
    end_trial(trial);
}

static void no_memory_is_no_crash(void **state) {
    static const char *const command[] = {"sh", "-c", "echo progress 1; echo oh >&2; exit 1", NULL};
    for (ALLOCATION_FAILURES(nth)) {
        (void)allocation_allow();
        struct trial *trial = make_trial();
        allocation_fail_from(nth);
        start(trial, &(struct task_options){.command = command});
        run_to_end(trial);
        bool failed = allocation_allow();
        assert_true(trial->task.end == TASK_FAILED || trial->task.end == TASK_NOT_STARTED);
        end_trial(trial);
        if (!failed)
            break;
    }
}

int main(int count, char **words) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_says_is_heard),
        cmocka_unit_test(ends_are_told_in_words),
        cmocka_unit_test(what_cannot_be_started_fails),
        cmocka_unit_test(without_a_supervisor_nothing_starts),
        cmocka_unit_test(only_the_declared_environment_is_there),
        cmocka_unit_test(the_time_limit_counts),
        cmocka_unit_test(what_is_asked_of_it_is_done),
        cmocka_unit_test(asking_at_any_time_is_fine),
        cmocka_unit_test(a_strangers_sigterm_is_told),
        cmocka_unit_test(much_output_takes_no_memory),
        cmocka_unit_test(input_need_not_be_read),
        cmocka_unit_test(streams_can_be_opened_by_name),
        cmocka_unit_test(no_memory_is_no_crash),
    };
    if (is_supervisor(count, words))
        return run_supervisor(count, words);
    (void)signal(SIGPIPE, SIG_IGN); // as the program does
    if (chdir("/tmp") != 0)
        return EXIT_FAILURE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
