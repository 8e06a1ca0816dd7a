// trestle export.
#pragma once

#include "cli/command.h"

extern const struct command export_command;
