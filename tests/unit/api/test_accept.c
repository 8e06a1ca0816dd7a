#include "api/accept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void media_weights(void **state) {
    static const struct {
        const char *accept;
        unsigned json;
        unsigned hal;
    } rows[] = {
        {"*/*", 1000, 1000},
        {"application/*", 1000, 1000},
        {"APPLICATION/*", 1000, 1000},
        {"application/hal+json", 0, 1000},
        {"application/hal+json, application/json;q=0.5", 500, 1000},
        {"application/hal+json;q=0.2, */*;q=0.1", 100, 200},
        {"*/*;q=0.5, application/*;q=0.1", 100, 100},
        {"application/*;q=0.1, */*;q=0.5", 100, 100},
        {"application/json;q=0, */*", 0, 1000},
        {"*/*, application/hal+json;q=0", 1000, 0},
        {"application/json;q=0.1, application/json;q=0.7", 700, 0},
        {"application/json;q=0.7, application/json;q=0.1", 700, 0},
        {"application/json;version=2", 1000, 0},
        {"application/json;version=2;q=0.9, application/json;q=0.3", 300, 0},
        {"application/json;q=0.3, application/json;version=2;q=0.9", 300, 0},
        {"application/json;version=2;q=0, */*;q=0.5", 0, 500},
        {"application/json;charset=UTF-8;q=0.4, application/json;version=2", 400, 0},
        {"application/json;note=\"a, text/html;q=0\";q=0.4", 400, 0},
        {"application/json; Q=0.25", 250, 0},
        {"application/json;q=0.25;q=0.75", 250, 0},
        {"application/json;q=0.25;anything goes", 250, 0},
        {"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", 200, 200},
        {"application/json;q=high", 0, 0},
        {"application/json;q", 0, 0},
        {"application/json;q=", 1000, 0},
        {"*", 0, 0},
        {"*/json", 0, 0},
        {"*/*json", 0, 0},
        {"application", 0, 0},
        {"application/", 0, 0},
        {"applicatio/*", 0, 0},
        {"applicationx/*", 0, 0},
        {"application/jsonx", 0, 0},
        {"application/js", 0, 0},
        {"\"application/json\"", 0, 0},
        {"\"application/json, */*", 0, 0},
        {"; q=1", 0, 0},
        {",,,", 0, 0},
        {"", 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct text accept = text_from_string(rows[i].accept);
        unsigned json = accept_media_weight(accept, TEXT("application/json"));
        unsigned hal = accept_media_weight(accept, TEXT("application/hal+json"));
        if (json != rows[i].json || hal != rows[i].hal)
            fail_msg("%s: json %u, hal %u", rows[i].accept, json, hal);
    }
}

static void coding_weights(void **state) {
    static const struct {
        const char *accepted;
        unsigned gzip;
        unsigned identity;
    } rows[] = {
        {"", 0, 1000},
        {"gzip", 1000, 1000},
        {"GZip;q=0.5", 500, 1000},
        {"x-gzip", 1000, 1000},
        {"gzip;q=0.2, x-gzip;q=0.4", 200, 1000},
        {"*", 1000, 1000},
        {"*;q=0", 0, 0},
        {"*;q=0, gzip", 1000, 0},
        {"identity;q=0", 0, 0},
        {"gzip, identity;q=0", 1000, 0},
        {"*;q=0.3, identity", 300, 1000},
        {"deflate, br;q=0.9", 0, 1000},
        {"gzip;q=nonsense", 0, 1000},
        {"gzip;level=9;q=0.3", 300, 1000},
        {"\"gzip\"", 0, 1000},
        {"gzip br", 0, 1000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct text accepted = text_from_string(rows[i].accepted);
        unsigned gzip = accept_coding_weight(accepted, TEXT("gzip"));
        unsigned identity = accept_coding_weight(accepted, TEXT("identity"));
        if (gzip != rows[i].gzip || identity != rows[i].identity)
            fail_msg("%s: gzip %u, identity %u", rows[i].accepted, gzip, identity);
    }
    assert_true(accept_coding_is_named(TEXT("*, identity;q=0"), TEXT("identity")));
    assert_false(accept_coding_is_named(TEXT("*, gzip"), TEXT("identity")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(media_weights),
        cmocka_unit_test(coding_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
