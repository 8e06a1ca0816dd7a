// What a command says on its standard output, read line by line: "progress 40", "detail TEXT", and,
// as its last line, possibly a JSON object of properties to set. All other lines are passed over
// and counted. Its memory is bounded, whatever comes and however long it is. It owns its buffers.
#pragma once

#include "base/buffer.h"
#include "base/failure.h"

#include <jansson.h>

enum {
    TASK_LINE_MAX = 64 * 1024, // bytes of a line that are looked at
    TASK_DETAIL_MAX = 500,     // bytes of a detail; more is cut at a character
};

struct task_output {
    int progress;                     // 0 to 100, as it was said last; -1: it was not
    char detail[TASK_DETAIL_MAX + 1]; // what was said last: UTF-8 without control characters
    uint64_t ignored;                 // lines that were passed over; empty ones do not count
    bool has_news;                    // progress or detail has come; the reader puts it back

    struct buffer line; // what has come of a line
    bool is_cut;        // it was longer, and its rest is passed over
    struct buffer last; // the last line that was not empty, where it begins as an object does
    bool last_is_cut;
};

void task_output_init(struct task_output *output);
void task_output_free(struct task_output *output);

// Reads on, at any place.
void task_output_feed(struct task_output *output, struct text bytes);

// Says that no more comes: a last line without a line break is complete, too.
void task_output_end(struct task_output *output);

// The properties to set, when it has ended: a new reference to an object, or to nothing (NULL)
// where the last line does not look like one. False and a failure where it does, but is no valid
// JSON object of at most TASK_LINE_MAX bytes.
bool task_output_properties(const struct task_output *output, json_t **ret_properties,
                            struct failure *failure);

// Appends bytes as text that may be shown and stored anywhere: UTF-8 whose control characters, but
// for line breaks and tabs where `lines` allows them, and bytes that are no UTF-8 are '?'.
void task_append_clean(struct buffer *out, struct text bytes, bool lines);
