// Who asks: API keys. Until there are others, the administrator's, which may do everything, is the
// only one.
#pragma once

#include "api/exchange.h"

// The step that checks the presented key, where the route needs one: 401 without it.
enum step_result authenticate(struct exchange *exchange);
