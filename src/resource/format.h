// The formats of strings, checked for real.
#pragma once

#include "base/text.h"

bool format_is_uri(struct text text);   // RFC 3986, absolute (with a scheme)
bool format_is_email(struct text text); // RFC 5321 section 4.1.2, dot-string @ domain; at most 254

// A UUID (RFC 9562 section 4) of either case; writes it in lower case.
enum { FORMAT_UUID_SIZE = 36 };
bool format_read_uuid(struct text text, char out[FORMAT_UUID_SIZE]);

// A new UUID of version 7 (section 5.7): the time in milliseconds, then random bits. False when
// there is no randomness.
bool format_make_uuid(int64_t now, char out[FORMAT_UUID_SIZE]);

// -?digits[.digits] to its digits at `scale` (0 to 18): "12.5" at 2 is 1250. False where it is no
// decimal, has more than `scale` digits behind the point (zeros at the end do not count), or does
// not fit 64 bits. "-0" is 0.
bool format_read_decimal(struct text text, uint8_t scale, int64_t *ret_digits);

// The other way, always with `scale` digits behind the point: at most 21 bytes, returns how many.
size_t format_write_decimal(int64_t digits, uint8_t scale, char out[21]);
