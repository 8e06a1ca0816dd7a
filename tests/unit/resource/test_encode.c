#include "resource/encode.h"

#include "resource/json.h"
#include "unit/allocation.h"
#include "unit/testing.h"

static struct property named(const char *name, const char *prepared, enum value_kind kind) {
    return (struct property){
        .name = text_from_string(name), .prepared_name = text_from_string(prepared), .kind = kind};
}

static void every_kind_has_its_form(void **state) {
    static const struct {
        struct value value;
        const char *json;
    } rows[] = {
        {{.kind = VALUE_NULL}, "null"},
        {{.kind = VALUE_BOOLEAN, .boolean = true}, "true"},
        {{.kind = VALUE_BOOLEAN, .boolean = false}, "false"},
        {{.kind = VALUE_INTEGER, .integer = INT64_MIN}, "-9223372036854775808"},
        {{.kind = VALUE_REAL, .real = 0.1}, "0.1"},
        {{.kind = VALUE_REAL, .real = 100}, "100.0"},
        {{.kind = VALUE_DECIMAL, .scale = 2, .integer = 1250}, "\"12.50\""},
        {{.kind = VALUE_DECIMAL, .scale = 18, .integer = INT64_MIN}, "\"-9.223372036854775808\""},
        {{.kind = VALUE_TEXT, .text = TEXT_INIT("a\"\n\xC3\xBC")}, "\"a\\\"\\n\xC3\xBC\""},
        {{.kind = VALUE_TEXT, .text = TEXT_INIT("")}, "\"\""},
        {{.kind = VALUE_BYTES, .text = TEXT_INIT("\x00\x01\xAB\xFF")}, "\"0001abff\""},
        {{.kind = VALUE_BYTES, .text = TEXT_INIT("")}, "\"\""},
        {{.kind = VALUE_TIMESTAMP, .text = TEXT_INIT("2016-08-05T08:40:51.620Z")},
         "\"2016-08-05T08:40:51.620Z\""},
        {{.kind = VALUE_DATE, .text = TEXT_INIT("2016-08-05")}, "\"2016-08-05\""},
        {{.kind = VALUE_UUID, .text = TEXT_INIT("0190163d-8694-739b-aea5-966c26f8ad91")},
         "\"0190163d-8694-739b-aea5-966c26f8ad91\""},
        {{.kind = VALUE_JSON, .text = TEXT_INIT("{\"a\":[1]}")}, "{\"a\":[1]}"},
        // What another tool put into the table is still valid JSON, whatever its length.
        {{.kind = VALUE_DATE,
          .text =
              TEXT_INIT("a text that is longer than any date, time or UUID, and no such thing")},
         "\"a text that is longer than any date, time or UUID, and no such thing\""},
    };
    struct property property = named("a", "\"a\":", VALUE_TEXT);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer out = {0};
        struct json_writer writer = json_writer_on(&out);
        encode_value(&writer, &property, rows[i].value);
        assert_text_is(buffer_text(&out), rows[i].json);
        buffer_free(&out);
    }
}

static void records_show_what_is_shown(void **state) {
    struct property id = named("id", "\"id\":", VALUE_INTEGER);
    struct property digest = named("digest", "\"digest\":", VALUE_BYTES);
    struct property when = named("when", "\"when\":", VALUE_TIMESTAMP);
    struct property note = named("note", "\"note\":", VALUE_TEXT);
    const struct property *properties[] = {&id, &digest, &when, &note, NULL};
    const struct value cells[] = {
        value_integer(7),
        value_text(VALUE_BYTES, TEXT("\x0F")),
        value_text(VALUE_TIMESTAMP, TEXT("2016-08-05T08:40:51.620Z")),
        value_null(),
        value_integer(3), // the version
    };
    struct selection selection = {properties, 5, 4};
    struct buffer out = {0};
    struct json_writer writer = json_writer_on(&out);
    json_write_array_begin(&writer);
    encode_record(&writer, &selection, cells);
    encode_record(&writer, &selection, cells);
    json_write_array_end(&writer);
    assert_text_is(
        buffer_text(&out),
        "[{\"id\":7,\"digest\":\"0f\",\"when\":\"2016-08-05T08:40:51.620Z\",\"note\":null},"
        "{\"id\":7,\"digest\":\"0f\",\"when\":\"2016-08-05T08:40:51.620Z\",\"note\":null}]");
    buffer_clear(&out);
    writer = json_writer_on(&out);
    selection.shown = 0;
    encode_record(&writer, &selection, cells);
    assert_text_is(buffer_text(&out), "{}");
    buffer_free(&out);
}

static void embedded_records_come_last(void **state) {
    struct property id = named("id", "\"id\":", VALUE_INTEGER);
    struct property store = named("store", "\"store\":", VALUE_INTEGER);
    struct property owner = named("owner", "\"owner\":", VALUE_INTEGER);
    struct property name = named("name", "\"name\":", VALUE_TEXT);
    const struct property *own[] = {&id, &store};
    const struct property *others[] = {&name, &id};
    struct expansion items[] = {{&store, {others, 2, 1}, 1}, {&owner, {others, 2, 2}, 1}};
    const struct selection selection = {own, 2, 1};
    const struct value cells[] = {
        value_integer(7), value_integer(5), value_null(),
        value_integer(5), value_null(),     value_null(),
    };
    struct expansions expansions = {items, 2};
    struct buffer out = {0};
    struct json_writer writer = json_writer_on(&out);
    json_write_array_begin(&writer);
    encode_expanded(&writer, &selection, cells, &expansions, cells + 2);
    expansions.count = 0;
    encode_expanded(&writer, &selection, cells, &expansions, cells + 2);
    json_write_array_end(&writer);
    assert_text_is(buffer_text(&out),
                   "[{\"id\":7,\"_embedded\":{\"store\":{\"name\":null},\"owner\":null}},"
                   "{\"id\":7}]");
    buffer_free(&out);
}

static void no_memory_shows_in_the_buffer(void **state) {
    struct property digest = named("digest", "\"digest\":", VALUE_BYTES);
    const struct property *properties[] = {&digest};
    struct selection selection = {properties, 1, 1};
    struct value cell = value_text(VALUE_BYTES, TEXT("0123456789abcdef0123456789abcdef"));
    for (ALLOCATION_FAILURES(nth)) {
        struct buffer out = {0};
        struct json_writer writer = json_writer_on(&out);
        encode_record(&writer, &selection, &cell);
        encode_key(&out, &digest, cell);
        bool failed = allocation_allow();
        assert_int_equal(out.failed, failed);
        buffer_free(&out);
        if (!failed)
            break;
    }
}

static void keys_are_encoded_for_paths(void **state) {
    static const struct {
        struct value key;
        const char *path;
    } rows[] = {
        {{.kind = VALUE_INTEGER, .integer = 42}, "42"},
        {{.kind = VALUE_UUID, .text = TEXT_INIT("0190163d-8694-739b-aea5-966c26f8ad91")},
         "0190163d-8694-739b-aea5-966c26f8ad91"},
        {{.kind = VALUE_BYTES, .text = TEXT_INIT("\x2C\xF2")}, "2cf2"},
        {{.kind = VALUE_TEXT, .text = TEXT_INIT("AZaz09-._~")}, "AZaz09-._~"},
        {{.kind = VALUE_TEXT, .text = TEXT_INIT("a b/c?d#e%\xC3\xBC&+\"@[`{")},
         "a%20b%2Fc%3Fd%23e%25%C3%BC%26%2B%22%40%5B%60%7B"},
        {{.kind = VALUE_TEXT, .text = TEXT_INIT("\x01\x7F")}, "%01%7F"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct property property = named("k", "\"k\":", rows[i].key.kind);
        struct buffer out = {0};
        encode_key(&out, &property, rows[i].key);
        assert_text_is(buffer_text(&out), rows[i].path);
        buffer_free(&out);
    }
}

static void keys_are_texts_in_histories(void **state) {
    struct arena arena = {0};
    assert_text_is(key_text(&arena, value_integer(INT64_MIN)), "-9223372036854775808");
    assert_text_is(key_text(&arena, value_text(VALUE_TEXT, TEXT("a b/c"))), "a b/c");
    assert_text_is(key_text(&arena, value_text(VALUE_BYTES, TEXT("\x2C\xF2"))), "2cf2");
    arena_free(&arena);
}

static void copies_are_their_own(void **state) {
    struct arena arena = {0};
    char bytes[] = "abc";
    struct value copy;
    assert_true(value_copy(&arena, value_text(VALUE_TEXT, text_of(bytes, 3)), &copy));
    bytes[0] = 'x';
    assert_text_is(copy.text, "abc");
    assert_true(value_copy(&arena, value_text(VALUE_BYTES, text_of(bytes, 2)), &copy));
    assert_int_equal(copy.kind, VALUE_BYTES);
    bytes[0] = 'y';
    assert_text_is(copy.text, "xb");
    assert_true(value_copy(&arena, value_decimal(5, 2), &copy));
    assert_int_equal(copy.integer, 5);
    assert_int_equal(copy.scale, 2);
    assert_true(value_copy(&arena, value_null(), &copy));
    assert_true(value_is_null(copy));
    copy = value_integer(1);
    allocation_fail_from(1);
    bool copied = value_copy(&arena, value_text(VALUE_TEXT, text_of(bytes, 3)), &copy);
    allocation_allow();
    if (!copied) // an arena with room needs no memory
        assert_int_equal(copy.integer, 1);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_its_form),
        cmocka_unit_test(records_show_what_is_shown),
        cmocka_unit_test(embedded_records_come_last),
        cmocka_unit_test(no_memory_shows_in_the_buffer),
        cmocka_unit_test(keys_are_encoded_for_paths),
        cmocka_unit_test(keys_are_texts_in_histories),
        cmocka_unit_test(copies_are_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
