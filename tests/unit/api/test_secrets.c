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

static void typing_errors_are_seen(void **state) {
    char secret[SECRET_SIZE];
    for (int n = 0; n < 20; n++) {
        assert_true(secret_make(secret));
        struct text text = text_of(secret, SECRET_SIZE - 1);
        assert_true(secret_is_well_formed(text));
        // One character more or less.
        assert_false(secret_is_well_formed(text_of(secret, SECRET_SIZE)));
        assert_false(secret_is_well_formed(text_of(secret, SECRET_SIZE - 2)));
        assert_false(secret_is_well_formed(text_of(secret + 1, SECRET_SIZE - 2)));
        for (size_t i = 0; i < text.size; i++) {
            // Another one in its place, and two that changed places.
            char kept = secret[i];
            secret[i] = kept == 'x' ? 'y' : 'x';
            assert_false(secret_is_well_formed(text));
            secret[i] = kept;
            if (i + 1 == text.size || secret[i + 1] == kept)
                continue;
            secret[i] = secret[i + 1];
            secret[i + 1] = kept;
            assert_false(secret_is_well_formed(text));
            secret[i + 1] = secret[i];
            secret[i] = kept;
        }
    }
    assert_false(secret_is_well_formed(TEXT("")));
    assert_false(secret_is_well_formed(TEXT("tr_")));
}

// Secret scanners know them by a pattern and this check.
static void the_check_is_what_it_is_said_to_be(void **state) {
    assert_true(
        secret_is_well_formed(TEXT("tr_6k3mZVBuxN2NwexZxWs2nitNiIwUAqxXGkliR1EQmEP12W1pg")));
    assert_false(
        secret_is_well_formed(TEXT("tr_6k3mZVBuxN2NwexZxWs2nitNiIwUAqxXGkliR1EQmEP12W1ph")));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(made_keys_have_their_form),
                                       cmocka_unit_test(typing_errors_are_seen),
                                       cmocka_unit_test(the_check_is_what_it_is_said_to_be)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
