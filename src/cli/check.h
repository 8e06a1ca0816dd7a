// trestle check.
#pragma once

#include "cli/command.h"

extern const struct command check_command;
