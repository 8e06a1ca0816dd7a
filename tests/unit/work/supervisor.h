// For tests that start commands: the test is its own supervisor, as trestle is.
#pragma once

#include "work/supervisor.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline bool is_supervisor(int count, char **words) {
    return count > 2 && strcmp(words[1], "supervise") == 0;
}

// As far as tasks use it. In a program with threads it is called before there are any.
static inline int run_supervisor(int count, char **words) {
    struct supervision supervision = {.control = -1};
    int i = 2;
    for (; i + 1 < count && strcmp(words[i], "--") != 0; i += 2) {
        uint64_t number = strtoull(words[i + 1], NULL, 10);
        if (strcmp(words[i], "--control") == 0)
            supervision.control = (int)number;
        else if (strcmp(words[i], "--grace") == 0)
            supervision.grace = number;
        else
            supervision.limit = number;
    }
    supervision.command = words + i + 1;
    return supervise(&supervision);
}
