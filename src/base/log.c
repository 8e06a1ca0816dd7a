#include "base/log.h"

#include "base/clock.h"
#include "base/json_writer.h"
#include "base/timestamp.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    GATHERED_MAX = 64 * 1024,  // this much is written without waiting for log_flush
    WAITING_MAX = 1024 * 1024, // this much waits for a file that takes nothing; the rest is lost
    LINE_ROOM = 1024,          // longer messages take memory of their own
    CLOSE_PATIENCE_MS = 1000,
};

struct log {
    pthread_mutex_t lock;
    enum log_format format; // never changes, as the next two
    enum log_level least;
    char *path;            // NULL: standard error
    int file;              // guarded by lock, as all that follows
    bool regular;          // a write to it does not wait for whoever reads it
    struct buffer waiting; // whole lines, but for the first, whose beginning may be written
    uint64_t lost;         // lines, since the last that got in
};

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARNING] = "warning",
    [LOG_ERROR] = "error",
};

// O_NONBLOCK: a named pipe that nobody reads must not stop the program, neither now nor later.
static int open_file(const char *path, struct failure *failure) {
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (file < 0)
        failure_set(failure, FAILURE_INVALID_SETTING, "the log file %s cannot be opened: %s", path,
                    strerrordesc_np(errno));
    return file;
}

static bool is_regular(int file) {
    struct stat status;
    return fstat(file, &status) == 0 && S_ISREG(status.st_mode);
}

static bool open_target(struct log *log, const char *path, struct failure *failure) {
    log->file = STDERR_FILENO;
    if (path) {
        log->path = strdup(path);
        if (!log->path)
            return failure_out_of_memory(failure);
        log->file = open_file(path, failure);
        if (log->file < 0)
            return false;
    }
    log->regular = is_regular(log->file);
    return true;
}

struct log *log_open(enum log_format format, enum log_level least, const char *path,
                     struct failure *failure) {
    struct log *log = calloc(1, sizeof *log);
    if (!log) {
        failure_out_of_memory(failure);
        return NULL;
    }
    log->format = format;
    log->least = least;
    if (pthread_mutex_init(&log->lock, NULL) != 0) {
        failure_out_of_memory(failure);
        free(log);
        return NULL;
    }
    if (!open_target(log, path, failure)) {
        pthread_mutex_destroy(&log->lock);
        free(log->path);
        free(log);
        return NULL;
    }
    return log;
}

// Whether the file takes something now, or within a time. A pipe that does has room for PIPE_BUF
// bytes; one that nobody reads any more takes nothing, and is not written to, for the signal that
// this would send.
static bool is_writable(const struct log *log, int patience_ms) {
    if (log->regular)
        return true;
    struct pollfd state = {.fd = log->file, .events = POLLOUT};
    return poll(&state, 1, patience_ms) == 1 && state.revents == POLLOUT;
}

// Writes what waits, as far as the file takes it without blocking for longer than `patience_ms`
// altogether.
static void write_waiting(struct log *log, int patience_ms) {
    uint64_t deadline = clock_monotonic() + (uint64_t)patience_ms;
    size_t done = 0;
    while (done < log->waiting.size && is_writable(log, patience_ms)) {
        size_t size = log->waiting.size - done;
        if (!log->regular && size > PIPE_BUF)
            size = PIPE_BUF;
        ssize_t written = write(log->file, log->waiting.data + done, size);
        if (written > 0)
            done += (size_t)written;
        else if (written == 0 || errno != EINTR)
            break;
        uint64_t now = clock_monotonic();
        patience_ms = now < deadline ? (int)(deadline - now) : 0;
    }
    if (done == 0)
        return;
    log->waiting.size -= done;
    memmove(log->waiting.data, log->waiting.data + done, log->waiting.size);
}

void log_close(struct log *log) {
    if (!log)
        return;
    write_waiting(log, CLOSE_PATIENCE_MS);
    if (log->path)
        close(log->file);
    pthread_mutex_destroy(&log->lock);
    buffer_free(&log->waiting);
    free(log->path);
    free(log);
}

bool log_reopen(struct log *log, struct failure *failure) {
    if (!log || !log->path)
        return true;
    int file = open_file(log->path, failure);
    if (file < 0)
        return false;
    pthread_mutex_lock(&log->lock);
    write_waiting(log, 0);
    int old = log->file;
    log->file = file;
    log->regular = is_regular(file);
    pthread_mutex_unlock(&log->lock);
    close(old);
    return true;
}

// Whether a character would break a line apart, hide something, or be taken by a terminal for a
// command. The backslash is in it so that what was escaped can be told from what was not.
static bool is_escaped(uint32_t c, bool also_space) {
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == '\\' || (also_space && c == ' ') ||
           c == 0x2028 || c == 0x2029;
}

static void append_escape(struct buffer *out, uint32_t c) {
    static const char letters[0x20] = {['\t'] = 't', ['\n'] = 'n', ['\r'] = 'r'};
    if (c < 0x20 && letters[c])
        buffer_append(out, (char[]){'\\', letters[c]}, 2);
    else if (c == '\\')
        buffer_append(out, "\\\\", 2);
    else if (c < 0x80)
        buffer_format(out, "\\x%02x", (unsigned)c);
    else
        buffer_format(out, "\\u%04x", (unsigned)c);
}

// Any bytes, so that they stay on one line and in one column.
static void append_escaped(struct buffer *out, struct text value, bool also_space) {
    size_t start = 0;
    for (size_t i = 0; i < value.size;) {
        char byte = value.data[i];
        if (byte > ' ' && byte < 0x7F && byte != '\\') { // what nearly all of them are
            i++;
            continue;
        }
        size_t size = text_utf8_size(text_from(value, i));
        uint32_t c = size ? text_utf8_decode(text_from(value, i), &size) : 0;
        if (size && !is_escaped(c, also_space)) {
            i += size;
            continue;
        }
        buffer_append(out, value.data + start, i - start);
        if (size)
            append_escape(out, c);
        else
            buffer_format(out, "\\x%02x", (unsigned)(unsigned char)value.data[i]);
        i += size ? size : 1;
        start = i;
    }
    buffer_append_text(out, text_from(value, start));
}

// A JSON string of any bytes: what is not UTF-8 becomes U+FFFD.
static void append_json_string(struct json_writer *json, struct text value) {
    if (text_is_utf8(value)) {
        json_write_string(json, value);
        return;
    }
    struct buffer repaired;
    buffer_init(&repaired);
    for (size_t i = 0; i < value.size;) {
        size_t size = text_utf8_size(text_from(value, i));
        if (size)
            buffer_append(&repaired, value.data + i, size);
        else
            buffer_append_string(&repaired, "\xEF\xBF\xBD");
        i += size ? size : 1;
    }
    json->out->failed |= repaired.failed;
    json_write_string(json, buffer_text(&repaired));
    buffer_free(&repaired);
}

// `name` is ready to be written: quoted, and with its colon.
static void append_json_member(struct json_writer *json, struct text name, struct text value) {
    json_write_prepared_name(json, name);
    append_json_string(json, value);
}

static void begin_json_line(struct json_writer *json, struct text now, enum log_level level) {
    json_write_object_begin(json);
    append_json_member(json, TEXT("\"time\":"), now);
    append_json_member(json, TEXT("\"level\":"), text_from_string(level_names[level]));
}

static void append_message(struct log *log, struct text now, enum log_level level,
                           struct text message) {
    struct buffer *out = &log->waiting;
    if (log->format == LOG_JSON) {
        struct json_writer json = json_writer_on(out);
        begin_json_line(&json, now, level);
        append_json_member(&json, TEXT("\"message\":"), message);
        json_write_object_end(&json);
    } else {
        buffer_append_text(out, now);
        buffer_append_byte(out, ' ');
        buffer_append_string(out, level_names[level]);
        buffer_append_byte(out, ' ');
        append_escaped(out, message, false);
    }
}

// A text that stays one column, whatever it holds.
static void append_column(struct buffer *out, struct text value) {
    append_escaped(out, value.size ? value : TEXT("-"), true);
}

static void append_text_access(struct buffer *out, struct text now,
                               const struct log_access *access) {
    buffer_append_text(out, now);
    buffer_append_string(out, " request ");
    append_column(out, access->method);
    buffer_append_byte(out, ' ');
    append_column(out, access->target);
    buffer_append_byte(out, ' ');
    buffer_append_integer(out, access->status);
    buffer_append_byte(out, ' ');
    buffer_append_integer(out, (int64_t)access->body_size);
    buffer_append_string(out, "B ");
    buffer_append_integer(out, (int64_t)access->microseconds);
    buffer_append_string(out, "us ");
    append_column(out, access->request_id);
    buffer_append_byte(out, ' ');
    append_column(out, access->peer);
    buffer_append_byte(out, ' ');
    append_column(out, access->key);
}

static void append_json_access(struct buffer *out, struct text now,
                               const struct log_access *access) {
    struct json_writer json = json_writer_on(out);
    begin_json_line(&json, now, LOG_INFO);
    append_json_member(&json, TEXT("\"message\":"), TEXT("request"));
    append_json_member(&json, TEXT("\"method\":"), access->method);
    append_json_member(&json, TEXT("\"target\":"), access->target);
    json_write_prepared_name(&json, TEXT("\"status\":"));
    json_write_integer(&json, access->status);
    json_write_prepared_name(&json, TEXT("\"body_size\":"));
    json_write_integer(&json, (int64_t)access->body_size);
    json_write_prepared_name(&json, TEXT("\"microseconds\":"));
    json_write_integer(&json, (int64_t)access->microseconds);
    append_json_member(&json, TEXT("\"request_id\":"), access->request_id);
    append_json_member(&json, TEXT("\"peer\":"), access->peer);
    append_json_member(&json, TEXT("\"key\":"), access->key);
    json_write_object_end(&json);
}

// Takes back a line for which there was no memory; false where it did.
static bool keep_whole_lines(struct log *log, size_t size_before) {
    if (!log->waiting.failed)
        return true;
    log->waiting.size = size_before;
    log->waiting.failed = false;
    return false;
}

// Says, where lines were lost, how many.
static void tell_lost(struct log *log, struct text now) {
    if (log->lost == 0)
        return;
    char message[64];
    int size = snprintf(message, sizeof message, "%llu log lines were lost",
                        (unsigned long long)log->lost);
    size_t before = log->waiting.size;
    append_message(log, now, LOG_WARNING, text_of(message, size > 0 ? (size_t)size : 0));
    buffer_append_byte(&log->waiting, '\n');
    if (keep_whole_lines(log, before))
        log->lost = 0;
}

// Whether there is room for a line, which then begins at the end of what waits.
static bool begin_line(struct log *log, struct text now) {
    if (log->waiting.size >= WAITING_MAX) {
        log->lost++;
        return false;
    }
    tell_lost(log, now);
    return true;
}

static void end_line(struct log *log, size_t start) {
    buffer_append_byte(&log->waiting, '\n');
    if (!keep_whole_lines(log, start))
        log->lost++;
}

static void write_message(struct log *log, enum log_level level, struct text message) {
    char now[TIMESTAMP_SIZE];
    timestamp_format(clock_now(), now);
    struct text time = text_of(now, sizeof now);
    pthread_mutex_lock(&log->lock);
    if (begin_line(log, time)) {
        size_t before = log->waiting.size;
        append_message(log, time, level, message);
        end_line(log, before);
    }
    write_waiting(log, 0);
    pthread_mutex_unlock(&log->lock);
}

void log_write(struct log *log, enum log_level level, const char *format, ...) {
    if (!log || level < log->least)
        return;
    va_list arguments;
    char room[LINE_ROOM];
    va_start(arguments, format);
    int size = vsnprintf(room, sizeof room, format, arguments);
    va_end(arguments);
    if (size < 0)
        return;
    struct text message = text_of(room, (size_t)size);
    char *whole = NULL;
    if (message.size >= sizeof room) {
        // Without memory, the beginning of the message is better than nothing.
        message = text_whole_characters(text_of(room, sizeof room - 1));
        whole = malloc((size_t)size + 1);
    }
    if (whole) {
        va_start(arguments, format);
        (void)vsnprintf(whole, (size_t)size + 1, format, arguments);
        va_end(arguments);
        message = text_of(whole, (size_t)size);
    }
    write_message(log, level, message);
    free(whole);
}

void log_request(struct log *log, const struct log_access *access) {
    if (!log)
        return;
    char now[TIMESTAMP_SIZE];
    timestamp_format(clock_now(), now);
    struct text time = text_of(now, sizeof now);
    pthread_mutex_lock(&log->lock);
    if (begin_line(log, time)) {
        size_t before = log->waiting.size;
        if (log->format == LOG_JSON)
            append_json_access(&log->waiting, time, access);
        else
            append_text_access(&log->waiting, time, access);
        end_line(log, before);
    }
    if (log->waiting.size >= GATHERED_MAX)
        write_waiting(log, 0);
    pthread_mutex_unlock(&log->lock);
}

void log_flush(struct log *log) {
    if (!log)
        return;
    pthread_mutex_lock(&log->lock);
    write_waiting(log, 0);
    pthread_mutex_unlock(&log->lock);
}
