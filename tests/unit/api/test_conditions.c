#include "api/conditions.h"

#include "unit/api/support.h"
#include "unit/testing.h"

static const struct handler reads = {.conditions = CONDITIONS_READ};
static const struct handler changes = {.conditions = CONDITIONS_CHANGE};
static const struct handler adds = {.conditions = CONDITIONS_LIST};
static const struct handler ignores = {.conditions = CONDITIONS_IGNORED};

// Tries the step on a request with these fields; NULL leaves one out.
static struct exchange *begin(struct bench *bench, const struct handler *handler,
                              enum http_method method, const char *match, const char *none_match) {
    static const struct resource resource = {.requires_match = false};
    static const struct plan plan = {.resource = &resource};
    struct exchange *exchange = bench_begin(bench, method, "", "/notes/1");
    exchange->handler = handler;
    exchange->plan = &plan;
    if (match)
        bench_field(bench, "if-match", match);
    if (none_match)
        bench_field(bench, "If-None-Match", none_match);
    return exchange;
}

static void malformed_fields(void **state) {
    struct bench bench;
    struct exchange *exchange = begin(&bench, &reads, HTTP_METHOD_GET, "7.x", NULL);
    assert_int_equal(conditions_read(exchange), STEP_FAIL);
    assert_int_equal(exchange->failure.code, FAILURE_INVALID_FIELD);
    bench_end(&bench);
    exchange = begin(&bench, &changes, HTTP_METHOD_PUT, NULL, "");
    assert_int_equal(conditions_read(exchange), STEP_FAIL);
    assert_int_equal(exchange->failure.code, FAILURE_INVALID_FIELD);
    bench_end(&bench);
    exchange = begin(&bench, &ignores, HTTP_METHOD_OPTIONS, "7.x", NULL);
    assert_int_equal(conditions_read(exchange), STEP_NEXT);
    assert_false(conditions_are_there(exchange));
    bench_end(&bench);
}

static void several_fields_are_one_list(void **state) {
    struct bench bench;
    struct exchange *exchange = begin(&bench, &reads, HTTP_METHOD_GET, NULL, "\"1.a\"");
    bench_field(&bench, "If-None-Match", "\"2.b\" , W/\"3.c\"");
    bench_field(&bench, "If-None-Matches", "\"9.x\"");
    bench_field(&bench, "if-none-match", "\"4.d\"");
    assert_int_equal(conditions_read(exchange), STEP_NEXT);
    assert_text_is(exchange->conditions.if_none_match, "\"1.a\", \"2.b\" , W/\"3.c\", \"4.d\"");
    bench_end(&bench);
    exchange = begin(&bench, &reads, HTTP_METHOD_GET, NULL, "\"1.a\"");
    bench_field(&bench, "If-None-Match", "*");
    assert_int_equal(conditions_read(exchange), STEP_FAIL);
    bench_end(&bench);
}

static void what_adds_to_a_list(void **state) {
    static const struct {
        const char *match;
        const char *none_match;
        enum step_result result;
    } rows[] = {
        {NULL, NULL, STEP_NEXT},           {"*", NULL, STEP_NEXT},
        {"\"1.a\"", NULL, STEP_FAIL},      {NULL, "*", STEP_FAIL},
        {NULL, "\"ASNFZ4mr\"", STEP_FAIL}, {"*", "*", STEP_FAIL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bench bench;
        struct exchange *exchange =
            begin(&bench, &adds, HTTP_METHOD_POST, rows[i].match, rows[i].none_match);
        assert_int_equal(conditions_read(exchange), rows[i].result);
        if (rows[i].result == STEP_FAIL)
            assert_int_equal(exchange->failure.code, FAILURE_PRECONDITION_FAILED);
        bench_end(&bench);
    }
}

static void a_resource_that_requires_them(void **state) {
    static const struct resource resource = {.requires_match = true};
    static const struct plan plan = {.resource = &resource};
    static const struct {
        enum http_method method;
        const char *match;
        const char *none_match;
        bool says_which;
    } rows[] = {
        {HTTP_METHOD_PUT, NULL, NULL, false},     {HTTP_METHOD_PUT, "\"1.a\"", NULL, true},
        {HTTP_METHOD_PUT, "*", NULL, true},       {HTTP_METHOD_PUT, NULL, "*", true},
        {HTTP_METHOD_PUT, NULL, "\"1\"", false},  {HTTP_METHOD_PATCH, NULL, "*", false},
        {HTTP_METHOD_PATCH, "\"1\"", NULL, true}, {HTTP_METHOD_DELETE, NULL, NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bench bench;
        struct exchange *exchange =
            begin(&bench, &changes, rows[i].method, rows[i].match, rows[i].none_match);
        exchange->plan = &plan;
        assert_int_equal(conditions_read(exchange), rows[i].says_which ? STEP_NEXT : STEP_FAIL);
        if (!rows[i].says_which)
            assert_int_equal(exchange->failure.code, FAILURE_PRECONDITION_REQUIRED);
        exchange->handler = &reads;
        assert_int_equal(conditions_read(exchange), STEP_NEXT);
        bench_end(&bench);
    }
}

// RFC 9110 section 13.2.2: If-Match comes first.
static void reads_and_their_order(void **state) {
    static const struct etag etag = {.kind = ETAG_RECORD, .version = 7};
    static const struct {
        const char *match;
        const char *none_match;
        enum condition condition;
    } rows[] = {
        {NULL, NULL, CONDITION_HOLDS},
        {NULL, "\"7.AAAAAAAA\"", CONDITION_NOT_MODIFIED},
        {NULL, "W/\"7.AAAAAAAA\"", CONDITION_NOT_MODIFIED},
        {NULL, "*", CONDITION_NOT_MODIFIED},
        {NULL, "\"7.AAAAAAAB\"", CONDITION_HOLDS},
        {"\"7.AAAAAAAA\"", NULL, CONDITION_HOLDS},
        {"\"7.AAAAAAAB\"", NULL, CONDITION_FAILED},
        {"W/\"7.AAAAAAAA\"", NULL, CONDITION_FAILED},
        {"*", NULL, CONDITION_HOLDS},
        {"*", "*", CONDITION_NOT_MODIFIED},
        {"\"8.x\"", "\"7.AAAAAAAA\"", CONDITION_FAILED},
        {"\"7.AAAAAAAA\"", "\"7.AAAAAAAA\"", CONDITION_NOT_MODIFIED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bench bench;
        struct exchange *exchange =
            begin(&bench, &reads, HTTP_METHOD_GET, rows[i].match, rows[i].none_match);
        assert_int_equal(conditions_read(exchange), STEP_NEXT);
        assert_int_equal(conditions_of_read(exchange, etag), rows[i].condition);
        bench_end(&bench);
    }
}

static void changes_go_by_the_version(void **state) {
    static const int64_t seven = 7;
    static const struct {
        const char *match;
        const char *none_match;
        bool holds_for_seven;
        bool holds_for_none;
    } rows[] = {
        {NULL, NULL, true, true},        {"\"7.x\"", NULL, true, false},
        {"\"8.x\"", NULL, false, false}, {"W/\"7.x\"", NULL, false, false},
        {"*", NULL, true, false},        {NULL, "*", false, true},
        {NULL, "\"7.x\"", false, true},  {NULL, "W/\"7.x\"", false, true},
        {NULL, "\"8.x\"", true, true},   {"*", "\"8.x\"", true, false},
        {"\"7.x\"", "*", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bench bench;
        struct exchange *exchange =
            begin(&bench, &changes, HTTP_METHOD_PUT, rows[i].match, rows[i].none_match);
        assert_int_equal(conditions_read(exchange), STEP_NEXT);
        assert_int_equal(conditions_hold(exchange, &seven), rows[i].holds_for_seven);
        assert_int_equal(conditions_hold(exchange, NULL), rows[i].holds_for_none);
        if (!rows[i].holds_for_none)
            assert_int_equal(exchange->failure.code, FAILURE_PRECONDITION_FAILED);
        bench_end(&bench);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_fields),      cmocka_unit_test(several_fields_are_one_list),
        cmocka_unit_test(what_adds_to_a_list),   cmocka_unit_test(a_resource_that_requires_them),
        cmocka_unit_test(reads_and_their_order), cmocka_unit_test(changes_go_by_the_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
