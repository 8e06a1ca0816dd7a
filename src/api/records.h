// The handlers of a resource's records.
#pragma once

#include "api/exchange.h"

extern const struct handler records_list;
extern const struct handler records_list_lines; // as application/x-ndjson; records_list gives way
extern const struct handler records_create;
extern const struct handler records_create_all;   // of an array; records_create gives way to it
extern const struct handler records_create_lines; // of application/x-ndjson; so here
extern const struct handler records_read;
extern const struct handler records_replace;
extern const struct handler records_update;
extern const struct handler records_delete;
extern const struct handler records_transition; // POST /R/{key}/TRANSITION
extern const struct handler records_history;    // GET /R/{key}/history
extern const struct handler records_lifecycle;  // GET /R/lifecycle
extern const struct handler records_events;     // GET /R/events
