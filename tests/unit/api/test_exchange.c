// Requests on their whole way, from a socket to a scripted store and back: every outcome that a
// store can have, which no real one gives when it is asked to.
#include "api/service.h"
#include "store/scripted_store.h"
#include "unit/testing.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct text sources[][2] = {
    {TEXT_INIT("notes.yaml"),
     TEXT_INIT("access: {read: public, write: public}\nrequired: [text]\n"
               "properties: {text: {type: string, maxLength: 10}, size: {type: integer}}\n"
               "unique: [[text], [text, size]]\n")},
    {TEXT_INIT("blobs.yaml"),
     TEXT_INIT("key: {digest: sha256(data)}\naccess: {read: public, write: public}\n"
               "required: [data]\nproperties: {data: {type: string}}\n")},
    {TEXT_INIT("codes.yaml"),
     TEXT_INIT("key: code\naccess: {read: public, write: public}\n"
               "properties: {code: {type: string, maxLength: 9}, size: {type: integer}}\n")},
    {TEXT_INIT("secrets.yaml"), TEXT_INIT("properties: {text: {type: string}}\n")},
};

struct rig {
    uv_loop_t loop;
    struct catalogue *catalogue;
    struct service_options options;
    struct keyring keyring;
    struct service service;
    struct sockaddr_in address;
    struct buffer answer;
    bool stopped;
};

static struct catalogue *make_catalogue(enum store_dialect dialect) {
    struct arena arena = {0};
    struct diagnostics diagnostics;
    diagnostics_init(&diagnostics, &arena);
    struct catalogue *catalogue = catalogue_make(sources, sizeof sources / sizeof sources[0],
                                                 dialect_of(dialect), &diagnostics);
    assert_non_null(catalogue);
    arena_free(&arena);
    return catalogue;
}

static int listen_anywhere(struct sockaddr_in *ret_address) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    *ret_address = address;
    return listener;
}

static struct rig *rig_start_on(enum store_dialect dialect, const struct scripted_job *script,
                                size_t count) {
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    struct failure failure;
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    rig->catalogue = make_catalogue(dialect);
    rig->options.store = scripted_store_open(dialect, script, count, &failure);
    rig->options.limits = (struct http_limits){.max_head = 4096,
                                               .max_body = 4096,
                                               .request_timeout = 10000,
                                               .idle_timeout = 10000,
                                               .write_timeout = 10000};
    rig->options.keyring = &rig->keyring;
    rig->options.query_timeout = 5000;
    rig->options.shutdown_timeout = 1000;
    assert_true(digest_sha256(TEXT("the key"), rig->options.secrets.admin_digest));
    int listener = listen_anywhere(&rig->address);
    assert_true(service_start(&rig->service, &rig->loop, &listener, 1, rig->catalogue,
                              &rig->options, &failure));
    return rig;
}

static struct rig *rig_start(const struct scripted_job *script, size_t count) {
    return rig_start_on(STORE_SQLITE, script, count);
}

static void on_stopped(void *owner) {
    struct rig *rig = owner;
    rig->stopped = true;
}

// Stops in order; every job of the script was asked for, as it says.
static void rig_stop(struct rig *rig) {
    assert_string_equal(scripted_store_difference(rig->options.store), "");
    assert_int_equal(scripted_store_left(rig->options.store), 0);
    service_stop(&rig->service, on_stopped, rig);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_true(rig->stopped);
    assert_int_equal(uv_loop_close(&rig->loop), 0);
    store_close(rig->options.store);
    catalogue_release(rig->catalogue);
    buffer_free(&rig->answer);
    free(rig);
}

static int rig_connect(const struct rig *rig) {
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client >= 0);
    assert_int_equal(connect(client, (const struct sockaddr *)&rig->address, sizeof rig->address),
                     0);
    assert_int_equal(fcntl(client, F_SETFL, O_NONBLOCK), 0);
    return client;
}

// Sends one request, with lines of fields besides those that it must have, and gives all that comes
// until the server closes, a zero byte behind it.
static const char *ask_with(struct rig *rig, const char *fields, const char *method,
                            const char *target, const char *body) {
    char request[2048];
    int size = snprintf(request, sizeof request,
                        "%s %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                        "%sContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                        method, target, fields, strlen(body), body);
    int client = rig_connect(rig);
    assert_int_equal(write(client, request, (size_t)size), size);
    buffer_clear(&rig->answer);
    for (bool open = true; open;) {
        char part[4096];
        ssize_t got = read(client, part, sizeof part);
        if (got > 0)
            buffer_append(&rig->answer, part, (size_t)got);
        else if (got == 0)
            open = false;
        else
            uv_run(&rig->loop, UV_RUN_NOWAIT);
    }
    close(client);
    buffer_append_byte(&rig->answer, '\0');
    return rig->answer.data;
}

static const char *ask(struct rig *rig, const char *method, const char *target, const char *body) {
    return ask_with(rig, "", method, target, body);
}

static void has(const char *answer, const char *part) {
    if (!strstr(answer, part))
        fail_msg("no \"%s\" in:\n%s", part, answer);
}

static void has_not(const char *answer, const char *part) {
    if (strstr(answer, part))
        fail_msg("\"%s\" in:\n%s", part, answer);
}

// A note as the plan selects it: id, text, size, _version.
static const struct value one_note[] = {{.kind = VALUE_INTEGER, .integer = 1},
                                        {.kind = VALUE_TEXT, .text = TEXT_INIT("a")},
                                        {.kind = VALUE_NULL},
                                        {.kind = VALUE_INTEGER, .integer = 7}};
static const struct scripted_call gives_note = {.cells = one_note, .row_count = 1};
static const struct scripted_call gives_nothing = {0};

static void outcomes_of_reads(void **state) {
    static const struct {
        enum outcome_kind outcome;
        const char *status;
        const char *type;
    } rows[] = {
        {OUTCOME_BUSY, "HTTP/1.1 503 ", "problem:unavailable\""},
        {OUTCOME_TIMEOUT, "HTTP/1.1 503 ", "problem:query-timeout\""},
        {OUTCOME_UNAVAILABLE, "HTTP/1.1 503 ", "problem:unavailable\""},
        {OUTCOME_CANCELLED, "HTTP/1.1 503 ", "problem:stopping\""},
        {OUTCOME_FAILED, "HTTP/1.1 500 ", "problem:internal\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct scripted_job script[] = {{.outcome = {.kind = rows[i].outcome}},
                                              {.outcome = {.kind = rows[i].outcome}}};
        struct rig *rig = rig_start(script, 2);
        has(ask(rig, "GET", "/notes/1", ""), rows[i].status);
        has(ask(rig, "GET", "/notes", ""), rows[i].type);
        rig_stop(rig);
    }
}

static void outcomes_of_writes(void **state) {
    static const struct {
        struct outcome outcome;
        const char *status;
        const char *part;
    } rows[] = {
        {{.kind = OUTCOME_FULL}, "HTTP/1.1 507 ", "problem:disk-full\""},
        {{.kind = OUTCOME_UNKNOWN}, "HTTP/1.1 503 ", "problem:outcome-unknown\""},
        {{.kind = OUTCOME_UNAVAILABLE}, "HTTP/1.1 503 ", "Retry-After: 1\r\n"},
        {{.kind = OUTCOME_OVERFLOW}, "HTTP/1.1 409 ", "problem:overflow\""},
        {{.kind = OUTCOME_CONFLICT, .conflict = CONFLICT_REFERENCE},
         "HTTP/1.1 409 ",
         "problem:in-use\""},
        {{.kind = OUTCOME_CONFLICT, .constraint = "notes.text"},
         "HTTP/1.1 409 ",
         "\"errors\":[{\"pointer\":\"/text\",\"detail\":\"is taken by another record\"}]"},
        {{.kind = OUTCOME_CONFLICT, .constraint = "notes.text, notes.size"},
         "HTTP/1.1 409 ",
         "together with the others\"},{\"pointer\":\"/size\""},
        {{.kind = OUTCOME_CONFLICT, .constraint = "something else"},
         "HTTP/1.1 409 ",
         "problem:conflict\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct scripted_job script[] = {{.outcome = rows[i].outcome},
                                              {.outcome = rows[i].outcome}};
        struct rig *rig = rig_start(script, 2);
        has(ask(rig, "POST", "/notes", "{\"text\":\"a\"}"), rows[i].part);
        const char *answer = ask(rig, "DELETE", "/notes/1", "");
        has(answer, rows[i].status);
        has_not(answer, "\r\nLocation:");
        rig_stop(rig);
    }
}

static void a_full_queue_is_told_at_once(void **state) {
    const struct scripted_job script[] = {{.refused = true}, {.refused = true}};
    struct rig *rig = rig_start(script, 2);
    const char *answer = ask(rig, "GET", "/notes/1", "");
    has(answer, "HTTP/1.1 503 ");
    has(answer, "problem:queue-full\"");
    has(answer, "Retry-After: 1\r\n");
    has(ask(rig, "POST", "/notes", "{\"text\":\"a\"}"), "problem:queue-full\"");
    rig_stop(rig);
}

static void rows_that_come_again_are_written_once(void **state) {
    const struct scripted_job script[] = {
        {.calls = &gives_note, .call_count = 1, .restarted = true},
        {.calls = &gives_note, .call_count = 1, .restarted = true},
        {.calls = &gives_note, .call_count = 1, .restarted = true}};
    struct rig *rig = rig_start(script, 3);
    const char *answer = ask(rig, "POST", "/notes", "{\"text\":\"a\"}");
    has(answer, "HTTP/1.1 201 Created\r\n");
    has(answer, "\r\n\r\n{\"id\":1,\"text\":\"a\",\"size\":null}");
    assert_null(strstr(strstr(answer, "Location: /notes/1\r\n") + 1, "Location:"));
    has(ask(rig, "GET", "/notes/1", ""), "\r\n\r\n{\"id\":1,\"text\":\"a\",\"size\":null}");
    has(ask(rig, "GET", "/notes", ""), "\r\n\r\n[{\"id\":1,\"text\":\"a\",\"size\":null}]");
    rig_stop(rig);
}

static void a_change_begins_again_when_others_are_quicker(void **state) {
    const struct scripted_call update = {
        .sql = "UPDATE \"notes\" SET", .cells = one_note, .row_count = 1};
    const struct scripted_job script[] = {
        {.calls = &gives_note, .call_count = 1},    {.calls = &gives_nothing, .call_count = 1},
        {.calls = &gives_note, .call_count = 1},    {.calls = &update, .call_count = 1},
        {.calls = &gives_note, .call_count = 1},    {.calls = &gives_nothing, .call_count = 1},
        {.calls = &gives_nothing, .call_count = 1},
    };
    struct rig *rig = rig_start(script, 7);
    has(ask(rig, "PATCH", "/notes/1", "{\"text\":\"b\"}"), "HTTP/1.1 200 OK\r\n");
    has(ask(rig, "PUT", "/notes/1", "{\"text\":\"b\"}"), "HTTP/1.1 404 ");
    rig_stop(rig);
}

static void a_change_gives_up_in_the_end(void **state) {
    struct scripted_job script[40];
    for (size_t i = 0; i < 40; i++)
        script[i] =
            (struct scripted_job){.calls = i % 2 ? &gives_nothing : &gives_note, .call_count = 1};
    struct rig *rig = rig_start(script, 40);
    const char *answer = ask(rig, "PATCH", "/notes/1", "{\"text\":\"b\"}");
    has(answer, "HTTP/1.1 409 ");
    has(answer, "problem:contention\"");
    rig_stop(rig);
}

// A blob as the plan selects it: digest, data.
static const struct value foo[] = {
    {.kind = VALUE_BYTES,
     .text = TEXT_INIT("\x2c\x26\xb4\x6b\x68\xff\xc6\x8f\xf9\x9b\x45\x3c\x1d\x30\x41\x34"
                       "\x13\x42\x2d\x70\x64\x83\xbf\xa0\xf9\x8a\x5e\x88\x62\x66\xe7\xae")},
    {.kind = VALUE_TEXT, .text = TEXT_INIT("foo")}};

static void content_that_is_there_already(void **state) {
    const struct scripted_call insert = {.sql = "INSERT"};
    const struct scripted_call read = {
        .sql = "SELECT", .parameters = foo, .parameter_count = 1, .cells = foo, .row_count = 1};
    const struct scripted_job script[] = {{.calls = &insert, .call_count = 1},
                                          {.calls = &read, .call_count = 1}};
    struct rig *rig = rig_start(script, 2);
    const char *answer = ask(rig, "POST", "/blobs", "{\"data\":\"foo\"}");
    has(answer, "HTTP/1.1 200 OK\r\n");
    has(answer,
        "Location: /blobs/2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae");
    rig_stop(rig);
}

static void content_that_comes_and_goes(void **state) {
    const struct scripted_call insert = {.sql = "INSERT"};
    const struct scripted_call insert_done = {.sql = "INSERT", .cells = foo, .row_count = 1};
    const struct scripted_call read = {.sql = "SELECT"};
    const struct scripted_job script[] = {{.calls = &insert, .call_count = 1},
                                          {.calls = &read, .call_count = 1},
                                          {.calls = &insert_done, .call_count = 1}};
    struct rig *rig = rig_start(script, 3);
    has(ask(rig, "POST", "/blobs", "{\"data\":\"foo\"}"), "HTTP/1.1 201 Created\r\n");
    rig_stop(rig);
}

static void contents_that_come_and_go(void **state) {
    const struct scripted_call here = {.sql = "SELECT", .cells = foo, .row_count = 1};
    const struct scripted_call made = {.sql = "INSERT", .cells = foo, .row_count = 1};
    const struct scripted_call nothing = {.sql = ""};
    const struct scripted_call first[] = {made, nothing};
    const struct scripted_call second[] = {here, nothing};
    const struct scripted_call third[] = {nothing, nothing};
    const struct scripted_call last[] = {here, here};
    const struct scripted_job script[] = {{.calls = first, .call_count = 2, .restarted = true},
                                          {.calls = second, .call_count = 2},
                                          {.calls = third, .call_count = 2},
                                          {.calls = last, .call_count = 2, .restarted = true}};
    struct rig *rig = rig_start(script, 4);
    const char *answer = ask(rig, "POST", "/blobs", "[{\"data\":\"foo\"},{\"data\":\"foo\"}]");
    has(answer, "HTTP/1.1 201 Created\r\n");
    has_not(answer, "Location");
    has(answer, "\"data\":\"foo\"},{\"digest\":");
    rig_stop(rig);
}

static void contents_that_come_and_go_for_ever(void **state) {
    const struct scripted_call nothing = {.sql = ""};
    struct scripted_job script[40];
    for (size_t i = 0; i < 40; i++)
        script[i] = (struct scripted_job){.calls = &nothing, .call_count = 1};
    struct rig *rig = rig_start(script, 40);
    has(ask(rig, "POST", "/blobs", "[{\"data\":\"foo\"}]"), "problem:contention\"");
    rig_stop(rig);
}

static void a_conflict_in_an_array_names_the_record(void **state) {
    const struct scripted_job script[] = {
        {.outcome = {.kind = OUTCOME_CONFLICT, .constraint = "notes.text", .call = 1}},
        {.outcome = {.kind = OUTCOME_UNAVAILABLE}},
        {.refused = true},
    };
    struct rig *rig = rig_start(script, 3);
    static const char body[] = "[{\"text\":\"b\"},{\"text\":\"a\"}]";
    has(ask(rig, "POST", "/notes", body), "\"pointer\":\"/1/text\"");
    has(ask(rig, "POST", "/notes", body), "problem:unavailable\"");
    has(ask(rig, "POST", "/notes", body), "problem:queue-full\"");
    rig_stop(rig);
}

static void lines_have_outcomes_of_their_own(void **state) {
    const struct scripted_job script[] = {
        {.calls = &gives_note, .call_count = 1, .restarted = true},
        {.refused = true},
        {.outcome = {.kind = OUTCOME_CONFLICT, .constraint = "notes.text"}},
        {.outcome = {.kind = OUTCOME_UNKNOWN}},
        {.calls = &gives_note, .call_count = 1},
    };
    struct rig *rig = rig_start(script, 5);
    // The first field of a name counts.
    const char *answer = ask_with(rig, "Content-Type: application/x-ndjson\r\n", "POST", "/notes",
                                  "{\"text\":\"a\"}\n{\"text\":\"b\"}\n{\"text\":\"c\"}\n"
                                  "{\"text\":\"d\"}\n{}\n{\"text\":\"e\"}");
    has(answer, "HTTP/1.1 200 OK\r\n");
    has(answer, "Transfer-Encoding: chunked\r\n");
    has(answer, "{\"line\":1,\"status\":201,\"key\":1}\n{\"line\":2,\"status\":503,\"problem\":{");
    has(answer, "queue-full");
    has(answer, "}\n{\"line\":3,\"status\":409,\"problem\":{");
    has(answer, "}\n{\"line\":4,\"status\":503,\"problem\":{");
    has(answer, "outcome-unknown");
    has(answer, "}\n{\"line\":5,\"status\":400,\"problem\":{");
    has(answer, "}\n{\"line\":6,\"status\":201,\"key\":1}\n");
    rig_stop(rig);
}

// A code as the plan selects it: code, size, _version.
static const struct value code[] = {{.kind = VALUE_TEXT, .text = TEXT_INIT("x/y")},
                                    {.kind = VALUE_NULL},
                                    {.kind = VALUE_INTEGER, .integer = 1}};

static void put_creates_under_a_chosen_key(void **state) {
    const struct scripted_call insert = {.sql = "INSERT", .cells = code, .row_count = 1};
    const struct scripted_call read = {.sql = "SELECT", .cells = code, .row_count = 1};
    const struct scripted_call update = {.sql = "UPDATE", .cells = code, .row_count = 1};
    const struct scripted_job script[] = {
        {.calls = &gives_nothing, .call_count = 1},
        {.calls = &insert, .call_count = 1},
        // Somebody else creates it between the look and the insert: it is replaced.
        {.calls = &gives_nothing, .call_count = 1},
        {.outcome = {.kind = OUTCOME_CONFLICT, .constraint = "codes.code"}},
        {.calls = &read, .call_count = 1},
        {.calls = &update, .call_count = 1},
    };
    struct rig *rig = rig_start(script, 6);
    const char *answer = ask(rig, "PUT", "/codes/x%2Fy", "{}");
    has(answer, "HTTP/1.1 201 Created\r\n");
    has(answer, "Location: /codes/x%2Fy\r\n");
    answer = ask(rig, "PUT", "/codes/x%2Fy", "{}");
    has(answer, "HTTP/1.1 200 OK\r\n");
    has_not(answer, "errors");
    rig_stop(rig);
}

static void deleting(void **state) {
    const struct scripted_call one = {.sql = "DELETE", .changes = 1};
    const struct scripted_call none = {.sql = "DELETE", .changes = 0};
    const struct scripted_job script[] = {{.calls = &one, .call_count = 1},
                                          {.calls = &none, .call_count = 1}};
    struct rig *rig = rig_start(script, 2);
    has(ask(rig, "DELETE", "/notes/1", ""), "HTTP/1.1 204 No Content\r\n");
    has(ask(rig, "DELETE", "/notes/1", ""), "HTTP/1.1 404 ");
    rig_stop(rig);
}

// The ETag of an answer, or "" where it has none.
static void etag_of(const char *answer, char out[64]) {
    const char *field = strstr(answer, "\r\nETag: ");
    size_t size = field ? strcspn(field + 8, "\r") : 0;
    assert_true(size < 64);
    memcpy(out, field ? field + 8 : "", size);
    out[size] = '\0';
}

static void what_the_client_has_is_not_sent(void **state) {
    const struct scripted_job script[] = {
        {.calls = &gives_note, .call_count = 1},
        {.calls = &gives_note, .call_count = 1, .restarted = true},
        {.calls = &gives_note, .call_count = 1},
        {.calls = &gives_note, .call_count = 1},
        {.calls = &gives_note, .call_count = 1},
        {.calls = &gives_nothing, .call_count = 1}};
    struct rig *rig = rig_start(script, 6);
    char etag[64];
    char field[128];
    etag_of(ask(rig, "GET", "/notes/1", ""), etag);
    assert_memory_equal(etag, "\"7.", 3);
    (void)snprintf(field, sizeof field, "If-None-Match: %s\r\n", etag);
    const char *answer = ask_with(rig, field, "GET", "/notes/1", "");
    has(answer, "HTTP/1.1 304 Not Modified\r\n");
    has(answer, etag);
    has(answer, "Cache-Control: no-cache\r\nVary: Accept\r\n");
    has_not(answer, "Content-");
    has_not(answer, "{");
    has(ask_with(rig, field, "HEAD", "/notes/1", ""), "HTTP/1.1 304 ");
    answer = ask_with(rig, field, "GET", "/notes/1?fields=id", "");
    has(answer, "HTTP/1.1 200 OK\r\n");
    has_not(answer, etag);
    has(ask_with(rig, "If-Match: \"6.x\"\r\n", "GET", "/notes/1", ""), "HTTP/1.1 412 ");
    has(ask_with(rig, "If-Match: \"6.x\"\r\n", "GET", "/notes/1", ""), "HTTP/1.1 404 ");
    rig_stop(rig);
}

// What was read is what is written over, and what was demanded is asked anew when it has changed.
static void a_change_of_one_version(void **state) {
    const struct value third[] = {{.kind = VALUE_INTEGER, .integer = 1},
                                  {.kind = VALUE_TEXT, .text = TEXT_INIT("c")},
                                  {.kind = VALUE_NULL},
                                  {.kind = VALUE_INTEGER, .integer = 8}};
    const struct value deleted[] = {{.kind = VALUE_INTEGER, .integer = 1},
                                    {.kind = VALUE_INTEGER, .integer = 7}};
    const struct scripted_call update = {
        .sql = "AND \"_version\" = ?", .cells = third, .row_count = 1};
    const struct scripted_call update_in_vain = {.sql = "AND \"_version\" = ?"};
    const struct scripted_call changed = {.sql = "SELECT", .cells = third, .row_count = 1};
    const struct scripted_call remove = {
        .sql = "DELETE", .parameters = deleted, .parameter_count = 2, .changes = 1};
    const struct scripted_call remove_in_vain = {
        .sql = "DELETE", .parameters = deleted, .parameter_count = 2};
    const struct scripted_job script[] = {
        {.calls = &gives_note, .call_count = 1},     {.calls = &update, .call_count = 1},
        {.calls = &gives_note, .call_count = 1},     {.calls = &update_in_vain, .call_count = 1},
        {.calls = &changed, .call_count = 1},        {.calls = &gives_note, .call_count = 1},
        {.calls = &remove, .call_count = 1},         {.calls = &gives_note, .call_count = 1},
        {.calls = &remove_in_vain, .call_count = 1}, {.calls = &changed, .call_count = 1},
        {.calls = &gives_nothing, .call_count = 1},
    };
    static const char seventh[] = "If-Match: \"6.x\", \"7.y\"\r\n";
    struct rig *rig = rig_start(script, sizeof script / sizeof *script);
    const char *answer = ask_with(rig, seventh, "PATCH", "/notes/1", "{\"text\":\"c\"}");
    has(answer, "HTTP/1.1 200 OK\r\n");
    has(answer, "\r\nETag: \"8.");
    has(ask_with(rig, seventh, "PUT", "/notes/1", "{\"text\":\"b\"}"), "HTTP/1.1 412 ");
    has(ask_with(rig, seventh, "DELETE", "/notes/1", ""), "HTTP/1.1 204 ");
    has(ask_with(rig, seventh, "DELETE", "/notes/1", ""), "problem:precondition-failed\"");
    has(ask_with(rig, seventh, "DELETE", "/notes/1", ""), "HTTP/1.1 404 ");
    rig_stop(rig);
}

// A list selects no version.
static const struct value listed[] = {{.kind = VALUE_INTEGER, .integer = 1},
                                      {.kind = VALUE_TEXT, .text = TEXT_INIT("a")},
                                      {.kind = VALUE_NULL},
                                      {.kind = VALUE_INTEGER, .integer = 2},
                                      {.kind = VALUE_TEXT, .text = TEXT_INIT("b")},
                                      {.kind = VALUE_NULL},
                                      {.kind = VALUE_INTEGER, .integer = 3},
                                      {.kind = VALUE_TEXT, .text = TEXT_INIT("c")},
                                      {.kind = VALUE_NULL}};

static void a_page_and_those_around_it(void **state) {
    const struct value total = value_integer(3);
    const struct scripted_call page = {.sql = "SELECT", .cells = listed, .row_count = 3};
    const struct scripted_call calls[] = {page, {.sql = "count", .cells = &total, .row_count = 1}};
    const struct scripted_job script[] = {{.calls = calls, .call_count = 2}};
    struct rig *rig = rig_start(script, 1);
    const char *answer = ask(rig, "GET", "/notes?limit=2&count=true&filter=id%20%3E%200", "");
    has(answer, "X-Total-Count: 3\r\n");
    has(answer, "Link: </notes?limit=2&count=true&filter=id%20%3E%200>; rel=\"first\"\r\n");
    has(answer, "&cursor=");
    has(answer, "rel=\"next\"\r\n");
    has_not(answer, "rel=\"prev\"");
    has(answer, "\r\n\r\n[{\"id\":1,\"text\":\"a\",\"size\":null},{\"id\":2,\"text\":\"b\","
                "\"size\":null}]");
    rig_stop(rig);
}

static void keys(void **state) {
    const struct scripted_job script[] = {{.calls = &gives_nothing, .call_count = 1}};
    struct rig *rig = rig_start(script, 1);
    const char *answer = ask(rig, "GET", "/secrets", "");
    has(answer, "HTTP/1.1 401 ");
    has(answer, "WWW-Authenticate: Bearer realm=\"trestle\"\r\n");
    has(ask(rig, "GET", "/secrets?api-key=another%20key", ""), "error=\"invalid_token\"");
    answer = ask(rig, "GET", "/secrets?api-key=the%20key", "");
    has(answer, "HTTP/1.1 200 OK\r\n");
    has(answer, "Cache-Control: private, no-cache\r\n");
    has(answer, "Vary: Accept, Authorization, X-API-Key, api-key\r\n");
    has_not(answer, "api-key=");
    rig_stop(rig);
}

// ---- API keys that are looked up

static const char secret[] = "tr_6k3mZVBuxN2NwexZxWs2nitNiIwUAqxXGkliR1EQmEP12W1pg";
static const char presenting[] =
    "/secrets?api-key=tr_6k3mZVBuxN2NwexZxWs2nitNiIwUAqxXGkliR1EQmEP12W1pg";

enum { KEY_CELLS = 8 };

// The row of that secret's key, as the look-up selects it.
struct key_row {
    struct value cells[KEY_CELLS];
    char digest[2 * DIGEST_SIZE];
    struct scripted_call gives;
};

static void key_row_make(struct key_row *row, const char *scopes, bool active, const char *ends) {
    unsigned char digest[DIGEST_SIZE];
    assert_true(digest_sha256(text_from_string(secret), digest));
    text_hex_encode(digest, DIGEST_SIZE, row->digest);
    row->cells[0] = value_text(VALUE_UUID, TEXT("01890000-0000-7000-8000-000000000000"));
    row->cells[1] = value_text(VALUE_TEXT, TEXT("tr_6k3mZVBu"));
    row->cells[2] = value_text(VALUE_JSON, text_from_string(scopes));
    row->cells[3] = value_boolean(active);
    row->cells[4] = ends ? value_text(VALUE_TIMESTAMP, text_from_string(ends)) : value_null();
    row->cells[5] = value_text(VALUE_TEXT, text_of(row->digest, sizeof row->digest));
    row->cells[6] = value_null();
    row->cells[7] = value_null();
    row->gives = (struct scripted_call){
        .sql = "FROM trestle_keys WHERE", .cells = row->cells, .row_count = 1};
}

// One question to the database serves many requests.
static void a_key_is_looked_up_once(void **state) {
    struct key_row row;
    key_row_make(&row, "[\"secrets:read\"]", true, NULL);
    const struct scripted_job script[] = {{.calls = &row.gives, .call_count = 1, .restarted = true},
                                          {.calls = &gives_nothing, .call_count = 1},
                                          {.calls = &gives_nothing, .call_count = 1}};
    struct rig *rig = rig_start(script, 3);
    has(ask(rig, "GET", presenting, ""), "HTTP/1.1 200 ");
    has(ask(rig, "GET", presenting, ""), "HTTP/1.1 200 ");
    const char *answer = ask(rig, "OPTIONS", presenting, "");
    has(answer, "Allow: OPTIONS, GET, HEAD\r\n");
    answer = ask(rig, "POST", presenting, "{}");
    has(answer, "HTTP/1.1 403 ");
    has(answer, "scope=\"secrets:write\"");
    has_not(answer, secret);
    rig_stop(rig);
}

static void an_unknown_key_is_looked_up_once(void **state) {
    const struct scripted_job script[] = {{.calls = &gives_nothing, .call_count = 1}};
    struct rig *rig = rig_start(script, 1);
    for (int i = 0; i < 3; i++) {
        const char *answer = ask(rig, "GET", presenting, "");
        has(answer, "HTTP/1.1 401 ");
        has(answer, "problem:key-invalid\"");
        has_not(answer, secret);
    }
    rig_stop(rig);
}

static void a_typing_error_is_not_looked_up(void **state) {
    struct rig *rig = rig_start(NULL, 0);
    const char *answer = ask(
        rig, "GET", "/secrets?api-key=tr_6k3mZVBuxN2NwexZxWs2nitNiIwUAqxXGkliR1EQmEP12W1ph", "");
    has(answer, "HTTP/1.1 401 ");
    has(answer, "a character is wrong");
    rig_stop(rig);
}

static void keys_that_are_good_no_more(void **state) {
    static const struct {
        bool active;
        const char *ends;
        const char *type;
    } rows[] = {
        {false, NULL, "problem:key-inactive\""},
        {true, "2001-01-01T00:00:00.000Z", "problem:key-expired\""},
        {false, "2001-01-01T00:00:00.000Z", "problem:key-inactive\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct key_row row;
        key_row_make(&row, "[\"admin\"]", rows[i].active, rows[i].ends);
        const struct scripted_job script[] = {{.calls = &row.gives, .call_count = 1}};
        struct rig *rig = rig_start(script, 1);
        const char *answer = ask(rig, "GET", presenting, "");
        has(answer, "HTTP/1.1 401 ");
        has(answer, "error=\"invalid_token\"");
        has(answer, rows[i].type);
        rig_stop(rig);
    }
}

// A secret that was replaced is good until its time of grace ends, or the key does.
static void secrets_that_were_replaced(void **state) {
    static const struct {
        const char *grace_ends; // NULL: nothing is said of it
        const char *ends;
        const char *status;
    } rows[] = {
        {"2901-01-01T00:00:00.000Z", NULL, "HTTP/1.1 200 "},
        {"2901-01-01T00:00:00.000Z", "2902-01-01T00:00:00.000Z", "HTTP/1.1 200 "},
        {"2001-01-01T00:00:00.000Z", NULL, "HTTP/1.1 401 "},
        {"2901-01-01T00:00:00.000Z", "2001-01-01T00:00:00.000Z", "HTTP/1.1 401 "},
        {NULL, NULL, "HTTP/1.1 401 "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct key_row row;
        key_row_make(&row, "[\"admin\"]", true, rows[i].ends);
        row.cells[6] = row.cells[5];
        row.cells[5] = value_text(VALUE_TEXT, TEXT("0000000000000000000000000000000000000000000000"
                                                   "000000000000000000"));
        if (rows[i].grace_ends)
            row.cells[7] = value_text(VALUE_TIMESTAMP, text_from_string(rows[i].grace_ends));
        const struct scripted_job script[] = {{.calls = &row.gives, .call_count = 1},
                                              {.calls = &gives_nothing, .call_count = 1}};
        struct rig *rig = rig_start(script, strstr(rows[i].status, "200") ? 2 : 1);
        has(ask(rig, "GET", presenting, ""), rows[i].status);
        rig_stop(rig);
    }
}

// Nobody gets in because the database does not answer, and what is public is served all the same.
static void look_ups_that_fail(void **state) {
    static const struct {
        enum outcome_kind outcome;
        bool refused;
        const char *status;
    } rows[] = {
        {OUTCOME_BUSY, false, "HTTP/1.1 503 "},      {OUTCOME_TIMEOUT, false, "HTTP/1.1 503 "},
        {OUTCOME_FAILED, false, "HTTP/1.1 500 "},    {OUTCOME_UNAVAILABLE, false, "HTTP/1.1 503 "},
        {OUTCOME_CANCELLED, false, "HTTP/1.1 503 "}, {OUTCOME_DONE, true, "HTTP/1.1 503 "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct scripted_job failing = {.outcome = {.kind = rows[i].outcome},
                                             .refused = rows[i].refused};
        const struct scripted_job script[] = {
            failing, failing, failing, {.calls = &gives_note, .call_count = 1}};
        struct rig *rig = rig_start(script, 4);
        char target[256];
        snprintf(target, sizeof target, "/notes/1?api-key=%s", secret);
        has(ask(rig, "GET", presenting, ""), rows[i].status);
        const char *answer = ask(rig, "POST", presenting, "{}");
        has(answer, rows[i].status);
        has_not(answer, "WWW-Authenticate");
        has(ask(rig, "GET", target, ""), "HTTP/1.1 200 ");
        rig_stop(rig);
    }
}

static void a_damaged_row_is_no_key(void **state) {
    struct key_row row;
    key_row_make(&row, "\"admin\"", true, NULL);
    const struct scripted_job script[] = {{.calls = &row.gives, .call_count = 1},
                                          {.calls = &row.gives, .call_count = 1}};
    struct rig *rig = rig_start(script, 2);
    has(ask(rig, "GET", presenting, ""), "HTTP/1.1 500 ");
    has(ask(rig, "GET", presenting, ""), "HTTP/1.1 500 ");
    rig_stop(rig);
}

static void a_client_that_goes_away(void **state) {
    const struct scripted_job script[] = {{.calls = &gives_note, .call_count = 1}};
    struct rig *rig = rig_start(script, 1);
    static const char request[] =
        "POST /notes HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n{\"te";
    int client = rig_connect(rig);
    assert_int_equal(write(client, request, sizeof request - 1), sizeof request - 1);
    for (int i = 0; i < 100; i++)
        uv_run(&rig->loop, UV_RUN_NOWAIT);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(client);
    has(ask(rig, "GET", "/notes/1", ""), "HTTP/1.1 200 OK\r\n");
    rig_stop(rig);
}

static void readiness(void **state) {
    const struct value one = value_integer(1);
    const struct scripted_call call = {.cells = &one, .row_count = 1};
    const struct scripted_job script[] = {{.calls = &call, .call_count = 1},
                                          {.outcome = {.kind = OUTCOME_UNAVAILABLE}}};
    struct rig *rig = rig_start(script, 2);
    has(ask(rig, "GET", "/readyz", ""), "HTTP/1.1 200 OK\r\n");
    has(ask(rig, "GET", "/readyz", ""), "HTTP/1.1 503 ");
    has(ask(rig, "GET", "/healthz", ""), "HTTP/1.1 200 OK\r\n");
    rig_stop(rig);
}

// ---- Idempotency-Key

static const char key_field[] = "Idempotency-Key: \"k\"\r\n";

// The answer of another request under the same key.
static const struct value other_answer[] = {
    {.kind = VALUE_BYTES, .text = TEXT_INIT("the fingerprint of another one")},
    {.kind = VALUE_INTEGER, .integer = 201},
    {.kind = VALUE_BYTES, .text = TEXT_INIT("Location: /notes/1\r\n")},
    {.kind = VALUE_BYTES, .text = TEXT_INIT("{}")}};

static const struct scripted_call finds_nothing = {.sql = "SELECT fingerprint"};
static const struct scripted_call finds_other = {
    .sql = "SELECT fingerprint", .cells = other_answer, .row_count = 1};
static const struct scripted_call keeps = {.sql = "INSERT INTO trestle_idempotency", .changes = 1};
static const struct scripted_call keeps_nothing = {.sql = "INSERT INTO trestle_idempotency"};
static const struct scripted_call inserts_note = {
    .sql = "INSERT INTO \"notes\"", .cells = one_note, .row_count = 1};

static const char *post_note(struct rig *rig) {
    return ask_with(rig, key_field, "POST", "/notes", "{\"text\":\"a\"}");
}

static void a_create_keeps_its_answer(void **state) {
    const struct value locked = value_integer(1);
    const struct scripted_call calls[] = {
        {.sql = "pg_try_advisory_xact_lock", .cells = &locked, .row_count = 1},
        finds_nothing,
        inserts_note,
        keeps};
    for (enum store_dialect dialect = STORE_SQLITE; dialect <= STORE_POSTGRES; dialect++) {
        bool locks = dialect == STORE_POSTGRES;
        const struct scripted_job job = {.calls = calls + !locks, .call_count = 3 + (size_t)locks};
        struct scripted_job again = job;
        again.restarted = true;
        const struct scripted_job script[] = {
            {.calls = &finds_nothing, .call_count = 1},
            job,
            {.calls = &finds_nothing, .call_count = 1, .restarted = true},
            again};
        struct rig *rig = rig_start_on(dialect, script, 4);
        for (int i = 0; i < 2; i++) {
            const char *answer = post_note(rig);
            has(answer, "HTTP/1.1 201 Created\r\n");
            has(answer, "\r\n\r\n{\"id\":1,\"text\":\"a\",\"size\":null}");
            has_not(strstr(answer, "Location: /notes/1\r\n") + 1, "Location:");
            has_not(strstr(answer, "ETag: ") + 1, "ETag:");
            has_not(strstr(answer, "Content-Type: ") + 1, "Content-Type:");
            has_not(answer, "Idempotency-Replayed");
        }
        rig_stop(rig);
    }
}

static void a_key_of_another_request(void **state) {
    const struct scripted_call late[] = {finds_other, inserts_note, keeps};
    const struct scripted_job script[] = {{.calls = &finds_other, .call_count = 1},
                                          {.calls = &finds_nothing, .call_count = 1},
                                          {.calls = late, .call_count = 3}};
    struct rig *rig = rig_start(script, 3);
    for (int i = 0; i < 2; i++) { // it is there at once, and it comes meanwhile
        const char *answer = post_note(rig);
        has(answer, "HTTP/1.1 422 ");
        has(answer, "problem:idempotency-mismatch\"");
        has_not(answer, "Location");
    }
    rig_stop(rig);
}

static void a_key_that_is_in_use(void **state) {
    const struct value locked = value_integer(1);
    const struct scripted_call held[] = {
        {.sql = "pg_try_advisory_xact_lock"}, finds_nothing, inserts_note, keeps};
    const struct scripted_call beaten[] = {
        {.sql = "pg_try_advisory_xact_lock", .cells = &locked, .row_count = 1},
        finds_nothing,
        inserts_note,
        keeps_nothing};
    const struct scripted_job script[] = {{.calls = &finds_nothing, .call_count = 1},
                                          {.calls = held, .call_count = 4},
                                          {.calls = &finds_nothing, .call_count = 1},
                                          {.calls = beaten, .call_count = 4}};
    struct rig *rig = rig_start_on(STORE_POSTGRES, script, 4);
    for (int i = 0; i < 2; i++) {
        const char *answer = post_note(rig);
        has(answer, "HTTP/1.1 409 ");
        has(answer, "problem:idempotency-in-progress\"");
        has(answer, "Retry-After: 1\r\n");
        has_not(answer, "Location");
    }
    rig_stop(rig);
}

static void outcomes_of_writes_under_a_key(void **state) {
    static const struct {
        struct outcome outcome;
        const char *status;
        const char *part;
    } rows[] = {
        {{.kind = OUTCOME_FULL, .call = 2}, "HTTP/1.1 507 ", "problem:disk-full\""},
        {{.kind = OUTCOME_UNKNOWN}, "HTTP/1.1 503 ", "problem:outcome-unknown\""},
        {{.kind = OUTCOME_UNAVAILABLE}, "HTTP/1.1 503 ", "problem:unavailable\""},
        {{.kind = OUTCOME_CONFLICT, .call = 1, .constraint = "notes.text"},
         "HTTP/1.1 409 ",
         "\"errors\":[{\"pointer\":\"/text\",\"detail\":\"is taken by another record\"}]"},
        {{.kind = OUTCOME_FAILED, .call = 0}, "HTTP/1.1 500 ", "problem:internal\""},
    };
    const struct scripted_call calls[] = {finds_nothing, inserts_note, keeps};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        // (The rows came, and the answer was made of them, before the commit failed.)
        const struct scripted_job script[] = {
            {.calls = &finds_nothing, .call_count = 1},
            {.calls = calls, .call_count = 3, .outcome = rows[i].outcome},
            {.outcome = rows[i].outcome}};
        struct rig *rig = rig_start(script, 3);
        for (int j = 0; j < 2; j++) { // in the write, or already in the look before it
            const char *answer = post_note(rig);
            if (j == 0)
                has(answer, rows[i].part);
            if (j == 0 || rows[i].outcome.kind != OUTCOME_CONFLICT)
                has(answer, rows[i].status);
            has_not(answer, "Location");
            has_not(answer, "ETag");
        }
        rig_stop(rig);
    }
}

static void only_the_answer_is_kept(void **state) {
    const struct scripted_call beaten[] = {finds_nothing, {.sql = "UPDATE"}, keeps_nothing};
    const struct scripted_call done[] = {
        finds_nothing, {.sql = "UPDATE", .cells = one_note, .row_count = 1}, keeps};
    const struct scripted_job script[] = {
        {.calls = &finds_nothing, .call_count = 1}, {.calls = &gives_note, .call_count = 1},
        {.calls = beaten, .call_count = 3},         {.calls = &gives_note, .call_count = 1},
        {.calls = done, .call_count = 3},
    };
    struct rig *rig = rig_start(script, 5);
    const char *answer = ask_with(rig, key_field, "PATCH", "/notes/1", "{\"text\":\"b\"}");
    has(answer, "HTTP/1.1 200 OK\r\n");
    has(answer, "\r\n\r\n{\"id\":1,\"text\":\"a\",\"size\":null}");
    rig_stop(rig);
}

static void content_that_is_there_is_an_answer_too(void **state) {
    const struct scripted_call insert[] = {
        finds_nothing, {.sql = "INSERT INTO \"blobs\""}, keeps_nothing};
    const struct scripted_call read[] = {
        finds_nothing, {.sql = "SELECT", .cells = foo, .row_count = 1}, keeps};
    const struct scripted_job script[] = {{.calls = &finds_nothing, .call_count = 1},
                                          {.calls = insert, .call_count = 3},
                                          {.calls = read, .call_count = 3}};
    struct rig *rig = rig_start(script, 3);
    has(ask_with(rig, key_field, "POST", "/blobs", "{\"data\":\"foo\"}"), "HTTP/1.1 200 OK\r\n");
    rig_stop(rig);
}

static void keys_where_they_mean_nothing(void **state) {
    const struct scripted_job script[] = {{.calls = &gives_note, .call_count = 1}};
    struct rig *rig = rig_start(script, 1);
    has(ask_with(rig, "Idempotency-Key: \"\r\n", "GET", "/notes/1", ""), "HTTP/1.1 200 OK\r\n");
    has(ask_with(rig, "Idempotency-Key: \"\r\n", "POST", "/notes", "{}"),
        "problem:invalid-field\"");
    has(ask_with(rig, "Idempotency-Key: a\r\nIdempotency-Key: b\r\n", "POST", "/notes", "{}"),
        "problem:invalid-field\"");
    rig_stop(rig);
}

// As many as go into one job tell that there may be more; a failure is no reason to stop.
static void what_was_kept_long_enough_is_forgotten(void **state) {
    static const char answers[] = "DELETE FROM trestle_idempotency";
    static const char uses[] = "DELETE FROM trestle_key_usage";
    const struct scripted_call many[] = {{.sql = answers, .changes = 100},
                                         {.sql = uses, .changes = 0}};
    const struct scripted_call many_uses[] = {{.sql = answers, .changes = 0},
                                              {.sql = uses, .changes = 100}};
    const struct scripted_call few[] = {{.sql = answers, .changes = 99},
                                        {.sql = uses, .changes = 99}};
    const struct scripted_job script[] = {
        {.calls = many, .call_count = 2},    {.calls = many_uses, .call_count = 2},
        {.calls = few, .call_count = 2},     {.refused = true},
        {.outcome = {.kind = OUTCOME_BUSY}}, {.calls = few, .call_count = 2}};
    struct rig *rig = rig_start(script, 6);
    service_sweep(&rig->service);
    while (scripted_store_left(rig->options.store) > 3)
        uv_run(&rig->loop, UV_RUN_ONCE);
    uint64_t since = uv_now(&rig->loop);
    while (scripted_store_left(rig->options.store))
        uv_run(&rig->loop, UV_RUN_ONCE);
    assert_in_range(uv_now(&rig->loop) - since, 1400, 60000);
    rig_stop(rig); // with a job that is out
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcomes_of_reads),
        cmocka_unit_test(outcomes_of_writes),
        cmocka_unit_test(a_full_queue_is_told_at_once),
        cmocka_unit_test(rows_that_come_again_are_written_once),
        cmocka_unit_test(a_change_begins_again_when_others_are_quicker),
        cmocka_unit_test(a_change_gives_up_in_the_end),
        cmocka_unit_test(content_that_is_there_already),
        cmocka_unit_test(content_that_comes_and_goes),
        cmocka_unit_test(contents_that_come_and_go),
        cmocka_unit_test(contents_that_come_and_go_for_ever),
        cmocka_unit_test(a_conflict_in_an_array_names_the_record),
        cmocka_unit_test(lines_have_outcomes_of_their_own),
        cmocka_unit_test(put_creates_under_a_chosen_key),
        cmocka_unit_test(deleting),
        cmocka_unit_test(what_the_client_has_is_not_sent),
        cmocka_unit_test(a_change_of_one_version),
        cmocka_unit_test(a_page_and_those_around_it),
        cmocka_unit_test(keys),
        cmocka_unit_test(a_key_is_looked_up_once),
        cmocka_unit_test(an_unknown_key_is_looked_up_once),
        cmocka_unit_test(a_typing_error_is_not_looked_up),
        cmocka_unit_test(keys_that_are_good_no_more),
        cmocka_unit_test(secrets_that_were_replaced),
        cmocka_unit_test(look_ups_that_fail),
        cmocka_unit_test(a_damaged_row_is_no_key),
        cmocka_unit_test(a_client_that_goes_away),
        cmocka_unit_test(readiness),
        cmocka_unit_test(a_create_keeps_its_answer),
        cmocka_unit_test(a_key_of_another_request),
        cmocka_unit_test(a_key_that_is_in_use),
        cmocka_unit_test(outcomes_of_writes_under_a_key),
        cmocka_unit_test(only_the_answer_is_kept),
        cmocka_unit_test(content_that_is_there_is_an_answer_too),
        cmocka_unit_test(keys_where_they_mean_nothing),
        cmocka_unit_test(what_was_kept_long_enough_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
