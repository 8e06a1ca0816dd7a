// The tracing store passes everything on to another store and logs each job: when it was submitted,
// its statements, of which kinds their parameters are (never what they are), and how it ended,
// after what time. It owns the other store.
#pragma once

#include "base/log.h"
#include "store/store.h"

// NULL and a failure when there is no memory; `inner` remains the caller's then. The log must
// outlive the store.
struct store *tracing_store_open(struct store *inner, struct log *log, struct failure *failure);
