// `trestle agent`: works on operations of a server, anywhere.
#pragma once

#include "cli/command.h"

extern const struct command agent_command;
