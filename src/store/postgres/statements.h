// Statements knows which statements are prepared on one connection, and under which names; the one
// that was not used for the longest time goes first.
#pragma once

#include "store/store.h"

// "t4294967295"
enum { PG_NAME_SIZE = 16 };

struct pg_prepared {
    uint64_t hash;
    struct text sql; // behind the struct, ended by a zero byte
    char name[PG_NAME_SIZE];
    struct pg_prepared *newer; // in the order of use, as a ring
    struct pg_prepared *older;
    struct pg_prepared *next; // in its bucket; among the doomed
};

struct pg_statements {
    struct pg_prepared ring; // .older is the newest, .newer the oldest
    struct pg_prepared **buckets;
    size_t mask;
    size_t count;
    size_t limit;
    uint32_t last_name;
    struct pg_prepared *doomed; // forgotten here, but not by the server
};

// Keeps up to `limit`; false when there is no memory. It must not move while it is used.
bool pg_statements_open(struct pg_statements *statements, size_t limit);

// Zeroed memory is fine, too.
void pg_statements_close(struct pg_statements *statements);

// The statement, which is the newest now; NULL where it is not prepared.
struct pg_prepared *pg_statements_find(struct pg_statements *statements,
                                       const struct statement *statement);

// Notes a statement that is not there, under a new name; NULL when there is no memory. One that has
// to go for it becomes doomed.
struct pg_prepared *pg_statements_add(struct pg_statements *statements,
                                      const struct statement *statement);

// Dooms a statement, where it is there: it is to be prepared anew.
void pg_statements_forget(struct pg_statements *statements, const struct statement *statement);

// Takes one of the doomed, which is the caller's to free; NULL when there is none.
struct pg_prepared *pg_statements_take_doomed(struct pg_statements *statements);
