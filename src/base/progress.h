// Progress shows whoever waits at the command line how far long work has come: on a terminal a bar
// that is drawn again and again, elsewhere a plain line about every ten seconds. It owns nothing
// and writes to standard error. One thread may use it.
#pragma once

#include "base/text.h"

// The work, as its owner knows it when it starts.
struct progress_work {
    const char *label; // "Importing packages"; it must live as long as the progress
    const char *unit;  // "records"; NULL: bytes, shown as KiB, MiB, …
    bool is_share;     // total and done are some measure that nobody wants to see: only "40%"
    uint64_t total;    // 0 where it is not known
    uint64_t done;     // what an earlier attempt has done; it does not count for the rate
};

// Where progress goes. Only tests need another than standard error.
struct progress_output {
    int file;
    bool terminal;           // draws a bar
    unsigned columns;        // of the terminal; 0: asks it, each time
    uint64_t (*clock)(void); // milliseconds that only go forward
};

struct progress {
    struct progress_work work; // total and done are kept up to date
    struct progress_output output;
    uint64_t started;    // by the output's clock, as the next
    uint64_t shown;      // when it was shown last
    uint64_t done_first; // when it started
    uint64_t done_shown; // when it was shown last
    double rate;         // a second, of the last seconds rather than of the whole
    bool drawn;          // a bar stands on the terminal
    size_t bar_width;    // of the last bar; it only shrinks, lest its end jump about
};

// Starts to tell about work on standard error: a bar where that is a terminal that can move its
// cursor.
void progress_start(struct progress *progress, const struct progress_work *work);

// The same, elsewhere.
void progress_start_on(struct progress *progress, const struct progress_work *work,
                       const struct progress_output *output);

// Says how much is done now. It may be called as often as one likes: only the clock decides whether
// something is shown, at most every 100 ms on a terminal and every 10 s elsewhere. Work that stands
// still calls it too, so that what is shown stays true.
void progress_update(struct progress *progress, uint64_t done);

// Says how much there is to do, where that was found out late or has changed.
void progress_set_total(struct progress *progress, uint64_t total);

// Takes the bar off the terminal, so that something else may be written there; a later update
// draws it again.
void progress_hide(struct progress *progress);

// Ends with one line that says how much was done, in what time.
void progress_finish(struct progress *progress);
