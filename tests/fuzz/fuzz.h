#ifndef TRESTLE_TESTS_FUZZ_FUZZ_H
#define TRESTLE_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* What each fuzz_<name>.c defines: takes any bytes, never crashes, returns 0. The bytes end where
 * they end: no NUL follows. Called by libFuzzer, or by replay.c with one file at a time. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
