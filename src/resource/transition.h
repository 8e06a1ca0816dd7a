// What a transition means for a record: whether it is open, and what it makes of it.
#pragma once

#include "resource/validate.h"

// Whether the guard lets a record through; `now` in milliseconds. A failure otherwise:
// FAILURE_TRANSITION_CLOSED with the reason in words, or FAILURE_OUT_OF_MEMORY.
bool transition_is_open(const struct resource *resource, const struct transition *transition,
                        const struct value *values, int64_t now, struct arena *arena,
                        struct failure *failure);

// Notes in which a record that an effect was applied to does not fit: what was set against its
// schema, and the checks that it could break.
bool transition_check(const struct validation *validation, const struct effect *effect,
                      const struct value *values);
