#include "work/supervisor.h"

#include "work/descendants.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    NOT_FOUND = 127, // exit statuses, as shells have them
    NOT_STARTED = 126,
    LONGEST_WAIT = 1000, // milliseconds; a machine that slept is noticed within it
    KILL_PAUSE = 5,      // before what is left is looked for again
    PARENT_GONE = SIGUSR1,
};

// One of the two processes. The *guard* was started by whoever wants the command run; its only
// child is the *keeper*, whose child is the command. They share nothing but this, copied by fork.
struct ward {
    const struct supervision *supervision;
    pid_t parent;
    pid_t child; // 0: it was waited for
    bool is_keeper;
    bool control_open; // whoever started us still holds the other end
    int signals;       // a signalfd
    int status;        // the child's, once child is 0
    int start_error;   // of the command, an errno; 0: it was started
    enum supervisor_cause cause;
    int64_t limit_at; // by supervisor_clock, as all instants; INT64_MAX: never
    int64_t lease_until;
    int64_t kill_at;
    bool kills; // nothing is waited for any more
    struct supervisor_lease lease;
    size_t lease_size; // bytes of the next one that have come
};

int64_t supervisor_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void complain(const struct ward *ward, const char *what, const char *why) {
    if (ward->supervision->control >= 0)
        return; // it is in the report
    (void)fprintf(stderr, "trestle supervise: %s: %s%s%s\n", ward->supervision->command[0], what,
                  *why ? ": " : "", why);
}

// ---- Descriptors and signals

// For kernels without close_range (before 5.9).
static void close_one_by_one(int first, int except) {
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        int file = (int)strtol(entry->d_name, NULL, 10);
        if (file >= first && file != except && file != dirfd(folder))
            close(file);
    }
    (void)closedir(folder);
}

static void close_inherited(int control) {
    const unsigned first = STDERR_FILENO + 1;
    bool ok = true;
    if (control > (int)first)
        ok = close_range(first, (unsigned)control - 1, 0) == 0;
    ok = ok && close_range(control < (int)first ? first : (unsigned)control + 1, ~0U, 0) == 0;
    if (!ok)
        close_one_by_one((int)first, control);
}

static bool watch_signals(struct ward *ward) {
    sigset_t set;
    sigemptyset(&set);
    static const int numbers[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, PARENT_GONE};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(&set, numbers[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return false;
    // An ignored SIGCHLD, which is inherited, would take the child's status away.
    (void)signal(SIGCHLD, SIG_DFL);
    ward->signals = signalfd(ward->signals, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return ward->signals >= 0;
}

// The kernel tells when the parent ends; one that ended before that was asked for is found out.
static bool follow_parent(const struct ward *ward, int number) {
    return prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) == 0 && getppid() == ward->parent;
}

// ---- The command

static _Noreturn void become_command(const struct ward *ward, pid_t keeper, int errors) {
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL); // some cannot be set: those were never changed
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setsid();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != keeper)
        _exit(NOT_STARTED);
    const char *name = ward->supervision->command[0];
    const char *program = strcmp(name, "trestle") == 0 ? "/proc/self/exe" : name;
    (void)execvp(program, ward->supervision->command);
    int error = errno;
    (void)!write(errors, &error, sizeof error);
    _exit(error == ENOENT ? NOT_FOUND : NOT_STARTED);
}

// Starts the command and waits until it runs, or could not be run.
static void start_command(struct ward *ward) {
    int errors[2];
    const pid_t keeper = getpid();
    pid_t child = -1;
    if (pipe2(errors, O_CLOEXEC) != 0) {
        ward->start_error = errno;
        return;
    }
    (void)fcntl(ward->supervision->control, F_SETFD, FD_CLOEXEC); // it may be -1
    child = fork();
    if (child == 0)
        become_command(ward, keeper, errors[1]);
    ward->start_error = child < 0 ? errno : 0;
    close(errors[1]);
    while (read(errors[0], &ward->start_error, sizeof ward->start_error) < 0 && errno == EINTR) {
    }
    close(errors[0]);
    ward->child = child > 0 ? child : 0;
}

// ---- Ending

// Asks the command's group. One that is stopped takes the signal when it goes on.
static void ask_to_end(const struct ward *ward) {
    if (!ward->child)
        return;
    (void)kill(-ward->child, SIGTERM);
    (void)kill(-ward->child, SIGCONT);
}

static void begin_ending(struct ward *ward, enum supervisor_cause cause, int64_t kill_at) {
    if (ward->cause == CAUSE_NONE)
        ward->cause = cause;
    if (kill_at < ward->kill_at)
        ward->kill_at = kill_at;
    ask_to_end(ward);
}

// The guard leaves it to the keeper, which knows what is to be told about the command.
static void lose_parent(struct ward *ward) {
    if (!ward->is_keeper) {
        (void)kill(ward->child, PARENT_GONE);
        return;
    }
    if (ward->cause == CAUSE_NONE)
        ward->cause = CAUSE_PARENT;
    ward->kills = true;
}

static void heed_signal(struct ward *ward, int number) {
    if (number == PARENT_GONE)
        lose_parent(ward);
    else if (!ward->is_keeper)
        (void)kill(ward->child, number); // it was not waited for: that is done after its signals
    else if (ward->cause == CAUSE_NONE || ward->cause == CAUSE_LEASE)
        begin_ending(ward, CAUSE_ASKED, supervisor_clock() + (int64_t)ward->supervision->grace);
}

// Takes the status of every child that ended, adopted ones too. False when there is none left.
static bool wait_for_children(struct ward *ward) {
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG | (ward->is_keeper ? 0 : WUNTRACED));
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid <= 0)
            return pid == 0;
        if (WIFSTOPPED(status)) { // the keeper: nobody may keep it from its work
            (void)kill(pid, SIGCONT);
        } else if (pid == ward->child) {
            ward->child = 0;
            ward->status = status;
        }
    }
}

static void heed_signals(struct ward *ward) {
    struct signalfd_siginfo info;
    while (read(ward->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGCHLD)
            heed_signal(ward, (int)info.ssi_signo);
    }
    (void)wait_for_children(ward);
}

static void kill_all(struct ward *ward) {
    struct pollfd signals = {.fd = ward->signals, .events = POLLIN};
    for (;;) {
        descendants_kill_children();
        if (!wait_for_children(ward))
            return;
        struct signalfd_siginfo info;
        if (poll(&signals, 1, KILL_PAUSE) > 0)
            while (read(ward->signals, &info, sizeof info) > 0) {
            }
    }
}

// ---- Waiting

// Where the child is the command, the last lease that came counts.
static void read_leases(struct ward *ward) {
    for (;;) {
        char *place = (char *)&ward->lease + ward->lease_size;
        ssize_t size = recv(ward->supervision->control, place,
                            sizeof ward->lease - ward->lease_size, MSG_DONTWAIT);
        if (size < 0 && errno == EINTR)
            continue;
        if (size == 0 || (size < 0 && errno != EAGAIN)) {
            ward->control_open = false;
            lose_parent(ward);
        }
        if (size <= 0)
            return;
        ward->lease_size += (size_t)size;
        if (ward->lease_size == sizeof ward->lease) {
            ward->lease_until = ward->lease.until;
            ward->lease_size = 0;
        }
    }
}

static void heed_control(struct ward *ward, short events) {
    if (ward->is_keeper && events) {
        read_leases(ward);
    } else if (events & (POLLHUP | POLLERR | POLLNVAL)) {
        ward->control_open = false;
        lose_parent(ward);
    }
}

static int64_t term_at(const struct ward *ward) {
    int64_t grace = (int64_t)ward->supervision->grace;
    return ward->lease_until == INT64_MAX ? INT64_MAX : ward->lease_until - grace;
}

static void heed_clock(struct ward *ward) {
    int64_t now = supervisor_clock();
    if (ward->cause == CAUSE_NONE && now >= ward->limit_at)
        begin_ending(ward, CAUSE_LIMIT, now + (int64_t)ward->supervision->grace);
    if (now >= term_at(ward) && ward->kill_at > ward->lease_until)
        begin_ending(ward, CAUSE_LEASE, ward->lease_until);
    if (now >= ward->kill_at)
        ward->kills = true;
}

// Milliseconds until something is due.
static int time_to_wait(const struct ward *ward) {
    int64_t next = ward->kill_at;
    if (ward->cause == CAUSE_NONE && ward->limit_at < next)
        next = ward->limit_at;
    if (ward->lease_until < ward->kill_at && term_at(ward) < next)
        next = term_at(ward);
    int64_t wait = next == INT64_MAX ? LONGEST_WAIT : next - supervisor_clock();
    if (wait < 0)
        return 0;
    return wait < LONGEST_WAIT ? (int)wait : LONGEST_WAIT;
}

// Until the child has ended, or is to be killed.
static void watch_child(struct ward *ward) {
    while (ward->child && !ward->kills) {
        struct pollfd ready[] = {
            {.fd = ward->signals, .events = POLLIN},
            {.fd = ward->control_open ? ward->supervision->control : -1,
             .events = ward->is_keeper ? POLLIN : 0},
        };
        bool has_clock = ward->limit_at != INT64_MAX || ward->lease_until != INT64_MAX ||
                         ward->kill_at != INT64_MAX;
        if (poll(ready, 2, has_clock ? time_to_wait(ward) : -1) > 0) {
            if (ready[0].revents)
                heed_signals(ward);
            if (ready[1].revents)
                heed_control(ward, ready[1].revents);
        }
        heed_clock(ward);
    }
}

// ---- What came of it

static void report(const struct ward *ward, struct supervisor_report report) {
    if (ward->supervision->control < 0)
        return;
    report.cause = (int32_t)ward->cause;
    (void)send(ward->supervision->control, &report, sizeof report, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void tell_cause(const struct ward *ward) {
    static const char *const causes[] = {
        [CAUSE_LIMIT] = "its time was over",
        [CAUSE_LEASE] = "its lease ran out",
    };
    if (ward->cause == CAUSE_LIMIT || ward->cause == CAUSE_LEASE)
        complain(ward, causes[ward->cause], "");
}

// Ends as the child did.
static int end_like_child(const struct ward *ward) {
    if (WIFEXITED(ward->status))
        return WEXITSTATUS(ward->status);
    int number = WTERMSIG(ward->status);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); // the command has left its own core
    (void)signal(number, SIG_DFL);
    (void)kill(getpid(), number);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    return 128 + number; // one that did not end us
}

static int conclude_keeper(struct ward *ward) {
    if (ward->start_error) {
        complain(ward, "it cannot be started", strerror(ward->start_error));
        report(ward, (struct supervisor_report){.end = END_NOT_STARTED,
                                                .number = (int32_t)ward->start_error});
        return ward->start_error == ENOENT ? NOT_FOUND : NOT_STARTED;
    }
    tell_cause(ward);
    bool exited = WIFEXITED(ward->status);
    int number = exited ? WEXITSTATUS(ward->status) : WTERMSIG(ward->status);
    report(ward, (struct supervisor_report){.end = exited ? END_EXITED : END_KILLED,
                                            .number = (int32_t)number});
    return end_like_child(ward);
}

static _Noreturn void run_keeper(const struct ward *guard) {
    struct ward ward = *guard;
    ward.is_keeper = true;
    ward.child = 0;
    ward.parent = guard->parent;
    (void)prctl(PR_SET_NAME, "trestle-keeper", 0, 0, 0);
    // The signals' descriptor is tied to the process that made it, so that the guard's is no use.
    close(ward.signals);
    ward.signals = -1;
    if (!descendants_adopt() || !watch_signals(&ward) || !follow_parent(&ward, PARENT_GONE))
        _exit(NOT_STARTED);
    uint64_t limit = ward.supervision->limit;
    if (limit)
        ward.limit_at = supervisor_clock() + (int64_t)limit;
    start_command(&ward);
    watch_child(&ward);
    kill_all(&ward);
    _exit(conclude_keeper(&ward));
}

// A keeper that was killed could tell nothing.
static int conclude_guard(struct ward *ward) {
    if (WIFSIGNALED(ward->status) && WTERMSIG(ward->status) == SIGKILL) {
        // Or the command was, and it ended in the same way: then its report came first.
        ward->cause = CAUSE_SUPERVISOR;
        report(ward, (struct supervisor_report){.end = END_UNKNOWN});
    }
    return end_like_child(ward);
}

int supervise(const struct supervision *supervision) {
    struct ward ward = {
        .supervision = supervision,
        .parent = getppid(),
        .signals = -1,
        .control_open = supervision->control >= 0,
        .limit_at = INT64_MAX,
        .lease_until = INT64_MAX,
        .kill_at = INT64_MAX,
    };
    close_inherited(supervision->control);
    (void)prctl(PR_SET_NAME, "trestle-guard", 0, 0, 0);
    if (!descendants_adopt() || !watch_signals(&ward) || !follow_parent(&ward, PARENT_GONE)) {
        complain(&ward, "it cannot be supervised", "the parent is gone, or the kernel too old");
        return NOT_STARTED;
    }
    const pid_t guard = getpid();
    pid_t keeper = fork();
    if (keeper == 0) {
        ward.parent = guard;
        run_keeper(&ward);
    }
    if (keeper < 0) {
        complain(&ward, "it cannot be started", strerror(errno));
        return NOT_STARTED;
    }
    ward.child = keeper;
    watch_child(&ward);
    kill_all(&ward);
    return conclude_guard(&ward);
}
