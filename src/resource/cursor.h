// A cursor is a place in a list, sealed so that a client can carry it but neither read much into it
// nor make one: base64url (RFC 4648 section 5, without padding) of
//
//   version (1 byte), direction (1 byte), for each sort key its kind (1 byte) and value,
//   and the first CURSOR_SEAL_SIZE bytes of an HMAC-SHA-256 over all that and the query's
//   arguments.
//
// So it is worth nothing with another filter, another order, or another resource.
#pragma once

#include "resource/query.h"

enum { CURSOR_SEAL_SIZE = 16 };

// The most bytes that the strings of a sort order may have together by their definitions, so that
// cursors fit into the line of a request.
enum { CURSOR_MAX_STRINGS = 6000 };

// The cursor of the page behind (or, when `backward`, before) a position, which has a value for
// each of the query's sort keys. data is NULL when there is no memory.
struct text cursor_write(const struct query *query, const struct value *position, bool backward,
                         struct text cursor_key, struct arena *arena);

// Opens one that was made for a query of these arguments and this order. The position's texts
// belong to the arena. FAILURE_INVALID_CURSOR where it was altered or made for something else.
bool cursor_read(const struct query *query, struct text cursor, struct text cursor_key,
                 struct arena *arena, struct value **ret_position, bool *ret_backward,
                 struct failure *failure);
