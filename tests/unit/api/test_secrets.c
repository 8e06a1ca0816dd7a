#include "api/secrets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void made_keys_have_their_form(void **state) {
    char first[SECRET_SIZE];
    char second[SECRET_SIZE];
    assert_true(secret_make(first));
    assert_true(secret_make(second));
    assert_int_equal(strlen(first), SECRET_SIZE - 1);
    assert_memory_equal(first, "tr_", 3);
    assert_int_equal(
        strspn(first + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
        SECRET_SIZE - 4);
    assert_memory_not_equal(first, second, SECRET_SIZE);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(made_keys_have_their_form)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
