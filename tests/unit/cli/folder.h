// A test's own folder is removed with all that is in it.
#pragma once

#include <ftw.h>
#include <stdio.h>

static inline int folder_remove_entry(const char *path, const struct stat *status, int type,
                                      struct FTW *place) {
    return remove(path);
}

// 0, or not where something stays.
static inline int folder_remove(const char *path) {
    return nftw(path, folder_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
