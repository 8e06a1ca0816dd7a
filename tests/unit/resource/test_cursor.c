#include "base/buffer.h"
#include "resource/cursor.h"
#include "unit/allocation.h"
#include "unit/testing.h"

#include <math.h>

static const struct text key = TEXT_INIT("a key of cursors");

enum { PROPERTIES = 10 };

// One property of each kind that can be sorted by; the last is the key.
static const struct {
    const char *name;
    enum value_kind kind;
    uint8_t scale;
} kinds[PROPERTIES] = {
    {"flag", VALUE_BOOLEAN, 0},  {"count", VALUE_INTEGER, 0}, {"ratio", VALUE_REAL, 0},
    {"price", VALUE_DECIMAL, 2}, {"title", VALUE_TEXT, 0},    {"digest", VALUE_BYTES, 0},
    {"due", VALUE_TIMESTAMP, 0}, {"day", VALUE_DATE, 0},      {"ref", VALUE_UUID, 0},
    {"id", VALUE_INTEGER, 0},
};

struct world {
    struct arena arena;
    struct property properties[PROPERTIES];
    struct resource resource;
    struct sort_key sort[PROPERTIES];
    struct query query;
};

static void world_begin(struct world *world) {
    *world = (struct world){.resource = {.name = TEXT("things")}};
    for (size_t i = 0; i < PROPERTIES; i++) {
        world->properties[i] = (struct property){.name = text_from_string(kinds[i].name),
                                                 .kind = kinds[i].kind,
                                                 .scale = kinds[i].scale,
                                                 .index = i};
        world->sort[i] = (struct sort_key){&world->properties[i], false};
    }
    world->resource.properties = world->properties;
    world->resource.property_count = PROPERTIES;
    world->resource.key = (struct key){KEY_INTEGER, &world->properties[PROPERTIES - 1], NULL};
    world->query = (struct query){.resource = &world->resource,
                                  .sort = world->sort,
                                  .sort_count = PROPERTIES,
                                  .arguments = TEXT("what was asked for")};
}

static void world_end(struct world *world) {
    arena_free(&world->arena);
}

static void fill(struct value position[PROPERTIES]) {
    position[0] = value_boolean(true);
    position[1] = value_integer(-5);
    position[2] = value_real(0.1);
    position[3] = value_decimal(1250, 2);
    position[4] = value_text(VALUE_TEXT, TEXT("Grüße, \xF0\x9F\x8C\x8D"));
    position[5] = value_text(VALUE_BYTES, TEXT("\x00\xFF\x80"));
    position[6] = value_text(VALUE_TIMESTAMP, TEXT("2016-08-05T08:40:51.620Z"));
    position[7] = value_text(VALUE_DATE, TEXT("2016-08-05"));
    position[8] = value_text(VALUE_UUID, TEXT("01890a5d-ac96-774b-bcce-b302099a8057"));
    position[9] = value_integer(42);
}

static void assert_value(struct value actual, struct value expected) {
    assert_int_equal(actual.kind, expected.kind);
    switch (expected.kind) {
    case VALUE_NULL: break;
    case VALUE_BOOLEAN: assert_int_equal(actual.boolean, expected.boolean); break;
    case VALUE_DECIMAL:
        assert_int_equal(actual.scale, expected.scale);
        __attribute__((fallthrough));
    case VALUE_INTEGER: assert_true(actual.integer == expected.integer); break;
    case VALUE_REAL: assert_memory_equal(&actual.real, &expected.real, sizeof expected.real); break;
    default: assert_true(text_equal(actual.text, expected.text)); break;
    }
}

static struct text make(struct world *world, const struct value *position, bool backward) {
    struct text cursor = cursor_write(&world->query, position, backward, key, &world->arena);
    assert_non_null(cursor.data);
    return cursor;
}

static bool open_cursor(struct world *world, struct text cursor, struct value **ret_position,
                        bool *ret_backward) {
    struct failure failure = {0};
    if (cursor_read(&world->query, cursor, key, &world->arena, ret_position, ret_backward,
                    &failure))
        return true;
    assert_int_equal(failure.code, FAILURE_INVALID_CURSOR);
    assert_non_null(strstr(failure.detail, "cursor"));
    return false;
}

static bool is_refused(struct world *world, struct text cursor) {
    struct value *position;
    bool backward;
    return !open_cursor(world, cursor, &position, &backward);
}

static void assert_same_position(struct world *world, const struct value *position, bool backward) {
    struct value *again = NULL;
    bool direction = !backward;
    assert_true(open_cursor(world, make(world, position, backward), &again, &direction));
    assert_int_equal(direction, backward);
    for (size_t i = 0; i < world->query.sort_count; i++)
        assert_value(again[i], position[i]);
}

static void test_positions_come_back(void **state) {
    struct world world;
    struct value position[PROPERTIES];
    world_begin(&world);
    fill(position);
    assert_same_position(&world, position, false);
    assert_same_position(&world, position, true);
    static const int64_t integers[] = {0,   -1,        1,         63,        64,  -64,
                                       -65, INT64_MIN, INT64_MAX, INT32_MIN, 127, 128};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        position[1] = value_integer(integers[i]);
        position[3] = value_decimal(integers[i], 2);
        assert_same_position(&world, position, false);
    }
    static const double reals[] = {0.0, -0.0, 1e308, -1e-308, 0x1p-1074, 123456789.125};
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        position[2] = value_real(reals[i]);
        assert_same_position(&world, position, false);
    }
    world_end(&world);
}

static void test_nulls_come_back(void **state) {
    struct world world;
    struct value position[PROPERTIES];
    world_begin(&world);
    fill(position);
    for (size_t i = 0; i + 1 < PROPERTIES; i++) {
        position[i] = value_null();
        assert_same_position(&world, position, i % 2);
    }
    // The key is never null, whoever sealed it.
    position[PROPERTIES - 1] = value_null();
    assert_true(is_refused(&world, make(&world, position, false)));
    world_end(&world);
}

static void test_texts_of_all_sizes(void **state) {
    struct world world;
    struct value position[PROPERTIES];
    char bytes[300];
    world_begin(&world);
    fill(position);
    memset(bytes, 'x', sizeof bytes);
    for (size_t size = 0; size <= sizeof bytes; size++) {
        position[4] = value_text(VALUE_TEXT, text_of(bytes, size));
        assert_same_position(&world, position, false);
    }
    world_end(&world);
}

static void test_only_url_safe_characters(void **state) {
    struct world world;
    struct value position[PROPERTIES];
    world_begin(&world);
    fill(position);
    for (int64_t i = 0; i < 500; i++) {
        position[9] = value_integer(i * 7919);
        struct text cursor = make(&world, position, false);
        for (size_t k = 0; k < cursor.size; k++)
            assert_non_null(
                memchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
                       cursor.data[k], 64));
    }
    world_end(&world);
}

// A common order by one property and the key makes a short cursor.
static void test_is_compact(void **state) {
    struct world world;
    struct value position[] = {value_integer(1000), value_integer(1000000)};
    world_begin(&world);
    world.sort[0].property = &world.properties[1];
    world.sort[1].property = &world.properties[9];
    world.query.sort_count = 2;
    assert_true(make(&world, position, false).size <= 35);
    world_end(&world);
}

static void test_every_altered_character_is_seen(void **state) {
    static const char digits[] = "AQgw05_-z";
    struct world world;
    struct value position[PROPERTIES];
    struct buffer altered = {0};
    world_begin(&world);
    fill(position);
    struct text cursor = make(&world, position, false);
    for (size_t i = 0; i < cursor.size; i++) {
        for (size_t k = 0; k < sizeof digits - 1; k++) {
            if (cursor.data[i] == digits[k])
                continue;
            buffer_clear(&altered);
            buffer_append_text(&altered, cursor);
            altered.data[i] = digits[k];
            assert_true(is_refused(&world, buffer_text(&altered)));
        }
    }
    buffer_free(&altered);
    world_end(&world);
}

static void test_every_cut_is_seen(void **state) {
    struct world world;
    struct value position[PROPERTIES];
    world_begin(&world);
    fill(position);
    struct text cursor = make(&world, position, false);
    for (size_t size = 0; size < cursor.size; size++)
        assert_true(is_refused(&world, arena_copy(&world.arena, text_of(cursor.data, size))));
    struct text longer = arena_format(&world.arena, "%.*sAAAA", TEXT_ARGS(cursor));
    assert_true(is_refused(&world, longer));
    world_end(&world);
}

static void test_what_is_no_cursor_is_refused(void **state) {
    static const char *const texts[] = {"",
                                        "A",
                                        "AA",
                                        "====",
                                        "!",
                                        "abc def",
                                        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                        "AQ==",
                                        "\xFF",
                                        "AAAA+AAA/AAAAAAAAAAAAAAAAAAAAAAA"};
    struct world world;
    world_begin(&world);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_true_for(is_refused(&world, text_from_string(texts[i])), texts[i]);
    world_end(&world);
}

static void test_is_tied_to_arguments_and_key(void **state) {
    struct world world;
    struct value position[PROPERTIES];
    struct value *again;
    bool backward;
    struct failure failure;
    world_begin(&world);
    fill(position);
    struct text cursor = make(&world, position, false);
    assert_false(cursor_read(&world.query, cursor, TEXT("another key"), &world.arena, &again,
                             &backward, &failure));
    assert_int_equal(failure.code, FAILURE_INVALID_CURSOR);
    world.query.arguments = TEXT("what was asked fo");
    assert_true(is_refused(&world, cursor));
    world.query.arguments = TEXT("");
    assert_true(is_refused(&world, cursor));
    world_end(&world);
}

// The definition was changed and the server reloaded, while a client kept its cursor.
static void test_other_types_are_refused(void **state) {
    struct world world;
    struct value position[PROPERTIES];
    world_begin(&world);
    fill(position);
    struct text cursor = make(&world, position, false);
    for (size_t i = 0; i < PROPERTIES; i++) {
        enum value_kind kind = world.properties[i].kind;
        for (unsigned other = VALUE_BOOLEAN; other < VALUE_KINDS; other++) {
            world.properties[i].kind = (enum value_kind)other;
            assert_int_equal(is_refused(&world, cursor), other != kind);
        }
        world.properties[i].kind = kind;
    }
    world.properties[3].scale = 3;
    assert_true(is_refused(&world, cursor));
    world.properties[3].scale = 2;
    world.query.sort_count--;
    assert_true(is_refused(&world, cursor));
    world_end(&world);
}

// Whatever is sealed with the right key is still read with care.
static void test_sealed_nonsense_is_refused(void **state) {
    struct world world;
    struct value position[PROPERTIES];
    world_begin(&world);
    fill(position);
    position[2] = value_real((double)NAN);
    assert_true(is_refused(&world, make(&world, position, false)));
    position[2] = value_real((double)-INFINITY);
    assert_true(is_refused(&world, make(&world, position, false)));
    fill(position);
    position[4] = value_text(VALUE_TEXT, TEXT("\xC3"));
    assert_true(is_refused(&world, make(&world, position, false)));
    world_end(&world);
}

static void test_out_of_memory(void **state) {
    struct world world;
    struct value position[PROPERTIES];
    world_begin(&world);
    fill(position);
    struct text cursor = make(&world, position, true);
    for (ALLOCATION_FAILURES(nth)) {
        struct value *again = NULL;
        bool backward = false;
        struct failure failure = {0};
        struct text other = cursor_write(&world.query, position, true, key, &world.arena);
        bool done =
            cursor_read(&world.query, cursor, key, &world.arena, &again, &backward, &failure);
        bool failed = allocation_allow();
        assert_true(failed || (done && text_equal(other, cursor)));
        assert_true(done || failure.code == FAILURE_OUT_OF_MEMORY);
        if (!failed)
            break;
    }
    world_end(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positions_come_back),
        cmocka_unit_test(test_nulls_come_back),
        cmocka_unit_test(test_texts_of_all_sizes),
        cmocka_unit_test(test_only_url_safe_characters),
        cmocka_unit_test(test_is_compact),
        cmocka_unit_test(test_every_altered_character_is_seen),
        cmocka_unit_test(test_every_cut_is_seen),
        cmocka_unit_test(test_what_is_no_cursor_is_refused),
        cmocka_unit_test(test_is_tied_to_arguments_and_key),
        cmocka_unit_test(test_other_types_are_refused),
        cmocka_unit_test(test_sealed_nonsense_is_refused),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
