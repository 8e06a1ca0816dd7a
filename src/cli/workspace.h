// A workspace is what most subcommands work on: the log, the catalogue, and the store with its
// tables as the catalogue wants them. It owns all three.
#pragma once

#include "cli/settings.h"
#include "resource/catalogue.h"

struct workspace {
    struct log *log;
    struct store *store; // NULL where it was opened without
    struct catalogue *catalogue;
};

enum workspace_parts {
    WORKSPACE_DEFINITIONS, // the log and the catalogue alone
    WORKSPACE_READ,        // and a store that must exist, and is only read
    WORKSPACE_WRITE, // and a store that is made where it is missing, with its folder (mode 0700)
    WORKSPACE_SERVE, // WORKSPACE_WRITE, and migrated as the settings say (migrate_at_start)
    WORKSPACE_FILL,  // the same, before a copy (migrate_before_copy)
};

// Opens it. What is wrong with definitions is printed to standard error, all of it, and summed up
// in the failure (FAILURE_INVALID_DEFINITION). On failure nothing stays open.
bool workspace_open(const struct settings *settings, enum workspace_parts parts,
                    struct workspace *ret_workspace, struct failure *failure);

// Reads the definitions anew and lets the tables follow them, as WORKSPACE_SERVE does; the new
// catalogue, a reference that is the caller's, or NULL. Any thread, while the workspace is open.
struct catalogue *workspace_reload(const struct settings *settings,
                                   const struct workspace *workspace, struct failure *failure);

// Closes what is open; the store must have no session left. Zeroed memory is a valid one.
void workspace_close(struct workspace *workspace);
