// The runner works on operations whose transition says what command to run: a thread with a loop, a
// session with the store, and a crew (work/crew.h). It claims them as agents do, from the same
// database, so that any number of processes and agents may work beside each other.
#pragma once

#include "base/log.h"
#include "resource/catalogue.h"

struct runner;

struct runner_options {
    struct store *store;
    struct log *log;
    const char *data;  // the folder of the settings, told to commands
    unsigned size;     // commands at once, at least 1
    unsigned patience; // milliseconds for the database to answer
    unsigned lease;    // milliseconds; what a lost process was at is begun again after them
    unsigned grace;    // milliseconds for commands to end by themselves when it stops
};

// Starts the thread; the options, what they point to, and a reference of the catalogue are kept.
bool runner_start(const struct runner_options *options, struct catalogue *catalogue,
                  struct runner **ret_runner, struct failure *failure);

// Any thread: an operation was queued by this process. Takes NULL.
void runner_wake(struct runner *runner);

// Any thread: from now on operations are those of another catalogue, of which it takes a reference.
// False when there is no memory. Takes NULL.
bool runner_reload(struct runner *runner, struct catalogue *catalogue);

// Begins to end it: nothing more is claimed, commands get their time, and what does not end is
// handed back. Once, from any thread; takes NULL.
void runner_stop(struct runner *runner);

// Waits until it has ended, and frees it; nobody may wake it any more. Takes NULL.
void runner_join(struct runner *runner);
