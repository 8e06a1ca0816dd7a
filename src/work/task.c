#include "work/task.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CONTROL = 3,           // the supervisor's descriptor
    PATIENCE = 1000,       // milliseconds
    ARGUMENTS_BEFORE = 10, // of the supervisor, before the command
};

static void conclude(struct task *task);

// ---- Closing

static void on_closed(uv_handle_t *handle) {
    struct task *task = handle->data;
    if (--task->open_handles > 0)
        return;
    conclude(task);
    task->on_ended(task);
}

static void close_handle(uv_handle_t *handle) {
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void close_all(struct task *task) {
    task->is_closing = true;
    close_handle((uv_handle_t *)&task->input);
    close_handle((uv_handle_t *)&task->said);
    close_handle((uv_handle_t *)&task->errors);
    close_handle((uv_handle_t *)&task->control);
    close_handle((uv_handle_t *)&task->patience);
    if (task->process.loop) // or nobody came as far
        close_handle((uv_handle_t *)&task->process);
}

static void on_patience(uv_timer_t *timer) {
    close_all(timer->data);
}

// It has ended when both supervisors have; what it has said may still be on its way.
static void end_if_all_came(struct task *task) {
    if (task->is_running || task->is_watched || task->is_closing)
        return;
    if (!task->reads_said && !task->reads_errors)
        close_all(task);
    else if (!uv_is_active((uv_handle_t *)&task->patience))
        (void)uv_timer_start(&task->patience, on_patience, PATIENCE, 0);
}

// ---- Reading

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_room) {
    struct task *task = handle->data;
    *ret_room = uv_buf_init(task->chunk, sizeof task->chunk);
}

static void on_said(uv_stream_t *stream, ssize_t size, const uv_buf_t *bytes) {
    struct task *task = stream->data;
    if (size > 0) {
        task_output_feed(&task->output, text_of(bytes->base, (size_t)size));
        if (task->output.has_news)
            task->on_news(task);
    } else if (size < 0) {
        (void)uv_read_stop(stream);
        task->reads_said = false;
        end_if_all_came(task);
    }
}

static void keep_errors(struct task *task, struct text bytes) {
    if (bytes.size > TASK_ERRORS_KEPT) {
        bytes = text_from(bytes, bytes.size - TASK_ERRORS_KEPT);
        task->tail_is_cut = true;
    }
    size_t room = TASK_ERRORS_KEPT - bytes.size;
    if (task->tail_size > room) {
        memmove(task->tail, task->tail + task->tail_size - room, room);
        task->tail_size = room;
        task->tail_is_cut = true;
    }
    memcpy(task->tail + task->tail_size, bytes.data, bytes.size);
    task->tail_size += bytes.size;
}

static void on_errors(uv_stream_t *stream, ssize_t size, const uv_buf_t *bytes) {
    struct task *task = stream->data;
    if (size > 0) {
        keep_errors(task, text_of(bytes->base, (size_t)size));
    } else if (size < 0) {
        (void)uv_read_stop(stream);
        task->reads_errors = false;
        end_if_all_came(task);
    }
}

// The first report counts; the guard may send another one behind the keeper's.
static void on_control(uv_stream_t *stream, ssize_t size, const uv_buf_t *bytes) {
    struct task *task = stream->data;
    if (size > 0) {
        size_t room = sizeof task->report - task->report_size;
        size_t taken = (size_t)size < room ? (size_t)size : room;
        memcpy((char *)&task->report + task->report_size, bytes->base, taken);
        task->report_size += taken;
    } else if (size < 0) {
        (void)uv_read_stop(stream);
        task->is_watched = false;
        end_if_all_came(task);
    }
}

static void on_exit_status(uv_process_t *process, int64_t status, int number) {
    struct task *task = process->data;
    task->is_running = false;
    end_if_all_came(task);
}

// ---- Starting

// The command line of the supervisor; NULL when there is no memory. The caller frees it.
static const char **make_arguments(const struct task_options *options, char grace[32],
                                   char limit[32]) {
    size_t count = 0;
    while (options->command[count])
        count++;
    const char **arguments = calloc(ARGUMENTS_BEFORE + count + 1, sizeof *arguments);
    if (!arguments)
        return NULL;
    (void)snprintf(grace, 32, "%llums", (unsigned long long)options->grace);
    (void)snprintf(limit, 32, "%llums", (unsigned long long)options->time_limit);
    const char *const before[] = {"trestle", "supervise", "--control", "3", "--grace", grace};
    size_t used = sizeof before / sizeof *before;
    memcpy(arguments, before, sizeof before);
    if (options->time_limit) {
        arguments[used++] = "--limit";
        arguments[used++] = limit;
    }
    arguments[used++] = "--";
    memcpy(arguments + used, options->command, count * sizeof *arguments);
    return arguments;
}

// The descriptors of one stream: `theirs` is inherited.
struct ends {
    int ours, theirs;
};

// Real pipes: what libuv makes are sockets, and nobody can open /dev/stderr where that is one.
static int open_pipe(uv_pipe_t *pipe, bool they_read, struct ends *ends) {
    uv_file pair[2];
    int error = uv_pipe(pair, they_read ? 0 : UV_NONBLOCK_PIPE, they_read ? UV_NONBLOCK_PIPE : 0);
    if (error)
        return error;
    *ends = they_read ? (struct ends){pair[1], pair[0]} : (struct ends){pair[0], pair[1]};
    error = uv_pipe_open(pipe, ends->ours);
    if (error)
        close(ends->ours); // the pipe has not taken it
    return error;
}

static int spawn(struct task *task, uv_loop_t *loop, const char **arguments, struct ends ends[3]) {
    uv_stdio_container_t streams[CONTROL + 1] = {
        {.flags = UV_INHERIT_FD, .data.fd = ends[0].theirs},
        {.flags = UV_INHERIT_FD, .data.fd = ends[1].theirs},
        {.flags = UV_INHERIT_FD, .data.fd = ends[2].theirs},
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE | UV_WRITABLE_PIPE,
         .data.stream = (uv_stream_t *)&task->control},
    };
    const char *program = task->options.program ? task->options.program : "/proc/self/exe";
    uv_process_options_t options = {
        .exit_cb = on_exit_status,
        .file = program,
        .args = (char **)arguments,
        .env = (char **)task->options.environment,
        .flags = UV_PROCESS_DETACHED, // no terminal's Ctrl-C reaches it past us
        .stdio_count = CONTROL + 1,
        .stdio = streams,
    };
    task->process.data = task;
    task->open_handles++; // a handle it becomes, also where it fails
    return uv_spawn(loop, &task->process, &options);
}

static int open_and_spawn(struct task *task, uv_loop_t *loop) {
    char grace[32];
    char limit[32];
    struct ends ends[3] = {{-1, -1}, {-1, -1}, {-1, -1}};
    const char **arguments = make_arguments(&task->options, grace, limit);
    int error = arguments ? 0 : UV_ENOMEM;
    if (!error)
        error = open_pipe(&task->input, true, &ends[0]);
    if (!error)
        error = open_pipe(&task->said, false, &ends[1]);
    if (!error)
        error = open_pipe(&task->errors, false, &ends[2]);
    if (!error)
        error = spawn(task, loop, arguments, ends);
    for (size_t i = 0; i < 3; i++) {
        if (ends[i].theirs >= 0)
            close(ends[i].theirs);
    }
    free(arguments);
    return error;
}

// A command need not read what it is given.
static void on_written(uv_write_t *write, int status) {
    struct task *task = write->data;
    close_handle((uv_handle_t *)&task->input);
}

static void begin_streams(struct task *task) {
    uv_buf_t input =
        uv_buf_init((char *)task->options.input.data, (unsigned)task->options.input.size);
    task->write.data = task;
    if (uv_write(&task->write, (uv_stream_t *)&task->input, &input, 1, on_written) != 0)
        close_handle((uv_handle_t *)&task->input);
    task->reads_said = uv_read_start((uv_stream_t *)&task->said, on_room, on_said) == 0;
    task->reads_errors = uv_read_start((uv_stream_t *)&task->errors, on_room, on_errors) == 0;
    task->is_watched = uv_read_start((uv_stream_t *)&task->control, on_room, on_control) == 0;
}

static void init_handles(struct task *task, uv_loop_t *loop) {
    uv_pipe_t *pipes[] = {&task->input, &task->said, &task->errors, &task->control};
    for (size_t i = 0; i < sizeof pipes / sizeof *pipes; i++) {
        (void)uv_pipe_init(loop, pipes[i], 0); // neither this nor the next can fail
        pipes[i]->data = task;
    }
    (void)uv_timer_init(loop, &task->patience);
    task->patience.data = task;
    task->open_handles = 5;
}

void task_start(struct task *task, uv_loop_t *loop, const struct task_options *options) {
    *task = (struct task){.on_news = task->on_news,
                          .on_ended = task->on_ended,
                          .owner = task->owner,
                          .options = *options};
    task_output_init(&task->output);
    init_handles(task, loop);
    task->spawn_error = open_and_spawn(task, loop);
    task->is_running = task->spawn_error == 0;
    if (task->is_running)
        begin_streams(task);
    else
        close_all(task);
}

// ---- While it runs

void task_extend(struct task *task, int64_t until) {
    struct supervisor_lease lease = {until};
    uv_buf_t bytes = uv_buf_init((char *)&lease, sizeof lease);
    if (task->is_watched && !task->is_closing && !task->is_killed)
        (void)uv_try_write((uv_stream_t *)&task->control, &bytes,
                           1); // the next one will do as well
}

void task_cancel(struct task *task) {
    if (!task->is_running || task->is_closing)
        return;
    task->is_asked = true;
    (void)uv_process_kill(&task->process, SIGTERM); // it may have ended just now
}

static void on_hung_up(uv_shutdown_t *request, int status) {}

void task_kill(struct task *task) {
    if (task->is_killed || task->is_closing || !task->is_watched)
        return;
    task->is_killed = true;
    if (uv_shutdown(&task->hang_up, (uv_stream_t *)&task->control, on_hung_up) != 0)
        task_cancel(task);
}

// ---- How it ended

static void describe(struct task *task, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void describe(struct task *task, const char *format, ...) {
    char words[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    task_append_clean(&task->description, text_from_string(words), false);
}

// What it wrote to its standard error last, from the beginning of a line where that was cut.
static void append_errors(struct task *task) {
    struct text tail = text_of(task->tail, task->tail_size);
    ptrdiff_t first_end = text_find(tail, '\n');
    if (task->tail_is_cut && first_end >= 0 && (size_t)first_end + 1 < tail.size)
        tail = text_from(tail, (size_t)first_end + 1);
    while (tail.size && strchr(" \t\r\n", tail.data[tail.size - 1]))
        tail.size--;
    if (tail.size == 0)
        return;
    buffer_append_string(&task->description, ": ");
    task_append_clean(&task->description, tail, true);
}

static void describe_end(struct task *task) {
    const struct supervisor_report *report = &task->report;
    const char *name = report->end == END_KILLED ? sigabbrev_np(report->number) : NULL;
    if (report->cause == CAUSE_LIMIT)
        describe(task, "it took longer than its time limit, %g s",
                 (double)task->options.time_limit / 1000);
    else if (report->end == END_NOT_STARTED)
        describe(task, "%s cannot be started: %s", task->options.command[0],
                 uv_strerror(uv_translate_sys_error(report->number)));
    else if (name)
        describe(task, "it was killed by SIG%s", name);
    else if (report->end == END_KILLED)
        describe(task, "it was killed by signal %d", (int)report->number);
    else
        describe(task, "it ended with exit status %d", (int)report->number);
}

static enum task_end conclude_success(struct task *task) {
    struct failure failure;
    if (task_output_properties(&task->output, &task->properties, &failure))
        return TASK_SUCCEEDED;
    describe(task, "%s", failure.detail);
    return TASK_FAILED;
}

static bool is_without_supervisor(const struct task *task) {
    return task->report_size < sizeof task->report || task->report.end == END_UNKNOWN ||
           (task->report.cause == CAUSE_PARENT && !task->is_killed);
}

static enum task_end find_end(struct task *task) {
    const struct supervisor_report *report = &task->report;
    if (task->spawn_error) {
        describe(task, "no process can be started: %s", uv_strerror(task->spawn_error));
        return TASK_NOT_STARTED;
    }
    if (is_without_supervisor(task)) {
        describe(task, "its supervisor was killed, and it with it");
        // One that was asked before it could watch for signals ends by that.
        return task->is_killed || task->is_asked ? TASK_CANCELLED : TASK_FAILED;
    }
    if (report->cause == CAUSE_LEASE) {
        describe(task, "its lease ran out");
        return TASK_LOST;
    }
    if (report->cause == CAUSE_PARENT || (report->cause == CAUSE_ASKED && task->is_asked))
        return TASK_CANCELLED;
    if (report->cause == CAUSE_NONE && report->end == END_EXITED && report->number == 0)
        return conclude_success(task);
    task->was_terminated =
        report->cause == CAUSE_ASKED ||
        (report->cause == CAUSE_NONE && report->end == END_KILLED && report->number == SIGTERM);
    describe_end(task);
    append_errors(task);
    return TASK_FAILED;
}

static void conclude(struct task *task) {
    task_output_end(&task->output);
    task->end = find_end(task);
    buffer_append_byte(&task->description, '\0');
    if (task->description.failed)
        buffer_free(&task->description); // the end is known all the same
}

void task_free(struct task *task) {
    task_output_free(&task->output);
    buffer_free(&task->description);
    json_decref(task->properties);
    task->properties = NULL;
}
