// The journey of a request, from its head to its answer. The table below is the whole of it; each
// step is a function that says what comes next, and only reading the body and the store may wait.

#include "api/exchange.h"

#include "api/authenticate.h"
#include "api/authorize.h"
#include "api/client_address.h"
#include "api/conditions.h"
#include "api/cors.h"
#include "api/encoding.h"
#include "api/idempotency.h"
#include "api/keys.h"
#include "api/negotiate.h"
#include "api/preferences.h"
#include "api/problem.h"
#include "api/rate_limits.h"
#include "api/representation.h"
#include "api/route.h"
#include "base/clock.h"
#include "resource/lenient.h"

#include <stdarg.h>

static enum step_result step_store(struct exchange *exchange);

static enum step_result step_prepare(struct exchange *exchange) {
    const struct handler *handler = exchange->handler;
    static const char *const none[] = {NULL};
    if (!handler->checks_parameters &&
        !negotiate_parameters(exchange, handler->parameters ? handler->parameters : none))
        return STEP_FAIL;
    return handler->prepare ? handler->prepare(exchange) : STEP_NEXT;
}

static enum step_result step_read_body(struct exchange *exchange) {
    if (!exchange->handler->reads_body)
        return STEP_NEXT;
    if (!exchange->handler->body_may_lack && !negotiate_content_type(exchange))
        return STEP_FAIL;
    // on_body resumes the exchange, maybe before http_read_body returns: the step is left first.
    exchange->step++;
    http_read_body(exchange->request);
    return STEP_WAIT;
}

static enum step_result step_parse(struct exchange *exchange) {
    const struct handler *handler = exchange->handler;
    if (!handler->reads_body || (handler->body_may_lack && exchange->request->body.size == 0))
        return STEP_NEXT;
    if (handler->body_may_lack && !negotiate_content_type(exchange))
        return STEP_FAIL;
    exchange->body = json_read(exchange->request->body, &exchange->failure);
    return exchange->body ? STEP_NEXT : STEP_FAIL;
}

// A JSON Patch names what it changes, so that has to be there.
static void forget_unknown_members(struct exchange *exchange) {
    const struct handler *handler = exchange->handler;
    if (handler->takes_record && exchange->body_type != BODY_JSON_PATCH)
        lenient_strip_record(exchange->plan->resource, exchange->body);
    if (handler->members)
        lenient_strip_others(handler->members, exchange->body);
}

static enum step_result step_validate(struct exchange *exchange) {
    if (prefers(&exchange->preferences, PREFER_LENIENT))
        forget_unknown_members(exchange);
    return exchange->handler->validate ? exchange->handler->validate(exchange) : STEP_NEXT;
}

static enum step_result step_plan(struct exchange *exchange) {
    exchange->job = (struct job){.calls = exchange->calls};
    exchange->outcome = (struct outcome){.kind = OUTCOME_DONE};
    return exchange->handler->plan ? exchange->handler->plan(exchange) : STEP_NEXT;
}

bool exchange_make_room(struct exchange *exchange, size_t call_count) {
    if (call_count <= exchange->call_room)
        return true;
    struct call *calls = arena_allocate_zero(&exchange->request->arena, call_count, sizeof *calls);
    if (!calls)
        return false;
    memcpy(calls, exchange->calls, exchange->call_room * sizeof *calls);
    exchange->calls = calls;
    exchange->call_room = call_count;
    exchange->job.calls = calls;
    return true;
}

static enum step_result step_settle(struct exchange *exchange) {
    return exchange->idempotency ? idempotency_settle(exchange)
                                 : exchange->handler->settle(exchange);
}

static enum step_result step_respond(struct exchange *exchange) {
    if (exchange->secret.size)
        keys_show_secret(exchange);
    const struct http_answer *answer = &exchange->answer;
    return answer->body.failed || answer->fields.failed ? exchange_out_of_memory(exchange)
                                                        : STEP_NEXT;
}

enum {
    AT_FIND_CLIENT,
    AT_IDENTIFY,
    AT_ROUTE,
    AT_AUTHENTICATE,
    AT_COUNT,
    AT_AUTHORIZE,
    AT_NEGOTIATE,
    AT_PREFER,
    AT_PREPARE,
    AT_CONDITIONS,
    AT_READ_KEY,
    AT_READ_BODY,
    AT_LOOK,
    AT_REPLAY,
    AT_PARSE,
    AT_VALIDATE,
    AT_PLAN,
    AT_STORE,
    AT_SETTLE,
    AT_REPRESENT,
    AT_ENCODE,
    AT_RESPOND,
    AT_END
};

static enum step_result (*const steps[AT_END])(struct exchange *exchange) = {
    [AT_FIND_CLIENT] = client_address_find, // from where it comes
    [AT_IDENTIFY] = identify_request,       // its id, the query's parameters, the key it brings
    [AT_ROUTE] = route_request,             // which handler
    [AT_AUTHENTICATE] = authenticate,       // who asks; may wait
    [AT_COUNT] = rate_limits_count,         // may they ask as often as that
    [AT_AUTHORIZE] = authorize,             // may they
    [AT_NEGOTIATE] = negotiate_accept,      // in which representation
    [AT_PREFER] = preferences_read,         // what else the client would like
    [AT_PREPARE] = step_prepare,            // the path's key and the parameters
    [AT_CONDITIONS] = conditions_read,      // the fields that say in which case to go on
    [AT_READ_KEY] = idempotency_read,       // whether it may be done only once
    [AT_READ_BODY] = step_read_body,        // may wait
    [AT_LOOK] = idempotency_look,           // was it done before; may wait
    [AT_REPLAY] = idempotency_replay,       // then its answer is given again
    [AT_PARSE] = step_parse,                // the body as JSON
    [AT_VALIDATE] = step_validate,          // the body as a record
    [AT_PLAN] = step_plan,                  // which statements
    [AT_STORE] = step_store,                // may wait
    [AT_SETTLE] = step_settle,              // what the outcome means; may go back to "plan"
    [AT_REPRESENT] = represent,   // the fields about the content; or that it is known already
    [AT_ENCODE] = encoding_apply, // the body as gzip; may wait
    [AT_RESPOND] = step_respond,  // nothing failed for want of memory
};

static void release(struct exchange *exchange) {
    if (exchange->handler && exchange->handler->release)
        exchange->handler->release(exchange);
    json_decref(exchange->body);
    json_decref(exchange->merged);
    identity_release(&exchange->identity);
    catalogue_release(exchange->catalogue);
}

static void count_use(struct exchange *exchange, unsigned status) {
    const struct identity *identity = &exchange->identity;
    if (identity->kind == IDENTITY_KEY)
        usage_count(&exchange->service->usage, identity->key_id, exchange->now, status);
}

// The fields that every answer has.
static void write_common_fields(struct exchange *exchange, struct http_answer *answer) {
    http_answer_field(answer, "X-Request-Id", exchange->request_id);
    authenticate_tell_end(exchange, answer);
    rate_limits_tell(exchange, answer);
    if (exchange->failure.code == FAILURE_NONE)
        preferences_tell(exchange, answer);
    cors_write(&exchange->service->options->cors_origins, exchange->request, answer);
}

void exchange_stream_begin(struct exchange *exchange, bool endless) {
    write_common_fields(exchange, &exchange->answer);
    count_use(exchange, exchange->answer.status);
    http_stream_begin(exchange->request, &exchange->answer, endless);
    exchange->streams = true;
}

// The exchange is gone with the request.
static void end_stream(struct exchange *exchange, void (*end)(struct http_request *request)) {
    struct http_request *request = exchange->request;
    buffer_free(&exchange->answer.fields);
    buffer_free(&exchange->answer.body);
    release(exchange);
    end(request);
}

static void answer(struct exchange *exchange) {
    struct http_request *request = exchange->request;
    struct http_answer answer = exchange->answer;
    if (exchange->whole) {
        release(exchange);
        exchange->on_answered(exchange); // which may start it again, or free it
        return;
    }
    if (exchange->streams) {
        end_stream(exchange, http_stream_end);
        return;
    }
    write_common_fields(exchange, &answer);
    count_use(exchange, answer.status);
    release(exchange);
    http_answer(request, &answer); // the exchange is gone with the request
}

void exchange_abandon(struct exchange *exchange) {
    exchange->answer.status = 400; // for the log; the client has gone
    answer(exchange);
}

// The status is out already: all that can be said is that the stream is not complete.
static void break_off(struct exchange *exchange) {
    if (!exchange->request->gone)
        log_warning(exchange->service->options->log, "request %.*s broke off: %s",
                    TEXT_ARGS(exchange->request_id), exchange->failure.detail);
    end_stream(exchange, http_stream_abort);
}

static void fail(struct exchange *exchange) {
    if (exchange->streams) {
        break_off(exchange);
        return;
    }
    buffer_clear(&exchange->answer.body);
    buffer_clear(&exchange->answer.fields);
    problem_write(&exchange->failure, &exchange->faults, exchange->request_id, &exchange->answer);
    if (exchange->failure.code == FAILURE_METHOD_NOT_ALLOWED)
        route_allow(exchange, &exchange->answer);
    authorize_challenge(exchange, &exchange->answer);
    if (exchange->failure.code == FAILURE_UNSUPPORTED_MEDIA_TYPE)
        negotiate_explain_body(exchange, &exchange->answer);
    if (failure_status(exchange->failure.code) == 500)
        log_error(exchange->service->options->log, "request %.*s: %s",
                  TEXT_ARGS(exchange->request_id), exchange->failure.detail);
    answer(exchange);
}

static size_t next_step(size_t step, enum step_result result) {
    switch (result) {
    case STEP_REPEAT: return AT_PLAN;
    case STEP_ANSWERED: return AT_ENCODE;
    default: return step + 1;
    }
}

void exchange_resume(struct exchange *exchange) {
    while (exchange->step < AT_END) {
        enum step_result result = steps[exchange->step](exchange);
        if (result == STEP_WAIT)
            return;
        if (result == STEP_FAIL) {
            fail(exchange);
            return;
        }
        exchange->step = next_step(exchange->step, result);
    }
    answer(exchange);
}

void exchange_start(struct service *service, struct http_request *request) {
    struct exchange *exchange = arena_allocate_zero(&request->arena, 1, sizeof *exchange);
    if (!exchange) {
        struct failure failure;
        struct http_answer answer = {0};
        failure_out_of_memory(&failure);
        exchange_explain(service, request, &failure, &answer);
        http_answer(request, &answer);
        return;
    }
    exchange->service = service;
    exchange->request = request;
    exchange->catalogue = catalogue_retain(service->catalogue);
    exchange->faults.arena = &request->arena;
    exchange->now = clock_now();
    exchange->calls = exchange->few_calls;
    exchange->call_room = EXCHANGE_FEW_CALLS;
    exchange->answer = http_answer_begin(request, 200);
    request->owner = exchange;
    exchange_resume(exchange);
}

void exchange_start_part(struct exchange *part, struct exchange *whole,
                         struct http_request *part_request, const struct handler *handler,
                         void (*on_answered)(struct exchange *part)) {
    struct http_answer answer = {.status = 200, .fields = part->answer.fields};
    answer.body = part->answer.body;
    buffer_clear(&answer.fields);
    buffer_clear(&answer.body);
    *part =
        (struct exchange){.service = whole->service,
                          .request = part_request,
                          .catalogue = catalogue_retain(whole->catalogue),
                          .step = AT_PARSE,
                          .request_id = whole->request_id,
                          .identity = identity_copy(&whole->identity),
                          .handler = handler,
                          .plan = whole->plan,
                          .preferences.applied = whole->preferences.applied & 1U << PREFER_LENIENT,
                          .now = clock_now(),
                          .call_room = EXCHANGE_FEW_CALLS,
                          .answer = answer,
                          .faults.arena = &part_request->arena,
                          .whole = whole,
                          .on_answered = on_answered};
    part->calls = part->few_calls;
    exchange_resume(part);
}

static bool on_row(struct job *job, size_t call, const struct value *cells) {
    struct exchange *exchange = job->owner;
    return exchange->idempotency ? idempotency_on_row(exchange, call, cells)
                                 : exchange->handler->on_row(exchange, call, cells);
}

static bool on_late(struct job *job, size_t call) {
    struct exchange *exchange = job->owner;
    return !exchange->idempotency || idempotency_on_late(exchange, call);
}

void exchange_forget(struct exchange *exchange) {
    exchange->rows = 0;
    buffer_clear(&exchange->answer.body);
    buffer_clear(&exchange->answer.fields);
    exchange->writer = json_writer_on(&exchange->answer.body);
    if (exchange->idempotency)
        idempotency_on_restart(exchange);
}

static void on_restart(struct job *job) {
    exchange_forget(job->owner);
}

static void on_done(struct job *job, const struct outcome *outcome) {
    struct exchange *exchange = job->owner;
    exchange->job_is_out = false;
    exchange->outcome = *outcome;
    if (job->kind == JOB_WRITE && exchange->handler->on_written)
        exchange->handler->on_written(exchange);
    exchange_resume(exchange);
}

// Of a query, which is not after that of all that the request asks of the store.
static uint64_t deadline(struct exchange *exchange) {
    uint64_t now = clock_monotonic();
    uint64_t end = now + exchange->service->options->query_timeout;
    if (!prefers(&exchange->preferences, PREFER_WAIT))
        return end;
    if (!exchange->patience)
        exchange->patience = now + 1000ULL * exchange->preferences.wait;
    return end < exchange->patience ? end : exchange->patience;
}

enum step_result exchange_submit(struct exchange *exchange) {
    struct job *job = &exchange->job;
    job->owner = exchange;
    job->on_row = on_row;
    job->on_late = on_late;
    job->on_restart = on_restart;
    job->on_done = on_done;
    job->deadline = deadline(exchange);
    exchange_forget(exchange);
    if (!store_submit(exchange->service->session, job))
        return exchange_fail(exchange, FAILURE_QUEUE_FULL,
                             "too many requests wait for the database; try again");
    exchange->job_is_out = true;
    exchange->step++;
    return STEP_WAIT;
}

static enum step_result step_store(struct exchange *exchange) {
    if (exchange->job.call_count == 0)
        return STEP_NEXT;
    if (exchange->idempotency && !idempotency_guard(exchange))
        return exchange_out_of_memory(exchange);
    exchange->round++;
    return exchange_submit(exchange);
}

enum step_result exchange_fail(struct exchange *exchange, enum failure_code code,
                               const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    failure_set_list(&exchange->failure, code, format, arguments);
    va_end(arguments);
    return STEP_FAIL;
}

enum step_result exchange_out_of_memory(struct exchange *exchange) {
    failure_out_of_memory(&exchange->failure);
    return STEP_FAIL;
}

void exchange_explain(struct service *service, const struct http_request *request,
                      const struct failure *failure, struct http_answer *answer) {
    char made[REQUEST_ID_SIZE];
    struct text id = request_id(service, request, made);
    problem_write(failure, NULL, id, answer);
    http_answer_field(answer, "X-Request-Id", id);
    cors_write(&service->options->cors_origins, request, answer);
}
