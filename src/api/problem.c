#include "api/problem.h"

#include "base/json_writer.h"

static void write_faults(struct json_writer *writer, const struct faults *faults) {
    json_write_name(writer, TEXT("errors"));
    json_write_array_begin(writer);
    for (size_t i = 0; i < faults->count; i++) {
        json_write_object_begin(writer);
        json_write_name(writer, TEXT("pointer"));
        json_write_string(writer, faults->items[i].pointer);
        json_write_name(writer, TEXT("detail"));
        json_write_string(writer, faults->items[i].detail);
        json_write_object_end(writer);
    }
    json_write_array_end(writer);
}

static void write_member(struct json_writer *writer, const char *name, struct text value) {
    json_write_name(writer, text_from_string(name));
    json_write_string(writer, value);
}

// The fields that go with some failures, whatever was asked for.
static void write_fields(enum failure_code code, struct http_answer *answer) {
    http_answer_field(answer, "Content-Type", TEXT("application/problem+json"));
    http_answer_field(answer, "Cache-Control", TEXT("no-store"));
    if (failure_status(code) == 503 || code == FAILURE_IDEMPOTENCY_IN_PROGRESS)
        http_answer_field(answer, "Retry-After", TEXT("1"));
}

void problem_write(const struct failure *failure, const struct faults *faults,
                   struct text request_id, struct http_answer *answer) {
    unsigned status = failure_status(failure->code);
    struct json_writer writer = json_writer_on(&answer->body);
    answer->status = status;
    write_fields(failure->code, answer);
    json_write_object_begin(&writer);
    json_write_name(&writer, TEXT("type"));
    buffer_append_string(&answer->body, "\"urn:trestle:problem:");
    buffer_append_string(&answer->body, failure_type(failure->code));
    buffer_append_string(&answer->body, "\"");
    writer.comma = true;
    write_member(&writer, "title", text_from_string(failure_title(failure->code)));
    json_write_name(&writer, TEXT("status"));
    json_write_integer(&writer, status);
    if (status != 500)
        write_member(&writer, "detail", text_from_string(failure->detail));
    if (request_id.size)
        write_member(&writer, "request_id", request_id);
    if (faults && faults->count)
        write_faults(&writer, faults);
    json_write_object_end(&writer);
}
