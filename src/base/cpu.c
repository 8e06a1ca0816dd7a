#include "base/cpu.h"

#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINE_SIZE = 4200, AFFINITY_MAX = 1 << 16 };

// Where the CPU controller's files are: below which folder, and what they are called.
static const struct hierarchy {
    const char *controller; // as the membership file names it; "" for version 2
    const char *folder;     // below the mount
} hierarchies[] = {
    {"", ""},        {"", "/unified"}, // version 2 beside version 1
    {"cpu", "/cpu"}, {"cpu", "/cpu,cpuacct"}, {"cpu", "/cpuacct,cpu"},
};

enum { HIERARCHIES = sizeof hierarchies / sizeof *hierarchies };

static bool read_line(const char *path, char line[LINE_SIZE]) {
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool ok = fgets(line, LINE_SIZE, file) != NULL;
    (void)fclose(file);
    return ok;
}

static unsigned whole_processors(long long quota, long long period) {
    if (quota <= 0 || period <= 0)
        return 0;
    long long processors = quota / period + (quota % period != 0);
    return processors < INT_MAX ? (unsigned)processors : 0;
}

// The quota of one group: "max 100000" or "150000 100000" in version 2, two files in version 1.
static unsigned group_quota(const char *group) {
    char path[LINE_SIZE + 32];
    char line[LINE_SIZE];
    snprintf(path, sizeof path, "%s/cpu.max", group);
    if (read_line(path, line)) {
        char *end;
        long long quota = strtoll(line, &end, 10);
        return end == line ? 0 : whole_processors(quota, strtoll(end, NULL, 10));
    }
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", group);
    if (!read_line(path, line))
        return 0;
    long long quota = strtoll(line, NULL, 10);
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", group);
    return read_line(path, line) ? whole_processors(quota, strtoll(line, NULL, 10)) : 0;
}

static unsigned smaller_quota(unsigned a, unsigned b) {
    return a && (!b || a < b) ? a : b;
}

// The smallest quota from a group up to the root of its hierarchy. A container often sees its own
// group as the root while the membership file names it from the host's root: folders that are not
// there are passed over.
static unsigned path_quota(const char *mount, const char *folder, const char *path) {
    char group[LINE_SIZE];
    int size = snprintf(group, sizeof group, "%s%s%s", mount, folder, path);
    size_t root = strlen(mount) + strlen(folder);
    if (size < 0 || (size_t)size >= sizeof group)
        return 0;
    unsigned quota = 0;
    for (;;) {
        quota = smaller_quota(group_quota(group), quota);
        char *slash = strrchr(group + root, '/');
        if (!slash)
            return quota;
        *slash = '\0';
    }
}

static bool lists_controller(struct text controllers, const char *wanted) {
    struct text part;
    while (text_split(&controllers, ',', &part)) {
        if (text_is(part, wanted))
            return true;
    }
    return false;
}

// One line of the membership file, "4:cpu,cpuacct:/user.slice" or "0::/user.slice".
static unsigned line_quota(char *line, const char *mount) {
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path)
        return 0;
    struct text listed = text_of(controllers + 1, (size_t)(path - controllers - 1));
    unsigned quota = 0;
    for (size_t i = 0; i < HIERARCHIES; i++) {
        if (lists_controller(listed, hierarchies[i].controller))
            quota = smaller_quota(path_quota(mount, hierarchies[i].folder, path + 1), quota);
    }
    return quota;
}

unsigned cpu_quota(const char *membership, const char *mount) {
    FILE *file = fopen(membership, "re");
    if (!file)
        return 0;
    unsigned quota = 0;
    char line[LINE_SIZE];
    while (fgets(line, sizeof line, file))
        quota = smaller_quota(line_quota(line, mount), quota);
    (void)fclose(file);
    return quota;
}

// A machine may have more processors than a cpu_set_t has bits: the kernel then wants a larger set.
static unsigned affinity(void) {
    for (size_t most = CPU_SETSIZE; most <= AFFINITY_MAX; most *= 2) {
        cpu_set_t *set = CPU_ALLOC(most);
        if (!set)
            return 1;
        size_t size = CPU_ALLOC_SIZE(most);
        int error = sched_getaffinity(0, size, set) == 0 ? 0 : errno;
        int count = error ? 0 : CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (error != EINVAL)
            return count > 0 ? (unsigned)count : 1;
    }
    return 1;
}

unsigned cpu_available(void) {
    return smaller_quota(cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup"), affinity());
}
