// What tests of stores share: a loop with a session on it, and jobs that remember how they ended
// and which rows came, as text. A test sets up a harness, makes works, and runs them.
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "base/table.h"
#include "store/store.h"
#include "unit/testing.h"

#include <stdio.h>
#include <stdlib.h>

enum { WORK_CALLS = 4, WORK_PARAMETERS = 12, WORK_COLUMNS = 12, WORK_ROWS = 4096 };

struct harness {
    struct store *store;
    struct store_session *session;
    uv_loop_t loop;
    bool in_submit;
    size_t under_way;
    unsigned detached;
};

// One job, with room for all that it points to.
struct work {
    struct job job; // first, so that a job is a work
    struct harness *harness;
    struct call calls[WORK_CALLS];
    struct statement statements[WORK_CALLS];
    struct value parameters[WORK_CALLS][WORK_PARAMETERS];
    struct column columns[WORK_CALLS][WORK_COLUMNS];

    // What happened.
    struct outcome outcome;
    unsigned done;
    unsigned restarts;
    size_t row_count;
    size_t give_up_at;    // on_row gives up at this row, from 1 on
    char rows[WORK_ROWS]; // "a, b; c, d": cells, and rows

    bool (*late)(struct work *work, size_t call); // from on_late
    unsigned lates;                               // calls of on_late since the last restart
    void (*then)(struct work *work);              // from on_done
    uint64_t took;                                // milliseconds
    uint64_t started;
};

static inline void harness_print_cell(const struct value *cell, char *out, size_t size) {
    switch (cell->kind) {
    case VALUE_NULL: (void)snprintf(out, size, "null"); return;
    case VALUE_BOOLEAN: (void)snprintf(out, size, "%s", cell->boolean ? "true" : "false"); return;
    case VALUE_INTEGER: (void)snprintf(out, size, "%lld", (long long)cell->integer); return;
    case VALUE_REAL: (void)snprintf(out, size, "%a", cell->real); return;
    case VALUE_DECIMAL:
        (void)snprintf(out, size, "%llde-%u", (long long)cell->integer, cell->scale);
        return;
    case VALUE_BYTES:
        assert_true(cell->text.size * 2 < size);
        text_hex_encode(cell->text.data, cell->text.size, out);
        out[cell->text.size * 2] = '\0';
        return;
    default: (void)snprintf(out, size, "'%.*s'", TEXT_ARGS(cell->text));
    }
}

static inline bool harness_on_row(struct job *job, size_t call, const struct value *cells) {
    struct work *work = (struct work *)job;
    work->row_count++;
    if (work->row_count == work->give_up_at)
        return false;
    for (size_t i = 0; i < job->calls[call].statement->column_count; i++) {
        size_t used = strlen(work->rows);
        const char *separator = i ? ", " : used ? "; " : "";
        used += (size_t)snprintf(work->rows + used, WORK_ROWS - used, "%s", separator);
        if (used + 64 < WORK_ROWS)
            harness_print_cell(&cells[i], work->rows + used, WORK_ROWS - used);
    }
    return true;
}

static inline bool harness_on_late(struct job *job, size_t call) {
    struct work *work = (struct work *)job;
    work->lates++;
    return !work->late || work->late(work, call);
}

static inline void harness_on_restart(struct job *job) {
    struct work *work = (struct work *)job;
    work->restarts++;
    work->lates = 0;
    work->row_count = 0;
    work->rows[0] = '\0';
}

static inline void harness_on_done(struct job *job, const struct outcome *outcome) {
    struct work *work = (struct work *)job;
    struct harness *harness = work->harness;
    assert_false(harness->in_submit);
    assert_int_equal(work->done, 0);
    work->done++;
    work->outcome = *outcome;
    work->took = clock_monotonic() - work->started;
    harness->under_way--;
    if (work->then)
        work->then(work);
}

static inline struct work *work_create(struct harness *harness, enum job_kind kind) {
    struct work *work = calloc(1, sizeof *work);
    assert_non_null(work);
    work->harness = harness;
    work->job = (struct job){
        .kind = kind,
        .calls = work->calls,
        .on_row = harness_on_row,
        .on_late = harness_on_late,
        .on_restart = harness_on_restart,
        .on_done = harness_on_done,
    };
    return work;
}

// Adds a call without parameters; `columns` has a letter for each: b, i, r, d (scale 2), t, y
// (bytes), T (timestamp), D (date), u (UUID), j (JSON).
static inline struct call *work_add(struct work *work, const char *sql, const char *columns) {
    static const char letters[VALUE_KINDS + 1] = "nbirdtyTDuj";
    size_t index = work->job.call_count++;
    assert_true(index < WORK_CALLS && strlen(columns) <= WORK_COLUMNS);
    for (size_t i = 0; columns[i]; i++) {
        enum value_kind kind = (enum value_kind)(strchr(letters, columns[i]) - letters);
        work->columns[index][i] = (struct column){kind, kind == VALUE_DECIMAL ? 2 : 0};
    }
    work->statements[index] = (struct statement){
        .sql = text_from_string(sql),
        .hash = text_hash(text_from_string(sql)),
        .columns = work->columns[index],
        .column_count = strlen(columns),
    };
    work->calls[index] = (struct call){
        .statement = &work->statements[index],
        .parameters = work->parameters[index],
        .expect = EXPECT_ANY,
    };
    return &work->calls[index];
}

// Adds parameters to the call that was added last.
static inline void work_bind(struct work *work, struct value value) {
    struct call *call = &work->calls[work->job.call_count - 1];
    assert_true(call->parameter_count < WORK_PARAMETERS);
    work->parameters[work->job.call_count - 1][call->parameter_count++] = value;
}

static inline void work_bind_text(struct work *work, const char *text) {
    work_bind(work, value_text(VALUE_TEXT, text_from_string(text)));
}

static inline bool work_submit(struct work *work) {
    struct harness *harness = work->harness;
    work->started = clock_monotonic();
    work->outcome = (struct outcome){0};
    work->done = 0;
    work->row_count = 0;
    work->lates = 0;
    work->rows[0] = '\0';
    harness->in_submit = true;
    bool taken = store_submit(harness->session, &work->job);
    harness->in_submit = false;
    harness->under_way += taken;
    return taken;
}

// Turns the loop until every job is done.
static inline void harness_run(struct harness *harness) {
    while (harness->under_way)
        uv_run(&harness->loop, UV_RUN_ONCE);
}

// Submits a job, waits for it, and says how it ended.
static inline enum outcome_kind work_run(struct work *work) {
    assert_true(work_submit(work));
    harness_run(work->harness);
    assert_int_equal(work->done, 1);
    return work->outcome.kind;
}

// Runs one statement that must succeed, however long it takes.
static inline void harness_do(struct harness *harness, const char *sql) {
    struct work *work = work_create(harness, JOB_WRITE);
    work_add(work, sql, "");
    work->statements[0].once = true;
    work->job.deadline = UINT64_MAX;
    if (work_run(work) != OUTCOME_DONE)
        print_error("outcome %d: %s\n", work->outcome.kind, sql);
    assert_int_equal(work->outcome.kind, OUTCOME_DONE);
    free(work);
}

// Fails unless a query gives these rows.
static inline void harness_expect(struct harness *harness, const char *sql, const char *columns,
                                  const char *rows) {
    struct work *work = work_create(harness, JOB_READ);
    work_add(work, sql, columns);
    work->job.deadline = UINT64_MAX;
    assert_int_equal(work_run(work), OUTCOME_DONE);
    if (strcmp(work->rows, rows) != 0)
        print_error("%s\n", sql);
    assert_string_equal(work->rows, rows);
    free(work);
}

static inline void harness_attach(struct harness *harness, struct store *store) {
    struct failure failure;
    *harness = (struct harness){.store = store};
    assert_int_equal(uv_loop_init(&harness->loop), 0);
    if (!store_attach(store, &harness->loop, &harness->session, &failure))
        fail_msg("%s", failure.detail);
}

static inline void harness_on_detached(void *owner) {
    struct harness *harness = owner;
    assert_int_equal(harness->under_way, 0);
    harness->detached++;
}

static inline void harness_detach(struct harness *harness) {
    store_detach(harness->session, harness_on_detached, harness);
    uv_run(&harness->loop, UV_RUN_DEFAULT);
    assert_int_equal(harness->detached, 1);
    assert_int_equal(uv_loop_close(&harness->loop), 0);
}
