// Lists in fields (RFC 9110 section 5.6.1) whose members may have parameters (section 5.6.6). These
// functions look at bytes that others own, and allocate nothing.
#pragma once

#include "base/text.h"

// Takes what stands before the first `separator` off the front of `rest`, and the separator too,
// passing over empty parts and trimming the others. One within a quoted string separates nothing; a
// string that does not end takes in all that follows. False when there is no part left.
bool field_list_next(struct text *rest, char separator, struct text *ret_part);

// NAME or NAME=VALUE.
struct field_parameter {
    struct text name;
    struct text value; // data NULL where there is none; what stands between the quotes of a quoted
                       // string, as it was sent
    bool quoted;       // "\" in the value stands for the byte behind it
};

// Reads a part as a parameter; white space around "=" is let through (RFC 7240 section 2). False
// where it is none: no token as its name, or a value that is neither a token nor a quoted string.
bool field_parameter_read(struct text part, struct field_parameter *ret_parameter);

// Reads a weight (RFC 9110 section 12.4.2) as thousandths, 0 to 1000. What clients send beyond the
// grammar is let through where its meaning is plain: ".5", more than three digits, more than 1.
// False where it is no number.
bool field_weight_read(struct text value, unsigned *ret_weight);
