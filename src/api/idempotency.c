#include "api/idempotency.h"

#include "api/negotiate.h"
#include "api/representation.h"
#include "base/digest.h"
#include "base/timestamp.h"

enum { KEY_MAX = 255 };

// The calls of a guarded job: those before the handler's, and the one behind them.
enum { GUARDS_MAX = 2, KEEPS = 1 };

struct idempotency {
    struct text key;
    unsigned char id[DIGEST_SIZE];
    unsigned char fingerprint[DIGEST_SIZE];
    char now[TIMESTAMP_SIZE];
    char expires[TIMESTAMP_SIZE];
    struct value lock_parameter;
    struct value find_parameters[2];
    struct value keep_parameters[7];

    // The kept answer that a job found.
    bool found;
    bool same; // it is of this very request
    unsigned status;
    struct text fields;
    struct text body;

    // The handler's job while it is guarded.
    struct call *calls;
    size_t call_count;
    size_t guards; // calls before the handler's; 0: the job is not guarded

    // What the handler made of the rows that came, and what it must not have done where the job is
    // undone.
    bool settled;
    enum step_result result;
    unsigned stage;
    size_t fault_count;
};

static const struct idempotency_plan *plan_of(const struct exchange *exchange) {
    return &exchange->catalogue->idempotency;
}

// ---- The field

static bool is_key_character(char c) {
    return c > ' ' && c <= '~' && c != '"' && c != '\\' && c != ',' && c != ';';
}

static bool read_bare(struct text value, struct text *ret_key) {
    for (size_t i = 0; i < value.size; i++)
        if (!is_key_character(value.data[i]))
            return false;
    *ret_key = value;
    return true;
}

// A String of RFC 9651 section 3.3.3, without spaces.
static bool read_quoted(struct exchange *exchange, struct text value, struct text *ret_key) {
    char *out = arena_allocate(&exchange->request->arena, value.size);
    size_t size = 0;
    size_t i = 1;
    if (!out)
        return false;
    for (; i < value.size && value.data[i] != '"'; i++) {
        char c = value.data[i];
        if (c == '\\' && ++i < value.size)
            c = value.data[i] == '"' || value.data[i] == '\\' ? value.data[i] : ' ';
        if (c <= ' ' || c > '~')
            return false;
        out[size++] = c;
    }
    *ret_key = text_of(out, size);
    return i + 1 == value.size;
}

static size_t count_fields(const struct http_request *request, struct text name) {
    size_t count = 0;
    for (size_t i = 0; i < request->field_count; i++)
        count += text_equal_ignoring_case(request->fields[i].name, name);
    return count;
}

static bool read_key(struct exchange *exchange, struct text value, struct text *ret_key) {
    bool quoted = value.size && value.data[0] == '"';
    return count_fields(exchange->request, TEXT("Idempotency-Key")) == 1 &&
           (quoted ? read_quoted(exchange, value, ret_key) : read_bare(value, ret_key)) &&
           ret_key->size > 0 && ret_key->size <= KEY_MAX;
}

// Other methods need no key: they are idempotent by themselves.
static bool takes_key(const struct exchange *exchange) {
    enum http_method method = exchange->request->method;
    return exchange->handler->action != ACTIONS &&
           (method == HTTP_METHOD_POST || method == HTTP_METHOD_PATCH);
}

enum step_result idempotency_read(struct exchange *exchange) {
    struct text value = http_field(exchange->request, "Idempotency-Key");
    struct text key;
    if (!value.data || !takes_key(exchange))
        return STEP_NEXT;
    if (exchange->identity.state == KEY_UNCHECKED || exchange->identity.state == KEY_UNASKED)
        return exchange_fail(exchange, FAILURE_UNAVAILABLE,
                             "it could not be found out whose Idempotency-Key this is; try again");
    if (!read_key(exchange, value, &key))
        return exchange_fail(exchange, FAILURE_INVALID_FIELD,
                             "Idempotency-Key is one string of 1 to %d visible ASCII characters, "
                             "best in quotation marks",
                             KEY_MAX);
    exchange->idempotency =
        arena_allocate_zero(&exchange->request->arena, 1, sizeof *exchange->idempotency);
    if (!exchange->idempotency)
        return exchange_out_of_memory(exchange);
    exchange->idempotency->key = key;
    return STEP_NEXT;
}

// ---- What a key stands for

static void add_part(struct buffer *out, struct text part) {
    buffer_append_integer(out, (int64_t)part.size);
    buffer_append_byte(out, ':');
    buffer_append_text(out, part);
}

static bool digest_parts(struct buffer *parts, unsigned char out[DIGEST_SIZE]) {
    bool made = !parts->failed && digest_sha256(buffer_text(parts), out);
    buffer_free(parts);
    return made;
}

// A slash at the end of a path says nothing.
static struct text path_of(const struct http_request *request) {
    struct text path = request->path;
    if (path.size > 1 && path.data[path.size - 1] == '/')
        path.size--;
    return path;
}

// A key counts for one caller, method and path.
static bool make_id(struct exchange *exchange) {
    struct idempotency *idempotency = exchange->idempotency;
    struct buffer parts = {0};
    char room[IDENTITY_NAME_SIZE];
    add_part(&parts, identity_name(&exchange->identity, room));
    add_part(&parts, exchange->request->method_name);
    add_part(&parts, path_of(exchange->request));
    add_part(&parts, idempotency->key);
    return digest_parts(&parts, idempotency->id);
}

// Of all on which the answer depends. (Conditions are not among it: a client that lost the answer
// may ask for the new ETag before it tries again.)
static bool make_fingerprint(struct exchange *exchange) {
    const struct http_request *request = exchange->request;
    unsigned char body[DIGEST_SIZE];
    struct buffer parts = {0};
    if (!digest_sha256(request->body, body))
        return false;
    add_part(&parts, text_of((const char *)body, DIGEST_SIZE));
    add_part(&parts, http_field(request, "Content-Type"));
    add_part(&parts, negotiate_media_type(exchange->media));
    add_part(&parts, prefers(&exchange->preferences, PREFER_MINIMAL) ? TEXT("minimal") : TEXT(""));
    for (size_t i = 0; i < exchange->parameter_count; i++) {
        add_part(&parts, exchange->parameters[i].name);
        add_part(&parts, exchange->parameters[i].value);
    }
    return digest_parts(&parts, exchange->idempotency->fingerprint);
}

static struct value timestamp_value(int64_t instant, char out[TIMESTAMP_SIZE]) {
    timestamp_format(instant, out);
    return value_text(VALUE_TIMESTAMP, text_of(out, TIMESTAMP_SIZE));
}

static struct value digest_value(const unsigned char *digest) {
    return value_text(VALUE_BYTES, text_of((const char *)digest, DIGEST_SIZE));
}

static void make_parameters(struct exchange *exchange) {
    struct idempotency *idempotency = exchange->idempotency;
    int64_t expires = exchange->now + exchange->service->options->idempotency_retention;
    int64_t number;
    memcpy(&number, idempotency->id, sizeof number);
    idempotency->lock_parameter = value_integer(number);
    struct value *find = idempotency->find_parameters;
    find[0] = digest_value(idempotency->id);
    find[1] = timestamp_value(exchange->now, idempotency->now);
    struct value *keep = idempotency->keep_parameters;
    keep[0] = find[0];
    keep[1] = digest_value(idempotency->fingerprint);
    keep[5] = find[1];
    keep[6] = timestamp_value(expires, idempotency->expires);
}

// ---- A kept answer

static struct call find_call(const struct exchange *exchange) {
    return (struct call){.statement = &plan_of(exchange)->find,
                         .parameters = exchange->idempotency->find_parameters,
                         .parameter_count = 2};
}

enum step_result idempotency_look(struct exchange *exchange) {
    if (!exchange->idempotency)
        return STEP_NEXT;
    if (!make_id(exchange) || !make_fingerprint(exchange))
        return exchange_out_of_memory(exchange);
    make_parameters(exchange);
    exchange->calls[0] = find_call(exchange);
    exchange->calls[0].expect = EXPECT_ANY;
    exchange->job = (struct job){.kind = JOB_READ, .calls = exchange->calls, .call_count = 1};
    return exchange_submit(exchange);
}

static bool note_found(struct exchange *exchange, const struct value *cells) {
    struct idempotency *idempotency = exchange->idempotency;
    struct arena *arena = &exchange->request->arena;
    idempotency->found = true;
    idempotency->same = text_equal(cells[0].text, digest_value(idempotency->fingerprint).text);
    if (!idempotency->same)
        return true;
    idempotency->status = (unsigned)cells[1].integer;
    idempotency->fields = arena_copy(arena, cells[2].text);
    idempotency->body = arena_copy(arena, cells[3].text);
    return idempotency->fields.data && idempotency->body.data;
}

static enum step_result give_again(struct exchange *exchange) {
    const struct idempotency *idempotency = exchange->idempotency;
    struct http_answer *answer = &exchange->answer;
    if (!idempotency->same)
        return exchange_fail(exchange, FAILURE_IDEMPOTENCY_MISMATCH,
                             "this Idempotency-Key was used for another request here; a new "
                             "request needs a new key");
    buffer_clear(&answer->fields);
    buffer_clear(&answer->body);
    answer->status = idempotency->status;
    buffer_append_text(&answer->fields, idempotency->fields);
    buffer_append_text(&answer->body, idempotency->body);
    http_answer_field(answer, "Idempotency-Replayed", TEXT("true"));
    exchange->secret = TEXT(""); // one that was made in vain
    return STEP_ANSWERED;
}

enum step_result idempotency_replay(struct exchange *exchange) {
    if (!exchange->idempotency)
        return STEP_NEXT;
    if (!outcome_failure(&exchange->outcome, &exchange->failure))
        return STEP_FAIL;
    return exchange->idempotency->found ? give_again(exchange) : STEP_NEXT;
}

// ---- A guarded job

static size_t add_guards(const struct exchange *exchange, struct call *calls) {
    const struct idempotency_plan *plan = plan_of(exchange);
    size_t count = 0;
    if (plan->lock.sql.size)
        calls[count++] = (struct call){.statement = &plan->lock,
                                       .parameters = &exchange->idempotency->lock_parameter,
                                       .parameter_count = 1,
                                       .expect = 1};
    calls[count++] = find_call(exchange); // expects no row
    return count;
}

bool idempotency_guard(struct exchange *exchange) {
    struct idempotency *idempotency = exchange->idempotency;
    struct job *job = &exchange->job;
    idempotency->guards = 0;
    if (job->kind != JOB_WRITE)
        return true;
    struct call *calls = arena_allocate_zero(&exchange->request->arena,
                                             GUARDS_MAX + job->call_count + KEEPS, sizeof *calls);
    if (!calls)
        return false;
    size_t guards = add_guards(exchange, calls);
    memcpy(calls + guards, job->calls, job->call_count * sizeof *calls);
    calls[guards].late = true; // nothing of it may wait for whoever is at the same
    calls[guards + job->call_count] = (struct call){.statement = &plan_of(exchange)->keep,
                                                    .parameters = idempotency->keep_parameters,
                                                    .parameter_count = 7,
                                                    .late = true};
    idempotency->guards = guards;
    idempotency->calls = job->calls;
    idempotency->call_count = job->call_count;
    idempotency->stage = exchange->stage;
    idempotency->fault_count = exchange->faults.count;
    job->calls = calls;
    job->call_count += guards + KEEPS;
    return true;
}

bool idempotency_on_row(struct exchange *exchange, size_t call, const struct value *cells) {
    size_t guards = exchange->idempotency->guards;
    const struct statement *statement = exchange->job.calls[call].statement;
    if (statement == &plan_of(exchange)->find)
        return note_found(exchange, cells);
    return call < guards || exchange->handler->on_row(exchange, call - guards, cells);
}

// What the store says of the handler's calls, as if they were the whole job.
static void note_rows(struct exchange *exchange) {
    struct idempotency *idempotency = exchange->idempotency;
    for (size_t i = 0; i < idempotency->call_count; i++)
        idempotency->calls[i].rows = exchange->job.calls[idempotency->guards + i].rows;
}

// An answer that is not complete yet, since the handler wants the store once more, is not kept.
static void set_keep(struct exchange *exchange, struct call *keep) {
    struct value *parameters = exchange->idempotency->keep_parameters;
    const struct http_answer *answer = &exchange->answer;
    bool complete = exchange->idempotency->result == STEP_NEXT;
    keep->expect = complete ? 1 : 0;
    parameters[2] = complete ? value_integer(answer->status) : value_null();
    parameters[3] = value_text(VALUE_BYTES, TEXT(""));
    parameters[4] = parameters[3];
    if (complete && answer->fields.size)
        parameters[3].text = buffer_text(&answer->fields);
    if (complete && answer->body.size)
        parameters[4].text = buffer_text(&answer->body);
}

bool idempotency_on_late(struct exchange *exchange, size_t call) {
    struct idempotency *idempotency = exchange->idempotency;
    if (call + KEEPS < exchange->job.call_count)
        return true;
    note_rows(exchange);
    exchange->outcome = (struct outcome){.kind = OUTCOME_DONE};
    idempotency->result = exchange->handler->settle(exchange);
    if (idempotency->result == STEP_NEXT)
        idempotency->result = represent(exchange);
    if (exchange->answer.body.failed || exchange->answer.fields.failed)
        idempotency->result = exchange_out_of_memory(exchange);
    idempotency->settled = true;
    set_keep(exchange, &exchange->job.calls[call]);
    return idempotency->result != STEP_FAIL;
}

void idempotency_on_restart(struct exchange *exchange) {
    struct idempotency *idempotency = exchange->idempotency;
    idempotency->found = false;
    if (!idempotency->settled)
        return;
    idempotency->settled = false;
    exchange->stage = idempotency->stage;
    exchange->faults.count = idempotency->fault_count;
    exchange->failure.code = FAILURE_NONE;
    exchange->representation = (struct representation){0};
    exchange->answer.status = 200;
}

// Gives the handler back the job that it planned, and the outcome as one of that.
static void take_off_guard(struct exchange *exchange) {
    struct idempotency *idempotency = exchange->idempotency;
    size_t guards = idempotency->guards;
    note_rows(exchange);
    idempotency->guards = 0;
    exchange->job.calls = idempotency->calls;
    exchange->job.call_count = idempotency->call_count;
    exchange->outcome.call -= exchange->outcome.call < guards ? exchange->outcome.call : guards;
}

enum step_result idempotency_settle(struct exchange *exchange) {
    struct idempotency *idempotency = exchange->idempotency;
    if (!idempotency->guards)
        return exchange->handler->settle(exchange);
    const struct outcome *outcome = &exchange->outcome;
    bool of_handler = outcome->call >= idempotency->guards &&
                      outcome->call < idempotency->guards + idempotency->call_count;
    bool kept_out = outcome->kind == OUTCOME_UNEXPECTED && !of_handler;
    bool found = idempotency->found;
    bool settled =
        idempotency->settled && (outcome->kind == OUTCOME_DONE || idempotency->result == STEP_FAIL);
    take_off_guard(exchange);
    if (!settled)
        exchange_forget(exchange);
    idempotency->settled = false;
    if (settled)
        return idempotency->result == STEP_NEXT ? STEP_ANSWERED : idempotency->result;
    if (kept_out && found)
        return give_again(exchange);
    if (kept_out)
        return exchange_fail(exchange, FAILURE_IDEMPOTENCY_IN_PROGRESS,
                             "a request with this Idempotency-Key is under way; send it again when "
                             "it is done");
    return exchange->handler->settle(exchange);
}
