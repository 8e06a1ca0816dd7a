#include "base/digest.h"

// The functions of OpenSSL 1 for SHA-256 are declared as they were then: those of OpenSSL 3 look
// the algorithm up under a lock at every call, and cost five times as much for a short message.
#define OPENSSL_API_COMPAT 0x10100000L

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

bool digest_sha256(struct text bytes, unsigned char out[DIGEST_SIZE]) {
    SHA256_CTX state;
    return SHA256_Init(&state) && (!bytes.size || SHA256_Update(&state, bytes.data, bytes.size)) &&
           SHA256_Final(out, &state);
}

bool digest_hmac(struct text key, struct text bytes, unsigned char out[DIGEST_SIZE]) {
    unsigned size = 0;
    const void *key_data = key.size ? key.data : "";
    return key.size <= INT_MAX &&
           HMAC(EVP_sha256(), key_data, (int)key.size, (const unsigned char *)bytes.data,
                bytes.size, out, &size) != NULL &&
           size == DIGEST_SIZE;
}

bool digest_equal(const void *a, const void *b, size_t size) {
    return CRYPTO_memcmp(a, b, size) == 0;
}
