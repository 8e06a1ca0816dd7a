// How often callers may ask: so many requests an API key, so many an address without a good key, so
// many attempts with keys that are not good an address, and what definitions declare for their
// resources. The buckets are the process's: its workers share them, other processes have their own.
#pragma once

#include "api/attempts.h"
#include "api/exchange.h"
#include "base/rate_table.h"

// Those that are off are no limits.
struct rate_limits {
    struct rate_table table;
    struct attempts attempts;
    struct arena arena;
    struct rate_limit key;
    struct rate_limit address;
    struct rate_limit failures;
};

struct rate_limit_rates {
    struct rate key;
    struct rate address;
    struct rate failures;
};

// The log is lent. After a failure there is nothing to close.
bool rate_limits_open(struct rate_limits *limits, const struct rate_limit_rates *rates,
                      struct log *log, struct failure *failure);
void rate_limits_close(struct rate_limits *limits); // takes zeroed memory

// The step that counts a request, and refuses it where the caller has used up a limit. The
// administrator's key has none.
enum step_result rate_limits_count(struct exchange *exchange);

// Counts `more` (up to RATE_TAKE_MAX) records beside the first one under the resource's own limit;
// false and a failure where they are too many.
bool rate_limits_count_more(struct exchange *exchange, uint32_t more, struct failure *failure);

// Adds the fields about the limits that the request was counted under to its answer.
void rate_limits_tell(const struct exchange *exchange, struct http_answer *answer);
