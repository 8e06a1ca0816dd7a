#include "api/cors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void origins(void **state) {
    static const struct {
        const char *text;
        bool is_one;
    } rows[] = {
        {"https://shop.example", true},
        {"http://localhost:3000", true},
        {"http://127.0.0.1", true},
        {"http://[::1]:8080", true},
        {"https://xn--bcher-kva.example", true},
        {"http://a.example:443", true},
        {"https://a.example:80", true},
        {"capacitor://localhost", true},
        {"chrome-extension://abcdef", true},
        {"", false},
        {"null", false},
        {"*", false},
        {"shop.example", false},
        {"://shop.example", false},
        {"https:/shop.example", false},
        {"https://", false},
        {"https://:80", false},
        {"https://shop.example/", false},
        {"https://shop.example/path", false},
        {"https://shop.example?x", false},
        {"https://user@shop.example", false},
        {"https://Shop.example", false},
        {"HTTPS://shop.example", false},
        {"https://shop.example:", false},
        {"https://shop.example:443", false},
        {"http://shop.example:80", false},
        {"https://*.example", false},
        {"https://a b", false},
        {"1https://a", false},
        {"https://a\r\nSet-Cookie: x", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (cors_is_origin(text_from_string(rows[i].text)) != rows[i].is_one)
            fail_msg("%s", rows[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
