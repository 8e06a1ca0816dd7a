#include "store/tracing_store.h"

#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct tracing_store {
    struct store base;
    struct store_operations operations; // as all have them, but for the dialect
    struct store *inner;
    struct log *log;
    atomic_uint_fast64_t jobs; // any thread; numbers them
};

struct tracing_session {
    struct store_session base;
    struct store_session *inner;
    void (*on_detached)(void *owner);
    void *owner;
};

// A job of our own stands in for the one that was submitted, whose owner must not see it.
struct trace {
    struct job job;       // what the inner store knows
    struct job *original; // its `next` leads back here while it is under way
    uint64_t number;
    uint64_t started; // nanoseconds
};

static const char *const job_kinds[] = {
    [JOB_READ] = "read",
    [JOB_SCAN] = "scan",
    [JOB_WRITE] = "write",
};

static const char *const outcomes[] = {
    [OUTCOME_DONE] = "done",
    [OUTCOME_CONFLICT] = "conflict",
    [OUTCOME_UNEXPECTED] = "unexpected",
    [OUTCOME_OVERFLOW] = "overflow",
    [OUTCOME_BUSY] = "busy",
    [OUTCOME_TIMEOUT] = "timeout",
    [OUTCOME_FULL] = "full",
    [OUTCOME_UNAVAILABLE] = "unavailable",
    [OUTCOME_UNKNOWN] = "unknown",
    [OUTCOME_CANCELLED] = "cancelled",
    [OUTCOME_FAILED] = "failed",
};

static const char *const kinds[VALUE_KINDS] = {
    [VALUE_NULL] = "null",   [VALUE_BOOLEAN] = "boolean",     [VALUE_INTEGER] = "integer",
    [VALUE_REAL] = "real",   [VALUE_DECIMAL] = "decimal",     [VALUE_TEXT] = "text",
    [VALUE_BYTES] = "bytes", [VALUE_TIMESTAMP] = "timestamp", [VALUE_DATE] = "date",
    [VALUE_UUID] = "uuid",   [VALUE_JSON] = "json",
};

// "text[12], null, integer", cut where it does not fit.
static void list_kinds(const struct call *call, char *out, size_t size) {
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < call->parameter_count && used < size; i++) {
        const struct value *value = &call->parameters[i];
        char length[32] = "";
        if (value_kind_has_text(value->kind))
            (void)snprintf(length, sizeof length, "[%zu]", value->text.size);
        int written =
            snprintf(out + used, size - used, "%s%s%s", i ? ", " : "", kinds[value->kind], length);
        used += written > 0 ? (size_t)written : 0;
    }
}

static void log_call(const struct tracing_store *store, const struct trace *trace, size_t call) {
    const struct job *job = &trace->job;
    char parameters[256];
    list_kinds(&job->calls[call], parameters, sizeof parameters);
    log_info(store->log, "job %llu %s, call %zu of %zu: %.*s (%s)",
             (unsigned long long)trace->number, job_kinds[job->kind], call + 1, job->call_count,
             TEXT_ARGS(job->calls[call].statement->sql), parameters);
}

static void log_submitted(const struct tracing_store *store, const struct trace *trace) {
    for (size_t i = 0; i < trace->job.call_count; i++) {
        if (!trace->job.calls[i].late)
            log_call(store, trace, i);
    }
}

static void log_done(const struct tracing_store *store, const struct trace *trace,
                     const struct outcome *outcome) {
    int64_t rows = 0;
    for (size_t i = 0; i < trace->job.call_count; i++)
        rows += trace->job.calls[i].rows;
    uint64_t microseconds = (clock_monotonic_ns() - trace->started) / 1000;
    bool conflict = outcome->kind == OUTCOME_CONFLICT;
    log_info(store->log, "job %llu %s%s%s after %llu us, %lld rows",
             (unsigned long long)trace->number, outcomes[outcome->kind], conflict ? " " : "",
             conflict ? outcome->constraint : "", (unsigned long long)microseconds,
             (long long)rows);
}

static bool pass_row(struct job *job, size_t call, const struct value *cells) {
    struct job *original = ((struct trace *)job)->original;
    return original->on_row(original, call, cells);
}

static bool pass_late(struct job *job, size_t call) {
    const struct trace *trace = (struct trace *)job;
    struct job *original = trace->original;
    bool goes_on = !original->on_late || original->on_late(original, call);
    if (goes_on)
        log_call((struct tracing_store *)original->session->store, trace, call);
    return goes_on;
}

static void pass_restart(struct job *job) {
    struct job *original = ((struct trace *)job)->original;
    original->on_restart(original);
}

static void pass_done(struct job *job, const struct outcome *outcome) {
    struct trace *trace = (struct trace *)job;
    struct job *original = trace->original;
    log_done((struct tracing_store *)original->session->store, trace, outcome);
    free(trace);
    original->next = NULL;
    original->on_done(original, outcome);
}

static bool attach(struct store *base, uv_loop_t *loop, struct store_session **ret_session,
                   struct failure *failure) {
    struct tracing_store *store = (struct tracing_store *)base;
    struct tracing_session *session = calloc(1, sizeof *session);
    if (!session)
        return failure_out_of_memory(failure);
    if (!store_attach(store->inner, loop, &session->inner, failure)) {
        free(session);
        return false;
    }
    session->base.store = base;
    *ret_session = &session->base;
    return true;
}

static void pass_detached(void *owner) {
    struct tracing_session *session = owner;
    void (*on_detached)(void *) = session->on_detached;
    void *original_owner = session->owner;
    free(session);
    on_detached(original_owner);
}

static void detach(struct store_session *base, void (*on_detached)(void *owner), void *owner) {
    struct tracing_session *session = (struct tracing_session *)base;
    session->on_detached = on_detached;
    session->owner = owner;
    store_detach(session->inner, pass_detached, session);
}

static bool submit(struct store_session *base, struct job *job) {
    struct tracing_session *session = (struct tracing_session *)base;
    struct tracing_store *store = (struct tracing_store *)base->store;
    struct trace *trace = calloc(1, sizeof *trace);
    if (!trace) // the store has no room for it now
        return false;
    trace->original = job;
    trace->number = atomic_fetch_add(&store->jobs, 1) + 1;
    trace->started = clock_monotonic_ns();
    trace->job = (struct job){
        .kind = job->kind,
        .calls = job->calls,
        .call_count = job->call_count,
        .deadline = job->deadline,
        .on_row = job->on_row ? pass_row : NULL,
        .on_late = pass_late,
        .on_restart = job->on_restart ? pass_restart : NULL,
        .on_done = pass_done,
    };
    log_submitted(store, trace);
    job->session = base;
    job->next = &trace->job;
    if (!store_submit(session->inner, &trace->job)) {
        log_info(store->log, "job %llu refused", (unsigned long long)trace->number);
        free(trace);
        return false;
    }
    return true;
}

static void cancel(struct store_session *base, struct job *job) {
    store_cancel(((struct tracing_session *)base)->inner, job->next);
}

static void listen_to_inner(struct store_session *base, void (*on_news)(void *owner), void *owner) {
    store_listen(((struct tracing_session *)base)->inner, on_news, owner);
}

static void read_statistics(struct store *base, struct store_statistics *ret_statistics) {
    store_statistics(((struct tracing_store *)base)->inner, ret_statistics);
}

static void close_store(struct store *base) {
    store_close(((struct tracing_store *)base)->inner);
    free(base);
}

struct store *tracing_store_open(struct store *inner, struct log *log, struct failure *failure) {
    struct tracing_store *store = calloc(1, sizeof *store);
    if (!store) {
        failure_out_of_memory(failure);
        return NULL;
    }
    store->operations = (struct store_operations){
        .dialect = store_dialect(inner),
        .attach = attach,
        .detach = detach,
        .submit = submit,
        .cancel = cancel,
        .listen = listen_to_inner,
        .statistics = read_statistics,
        .close = close_store,
    };
    store->base.operations = &store->operations;
    store->inner = inner;
    store->log = log;
    return &store->base;
}
