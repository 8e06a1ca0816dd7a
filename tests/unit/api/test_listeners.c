// Listeners from a socket on, with a scripted store and with a feed that says what the test says.
#include "api/service.h"
#include "unit/api/events.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_JOBS = 12, CLIENTS = 4 };

struct client {
    int socket;
    struct buffer answer; // as it came
    size_t seen;          // of that
    bool ended;
};

// What stands for the feed: it belongs to the loop of the test.
struct feed {
    struct feed_member *member;
    unsigned asked;  // questions without an answer
    int listened_to; // resources
    bool has_left;   //
};

struct rig {
    uv_loop_t loop;
    struct catalogue *catalogue;
    struct service_options options;
    struct keyring keyring;
    struct service service;
    struct sockaddr_in address;
    struct feed feed;
    struct scripted_job script[MAX_JOBS];
    struct scripted_call pages[MAX_JOBS][2];
    size_t job_count;
    struct client clients[CLIENTS];
    bool stopped;
};

// ---- The feed

void feed_join(struct feed *feed, struct feed_member *member) {
    feed->member = member;
    member->feed = feed;
}

bool feed_listen(struct feed *feed, struct text resource, bool begins) {
    feed->listened_to += begins ? 1 : -1;
    return true;
}

void feed_ask(struct feed_member *member) {
    member->feed->asked++;
}

static void deliver_left(struct letter *letter) {
    struct feed_member *member = (void *)((char *)letter - offsetof(struct feed_member, left));
    member->on_left(member);
}

void feed_leave(struct feed_member *member) {
    member->feed->has_left = true;
    member->left.deliver = deliver_left;
    mailbox_post(member->mailbox, &member->left);
}

static void answer_feed(struct rig *rig, int64_t told, int64_t last) {
    const struct feed_news news = {.from = told, .to = told, .last = last};
    assert_int_equal(rig->feed.asked, 1);
    rig->feed.asked = 0;
    rig->feed.member->on_news(rig->feed.member, &news, true);
}

static void tell(struct rig *rig, int64_t number, const char *resource, const char *text) {
    const struct feed_event event = {.number = number,
                                     .change = CHANGE_UPDATED,
                                     .resource = text_from_string(resource),
                                     .text = text_from_string(text)};
    const struct feed_news news = {
        .from = number - 1, .to = number, .last = number, .events = &event, .event_count = 1};
    rig->feed.member->on_news(rig->feed.member, &news, false);
}

// ---- The service

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

static int set_up(void **state) {
    struct rig *rig = calloc(1, sizeof *rig);
    (void)signal(SIGPIPE, SIG_IGN);
    rig->catalogue = events_catalogue(STORE_SQLITE);
    rig->options = (struct service_options){.feed = &rig->feed,
                                            .keyring = &rig->keyring,
                                            .limits = {.max_head = 4096,
                                                       .max_body = 4096,
                                                       .request_timeout = 10000,
                                                       .idle_timeout = 10000,
                                                       .write_timeout = 10000},
                                            .query_timeout = 5000,
                                            .shutdown_timeout = 1000,
                                            .events_heartbeat = 60000};
    assert_true(digest_sha256(TEXT("admin"), rig->options.secrets.admin_digest));
    *state = rig;
    return uv_loop_init(&rig->loop);
}

static void start(struct rig *rig) {
    struct failure failure;
    rig->options.store = scripted_store_open(STORE_SQLITE, rig->script, rig->job_count, &failure);
    int listener = listen_anywhere(&rig->address);
    assert_true(service_start(&rig->service, &rig->loop, &listener, 1, rig->catalogue,
                              &rig->options, &failure));
}

static void on_stopped(void *owner) {
    struct rig *rig = owner;
    rig->stopped = true;
}

static int tear_down(void **state) {
    struct rig *rig = *state;
    service_stop(&rig->service, on_stopped, rig);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_true(rig->stopped && rig->feed.has_left);
    assert_int_equal(rig->feed.listened_to, 0);
    assert_string_equal(scripted_store_difference(rig->options.store), "");
    assert_int_equal(scripted_store_left(rig->options.store), 0);
    assert_int_equal(uv_loop_close(&rig->loop), 0);
    store_close(rig->options.store);
    catalogue_release(rig->catalogue);
    for (size_t i = 0; i < CLIENTS; i++) {
        if (rig->clients[i].socket)
            close(rig->clients[i].socket);
        buffer_free(&rig->clients[i].answer);
    }
    free(rig);
    return 0;
}

// ---- Clients

static struct client *ask(struct rig *rig, size_t index, const char *method, const char *resource,
                          const char *fields) {
    struct client *client = &rig->clients[index];
    char request[1024];
    int size = snprintf(request, sizeof request,
                        "%s /%s/events HTTP/1.1\r\nHost: h\r\nConnection: close\r\n%s\r\n", method,
                        resource, fields);
    client->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client->socket, (struct sockaddr *)&rig->address, sizeof rig->address),
                     0);
    assert_int_equal(fcntl(client->socket, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(write(client->socket, request, (size_t)size), size);
    return client;
}

static void turn(struct rig *rig, struct client *client) {
    char part[4096];
    uv_run(&rig->loop, UV_RUN_NOWAIT);
    ssize_t got = read(client->socket, part, sizeof part);
    if (got > 0)
        buffer_append(&client->answer, part, (size_t)got);
    client->ended = got == 0;
    uv_sleep(1);
}

// Where a text begins in what came behind the part before; -1: nowhere.
static ptrdiff_t find(const struct client *client, const char *part) {
    struct text rest = text_from(buffer_text(&client->answer), client->seen);
    const char *at = rest.size ? memmem(rest.data, rest.size, part, strlen(part)) : NULL;
    return at ? at - rest.data : -1;
}

// Waits until what came has a part, behind the one before.
static void expect(struct rig *rig, struct client *client, const char *part) {
    for (size_t turns = 0;; turns++) {
        ptrdiff_t at = find(client, part);
        if (at >= 0) {
            client->seen += (size_t)at + strlen(part);
            return;
        }
        if (client->ended || turns > 10000)
            fail_msg("no \"%s\" in:\n%.*s", part, TEXT_ARGS(buffer_text(&client->answer)));
        turn(rig, client);
    }
}

static void expect_end(struct rig *rig, struct client *client) {
    while (!client->ended)
        turn(rig, client);
}

static void wait_for_question(struct rig *rig) {
    while (!rig->feed.asked)
        uv_run(&rig->loop, UV_RUN_ONCE);
}

static struct client *begin(struct rig *rig, size_t index, const char *resource, const char *fields,
                            int64_t told) {
    struct client *client = ask(rig, index, "GET", resource, fields);
    wait_for_question(rig);
    answer_feed(rig, told, told);
    expect(rig, client, "Content-Type: text/event-stream\r\n");
    expect(rig, client, "retry: ");
    return client;
}

// ---- Scripts

static struct scripted_job *add_job(struct rig *rig, const struct scripted_call *calls,
                                    size_t count) {
    assert_true(rig->job_count < MAX_JOBS);
    struct scripted_job *job = &rig->script[rig->job_count++];
    *job = (struct scripted_job){.calls = calls, .call_count = count};
    return job;
}

// A page of the table, as one who is behind is read it.
static struct scripted_job *add_page(struct rig *rig, const struct value *position,
                                     const struct value *events, size_t count) {
    struct scripted_call *calls = rig->pages[rig->job_count];
    calls[0] = (struct scripted_call){.sql = "min(seq)", .cells = position, .row_count = 1};
    calls[1] = (struct scripted_call){.sql = "resource = ", .cells = events, .row_count = count};
    return add_job(rig, calls, 2);
}

static void add_writing(struct rig *rig) {
    add_job(rig, NULL, 0); // of deleted records, of which none is read
}

// ---- Tests

static void news_go_to_those_who_listen_to_them(void **state) {
    struct rig *rig = *state;
    start(rig);
    struct client *notes = begin(rig, 0, "notes", "", 5);
    expect(rig, notes, "id: 5\n\n");
    struct client *others = begin(rig, 1, "others", "", 5);
    assert_int_equal(rig->feed.listened_to, 2);
    tell(rig, 6, "notes", "first\n\n");
    tell(rig, 7, "others", "second\n\n");
    tell(rig, 8, "silent", "third\n\n");
    tell(rig, 9, "notes", "fourth\n\n");
    expect(rig, notes, "first\n\n");
    expect(rig, notes, "fourth\n\n");
    expect(rig, others, "second\n\n");
}

static void those_who_come_together_are_one_question(void **state) {
    struct rig *rig = *state;
    start(rig);
    struct client *first = ask(rig, 0, "GET", "notes", "");
    wait_for_question(rig);
    struct client *late[] = {ask(rig, 1, "GET", "notes", ""), ask(rig, 2, "GET", "notes", "")};
    while (rig->service.listeners.count < 3)
        uv_run(&rig->loop, UV_RUN_ONCE);
    answer_feed(rig, 5, 5); // which those who were too late for are not given
    expect(rig, first, "id: 5\n\n");
    answer_feed(rig, 6, 6);
    for (size_t i = 0; i < 2; i++)
        expect(rig, late[i], "id: 6\n\n");
    assert_int_equal(rig->feed.asked, 0);
}

static void who_comes_back_is_read_the_table(void **state) {
    struct rig *rig = *state;
    static const struct value position[] = {POSITION(1, 9, 0, 0)};
    static const struct value events[] = {EVENT(4, "1", "deleted", 1), EVENT(8, "2", "deleted", 1)};
    static const struct value parameters[] = {INTEGER(3), INTEGER(9), STRING("notes"),
                                              INTEGER(EVENT_PAGE_EVENTS)};
    add_page(rig, position, events, 2);
    rig->pages[0][1].parameters = parameters;
    rig->pages[0][1].parameter_count = 4;
    add_writing(rig);
    start(rig);
    struct client *client = begin(rig, 0, "notes", "Last-Event-ID: 3\r\n", 9);
    expect(rig, client, "id: 3\n\n");
    expect(rig, client, "id: 4\nevent: deleted\n");
    expect(rig, client, "id: 8\nevent: deleted\n");
    tell(rig, 10, "notes", "live\n\n");
    expect(rig, client, "live\n\n");
}

// News that come while the page is read are in the table, too.
static void news_come_while_a_page_is_read(void **state) {
    struct rig *rig = *state;
    static const struct value position[] = {POSITION(1, 9, 0, 0)};
    static const struct value first[] = {EVENT(4, "1", "deleted", 1)};
    static const struct value second[] = {EVENT(10, "2", "deleted", 1)};
    add_page(rig, position, first, 1);
    add_writing(rig);
    add_page(rig, position, second, 1);
    add_writing(rig);
    start(rig);
    struct client *client = ask(rig, 0, "GET", "notes", "Last-Event-ID: 3\r\n");
    wait_for_question(rig);
    answer_feed(rig, 9, 9);
    tell(rig, 10, "notes", "not to this one\n\n");
    expect(rig, client, "id: 4\nevent: deleted\n");
    expect(rig, client, "}\n\n");
    expect(rig, client, "id: 10\nevent: deleted\n");
    client->seen = 0;
    assert_int_equal(find(client, "not to this one"), -1);
}

static void what_is_gone_from_the_table_is_a_gap(void **state) {
    struct rig *rig = *state;
    static const struct value position[] = {POSITION(7, 9, 0, 0)};
    static const struct value events[] = {EVENT(8, "2", "deleted", 1)};
    add_page(rig, position, events, 1);
    add_writing(rig);
    start(rig);
    struct client *client = begin(rig, 0, "notes", "Last-Event-ID: 3\r\n", 9);
    expect(rig, client, "id: 6\nevent: gap\ndata: {\"from\":7}\n\n");
    expect(rig, client, "id: 8\nevent: deleted\n");
}

static void a_number_of_another_life_is_a_gap(void **state) {
    struct rig *rig = *state;
    start(rig);
    struct client *client = begin(rig, 0, "notes", "Last-Event-ID: 30\r\n", 9);
    expect(rig, client, "id: 9\nevent: gap\ndata: {\"from\":10}\n\n");
    const struct feed_news news = {.from = 4, .to = 4, .last = 4, .restarts = true};
    rig->feed.member->on_news(rig->feed.member, &news, false);
    expect(rig, client, "id: 4\nevent: gap\ndata: {\"from\":5}\n\n");
    tell(rig, 5, "notes", "again\n\n");
    expect(rig, client, "again\n\n");
}

// The database goes back while somebody is read a page of what it was.
static void another_life_while_a_page_is_read(void **state) {
    struct rig *rig = *state;
    static const struct value position[] = {POSITION(1, 9, 0, 0)};
    static const struct value events[] = {EVENT(4, "1", "deleted", 1)};
    add_page(rig, position, events, 1);
    start(rig);
    struct client *client = ask(rig, 0, "GET", "notes", "Last-Event-ID: 3\r\n");
    wait_for_question(rig);
    answer_feed(rig, 9, 9);
    const struct feed_news news = {.from = 2, .to = 2, .last = 2, .restarts = true};
    rig->feed.member->on_news(rig->feed.member, &news, false);
    tell(rig, 3, "notes", "again\n\n");
    expect(rig, client, "id: 2\nevent: gap\ndata: {\"from\":3}\n\n");
    expect(rig, client, "again\n\n");
}

static void a_page_that_fails_is_read_again(void **state) {
    struct rig *rig = *state;
    static const struct value position[] = {POSITION(1, 9, 0, 0)};
    static const struct value events[] = {EVENT(4, "1", "deleted", 1)};
    add_job(rig, NULL, 0)->outcome.kind = OUTCOME_UNAVAILABLE;
    add_job(rig, NULL, 0)->refused = true;
    add_page(rig, position, events, 1);
    add_job(rig, NULL, 0)->outcome.kind = OUTCOME_TIMEOUT;
    add_page(rig, position, events, 1);
    add_writing(rig);
    start(rig);
    struct client *client = begin(rig, 0, "notes", "Last-Event-ID: 3\r\n", 9);
    expect(rig, client, "id: 4\nevent: deleted\n");
}

static void who_goes_while_a_page_is_read(void **state) {
    struct rig *rig = *state;
    add_job(rig, NULL, 0);
    start(rig);
    struct client *client = ask(rig, 0, "GET", "notes", "Last-Event-ID: 3\r\n");
    wait_for_question(rig);
    answer_feed(rig, 9, 9);
    close(client->socket);
    client->socket = 0;
    while (rig->service.listeners.count || rig->service.listeners.readings)
        uv_run(&rig->loop, UV_RUN_ONCE);
}

static void head_is_answered_when_it_is_known_from_where(void **state) {
    struct rig *rig = *state;
    start(rig);
    struct client *client = ask(rig, 0, "HEAD", "notes", "");
    wait_for_question(rig);
    answer_feed(rig, 5, 5);
    expect(rig, client, "HTTP/1.1 200 OK\r\n");
    expect_end(rig, client);
    assert_int_equal(rig->service.listeners.count, 0);
}

static void who_is_not_answered_is_refused(void **state) {
    struct rig *rig = *state;
    rig->options.query_timeout = 100;
    start(rig);
    struct client *client = ask(rig, 0, "GET", "notes", "");
    expect(rig, client, "HTTP/1.1 503 ");
    expect(rig, client, "problem:unavailable\"");
    expect_end(rig, client);
    assert_int_equal(rig->feed.asked, 1);
    answer_feed(rig, 5, 5); // nobody wants it any more
}

static void heartbeats_bring_numbers(void **state) {
    struct rig *rig = *state;
    rig->options.events_heartbeat = 50;
    start(rig);
    struct client *client = begin(rig, 0, "notes", "", 5);
    expect(rig, client, "id: 5\n\n");
    tell(rig, 8, "others", "");
    expect(rig, client, ":\nid: 8\n\n");
}

static void keys_that_are_good_no_more(void **state) {
    struct rig *rig = *state;
    static const struct scripted_call none[] = {{.sql = "FROM trestle_keys"}};
    add_job(rig, none, 1);
    start(rig);
    struct client *shut_out = begin(rig, 0, "secrets", "Authorization: Bearer admin\r\n", 5);
    struct client *stays = begin(rig, 1, "notes", "Authorization: Bearer admin\r\n", 5);
    struct secrets secrets = rig->options.secrets;
    assert_true(digest_sha256(TEXT("another"), secrets.admin_digest));
    service_renew(&rig->service, &secrets);
    expect(rig, shut_out, "0\r\n\r\n");
    tell(rig, 6, "notes", "anybody's\n\n");
    expect(rig, stays, "anybody's\n\n");
}

static void a_stop_ends_streams_and_refuses_others(void **state) {
    struct rig *rig = *state;
    start(rig);
    struct client *streaming = begin(rig, 0, "notes", "", 5);
    struct client *waiting = ask(rig, 1, "GET", "notes", "");
    wait_for_question(rig);
    service_stop(&rig->service, on_stopped, rig);
    expect(rig, streaming, "0\r\n\r\n");
    expect(rig, waiting, "HTTP/1.1 503 ");
}

static void a_reload_ends_some(void **state) {
    struct rig *rig = *state;
    static const struct text sources[][2] = {
        {TEXT_INIT("notes.yaml"), TEXT_INIT("properties: {text: {type: string}}\nevents: true\n")},
        {TEXT_INIT("others.yaml"),
         TEXT_INIT("access: {read: public}\nproperties: {text: {type: string}}\nevents: true\n")}};
    struct arena arena = {0};
    struct diagnostics diagnostics;
    diagnostics_init(&diagnostics, &arena);
    start(rig);
    struct client *shut_out = begin(rig, 0, "notes", "", 5);
    struct client *stays = begin(rig, 1, "others", "", 5);
    struct client *gone = begin(rig, 2, "secrets", "Authorization: Bearer admin\r\n", 5);
    struct client *let_in = begin(rig, 3, "notes", "Authorization: Bearer admin\r\n", 5);
    struct catalogue *catalogue =
        catalogue_make(sources, 2, dialect_of(STORE_SQLITE), &diagnostics);
    assert_non_null(catalogue);
    service_reload(&rig->service, catalogue);
    catalogue_release(catalogue);
    arena_free(&arena);
    expect(rig, shut_out, "0\r\n\r\n");
    expect(rig, gone, "0\r\n\r\n");
    tell(rig, 6, "notes", "note\n\n");
    tell(rig, 7, "others", "other\n\n");
    expect(rig, let_in, "note\n\n");
    expect(rig, stays, "other\n\n");
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(news_go_to_those_who_listen_to_them),
        TEST(those_who_come_together_are_one_question),
        TEST(who_comes_back_is_read_the_table),
        TEST(news_come_while_a_page_is_read),
        TEST(what_is_gone_from_the_table_is_a_gap),
        TEST(a_number_of_another_life_is_a_gap),
        TEST(another_life_while_a_page_is_read),
        TEST(a_page_that_fails_is_read_again),
        TEST(who_goes_while_a_page_is_read),
        TEST(head_is_answered_when_it_is_known_from_where),
        TEST(who_is_not_answered_is_refused),
        TEST(heartbeats_bring_numbers),
        TEST(keys_that_are_good_no_more),
        TEST(a_stop_ends_streams_and_refuses_others),
        TEST(a_reload_ends_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
