// trestle keys: what /keys does, from a shell.
#pragma once

#include "cli/command.h"

extern const struct command keys_command;
