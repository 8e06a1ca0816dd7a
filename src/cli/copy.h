// trestle copy.
#pragma once

#include "cli/command.h"

extern const struct command copy_command;
