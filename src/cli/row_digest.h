// A row digest tells whether two databases give the same rows in the same order, whatever they are
// stored in: SHA-256 of the digest so far and the next row, in a form that depends on the values
// alone. It owns its buffer.
#pragma once

#include "base/buffer.h"
#include "base/digest.h"
#include "store/value.h"

struct row_digest {
    unsigned char digest[DIGEST_SIZE]; // of all rows so far; zeros of none
    uint64_t count;                    // of them
    struct buffer row;
};

// Takes in one more row; zeroed memory has none yet. False when there is no memory; it is not to be
// used then.
bool row_digest_add(struct row_digest *digest, const struct value *cells, size_t count);

// Whether both took in the same rows.
bool row_digest_equal(const struct row_digest *a, const struct row_digest *b);

void row_digest_free(struct row_digest *digest);
