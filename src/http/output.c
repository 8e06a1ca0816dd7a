#include "http/output.h"

#include <stdlib.h>

void output_append(struct output *output, const void *bytes, size_t size) {
    if (size == 0)
        return;
    buffer_append(&output->copied, bytes, size);
    struct output_piece *last = output->count ? &output->pieces[output->count - 1] : NULL;
    // The last place is for copied bytes alone, so that there is always one to append to.
    if (!last || last->owned) {
        last = &output->pieces[output->count++];
        *last = (struct output_piece){NULL, 0};
    }
    last->size += size;
    output->size += size;
}

void output_append_buffer(struct output *output, struct buffer *buffer) {
    if (buffer->size <= OUTPUT_LARGE || output->count >= OUTPUT_PIECES - 1) {
        output_append(output, buffer->data, buffer->size);
        buffer_clear(buffer);
        return;
    }
    output->pieces[output->count++] = (struct output_piece){buffer->data, buffer->size};
    output->size += buffer->size;
    buffer_init(buffer);
}

unsigned output_rest(const struct output *output, size_t sent, uv_buf_t pieces[OUTPUT_PIECES]) {
    unsigned count = 0;
    char *copied = output->copied.data;
    for (unsigned i = 0; i < output->count; i++) {
        const struct output_piece *piece = &output->pieces[i];
        char *data = piece->owned ? piece->owned : copied;
        if (!piece->owned)
            copied += piece->size;
        size_t skip = sent < piece->size ? sent : piece->size;
        sent -= skip;
        if (skip < piece->size)
            pieces[count++] = (uv_buf_t){.base = data + skip, .len = piece->size - skip};
    }
    return count;
}

void output_clear(struct output *output) {
    for (unsigned i = 0; i < output->count; i++)
        free(output->pieces[i].owned);
    output->count = 0;
    output->size = 0;
    buffer_clear(&output->copied);
}

void output_free(struct output *output) {
    if (!output)
        return;
    output_clear(output);
    buffer_free(&output->copied);
    free(output);
}
