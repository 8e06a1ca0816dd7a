#include "api/access_log.h"

#include "unit/api/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void logged_line_from(const char *target, const char *peer, const char *client, char *out,
                             size_t size) {
    char path[] = "/tmp/trestle-log-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    struct failure failure;
    struct log *log = log_open(LOG_TEXT, LOG_INFO, path, &failure);
    assert_non_null(log);
    struct bench bench;
    bench_begin(&bench, HTTP_METHOD_GET, "GET", target)->request_id = TEXT("the-id");
    bench.request.peer = text_from_string(peer);
    assert_true(address_parse(bench.request.peer, &bench.request.address));
    assert_true(address_parse(text_from_string(client), &bench.exchange.client));
    access_log_write(log, &bench.request, 200, 7);
    log_close(log);
    bench_end(&bench);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(out, (int)size, file));
    (void)fclose(file);
    (void)unlink(path);
}

static void logged_line(const char *target, char *out, size_t size) {
    logged_line_from(target, "192.0.2.1", "192.0.2.1", out, size);
}

static void keys_are_not_logged(void **state) {
    static const char *const targets[] = {"/c?api-key=SECRET", "/c?a=1&api-key=SECRET&b=2",
                                          "/c?api%2Dkey=SECRET", "/c?%61pi-key=SECRET"};
    char line[1024];
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        logged_line(targets[i], line, sizeof line);
        assert_null(strstr(line, "SECRET"));
        assert_non_null(strstr(line, "api-key=***"));
    }
}

static void the_client_is_who_the_proxy_tells_of(void **state) {
    char line[1024];
    logged_line_from("/coupons", "10.0.0.1", "203.0.113.9", line, sizeof line);
    assert_non_null(strstr(line, "203.0.113.9"));
    assert_null(strstr(line, "10.0.0.1"));
    logged_line_from("/coupons", "10.0.0.1", "10.0.0.1", line, sizeof line);
    assert_non_null(strstr(line, "10.0.0.1"));
}

static void a_line_has_what_was_asked(void **state) {
    char line[1024];
    logged_line("/coupons?status=valid", line, sizeof line);
    assert_non_null(strstr(line, "GET"));
    assert_non_null(strstr(line, "/coupons?status=valid"));
    assert_non_null(strstr(line, "200"));
    assert_non_null(strstr(line, "the-id"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_not_logged),
        cmocka_unit_test(a_line_has_what_was_asked),
        cmocka_unit_test(the_client_is_who_the_proxy_tells_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
