// Any bytes as a date-time: refused, or an instant that is written and read back as itself.
#include "fuzz/fuzz.h"

#include "base/timestamp.h"

#include <assert.h>

#define FIRST_MS INT64_C(-62135596800000) // 0001-01-01T00:00:00.000Z
#define LAST_MS INT64_C(253402300799999)  // 9999-12-31T23:59:59.999Z

static void check_instant(int64_t ms) {
    char written[TIMESTAMP_SIZE];
    int64_t back;
    timestamp_format(ms, written);
    assert(timestamp_parse(text_of(written, sizeof written), &back) && back == ms);
    assert(date_is_valid(text_of(written, 10)));
}

// Seconds of a field of two digits.
static int64_t two_digits(const char *at, int64_t seconds) {
    return ((at[0] - '0') * 10 + (at[1] - '0')) * seconds;
}

// Once more, by another way: the seconds of the day by hand, the day by reading it at midnight.
static void check_parsed(struct text text, int64_t ms) {
    char midnight[] = "0000-00-00T00:00:00Z";
    int64_t day;
    memcpy(midnight, text.data, 10);
    assert(date_is_valid(text_of(text.data, 10)));
    assert(timestamp_parse(text_from_string(midnight), &day));
    int64_t seconds = two_digits(text.data + 11, 3600) + two_digits(text.data + 14, 60) +
                      two_digits(text.data + 17, 1);
    const char *offset = text.data + text.size - 6;
    if (*offset == '+' || *offset == '-') {
        int64_t away = two_digits(offset + 1, 3600) + two_digits(offset + 4, 60);
        seconds -= *offset == '+' ? away : -away;
    }
    int64_t fraction = ms - day - seconds * 1000;
    assert(fraction >= 0 && fraction <= 1000);
    assert(text.data[19] == '.' || fraction == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct text text = text_of((const char *)data, size);
    int64_t ms = INT64_MIN;
    if (timestamp_parse(text, &ms)) {
        assert(ms >= FIRST_MS && ms <= LAST_MS);
        check_instant(ms);
        check_parsed(text, ms);
    } else {
        assert(ms == INT64_MIN);
    }
    if (size >= sizeof ms) {
        uint64_t any;
        memcpy(&any, data, sizeof any);
        check_instant(FIRST_MS + (int64_t)(any % (uint64_t)(LAST_MS - FIRST_MS + 1)));
    }
    assert(!date_is_valid(text) || size == 10);
    return 0;
}
