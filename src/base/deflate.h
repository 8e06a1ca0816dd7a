// Compression (RFC 1951), by zlib.
#pragma once

#include "base/buffer.h"

// Appends a gzip member (RFC 1952) of the bytes to `out`, which is empty: the same bytes for the
// same input. Where it would be larger than `most`, `out` stays empty; where memory runs out,
// out->failed is set. It holds at most 300 KiB besides.
void deflate_gzip(struct text bytes, size_t most, struct buffer *out);
