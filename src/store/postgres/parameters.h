// Parameters carries values from their form in trestle to libpq's: texts and bytes by pointer and
// unconverted, fixed-size kinds in PostgreSQL's binary form, the rest as text.
#pragma once

#include "store/store.h"

enum { PG_PARAMETER_SIZE = 40 };

// Arrays as libpq takes them, which grow and are used again. Zeroed memory is a valid one.
struct pg_parameters {
    const char **values; // NULL: null
    int *lengths;
    int *formats; // 1: binary
    char (*scratch)[PG_PARAMETER_SIZE];
    size_t capacity;
};

// Fills the arrays; they point into the values' own texts. False when there is no memory.
bool pg_parameters_set(struct pg_parameters *parameters, const struct value *values, size_t count);

void pg_parameters_free(struct pg_parameters *parameters);
