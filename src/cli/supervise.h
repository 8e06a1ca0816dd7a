// `trestle supervise`: runs a command that leaves nothing behind.
#pragma once

#include "cli/command.h"

extern const struct command supervise_command;
