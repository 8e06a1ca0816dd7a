// A connection is one SQLite connection with its prepared statements. It owns both, and is used by
// one thread at a time.
#pragma once

#include "base/log.h"
#include "store/sqlite/statements.h"

enum connection_role {
    CONNECTION_READS,       // never changes anything
    CONNECTION_WRITES,      // the only one of this process that does
    CONNECTION_CHECKPOINTS, // moves pages from the log into the database file
};

struct connection_options {
    const char *path;
    bool read_only;
    unsigned query_timeout; // milliseconds
    unsigned busy_timeout;  // milliseconds
    unsigned cached_statements;
    struct log *log;
};

// Statements about transactions, prepared when they are first used.
enum control {
    CONTROL_BEGIN,
    CONTROL_BEGIN_WRITE,
    CONTROL_COMMIT,
    CONTROL_ROLLBACK,
    CONTROL_SAVEPOINT,
    CONTROL_RELEASE,
    CONTROL_UNDO, // rolls back to the savepoint
    CONTROLS
};

struct connection {
    sqlite3 *database;
    struct log *log;
    unsigned query_timeout;
    unsigned busy_timeout;
    struct statements statements;
    sqlite3_stmt *controls[CONTROLS];
    struct value *cells; // of the row that is being delivered
    size_t cell_capacity;

    // What the progress handler watches over, while a job runs.
    const struct job *running; // NULL: nothing
    uint64_t ends;             // 0: query_timeout from its first look on
    enum outcome_kind stopped; // why it stopped it

    // At most one line of trouble a second.
    uint64_t quiet_until;
    unsigned left_out;
};

bool sqlite_connection_open(struct connection *connection, enum connection_role role,
                            const struct connection_options *options, struct failure *failure);

// Takes zeroed memory and one whose opening failed, too.
void sqlite_connection_close(struct connection *connection);

// Says which job runs next, and until when it may; `ends` as above.
void sqlite_connection_watch(struct connection *connection, const struct job *job, uint64_t ends);

// Runs one call of a job: binds, steps, delivers the rows, looks at its `expect`. False where
// job->outcome says why not; the call may have changed something then all the same.
bool sqlite_connection_run(struct connection *connection, struct job *job, size_t call);

// Runs every call of a job, up to the first that fails.
bool sqlite_connection_run_all(struct connection *connection, struct job *job);

// Sets the outcome that an SQLite result code stands for, and logs the driver's words where a
// client will not learn enough.
void sqlite_connection_fault(struct connection *connection, struct job *job, size_t call, int code);

// Logs the driver's words about `what`, which no job is answered with.
void sqlite_connection_complain(struct connection *connection, int code, const char *what);

// Runs a checkpoint of SQLite's `mode`, waiting at most so many milliseconds for others; an SQLite
// result code.
int sqlite_connection_checkpoint(struct connection *connection, int mode, unsigned timeout);

// Runs a statement about transactions; an SQLite result code.
int sqlite_connection_control(struct connection *connection, enum control control);

// Whether a transaction is open: after some errors SQLite has ended it by itself.
bool sqlite_connection_in_transaction(const struct connection *connection);
