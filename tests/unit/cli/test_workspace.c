#include "cli/workspace.h"

#include "cli/migrate.h"
#include "unit/cli/folder.h"
#include "unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// A folder with a definition, in which the test runs.
struct fixture {
    char folder[48];
    struct settings settings;
    struct workspace workspace;
    struct failure failure;
};

static void define(const char *yaml) {
    FILE *file = fopen("resources/things.yaml", "w");
    assert_non_null(file);
    assert_true(fputs(yaml, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){.folder = "/tmp/trestle-workspace-XXXXXX"};
    fixture.settings = (struct settings){
        .database = {.dialect = STORE_SQLITE, .path = "data/deep/er/x.db"},
        .resources = "resources",
        .data = "data",
        .log_file = "log",
        .query_timeout = 5000,
        .queue_limit = 100,
    };
    *state = &fixture;
    if (!mkdtemp(fixture.folder) || chdir(fixture.folder) != 0 || mkdir("resources", 0755) != 0)
        return 1;
    define("properties: {a: {type: string}, b: {type: integer}}\n");
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    workspace_close(&fixture->workspace);
    return chdir("/") == 0 ? folder_remove(fixture->folder) : 1;
}

static bool opens(struct fixture *fixture, enum workspace_parts parts) {
    workspace_close(&fixture->workspace);
    return workspace_open(&fixture->settings, parts, &fixture->workspace, &fixture->failure);
}

static void assert_opens(struct fixture *fixture, enum workspace_parts parts) {
    bool ok = opens(fixture, parts);
    assert_true_for(ok, fixture->failure.detail);
}

static void definitions_alone_make_nothing(void **state) {
    struct fixture *fixture = *state;
    assert_opens(fixture, WORKSPACE_DEFINITIONS);
    assert_int_equal(fixture->workspace.catalogue->resource_count, 1);
    assert_null(fixture->workspace.store);
    assert_int_not_equal(access("data", F_OK), 0);
}

static void reading_makes_nothing(void **state) {
    struct fixture *fixture = *state;
    assert_false(opens(fixture, WORKSPACE_READ));
    assert_int_not_equal(access("data", F_OK), 0);
    assert_null(fixture->workspace.log);
}

static void writing_makes_folders_that_others_cannot_see(void **state) {
    static const char *const folders[] = {"data", "data/deep", "data/deep/er"};
    struct fixture *fixture = *state;
    struct stat status;
    assert_opens(fixture, WORKSPACE_WRITE);
    assert_non_null(fixture->workspace.store);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        assert_int_equal(stat(folders[i], &status), 0);
        assert_int_equal(status.st_mode & 0777, 0700);
    }
    assert_opens(fixture, WORKSPACE_READ);
}

static void a_file_in_the_way_is_told(void **state) {
    struct fixture *fixture = *state;
    FILE *file = fopen("data", "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_false(opens(fixture, WORKSPACE_WRITE));
    assert_string_equal(fixture->failure.detail, "the folder data cannot be made: File exists");
}

static void wrong_definitions_are_summed_up(void **state) {
    struct fixture *fixture = *state;
    define("properties: {a: {type: strnig}}\nkye: x\n");
    assert_false(opens(fixture, WORKSPACE_WRITE));
    assert_int_equal(fixture->failure.code, FAILURE_INVALID_DEFINITION);
    assert_non_null(strstr(fixture->failure.detail, "resources are not valid: 2 faults"));
    assert_int_not_equal(access("data", F_OK), 0);
}

static bool tables_fit(struct fixture *fixture) {
    return migrate_check(fixture->workspace.store, fixture->workspace.catalogue, &fixture->failure);
}

static void serving_makes_the_tables(void **state) {
    struct fixture *fixture = *state;
    assert_opens(fixture, WORKSPACE_WRITE);
    assert_false(tables_fit(fixture));
    assert_int_equal(fixture->failure.code, FAILURE_REFUSED);
    assert_opens(fixture, WORKSPACE_SERVE);
    assert_true(tables_fit(fixture));
    assert_opens(fixture, WORKSPACE_SERVE);
    assert_opens(fixture, WORKSPACE_READ);
    assert_true(tables_fit(fixture));
}

static void never_is_never(void **state) {
    struct fixture *fixture = *state;
    fixture->settings.migrate = MIGRATE_NEVER;
    assert_false(opens(fixture, WORKSPACE_SERVE));
    assert_int_equal(fixture->failure.code, FAILURE_REFUSED);
    assert_non_null(strstr(fixture->failure.detail, "migrate: never"));
    assert_opens(fixture, WORKSPACE_WRITE);
    assert_false(tables_fit(fixture));
    fixture->settings.migrate = MIGRATE_AUTO;
    assert_opens(fixture, WORKSPACE_SERVE);
    fixture->settings.migrate = MIGRATE_NEVER;
    assert_opens(fixture, WORKSPACE_SERVE);
}

static void what_may_be_lost_is_refused(void **state) {
    struct fixture *fixture = *state;
    assert_opens(fixture, WORKSPACE_SERVE);
    define("properties: {a: {type: string}}\n");
    assert_false(opens(fixture, WORKSPACE_SERVE));
    assert_int_equal(fixture->failure.code, FAILURE_REFUSED);
    assert_non_null(strstr(fixture->failure.detail, "--allow-loss"));
    define("properties: {a: {type: string}, b: {type: integer}, c: {type: boolean}}\n");
    assert_opens(fixture, WORKSPACE_SERVE);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(definitions_alone_make_nothing),
        TEST(reading_makes_nothing),
        TEST(writing_makes_folders_that_others_cannot_see),
        TEST(a_file_in_the_way_is_told),
        TEST(wrong_definitions_are_summed_up),
        TEST(serving_makes_the_tables),
        TEST(never_is_never),
        TEST(what_may_be_lost_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
