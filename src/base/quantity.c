#include "base/quantity.h"

#include <inttypes.h>
#include <stdio.h>

struct unit {
    const char *name;
    uint64_t factor;
};

// The first of those with one factor is the one that messages use; the largest come first.
static const struct unit sizes[] = {
    {"GiB", 1U << 30}, {"MiB", 1U << 20}, {"KiB", 1U << 10}, {"G", 1U << 30},
    {"M", 1U << 20},   {"K", 1U << 10},   {"g", 1U << 30},   {"m", 1U << 20},
    {"k", 1U << 10},   {"B", 1},          {"", 1},           {NULL, 0},
};

static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};

static bool parse(struct text text, const struct unit *units, uint64_t *ret_value) {
    size_t digits = 0;
    while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9')
        digits++;
    int64_t number;
    if (!text_to_integer(text_of(text.data, digits), &number))
        return false;
    struct text name = text_from(text, digits);
    for (const struct unit *unit = units; unit->name; unit++) {
        uint64_t value;
        if (!text_is(name, unit->name))
            continue;
        if (__builtin_mul_overflow((uint64_t)number, unit->factor, &value))
            return false;
        *ret_value = value;
        return true;
    }
    if (number != 0 || name.size) // nothing needs no unit
        return false;
    *ret_value = 0;
    return true;
}

static void format(uint64_t value, const struct unit *units, char out[QUANTITY_TEXT_SIZE]) {
    const struct unit *unit = units;
    while (unit->factor > 1 && value % unit->factor != 0)
        unit++;
    (void)snprintf(out, QUANTITY_TEXT_SIZE, "%" PRIu64 "%s", value / unit->factor, unit->name);
}

bool quantity_parse_size(struct text text, uint64_t *ret_bytes) {
    return parse(text, sizes, ret_bytes);
}

bool quantity_parse_duration(struct text text, uint64_t *ret_ms) {
    return parse(text, durations, ret_ms);
}

void quantity_format_size(uint64_t bytes, char out[QUANTITY_TEXT_SIZE]) {
    format(bytes, sizes, out);
}

void quantity_format_duration(uint64_t ms, char out[QUANTITY_TEXT_SIZE]) {
    format(ms, durations, out);
}
