// /healthz tells whether the process lives, /readyz whether it can serve.
#pragma once

#include "api/exchange.h"

extern const struct handler health_live;
extern const struct handler health_ready;
