// An input is a stream of bytes, from a file or from memory, that knows on which line it is. It
// owns its descriptor and its buffer.
#pragma once

#include "base/failure.h"

enum { INPUT_END = -1 }; // no more bytes: the end, or an error that `error` has

struct input {
    const char *name;  // for messages
    int descriptor;    // -1: from memory
    char *buffer;      // NULL: from memory
    struct text ahead; // what was read and not taken
    uint64_t line;     // of the next byte; 1 is the first
    uint64_t taken;    // bytes
    uint64_t size;     // bytes in all, where that is known; else 0
    int error;         // an errno, or 0
};

// Opens a file, or standard input where `path` is "-"; a byte order mark at its front is passed
// over. The path must outlive the input.
bool input_open(struct input *input, const char *path, struct failure *failure);

// Reads from memory, which must outlive the input.
void input_from_text(struct input *input, struct text text);

// Closes a file; needed for nothing else.
void input_close(struct input *input);

// Reads on, when all that was read is taken. False at the end.
bool input_fill(struct input *input);

// The next byte, which stays where it is, or INPUT_END.
static inline int input_peek(struct input *input) {
    if (input->ahead.size == 0 && !input_fill(input))
        return INPUT_END;
    return (unsigned char)input->ahead.data[0];
}

// The next byte, or INPUT_END.
static inline int input_take(struct input *input) {
    int byte = input_peek(input);
    if (byte == INPUT_END)
        return INPUT_END;
    input->ahead = text_from(input->ahead, 1);
    input->taken++;
    input->line += byte == '\n';
    return byte;
}
