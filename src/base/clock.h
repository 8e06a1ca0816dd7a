// Clocks, in milliseconds.
#pragma once

#include <stdint.h>

// Wall time since 1970-01-01T00:00:00Z; it may jump.
int64_t clock_now(void);

// Time that only goes forward, from an arbitrary start; the same clock as uv_now.
uint64_t clock_monotonic(void);

// The same clock in nanoseconds, for measuring.
uint64_t clock_monotonic_ns(void);
