#include "cli/claim_api.h"

#include "base/clock.h"
#include "resource/json.h"

#include <stdlib.h>
#include <unistd.h>

// Milliseconds.
enum {
    CLAIM_WAIT = 20000,   // for which the server keeps a claim that finds nothing
    CLAIM_ANSWER = 10000, // behind that
    SHORT_WAIT = 1000,    // a server that did not wait is not asked again before
    FIRST_DELAY = 250,
    LONGEST_DELAY = 5000,
    LONGEST_ANSWER = 10000,
};

// ---- Asking

static void send_question(struct claim_question *question, unsigned timeout) {
    buffer_append_byte(&question->target, '\0');
    question->request.method = "POST";
    question->request.target = question->target.data;
    question->request.body = buffer_text(&question->body);
    question->request.timeout = timeout;
    client_send(question->api->client, &question->request, 0);
}

static bool is_written(const struct claim_question *question) {
    return !question->target.failed && !question->body.failed;
}

static void begin_question(struct claim_question *question) {
    client_request_free(&question->request);
    buffer_clear(&question->target);
    buffer_clear(&question->body);
}

static void write_member(struct json_writer *writer, const char *name, struct text value) {
    json_write_name(writer, text_from_string(name));
    json_write_string(writer, value);
}

static void write_number(struct json_writer *writer, const char *name, int64_t value) {
    json_write_name(writer, text_from_string(name));
    json_write_integer(writer, value);
}

static void write_claim(struct claim_api *api) {
    struct claim_question *question = &api->claim;
    struct json_writer writer = json_writer_on(&question->body);
    struct text rest = text_from_string(api->transitions);
    struct text name;
    begin_question(question);
    buffer_append_string(&question->target, "/operations/claim");
    if (!api->cannot_wait)
        buffer_format(&question->target, "?wait=%d", CLAIM_WAIT / 1000);
    json_write_object_begin(&writer);
    json_write_name(&writer, TEXT("transitions"));
    json_write_array_begin(&writer);
    while (text_split(&rest, ',', &name))
        json_write_string(&writer, text_trim(name));
    json_write_array_end(&writer);
    write_member(&writer, "worker", text_from_string(api->worker));
    write_number(&writer, "lease_seconds", (int64_t)api->lease / 1000);
    json_write_object_end(&writer);
}

static void ask_claim(struct crew_source *source) {
    struct claim_api *api = (struct claim_api *)source;
    write_claim(api);
    api->asked_at = clock_monotonic();
    if (is_written(&api->claim))
        send_question(&api->claim, CLAIM_WAIT + CLAIM_ANSWER);
    else
        crew_not_claimed(api->crew, LONGEST_DELAY);
}

static void stop_claiming(struct crew_source *source) {
    struct claim_api *api = (struct claim_api *)source;
    client_cancel(api->client, &api->claim.request);
    crew_not_claimed(api->crew, 0);
}

static struct json_writer begin_report(struct claim_question *question, struct hand *hand,
                                       const char *what) {
    begin_question(question);
    question->hand = hand;
    question->is_finish = false;
    buffer_format(&question->target, "/operations/%.*s/%s", TEXT_ARGS(hand->claim.operation), what);
    struct json_writer writer = json_writer_on(&question->body);
    json_write_object_begin(&writer);
    write_number(&writer, "attempt", hand->claim.attempt);
    if (hand->detail[0])
        write_member(&writer, "detail", text_from_string(hand->detail));
    return writer;
}

// An answer that comes later than a third of the lease is of little use.
static unsigned answer_timeout(const struct claim_api *api) {
    return api->lease / 3 < LONGEST_ANSWER ? (unsigned)(api->lease / 3) : LONGEST_ANSWER;
}

static void ask_beat(struct crew_source *source, struct hand *hand) {
    struct claim_api *api = (struct claim_api *)source;
    struct claim_question *question = &api->questions[hand->number];
    struct json_writer writer = begin_report(question, hand, "beat");
    if (hand->progress >= 0)
        write_number(&writer, "progress", hand->progress);
    write_number(&writer, "lease_seconds", (int64_t)api->lease / 1000);
    json_write_object_end(&writer);
    if (is_written(question))
        send_question(question, answer_timeout(api));
    else
        crew_beaten(hand, BEAT_UNKNOWN);
}

static void ask_finish(struct crew_source *source, struct hand *hand) {
    struct claim_api *api = (struct claim_api *)source;
    struct claim_question *question = &api->questions[hand->number];
    struct json_writer writer = begin_report(question, hand, "finish");
    question->is_finish = true;
    write_member(&writer, "state", text_from_string(finish_state_name(hand->outcome)));
    if (hand->outcome == STATE_SUCCEEDED && hand->properties) {
        json_write_name(&writer, TEXT("set"));
        json_write_tree(&writer, hand->properties);
    }
    json_write_object_end(&writer);
    if (is_written(question))
        send_question(question, LONGEST_ANSWER);
    else
        crew_finished(hand, FINISH_UNKNOWN, "out of memory");
}

// ---- Answers

static const char *explain(const struct client_request *request, struct buffer *out) {
    client_explain(request, out);
    buffer_append_byte(out, '\0');
    return out->failed ? "out of memory" : out->data;
}

static bool is_away(const struct client_request *request) {
    return request->status == 0 || request->status == 429 || request->status >= 500;
}

// Tells when nobody answers any more, and when somebody does again.
static void note_reached(struct claim_api *api, const struct client_request *request) {
    bool away = is_away(request);
    if (away == api->is_away)
        return;
    struct buffer reason = {0};
    api->is_away = away;
    api->on_reached(api, away ? explain(request, &reason) : "");
    buffer_free(&reason);
}

static unsigned next_delay(struct claim_api *api, const struct client_request *request) {
    unsigned asked = request->retry_after * 1000;
    unsigned delay = asked > api->delay ? asked : api->delay;
    api->delay = api->delay * 2 < LONGEST_DELAY ? api->delay * 2 : LONGEST_DELAY;
    return delay;
}

static struct text string_member(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value))
        return (struct text){NULL, 0};
    return text_of(json_string_value(value), json_string_length(value));
}

// {"NAME": "value", …} as a list for a command. NULL when there is no memory.
static const char *const *read_environment(const json_t *object, struct arena *arena) {
    const char **list = arena_allocate_zero(arena, json_object_size(object) + 1, sizeof *list);
    size_t count = 0;
    const char *name;
    json_t *value;
    if (!list)
        return NULL;
    json_object_foreach((json_t *)object, name, value) {
        const char *string = json_string_value(value);
        if (!string)
            continue;
        list[count] = arena_format(arena, "%s=%s", name, string).data;
        if (!list[count++])
            return NULL;
    }
    return list;
}

static bool read_claim(struct claim_api *api, const json_t *answer, struct arena *arena,
                       struct buffer *record, struct claim *claim) {
    const json_t *operation = json_object_get(answer, "operation");
    struct text resource = string_member(operation, "resource");
    struct text transition = string_member(operation, "transition");
    struct text key = string_member(operation, "record");
    struct json_writer writer = json_writer_on(record);
    const json_t *attempt = json_object_get(answer, "attempt");
    const json_t *given = json_object_get(answer, "record");
    double limit = json_number_value(json_object_get(answer, "time_limit_seconds"));
    *claim = (struct claim){
        .operation = string_member(operation, "id"),
        .title = arena_format(arena, "%.*s of %.*s/%.*s", TEXT_ARGS(transition),
                              TEXT_ARGS(resource), TEXT_ARGS(key)),
        .attempt = json_integer_value(attempt),
        .command = api->command,
        .environment = read_environment(json_object_get(answer, "environment"), arena),
        .time_limit = limit > 0 && limit < 1e9 ? (uint64_t)(limit * 1000) : 0,
    };
    if (!claim->operation.data || !json_is_integer(attempt) || !json_is_object(given))
        return false;
    json_write_tree(&writer, given);
    claim->record = buffer_text(record);
    return claim->title.data && claim->environment && !record->failed;
}

static void on_work(struct claim_api *api) {
    const struct buffer *answer = &api->claim.request.answer;
    struct arena arena = {0};
    struct buffer record = {0};
    struct claim claim;
    json_t *tree = json_loadb(answer->data ? answer->data : "", answer->size, 0, NULL);
    if (read_claim(api, tree, &arena, &record, &claim)) {
        crew_claimed(api->crew, &claim);
    } else {
        crew_not_claimed(api->crew, LONGEST_DELAY);
        api->on_refused(api, "the server's answer to a claim is not understood");
    }
    json_decref(tree);
    buffer_free(&record);
    arena_free(&arena);
}

static void on_refusal(struct claim_api *api) {
    struct buffer reason = {0};
    crew_not_claimed(api->crew, LONGEST_DELAY);
    api->on_refused(api, explain(&api->claim.request, &reason));
    buffer_free(&reason);
}

// A server that cannot keep a claim is asked again and again.
static void ask_without_wait(struct claim_api *api) {
    api->cannot_wait = true;
    crew_not_claimed(api->crew, 0);
}

static void on_claim_answer(struct client_request *request) {
    struct claim_question *question = request->owner;
    struct claim_api *api = question->api;
    uint64_t waited = clock_monotonic() - api->asked_at;
    uv_update_time(api->loop);
    note_reached(api, request);
    if (is_away(request) || request->status == 409 || request->status == 408) {
        crew_not_claimed(api->crew, next_delay(api, request));
        return;
    }
    api->delay = FIRST_DELAY;
    if (request->status == 200)
        on_work(api);
    else if (client_is_problem(request, "unknown-parameter") && !api->cannot_wait)
        ask_without_wait(api);
    else if (request->status == 204)
        crew_not_claimed(api->crew, waited < SHORT_WAIT ? SHORT_WAIT : 0);
    else
        on_refusal(api);
}

static bool wants_end(const struct client_request *request) {
    const struct buffer *answer = &request->answer;
    json_t *operation = json_loadb(answer->data ? answer->data : "", answer->size, 0, NULL);
    bool cancel = json_is_true(json_object_get(operation, "cancel_requested"));
    json_decref(operation);
    return cancel;
}

static bool is_overtaken(const struct client_request *request) {
    return request->status == 404 || client_is_problem(request, "overtaken") ||
           client_is_problem(request, "operation-ended");
}

static void on_beat_answer(struct claim_question *question) {
    const struct client_request *request = &question->request;
    if (request->status == 200)
        crew_beaten(question->hand, wants_end(request) ? BEAT_CANCEL : BEAT_KEPT);
    else
        crew_beaten(question->hand, is_overtaken(request) ? BEAT_OVERTAKEN : BEAT_UNKNOWN);
}

static void on_finish_answer(struct claim_question *question) {
    const struct client_request *request = &question->request;
    struct buffer reason = {0};
    enum finish_answer answer = FINISH_UNKNOWN;
    if (request->status == 200)
        answer = FINISH_ACCEPTED;
    else if (is_overtaken(request))
        answer = FINISH_OVERTAKEN;
    else if (request->status >= 400 && request->status < 500 && request->status != 408 &&
             request->status != 409 && request->status != 429)
        answer = FINISH_REFUSED;
    crew_finished(question->hand, answer,
                  answer == FINISH_ACCEPTED ? "" : explain(request, &reason));
    buffer_free(&reason);
}

static void on_hand_answer(struct client_request *request) {
    struct claim_question *question = request->owner;
    uv_update_time(question->api->loop);
    note_reached(question->api, request);
    if (question->is_finish)
        on_finish_answer(question);
    else
        on_beat_answer(question);
}

// ---- Its life

bool claim_api_open(struct claim_api *api, unsigned size) {
    char host[100] = "";
    api->source = (struct crew_source){ask_claim, stop_claiming, ask_beat, ask_finish};
    api->questions = calloc(size, sizeof *api->questions);
    if (!api->questions)
        return false;
    api->size = size;
    api->delay = FIRST_DELAY;
    (void)gethostname(host, sizeof host - 1); // a name without a host is one, too
    (void)snprintf(api->worker, sizeof api->worker, "%s:%ld", host, (long)getpid());
    api->claim = (struct claim_question){
        .api = api, .request = {.owner = &api->claim, .on_done = on_claim_answer}};
    for (unsigned i = 0; i < size; i++)
        api->questions[i] = (struct claim_question){
            .api = api, .request = {.owner = &api->questions[i], .on_done = on_hand_answer}};
    return true;
}

static void free_question(struct claim_question *question) {
    client_request_free(&question->request);
    buffer_free(&question->target);
    buffer_free(&question->body);
}

void claim_api_close(struct claim_api *api) {
    free_question(&api->claim);
    for (unsigned i = 0; api->questions && i < api->size; i++)
        free_question(&api->questions[i]);
    free(api->questions);
    api->questions = NULL;
}
