#include "store/scripted_store.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct scripted_store {
    struct store base;
    struct store_operations operations; // as all have them, but for the dialect
    const struct scripted_job *script;
    size_t job_count;
    size_t asked; // the next job's place in the script; a job remembers its own in `ends`
    size_t queued;
    unsigned sessions;
    char difference[256];
};

struct scripted_session {
    struct store_session base;
    struct mailbox mailbox; // jobs are played as it delivers them, in a later turn of the loop
    size_t pending;
    bool detaching;
    bool closing;
    void (*on_detached)(void *owner);
    void *owner;
};

__attribute__((format(printf, 2, 3))) static bool differ(struct scripted_store *store,
                                                         const char *format, ...) {
    if (store->difference[0])
        return false;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(store->difference, sizeof store->difference, format, arguments);
    va_end(arguments);
    return false;
}

// From 1 on, for people.
static size_t place_of(const struct job *job) {
    return (size_t)job->ends + 1;
}

static bool same_value(const struct value *a, const struct value *b) {
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case VALUE_NULL: return true;
    case VALUE_BOOLEAN: return a->boolean == b->boolean;
    case VALUE_INTEGER: return a->integer == b->integer;
    case VALUE_REAL: return a->real >= b->real && a->real <= b->real;
    case VALUE_DECIMAL: return a->integer == b->integer && a->scale == b->scale;
    default: return text_equal(a->text, b->text);
    }
}

static bool check_call(struct scripted_store *store, const struct scripted_call *scripted,
                       const struct job *job, const struct call *call) {
    struct text sql = call->statement->sql;
    if (scripted->sql && !memmem(sql.data, sql.size, scripted->sql, strlen(scripted->sql)))
        return differ(store, "job %zu: expected '%s', not '%.*s'", place_of(job), scripted->sql,
                      TEXT_ARGS(sql));
    if (!scripted->parameters)
        return true;
    if (scripted->parameter_count != call->parameter_count)
        return differ(store, "job %zu: expected %zu parameters, not %zu", place_of(job),
                      scripted->parameter_count, call->parameter_count);
    for (size_t i = 0; i < call->parameter_count; i++) {
        if (!same_value(&scripted->parameters[i], &call->parameters[i]))
            return differ(store, "job %zu: parameter %zu of '%.*s' differs", place_of(job), i + 1,
                          TEXT_ARGS(sql));
    }
    return true;
}

static bool play_call(struct scripted_store *store, const struct scripted_call *scripted,
                      struct job *job, size_t index) {
    struct call *call = &job->calls[index];
    size_t width = call->statement->column_count;
    job->outcome.call = index;
    job->outcome.kind = OUTCOME_FAILED;
    call->rows = 0;
    if (call->late && job->on_late && !job->on_late(job, index))
        return false;
    if (!check_call(store, scripted, job, call))
        return false;
    for (size_t row = 0; row < scripted->row_count; row++) {
        call->rows++;
        if (job->on_row && !job->on_row(job, index, &scripted->cells[row * width]))
            return false;
    }
    if (width == 0)
        call->rows = scripted->changes;
    job->outcome.kind = OUTCOME_UNEXPECTED;
    return call->expect == EXPECT_ANY || call->expect == call->rows;
}

static bool play_calls(struct scripted_store *store, const struct scripted_job *scripted,
                       struct job *job) {
    size_t count = scripted->calls ? scripted->call_count : 0;
    for (size_t i = 0; i < count; i++) {
        if (!play_call(store, &scripted->calls[i], job, i))
            return false;
    }
    return true;
}

static void play(struct scripted_store *store, struct job *job) {
    job->outcome = (struct outcome){.kind = OUTCOME_CANCELLED};
    if (job->cancelled)
        return;
    job->outcome.kind = OUTCOME_FAILED;
    if (job->ends >= store->job_count) {
        differ(store, "a job after the end of the script");
        return;
    }
    const struct scripted_job *scripted = &store->script[job->ends];
    if (scripted->calls && scripted->call_count != job->call_count) {
        differ(store, "job %zu: expected %zu calls, not %zu", place_of(job), scripted->call_count,
               job->call_count);
        return;
    }
    bool played = play_calls(store, scripted, job);
    if (played && scripted->restarted) {
        if (job->on_restart)
            job->on_restart(job);
        played = play_calls(store, scripted, job);
    }
    if (played)
        job->outcome = scripted->outcome;
}

static void on_mailbox_closed(struct mailbox *mailbox) {
    void *address = (char *)mailbox - offsetof(struct scripted_session, mailbox);
    struct scripted_session *session = address;
    void (*on_detached)(void *) = session->on_detached;
    void *owner = session->owner;
    ((struct scripted_store *)session->base.store)->sessions--;
    free(session);
    on_detached(owner);
}

static void leave_when_empty(struct scripted_session *session) {
    if (!session->detaching || session->closing || session->pending)
        return;
    session->closing = true;
    mailbox_close(&session->mailbox, on_mailbox_closed);
}

static void deliver_job(struct letter *letter) {
    void *address = (char *)letter - offsetof(struct job, letter);
    struct job *job = address;
    struct scripted_session *session = (struct scripted_session *)job->session;
    struct scripted_store *store = (struct scripted_store *)session->base.store;
    store->queued--;
    play(store, job);
    struct outcome outcome = job->outcome; // the job may be gone before its caller has read it
    session->pending--;
    job->on_done(job, &outcome);
    leave_when_empty(session);
}

static bool attach(struct store *base, uv_loop_t *loop, struct store_session **ret_session,
                   struct failure *failure) {
    struct scripted_session *session = calloc(1, sizeof *session);
    if (!session)
        return failure_out_of_memory(failure);
    int error = mailbox_open(&session->mailbox, loop);
    if (error) {
        free(session);
        return failure_set(failure, FAILURE_UNAVAILABLE, "no mailbox: %s", uv_strerror(error));
    }
    session->base.store = base;
    ((struct scripted_store *)base)->sessions++;
    *ret_session = &session->base;
    return true;
}

static void detach(struct store_session *base, void (*on_detached)(void *owner), void *owner) {
    struct scripted_session *session = (struct scripted_session *)base;
    session->detaching = true;
    session->on_detached = on_detached;
    session->owner = owner;
    leave_when_empty(session);
}

static bool submit(struct store_session *base, struct job *job) {
    struct scripted_session *session = (struct scripted_session *)base;
    struct scripted_store *store = (struct scripted_store *)base->store;
    if (session->detaching)
        return false;
    size_t place = store->asked++;
    if (place < store->job_count && store->script[place].refused)
        return false;
    job->ends = place;
    job->session = base;
    job->cancelled = false;
    job->letter.deliver = deliver_job;
    store->queued++;
    session->pending++;
    mailbox_post(&session->mailbox, &job->letter);
    return true;
}

static void cancel(struct store_session *session, struct job *job) {
    job->cancelled = true;
}

static void read_statistics(struct store *base, struct store_statistics *ret_statistics) {
    struct scripted_store *store = (struct scripted_store *)base;
    *ret_statistics = (struct store_statistics){.queued = store->queued};
}

static void close_store(struct store *base) {
    assert(((struct scripted_store *)base)->sessions == 0);
    free(base);
}

struct store *scripted_store_open(enum store_dialect dialect, const struct scripted_job *script,
                                  size_t job_count, struct failure *failure) {
    struct scripted_store *store = calloc(1, sizeof *store);
    if (!store) {
        failure_out_of_memory(failure);
        return NULL;
    }
    store->operations = (struct store_operations){
        .dialect = dialect,
        .attach = attach,
        .detach = detach,
        .submit = submit,
        .cancel = cancel,
        .statistics = read_statistics,
        .close = close_store,
    };
    store->base.operations = &store->operations;
    store->script = script;
    store->job_count = job_count;
    return &store->base;
}

size_t scripted_store_left(const struct store *base) {
    const struct scripted_store *store = (const struct scripted_store *)base;
    return store->asked < store->job_count ? store->job_count - store->asked : 0;
}

const char *scripted_store_difference(const struct store *base) {
    return ((const struct scripted_store *)base)->difference;
}
