#include "base/digest.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

bool digest_sha256(struct text bytes, unsigned char out[DIGEST_SIZE]) {
    return SHA256((const unsigned char *)(bytes.size ? bytes.data : ""), bytes.size, out) != NULL;
}

bool digest_hmac(struct text key, struct text bytes, unsigned char out[DIGEST_SIZE]) {
    unsigned size = 0;
    return key.size <= INT_MAX &&
           HMAC(EVP_sha256(), key.data, (int)key.size, (const unsigned char *)bytes.data, bytes.size,
                out, &size) != NULL &&
           size == DIGEST_SIZE;
}

bool digest_equal(const void *a, const void *b, size_t size) {
    return CRYPTO_memcmp(a, b, size) == 0;
}
