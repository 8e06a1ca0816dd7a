// What the plans of records, of lists and of transitions share.
#pragma once

#include "resource/plan.h"

// Appends the names of the columns, with commas between them.
void plan_append_selection(struct sql *sql, const struct selection *selection);

// sql_finish for a statement that gives such rows.
bool plan_finish_with_selection(struct sql *sql, const struct selection *selection,
                                struct statement *ret_statement);

// What the rows of a selection are read as; NULL when there is no memory.
struct column *plan_selection_columns(struct arena *arena, const struct selection *selection);

// The same, into columns[0] to columns[selection->count - 1].
void plan_set_columns(struct column *columns, const struct selection *selection);

// A statement that lives in the arena, and the call with the values that were bound on the way.
bool plan_finish_call(struct sql *sql, const struct column *columns, size_t column_count,
                      struct call *ret_call);
