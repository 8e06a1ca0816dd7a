#include "api/operation_finish.h"

#include "base/clock.h"
#include "resource/property_value.h"
#include "resource/schema.h"
#include "resource/transition.h"

// How often it begins anew because the operation or the record changed meanwhile.
enum { ROUNDS_MAX = 40 };

enum finish_stage {
    FINISH_READ,  // the operation
    FINISH_APPLY, // the record's change, and the operation's end
    FINISH_LOOK,  // at the record, which did not change
    FINISH_TURN,  // the operation into another state, and the record free if that is an end
    FINISH_ASK,   // the worker to stop
};

static const struct operation_plan *operations(const struct operation_finish *finish) {
    return &finish->catalogue->operations;
}

static void end(struct operation_finish *finish) {
    finish->on_done(finish);
}

static void fail(struct operation_finish *finish, enum failure_code code, const char *detail) {
    failure_set(&finish->failure, code, "%s", detail);
    end(finish);
}

// ---- Jobs

static bool on_row(struct job *job, size_t call, const struct value *cells);
static void on_restart(struct job *job);
static void on_done(struct job *job, const struct outcome *outcome);

static bool submit(struct operation_finish *finish, enum finish_stage stage, enum job_kind kind,
                   size_t call_count) {
    finish->stage = stage;
    finish->found = false;
    finish->faults.count = 0;
    finish->failure.code = FAILURE_NONE;
    finish->job = (struct job){.kind = kind,
                               .calls = finish->calls,
                               .call_count = call_count,
                               .deadline = clock_monotonic() + finish->patience,
                               .owner = finish,
                               .on_row = on_row,
                               .on_restart = on_restart,
                               .on_done = on_done};
    return store_submit(finish->session, &finish->job) ||
           failure_set(&finish->failure, FAILURE_QUEUE_FULL,
                       "too many requests wait for the database; try again");
}

// Goes on with a job that was planned, or ends where it could not be.
static void go_on(struct operation_finish *finish, bool submitted) {
    if (submitted)
        return;
    if (finish->failure.code == FAILURE_NONE)
        failure_out_of_memory(&finish->failure);
    end(finish);
}

static bool read_operation(struct operation_finish *finish) {
    return plan_read(operations(finish)->table, finish->id, finish->arena, finish->calls) &&
           submit(finish, FINISH_READ, JOB_READ, 1);
}

static void read_again(struct operation_finish *finish) {
    if (++finish->rounds > ROUNDS_MAX)
        fail(finish, FAILURE_CONTENTION, "the operation changed too often meanwhile; try again");
    else
        go_on(finish, read_operation(finish));
}

// ---- Another state

// The record that it held is free when it has ended.
static bool plan_turn(struct operation_finish *finish, const struct operation_turn *turn) {
    size_t count = 0;
    bool frees = operation_has_ended(turn->state) && finish->plan &&
                 finish->plan->resource->operation && !value_is_null(finish->key);
    if (frees && !plan_release(finish->plan, finish->key, finish->operation.id, finish->arena,
                               &finish->calls[count++]))
        return false;
    struct call *call = &finish->calls[count++];
    if (!operation_plan_turn(operations(finish), &finish->operation, turn, finish->arena, call))
        return false;
    call->expect = 1;
    return submit(finish, FINISH_TURN, JOB_WRITE, count);
}

static struct text cut(struct text detail) {
    if (detail.size > OPERATION_DETAIL_MAX)
        detail = text_whole_characters(text_of(detail.data, OPERATION_DETAIL_MAX));
    return detail;
}

static void turn(struct operation_finish *finish, struct operation_turn turn) {
    turn.detail = cut(turn.detail);
    go_on(finish, plan_turn(finish, &turn));
}

// It failed, and would fail again.
static void give_up(struct operation_finish *finish, struct text why) {
    turn(finish, (struct operation_turn){.state = OPERATION_FAILED, .detail = why, .failed = true});
}

static void give_up_by_failure(struct operation_finish *finish) {
    struct text why = arena_copy(finish->arena, text_from_string(finish->failure.detail));
    finish->failure.code = FAILURE_NONE;
    if (why.data)
        give_up(finish, why);
    else
        go_on(finish, false);
}

// The faults in one sentence each: "/sha256 must be …; /name is required".
static void give_up_by_faults(struct operation_finish *finish) {
    struct buffer text = {0};
    const struct faults *faults = &finish->faults;
    buffer_append_string(&text, "the result does not fit the definition: ");
    for (size_t i = 0; i < faults->count; i++) {
        buffer_append_string(&text, i ? "; " : "");
        buffer_append_text(&text, faults->items[i].pointer);
        buffer_append_byte(&text, ' ');
        buffer_append_text(&text, faults->items[i].detail);
    }
    struct text why = {NULL, 0};
    if (!text.failed && !faults->out_of_memory)
        why = arena_copy(finish->arena, buffer_text(&text));
    buffer_free(&text);
    if (why.data)
        give_up(finish, why);
    else
        go_on(finish, false);
}

// ---- Success

static bool is_set_by(const struct effect *effect, const struct property *property) {
    for (size_t i = 0; i < effect->set_count; i++)
        if (effect->set[i].property == property)
            return true;
    return false;
}

// Why a worker cannot set a property; NULL where it can.
static const char *why_not(const struct operation_finish *finish, const struct property *property) {
    const struct resource *resource = finish->plan->resource;
    if (property == resource->key.property || property == resource->key.source)
        return "is the key, or what it is made of, and never changes";
    if (property == resource->lifecycle.property)
        return "is the state, which the transition sets";
    return is_set_by(&finish->transition->effect, property) ? "is set by the transition itself"
                                                            : NULL;
}

static struct expression *make_literal(struct arena *arena, const struct property *property,
                                       const json_t *member, struct faults *faults) {
    struct json_path path = {.name = property->name};
    struct expression *literal = arena_allocate_zero(arena, 1, sizeof *literal);
    struct value value = value_null();
    size_t before = faults->count;
    if (!json_is_null(member))
        property_check(property, member, &path, faults);
    else if (property->required)
        schema_fault(faults, &path, "is required");
    if (faults->count != before)
        return NULL;
    if (!literal || (!json_is_null(member) && !property_value(property, member, arena, &value))) {
        faults->out_of_memory = true;
        return NULL;
    }
    *literal = (struct expression){.kind = EXPRESSION_LITERAL, .type = value.kind};
    literal->literal = value;
    return literal;
}

static void add_assignment(struct operation_finish *finish, const char *name,
                           const json_t *member) {
    struct faults *faults = &finish->faults;
    struct json_path path = {.name = text_from_string(name)};
    const struct property *property =
        resource_property(finish->plan->resource, text_from_string(name));
    if (!property || property_is_hidden(property)) {
        schema_fault(faults, &path, "is none of the properties");
        return;
    }
    const char *reason = why_not(finish, property);
    if (reason) {
        schema_fault(faults, &path, "%s", reason);
        return;
    }
    struct expression *literal = make_literal(finish->arena, property, member, faults);
    if (literal)
        finish->effect.set[finish->effect.set_count++] =
            (struct assignment){.property = property, .expression = literal};
}

// The transition's effect, and what the worker sets besides.
static bool make_effect(struct operation_finish *finish) {
    const struct effect *own = &finish->transition->effect;
    size_t room = own->set_count + json_object_size(finish->set);
    const char *name;
    json_t *member;
    finish->faults = (struct faults){.arena = finish->arena};
    finish->effect = *own;
    if (json_object_size(finish->set) == 0)
        return true;
    finish->effect.set = arena_allocate_zero(finish->arena, room, sizeof *finish->effect.set);
    if (!finish->effect.set)
        return failure_out_of_memory(&finish->failure);
    for (size_t i = 0; i < own->set_count; i++)
        finish->effect.set[i] = own->set[i];
    json_object_foreach((json_t *)finish->set, name, member) {
        add_assignment(finish, name, member);
    }
    return transition_find_checks(finish->plan->resource, &finish->effect, finish->arena) ||
           failure_out_of_memory(&finish->failure);
}

static bool plan_apply(struct operation_finish *finish) {
    const struct operation *operation = &finish->operation;
    const struct operation_turn success = {.state = OPERATION_SUCCEEDED,
                                           .detail = cut(finish->detail)};
    const struct movement movement = {.key = finish->key,
                                      .now = finish->now,
                                      .by = operation->requested_by,
                                      .request_id = operation->request_id,
                                      .operation = operation->id};
    size_t count;
    if (!transition_plan_end(finish->arena, finish->plan, finish->transition, &finish->effect,
                             &finish->end) ||
        !transition_plan_calls(&finish->end, &movement, finish->arena, finish->calls, &count))
        return false;
    struct call *call = &finish->calls[count++];
    if (!operation_plan_turn(operations(finish), operation, &success, finish->arena, call))
        return false;
    call->expect = 1;
    return submit(finish, FINISH_APPLY, JOB_WRITE, count);
}

static void succeed(struct operation_finish *finish) {
    if (!finish->transition || value_is_null(finish->key))
        give_up(finish, TEXT("the definitions do not have this transition any more"));
    else if (!make_effect(finish))
        go_on(finish, false);
    else if (!faults_none(&finish->faults))
        give_up_by_faults(finish);
    else
        go_on(finish, plan_apply(finish));
}

static bool look_at_record(struct operation_finish *finish) {
    return plan_read(finish->plan, finish->key, finish->arena, finish->calls) &&
           submit(finish, FINISH_LOOK, JOB_READ, 1);
}

// A record that was changed, as it would be: it must fit the definition, or the job is undone.
static bool check_changed(struct operation_finish *finish, const struct effect *effect,
                          const struct value *cells, bool is_other) {
    const struct resource *resource = finish->plan->resource;
    struct validation validation = {.resource = resource,
                                    .arena = finish->arena,
                                    .faults = &finish->faults,
                                    .now = finish->now};
    struct value *values =
        arena_allocate_zero(finish->arena, resource->property_count, sizeof *values);
    int64_t version;
    finish->faults.count = 0;
    return values && plan_values(finish->plan, cells, finish->arena, values, &version) &&
           (!is_other || transition_is_free(resource, values, &finish->failure)) &&
           transition_check(&validation, effect, values);
}

static void after_apply(struct operation_finish *finish, const struct outcome *outcome) {
    struct failure store;
    bool is_turn = outcome->call + 1 == finish->job.call_count;
    bool changed = finish->failure.code != FAILURE_NONE;
    if (outcome->kind == OUTCOME_DONE)
        end(finish);
    else if (outcome->kind == OUTCOME_UNEXPECTED && is_turn)
        read_again(finish);
    else if (outcome->kind == OUTCOME_UNEXPECTED)
        go_on(finish, look_at_record(finish));
    else if (outcome->kind == OUTCOME_FAILED && changed)
        give_up_by_failure(finish);
    else if (outcome->kind == OUTCOME_FAILED && !faults_none(&finish->faults))
        give_up_by_faults(finish);
    else if (outcome->kind == OUTCOME_OVERFLOW)
        give_up(finish, TEXT("a number of the record would leave its range"));
    else if (outcome->kind == OUTCOME_CONFLICT)
        give_up(finish, outcome->conflict == CONFLICT_UNIQUE
                            ? TEXT("another record has what must be unique")
                            : TEXT("the record would refer to what is not there"));
    else if (!outcome_failure(outcome, &store)) {
        finish->failure = store;
        end(finish);
    }
}

// The record did not change: it is gone, or its guard is closed, or there was no reason.
static void after_look(struct operation_finish *finish) {
    const struct resource *resource = finish->plan->resource;
    struct value held = finish->found ? finish->stored[resource->operation->index] : value_null();
    if (!finish->found)
        give_up(finish, TEXT("the record is gone"));
    else if (value_is_null(held) || !text_equal(held.text, finish->operation.id.text))
        give_up(finish, TEXT("the record is no longer held by this operation"));
    else if (!transition_guard_holds(resource, finish->transition, finish->stored, finish->now,
                                     finish->arena, &finish->failure))
        give_up_by_failure(finish);
    else
        read_again(finish);
}

// ---- What is to be done

// Which states an attempt that has ended may have led to by what its worker said. An answer that
// was lost makes a worker say it again.
static const bool leads_to[][OPERATION_STATES] = {
    [FINISH_SUCCEEDED] = {[OPERATION_SUCCEEDED] = true, [OPERATION_FAILED] = true},
    [FINISH_FAILED] =
        {[OPERATION_FAILED] = true, [OPERATION_QUEUED] = true, [OPERATION_CANCELLED] = true},
    [FINISH_CANCELLED] = {[OPERATION_CANCELLED] = true},
    [FINISH_RELEASED] = {[OPERATION_QUEUED] = true, [OPERATION_CANCELLED] = true},
    [FINISH_IMPOSSIBLE] = {[OPERATION_FAILED] = true, [OPERATION_CANCELLED] = true},
};

static bool may_retry(const struct operation_finish *finish) {
    return finish->kind == FINISH_FAILED && finish->transition &&
           finish->operation.failures < finish->transition->work->retries;
}

static void end_attempt(struct operation_finish *finish) {
    const struct operation *operation = &finish->operation;
    struct operation_turn to = {.detail = finish->detail};
    if (finish->kind == FINISH_CANCELLED ||
        (operation->cancel_requested && finish->kind != FINISH_IMPOSSIBLE)) {
        to.state = OPERATION_CANCELLED;
    } else if (finish->kind == FINISH_RELEASED) {
        to.state = OPERATION_QUEUED;
    } else {
        to.failed = true;
        to.state = may_retry(finish) ? OPERATION_QUEUED : OPERATION_FAILED;
        to.delay = operation_backoff(operation->failures + 1);
    }
    turn(finish, to);
}

static void finish_attempt(struct operation_finish *finish) {
    const struct operation *operation = &finish->operation;
    bool counts = operation->attempts == finish->attempt;
    if (counts && operation->state == OPERATION_RUNNING) {
        if (finish->kind == FINISH_SUCCEEDED)
            succeed(finish);
        else
            end_attempt(finish);
    } else if (counts && leads_to[finish->kind][operation->state]) {
        end(finish); // it was said before
    } else {
        fail(finish, FAILURE_OVERTAKEN,
             operation_has_ended(operation->state)
                 ? "the operation has ended otherwise: this result comes too late"
                 : "somebody else has claimed the operation since: this result comes too late");
    }
}

static bool ask_to_stop(struct operation_finish *finish) {
    if (!operation_plan_ask_cancel(operations(finish), &finish->operation, finish->arena,
                                   finish->calls))
        return false;
    finish->calls[0].expect = 1;
    return submit(finish, FINISH_ASK, JOB_WRITE, 1);
}

static void cancel(struct operation_finish *finish) {
    const struct operation *operation = &finish->operation;
    if (operation_has_ended(operation->state)) {
        failure_set(&finish->failure, FAILURE_OPERATION_ENDED, "the operation has ended: it %s%.*s",
                    operation->state == OPERATION_CANCELLED ? "was " : "",
                    TEXT_ARGS(operation_state_name(operation->state)));
        end(finish);
    } else if (operation->state == OPERATION_QUEUED) {
        turn(finish, (struct operation_turn){.state = OPERATION_CANCELLED});
    } else if (operation->cancel_requested) {
        end(finish);
    } else {
        go_on(finish, ask_to_stop(finish));
    }
}

// Its worker is gone, and so is everybody who tried.
static void end_lost(struct operation_finish *finish) {
    const struct operation *operation = &finish->operation;
    struct operation_turn to = {.state = OPERATION_CANCELLED, .is_late = true};
    if (operation->state != OPERATION_RUNNING) {
        end(finish);
        return;
    }
    if (!operation->cancel_requested) {
        to.state = OPERATION_FAILED;
        to.failed = true;
        to.detail =
            arena_format(finish->arena, "%d workers in a row claimed it and were heard of no more",
                         OPERATION_LOST_MAX);
    }
    turn(finish, to);
}

// Finds what the operation is about, as far as the definitions still have it.
static void find_record(struct operation_finish *finish) {
    const struct operation *operation = &finish->operation;
    struct failure ignored;
    finish->plan = catalogue_plan(finish->catalogue, operation->resource);
    finish->transition = NULL;
    finish->key = value_null();
    if (!finish->plan)
        return;
    const struct resource *resource = finish->plan->resource;
    const struct transition *transition = resource_transition(resource, operation->transition);
    if (transition && transition->work)
        finish->transition = transition;
    if (!validate_parameter(resource->key.property, operation->record, finish->arena, &finish->key,
                            &ignored))
        finish->key = value_null();
}

static void after_read(struct operation_finish *finish) {
    if (!finish->found) {
        fail(finish, FAILURE_NOT_FOUND, "operations has no record with this id");
        return;
    }
    find_record(finish);
    if (finish->kind == FINISH_CANCEL)
        cancel(finish);
    else if (finish->kind == FINISH_LOST)
        end_lost(finish);
    else
        finish_attempt(finish);
}

// ---- Rows and outcomes

static bool on_operation_row(struct operation_finish *finish, const struct value *cells) {
    const struct operation_plan *plan = operations(finish);
    finish->found = true;
    finish->version = plan_version(plan->table, cells);
    if (finish->out) {
        buffer_clear(finish->out);
        struct json_writer writer = json_writer_on(finish->out);
        encode_record(&writer, &plan->table->selection, cells);
    }
    return operation_read(plan, cells, finish->arena, &finish->row) &&
           !(finish->out && finish->out->failed);
}

static bool on_record_row(struct operation_finish *finish, const struct value *cells) {
    int64_t version;
    finish->found = true;
    finish->stored = arena_allocate_zero(finish->arena, finish->plan->resource->property_count,
                                         sizeof *finish->stored);
    return finish->stored &&
           plan_values(finish->plan, cells, finish->arena, finish->stored, &version);
}

static bool on_row(struct job *job, size_t call, const struct value *cells) {
    struct operation_finish *finish = job->owner;
    const struct statement *statement = job->calls[call].statement;
    if (finish->stage == FINISH_LOOK)
        return on_record_row(finish, cells);
    if (finish->stage == FINISH_APPLY && statement == &finish->end.move.statement)
        return check_changed(finish, &finish->effect, cells, false);
    if (finish->stage == FINISH_APPLY && statement == &finish->end.others.statement)
        return check_changed(finish, &finish->transition->others, cells, true);
    return call + 1 < job->call_count || on_operation_row(finish, cells);
}

static void on_restart(struct job *job) {
    struct operation_finish *finish = job->owner;
    finish->found = false;
    finish->faults.count = 0;
    finish->failure.code = FAILURE_NONE;
}

// Of jobs that change nothing but the operation.
static void after_simple(struct operation_finish *finish, const struct outcome *outcome) {
    if (outcome->kind == OUTCOME_UNEXPECTED) {
        read_again(finish);
    } else if (!outcome_failure(outcome, &finish->failure) || finish->stage != FINISH_READ) {
        end(finish);
    } else {
        after_read(finish);
    }
}

static void on_done(struct job *job, const struct outcome *outcome) {
    struct operation_finish *finish = job->owner;
    if (outcome->kind == OUTCOME_DONE && finish->stage != FINISH_LOOK && finish->found)
        finish->operation = finish->row;
    if (finish->stage == FINISH_APPLY)
        after_apply(finish, outcome);
    else if (finish->stage == FINISH_LOOK && outcome->kind == OUTCOME_DONE)
        after_look(finish);
    else
        after_simple(finish, outcome);
}

bool operation_finish_start(struct operation_finish *finish) {
    finish->now = clock_now();
    finish->failure.code = FAILURE_NONE;
    finish->faults = (struct faults){.arena = finish->arena};
    finish->rounds = 0;
    if (read_operation(finish))
        return true;
    return finish->failure.code != FAILURE_NONE ? false : failure_out_of_memory(&finish->failure);
}
