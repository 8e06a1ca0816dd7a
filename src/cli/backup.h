// trestle backup.
#pragma once

#include "cli/command.h"

extern const struct command backup_command;
