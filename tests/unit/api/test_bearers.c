#include "api/bearers.h"

#include "base/clock.h"
#include "unit/allocation.h"
#include "unit/api/events.h"
#include "unit/api/support.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_BEARERS = 80, MAX_JOBS = 8, KEY_CELLS = 8, HEX_SIZE = 2 * DIGEST_SIZE };

struct holder {
    struct bearer bearer; // first
    struct bench bench;
    enum failure_code refused;
};

struct rig {
    uv_loop_t loop;
    struct store *store;
    struct catalogue *catalogue;
    struct keyring keyring;
    struct service_options options;
    struct service service;
    struct handler handler;
    struct bearers bearers;
    struct holder holders[MAX_BEARERS];
    size_t holder_count;
    struct scripted_job script[MAX_JOBS];
    size_t job_count;
};

static void on_refused(struct bearer *bearer) {
    struct holder *holder = (struct holder *)bearer;
    holder->refused = bearer->exchange->failure.code;
}

static int set_up(void **state) {
    struct rig *rig = calloc(1, sizeof *rig);
    rig->catalogue = events_catalogue(STORE_SQLITE);
    rig->handler = (struct handler){.action = ACTION_LIST};
    rig->options.keyring = &rig->keyring;
    rig->options.query_timeout = 1000;
    rig->service.options = &rig->options;
    rig->service.loop = &rig->loop;
    assert_true(digest_sha256(TEXT("admin"), rig->service.secrets.admin_digest));
    assert_true(key_lookup_plan_make(&rig->service.arena, dialect_of(STORE_SQLITE),
                                     &rig->service.key_lookup));
    bearers_init(&rig->bearers, &rig->service, on_refused);
    *state = rig;
    return uv_loop_init(&rig->loop);
}

static void on_detached(void *owner) {
    struct rig *rig = owner;
    rig->service.session = NULL;
}

static int tear_down(void **state) {
    struct rig *rig = *state;
    for (size_t i = 0; i < rig->holder_count; i++) {
        struct holder *holder = &rig->holders[i];
        if (!holder->refused)
            bearers_remove(&holder->bearer);
        identity_release(&holder->bench.exchange.identity);
        bench_end(&holder->bench);
    }
    if (rig->service.session)
        store_detach(rig->service.session, on_detached, rig);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_null(rig->service.session);
    if (rig->store) {
        assert_string_equal(scripted_store_difference(rig->store), "");
        assert_int_equal(scripted_store_left(rig->store), 0);
        store_close(rig->store);
    }
    assert_int_equal(uv_loop_close(&rig->loop), 0);
    arena_free(&rig->service.arena);
    catalogue_release(rig->catalogue);
    free(rig);
    return 0;
}

static void start(struct rig *rig) {
    struct failure failure;
    rig->store = scripted_store_open(STORE_SQLITE, rig->script, rig->job_count, &failure);
    assert_non_null(rig->store);
    assert_true(store_attach(rig->store, &rig->loop, &rig->service.session, &failure));
}

// Ticks, and waits for what that asks for.
static void tick(struct rig *rig) {
    bearers_tick(&rig->bearers);
    while (rig->bearers.is_out)
        uv_run(&rig->loop, UV_RUN_ONCE);
}

// ---- Holders

// Somebody with a secret ("admin", or any) whose key was known when the request came.
static struct holder *add(struct rig *rig, const char *secret, const char *scopes,
                          int64_t ends_at) {
    assert_true(rig->holder_count < MAX_BEARERS);
    struct holder *holder = &rig->holders[rig->holder_count++];
    struct exchange *exchange =
        bench_begin(&holder->bench, HTTP_METHOD_GET, "GET", "/secrets/events");
    struct identity *identity = &exchange->identity;
    struct failure failure;
    exchange->service = &rig->service;
    exchange->handler = &rig->handler;
    exchange->plan = catalogue_plan(rig->catalogue, TEXT("secrets"));
    assert_true(digest_sha256(text_from_string(secret), identity->digest));
    identity->state = KEY_GOOD;
    if (scopes) {
        struct api_key_row row = {.id = TEXT("01890000-0000-7000-8000-000000000000"),
                                  .scopes = text_from_string(scopes),
                                  .active = true,
                                  .ends_at = ends_at};
        identity->kind = IDENTITY_KEY;
        identity->key = api_key_make(&row, &failure);
        assert_non_null(identity->key);
    } else {
        identity->kind = IDENTITY_ADMIN;
    }
    bearers_add(&rig->bearers, &holder->bearer, exchange);
    return holder;
}

static struct holder *add_reader(struct rig *rig, const char *secret) {
    return add(rig, secret, "[\"secrets:read\"]", INT64_MAX);
}

// ---- Rows

struct key_row {
    struct value cells[KEY_CELLS];
    char hex[HEX_SIZE];
};

static void make_row(struct key_row *row, const char *secret, const char *scopes, bool active) {
    unsigned char digest[DIGEST_SIZE];
    assert_true(digest_sha256(text_from_string(secret), digest));
    text_hex_encode(digest, sizeof digest, row->hex);
    const struct value cells[KEY_CELLS] = {
        {.kind = VALUE_UUID, .text = TEXT_INIT("01890000-0000-7000-8000-000000000000")},
        STRING("tr_x"),
        {.kind = VALUE_JSON, .text = text_from_string(scopes)},
        {.kind = VALUE_BOOLEAN, .boolean = active},
        NOTHING,
        {.kind = VALUE_TEXT, .text = text_of(row->hex, HEX_SIZE)},
        NOTHING,
        NOTHING};
    memcpy(row->cells, cells, sizeof cells);
}

static struct scripted_call gives(const struct key_row *row) {
    return (struct scripted_call){.sql = "FROM trestle_keys", .cells = row->cells, .row_count = 1};
}

static struct scripted_job *add_job(struct rig *rig, const struct scripted_call *calls,
                                    size_t count) {
    assert_true(rig->job_count < MAX_JOBS);
    struct scripted_job *job = &rig->script[rig->job_count++];
    *job = (struct scripted_job){.calls = calls, .call_count = count};
    return job;
}

// ---- Tests

static void nothing_is_asked_where_nothing_changed(void **state) {
    struct rig *rig = *state;
    start(rig);
    add_reader(rig, "a");
    add(rig, "admin", NULL, 0);
    for (size_t i = 0; i < 5; i++)
        tick(rig);
    assert_int_equal(rig->holders[0].refused, FAILURE_NONE);
}

static void each_key_is_asked_for_once(void **state) {
    struct rig *rig = *state;
    struct key_row rows[2];
    make_row(&rows[0], "a", "[\"secrets:read\"]", true);
    make_row(&rows[1], "b", "[\"secrets:read\"]", false);
    const struct scripted_call calls[] = {gives(&rows[0]), gives(&rows[1]), {.sql = "keys"}};
    add_job(rig, calls, 3)->restarted = true;
    start(rig);
    for (size_t i = 0; i < 60; i++)
        add_reader(rig, i % 3 == 0 ? "a" : i % 3 == 1 ? "b" : "c");
    struct holder *admin = add(rig, "admin", NULL, 0);
    keyring_note_change(&rig->keyring);
    tick(rig);
    for (size_t i = 0; i < 60; i++)
        assert_int_equal(rig->holders[i].refused, i % 3 == 0   ? FAILURE_NONE
                                                  : i % 3 == 1 ? FAILURE_KEY_INACTIVE
                                                               : FAILURE_KEY_INVALID);
    assert_int_equal(admin->refused, FAILURE_NONE);
    tick(rig);
}

static void a_scope_that_is_lost(void **state) {
    struct rig *rig = *state;
    struct key_row row;
    make_row(&row, "a", "[\"notes:read\"]", true);
    const struct scripted_call calls[] = {gives(&row)};
    add_job(rig, calls, 1);
    start(rig);
    struct holder *holder = add_reader(rig, "a");
    keyring_note_change(&rig->keyring);
    tick(rig);
    assert_int_equal(holder->refused, FAILURE_FORBIDDEN);
}

// More keys than are asked for at once.
static void many_keys(void **state) {
    struct rig *rig = *state;
    enum { KEYS = 2 * BEARER_KEYS + 6 };
    static struct key_row rows[KEYS];
    static struct scripted_call calls[KEYS];
    static char secrets[KEYS][8];
    for (size_t i = 0; i < KEYS; i++) {
        (void)snprintf(secrets[i], sizeof secrets[i], "k%zu", i);
        make_row(&rows[i], secrets[i], "[\"*:read\"]", i % 2 == 0);
        calls[i] = gives(&rows[i]);
    }
    add_job(rig, calls, BEARER_KEYS);
    add_job(rig, calls + BEARER_KEYS, BEARER_KEYS);
    add_job(rig, calls + 2 * (size_t)BEARER_KEYS, 6);
    start(rig);
    for (size_t i = 0; i < KEYS; i++)
        add_reader(rig, secrets[i]);
    keyring_note_change(&rig->keyring);
    tick(rig);
    for (size_t i = 0; i < KEYS; i++)
        assert_int_equal(rig->holders[i].refused, i % 2 == 0 ? FAILURE_NONE : FAILURE_KEY_INACTIVE);
}

// What was looked up before the stream began may have changed since.
static void a_key_that_was_looked_up(void **state) {
    struct rig *rig = *state;
    struct key_row row;
    make_row(&row, "a", "[\"secrets:read\"]", true);
    const struct scripted_call calls[] = {gives(&row)};
    add_job(rig, calls, 1);
    start(rig);
    struct holder *holder = add_reader(rig, "a");
    bearers_remove(&holder->bearer);
    holder->bench.exchange.identity.asked_at = 1;
    bearers_add(&rig->bearers, &holder->bearer, &holder->bench.exchange);
    tick(rig);
    tick(rig);
    assert_int_equal(holder->refused, FAILURE_NONE);
}

// Keys change while they are looked up: what is found may be older.
static void a_change_meanwhile(void **state) {
    struct rig *rig = *state;
    struct key_row rows[2];
    make_row(&rows[0], "a", "[\"secrets:read\"]", true);
    make_row(&rows[1], "a", "[\"secrets:read\"]", false);
    const struct scripted_call calls[] = {gives(&rows[0]), gives(&rows[1])};
    add_job(rig, calls, 1);
    add_job(rig, calls + 1, 1);
    start(rig);
    struct holder *holder = add_reader(rig, "a");
    keyring_note_change(&rig->keyring);
    bearers_tick(&rig->bearers);
    assert_true(rig->bearers.is_out);
    keyring_note_change(&rig->keyring);
    bearers_tick(&rig->bearers);
    while (rig->bearers.is_out)
        uv_run(&rig->loop, UV_RUN_ONCE);
    assert_int_equal(holder->refused, FAILURE_KEY_INACTIVE);
}

static void who_goes_while_a_key_is_looked_up(void **state) {
    struct rig *rig = *state;
    struct key_row row;
    make_row(&row, "a", "[\"secrets:read\"]", false);
    const struct scripted_call calls[] = {gives(&row)};
    add_job(rig, calls, 1);
    start(rig);
    struct holder *goes = add_reader(rig, "a");
    struct holder *stays = add_reader(rig, "a");
    keyring_note_change(&rig->keyring);
    bearers_tick(&rig->bearers);
    bearers_remove(&goes->bearer);
    tick(rig);
    assert_int_equal(goes->refused, FAILURE_NONE);
    assert_int_equal(stays->refused, FAILURE_KEY_INACTIVE);
}

static void a_store_that_is_away(void **state) {
    struct rig *rig = *state;
    struct key_row rows[2];
    make_row(&rows[0], "a", "no list", true); // damaged, so nothing can be said
    make_row(&rows[1], "a", "[\"secrets:read\"]", false);
    const struct scripted_call calls[] = {gives(&rows[0]), gives(&rows[1])};
    add_job(rig, NULL, 0)->refused = true;
    add_job(rig, NULL, 0)->outcome.kind = OUTCOME_UNAVAILABLE;
    add_job(rig, calls, 1);
    add_job(rig, calls + 1, 1);
    start(rig);
    struct holder *holder = add_reader(rig, "a");
    keyring_note_change(&rig->keyring);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(holder->refused, FAILURE_NONE);
        tick(rig);
    }
    assert_int_equal(holder->refused, FAILURE_KEY_INACTIVE);
}

static void keys_expire_by_the_clock(void **state) {
    struct rig *rig = *state;
    start(rig);
    struct holder *late = add(rig, "a", "[\"secrets:read\"]", clock_now() + 100000);
    struct holder *soon = add(rig, "b", "[\"secrets:read\"]", clock_now() + 30);
    struct holder *never = add_reader(rig, "c");
    tick(rig);
    assert_int_equal(soon->refused, FAILURE_NONE);
    uv_sleep(40);
    tick(rig);
    assert_int_equal(soon->refused, FAILURE_KEY_EXPIRED);
    tick(rig);
    assert_int_equal(late->refused, FAILURE_NONE);
    assert_int_equal(never->refused, FAILURE_NONE);
}

static void another_administrators_key(void **state) {
    struct rig *rig = *state;
    const struct scripted_call calls[] = {{.sql = "keys"}};
    add_job(rig, calls, 1);
    start(rig);
    struct holder *before = add(rig, "admin", NULL, 0);
    struct holder *after = add(rig, "another", NULL, 0);
    assert_true(digest_sha256(TEXT("another"), rig->service.secrets.admin_digest));
    bearers_doubt(&rig->bearers);
    tick(rig);
    assert_int_equal(before->refused, FAILURE_KEY_INVALID);
    assert_int_equal(after->refused, FAILURE_NONE);
}

// Where anybody may listen, a key is of no account.
static void who_needs_no_key(void **state) {
    struct rig *rig = *state;
    const struct scripted_call calls[] = {{.sql = "keys"}};
    add_job(rig, calls, 1);
    start(rig);
    struct holder *holder = add_reader(rig, "a");
    holder->bench.exchange.plan = catalogue_plan(rig->catalogue, TEXT("notes"));
    struct holder *nobody = add_reader(rig, "b");
    bearers_remove(&nobody->bearer);
    nobody->bench.exchange.identity.kind = IDENTITY_NOBODY;
    bearers_add(&rig->bearers, &nobody->bearer, &nobody->bench.exchange);
    keyring_note_change(&rig->keyring);
    tick(rig);
    assert_int_equal(holder->refused, FAILURE_NONE);
    assert_int_equal(nobody->refused, FAILURE_NONE);
}

static void no_memory(void **state) {
    struct rig *rig = *state;
    struct key_row row;
    make_row(&row, "a", "[\"secrets:read\"]", false);
    const struct scripted_call calls[] = {gives(&row)};
    add_job(rig, calls, 1);
    add_job(rig, calls, 1);
    start(rig);
    struct holder *holder = add_reader(rig, "a");
    keyring_note_change(&rig->keyring);
    for (size_t nth = 1; nth < 4; nth++) { // two for the call, one for the row
        allocation_fail_from(nth);
        tick(rig);
        assert_true(allocation_allow());
        assert_int_equal(holder->refused, FAILURE_NONE);
    }
    tick(rig);
    assert_int_equal(holder->refused, FAILURE_KEY_INACTIVE);
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_asked_where_nothing_changed),
        TEST(each_key_is_asked_for_once),
        TEST(a_scope_that_is_lost),
        TEST(many_keys),
        TEST(a_key_that_was_looked_up),
        TEST(a_change_meanwhile),
        TEST(who_goes_while_a_key_is_looked_up),
        TEST(a_store_that_is_away),
        TEST(keys_expire_by_the_clock),
        TEST(another_administrators_key),
        TEST(who_needs_no_key),
        TEST(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
