#include "api/negotiate.h"

#include "unit/api/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void accept_fields(void **state) {
    static const struct {
        const char *accept;
        bool acceptable;
    } rows[] = {
        {NULL, true},
        {"", true},
        {"*/*", true},
        {"application/json", true},
        {"Application/JSON", true},
        {"application/*;q=0.1", true},
        {"text/html, application/json;q=0.9", true},
        {"text/html,application/xhtml+xml,*/*;q=0.8", true},
        {"application/json; charset=utf-8", true},
        {"application/json;q=0", false},
        {"application/json;q=0.000, */*", false},
        {"*/*, application/json;q=0", false},
        {"*/*;q=0, application/json", true},
        {"application/*;q=0, */*;q=1", false},
        {"text/html", false},
        {"application/hal+json", false},
        {"application/json-patch+json", false},
        {";", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bench bench;
        struct exchange *exchange = bench_begin(&bench, HTTP_METHOD_GET, "GET", "/coupons");
        exchange->handler = &(const struct handler){0};
        if (rows[i].accept)
            bench_field(&bench, "accept", rows[i].accept);
        enum step_result result = negotiate_accept(exchange);
        if ((result == STEP_NEXT) != rows[i].acceptable)
            fail_msg("Accept: %s", rows[i].accept);
        if (!rows[i].acceptable)
            assert_int_equal(exchange->failure.code, FAILURE_NOT_ACCEPTABLE);
        bench_end(&bench);
    }
}

static void acceptable_types_of_events(void **state) {
    static const struct {
        const char *accept;
        bool acceptable;
    } rows[] = {
        {"text/event-stream", true},
        {"text/*", true},
        {"*/*", true},
        {"text/html, text/event-stream", true},
        {"application/json", false},
        {"text/html", false},
        {"*/*, text/event-stream;q=0", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bench bench;
        struct exchange *exchange = bench_begin(&bench, HTTP_METHOD_GET, "GET", "/coupons/events");
        exchange->handler = &(const struct handler){.media = 1U << MEDIA_EVENTS};
        bench_field(&bench, "Accept", rows[i].accept);
        if ((negotiate_accept(exchange) == STEP_NEXT) != rows[i].acceptable)
            fail_msg("Accept: %s", rows[i].accept);
        bench_end(&bench);
    }
}

static void the_best_of_several_types_is_chosen(void **state) {
    static const struct {
        const char *accept;
        const char *chosen; // NULL: none
    } rows[] = {
        {NULL, "application/json"},
        {"*/*", "application/json"},
        {"application/*;q=0.1", "application/json"},
        {"application/x-ndjson", "application/x-ndjson"},
        {"application/x-ndjson, application/json", "application/json"},
        {"application/x-ndjson, application/json;q=0.9", "application/x-ndjson"},
        {"application/json;q=0, */*;q=0.001", "application/x-ndjson"},
        {"text/html", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bench bench;
        struct exchange *exchange = bench_begin(&bench, HTTP_METHOD_GET, "GET", "/coupons");
        exchange->handler = &(const struct handler){.media = 1U << MEDIA_JSON | 1U << MEDIA_LINES};
        if (rows[i].accept)
            bench_field(&bench, "Accept", rows[i].accept);
        enum step_result result = negotiate_accept(exchange);
        assert_int_equal(result == STEP_NEXT, rows[i].chosen != NULL);
        if (rows[i].chosen)
            assert_true(text_is(negotiate_media_type(exchange->media), rows[i].chosen));
        else
            assert_string_equal(exchange->failure.detail,
                                "application/json, application/x-ndjson is what there is");
        bench_end(&bench);
    }
}

static void fields_of_one_name_are_one_list(void **state) {
    struct bench bench;
    struct exchange *exchange = bench_begin(&bench, HTTP_METHOD_GET, "GET", "/coupons");
    exchange->handler = &(const struct handler){0};
    bench_field(&bench, "Accept", "text/html");
    bench_field(&bench, "accept", "application/json;q=0.1");
    assert_int_equal(negotiate_accept(exchange), STEP_NEXT);
    bench_end(&bench);
}

static void lines_are_answered_by_lines(void **state) {
    static const char *const accepted[] = {"application/x-ndjson", "application/json", "*/*"};
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        struct bench bench;
        struct exchange *exchange = bench_begin(&bench, HTTP_METHOD_POST, "POST", "/coupons");
        exchange->handler =
            &(const struct handler){.reads_body = true, .body_types = 1U << BODY_LINES};
        bench_field(&bench, "Content-Type", "application/x-ndjson");
        bench_field(&bench, "Accept", accepted[i]);
        assert_int_equal(negotiate_accept(exchange), STEP_NEXT);
        bench_end(&bench);
    }
}

static void content_types(void **state) {
    static const struct {
        const char *type;
        const char *coding;
        bool patches;
        bool fits;
    } rows[] = {
        {NULL, NULL, false, true},
        {"application/json", NULL, false, true},
        {"application/JSON ; charset=UTF-8", NULL, false, true},
        {"application/json; charset=\"utf-8\"", NULL, false, true},
        {"application/json; charset=latin1", NULL, false, false},
        {"application/json", "identity", false, true},
        {"application/json", "gzip", false, false},
        {"application/merge-patch+json", NULL, true, true},
        {"application/merge-patch+json", NULL, false, false},
        {"application/json-patch+json", NULL, true, true},
        {"application/json-patch+json", NULL, false, false},
        {"application/x-www-form-urlencoded", NULL, false, false},
        {"text/plain", NULL, true, false},
        {"", NULL, false, false},
        {"application/jsonx", NULL, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bench bench;
        struct handler handler = {.reads_body = true};
        if (rows[i].patches)
            handler.body_types = 1U << BODY_MERGE_PATCH | 1U << BODY_JSON_PATCH;
        struct exchange *exchange = bench_begin(&bench, HTTP_METHOD_POST, "POST", "/coupons");
        exchange->handler = &handler;
        if (rows[i].type)
            bench_field(&bench, "Content-Type", rows[i].type);
        if (rows[i].coding)
            bench_field(&bench, "Content-Encoding", rows[i].coding);
        if (negotiate_content_type(exchange) != rows[i].fits)
            fail_msg("row %zu: %s", i, rows[i].type);
        bench_end(&bench);
    }
}

static void parameters_are_decoded(void **state) {
    struct bench bench;
    struct exchange *exchange =
        bench_begin(&bench, HTTP_METHOD_GET, "GET",
                    "/c?a=1&b%3D=x+y%26z&&empty=&bare&api%2Dkey=tr_1&%C3%A4=%F0%9F%98%80");
    assert_int_equal(identify_request(exchange), STEP_NEXT);
    static const char *const expected[][2] = {
        {"a", "1"}, {"b=", "x y&z"}, {"empty", ""}, {"bare", ""}, {"ä", "😀"}};
    assert_int_equal(exchange->parameter_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_true(text_is(exchange->parameters[i].name, expected[i][0]));
        assert_true(text_is(exchange->parameters[i].value, expected[i][1]));
    }
    assert_true(text_is(exchange->api_key, "tr_1"));
    bench_end(&bench);
}

static void broken_encoding_is_refused(void **state) {
    static const char *const targets[] = {"/c?a=%",   "/c?a=%4",  "/c?a=%zz",      "/c?%00=1",
                                          "/c?a=%00", "/c?a=%ff", "/c?a=%ED%A0%80"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        struct bench bench;
        struct exchange *exchange = bench_begin(&bench, HTTP_METHOD_GET, "GET", targets[i]);
        assert_int_equal(identify_request(exchange), STEP_FAIL);
        assert_int_equal(exchange->failure.code, FAILURE_INVALID_PARAMETER);
        bench_end(&bench);
    }
}

static void unknown_parameters(void **state) {
    static const char *const known[] = {"fields", NULL};
    struct bench bench;
    struct exchange *exchange =
        bench_begin(&bench, HTTP_METHOD_GET, "GET", "/c/1?fields=a&limit=1&x=2");
    assert_int_equal(identify_request(exchange), STEP_NEXT);
    assert_false(negotiate_parameters(exchange, known));
    assert_int_equal(exchange->failure.code, FAILURE_UNKNOWN_PARAMETER);
    assert_int_equal(exchange->faults.count, 2);
    assert_true(text_is(exchange->faults.items[0].pointer, "limit"));
    assert_true(
        text_is(exchange->faults.items[0].detail, "is not a parameter here; there is fields"));
    bench_end(&bench);
}

static void request_ids(void **state) {
    static const struct {
        const char *brought;
        bool kept;
    } rows[] = {{"abc-1.2_3", true}, {"", false},      {"a b", false},
                {"a\"b", false},     {"a\x7f", false}, {"a\\b", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bench bench;
        struct exchange *exchange = bench_begin(&bench, HTTP_METHOD_GET, "GET", "/c");
        bench_field(&bench, "x-request-id", rows[i].brought);
        assert_int_equal(identify_request(exchange), STEP_NEXT);
        assert_int_equal(text_is(exchange->request_id, rows[i].brought), rows[i].kept);
        if (!rows[i].kept)
            assert_int_equal(exchange->request_id.size, REQUEST_ID_SIZE);
        bench_end(&bench);
    }
}

static void made_ids_differ(void **state) {
    struct bench bench;
    struct exchange *exchange = bench_begin(&bench, HTTP_METHOD_GET, "GET", "/c");
    char first[REQUEST_ID_SIZE];
    char second[REQUEST_ID_SIZE];
    request_id(exchange->service, &bench.request, first);
    request_id(exchange->service, &bench.request, second);
    assert_memory_not_equal(first, second, REQUEST_ID_SIZE);
    bench_end(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accept_fields),
        cmocka_unit_test(acceptable_types_of_events),
        cmocka_unit_test(the_best_of_several_types_is_chosen),
        cmocka_unit_test(fields_of_one_name_are_one_list),
        cmocka_unit_test(lines_are_answered_by_lines),
        cmocka_unit_test(content_types),
        cmocka_unit_test(parameters_are_decoded),
        cmocka_unit_test(broken_encoding_is_refused),
        cmocka_unit_test(unknown_parameters),
        cmocka_unit_test(request_ids),
        cmocka_unit_test(made_ids_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
