#include "cli/listing.h"

#include "unit/allocation.h"
#include "unit/testing.h"

#include <stdlib.h>

static const char *const titles[] = {"NAME", "SIZE", NULL};

// What is printed of some rows, to be freed.
static char *print(struct listing *listing, const char *const *cells, size_t count) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    for (size_t i = 0; i < count; i++)
        listing_add(listing, text_from_string(cells[i]));
    assert_true(listing_print(listing, out));
    assert_int_equal(fclose(out), 0);
    return text;
}

static void columns_are_as_wide_as_they_need_be(void **state) {
    const char *const first[] = {"a", "1", "a longer one", "22"};
    const char *const second[] = {"b", "3"};
    struct listing listing;
    listing_init(&listing, titles);
    char *text = print(&listing, first, 4);
    assert_string_equal(text, "NAME          SIZE\n"
                              "a             1\n"
                              "a longer one  22\n");
    free(text);
    text = print(&listing, second, 2);
    assert_string_equal(text, "b     3\n");
    free(text);
    listing_free(&listing);
    listing_free(&listing);
}

static void a_listing_of_nothing_has_its_titles(void **state) {
    struct listing listing;
    listing_init(&listing, titles);
    char *text = print(&listing, NULL, 0);
    assert_string_equal(text, "NAME  SIZE\n");
    free(text);
    listing_free(&listing);
}

// Characters count, not bytes; and none of them is a terminal's command.
static void what_a_terminal_would_obey_is_not_shown(void **state) {
    const char *const cells[] = {"zw\xC3\xB6lf", "1", "\x1B[2J\r\n\t\x7F", "2", "\xC2\x9B!", "3"};
    struct listing listing;
    listing_init(&listing, titles);
    char *text = print(&listing, cells, 6);
    assert_string_equal(text, "NAME      SIZE\n"
                              "zw\xC3\xB6lf     1\n"
                              "?[2J????  2\n"
                              "?!        3\n");
    free(text);
    listing_free(&listing);
}

static void without_memory(void **state) {
    for (ALLOCATION_FAILURES(nth)) {
        struct listing listing;
        listing_init(&listing, titles);
        listing_add(&listing, TEXT("a"));
        listing_add(&listing, TEXT("b"));
        bool failed = allocation_allow();
        assert_int_equal(listing.out_of_memory, failed);
        if (failed)
            assert_false(listing_print(&listing, stdout));
        listing_free(&listing);
        if (!failed)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_they_need_be),
        cmocka_unit_test(a_listing_of_nothing_has_its_titles),
        cmocka_unit_test(what_a_terminal_would_obey_is_not_shown),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
