// The contract of src/store/store.h, held against the store that the variable STORE names: sqlite,
// or traced, which is the same one behind a tracing store. SQL is written so that every store takes
// it; what differs is in the table of fixtures.
#include "store_harness.h"

#include "store/sqlite/sqlite_store.h"
#include "store/tracing_store.h"

#include <unistd.h>

struct settings {
    unsigned queue_limit;
    unsigned query_timeout;
    unsigned cached_statements;
};

// A store under test.
struct fixture {
    const char *name;
    struct store *(*open)(const char *directory, const struct settings *settings,
                          struct failure *failure);
    const char *const *schema;
};

static struct store *open_sqlite(const char *directory, const struct settings *settings,
                                 struct failure *failure) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/test.db", directory);
    struct sqlite_options options = {
        .path = path,
        .queue_limit = settings->queue_limit,
        .query_timeout = settings->query_timeout,
        .cached_statements = settings->cached_statements,
    };
    return sqlite_store_open(&options, NULL, failure);
}

static struct store *open_traced(const char *directory, const struct settings *settings,
                                 struct failure *failure) {
    struct store *inner = open_sqlite(directory, settings, failure);
    return inner ? tracing_store_open(inner, NULL, failure) : NULL;
}

static const char *const sqlite_schema[] = {
    "CREATE TABLE items(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, size BIGINT)",
    "CREATE TABLE parts(id INTEGER PRIMARY KEY, item BIGINT REFERENCES items(id))",
    "CREATE TABLE kinds(id INTEGER PRIMARY KEY, b INTEGER, i INTEGER, r REAL, d INTEGER, t TEXT,"
    " y BLOB, ts TEXT, da TEXT, u TEXT, j TEXT)",
    NULL,
};

static const struct fixture fixtures[] = {
    {"sqlite", open_sqlite, sqlite_schema},
    {"traced", open_traced, sqlite_schema},
};

// What a test works with.
struct scene {
    const struct fixture *fixture;
    char directory[64];
    struct harness harness;
};

static const struct fixture *chosen_fixture(void) {
    const char *name = getenv("STORE");
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++) {
        if (strcmp(name ? name : "sqlite", fixtures[i].name) == 0)
            return &fixtures[i];
    }
    fail_msg("no store is called %s", name);
    return NULL;
}

static struct scene *scene_open(struct settings settings) {
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    scene->fixture = chosen_fixture();
    (void)snprintf(scene->directory, sizeof scene->directory, "/tmp/store-contract-XXXXXX");
    assert_non_null(mkdtemp(scene->directory));
    struct failure failure;
    struct store *store = scene->fixture->open(scene->directory, &settings, &failure);
    if (!store) {
        fail_msg("%s", failure.detail);
        return scene;
    }
    harness_attach(&scene->harness, store);
    for (const char *const *sql = scene->fixture->schema; *sql; sql++)
        harness_do(&scene->harness, *sql);
    return scene;
}

static void remove_directory(const char *directory) {
    static const char *const names[] = {"test.db", "test.db-wal", "test.db-shm"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(directory), 0);
}

// After the session has been detached.
static void scene_remove(struct scene *scene) {
    store_close(scene->harness.store);
    remove_directory(scene->directory);
    free(scene);
}

static void scene_close(struct scene *scene) {
    harness_detach(&scene->harness);
    scene_remove(scene);
}

static int set_up(void **state) {
    *state = scene_open((struct settings){0});
    return 0;
}

static int tear_down(void **state) {
    scene_close(*state);
    return 0;
}

static struct harness *harness_of(void **state) {
    return &((struct scene *)*state)->harness;
}

// INSERT INTO items, as one call.
static struct work *insert_item(struct harness *harness, const char *name, int64_t size) {
    struct work *work = work_create(harness, JOB_WRITE);
    work_add(work, "INSERT INTO items(name, size) VALUES($1, $2)", "")->expect = 1;
    work_bind_text(work, name);
    work_bind(work, value_integer(size));
    return work;
}

static void put_item(struct harness *harness, const char *name, int64_t size) {
    struct work *work = insert_item(harness, name, size);
    assert_int_equal(work_run(work), OUTCOME_DONE);
    assert_int_equal(work->calls[0].rows, 1);
    free(work);
}

static void expect_items(struct harness *harness, const char *rows) {
    harness_expect(harness, "SELECT name, size FROM items ORDER BY id", "ti", rows);
}

// --- reading and writing

static void rows_come_in_order(void **state) {
    struct harness *harness = harness_of(state);
    put_item(harness, "a", 1);
    put_item(harness, "b", 2);
    put_item(harness, "c", 3);
    expect_items(harness, "'a', 1; 'b', 2; 'c', 3");
    harness_expect(harness, "SELECT size, name FROM items ORDER BY size DESC", "it",
                   "3, 'c'; 2, 'b'; 1, 'a'");
    harness_expect(harness, "SELECT name FROM items WHERE size > 5", "t", "");
}

static void reads_of_several_calls_come_call_by_call(void **state) {
    struct harness *harness = harness_of(state);
    put_item(harness, "a", 1);
    put_item(harness, "b", 2);
    struct work *work = work_create(harness, JOB_READ);
    work_add(work, "SELECT name FROM items ORDER BY id", "t");
    work_add(work, "SELECT count(*) FROM items", "i");
    assert_int_equal(work_run(work), OUTCOME_DONE);
    assert_string_equal(work->rows, "'a'; 'b'; 2");
    assert_int_equal(work->calls[0].rows, 2);
    assert_int_equal(work->calls[1].rows, 1);
    free(work);
}

static void scans_read_what_was_written(void **state) {
    struct harness *harness = harness_of(state);
    put_item(harness, "a", 1);
    struct work *work = work_create(harness, JOB_SCAN);
    work_add(work, "SELECT name FROM items ORDER BY id", "t");
    work_add(work, "SELECT count(*) FROM items", "i");
    assert_int_equal(work_run(work), OUTCOME_DONE);
    assert_string_equal(work->rows, "'a'; 1");
    put_item(harness, "b", 1);
    for (int i = 0; i < 4; i++) { // on each thread that may have run the first
        assert_int_equal(work_run(work), OUTCOME_DONE);
        assert_string_equal(work->rows, "'a'; 'b'; 2");
    }
    free(work);
}

static void read_after_done(struct work *work) {
    struct work *read = work->job.owner;
    assert_true(work_submit(read));
}

static void a_write_is_seen_as_soon_as_it_is_done(void **state) {
    struct harness *harness = harness_of(state);
    enum job_kind kinds[] = {JOB_READ, JOB_SCAN};
    for (size_t i = 0; i < 2; i++) {
        struct work *read = work_create(harness, kinds[i]);
        work_add(read, "SELECT count(*) FROM items WHERE name = $1", "i");
        work_bind_text(read, i ? "second" : "first");
        struct work *write = insert_item(harness, i ? "second" : "first", 0);
        write->job.owner = read;
        write->then = read_after_done;
        work_run(write);
        assert_string_equal(read->rows, "1");
        free(read);
        free(write);
    }
}

static void returning_gives_rows(void **state) {
    struct harness *harness = harness_of(state);
    put_item(harness, "a", 1);
    put_item(harness, "b", 2);
    struct work *work = work_create(harness, JOB_WRITE);
    work_add(work, "UPDATE items SET size = size + 10 RETURNING id, size", "ii")->expect = 2;
    assert_int_equal(work_run(work), OUTCOME_DONE);
    assert_int_equal(work->calls[0].rows, 2);
    assert_non_null(strstr(work->rows, "1, 11"));
    assert_non_null(strstr(work->rows, "2, 12"));
    free(work);
    expect_items(harness, "'a', 11; 'b', 12");
}

static void rows_are_counted(void **state) {
    struct harness *harness = harness_of(state);
    put_item(harness, "a", 1);
    put_item(harness, "b", 2);
    struct work *work = work_create(harness, JOB_WRITE);
    struct call *call = work_add(work, "UPDATE items SET size = 0", "");
    work_add(work, "UPDATE items SET size = 1 WHERE name = 'nobody'", "");
    work_add(work, "DELETE FROM items WHERE name = 'a'", "");
    assert_int_equal(work_run(work), OUTCOME_DONE);
    assert_int_equal(call[0].rows, 2);
    assert_int_equal(call[1].rows, 0);
    assert_int_equal(call[2].rows, 1);
    free(work);
}

static void a_job_may_have_no_calls(void **state) {
    static const enum job_kind kinds[] = {JOB_READ, JOB_SCAN, JOB_WRITE};
    for (size_t i = 0; i < 3; i++) {
        struct work *work = work_create(harness_of(state), kinds[i]);
        assert_int_equal(work_run(work), OUTCOME_DONE);
        free(work);
    }
}

// --- all or nothing

static void a_conflict_undoes_the_whole_job(void **state) {
    struct harness *harness = harness_of(state);
    put_item(harness, "taken", 1);
    struct work *work = insert_item(harness, "new", 2);
    work_add(work, "INSERT INTO items(name, size) VALUES($1, $2)", "");
    work_bind_text(work, "taken");
    work_bind(work, value_integer(3));
    assert_int_equal(work_run(work), OUTCOME_CONFLICT);
    assert_int_equal(work->outcome.call, 1);
    free(work);
    expect_items(harness, "'taken', 1");
}

// An UPDATE of three items that expects so many rows.
static struct work *update_three(struct harness *harness, int64_t expect, const char *columns) {
    struct work *work = work_create(harness, JOB_WRITE);
    const char *sql =
        *columns ? "UPDATE items SET size = 9 RETURNING id" : "UPDATE items SET size = 9";
    work_add(work, sql, columns)->expect = expect;
    return work;
}

static void an_unmet_expectation_undoes_the_job(void **state) {
    struct harness *harness = harness_of(state);
    put_item(harness, "a", 1);
    put_item(harness, "b", 1);
    put_item(harness, "c", 1);
    static const int64_t unmet[] = {0, 1, 2, 4};
    for (size_t i = 0; i < 8; i++) {
        struct work *work = update_three(harness, unmet[i / 2], i % 2 ? "i" : "");
        assert_int_equal(work_run(work), OUTCOME_UNEXPECTED);
        assert_int_equal(work->outcome.call, 0);
        free(work);
        expect_items(harness, "'a', 1; 'b', 1; 'c', 1");
    }
    struct work *work = update_three(harness, 3, "");
    assert_int_equal(work_run(work), OUTCOME_DONE);
    free(work);
    expect_items(harness, "'a', 9; 'b', 9; 'c', 9");
}

static void an_unmet_expectation_of_a_later_call_undoes_the_earlier(void **state) {
    struct harness *harness = harness_of(state);
    struct work *work = insert_item(harness, "a", 1);
    work_add(work, "UPDATE items SET size = 2 WHERE name = 'nobody'", "")->expect = 1;
    work_add(work, "UPDATE items SET size = 3", "");
    assert_int_equal(work_run(work), OUTCOME_UNEXPECTED);
    assert_int_equal(work->outcome.call, 1);
    free(work);
    expect_items(harness, "");
}

static void a_read_may_expect_rows(void **state) {
    struct harness *harness = harness_of(state);
    put_item(harness, "a", 1);
    struct work *work = work_create(harness, JOB_READ);
    work_add(work, "SELECT name FROM items", "t")->expect = 1;
    assert_int_equal(work_run(work), OUTCOME_DONE);
    work->calls[0].expect = 2;
    assert_int_equal(work_run(work), OUTCOME_UNEXPECTED);
    free(work);
}

static void giving_up_at_a_row_undoes_the_job(void **state) {
    struct harness *harness = harness_of(state);
    put_item(harness, "a", 1);
    put_item(harness, "b", 1);
    put_item(harness, "c", 1);
    for (size_t row = 1; row <= 3; row++) {
        struct work *work = update_three(harness, EXPECT_ANY, "i");
        work->give_up_at = row;
        assert_int_equal(work_run(work), OUTCOME_FAILED);
        assert_int_equal(work->row_count, row);
        free(work);
    }
    expect_items(harness, "'a', 1; 'b', 1; 'c', 1");
    struct work *work = work_create(harness, JOB_READ);
    work_add(work, "SELECT id FROM items", "i");
    work->give_up_at = 2;
    assert_int_equal(work_run(work), OUTCOME_FAILED);
    assert_int_equal(work->row_count, 2);
    free(work);
}

// --- what may stand against a job

static void expect_conflict(struct work *work, enum conflict_kind kind, const char *constraint) {
    assert_int_equal(work_run(work), OUTCOME_CONFLICT);
    assert_int_equal(work->outcome.conflict, kind);
    if (constraint && !strstr(work->outcome.constraint, constraint))
        fail_msg("'%s' should name %s", work->outcome.constraint, constraint);
    free(work);
}

static void conflicts_say_of_which_kind_they_are(void **state) {
    struct harness *harness = harness_of(state);
    put_item(harness, "a", 1);
    expect_conflict(insert_item(harness, "a", 2), CONFLICT_UNIQUE, "name");
    harness_do(harness, "CREATE UNIQUE INDEX pairs ON items(name, size)");
    struct work *work = work_create(harness, JOB_WRITE);
    work_add(work, "INSERT INTO items(id, name) VALUES(1, 'b')", "");
    expect_conflict(work, CONFLICT_UNIQUE, NULL);
    work = work_create(harness, JOB_WRITE);
    work_add(work, "INSERT INTO parts(id, item) VALUES(1, 77)", "");
    expect_conflict(work, CONFLICT_REFERENCE, NULL);
    harness_do(harness, "INSERT INTO parts(id, item) VALUES(1, 1)");
    work = work_create(harness, JOB_WRITE);
    work_add(work, "DELETE FROM items", "");
    expect_conflict(work, CONFLICT_REFERENCE, NULL);
    expect_items(harness, "'a', 1");
}

static void overflow_is_told_apart(void **state) {
    struct work *work = work_create(harness_of(state), JOB_READ);
    work_add(work, "SELECT abs(CAST($1 AS BIGINT))", "i");
    work_bind(work, value_integer(INT64_MIN));
    assert_int_equal(work_run(work), OUTCOME_OVERFLOW);
    free(work);
}

static void defects_are_failures(void **state) {
    struct harness *harness = harness_of(state);
    static const struct {
        const char *sql;
        const char *columns;
        unsigned parameters;
    } defects[] = {
        {"SELECT nonsense FROM items", "i", 0},
        {"SELEC 1", "i", 0},
        {"SELECT 1", "ii", 0},
        {"SELECT 1, 2", "i", 0},
        {"SELECT $1", "i", 0},
        {"SELECT 1", "i", 1},
        {"SELECT 1; SELECT 2", "i", 0},
        {"", "", 0},
        {"SELECT 'text'", "i", 0},
    };
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        struct work *work = work_create(harness, i % 2 ? JOB_READ : JOB_WRITE);
        work_add(work, defects[i].sql, defects[i].columns);
        for (unsigned j = 0; j < defects[i].parameters; j++)
            work_bind(work, value_integer(1));
        assert_true_for(work_run(work) == OUTCOME_FAILED, defects[i].sql);
        free(work);
    }
    put_item(harness, "still", 1);
}

// --- values

static void bind_all_kinds(struct work *work, const struct value values[11]) {
    for (size_t i = 0; i < 11; i++)
        work_bind(work, values[i]);
}

#define TEXT_VALUE(kind, literal) value_text(kind, TEXT(literal))

static void values_come_back_as_they_went(void **state) {
    struct harness *harness = harness_of(state);
    const struct value rows[][11] = {
        {value_integer(1), value_boolean(true), value_integer(INT64_MAX), value_real(0.1),
         value_decimal(1999, 2), TEXT_VALUE(VALUE_TEXT, "Käse \xf0\x9f\xa7\x80"),
         value_text(VALUE_BYTES, text_of("\0\xff\x01", 3)),
         TEXT_VALUE(VALUE_TIMESTAMP, "2016-08-05T08:40:51.620Z"),
         TEXT_VALUE(VALUE_DATE, "2016-08-05"),
         TEXT_VALUE(VALUE_UUID, "0190163d-8694-739b-aea5-966c26f8ad91"),
         TEXT_VALUE(VALUE_JSON, "{\"b\": 1e2, \"a\":[]}")},
        {value_integer(2), value_boolean(false), value_integer(INT64_MIN), value_real(-0x1p-1074),
         value_decimal(-1, 2), TEXT_VALUE(VALUE_TEXT, ""),
         value_text(VALUE_BYTES, text_of(NULL, 0)),
         TEXT_VALUE(VALUE_TIMESTAMP, "0001-01-01T00:00:00.000Z"),
         TEXT_VALUE(VALUE_DATE, "9999-12-31"),
         TEXT_VALUE(VALUE_UUID, "00000000-0000-0000-0000-000000000000"),
         TEXT_VALUE(VALUE_JSON, "null")},
        {value_integer(3), value_null(), value_null(), value_null(), value_null(), value_null(),
         value_null(), value_null(), value_null(), value_null(), value_null()},
        {value_integer(4), value_boolean(true), value_integer(0), value_real(3),
         value_decimal(0, 2), value_text(VALUE_TEXT, text_of(NULL, 0)),
         TEXT_VALUE(VALUE_BYTES, "x"), TEXT_VALUE(VALUE_TIMESTAMP, "9999-12-31T23:59:59.999Z"),
         TEXT_VALUE(VALUE_DATE, "0001-01-01"),
         TEXT_VALUE(VALUE_UUID, "ffffffff-ffff-ffff-ffff-ffffffffffff"),
         TEXT_VALUE(VALUE_JSON, "\"\"")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct work *work = work_create(harness, JOB_WRITE);
        work_add(work, "INSERT INTO kinds VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                 "");
        bind_all_kinds(work, rows[i]);
        assert_int_equal(work_run(work), OUTCOME_DONE);
        free(work);
    }
    harness_expect(
        harness, "SELECT b, i, r, d, t, y, ts, da, u, j FROM kinds ORDER BY id", "birdtyTDuj",
        "true, 9223372036854775807, 0x1.999999999999ap-4, 1999e-2, 'Käse \xf0\x9f\xa7\x80', "
        "00ff01, '2016-08-05T08:40:51.620Z', '2016-08-05', "
        "'0190163d-8694-739b-aea5-966c26f8ad91', '{\"b\": 1e2, \"a\":[]}'; "
        "false, -9223372036854775808, -0x0.0000000000001p-1022, -1e-2, '', , "
        "'0001-01-01T00:00:00.000Z', '9999-12-31', '00000000-0000-0000-0000-000000000000', 'null'; "
        "null, null, null, null, null, null, null, null, null, null; "
        "true, 0, 0x1.8p+1, 0e-2, '', 78, '9999-12-31T23:59:59.999Z', '0001-01-01', "
        "'ffffffff-ffff-ffff-ffff-ffffffffffff', '\"\"'");
}

static void long_texts_come_back_whole(void **state) {
    struct harness *harness = harness_of(state);
    size_t size = 4 * 1024 * 1024;
    char *text = malloc(size);
    assert_non_null(text);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)('a' + i % 23);
    struct work *work = work_create(harness, JOB_WRITE);
    work_add(work, "INSERT INTO items(name, size) VALUES(NULL, 1)", "");
    work_add(work, "UPDATE kinds SET t = $1", "");
    work_bind(work, value_null());
    work_add(work, "INSERT INTO kinds(id, t) VALUES(1, $1)", "");
    work_bind(work, value_text(VALUE_TEXT, text_of(text, size)));
    assert_int_equal(work_run(work), OUTCOME_DONE);
    free(work);
    work = work_create(harness, JOB_READ);
    work_add(work, "SELECT length(t), t = $1 FROM kinds", "ii");
    work_bind(work, value_text(VALUE_TEXT, text_of(text, size)));
    assert_int_equal(work_run(work), OUTCOME_DONE);
    assert_string_equal(work->rows, "4194304, 1");
    free(work);
    free(text);
}

// --- groups

enum { GROUP = 64 };

// Works that go into one group: submitted in one turn of the loop.
static void run_group(struct harness *harness, struct work *works[GROUP]) {
    for (size_t i = 0; i < GROUP; i++)
        assert_true(work_submit(works[i]));
    harness_run(harness);
}

static struct work *bad_conflict(struct harness *harness) {
    return insert_item(harness, "taken", 1);
}

static struct work *bad_second_call(struct harness *harness) {
    struct work *work = insert_item(harness, "left over", 1);
    work_add(work, "INSERT INTO items(name) VALUES('taken')", "");
    return work;
}

static struct work *bad_expectation(struct harness *harness) {
    struct work *work = work_create(harness, JOB_WRITE);
    work_add(work, "UPDATE items SET size = 1000 WHERE name IN ('taken', 'free')", "")->expect = 1;
    return work;
}

static struct work *bad_row(struct harness *harness) {
    struct work *work = work_create(harness, JOB_WRITE);
    work_add(work, "UPDATE items SET size = 1000 WHERE name IN ('taken', 'free') RETURNING id",
             "i");
    work->give_up_at = 2;
    return work;
}

static struct work *bad_statement(struct harness *harness) {
    struct work *work = insert_item(harness, "left over", 1);
    work_add(work, "INSERT INTO nowhere VALUES(1)", "");
    return work;
}

static struct work *bad_reference(struct harness *harness) {
    struct work *work = insert_item(harness, "left over", 1);
    work_add(work, "INSERT INTO parts(id, item) VALUES(1, 12345)", "");
    return work;
}

static const struct {
    struct work *(*make)(struct harness *harness);
    enum outcome_kind outcome;
} bad_jobs[] = {
    {bad_conflict, OUTCOME_CONFLICT},      {bad_second_call, OUTCOME_CONFLICT},
    {bad_expectation, OUTCOME_UNEXPECTED}, {bad_row, OUTCOME_FAILED},
    {bad_statement, OUTCOME_FAILED},       {bad_reference, OUTCOME_CONFLICT},
};

// Some with one call and some with two, some that give rows: insert "row <i>".
static struct work *good_job(struct harness *harness, size_t i, char name[32]) {
    (void)snprintf(name, 32, "row %03zu", i);
    if (i % 3 == 0)
        return insert_item(harness, name, (int64_t)i);
    struct work *work = work_create(harness, JOB_WRITE);
    work_add(work, "INSERT INTO items(name, size) VALUES($1, $2) RETURNING name", "t")->expect = 1;
    work_bind_text(work, name);
    work_bind(work, value_integer(0));
    work_add(work, "UPDATE items SET size = $1 WHERE name = $2", "")->expect = 1;
    work_bind(work, value_integer((int64_t)i));
    work_bind_text(work, name);
    return work;
}

static void check_good(const struct work *work, size_t i, const char *name) {
    assert_int_equal(work->done, 1);
    assert_int_equal(work->outcome.kind, OUTCOME_DONE);
    char quoted[64] = "";
    if (i % 3)
        (void)snprintf(quoted, sizeof quoted, "'%s'", name);
    assert_string_equal(work->rows, quoted);
}

// At every place of the group there may be bad jobs of every kind.
static void a_job_that_fails_takes_no_other_with_it(void **state) {
    struct harness *harness = harness_of(state);
    put_item(harness, "taken", 1);
    put_item(harness, "free", 1);
    enum { KINDS = sizeof bad_jobs / sizeof *bad_jobs };
    for (size_t round = 0; round < KINDS + 2; round++) {
        struct work *works[GROUP];
        char names[GROUP][32];
        for (size_t i = 0; i < GROUP; i++) {
            bool bad = round < KINDS ? i == (round * 31 + 5) % GROUP : i % 3 != round % 3;
            works[i] =
                bad ? bad_jobs[(i + round) % KINDS].make(harness) : good_job(harness, i, names[i]);
            works[i]->job.owner = bad ? works[i] : NULL;
        }
        run_group(harness, works);
        size_t good = 0;
        for (size_t i = 0; i < GROUP; i++) {
            if (works[i]->job.owner)
                assert_int_equal(works[i]->outcome.kind, bad_jobs[(i + round) % KINDS].outcome);
            else
                check_good(works[i], i, names[i]);
            good += !works[i]->job.owner;
            free(works[i]);
        }
        char count[32];
        (void)snprintf(count, sizeof count, "%zu", good);
        harness_expect(harness, "SELECT count(*) FROM items WHERE name LIKE 'row %'", "i", count);
        harness_expect(harness, "SELECT size FROM items WHERE name IN ('taken', 'free')", "i",
                       "1; 1");
        harness_expect(harness, "SELECT count(*) FROM items WHERE name = 'left over'", "i", "0");
        harness_do(harness, "DELETE FROM items WHERE name LIKE 'row %'");
    }
}

static void jobs_of_one_session_keep_their_order(void **state) {
    struct harness *harness = harness_of(state);
    put_item(harness, "a", 0);
    struct work *works[GROUP];
    for (size_t i = 0; i < GROUP; i++) {
        works[i] = work_create(harness, JOB_WRITE);
        work_add(works[i], "UPDATE items SET size = $1 WHERE size = $2", "")->expect = 1;
        work_bind(works[i], value_integer((int64_t)i + 1));
        work_bind(works[i], value_integer((int64_t)i));
    }
    run_group(harness, works);
    for (size_t i = 0; i < GROUP; i++) {
        assert_int_equal(works[i]->outcome.kind, OUTCOME_DONE);
        free(works[i]);
    }
    expect_items(harness, "'a', 64");
}

static void groups_are_counted(void **state) {
    struct harness *harness = harness_of(state);
    struct store_statistics before;
    store_statistics(harness->store, &before);
    struct work *works[GROUP];
    char names[GROUP][32];
    for (size_t i = 0; i < GROUP; i++)
        works[i] = good_job(harness, i, names[i]);
    run_group(harness, works);
    struct store_statistics after;
    store_statistics(harness->store, &after);
    assert_int_equal(after.grouped_jobs - before.grouped_jobs, GROUP);
    assert_in_range(after.groups - before.groups, 1, GROUP);
    assert_int_equal(after.queued, 0);
    for (size_t i = 0; i < GROUP; i++)
        free(works[i]);
}

// --- submitting and ending

static void submit_again(struct work *work) {
    size_t *left = work->job.owner;
    if (--*left)
        assert_true(work_submit(work));
}

static void a_job_may_be_submitted_again_when_done(void **state) {
    static const enum job_kind kinds[] = {JOB_READ, JOB_SCAN, JOB_WRITE};
    for (size_t i = 0; i < 3; i++) {
        size_t left = 300;
        struct work *work = work_create(harness_of(state), kinds[i]);
        work_add(work, "SELECT CAST($1 AS BIGINT)", "i");
        work_bind(work, value_integer(7));
        work->job.owner = &left;
        work->then = submit_again;
        work_run(work);
        assert_int_equal(left, 0);
        assert_string_equal(work->rows, "7");
        free(work);
    }
}

static void on_timer(uv_timer_t *timer) {
    *(bool *)timer->data = true;
}

// A loop that is kept busy by reads must still see its timers.
static void reads_do_not_starve_the_loop(void **state) {
    struct harness *harness = harness_of(state);
    size_t left = 1000000;
    bool fired = false;
    uv_timer_t timer;
    uv_timer_init(&harness->loop, &timer);
    timer.data = &fired;
    uv_timer_start(&timer, on_timer, 1, 0);
    struct work *work = work_create(harness, JOB_READ);
    work_add(work, "SELECT 1", "i");
    work->job.owner = &left;
    work->then = submit_again;
    assert_true(work_submit(work));
    while (!fired)
        uv_run(&harness->loop, UV_RUN_NOWAIT);
    assert_true(left > 1);
    left = 1;
    harness_run(harness);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&harness->loop, UV_RUN_NOWAIT);
    free(work);
}

static void a_full_queue_refuses_at_once(void **state) {
    static const enum job_kind kinds[] = {JOB_READ, JOB_WRITE};
    struct scene *scene = scene_open((struct settings){.queue_limit = 4});
    for (size_t i = 0; i < 2; i++) {
        struct work *works[5];
        for (size_t j = 0; j < 5; j++) {
            works[j] = work_create(&scene->harness, kinds[i]);
            work_add(works[j], "SELECT 1", "i");
            assert_int_equal(work_submit(works[j]), j < 4);
        }
        harness_run(&scene->harness);
        assert_int_equal(works[4]->done, 0);
        assert_int_equal(work_run(works[4]), OUTCOME_DONE); // there is room again
        for (size_t j = 0; j < 5; j++) {
            assert_int_equal(works[j]->outcome.kind, OUTCOME_DONE);
            free(works[j]);
        }
    }
    scene_close(scene);
}

// Counts to so many in the database: some 10 ns for each.
static const char *const count_up = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                                    "FROM c WHERE i < 10000000000) SELECT count(*) FROM c";

static const char *const count_and_insert =
    "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 10000000000) "
    "INSERT INTO items(name) SELECT 'counted' FROM c WHERE i < 0";

static void what_takes_too_long_is_stopped(void **state) {
    static const enum job_kind kinds[] = {JOB_READ, JOB_SCAN};
    struct scene *scene = scene_open((struct settings){.query_timeout = 300});
    for (size_t i = 0; i < 4; i++) {
        struct work *work = work_create(&scene->harness, kinds[i % 2]);
        work_add(work, count_up, "i");
        work->job.deadline = i < 2 ? clock_monotonic() + 100 : 0;
        assert_int_equal(work_run(work), OUTCOME_TIMEOUT);
        assert_in_range(work->took, i < 2 ? 95 : 295, 3000);
        free(work);
    }
    put_item(&scene->harness, "still", 1);
    expect_items(&scene->harness, "'still', 1");
    scene_close(scene);
}

static void a_write_that_takes_too_long_takes_no_other_with_it(void **state) {
    struct scene *scene = scene_open((struct settings){.query_timeout = 200});
    struct work *works[GROUP];
    char names[GROUP][32];
    for (size_t i = 0; i < GROUP; i++) {
        works[i] = good_job(&scene->harness, i, names[i]);
        works[i]->job.deadline = UINT64_MAX;
    }
    free(works[40]);
    works[40] = work_create(&scene->harness, JOB_WRITE);
    work_add(works[40], count_and_insert, "");
    run_group(&scene->harness, works);
    for (size_t i = 0; i < GROUP; i++) {
        if (i != 40)
            check_good(works[i], i, names[i]);
    }
    assert_int_equal(works[40]->outcome.kind, OUTCOME_TIMEOUT);
    assert_int_equal(works[40]->restarts, 0);
    for (size_t i = 0; i < GROUP; i++)
        free(works[i]);
    harness_expect(&scene->harness, "SELECT count(*) FROM items", "i", "63");
    scene_close(scene);
}

static void a_job_that_is_too_late_is_not_run(void **state) {
    static const enum job_kind kinds[] = {JOB_READ, JOB_SCAN, JOB_WRITE};
    struct harness *harness = harness_of(state);
    for (size_t i = 0; i < 3; i++) {
        struct work *work = work_create(harness, kinds[i]);
        work_add(work, "SELECT 1", "i");
        work->job.deadline = 1;
        assert_int_equal(work_run(work), OUTCOME_TIMEOUT);
        assert_int_equal(work->row_count, 0);
        work->job.deadline = UINT64_MAX;
        assert_int_equal(work_run(work), OUTCOME_DONE);
        free(work);
    }
}

static void a_job_that_waits_can_be_cancelled(void **state) {
    static const enum job_kind kinds[] = {JOB_READ, JOB_WRITE};
    struct harness *harness = harness_of(state);
    for (size_t i = 0; i < 2; i++) {
        struct work *work = work_create(harness, kinds[i]);
        work_add(work, "SELECT 1", "i");
        assert_true(work_submit(work));
        store_cancel(harness->session, &work->job);
        assert_int_equal(work->done, 0);
        harness_run(harness);
        assert_int_equal(work->outcome.kind, OUTCOME_CANCELLED);
        assert_int_equal(work->row_count, 0);
        assert_int_equal(work_run(work), OUTCOME_DONE);
        free(work);
    }
}

static void on_cancel_timer(uv_timer_t *timer) {
    struct work *work = timer->data;
    store_cancel(work->harness->session, &work->job);
}

static void a_job_that_runs_can_be_cancelled(void **state) {
    struct harness *harness = harness_of(state);
    for (int i = 0; i < 2; i++) {
        struct work *work = work_create(harness, i ? JOB_WRITE : JOB_SCAN);
        work_add(work, i ? count_and_insert : count_up, i ? "" : "i");
        work->job.deadline = UINT64_MAX;
        uv_timer_t timer;
        uv_timer_init(&harness->loop, &timer);
        timer.data = work;
        uv_timer_start(&timer, on_cancel_timer, 50, 0);
        assert_int_equal(work_run(work), OUTCOME_CANCELLED);
        assert_in_range(work->took, 40, 3000);
        uv_close((uv_handle_t *)&timer, NULL);
        uv_run(&harness->loop, UV_RUN_NOWAIT);
        free(work);
    }
    put_item(harness, "still", 1);
    expect_items(harness, "'still', 1");
}

static void scans_do_not_hold_up_reads_or_writes(void **state) {
    struct harness *harness = harness_of(state);
    struct work *scans[3];
    for (size_t i = 0; i < 3; i++) {
        scans[i] = work_create(harness, JOB_SCAN);
        work_add(scans[i], count_up, "i");
        assert_true(work_submit(scans[i]));
    }
    struct work *read = work_create(harness, JOB_READ);
    work_add(read, "SELECT 1", "i");
    struct work *write = insert_item(harness, "quick", 1);
    assert_true(work_submit(read));
    assert_true(work_submit(write));
    while (!read->done || !write->done)
        uv_run(&harness->loop, UV_RUN_ONCE);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(scans[i]->done, 0);
        store_cancel(harness->session, &scans[i]->job);
    }
    harness_run(harness);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(scans[i]->outcome.kind, OUTCOME_CANCELLED);
        free(scans[i]);
    }
    free(read);
    free(write);
}

static void what_was_taken_is_answered_before_the_end(void **state) {
    struct scene *scene = scene_open((struct settings){0});
    struct harness *harness = &scene->harness;
    struct work *works[GROUP];
    char names[GROUP][32];
    for (size_t i = 0; i < GROUP; i++) {
        works[i] = i % 4 == 0 ? work_create(harness, i % 8 ? JOB_READ : JOB_SCAN)
                              : good_job(harness, i, names[i]);
        if (i % 4 == 0)
            work_add(works[i], "SELECT count(*) FROM items", "i");
        assert_true(work_submit(works[i]));
    }
    store_detach(harness->session, harness_on_detached, harness);
    assert_int_equal(harness->detached, 0);
    struct work *late = insert_item(harness, "late", 1);
    assert_false(work_submit(late));
    free(late);
    uv_run(&harness->loop, UV_RUN_DEFAULT);
    assert_int_equal(harness->detached, 1);
    assert_int_equal(uv_loop_close(&harness->loop), 0);
    for (size_t i = 0; i < GROUP; i++) {
        assert_int_equal(works[i]->done, 1);
        assert_int_equal(works[i]->outcome.kind, OUTCOME_DONE);
        free(works[i]);
    }
    struct harness again;
    harness_attach(&again, harness->store);
    harness_expect(&again, "SELECT count(*) FROM items", "i", "48");
    harness_detach(&again);
    scene_remove(scene);
}

static void detach_when_done(struct work *work) {
    struct harness *harness = work->harness;
    store_detach(harness->session, harness_on_detached, harness);
}

static void a_session_may_end_from_on_done(void **state) {
    static const enum job_kind kinds[] = {JOB_READ, JOB_SCAN, JOB_WRITE};
    struct scene *scene = scene_open((struct settings){0});
    for (size_t i = 0; i < 3; i++) {
        struct harness other;
        harness_attach(&other, scene->harness.store);
        struct work *work = work_create(&other, kinds[i]);
        work_add(work, "SELECT 1", "i");
        work->then = detach_when_done;
        assert_true(work_submit(work));
        uv_run(&other.loop, UV_RUN_DEFAULT);
        assert_int_equal(other.detached, 1);
        assert_int_equal(uv_loop_close(&other.loop), 0);
        free(work);
    }
    scene_close(scene);
}

static void what_is_written_outlives_the_store(void **state) {
    struct scene *scene = scene_open((struct settings){0});
    put_item(&scene->harness, "kept", 1);
    harness_detach(&scene->harness);
    store_close(scene->harness.store);
    struct failure failure;
    struct store *store = scene->fixture->open(scene->directory, &(struct settings){0}, &failure);
    assert_non_null(store);
    harness_attach(&scene->harness, store);
    expect_items(&scene->harness, "'kept', 1");
    scene_close(scene);
}

static void store_run_needs_no_loop(void **state) {
    struct harness *harness = harness_of(state);
    struct failure failure = {0};
    struct work *work = insert_item(harness, "a", 1);
    assert_true(store_run(harness->store, &work->job, &failure));
    assert_int_equal(work->done, 0);
    assert_false(store_run(harness->store, &work->job, &failure));
    assert_int_equal(failure.code, FAILURE_CONFLICT);
    assert_int_equal(work->job.outcome.kind, OUTCOME_CONFLICT);
    free(work);
    expect_items(harness, "'a', 1");
}

// --- statements

static void more_statements_than_are_kept(void **state) {
    struct scene *scene = scene_open((struct settings){.cached_statements = 8});
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 50; i++) {
            char sql[64];
            char rows[16];
            (void)snprintf(sql, sizeof sql, "SELECT %d", i % (round == 1 ? 12 : 50));
            (void)snprintf(rows, sizeof rows, "%d", i % (round == 1 ? 12 : 50));
            harness_expect(&scene->harness, sql, "i", rows);
        }
    }
    scene_close(scene);
}

static void statements_outlive_a_new_schema(void **state) {
    struct harness *harness = harness_of(state);
    put_item(harness, "a", 1);
    expect_items(harness, "'a', 1");
    harness_do(harness, "ALTER TABLE items ADD COLUMN color TEXT");
    expect_items(harness, "'a', 1");
    put_item(harness, "b", 2);
    harness_do(harness, "CREATE INDEX sizes ON items(size)");
    expect_items(harness, "'a', 1; 'b', 2");
    harness_expect(harness, "SELECT color FROM items WHERE size = 2", "t", "null");
}

static void a_schema_changes_whole_or_not_at_all(void **state) {
    struct harness *harness = harness_of(state);
    struct work *work = work_create(harness, JOB_WRITE);
    work_add(work, "CREATE TABLE extra(id INTEGER PRIMARY KEY)", "");
    work_add(work, "INSERT INTO extra VALUES(1)", "")->expect = 1;
    work_add(work, "INSERT INTO extra VALUES(1)", "");
    assert_int_equal(work_run(work), OUTCOME_CONFLICT);
    work->job.call_count = 2;
    assert_int_equal(work_run(work), OUTCOME_DONE);
    free(work);
    harness_expect(harness, "SELECT id FROM extra", "i", "1");
}

// --- snapshots

// The integer that is all of a row.
static int64_t integer_of_row(const struct work *work, size_t row) {
    struct text rest = text_from_string(work->rows);
    struct text part = TEXT("");
    for (size_t i = 0; i <= row; i++)
        assert_true(text_split(&rest, ';', &part));
    int64_t value = 0;
    assert_true(text_to_integer(text_trim(part), &value));
    return value;
}

static void all_calls_of_a_read_see_the_same(void **state) {
    struct harness *harness = harness_of(state);
    struct work *scan = work_create(harness, JOB_SCAN);
    work_add(scan, "SELECT count(*) FROM items", "i");
    work_add(scan,
             "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 1000000) "
             "SELECT count(*) FROM c",
             "i");
    work_add(scan, "SELECT count(*) FROM items", "i");
    assert_true(work_submit(scan));
    int64_t written = 0;
    while (!scan->done) {
        char name[32];
        (void)snprintf(name, sizeof name, "item %lld", (long long)written);
        struct work *write = insert_item(harness, name, written++);
        assert_true(work_submit(write));
        while (!write->done)
            uv_run(&harness->loop, UV_RUN_ONCE);
        assert_int_equal(write->outcome.kind, OUTCOME_DONE);
        free(write);
    }
    assert_int_equal(scan->outcome.kind, OUTCOME_DONE);
    assert_int_equal(integer_of_row(scan, 1), 1000000);
    assert_int_equal(integer_of_row(scan, 0), integer_of_row(scan, 2));
    free(scan);
}

// --- threads

enum { THREADS = 2, ROUNDS = 150, LANES = 8 };

struct hammer {
    struct store *store;
    uv_thread_t thread;
    size_t left;
};

// Moves one from an account to another; and every reader must find the same sum.
static void make_transfer(struct work *work, size_t lane) {
    work_add(work, "UPDATE items SET size = size - 1 WHERE id = $1", "")->expect = 1;
    work_bind(work, value_integer((int64_t)(lane % 4) + 1));
    work_add(work, "UPDATE items SET size = size + 1 WHERE id = $1", "")->expect = 1;
    work_bind(work, value_integer((int64_t)((lane + 1) % 4) + 1));
}

static void make_sum(struct work *work) {
    work_add(work, "SELECT sum(size) FROM items WHERE id <= 2", "i");
    work_add(work, "SELECT sum(size) FROM items WHERE id > 2", "i");
}

static void next_blow(struct work *work) {
    struct hammer *hammer = work->job.owner;
    assert_int_equal(work->outcome.kind, OUTCOME_DONE);
    if (work->job.kind != JOB_WRITE) {
        assert_int_equal(integer_of_row(work, 0) + integer_of_row(work, 1), 400);
    }
    if (hammer->left == 0)
        return;
    hammer->left--;
    assert_true(work_submit(work));
}

static void run_hammer(void *argument) {
    struct hammer *hammer = argument;
    struct harness harness;
    harness_attach(&harness, hammer->store);
    struct work *works[LANES];
    for (size_t i = 0; i < LANES; i++) {
        static const enum job_kind kinds[] = {JOB_WRITE, JOB_WRITE, JOB_READ, JOB_SCAN};
        works[i] = work_create(&harness, kinds[i % 4]);
        works[i]->job.owner = hammer;
        works[i]->then = next_blow;
        if (works[i]->job.kind == JOB_WRITE)
            make_transfer(works[i], i);
        else
            make_sum(works[i]);
        assert_true(work_submit(works[i]));
    }
    harness_run(&harness);
    harness_detach(&harness);
    for (size_t i = 0; i < LANES; i++)
        free(works[i]);
}

static void sessions_of_several_threads_share_the_store(void **state) {
    struct harness *harness = harness_of(state);
    put_item(harness, "a", 100);
    put_item(harness, "b", 100);
    put_item(harness, "c", 100);
    put_item(harness, "d", 100);
    struct hammer hammers[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        hammers[i] = (struct hammer){.store = harness->store, .left = (size_t)ROUNDS * LANES};
        assert_int_equal(uv_thread_create(&hammers[i].thread, run_hammer, &hammers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        uv_thread_join(&hammers[i].thread);
    harness_expect(harness, "SELECT sum(size) FROM items", "i", "400");
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE_TEST(rows_come_in_order),
        SCENE_TEST(reads_of_several_calls_come_call_by_call),
        SCENE_TEST(scans_read_what_was_written),
        SCENE_TEST(a_write_is_seen_as_soon_as_it_is_done),
        SCENE_TEST(returning_gives_rows),
        SCENE_TEST(rows_are_counted),
        SCENE_TEST(a_job_may_have_no_calls),
        SCENE_TEST(a_conflict_undoes_the_whole_job),
        SCENE_TEST(an_unmet_expectation_undoes_the_job),
        SCENE_TEST(an_unmet_expectation_of_a_later_call_undoes_the_earlier),
        SCENE_TEST(a_read_may_expect_rows),
        SCENE_TEST(giving_up_at_a_row_undoes_the_job),
        SCENE_TEST(conflicts_say_of_which_kind_they_are),
        SCENE_TEST(overflow_is_told_apart),
        SCENE_TEST(defects_are_failures),
        SCENE_TEST(values_come_back_as_they_went),
        SCENE_TEST(long_texts_come_back_whole),
        SCENE_TEST(a_job_that_fails_takes_no_other_with_it),
        SCENE_TEST(jobs_of_one_session_keep_their_order),
        SCENE_TEST(groups_are_counted),
        SCENE_TEST(a_job_may_be_submitted_again_when_done),
        SCENE_TEST(reads_do_not_starve_the_loop),
        cmocka_unit_test(a_full_queue_refuses_at_once),
        cmocka_unit_test(what_takes_too_long_is_stopped),
        cmocka_unit_test(a_write_that_takes_too_long_takes_no_other_with_it),
        SCENE_TEST(a_job_that_is_too_late_is_not_run),
        SCENE_TEST(a_job_that_waits_can_be_cancelled),
        SCENE_TEST(a_job_that_runs_can_be_cancelled),
        SCENE_TEST(scans_do_not_hold_up_reads_or_writes),
        cmocka_unit_test(what_was_taken_is_answered_before_the_end),
        cmocka_unit_test(a_session_may_end_from_on_done),
        cmocka_unit_test(what_is_written_outlives_the_store),
        SCENE_TEST(store_run_needs_no_loop),
        cmocka_unit_test(more_statements_than_are_kept),
        SCENE_TEST(statements_outlive_a_new_schema),
        SCENE_TEST(a_schema_changes_whole_or_not_at_all),
        SCENE_TEST(all_calls_of_a_read_see_the_same),
        SCENE_TEST(sessions_of_several_threads_share_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
