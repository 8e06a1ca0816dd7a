#include "resource/number.h"

#include "base/json_writer.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

// The largest 64-bit integer is no double; this is the first one that is too large.
#define TWO_TO_63 9223372036854775808.0

struct value number_from_json(const json_t *number) {
    return json_is_integer(number) ? value_integer(json_integer_value(number))
                                   : value_real(json_real_value(number));
}

bool number_to_integer(double real, int64_t *ret_integer) {
    if (!(real >= -TWO_TO_63 && real < TWO_TO_63) || trunc(real) != real)
        return false;
    *ret_integer = (int64_t)real;
    return true;
}

static int compare_integers(int64_t a, int64_t b) {
    return (a > b) - (a < b);
}

static int compare_reals(double a, double b) {
    return (a > b) - (a < b);
}

// By the whole parts, then by what the double has behind its point.
static int compare_mixed(int64_t integer, double real) {
    if (real >= TWO_TO_63)
        return -1;
    if (real < -TWO_TO_63)
        return 1;
    double whole = trunc(real);
    int order = compare_integers(integer, (int64_t)whole);
    return order ? order : compare_reals(whole, real);
}

bool number_to_real(int64_t integer, double *ret_real) {
    double real = (double)integer;
    if (compare_mixed(integer, real) != 0)
        return false;
    *ret_real = real;
    return true;
}

int number_compare(struct value a, struct value b) {
    if (a.kind == VALUE_REAL && b.kind == VALUE_REAL)
        return compare_reals(a.real, b.real);
    if (b.kind == VALUE_REAL)
        return compare_mixed(a.integer, b.real);
    if (a.kind == VALUE_REAL)
        return -compare_mixed(b.integer, a.real);
    return compare_integers(a.integer, b.integer);
}

// digits * 10^exponent, without its sign. The text of a double has at most 18 digits, which fit.
struct scientific {
    uint64_t digits;
    long exponent;
};

static struct scientific scientific_of_real(double real) {
    char text[32];
    size_t size = json_format_real(fabs(real), text);
    struct scientific number = {0, 0};
    bool point = false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == 'e') {
            number.exponent += strtol(text + i + 1, NULL, 10);
            break;
        }
        if (text[i] == '.') {
            point = true;
            continue;
        }
        number.digits = number.digits * 10 + (uint64_t)(text[i] - '0');
        number.exponent -= point;
    }
    return number;
}

static struct scientific scientific_of(struct value value) {
    if (value.kind == VALUE_REAL)
        return scientific_of_real(value.real);
    uint64_t digits = (uint64_t)value.integer;
    return (struct scientific){value.integer < 0 ? 0 - digits : digits, 0};
}

// digits * 10^power modulo `modulus`.
static uint64_t shifted_remainder(uint64_t digits, long power, uint64_t modulus) {
    __extension__ typedef unsigned __int128 wide;
    wide remainder = digits % modulus;
    for (; power > 0 && remainder > 0; power--)
        remainder = remainder * 10 % modulus;
    return (uint64_t)remainder;
}

bool number_is_multiple(struct value a, struct value b) {
    struct scientific number = scientific_of(a);
    struct scientific step = scientific_of(b);
    assert(step.digits > 0);
    if (number.digits == 0)
        return true;
    if (number.exponent >= step.exponent)
        return shifted_remainder(number.digits, number.exponent - step.exponent, step.digits) == 0;
    for (long power = step.exponent - number.exponent; power > 0; power--) {
        if (__builtin_mul_overflow(step.digits, 10, &step.digits))
            return false; // larger than any number with so few digits
    }
    return number.digits % step.digits == 0;
}
