#include "store/sqlite/checkpointer.h"

#include "unit/store/sqlite/scene.h"

#include <sys/stat.h>

static int set_up(void **state) {
    static struct scene scene;
    scene_make_directory(&scene);
    scene_open_store(&scene, (struct sqlite_options){0}, NULL);
    harness_do(&scene.harness, "CREATE TABLE items(id INTEGER PRIMARY KEY, data BLOB)");
    *state = &scene;
    return 0;
}

static int tear_down(void **state) {
    scene_remove_directory(*state);
    return 0;
}

static int64_t size_of(const struct scene *scene, const char *suffix) {
    char name[128];
    struct stat status;
    (void)snprintf(name, sizeof name, "%s%s", scene->path, suffix);
    return stat(name, &status) == 0 ? (int64_t)status.st_size : -1;
}

// Some 400 KiB of new pages a time; returns how large the log was at most.
static int64_t write_much(struct scene *scene, int times) {
    int64_t largest = 0;
    for (int i = 0; i < times; i++) {
        harness_do(&scene->harness, "INSERT INTO items(data) VALUES(zeroblob(400000))");
        int64_t size = size_of(scene, "-wal");
        largest = size > largest ? size : largest;
    }
    return largest;
}

enum { MIB = 1024 * 1024 };

static void the_log_is_kept_short(void **state) {
    struct scene *scene = *state;
    assert_in_range(write_much(scene, 350), 4 * MIB, 110 * MIB);
    assert_true(size_of(scene, "") > 20 * MIB); // what was in the log has arrived here
    scene_close_store(scene);
    assert_true(size_of(scene, "") >= 140 * 1000 * 1000);
    assert_int_equal(size_of(scene, "-wal"), -1);
}

// A reader that stays keeps the log from beginning anew; once it has gone, the log does.
static void a_reader_that_stays_is_waited_out(void **state) {
    struct scene *scene = *state;
    sqlite3 *other = scene_open_other(scene);
    scene_execute(other, "BEGIN; SELECT count(*) FROM items");
    assert_true(write_much(scene, 200) > 75 * MIB);
    scene_execute(other, "COMMIT");
    sqlite3_close(other);
    int64_t before = size_of(scene, "-wal");
    write_much(scene, 200); // 80 MB, most of which goes over the old pages of the log
    assert_in_range(size_of(scene, "-wal"), 0, before + 50 * MIB);
    scene_close_store(scene);
    assert_int_equal(size_of(scene, "-wal"), -1);
}

static void what_another_process_uses_is_left_to_it(void **state) {
    struct scene *scene = *state;
    sqlite3 *other = scene_open_other(scene);
    scene_execute(other, "SELECT count(*) FROM items");
    write_much(scene, 3);
    scene_close_store(scene);
    assert_int_equal(size_of(scene, "-wal"), 0); // all of it is in the database
    scene_execute(other, "INSERT INTO items(data) VALUES(NULL)");
    sqlite3_close(other);
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE_TEST(the_log_is_kept_short),
        SCENE_TEST(a_reader_that_stays_is_waited_out),
        SCENE_TEST(what_another_process_uses_is_left_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
