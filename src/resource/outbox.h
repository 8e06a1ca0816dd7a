// The outbox is the table trestle_events: triggers note in it each change of a record of those
// resources that have events, in the transaction that makes the change, whoever makes it. Its
// numbers count up; on SQLite they commit in their order, on PostgreSQL they need not
// (resource/settling.h). The last of its rows is never removed, so numbers do not come again.
#pragma once

#include "resource/migrate.h"

// A position in the outbox, as one snapshot of the database shows it.
struct outbox_position {
    int64_t first;  // the lowest and the highest number that are visible; 0 where it is empty
    int64_t last;   //
    int64_t oldest; // every transaction whose number is below has ended, and is visible if it
                    // committed
    int64_t next;   // every transaction that drew a number up to `last` has a number below
};

enum outbox_change { CHANGE_CREATED, CHANGE_UPDATED, CHANGE_DELETED, CHANGE_GAP, CHANGES };

// One row. A gap says that changes of this resource before it may not have been noted.
struct outbox_event {
    int64_t number;
    enum outbox_change change;
    struct text resource;
    struct text key;      // as in a path, but for percent-encoding
    struct value version; // VALUE_NULL where the resource has none
    struct text at;       // VALUE_TIMESTAMP
};

// Its statements, in one dialect. An event's row is outbox_read_event's.
struct outbox_plan {
    struct statement position; // () -> a row for outbox_read_position
    struct statement events;   // (after, limit) -> events
    struct statement history;  // (after, up to, resource, limit) -> that resource's
    struct statement prune; // (up to, before, limit): removes the oldest, none above `up to`, not
                            // the last one, none made at `before` or later nor any behind such
};

// Makes the statements; false when there is no memory.
bool outbox_plan_make(struct arena *arena, const struct dialect *dialect,
                      struct outbox_plan *ret_plan);

struct outbox_position outbox_read_position(const struct value *cells);

// The event's texts are the cells'. False where the row is none that a trigger made.
bool outbox_read_event(const struct value *cells, struct outbox_event *ret_event);

// "created", …
struct text outbox_change_name(enum outbox_change change);

// What a migration does about the triggers.
enum outbox_triggers {
    TRIGGERS_FOLLOW,  // each resource with events has its own, just as they should be; no other has
    TRIGGERS_GO,      // all of them go
    TRIGGERS_RESTART, // as TRIGGERS_FOLLOW, and what was noted before does not count
};

// Adds steps to a migration that was made against the schema, all of them safe; the table is there
// by then. A gap is noted where triggers come that were not there, and for each resource with
// events by TRIGGERS_RESTART.
bool outbox_plan_triggers(const struct catalogue *catalogue, const struct stored_schema *schema,
                          enum outbox_triggers what, struct arena *arena,
                          struct migration *migration, struct failure *failure);

// The call that lets the numbers go on behind one, which is at least 1 and at least the last.
bool outbox_continue(const struct dialect *dialect, int64_t last, struct arena *arena,
                     struct call *ret_call);
