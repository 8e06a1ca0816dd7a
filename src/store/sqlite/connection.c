#include "store/sqlite/connection.h"

#include "base/clock.h"
#include "store/sqlite/cells.h"
#include "store/sqlite/faults.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

// The progress handler is asked after this many of SQLite's operations: some tens of microseconds.
enum { PROGRESS_OPERATIONS = 4096 };

static const struct text control_sql[CONTROLS] = {
    [CONTROL_BEGIN] = TEXT_INIT("BEGIN"),
    [CONTROL_BEGIN_WRITE] = TEXT_INIT("BEGIN IMMEDIATE"),
    [CONTROL_COMMIT] = TEXT_INIT("COMMIT"),
    [CONTROL_ROLLBACK] = TEXT_INIT("ROLLBACK"),
    [CONTROL_SAVEPOINT] = TEXT_INIT("SAVEPOINT job"),
    [CONTROL_RELEASE] = TEXT_INIT("RELEASE job"),
    [CONTROL_UNDO] = TEXT_INIT("ROLLBACK TO job"),
};

// What every connection runs with; then what each role adds.
static const char *const common_pragmas = "PRAGMA page_size = 4096;"
                                          "PRAGMA foreign_keys = ON;"
                                          "PRAGMA trusted_schema = OFF;"
                                          "PRAGMA synchronous = FULL;"
                                          "PRAGMA wal_autocheckpoint = 0;"
                                          "PRAGMA temp_store = MEMORY;";

// Mapped pages spare the readers a copy and half of a point read's time; the part of a file beyond
// what SQLite maps is read as ever. What is mapped is also cached by the system, hence their small
// cache of their own; every commit empties that.
static const char *const role_pragmas[] = {
    [CONNECTION_READS] = ("PRAGMA query_only = ON;"
                          "PRAGMA mmap_size = 2147418112;"
                          "PRAGMA cache_size = -2000;"),
    [CONNECTION_WRITES] = ("PRAGMA cache_size = -16384;"
                           "PRAGMA journal_size_limit = 67108864;"),
    [CONNECTION_CHECKPOINTS] = "PRAGMA cache_size = -256;",
};

// A read that meets a lock is on a loop's thread, which must go on soon. (Readers wait for nobody
// but a process that recovers the log or holds the file alone.)
enum { READ_BUSY_TIMEOUT = 100 };

static int on_progress(void *argument) {
    struct connection *connection = argument;
    if (!connection->running)
        return 0;
    if (__atomic_load_n(&connection->running->cancelled, __ATOMIC_RELAXED)) {
        connection->stopped = OUTCOME_CANCELLED;
        return 1;
    }
    if (connection->ends == UINT64_MAX)
        return 0;
    uint64_t now = clock_monotonic();
    if (connection->ends == 0)
        connection->ends = now + connection->query_timeout;
    connection->stopped = OUTCOME_TIMEOUT;
    return now >= connection->ends;
}

static bool open_failure(struct connection *connection, const char *path, int code,
                         struct failure *failure) {
    if (code == SQLITE_NOMEM || !connection->database)
        return failure_out_of_memory(failure);
    int error = sqlite3_system_errno(connection->database);
    return failure_set(failure, FAILURE_UNAVAILABLE, "cannot open the database %s: %s%s%s", path,
                       sqlite3_errmsg(connection->database), error ? ": " : "",
                       error ? strerrordesc_np(error) : "");
}

// SQLite's own words about a path say only that the file cannot be opened.
static bool check_path(const char *path, bool read_only, struct failure *failure) {
    struct stat status;
    if (stat(path, &status) == 0)
        return !S_ISDIR(status.st_mode) ||
               failure_set(failure, FAILURE_UNAVAILABLE,
                           "cannot open the database %s: it is a directory", path);
    if (errno != ENOENT || read_only)
        return failure_set(failure, FAILURE_UNAVAILABLE, "cannot open the database %s: %s", path,
                           strerrordesc_np(errno));
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return true;
    char *parent = strndup(path, (size_t)(slash - path));
    if (!parent)
        return failure_out_of_memory(failure);
    bool there = stat(parent, &status) == 0;
    if (!there)
        failure_set(failure, FAILURE_UNAVAILABLE,
                    "cannot create the database %s: its directory %s: %s", path, parent,
                    strerrordesc_np(errno));
    free(parent);
    return there;
}

static int open_database(struct connection *connection, enum connection_role role,
                         const struct connection_options *options) {
    int flags = options->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    if (!options->read_only && role == CONNECTION_WRITES)
        flags |= SQLITE_OPEN_CREATE;
    int code = sqlite3_open_v2(options->path, &connection->database,
                               flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (code != SQLITE_OK)
        return code;
    // Plans that depend on the values bound would be made anew for each of them.
    sqlite3_db_config(connection->database, SQLITE_DBCONFIG_ENABLE_QPSG, 1, NULL);
    // "name" is a column's name, never a text by mistake.
    sqlite3_db_config(connection->database, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(connection->database, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(connection->database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_progress_handler(connection->database, PROGRESS_OPERATIONS, on_progress, connection);
    return sqlite3_busy_timeout(connection->database, (int)connection->busy_timeout);
}

// Reads one text that a pragma answers; "" where it answers none.
static int read_pragma(sqlite3 *database, const char *sql, char *out, size_t size) {
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(database, sql, -1, &statement, NULL);
    if (code != SQLITE_OK)
        return code;
    out[0] = '\0';
    if (sqlite3_step(statement) == SQLITE_ROW) {
        const unsigned char *answer = sqlite3_column_text(statement, 0);
        (void)snprintf(out, size, "%s", answer ? (const char *)answer : "");
    }
    return sqlite3_finalize(statement);
}

// The first connection makes the file what it has to be.
static bool prepare_file(struct connection *connection, const struct connection_options *options,
                         struct failure *failure) {
    char answer[32];
    int code = read_pragma(connection->database, "PRAGMA encoding", answer, sizeof answer);
    if (code != SQLITE_OK)
        return open_failure(connection, options->path, code, failure);
    if (strcmp(answer, "UTF-8") != 0)
        return failure_set(failure, FAILURE_UNAVAILABLE,
                           "the database %s is in %s; only UTF-8 will do", options->path, answer);
    if (options->read_only)
        return true;
    code = read_pragma(connection->database, "PRAGMA journal_mode = WAL", answer, sizeof answer);
    if (code != SQLITE_OK)
        return open_failure(connection, options->path, code, failure);
    if (strcmp(answer, "wal") != 0)
        return failure_set(failure, FAILURE_UNAVAILABLE,
                           "the database %s cannot have a write-ahead log: its file system "
                           "does not share memory between processes",
                           options->path);
    return true;
}

static bool set_up(struct connection *connection, enum connection_role role,
                   const struct connection_options *options, struct failure *failure) {
    int code = open_database(connection, role, options);
    if (code == SQLITE_OK)
        code = sqlite3_exec(connection->database, common_pragmas, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(connection->database, role_pragmas[role], NULL, NULL, NULL);
    if (code != SQLITE_OK)
        return open_failure(connection, options->path, code, failure);
    if (role == CONNECTION_WRITES && !prepare_file(connection, options, failure))
        return false;
    return statements_open(&connection->statements, connection->database,
                           options->cached_statements) ||
           failure_out_of_memory(failure);
}

bool sqlite_connection_open(struct connection *connection, enum connection_role role,
                            const struct connection_options *options, struct failure *failure) {
    unsigned busy_timeout = options->busy_timeout;
    if (role == CONNECTION_READS && busy_timeout > READ_BUSY_TIMEOUT)
        busy_timeout = READ_BUSY_TIMEOUT;
    *connection = (struct connection){
        .log = options->log,
        .query_timeout = options->query_timeout,
        .busy_timeout = busy_timeout,
    };
    if (check_path(options->path, options->read_only, failure) &&
        set_up(connection, role, options, failure))
        return true;
    sqlite_connection_close(connection);
    return false;
}

void sqlite_connection_close(struct connection *connection) {
    for (size_t i = 0; i < CONTROLS; i++)
        sqlite3_finalize(connection->controls[i]);
    statements_close(&connection->statements);
    sqlite3_close(connection->database);
    free(connection->cells);
    *connection = (struct connection){0};
}

void sqlite_connection_watch(struct connection *connection, const struct job *job, uint64_t ends) {
    connection->running = job;
    connection->ends = ends;
    connection->stopped = OUTCOME_TIMEOUT;
}

// A disk that is full, and the like, would fill the log at every job: says whether a line may be
// written, and what is to stand at its end.
static bool may_log(struct connection *connection, char ret_left_out[48]) {
    uint64_t now = clock_monotonic();
    if (now < connection->quiet_until) {
        connection->left_out++;
        return false;
    }
    ret_left_out[0] = '\0';
    if (connection->left_out)
        (void)snprintf(ret_left_out, 48, " [%u more left out]", connection->left_out);
    connection->left_out = 0;
    connection->quiet_until = now + 1000;
    return true;
}

// The driver's words about a result code, which need not be that of its last call.
static const char *words_of(const struct connection *connection, int code) {
    return sqlite3_extended_errcode(connection->database) == code
               ? sqlite3_errmsg(connection->database)
               : sqlite3_errstr(code);
}

// The system's words where it had a part in the fault, or NULL.
static const char *system_words_of(const struct connection *connection, int code) {
    int primary = code & 0xff;
    if (primary != SQLITE_IOERR && primary != SQLITE_CANTOPEN && primary != SQLITE_FULL)
        return NULL;
    int error = sqlite3_system_errno(connection->database);
    return error ? strerrordesc_np(error) : NULL;
}

static void log_fault(struct connection *connection, enum log_level level, struct text what,
                      int code) {
    char left_out[48];
    if (!may_log(connection, left_out))
        return;
    const char *system = system_words_of(connection, code);
    log_write(connection->log, level, "SQLite: %s (%d%s%s) in: %.*s%s", words_of(connection, code),
              code, system ? ", " : "", system ? system : "", TEXT_ARGS(what), left_out);
}

void sqlite_connection_complain(struct connection *connection, int code, const char *what) {
    log_fault(connection, LOG_WARNING, text_from_string(what), code);
}

void sqlite_connection_fault(struct connection *connection, struct job *job, size_t call,
                             int code) {
    struct outcome *outcome = &job->outcome;
    fault_outcome(code, words_of(connection, code), outcome);
    outcome->call = call;
    if (outcome->kind == OUTCOME_TIMEOUT)
        outcome->kind = connection->stopped;
    if (outcome->kind != OUTCOME_CONFLICT && outcome->kind != OUTCOME_OVERFLOW &&
        outcome->kind != OUTCOME_CANCELLED)
        log_fault(connection, outcome->kind == OUTCOME_FAILED ? LOG_ERROR : LOG_WARNING,
                  call < job->call_count ? job->calls[call].statement->sql : TEXT("a job"), code);
}

// Faults that SQLite knows nothing of.
static bool defect(struct connection *connection, struct job *job, size_t call, const char *what,
                   const char *name) {
    job->outcome.kind = OUTCOME_FAILED;
    job->outcome.call = call;
    char left_out[48];
    if (may_log(connection, left_out))
        log_error(connection->log, "SQLite: %s%s%s in: %.*s%s", what, name ? " " : "",
                  name ? name : "", TEXT_ARGS(job->calls[call].statement->sql), left_out);
    return false;
}

static bool has_room(struct connection *connection, size_t count) {
    if (count <= connection->cell_capacity)
        return true;
    struct value *cells = calloc(count, sizeof *cells);
    if (!cells)
        return false;
    free(connection->cells);
    connection->cells = cells;
    connection->cell_capacity = count;
    return true;
}

static bool get_ready(struct connection *connection, struct job *job, size_t call,
                      struct prepared **ret_prepared) {
    const struct call *this = &job->calls[call];
    const struct statement *statement = this->statement;
    int code = statements_get(&connection->statements, statement, ret_prepared);
    if (code == SQLITE_MISUSE)
        return defect(connection, job, call, "not exactly one statement", NULL);
    if (code == SQLITE_OK && !has_room(connection, statement->column_count))
        code = SQLITE_NOMEM;
    if (code != SQLITE_OK) {
        sqlite_connection_fault(connection, job, call, code);
        return false;
    }
    struct prepared *prepared = *ret_prepared;
    if (prepared->parameter_count != this->parameter_count)
        return defect(connection, job, call, "the wrong number of parameters", NULL);
    // A PRAGMA may well give a row that nobody asked for.
    if (statement->column_count && statement->column_count != prepared->column_count)
        return defect(connection, job, call, "the wrong number of columns", NULL);
    code = cells_bind(prepared->statement, this->parameters, this->parameter_count);
    if (code != SQLITE_OK)
        sqlite_connection_fault(connection, job, call, code);
    return code == SQLITE_OK;
}

static bool deliver_row(struct connection *connection, struct job *job, size_t call,
                        sqlite3_stmt *row) {
    const struct statement *statement = job->calls[call].statement;
    size_t count = statement->column_count;
    size_t fit = cells_read(row, statement->columns, count, connection->cells);
    if (fit < count && sqlite3_errcode(connection->database) == SQLITE_NOMEM) {
        sqlite_connection_fault(connection, job, call, SQLITE_NOMEM);
        return false;
    }
    if (fit < count)
        return defect(connection, job, call, "what is stored is not of the kind of column",
                      sqlite3_column_name(row, (int)fit));
    if (!job->on_row || job->on_row(job, call, connection->cells))
        return true;
    job->outcome.kind = OUTCOME_FAILED;
    job->outcome.call = call;
    return false;
}

// Counts its rows, too: those it gave, where it gives any.
static bool step_through(struct connection *connection, struct job *job, size_t call,
                         sqlite3_stmt *statement) {
    struct call *this = &job->calls[call];
    bool gives_rows = this->statement->column_count > 0;
    int64_t changes = sqlite3_total_changes64(connection->database);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (!gives_rows)
            continue;
        this->rows++;
        if (!deliver_row(connection, job, call, statement))
            return false;
    }
    if (code != SQLITE_DONE) {
        sqlite_connection_fault(connection, job, call, code);
        return false;
    }
    // After a statement that changes no rows, sqlite3_changes64 is still that of the one before.
    if (!gives_rows && sqlite3_total_changes64(connection->database) != changes)
        this->rows = sqlite3_changes64(connection->database);
    return true;
}

bool sqlite_connection_run(struct connection *connection, struct job *job, size_t call) {
    struct call *this = &job->calls[call];
    this->rows = 0;
    if (this->late && job->on_late && !job->on_late(job, call)) {
        job->outcome.kind = OUTCOME_FAILED;
        job->outcome.call = call;
        return false;
    }
    struct prepared *prepared = NULL;
    bool done = get_ready(connection, job, call, &prepared) &&
                step_through(connection, job, call, prepared->statement);
    if (prepared)
        statements_release(prepared);
    if (done && this->expect != EXPECT_ANY && this->rows != this->expect) {
        job->outcome.kind = OUTCOME_UNEXPECTED;
        job->outcome.call = call;
        return false;
    }
    return done;
}

bool sqlite_connection_run_all(struct connection *connection, struct job *job) {
    job->outcome.kind = OUTCOME_DONE;
    job->started = true;
    for (size_t i = 0; i < job->call_count; i++) {
        if (!sqlite_connection_run(connection, job, i))
            return false;
    }
    return true;
}

int sqlite_connection_checkpoint(struct connection *connection, int mode, unsigned timeout) {
    sqlite3_busy_timeout(connection->database, (int)timeout);
    int code = sqlite3_wal_checkpoint_v2(connection->database, NULL, mode, NULL, NULL);
    sqlite3_busy_timeout(connection->database, (int)connection->busy_timeout);
    return code;
}

int sqlite_connection_control(struct connection *connection, enum control control) {
    sqlite3_stmt **statement = &connection->controls[control];
    if (!*statement) {
        struct text sql = control_sql[control];
        int code = sqlite3_prepare_v3(connection->database, sql.data, (int)sql.size + 1,
                                      SQLITE_PREPARE_PERSISTENT, statement, NULL);
        if (code != SQLITE_OK)
            return code;
    }
    sqlite3_step(*statement);
    return sqlite3_reset(*statement);
}

bool sqlite_connection_in_transaction(const struct connection *connection) {
    return !sqlite3_get_autocommit(connection->database);
}
