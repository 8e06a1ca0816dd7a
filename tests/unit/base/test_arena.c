#include "base/arena.h"

#include "unit/allocation.h"
#include "unit/testing.h"

#include <stdalign.h>

static bool is_aligned(const void *memory) {
    return (uintptr_t)memory % alignof(max_align_t) == 0;
}

// Blocks of every size around what a chunk holds: aligned, apart from each other, kept as written.
static void blocks_of_every_size(void **state) {
    enum { COUNT = 9000 };
    static unsigned char *blocks[COUNT];
    struct arena arena;
    arena_init(&arena);
    for (size_t size = 0; size < COUNT; size += 7) {
        blocks[size] = arena_allocate(&arena, size);
        assert_non_null(blocks[size]);
        assert_true(is_aligned(blocks[size]));
        memset(blocks[size], (int)(size % 251), size);
    }
    for (size_t size = 0; size < COUNT; size += 7) {
        for (size_t i = 0; i < size; i++)
            assert_int_equal(blocks[size][i], size % 251);
    }
    arena_free(&arena);
    assert_null(arena.chunks);
}

// A block too large for a chunk comes between small ones, and first.
static void large_blocks_leave_the_chunk_in_use(void **state) {
    struct arena arena = {0};
    char *first = arena_allocate(&arena, 5000);
    char *small = arena_allocate(&arena, 10);
    char *large = arena_allocate(&arena, 1024 * 1024);
    char *next = arena_allocate(&arena, 10);
    assert_true(first && small && large && next);
    assert_true(is_aligned(first) && is_aligned(small) && is_aligned(large) && is_aligned(next));
    memset(first, 1, 5000);
    memset(large, 2, 1024 * 1024);
    memset(small, 3, 10);
    memset(next, 4, 10);
    assert_true(first[4999] == 1 && large[1024 * 1024 - 1] == 2 && small[9] == 3 && next[9] == 4);
    arena_free(&arena);
}

static void empty_blocks_are_apart(void **state) {
    struct arena arena = {0};
    (void)arena_allocate(&arena, 5001); // ends where nothing is aligned
    void *a = arena_allocate(&arena, 0);
    void *b = arena_allocate(&arena, 0);
    assert_non_null(a);
    assert_ptr_not_equal(a, b);
    assert_true(is_aligned(a) && is_aligned(b));
    assert_non_null(arena_allocate_zero(&arena, 0, 0));
    assert_non_null(arena_allocate_zero(&arena, 0, 8));
    arena_free(&arena);
}

static void sizes_beyond_memory_give_null(void **state) {
    struct arena arena = {0};
    assert_null(arena_allocate(&arena, SIZE_MAX));
    assert_null(arena_allocate(&arena, SIZE_MAX - 8));
    assert_null(arena_allocate_zero(&arena, SIZE_MAX, 2));
    assert_null(arena_allocate_zero(&arena, SIZE_MAX / 2 + 1, 2));
    assert_null(arena_copy(&arena, text_of("", SIZE_MAX)).data);
    assert_non_null(arena_allocate(&arena, 10));
    arena_free(&arena);
}

static void reset_leaves_an_arena_that_works(void **state) {
    struct arena arena = {0};
    arena_reset(&arena);
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < 300; i++) {
            char *memory = arena_allocate(&arena, i * 10);
            assert_non_null(memory);
            memset(memory, 'x', i * 10);
        }
        arena_reset(&arena);
    }
    (void)arena_allocate(&arena, 100000);
    arena_reset(&arena);
    assert_non_null(arena_allocate(&arena, 4000));
    arena_free(&arena);
    arena_free(&arena);
}

static void cleared_memory_is_clear(void **state) {
    struct arena arena = {0};
    for (int round = 0; round < 3; round++) {
        unsigned char *memory = arena_allocate_zero(&arena, 25, 40);
        assert_non_null(memory);
        for (size_t i = 0; i < 1000; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xFF, 1000);
        arena_reset(&arena);
    }
    arena_free(&arena);
}

static void copies_and_formats_end_with_zero(void **state) {
    struct arena arena = {0};
    struct text copy = arena_copy(&arena, TEXT("a\0b"));
    assert_int_equal(copy.size, 3);
    assert_memory_equal(copy.data, "a\0b", 4);
    copy = arena_copy(&arena, (struct text){NULL, 0});
    assert_non_null(copy.data);
    assert_int_equal(copy.size, 0);
    assert_int_equal(copy.data[0], '\0');
    struct text formatted = arena_format(&arena, "%s-%d", "x", 7);
    assert_text_is(formatted, "x-7");
    assert_int_equal(formatted.data[3], '\0');
    assert_int_equal(arena_format(&arena, "%*d", 10000, 1).size, 10000);
    arena_free(&arena);
}

static void arrays_grow(void **state) {
    struct arena arena = {0};
    struct item {
        uint64_t number;
        char letter;
    } *items = NULL;
    for (size_t count = 0; count < 5000; count++) {
        struct item *item = arena_grow(&arena, &items, count, sizeof *item);
        assert_non_null(item);
        assert_ptr_equal(item, items + count);
        *item = (struct item){count, 'x'};
    }
    for (size_t i = 0; i < 5000; i++)
        assert_true(items[i].number == i && items[i].letter == 'x');
    arena_free(&arena);
}

static void without_memory_nothing_is_lost(void **state) {
    struct arena arena = {0};
    int *items = NULL;
    size_t count = 0;
    for (ALLOCATION_FAILURES(nth)) {
        for (count = 0; count < 2000; count++) {
            int *item = arena_grow(&arena, &items, count, sizeof *item);
            if (!item)
                break;
            *item = (int)count;
        }
        bool failed = allocation_allow();
        assert_int_equal(failed, count < 2000);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(items[i], i);
        assert_non_null(arena_allocate(&arena, 1)); // there is memory again
        arena_free(&arena);
        items = NULL;
        if (!failed)
            break;
    }
    allocation_fail_from(1);
    assert_null(arena_copy(&arena, TEXT("a")).data);
    assert_null(arena_format(&arena, "a").data);
    assert_null(arena_allocate(&arena, 100000));
    assert_true(allocation_allow());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_every_size),
        cmocka_unit_test(large_blocks_leave_the_chunk_in_use),
        cmocka_unit_test(empty_blocks_are_apart),
        cmocka_unit_test(sizes_beyond_memory_give_null),
        cmocka_unit_test(reset_leaves_an_arena_that_works),
        cmocka_unit_test(cleared_memory_is_clear),
        cmocka_unit_test(copies_and_formats_end_with_zero),
        cmocka_unit_test(arrays_grow),
        cmocka_unit_test(without_memory_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
