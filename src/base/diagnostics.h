// Diagnostics collect what is wrong in files, each with its place, so that all of it is told at
// once. The list belongs to its arena.
#pragma once

#include "base/arena.h"
#include "base/buffer.h"

struct diagnostic {
    struct text file;
    int line; // 0 where the whole file is meant
    int column;
    struct text message;
};

struct diagnostics {
    struct arena *arena;
    struct diagnostic *items;
    size_t count;
    bool out_of_memory; // something could not be noted
};

void diagnostics_init(struct diagnostics *diagnostics, struct arena *arena);

// Notes one; the file's text must live as long as the arena.
void diagnostics_add(struct diagnostics *diagnostics, struct text file, int line, int column,
                     const char *format, ...) __attribute__((format(printf, 5, 6)));

// Whether nothing is wrong.
static inline bool diagnostics_clean(const struct diagnostics *diagnostics) {
    return diagnostics->count == 0 && !diagnostics->out_of_memory;
}

// "FILE:LINE:COLUMN: MESSAGE\n" each, by file, line and column.
void diagnostics_print(const struct diagnostics *diagnostics, struct buffer *out);
