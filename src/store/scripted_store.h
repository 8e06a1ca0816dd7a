// The scripted store answers each job with the next entry of a script, and notes where what it was
// asked differs from what the script expects. It keeps nothing. It is for tests of what stands
// above the store: any outcome can be had, in any order. Its sessions and all of its functions
// belong to one thread; the script is its owner's and must outlive it.
#pragma once

#include "store/store.h"

// What one call is to be and how it is answered.
struct scripted_call {
    const char *sql;                // the statement's text contains it; NULL: any statement
    const struct value *parameters; // what is bound; NULL: anything
    size_t parameter_count;
    const struct value *cells; // the rows that it gives, one after the other, each as long as the
                               // statement's columns
    size_t row_count;
    int64_t changes; // the rows that it changes, where its statement gives none
};

struct scripted_job {
    const struct scripted_call *calls; // NULL: any number of calls, which give no rows
    size_t call_count;
    struct outcome outcome; // once the calls were played; OUTCOME_DONE when left out
    bool refused;           // the queue is full: store_submit takes no job
    bool restarted;         // rows come, are taken back by on_restart, and come again
};

// An `expect` that does not hold, an on_row or on_late that gives up and store_cancel have the
// outcome that they have with every store, whatever the script says. A job after the script's end
// is OUTCOME_FAILED.
struct store *scripted_store_open(enum store_dialect dialect, const struct scripted_job *script,
                                  size_t job_count, struct failure *failure);

// How many jobs of the script were not asked for yet.
size_t scripted_store_left(const struct store *base);

// The first difference from the script in words, or "".
const char *scripted_store_difference(const struct store *base);
