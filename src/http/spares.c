#include "http/spares.h"

#include <stdlib.h>

enum {
    KEPT_OUTPUT = OUTPUT_ENOUGH + OUTPUT_LARGE,
    KEPT_BUFFER = 16 * 1024,
};

static void note_least(unsigned *idle, unsigned count) {
    if (count < *idle)
        *idle = count;
}

struct inbound *spares_take_inbound(struct spares *spares) {
    struct inbound *inbound = spares->inbounds;
    if (!inbound)
        return calloc(1, sizeof *inbound);
    spares->inbounds = inbound->next;
    note_least(&spares->inbound_idle, --spares->inbound_count);
    inbound->next = NULL;
    return inbound;
}

void spares_give_inbound(struct spares *spares, struct inbound *inbound) {
    if (spares->inbound_count == SPARES_MAX) {
        inbound_free(inbound);
        return;
    }
    inbound_reset(inbound);
    inbound->next = spares->inbounds;
    spares->inbounds = inbound;
    spares->inbound_count++;
}

struct output *spares_take_output(struct spares *spares) {
    struct output *output = spares->outputs;
    if (!output)
        return calloc(1, sizeof *output);
    spares->outputs = output->next;
    note_least(&spares->output_idle, --spares->output_count);
    output->next = NULL;
    return output;
}

void spares_give_output(struct spares *spares, struct output *output) {
    if (spares->output_count == SPARES_MAX || output->copied.capacity > KEPT_OUTPUT) {
        output_free(output);
        return;
    }
    output_clear(output);
    output->next = spares->outputs;
    spares->outputs = output;
    spares->output_count++;
}

struct buffer spares_take_buffer(struct spares *spares) {
    if (spares->buffer_count == 0)
        return (struct buffer){0};
    note_least(&spares->buffer_idle, --spares->buffer_count);
    return spares->buffers[spares->buffer_count];
}

void spares_give_buffer(struct spares *spares, struct buffer *buffer) {
    if (spares->buffer_count == SPARES_MAX || buffer->capacity > KEPT_BUFFER) {
        buffer_free(buffer);
        return;
    }
    if (buffer->capacity == 0)
        return;
    buffer_clear(buffer);
    spares->buffers[spares->buffer_count++] = *buffer;
    buffer_init(buffer);
}

// How many of `idle` unused ones to free: a quarter each time, so that a short lull costs little.
static unsigned part_of(unsigned idle) {
    return (idle + 3) / 4;
}

void spares_shrink(struct spares *spares) {
    for (unsigned n = part_of(spares->inbound_idle); n > 0; n--)
        inbound_free(spares_take_inbound(spares));
    for (unsigned n = part_of(spares->output_idle); n > 0; n--)
        output_free(spares_take_output(spares));
    for (unsigned n = part_of(spares->buffer_idle); n > 0; n--) {
        struct buffer buffer = spares_take_buffer(spares);
        buffer_free(&buffer);
    }
    spares->inbound_idle = spares->inbound_count;
    spares->output_idle = spares->output_count;
    spares->buffer_idle = spares->buffer_count;
}

void spares_free(struct spares *spares) {
    while (spares->inbound_count > 0)
        inbound_free(spares_take_inbound(spares));
    while (spares->output_count > 0)
        output_free(spares_take_output(spares));
    while (spares->buffer_count > 0)
        buffer_free(&spares->buffers[--spares->buffer_count]);
}
