#include "cli/client.h"

#include "base/clock.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    CONNECT_TIMEOUT = 10000, // milliseconds
    ANSWER_TIMEOUT = 120000,
    FIND_TIMEOUT = 2000,
    CONNECTIONS_KEPT = 128,
    ANSWER_MAX = 1 << 30, // bytes: a page of the largest records
    EXPLAIN_MAX = 300,    // bytes of an answer that explains nothing
};

struct client {
    struct client_server server;
    CURLM *multi;
    struct curl_slist *fields;
    struct client_request *waiting; // by when they are due
    int running;
    bool knows_libcurl; // curl_global_init was called
};

// ---- Opening

static bool add_field(struct client *client, const char *line) {
    struct curl_slist *longer = curl_slist_append(client->fields, line);
    if (longer)
        client->fields = longer;
    return longer != NULL;
}

static bool add_fields(struct client *client) {
    bool ok = add_field(client, "Content-Type: application/json") &&
              add_field(client, "Accept: application/json") &&
              add_field(client, "Expect:"); // bodies are small enough to be sent at once
    if (!ok || !client->server.key)
        return ok;
    struct buffer line = {0};
    buffer_format(&line, "Authorization: Bearer %s", client->server.key);
    buffer_append_byte(&line, '\0');
    ok = !line.failed && add_field(client, line.data);
    buffer_free(&line);
    return ok;
}

struct client *client_open(const struct client_server *server, struct failure *failure) {
    struct client *client = calloc(1, sizeof *client);
    if (!client) {
        failure_out_of_memory(failure);
        return NULL;
    }
    client->server = *server;
    client->knows_libcurl = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    client->multi = client->knows_libcurl ? curl_multi_init() : NULL;
    if (!client->multi || !add_fields(client)) {
        client_close(client);
        failure_out_of_memory(failure);
        return NULL;
    }
    (void)curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    return client;
}

void client_close(struct client *client) {
    if (!client)
        return;
    curl_slist_free_all(client->fields);
    (void)curl_multi_cleanup(client->multi);
    if (client->knows_libcurl)
        curl_global_cleanup();
    free(client);
}

// ---- One request

static size_t on_body(char *bytes, size_t one, size_t size, void *owner) {
    struct client_request *request = owner;
    if (request->answer.size + size > ANSWER_MAX)
        return 0; // which libcurl takes as an error
    buffer_append(&request->answer, bytes, size);
    return request->answer.failed ? 0 : size;
}

static bool read_field(struct text line, const char *name, struct text *ret_value) {
    size_t size = strlen(name);
    if (line.size <= size || line.data[size] != ':' || strncasecmp(line.data, name, size) != 0)
        return false;
    struct text value = text_from(line, size + 1);
    while (value.size && (value.data[value.size - 1] == '\n' || value.data[value.size - 1] == '\r'))
        value.size--;
    *ret_value = text_trim(value);
    return true;
}

static size_t on_field(char *bytes, size_t one, size_t size, void *owner) {
    struct client_request *request = owner;
    struct text value;
    int64_t number;
    struct text line = text_of(bytes, size);
    if (read_field(line, "Link", &value)) {
        buffer_append_text(&request->link, value);
        buffer_append_byte(&request->link, '\n');
    } else if (read_field(line, "X-Total-Count", &value) && text_to_integer(value, &number)) {
        request->total = number;
    } else if (read_field(line, "Retry-After", &value) && text_to_integer(value, &number)) {
        request->retry_after = number >= 0 && number < 3600 ? (unsigned)number : 0;
    }
    return size;
}

// Each of libcurl's setters may want memory: the first error counts.
static CURLcode set_up(struct client *client, struct client_request *request) {
    CURL *handle = request->handle;
    const struct client_server *server = &client->server;
    struct buffer url = {0};
    buffer_format(&url, "%s%s", server->url, request->target);
    buffer_append_byte(&url, '\0');
    request->fields = (struct curl_slist){.data = request->field, .next = client->fields};
    CURLcode code = url.failed ? CURLE_OUT_OF_MEMORY : CURLE_OK;
#define SET(option, value)                                                                         \
    if (code == CURLE_OK)                                                                          \
    code = curl_easy_setopt(handle, option, value)
    SET(CURLOPT_URL, url.data);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_UNIX_SOCKET_PATH, server->unix_socket);
    SET(CURLOPT_NOPROXY, server->is_local || server->unix_socket ? "*" : NULL);
    SET(CURLOPT_CUSTOMREQUEST, request->method);
    SET(CURLOPT_HTTPHEADER, request->field ? &request->fields : client->fields);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT);
    SET(CURLOPT_TIMEOUT_MS, request->timeout ? (long)request->timeout : (long)ANSWER_TIMEOUT);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, request);
    SET(CURLOPT_HEADERFUNCTION, on_field);
    SET(CURLOPT_HEADERDATA, request);
    SET(CURLOPT_PRIVATE, request);
    if (request->body.data) {
        SET(CURLOPT_POSTFIELDS, request->body.data);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
    }
#undef SET
    buffer_free(&url);
    return code;
}

static void say_problem(struct client_request *request, const char *problem) {
    struct text text = text_from_string(problem);
    if (text.size >= sizeof request->problem)
        text = text_whole_characters(text_of(text.data, sizeof request->problem - 1));
    memcpy(request->problem, text.data, text.size);
    request->problem[text.size] = '\0';
}

static void forget_answer(struct client_request *request) {
    buffer_clear(&request->answer);
    buffer_clear(&request->link);
    request->status = 0;
    request->was_sent = false;
    request->problem[0] = '\0';
    request->total = -1;
    request->retry_after = 0;
}

// Hands a request to libcurl. False, with its problem set, when that does not work.
static bool begin(struct client *client, struct client_request *request) {
    forget_answer(request);
    request->handle = curl_easy_init();
    CURLcode code = request->handle ? set_up(client, request) : CURLE_OUT_OF_MEMORY;
    CURLMcode multi_code =
        code == CURLE_OK ? curl_multi_add_handle(client->multi, request->handle) : CURLM_OK;
    if (code == CURLE_OK && multi_code == CURLM_OK) {
        client->running++;
        return true;
    }
    say_problem(request,
                code != CURLE_OK ? curl_easy_strerror(code) : curl_multi_strerror(multi_code));
    curl_easy_cleanup(request->handle);
    request->handle = NULL;
    return false;
}

// Errors before anything can have reached the server.
static bool surely_not_sent(CURLcode code) {
    return code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
           code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_URL_MALFORMAT ||
           code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_SSL_CONNECT_ERROR ||
           code == CURLE_PEER_FAILED_VERIFICATION;
}

static void end(struct client *client, CURL *handle, CURLcode code) {
    struct client_request *request = NULL;
    long status = 0;
    (void)curl_easy_getinfo(handle, CURLINFO_PRIVATE, (char **)&request);
    (void)curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_multi_remove_handle(client->multi, handle);
    curl_easy_cleanup(handle);
    client->running--;
    request->handle = NULL;
    request->was_sent = !surely_not_sent(code);
    if (code == CURLE_OK && status > 0)
        request->status = (unsigned)status;
    else
        say_problem(request, code == CURLE_OK ? "no status" : curl_easy_strerror(code));
    request->on_done(request);
}

// ---- Many

void client_send(struct client *client, struct client_request *request, unsigned delay) {
    request->due = clock_monotonic() + delay;
    request->client = client;
    struct client_request **place = &client->waiting;
    while (*place && (*place)->due <= request->due)
        place = &(*place)->next;
    request->next = *place;
    *place = request;
}

// Begins what is due, and gives how many milliseconds the next one has to wait.
static unsigned begin_due(struct client *client, unsigned timeout) {
    uint64_t now = clock_monotonic();
    while (client->waiting && client->waiting->due <= now) {
        struct client_request *request = client->waiting;
        client->waiting = request->next;
        if (!begin(client, request))
            request->on_done(request);
    }
    if (!client->waiting)
        return timeout;
    uint64_t wait = client->waiting->due > now ? client->waiting->due - now : 0;
    return wait < timeout ? (unsigned)wait : timeout;
}

static bool take_ended(struct client *client) {
    bool any = false;
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &left));) {
        if (message->msg == CURLMSG_DONE) {
            any = true;
            end(client, message->easy_handle, message->data.result);
        }
    }
    return any;
}

void client_run_with(struct client *client, int descriptor, unsigned timeout) {
    struct curl_waitfd other = {.fd = descriptor, .events = CURL_WAIT_POLLIN};
    int running;
    unsigned wait = begin_due(client, timeout);
    (void)curl_multi_perform(client->multi, &running);
    if (take_ended(client))
        return;
    (void)curl_multi_poll(client->multi, &other, descriptor >= 0, (int)wait, NULL);
    (void)begin_due(client, timeout);
    (void)curl_multi_perform(client->multi, &running);
    (void)take_ended(client);
}

void client_run(struct client *client, unsigned timeout) {
    client_run_with(client, -1, timeout);
}

void client_cancel(struct client *client, struct client_request *request) {
    for (struct client_request **place = &client->waiting; *place; place = &(*place)->next) {
        if (*place == request) {
            *place = request->next;
            return;
        }
    }
    (void)curl_multi_remove_handle(client->multi, request->handle);
    curl_easy_cleanup(request->handle);
    client->running--;
    request->handle = NULL;
}

static void on_asked(struct client_request *request) {
    request->owner = NULL;
}

void client_ask(struct client *client, struct client_request *request) {
    request->owner = client; // until it is done
    request->on_done = on_asked;
    client_send(client, request, 0);
    while (request->owner)
        client_run(client, 1000);
}

void client_request_free(struct client_request *request) {
    buffer_free(&request->answer);
    buffer_free(&request->link);
}

// ---- Answers

// Without the scheme and the authority, which a server behind a proxy may not know.
static struct text relative_target(struct text target) {
    ptrdiff_t colon = text_find(target, ':');
    if (colon < 0 || !text_starts_with(text_from(target, (size_t)colon), TEXT("://")))
        return target;
    struct text rest = text_from(target, (size_t)colon + 3);
    ptrdiff_t slash = text_find(rest, '/');
    return slash < 0 ? TEXT("/") : text_from(rest, (size_t)slash);
}

// Whether the parameters of a link (RFC 8288 section 3) have rel="RELATION".
static bool has_relation(struct text parameters, const char *relation) {
    char quoted[40];
    snprintf(quoted, sizeof quoted, "rel=\"%s\"", relation);
    struct text part;
    while (text_split(&parameters, ';', &part)) {
        part = text_trim(part);
        if (text_is(part, quoted))
            return true;
    }
    return false;
}

bool client_link(const struct client_request *request, const char *relation, struct buffer *out) {
    struct text rest = buffer_text(&request->link);
    for (;;) {
        ptrdiff_t open = text_find(rest, '<');
        if (open < 0)
            return false;
        rest = text_from(rest, (size_t)open + 1);
        ptrdiff_t close = text_find(rest, '>');
        if (close < 0)
            return false;
        struct text target = text_of(rest.data, (size_t)close);
        rest = text_from(rest, (size_t)close + 1);
        ptrdiff_t following = text_find(rest, '<');
        struct text parameters = text_of(rest.data, following < 0 ? rest.size : (size_t)following);
        while (parameters.size && strchr(", \n", parameters.data[parameters.size - 1]))
            parameters.size--;
        if (has_relation(parameters, relation)) {
            buffer_append_text(out, relative_target(target));
            return true;
        }
    }
}

static void append_member(struct buffer *out, const json_t *object, const char *name,
                          const char *before) {
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value) || json_string_length(value) == 0)
        return;
    buffer_append_string(out, before);
    buffer_append(out, json_string_value(value), json_string_length(value));
}

static bool explain_problem(const json_t *problem, struct buffer *out) {
    const json_t *errors = json_object_get(problem, "errors");
    size_t start = out->size;
    for (size_t i = 0; i < json_array_size(errors); i++) {
        const json_t *error = json_array_get(errors, i);
        if (out->size > start)
            buffer_append_string(out, "; ");
        size_t before = out->size;
        append_member(out, error, "pointer", "");
        append_member(out, error, "detail", out->size > before ? ": " : "");
    }
    if (out->size == start)
        append_member(out, problem, json_object_get(problem, "detail") ? "detail" : "title", "");
    return out->size > start;
}

void client_explain(const struct client_request *request, struct buffer *out) {
    if (request->status == 0) {
        buffer_append_string(out, request->problem);
        return;
    }
    json_t *problem =
        json_loadb(request->answer.data ? request->answer.data : "", request->answer.size, 0, NULL);
    if (!explain_problem(problem, out)) {
        struct text body = text_whole_characters(
            text_of(request->answer.data,
                    request->answer.size < EXPLAIN_MAX ? request->answer.size : EXPLAIN_MAX));
        buffer_format(out, "status %u", request->status);
        if (body.size && text_is_utf8(body))
            buffer_format(out, ": %.*s", TEXT_ARGS(body));
    }
    json_decref(problem);
}

bool client_is_problem(const struct client_request *request, const char *type) {
    char member[80];
    int size = snprintf(member, sizeof member, "problem:%s\"", type);
    return request->answer.size &&
           memmem(request->answer.data, request->answer.size, member, (size_t)size);
}

// ---- Finding a server

static bool address_server(const struct listen_address *address, struct arena *arena,
                           struct client_server *server) {
    *server = (struct client_server){.url = "http://localhost", .is_local = true};
    if (address->kind == LISTEN_UNIX) {
        server->unix_socket = address->path;
        return true;
    }
    if (address->kind != LISTEN_TCP || address->port == 0)
        return false;
    // Who listens at every address is reached at the loopback's.
    const char *host = address->host;
    if (strcmp(host, "0.0.0.0") == 0)
        host = "127.0.0.1";
    else if (strcmp(host, "::") == 0)
        host = "::1";
    bool is_ipv6 = strchr(host, ':') != NULL;
    server->url = arena_format(arena, "http://%s%s%s:%u", is_ipv6 ? "[" : "", host,
                               is_ipv6 ? "]" : "", address->port)
                      .data;
    return server->url != NULL;
}

static bool answers(const struct client_server *server) {
    struct failure ignored;
    struct client *client = client_open(server, &ignored);
    if (!client)
        return false;
    struct client_request request = {
        .method = "GET", .target = "/healthz", .timeout = FIND_TIMEOUT};
    client_ask(client, &request);
    bool ok = request.status == 200;
    client_request_free(&request);
    client_close(client);
    return ok;
}

bool client_guess_server(const struct listen_list *listen, struct arena *arena,
                         struct client_server *ret_server) {
    for (size_t i = 0; i < listen->count; i++) {
        if (address_server(&listen->items[i], arena, ret_server))
            return true;
    }
    return false;
}

bool client_find_server(const struct listen_list *listen, struct arena *arena,
                        struct client_server *ret_server) {
    for (size_t i = 0; i < listen->count; i++) {
        struct client_server server;
        if (address_server(&listen->items[i], arena, &server) && answers(&server)) {
            *ret_server = server;
            return true;
        }
    }
    return false;
}
