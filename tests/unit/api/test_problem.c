#include "api/problem.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// Every code of the table gives a problem that is JSON and says the status that it is sent with.
static void every_failure_is_a_problem(void **state) {
    for (enum failure_code code = 1; code < FAILURE_CODES; code++) {
        struct failure failure;
        struct http_answer answer = {0};
        failure_set(&failure, code, "a \"quoted\" detail");
        problem_write(&failure, NULL, TEXT("id-1"), &answer);
        json_t *tree = json_loadb(answer.body.data, answer.body.size, 0, NULL);
        assert_non_null(tree);
        assert_int_equal(json_integer_value(json_object_get(tree, "status")), answer.status);
        assert_int_equal(answer.status, failure_status(code));
        assert_in_range(answer.status, 400, 599);
        const char *type = json_string_value(json_object_get(tree, "type"));
        assert_memory_equal(type, "urn:trestle:problem:", 20);
        assert_string_equal(type + 20, failure_type(code));
        assert_string_equal(json_string_value(json_object_get(tree, "request_id")), "id-1");
        json_decref(tree);
        buffer_free(&answer.body);
        buffer_free(&answer.fields);
    }
}

static void inside_stays_inside(void **state) {
    struct failure failure;
    struct http_answer answer = {0};
    failure_set(&failure, FAILURE_INTERNAL, "secret driver text");
    problem_write(&failure, NULL, TEXT("id"), &answer);
    buffer_append_byte(&answer.body, '\0');
    assert_null(strstr(answer.body.data, "secret"));
    buffer_free(&answer.body);
    buffer_free(&answer.fields);
}

static void faults_are_listed(void **state) {
    struct arena arena = {0};
    struct faults faults = {.arena = &arena};
    faults_add(&faults, TEXT("/a"), "must be %d", 1);
    faults_add(&faults, TEXT("/b~1c"), "is \"odd\"");
    struct failure failure;
    struct http_answer answer = {0};
    failure_set(&failure, FAILURE_INVALID_BODY, "2 faults");
    problem_write(&failure, &faults, TEXT("id"), &answer);
    json_t *tree = json_loadb(answer.body.data, answer.body.size, 0, NULL);
    json_t *errors = json_object_get(tree, "errors");
    assert_int_equal(json_array_size(errors), 2);
    json_t *second = json_array_get(errors, 1);
    assert_string_equal(json_string_value(json_object_get(second, "pointer")), "/b~1c");
    assert_string_equal(json_string_value(json_object_get(second, "detail")), "is \"odd\"");
    json_decref(tree);
    buffer_free(&answer.body);
    buffer_free(&answer.fields);
    arena_free(&arena);
}

static void has_field(enum failure_code code, const char *line, bool expected) {
    struct failure failure;
    struct http_answer answer = {0};
    failure_set(&failure, code, "detail");
    problem_write(&failure, NULL, TEXT("id"), &answer);
    buffer_append_byte(&answer.fields, '\0');
    assert_int_equal(strstr(answer.fields.data, line) != NULL, expected);
    buffer_free(&answer.body);
    buffer_free(&answer.fields);
}

static void fields_that_go_with_a_status(void **state) {
    has_field(FAILURE_UNAVAILABLE, "Retry-After: 1\r\n", true);
    has_field(FAILURE_QUEUE_FULL, "Retry-After: 1\r\n", true);
    has_field(FAILURE_NOT_FOUND, "Retry-After", false);
    has_field(FAILURE_NOT_FOUND, "Content-Type: application/problem+json\r\n", true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_is_a_problem),
        cmocka_unit_test(inside_stays_inside),
        cmocka_unit_test(faults_are_listed),
        cmocka_unit_test(fields_that_go_with_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
