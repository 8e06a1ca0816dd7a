// JSON Patch (RFC 6902): operations on a JSON value, each at a place that a JSON pointer (RFC 6901)
// names, all of them or none.
#pragma once

#include "resource/validate.h"

enum { JSON_PATCH_MAX_OPERATIONS = 1000 };

// Whether a body is a patch at all. Each fault is noted, with its place in the body.
bool json_patch_check(const json_t *patch, struct faults *faults);

// A new tree that is `target` after the operations of a patch that was checked; both stay as they
// are. `most` is how many bytes of JSON the operations `copy` may make altogether. NULL with
// FAILURE_PATCH_CONFLICT where an operation does not fit what is there (`faults` says which), or
// with FAILURE_OUT_OF_MEMORY.
json_t *json_patch_apply(const json_t *target, const json_t *patch, size_t most,
                         struct faults *faults, struct failure *failure);
