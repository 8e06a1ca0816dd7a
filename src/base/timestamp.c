#include "base/timestamp.h"

enum { MS_PER_SECOND = 1000, SECONDS_PER_DAY = 86400 };

#define MS_PER_DAY ((int64_t)SECONDS_PER_DAY * MS_PER_SECOND)

// Days from 1970-01-01 to the first and to the last day that a timestamp can name.
#define FIRST_DAY INT64_C(-719162) // 0001-01-01
#define LAST_DAY INT64_C(2932896)  // 9999-12-31

struct civil {
    int64_t year;
    int month; // 1-12
    int day;   // 1-31
};

// The calendar is reckoned in eras of 400 years, which all have the same number of days, and in
// years that begin with March, so that the leap day comes last.
enum { DAYS_PER_ERA = 146097, ERA_START_TO_1970 = 719468 };

// Proleptic Gregorian; the year must be 0 or later.
static int64_t days_from_civil(struct civil date) {
    int64_t year = date.year - (date.month <= 2);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t month_from_march = (date.month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - ERA_START_TO_1970;
}

static struct civil civil_from_days(int64_t days) {
    int64_t since = days + ERA_START_TO_1970;
    int64_t era = (since >= 0 ? since : since - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int64_t day_of_era = since - era * DAYS_PER_ERA;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    return (struct civil){
        .year = year_of_era + era * 400 + (month <= 2),
        .month = month,
        .day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1),
    };
}

static int days_in_month(int64_t year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// Takes `count` digits off the front.
static bool take_number(struct text *rest, size_t count, int *ret_number) {
    if (rest->size < count)
        return false;
    int number = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_digit(rest->data[i]))
            return false;
        number = number * 10 + (rest->data[i] - '0');
    }
    *rest = text_from(*rest, count);
    *ret_number = number;
    return true;
}

// Takes one byte off the front; ASCII letters, for which `byte` is upper case, in either case.
static bool take_byte(struct text *rest, char byte) {
    bool letter = byte >= 'A' && byte <= 'Z';
    if (rest->size == 0 ||
        (rest->data[0] != byte && !(letter && rest->data[0] == byte + ('a' - 'A'))))
        return false;
    *rest = text_from(*rest, 1);
    return true;
}

static bool take_date(struct text *rest, struct civil *ret_date) {
    int year;
    int month;
    int day;
    if (!take_number(rest, 4, &year) || !take_byte(rest, '-') || !take_number(rest, 2, &month) ||
        !take_byte(rest, '-') || !take_number(rest, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    *ret_date = (struct civil){year, month, day};
    return true;
}

// Takes "hh:mm:ss" as seconds of the day; the second may be 60, which `ret_leap` tells.
static bool take_time(struct text *rest, int *ret_seconds, bool *ret_leap) {
    int hour;
    int minute;
    int second;
    if (!take_number(rest, 2, &hour) || !take_byte(rest, ':') || !take_number(rest, 2, &minute) ||
        !take_byte(rest, ':') || !take_number(rest, 2, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 60)
        return false;
    *ret_seconds = hour * 3600 + minute * 60 + second;
    *ret_leap = second == 60;
    return true;
}

// Takes a fraction, if there is one, as milliseconds; the result is 1000 where it rounds up to a
// whole second.
static bool take_fraction(struct text *rest, int *ret_ms) {
    *ret_ms = 0;
    if (!take_byte(rest, '.'))
        return true;
    size_t digits = 0;
    while (digits < rest->size && is_digit(rest->data[digits]))
        digits++;
    if (digits == 0)
        return false;
    int ms = 0;
    for (size_t i = 0; i < 3; i++)
        ms = ms * 10 + (i < digits ? rest->data[i] - '0' : 0);
    *ret_ms = ms + (digits > 3 && rest->data[3] >= '5');
    *rest = text_from(*rest, digits);
    return true;
}

// Takes "Z" or "+hh:mm" or "-hh:mm", as seconds to subtract from the local time.
static bool take_offset(struct text *rest, int *ret_seconds) {
    *ret_seconds = 0;
    if (take_byte(rest, 'Z'))
        return true;
    bool negative = take_byte(rest, '-');
    int hour;
    int minute;
    if ((!negative && !take_byte(rest, '+')) || !take_number(rest, 2, &hour) ||
        !take_byte(rest, ':') || !take_number(rest, 2, &minute) || hour > 23 || minute > 59)
        return false;
    int seconds = hour * 3600 + minute * 60;
    *ret_seconds = negative ? -seconds : seconds;
    return true;
}

// Whether a 60th second, counted on to the first of the next minute, is one that can be a leap
// second: the end of June or of December in UTC.
static bool follows_leap_second(int64_t seconds) {
    if (seconds % SECONDS_PER_DAY != 0)
        return false;
    struct civil date = civil_from_days(seconds / SECONDS_PER_DAY);
    return date.day == 1 && (date.month == 1 || date.month == 7);
}

bool timestamp_parse(struct text text, int64_t *ret_ms) {
    struct civil date;
    int seconds;
    bool leap;
    int ms;
    int offset;
    if (!take_date(&text, &date) || !take_byte(&text, 'T') || !take_time(&text, &seconds, &leap) ||
        !take_fraction(&text, &ms) || !take_offset(&text, &offset) || text.size != 0)
        return false;
    int64_t utc = days_from_civil(date) * SECONDS_PER_DAY + seconds - offset;
    if (leap && !follows_leap_second(utc))
        return false;
    int64_t instant = utc * MS_PER_SECOND + ms;
    if (instant < FIRST_DAY * MS_PER_DAY || instant >= (LAST_DAY + 1) * MS_PER_DAY)
        return false;
    *ret_ms = instant;
    return true;
}

// Writes `count` decimal digits, zeros in front.
static char *put_number(char *out, unsigned number, size_t count) {
    for (size_t i = count; i > 0; i--) {
        out[i - 1] = (char)('0' + number % 10);
        number /= 10;
    }
    return out + count;
}

void timestamp_format(int64_t ms, char out[TIMESTAMP_SIZE]) {
    int64_t day = ms / MS_PER_DAY - (ms % MS_PER_DAY < 0);
    unsigned rest = (unsigned)(ms - day * MS_PER_DAY);
    struct civil date = civil_from_days(day);
    out = put_number(out, (unsigned)date.year, 4);
    *out++ = '-';
    out = put_number(out, (unsigned)date.month, 2);
    *out++ = '-';
    out = put_number(out, (unsigned)date.day, 2);
    *out++ = 'T';
    out = put_number(out, rest / 3600000, 2);
    *out++ = ':';
    out = put_number(out, rest / 60000 % 60, 2);
    *out++ = ':';
    out = put_number(out, rest / MS_PER_SECOND % 60, 2);
    *out++ = '.';
    out = put_number(out, rest % MS_PER_SECOND, 3);
    *out = 'Z';
}

bool date_is_valid(struct text text) {
    struct civil date;
    return take_date(&text, &date) && text.size == 0;
}
