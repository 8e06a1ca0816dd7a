// Spares are the emptied objects of finished requests, kept for the next ones, so that a request in
// steady state allocates nothing. They own what is in them, and give back what a while did not
// need.
#pragma once

#include "http/output.h"
#include "http/request.h"

enum { SPARES_MAX = 256 };

struct spares {
    struct inbound *inbounds;
    unsigned inbound_count;
    unsigned inbound_idle; // the least there were since spares_shrink
    struct output *outputs;
    unsigned output_count;
    unsigned output_idle;
    struct buffer buffers[SPARES_MAX]; // of answers
    unsigned buffer_count;
    unsigned buffer_idle;
};

// An inbound request to start with, or NULL where there is no memory.
struct inbound *spares_take_inbound(struct spares *spares);
void spares_give_inbound(struct spares *spares, struct inbound *inbound);

// An empty output, or NULL where there is no memory.
struct output *spares_take_output(struct spares *spares);
void spares_give_output(struct spares *spares, struct output *output);

// A buffer that is empty but may have memory.
struct buffer spares_take_buffer(struct spares *spares);
void spares_give_buffer(struct spares *spares, struct buffer *buffer);

// Frees some of what was not needed since the last call: to be called every now and then.
void spares_shrink(struct spares *spares);

void spares_free(struct spares *spares);
