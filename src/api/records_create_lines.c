#include "api/problem.h"
#include "api/rate_limits.h"
#include "api/records.h"
#include "api/records_shared.h"

#include <assert.h>
#include <stdlib.h>

// POST of application/x-ndjson: each line is a record, created as if it came in a POST of its own.
// The body is read as lines are done, and their outcomes are streamed back in order, one a line.

enum {
    LINES_AT_ONCE = 128,         // under way: so many others wait for at most
    BYTES_AT_ONCE = 1024 * 1024, // of lines under way; one larger line may be, alone
    KEPT_BYTES = 16 * 1024,      // of memory that a line used, for the next one
};

// A line under way.
struct line {
    struct http_request request;
    struct exchange part;
    uint64_t number;
    size_t size;
    bool done;
    struct buffer outcome; // once it is done
};

struct lines {
    struct exchange *exchange;
    struct buffer input; // of which the first `used` bytes are done with,
    size_t used;
    size_t searched; // and in which no line ends before this
    uint64_t number; // of the line that was taken last; the first is 1
    struct line *ring[LINES_AT_ONCE];
    uint64_t first; // under way are those from `first` to before `next`, at these numbers modulo
    uint64_t next;  // LINES_AT_ONCE
    size_t bytes;   // of those
    bool counted;   // the first line was
    bool asked;     // for a piece of the body
    bool ended;     // there are no more
    bool passing;   // over the rest of a line that is too long
    bool full;      // the client does not take the outcomes
    bool stopping;  // the server is
    bool broken;    // outcomes were lost for want of memory
    bool at_work;   // further up the stack
};

enum taking { TAKING_ONE, TAKING_HUNGRY, TAKING_HELD };

static size_t max_line(const struct lines *lines) {
    return lines->exchange->service->options->limits.max_body;
}

static struct text input_of(const struct lines *lines) {
    return text_from(buffer_text(&lines->input), lines->used);
}

// --- outcomes

static void write_outcome(struct buffer *out, uint64_t number, const struct http_answer *answer,
                          const struct property *key_property, const struct value *key) {
    struct json_writer writer = json_writer_on(out);
    json_write_object_begin(&writer);
    json_write_name(&writer, TEXT("line"));
    json_write_integer(&writer, (int64_t)number);
    json_write_name(&writer, TEXT("status"));
    json_write_integer(&writer, answer->status);
    if (answer->status < 300) {
        assert(key);
        json_write_name(&writer, TEXT("key"));
        encode_value(&writer, key_property, *key);
    } else {
        json_write_name(&writer, TEXT("problem"));
        json_write_raw(&writer, buffer_text(&answer->body));
    }
    json_write_object_end(&writer);
    buffer_append_byte(out, '\n');
    out->failed = out->failed || answer->body.failed;
}

static void write_failure(struct lines *lines, struct buffer *out, uint64_t number,
                          const struct failure *failure) {
    struct http_answer answer = {.status = 200};
    problem_write(failure, NULL, lines->exchange->request_id, &answer);
    write_outcome(out, number, &answer, NULL, NULL);
    buffer_free(&answer.fields);
    buffer_free(&answer.body);
}

static void send_outcome(struct lines *lines, struct buffer *outcome) {
    lines->broken = lines->broken || outcome->failed;
    if (!lines->broken && !http_stream_write(lines->exchange->request, buffer_text(outcome)))
        lines->full = true;
}

static void trim(struct buffer *buffer) {
    if (buffer->capacity > KEPT_BYTES)
        buffer_free(buffer);
    buffer_clear(buffer);
}

// In the order of the lines, as far as they are done.
static void send_outcomes(struct lines *lines) {
    while (lines->first < lines->next) {
        struct line *line = lines->ring[lines->first % LINES_AT_ONCE];
        if (!line->done)
            return;
        send_outcome(lines, &line->outcome);
        lines->bytes -= line->size;
        lines->first++;
        trim(&line->outcome);
        trim(&line->part.answer.body);
        trim(&line->part.answer.fields);
        arena_reset(&line->request.arena);
    }
}

static void on_line_answered(struct exchange *part) {
    void *owner = (char *)part - offsetof(struct line, part);
    struct line *line = owner;
    struct exchange *whole = part->whole;
    write_outcome(&line->outcome, line->number, &part->answer, resource_of(part)->key.property,
                  &part->key);
    line->done = true;
    if (!whole->lines->at_work)
        exchange_resume(whole); // which may end all
}

// --- lines

// The place in the ring of the line that was just read; NULL where there is no memory.
static struct line *add_line(struct lines *lines, size_t size) {
    struct line **place = &lines->ring[lines->next % LINES_AT_ONCE];
    if (!*place)
        *place = calloc(1, sizeof **place);
    if (!*place) {
        lines->broken = true;
        return NULL;
    }
    lines->next++;
    lines->bytes += size;
    (*place)->number = lines->number;
    (*place)->size = size;
    (*place)->done = false;
    return *place;
}

static void refuse_line(struct lines *lines) {
    struct line *line = add_line(lines, 0);
    struct failure failure;
    if (!line)
        return;
    failure_set(&failure, FAILURE_BODY_TOO_LARGE, "the line is larger than %zu bytes",
                max_line(lines));
    write_failure(lines, &line->outcome, line->number, &failure);
    line->done = true;
}

static bool is_blank(struct text text) {
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != ' ' && text.data[i] != '\t' && text.data[i] != '\r')
            return false;
    }
    return true;
}

static void start_line(struct lines *lines, struct text text) {
    const struct http_request *request = lines->exchange->request;
    if (is_blank(text))
        return;
    struct line *line = add_line(lines, text.size);
    if (!line)
        return;
    line->request = (struct http_request){.method = request->method,
                                          .method_name = request->method_name,
                                          .target = request->target,
                                          .path = request->path,
                                          .body = text,
                                          .peer = request->peer,
                                          .address = request->address,
                                          .started = request->started,
                                          .arena = line->request.arena,
                                          .owner = &line->part};
    // The first one was counted with the request.
    struct failure failure;
    if (lines->counted && !rate_limits_count_more(lines->exchange, 1, &failure)) {
        write_failure(lines, &line->outcome, line->number, &failure);
        line->done = true;
        return;
    }
    lines->counted = true;
    exchange_start_part(&line->part, lines->exchange, &line->request, &records_create,
                        on_line_answered);
}

// A line that has not ended yet: the body's last one, or one that is or becomes too long, or one of
// which more must come.
static enum taking take_rest(struct lines *lines, struct text rest) {
    bool last = lines->ended && !lines->exchange->request->fault;
    lines->searched = lines->used + rest.size;
    if (!last && rest.size <= max_line(lines) && !lines->passing)
        return TAKING_HUNGRY;
    lines->used += rest.size;
    if (lines->passing)
        return TAKING_HUNGRY;
    if (rest.size == 0)
        return TAKING_HUNGRY;
    lines->number++;
    if (rest.size > max_line(lines)) {
        lines->passing = true;
        refuse_line(lines);
    } else {
        start_line(lines, rest);
    }
    return TAKING_ONE;
}

static enum taking take_line(struct lines *lines) {
    const struct http_request *request = lines->exchange->request;
    struct text rest = input_of(lines);
    if (request->gone || lines->stopping || lines->broken || lines->full ||
        lines->next - lines->first == LINES_AT_ONCE || lines->bytes >= BYTES_AT_ONCE)
        return TAKING_HELD;
    const char *from = lines->input.data + lines->searched;
    const char *end = rest.size ? memchr(from, '\n', lines->input.size - lines->searched) : NULL;
    if (!end)
        return take_rest(lines, rest);
    struct text line = text_of(rest.data, (size_t)(end - rest.data));
    lines->used += line.size + 1;
    lines->searched = lines->used;
    if (lines->passing) {
        lines->passing = false;
        return TAKING_ONE;
    }
    lines->number++;
    if (line.size > max_line(lines))
        refuse_line(lines);
    else
        start_line(lines, line);
    return TAKING_ONE;
}

// --- the whole

static void free_lines(struct lines *lines) {
    for (size_t i = 0; i < LINES_AT_ONCE; i++) {
        struct line *line = lines->ring[i];
        if (!line)
            break;
        buffer_free(&line->outcome);
        buffer_free(&line->part.answer.body);
        buffer_free(&line->part.answer.fields);
        arena_free(&line->request.arena);
        free(line);
    }
    buffer_free(&lines->input);
}

// What the client must know when not all of its lines were read: from where on they were not.
static void write_last_word(struct lines *lines) {
    struct failure stopping;
    struct buffer outcome = {0};
    const struct failure *failure = lines->exchange->request->fault;
    if (!failure && lines->stopping && !lines->ended) {
        failure_set(&stopping, FAILURE_STOPPING, "the server stops; this line was not looked at");
        failure = &stopping;
    }
    if (!failure)
        return;
    write_failure(lines, &outcome, lines->number + 1, failure);
    send_outcome(lines, &outcome);
    buffer_free(&outcome);
}

static enum step_result end_lines(struct lines *lines) {
    struct exchange *exchange = lines->exchange;
    write_last_word(lines);
    bool broken = lines->broken;
    free_lines(lines);
    return broken ? exchange_out_of_memory(exchange) : STEP_NEXT;
}

// Takes lines as long as there are some and may be more under way, and asks for more of the body.
static enum step_result go_on(struct lines *lines) {
    struct http_request *request = lines->exchange->request;
    enum taking taking;
    lines->at_work = true;
    do {
        send_outcomes(lines);
        taking = take_line(lines);
    } while (taking == TAKING_ONE);
    send_outcomes(lines);
    bool over =
        taking == TAKING_HUNGRY ? lines->ended : request->gone || lines->stopping || lines->broken;
    if (taking == TAKING_HUNGRY && !lines->ended && !lines->asked) {
        lines->asked = true;
        http_read_piece(request);
    }
    lines->at_work = false;
    return over && lines->first == lines->next ? end_lines(lines) : STEP_WAIT;
}

static enum step_result start_lines(struct exchange *exchange) {
    struct lines *lines = arena_allocate_zero(arena_of(exchange), 1, sizeof *lines);
    if (!lines)
        return exchange_out_of_memory(exchange);
    lines->exchange = exchange;
    exchange->lines = lines;
    lines->at_work = true;
    lines->asked = true;
    http_read_piece(exchange->request); // first, so that "100 Continue" goes before the answer
    http_answer_field(&exchange->answer, "Content-Type", TEXT("application/x-ndjson"));
    exchange_stream_begin(exchange, false);
    return go_on(lines);
}

static enum step_result settle_lines(struct exchange *exchange) {
    return exchange->lines ? go_on(exchange->lines) : start_lines(exchange);
}

static void resume(struct lines *lines) {
    if (!lines->at_work)
        exchange_resume(lines->exchange);
}

static void on_piece(struct exchange *exchange, struct text piece) {
    struct lines *lines = exchange->lines;
    struct buffer *input = &lines->input;
    struct text rest = input_of(lines);
    if (lines->used > 0 && rest.size > 0)
        memmove(input->data, rest.data, rest.size);
    input->size = rest.size;
    lines->searched -= lines->used;
    lines->used = 0;
    lines->asked = false;
    buffer_append_text(input, piece);
    lines->broken = lines->broken || input->failed;
    resume(lines);
}

static void on_last_piece(struct exchange *exchange) {
    exchange->lines->ended = true;
    resume(exchange->lines);
}

static void on_writable(struct exchange *exchange) {
    exchange->lines->full = false;
    resume(exchange->lines);
}

static void on_stopping(struct exchange *exchange) {
    exchange->lines->stopping = true;
    resume(exchange->lines);
}

static void on_gone(struct exchange *exchange) {
    resume(exchange->lines);
}

const struct handler records_create_lines = {
    .action = ACTION_CREATE,
    .conditions = CONDITIONS_LIST,
    .settle = settle_lines,
    .on_writable = on_writable,
    .on_stopping = on_stopping,
    .on_gone = on_gone,
    .on_piece = on_piece,
    .on_last_piece = on_last_piece,
};
