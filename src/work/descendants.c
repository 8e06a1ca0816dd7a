#include "work/descendants.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

bool descendants_adopt(void) {
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
}

// A child's number stays its own until it is waited for, so nobody else can be hit. What forks
// quicker than it is found in /proc does not escape: a signal to its group reaches them all at
// once, and whoever is being made.
static void kill_child(pid_t child) {
    (void)kill(child, SIGKILL); // it may have ended: then there is nothing to do
    pid_t group = getpgid(child);
    if (group > 1 && group != getpgrp())
        (void)kill(-group, SIGKILL);
}

// The kernel's own list, where it keeps one: numbers with spaces between. It may leave out one that
// comes while it is read.
static bool kill_listed(void) {
    char path[64];
    char bytes[4096];
    pid_t child = 0;
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    for (ssize_t size; (size = read(file, bytes, sizeof bytes)) > 0;) {
        for (ssize_t i = 0; i < size; i++) {
            if (isdigit((unsigned char)bytes[i])) {
                child = child * 10 + (bytes[i] - '0');
            } else if (child) {
                kill_child(child);
                child = 0;
            }
        }
    }
    if (child)
        kill_child(child);
    close(file);
    return true;
}

// "PID (NAME) STATE PARENT …", where a name may hold anything.
static pid_t parent_of(int proc, const char *pid) {
    char path[280];
    char bytes[512];
    (void)snprintf(path, sizeof path, "%s/stat", pid);
    int file = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t size = read(file, bytes, sizeof bytes - 1);
    close(file);
    bytes[size > 0 ? size : 0] = '\0';
    const char *end_of_name = strrchr(bytes, ')');
    if (!end_of_name || strlen(end_of_name) < strlen(") S 1"))
        return 0;
    return (pid_t)strtol(end_of_name + strlen(") S "), NULL, 10);
}

static void kill_found(void) {
    DIR *proc = opendir("/proc");
    if (!proc)
        return;
    for (const struct dirent *entry; (entry = readdir(proc));) {
        if (isdigit((unsigned char)entry->d_name[0]) &&
            parent_of(dirfd(proc), entry->d_name) == getpid())
            kill_child((pid_t)strtol(entry->d_name, NULL, 10));
    }
    (void)closedir(proc);
}

void descendants_kill_children(void) {
    if (!kill_listed())
        kill_found();
}
