// The environment that every command of an operation gets, before what is declared for it.
#pragma once

#include "base/arena.h"

// PATH, HOME=/, LANG=C.UTF-8 and TRESTLE_DATA, as a NULL-terminated list in the arena. `data` is
// the folder of the settings, made absolute; `path` is a PATH, or NULL for the usual one. NULL when
// there is no memory.
const char *const *environment_make(struct arena *arena, const char *data, const char *path);
