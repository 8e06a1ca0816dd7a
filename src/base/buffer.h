// A buffer is bytes that grow at their end, in memory of its own. Running out of memory is
// remembered and makes every later append do nothing, so that a caller asks once, at the end.
#pragma once

#include "base/text.h"

struct buffer {
    char *data;
    size_t size;
    size_t capacity;
    bool failed; // memory ran out; what is in the buffer is not to be used
};

// Zeroed memory is a valid empty buffer.
void buffer_init(struct buffer *buffer);

// Gives the memory back; the buffer is empty and may be used again.
void buffer_free(struct buffer *buffer);

// Empties it and forgets a failure, but keeps the memory.
static inline void buffer_clear(struct buffer *buffer) {
    buffer->size = 0;
    buffer->failed = false;
}

// Makes room for `more` bytes; false (and `failed`) when there is no memory.
bool buffer_reserve(struct buffer *buffer, size_t more);

void buffer_append(struct buffer *buffer, const void *bytes, size_t size);
void buffer_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline void buffer_append_text(struct buffer *buffer, struct text text) {
    buffer_append(buffer, text.data, text.size);
}

static inline void buffer_append_string(struct buffer *buffer, const char *string) {
    buffer_append(buffer, string, strlen(string));
}

static inline void buffer_append_byte(struct buffer *buffer, char byte) {
    if (buffer->size == buffer->capacity || buffer->failed)
        buffer_append(buffer, &byte, 1);
    else
        buffer->data[buffer->size++] = byte;
}

// A decimal integer, without printf.
void buffer_append_integer(struct buffer *buffer, int64_t value);

// What it holds, valid until the buffer changes.
static inline struct text buffer_text(const struct buffer *buffer) {
    return text_of(buffer->data, buffer->size);
}
