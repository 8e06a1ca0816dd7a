// Dates and times as RFC 3339 writes them.
#pragma once

#include "base/text.h"

// "2016-08-05T08:40:51.620Z": what every stored and shown instant looks like. In this form, byte
// order is the order in time.
enum { TIMESTAMP_SIZE = 24 };

// Reads an RFC 3339 date-time (section 5.6): years 0001-9999, any offset, any fraction, rounded to
// the nearest millisecond (halves up); a leap second (23:59:60 UTC on 30 June or 31 December)
// counts as the first second of the next day. False where it is none, or where the instant in UTC
// leaves those years. The result is milliseconds since 1970-01-01T00:00:00Z.
bool timestamp_parse(struct text text, int64_t *ret_ms);

// Writes TIMESTAMP_SIZE bytes, not terminated; the instant must be in the years 0001-9999.
void timestamp_format(int64_t ms, char out[TIMESTAMP_SIZE]);

// Whether it is an RFC 3339 full-date, "2016-08-05", that exists in the calendar; years 0001-9999.
bool date_is_valid(struct text text);
