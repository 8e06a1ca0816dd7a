// The parts of the PostgreSQL store, for its own files.
#pragma once

#include "base/log.h"
#include "store/postgres/session.h"

#include <stdatomic.h>

enum { PG_SPARES = 2 };

struct postgres_store {
    struct store base;

    // Set once.
    struct pg_address address;      // owns the URL
    struct pg_address news_address; // ditto; NULL where nobody listens
    struct log *log;
    size_t connections; // of a session
    size_t queue_limit;
    unsigned query_timeout; // milliseconds
    unsigned lock_timeout;  // milliseconds
    bool unprepared;
    char *settings; // the text of PG_SETTINGS
    struct statement controls[PG_CONTROLS];
    struct pg_attempts *attempts;

    // Any thread.
    atomic_uint sessions;
    atomic_size_t waiting; // jobs in queues
    atomic_uint_fast64_t groups;
    atomic_uint_fast64_t grouped_jobs;

    // Links that sessions left, for those that come. (store_run makes a session for each job.)
    uv_mutex_t lock;
    struct pg_link *spares[PG_SPARES]; // guarded by lock
};

// Takes a link that is there already, or NULL.
struct pg_link *postgres_store_take_spare(struct postgres_store *store);

// Leaves a link that has nothing under way; where there is no room it is closed.
void postgres_store_leave_spare(struct postgres_store *store, struct pg_link *link);
