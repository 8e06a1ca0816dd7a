#include "cli/client.h"

#include "base/clock.h"
#include "unit/testing.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static void set_link(struct client_request *request, const char *fields) {
    *request = (struct client_request){0};
    buffer_append_string(&request->link, fields);
}

static void links_are_found_by_their_relation(void **state) {
    static const struct {
        const char *fields; // one a line
        const char *next;   // NULL: none
    } cases[] = {
        {"</a?cursor=x>; rel=\"next\"\n", "/a?cursor=x"},
        {"</f>; rel=\"first\", </p>; rel=\"prev\", </n?a=1,2;3>; rel=\"next\"\n", "/n?a=1,2;3"},
        {"</f>; rel=\"first\"\n</n>; title=\"x\"; rel=\"next\"\n", "/n"},
        {"<http://example.org:80/n?x=1>; rel=\"next\"\n", "/n?x=1"},
        {"<https://example.org>; rel=\"next\"\n", "/"},
        {"</p>; rel=\"prev\"\n", NULL},
        {"</p>\n", NULL},
        {"</p; rel=\"next\"\n", NULL},
        {"nonsense\n", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client_request request;
        struct buffer target = {0};
        set_link(&request, cases[i].fields);
        bool found = client_link(&request, "next", &target);
        assert_true_for(found == (cases[i].next != NULL), cases[i].fields);
        if (found)
            assert_text_is(buffer_text(&target), cases[i].next);
        buffer_free(&target);
        client_request_free(&request);
    }
}

static void answers_are_explained(void **state) {
    static const struct {
        unsigned status;
        const char *body;
        const char *expected;
    } cases[] = {
        {400,
         "{\"title\":\"t\",\"detail\":\"d\",\"errors\":[{\"pointer\":\"/a\",\"detail\":\"is "
         "wrong\"},"
         "{\"pointer\":\"\",\"detail\":\"all of it\"}]}",
         "/a: is wrong; all of it"},
        {409, "{\"title\":\"t\",\"detail\":\"d\"}", "d"},
        {409, "{\"title\":\"t\",\"errors\":[]}", "t"},
        {502, "<html>", "status 502: <html>"},
        {502, "", "status 502"},
        {500, "[1]", "status 500: [1]"},
        {500, "\xFF\xFF\xFFx", "status 500"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client_request request = {.status = cases[i].status};
        struct buffer out = {0};
        buffer_append_string(&request.answer, cases[i].body);
        client_explain(&request, &out);
        assert_text_is(buffer_text(&out), cases[i].expected);
        buffer_free(&out);
        client_request_free(&request);
    }
}

static void no_answer_is_explained(void **state) {
    struct client_request request = {.problem = "it went away"};
    struct buffer out = {0};
    client_explain(&request, &out);
    assert_text_is(buffer_text(&out), "it went away");
    buffer_free(&out);
}

// A listening socket of the loopback; nobody accepts unless a test does.
static int open_socket(uint16_t *ret_port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return listener;
}

static void on_done(struct client_request *request) {
    *(bool *)request->owner = true;
}

// Lets the client send, takes what it sent, and gives it an answer; NULL: closes instead.
static void serve_once(int listener, struct client *client, const bool *done, const char *answer,
                       struct buffer *asked) {
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    int connection = -1;
    while (connection < 0) {
        client_run(client, 20);
        if (poll(&ready, 1, 0) == 1)
            connection = accept(listener, NULL, NULL);
    }
    struct pollfd readable = {.fd = connection, .events = POLLIN};
    buffer_clear(asked);
    while (!memmem(asked->data ? asked->data : "", asked->size, "\r\n\r\n", 4)) {
        client_run(client, 20);
        if (poll(&readable, 1, 0) != 1)
            continue;
        assert_true(buffer_reserve(asked, 4096));
        ssize_t size = recv(connection, asked->data + asked->size, 4096, 0);
        assert_true(size > 0);
        asked->size += (size_t)size;
    }
    if (answer)
        assert_int_equal(send(connection, answer, strlen(answer), 0), strlen(answer));
    (void)close(connection);
    while (!*done)
        client_run(client, 100);
}

static void a_request_carries_its_key_and_brings_its_answer(void **state) {
    uint16_t port;
    int listener = open_socket(&port);
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    struct client_server server = {.url = url, .key = "secret", .is_local = true};
    struct failure failure;
    struct client *client = client_open(&server, &failure);
    assert_non_null(client);
    bool done = false;
    struct buffer asked = {0};
    struct client_request request = {.method = "POST",
                                     .target = "/things?x=1",
                                     .body = TEXT("{}"),
                                     .on_done = on_done,
                                     .owner = &done};
    client_send(client, &request, 0);
    serve_once(listener, client, &done,
               "HTTP/1.1 503 X\r\nContent-Length: 2\r\nRetry-After: 7\r\nX-Total-Count: 12\r\n"
               "link: </n>; rel=\"next\"\r\nConnection: close\r\n\r\nno",
               &asked);
    buffer_append_byte(&asked, '\0');
    assert_non_null(strstr(asked.data, "POST /things?x=1 HTTP/1.1\r\n"));
    assert_non_null(strstr(asked.data, "\r\nAuthorization: Bearer secret\r\n"));
    assert_non_null(strstr(asked.data, "\r\nContent-Type: application/json\r\n"));
    assert_int_equal(request.status, 503);
    assert_int_equal(request.retry_after, 7);
    assert_int_equal(request.total, 12);
    assert_text_is(buffer_text(&request.answer), "no");
    assert_text_is(buffer_text(&request.link), "</n>; rel=\"next\"\n");

    // The same request once more: nothing of the old answer is left, and this one breaks off.
    done = false;
    client_send(client, &request, 10);
    serve_once(listener, client, &done, NULL, &asked);
    assert_int_equal(request.status, 0);
    assert_true(request.was_sent);
    assert_int_equal(request.answer.size, 0);
    assert_int_equal(request.total, -1);
    assert_true(request.problem[0]);
    buffer_free(&asked);
    client_request_free(&request);
    client_close(client);
    assert_int_equal(close(listener), 0);
}

static void who_does_not_listen_got_nothing(void **state) {
    uint16_t port;
    assert_int_equal(close(open_socket(&port)), 0);
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    struct client_server server = {.url = url, .is_local = true};
    struct failure failure;
    struct client *client = client_open(&server, &failure);
    assert_non_null(client);
    struct client_request request = {.method = "GET", .target = "/"};
    client_ask(client, &request);
    assert_int_equal(request.status, 0);
    assert_false(request.was_sent);
    client_request_free(&request);
    client_close(client);
}

static void on_cancelled(struct client_request *request) {
    fail();
}

// One that waits for its time, and one that waits for its answer.
static void requests_are_given_up(void **state) {
    uint16_t port;
    int listener = open_socket(&port);
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    struct client_server server = {.url = url, .is_local = true};
    struct failure failure;
    struct client *client = client_open(&server, &failure);
    assert_non_null(client);
    struct client_request first = {.method = "GET", .target = "/", .on_done = on_cancelled};
    struct client_request second = first;
    struct client_request third = first;
    client_send(client, &first, 0);
    client_send(client, &second, 100000);
    client_send(client, &third, 200000);
    for (int i = 0; i < 5; i++)
        client_run(client, 10);
    client_cancel(client, &first);
    client_cancel(client, &third);
    client_cancel(client, &second);
    client_run(client, 10);
    client_request_free(&first);
    client_close(client);
    assert_int_equal(close(listener), 0);
}

static void another_descriptor_ends_the_wait(void **state) {
    struct client_server server = {.url = "http://127.0.0.1:1", .is_local = true};
    struct failure failure;
    struct client *client = client_open(&server, &failure);
    int ends[2];
    assert_non_null(client);
    assert_int_equal(pipe(ends), 0);
    uint64_t begin = clock_monotonic();
    client_run_with(client, ends[0], 100);
    assert_true(clock_monotonic() - begin >= 90);
    assert_int_equal(write(ends[1], "x", 1), 1);
    begin = clock_monotonic();
    client_run_with(client, ends[0], 100000);
    assert_true(clock_monotonic() - begin < 50000);
    close(ends[0]);
    close(ends[1]);
    client_close(client);
}

static void problems_are_told_by_their_type(void **state) {
    struct client_request request = {.status = 409};
    assert_false(client_is_problem(&request, "overtaken"));
    buffer_append_string(&request.answer, "{\"type\":\"urn:trestle:problem:overtaken\"}");
    assert_true(client_is_problem(&request, "overtaken"));
    assert_false(client_is_problem(&request, "overtake"));
    assert_false(client_is_problem(&request, "taken"));
    client_request_free(&request);
}

static void a_server_is_guessed_from_the_addresses(void **state) {
    struct listen_address addresses[] = {
        {.kind = LISTEN_DESCRIPTOR, .descriptor = 3},
        {.kind = LISTEN_TCP, .host = "127.0.0.1", .port = 0},
        {.kind = LISTEN_TCP, .host = "::", .port = 81},
        {.kind = LISTEN_UNIX, .path = "/nowhere/socket"},
    };
    struct listen_list all = {addresses, 4};
    struct listen_list none = {addresses, 2};
    struct arena arena = {0};
    struct client_server server;
    assert_true(client_guess_server(&all, &arena, &server));
    assert_string_equal(server.url, "http://[::1]:81");
    assert_false(client_guess_server(&none, &arena, &server));
    arena_free(&arena);
}

static void no_server_is_found_where_none_answers(void **state) {
    uint16_t port;
    assert_int_equal(close(open_socket(&port)), 0);
    struct listen_address addresses[] = {
        {.kind = LISTEN_TCP, .host = "127.0.0.1", .port = port},
        {.kind = LISTEN_TCP, .host = "127.0.0.1", .port = 0},
        {.kind = LISTEN_UNIX, .path = "/nowhere/socket"},
        {.kind = LISTEN_DESCRIPTOR, .descriptor = 3},
    };
    struct listen_list list = {addresses, sizeof addresses / sizeof *addresses};
    struct arena arena = {0};
    struct client_server server;
    assert_false(client_find_server(&list, &arena, &server));
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_are_found_by_their_relation),
        cmocka_unit_test(answers_are_explained),
        cmocka_unit_test(no_answer_is_explained),
        cmocka_unit_test(a_request_carries_its_key_and_brings_its_answer),
        cmocka_unit_test(who_does_not_listen_got_nothing),
        cmocka_unit_test(requests_are_given_up),
        cmocka_unit_test(another_descriptor_ends_the_wait),
        cmocka_unit_test(problems_are_told_by_their_type),
        cmocka_unit_test(a_server_is_guessed_from_the_addresses),
        cmocka_unit_test(no_server_is_found_where_none_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
