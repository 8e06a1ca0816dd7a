#include "base/table.h"

#include "unit/allocation.h"
#include "unit/testing.h"

#include <stdio.h>
#include <stdlib.h>

static void an_empty_table_finds_nothing(void **state) {
    struct table table;
    table_init(&table);
    assert_null(table_get(&table, TEXT("a")));
    assert_null(table_get(&table, (struct text){NULL, 0}));
    table_free(&table);
    table_free(&table);
}

static void what_was_put_is_found(void **state) {
    enum { COUNT = 5000 };
    static char keys[COUNT][16];
    struct table table = {0};
    for (size_t i = 0; i < COUNT; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "key%zu", i);
        assert_true(table_put(&table, text_from_string(keys[i]), keys[i]));
    }
    assert_int_equal(table.count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key%zu", i);
        assert_ptr_equal(table_get(&table, text_from_string(key)), keys[i]);
    }
    assert_null(table_get(&table, TEXT("key")));
    assert_null(table_get(&table, TEXT("key5000")));
    table_free(&table);
}

static void a_second_value_replaces_the_first(void **state) {
    int one = 1;
    int two = 2;
    struct table table = {0};
    assert_true(table_put(&table, TEXT("k"), &one));
    assert_true(table_put(&table, TEXT("k"), &two));
    assert_int_equal(table.count, 1);
    assert_ptr_equal(table_get(&table, TEXT("k")), &two);
    table_free(&table);
}

static void keys_are_bytes(void **state) {
    int one = 1;
    int two = 2;
    int three = 3;
    struct table table = {0};
    assert_true(table_put(&table, TEXT("a"), &one));
    assert_true(table_put(&table, TEXT("a\0"), &two));
    assert_true(table_put(&table, (struct text){NULL, 0}, &three));
    assert_ptr_equal(table_get(&table, TEXT("a")), &one);
    assert_ptr_equal(table_get(&table, TEXT("a\0")), &two);
    assert_ptr_equal(table_get(&table, TEXT("")), &three);
    assert_null(table_get(&table, TEXT("A")));
    assert_int_equal(table.count, 3);
    table_free(&table);
}

static void the_hash_is_fnv_1a(void **state) {
    assert_true(text_hash((struct text){NULL, 0}) == UINT64_C(0xcbf29ce484222325));
    assert_true(text_hash(TEXT("a")) == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(text_hash(TEXT("foobar")) == UINT64_C(0x85944171f73967e8));
}

static int compare_hashes(const void *a, const void *b) {
    const uint64_t *left = a;
    const uint64_t *right = b;
    return (*left > *right) - (*left < *right);
}

// Every length, every bit and the seed make another one.
static void the_hash_of_bytes_depends_on_all_of_them(void **state) {
    enum { SIZE = 67, COUNT = SIZE + 1 + SIZE * 8 + 64 };
    static uint64_t hashes[COUNT];
    char bytes[SIZE] = {0};
    size_t count = 0;
    for (size_t size = 0; size <= SIZE; size++)
        hashes[count++] = bytes_hash(text_of(bytes, size), 5);
    for (size_t bit = 0; bit < SIZE * 8; bit++) {
        bytes[bit / 8] = (char)(1 << bit % 8);
        hashes[count++] = bytes_hash(text_of(bytes, SIZE), 5);
        bytes[bit / 8] = 0;
    }
    for (unsigned bit = 0; bit < 64; bit++)
        hashes[count++] = bytes_hash(text_of(bytes, SIZE), UINT64_C(5) ^ UINT64_C(1) << bit);
    assert_int_equal(count, COUNT);
    qsort(hashes, COUNT, sizeof *hashes, compare_hashes);
    for (size_t i = 1; i < COUNT; i++)
        assert_true(hashes[i - 1] != hashes[i]);
    assert_true(bytes_hash((struct text){NULL, 0}, 5) == bytes_hash(TEXT(""), 5));
}

static void without_memory_the_table_stays_as_it_was(void **state) {
    static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};
    struct table table = {0};
    allocation_fail_from(1);
    assert_false(table_put(&table, TEXT("a"), &table));
    assert_true(allocation_allow());
    assert_null(table_get(&table, TEXT("a")));
    for (size_t i = 0; i < 12; i++)
        assert_true(table_put(&table, text_from_string(keys[i]), &table));
    allocation_fail_from(1);
    assert_false(table_put(&table, TEXT("m"), &table)); // more than three quarters
    assert_true(allocation_allow());
    for (size_t i = 0; i < 12; i++)
        assert_ptr_equal(table_get(&table, text_from_string(keys[i])), &table);
    assert_null(table_get(&table, TEXT("m")));
    assert_true(table_put(&table, TEXT("m"), &table));
    table_free(&table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_finds_nothing),
        cmocka_unit_test(what_was_put_is_found),
        cmocka_unit_test(a_second_value_replaces_the_first),
        cmocka_unit_test(keys_are_bytes),
        cmocka_unit_test(the_hash_is_fnv_1a),
        cmocka_unit_test(the_hash_of_bytes_depends_on_all_of_them),
        cmocka_unit_test(without_memory_the_table_stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
