// The server as a whole: stopping, bounds on connections, sockets of either kind, want of
// descriptors and of memory.
#include "unit/allocation.h"
#include "unit/http/harness.h"
#include "unit/testing.h"

#include <sys/resource.h>
#include <sys/un.h>

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET_AT(p) "GET " p " HTTP/1.1\r\nHost: a\r\n\r\n"

static void stop(struct harness *harness, unsigned patience) {
    http_server_stop(harness->server, patience, harness_on_stopped, harness);
}

// --- stopping ---

static void idle_connections_are_closed(void **state) {
    struct harness *harness = *state;
    struct client clients[2];
    size_t offset = 0;
    client_open(&clients[0], harness);
    client_open(&clients[1], harness);
    client_send_string(&clients[1], GET);
    client_receive(&clients[1], &offset, false);
    assert_int_equal(http_server_connections(harness->server), 2);
    stop(harness, 60000);
    harness_run_until(harness, &harness->stopped);
    for (int i = 0; i < 2; i++) {
        assert_true(client_sees_end(&clients[i]));
        client_close(&clients[i]);
    }
}

static void requests_under_way_are_answered(void **state) {
    struct harness *harness = *state;
    struct client late;
    struct client half;
    size_t late_offset = 0;
    size_t half_offset = 0;
    client_open(&late, harness);
    client_open(&half, harness);
    client_send_string(&late, GET_AT("/late"));
    client_send_string(&half, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
    harness_run_to(harness, &harness->heads, 2);
    stop(harness, 60000);
    client_wait(&late, 40);
    assert_false(harness->stopped);
    client_send_string(&half, "bc");
    struct reply reply = client_receive(&half, &half_offset, false);
    assert_text_is(reply.body, "abc");
    assert_true(text_contains(reply.head, "Connection: close\r\n"));
    harness_answer(harness->held[0], 200, TEXT("late"));
    reply = client_receive(&late, &late_offset, false);
    assert_text_is(reply.body, "late");
    assert_true(text_contains(reply.head, "Connection: close\r\n"));
    harness_run_until(harness, &harness->stopped);
    client_close(&late);
    client_close(&half);
}

// What the kernel had when the server was told to stop is answered, connections too.
static void requests_that_were_sent_before_are_answered(void **state) {
    struct harness *harness = *state;
    struct client clients[20];
    for (int i = 0; i < 20; i++) {
        client_open(&clients[i], harness);
        send(clients[i].socket, GET, sizeof GET - 1, MSG_NOSIGNAL);
    }
    stop(harness, 60000);
    for (int i = 0; i < 20; i++) {
        size_t offset = 0;
        assert_int_equal(client_receive(&clients[i], &offset, false).status, 200);
        assert_true(client_sees_end(&clients[i]));
        client_close(&clients[i]);
    }
    harness_run_until(harness, &harness->stopped);
}

static void patience_ends(void **state) {
    struct harness *harness = *state;
    struct client late;
    struct client slow;
    client_open(&late, harness);
    client_open(&slow, harness);
    client_send_string(&late, GET_AT("/late"));
    client_send_string(&slow, "GET / HT");
    harness_run_to(harness, &harness->heads, 1);
    client_wait(&slow, 5);
    stop(harness, 30);
    assert_true(client_sees_end(&late));
    assert_true(client_sees_end(&slow));
    assert_int_equal(harness->gone, 1);
    client_wait(&late, 20);
    assert_false(harness->stopped); // the handler still has a request
    harness_answer(harness->held[0], 200, TEXT("for nobody"));
    harness_run_until(harness, &harness->stopped);
    client_close(&late);
    client_close(&slow);
}

static void a_server_without_connections_stops(void **state) {
    struct harness *harness = *state;
    stop(harness, 60000);
    stop(harness, 60000); // once is enough
    harness_run_until(harness, &harness->stopped);
}

// --- bounds ---

static void connections_over_the_bound_are_told(void **state) {
    struct harness *harness = *state;
    struct client clients[3];
    size_t offset = 0;
    harness->limits.max_connections = 2;
    harness_start(harness);
    for (int i = 0; i < 2; i++) {
        size_t ignored = 0;
        client_open(&clients[i], harness);
        assert_true(client_is_served(&clients[i], &ignored));
    }
    client_open(&clients[2], harness);
    client_send_string(&clients[2], GET);
    assert_int_equal(client_receive(&clients[2], &offset, false).status, 503);
    assert_true(client_sees_end(&clients[2]));
    client_close(&clients[2]);
    client_close(&clients[0]);
    while (http_server_connections(harness->server) > 1)
        client_pump(&clients[1]);
    offset = 0;
    client_open(&clients[0], harness);
    assert_true(client_is_served(&clients[0], &offset));
    client_close(&clients[0]);
    client_close(&clients[1]);
}

static void want_of_descriptors_is_waited_out(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    struct rlimit limit;
    client_open(&client, harness);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    client_wait(&client, 30);
    assert_int_equal(http_server_connections(harness->server), 0);
    // The socket stays readable; the loop must wait all the same.
    uint64_t start = clock_monotonic();
    while (clock_monotonic() - start < 40)
        uv_run(&harness->loop, UV_RUN_ONCE);
    assert_int_equal(http_server_connections(harness->server), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(client_is_served(&client, &offset));
    client_close(&client);
}

// --- sockets ---

static void a_unix_socket_is_served(void **state) {
    struct harness *harness = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char folder[] = "/tmp/test_listener_XXXXXX";
    assert_non_null(mkdtemp(folder));
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    harness_start_on(harness, listener);
    struct client client = {.harness = harness};
    size_t offset = 0;
    client.socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(client.socket, (struct sockaddr *)&address, sizeof address), 0);
    assert_true(client_is_served(&client, &offset));
    client_send_string(&client, GET_AT("/late"));
    harness_run_to(harness, &harness->held_count, 1);
    assert_text_is(harness->held[0]->peer, "");
    harness_answer(harness->held[0], 200, TEXT(""));
    client_close(&client);
    unlink(address.sun_path);
    rmdir(folder);
}

static void the_peer_has_an_address(void **state) {
    struct harness *harness = *state;
    struct client client;
    client_open(&client, harness);
    client_send_string(&client, GET_AT("/late"));
    harness_run_to(harness, &harness->held_count, 1);
    assert_text_is(harness->held[0]->peer, "127.0.0.1");
    assert_true(harness->held[0]->started > 0);
    assert_true(harness->held[0]->started <= clock_monotonic_ns());
    harness_answer(harness->held[0], 200, TEXT(""));
    client_close(&client);
}

static void an_ipv6_socket_tells_ipv4_peers(void **state) {
    struct harness *harness = *state;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    socklen_t size = sizeof address;
    struct client client;
    int off = 0;
    int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0 ||
        bind(listener, (struct sockaddr *)&address, size) != 0) {
        harness_start(harness);
        skip(); // a machine without IPv6
    }
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    harness->address = (struct sockaddr_in){.sin_family = AF_INET,
                                            .sin_port = address.sin6_port,
                                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    harness_start_on(harness, listener);
    client_open(&client, harness);
    client_send_string(&client, GET_AT("/late"));
    harness_run_to(harness, &harness->held_count, 1);
    assert_text_is(harness->held[0]->peer, "127.0.0.1");
    harness_answer(harness->held[0], 200, TEXT(""));
    client_close(&client);
}

static void two_servers_share_a_socket(void **state) {
    struct harness *harness = *state;
    struct harness *other = harness_create();
    int listener = harness_listen(&harness->address);
    int duplicate = dup(listener);
    harness_start_on(harness, listener);
    harness_start_on(other, duplicate);
    other->address = harness->address;
    stop(harness, 0);
    harness_run_until(harness, &harness->stopped);
    struct client client;
    size_t offset = 0;
    client_open(&client, other);
    assert_true(client_is_served(&client, &offset));
    client_close(&client);
    harness_end(other);
}

static void what_is_no_socket_is_refused(void **state) {
    struct harness *harness = *state;
    struct http_handler handler = {0};
    struct http_server *server = NULL;
    struct failure failure = {0};
    harness_start(harness);
    int descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_false(http_server_start(&harness->loop, descriptor, &harness->limits, &handler, NULL,
                                   &server, &failure));
    assert_int_equal(failure.code, FAILURE_INVALID_SETTING);
    assert_null(server);
    assert_int_equal(close(descriptor), 0); // still the caller's
}

// --- want of memory ---

static void answer_held(struct harness *harness) {
    while (harness->held_count > 0)
        harness_answer(harness->held[--harness->held_count], 200, TEXT("held"));
}

// Whatever cannot be allocated, the server serves on afterwards.
static void allocations_may_fail(void **state) {
    static const char request[] =
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        "GET /large?40000 HTTP/1.1\r\nHost: a\r\n\r\nGET /late HTTP/1.1\r\nHost: a\r\n\r\n" GET;
    struct harness *harness = *state;
    for (ALLOCATION_FAILURES(nth)) {
        struct client client;
        client_open(&client, harness);
        uint64_t start = clock_monotonic();
        (void)send(client.socket, request, sizeof request - 1, MSG_NOSIGNAL);
        while (harness->held_count == 0 && clock_monotonic() - start < 20)
            uv_run(&harness->loop, UV_RUN_NOWAIT);
        answer_held(harness);
        for (int i = 0; i < 3; i++)
            uv_run(&harness->loop, UV_RUN_NOWAIT);
        bool failed = allocation_allow();
        client_close(&client);
        size_t offset = 0;
        client_open(&client, harness);
        assert_true(client_is_served(&client, &offset));
        client_close(&client);
        answer_held(harness);
        if (!failed)
            break;
    }
}

// Once it is warm, a small request costs no allocation. Under AddressSanitizer it does: there,
// memory is given back so that whoever still uses it is found.
static void small_requests_allocate_nothing(void **state) {
#ifdef __SANITIZE_ADDRESS__
    skip();
#endif
    struct client client;
    size_t offset = 0;
    client_open(&client, *state);
    assert_true(buffer_reserve(&client.in, 65536));
    for (int i = 0; i < 20; i++) {
        if (i == 5)
            allocation_fail_from(1);
        client_send_string(&client, GET_AT("/plain"));
        assert_int_equal(client_receive(&client, &offset, false).status, 200);
        client_send_string(&client,
                           "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        assert_int_equal(client_receive(&client, &offset, false).status, 200);
    }
    assert_false(allocation_allow());
    client_close(&client);
}

static void a_server_needs_memory_to_start(void **state) {
    struct harness *harness = *state;
    harness_start(harness);
    for (ALLOCATION_FAILURES(nth)) {
        struct http_handler handler = {0};
        struct http_server *server = NULL;
        struct sockaddr_in address;
        struct failure failure;
        int listener = harness_listen(&address);
        bool started = http_server_start(&harness->loop, listener, &harness->limits, &handler, NULL,
                                         &server, &failure);
        bool failed = allocation_allow();
        assert_int_equal(started, !failed);
        if (started) {
            bool stopped = false;
            http_server_stop(server, 0, NULL, NULL);
            for (int i = 0; i < 50 && !stopped; i++) {
                stopped = uv_run(&harness->loop, UV_RUN_NOWAIT) == 0;
                usleep(1000);
            }
            break;
        }
        assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
        close(listener);
    }
}

#define STARTED(test) cmocka_unit_test_setup_teardown(test, setup_started, teardown)
#define CREATED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        STARTED(idle_connections_are_closed),
        STARTED(requests_under_way_are_answered),
        STARTED(requests_that_were_sent_before_are_answered),
        STARTED(patience_ends),
        STARTED(a_server_without_connections_stops),
        CREATED(connections_over_the_bound_are_told),
        STARTED(want_of_descriptors_is_waited_out),
        CREATED(a_unix_socket_is_served),
        STARTED(the_peer_has_an_address),
        CREATED(an_ipv6_socket_tells_ipv4_peers),
        CREATED(two_servers_share_a_socket),
        CREATED(what_is_no_socket_is_refused),
        STARTED(allocations_may_fail),
        STARTED(small_requests_allocate_nothing),
        CREATED(a_server_needs_memory_to_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
