// application/hal+json (draft-kelly-json-hal-11): records and lists with links to what goes with
// them. A record's transitions are among its links where they are open to it, and to the caller,
// now.
#pragma once

#include "api/records_shared.h"

// Whether the links of a record depend on who asks.
bool hal_is_keyed(const struct resource *resource);

// Puts into a list's selection, behind what is shown, whatever its links depend on; false when
// there is no memory.
bool hal_complete_selection(struct exchange *exchange, struct selection *selection);

// Writes a record with its links to exchange->writer; false when there is no memory. The row's
// cells hold whatever links depend on. It may run on a thread of the store's.
bool hal_write_record(struct exchange *exchange, const struct record_row *row);

// An answer that is several records, up to where the first one follows: they are in an array of
// this name in `_embedded`. What ends that leaves the answer's object open for other members.
void hal_begin_records(struct json_writer *writer, struct text name);
void hal_end_records(struct json_writer *writer);

// A link by this relation, whose target is what `write_target` appends: ASCII without quotes and
// backslashes.
void hal_begin_link(struct json_writer *writer, struct text relation);
void hal_end_link(struct json_writer *writer);
