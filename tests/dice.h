// Chance that a seed decides, so that what a test found is found again.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct dice {
    uint64_t state;
};

// SplitMix64, by Sebastiano Vigna.
static inline uint64_t dice_roll(struct dice *dice) {
    uint64_t z = dice->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static inline size_t dice_below(struct dice *dice, size_t bound) {
    return (size_t)(dice_roll(dice) % bound);
}

#define DICE_PICK(dice, pool) ((pool)[dice_below(dice, sizeof(pool) / sizeof(pool)[0])])
