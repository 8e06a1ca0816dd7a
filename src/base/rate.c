#include "base/rate.h"

#include "base/table.h"

#define NANOSECONDS UINT64_C(1000000000)

// The seconds of a unit, or 0.
static uint64_t unit_seconds(struct text unit) {
    static const struct {
        const char *name;
        uint64_t seconds;
    } units[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (text_is(unit, units[i].name))
            return units[i].seconds;
    }
    return 0;
}

static bool read_count(struct text text, uint64_t *ret_count) {
    int64_t count;
    if (!text_to_integer(text, &count) || count < 1 || count > RATE_COUNT_MAX)
        return false;
    *ret_count = (uint64_t)count;
    return true;
}

// Takes the next word off the front; empty where there is none.
static struct text next_word(struct text *rest) {
    struct text word = {"", 0};
    do {
        if (!text_split(rest, ' ', &word))
            return TEXT("");
    } while (word.size == 0);
    return word;
}

static bool make(uint64_t count, uint64_t seconds, uint64_t burst, struct rate *ret_rate) {
    // Rounded up, so that it is never exceeded.
    uint64_t interval = (seconds * NANOSECONDS + count - 1) / count;
    uint64_t capacity;
    // What the rounding of the interval added does not make it a second more.
    uint64_t window = (seconds * burst + count - 1) / count;
    if (__builtin_mul_overflow(interval, burst, &capacity) || window > RATE_WINDOW_MAX)
        return false;
    *ret_rate = (struct rate){interval, capacity, (uint32_t)burst, (uint32_t)window};
    return true;
}

bool rate_parse(struct text text, struct rate *ret_rate) {
    struct text rest = text_trim(text);
    struct text rate = next_word(&rest);
    struct text word = next_word(&rest);
    struct text number = {"", 0};
    uint64_t count;
    if (text_is(rate, "off") && word.size == 0) {
        *ret_rate = (struct rate){.interval = 0};
        return true;
    }
    if (!text_split(&rate, '/', &number) || !read_count(number, &count))
        return false;
    uint64_t burst = count;
    if (word.size && (!text_is(word, "burst") || !read_count(next_word(&rest), &burst)))
        return false;
    uint64_t seconds = rate.data ? unit_seconds(rate) : 0;
    return seconds && next_word(&rest).size == 0 && make(count, seconds, burst, ret_rate);
}

bool rate_limit_make(struct arena *arena, struct text name, const struct rate *rate,
                     struct rate_limit *ret_limit) {
    struct rate_limit limit = {
        .rate = *rate, .name = arena_copy(arena, name), .domain = text_hash(name)};
    limit.policy =
        arena_format(arena, "\"%.*s\";q=%u;w=%u", TEXT_ARGS(name), rate->burst, rate->window);
    if (!limit.name.data || !limit.policy.data)
        return false;
    *ret_limit = limit;
    return true;
}
