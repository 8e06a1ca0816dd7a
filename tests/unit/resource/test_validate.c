#include "resource/validate.h"

#include "base/json_writer.h"
#include "resource/definition_reader.h"
#include "resource/encode.h"
#include "unit/allocation.h"
#include "unit/testing.h"

#include <stdlib.h>

static const int64_t now = INT64_C(1470386451620); // 2016-08-05T08:40:51.620Z

struct fixture {
    struct arena arena;
    struct resource *resource;
    struct faults faults;
    struct value values[RESOURCE_MAX_PROPERTIES];
    struct value stored[RESOURCE_MAX_PROPERTIES];
};

static void begin(struct fixture *fixture, const char *yaml) {
    *fixture = (struct fixture){0};
    struct diagnostics diagnostics;
    diagnostics_init(&diagnostics, &fixture->arena);
    fixture->resource =
        definition_read(&fixture->arena, TEXT("things.yaml"), text_from_string(yaml), &diagnostics);
    for (size_t i = 0; i < diagnostics.count; i++)
        print_error("%d: %.*s\n", diagnostics.items[i].line,
                    TEXT_ARGS(diagnostics.items[i].message));
    assert_non_null(fixture->resource);
}

static void end(struct fixture *fixture) {
    definition_free(fixture->resource);
    arena_free(&fixture->arena);
}

static struct validation validation_of(struct fixture *fixture) {
    fixture->faults = (struct faults){.arena = &fixture->arena};
    return (struct validation){fixture->resource, &fixture->arena, &fixture->faults, now};
}

static json_t *read_json(const char *source) {
    struct failure failure;
    json_t *value = json_read(text_from_string(source), &failure);
    if (!value)
        print_error("%s: %s\n", source, failure.detail);
    assert_non_null(value);
    return value;
}

// The faults, a line each; or, where there are none, the record as JSON.
static struct text outcome(struct fixture *fixture, bool valid, const struct value *values) {
    struct buffer out = {0};
    assert_int_equal(valid, faults_none(&fixture->faults));
    assert_false(fixture->faults.out_of_memory);
    for (size_t i = 0; i < fixture->faults.count; i++)
        buffer_format(&out, "%.*s: %.*s\n", TEXT_ARGS(fixture->faults.items[i].pointer),
                      TEXT_ARGS(fixture->faults.items[i].detail));
    struct json_writer writer = json_writer_on(&out);
    if (valid)
        json_write_object_begin(&writer);
    for (size_t i = 0; valid && i < fixture->resource->property_count; i++) {
        json_write_prepared_name(&writer, fixture->resource->properties[i].prepared_name);
        encode_value(&writer, &fixture->resource->properties[i], values[i]);
    }
    if (valid)
        json_write_object_end(&writer);
    struct text copy = arena_copy(&fixture->arena, buffer_text(&out));
    buffer_free(&out);
    return copy;
}

static struct text create(struct fixture *fixture, const char *body) {
    struct validation validation = validation_of(fixture);
    json_t *tree = read_json(body);
    bool valid = validate_create(&validation, tree, NULL, fixture->values);
    struct text text = outcome(fixture, valid, fixture->values);
    json_decref(tree);
    return text;
}

// A record that others are made of.
static void store(struct fixture *fixture, const char *body) {
    struct validation validation = validation_of(fixture);
    json_t *tree = read_json(body);
    bool valid = validate_create(&validation, tree, NULL, fixture->stored);
    if (!valid)
        print_error("%s\n", outcome(fixture, false, fixture->values).data);
    assert_true(valid);
    for (size_t i = 0; i < fixture->resource->property_count; i++)
        assert_true(value_copy(&fixture->arena, fixture->stored[i], &fixture->stored[i]));
    if (fixture->resource->key.kind == KEY_INTEGER)
        fixture->stored[fixture->resource->key.property->index] = value_integer(7);
    json_decref(tree);
}

static struct text replace(struct fixture *fixture, const char *body) {
    struct validation validation = validation_of(fixture);
    json_t *tree = read_json(body);
    bool valid = validate_replace(&validation, tree, fixture->stored, fixture->values);
    struct text text = outcome(fixture, valid, fixture->values);
    json_decref(tree);
    return text;
}

static struct text update(struct fixture *fixture, const char *patch) {
    struct validation validation = validation_of(fixture);
    struct text record = outcome(fixture, true, fixture->stored);
    json_t *current = read_json(record.data);
    json_t *tree = read_json(patch);
    json_t *merged = validate_update(&validation, current, tree, fixture->stored, fixture->values);
    struct text text = outcome(fixture, merged != NULL, fixture->values);
    json_decref(merged);
    json_decref(current);
    json_decref(tree);
    return text;
}

struct row {
    const char *body;
    const char *outcome;
};

static void check_rows(struct fixture *fixture, const struct row *rows, size_t count,
                       struct text (*act)(struct fixture *fixture, const char *body)) {
    bool passed = true;
    for (size_t i = 0; i < count; i++) {
        struct text text = act(fixture, rows[i].body);
        if (text_is(text, rows[i].outcome))
            continue;
        print_error("%s gives\n%.*s\nand should give\n%s\n", rows[i].body, TEXT_ARGS(text),
                    rows[i].outcome);
        passed = false;
    }
    assert_true(passed);
}

#define CHECK_ROWS(fixture, rows, act) check_rows(fixture, rows, sizeof(rows) / sizeof *(rows), act)

static const char coupons[] =
    "required: [title]\n"
    "properties:\n"
    "  title: {type: string, minLength: 1, maxLength: 5}\n"
    "  store: {type: object, properties: {city: {type: string}, geo: {type: object}}}\n"
    "  published_at: {type: string, format: date-time, default_expression: now()}\n"
    "  price: {type: string, format: decimal, scale: 2}\n"
    "  cap: {type: integer, minimum: 0}\n"
    "  used: {type: integer, default: 0, readOnly: true}\n"
    "  kind: {type: string, default: small}\n"
    "checks:\n"
    "  within_cap: cap is null or used <= cap\n"
    "  not_free: price is null or price > 0\n"
    "lifecycle: {property: state, states: [New, Old]}\n";

#define MADE "\"used\":0,\"kind\":\"small\",\"state\":\"New\"}"

static void records_are_created(void **state) {
    static const struct row rows[] = {
        {"{\"title\":\"a\"}", "{\"id\":null,\"title\":\"a\",\"store\":null,\"published_at\":\"2016-"
                              "08-05T08:40:51.620Z\","
                              "\"price\":null,\"cap\":null," MADE},
        {"{\"title\":\"a\",\"store\":null,\"published_at\":null,\"kind\":null,\"id\":null,"
         "\"state\":null,\"used\":null}", // null is absent
         "{\"id\":null,\"title\":\"a\",\"store\":null,\"published_at\":\"2016-08-05T08:40:51."
         "620Z\","
         "\"price\":null,\"cap\":null," MADE},
        {"{\"kind\":\"b\",\"title\":\"a\",\"store\":{\"geo\":{\"x\":1e2},\"city\":\"c\"},"
         "\"published_at\":\"2020-01-01T01:00:00+01:00\",\"price\":\"1.5\",\"cap\":3.0}",
         "{\"id\":null,\"title\":\"a\",\"store\":{\"geo\":{\"x\":100.0},\"city\":\"c\"},"
         "\"published_at\":\"2020-01-01T00:00:00.000Z\",\"price\":\"1.50\",\"cap\":3,\"used\":0,"
         "\"kind\":\"b\",\"state\":\"New\"}"},
        {"{\"title\":\"a\",\"used\":0,\"state\":\"New\"}", // what it would get anyway
         "{\"id\":null,\"title\":\"a\",\"store\":null,\"published_at\":\"2016-08-05T08:40:51."
         "620Z\","
         "\"price\":null,\"cap\":null," MADE},
    };
    struct fixture fixture;
    begin(&fixture, coupons);
    CHECK_ROWS(&fixture, rows, create);
    end(&fixture);
}

static void everything_wrong_with_a_new_record_is_told(void **state) {
    static const struct row rows[] = {
        {"[]", ": must be an object with the properties of things\n"},
        {"null", ": must be an object with the properties of things\n"},
        {"\"a\"", ": must be an object with the properties of things\n"},
        {"{}", "/title: is required\n"},
        {"{\"title\":null}", "/title: is required\n"},
        {"{\"title\":\"\",\"cap\":-1,\"price\":1.5,\"colour\":\"red\",\"store\":{\"zip\":1}}",
         "/colour: is not a property of things; it has id, title, store, published_at, price, cap, "
         "used, kind, state\n"
         "/title: must be at least 1 character long; it has 0\n"
         "/store/zip: is not a property of store; it has city, geo\n"
         "/price: must be a decimal number in a string, such as \"12.5\"; it is a number\n"
         "/cap: must be at least 0; it is -1\n"},
        {"{\"title\":\"a\",\"used\":1,\"state\":\"Old\",\"id\":7}",
         "/id: is read-only: leave it out, or send what is stored\n"
         "/used: is read-only: leave it out, or send what is stored\n"
         "/state: is read-only: leave it out, or send what is stored\n"},
        {"{\"title\":\"a\",\"used\":\"0\",\"state\":null,\"colour\":null}",
         "/colour: is not a property of things; it has id, title, store, published_at, price, cap, "
         "used, kind, state\n"
         "/used: is read-only: leave it out, or send what is stored\n"},
        {"{\"title\":\"a\",\"price\":\"0.00\"}",
         ": must satisfy the check not_free: price is null or price > 0\n"},
        {"{\"title\":\"a\",\"price\":\"-1\",\"cap\":0}",
         ": must satisfy the check not_free: price is null or price > 0\n"},
        {"{\"price\":\"-1\"}", "/title: is required\n"}, // checks are for what fits
        {"{\"a~b/c\":1,\"title\":\"a\"}", "/a~0b~1c: is not a property of things; it has id, "
                                          "title, store, published_at, price, cap, "
                                          "used, kind, state\n"},
    };
    struct fixture fixture;
    begin(&fixture, coupons);
    CHECK_ROWS(&fixture, rows, create);
    end(&fixture);
}

#define STORED                                                                                     \
    "{\"title\":\"a\",\"store\":{\"city\":\"c\"},\"published_at\":\"2020-01-01T00:00:00Z\","       \
    "\"price\":\"1.50\",\"cap\":3}"
#define REST "\"used\":0,\"kind\":null,\"state\":\"New\"}"

static void records_are_replaced(void **state) {
    static const struct row rows[] = {
        {"{\"title\":\"b\"}", // no defaults
         "{\"id\":7,\"title\":\"b\",\"store\":null,\"published_at\":null,\"price\":null,"
         "\"cap\":null," REST},
        {"{\"id\":7,\"title\":\"b\",\"used\":0.0,\"state\":\"New\",\"cap\":5}",
         "{\"id\":7,\"title\":\"b\",\"store\":null,\"published_at\":null,\"price\":null,"
         "\"cap\":5," REST},
        {"{\"id\":null,\"title\":\"b\",\"used\":null}",
         "{\"id\":7,\"title\":\"b\",\"store\":null,\"published_at\":null,\"price\":null,"
         "\"cap\":null," REST},
        {"{\"id\":8,\"title\":\"b\",\"used\":1,\"state\":\"Old\"}",
         "/id: is read-only: leave it out, or send what is stored\n"
         "/used: is read-only: leave it out, or send what is stored\n"
         "/state: is read-only: leave it out, or send what is stored\n"},
        {"{}", "/title: is required\n"},
        {"[]", ": must be an object with the properties of things\n"},
        {"{\"title\":\"b\",\"price\":\"0\"}",
         ": must satisfy the check not_free: price is null or price > 0\n"},
    };
    struct fixture fixture;
    begin(&fixture, coupons);
    store(&fixture, STORED);
    CHECK_ROWS(&fixture, rows, replace);
    end(&fixture);
}

static void records_are_patched(void **state) {
    static const struct row rows[] = {
        {"{}", "{\"id\":7,\"title\":\"a\",\"store\":{\"city\":\"c\"},\"published_at\":"
               "\"2020-01-01T00:00:00.000Z\",\"price\":\"1.50\",\"cap\":3,\"used\":0,\"kind\":"
               "\"small\",\"state\":\"New\"}"},
        {"{\"title\":\"b\",\"price\":null,\"store\":{\"geo\":{}},\"kind\":null}",
         "{\"id\":7,\"title\":\"b\",\"store\":{\"city\":\"c\",\"geo\":{}},\"published_at\":"
         "\"2020-01-01T00:00:00.000Z\",\"price\":null,\"cap\":3," REST},
        {"{\"store\":{\"city\":null}}",
         "{\"id\":7,\"title\":\"a\",\"store\":{},\"published_at\":\"2020-01-01T00:00:00.000Z\","
         "\"price\":\"1.50\",\"cap\":3,\"used\":0,\"kind\":\"small\",\"state\":\"New\"}"},
        {"{\"id\":7,\"used\":0,\"cap\":4}",
         "{\"id\":7,\"title\":\"a\",\"store\":{\"city\":\"c\"},\"published_at\":"
         "\"2020-01-01T00:00:00.000Z\",\"price\":\"1.50\",\"cap\":4,\"used\":0,\"kind\":\"small\","
         "\"state\":\"New\"}"},
        {"{\"id\":8,\"used\":5}", "/id: is read-only: leave it out, or send what is stored\n"
                                  "/used: is read-only: leave it out, or send what is stored\n"},
        {"{\"used\":null,\"id\":null}", "/used: is read-only and cannot be removed\n"
                                        "/id: is read-only and cannot be removed\n"},
        {"{\"title\":null}", "/title: is required\n"},
        {"{\"colour\":null}",
         "/colour: is not a property of things; it has id, title, store, published_at, price, cap, "
         "used, kind, state\n"},
        {"{\"colour\":1}",
         "/colour: is not a property of things; it has id, title, store, published_at, price, cap, "
         "used, kind, state\n"},
        {"{\"store\":{\"ctiy\":null}}", "/store/ctiy: is not a property of store\n"},
        {"{\"store\":5}", "/store: must be an object or null; it is an integer\n"},
        {"{\"price\":\"0\"}", ": must satisfy the check not_free: price is null or price > 0\n"},
        {"null", ": must be an object with the properties that are to change\n"},
        {"[]", ": must be an object with the properties that are to change\n"},
    };
    struct fixture fixture;
    begin(&fixture, coupons);
    store(&fixture, STORED);
    CHECK_ROWS(&fixture, rows, update);
    end(&fixture);
}

// The digest of SPEC's example: the SHA-256 of "foo".
#define FOO "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"

static void digests_are_made(void **state) {
    static const struct row rows[] = {
        {"{\"message\":\"foo\"}", "{\"digest\":\"" FOO "\",\"message\":\"foo\"}"},
        {"{\"message\":\"foo\",\"digest\":\"" FOO "\"}",
         "{\"digest\":\"" FOO "\",\"message\":\"foo\"}"},
        {"{\"message\":\"foo\",\"digest\":"
         "\"2C26B46B68FFC68FF99B453C1D30413413422D706483BFA0F98A5E886266E7AE\"}",
         "{\"digest\":\"" FOO "\",\"message\":\"foo\"}"},
        {"{\"message\":\"\"}",
         "{\"digest\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\","
         "\"message\":\"\"}"},
        {"{\"message\":\"bar\",\"digest\":\"" FOO "\"}",
         "/digest: is read-only: leave it out, or send what is stored\n"},
        {"{\"message\":\"foo\",\"digest\":5}",
         "/digest: is read-only: leave it out, or send what is stored\n"},
        {"{\"digest\":\"" FOO "\"}",
         "/message: is required\n"
         "/digest: is read-only: leave it out, or send what is stored\n"},
        {"{\"message\":5}", "/message: must be a string; it is an integer\n"},
        {"{}", "/message: is required\n"},
    };
    struct fixture fixture;
    begin(&fixture, "key: {digest: sha256(message)}\nrequired: [message]\n"
                    "properties: {message: {type: string}}\n");
    CHECK_ROWS(&fixture, rows, create);
    end(&fixture);
}

static void uuids_are_made_of_the_time(void **state) {
    struct fixture fixture;
    begin(&fixture, "key: {uid: uuid}\nproperties: {a: {type: string}}\n");
    struct text first = arena_copy(&fixture.arena, create(&fixture, "{}"));
    assert_true(text_starts_with(first, TEXT("{\"uid\":\"015659dc-b4a4-7")));
    assert_true(memchr("89ab", first.data[8 + 19], 4) != NULL);
    assert_false(text_equal(first, create(&fixture, "{}")));
    store(&fixture, "{}");
    assert_text_is(create(&fixture, "{\"uid\":\"015659dc-b4a4-7000-8000-000000000000\"}"),
                   "/uid: is read-only: leave it out, or send what is stored\n");
    fixture.faults.count = 0;
    struct text record = outcome(&fixture, true, fixture.stored);
    assert_text_is(replace(&fixture, record.data), record.data); // a GET can be PUT back
    end(&fixture);
}

static struct text put(struct fixture *fixture, struct text path, const char *body) {
    struct validation validation = validation_of(fixture);
    json_t *tree = read_json(body);
    struct value key = value_text(VALUE_TEXT, path);
    bool valid = validate_create(&validation, tree, &key, fixture->values);
    struct text text = outcome(fixture, valid, fixture->values);
    json_decref(tree);
    return text;
}

static struct text put_at_k(struct fixture *fixture, const char *body) {
    return put(fixture, TEXT("k"), body);
}

static void keys_that_clients_choose(void **state) {
    static const char yaml[] = "key: code\nproperties: {a: {type: string}, code: {type: string, "
                               "maxLength: 10, pattern: ^\\S*$}}\n";
    static const struct row creates[] = {
        {"{\"code\":\"k\"}", "{\"a\":null,\"code\":\"k\"}"},
        {"{\"code\":\"a/b?\xC3\xBC\"}", "{\"a\":null,\"code\":\"a/b?\xC3\xBC\"}"},
        {"{}", "/code: is required\n"},
        {"{\"code\":\"\"}", "/code: must be at least 1 character long; it has 0\n"},
        {"{\"code\":\".\"}", "/code: cannot be \".\", which means something else in a path\n"},
        {"{\"code\":\"..\"}", "/code: cannot be \"..\", which means something else in a path\n"},
        {"{\"code\":\"events\"}",
         "/code: cannot be \"events\", which means something else in a path\n"},
        {"{\"code\":\"a b\"}", "/code: must match the pattern ^\\S*$; it is \"a b\"\n"},
    };
    static const struct row puts[] = {
        {"{\"a\":\"x\"}", "{\"a\":\"x\",\"code\":\"k\"}"},
        {"{\"a\":\"x\",\"code\":\"k\"}", "{\"a\":\"x\",\"code\":\"k\"}"},
        {"{\"code\":\"l\"}", "/code: must be the key that the path has\n"},
        {"{\"code\":5}", "/code: must be the key that the path has\n"},
    };
    static const struct row replaces[] = {
        {"{\"a\":\"x\"}", "{\"a\":\"x\",\"code\":\"k\"}"},
        {"{\"a\":\"x\",\"code\":\"k\"}", "{\"a\":\"x\",\"code\":\"k\"}"},
        {"{\"code\":\"l\"}", "/code: is the key, which cannot be changed\n"},
    };
    static const struct row updates[] = {
        {"{\"a\":\"x\"}", "{\"a\":\"x\",\"code\":\"k\"}"},
        {"{\"code\":\"l\"}", "/code: is the key, which cannot be changed\n"},
        {"{\"code\":null}", "/code: is read-only and cannot be removed\n"},
    };
    struct fixture fixture;
    begin(&fixture, yaml);
    CHECK_ROWS(&fixture, creates, create);
    CHECK_ROWS(&fixture, puts, put_at_k);
    assert_text_is(put(&fixture, TEXT("a b"), "{}"),
                   "/code: must match the pattern ^\\S*$; it is \"a b\"\n");
    assert_text_is(put(&fixture, TEXT("lifecycle"), "{}"),
                   "/code: cannot be \"lifecycle\", which means something else in a path\n");
    store(&fixture, "{\"code\":\"k\"}");
    CHECK_ROWS(&fixture, replaces, replace);
    CHECK_ROWS(&fixture, updates, update);
    end(&fixture);
}

// Read-only properties of every kind can be sent back as they are shown, in any spelling.
static void what_is_read_only_is_compared_by_its_meaning(void **state) {
    static const char yaml[] =
        "properties:\n"
        "  t: {type: string, format: date-time, default: 2020-01-01T00:00:00Z, readOnly: true}\n"
        "  d: {type: string, format: decimal, scale: 2, default: 1.5, readOnly: true}\n"
        "  r: {type: number, default: 2, readOnly: true}\n"
        "  b: {type: boolean, default: true, readOnly: true}\n"
        "  o: {type: object, default: {x: 1, y: [2]}, readOnly: true}\n"
        "  u: {type: string, format: uuid, default: 0190163d-8694-739b-aea5-966c26f8ad91, "
        "readOnly: true}\n"
        "  n: {type: string, readOnly: true}\n";
    static const char record[] =
        "{\"id\":7,\"t\":\"2020-01-01T00:00:00.000Z\",\"d\":\"1.50\",\"r\":2.0,\"b\":true,"
        "\"o\":{\"x\":1,\"y\":[2]},\"u\":\"0190163d-8694-739b-aea5-966c26f8ad91\",\"n\":null}";
    static const struct row rows[] = {
        {record, record},
        {"{}", record},
        {"{\"t\":\"2020-01-01T01:00:00+01:00\",\"d\":\"1.5\",\"r\":2,\"o\":{\"y\":[2.0],\"x\":1},"
         "\"u\":\"0190163D-8694-739B-AEA5-966C26F8AD91\"}",
         record},
        {"{\"t\":\"2020-01-01T00:00:01Z\",\"d\":\"1.51\",\"r\":2.5,\"b\":false,\"o\":{\"x\":1},"
         "\"u\":\"0190163d-8694-739b-aea5-966c26f8ad92\",\"n\":\"\"}",
         "/t: is read-only: leave it out, or send what is stored\n"
         "/d: is read-only: leave it out, or send what is stored\n"
         "/r: is read-only: leave it out, or send what is stored\n"
         "/b: is read-only: leave it out, or send what is stored\n"
         "/o: is read-only: leave it out, or send what is stored\n"
         "/u: is read-only: leave it out, or send what is stored\n"
         "/n: is read-only: leave it out, or send what is stored\n"},
        {"{\"t\":1,\"d\":1.5,\"o\":[],\"n\":{}}",
         "/t: is read-only: leave it out, or send what is stored\n"
         "/d: is read-only: leave it out, or send what is stored\n"
         "/o: is read-only: leave it out, or send what is stored\n"
         "/n: is read-only: leave it out, or send what is stored\n"},
    };
    struct fixture fixture;
    begin(&fixture, yaml);
    store(&fixture, "{}");
    CHECK_ROWS(&fixture, rows, replace);
    end(&fixture);
}

static void many_faults_are_cut_off(void **state) {
    struct fixture fixture;
    begin(&fixture, coupons);
    struct buffer body = {0};
    buffer_append_string(&body, "{\"title\":\"a\"");
    for (int i = 0; i < 300; i++)
        buffer_format(&body, ",\"x%d\":1", i);
    buffer_append_string(&body, "}");
    buffer_append_byte(&body, '\0');
    create(&fixture, body.data);
    assert_int_equal(fixture.faults.count, FAULTS_MAX);
    buffer_free(&body);
    end(&fixture);
}

static void stored_records_are_checked(void **state) {
    struct fixture fixture;
    begin(&fixture, coupons);
    store(&fixture, STORED);
    struct validation validation = validation_of(&fixture);
    json_t *record = read_json(
        "{\"id\":7,\"title\":\"too long\",\"store\":{\"x\":1},\"published_at\":null,\"price\":"
        "\"1.50\",\"cap\":-3,\"used\":0,\"kind\":null,\"state\":\"Gone\"}");
    fixture.stored[7] = value_null();
    validate_stored(&validation, record, fixture.stored);
    assert_text_is(outcome(&fixture, false, fixture.values),
                   "/title: must be at most 5 characters long; it has 8\n"
                   "/store/x: is not a property of store; it has city, geo\n"
                   "/cap: must be at least 0; it is -3\n"
                   "/state: must be one of \"New\", \"Old\"; it is \"Gone\"\n");
    json_decref(record);
    end(&fixture);
}

static const char parameters[] = "properties:\n"
                                 "  text: {type: string, maxLength: 2}\n"
                                 "  link: {type: string, format: uri}\n"
                                 "  mail: {type: string, format: email}\n"
                                 "  whole: {type: integer, minimum: 5}\n"
                                 "  real: {type: number}\n"
                                 "  flag: {type: boolean}\n"
                                 "  price: {type: string, format: decimal, scale: 2}\n"
                                 "  time: {type: string, format: date-time}\n"
                                 "  day: {type: string, format: date}\n"
                                 "  other: {type: string, format: uuid}\n"
                                 "  place: {type: object}\n";

static void parameters_become_values(void **state) {
    static const struct {
        const char *property;
        struct text text;
        const char *json; // NULL: does not fit
    } rows[] = {
        {"text", TEXT_INIT("abc"), "\"abc\""}, // lengths are not looked at
        {"text", TEXT_INIT(""), "\"\""},
        {"text", TEXT_INIT("\xFF"), NULL},
        {"text", TEXT_INIT("a\0b"), NULL},
        {"link", TEXT_INIT("x:y"), "\"x:y\""},
        {"link", TEXT_INIT("y"), NULL},
        {"mail", TEXT_INIT("a@b"), "\"a@b\""},
        {"mail", TEXT_INIT("a"), NULL},
        {"id", TEXT_INIT("7"), "7"},
        {"id", TEXT_INIT("9223372036854775807"), "9223372036854775807"},
        {"id", TEXT_INIT("0"), NULL},
        {"id", TEXT_INIT("-1"), NULL},
        {"id", TEXT_INIT("abc"), NULL},
        {"id", TEXT_INIT("1.0"), NULL},
        {"id", TEXT_INIT("01"), NULL},
        {"id", TEXT_INIT(""), NULL},
        {"id", TEXT_INIT("9223372036854775808"), NULL},
        {"whole", TEXT_INIT("-3"), "-3"},
        {"whole", TEXT_INIT("+3"), NULL},
        {"whole", TEXT_INIT(" 3"), NULL},
        {"real", TEXT_INIT("1.5"), "1.5"},
        {"real", TEXT_INIT("1e2"), "100.0"},
        {"real", TEXT_INIT("-0"), "0.0"},
        {"real", TEXT_INIT("1e400"), NULL},
        {"real", TEXT_INIT("NaN"), NULL},
        {"real", TEXT_INIT("\"1\""), NULL},
        {"real", TEXT_INIT("[1"), NULL},
        {"real", TEXT_INIT(""), NULL},
        {"flag", TEXT_INIT("true"), "true"},
        {"flag", TEXT_INIT("false"), "false"},
        {"flag", TEXT_INIT("TRUE"), NULL},
        {"flag", TEXT_INIT("1"), NULL},
        {"price", TEXT_INIT("12.5"), "\"12.50\""},
        {"price", TEXT_INIT("12.505"), NULL},
        {"time", TEXT_INIT("2016-08-05T10:40:51.62+02:00"), "\"2016-08-05T08:40:51.620Z\""},
        {"time", TEXT_INIT("2016-08-05"), NULL},
        {"day", TEXT_INIT("2016-02-29"), "\"2016-02-29\""},
        {"day", TEXT_INIT("2015-02-29"), NULL},
        {"other", TEXT_INIT("0190163D-8694-739B-AEA5-966C26F8AD91"),
         "\"0190163d-8694-739b-aea5-966c26f8ad91\""},
        {"other", TEXT_INIT("x"), NULL},
        {"place", TEXT_INIT("{}"), NULL},
    };
    struct fixture fixture;
    begin(&fixture, parameters);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct property *property =
            resource_property(fixture.resource, text_from_string(rows[i].property));
        struct value value = value_integer(77);
        struct failure failure = {0};
        struct buffer out = {0};
        struct json_writer writer = json_writer_on(&out);
        bool fits = validate_parameter(property, rows[i].text, &fixture.arena, &value, &failure);
        assert_true_for(fits == (rows[i].json != NULL), rows[i].text.data);
        encode_value(&writer, property, value);
        assert_text_is(buffer_text(&out), fits ? rows[i].json : "77");
        buffer_free(&out);
        if (!fits) {
            assert_int_equal(failure.code, FAILURE_INVALID_PARAMETER);
            assert_memory_equal(failure.detail, rows[i].property, strlen(rows[i].property));
        }
    }
    end(&fixture);
}

static void digests_are_parameters_in_either_case(void **state) {
    struct fixture fixture;
    begin(&fixture, "key: {digest: sha256(a)}\nrequired: [a]\nproperties: {a: {type: string}}\n");
    const struct property *key = fixture.resource->key.property;
    struct value lower;
    struct value upper;
    struct failure failure;
    assert_true(validate_parameter(key, TEXT(FOO), &fixture.arena, &lower, &failure));
    assert_true(validate_parameter(
        key, TEXT("2C26B46B68FFC68FF99B453C1D30413413422D706483BFA0F98A5E886266E7AE"),
        &fixture.arena, &upper, &failure));
    assert_int_equal(lower.kind, VALUE_BYTES);
    assert_int_equal(lower.text.size, 32);
    assert_true(text_equal(lower.text, upper.text));
    static const struct text wrong[] = {TEXT_INIT(""), TEXT_INIT("2c26"), TEXT_INIT(FOO "0"),
                                        TEXT_INIT("g" FOO)};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(validate_parameter(key, wrong[i], &fixture.arena, &lower, &failure));
    end(&fixture);
}

static void no_memory_is_told(void **state) {
    struct fixture fixture;
    begin(&fixture, coupons);
    store(&fixture, STORED);
    json_t *body = read_json(STORED);
    json_t *wrong = read_json("{\"title\":\"\",\"x\":1,\"used\":5}");
    for (ALLOCATION_FAILURES(nth)) {
        struct arena own = {0};
        struct faults faults = {.arena = &own};
        struct faults faults_of_wrong = {.arena = &own};
        struct validation validation = {fixture.resource, &own, &faults, now};
        struct validation validation_of_wrong = {fixture.resource, &own, &faults_of_wrong, now};
        bool valid = validate_create(&validation, body, NULL, fixture.values);
        valid &= validate_replace(&validation, body, fixture.stored, fixture.values);
        bool refused = !validate_create(&validation_of_wrong, wrong, NULL, fixture.values);
        bool failed = allocation_allow();
        assert_true(refused);
        assert_int_equal(valid, faults_none(&faults));
        assert_int_equal(faults.count, 0);
        assert_int_equal(failed, faults.out_of_memory || faults_of_wrong.out_of_memory);
        arena_free(&own);
        if (!failed)
            break;
    }
    json_decref(body);
    json_decref(wrong);
    end(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_created),
        cmocka_unit_test(everything_wrong_with_a_new_record_is_told),
        cmocka_unit_test(records_are_replaced),
        cmocka_unit_test(records_are_patched),
        cmocka_unit_test(digests_are_made),
        cmocka_unit_test(uuids_are_made_of_the_time),
        cmocka_unit_test(keys_that_clients_choose),
        cmocka_unit_test(what_is_read_only_is_compared_by_its_meaning),
        cmocka_unit_test(many_faults_are_cut_off),
        cmocka_unit_test(stored_records_are_checked),
        cmocka_unit_test(parameters_become_values),
        cmocka_unit_test(digests_are_parameters_in_either_case),
        cmocka_unit_test(no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
