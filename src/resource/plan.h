// Plans: the statements that serve a resource. Those that never change are made once, with the
// catalogue; a list's are made for each query, in the request's arena.
#pragma once

#include "resource/dialect.h"
#include "resource/query.h"

struct transition_plan;

// The constant statements of one resource. Texts and columns belong to the arena they were made in.
struct plan {
    const struct dialect *dialect;
    const struct resource *resource;
    struct selection selection; // all that is shown; then write-only properties, and the version
                                // last where the resource has one
    struct statement read;      // (key) -> selection
    struct statement create;    // (values but made keys; a version where keys are chosen) ->
                                // selection; KEY_SHA256: no row where the digest is there already
    struct statement update;    // (values, key, version) -> selection
    struct statement remove;    // (key)
    struct statement remove_version; // (key, version), where the resource has versions
    struct statement release;        // (key, operation): the record, if that operation holds it, is
                                     // free; where one of its transitions is long
    struct statement restore;        // (selection): a record just as it was elsewhere
    struct statement relate;         // (forward references, key): what `restore` left out of them
    struct statement missing;        // (references) -> of each, whether no record has this key
    struct statement referrers;      // (key) -> of each of the resource's referrers that may keep a
                                // record from going, whether any of its records refers to this one
    uint64_t shape;                      // selection_shape(&selection)
    struct transition_plan *transitions; // one for each transition of the resource
};

// Makes the statements; false when there is no memory.
bool plan_make(struct arena *arena, const struct dialect *dialect, const struct resource *resource,
               struct plan *ret_plan);

// The calls. Parameters are put into the arena; false when there is no memory (or, for a create, no
// randomness).
bool plan_read(const struct plan *plan, struct value key, struct arena *arena,
               struct call *ret_call);
bool plan_create(const struct plan *plan, const struct value *values, struct arena *arena,
                 struct call *ret_call);

// Changes nothing (rows is 0) where the stored version is not `version`.
bool plan_update(const struct plan *plan, struct value key, int64_t version,
                 const struct value *values, struct arena *arena, struct call *ret_call);

// Removes nothing (rows is 0) where an operation is under way for the record.
bool plan_remove(const struct plan *plan, struct value key, struct arena *arena,
                 struct call *ret_call);

// Nor where the stored version is not `version`.
bool plan_remove_version(const struct plan *plan, struct value key, int64_t version,
                         struct arena *arena, struct call *ret_call);

// Frees a record from an operation; changes nothing where another one holds it, or none.
bool plan_release(const struct plan *plan, struct value key, struct value operation,
                  struct arena *arena, struct call *ret_call);

// Of a record's references, which lead to none, where a write was refused because some do: a row
// with a VALUE_BOOLEAN for each property that is a reference, in their order. The resource must
// have such. A record may refer to itself, which this does not know.
bool plan_missing(const struct plan *plan, const struct value *values, struct arena *arena,
                  struct call *ret_call);

// Who refers to a record, where its removal was refused because somebody does: a row with a
// VALUE_BOOLEAN for each of the resource's referrers but those that let it go (plan_may_hold). It
// must have such.
bool plan_referrers(const struct plan *plan, struct value key, struct arena *arena,
                    struct call *ret_call);

// Whether a referrer keeps the record that it refers to from going.
static inline bool plan_may_hold(const struct referrer *referrer) {
    return referrer->property->reference.on_delete == ON_DELETE_RESTRICT;
}

// Stores a record with its key and its version, from cells in plan->selection's order; texts are
// copied into the arena. It must give no row where one is in its way, but a conflict. References
// that are forward (reference_is_forward) are left out, since what they lead to may come later.
bool plan_restore(const struct plan *plan, const struct value *cells, struct arena *arena,
                  struct call *ret_call);

// Puts a record's forward references in, once all records are there. It changes nothing else, and
// no version. Without a call (`ret_call->statement` is NULL) where the record has none.
bool plan_relate(const struct plan *plan, const struct value *cells, struct arena *arena,
                 struct call *ret_call);

// What a record's ETag says of its content, from cells in plan->selection's order: its version, or,
// where records never change, a number that goes with the key.
int64_t plan_version(const struct plan *plan, const struct value *cells);

// The record's values in the order of the resource's properties, from cells in plan->selection's
// order; texts are copied into the arena. The version goes to `ret_version` (0 where there is
// none).
bool plan_values(const struct plan *plan, const struct value *cells, struct arena *arena,
                 struct value *values, int64_t *ret_version);

// The last number that the database made for a KEY_INTEGER: a row with one VALUE_INTEGER, or null
// or no row where it made none or counts elsewhere. Its numbers are never given again, even when
// their records are gone.
bool plan_last_number(const struct plan *plan, struct arena *arena, struct call *ret_call);

// Lets the database go on behind a number that is at least 1, and at least what it made last.
bool plan_continue_numbers(const struct plan *plan, int64_t last, struct arena *arena,
                           struct call *ret_call);
