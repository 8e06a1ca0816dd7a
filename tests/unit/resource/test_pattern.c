#include "resource/pattern.h"

#include "unit/allocation.h"
#include "unit/testing.h"

#include <pthread.h>
#include <stdlib.h>

static enum pattern_result match(struct text source, struct text subject) {
    struct failure failure = {0};
    struct pattern *pattern = pattern_compile(source, &failure);
    if (!pattern)
        print_error("%s: %s\n", source.data, failure.detail);
    assert_non_null(pattern);
    char *copy = test_malloc(subject.size + (subject.size == 0));
    if (subject.size)
        memcpy(copy, subject.data, subject.size);
    enum pattern_result result = pattern_match(pattern, text_of(copy, subject.size));
    test_free(copy);
    pattern_free(pattern);
    return result;
}

static void matching_is_that_of_json_schema(void **state) {
    static const struct {
        struct text source;
        struct text subject;
        enum pattern_result result;
    } rows[] = {
        {TEXT_INIT("^[0-9a-f]{4}$"), TEXT_INIT("00ff"), PATTERN_MATCHES},
        {TEXT_INIT("^[0-9a-f]{4}$"), TEXT_INIT("00fg"), PATTERN_DIFFERS},
        {TEXT_INIT("^[0-9a-f]{4}$"), TEXT_INIT("00ff\n"), PATTERN_DIFFERS},
        {TEXT_INIT("^a$"), TEXT_INIT("b\na"), PATTERN_DIFFERS},
        {TEXT_INIT("b"), TEXT_INIT("abc"), PATTERN_MATCHES}, // anywhere
        {TEXT_INIT("b"), TEXT_INIT("ac"), PATTERN_DIFFERS},
        {TEXT_INIT(""), TEXT_INIT(""), PATTERN_MATCHES},
        {TEXT_INIT(""), TEXT_INIT("a"), PATTERN_MATCHES},
        {TEXT_INIT("^$"), TEXT_INIT(""), PATTERN_MATCHES},
        {TEXT_INIT("^.$"), TEXT_INIT("\xF0\x9F\x98\x80"), PATTERN_MATCHES}, // one character
        {TEXT_INIT("^..$"), TEXT_INIT("\xC3\xBC"), PATTERN_DIFFERS},
        {TEXT_INIT("^\\p{Lu}$"), TEXT_INIT("\xC3\x9C"), PATTERN_MATCHES},
        {TEXT_INIT("\\d"), TEXT_INIT("\xD9\xA1"), PATTERN_DIFFERS}, // ASCII's digits alone
        {TEXT_INIT("\\Aa\\z"), TEXT_INIT("a"), PATTERN_MATCHES},
        {TEXT_INIT("(a)(b)(c)\\3"), TEXT_INIT("abcc"), PATTERN_MATCHES},
        {TEXT_INIT("a(?=b)"), TEXT_INIT("ab"), PATTERN_MATCHES},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_true_for(match(rows[i].source, rows[i].subject) == rows[i].result,
                        rows[i].source.data);
    assert_int_equal(match((struct text){NULL, 0}, (struct text){NULL, 0}), PATTERN_MATCHES);
}

static void what_is_no_pattern_is_refused(void **state) {
    static const struct {
        struct text source;
        const char *detail;
    } rows[] = {
        {TEXT_INIT("a(b"), "missing closing parenthesis at character 4"},
        {TEXT_INIT("\xC3\xBC["), "missing terminating ] for character class at character 3"},
        {TEXT_INIT("*"), "quantifier does not follow a repeatable item at character 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct failure failure = {0};
        assert_null(pattern_compile(rows[i].source, &failure));
        assert_int_equal(failure.code, FAILURE_INVALID_DEFINITION);
        assert_string_equal(failure.detail, rows[i].detail);
    }
    static const struct text refused[] = {
        TEXT_INIT("\\C"), // half a character
        TEXT_INIT("a{2,1}"),
        TEXT_INIT("\xFF"),
        TEXT_INIT("(((((a{900}){900}){900}){900})"),
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct failure failure = {0};
        assert_null(pattern_compile(refused[i], &failure));
        assert_int_equal(failure.code, FAILURE_INVALID_DEFINITION);
    }
}

static void long_sources_are_refused(void **state) {
    char *source = test_malloc(10001);
    memset(source, 'a', 10001);
    struct failure failure;
    struct pattern *pattern = pattern_compile(text_of(source, 10000), &failure);
    assert_non_null(pattern);
    pattern_free(pattern);
    assert_null(pattern_compile(text_of(source, 10001), &failure));
    assert_int_equal(failure.code, FAILURE_INVALID_DEFINITION);
    test_free(source);
}

// A subject of one byte, many times, and another at its end.
static enum pattern_result match_run(const char *source, char byte, size_t count, char last) {
    char *subject = test_malloc(count + 1);
    memset(subject, byte, count);
    subject[count] = last;
    enum pattern_result result = match(text_from_string(source), text_of(subject, count + 1));
    test_free(subject);
    return result;
}

static void matching_is_bounded(void **state) {
    assert_int_equal(match_run("^(a+)+$", 'a', 40, 'b'), PATTERN_TOO_COSTLY);
    assert_int_equal(match_run("(a|aa)+$", 'a', 200, 'b'), PATTERN_TOO_COSTLY);
    assert_int_equal(match_run("^(a|b)*$", 'a', 50000, 'b'), PATTERN_MATCHES); // no little stack
    assert_int_equal(match_run("^[a-z]*$", 'a', 4000000, 'b'), PATTERN_MATCHES);
    assert_int_equal(match_run("^[a-z]*$", 'a', 500000, '1'), PATTERN_DIFFERS);
    // Where it may begin anywhere, time grows with the square of the length.
    assert_int_equal(match_run("a+b", 'a', 16383, 'b'), PATTERN_MATCHES);
    assert_int_equal(match_run("a+b", 'a', 16384, 'b'), PATTERN_TOO_COSTLY);
}

struct matcher {
    pthread_t thread;
    const struct pattern *pattern;
    int matched;
};

static void *match_often(void *matcher_pointer) {
    struct matcher *matcher = matcher_pointer;
    for (int i = 0; i < 2000; i++) {
        char subject[24];
        for (size_t j = 0; j < sizeof subject; j++)
            subject[j] = (char)('a' + (i + (int)j) % 26);
        struct text text = text_of(subject, sizeof subject);
        matcher->matched += pattern_match(matcher->pattern, text) == PATTERN_MATCHES;
    }
    return NULL;
}

static void any_thread_may_match(void **state) {
    struct failure failure;
    struct pattern *pattern = pattern_compile(TEXT("^([a-m]|[n-z])+$"), &failure);
    assert_non_null(pattern);
    struct matcher matchers[4];
    for (size_t i = 0; i < 4; i++) {
        matchers[i] = (struct matcher){.pattern = pattern};
        assert_int_equal(pthread_create(&matchers[i].thread, NULL, match_often, &matchers[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(matchers[i].thread, NULL);
        assert_int_equal(matchers[i].matched, 2000);
    }
    pattern_free(pattern);
    pattern_free(NULL);
}

static void no_memory_is_told(void **state) {
    struct failure failure;
    allocation_fail_from(1);
    struct pattern *pattern = pattern_compile(TEXT("a"), &failure);
    assert_true(allocation_allow());
    assert_null(pattern);
    assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matching_is_that_of_json_schema),
        cmocka_unit_test(what_is_no_pattern_is_refused),
        cmocka_unit_test(long_sources_are_refused),
        cmocka_unit_test(matching_is_bounded),
        cmocka_unit_test(any_thread_may_match),
        cmocka_unit_test(no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
