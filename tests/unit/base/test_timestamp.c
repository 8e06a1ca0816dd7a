#include "base/timestamp.h"

#include "unit/testing.h"

#include <stdio.h>
#include <time.h>

static const int64_t FIRST_MS = INT64_C(-62135596800000); // 0001-01-01T00:00:00.000Z
static const int64_t LAST_MS = INT64_C(253402300799999);  // 9999-12-31T23:59:59.999Z

// What is read, and how it is written again.
static const struct {
    const char *read;
    const char *written;
} instants[] = {
    {"2016-08-05T08:40:51.620Z", "2016-08-05T08:40:51.620Z"},
    {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"},
    {"1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"},
    {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"},
    {"9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"},
    // RFC 3339's own examples (5.8)
    {"1985-04-12T23:20:50.52Z", "1985-04-12T23:20:50.520Z"},
    {"1996-12-19T16:39:57-08:00", "1996-12-20T00:39:57.000Z"},
    {"1990-12-31T23:59:60Z", "1991-01-01T00:00:00.000Z"},
    {"1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00.000Z"},
    {"1937-01-01T12:00:27.87+00:20", "1937-01-01T11:40:27.870Z"},
    // letters of either case (5.6)
    {"2020-02-29t12:30:45z", "2020-02-29T12:30:45.000Z"},
    // offsets
    {"2020-01-01T00:00:00+23:59", "2019-12-31T00:01:00.000Z"},
    {"2019-12-31T23:59:59-23:59", "2020-01-01T23:58:59.000Z"},
    {"2020-06-01T12:00:00-00:00", "2020-06-01T12:00:00.000Z"},
    {"2020-06-01T12:00:00+05:45", "2020-06-01T06:15:00.000Z"},
    {"0001-01-01T00:30:00+00:30", "0001-01-01T00:00:00.000Z"},
    {"9999-12-31T23:29:59-00:30", "9999-12-31T23:59:59.000Z"},
    // fractions, halves up
    {"2020-01-01T00:00:00.1Z", "2020-01-01T00:00:00.100Z"},
    {"2020-01-01T00:00:00.12Z", "2020-01-01T00:00:00.120Z"},
    {"2020-01-01T00:00:00.0004Z", "2020-01-01T00:00:00.000Z"},
    {"2020-01-01T00:00:00.00049999999999999999999Z", "2020-01-01T00:00:00.000Z"},
    {"2020-01-01T00:00:00.0005Z", "2020-01-01T00:00:00.001Z"},
    {"2020-01-01T00:00:00.9994999Z", "2020-01-01T00:00:00.999Z"},
    {"2020-01-01T00:00:00.9995Z", "2020-01-01T00:00:01.000Z"},
    {"2020-12-31T23:59:59.9995Z", "2021-01-01T00:00:00.000Z"},
    {"2020-02-28T23:59:59.99999999999Z", "2020-02-29T00:00:00.000Z"},
    {"1969-12-31T23:59:59.9995Z", "1970-01-01T00:00:00.000Z"},
    {"1960-01-01T00:00:00.0005Z", "1960-01-01T00:00:00.001Z"},
    {"9999-12-31T23:59:59.9994Z", "9999-12-31T23:59:59.999Z"},
    // leap seconds, wherever the minute ends in UTC
    {"2016-06-30T23:59:60Z", "2016-07-01T00:00:00.000Z"},
    {"2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.500Z"},
    {"2016-12-31T23:59:60.9999Z", "2017-01-01T00:00:01.000Z"},
    {"2017-01-01T05:29:60+05:30", "2017-01-01T00:00:00.000Z"},
    {"2016-07-01T01:59:60+02:00", "2016-07-01T00:00:00.000Z"},
    // leap years
    {"2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000Z"},
    {"1600-02-29T00:00:00Z", "1600-02-29T00:00:00.000Z"},
    {"0004-02-29T00:00:00Z", "0004-02-29T00:00:00.000Z"},
};

static void instants_are_read_and_written(void **state) {
    for (size_t i = 0; i < sizeof instants / sizeof *instants; i++) {
        int64_t ms = 0;
        char written[TIMESTAMP_SIZE];
        assert_true_for(timestamp_parse(text_from_string(instants[i].read), &ms), instants[i].read);
        timestamp_format(ms, written);
        assert_text_is(text_of(written, sizeof written), instants[i].written);
    }
}

static const struct text no_instants[] = {
    TEXT_INIT(""),
    TEXT_INIT("2016"),
    TEXT_INIT("2016-08-05"),
    TEXT_INIT("2016-08-05T08:40:51"), // no offset
    TEXT_INIT("2016-08-05T08:40Z"),
    TEXT_INIT("2016-08-05 08:40:51Z"),
    TEXT_INIT("2016-08-05_08:40:51Z"),
    TEXT_INIT(" 2016-08-05T08:40:51Z"),
    TEXT_INIT("2016-08-05T08:40:51Z "),
    TEXT_INIT("2016-08-05T08:40:51Z\0"),
    TEXT_INIT("2016-08-05T08:40:51ZZ"),
    TEXT_INIT("2016-08-05T08:40:51.Z"),
    TEXT_INIT("2016-08-05T08:40:51,5Z"),
    TEXT_INIT("2016-08-05T08:40:51.5.5Z"),
    TEXT_INIT("2016-08-05T08:40:51.-5Z"),
    TEXT_INIT("2016-08-05T08:40:51.5"),
    TEXT_INIT("2016-8-05T08:40:51Z"),
    TEXT_INIT("2016-08-5T08:40:51Z"),
    TEXT_INIT("2016-08-05T8:40:51Z"),
    TEXT_INIT("16-08-05T08:40:51Z"),
    TEXT_INIT("+2016-08-05T08:40:51Z"),
    TEXT_INIT("-2016-08-05T08:40:51Z"),
    TEXT_INIT("12016-08-05T08:40:51Z"),
    TEXT_INIT("20160805T084051Z"),
    TEXT_INIT("2016/08/05T08:40:51Z"),
    TEXT_INIT("2016-08-05T08.40.51Z"),
    TEXT_INIT("2016-W31-5T08:40:51Z"),
    TEXT_INIT("2016-00-05T08:40:51Z"),
    TEXT_INIT("2016-13-05T08:40:51Z"),
    TEXT_INIT("2016-08-00T08:40:51Z"),
    TEXT_INIT("2016-08-32T08:40:51Z"),
    TEXT_INIT("2016-04-31T08:40:51Z"),
    TEXT_INIT("2015-02-29T08:40:51Z"),
    TEXT_INIT("1900-02-29T08:40:51Z"),
    TEXT_INIT("2100-02-29T08:40:51Z"),
    TEXT_INIT("2016-02-30T08:40:51Z"),
    TEXT_INIT("2016-08-05T24:00:00Z"),
    TEXT_INIT("2016-08-05T08:60:51Z"),
    TEXT_INIT("2016-08-05T08:40:61Z"),
    TEXT_INIT("2016-08-05T08:40:51+24:00"),
    TEXT_INIT("2016-08-05T08:40:51+00:60"),
    TEXT_INIT("2016-08-05T08:40:51+0000"),
    TEXT_INIT("2016-08-05T08:40:51+00"),
    TEXT_INIT("2016-08-05T08:40:51+00:0"),
    TEXT_INIT("2016-08-05T08:40:51+00:000"),
    TEXT_INIT("2016-08-05T08:40:51 +00:00"),
    TEXT_INIT("2016-08-05T08:40:51Z+00:00"),
    TEXT_INIT("2016-08-05T08:40:51\xE2\x88\x92"
              "01:00"), // U+2212
    TEXT_INIT("\xD9\xA2\xD9\xA0"
              "16-08-05T08:40:51Z"), // Arabic digits
    // beyond the years, before or after the offset and the rounding
    TEXT_INIT("0000-12-31T23:59:59Z"),
    TEXT_INIT("0000-12-31T23:59:59-01:00"),
    TEXT_INIT("0001-01-01T00:00:00+00:01"),
    TEXT_INIT("9999-12-31T23:59:59-00:01"),
    TEXT_INIT("9999-12-31T23:59:59.9995Z"),
    TEXT_INIT("9999-12-31T23:59:60Z"),
    // 60th seconds that no leap second can be
    TEXT_INIT("2016-08-05T08:40:60Z"),
    TEXT_INIT("2016-12-31T22:59:60Z"),
    TEXT_INIT("2016-12-30T23:59:60Z"),
    TEXT_INIT("2016-03-31T23:59:60Z"),
    TEXT_INIT("2016-09-30T23:59:60Z"),
    TEXT_INIT("2016-12-31T23:59:60+01:00"),
    TEXT_INIT("2016-12-31T15:59:60+08:00"),
    TEXT_INIT("2016-12-31T23:58:60Z"),
};

static void what_is_no_instant_is_refused(void **state) {
    for (size_t i = 0; i < sizeof no_instants / sizeof *no_instants; i++) {
        int64_t ms = 42;
        assert_true_for(!timestamp_parse(no_instants[i], &ms), no_instants[i].data);
        assert_int_equal(ms, 42);
    }
}

static void every_beginning_is_refused(void **state) {
    struct text whole = TEXT("2016-12-31T15:59:60.123-08:00");
    int64_t ms;
    for (size_t size = 0; size < whole.size; size++)
        assert_false(timestamp_parse(text_of(whole.data, size), &ms));
    assert_true(timestamp_parse(whole, &ms));
    assert_false(timestamp_parse((struct text){NULL, 0}, &ms));
}

static void the_bounds_are_exact(void **state) {
    int64_t ms = 0;
    assert_true(timestamp_parse(TEXT("0001-01-01T00:00:00Z"), &ms));
    assert_int_equal(ms, FIRST_MS);
    assert_true(timestamp_parse(TEXT("9999-12-31T23:59:59.999Z"), &ms));
    assert_int_equal(ms, LAST_MS);
    assert_true(timestamp_parse(TEXT("1970-01-01T00:00:00.000Z"), &ms));
    assert_int_equal(ms, 0);
    assert_true(timestamp_parse(TEXT("2016-08-05T08:40:51.620Z"), &ms));
    assert_int_equal(ms, INT64_C(1470386451620));
}

// Every day of the 9,999 years, at a time of day that changes, against the C library.
static void every_day_is_the_libc_s(void **state) {
    char previous[TIMESTAMP_SIZE] = {0};
    int64_t day = 0;
    for (int64_t ms = FIRST_MS; ms <= LAST_MS; ms += INT64_C(86400000) + 7777, day++) {
        char ours[TIMESTAMP_SIZE];
        char theirs[64];
        struct tm tm;
        int64_t back = 0;
        int64_t rest = ((ms % 1000) + 1000) % 1000;
        time_t seconds = (time_t)((ms - rest) / 1000);
        assert_non_null(gmtime_r(&seconds, &tm));
        (void)snprintf(theirs, sizeof theirs, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                       tm.tm_sec, (int)rest);
        timestamp_format(ms, ours);
        assert_text_is(text_of(ours, sizeof ours), theirs);
        assert_true(timestamp_parse(text_of(ours, sizeof ours), &back));
        assert_int_equal(back, ms);
        assert_true(memcmp(previous, ours, sizeof ours) < 0); // byte order is order in time
        memcpy(previous, ours, sizeof ours);
    }
    assert_true(day > 3650000);
}

static void dates(void **state) {
    static const struct {
        struct text text;
        bool valid;
    } cases[] = {
        {TEXT_INIT("2016-08-05"), true},    {TEXT_INIT("0001-01-01"), true},
        {TEXT_INIT("9999-12-31"), true},    {TEXT_INIT("2000-02-29"), true},
        {TEXT_INIT("2024-02-29"), true},    {TEXT_INIT("1900-02-29"), false},
        {TEXT_INIT("2023-02-29"), false},   {TEXT_INIT("0000-01-01"), false},
        {TEXT_INIT("2016-00-01"), false},   {TEXT_INIT("2016-13-01"), false},
        {TEXT_INIT("2016-01-00"), false},   {TEXT_INIT("2016-11-31"), false},
        {TEXT_INIT("2016-01-32"), false},   {TEXT_INIT(""), false},
        {TEXT_INIT("2016-1-01"), false},    {TEXT_INIT("2016-01-01T"), false},
        {TEXT_INIT("2016-01-01Z"), false},  {TEXT_INIT("2016-01-01 "), false},
        {TEXT_INIT("2016-01-01\0"), false}, {TEXT_INIT("20160101"), false},
        {TEXT_INIT("10000-01-01"), false},  {TEXT_INIT("2016-01-0a"), false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true_for(date_is_valid(cases[i].text) == cases[i].valid, cases[i].text.data);
    assert_false(date_is_valid((struct text){NULL, 0}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instants_are_read_and_written),
        cmocka_unit_test(what_is_no_instant_is_refused),
        cmocka_unit_test(every_beginning_is_refused),
        cmocka_unit_test(the_bounds_are_exact),
        cmocka_unit_test(every_day_is_the_libc_s),
        cmocka_unit_test(dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
