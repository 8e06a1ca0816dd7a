// Answers that are streams, and bodies that are read in pieces.
#include "unit/http/harness.h"
#include "unit/testing.h"

#define GET_AT(p) "GET " p " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST_TO(p) "POST " p " HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED_TO(p) POST_TO(p) "Transfer-Encoding: chunked\r\n\r\n"

static void client_expects_stream(struct client *client, size_t *offset, const char *expected) {
    struct chunked chunked = client_receive_chunked(client, offset, SIZE_MAX);
    assert_text_is(buffer_text(&chunked.body), expected);
    assert_true(text_contains(chunked.head, "Transfer-Encoding: chunked\r\n"));
    assert_false(text_contains(chunked.head, "Content-Length"));
    chunked_free(&chunked);
}

// Opens a connection and sends a request, whose stream is held.
static struct http_request *begin(struct client *client, struct harness *harness,
                                  const char *request) {
    unsigned held = harness->held_count;
    client_open(client, harness);
    client_send_string(client, request);
    harness_run_to(harness, &harness->held_count, held + 1);
    return harness->held[held];
}

// --- streams ---

static void a_stream_is_chunked_and_the_connection_stays(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    struct http_request *request = begin(&client, harness, GET_AT("/stream"));
    assert_true(http_stream_write(request, TEXT("one;")));
    assert_true(http_stream_write(request, TEXT("")));
    client_wait(&client, 5);
    assert_true(http_stream_write(request, TEXT("two;")));
    assert_int_equal(harness->answered, 0);
    http_stream_end(request);
    assert_int_equal(harness->answered, 1);
    assert_int_equal(harness->last_status, 200);
    assert_int_equal(harness->last_body_size, 14);
    client_expects_stream(&client, &offset, "begin;one;two;");
    assert_true(client_is_served(&client, &offset));
    client_close(&client);
}

// What is written within one turn of the loop is one chunk.
static void writes_share_a_chunk(void **state) {
    struct client client;
    size_t offset = 0;
    struct http_request *request = begin(&client, *state, GET_AT("/stream"));
    client_wait(&client, 5);
    for (int i = 0; i < 1000; i++)
        http_stream_write(request, TEXT("12345678;"));
    http_stream_end(request);
    struct chunked chunked = client_receive_chunked(&client, &offset, SIZE_MAX);
    assert_int_equal(chunked.body.size, 9006);
    assert_int_equal(chunked.chunks, 3); // "begin;", these, the last one
    chunked_free(&chunked);
    client_close(&client);
}

static void a_stream_without_bytes(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    client_open(&client, harness);
    client_send_string(&client, CHUNKED_TO("/duplex") "0\r\n\r\n");
    client_expects_stream(&client, &offset, "end;");
    assert_true(client_is_served(&client, &offset));
    client_close(&client);
}

static void streams_and_answers_in_one_pipeline(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    struct http_request *request =
        begin(&client, harness, GET_AT("/a") GET_AT("/stream") GET_AT("/b") GET_AT("/stream"));
    client_wait(&client, 5);
    assert_int_equal(harness->heads, 2);
    http_stream_end(request);
    harness_run_to(harness, &harness->held_count, 2);
    http_stream_write(harness->held[1], TEXT("second"));
    http_stream_end(harness->held[1]);
    assert_text_is(client_receive(&client, &offset, false).body, "GET /a?");
    client_expects_stream(&client, &offset, "begin;");
    assert_text_is(client_receive(&client, &offset, false).body, "GET /b?");
    client_expects_stream(&client, &offset, "begin;second");
    client_close(&client);
}

static void head_is_the_head_alone(void **state) {
    struct client client;
    size_t offset = 0;
    struct http_request *request =
        begin(&client, *state, "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(http_stream_write(request, TEXT("dropped")));
    http_stream_end(request);
    struct reply reply = client_receive(&client, &offset, true);
    assert_int_equal(reply.status, 200);
    assert_false(text_contains(reply.head, "Transfer-Encoding"));
    assert_false(text_contains(reply.head, "Content-Length"));
    assert_true(client_is_served(&client, &offset));
    client_close(&client);
}

static void http_1_0_ends_with_the_connection(void **state) {
    struct client client;
    struct http_request *request =
        begin(&client, *state, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    http_stream_write(request, TEXT("plain"));
    http_stream_end(request);
    assert_true(client_sees_end(&client));
    struct text in = buffer_text(&client.in);
    assert_true(text_contains(in, "Connection: close\r\n"));
    assert_false(text_contains(in, "chunked"));
    assert_memory_equal(in.data + in.size - 15, "\r\n\r\nbegin;plain", 15);
    client_close(&client);
}

static void a_stream_may_close_the_connection(void **state) {
    struct client client;
    size_t offset = 0;
    struct http_request *request = begin(&client, *state, GET_AT("/stream?close"));
    http_stream_end(request);
    struct chunked chunked = client_receive_chunked(&client, &offset, SIZE_MAX);
    assert_true(text_contains(chunked.head, "Connection: close\r\n"));
    assert_true(client_sees_end(&client));
    chunked_free(&chunked);
    client_close(&client);
}

static void what_was_written_before_an_abort_is_sent(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    struct http_request *request = begin(&client, harness, GET_AT("/stream"));
    http_stream_write(request, TEXT("half"));
    http_stream_abort(request);
    assert_int_equal(harness->last_body_size, 10);
    assert_true(client_sees_end(&client));
    struct chunked chunked = chunked_parse(buffer_text(&client.in), &offset);
    assert_text_is(buffer_text(&chunked.body), "begin;half");
    assert_false(chunked.ended);
    chunked_free(&chunked);
    client_close(&client);
}

static void an_abort_resets_http_1_0(void **state) {
    struct client client;
    struct http_request *request = begin(&client, *state, "GET /stream HTTP/1.0\r\n\r\n");
    http_stream_write(request, TEXT("half"));
    http_stream_abort(request);
    assert_false(client_sees_end(&client));
    assert_true(client.reset);
    client_close(&client);
}

static void an_aborted_head_is_an_answer(void **state) {
    struct client client;
    size_t offset = 0;
    struct http_request *request = begin(&client, *state, "HEAD /stream HTTP/1.0\r\n\r\n");
    http_stream_abort(request);
    assert_int_equal(client_receive(&client, &offset, true).status, 200);
    assert_true(client_sees_end(&client));
    client_close(&client);
}

// --- back-pressure ---

static const char block[16384];

// Writes until it is full; returns how much that was.
static size_t fill(struct http_request *request) {
    size_t size = sizeof block;
    while (http_stream_write(request, text_of(block, sizeof block)))
        size += sizeof block;
    assert_true(size <= HTTP_STREAM_ENOUGH + sizeof block);
    return size;
}

static void a_full_stream_is_told_when_there_is_room(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    size_t written = 6;
    struct http_request *request = begin(&client, harness, GET_AT("/stream"));
    for (unsigned round = 1; round <= 300; round++) {
        written += fill(request);
        assert_int_equal(harness->writable, round - 1);
        uint64_t start = clock_monotonic();
        while (harness->writable < round) {
            assert_true(clock_monotonic() - start < HARNESS_PATIENCE);
            client_pump(&client);
        }
    }
    http_stream_end(request);
    struct chunked chunked = client_receive_chunked(&client, &offset, SIZE_MAX);
    assert_int_equal(chunked.body.size, written);
    assert_true(client_is_served(&client, &offset));
    chunked_free(&chunked);
    client_close(&client);
}

// As long as the client reads nothing, there is room for no more than the kernel takes.
static void a_client_that_does_not_read_holds_the_stream(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t written = 0;
    struct http_request *request = begin(&client, harness, GET_AT("/stream"));
    for (int idle = 0; idle < 200; idle++) {
        if (harness->writable * 80000ul >= written) {
            written += fill(request);
            idle = 0;
        }
        uv_run(&harness->loop, UV_RUN_NOWAIT);
        assert_true(written < 64u * 1024 * 1024);
    }
    assert_true(http_server_connections(harness->server) == 1);
    client_reset(&client);
    harness_run_to(harness, &harness->gone, 1);
    assert_true(request->gone);
    assert_true(http_stream_write(request, TEXT("to nobody")));
    http_stream_end(request);
    assert_int_equal(harness->answered, 1);
}

// Others get their turns while a handler always has more, for a client that always takes it.
static void a_busy_stream_lets_others_be_served(void **state) {
    struct harness *harness = *state;
    struct client busy;
    struct client other;
    size_t offset = 0;
    struct http_request *request = begin(&busy, harness, GET_AT("/stream"));
    client_open(&other, harness);
    client_send_string(&other, GET_AT("/plain"));
    for (unsigned turns = 0;
         !reply_parse(buffer_text(&other.in), &offset, false, &(struct reply){0}); turns++) {
        assert_true(turns < 100);
        fill(request);
        client_pump(&busy);
        client_pump(&other);
    }
    http_stream_end(request);
    client_close(&busy);
    client_close(&other);
}

// --- ends of the client ---

static void a_client_that_leaves_an_idle_stream_is_noticed(void **state) {
    struct harness *harness = *state;
    struct client client;
    struct http_request *request = begin(&client, harness, GET_AT("/endless"));
    client_wait(&client, 5);
    client_close(&client); // in order: the end of its input is all that the server sees
    harness_run_to(harness, &harness->gone, 1);
    http_stream_end(request);
    assert_int_equal(harness->answered, 1);
    assert_int_equal(harness->last_body_size, 6);
}

static void a_stream_with_an_end_outlives_the_clients_input(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    struct http_request *request = begin(&client, harness, GET_AT("/stream"));
    shutdown(client.socket, SHUT_WR);
    client_wait(&client, 5);
    assert_int_equal(harness->gone, 0);
    http_stream_write(request, TEXT("more"));
    http_stream_end(request);
    client_expects_stream(&client, &offset, "begin;more");
    assert_true(client_sees_end(&client));
    client_close(&client);
}

static void a_stream_may_be_ended_when_its_client_went(void **state) {
    struct harness *harness = *state;
    struct client clients[3];
    for (unsigned i = 0; i < 3; i++) {
        begin(&clients[i], harness, GET_AT("/stream"));
        client_reset(&clients[i]);
    }
    harness_run_to(harness, &harness->gone, 3);
    http_stream_abort(harness->held[0]);
    http_stream_end(harness->held[1]);
    uv_run(&harness->loop, UV_RUN_NOWAIT); // the sockets are closed
    http_stream_write(harness->held[2], TEXT("x"));
    http_stream_end(harness->held[2]);
    assert_int_equal(harness->answered, 3);
}

// --- time ---

static void a_silent_stream_is_not_cut(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    harness->limits.request_timeout = 40;
    harness->limits.idle_timeout = 40;
    harness->limits.write_timeout = 40;
    harness_start(harness);
    struct http_request *request = begin(&client, harness, GET_AT("/endless"));
    client_wait(&client, 200);
    http_stream_write(request, TEXT("late"));
    client_wait(&client, 200);
    assert_int_equal(harness->gone, 0);
    http_stream_end(request);
    client_expects_stream(&client, &offset, "begin;late");
    client_close(&client);
}

static void a_stream_whose_client_does_not_read_is_cut(void **state) {
    struct harness *harness = *state;
    struct client client;
    harness->limits.write_timeout = 60;
    harness_start(harness);
    struct http_request *request = begin(&client, harness, GET_AT("/stream"));
    uint64_t start = clock_monotonic();
    while (harness->gone == 0) {
        assert_true(clock_monotonic() - start < HARNESS_PATIENCE);
        fill(request);
        uv_run(&harness->loop, UV_RUN_NOWAIT);
    }
    http_stream_end(request);
    client_close(&client);
}

// --- the server's end ---

static void streams_are_told_that_the_server_stops(void **state) {
    struct harness *harness = *state;
    struct client clients[4];
    for (unsigned i = 0; i < 4; i++)
        begin(&clients[i], harness, GET_AT("/endless"));
    http_server_stop(harness->server, 5000, harness_on_stopped, harness);
    harness_run_to(harness, &harness->stopping, 4);
    for (unsigned i = 0; i < 4; i++) {
        http_stream_write(harness->held[i], TEXT("bye"));
        http_stream_end(harness->held[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        size_t offset = 0;
        client_expects_stream(&clients[i], &offset, "begin;bye");
        assert_true(client_sees_end(&clients[i]));
        client_close(&clients[i]);
    }
    harness_run_until(harness, &harness->stopped);
    assert_int_equal(harness->stopping, 4);
    assert_int_equal(harness->gone, 0);
}

// A request that came before the stop, and whose stream begins afterwards.
static void a_stream_that_begins_while_the_server_stops_is_told(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    struct http_request *request = begin(&client, harness, GET_AT("/late"));
    http_server_stop(harness->server, 5000, harness_on_stopped, harness);
    client_wait(&client, 30);
    harness_begin_stream(request, TEXT("late;"), true);
    harness_run_to(harness, &harness->stopping, 1);
    http_stream_end(request);
    client_expects_stream(&client, &offset, "late;");
    harness_run_until(harness, &harness->stopped);
    client_close(&client);
}

static void the_servers_patience_ends_streams(void **state) {
    struct harness *harness = *state;
    struct client client;
    struct http_request *request = begin(&client, harness, GET_AT("/stream"));
    http_server_stop(harness->server, 20, harness_on_stopped, harness);
    harness_run_to(harness, &harness->gone, 1);
    assert_false(harness->stopped);
    http_stream_end(request);
    harness_run_until(harness, &harness->stopped);
    client_close(&client);
}

// --- bodies in pieces ---

static void send_zeros(struct client *client, size_t size) {
    for (; size > sizeof block; size -= sizeof block)
        client_send(client, block, sizeof block);
    client_send(client, block, size);
}

// Any size may come, for max_body is about bodies that are kept whole.
static void pieces_add_up(void **state) {
    static const size_t sizes[] = {1, 2, 65535, 65536, 65537, 200000, 200001, 5000000};
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    client_open(&client, harness);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, POST_TO("/pieces") "Content-Length: %zu\r\n\r\n",
                       sizes[i]);
        client_send_string(&client, text);
        send_zeros(&client, sizes[i]);
        (void)snprintf(text, sizeof text, "%zu ok", sizes[i]);
        assert_text_is(client_receive(&client, &offset, false).body, text);
        (void)snprintf(text, sizeof text, CHUNKED_TO("/pieces") "%zx\r\n", sizes[i]);
        client_send_string(&client, text);
        send_zeros(&client, sizes[i]);
        client_send_string(&client, "\r\n0\r\n\r\n");
        (void)snprintf(text, sizeof text, "%zu ok", sizes[i]);
        assert_text_is(client_receive(&client, &offset, false).body, text);
    }
    assert_true(client_is_served(&client, &offset));
    client_close(&client);
}

static void a_body_in_pieces_may_be_empty(void **state) {
    struct client client;
    size_t offset = 0;
    client_open(&client, *state);
    client_send_string(&client, GET_AT("/pieces") POST_TO("/pieces") "Content-Length: 0\r\n\r\n");
    assert_text_is(client_receive(&client, &offset, false).body, "0 ok");
    assert_text_is(client_receive(&client, &offset, false).body, "0 ok");
    client_send_string(&client, CHUNKED_TO("/pieces") "0\r\n\r\n");
    assert_text_is(client_receive(&client, &offset, false).body, "0 ok");
    assert_true(client_is_served(&client, &offset));
    client_close(&client);
}

// Chunks of any split come to the handler as the bytes in them, whatever the cuts between reads.
static void a_duplex_stream_echoes_any_split(void **state) {
    struct buffer bytes = {0};
    struct buffer expected = {0};
    buffer_append_string(&bytes, CHUNKED_TO("/duplex"));
    for (unsigned size = 1; size < 40; size++) {
        buffer_format(&bytes, "%x;ext=%u\r\n", size, size);
        for (unsigned i = 0; i < size; i++) {
            buffer_append_byte(&bytes, (char)('!' + i));
            buffer_append_byte(&expected, (char)('!' + i));
        }
        buffer_append_string(&bytes, "\r\n");
    }
    buffer_append_string(&bytes, "0\r\nTrailer: x\r\n\r\n");
    buffer_append_string(&expected, "end;");
    for (size_t step = 1; step < 80; step += 3) {
        struct client client;
        size_t offset = 0;
        client_open(&client, *state);
        for (size_t i = 0; i < bytes.size; i += step) {
            size_t size = bytes.size - i < step ? bytes.size - i : step;
            client_send(&client, bytes.data + i, size);
            client_pump(&client);
        }
        struct chunked chunked = client_receive_chunked(&client, &offset, SIZE_MAX);
        assert_true(text_equal(buffer_text(&chunked.body), buffer_text(&expected)));
        assert_true(client_is_served(&client, &offset));
        chunked_free(&chunked);
        client_close(&client);
    }
    buffer_free(&bytes);
    buffer_free(&expected);
}

static void the_answer_begins_before_the_body_ends(void **state) {
    struct client client;
    size_t offset = 0;
    client_open(&client, *state);
    client_send_string(&client, CHUNKED_TO("/duplex") "5\r\nfirst\r\n");
    struct chunked chunked = client_receive_chunked(&client, &offset, 5);
    assert_text_is(buffer_text(&chunked.body), "first");
    chunked_free(&chunked);
    client_send_string(&client, "6\r\nsecond\r\n0\r\n\r\n");
    client_expects_stream(&client, &offset, "firstsecondend;");
    client_close(&client);
}

static void continue_comes_before_the_stream(void **state) {
    struct client client;
    size_t offset = 0;
    client_open(&client, *state);
    client_send_string(&client,
                       POST_TO("/duplex") "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(client_receive(&client, &offset, true).status, 100);
    client_send_string(&client, "ab");
    client_expects_stream(&client, &offset, "abend;");
    assert_true(client_is_served(&client, &offset));
    client_close(&client);
}

// What the handler does not ask for, the client cannot send for ever.
static void pieces_that_are_not_asked_for_wait(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t sent = 0;
    harness->limits.request_timeout = 60;
    harness_start(harness);
    struct http_request *request =
        begin(&client, harness, POST_TO("/pieces-held") "Content-Length: 99000000\r\n\r\n");
    http_read_piece(request);
    for (int idle = 0; idle < 50; idle++) {
        ssize_t size = send(client.socket, block, sizeof block, MSG_NOSIGNAL);
        if (size > 0) {
            sent += (size_t)size;
            idle = 0;
        }
        client_pump(&client);
        assert_true(sent < 64u * 1024 * 1024);
    }
    client_wait(&client, 300); // the client is not to blame
    assert_int_equal(harness->pieces, 1);
    for (unsigned pieces = 1; pieces < 20; pieces++) {
        http_read_piece(request);
        http_read_piece(request); // asking twice is asking once
        send_zeros(&client, 10000);
        harness_run_to(harness, &harness->pieces, pieces + 1);
        client_pump(&client);
        assert_int_equal(harness->pieces, pieces + 1);
    }
    harness_answer(request, 200, TEXT("enough"));
    client_close(&client);
}

static void pieces_have_their_time(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    harness->limits.request_timeout = 100;
    harness_start(harness);
    client_open(&client, harness);
    client_send_string(&client, POST_TO("/pieces") "Content-Length: 9\r\n\r\n");
    for (int i = 0; i < 6; i++) { // longer than the time-out altogether
        client_wait(&client, 50);
        client_send_string(&client, "x");
    }
    struct reply reply = client_receive(&client, &offset, false);
    assert_int_equal(reply.status, 408);
    assert_text_is(reply.body, "6 request-timeout");
    assert_true(client_sees_end(&client));
    assert_int_equal(harness->gone, 0);
    client_close(&client);
}

static void a_duplex_stream_that_stands_still_ends(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    harness->limits.request_timeout = 60;
    harness_start(harness);
    client_open(&client, harness);
    client_send_string(&client, CHUNKED_TO("/duplex") "3\r\nabc\r\n");
    client_expects_stream(&client, &offset, "abcbroken;");
    assert_true(client_sees_end(&client));
    client_close(&client);
}

static void a_body_in_pieces_that_breaks_off(void **state) {
    struct harness *harness = *state;
    static const char *const wrong[] = {
        CHUNKED_TO("/duplex") "3\r\nabc\r\nx\r\n",
        CHUNKED_TO("/duplex") "3\r\nabcd\r\n",
        CHUNKED_TO("/duplex") "3\r\nabc\n0\r\n\r\n",
    };
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct client client;
        size_t offset = 0;
        client_open(&client, harness);
        client_send_string(&client, wrong[i]);
        client_expects_stream(&client, &offset, "abcbroken;");
        assert_true(client_sees_end(&client));
        assert_int_equal(harness->broken, i + 1);
        assert_int_equal(client.in.size, offset);
        client_close(&client);
    }
}

static void a_client_that_sends_no_more_in_its_pieces(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    client_open(&client, harness);
    client_send_string(&client, POST_TO("/duplex") "Content-Length: 9\r\n\r\nabc");
    shutdown(client.socket, SHUT_WR);
    client_expects_stream(&client, &offset, "abcbroken;");
    assert_true(client_sees_end(&client));
    assert_int_equal(harness->gone, 0);
    client_close(&client);
}

static void a_client_that_goes_in_its_pieces_is_noticed(void **state) {
    struct harness *harness = *state;
    struct client client;
    client_open(&client, harness);
    client_send_string(&client, POST_TO("/duplex") "Content-Length: 9\r\n\r\nabc");
    harness_run_to(harness, &harness->pieces, 1);
    client_reset(&client);
    harness_run_to(harness, &harness->gone, 1);
    assert_int_equal(harness->broken, 0);
    assert_int_equal(harness->answered, 1);
}

// An answer before the end of a body in pieces: what is left is dropped, or the connection closes.
static void an_answer_in_the_middle_of_pieces(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    struct http_request *request =
        begin(&client, harness, POST_TO("/pieces-held") "Content-Length: 6\r\n\r\nabc");
    http_read_piece(request);
    harness_run_to(harness, &harness->pieces, 1);
    harness_answer(request, 200, TEXT("enough"));
    client_send_string(&client, "def");
    assert_text_is(client_receive(&client, &offset, false).body, "enough");
    assert_true(client_is_served(&client, &offset));
    client_close(&client);
    request = begin(&client, harness, POST_TO("/pieces-held") "Content-Length: 600000\r\n\r\nabc");
    harness_begin_stream(request, TEXT("no"), false);
    http_stream_end(request);
    offset = 0;
    client_expects_stream(&client, &offset, "no");
    send_zeros(&client, 599997);
    assert_true(client_sees_end(&client));
    client_close(&client);
}

static void bytes_behind_a_stream_are_the_next_request(void **state) {
    struct harness *harness = *state;
    struct client client;
    size_t offset = 0;
    client_open(&client, harness);
    client_send_string(&client, POST_TO("/duplex") "Content-Length: 3\r\n\r\nabc" GET_AT("/next")
                                    CHUNKED_TO("/duplex") "1\r\nx\r\n0\r\n\r\n" GET_AT("/end"));
    client_expects_stream(&client, &offset, "abcend;");
    assert_text_is(client_receive(&client, &offset, false).body, "GET /next?");
    client_expects_stream(&client, &offset, "xend;");
    assert_text_is(client_receive(&client, &offset, false).body, "GET /end?");
    client_close(&client);
}

#define STARTED(test) cmocka_unit_test_setup_teardown(test, setup_started, teardown)
#define CREATED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        STARTED(a_stream_is_chunked_and_the_connection_stays),
        STARTED(writes_share_a_chunk),
        STARTED(a_stream_without_bytes),
        STARTED(streams_and_answers_in_one_pipeline),
        STARTED(head_is_the_head_alone),
        STARTED(http_1_0_ends_with_the_connection),
        STARTED(a_stream_may_close_the_connection),
        STARTED(what_was_written_before_an_abort_is_sent),
        STARTED(an_abort_resets_http_1_0),
        STARTED(an_aborted_head_is_an_answer),
        STARTED(a_full_stream_is_told_when_there_is_room),
        STARTED(a_client_that_does_not_read_holds_the_stream),
        STARTED(a_busy_stream_lets_others_be_served),
        STARTED(a_client_that_leaves_an_idle_stream_is_noticed),
        STARTED(a_stream_with_an_end_outlives_the_clients_input),
        STARTED(a_stream_may_be_ended_when_its_client_went),
        CREATED(a_silent_stream_is_not_cut),
        CREATED(a_stream_whose_client_does_not_read_is_cut),
        STARTED(streams_are_told_that_the_server_stops),
        STARTED(a_stream_that_begins_while_the_server_stops_is_told),
        STARTED(the_servers_patience_ends_streams),
        STARTED(pieces_add_up),
        STARTED(a_body_in_pieces_may_be_empty),
        STARTED(a_duplex_stream_echoes_any_split),
        STARTED(the_answer_begins_before_the_body_ends),
        STARTED(continue_comes_before_the_stream),
        CREATED(pieces_that_are_not_asked_for_wait),
        CREATED(pieces_have_their_time),
        CREATED(a_duplex_stream_that_stands_still_ends),
        STARTED(a_body_in_pieces_that_breaks_off),
        STARTED(a_client_that_sends_no_more_in_its_pieces),
        STARTED(a_client_that_goes_in_its_pieces_is_noticed),
        STARTED(an_answer_in_the_middle_of_pieces),
        STARTED(bytes_behind_a_stream_are_the_next_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
