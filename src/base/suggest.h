// What somebody may have meant who wrote a word that is not known.
#pragma once

#include "base/text.h"

// How many letters must be put in, left out, changed, or swapped with their neighbour, to make one
// word from the other. Words over 63 bytes count as entirely different.
unsigned suggest_distance(struct text a, struct text b);

// The best candidate so far; start with {word}, offer every known word, then read `best`.
struct suggestion {
    struct text word;
    struct text best; // data NULL where nothing is near enough
    unsigned distance;
};

void suggest_offer(struct suggestion *suggestion, struct text candidate);
