#include "api/operations.h"

#include "api/authorize.h"
#include "api/operation_body.h"
#include "api/records_shared.h"
#include "base/clock.h"

enum { LOOK_LEAST = 20 }; // milliseconds from one look for work to the next

// What is done with an operation. Who may do it is known when it was read.
struct operating {
    struct operation operation;
    struct operation_body body;
    struct operation_finish finish;
    struct operation_claim claim;
    struct claimable *claimables;
    struct waiter waiter;
    uint64_t until; // uv_now(), to which it may wait
    bool slept;     // it has waited, and should look again
    bool began_it;  // the request that began the operation
};

enum operating_stage {
    OPERATING_READ, // the operation
    OPERATING_WORK, // what is asked for
    OPERATING_DONE, // it has been done
};

static const struct operation_plan *plans(const struct exchange *exchange) {
    return &exchange->catalogue->operations;
}

static enum step_result prepare(struct exchange *exchange) {
    exchange->operating = arena_allocate_zero(arena_of(exchange), 1, sizeof *exchange->operating);
    return exchange->operating ? STEP_NEXT : exchange_out_of_memory(exchange);
}

static enum step_result prepare_one(struct exchange *exchange) {
    enum step_result prepared = prepare(exchange);
    return prepared == STEP_NEXT ? record_read_key(exchange) : prepared;
}

static enum step_result prepare_work(struct exchange *exchange) {
    enum step_result known = authorize_somebody(exchange);
    return known == STEP_NEXT ? prepare_one(exchange) : known;
}

// ---- Waiting

static const char *const wait_parameters[] = {"wait", NULL};

static uint64_t now_of(const struct exchange *exchange) {
    return uv_now(exchange->service->loop);
}

static enum step_result read_wait(struct exchange *exchange) {
    int64_t seconds = 0;
    for (size_t i = 0; i < exchange->parameter_count; i++) {
        if (i > 0 || !text_to_integer(exchange->parameters[i].value, &seconds) || seconds < 0 ||
            seconds > OPERATIONS_WAIT_MOST)
            return exchange_fail(exchange, FAILURE_INVALID_PARAMETER,
                                 "wait is given once, and is a whole number of seconds from 0 to "
                                 "%d",
                                 OPERATIONS_WAIT_MOST);
    }
    exchange->operating->until = now_of(exchange) + (uint64_t)seconds * 1000;
    return STEP_NEXT;
}

static bool may_wait(const struct exchange *exchange) {
    return waiters_can(&exchange->service->waiters) && !exchange->request->gone &&
           now_of(exchange) < exchange->operating->until;
}

// Looks again, by the step "plan", when that may show something else: now, or later.
static enum step_result look_again(struct exchange *exchange, uint64_t until) {
    struct operating *operating = exchange->operating;
    if (operating->until < until)
        until = operating->until;
    operating->waiter.exchange = exchange;
    operating->slept = waiters_sleep(&exchange->service->waiters, &operating->waiter, until);
    if (operating->slept)
        return STEP_WAIT;
    return operating->waiter.of ? STEP_REPEAT : exchange_out_of_memory(exchange);
}

static bool woke_up(struct exchange *exchange) {
    bool slept = exchange->operating->slept;
    exchange->operating->slept = false;
    return slept;
}

static enum step_result stop_waiting(struct exchange *exchange, enum step_result result) {
    waiters_leave(&exchange->operating->waiter);
    return result;
}

// ---- Reading

static bool on_operation_row(struct exchange *exchange, size_t call, const struct value *cells) {
    const struct operation_plan *plan = plans(exchange);
    exchange->rows++;
    exchange->version = plan_version(plan->table, cells);
    encode_record(&exchange->writer, &plan->table->selection, cells);
    return operation_read(plan, cells, arena_of(exchange), &exchange->operating->operation) &&
           !exchange->answer.body.failed;
}

// Whether the operation was read; the failure is set otherwise.
static bool is_there(struct exchange *exchange) {
    if (!record_is_done(exchange))
        return false;
    if (exchange->rows == 0)
        record_missing(exchange);
    return exchange->rows > 0;
}

static enum step_result answer_operation(struct exchange *exchange) {
    return record_answer_whole(exchange, 200);
}

// ---- Lists: the operations of those resources that the caller may read

static bool is_readable(const struct exchange *exchange, const struct resource *resource) {
    return resource->operation && authorize_may(exchange, resource, ACTION_READ);
}

// NULL when there is no memory.
static const struct expression *readable_filter(struct exchange *exchange, struct text *ret_name) {
    const struct catalogue *catalogue = exchange->catalogue;
    const struct property *property = resource_property(resource_of(exchange), TEXT("resource"));
    struct value *names =
        arena_allocate_zero(arena_of(exchange), catalogue->resource_count + 1, sizeof *names);
    struct buffer all = {0};
    size_t count = 0;
    names[0] = value_text(VALUE_TEXT, TEXT("")); // which none is called
    for (size_t i = 0; names && i < catalogue->resource_count; i++) {
        const struct resource *resource = catalogue->resources[i];
        if (!is_readable(exchange, resource))
            continue;
        names[count++] = value_text(VALUE_TEXT, resource->name);
        buffer_append_text(&all, resource->name);
        buffer_append_byte(&all, ' ');
    }
    struct text name = {NULL, 0};
    if (!all.failed)
        name = arena_copy(arena_of(exchange), count ? buffer_text(&all) : TEXT(""));
    buffer_free(&all);
    *ret_name = name;
    if (!names || !name.data)
        return NULL;
    return count > 1 ? expression_any(arena_of(exchange), property, names, count)
                     : expression_equal(arena_of(exchange), property, names[0]);
}

static enum step_result prepare_list(struct exchange *exchange) {
    struct query_scope scope = {.resource = resource_of(exchange)};
    if (!authorize_is_admin(exchange)) {
        scope.filter = readable_filter(exchange, &scope.name);
        if (!scope.filter)
            return exchange_out_of_memory(exchange);
    }
    return record_prepare_list(exchange, &scope);
}

const struct handler operations_list = {
    .action = ACTION_LIST,
    .checks_parameters = true,
    .conditions = CONDITIONS_READ,
    .prepare = prepare_list,
    .plan = record_plan_page,
    .on_row = record_on_page_row,
    .settle = record_settle_page,
};

// ---- One

static enum step_result prepare_read(struct exchange *exchange) {
    enum step_result prepared = prepare_one(exchange);
    return prepared == STEP_NEXT ? read_wait(exchange) : prepared;
}

// Whoever began it knows of it already.
static enum step_result may_read(struct exchange *exchange) {
    const struct operating *operating = exchange->operating;
    return operating->began_it
               ? STEP_NEXT
               : authorize_verb(exchange, operating->operation.resource, TEXT("read"));
}

static enum step_result answer_read(struct exchange *exchange) {
    const struct operating *operating = exchange->operating;
    enum step_result answered = answer_operation(exchange);
    if (!operating->began_it)
        return answered;
    exchange->answer.status = operation_has_ended(operating->operation.state) ? 200 : 202;
    buffer_append_string(&exchange->answer.fields, "Location: /operations/");
    buffer_append_text(&exchange->answer.fields, exchange->key.text);
    buffer_append_string(&exchange->answer.fields, "\r\n");
    return answered;
}

static enum step_result settle_read(struct exchange *exchange) {
    struct operating *operating = exchange->operating;
    if (woke_up(exchange))
        return STEP_REPEAT;
    if (!is_there(exchange))
        return stop_waiting(exchange, STEP_FAIL);
    enum step_result allowed = may_read(exchange);
    if (allowed != STEP_NEXT)
        return stop_waiting(exchange, allowed);
    operating->waiter.operation = operating->operation.id.text;
    if (!operation_has_ended(operating->operation.state) && may_wait(exchange))
        return look_again(exchange, operating->until);
    return stop_waiting(exchange, answer_read(exchange));
}

// The conditions were about the record.
static const struct handler operations_begun = {
    .action = ACTION_READ,
    .plan = record_plan_read,
    .on_row = on_operation_row,
    .settle = settle_read,
};

enum step_result operations_await(struct exchange *exchange, struct value id, unsigned seconds) {
    if (prepare(exchange) != STEP_NEXT)
        return STEP_FAIL;
    if (seconds > OPERATIONS_WAIT_MOST)
        seconds = OPERATIONS_WAIT_MOST;
    exchange->operating->began_it = true;
    exchange->patience = UINT64_MAX; // it is spent here, and not on the store
    exchange->operating->until = now_of(exchange) + (uint64_t)seconds * 1000;
    exchange->key = id;
    exchange->plan = plans(exchange)->table;
    exchange->media = MEDIA_JSON;
    exchange->handler = &operations_begun;
    return STEP_REPEAT;
}

const struct handler operations_read = {
    .action = ACTION_READ,
    .parameters = wait_parameters,
    .conditions = CONDITIONS_READ,
    .prepare = prepare_read,
    .plan = record_plan_read,
    .on_row = on_operation_row,
    .settle = settle_read,
};

// ---- What ends an attempt, or the operation

static void on_finished(struct operation_finish *finish) {
    struct exchange *exchange = finish->owner;
    exchange->is_busy = false;
    exchange->stage = OPERATING_DONE;
    exchange_resume(exchange);
}

static enum step_result begin_finish(struct exchange *exchange, enum finish_kind kind) {
    struct operating *operating = exchange->operating;
    operating->finish =
        (struct operation_finish){.session = exchange->service->session,
                                  .catalogue = exchange->catalogue,
                                  .arena = arena_of(exchange),
                                  .patience = exchange->service->options->query_timeout,
                                  .kind = kind,
                                  .id = exchange->key,
                                  .attempt = operating->body.attempt,
                                  .set = operating->body.set,
                                  .detail = operating->body.detail,
                                  .out = &exchange->answer.body,
                                  .owner = exchange,
                                  .on_done = on_finished};
    exchange->is_busy = operation_finish_start(&operating->finish);
    if (exchange->is_busy)
        return STEP_WAIT;
    exchange->failure = operating->finish.failure;
    return STEP_FAIL;
}

// Reads, then has it done, then goes on to the answer.
static enum step_result plan_finish(struct exchange *exchange, enum finish_kind kind) {
    if (exchange->stage == OPERATING_READ)
        return record_plan_read(exchange);
    return exchange->stage == OPERATING_WORK ? begin_finish(exchange, kind) : STEP_NEXT;
}

static enum step_result settle_finish(struct exchange *exchange, struct text verb) {
    const struct operation_finish *finish = &exchange->operating->finish;
    if (exchange->stage == OPERATING_DONE) {
        exchange->failure = finish->failure;
        exchange->version = finish->version;
        return finish->failure.code == FAILURE_NONE ? answer_operation(exchange) : STEP_FAIL;
    }
    if (!is_there(exchange))
        return STEP_FAIL;
    exchange->stage = OPERATING_WORK;
    enum step_result allowed =
        authorize_verb(exchange, exchange->operating->operation.resource, verb);
    return allowed == STEP_NEXT ? STEP_REPEAT : allowed;
}

static enum step_result validate_cancel(struct exchange *exchange) {
    struct operation_body nothing;
    if (exchange->body)
        operation_body_read(exchange->body, 0, 0, &exchange->faults, &nothing);
    return faults_none(&exchange->faults) ? STEP_NEXT : record_invalid(exchange);
}

static enum step_result plan_cancel(struct exchange *exchange) {
    return plan_finish(exchange, FINISH_CANCEL);
}

static enum step_result settle_cancel(struct exchange *exchange) {
    return settle_finish(exchange, exchange->operating->operation.transition);
}

const struct handler operations_cancel = {
    .action = ACTIONS,
    .each = true,
    .reads_body = true,
    .body_may_lack = true,
    .prepare = prepare_one,
    .validate = validate_cancel,
    .plan = plan_cancel,
    .on_row = on_operation_row,
    .settle = settle_cancel,
};

// ---- For workers

static enum step_result read_body(struct exchange *exchange, unsigned may, unsigned must) {
    operation_body_read(exchange->body, may, must, &exchange->faults, &exchange->operating->body);
    return faults_none(&exchange->faults) ? STEP_NEXT : record_invalid(exchange);
}

static enum step_result validate_finish(struct exchange *exchange) {
    return read_body(exchange, MEMBER_ATTEMPT | MEMBER_STATE | MEMBER_SET | MEMBER_DETAIL,
                     MEMBER_ATTEMPT | MEMBER_STATE);
}

static enum step_result plan_worker_finish(struct exchange *exchange) {
    return plan_finish(exchange, exchange->operating->body.kind);
}

static enum step_result settle_worker_finish(struct exchange *exchange) {
    return settle_finish(exchange, TEXT("run"));
}

const struct handler operations_finish = {
    .action = ACTIONS,
    .each = true,
    .reads_body = true,
    .prepare = prepare_work,
    .validate = validate_finish,
    .plan = plan_worker_finish,
    .on_row = on_operation_row,
    .settle = settle_worker_finish,
};

static enum step_result validate_beat(struct exchange *exchange) {
    return read_body(exchange, MEMBER_ATTEMPT | MEMBER_PROGRESS | MEMBER_DETAIL | MEMBER_LEASE,
                     MEMBER_ATTEMPT);
}

static struct text cut(struct text detail) {
    if (detail.size > OPERATION_DETAIL_MAX)
        detail = text_whole_characters(text_of(detail.data, OPERATION_DETAIL_MAX));
    return detail;
}

static enum step_result plan_beat(struct exchange *exchange) {
    const struct operation_body *body = &exchange->operating->body;
    if (exchange->stage == OPERATING_READ)
        return record_plan_read(exchange);
    return record_job(exchange, JOB_WRITE,
                      operation_plan_beat(plans(exchange), exchange->key, body->attempt,
                                          body->progress, cut(body->detail), body->lease,
                                          arena_of(exchange), exchange->calls));
}

static enum step_result settle_beat(struct exchange *exchange) {
    if (exchange->stage == OPERATING_WORK && record_is_done(exchange) && exchange->rows == 0)
        return exchange_fail(exchange, FAILURE_OVERTAKEN,
                             "the operation has ended, or somebody else has claimed it since: this "
                             "attempt counts no more");
    if (!is_there(exchange))
        return STEP_FAIL;
    if (exchange->stage == OPERATING_WORK)
        return answer_operation(exchange);
    exchange->stage = OPERATING_WORK;
    enum step_result allowed =
        authorize_verb(exchange, exchange->operating->operation.resource, TEXT("run"));
    return allowed == STEP_NEXT ? STEP_REPEAT : allowed;
}

const struct handler operations_beat = {
    .action = ACTIONS,
    .each = true,
    .reads_body = true,
    .prepare = prepare_work,
    .validate = validate_beat,
    .plan = plan_beat,
    .on_row = on_operation_row,
    .settle = settle_beat,
};

// ---- Claims

static enum step_result prepare_claim(struct exchange *exchange) {
    enum step_result known = authorize_somebody(exchange);
    if (known == STEP_NEXT)
        known = prepare(exchange);
    return known == STEP_NEXT ? read_wait(exchange) : known;
}

// "packages.download"
static bool find_claimable(const struct exchange *exchange, struct text name,
                           struct claimable *ret_claimable) {
    struct text transition = name;
    struct text resource = {"", 0};
    text_split(&transition, '.', &resource);
    const struct plan *plan = catalogue_plan(exchange->catalogue, resource);
    *ret_claimable = (struct claimable){.plan = plan};
    if (plan && transition.data)
        ret_claimable->transition = resource_transition(plan->resource, transition);
    return ret_claimable->transition && ret_claimable->transition->work;
}

static void note_unknown(struct exchange *exchange, size_t index) {
    struct text pointer = arena_format(arena_of(exchange), "/transitions/%zu", index);
    if (pointer.data)
        faults_add(&exchange->faults, pointer,
                   "is no long transition; one is written as RESOURCE.TRANSITION");
    else
        exchange->faults.out_of_memory = true;
}

static enum step_result find_claimables(struct exchange *exchange, const json_t *names) {
    struct operating *operating = exchange->operating;
    size_t count = json_array_size(names);
    operating->claimables =
        arena_allocate_zero(arena_of(exchange), count, sizeof *operating->claimables);
    if (!operating->claimables)
        return exchange_out_of_memory(exchange);
    for (size_t i = 0; i < count; i++) {
        struct claimable *claimable = &operating->claimables[i];
        if (!find_claimable(exchange, json_text(json_array_get(names, i)), claimable))
            note_unknown(exchange, i);
        else if (authorize_verb(exchange, claimable->plan->resource->name, TEXT("run")) !=
                 STEP_NEXT)
            return STEP_FAIL;
    }
    operating->claim.claimable_count = count;
    operating->waiter.claimables = operating->claimables;
    operating->waiter.claimable_count = count;
    return faults_none(&exchange->faults) ? STEP_NEXT : record_invalid(exchange);
}

static enum step_result validate_claim(struct exchange *exchange) {
    enum step_result read =
        read_body(exchange, MEMBER_TRANSITIONS | MEMBER_WORKER | MEMBER_LEASE, MEMBER_TRANSITIONS);
    return read == STEP_NEXT ? find_claimables(exchange, exchange->operating->body.transitions)
                             : read;
}

static void on_claimed(struct operation_claim *claim) {
    struct exchange *exchange = claim->owner;
    exchange->is_busy = false;
    exchange->stage = OPERATING_DONE;
    exchange_resume(exchange);
}

static enum step_result plan_claim(struct exchange *exchange) {
    struct operating *operating = exchange->operating;
    if (exchange->stage == OPERATING_DONE)
        return STEP_NEXT;
    operating->claim =
        (struct operation_claim){.session = exchange->service->session,
                                 .catalogue = exchange->catalogue,
                                 .arena = arena_of(exchange),
                                 .patience = exchange->service->options->query_timeout,
                                 .claimables = operating->claimables,
                                 .claimable_count = operating->claim.claimable_count,
                                 .worker = operating->body.worker,
                                 .lease = operating->body.lease,
                                 .out = &exchange->answer.body,
                                 .owner = exchange,
                                 .on_done = on_claimed};
    exchange->is_busy = operation_claim_start(&operating->claim);
    if (exchange->is_busy)
        return STEP_WAIT;
    exchange->failure = operating->claim.failure;
    return STEP_FAIL;
}

static void write_work(struct json_writer *writer, const struct work *work) {
    json_write_name(writer, TEXT("run"));
    if (work->command_count) {
        json_write_array_begin(writer);
        for (size_t i = 0; i < work->command_count; i++)
            json_write_string(writer, work->command[i]);
        json_write_array_end(writer);
    } else {
        json_write_null(writer);
    }
    json_write_name(writer, TEXT("environment"));
    json_write_object_begin(writer);
    for (size_t i = 0; i < work->environment_count; i++) {
        json_write_name(writer, work->environment[i].name);
        json_write_string(writer, work->environment[i].value);
    }
    json_write_object_end(writer);
    json_write_name(writer, TEXT("time_limit_seconds"));
    json_write_integer(writer, (work->time_limit + 999) / 1000);
}

// The body is the operation so far.
static enum step_result answer_claim(struct exchange *exchange) {
    const struct operation_claim *claim = &exchange->operating->claim;
    struct buffer *body = &exchange->answer.body;
    struct text operation = arena_copy(arena_of(exchange), buffer_text(body));
    if (!operation.data)
        return exchange_out_of_memory(exchange);
    buffer_clear(body);
    struct json_writer writer = json_writer_on(body);
    json_write_object_begin(&writer);
    json_write_name(&writer, TEXT("operation"));
    json_write_raw(&writer, operation);
    json_write_name(&writer, TEXT("attempt"));
    json_write_integer(&writer, claim->operation.attempts);
    json_write_name(&writer, TEXT("record"));
    operation_write_record(&writer, claim->claimed->plan->resource, claim->record);
    write_work(&writer, claim->claimed->transition->work);
    json_write_object_end(&writer);
    http_answer_field(&exchange->answer, "Cache-Control", TEXT("no-store"));
    return record_answer(exchange, 200, (struct etag){.kind = ETAG_NONE});
}

// Nothing is due before `idle` is over, unless somebody is told otherwise meanwhile.
static enum step_result wait_for_work(struct exchange *exchange) {
    int64_t idle = exchange->operating->claim.idle;
    uint64_t pause = idle < LOOK_LEAST ? LOOK_LEAST : (uint64_t)idle;
    uint64_t until = exchange->operating->until;
    if (pause < until - now_of(exchange))
        until = now_of(exchange) + pause;
    exchange->stage = OPERATING_READ;
    return look_again(exchange, until);
}

static enum step_result settle_claim(struct exchange *exchange) {
    const struct operation_claim *claim = &exchange->operating->claim;
    if (woke_up(exchange) && exchange->request->gone) // nobody would do what it claims
        return stop_waiting(
            exchange, exchange_fail(exchange, FAILURE_REQUEST_TIMEOUT, "the client has gone"));
    if (exchange->stage == OPERATING_READ)
        return STEP_REPEAT;
    exchange->failure = claim->failure;
    if (claim->failure.code != FAILURE_NONE)
        return stop_waiting(exchange, STEP_FAIL);
    if (claim->claimed)
        return stop_waiting(exchange, answer_claim(exchange));
    if (may_wait(exchange))
        return wait_for_work(exchange);
    exchange->answer.status = 204;
    return stop_waiting(exchange, STEP_NEXT);
}

const struct handler operations_claim = {
    .action = ACTIONS,
    .each = true,
    .reads_body = true,
    .parameters = wait_parameters,
    .prepare = prepare_claim,
    .validate = validate_claim,
    .plan = plan_claim,
    .settle = settle_claim,
};
