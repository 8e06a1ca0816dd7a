// Lets a test make allocations fail: those of the program's own code, not those of libraries. Every
// unit test is linked so that malloc, calloc and realloc come by here.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// From now on this thread's allocation number `nth` (1 is the next) and all after it give NULL.
void allocation_fail_from(size_t nth);

// Lets allocations succeed again; returns whether one failed meanwhile.
bool allocation_allow(void);

// The body runs with the first allocation failing, then with the second, and so on, until nothing
// fails any more: for (ALLOCATION_FAILURES(nth)) { …; if (!allocation_allow()) break; }
// NOLINTBEGIN(bugprone-macro-parentheses): `nth` is declared here
#define ALLOCATION_FAILURES(nth)                                                                   \
    size_t nth = (allocation_fail_from(1), 1);                                                     \
    nth < 10000;                                                                                   \
    allocation_fail_from(++nth)
// NOLINTEND(bugprone-macro-parentheses)
