#include "store/postgres/connection.h"

#include "store/postgres/parts.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// What libuv watches a socket with. It is of its own, since libuv lets go of it only later; so is
// the descriptor, since libpq closes its own when a connection is lost, and another thread may have
// the number by the time that libuv hears of it.
struct pg_watch {
    uv_poll_t poll;
    int socket;
    struct pg_connection *connection;
    int events; // that it watches for now
};

static void take_results(struct pg_connection *connection);

// --- what was sent

static bool push(struct pg_connection *connection, struct pg_op op) {
    if (connection->count == connection->capacity) {
        size_t capacity = connection->capacity ? connection->capacity * 2 : 64;
        struct pg_op *ops = calloc(capacity, sizeof *ops);
        if (!ops) {
            connection->broken = true;
            return false;
        }
        for (size_t i = 0; i < connection->count; i++)
            ops[i] = connection->ops[(connection->first + i) & (connection->capacity - 1)];
        free(connection->ops);
        connection->ops = ops;
        connection->capacity = capacity;
        connection->first = 0;
    }
    size_t index = (connection->first + connection->count++) & (connection->capacity - 1);
    connection->ops[index] = op;
    return true;
}

static struct pg_op pop(struct pg_connection *connection) {
    struct pg_op op = connection->ops[connection->first];
    connection->first = (connection->first + 1) & (connection->capacity - 1);
    connection->count--;
    connection->answered = false;
    return op;
}

// --- sending

// Notes something that libpq has taken, or that it has not.
static void sent(struct pg_connection *connection, int taken, struct pg_op op) {
    if (taken != 1)
        connection->broken = true;
    else
        push(connection, op);
}

// The name under which a statement is prepared, after it was sent to be, where need be; NULL where
// it is not to be prepared, and where it cannot be.
static const char *prepare(struct pg_connection *connection, const struct statement *statement,
                           struct pg_op op) {
    if (statement->once || pg_session_store(connection->session)->unprepared)
        return NULL;
    struct pg_statements *statements = &connection->link->statements;
    struct pg_prepared *prepared = pg_statements_find(statements, statement);
    if (prepared)
        return prepared->name;
    prepared = pg_statements_add(statements, statement);
    if (!prepared) {
        connection->broken = true;
        return NULL;
    }
    op.of_control = op.kind == PG_OP_CONTROL;
    op.kind = PG_OP_PREPARE;
    sent(connection,
         PQsendPrepare(connection->link->connection, prepared->name, prepared->sql.data, 0, NULL),
         op);
    return prepared->name;
}

static int send_unprepared(struct pg_connection *connection, struct text sql, size_t count) {
    const struct pg_parameters *parameters = &connection->session->parameters;
    char *copy = strndup(sql.data ? sql.data : "", sql.size);
    int taken =
        copy ? PQsendQueryParams(connection->link->connection, copy, (int)count, NULL,
                                 parameters->values, parameters->lengths, parameters->formats, 1)
             : 0;
    free(copy);
    return taken;
}

static void send_statement(struct pg_connection *connection, const struct statement *statement,
                           const struct value *values, size_t count, struct pg_op op) {
    const char *name = prepare(connection, statement, op);
    struct pg_parameters *parameters = &connection->session->parameters;
    if (connection->broken || !pg_parameters_set(parameters, values, count)) {
        connection->broken = true;
        return;
    }
    int taken =
        name ? PQsendQueryPrepared(connection->link->connection, name, (int)count,
                                   parameters->values, parameters->lengths, parameters->formats, 1)
             : send_unprepared(connection, statement->sql, count);
    sent(connection, taken, op);
}

bool pg_connection_send_more(struct pg_connection *connection, struct job *job) {
    size_t first = job->begun;
    if (job->calls[first].late && job->on_late) {
        job->started = true;
        if (!job->on_late(job, first)) {
            job->outcome.kind = OUTCOME_FAILED;
            job->outcome.call = first;
            return false;
        }
    }
    do {
        size_t i = job->begun++;
        struct call *call = &job->calls[i];
        call->rows = 0;
        send_statement(connection, call->statement, call->parameters, call->parameter_count,
                       (struct pg_op){.kind = PG_OP_CALL, .index = i, .job = job});
    } while (job->begun < job->call_count && !job->calls[job->begun].late);
    return true;
}

void pg_connection_send_job(struct pg_connection *connection, struct job *job) {
    if (job->started && job->on_restart)
        job->on_restart(job);
    job->started = false;
    job->begun = 0;
    job->skipped = false;
    job->again = false;
    job->outcome.kind = OUTCOME_DONE;
    job->next = NULL;
    *connection->jobs.last = job;
    connection->jobs.last = &job->next;
    connection->job_count++;
    (void)pg_connection_send_more(connection, job);
    assert(job->kind == JOB_WRITE || job->begun == job->call_count);
}

void pg_connection_send_control(struct pg_connection *connection, enum pg_control control,
                                const struct value *parameters, size_t count) {
    const struct postgres_store *store = pg_session_store(connection->session);
    send_statement(connection, &store->controls[control], parameters, count,
                   (struct pg_op){.kind = PG_OP_CONTROL, .index = control});
}

void pg_connection_sync(struct pg_connection *connection) {
    if (!connection->broken)
        sent(connection, PQpipelineSync(connection->link->connection),
             (struct pg_op){.kind = PG_OP_SYNC});
}

void pg_connection_begin(struct pg_connection *connection) {
    struct pg_prepared *prepared = pg_statements_take_doomed(&connection->link->statements);
    bool any = prepared;
    while (prepared) {
        char sql[PG_NAME_SIZE + 16];
        (void)snprintf(sql, sizeof sql, "DEALLOCATE %s", prepared->name);
        free(prepared);
        if (!connection->broken)
            sent(connection, send_unprepared(connection, text_from_string(sql), 0),
                 (struct pg_op){.kind = PG_OP_CONTROL, .index = PG_DEALLOCATE});
        prepared = pg_statements_take_doomed(&connection->link->statements);
    }
    if (any && !connection->broken)
        sent(connection, PQpipelineSync(connection->link->connection),
             (struct pg_op){.kind = PG_OP_SYNC, .index = PG_DEALLOCATE});
}

// --- the socket

static void on_watch_closed(uv_handle_t *handle) {
    struct pg_session *session = handle->data;
    struct pg_watch *watch = (struct pg_watch *)handle;
    close(watch->socket);
    free(watch);
    pg_session_handle_closed(session);
}

static void close_watch(struct pg_connection *connection) {
    if (!connection->watch)
        return;
    connection->watch->poll.data = connection->session;
    uv_close((uv_handle_t *)&connection->watch->poll, on_watch_closed);
    connection->watch = NULL;
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct pg_connection *connection = ((struct pg_watch *)poll->data)->connection;
    PGconn *libpq = connection->link->connection;
    if (status < 0 || !PQconsumeInput(libpq)) {
        // What came before the end is worth reading: it may be the answer, or tell why.
        struct pg_link *link = connection->link;
        take_results(connection);
        if (connection->link == link)
            pg_connection_lose(connection, PQerrorMessage(libpq));
        return;
    }
    take_results(connection);
}

// (To say the same again would cost libuv two calls of the kernel.)
static void watch_for(struct pg_connection *connection, int events) {
    struct pg_watch *watch = connection->watch;
    if (watch->events != events)
        (void)uv_poll_start(&watch->poll, events, on_poll); // fails only where it is closed
    watch->events = events;
}

void pg_connection_flush(struct pg_connection *connection) {
    int left = connection->broken ? -1 : PQflush(connection->link->connection);
    if (left < 0)
        pg_connection_lose(connection, PQerrorMessage(connection->link->connection));
    else
        watch_for(connection, left ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

static bool open_watch(struct pg_connection *connection) {
    struct pg_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return false;
    watch->socket = fcntl(PQsocket(connection->link->connection), F_DUPFD_CLOEXEC, 0);
    if (watch->socket < 0 ||
        uv_poll_init(connection->session->loop, &watch->poll, watch->socket) != 0) {
        if (watch->socket >= 0)
            close(watch->socket);
        free(watch);
        return false;
    }
    watch->poll.data = watch;
    watch->connection = connection;
    connection->watch = watch;
    connection->session->handles++;
    return true;
}

// --- results

static const char *first_line(const PGresult *result) {
    const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    return words ? words : PQresultErrorMessage(result);
}

// A statement could not be prepared: that is the fault of whose it is.
static bool take_prepared(struct pg_connection *connection, const struct pg_op *op,
                          const PGresult *result) {
    if (PQresultStatus(result) == PGRES_COMMAND_OK)
        return true;
    const struct postgres_store *store = pg_session_store(connection->session);
    const struct statement *statement =
        op->of_control ? &store->controls[op->index] : op->job->calls[op->index].statement;
    pg_statements_forget(&connection->link->statements, statement);
    if (PQresultStatus(result) == PGRES_PIPELINE_ABORTED)
        return true;
    if (op->of_control)
        return connection->lane->operations->on_control(connection, (enum pg_control)op->index,
                                                        result);
    pg_call_fail(connection, op->job, op->index, result);
    return true;
}

static bool take_set_up(struct pg_connection *connection, enum pg_control control,
                        const PGresult *result) {
    struct pg_link *link = connection->link;
    ExecStatusType status = PQresultStatus(result);
    if (control == PG_INCARNATION && status == PGRES_TUPLES_OK && PQntuples(result) == 1) {
        link->tells = true;
        (void)snprintf(link->incarnation, sizeof link->incarnation, "%s", PQgetvalue(result, 0, 0));
    }
    return control != PG_SETTINGS || status == PGRES_TUPLES_OK;
}

// False where the connection is no use any more.
static bool take_result(struct pg_connection *connection, const struct pg_op *op,
                        const PGresult *result) {
    if (pg_fault_is_fatal(result))
        return false;
    switch (op->kind) {
    case PG_OP_PREPARE: return take_prepared(connection, op, result);
    case PG_OP_CALL: pg_call_take(connection, op->job, op->index, result); return true;
    case PG_OP_CONTROL:
        if (op->index == PG_DEALLOCATE)
            return true;
        if (connection->state == PG_SETTING_UP)
            return take_set_up(connection, (enum pg_control)op->index, result);
        return connection->lane->operations->on_control(connection, (enum pg_control)op->index,
                                                        result);
    case PG_OP_SYNC: return PQresultStatus(result) == PGRES_PIPELINE_SYNC;
    }
    return false;
}

static void become_ready(struct pg_connection *connection) {
    connection->link->set_up = true;
    connection->state = PG_READY;
    pg_lane_opened(connection->lane);
    connection->lane->operations->on_ready(connection);
    pg_session_stir(connection->session);
}

// All results of the oldest thing are here.
static void finish_first(struct pg_connection *connection) {
    const struct pg_lane_operations *operations = connection->lane->operations;
    struct pg_op op = pop(connection);
    if (op.kind == PG_OP_CALL && op.index + 1 == op.job->call_count)
        operations->on_job_end(connection);
    else if (op.kind == PG_OP_SYNC && connection->state == PG_READY && op.index != PG_DEALLOCATE)
        operations->on_sync(connection);
    else if (op.kind == PG_OP_SYNC && connection->count == 0)
        become_ready(connection);
}

// Takes one result; false where the link is no use any more.
static bool take_next(struct pg_connection *connection) {
    struct pg_op op = connection->ops[connection->first];
    PGresult *result = PQgetResult(connection->link->connection);
    if (!result) { // the results of a statement are ended by NULL, a sync is one result
        // Of a connection that was lost libpq tells once; what is left then has no result at all.
        bool ended = op.kind != PG_OP_SYNC && connection->answered;
        if (ended)
            finish_first(connection);
        return ended;
    }
    connection->answered = true;
    char why[256] = "the server answers what was not asked";
    bool ok = take_result(connection, &op, result);
    if (!ok && PQresultStatus(result) == PGRES_FATAL_ERROR)
        (void)snprintf(why, sizeof why, "%s", first_line(result));
    PQclear(result);
    if (!ok)
        pg_connection_lose(connection, why);
    else if (op.kind == PG_OP_SYNC)
        finish_first(connection);
    return ok;
}

static void take_results(struct pg_connection *connection) {
    const struct pg_link *link = connection->link;
    // A job's submitter may do anything, so that the connection may be another afterwards.
    while (connection->link == link && !PQisBusy(link->connection) && connection->count > 0) {
        if (!take_next(connection))
            break;
    }
    if (connection->link == link && connection->lane->operations->on_input)
        connection->lane->operations->on_input(connection);
    if (connection->link == link && connection->retired && pg_connection_is_idle(connection))
        (void)pg_connection_close(connection);
    pg_session_stir(connection->session);
}

// --- opening and closing

// A COMMIT that waits for a standby may be told to wait no longer. It succeeds then, though a
// failover would lose it; nothing but a warning tells.
static void on_notice(void *argument, const PGresult *result) {
    struct pg_connection *connection = argument;
    const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
    log_debug(pg_session_store(connection->session)->log, "PostgreSQL: %s", first_line(result));
    if (function && strcmp(function, "SyncRepWaitForLSN") == 0)
        connection->transaction.unreplicated = true;
    if (pg_fault_is_fatal(result)) // the server takes its leave from one that asked nothing
        connection->retired = true;
}

static void set_up(struct pg_connection *connection) {
    if (!pg_session_store(connection->session)->unprepared) {
        pg_connection_send_control(connection, PG_SETTINGS, NULL, 0);
        pg_connection_sync(connection);
        pg_connection_send_control(connection, PG_WATCH, NULL, 0);
        pg_connection_sync(connection);
    }
    pg_connection_send_control(connection, PG_INCARNATION, NULL, 0);
    pg_connection_sync(connection);
    pg_connection_flush(connection);
}

static void adopt(struct pg_connection *connection, struct pg_link *link) {
    connection->link = link;
    connection->broken = false;
    connection->retired = false;
    (void)PQsetNoticeReceiver(link->connection, on_notice, connection);
    if (!open_watch(connection)) {
        (void)pg_connection_close(connection);
        pg_lane_open_failed(connection->lane, "no memory");
        return;
    }
    connection->state = PG_SETTING_UP;
    watch_for(connection, UV_READABLE);
    if (link->set_up)
        become_ready(connection);
    else
        set_up(connection);
}

static void deliver_attempt(struct letter *letter) {
    struct pg_attempt *attempt = (struct pg_attempt *)letter;
    struct pg_connection *connection = attempt->owner;
    if (connection) {
        struct pg_link *link = attempt->link;
        attempt->link = NULL;
        connection->attempt = NULL;
        connection->state = PG_CLOSED;
        if (link)
            adopt(connection, link);
        else
            pg_lane_open_failed(connection->lane, attempt->failure.detail);
    }
    pg_attempt_free(attempt);
}

void pg_connection_open(struct pg_connection *connection) {
    struct postgres_store *store = pg_session_store(connection->session);
    assert(connection->state == PG_CLOSED);
    const struct pg_address *address = connection->lane->address;
    struct pg_link *link = address == &store->address ? postgres_store_take_spare(store) : NULL;
    if (link) {
        adopt(connection, link);
        return;
    }
    connection->attempt = pg_attempt_start(store->attempts, address, &connection->session->mailbox,
                                           deliver_attempt, connection);
    if (connection->attempt)
        connection->state = PG_OPENING;
    else
        pg_lane_open_failed(connection->lane, "no memory, or no thread");
}

struct job *pg_connection_take_jobs(struct pg_connection *connection) {
    struct job *jobs = connection->jobs.first;
    connection->jobs.first = NULL;
    connection->jobs.last = &connection->jobs.first;
    connection->job_count = 0;
    return jobs;
}

struct job *pg_connection_close(struct pg_connection *connection) {
    if (connection->attempt)
        pg_attempt_give_up(connection->attempt);
    connection->attempt = NULL;
    close_watch(connection);
    struct postgres_store *store = pg_session_store(connection->session);
    bool good = pg_connection_is_idle(connection) && !connection->retired && !connection->broken &&
                connection->lane->address == &store->address;
    if (good && connection->session->closing) {
        pg_link_ignore_notices(connection->link);
        postgres_store_leave_spare(store, connection->link);
    } else {
        pg_link_close(connection->link);
    }
    connection->link = NULL;
    connection->state = PG_CLOSED;
    connection->first = connection->count = 0;
    connection->answered = false;
    return pg_connection_take_jobs(connection);
}

void pg_connection_lose(struct pg_connection *connection, const char *why) {
    bool was_open = connection->state == PG_READY;
    char words[256];
    (void)snprintf(words, sizeof words, "%.*s", (int)strcspn(why, "\n"), why);
    if (was_open)
        pg_session_log(connection->session, LOG_WARNING, "PostgreSQL: a connection is lost: %s",
                       words);
    connection->lane->operations->on_lost(connection);
    if (!was_open)
        pg_lane_open_failed(connection->lane, words);
    pg_session_stir(connection->session);
}
