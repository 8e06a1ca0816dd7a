#include "api/route.h"

#include "api/health.h"
#include "api/records.h"
#include "unit/api/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct text sources[][2] = {
    {TEXT_INIT("notes.yaml"), TEXT_INIT("properties: {text: {type: string}}\n")},
    {TEXT_INIT("blobs.yaml"),
     TEXT_INIT("key: {digest: sha256(data)}\nactions: [create, read]\nrequired: [data]\n"
               "properties: {data: {type: string}}\n")},
    {TEXT_INIT("orders.yaml"),
     TEXT_INIT("properties: {text: {type: string}}\nlifecycle: {property: state, states: [A, B]}\n"
               "transitions: {go: {to: B}}\n")},
    {TEXT_INIT("news.yaml"), TEXT_INIT("properties: {text: {type: string}}\nevents: true\n")},
    {TEXT_INIT("feeds.yaml"), TEXT_INIT("actions: [list]\nproperties: {text: {type: string}}\n")},
};

static int make_catalogue(void **state) {
    struct arena arena = {0};
    struct diagnostics diagnostics;
    diagnostics_init(&diagnostics, &arena);
    *state = catalogue_make(sources, sizeof sources / sizeof sources[0], dialect_of(STORE_SQLITE),
                            &diagnostics);
    arena_free(&arena);
    return *state ? 0 : -1;
}

static int release_catalogue(void **state) {
    catalogue_release(*state);
    return 0;
}

static const struct row {
    enum http_method method;
    const char *target;
    const struct handler *handler; // NULL: a failure
    enum failure_code code;
    const char *key;
} rows[] = {
    {HTTP_METHOD_GET, "/notes", &records_list, 0, NULL},
    {HTTP_METHOD_HEAD, "/notes/", &records_list, 0, NULL},
    {HTTP_METHOD_POST, "/notes", &records_create, 0, NULL},
    {HTTP_METHOD_GET, "/notes/1", &records_read, 0, "1"},
    {HTTP_METHOD_GET, "/notes/1/", &records_read, 0, "1"},
    {HTTP_METHOD_GET, "/n%6Ftes/a%2Fb", &records_read, 0, "a/b"},
    {HTTP_METHOD_GET, "/notes/%2541", &records_read, 0, "%41"},
    {HTTP_METHOD_PUT, "/notes/1", &records_replace, 0, "1"},
    {HTTP_METHOD_PATCH, "/notes/1", &records_update, 0, "1"},
    {HTTP_METHOD_DELETE, "/notes/1", &records_delete, 0, "1"},
    {HTTP_METHOD_POST, "/orders/1/go", &records_transition, 0, "1"},
    {HTTP_METHOD_POST, "/orders/%31/%67o/", &records_transition, 0, "1"},
    {HTTP_METHOD_HEAD, "/orders/1/history", &records_history, 0, "1"},
    {HTTP_METHOD_GET, "/orders/lifecycle", &records_lifecycle, 0, NULL},
    {HTTP_METHOD_GET, "/notes/lifecycle", &records_read, 0, "lifecycle"},
    {HTTP_METHOD_GET, "/news/events", &records_events, 0, NULL},
    {HTTP_METHOD_HEAD, "/news/%65vents/", &records_events, 0, NULL},
    {HTTP_METHOD_GET, "/notes/events", &records_read, 0, "events"},
    {HTTP_METHOD_POST, "/news/events", NULL, FAILURE_METHOD_NOT_ALLOWED, NULL},
    {HTTP_METHOD_GET, "/healthz", &health_live, 0, NULL},
    {HTTP_METHOD_GET, "/readyz/", &health_ready, 0, NULL},
    {HTTP_METHOD_PUT, "/notes", NULL, FAILURE_METHOD_NOT_ALLOWED, NULL},
    {HTTP_METHOD_OTHER, "/notes", NULL, FAILURE_METHOD_NOT_ALLOWED, NULL},
    {HTTP_METHOD_GET, "/blobs", NULL, FAILURE_METHOD_NOT_ALLOWED, NULL},
    {HTTP_METHOD_DELETE, "/blobs/00", NULL, FAILURE_METHOD_NOT_ALLOWED, NULL},
    {HTTP_METHOD_POST, "/healthz", NULL, FAILURE_METHOD_NOT_ALLOWED, NULL},
    {HTTP_METHOD_GET, "/feeds/1", NULL, FAILURE_NOT_FOUND, NULL},
    {HTTP_METHOD_GET, "/", NULL, FAILURE_NOT_FOUND, NULL},
    {HTTP_METHOD_GET, "//", NULL, FAILURE_NOT_FOUND, NULL},
    {HTTP_METHOD_GET, "//notes", NULL, FAILURE_NOT_FOUND, NULL},
    {HTTP_METHOD_GET, "/notes//", NULL, FAILURE_NOT_FOUND, NULL},
    {HTTP_METHOD_GET, "/notes//1", NULL, FAILURE_NOT_FOUND, NULL},
    {HTTP_METHOD_GET, "/notes/1/x", NULL, FAILURE_NOT_FOUND, NULL},
    {HTTP_METHOD_GET, "/orders/1/go", NULL, FAILURE_METHOD_NOT_ALLOWED, NULL},
    {HTTP_METHOD_DELETE, "/orders/lifecycle", NULL, FAILURE_METHOD_NOT_ALLOWED, NULL},
    {HTTP_METHOD_GET, "/notes/1/history", NULL, FAILURE_NOT_FOUND, NULL},
    {HTTP_METHOD_POST, "/notes/1/go", NULL, FAILURE_NOT_FOUND, NULL},
    {HTTP_METHOD_POST, "/orders/1/went", NULL, FAILURE_NOT_FOUND, NULL},
    {HTTP_METHOD_POST, "/orders/1/go/1", NULL, FAILURE_NOT_FOUND, NULL},
    {HTTP_METHOD_POST, "/orders//go", NULL, FAILURE_NOT_FOUND, NULL},
    {HTTP_METHOD_POST, "/orders/1/%", NULL, FAILURE_INVALID_PATH, NULL},
    {HTTP_METHOD_GET, "/Notes", NULL, FAILURE_NOT_FOUND, NULL},
    {HTTP_METHOD_GET, "/healthz/1", NULL, FAILURE_NOT_FOUND, NULL},
    {HTTP_METHOD_GET, "/notes/%00", NULL, FAILURE_INVALID_PATH, NULL},
    {HTTP_METHOD_GET, "/notes/%", NULL, FAILURE_INVALID_PATH, NULL},
    {HTTP_METHOD_GET, "/notes/%ff", NULL, FAILURE_INVALID_PATH, NULL},
};

static void paths_and_methods(void **state) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bench bench;
        struct exchange *exchange = bench_begin(&bench, rows[i].method, "METHOD", rows[i].target);
        exchange->catalogue = *state;
        enum step_result result = route_request(exchange);
        if ((result == STEP_NEXT) != (rows[i].handler != NULL))
            fail_msg("%s: %s", rows[i].target, exchange->failure.detail);
        if (rows[i].handler)
            assert_ptr_equal(exchange->handler, rows[i].handler);
        else if (exchange->failure.code != rows[i].code)
            fail_msg("%s: %s", rows[i].target, exchange->failure.detail);
        if (rows[i].key)
            assert_true(text_is(exchange->path_key, rows[i].key));
        bench_end(&bench);
    }
}

static void allow_tells_what_is_served(void **state) {
    static const struct {
        const char *target;
        const char *allow;
    } targets[] = {
        {"/notes", "Allow: OPTIONS, GET, HEAD, POST\r\nAccept-Post: application/json, "
                   "application/x-ndjson\r\n"},
        {"/notes/1", "Allow: OPTIONS, DELETE, GET, HEAD, PATCH, PUT\r\nAccept-Patch: "
                     "application/json, application/merge-patch+json, "
                     "application/json-patch+json\r\n"},
        {"/blobs",
         "Allow: OPTIONS, POST\r\nAccept-Post: application/json, application/x-ndjson\r\n"},
        {"/orders/1/go", "Allow: OPTIONS, POST\r\nAccept-Post: application/json\r\n"},
        {"/orders/lifecycle", "Allow: OPTIONS, GET, HEAD\r\n"},
        {"/blobs/00", "Allow: OPTIONS, GET, HEAD\r\n"},
        {"/healthz", "Allow: OPTIONS, GET, HEAD\r\n"},
        {"*", "Allow: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT\r\n"},
    };
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        struct bench bench;
        struct exchange *exchange =
            bench_begin(&bench, HTTP_METHOD_OPTIONS, "OPTIONS", targets[i].target);
        exchange->catalogue = *state;
        assert_int_equal(route_request(exchange), STEP_NEXT);
        assert_int_equal(exchange->handler->settle(exchange), STEP_NEXT);
        assert_int_equal(exchange->answer.status, 204);
        if (!text_is(buffer_text(&exchange->answer.fields), targets[i].allow))
            fail_msg("%s: %.*s", targets[i].target,
                     TEXT_ARGS(buffer_text(&exchange->answer.fields)));
        bench_end(&bench);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_and_methods),
        cmocka_unit_test(allow_tells_what_is_served),
    };
    return cmocka_run_group_tests(tests, make_catalogue, release_catalogue);
}
