#include "store/sqlite/connection.h"

#include "unit/allocation.h"
#include "unit/store/sqlite/scene.h"

#include <sys/stat.h>

static int set_up(void **state) {
    static struct scene scene;
    scene_make_directory(&scene);
    *state = &scene;
    return 0;
}

static int tear_down(void **state) {
    scene_remove_directory(*state);
    return 0;
}

static bool open_role(const struct scene *scene, struct connection *connection,
                      enum connection_role role, struct log *log, struct failure *failure) {
    const struct connection_options options = {
        .path = scene->path,
        .query_timeout = 1000,
        .busy_timeout = 100,
        .cached_statements = 8,
        .log = log,
    };
    return sqlite_connection_open(connection, role, &options, failure);
}

static void open_or_fail(const struct scene *scene, struct connection *connection,
                         enum connection_role role, struct log *log) {
    struct failure failure;
    if (!open_role(scene, connection, role, log, &failure))
        fail_msg("%s", failure.detail);
}

static void expect_refused(const char *path, bool read_only, const char *why) {
    const struct connection_options options = {
        .path = path, .read_only = read_only, .cached_statements = 8};
    struct connection connection;
    struct failure failure = {0};
    assert_false(sqlite_connection_open(&connection, CONNECTION_WRITES, &options, &failure));
    assert_int_equal(failure.code, FAILURE_UNAVAILABLE);
    if (!strstr(failure.detail, why) || !strstr(failure.detail, path))
        fail_msg("\"%s\" should name %s and say %s", failure.detail, path, why);
}

static void what_cannot_be_opened_says_why(void **state) {
    struct scene *scene = *state;
    expect_refused(scene->directory, false, "it is a directory");
    expect_refused(scene->path, true, "No such file");
    expect_refused("/nowhere-at-all/x/test.db", false, "its directory /nowhere-at-all/x");
    expect_refused("/dev/null/test.db", false, "Not a directory");
    FILE *file = fopen(scene->path, "w");
    assert_non_null(file);
    for (int i = 0; i < 200; i++)
        (void)fputs("this is no database at all; ", file);
    (void)fclose(file);
    expect_refused(scene->path, false, "not a database");
    expect_refused(scene->path, true, "not a database");
}

static void another_encoding_is_refused(void **state) {
    struct scene *scene = *state;
    sqlite3 *other = scene_open_other(scene);
    scene_execute(other, "PRAGMA encoding = 'UTF-16'; CREATE TABLE a(b)");
    sqlite3_close(other);
    expect_refused(scene->path, false, "UTF-16le");
}

static void a_new_file_is_what_it_has_to_be(void **state) {
    struct scene *scene = *state;
    struct connection connection;
    open_or_fail(scene, &connection, CONNECTION_WRITES, NULL);
    static const struct {
        const char *pragma;
        const char *value;
    } facts[] = {
        {"journal_mode", "wal"}, {"synchronous", "2"},        {"foreign_keys", "1"},
        {"page_size", "4096"},   {"wal_autocheckpoint", "0"}, {"trusted_schema", "0"},
        {"encoding", "UTF-8"},
    };
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        char sql[64];
        sqlite3_stmt *statement;
        (void)snprintf(sql, sizeof sql, "PRAGMA %s", facts[i].pragma);
        assert_int_equal(sqlite3_prepare_v2(connection.database, sql, -1, &statement, NULL),
                         SQLITE_OK);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        assert_string_equal((const char *)sqlite3_column_text(statement, 0), facts[i].value);
        sqlite3_finalize(statement);
    }
    sqlite_connection_close(&connection);
    sqlite_connection_close(&connection);
}

static void only_the_writer_makes_a_file(void **state) {
    struct connection connection;
    struct failure failure;
    assert_false(open_role(*state, &connection, CONNECTION_READS, NULL, &failure) &&
                 connection.database);
}

// Runs one call on a connection, and says how it ended.
static enum outcome_kind run(struct connection *connection, struct work *work) {
    work->job.outcome = (struct outcome){0};
    sqlite_connection_watch(connection, &work->job, work->job.deadline);
    sqlite_connection_run_all(connection, &work->job);
    sqlite_connection_watch(connection, NULL, 0);
    return work->job.outcome.kind;
}

static enum outcome_kind run_sql(struct connection *connection, const char *sql,
                                 const char *columns) {
    struct harness harness = {0};
    struct work *work = work_create(&harness, JOB_WRITE);
    work_add(work, sql, columns);
    enum outcome_kind kind = run(connection, work);
    free(work);
    return kind;
}

static void readers_change_nothing(void **state) {
    struct connection writer;
    struct connection reader;
    open_or_fail(*state, &writer, CONNECTION_WRITES, NULL);
    assert_int_equal(run_sql(&writer, "CREATE TABLE a(b)", ""), OUTCOME_DONE);
    open_or_fail(*state, &reader, CONNECTION_READS, NULL);
    assert_int_equal(run_sql(&reader, "SELECT b FROM a", "i"), OUTCOME_DONE);
    assert_int_equal(run_sql(&reader, "INSERT INTO a VALUES(1)", ""), OUTCOME_UNAVAILABLE);
    assert_int_equal(run_sql(&writer, "SELECT \"text\"", "t"), OUTCOME_FAILED);
    sqlite_connection_close(&reader);
    sqlite_connection_close(&writer);
}

static char *read_log(const char *path) {
    char *logged = calloc(1, 16384);
    FILE *file = fopen(path, "r");
    assert_true(logged && file);
    (void)fread(logged, 1, 16383, file);
    (void)fclose(file);
    (void)unlink(path);
    return logged;
}

static size_t count_lines(const char *logged) {
    size_t lines = 0;
    for (; *logged; logged++)
        lines += *logged == '\n';
    return lines;
}

static void trouble_is_logged_now_and_then(void **state) {
    struct scene *scene = *state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/log", scene->directory);
    struct failure failure;
    struct log *log = log_open(LOG_TEXT, LOG_INFO, path, &failure);
    struct connection connection;
    open_or_fail(scene, &connection, CONNECTION_WRITES, log);
    assert_int_equal(run_sql(&connection, "CREATE TABLE a(b, c UNIQUE)", ""), OUTCOME_DONE);
    assert_int_equal(run_sql(&connection, "INSERT INTO a VALUES('text', 1)", ""), OUTCOME_DONE);
    // What a client may cause is its own business.
    assert_int_equal(run_sql(&connection, "INSERT INTO a VALUES(1, 1)", ""), OUTCOME_CONFLICT);
    for (int i = 0; i < 100; i++)
        assert_int_equal(run_sql(&connection, "SELECT c, b FROM a", "ii"), OUTCOME_FAILED);
    connection.quiet_until = 0; // a second later
    assert_int_equal(run_sql(&connection, "SELECT nonsense", "i"), OUTCOME_FAILED);
    sqlite_connection_close(&connection);
    log_close(log);
    char *logged = read_log(path);
    assert_int_equal(count_lines(logged), 2);
    assert_non_null(strstr(logged, "not of the kind of column b in: SELECT c, b FROM a"));
    assert_non_null(strstr(logged, "no such column: nonsense"));
    assert_non_null(strstr(logged, "[99 more left out]"));
    free(logged);
}

static void long_work_is_stopped_at_its_deadline(void **state) {
    struct connection connection;
    open_or_fail(*state, &connection, CONNECTION_WRITES, NULL);
    struct harness harness = {0};
    struct work *work = work_create(&harness, JOB_READ);
    work_add(work,
             "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c "
             "WHERE i < 10000000000) SELECT count(*) FROM c",
             "i");
    uint64_t started = clock_monotonic();
    work->job.deadline = started + 50;
    assert_int_equal(run(&connection, work), OUTCOME_TIMEOUT);
    assert_in_range(clock_monotonic() - started, 49, 900);
    work->job.deadline = 0; // the connection's own limit
    started = clock_monotonic();
    assert_int_equal(run(&connection, work), OUTCOME_TIMEOUT);
    assert_in_range(clock_monotonic() - started, 999, 3000);
    work->job.cancelled = true;
    assert_int_equal(run(&connection, work), OUTCOME_CANCELLED);
    free(work);
    sqlite_connection_close(&connection);
}

static void opening_survives_a_lack_of_memory(void **state) {
    for (ALLOCATION_FAILURES(nth)) {
        struct connection connection;
        struct failure failure = {0};
        bool opened = open_role(*state, &connection, CONNECTION_WRITES, NULL, &failure);
        bool failed = allocation_allow();
        assert_int_equal(opened, !failed);
        sqlite_connection_close(&connection);
        if (!failed)
            break;
        assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
    }
}

static void running_survives_a_lack_of_memory(void **state) {
    struct connection connection;
    open_or_fail(*state, &connection, CONNECTION_WRITES, NULL);
    struct harness harness = {0};
    struct work *work = work_create(&harness, JOB_READ);
    work_add(work, "SELECT 1, 2, 3", "iii");
    unsigned failures = 0;
    for (ALLOCATION_FAILURES(nth)) {
        enum outcome_kind kind = run(&connection, work);
        if (!allocation_allow()) {
            assert_int_equal(kind, OUTCOME_DONE);
            break;
        }
        assert_int_equal(kind, OUTCOME_UNAVAILABLE);
        failures++;
    }
    assert_int_equal(failures, 2); // the statement, and room for its cells
    free(work);
    sqlite_connection_close(&connection);
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE_TEST(what_cannot_be_opened_says_why),
        SCENE_TEST(another_encoding_is_refused),
        SCENE_TEST(a_new_file_is_what_it_has_to_be),
        SCENE_TEST(only_the_writer_makes_a_file),
        SCENE_TEST(readers_change_nothing),
        SCENE_TEST(trouble_is_logged_now_and_then),
        SCENE_TEST(long_work_is_stopped_at_its_deadline),
        SCENE_TEST(opening_survives_a_lack_of_memory),
        SCENE_TEST(running_survives_a_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
