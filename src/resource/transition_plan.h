// The statements of a transition: the guard and the effect are one, so that whoever moves a record
// moves it from where it truly is.
#pragma once

#include "resource/plan.h"

// A statement with the values that never change, made once; the others are put in for each use.
struct prepared_call {
    struct statement statement; // sql.data is NULL where there is none
    const struct value *parameters;
    size_t parameter_count;
    size_t now_number; // which of them, from 1, is now(); 0: none
};

struct transition_plan {
    const struct transition *transition;
    struct prepared_call lock;   // lets transitions that change other records go one by one
    struct prepared_call move;   // -> selection; no row where the guard does not hold
    struct prepared_call others; // -> selection
};

// Makes one for each transition of the plan's resource, into plan->transitions; false when there is
// no memory.
bool transition_plans_make(struct arena *arena, struct plan *plan);

// Which record is to move, and when.
struct movement {
    struct value key;
    bool has_version; // it must have this version
    int64_t version;
    int64_t now;
};

enum { TRANSITION_MAX_CALLS = 3 };

// The calls in their order, for one job; `calls` has room for TRANSITION_MAX_CALLS. The move
// expects one row, so that the job is undone (OUTCOME_UNEXPECTED) where the record is not there, or
// has another version, or the guard does not hold. False when there is no memory.
bool transition_plan_calls(const struct transition_plan *plan, const struct movement *movement,
                           struct arena *arena, struct call *calls, size_t *ret_count);
