#include "api/api_key.h"

#include "unit/allocation.h"
#include "unit/testing.h"

static const char id[] = "01890000-0000-7000-8000-000000000000";

static struct api_key *make(const char *scopes, struct failure *failure) {
    struct api_key_row row = {.id = text_from_string(id),
                              .prefix = TEXT("tr_12345678"),
                              .scopes = text_from_string(scopes),
                              .active = true,
                              .ends_at = 5};
    return api_key_make(&row, failure);
}

static void a_key_has_what_its_row_says(void **state) {
    struct failure failure;
    struct api_key *key = make("[\"packages:read\", \"coupons:write\"]", &failure);
    assert_non_null(key);
    assert_memory_equal(key->id, id, API_KEY_ID_SIZE);
    assert_text_is(key->prefix, "tr_12345678");
    assert_true(key->active);
    assert_false(key->admin);
    assert_int_equal(key->ends_at, 5);
    assert_int_equal(key->scope_count, 2);
    assert_true(api_key_allows(key, TEXT("packages"), TEXT("read")));
    assert_true(api_key_allows(key, TEXT("coupons"), TEXT("write")));
    assert_false(api_key_allows(key, TEXT("packages"), TEXT("write")));
    assert_false(api_key_allows(key, TEXT("coupons"), TEXT("read")));
    api_key_release(key);
    api_key_release(NULL);
}

static void admin_is_a_scope(void **state) {
    struct failure failure;
    struct api_key *key = make("[\"packages:read\", \"admin\"]", &failure);
    assert_true(key->admin);
    assert_true(api_key_allows(key, TEXT("anything"), TEXT("write")));
    api_key_release(key);
}

static void a_key_without_scopes_may_nothing(void **state) {
    struct failure failure;
    struct api_key *key = make("[]", &failure);
    assert_non_null(key);
    assert_false(key->admin);
    assert_false(api_key_allows(key, TEXT("packages"), TEXT("read")));
    api_key_release(key);
}

// What somebody wrote into the table by hand gives no rights.
static void damaged_rows_are_no_keys(void **state) {
    static const char *const damaged[] = {
        "", "null", "{}", "\"admin\"", "[1]", "[\"admin\"", "[[\"admin\"]]", "{\"admin\": true}"};
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        struct failure failure = {0};
        assert_true_for(!make(damaged[i], &failure), damaged[i]);
        assert_int_not_equal(failure.code, FAILURE_NONE);
    }
    struct failure failure = {0};
    struct api_key_row row = {.id = TEXT("7"), .scopes = TEXT("[]")};
    assert_null(api_key_make(&row, &failure));
    assert_int_equal(failure.code, FAILURE_INTERNAL);
}

static void without_memory(void **state) {
    for (ALLOCATION_FAILURES(nth)) {
        struct failure failure = {0};
        struct api_key *key = make("[\"packages:read\"]", &failure);
        bool failed = allocation_allow();
        assert_int_equal(key != NULL, !failed);
        api_key_release(key);
        if (!failed)
            break;
        assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_what_its_row_says),
        cmocka_unit_test(admin_is_a_scope),
        cmocka_unit_test(a_key_without_scopes_may_nothing),
        cmocka_unit_test(damaged_rows_are_no_keys),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
