// An arena hands out memory that is given back all at once: its owner calls arena_free (or
// arena_reset), never free(). Under AddressSanitizer every allocation is a block of its own, so
// that a read past its end is seen.
#pragma once

#include "base/text.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; // newest first
    size_t used;                // in the newest chunk
};

// An empty arena allocates nothing; zeroed memory is a valid one.
void arena_init(struct arena *arena);

// Gives everything back; the arena is empty and may be used again.
void arena_free(struct arena *arena);

// Like arena_free, but keeps one ordinary chunk for the next use.
void arena_reset(struct arena *arena);

// Memory aligned for any type, not cleared; a size of 0 gives a valid pointer. NULL when there is
// no memory.
void *arena_allocate(struct arena *arena, size_t size);

// The same, cleared, for `count` elements; NULL too when count * size overflows.
void *arena_allocate_zero(struct arena *arena, size_t count, size_t size);

// A copy that also ends with a zero byte, which its size does not count. data is NULL when there is
// no memory.
struct text arena_copy(struct arena *arena, struct text text);

// printf into the arena, zero-terminated; data is NULL when there is no memory.
struct text arena_format(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// An array in an arena that grows: returns room for element `count` (0 for the first), or NULL.
// `*items` holds `count` elements of `size` bytes; memory is taken at powers of two from 8 on.
void *arena_grow(struct arena *arena, void *items_pointer, size_t count, size_t size);
