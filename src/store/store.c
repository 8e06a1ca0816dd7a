#include "store/store.h"

// What a client may be told about an outcome. The driver's own words are in the log.
static const struct {
    enum failure_code code;
    const char *detail;
} outcomes[] = {
    [OUTCOME_CONFLICT] = {FAILURE_CONFLICT, "a stored record stands against it"},
    [OUTCOME_UNEXPECTED] = {FAILURE_CONTENTION, "the stored record is not what was expected"},
    [OUTCOME_OVERFLOW] = {FAILURE_OVERFLOW, "a number left the range of 64 bits"},
    [OUTCOME_BUSY] = {FAILURE_UNAVAILABLE, "the database is held by another process"},
    [OUTCOME_TIMEOUT] = {FAILURE_QUERY_TIMEOUT, "the database took too long"},
    [OUTCOME_FULL] = {FAILURE_DISK_FULL, "the disk of the database is full"},
    [OUTCOME_UNAVAILABLE] = {FAILURE_UNAVAILABLE, "the database cannot be reached"},
    [OUTCOME_UNKNOWN] = {FAILURE_OUTCOME_UNKNOWN, "the database went away during the commit"},
    [OUTCOME_CANCELLED] = {FAILURE_STOPPING, "the work was given up"},
    [OUTCOME_FAILED] = {FAILURE_INTERNAL, "the database refused a statement; the log tells more"},
};

static int compare_values(const struct value *a, const struct value *b) {
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (value_kind_has_text(a->kind))
        return text_compare(a->text, b->text);
    if (a->kind == VALUE_NULL)
        return 0;
    return memcmp(&a->integer, &b->integer,
                  a->kind == VALUE_BOOLEAN ? sizeof a->boolean : sizeof a->integer);
}

int call_compare(const struct call *a, const struct call *b) {
    if (a->statement->hash != b->statement->hash)
        return a->statement->hash < b->statement->hash ? -1 : 1;
    int order = text_compare(a->statement->sql, b->statement->sql);
    for (size_t i = 0; i < a->statement->group_key_count && order == 0; i++) {
        size_t key = a->statement->group_keys[i];
        order = compare_values(&a->parameters[key], &b->parameters[key]);
    }
    return order;
}

bool outcome_failure(const struct outcome *outcome, struct failure *failure) {
    if (outcome->kind == OUTCOME_DONE)
        return true;
    if (outcome->kind == OUTCOME_CONFLICT && outcome->conflict == CONFLICT_REFERENCE)
        return failure_set(failure, FAILURE_IN_USE,
                           "a reference between records stands against it");
    return failure_set(failure, outcomes[outcome->kind].code, "%s", outcomes[outcome->kind].detail);
}

static void ignore_detached(void *owner) {}

static void on_run_done(struct job *job, const struct outcome *outcome) {
    if (outcome != &job->outcome)
        job->outcome = *outcome;
    store_detach(job->session, ignore_detached, NULL);
}

static bool run_on_loop(struct store *store, uv_loop_t *loop, struct job *job,
                        struct failure *failure) {
    struct store_session *session;
    if (!store_attach(store, loop, &session, failure))
        return false;
    bool taken = store_submit(session, job);
    if (!taken)
        store_detach(session, ignore_detached, NULL);
    uv_run(loop, UV_RUN_DEFAULT);
    if (!taken)
        return failure_set(failure, FAILURE_QUEUE_FULL, "too much waits for the database already");
    return outcome_failure(&job->outcome, failure);
}

bool store_run(struct store *store, struct job *job, struct failure *failure) {
    uv_loop_t loop;
    int error = uv_loop_init(&loop);
    if (error)
        return failure_set(failure, FAILURE_UNAVAILABLE, "no event loop: %s", uv_strerror(error));
    void (*on_done)(struct job *, const struct outcome *) = job->on_done;
    job->on_done = on_run_done;
    bool done = run_on_loop(store, &loop, job, failure);
    job->on_done = on_done;
    (void)uv_loop_close(&loop); // nothing is left on it once the session is gone
    return done;
}
