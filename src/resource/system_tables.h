// The tables of trestle's own, beside those of the resources: one list says which there are and how
// each database makes them. Their names begin with "trestle_", which no resource's does.
#pragma once

#include "resource/migrate.h"

// Whether a table is one of them.
bool system_table_is(struct text name);

// Whether a schema has the table.
bool system_table_is_there(const struct stored_schema *schema, struct text name);

// Adds steps for those that the schema lacks to a migration that was made against it, all of them
// safe; false when there is no memory.
bool system_tables_plan(const struct stored_schema *schema, enum store_dialect dialect,
                        struct arena *arena, struct migration *migration, struct failure *failure);
