#include "base/digest.h"

#include "unit/testing.h"

static void assert_hex(const unsigned char digest[DIGEST_SIZE], const char *expected) {
    char hex[2 * DIGEST_SIZE];
    text_hex_encode(digest, DIGEST_SIZE, hex);
    assert_text_is(text_of(hex, sizeof hex), expected);
}

// FIPS 180-4's examples, and the one of the specification.
static void sha256_of_known_texts(void **state) {
    static const struct {
        struct text bytes;
        const char *digest;
    } cases[] = {
        {TEXT_INIT(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {{NULL, 0}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {TEXT_INIT("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {TEXT_INIT("foo"), "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"},
        {TEXT_INIT("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {TEXT_INIT("\0"), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char digest[DIGEST_SIZE];
        assert_true(digest_sha256(cases[i].bytes, digest));
        assert_hex(digest, cases[i].digest);
    }
}

static void sha256_of_a_million_letters(void **state) {
    static char million[1000000];
    unsigned char digest[DIGEST_SIZE];
    memset(million, 'a', sizeof million);
    assert_true(digest_sha256(text_of(million, sizeof million), digest));
    assert_hex(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// RFC 4231, cases 1, 2, 6, and an empty key.
static void hmac_of_known_texts(void **state) {
    unsigned char digest[DIGEST_SIZE];
    char key[131];
    memset(key, 0x0b, 20);
    assert_true(digest_hmac(text_of(key, 20), TEXT("Hi There"), digest));
    assert_hex(digest, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_true(digest_hmac(TEXT("Jefe"), TEXT("what do ya want for nothing?"), digest));
    assert_hex(digest, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    assert_true(digest_hmac(text_of(key, sizeof key),
                            TEXT("Test Using Larger Than Block-Size Key - Hash Key First"),
                            digest));
    assert_hex(digest, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_true(digest_hmac((struct text){NULL, 0}, (struct text){NULL, 0}, digest));
    assert_hex(digest, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void equality_sees_every_byte(void **state) {
    unsigned char a[DIGEST_SIZE] = {0};
    unsigned char b[DIGEST_SIZE] = {0};
    assert_true(digest_equal(a, b, sizeof a));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] = 0x80;
        assert_false(digest_equal(a, b, sizeof a));
        assert_true(digest_equal(a, b, i));
        b[i] = 0;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_of_known_texts),
        cmocka_unit_test(sha256_of_a_million_letters),
        cmocka_unit_test(hmac_of_known_texts),
        cmocka_unit_test(equality_sees_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
