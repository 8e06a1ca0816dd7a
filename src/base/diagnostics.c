#include "base/diagnostics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void diagnostics_init(struct diagnostics *diagnostics, struct arena *arena) {
    *diagnostics = (struct diagnostics){.arena = arena};
}

void diagnostics_add(struct diagnostics *diagnostics, struct text file, int line, int column,
                     const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char message[1024];
    int size = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    struct text copy = {NULL, 0};
    if (size >= 0)
        copy = arena_copy(diagnostics->arena, text_whole_characters(text_from_string(message)));
    struct diagnostic *item =
        arena_grow(diagnostics->arena, &diagnostics->items, diagnostics->count, sizeof *item);
    if (!item || !copy.data) {
        diagnostics->out_of_memory = true;
        return;
    }
    *item = (struct diagnostic){file, line, column, copy};
    diagnostics->count++;
}

static int compare_places(const void *a, const void *b) {
    const struct diagnostic *left = a;
    const struct diagnostic *right = b;
    int order = text_compare(left->file, right->file);
    if (order == 0)
        order = (left->line > right->line) - (left->line < right->line);
    if (order == 0)
        order = (left->column > right->column) - (left->column < right->column);
    return order ? order : text_compare(left->message, right->message);
}

// A message may quote what stands in a file; it stays on its line whatever that is.
static void append_on_one_line(struct buffer *out, struct text message) {
    for (size_t i = 0; i < message.size; i++) {
        char c = message.data[i];
        if ((unsigned char)c < 0x20 || c == 0x7F)
            buffer_format(out, "\\x%02x", (unsigned)c);
        else
            buffer_append_byte(out, c);
    }
}

void diagnostics_print(const struct diagnostics *diagnostics, struct buffer *out) {
    if (diagnostics->count)
        qsort(diagnostics->items, diagnostics->count, sizeof *diagnostics->items, compare_places);
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct diagnostic *item = &diagnostics->items[i];
        buffer_append_text(out, item->file);
        if (item->line)
            buffer_format(out, ":%d:%d", item->line, item->column);
        buffer_append_string(out, ": ");
        append_on_one_line(out, item->message);
        buffer_append_byte(out, '\n');
    }
    if (diagnostics->out_of_memory)
        buffer_append_string(out, "there was no memory to note everything\n");
}
