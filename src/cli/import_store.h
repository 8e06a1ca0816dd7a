// The target of an import that is the database itself.
#pragma once

#include "cli/import.h"
#include "store/store.h"

// The store and the plan must outlive it. NULL and a failure when there is no memory.
struct import_target *import_store_open(struct import *import, struct store *store,
                                        const struct plan *plan, struct failure *failure);
