// Equality of JSON values as JSON Schema has it (2020-12, section 4.2.2): 1 and 1.0 are equal, and
// so are objects whose members are, in whatever order.
#pragma once

#include "base/buffer.h"

#include <jansson.h>

bool json_is_equal(const json_t *a, const json_t *b);

// Appends a form in which equal values have equal bytes and different values different ones: for
// sorting, and only within one process.
void json_append_canonical(struct buffer *out, const json_t *value);
