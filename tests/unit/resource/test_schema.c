#include "resource/property_value.h"

#include "resource/definition_reader.h"
#include "unit/allocation.h"
#include "unit/testing.h"

#include <stdlib.h>

static struct arena arena;

static int tear_down(void **state) {
    arena_free(&arena);
    return 0;
}

// A resource with the property `a`, whose schema is given.
static struct resource *read_schema(const char *schema) {
    struct diagnostics diagnostics;
    diagnostics_init(&diagnostics, &arena);
    struct text yaml = arena_format(&arena, "properties:\n  a: %s\n", schema);
    struct resource *resource = definition_read(&arena, TEXT("things.yaml"), yaml, &diagnostics);
    for (size_t i = 0; i < diagnostics.count; i++)
        print_error("%s: %.*s\n", schema, TEXT_ARGS(diagnostics.items[i].message));
    assert_non_null(resource);
    return resource;
}

static json_t *read_json(const char *source) {
    struct failure failure;
    json_t *value = json_read(text_from_string(source), &failure);
    if (!value)
        print_error("%s: %s\n", source, failure.detail);
    assert_non_null(value);
    return value;
}

// A line for each fault: its pointer, a space, what it says.
static struct text print_faults(const struct faults *faults) {
    struct buffer out = {0};
    for (size_t i = 0; i < faults->count; i++)
        buffer_format(&out, "%.*s %.*s\n", TEXT_ARGS(faults->items[i].pointer),
                      TEXT_ARGS(faults->items[i].detail));
    struct text copy = arena_copy(&arena, buffer_text(&out));
    buffer_free(&out);
    return copy;
}

static struct text check(const char *schema, const json_t *value) {
    struct resource *resource = read_schema(schema);
    const struct property *property = resource_property(resource, TEXT("a"));
    struct faults faults = {.arena = &arena};
    struct json_path path = {.name = property->name};
    property_check(property, value, &path, &faults);
    assert_false(faults.out_of_memory);
    definition_free(resource);
    return print_faults(&faults);
}

// A schema, a value, and what is wrong with it.
static const struct {
    const char *schema;
    const char *json;
    const char *faults;
} rows[] = {
    {"{type: string}", "\"x\"", ""},
    {"{type: string}", "5", "/a must be a string or null; it is an integer\n"},
    {"{type: string}", "1.5", "/a must be a string or null; it is a number\n"},
    {"{type: string}", "true", "/a must be a string or null; it is a boolean\n"},
    {"{type: string}", "[]", "/a must be a string or null; it is an array\n"},
    {"{type: string}", "{}", "/a must be a string or null; it is an object\n"},
    {"{type: integer}", "5", ""},
    {"{type: integer}", "5.0", ""},
    {"{type: integer}", "1e3", ""},
    {"{type: integer}", "5.5",
     "/a must be an integer or null; it is a number that is not whole or does not fit 64 bits\n"},
    {"{type: integer}", "1e19",
     "/a must be an integer or null; it is a number that is not whole or does not fit 64 bits\n"},
    {"{type: integer}", "-9223372036854775808", ""},
    {"{type: integer}", "\"5\"", "/a must be an integer or null; it is a string\n"},
    {"{type: number}", "5", ""},
    {"{type: number}", "-0.5", ""},
    {"{type: number}", "9007199254740992", ""},
    {"{type: number}", "9007199254740993",
     "/a is stored as a double, which cannot hold the integer 9007199254740993; the nearest is "
     "9007199254740992\n"},
    {"{type: number}", "\"1\"", "/a must be a number or null; it is a string\n"},
    {"{type: boolean}", "false", ""},
    {"{type: boolean}", "0", "/a must be a boolean or null; it is an integer\n"},
    {"{type: object}", "{\"b\":[{\"c\":1}]}", ""},
    {"{type: object}", "[]", "/a must be an object or null; it is an array\n"},
    {"{type: array}", "[1,\"a\",null,{}]", ""},
    {"{type: array}", "{}", "/a must be an array or null; it is an object\n"},
    {"{type: string, minLength: 2, maxLength: 3}", "\"a\"",
     "/a must be at least 2 characters long; it has 1\n"},
    {"{type: string, minLength: 2, maxLength: 3}", "\"ab\"", ""},
    {"{type: string, minLength: 2, maxLength: 3}", "\"äöü\"", ""},
    {"{type: string, minLength: 2, maxLength: 3}", "\"😀\"",
     "/a must be at least 2 characters long; it has 1\n"},
    {"{type: string, minLength: 2, maxLength: 3}", "\"😀😀😀😀\"",
     "/a must be at most 3 characters long; it has 4\n"},
    {"{type: string, maxLength: 0}", "\"\"", ""},
    {"{type: string, maxLength: 0}", "\"a\"", "/a must be at most 0 characters long; it has 1\n"},
    {"{type: string, pattern: \"^a\"}", "\"ba\"", "/a must match the pattern ^a; it is \"ba\"\n"},
    {"{type: string, pattern: \"^a\", maxLength: 1}", "\"ba\"",
     "/a must be at most 1 character long; it has 2\n"
     "/a must match the pattern ^a; it is \"ba\"\n"},
    {"{type: string, pattern: \"^(a+)+$\"}", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"",
     "/a must match the pattern ^(a+)+$; to find out would cost too much\n"},
    {"{type: string, format: date-time}", "\"2016-08-05T10:40:51.62+02:00\"", ""},
    {"{type: string, format: date-time}", "\"2016-08-05 08:40:51Z\"",
     "/a must be a date and time as RFC 3339 has it, such as 2016-08-05T08:40:51.620Z; it is "
     "\"2016-08-05 08:40:51Z\"\n"},
    {"{type: string, format: date-time}", "\"2015-02-29T00:00:00Z\"",
     "/a must be a date and time as RFC 3339 has it, such as 2016-08-05T08:40:51.620Z; it is "
     "\"2015-02-29T00:00:00Z\"\n"},
    {"{type: string, format: date}", "\"2016-02-29\"", ""},
    {"{type: string, format: date}", "\"2015-02-29\"",
     "/a must be a date that exists, such as 2016-08-05; it is \"2015-02-29\"\n"},
    {"{type: string, format: uuid}", "\"0190163D-8694-739B-AEA5-966C26F8AD91\"", ""},
    {"{type: string, format: uuid}", "\"0190163d\"",
     "/a must be a UUID such as 0190163d-8694-739b-aea5-966c26f8ad91; it is \"0190163d\"\n"},
    {"{type: string, format: uri, maxLength: 5}", "\"x:y\"", ""},
    {"{type: string, format: uri, maxLength: 5}", "\"example\"",
     "/a must be at most 5 characters long; it has 7\n"
     "/a must be an absolute URI as RFC 3986 has it, such as https://example.org/a; it is "
     "\"example\"\n"},
    {"{type: string, format: email}", "\"a@b\"", ""},
    {"{type: string, format: email}", "\"a\"",
     "/a must be an e-mail address such as ann@example.org; it is \"a\"\n"},
    {"{type: string, format: decimal, scale: 2}", "\"12.5\"", ""},
    {"{type: string, format: decimal, scale: 2}", "12.5",
     "/a must be a decimal number in a string, such as \"12.5\"; it is a number\n"},
    {"{type: string, format: decimal, scale: 2}", "12",
     "/a must be a decimal number in a string, such as \"12.5\"; it is an integer\n"},
    {"{type: string, format: decimal, scale: 2}", "\"12.505\"",
     "/a must be a decimal number such as 12.5, with at most 2 digits behind the point, up to "
     "92233720368547758.07; it is \"12.505\"\n"},
    {"{type: string, format: decimal, scale: 0}", "\"x\"",
     "/a must be a decimal number without a fraction, such as 12, up to 9223372036854775807; it is "
     "\"x\"\n"},
    {"{type: string, format: decimal, scale: 2}", "\"100000000000000000\"",
     "/a must be a decimal number such as 12.5, with at most 2 digits behind the point, up to "
     "92233720368547758.07; it is \"100000000000000000\"\n"},
    {"{type: string, format: decimal, scale: 2, minimum: 1.5, maximum: 2, multipleOf: 0.25}",
     "\"1.50\"", ""},
    {"{type: string, format: decimal, scale: 2, minimum: 1.5, maximum: 2, multipleOf: 0.25}",
     "\"1.49\"",
     "/a must be at least 1.50; it is 1.49\n"
     "/a must be a multiple of 0.25; it is 1.49\n"},
    {"{type: string, format: decimal, scale: 2, minimum: 1.5, maximum: 2, multipleOf: 0.25}",
     "\"2.01\"",
     "/a must be at most 2.00; it is 2.01\n"
     "/a must be a multiple of 0.25; it is 2.01\n"},
    {"{type: string, format: decimal, scale: 2, exclusiveMinimum: 0}", "\"-0.00\"",
     "/a must be more than 0.00; it is 0.00\n"},
    {"{type: string, format: decimal, scale: 2, enum: [0.5, 1]}", "\"0.50\"", ""},
    {"{type: string, format: decimal, scale: 2, enum: [0.5, 1]}", "\"0.51\"",
     "/a must be one of \"0.5\", \"1\"; it is \"0.51\"\n"},
    {"{type: string, format: date-time, const: 2020-01-01T00:00:00Z}",
     "\"2020-01-01T01:00:00+01:00\"", ""},
    {"{type: string, format: uuid, enum: [0190163d-8694-739b-aea5-966c26f8ad91]}",
     "\"0190163D-8694-739B-AEA5-966C26F8AD91\"", ""},
    {"{type: integer, minimum: 1, maximum: 3}", "0", "/a must be at least 1; it is 0\n"},
    {"{type: integer, minimum: 1, maximum: 3}", "1", ""},
    {"{type: integer, minimum: 1, maximum: 3}", "3.0", ""},
    {"{type: integer, minimum: 1, maximum: 3}", "4", "/a must be at most 3; it is 4\n"},
    {"{type: integer, exclusiveMinimum: 1, exclusiveMaximum: 3}", "1",
     "/a must be more than 1; it is 1\n"},
    {"{type: integer, exclusiveMinimum: 1, exclusiveMaximum: 3}", "2", ""},
    {"{type: integer, exclusiveMinimum: 1, exclusiveMaximum: 3}", "3",
     "/a must be less than 3; it is 3\n"},
    {"{type: integer, minimum: 0.5}", "0", "/a must be at least 0.5; it is 0\n"},
    {"{type: number, maximum: 9007199254740992}", "9007199254740993",
     "/a must be at most 9007199254740992; it is 9007199254740993\n"
     "/a is stored as a double, which cannot hold the integer 9007199254740993; the nearest is "
     "9007199254740992\n"},
    {"{type: number, multipleOf: 0.01}", "0.07", ""},
    {"{type: number, multipleOf: 0.01}", "0.075", "/a must be a multiple of 0.01; it is 0.075\n"},
    {"{type: integer, multipleOf: 3, minimum: 5}", "4",
     "/a must be at least 5; it is 4\n"
     "/a must be a multiple of 3; it is 4\n"},
    {"{type: integer, multipleOf: 0.5}", "3", ""},
    {"{type: string, enum: [a, b]}", "\"b\"", ""},
    {"{type: string, enum: [a, b]}", "\"c\"", "/a must be one of \"a\", \"b\"; it is \"c\"\n"},
    {"{type: number, enum: [1, 2.5]}", "1.0", ""},
    {"{type: number, enum: [1, 2.5]}", "2", "/a must be one of 1, 2.5; it is 2\n"},
    {"{type: integer, const: 5}", "5.0", ""},
    {"{type: integer, const: 5}", "6", "/a must be 5; it is 6\n"},
    {"{type: object, enum: [{b: 1, c: [x]}]}", "{\"c\":[\"x\"],\"b\":1.0}", ""},
    {"{type: object, enum: [{b: 1, c: [x]}]}", "{\"c\":[\"x\"],\"b\":1,\"d\":null}",
     "/a must be one of {…}; it is {…}\n"},
    {"{type: array, const: [1, null]}", "[1,null]", ""},
    {"{type: array, const: [1, null]}", "[null,1]", "/a must be […]; it is […]\n"},
    {"{type: boolean, enum: [true]}", "false", "/a must be one of true; it is false\n"},
    {"{type: integer, enum: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22]}", "0",
     "/a must be one of 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, …; "
     "it is 0\n"},
    {"{type: array, minItems: 1, maxItems: 2}", "[]", "/a must have at least 1 item; it has 0\n"},
    {"{type: array, minItems: 1, maxItems: 2}", "[1,2]", ""},
    {"{type: array, minItems: 1, maxItems: 2}", "[1,2,3]",
     "/a must have at most 2 items; it has 3\n"},
    {"{type: array, uniqueItems: true}", "[1,\"1\",true,null,[],{},[1],\"\",0,false]", ""},
    {"{type: array, uniqueItems: true}", "[1,2,1.0]",
     "/a must have no two equal items; 0 and 2 are\n"},
    {"{type: array, uniqueItems: true}", "[{\"a\":1,\"b\":2},{\"b\":2.0,\"a\":1}]",
     "/a must have no two equal items; 0 and 1 are\n"},
    {"{type: array, uniqueItems: true}",
     "[{\"a\":1},{\"a\":2},{\"b\":1},[[\"a\"],\"b\"],[[\"a\",\"b\"]],\"a\",\"b\",\"ab\"]", ""},
    {"{type: array, uniqueItems: true}", "[0,-0.0]",
     "/a must have no two equal items; 0 and 1 are\n"},
    {"{type: array, uniqueItems: true}", "[1.5,2.5,1.5]",
     "/a must have no two equal items; 0 and 2 are\n"},
    {"{type: array, items: {type: integer, minimum: 0}}", "[1,\"x\",-1]",
     "/a/1 must be an integer; it is a string\n"
     "/a/2 must be at least 0; it is -1\n"},
    {"{type: array, items: {type: array, items: {type: string}}}", "[[\"a\"],[1]]",
     "/a/1/0 must be a string; it is an integer\n"},
    {"{type: array, items: {type: [string, \"null\"]}}", "[\"a\",null,1]",
     "/a/2 must be a string or null; it is an integer\n"},
    {"{type: array, items: {enum: [1, a]}}", "[1,\"a\",null]",
     "/a/2 must be one of 1, \"a\"; it is null\n"},
    {"{type: array, items: {minLength: 2, minimum: 5}}", "[\"ab\",5,\"a\",4,null]",
     "/a/2 must be at least 2 characters long; it has 1\n"
     "/a/3 must be at least 5; it is 4\n"},
    {"{type: object, properties: {b: {type: integer}, c: {type: string}}, required: [b]}",
     "{\"b\":1}", ""},
    {"{type: object, properties: {b: {type: integer}, c: {type: string}}, required: [b]}", "{}",
     "/a/b is required\n"},
    {"{type: object, properties: {b: {type: integer}, c: {type: string}}, required: [b]}",
     "{\"b\":\"x\",\"c\":null,\"d\":1}",
     "/a/b must be an integer; it is a string\n"
     "/a/c must be a string; it is null\n"
     "/a/d is not a property of a; it has b, c\n"},
    {"{type: object, properties: {}}", "{\"x\":1}", "/a/x is not a property of a; it has none\n"},
    {"{type: object, properties: {o: {type: object, properties: {\"a/b~\": {type: integer}}}}}",
     "{\"o\":{\"a/b~\":\"x\",\"c\":1}}",
     "/a/o/a~1b~0 must be an integer; it is a string\n"
     "/a/o/c is not a property of o; it has a/b~\n"},
    {"{type: object, properties: {n: {type: number}}}", "{\"n\":9007199254740993}", ""},
    {"{type: object, properties: {d: {type: string, format: decimal, scale: 1, minimum: 1}}}",
     "{\"d\":\"0.9\"}", "/a/d must be at least 1.0; it is 0.9\n"},
    {"{type: object, properties: {l: {type: array, items: {type: object, properties: {x: {type: "
     "string, maxLength: 1}}, required: [x]}}}}",
     "{\"l\":[{\"x\":\"ab\"},{},{\"y\":1}]}",
     "/a/l/0/x must be at most 1 character long; it has 2\n"
     "/a/l/1/x is required\n"
     "/a/l/2/y is not a property of this object; it has x\n"
     "/a/l/2/x is required\n"},
};

static void every_fault_is_told(void **state) {
    bool passed = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *value = read_json(rows[i].json);
        struct text faults = check(rows[i].schema, value);
        if (!text_is(faults, rows[i].faults)) {
            print_error("%s in %s says\n%.*sand should say\n%s\n", rows[i].json, rows[i].schema,
                        TEXT_ARGS(faults), rows[i].faults);
            passed = false;
        }
        json_decref(value);
    }
    assert_true(passed);
}

static void faults_are_counted_up_to_a_hundred(void **state) {
    json_t *value = json_array();
    for (int i = 0; i < 1000; i++)
        json_array_append_new(value, json_true());
    struct resource *resource = read_schema("{type: array, items: {type: integer}, maxItems: 2}");
    struct faults faults = {.arena = &arena};
    property_check(resource_property(resource, TEXT("a")), value, NULL, &faults);
    assert_int_equal(faults.count, FAULTS_MAX);
    assert_false(faults.out_of_memory);
    assert_text_is(faults.items[FAULTS_MAX - 1].pointer, "/98");
    definition_free(resource);
    json_decref(value);
}

// A message repeats only the beginning of what was sent, and cuts no character.
static void long_values_are_cut_in_messages(void **state) {
    struct buffer sent = {0};
    buffer_append_string(&sent, "x");
    for (int i = 0; i < 2000; i++)
        buffer_append_string(&sent, "\xC3\xBC");
    json_t *value = json_stringn_nocheck(sent.data, sent.size);
    buffer_free(&sent);
    static const char *const schemas[] = {
        "{type: string, format: email}",
        "{type: string, pattern: ^y}",
        "{type: string, enum: [y]}",
        "{type: string, format: decimal, scale: 1}",
    };
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        struct text faults = check(schemas[i], value);
        assert_true_for(faults.size > 20 && faults.size < 300, schemas[i]);
        assert_true_for(text_is_utf8(faults), schemas[i]);
        assert_non_null(strstr(faults.data, "\xC3\xBC\xE2\x80\xA6\""));
    }
    json_t *object = json_object();
    struct text name = arena_format(&arena, "%0*d", 3000, 7);
    json_object_set_new(object, name.data, value);
    struct text faults = check("{type: object, properties: {}}", object);
    assert_true(text_starts_with(faults, TEXT("/a \"00000000")));
    assert_true(faults.size < 200);
    json_decref(object);
}

static void large_arrays_are_compared_quickly(void **state) {
    enum { ITEMS = 200000 };
    json_t *value = json_array();
    for (int i = 0; i < ITEMS; i++)
        json_array_append_new(value, json_pack("{s:i}", "n", i));
    assert_text_is(check("{type: array, uniqueItems: true}", value), "");
    json_array_append_new(value, json_pack("{s:f}", "n", 100.0));
    assert_text_is(check("{type: array, uniqueItems: true}", value),
                   "/a must have no two equal items; 100 and 200000 are\n");
    json_decref(value);
}

// What a column holds of a value.
static void values_take_their_stored_form(void **state) {
    static const struct {
        const char *schema;
        const char *json;
        enum value_kind kind;
        const char *text; // of the kinds that have one
        int64_t integer;
    } forms[] = {
        {"{type: string}", "\"x\"", VALUE_TEXT, "x", 0},
        {"{type: integer}", "7.0", VALUE_INTEGER, NULL, 7},
        {"{type: integer}", "-0.0", VALUE_INTEGER, NULL, 0},
        {"{type: boolean}", "true", VALUE_BOOLEAN, NULL, 1},
        {"{type: string, format: decimal, scale: 2}", "\"-7.1\"", VALUE_DECIMAL, NULL, -710},
        {"{type: string, format: date-time}", "\"2016-08-05t10:40:51.6204+02:00\"", VALUE_TIMESTAMP,
         "2016-08-05T08:40:51.620Z", 0},
        {"{type: string, format: date}", "\"2016-08-05\"", VALUE_DATE, "2016-08-05", 0},
        {"{type: string, format: uuid}", "\"0190163D-8694-739B-AEA5-966C26F8AD91\"", VALUE_UUID,
         "0190163d-8694-739b-aea5-966c26f8ad91", 0},
        {"{type: object}", "{\"b\": 1, \"a\": [2.50, \"\\u00fc\"]}", VALUE_JSON,
         "{\"b\":1,\"a\":[2.5,\"\xC3\xBC\"]}", 0},
        {"{type: array}", "[]", VALUE_JSON, "[]", 0},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct resource *resource = read_schema(forms[i].schema);
        const struct property *property = resource_property(resource, TEXT("a"));
        json_t *value = read_json(forms[i].json);
        struct value stored;
        assert_true(property_value(property, value, &arena, &stored));
        assert_int_equal(stored.kind, forms[i].kind);
        if (forms[i].text)
            assert_text_is(stored.text, forms[i].text);
        else if (stored.kind == VALUE_BOOLEAN)
            assert_int_equal(stored.boolean, forms[i].integer);
        else
            assert_int_equal(stored.integer, forms[i].integer);
        json_decref(value);
        definition_free(resource);
    }
}

static void minus_zero_is_zero(void **state) {
    struct resource *resource = read_schema("{type: number}");
    json_t *value = read_json("-0.0");
    struct value stored;
    assert_true(property_value(resource_property(resource, TEXT("a")), value, &arena, &stored));
    assert_int_equal(stored.kind, VALUE_REAL);
    assert_false(__builtin_signbit(stored.real));
    json_decref(value);
    definition_free(resource);
}

static void no_memory_is_told(void **state) {
    struct resource *resource =
        read_schema("{type: array, uniqueItems: true, items: {type: object, "
                    "properties: {x: {enum: [1]}, z: {}}, required: [z]}}");
    json_t *value = read_json("[{\"x\":2,\"y\":1},{\"x\":2,\"y\":1}]");
    const struct property *property = resource_property(resource, TEXT("a"));
    for (ALLOCATION_FAILURES(nth)) {
        struct arena own = {0};
        struct faults faults = {.arena = &own};
        property_check(property, value, NULL, &faults);
        struct value stored;
        bool made = property_value(property, value, &own, &stored);
        bool failed = allocation_allow();
        assert_int_equal(faults.out_of_memory || !made, failed);
        arena_free(&own);
        if (!failed)
            break;
    }
    json_decref(value);
    definition_free(resource);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_fault_is_told, tear_down),
        cmocka_unit_test_teardown(faults_are_counted_up_to_a_hundred, tear_down),
        cmocka_unit_test_teardown(long_values_are_cut_in_messages, tear_down),
        cmocka_unit_test_teardown(large_arrays_are_compared_quickly, tear_down),
        cmocka_unit_test_teardown(values_take_their_stored_form, tear_down),
        cmocka_unit_test_teardown(minus_zero_is_zero, tear_down),
        cmocka_unit_test_teardown(no_memory_is_told, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
