#include "resource/lenient.h"

#include "unit/resource/fixture.h"

static const char yaml[] = "properties:\n"
                           "  name: {type: string}\n"
                           "  free: {type: object}\n"
                           "  place:\n"
                           "    type: object\n"
                           "    properties:\n"
                           "      city: {type: string}\n"
                           "      spot: {type: object, properties: {x: {type: integer}}}\n"
                           "  list:\n"
                           "    type: array\n"
                           "    items: {type: object, properties: {a: {type: integer}}}\n";

static void check(struct fixture *fixture, const char *body, const char *expected) {
    struct failure failure;
    json_t *tree = json_read(text_from_string(body), &failure);
    json_t *left = json_read(text_from_string(expected), &failure);
    assert_non_null(tree);
    assert_non_null(left);
    lenient_strip_record(fixture->resource, tree);
    if (!json_equal(tree, left))
        fail_msg("%s", body);
    json_decref(tree);
    json_decref(left);
}

static void undeclared_members_go(void **state) {
    static const char *const rows[][2] = {
        {"{}", "{}"},
        {"{\"name\":1,\"nam\":2,\"\":3}", "{\"name\":1}"},
        {"{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9}", "{}"},
        {"{\"free\":{\"any\":{\"thing\":1}}}", "{\"free\":{\"any\":{\"thing\":1}}}"},
        {"{\"place\":{\"city\":1,\"town\":2,\"spot\":{\"x\":1,\"y\":2}}}",
         "{\"place\":{\"city\":1,\"spot\":{\"x\":1}}}"},
        {"{\"place\":null}", "{\"place\":null}"},
        {"{\"place\":[{\"town\":1}]}", "{\"place\":[{\"town\":1}]}"},
        {"{\"list\":[{\"a\":1,\"b\":2},3,{\"b\":[]}]}", "{\"list\":[{\"a\":1},3,{}]}"},
        {"[{\"x\":1,\"name\":2},3,[{\"x\":1}]]", "[{\"name\":2},3,[{\"x\":1}]]"},
        {"3", "3"},
        {"null", "null"},
    };
    struct fixture fixture;
    fixture_begin(&fixture, "things", yaml, STORE_SQLITE);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check(&fixture, rows[i][0], rows[i][1]);
    lenient_strip_record(fixture.resource, NULL);
    fixture_end(&fixture);
}

static void others_keep_what_is_named(void **state) {
    static const char *const names[] = {"grace_seconds", NULL};
    struct failure failure;
    json_t *body = json_read(TEXT("{\"grace\":1,\"grace_seconds\":2,\"x\":[]}"), &failure);
    lenient_strip_others(names, body);
    assert_int_equal(json_object_size(body), 1);
    lenient_strip_others(names + 1, body);
    assert_int_equal(json_object_size(body), 0);
    lenient_strip_others(names, NULL);
    json_decref(body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(undeclared_members_go),
        cmocka_unit_test(others_keep_what_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
