// Bytes of a client to a connection: nothing may crash, every request must be answered, and what
// the handler is given must not depend on how the bytes were cut into writes. The input's first
// byte says how they are cut.
#include "fuzz/fuzz.h"

#include "http/server.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INPUT_MAX = 60000, TURNS_MAX = 10000 };

struct scene {
    uv_loop_t loop;
    struct http_server *server;
    struct http_request *held; // for a path that starts with "/l", answered a turn later
    size_t lent;               // requests that the handler has
    uint64_t seen;             // a digest of what the handler was given
};

static const struct http_limits limits = {
    .max_head = 1000,
    .max_body = 5000,
    .request_timeout = 60000,
    .idle_timeout = 60000,
    .write_timeout = 60000,
};

static void require(bool condition) {
    if (!condition)
        abort();
}

static void see(struct scene *scene, struct text text) {
    for (size_t i = 0; i < text.size; i++)
        scene->seen = (scene->seen ^ (unsigned char)text.data[i]) * 0x100000001b3;
    scene->seen = (scene->seen ^ text.size) * 0x100000001b3;
}

static void answer(struct scene *scene, struct http_request *request) {
    struct http_answer answer = http_answer_begin(request, 200);
    buffer_append_text(&answer.body, request->body);
    answer.close = text_is(request->query, "close");
    scene->lent--;
    http_answer(request, &answer);
}

// The bytes of a body, however they were cut.
static void see_bytes(struct scene *scene, struct text text) {
    for (size_t i = 0; i < text.size; i++)
        scene->seen = (scene->seen ^ (unsigned char)text.data[i]) * 0x100000001b3;
}

// A path that starts with "/s" has its body read in pieces and gets it back as a stream, "/p" is
// answered at its end.
static bool is_stream(const struct http_request *request) {
    return request->path.size > 1 && request->path.data[1] == 's';
}

static bool is_in_pieces(const struct http_request *request) {
    return is_stream(request) || (request->path.size > 1 && request->path.data[1] == 'p');
}

static void begin_stream(struct http_request *request) {
    struct http_answer answer = http_answer_begin(request, 200);
    answer.close = text_is(request->query, "close");
    http_stream_begin(request, &answer, text_is(request->query, "endless"));
}

static void end_stream(struct scene *scene, struct http_request *request) {
    scene->lent--;
    if (text_is(request->query, "abort"))
        http_stream_abort(request);
    else
        http_stream_end(request);
}

static void start_pieces(struct http_request *request) {
    if (is_stream(request))
        begin_stream(request);
    http_read_piece(request);
}

static void on_head(void *context, struct http_request *request) {
    struct scene *scene = context;
    struct text decoded = {0};
    scene->lent++;
    see(scene, request->method_name);
    see(scene, request->target);
    require(request->path.size > 0);
    for (size_t i = 0; i < request->field_count; i++) {
        see(scene, request->fields[i].name);
        see(scene, request->fields[i].value);
        require(request->fields[i].name.size > 0);
    }
    if (http_percent_decode(&request->arena, request->path, true, &decoded))
        require(text_is_utf8(decoded) &&
                (decoded.size == 0 || !memchr(decoded.data, 0, decoded.size)));
    if (request->path.size > 1 && request->path.data[1] == 'l')
        scene->held = request;
    else if (request->path.size > 1 && request->path.data[1] == 'u')
        answer(scene, request);
    else if (is_in_pieces(request))
        start_pieces(request);
    else
        http_read_body(request);
}

static void on_piece(void *context, struct http_request *request, struct text piece) {
    struct scene *scene = context;
    require(piece.size > 0 && piece.size <= SERVER_READ_SIZE);
    see_bytes(scene, piece);
    if (is_stream(request))
        (void)http_stream_write(request, piece);
    http_read_piece(request);
}

static void on_body(void *context, struct http_request *request) {
    struct scene *scene = context;
    if (is_in_pieces(request))
        see_bytes(scene, request->fault ? TEXT("fault") : TEXT("end"));
    if (is_stream(request)) {
        end_stream(scene, request);
        return;
    }
    require(request->body.size <= limits.max_body);
    see(scene, request->body);
    answer(scene, request);
}

static void on_gone(void *context, struct http_request *request) {
    struct scene *scene = context;
    if (is_stream(request))
        end_stream(scene, request);
    else if (request != scene->held)
        answer(scene, request);
}

static void on_stream_event(void *context, struct http_request *request) {
    require(is_stream(request));
}

static void explain(void *context, const struct http_request *request,
                    const struct failure *failure, struct http_answer *explanation) {
    require(failure->code != FAILURE_NONE && failure->detail[0] != '\0');
    buffer_append_string(&explanation->body, failure->detail);
}

static void on_answered(void *context, const struct http_request *request, unsigned status,
                        size_t body_size) {
    require(status >= 200 && status < 600);
}

static struct scene *scene_create(void) {
    static struct http_handler handler = {
        .on_head = on_head,
        .on_body = on_body,
        .on_piece = on_piece,
        .on_gone = on_gone,
        .on_writable = on_stream_event,
        .on_stopping = on_stream_event,
        .explain = explain,
        .on_answered = on_answered,
    };
    struct scene *scene = calloc(1, sizeof *scene);
    struct failure failure;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    require(scene != NULL && listener >= 0);
    (void)signal(SIGPIPE, SIG_IGN);
    handler.context = scene;
    require(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
    require(uv_loop_init(&scene->loop) == 0);
    require(http_server_start(&scene->loop, listener, &limits, &handler, NULL, &scene->server,
                              &failure));
    return scene;
}

// A turn of the loop; what the server sent is looked at no further.
static void turn(struct scene *scene, int client) {
    char bytes[4096];
    uv_run(&scene->loop, UV_RUN_NOWAIT);
    if (scene->held) {
        struct http_request *request = scene->held;
        scene->held = NULL;
        if (request->gone)
            answer(scene, request);
        else
            http_read_body(request);
    }
    while (recv(client, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
}

// Has the server read the bytes, `step` a turn, and returns the digest of what its handler saw.
static uint64_t serve(struct scene *scene, struct text bytes, size_t step) {
    int sockets[2];
    const struct sockaddr address = {.sa_family = AF_UNIX};
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets) == 0);
    scene->seen = 0xcbf29ce484222325;
    connection_open(scene->server, sockets[0], &address, false);
    while (bytes.size > 0) {
        size_t size = bytes.size < step ? bytes.size : step;
        if (send(sockets[1], bytes.data, size, 0) < 0)
            break; // the server closed
        bytes = text_from(bytes, size);
        turn(scene, sockets[1]);
    }
    shutdown(sockets[1], SHUT_WR);
    for (int i = 0; http_server_connections(scene->server) > 0 || scene->lent > 0; i++) {
        require(i < TURNS_MAX);
        turn(scene, sockets[1]);
    }
    turn(scene, sockets[1]);
    close(sockets[1]);
    return scene->seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct scene *scene;
    if (!scene)
        scene = scene_create();
    if (size < 2 || size > INPUT_MAX)
        return 0;
    struct text bytes = text_of((const char *)data + 1, size - 1);
    uint64_t whole = serve(scene, bytes, bytes.size);
    uint64_t in_parts = serve(scene, bytes, (size_t)data[0] + 1);
    require(whole == in_parts);
    return 0;
}
