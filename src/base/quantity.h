// Quantities with a unit, as people write them: sizes and lengths of time.
#pragma once

#include "base/text.h"

enum { QUANTITY_TEXT_SIZE = 32 };

// "8388608", "8MiB", "8M", "8k": bytes; every unit is a power of 1024. False where it is none, or
// does not fit 64 bits.
bool quantity_parse_size(struct text text, uint64_t *ret_bytes);

// "500ms", "30s", "2m", "1h", "1d", and "0": milliseconds. False where it is none, or does not fit.
bool quantity_parse_duration(struct text text, uint64_t *ret_ms);

// The same, for messages: the largest unit that divides it.
void quantity_format_size(uint64_t bytes, char out[QUANTITY_TEXT_SIZE]);
void quantity_format_duration(uint64_t ms, char out[QUANTITY_TEXT_SIZE]);
