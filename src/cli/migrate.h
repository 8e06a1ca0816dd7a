// trestle migrate, and what serve and import do about the tables before they begin.
#pragma once

#include "cli/command.h"
#include "resource/migrate.h"

extern const struct command migrate_command;

// With MIGRATE_AUTO, runs the steps that lose nothing, and refuses (FAILURE_REFUSED) where others
// are needed; with MIGRATE_NEVER, refuses where any is. What is missing, with the SQL that would do
// it, goes to standard error.
bool migrate_at_start(const struct settings *settings, struct store *store,
                      const struct catalogue *catalogue, struct log *log, struct failure *failure);

// The same for the target of a copy: no events are noted while it is filled, and afterwards they
// begin anew, behind a gap.
bool migrate_before_copy(const struct settings *settings, struct store *store,
                         const struct catalogue *catalogue, struct log *log,
                         struct failure *failure);
bool migrate_after_copy(const struct settings *settings, struct store *store,
                        const struct catalogue *catalogue, struct log *log,
                        struct failure *failure);

// Refuses where the tables do not fit the definitions, for who only reads.
bool migrate_check(struct store *store, const struct catalogue *catalogue, struct failure *failure);
