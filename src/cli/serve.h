// trestle serve.
#pragma once

#include "cli/settings.h"

// Serves until SIGTERM or SIGINT. Where the database is missing, or cannot be reached, it says so
// and fails; or, where it is to wait, tries again until it is there. Returns the exit status.
int serve_run(const struct settings *settings, bool wait);
