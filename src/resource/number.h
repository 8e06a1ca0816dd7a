// Exact comparison and division of JSON numbers: integers of 64 bits, doubles, and decimals of one
// scale. No result depends on rounding.
#pragma once

#include "store/value.h"

#include <jansson.h>

// The value of a JSON number.
struct value number_from_json(const json_t *number);

// <0, 0, >0. Both are VALUE_INTEGER or VALUE_REAL, or both VALUE_DECIMAL of one scale.
int number_compare(struct value a, struct value b);

// Whether `a` is a whole multiple of `b`, which is more than 0. A double counts as the shortest
// decimal that stands for it, so that 0.07 is a multiple of 0.01.
bool number_is_multiple(struct value a, struct value b);

// A double that is whole and fits 64 bits, as an integer.
bool number_to_integer(double real, int64_t *ret_integer);

// An integer that a double holds exactly, as a double.
bool number_to_real(int64_t integer, double *ret_real);
