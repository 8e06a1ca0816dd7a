// The definitions that are part of the program: the build makes this table of the files in
// src/resource/built_in/.
#pragma once

#include "base/text.h"

struct built_in {
    struct text file; // "keys.yaml"
    struct text source;
};

extern const struct built_in built_ins[];
extern const size_t built_in_count;
