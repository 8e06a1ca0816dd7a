// What a transition means for a record: whether it is open, and what it makes of it.
#pragma once

#include "resource/validate.h"

// Whether no operation is under way for a record; FAILURE_OPERATION_RUNNING, which names it,
// otherwise.
bool transition_is_free(const struct resource *resource, const struct value *values,
                        struct failure *failure);

// Whether the guard lets a record through; `now` in milliseconds. A failure otherwise:
// FAILURE_TRANSITION_CLOSED with the reason in words, or FAILURE_OUT_OF_MEMORY.
bool transition_guard_holds(const struct resource *resource, const struct transition *transition,
                            const struct value *values, int64_t now, struct arena *arena,
                            struct failure *failure);

// Both: whether the record can move now.
bool transition_is_open(const struct resource *resource, const struct transition *transition,
                        const struct value *values, int64_t now, struct arena *arena,
                        struct failure *failure);

// The checks of a resource that an effect may break; false when there is no memory.
bool transition_find_checks(const struct resource *resource, struct effect *effect,
                            struct arena *arena);

// Notes in which a record that an effect was applied to does not fit: what was set against its
// schema, and the checks that it could break.
bool transition_check(const struct validation *validation, const struct effect *effect,
                      const struct value *values);
