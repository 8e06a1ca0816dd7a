// JSON texts to trees and back, for bodies and stored objects. A tree is jansson's json_t, which
// the caller gives back by json_decref.
#pragma once

#include "base/failure.h"
#include "base/json_writer.h"

#include <jansson.h>

enum { JSON_MAX_DEPTH = 64 };

// Reads any JSON value (RFC 8259). Refused, with line and column: what is no JSON, repeated
// members, integers beyond 64 bits, reals beyond a double, U+0000, bytes that are not UTF-8, more
// than JSON_MAX_DEPTH levels. The code is FAILURE_MALFORMED_JSON, or FAILURE_OUT_OF_MEMORY.
json_t *json_read(struct text source, struct failure *failure);

// Writes a tree, its members in their order.
void json_write_tree(struct json_writer *writer, const json_t *tree);

// RFC 7396: a new tree that is `target` with `patch` applied; both are left as they are. NULL when
// there is no memory. `target` may be NULL.
json_t *json_merge_patch(const json_t *target, const json_t *patch);

// A JSON string's text, borrowed from the tree.
struct text json_text(const json_t *string);

// Appends "/name" to a JSON pointer (RFC 6901), escaping "~" and "/".
void json_pointer_append(struct buffer *pointer, struct text name);
