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

// 400 KB of new pages.
static void write_much(struct scene *scene) {
    harness_do(&scene->harness, "INSERT INTO items(data) VALUES(zeroblob(400000))");
}

enum { MIB = 1024 * 1024, PATIENCE = 2000 };

// The log begins anew when it is long: from then on, for a while, what is written makes it no
// longer. When that is depends on how quick the disk is.
static void the_log_does_not_grow_for_ever(void **state) {
    struct scene *scene = *state;
    int64_t size = 0;
    int same = 0;
    for (int i = 0; i < PATIENCE && same < 10; i++) {
        write_much(scene);
        same = size_of(scene, "-wal") == size ? same + 1 : 0;
        size = size_of(scene, "-wal");
    }
    assert_int_equal(same, 10);
    assert_true(size > 40 * MIB);
    assert_true(size_of(scene, "") > 40 * MIB); // what was in the log has arrived here
    scene_close_store(scene);
    assert_int_equal(size_of(scene, "-wal"), -1);
}

// A reader that stays keeps the log from beginning anew; once it has gone, the log does, and what
// is more than it needs is cut off.
static void a_reader_that_stays_is_waited_out(void **state) {
    struct scene *scene = *state;
    sqlite3 *other = scene_open_other(scene);
    scene_execute(other, "BEGIN; SELECT count(*) FROM items");
    for (int i = 0; i < 200; i++)
        write_much(scene);
    assert_true(size_of(scene, "-wal") > 75 * MIB);
    scene_execute(other, "COMMIT");
    sqlite3_close(other);
    for (int i = 0; i < PATIENCE && size_of(scene, "-wal") > 64 * MIB; i++)
        write_much(scene);
    assert_int_equal(size_of(scene, "-wal"), 64 * MIB);
    scene_close_store(scene);
    assert_int_equal(size_of(scene, "-wal"), -1);
}

static void what_another_process_uses_is_left_to_it(void **state) {
    struct scene *scene = *state;
    sqlite3 *other = scene_open_other(scene);
    scene_execute(other, "SELECT count(*) FROM items");
    write_much(scene);
    scene_close_store(scene);
    assert_int_equal(size_of(scene, "-wal"), 0); // all of it is in the database
    scene_execute(other, "INSERT INTO items(data) VALUES(NULL)");
    sqlite3_close(other);
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE_TEST(the_log_does_not_grow_for_ever),
        SCENE_TEST(a_reader_that_stays_is_waited_out),
        SCENE_TEST(what_another_process_uses_is_left_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
