// Digests of bytes (SHA-256, FIPS 180-4; HMAC, RFC 2104) and the comparison that keeps secrets.
#pragma once

#include "base/text.h"

enum { DIGEST_SIZE = 32 };

// SHA-256. False when libcrypto fails, which it does only for want of memory.
bool digest_sha256(struct text bytes, unsigned char out[DIGEST_SIZE]);

// HMAC-SHA-256. False when libcrypto fails.
bool digest_hmac(struct text key, struct text bytes, unsigned char out[DIGEST_SIZE]);

// Whether two runs of bytes of one size are the same, in a time that does not tell where they
// differ.
bool digest_equal(const void *a, const void *b, size_t size);
