#include "api/rate_limits.h"

#include "api/secrets.h"
#include "unit/allocation.h"
#include "unit/api/support.h"
#include "unit/testing.h"

// A request of somebody, and the limits of its process.
struct fixture {
    struct bench bench;
    struct rate_limits limits;
    struct handler handler;
    struct resource resource;
    struct plan plan;
    struct arena arena;
};

static struct rate rate_of(const char *text) {
    struct rate rate;
    assert_true(rate_parse(text_from_string(text), &rate));
    return rate;
}

static struct exchange *begin(struct fixture *fixture, const char *key, const char *address,
                              const char *failures) {
    struct failure failure;
    struct rate_limit_rates rates = {rate_of(key), rate_of(address), rate_of(failures)};
    *fixture = (struct fixture){.handler = {.action = ACTIONS}};
    struct exchange *exchange = bench_begin(&fixture->bench, HTTP_METHOD_GET, "GET", "/things");
    assert_true(rate_limits_open(&fixture->limits, &rates, NULL, &failure));
    fixture->bench.options.rate_limits = &fixture->limits;
    fixture->plan.resource = &fixture->resource;
    exchange->plan = &fixture->plan;
    exchange->handler = &fixture->handler;
    exchange->request_id = TEXT("the-id");
    assert_true(address_parse(TEXT("192.0.2.1"), &exchange->client));
    return exchange;
}

static void end(struct fixture *fixture) {
    bench_end(&fixture->bench);
    rate_limits_close(&fixture->limits);
    rate_limits_close(&fixture->limits);
    arena_free(&fixture->arena);
}

// The next request of the same.
static enum step_result count(struct exchange *exchange) {
    exchange->counted_count = 0;
    exchange->failure.code = FAILURE_NONE;
    return rate_limits_count(exchange);
}

static void become_key(struct exchange *exchange) {
    exchange->identity.kind = IDENTITY_KEY;
    exchange->identity.state = KEY_GOOD;
    memset(exchange->identity.key_id, 'a', sizeof exchange->identity.key_id);
}

static void fields_are(struct exchange *exchange, const char *expected) {
    struct http_answer answer = {.status = 200};
    rate_limits_tell(exchange, &answer);
    assert_text_is(buffer_text(&answer.fields), expected);
    buffer_free(&answer.fields);
}

static void nothing_is_counted_where_nothing_is_limited(void **state) {
    struct fixture fixture;
    struct exchange *exchange = begin(&fixture, "off", "off", "off");
    assert_int_equal(count(exchange), STEP_NEXT);
    fields_are(exchange, "");
    exchange->identity.state = KEY_UNKNOWN;
    assert_int_equal(count(exchange), STEP_NEXT);
    fields_are(exchange, "");
    fixture.bench.options.rate_limits = NULL;
    assert_int_equal(count(exchange), STEP_NEXT);
    end(&fixture);
}

static void callers_have_their_limits(void **state) {
    struct fixture fixture;
    struct exchange *exchange = begin(&fixture, "2/h", "1/h", "off");
    assert_int_equal(count(exchange), STEP_NEXT);
    fields_are(exchange, "RateLimit-Policy: \"address\";q=1;w=3600\r\n"
                         "RateLimit: \"address\";r=0;t=3600\r\n");
    assert_int_equal(count(exchange), STEP_FAIL);
    assert_int_equal(exchange->failure.code, FAILURE_RATE_LIMITED);
    fields_are(exchange, "RateLimit-Policy: \"address\";q=1;w=3600\r\n"
                         "RateLimit: \"address\";r=0;t=3600\r\n"
                         "Retry-After: 3600\r\n");
    // Who cannot be checked for want of the database is somebody without a key.
    exchange->identity.state = KEY_UNCHECKED;
    assert_int_equal(count(exchange), STEP_FAIL);
    become_key(exchange);
    assert_int_equal(count(exchange), STEP_NEXT);
    assert_int_equal(count(exchange), STEP_NEXT);
    assert_int_equal(count(exchange), STEP_FAIL);
    assert_non_null(strstr(exchange->failure.detail, "\"key\""));
    exchange->identity.key_id[0] = 'b';
    assert_int_equal(count(exchange), STEP_NEXT);
    exchange->identity.kind = IDENTITY_ADMIN;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(count(exchange), STEP_NEXT);
    fields_are(exchange, "");
    end(&fixture);
}

static void what_looks_at_no_key_is_not_limited(void **state) {
    struct fixture fixture;
    struct exchange *exchange = begin(&fixture, "1/h", "1/h", "1/h");
    fixture.handler.asks_nobody = true;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(count(exchange), STEP_NEXT);
    fields_are(exchange, "");
    end(&fixture);
}

static void keys_that_are_not_good_are_counted_by_address(void **state) {
    static const enum key_state states[] = {KEY_MALFORMED, KEY_UNKNOWN, KEY_INACTIVE, KEY_EXPIRED};
    struct fixture fixture;
    struct exchange *exchange = begin(&fixture, "off", "off", "4/h");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        exchange->identity.state = states[i];
        assert_int_equal(count(exchange), STEP_NEXT);
    }
    char detail[sizeof exchange->failure.detail] = "";
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        exchange->identity.state = states[i];
        assert_int_equal(count(exchange), STEP_FAIL);
        if (i > 0) // all are told the same
            assert_memory_equal(detail, exchange->failure.detail, 60);
        memcpy(detail, exchange->failure.detail, sizeof detail);
    }
    exchange->identity.state = KEY_UNASKED;
    assert_int_equal(count(exchange), STEP_NEXT);
    become_key(exchange);
    assert_int_equal(count(exchange), STEP_NEXT);
    end(&fixture);
}

static void resources_have_their_own(void **state) {
    struct fixture fixture;
    struct exchange *exchange = begin(&fixture, "off", "10/h", "off");
    struct rate rate = rate_of("2/h");
    struct rate_limit *reading = &fixture.resource.read_limit;
    struct rate_limit *writing = &fixture.resource.write_limit;
    assert_true(rate_limit_make(&fixture.arena, TEXT("things:read"), &rate, reading));
    rate = rate_of("5/h");
    assert_true(rate_limit_make(&fixture.arena, TEXT("things:write"), &rate, writing));
    fixture.handler.action = ACTION_LIST;
    assert_int_equal(count(exchange), STEP_NEXT);
    fixture.handler.action = ACTION_READ;
    assert_int_equal(count(exchange), STEP_NEXT);
    fields_are(exchange, "RateLimit-Policy: \"address\";q=10;w=3600, \"things:read\";q=2;w=3600\r\n"
                         "RateLimit: \"address\";r=8;t=360, \"things:read\";r=0;t=1800\r\n");
    assert_int_equal(count(exchange), STEP_FAIL);
    assert_non_null(strstr(exchange->failure.detail, "\"things:read\""));
    // Records beside the first one.
    struct failure failure;
    fixture.handler.action = ACTION_CREATE;
    assert_int_equal(count(exchange), STEP_NEXT);
    assert_true(rate_limits_count_more(exchange, 0, &failure));
    assert_true(rate_limits_count_more(exchange, 3, &failure));
    assert_false(rate_limits_count_more(exchange, 2, &failure));
    assert_int_equal(failure.code, FAILURE_RATE_LIMITED);
    assert_false(rate_limits_count_more(exchange, 5, &failure));
    assert_int_equal(failure.code, FAILURE_BODY_TOO_LARGE);
    // A transition that has no limit of its own.
    struct transition transition = {.name = TEXT_INIT("go")};
    fixture.handler.action = ACTION_TRANSITION;
    exchange->transition = &transition;
    assert_int_equal(count(exchange), STEP_NEXT);
    assert_true(rate_limits_count_more(exchange, 1000, &failure));
    end(&fixture);
}

static void without_memory_there_are_none(void **state) {
    for (ALLOCATION_FAILURES(nth)) {
        struct rate_limits limits;
        struct failure failure;
        struct rate_limit_rates rates = {.key = {.interval = 0}};
        bool opened = rate_limits_open(&limits, &rates, NULL, &failure);
        bool failed = allocation_allow();
        assert_int_equal(opened, !failed);
        rate_limits_close(&limits);
        if (!failed)
            break;
    }
}

// Of what is presented the log has no more than the public prefix.
static void only_prefixes_are_shown(void **state) {
    char secret[SECRET_SIZE];
    assert_true(secret_make(secret));
    struct text prefix = secret_prefix(text_from_string(secret));
    assert_int_equal(prefix.size, SECRET_PREFIX_SIZE);
    assert_memory_equal(prefix.data, secret, SECRET_PREFIX_SIZE);
    secret[SECRET_SIZE - 2] = secret[SECRET_SIZE - 2] == 'x' ? 'y' : 'x'; // mistyped
    assert_int_equal(secret_prefix(text_from_string(secret)).size, SECRET_PREFIX_SIZE);
    secret[4] = '\n';
    assert_int_equal(secret_prefix(text_from_string(secret)).size, 0);
    static const char *const others[] = {"", "tr_", "a-password-of-the-administrator",
                                         "tr_short-administrators-key"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(secret_prefix(text_from_string(others[i])).size, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_counted_where_nothing_is_limited),
        cmocka_unit_test(callers_have_their_limits),
        cmocka_unit_test(what_looks_at_no_key_is_not_limited),
        cmocka_unit_test(keys_that_are_not_good_are_counted_by_address),
        cmocka_unit_test(resources_have_their_own),
        cmocka_unit_test(without_memory_there_are_none),
        cmocka_unit_test(only_prefixes_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
