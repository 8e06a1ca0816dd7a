// A supervisor runs one command and takes along every process that comes of it: when the command
// ends, when its time is over, when it is told to, and when whoever started it has ended or no
// longer says that it may go on. It is a small process of its own (`trestle supervise`), or rather
// two, each of which would clean up if the other one were killed. Linux only.
#pragma once

#include <stdint.h>
#include <stdio.h>

// What a supervisor does. All of it is borrowed.
struct supervision {
    char *const *command; // NULL-terminated; its first word is looked for in PATH, and "trestle" is
                          // this very program
    uint64_t grace;       // milliseconds between SIGTERM and SIGKILL
    uint64_t limit;       // milliseconds for the command; 0: none
    int control;          // a stream socket to whoever started it, or -1
};

// Why a command was ended before it did so itself.
enum supervisor_cause {
    CAUSE_NONE,       // it ended by itself
    CAUSE_ASKED,      // SIGTERM, SIGINT, SIGHUP or SIGQUIT came
    CAUSE_LIMIT,      // its time was over
    CAUSE_LEASE,      // the lease ran out
    CAUSE_PARENT,     // whoever started the supervisor is gone, or closed the control socket
    CAUSE_SUPERVISOR, // one of the two supervisors was killed
};

enum supervisor_end {
    END_EXITED,      // number: the exit status
    END_KILLED,      // number: the signal
    END_NOT_STARTED, // number: the errno
    END_UNKNOWN,     // its supervisor was killed
};

// The last that comes on the control socket, when no process of the command is left.
struct supervisor_report {
    int32_t cause;
    int32_t end;
    int32_t number;
};

// What goes the other way on the control socket, any number of times: until when the command may
// run, by supervisor_clock. Its processes get SIGTERM `grace` before that and SIGKILL then. Until
// the first of them there is no such bound.
struct supervisor_lease {
    int64_t until;
};

// Milliseconds that also pass while the machine sleeps; the same for all its processes.
int64_t supervisor_clock(void);

// Does it. Returns the exit status that the process should end with, or ends by the command's
// signal. The process must have one thread; all its descriptors but 0, 1, 2 and `control` are
// closed. What went wrong, and why the command was ended, is told on standard error where there is
// no control socket.
int supervise(const struct supervision *supervision);
