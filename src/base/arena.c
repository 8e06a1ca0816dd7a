#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_PLAIN_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_PLAIN_MALLOC 1
#endif
#endif
#ifndef ARENA_PLAIN_MALLOC
#define ARENA_PLAIN_MALLOC 0
#endif

// A chunk of 4 KiB less what malloc itself needs, so that it fills a page.
enum { CHUNK_SIZE = 4096 - 16 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; // of memory
    alignas(max_align_t) char memory[];
};

enum { CHUNK_ROOM = CHUNK_SIZE - sizeof(struct arena_chunk) };

void arena_init(struct arena *arena) {
    *arena = (struct arena){0};
}

void arena_free(struct arena *arena) {
    struct arena_chunk *chunk = arena->chunks;
    while (chunk) {
        struct arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    arena_init(arena);
}

void arena_reset(struct arena *arena) {
    struct arena_chunk *kept = NULL;
    struct arena_chunk *chunk = arena->chunks;
    while (chunk) {
        struct arena_chunk *next = chunk->next;
        if (!kept && !ARENA_PLAIN_MALLOC && chunk->size == CHUNK_ROOM)
            kept = chunk;
        else
            free(chunk);
        chunk = next;
    }
    if (kept)
        kept->next = NULL;
    *arena = (struct arena){.chunks = kept, .used = 0};
}

static struct arena_chunk *chunk_create(size_t room) {
    if (room > SIZE_MAX - sizeof(struct arena_chunk))
        return NULL;
    struct arena_chunk *chunk = malloc(sizeof *chunk + room);
    if (chunk)
        chunk->size = room;
    return chunk;
}

// A block that has a chunk to itself goes behind the newest one, whose rest stays in use.
static void *allocate_alone(struct arena *arena, size_t size) {
    struct arena_chunk *chunk = chunk_create(size);
    if (!chunk)
        return NULL;
    if (arena->chunks) {
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
    } else {
        chunk->next = NULL;
        arena->chunks = chunk;
        arena->used = size;
    }
    return chunk->memory;
}

void *arena_allocate(struct arena *arena, size_t size) {
    if (size == 0)
        size = 1;
    if (ARENA_PLAIN_MALLOC || size > CHUNK_ROOM / 4)
        return allocate_alone(arena, size);
    size_t aligned = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct arena_chunk *chunk = arena->chunks;
    if (!chunk || arena->used + aligned > chunk->size) {
        chunk = chunk_create(CHUNK_ROOM);
        if (!chunk)
            return NULL;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
        arena->used = 0;
    }
    void *memory = chunk->memory + arena->used;
    arena->used += aligned;
    return memory;
}

void *arena_allocate_zero(struct arena *arena, size_t count, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    void *memory = arena_allocate(arena, total);
    if (memory)
        memset(memory, 0, total);
    return memory;
}

struct text arena_copy(struct arena *arena, struct text text) {
    char *copy = text.size < SIZE_MAX ? arena_allocate(arena, text.size + 1) : NULL;
    if (!copy)
        return (struct text){NULL, 0};
    if (text.size)
        memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return text_of(copy, text.size);
}

struct text arena_format(struct arena *arena, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    char *out = size < 0 ? NULL : arena_allocate(arena, (size_t)size + 1);
    if (out)
        (void)vsnprintf(out, (size_t)size + 1, format, again);
    va_end(again);
    va_end(arguments);
    return out ? text_of(out, (size_t)size) : (struct text){NULL, 0};
}

void *arena_grow(struct arena *arena, void *items_pointer, size_t count, size_t size) {
    char *items;
    memcpy(&items, items_pointer, sizeof items);
    bool full = count == 0 || (count >= 8 && (count & (count - 1)) == 0);
    if (full) {
        char *grown = arena_allocate_zero(arena, count ? count * 2 : 8, size);
        if (!grown)
            return NULL;
        if (count)
            memcpy(grown, items, count * size);
        items = grown;
        memcpy(items_pointer, &items, sizeof items);
    }
    return items + count * size;
}
