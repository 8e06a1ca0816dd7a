#include "api/key_cache.h"

#include "unit/allocation.h"
#include "unit/testing.h"

static struct keyring keyring;

// A key that ends at a given moment, to tell it from others.
static struct api_key *make_key(int64_t ends_at) {
    struct failure failure;
    struct api_key_row row = {.id = TEXT("01890000-0000-7000-8000-000000000000"),
                              .prefix = TEXT("tr_12345678"),
                              .scopes = TEXT("[\"packages:read\"]"),
                              .active = true,
                              .ends_at = ends_at};
    struct api_key *key = api_key_make(&row, &failure);
    assert_non_null(key);
    return key;
}

static void digest_of(uint64_t number, unsigned char digest[DIGEST_SIZE]) {
    assert_true(digest_sha256(text_of((const char *)&number, sizeof number), digest));
}

static void put(struct key_cache *cache, uint64_t number, uint64_t asked_at) {
    unsigned char digest[DIGEST_SIZE];
    digest_of(number, digest);
    struct api_key *key = make_key((int64_t)number);
    key_cache_put(cache, digest, key, asked_at, asked_at);
    api_key_release(key);
}

static void put_nothing(struct key_cache *cache, uint64_t number, uint64_t asked_at) {
    unsigned char digest[DIGEST_SIZE];
    digest_of(number, digest);
    key_cache_put(cache, digest, NULL, asked_at, asked_at);
}

// 1: the key, 0: that there is none, -1: nothing is known.
static int find(struct key_cache *cache, uint64_t number, uint64_t now) {
    unsigned char digest[DIGEST_SIZE];
    struct api_key *key;
    digest_of(number, digest);
    if (!key_cache_find(cache, digest, now, &key))
        return -1;
    if (!key)
        return 0;
    assert_int_equal(key->ends_at, number);
    return 1;
}

static void what_was_put_is_found(void **state) {
    struct key_cache cache;
    struct failure failure;
    assert_true(key_cache_open(&cache, &keyring, &failure));
    assert_int_equal(find(&cache, 1, 1000), -1);
    put(&cache, 1, 1000);
    put_nothing(&cache, 2, 1000);
    assert_int_equal(find(&cache, 1, 1000), 1);
    assert_int_equal(find(&cache, 2, 1000), 0);
    assert_int_equal(find(&cache, 3, 1000), -1);
    key_cache_close(&cache);
    key_cache_close(&cache);
}

static void nothing_is_trusted_for_long(void **state) {
    struct key_cache cache;
    struct failure failure;
    assert_true(key_cache_open(&cache, &keyring, &failure));
    put(&cache, 1, 1000);
    put_nothing(&cache, 2, 1000);
    assert_int_equal(find(&cache, 1, 1000 + KEY_TRUST - 1), 1);
    assert_int_equal(find(&cache, 2, 1000 + KEY_TRUST - 1), 0);
    assert_int_equal(find(&cache, 1, 1000 + KEY_TRUST), -1);
    assert_int_equal(find(&cache, 2, 1000 + KEY_TRUST), -1);
    // A look-up that was quicker than an earlier one is not undone by it.
    put_nothing(&cache, 1, 3000);
    put(&cache, 1, 2999);
    assert_int_equal(find(&cache, 1, 3000), 0);
    put(&cache, 1, 3001);
    assert_int_equal(find(&cache, 1, 3001), 1);
    key_cache_close(&cache);
}

// The watch looks at the moment `moment`, and tells what it saw.
static void look(struct keyring *watched, uint64_t moment, bool changed) {
    if (changed)
        assert_true(watched->watched.on_changed(&watched->watched));
    watched->watched.on_seen(&watched->watched, moment);
}

static void what_the_watch_sees_unchanged_goes_on_to_count(void **state) {
    static struct keyring watched;
    struct key_cache cache;
    struct failure failure;
    watched = (struct keyring){0};
    keyring_init(&watched);
    assert_true(key_cache_open(&cache, &watched, &failure));
    look(&watched, 10000, true);
    assert_int_equal(find(&cache, 1, 10001), -1);
    put(&cache, 1, 10010);
    put_nothing(&cache, 2, 10010);
    for (uint64_t now = 10000; now < 10010 + KEY_TRUST_MOST - KEY_TRUST; now += 250) {
        look(&watched, now, false);
        assert_int_equal(find(&cache, 1, now + KEY_TRUST - 1), 1);
        assert_int_equal(find(&cache, 2, now + KEY_TRUST - 1), 0);
    }
    // It cannot look any more.
    look(&watched, 50000, false);
    assert_int_equal(find(&cache, 3, 50010), -1);
    look(&watched, 50500, false);
    put(&cache, 3, 50100);
    assert_int_equal(find(&cache, 3, 50500 + KEY_TRUST - 1), 1);
    assert_int_equal(find(&cache, 3, 50500 + KEY_TRUST), -1);
    // It can again, and nothing has changed; or nobody could tell.
    look(&watched, 52000, false);
    assert_int_equal(find(&cache, 3, 52010), 1);
    look(&watched, 52001 + KEYRING_GAP, false);
    assert_int_equal(find(&cache, 3, 52001 + KEYRING_GAP), -1);
    // Something has.
    put(&cache, 3, 55000);
    assert_int_equal(find(&cache, 3, 55001), 1);
    look(&watched, 55010, true);
    assert_int_equal(find(&cache, 3, 55011), -1);
    key_cache_close(&cache);
}

static void by_hand_it_is_seen_in_the_end(void **state) {
    static struct keyring watched;
    struct key_cache cache;
    struct failure failure;
    watched = (struct keyring){0};
    keyring_init(&watched);
    assert_true(key_cache_open(&cache, &watched, &failure));
    look(&watched, 1000, true);
    assert_int_equal(find(&cache, 1, 1001), -1);
    put(&cache, 1, 1010);
    for (uint64_t now = 1250; now < 1010 + KEY_TRUST_MOST; now += 250)
        look(&watched, now, false);
    assert_int_equal(find(&cache, 1, 1010 + KEY_TRUST_MOST - 1), 1);
    assert_int_equal(find(&cache, 1, 1010 + KEY_TRUST_MOST), -1);
    key_cache_close(&cache);
}

static void what_was_under_way_when_keys_changed_is_not_taken(void **state) {
    struct key_cache cache;
    struct failure failure;
    assert_true(key_cache_open(&cache, &keyring, &failure));
    put(&cache, 1, 1000);
    keyring_note_change(&keyring);
    assert_int_equal(find(&cache, 1, 1100), -1);
    put(&cache, 1, 1099);
    put(&cache, 2, 1100);
    assert_int_equal(find(&cache, 1, 1101), -1);
    assert_int_equal(find(&cache, 2, 1101), -1);
    put(&cache, 2, 1101);
    assert_int_equal(find(&cache, 2, 1101), 1);
    // Nobody asked since the change: the look-up that was under way comes first.
    keyring_note_change(&keyring);
    unsigned char digest[DIGEST_SIZE];
    digest_of(3, digest);
    struct api_key *key = make_key(3);
    key_cache_put(&cache, digest, key, 1150, 1200);
    api_key_release(key);
    assert_int_equal(find(&cache, 3, 1200), -1);
    assert_int_equal(find(&cache, 2, 1200), -1);
    key_cache_close(&cache);
}

// Whoever tries keys that do not exist, however many, drives out none that do.
static void guesses_drive_nothing_out(void **state) {
    struct key_cache cache;
    struct failure failure;
    enum { KEYS = 500, GUESSES = 50000 };
    unsigned found = 0;
    assert_true(key_cache_open(&cache, &keyring, &failure));
    for (uint64_t i = 0; i < KEYS; i++)
        put(&cache, i, 1000);
    unsigned kept = 0;
    for (uint64_t i = 0; i < KEYS; i++)
        kept += find(&cache, i, 1001) == 1;
    for (uint64_t i = KEYS; i < KEYS + GUESSES; i++)
        put_nothing(&cache, i, 1001);
    for (uint64_t i = 0; i < KEYS; i++)
        found += find(&cache, i, 1002) == 1;
    assert_true(kept > KEYS * 9 / 10);
    assert_int_equal(found, kept);
    key_cache_close(&cache);
}

static void more_keys_than_it_holds(void **state) {
    struct key_cache cache;
    struct failure failure;
    enum { KEYS = 4 * KEY_CACHE_SETS * KEY_CACHE_WAYS };
    unsigned found = 0;
    assert_true(key_cache_open(&cache, &keyring, &failure));
    for (uint64_t i = 0; i < KEYS; i++) {
        put(&cache, i, 1000);
        assert_int_equal(find(&cache, 0, 1000), 1); // what is in use stays
    }
    for (uint64_t i = 0; i < KEYS; i++)
        found += find(&cache, i, 1000) == 1;
    assert_in_range(found, 1, KEY_CACHE_SETS * KEY_CACHE_WAYS);
    key_cache_close(&cache);
}

static void a_key_outlives_its_place(void **state) {
    struct key_cache cache;
    struct failure failure;
    unsigned char digest[DIGEST_SIZE];
    struct api_key *key;
    assert_true(key_cache_open(&cache, &keyring, &failure));
    put(&cache, 7, 1000);
    digest_of(7, digest);
    assert_true(key_cache_find(&cache, digest, 1000, &key));
    api_key_retain(key);
    struct api_key *none;
    keyring_note_change(&keyring);
    assert_false(key_cache_find(&cache, digest, 1000, &none));
    assert_text_is(key->scopes[0], "packages:read");
    assert_text_is(key->prefix, "tr_12345678");
    api_key_release(key);
    key_cache_close(&cache);
}

static void without_memory(void **state) {
    struct key_cache cache = {0};
    struct failure failure;
    for (ALLOCATION_FAILURES(nth)) {
        bool opened = key_cache_open(&cache, &keyring, &failure);
        bool failed = allocation_allow();
        assert_int_equal(opened, !failed);
        if (failed)
            assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
        key_cache_close(&cache);
        if (!failed)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found),
        cmocka_unit_test(nothing_is_trusted_for_long),
        cmocka_unit_test(what_the_watch_sees_unchanged_goes_on_to_count),
        cmocka_unit_test(by_hand_it_is_seen_in_the_end),
        cmocka_unit_test(what_was_under_way_when_keys_changed_is_not_taken),
        cmocka_unit_test(guesses_drive_nothing_out),
        cmocka_unit_test(more_keys_than_it_holds),
        cmocka_unit_test(a_key_outlives_its_place),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
