// The log writes lines, as text or as JSON (one object a line), to standard error or a file. Any
// thread may call it. It owns its file. Nothing it is given makes it block or fail: a file that
// takes nothing (a full disk, a pipe whose reader sleeps) is tried again at the next line, up to 1
// MiB waits for it, and what was lost beyond is counted in the log itself.
#pragma once

#include "base/failure.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

struct log;

// `path` NULL: standard error. NULL and a failure when the file cannot be opened.
struct log *log_open(enum log_format format, enum log_level least, const char *path,
                     struct failure *failure);

// Writes what waits and closes; takes NULL.
void log_close(struct log *log);

// Opens its file anew, for logrotate; keeps the old one when that fails.
bool log_reopen(struct log *log, struct failure *failure);

// One line. A NULL log swallows it, which is what unit tests want.
void log_write(struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(log, ...) log_write(log, LOG_DEBUG, __VA_ARGS__)
#define log_info(log, ...) log_write(log, LOG_INFO, __VA_ARGS__)
#define log_warning(log, ...) log_write(log, LOG_WARNING, __VA_ARGS__)
#define log_error(log, ...) log_write(log, LOG_ERROR, __VA_ARGS__)

// What the line about one request says: an object's members, or the columns of a text line after
// its time and the word "request". Empty texts are "-" in a text line, and spaces in them "\x20".
struct log_access {
    struct text method;
    struct text target; // with secrets already taken out
    unsigned status;
    size_t body_size;
    uint64_t microseconds; // from the request's first byte to its answer
    struct text request_id;
    struct text peer; // the client's address
    struct text key;  // whose it was, without the secret
};

// One line about one request; lines are gathered and written when `log_flush` is called or 64 KiB
// have come together.
void log_request(struct log *log, const struct log_access *access);

// Writes the gathered lines; a worker calls it about once a second.
void log_flush(struct log *log);
