#include "api/operation_claim.h"

#include "base/clock.h"

// How often it looks again because others were quicker.
enum { ROUNDS_MAX = 40 };

enum claim_stage {
    CLAIM_LOOK,   // which transition has one that is due
    CLAIM_TAKE,   // the first of them
    CLAIM_RECORD, // that it is about
};

static const struct operation_plan *operations(const struct operation_claim *claim) {
    return &claim->catalogue->operations;
}

// ---- Jobs

static bool on_row(struct job *job, size_t call, const struct value *cells);
static void on_restart(struct job *job);
static void on_done(struct job *job, const struct outcome *outcome);

static bool submit(struct operation_claim *claim, enum claim_stage stage, enum job_kind kind,
                   size_t call_count) {
    claim->stage = stage;
    claim->job = (struct job){.kind = kind,
                              .calls = claim->calls,
                              .call_count = call_count,
                              .deadline = clock_monotonic() + claim->patience,
                              .owner = claim,
                              .on_row = on_row,
                              .on_restart = on_restart,
                              .on_done = on_done};
    on_restart(&claim->job);
    return store_submit(claim->session, &claim->job) ||
           failure_set(&claim->failure, FAILURE_QUEUE_FULL,
                       "too many requests wait for the database; try again");
}

// Goes on with a job that was planned, or ends where it could not be.
static void go_on(struct operation_claim *claim, bool submitted) {
    if (submitted)
        return;
    if (claim->failure.code == FAILURE_NONE)
        failure_out_of_memory(&claim->failure);
    claim->claimed = NULL;
    claim->on_done(claim);
}

static bool look(struct operation_claim *claim) {
    for (size_t i = 0; i < claim->claimable_count; i++) {
        const struct claimable *claimable = &claim->claimables[i];
        if (!operation_plan_due(operations(claim), claimable->plan->resource->name,
                                claimable->transition->name, claim->arena, &claim->calls[i]))
            return false;
    }
    return submit(claim, CLAIM_LOOK, JOB_READ, claim->claimable_count);
}

static bool take(struct operation_claim *claim) {
    return operation_plan_claim(operations(claim), claim->claimed->plan->resource->name,
                                claim->claimed->transition->name, claim->worker, claim->lease,
                                claim->arena, claim->calls) &&
           submit(claim, CLAIM_TAKE, JOB_WRITE, 1);
}

static bool read_record(struct operation_claim *claim, struct value key) {
    return plan_read(claim->claimed->plan, key, claim->arena, claim->calls) &&
           submit(claim, CLAIM_RECORD, JOB_READ, 1);
}

// ---- What comes of them

static void look_again(struct operation_claim *claim) {
    claim->claimed = NULL;
    if (++claim->rounds > ROUNDS_MAX) {
        claim->idle = 0; // others take them all
        claim->on_done(claim);
    } else {
        go_on(claim, look(claim));
    }
}

// The one that has been due for longest.
static void after_look(struct operation_claim *claim) {
    size_t first = 0;
    for (size_t i = 1; i < claim->claimable_count; i++)
        if (claim->waits[i] < claim->waits[first])
            first = i;
    claim->idle = claim->waits[first];
    claim->claimed = claim->idle <= 0 ? &claim->claimables[first] : NULL;
    if (claim->claimed)
        go_on(claim, take(claim));
    else
        claim->on_done(claim);
}

// The definition deleted it with another record, or somebody did past trestle.
static void on_finished(struct operation_finish *finish) {
    look_again(finish->owner);
}

static void end_without_record(struct operation_claim *claim) {
    claim->finish = (struct operation_finish){.session = claim->session,
                                              .catalogue = claim->catalogue,
                                              .arena = claim->arena,
                                              .patience = claim->patience,
                                              .kind = FINISH_IMPOSSIBLE,
                                              .id = claim->operation.id,
                                              .attempt = claim->operation.attempts,
                                              .detail = TEXT("the record is gone"),
                                              .owner = claim,
                                              .on_done = on_finished};
    if (operation_finish_start(&claim->finish))
        return;
    claim->failure = claim->finish.failure;
    go_on(claim, false);
}

static void after_take(struct operation_claim *claim) {
    const struct resource *resource = claim->claimed->plan->resource;
    struct value key;
    struct failure ignored;
    if (!claim->found) {
        look_again(claim);
        return;
    }
    claim->operation = claim->row;
    if (validate_parameter(resource->key.property, claim->operation.record, claim->arena, &key,
                           &ignored))
        go_on(claim, read_record(claim, key));
    else
        end_without_record(claim);
}

static void after_record(struct operation_claim *claim) {
    if (claim->found)
        claim->on_done(claim);
    else
        end_without_record(claim);
}

// ---- Rows and outcomes

static bool on_operation_row(struct operation_claim *claim, const struct value *cells) {
    const struct operation_plan *plan = operations(claim);
    if (claim->out) {
        buffer_clear(claim->out);
        struct json_writer writer = json_writer_on(claim->out);
        encode_record(&writer, &plan->table->selection, cells);
    }
    return operation_read(plan, cells, claim->arena, &claim->row) &&
           !(claim->out && claim->out->failed);
}

static bool on_record_row(struct operation_claim *claim, const struct value *cells) {
    const struct plan *plan = claim->claimed->plan;
    int64_t version;
    claim->record =
        arena_allocate_zero(claim->arena, plan->resource->property_count, sizeof *claim->record);
    return claim->record && plan_values(plan, cells, claim->arena, claim->record, &version);
}

static bool on_row(struct job *job, size_t call, const struct value *cells) {
    struct operation_claim *claim = job->owner;
    claim->found = true;
    if (claim->stage == CLAIM_TAKE)
        return on_operation_row(claim, cells);
    if (claim->stage == CLAIM_RECORD)
        return on_record_row(claim, cells);
    claim->waits[call] = cells[0].integer;
    return true;
}

static void on_restart(struct job *job) {
    struct operation_claim *claim = job->owner;
    claim->found = false;
    for (size_t i = 0; i < claim->claimable_count; i++)
        claim->waits[i] = INT64_MAX;
}

static void on_done(struct job *job, const struct outcome *outcome) {
    struct operation_claim *claim = job->owner;
    if (!outcome_failure(outcome, &claim->failure))
        go_on(claim, false);
    else if (claim->stage == CLAIM_LOOK)
        after_look(claim);
    else if (claim->stage == CLAIM_TAKE)
        after_take(claim);
    else
        after_record(claim);
}

bool operation_claim_start(struct operation_claim *claim) {
    size_t count = claim->claimable_count;
    claim->failure.code = FAILURE_NONE;
    claim->rounds = 0;
    claim->claimed = NULL;
    claim->calls = arena_allocate_zero(claim->arena, count, sizeof *claim->calls);
    claim->waits = arena_allocate_zero(claim->arena, count, sizeof *claim->waits);
    if (!claim->calls || !claim->waits)
        return failure_out_of_memory(&claim->failure);
    if (look(claim))
        return true;
    return claim->failure.code != FAILURE_NONE ? false : failure_out_of_memory(&claim->failure);
}

void operation_write_record(struct json_writer *writer, const struct resource *resource,
                            const struct value *values) {
    json_write_object_begin(writer);
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        if (property_is_hidden(property))
            continue;
        json_write_prepared_name(writer, property->prepared_name);
        encode_value(writer, property, values[i]);
    }
    json_write_object_end(writer);
}
