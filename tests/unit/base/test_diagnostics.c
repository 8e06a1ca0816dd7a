#include "base/diagnostics.h"

#include "unit/allocation.h"
#include "unit/testing.h"

struct fixture {
    struct arena arena;
    struct diagnostics diagnostics;
    struct buffer out;
};

static int set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){0};
    diagnostics_init(&fixture.diagnostics, &fixture.arena);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    arena_free(&fixture->arena);
    buffer_free(&fixture->out);
    return 0;
}

static void nothing_wrong_prints_nothing(void **state) {
    struct fixture *fixture = *state;
    assert_true(diagnostics_clean(&fixture->diagnostics));
    diagnostics_print(&fixture->diagnostics, &fixture->out);
    assert_int_equal(fixture->out.size, 0);
}

static void they_are_printed_by_place(void **state) {
    struct fixture *fixture = *state;
    struct diagnostics *diagnostics = &fixture->diagnostics;
    diagnostics_add(diagnostics, TEXT("b.yaml"), 1, 1, "fifth");
    diagnostics_add(diagnostics, TEXT("a.yaml"), 10, 2, "fourth");
    diagnostics_add(diagnostics, TEXT("a.yaml"), 2, 12, "third");
    diagnostics_add(diagnostics, TEXT("a.yaml"), 2, 3, "%s %d", "second", 2);
    diagnostics_add(diagnostics, TEXT("a.yaml"), 0, 0, "first");
    assert_false(diagnostics_clean(diagnostics));
    diagnostics_print(diagnostics, &fixture->out);
    assert_text_is(buffer_text(&fixture->out), "a.yaml: first\n"
                                               "a.yaml:2:3: second 2\n"
                                               "a.yaml:2:12: third\n"
                                               "a.yaml:10:2: fourth\n"
                                               "b.yaml:1:1: fifth\n");
}

static void a_message_stays_on_its_line(void **state) {
    struct fixture *fixture = *state;
    diagnostics_add(&fixture->diagnostics, TEXT("f"), 1, 2, "the key \"%s\"",
                    "a\nb\x1b[m\x7F\xC3\xA4");
    diagnostics_print(&fixture->diagnostics, &fixture->out);
    assert_text_is(buffer_text(&fixture->out), "f:1:2: the key \"a\\x0ab\\x1b[m\\x7f\xC3\xA4\"\n");
}

static void long_messages_are_cut_at_a_character(void **state) {
    struct fixture *fixture = *state;
    char text[3000];
    for (size_t i = 0; i + 3 <= sizeof text; i += 3)
        memcpy(text + i, "\xE2\x82\xAC", 3);
    text[2997] = '\0';
    for (int shift = 0; shift < 3; shift++)
        diagnostics_add(&fixture->diagnostics, TEXT("f"), 1, 1, "%.*s%s", shift, "ab", text);
    assert_int_equal(fixture->diagnostics.count, 3);
    for (size_t i = 0; i < 3; i++) {
        struct text message = fixture->diagnostics.items[i].message;
        assert_true(text_is_utf8(message));
        assert_in_range(message.size, 1000, 1023);
    }
}

static void what_could_not_be_noted_is_told(void **state) {
    struct fixture *fixture = *state;
    struct diagnostics *diagnostics = &fixture->diagnostics;
    for (ALLOCATION_FAILURES(nth)) {
        diagnostics_init(diagnostics, &fixture->arena);
        for (int i = 0; i < 50; i++)
            diagnostics_add(diagnostics, TEXT("f"), i, 1, "message %d", i);
        bool failed = allocation_allow();
        assert_int_equal(diagnostics->out_of_memory, failed);
        assert_true(failed ? diagnostics->count < 50 : diagnostics->count == 50);
        assert_false(diagnostics_clean(diagnostics));
        buffer_clear(&fixture->out);
        diagnostics_print(diagnostics, &fixture->out);
        assert_false(fixture->out.failed);
        assert_true(fixture->out.size > 0);
        arena_free(&fixture->arena);
        if (!failed)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_wrong_prints_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(they_are_printed_by_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_message_stays_on_its_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_messages_are_cut_at_a_character, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_could_not_be_noted_is_told, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
