// A compiled regular expression (PCRE2: UTF, "$" at the very end only, bounded matching).
// Immutable, so that any thread may match it.
#pragma once

#include "base/failure.h"

struct pattern;

// Compiles; NULL and a failure that says where in the source it is wrong.
struct pattern *pattern_compile(struct text source, struct failure *failure);
void pattern_free(struct pattern *pattern);

enum pattern_result {
    PATTERN_MATCHES,
    PATTERN_DIFFERS,
    PATTERN_TOO_COSTLY, // the match limit was reached: counts as a value that does not fit
    PATTERN_NO_MEMORY,
};

// Whether it matches anywhere in well-formed UTF-8.
enum pattern_result pattern_match(const struct pattern *pattern, struct text subject);
