// The life of a connection: order, back-pressure, bodies, ends on either side, time-outs.
#include "unit/http/harness.h"
#include "unit/testing.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET_AT(p) "GET " p " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST "POST /echo HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

// --- order ---

static void a_hundred_requests_in_one_write(void **state) {
    struct harness *harness = *state;
    struct client client;
    struct buffer bytes = {0};
    size_t offset = 0;
    client_open(&client, harness);
    for (int i = 0; i < 100; i++)
        buffer_format(&bytes, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
    client_send(&client, bytes.data, bytes.size);
    for (int i = 0; i < 100; i++) {
        char expected[32];
        (void)snprintf(expected, sizeof expected, "GET /%d?", i);
        assert_text_is(client_receive(&client, &offset, false).body, expected);
    }
    assert_int_equal(harness->answered, 100);
    buffer_free(&bytes);
    client_close(&client);
}

// Hundreds of answers of more than is gathered at once, to a client that reads only afterwards.
static void many_pipelined_answers_wait_for_the_reader(void **state) {
    struct harness *harness = *state;
    struct client client;
    struct buffer bytes = {0};
    size_t offset = 0;
    client_open(&client, harness);
    for (int i = 0; i < 300; i++)
        buffer_append_string(&bytes, GET_AT("/large?50000"));
    client_send(&client, bytes.data, bytes.size);
    for (int i = 0; i < 300; i++)
        assert_int_equal(client_receive(&client, &offset, false).body.size, 50000);
    buffer_free(&bytes);
    client_close(&client);
}

static void answers_keep_the_order_of_requests(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    client_open(&client, harness);
    client_send_string(&client, GET_AT("/late?1") GET_AT("/sync") GET_AT("/late?2") GET_AT("/end"));
    harness_run_to(harness, &harness->heads, 1);
    client_wait(&client, 5);
    assert_int_equal(harness->heads, 1); // one at a time
    assert_int_equal(client.in.size, 0);
    harness_answer(harness->held[0], 200, TEXT("first"));
    assert_text_is(client_receive(&client, &offset, false).body, "first");
    assert_text_is(client_receive(&client, &offset, false).body, "GET /sync?");
    harness_run_to(harness, &harness->heads, 3);
    client_wait(&client, 5);
    assert_int_equal(harness->heads, 3);
    harness_answer(harness->held[1], 200, TEXT("third"));
    assert_text_is(client_receive(&client, &offset, false).body, "third");
    assert_text_is(client_receive(&client, &offset, false).body, "GET /end?");
    client_close(&client);
}

// While the handler has a request, only so much is read behind it; all of it is served later.
static void input_behind_a_held_request_is_bounded(void **state) {
    struct harness *harness = *state;
    struct client client;
    struct buffer block = {0};
    size_t offset = 0;
    size_t sent = 0;
    client_open(&client, harness);
    client_send_string(&client, GET_AT("/late"));
    for (int i = 0; i < 1000; i++)
        buffer_append_string(&block, GET);
    for (int idle = 0; idle < 50; idle++) {
        size_t part = sent % block.size;
        ssize_t size = send(client.socket, block.data + part, block.size - part, MSG_NOSIGNAL);
        if (size > 0) {
            sent += (size_t)size;
            idle = 0;
        }
        client_pump(&client);
        assert_true(sent < 64u * 1024 * 1024);
    }
    assert_int_equal(harness->heads, 1);
    harness_answer(harness->held[0], 200, TEXT("held"));
    assert_text_is(client_receive(&client, &offset, false).body, "held");
    client_send(&client, block.data + sent % block.size, block.size - sent % block.size);
    for (size_t i = 0; i < (sent / block.size + 1) * 1000; i++)
        assert_int_equal(client_receive(&client, &offset, false).status, 200);
    buffer_free(&block);
    client_close(&client);
}

// --- bodies ---

static void a_body_in_chunks_of_any_split(void **state) {
    static const char head[] = CHUNKED;
    struct buffer bytes = {0};
    struct buffer expected = {0};
    buffer_append_string(&bytes, head);
    for (unsigned size = 1; size < 40; size++) {
        buffer_format(&bytes, "%x;ext=%u\r\n", size, size);
        for (unsigned i = 0; i < size; i++) {
            buffer_append_byte(&bytes, (char)i);
            buffer_append_byte(&expected, (char)i);
        }
        buffer_append_string(&bytes, "\r\n");
    }
    buffer_append_string(&bytes, "0\r\nTrailer: x\r\n\r\n");
    for (size_t step = 1; step < 60; step += 3) {
        struct client client;
        size_t offset = 0;
        client_open(&client, *state);
        for (size_t i = 0; i < bytes.size; i += step) {
            size_t size = bytes.size - i < step ? bytes.size - i : step;
            client_send(&client, bytes.data + i, size);
            client_pump(&client);
        }
        struct reply reply = client_receive(&client, &offset, false);
        assert_true(text_equal(reply.body, buffer_text(&expected)));
        assert_true(client_is_served(&client, &offset));
        client_close(&client);
    }
    buffer_free(&bytes);
    buffer_free(&expected);
}

static void send_zeros(struct client *client, size_t size) {
    static const char zeros[10000];
    for (; size > sizeof zeros; size -= sizeof zeros)
        client_send(client, zeros, sizeof zeros);
    client_send(client, zeros, size);
}

static void bodies_up_to_the_bound(void **state) {
    struct client client;
    size_t offset = 0;
    client_open(&client, *state);
    client_send_string(&client, POST "Content-Length: 200000\r\n\r\n");
    send_zeros(&client, 200000);
    assert_int_equal(client_receive(&client, &offset, false).body.size, 200000);
    client_send_string(&client, CHUNKED "30d40\r\n");
    send_zeros(&client, 200000);
    client_send_string(&client, "\r\n0\r\n\r\n");
    assert_int_equal(client_receive(&client, &offset, false).body.size, 200000);
    client_close(&client);
}

static void chunks_over_the_bound_are_refused(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    client_open(&client, harness);
    client_send_string(&client, CHUNKED "30d41\r\n");
    send_zeros(&client, 200001);
    assert_int_equal(client_receive(&client, &offset, false).status, 413);
    assert_true(client_sees_end(&client));
    assert_int_equal(harness->gone, 1);
    client_close(&client);
}

// The client sends all of its body before it reads: it must see the answer, not a reset.
static void a_refused_client_gets_the_answer(void **state) {
    struct client client;
    size_t offset = 0;
    client_open(&client, *state);
    client_send_string(&client, POST "Content-Length: 200001\r\n\r\n");
    client_wait(&client, 5);
    send_zeros(&client, 200001);
    assert_int_equal(client_receive(&client, &offset, false).status, 413);
    assert_true(client_sees_end(&client));
    client_close(&client);
}

static void a_small_body_that_nobody_reads_is_dropped(void **state) {
    struct client client;
    size_t offset = 0;
    client_open(&client, *state);
    client_send_string(&client,
                       "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    struct reply reply = client_receive(&client, &offset, false);
    assert_int_equal(reply.status, 200);
    assert_false(text_contains(reply.head, "Connection: close"));
    send_zeros(&client, 60000);
    assert_true(client_is_served(&client, &offset));
    client_send_string(&client,
                       "POST /unread HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(client_receive(&client, &offset, false).status, 200);
    client_send_string(&client, "5\r\nabcde\r\n0\r\n\r\n");
    assert_true(client_is_served(&client, &offset));
    client_close(&client);
}

static void a_large_body_that_nobody_reads_closes(void **state) {
    struct client client;
    size_t offset = 0;
    client_open(&client, *state);
    client_send_string(&client,
                       "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n");
    send_zeros(&client, 70000);
    struct reply reply = client_receive(&client, &offset, false);
    assert_int_equal(reply.status, 200);
    assert_true(text_contains(reply.head, "Connection: close"));
    assert_true(client_sees_end(&client));
    client_close(&client);
    client_open(&client, *state);
    offset = 0;
    client_send_string(&client,
                       "POST /unread HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(client_receive(&client, &offset, false).status, 200);
    client_send_string(&client, "11170\r\n");
    send_zeros(&client, 70000);
    assert_true(client_sees_end(&client));
    client_close(&client);
}

static void a_dropped_body_that_is_malformed_closes(void **state) {
    struct client client;
    size_t offset = 0;
    client_open(&client, *state);
    client_send_string(&client,
                       "POST /unread HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(client_receive(&client, &offset, false).status, 200);
    client_send_string(&client, "x\r\n" GET);
    assert_true(client_sees_end(&client));
    assert_int_equal(client.in.size, offset);
    client_close(&client);
}

static void continue_is_sent_when_the_body_is_wanted(void **state) {
    struct client client;
    size_t offset = 0;
    client_open(&client, *state);
    client_send_string(&client, POST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    struct reply reply = client_receive(&client, &offset, false);
    assert_text_is(reply.head, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send_string(&client, "abc");
    assert_text_is(client_receive(&client, &offset, false).body, "abc");
    assert_true(client_is_served(&client, &offset));
    client_close(&client);
}

static void continue_is_not_sent_when_the_body_is_there(void **state) {
    struct client client;
    size_t offset = 0;
    client_open(&client, *state);
    client_send_string(&client, POST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc");
    assert_int_equal(client_receive(&client, &offset, false).status, 200);
    client_send_string(&client, POST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(client_receive(&client, &offset, false).status, 200);
    assert_true(client_is_served(&client, &offset));
    client_close(&client);
}

// Nobody can tell whether the body still comes, so the connection ends.
static void an_answer_instead_of_continue_closes(void **state) {
    struct client client;
    size_t offset = 0;
    client_open(&client, *state);
    client_send_string(&client, "POST /unread HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                                "Content-Length: 3\r\n\r\n");
    struct reply reply = client_receive(&client, &offset, false);
    assert_int_equal(reply.status, 200);
    assert_true(text_contains(reply.head, "Connection: close"));
    assert_true(client_sees_end(&client));
    client_close(&client);
}

static void the_body_may_be_wanted_later(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    client_open(&client, harness);
    client_send_string(&client, "POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab");
    harness_run_to(harness, &harness->heads, 1);
    client_wait(&client, 5);
    http_read_body(harness->held[0]);
    client_wait(&client, 5);
    assert_int_equal(harness->bodies, 0);
    client_send_string(&client, "c" GET);
    assert_text_is(client_receive(&client, &offset, false).body, "abc");
    assert_int_equal(client_receive(&client, &offset, false).status, 200);
    client_close(&client);
}

// --- answers ---

static void head_has_a_length_and_no_body(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    client_open(&client, harness);
    client_send_string(&client, "HEAD /abc HTTP/1.1\r\nHost: a\r\n\r\n" GET);
    struct reply reply = client_receive(&client, &offset, true);
    assert_true(text_contains(reply.head, "Content-Length: 10\r\n")); // "HEAD /abc?"
    assert_int_equal(harness->last_body_size, 6);
    assert_text_is(client_receive(&client, &offset, false).body, "GET /?");
    client_send_string(&client, "HEAD /large?100000 HTTP/1.1\r\nHost: a\r\n\r\n");
    reply = client_receive(&client, &offset, true);
    assert_true(text_contains(reply.head, "Content-Length: 100000\r\n"));
    assert_true(client_is_served(&client, &offset));
    client_close(&client);
}

static void http_1_0_is_told_what_becomes_of_the_connection(void **state) {
    struct client client;
    size_t offset = 0;
    client_open(&client, *state);
    client_send_string(&client, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    struct reply reply = client_receive(&client, &offset, false);
    assert_true(text_contains(reply.head, "Connection: keep-alive\r\n"));
    client_send_string(&client, "GET / HTTP/1.0\r\n\r\n");
    reply = client_receive(&client, &offset, false);
    assert_true(text_contains(reply.head, "Connection: close\r\n"));
    assert_true(client_sees_end(&client));
    client_close(&client);
}

static void requests_behind_the_last_one_are_not_answered(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    client_open(&client, harness);
    client_send_string(&client, GET_AT("/?close") GET);
    assert_int_equal(client_receive(&client, &offset, false).status, 200);
    assert_true(client_sees_end(&client));
    assert_int_equal(client.in.size, offset);
    assert_int_equal(harness->heads, 1);
    client_close(&client);
}

static void a_large_answer_to_a_slow_reader(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    int small = 65536;
    client_open(&client, harness);
    setsockopt(client.socket, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    client_send_string(&client, GET_AT("/large?8000000") GET);
    for (int i = 0; i < 100; i++)
        uv_run(&harness->loop, UV_RUN_NOWAIT);
    assert_int_equal(harness->heads, 1); // the next waits until this one is sent
    struct reply reply = client_receive(&client, &offset, false);
    assert_int_equal(reply.body.size, 8000000);
    for (size_t i = 0; i < reply.body.size; i += 997)
        assert_int_equal(reply.body.data[i], 'a' + i % 26);
    assert_int_equal(client_receive(&client, &offset, false).status, 200);
    client_close(&client);
}

// --- ends ---

static void a_client_that_sends_no_more_is_answered(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    client_open(&client, harness);
    client_send_string(&client, GET_AT("/late") GET_AT("/behind"));
    shutdown(client.socket, SHUT_WR);
    harness_run_to(harness, &harness->heads, 1);
    client_wait(&client, 5);
    assert_int_equal(harness->gone, 0);
    harness_answer(harness->held[0], 200, TEXT("late"));
    assert_text_is(client_receive(&client, &offset, false).body, "late");
    assert_text_is(client_receive(&client, &offset, false).body, "GET /behind?");
    assert_true(client_sees_end(&client));
    client_close(&client);
}

static void a_request_that_breaks_off_is_refused(void **state) {
    static const char *const broken[] = {"G", "GET / HTTP/1.1\r\nHost: a\r\n",
                                         POST "Content-Length: 3\r\n\r\nab", CHUNKED "3\r\nabc"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct client client;
        size_t offset = 0;
        client_open(&client, *state);
        client_send_string(&client, broken[i]);
        shutdown(client.socket, SHUT_WR);
        assert_int_equal(client_receive(&client, &offset, false).status, 400);
        assert_true(client_sees_end(&client));
        client_close(&client);
    }
}

static void a_silent_client_is_not_answered(void **state) {
    static const char *const silent[] = {"", "\r\n"};
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) {
        struct client client;
        client_open(&client, *state);
        client_send_string(&client, silent[i]);
        shutdown(client.socket, SHUT_WR);
        assert_true(client_sees_end(&client));
        assert_int_equal(client.in.size, 0);
        client_close(&client);
    }
}

static void a_client_that_went_is_noticed(void **state) {
    struct harness *harness = *state;
    struct client client;
    client_open(&client, harness);
    client_send_string(&client, GET_AT("/late"));
    harness_run_to(harness, &harness->heads, 1);
    client_reset(&client);
    harness_run_to(harness, &harness->gone, 1);
    assert_true(harness->held[0]->gone);
    assert_int_equal(http_server_connections(harness->server), 0);
    for (int i = 0; i < 10; i++)
        uv_run(&harness->loop, UV_RUN_NOWAIT);
    http_read_body(harness->held[0]); // does nothing now
    assert_text_is(harness->held[0]->path, "/late");
    harness_answer(harness->held[0], 200, TEXT("for nobody"));
    assert_int_equal(harness->answered, 0);
}

static void a_client_that_went_in_its_body_is_noticed(void **state) {
    struct harness *harness = *state;
    struct client client;
    client_open(&client, harness);
    client_send_string(&client, POST "Content-Length: 10\r\n\r\nabc");
    harness_run_to(harness, &harness->heads, 1);
    client_wait(&client, 5);
    client_reset(&client);
    harness_run_to(harness, &harness->gone, 1);
    assert_int_equal(harness->bodies, 0);
}

static void a_client_that_takes_nothing_is_noticed(void **state) {
    struct harness *harness = *state;
    struct client client;
    client_open(&client, harness);
    client_send_string(&client, GET_AT("/large?20000000") GET_AT("/late"));
    for (int i = 0; i < 100; i++)
        uv_run(&harness->loop, UV_RUN_NOWAIT);
    assert_int_equal(http_server_connections(harness->server), 1);
    client_reset(&client);
    for (int i = 0; i < 100; i++)
        uv_run(&harness->loop, UV_RUN_NOWAIT);
    assert_int_equal(http_server_connections(harness->server), 0);
}

// --- time ---

static void a_slow_sender_is_cut_off(void **state) {
    static const char *const slow[] = {"GET / HTTP/1.1\r\n", POST "Content-Length: 99\r\n\r\n",
                                       CHUNKED "99\r\n"};
    struct harness *harness = *state;
    harness->limits.request_timeout = 80;
    harness_start(harness);
    for (unsigned i = 0; i < sizeof slow / sizeof *slow; i++) {
        struct client client;
        size_t offset = 0;
        uint64_t start = clock_monotonic();
        client_open(&client, harness);
        client_send_string(&client, slow[i]);
        while (!client.ended && clock_monotonic() - start < HARNESS_PATIENCE) {
            client_send_string(&client, "a"); // it is never silent, and never done
            client_wait(&client, 5);
        }
        assert_int_equal(client_receive(&client, &offset, false).status, 408);
        assert_true(clock_monotonic() - start >= 80);
        assert_int_equal(harness->gone, i);
        client_close(&client);
    }
}

static void an_idle_connection_is_closed_without_a_word(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    harness->limits.idle_timeout = 800;
    harness_start(harness);
    client_open(&client, harness);
    client_wait(&client, 450);
    client_send_string(&client, GET);
    client_receive(&client, &offset, false);
    client_wait(&client, 450);
    assert_false(client.ended); // the request started the clock again
    assert_true(client_sees_end(&client));
    assert_int_equal(client.in.size, offset);
    client_close(&client);
}

static void the_handler_may_take_its_time(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    harness->limits.request_timeout = 150;
    harness->limits.idle_timeout = 150;
    harness->limits.write_timeout = 150;
    harness_start(harness);
    client_open(&client, harness);
    client_send_string(&client, "POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    harness_run_to(harness, &harness->heads, 1);
    client_wait(&client, 400);
    http_read_body(harness->held[0]);
    assert_text_is(client_receive(&client, &offset, false).body, "abc");
    client_close(&client);
}

static void a_reader_that_takes_too_long_is_closed(void **state) {
    struct harness *harness = *state;
    struct client client;
    harness->limits.write_timeout = 60;
    harness_start(harness);
    client_open(&client, harness);
    client_send_string(&client, GET_AT("/large?20000000"));
    uint64_t start = clock_monotonic();
    harness_run_to(harness, &harness->heads, 1);
    while (http_server_connections(harness->server) > 0) {
        uv_run(&harness->loop, UV_RUN_NOWAIT);
        assert_true(clock_monotonic() - start < HARNESS_PATIENCE);
    }
    assert_true(clock_monotonic() - start >= 60);
    client_close(&client);
}

static void a_dropped_body_has_its_time_too(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    harness->limits.request_timeout = 60;
    harness_start(harness);
    client_open(&client, harness);
    client_send_string(&client, "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    assert_int_equal(client_receive(&client, &offset, false).status, 200);
    assert_true(client_sees_end(&client));
    assert_int_equal(client.in.size, offset);
    client_close(&client);
}

#define STARTED(test) cmocka_unit_test_setup_teardown(test, setup_started, teardown)
#define CREATED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        STARTED(a_hundred_requests_in_one_write),
        STARTED(many_pipelined_answers_wait_for_the_reader),
        STARTED(answers_keep_the_order_of_requests),
        STARTED(input_behind_a_held_request_is_bounded),
        STARTED(a_body_in_chunks_of_any_split),
        STARTED(bodies_up_to_the_bound),
        STARTED(chunks_over_the_bound_are_refused),
        STARTED(a_refused_client_gets_the_answer),
        STARTED(a_small_body_that_nobody_reads_is_dropped),
        STARTED(a_large_body_that_nobody_reads_closes),
        STARTED(a_dropped_body_that_is_malformed_closes),
        STARTED(continue_is_sent_when_the_body_is_wanted),
        STARTED(continue_is_not_sent_when_the_body_is_there),
        STARTED(an_answer_instead_of_continue_closes),
        STARTED(the_body_may_be_wanted_later),
        STARTED(head_has_a_length_and_no_body),
        STARTED(http_1_0_is_told_what_becomes_of_the_connection),
        STARTED(requests_behind_the_last_one_are_not_answered),
        STARTED(a_large_answer_to_a_slow_reader),
        STARTED(a_client_that_sends_no_more_is_answered),
        STARTED(a_request_that_breaks_off_is_refused),
        STARTED(a_silent_client_is_not_answered),
        STARTED(a_client_that_went_is_noticed),
        STARTED(a_client_that_went_in_its_body_is_noticed),
        STARTED(a_client_that_takes_nothing_is_noticed),
        CREATED(a_slow_sender_is_cut_off),
        CREATED(an_idle_connection_is_closed_without_a_word),
        CREATED(the_handler_may_take_its_time),
        CREATED(a_reader_that_takes_too_long_is_closed),
        CREATED(a_dropped_body_has_its_time_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
