// A task is one command under its supervisors (work/supervisor.h): it is given its input, what it
// says is read (work/task_output.h), and how it ended is told in words. It lives on a loop, in
// memory of its owner, from task_start until on_ended; all calls are made on the loop's thread.
#pragma once

#include "work/supervisor.h"
#include "work/task_output.h"

#include <uv.h>

enum {
    TASK_ERRORS_KEPT = 4096,     // bytes of the standard error's end
    TASK_CHUNK = 64 * 1024,      // bytes that are read at once
    TASK_DESCRIPTION_MAX = 5000, // bytes of `description`
};

// What is to be run. All of it is borrowed until on_ended.
struct task_options {
    const char *program;            // the trestle that supervises; NULL: the one that runs
    const char *const *command;     // NULL-terminated
    const char *const *environment; // "NAME=VALUE", NULL-terminated: all that the command gets
    struct text input;              // its standard input
    uint64_t time_limit;            // milliseconds; 0: none
    uint64_t grace;                 // milliseconds from SIGTERM to SIGKILL
};

enum task_end {
    TASK_SUCCEEDED,
    TASK_FAILED,
    TASK_CANCELLED,   // because it was asked to end, or killed, by us
    TASK_LOST,        // its lease ran out
    TASK_NOT_STARTED, // the system has no room for another process now; nothing happened
};

struct task {
    // Set by the owner before it starts.
    void (*on_news)(struct task *task);  // progress or detail has come
    void (*on_ended)(struct task *task); // no process is left; the memory may go once it is freed
    void *owner;

    struct task_output output; // what it says; owner: only to read, and to put has_news back

    // In on_ended.
    enum task_end end;
    bool was_terminated;       // it failed because of a SIGTERM that was not ours
    struct buffer description; // why it did not succeed: clean text, zero-terminated
    json_t *properties;        // to set, when it succeeded; or NULL

    // Its own.
    struct task_options options;
    uv_process_t process;
    uv_pipe_t input, said, errors, control;
    uv_timer_t patience; // with whoever holds its output open when it has ended
    uv_write_t write;
    uv_shutdown_t hang_up;
    unsigned open_handles;
    int spawn_error; // libuv's; 0: the supervisor runs, or ran
    bool is_running; // the guard has not ended
    bool is_watched; // one of the supervisors has not ended
    bool reads_said; // the end of it has not come, and so with the next
    bool reads_errors;
    bool is_closing;
    bool is_asked; // we asked it to end
    bool is_killed;
    struct supervisor_report report;
    size_t report_size;
    char tail[TASK_ERRORS_KEPT]; // of its standard error
    size_t tail_size;
    bool tail_is_cut;
    char chunk[TASK_CHUNK];
};

// Starts it. Whatever happens, on_ended comes, and not before this returns.
void task_start(struct task *task, uv_loop_t *loop, const struct task_options *options);

// It may run until then, by supervisor_clock; before the first call there is no such bound.
void task_extend(struct task *task, int64_t until);

// Asks it to end: SIGTERM, then SIGKILL.
void task_cancel(struct task *task);

// Kills it and all that came of it.
void task_kill(struct task *task);

// Frees what it has, in on_ended or later.
void task_free(struct task *task);
