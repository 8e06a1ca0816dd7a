// Descendants are all processes below this one, however they were made. A process that is their
// subreaper (PR_SET_CHILD_SUBREAPER) inherits those whose parent ended, so that it can end them
// all. For processes with one thread.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

// Makes this process their subreaper. False where the kernel has none (before Linux 3.4).
bool descendants_adopt(void);

// Kills this process's children, and the process groups that they made. Those below them become
// children by that, so it must be called again until none is left.
void descendants_kill_children(void);
