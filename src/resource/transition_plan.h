// The statements of a transition: the guard and the effect are one, so that whoever moves a record
// moves it from where it truly is.
#pragma once

#include "resource/plan.h"

// What differs from one use of a transition to the next.
enum movement_value {
    MOVEMENT_KEY,
    MOVEMENT_VERSION, // or null
    MOVEMENT_NOW,
    MOVEMENT_BY,
    MOVEMENT_REQUEST,
    MOVEMENT_OPERATION, // or null
    MOVEMENT_VALUES
};

// A statement with the values that never change, made once; the others are put in for each use.
struct prepared_call {
    struct statement statement; // sql.data is NULL where there is none
    const struct value *parameters;
    size_t parameter_count;
    size_t numbers[MOVEMENT_VALUES]; // which parameter each of those is, from 1; 0: none
};

// Of a long transition there is `move` alone, which begins its operation: the record is held by it
// from then on. transition_plan_end makes what ends it.
struct transition_plan {
    const struct transition *transition;
    const struct effect *effect;  // what the move does
    struct prepared_call lock;    // lets transitions that change other records go one by one
    struct prepared_call history; // where there are states; changes one row, and keeps others from
                                  // the record until the job ends, if the guard holds
    struct prepared_call move;    // -> selection, of one row if the guard holds
    struct prepared_call others_history;
    struct prepared_call others; // -> selection
};

// Makes one for each transition of the plan's resource, into plan->transitions; false when there is
// no memory.
bool transition_plans_make(struct arena *arena, struct plan *plan);

// Makes what ends an operation well: the move, by an effect that may set more than the transition's
// own, of a record that the operation holds, and which is free then. The effect must outlive it.
// False when there is no memory.
bool transition_plan_end(struct arena *arena, const struct plan *plan,
                         const struct transition *transition, const struct effect *effect,
                         struct transition_plan *ret_plan);

// Which record is to move, when, and who wants it.
struct movement {
    struct value key;
    bool has_version; // it must have this version
    int64_t version;
    int64_t now;            // milliseconds
    struct text by;         // empty: somebody without a name
    struct text request_id; // empty: no request
    struct value operation; // the one that begins or ends; null where there is none
};

enum { TRANSITION_MAX_CALLS = 5 };

// The calls in their order, for one job; `calls` has room for TRANSITION_MAX_CALLS. Where the
// record is not there, or has another version, or the guard does not hold, nothing is changed: the
// job's outcome is OUTCOME_UNEXPECTED, or, where the move is its only call, it may be done without
// a row. False when there is no memory.
bool transition_plan_calls(const struct transition_plan *plan, const struct movement *movement,
                           struct arena *arena, struct call *calls, size_t *ret_count);
