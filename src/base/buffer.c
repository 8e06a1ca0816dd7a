#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 256 };

void buffer_init(struct buffer *buffer) {
    *buffer = (struct buffer){0};
}

void buffer_free(struct buffer *buffer) {
    free(buffer->data);
    buffer_init(buffer);
}

bool buffer_reserve(struct buffer *buffer, size_t more) {
    if (buffer->failed)
        return false;
    if (buffer->capacity - buffer->size >= more)
        return true;
    size_t needed;
    size_t capacity = buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
    bool fits = !__builtin_add_overflow(buffer->size, more, &needed);
    while (fits && capacity < needed)
        fits = !__builtin_mul_overflow(capacity, (size_t)2, &capacity);
    char *data = fits ? realloc(buffer->data, capacity) : NULL;
    if (!data) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t size) {
    if (size == 0 || !buffer_reserve(buffer, size))
        return;
    memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
}

void buffer_format(struct buffer *buffer, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    if (size < 0)
        buffer->failed = true;
    else if (buffer_reserve(buffer, (size_t)size + 1))
        buffer->size +=
            (size_t)vsnprintf(buffer->data + buffer->size, (size_t)size + 1, format, again);
    va_end(again);
    va_end(arguments);
}

void buffer_append_integer(struct buffer *buffer, int64_t value) {
    char digits[20];
    size_t start = sizeof digits;
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--start] = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude);
    if (value < 0)
        digits[--start] = '-';
    buffer_append(buffer, digits + start, sizeof digits - start);
}
