// What each fuzz_<name>.c defines: takes any bytes, never crashes, returns 0. The bytes end where
// they end: no zero follows. libFuzzer calls it, or replay.c with one file at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
