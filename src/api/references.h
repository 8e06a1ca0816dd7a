// References between records, as far as they stand against a write.
#pragma once

#include "api/exchange.h"

// What a handler's settle gives where the store did not do what was asked (record_is_done): the
// failure that was set, or, where a reference stands against the write, a look at which, after
// which the exchange fails with FAILURE_REFERENCE_MISSING or FAILURE_IN_USE, or the write is tried
// again from the step "plan". exchange->values are what was to be written, exchange->key what was
// to be removed.
enum step_result reference_explain(struct exchange *exchange);
