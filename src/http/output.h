// Output gathers what is to be sent on a connection, so that it goes out in one system call. Small
// things are copied; large ones are taken over and sent from where they are.
#pragma once

#include "base/buffer.h"

#include <uv.h>

enum {
    OUTPUT_PIECES = 8,
    OUTPUT_LARGE = 32 * 1024,  // from here on a body is not copied
    OUTPUT_ENOUGH = 64 * 1024, // so much is sent without waiting for more
};

// Bytes of `copied`, or memory of their own.
struct output_piece {
    char *owned; // NULL: the next `size` bytes of `copied`
    size_t size;
};

struct output {
    struct output *next; // among the server's spare ones
    uv_write_t write;
    struct buffer copied;
    struct output_piece pieces[OUTPUT_PIECES];
    unsigned count;
    size_t size; // of all pieces
};

// Appends a copy. Want of memory shows in output->copied.failed.
void output_append(struct output *output, const void *bytes, size_t size);

// Appends what is in the buffer and leaves the buffer empty; its memory is taken over when it is
// large, and stays in the buffer otherwise.
void output_append_buffer(struct output *output, struct buffer *buffer);

// What is left to be sent when `sent` bytes of it are gone: at most OUTPUT_PIECES pieces, the count
// of which is returned. They are valid until output is appended to.
unsigned output_rest(const struct output *output, size_t sent, uv_buf_t pieces[OUTPUT_PIECES]);

// Empties it, giving back what it had taken over.
void output_clear(struct output *output);
void output_free(struct output *output);
