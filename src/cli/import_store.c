#include "cli/import_store.h"

#include "base/clock.h"
#include "resource/expression.h"
#include "resource/list_plan.h"
#include "resource/validate.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BATCH_RECORDS = 200, // in one job
    BATCH_BYTES = 1 << 20,
    BATCHES = 4,      // under way at once, so that the writer always has one to go on with
    ATTEMPTS = 10,    // of a replacement whose record changes meanwhile
    BUSY_DELAY = 100, // milliseconds before a job that found the database locked is run again
    PATIENCE = 60000,
};

// A job on its way to the store. All jobs go through the target's queue, in their order.
struct task {
    struct job job;
    struct store_target *target;
    struct task *next;
    uint64_t due;      // not to be submitted before
    uint64_t given_up; // when a locked database is not waited for any longer; 0: not yet locked
    void (*on_outcome)(struct task *task, const struct outcome *outcome);
};

// Records that are created together. It owns what they need, and goes with its last piece.
struct batch {
    struct arena arena;
    struct import_record *records[BATCH_RECORDS];
    struct call calls[BATCH_RECORDS];
    struct value *values[BATCH_RECORDS];
    size_t count;
    size_t bytes;
    size_t pieces;
};

// A run of a batch's calls that is one job: all of them, and where that fails, parts.
struct piece {
    struct task task;
    struct batch *batch;
    size_t first;
};

// The way of a record that is to replace a stored one: find its key, read it, change it.
struct replacement {
    struct task task;
    struct import_record *record;
    struct arena arena;
    struct call call;
    struct value *created; // its values as a new record: where to look for the old one
    struct value key;
    struct value *stored;
    struct value *values;
    int64_t version;
    size_t group;
    unsigned attempts;
    bool found; // the last job gave a row
};

struct store_target {
    struct import_target base;
    const struct plan *plan;
    struct store_session *session;
    uv_loop_t loop;
    uv_timer_t timer; // for tasks that are not due yet
    struct task *first;
    struct task **last;
    struct batch *batch; // being filled
    size_t batches;      // under way
    size_t tasks;        // in the queue or at the store
    size_t jobs;         // at the store …
    size_t jobs_at_once; // … of which there may be so many
};

static struct import *import_of(const struct task *task) {
    return task->target->base.import;
}

// ---- Tasks

static void on_job_done(struct job *job, const struct outcome *outcome);

// No job here adds up its rows: the last one counts, and it comes again.
static void on_restart(struct job *job) {}

// Submits what is due, as much as the store takes.
static void pump(struct store_target *target) {
    uint64_t now = clock_monotonic();
    while (target->first && target->first->due <= now && target->jobs < target->jobs_at_once) {
        struct task *task = target->first;
        if (!store_submit(target->session, &task->job))
            return;
        target->jobs++;
        target->first = task->next;
        if (!target->first)
            target->last = &target->first;
    }
}

static void on_timer(uv_timer_t *timer) {
    pump(timer->data);
}

static void enqueue(struct task *task) {
    struct store_target *target = task->target;
    task->next = NULL;
    task->job.on_done = on_job_done;
    task->job.on_restart = on_restart;
    task->job.owner = task;
    *target->last = task;
    target->last = &task->next;
}

// Waits for something to happen.
static void turn(struct store_target *target) {
    pump(target);
    if (target->first) // the queue is full, or a locked database is waited for
        (void)uv_timer_start(&target->timer, on_timer, BUSY_DELAY, 0);
    (void)uv_run(&target->loop, UV_RUN_ONCE);
}

static void start_task(struct store_target *target, struct task *task) {
    task->target = target;
    target->tasks++;
    enqueue(task);
}

// A database that another process has locked is tried again for a while.
static bool repeat_when_busy(struct task *task, const struct outcome *outcome) {
    uint64_t now = clock_monotonic();
    if (outcome->kind != OUTCOME_BUSY || import_of(task)->stopped)
        return false;
    if (!task->given_up)
        task->given_up = now + PATIENCE;
    if (now > task->given_up)
        return false;
    task->due = now + BUSY_DELAY;
    enqueue(task);
    return true;
}

static void on_job_done(struct job *job, const struct outcome *outcome) {
    struct task *task = job->owner;
    struct store_target *target = task->target;
    target->jobs--;
    if (!repeat_when_busy(task, outcome)) {
        target->tasks--;
        task->on_outcome(task, outcome);
    }
    pump(target);
}

static const char refers_to_nothing[] = "it refers to a record that is not there";

static const char *outcome_words(const struct outcome *outcome, struct failure *failure) {
    outcome_failure(outcome, failure);
    if (outcome->kind == OUTCOME_CONFLICT && outcome->constraint[0])
        failure_set(failure, FAILURE_CONFLICT, "%s (%s)", failure->detail, outcome->constraint);
    return failure->detail;
}

// ---- Replacing

static void free_replacement(struct replacement *replacement) {
    arena_free(&replacement->arena);
    free(replacement);
}

static void settle_replacement(struct replacement *replacement, enum import_result result,
                               const char *reason) {
    import_settle(import_of(&replacement->task), replacement->record, result, reason);
    free_replacement(replacement);
}

static void fail_replacement(struct replacement *replacement) {
    settle_replacement(replacement, IMPORT_FAILED, "out of memory");
}

static void start_replacement_job(struct replacement *replacement, enum job_kind kind,
                                  bool (*on_row)(struct job *, size_t, const struct value *),
                                  void (*on_outcome)(struct task *, const struct outcome *)) {
    struct task *task = &replacement->task;
    replacement->found = false;
    task->job =
        (struct job){.kind = kind, .calls = &replacement->call, .call_count = 1, .on_row = on_row};
    task->on_outcome = on_outcome;
    start_task(task->target, task);
}

// Outcomes that end a replacement. False where there is none of them.
static bool ends_replacement(struct replacement *replacement, const struct outcome *outcome) {
    struct failure failure;
    if (outcome->kind == OUTCOME_DONE)
        return false;
    bool its_own = outcome->kind == OUTCOME_CONFLICT || outcome->kind == OUTCOME_OVERFLOW;
    if (outcome->kind == OUTCOME_CONFLICT && outcome->conflict == CONFLICT_REFERENCE)
        settle_replacement(replacement, IMPORT_DANGLING, refers_to_nothing);
    else
        settle_replacement(replacement, its_own ? IMPORT_REJECTED : IMPORT_FAILED,
                           outcome_words(outcome, &failure));
    return true;
}

static struct replacement *replacement_of(struct task *task) {
    return (struct replacement *)task; // its first member
}

static void read_stored(struct replacement *replacement);

static void on_updated(struct task *task, const struct outcome *outcome) {
    struct replacement *replacement = replacement_of(task);
    if (ends_replacement(replacement, outcome))
        return;
    if (replacement->call.rows == 1)
        settle_replacement(replacement, IMPORT_REPLACED, NULL);
    else if (++replacement->attempts < ATTEMPTS)
        read_stored(replacement);
    else
        settle_replacement(replacement, IMPORT_FAILED, "the stored record keeps changing");
}

static bool ignore_row(struct job *job, size_t call, const struct value *cells) {
    return true;
}

// "pointer: detail; pointer: detail".
static void append_faults(struct buffer *out, const struct faults *faults) {
    for (size_t i = 0; i < faults->count; i++) {
        const struct fault *fault = &faults->items[i];
        buffer_format(out, "%s%.*s%s%.*s", i ? "; " : "", TEXT_ARGS(fault->pointer),
                      fault->pointer.size ? ": " : "", TEXT_ARGS(fault->detail));
    }
    buffer_append_byte(out, '\0');
}

// Settles a record by what validation found wrong.
static void reject(struct import *import, struct import_record *record,
                   const struct faults *faults) {
    struct buffer reason = {0};
    append_faults(&reason, faults);
    if (faults->out_of_memory || reason.failed)
        import_settle(import, record, IMPORT_FAILED, "out of memory");
    else
        import_settle(import, record, IMPORT_REJECTED, reason.data);
    buffer_free(&reason);
}

static void on_stored(struct task *task, const struct outcome *outcome) {
    struct replacement *replacement = replacement_of(task);
    const struct plan *plan = task->target->plan;
    if (ends_replacement(replacement, outcome))
        return;
    if (!replacement->found) {
        settle_replacement(replacement, IMPORT_REJECTED,
                           "the record that it conflicts with was deleted meanwhile");
        return;
    }
    struct faults faults = {.arena = &replacement->arena};
    struct validation validation = {.resource = plan->resource,
                                    .arena = &replacement->arena,
                                    .faults = &faults,
                                    .now = clock_now()};
    if (!validate_replace(&validation, replacement->record->body, replacement->stored,
                          replacement->values)) {
        reject(import_of(task), replacement->record, &faults);
        free_replacement(replacement);
    } else if (!plan_update(plan, replacement->key, replacement->version, replacement->values,
                            &replacement->arena, &replacement->call)) {
        fail_replacement(replacement);
    } else {
        start_replacement_job(replacement, JOB_WRITE, ignore_row, on_updated);
    }
}

static bool on_stored_row(struct job *job, size_t call, const struct value *cells) {
    struct replacement *replacement = job->owner;
    replacement->found = true;
    return plan_values(replacement->task.target->plan, cells, &replacement->arena,
                       replacement->stored, &replacement->version);
}

static void read_stored(struct replacement *replacement) {
    if (plan_read(replacement->task.target->plan, replacement->key, &replacement->arena,
                  &replacement->call))
        start_replacement_job(replacement, JOB_READ, on_stored_row, on_stored);
    else
        fail_replacement(replacement);
}

static void find(struct replacement *replacement);

static void on_found(struct task *task, const struct outcome *outcome) {
    struct replacement *replacement = replacement_of(task);
    if (ends_replacement(replacement, outcome))
        return;
    if (replacement->found) {
        read_stored(replacement);
    } else {
        replacement->group++;
        find(replacement);
    }
}

static bool on_found_row(struct job *job, size_t call, const struct value *cells) {
    struct replacement *replacement = job->owner;
    replacement->found = true;
    return value_copy(&replacement->arena, cells[0], &replacement->key);
}

// Whether a group of unique properties has values in all of them: nulls are not unique.
static bool group_has_values(const struct replacement *replacement,
                             const struct column_group *group) {
    for (size_t i = 0; i < group->property_count; i++) {
        if (value_is_null(replacement->created[group->properties[i]->index]))
            return false;
    }
    return true;
}

// The call that finds the key of the record which has the same values in a group.
static bool plan_find(struct replacement *replacement, const struct column_group *group) {
    const struct plan *plan = replacement->task.target->plan;
    struct arena *arena = &replacement->arena;
    const struct property **selected = arena_allocate(arena, sizeof(struct property *));
    struct sort_key *by_key = arena_allocate(arena, sizeof *by_key);
    const struct expression *filter = NULL;
    if (!selected || !by_key)
        return false;
    for (size_t i = 0; i < group->property_count; i++) {
        struct property *property = group->properties[i];
        struct expression *equal =
            expression_equal(arena, property, replacement->created[property->index]);
        filter = equal ? expression_and(arena, filter, equal) : NULL;
        if (!filter)
            return false;
    }
    selected[0] = plan->resource->key.property;
    *by_key = (struct sort_key){.property = selected[0]};
    struct query query = {.resource = plan->resource,
                          .filter = filter,
                          .sort = by_key,
                          .sort_count = 1,
                          .limit = 1,
                          .selection = {.properties = selected, .count = 1, .shown = 1}};
    return plan_list(plan, &query, clock_now(), arena, &replacement->call);
}

// Looks by the next group.
static void find(struct replacement *replacement) {
    const struct resource *resource = replacement->task.target->plan->resource;
    while (replacement->group < resource->unique_count &&
           !group_has_values(replacement, &resource->unique[replacement->group]))
        replacement->group++;
    if (replacement->group == resource->unique_count)
        settle_replacement(replacement, IMPORT_REJECTED,
                           "it conflicts, but no stored record has the same unique properties");
    else if (plan_find(replacement, &resource->unique[replacement->group]))
        start_replacement_job(replacement, JOB_READ, on_found_row, on_found);
    else
        fail_replacement(replacement);
}

static bool prepare_replacement(struct replacement *replacement, const struct resource *resource,
                                const struct value *created) {
    struct arena *arena = &replacement->arena;
    size_t count = resource->property_count;
    replacement->created = arena_allocate_zero(arena, count, sizeof(struct value));
    replacement->stored = arena_allocate_zero(arena, count, sizeof(struct value));
    replacement->values = arena_allocate_zero(arena, count, sizeof(struct value));
    if (!replacement->created || !replacement->stored || !replacement->values)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!value_copy(arena, created[i], &replacement->created[i]))
            return false;
    }
    return true;
}

static void replace(struct store_target *target, struct import_record *record,
                    const struct value *created) {
    const struct resource *resource = target->plan->resource;
    struct replacement *replacement = calloc(1, sizeof *replacement);
    if (!replacement) {
        import_settle(target->base.import, record, IMPORT_FAILED, "out of memory");
        return;
    }
    replacement->task.target = target;
    replacement->record = record;
    if (!prepare_replacement(replacement, resource, created)) {
        fail_replacement(replacement);
    } else if (resource->key.kind == KEY_PROPERTY) {
        replacement->key = replacement->created[resource->key.property->index];
        read_stored(replacement);
    } else {
        find(replacement);
    }
}

// ---- Creating

static void on_piece_done(struct task *task, const struct outcome *outcome);

static void free_batch(struct batch *batch) {
    arena_free(&batch->arena);
    free(batch);
}

// Makes a job of `count` calls from `first` on. False when there is no memory.
static bool start_piece(struct store_target *target, struct batch *batch, size_t first,
                        size_t count) {
    struct piece *piece = arena_allocate_zero(&batch->arena, 1, sizeof *piece);
    if (!piece)
        return false;
    piece->batch = batch;
    piece->first = first;
    piece->task.on_outcome = on_piece_done;
    piece->task.job = (struct job){.kind = JOB_WRITE,
                                   .calls = batch->calls + first,
                                   .call_count = count,
                                   .deadline = UINT64_MAX,
                                   .on_row = ignore_row};
    batch->pieces++;
    start_task(target, &piece->task);
    return true;
}

static void settle_run(struct store_target *target, const struct batch *batch, size_t first,
                       size_t count, enum import_result result, const char *reason) {
    for (size_t i = first; i < first + count; i++)
        import_settle(target->base.import, batch->records[i], result, reason);
}

// Starts what is to be tried again of a batch.
static void start_part(struct store_target *target, struct batch *batch, size_t first,
                       size_t count) {
    if (count > 0 && !start_piece(target, batch, first, count))
        settle_run(target, batch, first, count, IMPORT_FAILED, "out of memory");
}

static void settle_created(struct store_target *target, const struct batch *batch, size_t first,
                           size_t count) {
    for (size_t i = first; i < first + count; i++) // no row: its content is there already
        import_settle(target->base.import, batch->records[i],
                      batch->calls[i].rows ? IMPORT_CREATED : IMPORT_SKIPPED, NULL);
}

static void settle_conflict(struct store_target *target, const struct batch *batch, size_t index,
                            const struct outcome *outcome) {
    struct import *import = target->base.import;
    struct import_record *record = batch->records[index];
    struct failure failure;
    // References to other records do not go away by replacing.
    if (outcome->conflict != CONFLICT_UNIQUE)
        import_settle(import, record, IMPORT_DANGLING, refers_to_nothing);
    else if (import->on_conflict == ON_CONFLICT_REPLACE)
        replace(target, record, batch->values[index]);
    else if (import->on_conflict == ON_CONFLICT_SKIP)
        import_settle(import, record, IMPORT_SKIPPED, NULL);
    else
        import_settle(import, record, IMPORT_CONFLICT, outcome_words(outcome, &failure));
}

// What stands before the call that was at fault and what stands behind it go on without it.
static void split_at_conflict(struct store_target *target, struct batch *batch, size_t first,
                              size_t count, const struct outcome *outcome) {
    size_t index = first + outcome->call;
    size_t behind = first + count - index - 1;
    start_part(target, batch, first, index - first);
    settle_conflict(target, batch, index, outcome);
    if (target->base.import->stopped)
        settle_run(target, batch, index + 1, behind, IMPORT_GIVEN_UP, NULL);
    else
        start_part(target, batch, index + 1, behind);
}

// Outcomes that are the job's own fault, not the database's.
static bool is_own_fault(enum outcome_kind kind) {
    return kind == OUTCOME_OVERFLOW || kind == OUTCOME_UNEXPECTED || kind == OUTCOME_FAILED ||
           kind == OUTCOME_TIMEOUT;
}

static void on_piece_done(struct task *task, const struct outcome *outcome) {
    struct piece *piece = (struct piece *)task; // its first member
    struct store_target *target = task->target;
    struct batch *batch = piece->batch;
    size_t first = piece->first;
    size_t count = task->job.call_count;
    struct failure failure;
    if (outcome->kind == OUTCOME_DONE) {
        settle_created(target, batch, first, count);
    } else if (outcome->kind == OUTCOME_CONFLICT && outcome->call < count) {
        split_at_conflict(target, batch, first, count, outcome);
    } else if (is_own_fault(outcome->kind) && count > 1) {
        start_part(target, batch, first, count / 2);
        start_part(target, batch, first + count / 2, count - count / 2);
    } else {
        settle_run(target, batch, first, count, IMPORT_FAILED, outcome_words(outcome, &failure));
    }
    if (--batch->pieces == 0) {
        target->batches--;
        free_batch(batch);
    }
}

static void start_batch(struct store_target *target) {
    struct batch *batch = target->batch;
    target->batch = NULL;
    if (!batch)
        return;
    if (batch->count > 0 && start_piece(target, batch, 0, batch->count)) {
        target->batches++;
        return;
    }
    settle_run(target, batch, 0, batch->count, IMPORT_FAILED, "out of memory");
    free_batch(batch);
}

// ---- The target

static size_t values_size(const struct value *values, size_t count) {
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += value_kind_has_text(values[i].kind) ? values[i].text.size : sizeof *values;
    return size;
}

// Puts a record into the batch; what is wrong with it settles it.
static void add_record(struct store_target *target, struct batch *batch,
                       struct import_record *record) {
    const struct plan *plan = target->plan;
    size_t count = plan->resource->property_count;
    struct value *values = arena_allocate_zero(&batch->arena, count, sizeof *values);
    struct faults faults = {.arena = &batch->arena, .out_of_memory = !values};
    struct validation validation = {
        .resource = plan->resource, .arena = &batch->arena, .faults = &faults, .now = clock_now()};
    if (!values || !validate_create(&validation, record->body, NULL, values)) {
        reject(target->base.import, record, &faults);
    } else if (!plan_create(plan, values, &batch->arena, &batch->calls[batch->count])) {
        import_settle(target->base.import, record, IMPORT_FAILED, "out of memory");
    } else {
        batch->records[batch->count] = record;
        batch->values[batch->count++] = values;
        batch->bytes += values_size(values, count);
    }
}

static void submit(struct import_target *base, struct import_record *record) {
    struct store_target *target = (struct store_target *)base;
    if (!target->batch)
        target->batch = calloc(1, sizeof *target->batch);
    struct batch *batch = target->batch;
    if (!batch) {
        import_settle(base->import, record, IMPORT_FAILED, "out of memory");
        return;
    }
    add_record(target, batch, record);
    if (batch->count == BATCH_RECORDS || batch->bytes >= BATCH_BYTES)
        start_batch(target);
    // Replacements are jobs of one record each.
    while (target->batches >= BATCHES || target->tasks >= BATCH_RECORDS)
        turn(target);
}

static void finish(struct import_target *base) {
    struct store_target *target = (struct store_target *)base;
    start_batch(target);
    while (target->tasks > 0)
        turn(target);
}

static void on_detached(void *owner) {}

static void close_loop(struct store_target *target) {
    if (target->session)
        store_detach(target->session, on_detached, NULL);
    uv_close((uv_handle_t *)&target->timer, NULL);
    (void)uv_run(&target->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&target->loop);
}

static void close_target(struct import_target *base) {
    struct store_target *target = (struct store_target *)base;
    close_loop(target);
    if (target->batch)
        free_batch(target->batch);
    free(target);
}

struct import_target *import_store_open(struct import *import, struct store *store,
                                        const struct plan *plan, struct failure *failure) {
    struct store_target *target = calloc(1, sizeof *target);
    if (!target || uv_loop_init(&target->loop) != 0) {
        free(target);
        failure_out_of_memory(failure);
        return NULL;
    }
    target->base = (struct import_target){submit, finish, close_target, import, true};
    target->plan = plan;
    target->last = &target->first;
    // What comes later in the file counts more. SQLite's writer keeps to the order of jobs.
    target->jobs_at_once = store_dialect(store) == STORE_SQLITE ? SIZE_MAX : 1;
    (void)uv_timer_init(&target->loop, &target->timer); // always 0
    target->timer.data = target;
    if (!store_attach(store, &target->loop, &target->session, failure)) {
        close_target(&target->base);
        return NULL;
    }
    return &target->base;
}
