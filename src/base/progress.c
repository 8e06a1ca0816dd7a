#include "base/progress.h"

#include "base/buffer.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    DRAW_EVERY_MS = 100,
    LINE_EVERY_MS = 10000,
    RATE_MEMORY_MS = 10000, // the rate follows a change within about this time
    COLUMNS_DEFAULT = 80,
    BAR_LEAST = 10,
    BAR_MOST = 40,
};

// Goes to the line's beginning; deletes from there to its end.
#define LINE_START "\r"
#define CLEAR_TO_END "\x1b[K"

static bool is_terminal(int file) {
    const char *kind = getenv("TERM");
    return isatty(file) && kind && *kind && strcmp(kind, "dumb") != 0;
}

static unsigned columns_of(const struct progress_output *output) {
    struct winsize size;
    if (output->columns)
        return output->columns;
    if (ioctl(output->file, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return COLUMNS_DEFAULT;
}

// Progress that cannot be written is not worth a failure of the work.
static void write_out(const struct progress *progress, struct buffer *out) {
    size_t done = 0;
    while (!out->failed && done < out->size) {
        ssize_t written = write(progress->output.file, out->data + done, out->size - done);
        if (written <= 0)
            break;
        done += (size_t)written;
    }
    buffer_free(out);
}

// 1234567 as "1,234,567".
static void append_count(struct buffer *out, uint64_t count) {
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            buffer_append_byte(out, ',');
        buffer_append_byte(out, digits[i]);
    }
}

static void append_bytes(struct buffer *out, double bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t i = 0;
    while (bytes >= 1023.95 && i + 1 < sizeof units / sizeof *units) {
        bytes /= 1024;
        i++;
    }
    buffer_format(out, "%.*f %s", i > 0, bytes, units[i]);
}

static void append_amount(struct buffer *out, const struct progress *progress, uint64_t amount) {
    if (progress->work.unit)
        append_count(out, amount);
    else
        append_bytes(out, (double)amount);
}

static void append_unit(struct buffer *out, const struct progress *progress) {
    if (progress->work.unit)
        buffer_format(out, " %s", progress->work.unit);
}

static void append_rate(struct buffer *out, const struct progress *progress, double rate) {
    if (!progress->work.unit)
        append_bytes(out, rate);
    else if (rate < 9.95)
        buffer_format(out, "%.1f", rate);
    else
        append_count(out, (uint64_t)(rate + 0.5));
    buffer_append_string(out, "/s");
}

// "0:07", "12:34", "1:00:00".
static void append_time(struct buffer *out, double seconds) {
    if (seconds >= 999 * 3600.0) {
        buffer_append_string(out, "weeks");
        return;
    }
    unsigned whole = (unsigned)(seconds + 0.5);
    if (whole >= 3600)
        buffer_format(out, "%u:%02u:%02u", whole / 3600, whole / 60 % 60, whole % 60);
    else
        buffer_format(out, "%u:%02u", whole / 60, whole % 60);
}

// Reaches 1 only when everything is done.
static double part_done(const struct progress *progress) {
    if (progress->work.done >= progress->work.total)
        return 1;
    return (double)progress->work.done / (double)progress->work.total;
}

static double elapsed_seconds(const struct progress *progress, uint64_t now) {
    return (double)(now - progress->started) / 1000;
}

// The time that is left, at the present rate; the time that has passed, where no end is known.
static void append_remaining(struct buffer *out, const struct progress *progress, uint64_t now) {
    if (progress->work.total == 0) {
        append_time(out, elapsed_seconds(progress, now));
        return;
    }
    uint64_t done = progress->work.done;
    uint64_t left = done < progress->work.total ? progress->work.total - done : 0;
    if (left == 0)
        buffer_append_string(out, "0:00");
    else if (progress->rate > 0)
        append_time(out, (double)left / progress->rate);
    else
        buffer_append_string(out, "-:--");
    buffer_append_string(out, " left");
}

static void append_bar(struct buffer *out, double part, size_t width) {
    size_t filled = (size_t)(part * (double)width);
    buffer_append_string(out, "  [");
    for (size_t i = 0; i < width; i++)
        buffer_append_byte(out, i < filled ? '#' : '.');
    buffer_append_byte(out, ']');
}

static void append_amounts(struct buffer *out, const struct progress *progress) {
    append_amount(out, progress, progress->work.done);
    if (progress->work.total > 0) {
        buffer_append_byte(out, '/');
        append_amount(out, progress, progress->work.total);
    }
    append_unit(out, progress);
    buffer_append_string(out, "  ");
    append_rate(out, progress, progress->rate);
    buffer_append_string(out, "  ");
}

// What stands right of the bar.
static void append_figures(struct buffer *out, const struct progress *progress, uint64_t now) {
    bool total_known = progress->work.total > 0;
    if (total_known)
        buffer_format(out, " %3u%%", (unsigned)(part_done(progress) * 100));
    buffer_append_string(out, "  ");
    if (!progress->work.is_share)
        append_amounts(out, progress);
    append_remaining(out, progress, now);
}

// The beginning of a text that takes at most `columns` characters.
static struct text cut_to_columns(struct text text, size_t columns) {
    size_t size = 0;
    while (size < text.size && columns > 0) {
        size_t character = text_utf8_size(text_from(text, size));
        size += character ? character : 1;
        columns--;
    }
    return text_of(text.data, size);
}

// One line, a column shorter than the terminal, lest that wraps it.
static void draw_bar(struct progress *progress, uint64_t now) {
    struct buffer figures = {0};
    struct buffer line = {0};
    struct buffer out = {0};
    append_figures(&figures, progress, now);
    buffer_append_string(&line, progress->work.label);
    size_t room = columns_of(&progress->output) - 1;
    size_t used = text_utf8_length(buffer_text(&line)) + figures.size + sizeof "  []" - 1;
    if (progress->work.total > 0 && used + BAR_LEAST <= room) {
        if (progress->bar_width == 0 || progress->bar_width > room - used)
            progress->bar_width = room - used < BAR_MOST ? room - used : BAR_MOST;
        append_bar(&line, part_done(progress), progress->bar_width);
    }
    buffer_append_text(&line, buffer_text(&figures));
    buffer_append_string(&out, LINE_START);
    buffer_append_text(&out, cut_to_columns(buffer_text(&line), room));
    buffer_append_string(&out, CLEAR_TO_END);
    out.failed |= line.failed || figures.failed;
    buffer_free(&figures);
    buffer_free(&line);
    write_out(progress, &out);
    progress->drawn = true;
}

static void write_amounts(struct buffer *out, const struct progress *progress) {
    append_amount(out, progress, progress->work.done);
    if (progress->work.total > 0) {
        buffer_append_string(out, " of ");
        append_amount(out, progress, progress->work.total);
    }
    append_unit(out, progress);
    if (progress->work.total > 0)
        buffer_format(out, " (%u%%)", (unsigned)(part_done(progress) * 100));
    buffer_append_string(out, ", ");
    append_rate(out, progress, progress->rate);
}

static void write_line(const struct progress *progress, uint64_t now) {
    struct buffer out = {0};
    buffer_format(&out, "%s: ", progress->work.label);
    if (progress->work.is_share)
        buffer_format(&out, "%u%%", (unsigned)(part_done(progress) * 100));
    else
        write_amounts(&out, progress);
    buffer_append_string(&out, ", ");
    append_remaining(&out, progress, now);
    buffer_append_byte(&out, '\n');
    write_out(progress, &out);
}

static double average_rate(const struct progress *progress, uint64_t now) {
    double done = progress->work.done > progress->done_first
                      ? (double)(progress->work.done - progress->done_first)
                      : 0;
    return now > progress->started ? done / elapsed_seconds(progress, now) : 0;
}

// At first the average; later each measure counts by the time that it spans.
static void measure_rate(struct progress *progress, uint64_t now) {
    uint64_t span = now - progress->shown;
    if (now - progress->started <= RATE_MEMORY_MS) {
        progress->rate = average_rate(progress, now);
    } else if (span > 0) {
        double done = progress->work.done > progress->done_shown
                          ? (double)(progress->work.done - progress->done_shown)
                          : 0;
        double weight = span < RATE_MEMORY_MS ? (double)span / RATE_MEMORY_MS : 1;
        progress->rate += (done * 1000 / (double)span - progress->rate) * weight;
    }
    progress->shown = now;
    progress->done_shown = progress->work.done;
}

void progress_start(struct progress *progress, const struct progress_work *work) {
    progress_start_on(progress, work,
                      &(struct progress_output){
                          .file = STDERR_FILENO,
                          .terminal = is_terminal(STDERR_FILENO),
                          .clock = clock_monotonic,
                      });
}

void progress_start_on(struct progress *progress, const struct progress_work *work,
                       const struct progress_output *output) {
    uint64_t now = output->clock();
    *progress = (struct progress){
        .work = *work,
        .output = *output,
        .started = now,
        .shown = now,
        .done_first = work->done,
        .done_shown = work->done,
    };
    if (output->terminal)
        draw_bar(progress, now);
}

void progress_update(struct progress *progress, uint64_t done) {
    progress->work.done = done;
    uint64_t now = progress->output.clock();
    uint64_t passed = now - progress->shown;
    if (passed < (progress->output.terminal ? DRAW_EVERY_MS : LINE_EVERY_MS))
        return;
    measure_rate(progress, now);
    if (progress->output.terminal)
        draw_bar(progress, now);
    else
        write_line(progress, now);
}

void progress_set_total(struct progress *progress, uint64_t total) {
    progress->work.total = total;
}

void progress_hide(struct progress *progress) {
    if (!progress->drawn)
        return;
    struct buffer out = {0};
    buffer_append_string(&out, LINE_START CLEAR_TO_END);
    write_out(progress, &out);
    progress->drawn = false;
}

// What was done; of what, where that is not all.
static void append_result(struct buffer *out, const struct progress *progress) {
    append_amount(out, progress, progress->work.done);
    if (progress->work.done < progress->work.total) {
        buffer_append_string(out, " of ");
        append_amount(out, progress, progress->work.total);
    }
    append_unit(out, progress);
}

void progress_finish(struct progress *progress) {
    uint64_t now = progress->output.clock();
    bool is_share = progress->work.is_share;
    struct buffer out = {0};
    progress_hide(progress);
    buffer_format(&out, "%s: ", progress->work.label);
    if (is_share)
        buffer_format(&out, "%u%%", (unsigned)(part_done(progress) * 100));
    else
        append_result(&out, progress);
    buffer_append_string(&out, " in ");
    append_time(&out, elapsed_seconds(progress, now));
    if (now > progress->started && !is_share) {
        buffer_append_string(&out, ", ");
        append_rate(&out, progress, average_rate(progress, now));
    }
    buffer_append_byte(&out, '\n');
    write_out(progress, &out);
}
