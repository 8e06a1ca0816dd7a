// trestle routes: what is served, and who may.
#pragma once

#include "cli/command.h"

extern const struct command routes_command;
