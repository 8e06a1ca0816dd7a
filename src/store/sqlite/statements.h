// Statements keeps the prepared statements of one connection, found by their text; the one that was
// not used for the longest time goes first. It owns them, and belongs to its connection's thread.
#pragma once

#include "store/store.h"

#include <sqlite3.h>

struct prepared {
    sqlite3_stmt *statement;
    uint64_t hash;
    struct text sql; // behind the struct
    size_t parameter_count;
    size_t column_count;
    struct prepared *newer; // in the order of use, as a ring
    struct prepared *older;
    struct prepared *next; // in its bucket
    bool once;             // not in the table: gone when released
};

struct statements {
    sqlite3 *database;
    struct prepared ring; // .older is the newest, .newer the oldest
    struct prepared **buckets;
    size_t mask;
    size_t count;
    size_t limit;
};

// Keeps up to `limit` prepared statements of a connection; false when there is no memory.
bool statements_open(struct statements *statements, sqlite3 *database, size_t limit);

// Finalizes them all; zeroed memory is fine, too.
void statements_close(struct statements *statements);

// Finds or prepares a statement; an SQLite result code, SQLITE_MISUSE for a text that is not
// exactly one statement. It may drop another one, which therefore must not be in use.
int statements_get(struct statements *statements, const struct statement *statement,
                   struct prepared **ret_prepared);

// Ends one use: resets it, and finalizes it when it was for once.
void statements_release(struct prepared *prepared);
