// A link is one connection to the server with what is known of it. Opening one blocks, since libpq
// looks up names and reads files while it connects; loops leave it to an attempt.
#pragma once

#include "base/failure.h"
#include "store/postgres/statements.h"

#include <libpq-fe.h>

enum { PG_INCARNATION_SIZE = 128 };

struct pg_link {
    PGconn *connection; // non-blocking, in pipeline mode
    struct pg_statements statements;
    bool set_up; // its settings are made
    bool tells;  // the server tells what became of a transaction
    // Names one life of the server: another one may give the number of a transaction again whose
    // records it lost. "" where !tells.
    char incarnation[PG_INCARNATION_SIZE];
};

struct pg_address {
    const char *url;
    unsigned connect_seconds; // for each host
    size_t cached_statements;
};

// Whether a URL is one that libpq can read; FAILURE_INVALID_SETTING otherwise, which says what the
// URL is for. There may be a password in it, so what is wrong is not quoted.
bool pg_url_is_valid(const char *url, const char *what, struct failure *failure);

// Connects and refuses what will not do; NULL and a failure.
struct pg_link *pg_link_open(const struct pg_address *address, struct failure *failure);

// What the server says unasked is not for standard error, where libpq would write it. So it is with
// a link that has just been opened.
void pg_link_ignore_notices(struct pg_link *link);

// Takes NULL.
void pg_link_close(struct pg_link *link);
