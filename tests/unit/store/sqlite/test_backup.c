#include "unit/allocation.h"
#include "unit/store/sqlite/scene.h"

#include <sys/stat.h>

struct fixture {
    struct scene scene;
    char copy[128];
    sqlite3 *other; // somebody who uses the database
    bool writes;    // at each look at the progress, too
    uint64_t looks;
    uint64_t stop_at; // 0: never
    uint64_t done;
    uint64_t total;
    bool goes_forward;
    struct failure failure;
};

static int set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){.goes_forward = true};
    scene_make_directory(&fixture.scene);
    (void)snprintf(fixture.copy, sizeof fixture.copy, "%s/copy.db", fixture.scene.directory);
    fixture.other = scene_open_other(&fixture.scene);
    scene_execute(fixture.other, "PRAGMA journal_mode = WAL;"
                                 "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);");
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    sqlite3_close(fixture->other);
    (void)unlink(fixture->copy);
    scene_remove_directory(&fixture->scene);
    return 0;
}

static void fill(struct fixture *fixture, int count) {
    char sql[200];
    (void)snprintf(sql, sizeof sql,
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
                   "INSERT INTO t (name) SELECT hex(randomblob(500)) FROM n",
                   count);
    scene_execute(fixture->other, sql);
}

static bool on_progress(void *context, uint64_t done, uint64_t total) {
    struct fixture *fixture = context;
    fixture->looks++;
    fixture->goes_forward = fixture->goes_forward && done >= fixture->done && done <= total;
    fixture->done = done;
    fixture->total = total;
    if (fixture->writes)
        scene_execute(fixture->other, "INSERT INTO t (name) VALUES ('later');"
                                      "UPDATE t SET name = 'changed' WHERE id % 7 = 0;"
                                      "PRAGMA wal_checkpoint(PASSIVE);");
    return fixture->stop_at == 0 || fixture->looks < fixture->stop_at;
}

static bool back_up(struct fixture *fixture) {
    const struct sqlite_backup backup = {.path = fixture->scene.path,
                                         .copy = fixture->copy,
                                         .on_progress = on_progress,
                                         .context = fixture};
    return sqlite_store_backup(&backup, &fixture->failure);
}

static void assert_copy_gives(const struct fixture *fixture, const char *sql, const char *answer) {
    sqlite3 *copy;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open_v2(fixture->copy, &copy, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(copy, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal(sqlite3_column_text(statement, 0), answer);
    sqlite3_finalize(statement);
    sqlite3_close(copy);
}

static bool is_there(const struct fixture *fixture, const char *suffix) {
    char name[160];
    (void)snprintf(name, sizeof name, "%s%s", fixture->copy, suffix);
    return access(name, F_OK) == 0;
}

static void a_copy_is_one_whole_file(void **state) {
    struct fixture *fixture = *state;
    struct stat status;
    fill(fixture, 5000);
    assert_true_for(back_up(fixture), fixture->failure.detail);
    assert_copy_gives(fixture, "SELECT count(*) FROM t", "5000");
    assert_copy_gives(fixture, "PRAGMA integrity_check", "ok");
    assert_copy_gives(fixture, "PRAGMA journal_mode", "delete");
    assert_false(is_there(fixture, "-wal") || is_there(fixture, "-shm") ||
                 is_there(fixture, "-journal"));
    assert_int_equal(stat(fixture->copy, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_true(fixture->looks > 4 && fixture->goes_forward);
    assert_int_equal(fixture->done, fixture->total);
    assert_int_equal(status.st_size, fixture->total);
}

static void an_empty_database_can_be_copied(void **state) {
    struct fixture *fixture = *state;
    assert_true_for(back_up(fixture), fixture->failure.detail);
    assert_copy_gives(fixture, "SELECT count(*) FROM t", "0");
}

// It has what was there when it began, however much is written meanwhile, and it ends.
static void others_may_write_meanwhile(void **state) {
    struct fixture *fixture = *state;
    fill(fixture, 5000);
    fixture->writes = true;
    assert_true_for(back_up(fixture), fixture->failure.detail);
    assert_copy_gives(fixture, "SELECT count(*) FROM t", "5000");
    assert_copy_gives(fixture, "SELECT count(*) FROM t WHERE name IN ('later', 'changed')", "0");
    assert_copy_gives(fixture, "PRAGMA integrity_check", "ok");
    assert_true(fixture->looks < 20);
}

static void what_is_not_committed_is_not_in_it(void **state) {
    struct fixture *fixture = *state;
    fill(fixture, 10);
    scene_execute(fixture->other, "BEGIN; DELETE FROM t;");
    assert_true_for(back_up(fixture), fixture->failure.detail);
    scene_execute(fixture->other, "COMMIT");
    assert_copy_gives(fixture, "SELECT count(*) FROM t", "10");
}

static void a_file_that_is_there_is_left_alone(void **state) {
    struct fixture *fixture = *state;
    FILE *file = fopen(fixture->copy, "w");
    assert_non_null(file);
    (void)fputs("mine", file);
    (void)fclose(file);
    assert_false(back_up(fixture));
    assert_non_null(strstr(fixture->failure.detail, "File exists"));
    char content[8] = "";
    file = fopen(fixture->copy, "r");
    assert_non_null(fgets(content, sizeof content, file));
    (void)fclose(file);
    assert_string_equal(content, "mine");
}

static void what_cannot_be_copied_says_why(void **state) {
    struct fixture *fixture = *state;
    struct sqlite_backup backup = {.path = "/nowhere/at/all.db", .copy = fixture->copy};
    assert_false(sqlite_store_backup(&backup, &fixture->failure));
    assert_non_null(strstr(fixture->failure.detail, "/nowhere/at/all.db: No such file"));
    assert_false(is_there(fixture, ""));
    backup.path = fixture->scene.path;
    backup.copy = "/nowhere/at/copy.db";
    assert_false(sqlite_store_backup(&backup, &fixture->failure));
    assert_non_null(strstr(fixture->failure.detail, "/nowhere/at/copy.db cannot be written"));
}

// Of a page of the database that cannot be read, no copy is left.
static void a_broken_database_leaves_no_copy(void **state) {
    struct fixture *fixture = *state;
    fill(fixture, 5000);
    scene_execute(fixture->other, "PRAGMA wal_checkpoint(TRUNCATE)");
    struct stat status;
    assert_int_equal(stat(fixture->scene.path, &status), 0);
    assert_int_equal(truncate(fixture->scene.path, status.st_size / 2), 0);
    assert_false(back_up(fixture));
    assert_false(is_there(fixture, ""));
}

static void it_can_be_given_up(void **state) {
    struct fixture *fixture = *state;
    fill(fixture, 5000);
    for (fixture->stop_at = 1;; fixture->stop_at++) {
        fixture->looks = 0;
        fixture->done = 0;
        if (back_up(fixture))
            break;
        assert_int_equal(fixture->failure.code, FAILURE_STOPPING);
        assert_false(is_there(fixture, ""));
    }
    assert_true(fixture->stop_at > 5);
}

static void out_of_memory(void **state) {
    struct fixture *fixture = *state;
    for (ALLOCATION_FAILURES(nth)) {
        bool done = back_up(fixture);
        bool failed = allocation_allow();
        assert_true(done || failed);
        assert_int_equal(is_there(fixture, ""), done);
        (void)unlink(fixture->copy);
        if (!failed)
            break;
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_copy_is_one_whole_file),
        TEST(an_empty_database_can_be_copied),
        TEST(others_may_write_meanwhile),
        TEST(what_is_not_committed_is_not_in_it),
        TEST(a_file_that_is_there_is_left_alone),
        TEST(what_cannot_be_copied_says_why),
        TEST(a_broken_database_leaves_no_copy),
        TEST(it_can_be_given_up),
        TEST(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
