#include "store/postgres/session.h"

#include "base/clock.h"
#include "base/random.h"
#include "store/postgres/parts.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// Milliseconds. The server itself ends what takes too long; where nothing comes for a grace period
// after a job's deadline, its connection is given up. The pause between attempts to connect doubles
// from one to the next.
enum { TICK = 25, GRACE = 1000, FIRST_PAUSE = 50, LONGEST_PAUSE = 500 };

// How often a job is run that others were in the way of, and one whose connection was lost.
enum { TRIES = 10, TRIES_WHEN_LOST = 3 };

// A statement whose time differs less from what the connection has is not worth a word to the
// server, in milliseconds.
enum { LIMIT_SLACK = 250 };

struct postgres_store *pg_session_store(const struct pg_session *session) {
    return (struct postgres_store *)session->base.store;
}

static struct pg_session *session_of(struct store_session *base) {
    return (struct pg_session *)base; // its first member
}

void pg_session_log(struct pg_session *session, enum log_level level, const char *format, ...) {
    uint64_t now = uv_now(session->loop);
    if (now < session->quiet_until) {
        session->left_out++;
        return;
    }
    char words[1024];
    char left_out[48] = "";
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    if (session->left_out)
        (void)snprintf(left_out, sizeof left_out, " [%u more left out]", session->left_out);
    session->left_out = 0;
    session->quiet_until = now + 1000;
    log_write(pg_session_store(session)->log, level, "%s%s", words, left_out);
}

// --- queues

static void queue_init(struct pg_queue *queue) {
    queue->first = NULL;
    queue->last = &queue->first;
}

struct job *pg_queue_take(struct pg_session *session, struct pg_queue *queue) {
    struct job *job = queue->first;
    if (!job)
        return NULL;
    queue->first = job->next;
    if (!queue->first)
        queue->last = &queue->first;
    job->next = NULL;
    atomic_fetch_sub_explicit(&pg_session_store(session)->waiting, 1, memory_order_relaxed);
    return job;
}

void pg_queue_put(struct pg_session *session, struct pg_queue *queue, struct job *job) {
    job->next = NULL;
    *queue->last = job;
    queue->last = &job->next;
    atomic_fetch_add_explicit(&pg_session_store(session)->waiting, 1, memory_order_relaxed);
}

void pg_queue_put_first(struct pg_session *session, struct pg_queue *queue, struct job *job) {
    job->next = queue->first;
    if (!queue->first)
        queue->last = &job->next;
    queue->first = job;
    atomic_fetch_add_explicit(&pg_session_store(session)->waiting, 1, memory_order_relaxed);
}

struct job *pg_queue_take_live(struct pg_session *session, struct pg_queue *queue) {
    struct job *job = pg_queue_take(session, queue);
    while (job && pg_job_is_over(session, job)) {
        pg_job_answer(session, job);
        job = pg_queue_take(session, queue);
    }
    return job;
}

// Answers the jobs of a queue that are over, or all of them.
static void sweep(struct pg_session *session, struct pg_queue *queue, bool all) {
    struct pg_queue old = *queue;
    if (!old.first)
        return;
    queue_init(queue);
    for (struct job *job = pg_queue_take(session, &old); job; job = pg_queue_take(session, &old)) {
        if (all)
            pg_job_answer_with(session, job, OUTCOME_UNAVAILABLE);
        else if (pg_job_is_over(session, job))
            pg_job_answer(session, job);
        else
            pg_queue_put(session, queue, job);
    }
}

// --- jobs

bool pg_job_is_over(const struct pg_session *session, struct job *job) {
    if (job->cancelled)
        job->outcome.kind = OUTCOME_CANCELLED;
    else if (uv_now(session->loop) >= job->ends)
        job->outcome.kind = OUTCOME_TIMEOUT;
    else
        return false;
    return true;
}

void pg_job_answer(struct pg_session *session, struct job *job) {
    struct outcome outcome = job->outcome; // the job may be gone before its caller has read it
    session->pending--;
    job->on_done(job, &outcome);
    if (session->detaching)
        pg_session_stir(session); // it may end now
}

void pg_job_answer_with(struct pg_session *session, struct job *job, enum outcome_kind kind) {
    job->outcome.kind = kind;
    job->outcome.call = 0;
    job->outcome.constraint[0] = '\0';
    pg_job_answer(session, job);
}

bool pg_job_may_try_again(const struct pg_session *session, struct job *job) {
    return job->again && ++job->tries < TRIES && !job->cancelled &&
           uv_now(session->loop) < job->ends;
}

void pg_job_lost(struct pg_lane *lane, struct job *job) {
    if (pg_job_is_over(lane->session, job)) {
        pg_job_answer(lane->session, job);
        return;
    }
    if (++job->tries >= TRIES_WHEN_LOST) {
        pg_job_answer_with(lane->session, job, OUTCOME_UNAVAILABLE);
        return;
    }
    pg_queue_put(lane->session, pg_job_may_share(job) ? &lane->groups : &lane->queue, job);
}

bool pg_job_may_share(const struct job *job) {
    return job->kind == JOB_WRITE && !job->alone && job->call_count == 1 && !job->calls[0].late &&
           job->calls[0].statement->groups;
}

bool pg_job_limit(const struct pg_session *session, const struct job *job, int64_t *ret_ms) {
    const struct postgres_store *store = pg_session_store(session);
    uint64_t now = uv_now(session->loop);
    if (job->ends == UINT64_MAX) {
        *ret_ms = 0;
        return true;
    }
    uint64_t left = job->ends > now ? job->ends - now : 1;
    *ret_ms = left < INT32_MAX ? (int64_t)left : INT32_MAX;
    return store->unprepared || left + LIMIT_SLACK < store->query_timeout ||
           left > store->query_timeout;
}

void pg_send_limits(struct pg_connection *connection, int64_t ms) {
    const struct postgres_store *store = pg_session_store(connection->session);
    const struct value limits[] = {value_integer(ms), value_integer(store->lock_timeout)};
    pg_connection_send_control(connection, PG_LIMITS, limits, 2);
}

// --- lanes

static uint64_t pause_after(unsigned failures) {
    uint64_t pause = FIRST_PAUSE;
    for (unsigned i = 1; i < failures && pause < LONGEST_PAUSE; i++)
        pause *= 2;
    return pause < LONGEST_PAUSE ? pause : LONGEST_PAUSE;
}

static void tick_on(struct pg_session *session);

void pg_lane_opened(struct pg_lane *lane) {
    if (lane->failures)
        log_info(pg_session_store(lane->session)->log, "PostgreSQL: connected again");
    lane->failures = 0;
}

static size_t count_in_state(const struct pg_lane *lane, enum pg_state state) {
    size_t count = 0;
    for (size_t i = 0; i < lane->count; i++)
        count += lane->connections[i].state == state;
    return count;
}

void pg_lane_pause(struct pg_lane *lane, uint64_t ms) {
    unsigned char jitter = 0;
    (void)random_bytes(&jitter, sizeof jitter);
    lane->failures++;
    lane->retry_at = uv_now(lane->session->loop) + ms - ms * jitter / 1024;
    tick_on(lane->session);
    pg_session_stir(lane->session);
}

void pg_lane_open_failed(struct pg_lane *lane, const char *why) {
    pg_lane_pause(lane, pause_after(lane->failures + 1));
    if ((lane->failures & (lane->failures - 1)) == 0) // ever more seldom
        pg_session_log(lane->session, LOG_WARNING, "PostgreSQL: %s", why);
}

static struct pg_connection *closed_connection(struct pg_lane *lane) {
    struct pg_connection *closed = NULL;
    for (size_t i = 0; i < lane->count; i++) {
        struct pg_connection *connection = &lane->connections[i];
        if (connection->state != PG_CLOSED)
            continue;
        // One whose transaction is in doubt goes first.
        if (!closed || connection->transaction.phase == PG_DOUBTFUL)
            closed = connection;
    }
    return closed;
}

// Opens one more connection, where one may be opened now.
static void open_one(struct pg_lane *lane) {
    struct pg_connection *connection = closed_connection(lane);
    bool opening = count_in_state(lane, PG_OPENING) + count_in_state(lane, PG_SETTING_UP) > 0;
    bool may = lane->failures == 0 || uv_now(lane->session->loop) >= lane->retry_at;
    if (connection && !opening && may && !lane->session->closing)
        pg_connection_open(connection);
}

bool pg_lane_want(struct pg_lane *lane) {
    size_t ready = count_in_state(lane, PG_READY);
    open_one(lane);
    if (count_in_state(lane, PG_READY) > ready)
        return true;
    if (ready == 0 && lane->failures > 0) {
        sweep(lane->session, &lane->queue, true);
        sweep(lane->session, &lane->groups, true);
    }
    return false;
}

// A lane without a server tries again by itself, and so does one that must ask what became of a
// transaction.
static bool lane_needs_connection(const struct pg_lane *lane) {
    for (size_t i = 0; i < lane->count; i++) {
        if (lane->connections[i].transaction.phase == PG_DOUBTFUL &&
            lane->connections[i].state == PG_CLOSED)
            return true;
    }
    return lane->failures > 0 && count_in_state(lane, PG_READY) == 0;
}

// --- time

// When what is under way on a connection must have been answered: the first of the reads, which are
// answered in order, or all of a transaction, or what became of one.
static uint64_t deadline_of(const struct pg_connection *connection) {
    uint64_t deadline = 0;
    if (connection->transaction.phase == PG_ASKING) // whose jobs may have passed theirs
        return connection->transaction.ask_at;
    for (const struct job *job = connection->jobs.first; job; job = job->next) {
        deadline = job->ends > deadline ? job->ends : deadline;
        if (connection->transaction.phase == PG_IDLE)
            break;
    }
    return deadline ? deadline : UINT64_MAX;
}

static bool is_silent(const struct pg_connection *connection, uint64_t now) {
    if (connection->state != PG_READY || connection->count == 0)
        return false;
    uint64_t deadline = deadline_of(connection);
    return deadline < UINT64_MAX - GRACE && now >= deadline + GRACE;
}

// What runs alone and was cancelled is ended by leaving, which the server notices. A COMMIT is not.
static bool is_cancelled(const struct pg_connection *connection) {
    const struct pg_transaction *transaction = &connection->transaction;
    bool alone = connection->lane->jobs_at_once == 1 && !transaction->grouped;
    bool running = transaction->phase == PG_IDLE || transaction->phase == PG_RUNNING;
    return alone && running && connection->jobs.first && connection->jobs.first->cancelled;
}

static void look_at_cancelled(struct pg_session *session) {
    session->cancelling = false;
    for (size_t i = 0; i < PG_LANES; i++) {
        sweep(session, &session->lanes[i].queue, false);
        sweep(session, &session->lanes[i].groups, false);
    }
    for (size_t i = 0; i < session->connection_count; i++) {
        if (is_cancelled(&session->connections[i]))
            pg_connection_lose(&session->connections[i], "what ran there was cancelled");
    }
}

// Whether it must be looked at again.
static bool look_at_connection(struct pg_connection *connection) {
    if (is_silent(connection, uv_now(connection->session->loop)))
        pg_connection_lose(connection, "the server does not answer");
    if (connection->transaction.phase == PG_DOUBTFUL)
        connection->lane->operations->on_ready(connection);
    return connection->transaction.phase == PG_DOUBTFUL ||
           connection->transaction.phase == PG_ASKING;
}

static void on_tick(uv_timer_t *timer) {
    struct pg_session *session = timer->data;
    bool needed = session->pending > 0;
    look_at_cancelled(session);
    for (size_t i = 0; i < session->connection_count; i++)
        needed = look_at_connection(&session->connections[i]) || needed;
    for (size_t i = 0; i < PG_LANES; i++) {
        struct pg_lane *lane = &session->lanes[i];
        if (!lane_needs_connection(lane))
            continue;
        needed = true;
        open_one(lane);
    }
    pg_session_stir(session);
    if (!needed) {
        session->ticking = false;
        uv_timer_stop(&session->timer);
    }
}

static void tick_on(struct pg_session *session) {
    if (session->ticking || session->closing)
        return;
    session->ticking = true;
    (void)uv_timer_start(&session->timer, on_tick, TICK, TICK);
}

// --- coming and going

void pg_session_handle_closed(struct pg_session *session) {
    session->handles--;
    if (session->handles || !session->closing)
        return;
    struct postgres_store *store = pg_session_store(session);
    void (*on_detached)(void *) = session->on_detached;
    void *owner = session->owner;
    for (size_t i = 0; i < session->connection_count; i++)
        free(session->connections[i].ops);
    free(session->connections);
    pg_parameters_free(&session->parameters);
    pg_cells_free(&session->cells);
    free(session);
    atomic_fetch_sub(&store->sessions, 1);
    on_detached(owner);
}

static void on_handle_closed(uv_handle_t *handle) {
    pg_session_handle_closed(handle->data);
}

static void on_mailbox_closed(struct mailbox *mailbox) {
    void *session = (char *)mailbox - offsetof(struct pg_session, mailbox);
    pg_session_handle_closed(session);
}

// Closes once nothing is left to answer. (That is at the end of a turn: what came in it has been
// looked at, so that links are seen to have nothing under way.)
static void leave_when_empty(struct pg_session *session) {
    if (!session->detaching || session->closing || session->pending)
        return;
    session->closing = true;
    for (size_t i = 0; i < session->connection_count; i++)
        (void)pg_connection_close(&session->connections[i]);
    uv_close((uv_handle_t *)&session->check, on_handle_closed);
    uv_close((uv_handle_t *)&session->idle, on_handle_closed);
    uv_close((uv_handle_t *)&session->timer, on_handle_closed);
    mailbox_close(&session->mailbox, on_mailbox_closed);
}

// --- the turns of the loop

static void on_check(uv_check_t *check) {
    struct pg_session *session = check->data;
    session->stirred = false; // what follows may stir anew
    if (session->cancelling)
        look_at_cancelled(session);
    for (size_t i = 0; i < PG_LANES; i++)
        session->lanes[i].operations->dispatch(&session->lanes[i]);
    leave_when_empty(session);
    if (session->stirred || session->closing)
        return;
    uv_check_stop(&session->check);
    uv_idle_stop(&session->idle);
}

static void on_idle(uv_idle_t *idle) {}

void pg_session_stir(struct pg_session *session) {
    if (session->stirred || session->closing)
        return;
    session->stirred = true;
    uv_check_start(&session->check, on_check);
    uv_idle_start(&session->idle, on_idle);
}

// --- attaching and submitting

// How many of a session's connections are for which lane.
static void share_out(size_t connections, size_t counts[PG_LANES]) {
    counts[PG_READS] = connections >= 8 ? 2 : 1;
    counts[PG_SCANS] = connections >= 6 ? 2 : 1;
    counts[PG_WRITES] = connections - counts[PG_READS] - counts[PG_SCANS];
    counts[PG_NEWS] = 1; // beside those
}

static const struct pg_lane_operations *const lane_operations[PG_LANES] = {
    [PG_READS] = &pg_read_operations,
    [PG_SCANS] = &pg_read_operations,
    [PG_WRITES] = &pg_write_operations,
    [PG_NEWS] = &pg_news_operations,
};

static void make_lanes(struct pg_session *session) {
    const struct postgres_store *store = pg_session_store(session);
    size_t counts[PG_LANES];
    struct pg_connection *next = session->connections;
    share_out(store->connections, counts);
    for (size_t i = 0; i < PG_LANES; i++) {
        struct pg_lane *lane = &session->lanes[i];
        lane->operations = lane_operations[i];
        lane->session = session;
        lane->address = i == PG_NEWS ? &store->news_address : &store->address;
        lane->connections = next;
        lane->count = counts[i];
        lane->jobs_at_once = i == PG_READS ? 256 : 1;
        queue_init(&lane->queue);
        queue_init(&lane->groups);
        for (size_t j = 0; j < counts[i]; j++, next++) {
            next->session = session;
            next->lane = lane;
            next->jobs.last = &next->jobs.first;
        }
    }
}

bool pg_session_attach(struct store *base, uv_loop_t *loop, struct store_session **ret_session,
                       struct failure *failure) {
    struct postgres_store *store = (struct postgres_store *)base;
    struct pg_session *session = calloc(1, sizeof *session);
    if (session)
        session->connections = calloc(store->connections + 1, sizeof *session->connections);
    if (!session || !session->connections) {
        free(session);
        return failure_out_of_memory(failure);
    }
    int error = mailbox_open(&session->mailbox, loop);
    if (error) {
        free(session->connections);
        free(session);
        return failure_set(failure, FAILURE_UNAVAILABLE, "no mailbox: %s", uv_strerror(error));
    }
    session->base.store = base;
    session->loop = loop;
    session->connection_count = store->connections + 1;
    make_lanes(session);
    uv_check_init(loop, &session->check); // these three always succeed
    uv_idle_init(loop, &session->idle);
    uv_timer_init(loop, &session->timer);
    session->check.data = session->idle.data = session->timer.data = session;
    session->handles = 4;
    atomic_fetch_add(&store->sessions, 1);
    *ret_session = &session->base;
    return true;
}

void pg_session_detach(struct store_session *base, void (*on_detached)(void *owner), void *owner) {
    struct pg_session *session = session_of(base);
    session->detaching = true;
    session->on_news = NULL;
    session->on_detached = on_detached;
    session->owner = owner;
    pg_session_stir(session);
}

static struct pg_queue *queue_for(struct pg_session *session, const struct job *job) {
    switch (job->kind) {
    case JOB_READ: return &session->lanes[PG_READS].queue;
    case JOB_SCAN: return &session->lanes[PG_SCANS].queue;
    default: break;
    }
    struct pg_lane *writes = &session->lanes[PG_WRITES];
    return pg_job_may_share(job) ? &writes->groups : &writes->queue;
}

bool pg_session_submit(struct store_session *base, struct job *job) {
    struct pg_session *session = session_of(base);
    struct postgres_store *store = pg_session_store(session);
    if (session->detaching ||
        atomic_load_explicit(&store->waiting, memory_order_relaxed) >= store->queue_limit)
        return false;
    job->outcome.kind = OUTCOME_DONE;
    job->outcome.call = 0;
    job->outcome.constraint[0] = '\0';
    job->session = base;
    job->ends = job->deadline ? job->deadline : clock_monotonic() + store->query_timeout;
    job->cancelled = job->started = job->alone = false;
    job->tries = 0;
    session->pending++;
    pg_queue_put(session, queue_for(session, job), job);
    tick_on(session);
    pg_session_stir(session);
    return true;
}

void pg_session_cancel(struct store_session *base, struct job *job) {
    struct pg_session *session = session_of(base);
    job->cancelled = true;
    session->cancelling = true;
    pg_session_stir(session);
}

void pg_session_listen(struct store_session *base, void (*on_news)(void *owner), void *owner) {
    struct pg_session *session = session_of(base);
    if (!pg_session_store(session)->news_address.url)
        return;
    session->on_news = on_news;
    session->news_owner = owner;
    pg_session_stir(session);
}
