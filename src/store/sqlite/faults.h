// Faults maps SQLite's result codes to outcomes.
#pragma once

#include "store/store.h"

// Sets kind, conflict and constraint; `message` is sqlite3_errmsg's. An interrupted statement is
// OUTCOME_TIMEOUT, whatever interrupted it.
void fault_outcome(int code, const char *message, struct outcome *ret_outcome);
