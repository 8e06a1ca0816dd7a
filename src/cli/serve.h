// trestle serve.
#pragma once

#include "cli/settings.h"

// Serves until SIGTERM or SIGINT. Returns the exit status.
int serve_run(const struct settings *settings);
