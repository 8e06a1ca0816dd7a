#include "cli/row_digest.h"

#include <endian.h>

static void append_64(struct buffer *out, uint64_t number) {
    uint64_t bytes = htobe64(number);
    buffer_append(out, &bytes, sizeof bytes);
}

// There are two zeros, which are equal and which not every database tells apart.
static void append_real(struct buffer *out, double real) {
    uint64_t bits;
    if (real == 0)
        real = 0;
    memcpy(&bits, &real, sizeof bits);
    append_64(out, bits);
}

// The kind, and as many bytes as it or a number in front of them says, so that no two rows have the
// same form.
static void append_value(struct buffer *out, const struct value *value) {
    buffer_append_byte(out, (char)value->kind);
    switch (value->kind) {
    case VALUE_NULL: break;
    case VALUE_BOOLEAN: buffer_append_byte(out, value->boolean ? 1 : 0); break;
    case VALUE_REAL: append_real(out, value->real); break;
    case VALUE_INTEGER: append_64(out, (uint64_t)value->integer); break;
    case VALUE_DECIMAL:
        buffer_append_byte(out, (char)value->scale);
        append_64(out, (uint64_t)value->integer);
        break;
    default:
        append_64(out, value->text.size);
        buffer_append_text(out, value->text);
        break;
    }
}

bool row_digest_add(struct row_digest *digest, const struct value *cells, size_t count) {
    struct buffer *row = &digest->row;
    buffer_clear(row);
    buffer_append(row, digest->digest, DIGEST_SIZE);
    for (size_t i = 0; i < count; i++)
        append_value(row, &cells[i]);
    digest->count++;
    return !row->failed && digest_sha256(buffer_text(row), digest->digest);
}

bool row_digest_equal(const struct row_digest *a, const struct row_digest *b) {
    return a->count == b->count && digest_equal(a->digest, b->digest, DIGEST_SIZE);
}

void row_digest_free(struct row_digest *digest) {
    buffer_free(&digest->row);
}
