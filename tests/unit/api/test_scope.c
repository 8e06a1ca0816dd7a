#include "api/scope.h"

#include "unit/testing.h"

static struct catalogue *catalogue;

static int set_up(void **state) {
    static const struct text sources[][2] = {
        {TEXT_INIT("packages.yaml"), TEXT_INIT("properties: {name: {type: string}}\n"
                                               "lifecycle: {property: status, states: [A, B]}\n"
                                               "transitions: {download: {from: [A], to: B}}\n")},
        {TEXT_INIT("coupons.yaml"), TEXT_INIT("properties: {name: {type: string}}\n")},
    };
    struct arena arena = {0};
    struct diagnostics diagnostics;
    diagnostics_init(&diagnostics, &arena);
    catalogue = catalogue_make(sources, 2, dialect_of(STORE_SQLITE), &diagnostics);
    arena_free(&arena);
    return catalogue ? 0 : -1;
}

static int tear_down(void **state) {
    catalogue_release(catalogue);
    return 0;
}

static void what_a_scope_allows(void **state) {
    static const struct {
        const char *scope;
        const char *resource;
        const char *action;
        bool allowed;
    } cases[] = {
        {"packages:read", "packages", "read", true},
        {"packages:read", "packages", "write", false},
        {"packages:read", "coupons", "read", false},
        {"packages:read", "package", "read", false},
        {"packages:read", "packages", "rea", false},
        {"packages:write", "packages", "read", false},
        {"packages:write", "packages", "download", false},
        {"packages:download", "packages", "download", true},
        {"packages:download", "packages", "write", false},
        {"*:read", "packages", "read", true},
        {"*:read", "packages", "write", false},
        {"*:write", "coupons", "write", true},
        {"*:write", "packages", "download", false},
        {"*:download", "packages", "download", false},
        {"admin", "packages", "write", true},
        {"admin", "packages", "download", true},
        {"admin:read", "packages", "read", false},
        {"packages", "packages", "read", false},
        {"packages:", "packages", "", true},
        {":read", "packages", "read", false},
        {"", "packages", "read", false},
        {"*", "packages", "read", false},
        {"packages:read:x", "packages", "read", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true_for(scope_allows(text_from_string(cases[i].scope),
                                     text_from_string(cases[i].resource),
                                     text_from_string(cases[i].action)) == cases[i].allowed,
                        cases[i].scope);
}

static void scopes_name_what_there_is(void **state) {
    static const char *const known[] = {"packages:read", "packages:download", "coupons:write",
                                        "*:read",        "*:write",           "admin"};
    static const struct {
        const char *scope;
        const char *said;
    } unknown[] = {
        {"", "is no scope"},
        {"read", "is no scope"},
        {"packages", "is no scope"},
        {":read", "is no scope"},
        {"Admin", "is no scope"},
        {"package:read", "perhaps packages is meant"},
        {"nothing:read", "there is no resource \"nothing\""},
        {"keys:read", "there is no resource \"keys\""},
        {"packages:", "has no \"\""},
        {"packages:fly", "has no \"fly\""},
        {"coupons:download", "has no \"download\""},
        {"packages:read ", "has no \"read \""},
        {"packages:read:write", "has no \"read:write\""},
        {"*:download", "* has no \"download\""},
        {"*", "is no scope"},
    };
    struct failure failure;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_true_for(scope_check(catalogue, text_from_string(known[i]), &failure), known[i]);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        failure = (struct failure){0};
        assert_true_for(!scope_check(catalogue, text_from_string(unknown[i].scope), &failure),
                        unknown[i].scope);
        assert_int_equal(failure.code, FAILURE_INVALID_BODY);
        assert_true_for(strstr(failure.detail, unknown[i].said), failure.detail);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_a_scope_allows),
                                       cmocka_unit_test(scopes_name_what_there_is)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
