// What results mean for the job whose call they answer.
#include "store/postgres/parts.h"
#include "store/postgres/session.h"

#include <stdlib.h>

// Faults that the server knows nothing of.
static void defect(struct pg_connection *connection, struct job *job, size_t call, const char *what,
                   const char *name) {
    job->outcome.kind = OUTCOME_FAILED;
    job->outcome.call = call;
    pg_session_log(connection->session, LOG_ERROR, "PostgreSQL: %s%s%s in: %.*s", what,
                   name ? " " : "", name ? name : "", TEXT_ARGS(job->calls[call].statement->sql));
}

static void log_error_of(struct pg_connection *connection, const struct job *job, size_t call,
                         const PGresult *result) {
    const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    pg_session_log(connection->session,
                   job->outcome.kind == OUTCOME_FAILED ? LOG_ERROR : LOG_WARNING,
                   "PostgreSQL: %s (%s) in: %.*s", words ? words : PQresultErrorMessage(result),
                   state ? state : "no state", TEXT_ARGS(job->calls[call].statement->sql));
}

void pg_call_fail(struct pg_connection *connection, struct job *job, size_t call,
                  const PGresult *result) {
    if (job->outcome.kind != OUTCOME_DONE)
        return;
    struct pg_fault fault = pg_fault_of(result);
    enum pg_remedy remedy = pg_fault_outcome(&fault, &job->outcome);
    job->outcome.call = call;
    job->again = remedy != PG_REMEDY_NONE;
    if (remedy == PG_REMEDY_PREPARE)
        pg_statements_forget(&connection->link->statements, job->calls[call].statement);
    if (job->outcome.kind == OUTCOME_UNAVAILABLE)
        connection->retired = true; // another server may be what we want
    if (!job->again && job->outcome.kind != OUTCOME_CONFLICT &&
        job->outcome.kind != OUTCOME_OVERFLOW)
        log_error_of(connection, job, call, result);
}

// Delivers rows until one does not fit or is not wanted; the job's outcome says so then.
static void deliver(struct pg_connection *connection, struct job *job, size_t index,
                    const PGresult *result) {
    struct call *call = &job->calls[index];
    struct pg_cells *cells = &connection->session->cells;
    const struct column *columns = call->statement->columns;
    size_t count = call->statement->column_count;
    size_t unfit;
    if (!pg_cells_prepare(cells, result, columns, count, &unfit)) {
        defect(connection, job, index, "no memory", NULL);
        return;
    }
    if (unfit < count) {
        defect(connection, job, index, "what is stored is not of the kind of column",
               PQfname(result, (int)unfit));
        return;
    }
    int rows = PQntuples(result);
    job->started = job->started || rows > 0;
    for (int row = 0; row < rows; row++) {
        unfit = pg_cells_read(cells, result, row, columns, count);
        if (unfit < count) {
            defect(connection, job, index, "what is stored is not of the kind of column",
                   PQfname(result, (int)unfit));
            return;
        }
        call->rows++;
        if (job->on_row && !job->on_row(job, index, cells->cells)) {
            job->outcome.kind = OUTCOME_FAILED;
            job->outcome.call = index;
            return;
        }
    }
}

static void take_rows(struct pg_connection *connection, struct job *job, size_t index,
                      const PGresult *result) {
    size_t count = job->calls[index].statement->column_count;
    if (count == 0) // rows that nobody asked for, as of a function that is called for its effect
        return;
    if ((size_t)PQnfields(result) != count)
        defect(connection, job, index, "the wrong number of columns", NULL);
    else
        deliver(connection, job, index, result);
}

static int64_t changed_rows(const PGresult *result) {
    // (libpq takes no constant result, and changes nothing.)
    const char *count = PQcmdTuples((PGresult *)result);
    return *count ? strtoll(count, NULL, 10) : 0;
}

void pg_call_take(struct pg_connection *connection, struct job *job, size_t index,
                  const PGresult *result) {
    struct call *call = &job->calls[index];
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_PIPELINE_ABORTED)
        job->skipped = job->outcome.kind == OUTCOME_DONE;
    if (job->skipped || job->outcome.kind != OUTCOME_DONE)
        return;
    switch (status) {
    case PGRES_COMMAND_OK:
        if (call->statement->column_count)
            defect(connection, job, index, "no rows", NULL);
        else
            call->rows = changed_rows(result);
        break;
    case PGRES_TUPLES_OK: take_rows(connection, job, index, result); break;
    case PGRES_FATAL_ERROR: pg_call_fail(connection, job, index, result); break;
    default: defect(connection, job, index, "not exactly one statement", NULL); break;
    }
    if (job->outcome.kind == OUTCOME_DONE && call->expect != EXPECT_ANY &&
        call->rows != call->expect) {
        job->outcome.kind = OUTCOME_UNEXPECTED;
        job->outcome.call = index;
    }
}
