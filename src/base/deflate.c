#include "base/deflate.h"

#include <limits.h>
#include <zlib.h>

// JSON becomes a tenth to a quarter of its size at any level; what the higher ones win is little,
// and takes twice the time.
enum { LEVEL = 4, GZIP_WINDOW = 15 + 16, MEMORY = 8, ROOM = 16 * 1024 };

// One piece of output; false at the end, be it a good one or not.
static bool step(z_stream *stream, size_t most, struct buffer *out) {
    if (!buffer_reserve(out, ROOM))
        return false;
    stream->next_out = (unsigned char *)out->data + out->size;
    stream->avail_out = ROOM;
    int result = deflate(stream, Z_FINISH);
    out->size += ROOM - stream->avail_out;
    if (result == Z_OK && out->size <= most)
        return true;
    if (result != Z_STREAM_END || out->size > most)
        buffer_clear(out);
    return false;
}

void deflate_gzip(struct text bytes, size_t most, struct buffer *out) {
    z_stream stream = {.next_in = (unsigned char *)bytes.data};
    if (bytes.size > UINT_MAX)
        return;
    stream.avail_in = (unsigned)bytes.size;
    if (deflateInit2(&stream, LEVEL, Z_DEFLATED, GZIP_WINDOW, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
        out->failed = true;
        return;
    }
    while (step(&stream, most, out))
        continue;
    deflateEnd(&stream);
}
