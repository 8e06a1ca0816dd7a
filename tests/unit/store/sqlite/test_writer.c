#include "unit/store/sqlite/scene.h"

#include "store/sqlite/writer.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>

// SQLite's own calls of the system come by here, as the program's symbols go before the library's.
static atomic_int failing_syncs;  // so many to come fail
static atomic_int failing_writes; // so many to come fail
static atomic_int write_error;    // with this errno

static bool fails(atomic_int *left) {
    return atomic_load(left) > 0 && atomic_fetch_sub(left, 1) > 0;
}

// The names that the C library gives these parameters are reserved to it.
// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)
__attribute__((visibility("default"))) int fdatasync(int file) {
    if (!fails(&failing_syncs))
        return (int)syscall(SYS_fdatasync, file);
    errno = EIO;
    return -1;
}

__attribute__((visibility("default"))) ssize_t pwrite64(int file, const void *data, size_t size,
                                                        off64_t offset) {
    if (!fails(&failing_writes))
        return syscall(SYS_pwrite64, file, data, size, offset);
    errno = atomic_load(&write_error);
    return -1;
}
// NOLINTEND(readability-inconsistent-declaration-parameter-name)

static void fail_writes(int count, int error) {
    atomic_store(&write_error, error);
    atomic_store(&failing_writes, count);
}

static void heal(void) {
    atomic_store(&failing_writes, 0);
    atomic_store(&failing_syncs, 0);
}

enum { GROUP = 64, ALWAYS = 1000000 };

static int set_up(void **state) {
    static struct scene scene;
    scene_make_directory(&scene);
    scene_open_store(&scene, (struct sqlite_options){.busy_timeout = 100}, NULL);
    harness_do(&scene.harness, "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT)");
    harness_do(&scene.harness, "CREATE TABLE parts(id INTEGER PRIMARY KEY, item INTEGER "
                               "REFERENCES items(id) DEFERRABLE INITIALLY DEFERRED)");
    *state = &scene;
    return 0;
}

static int tear_down(void **state) {
    struct scene *scene = *state;
    heal();
    harness_expect(&scene->harness, "PRAGMA integrity_check", "t", "'ok'");
    scene_close_store(scene);
    scene_remove_directory(scene);
    return 0;
}

static struct harness *harness_of(void **state) {
    return &((struct scene *)*state)->harness;
}

// One row, given back, and every third time a second call.
static struct work *insert_row(struct harness *harness, int64_t id) {
    struct work *work = work_create(harness, JOB_WRITE);
    work_add(work, "INSERT INTO items(id, name) VALUES($1, 'a name') RETURNING id", "i")->expect =
        1;
    work_bind(work, value_integer(id));
    if (id % 3 == 0) {
        work_add(work, "UPDATE items SET name = 'another' WHERE id = $1", "")->expect = 1;
        work_bind(work, value_integer(id));
    }
    return work;
}

struct group {
    struct work *works[GROUP];
};

static void run_group(struct harness *harness, struct group *group) {
    for (int64_t i = 0; i < GROUP; i++) {
        group->works[i] = insert_row(harness, i);
        assert_true(work_submit(group->works[i]));
    }
    harness_run(harness);
}

static void free_group(struct group *group) {
    for (size_t i = 0; i < GROUP; i++)
        free(group->works[i]);
}

static void expect_all(struct group *group, enum outcome_kind kind) {
    for (size_t i = 0; i < GROUP; i++) {
        assert_int_equal(group->works[i]->outcome.kind, kind);
        if (kind == OUTCOME_DONE) // its row came once, or was taken back in between
            assert_int_equal(group->works[i]->row_count, 1);
    }
}

static void expect_rows(struct harness *harness, const char *count) {
    harness_expect(harness, "SELECT count(*) FROM items", "i", count);
}

static void a_commit_that_fails_once_is_made_up_for(void **state) {
    struct harness *harness = harness_of(state);
    for (int i = 0; i < 3; i++) {
        if (i == 0)
            fail_writes(1, ENOSPC);
        else if (i == 1)
            fail_writes(1, EIO);
        else
            atomic_store(&failing_syncs, 1);
        struct group group;
        run_group(harness, &group);
        expect_all(&group, OUTCOME_DONE);
        assert_int_equal(group.works[0]->restarts, 1);
        free_group(&group);
        expect_rows(harness, "64");
        harness_do(harness, "DELETE FROM items");
    }
}

static void a_full_disk_is_told_and_got_over(void **state) {
    struct harness *harness = harness_of(state);
    struct work *first = insert_row(harness, 1000);
    assert_int_equal(work_run(first), OUTCOME_DONE);
    free(first);
    fail_writes(ALWAYS, ENOSPC);
    struct group group;
    run_group(harness, &group);
    expect_all(&group, OUTCOME_FULL);
    free_group(&group);
    struct work *alone = insert_row(harness, 1);
    assert_int_equal(work_run(alone), OUTCOME_FULL);
    free(alone);
    expect_rows(harness, "1"); // reading goes on
    heal();
    run_group(harness, &group);
    expect_all(&group, OUTCOME_DONE);
    free_group(&group);
    expect_rows(harness, "65");
}

static void a_disk_that_cannot_be_written_is_away(void **state) {
    struct harness *harness = harness_of(state);
    fail_writes(ALWAYS, EIO);
    struct group group;
    run_group(harness, &group);
    expect_all(&group, OUTCOME_UNAVAILABLE);
    free_group(&group);
    heal();
    expect_rows(harness, "0");
    struct work *work = insert_row(harness, 1);
    assert_int_equal(work_run(work), OUTCOME_DONE);
    free(work);
}

// The pages are in the file already: after a crash they might be found there.
static void a_commit_that_cannot_be_synchronized_is_unknown(void **state) {
    struct harness *harness = harness_of(state);
    atomic_store(&failing_syncs, ALWAYS);
    struct group group;
    run_group(harness, &group);
    expect_all(&group, OUTCOME_UNKNOWN);
    free_group(&group);
    struct work *work = insert_row(harness, 500);
    assert_int_equal(work_run(work), OUTCOME_UNKNOWN);
    heal();
    assert_int_equal(work_run(work), OUTCOME_DONE);
    free(work);
    expect_rows(harness, "1");
}

// PRAGMA max_page_count makes single statements fail, before any commit.
static void a_job_that_finds_no_room_takes_no_other_with_it(void **state) {
    struct harness *harness = harness_of(state);
    struct work *limit = work_create(harness, JOB_WRITE);
    work_add(limit, "PRAGMA max_page_count = 20", "");
    assert_int_equal(work_run(limit), OUTCOME_DONE);
    struct group group;
    for (int64_t i = 0; i < GROUP; i++) {
        if (i % 16 == 7) {
            group.works[i] = work_create(harness, JOB_WRITE);
            work_add(group.works[i], "INSERT INTO items(name) VALUES(hex(zeroblob($1)))", "");
            work_bind(group.works[i], value_integer(1000000));
        } else {
            group.works[i] = insert_row(harness, i);
        }
        assert_true(work_submit(group.works[i]));
    }
    harness_run(harness);
    for (size_t i = 0; i < GROUP; i++)
        assert_int_equal(group.works[i]->outcome.kind, i % 16 == 7 ? OUTCOME_FULL : OUTCOME_DONE);
    expect_rows(harness, "60");
    limit->statements[0].sql = TEXT("PRAGMA max_page_count = 100000");
    assert_int_equal(work_run(limit), OUTCOME_DONE);
    assert_int_equal(work_run(group.works[7]), OUTCOME_DONE);
    expect_rows(harness, "61");
    free(limit);
    free_group(&group);
}

static void another_process_may_hold_the_database(void **state) {
    struct scene *scene = *state;
    struct harness *harness = &scene->harness;
    sqlite3 *other = scene_open_other(scene);
    scene_execute(other, "BEGIN IMMEDIATE; INSERT INTO items(id) VALUES(77)");
    struct group group;
    run_group(harness, &group);
    expect_all(&group, OUTCOME_BUSY);
    assert_in_range(group.works[0]->took, 90, 3000);
    free_group(&group);
    expect_rows(harness, "0"); // and reading goes on
    scene_execute(other, "COMMIT");
    run_group(harness, &group);
    expect_all(&group, OUTCOME_DONE);
    free_group(&group);
    expect_rows(harness, "65");
    sqlite3_close(other);
}

static struct work *insert_part(struct harness *harness, int64_t id, int64_t item) {
    struct work *work = work_create(harness, JOB_WRITE);
    work_add(work, "INSERT INTO parts VALUES($1, $2)", "");
    work_bind(work, value_integer(id));
    work_bind(work, value_integer(item));
    return work;
}

static void a_deferred_reference_fails_alone(void **state) {
    struct harness *harness = harness_of(state);
    struct work *works[3] = {insert_row(harness, 1), insert_part(harness, 1, 99),
                             insert_part(harness, 2, 1)};
    for (size_t i = 0; i < 3; i++)
        assert_true(work_submit(works[i]));
    harness_run(harness);
    assert_int_equal(works[0]->outcome.kind, OUTCOME_DONE);
    assert_int_equal(works[1]->outcome.kind, OUTCOME_CONFLICT);
    assert_int_equal(works[1]->outcome.conflict, CONFLICT_REFERENCE);
    assert_int_equal(works[2]->outcome.kind, OUTCOME_DONE);
    harness_expect(harness, "SELECT id FROM parts", "i", "2");
    for (size_t i = 0; i < 3; i++)
        free(works[i]);
}

// More jobs than one group holds, and more bytes.
static void groups_have_an_end(void **state) {
    struct harness *harness = harness_of(state);
    enum { MANY = GROUP_JOBS + 500, LARGE = 1024 * 1024 };
    struct store_statistics before;
    store_statistics(harness->store, &before);
    struct work **works = calloc(MANY, sizeof(struct work *));
    char *large = calloc(1, LARGE);
    assert_true(works && large);
    memset(large, 'x', LARGE);
    for (int64_t i = 0; i < MANY; i++) {
        works[i] = work_create(harness, JOB_WRITE);
        work_add(works[i], "INSERT INTO items(id, name) VALUES($1, $2)", "");
        work_bind(works[i], value_integer(i));
        work_bind(works[i], value_text(VALUE_TEXT, text_of(large, i < 20 ? LARGE : 1)));
        assert_true(work_submit(works[i]));
    }
    harness_run(harness);
    struct store_statistics after;
    store_statistics(harness->store, &after);
    assert_in_range(after.groups - before.groups, 3, 10);
    assert_int_equal(after.grouped_jobs - before.grouped_jobs, MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(works[i]->outcome.kind, OUTCOME_DONE);
        free(works[i]);
    }
    free(works);
    free(large);
    expect_rows(harness, "1500");
}

static void a_job_of_its_own_needs_no_savepoint_to_be_undone(void **state) {
    struct harness *harness = harness_of(state);
    struct work *work = insert_row(harness, 3);
    work_add(work, "INSERT INTO nowhere VALUES(1)", "");
    assert_int_equal(work_run(work), OUTCOME_FAILED);
    expect_rows(harness, "0");
    free(work);
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_commit_that_fails_once_is_made_up_for),
        SCENE_TEST(a_full_disk_is_told_and_got_over),
        SCENE_TEST(a_disk_that_cannot_be_written_is_away),
        SCENE_TEST(a_commit_that_cannot_be_synchronized_is_unknown),
        SCENE_TEST(a_job_that_finds_no_room_takes_no_other_with_it),
        SCENE_TEST(another_process_may_hold_the_database),
        SCENE_TEST(a_deferred_reference_fails_alone),
        SCENE_TEST(groups_have_an_end),
        SCENE_TEST(a_job_of_its_own_needs_no_savepoint_to_be_undone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
