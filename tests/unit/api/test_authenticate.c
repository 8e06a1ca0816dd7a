// Who asks, and that finding it out tells nothing by its time: whatever is presented is digested
// first, and digests are compared whole.
#include "api/authenticate.h"

#include "base/clock.h"
#include "unit/api/support.h"
#include "unit/testing.h"

#include <openssl/crypto.h>

// In place of OpenSSL's, which digest_equal calls: counts how often, and over how many bytes.
static struct {
    unsigned calls;
    size_t bytes;
} compared;

int CRYPTO_memcmp(const void *in_a, const void *in_b, size_t len) {
    const unsigned char *left = in_a;
    const unsigned char *right = in_b;
    unsigned char difference = 0;
    compared.calls++;
    compared.bytes += len;
    for (size_t i = 0; i < len; i++)
        difference |= (unsigned char)(left[i] ^ right[i]);
    return difference;
}

static const char admin_key[] = "the-key-of-the-administrator";

struct fixture {
    struct bench bench;
    struct keyring keyring;
    struct handler handler;
    char secret[SECRET_SIZE]; // of a key that is good
};

static void remember(struct fixture *fixture, const char *presented, struct api_key *key) {
    unsigned char digest[DIGEST_SIZE];
    uint64_t now = clock_monotonic();
    assert_true(digest_sha256(text_from_string(presented), digest));
    key_cache_put(&fixture->bench.service.key_cache, digest, key, now, now);
}

static int set_up(void **state) {
    struct fixture *fixture = test_calloc(1, sizeof *fixture);
    struct bench *bench = &fixture->bench;
    struct failure failure;
    struct api_key_row row = {.id = TEXT("01890000-0000-7000-8000-000000000000"),
                              .prefix = TEXT("tr_12345678"),
                              .scopes = TEXT("[\"packages:read\"]"),
                              .active = true,
                              .ends_at = INT64_MAX};
    bench_begin(bench, HTTP_METHOD_GET, "GET", "/packages/1");
    bench->options.keyring = &fixture->keyring;
    bench->exchange.handler = &fixture->handler;
    bench->exchange.now = 1000;
    struct api_key *key = api_key_make(&row, &failure);
    if (!key || !key_cache_open(&bench->service.key_cache, &fixture->keyring, &failure) ||
        !secret_make(fixture->secret) ||
        !digest_sha256(text_from_string(admin_key), bench->service.secrets.admin_digest))
        return -1;
    remember(fixture, fixture->secret, key);
    api_key_release(key);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    key_cache_close(&fixture->bench.service.key_cache);
    bench_end(&fixture->bench);
    test_free(fixture);
    return 0;
}

// What becomes of a request with a key.
static enum key_state present(struct fixture *fixture, const char *field, const char *value) {
    struct exchange *exchange = &fixture->bench.exchange;
    identity_release(&exchange->identity);
    exchange->identity = (struct identity){.kind = IDENTITY_NOBODY};
    fixture->bench.request.field_count = 0;
    if (field)
        bench_field(&fixture->bench, field, value);
    compared.calls = 0;
    compared.bytes = 0;
    assert_int_equal(authenticate(exchange), STEP_NEXT);
    enum key_state state = exchange->identity.state;
    identity_release(&exchange->identity);
    return state;
}

static void keys_are_known(void **state) {
    struct fixture *fixture = *state;
    const struct identity *identity = &fixture->bench.exchange.identity;
    assert_int_equal(present(fixture, NULL, NULL), KEY_ABSENT);
    assert_int_equal(present(fixture, "X-API-Key", fixture->secret), KEY_GOOD);
    assert_int_equal(identity->kind, IDENTITY_KEY);
    assert_int_equal(present(fixture, "api-key", admin_key), KEY_GOOD);
    assert_int_equal(identity->kind, IDENTITY_ADMIN);
    assert_int_equal(present(fixture, "X-API-Key", "nonsense"), KEY_MALFORMED);
    assert_int_equal(identity->kind, IDENTITY_NOBODY);
    assert_text_is(fixture->bench.exchange.api_key, "nonsense");
}

static void who_is_asked_by_nobody_looks_at_no_key(void **state) {
    struct fixture *fixture = *state;
    fixture->handler.asks_nobody = true;
    assert_int_equal(present(fixture, "X-API-Key", fixture->secret), KEY_ABSENT);
    assert_int_equal(compared.calls, 0);
}

// One comparison, with the administrator's digest, whatever it is that is not the key.
static void all_of_a_digest_is_compared(void **state) {
    struct fixture *fixture = *state;
    char first_wrong[sizeof admin_key];
    char last_wrong[sizeof admin_key];
    memcpy(first_wrong, admin_key, sizeof admin_key);
    memcpy(last_wrong, admin_key, sizeof admin_key);
    first_wrong[0] = 'T';
    last_wrong[sizeof admin_key - 2] = 'R';
    const char *const presented[] = {admin_key, first_wrong, last_wrong, "the-key-of", "x"};
    for (size_t i = 0; i < sizeof presented / sizeof *presented; i++) {
        enum key_state found = present(fixture, "X-API-Key", presented[i]);
        assert_int_equal(found, i == 0 ? KEY_GOOD : KEY_MALFORMED);
        assert_int_equal(compared.calls, 1);
        assert_int_equal(compared.bytes, DIGEST_SIZE);
    }
}

// Those that are known not to be there: a wrong one, and one that is right but for a character.
static void wrong_keys_are_compared_alike(void **state) {
    struct fixture *fixture = *state;
    char wrong[SECRET_SIZE];
    char almost[SECRET_SIZE];
    assert_true(secret_make(wrong));
    memcpy(almost, fixture->secret, sizeof almost);
    almost[SECRET_SIZE - 2] = almost[SECRET_SIZE - 2] == '0' ? '1' : '0';
    const char *const presented[] = {wrong, almost};
    for (size_t i = 0; i < 2; i++) {
        remember(fixture, presented[i], NULL);
        assert_int_equal(present(fixture, "X-API-Key", presented[i]), KEY_UNKNOWN);
        // The administrator's digest, the one that was remembered, and perhaps the good key's, if
        // chance has it that they share a set.
        assert_in_range(compared.calls, 2, 3);
        assert_int_equal(compared.bytes, compared.calls * DIGEST_SIZE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_are_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_asked_by_nobody_looks_at_no_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_of_a_digest_is_compared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_keys_are_compared_alike, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
