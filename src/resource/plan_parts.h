// What the plans of records and those of transitions share.
#pragma once

#include "resource/plan.h"

// Appends the names of the columns, with commas between them.
void plan_append_selection(struct sql *sql, const struct selection *selection);

// sql_finish for a statement that gives such rows.
bool plan_finish_with_selection(struct sql *sql, const struct selection *selection,
                                struct statement *ret_statement);
