// Randomness from the kernel (getrandom), fit for secrets.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// Fills `size` bytes. False only where the kernel refuses, which a caller must treat as fatal to
// whatever needed the secret.
bool random_bytes(void *out, size_t size);
