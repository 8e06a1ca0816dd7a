#include "store/sqlite/sqlite_store.h"

#include "unit/allocation.h"
#include "unit/store/sqlite/scene.h"

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

static void only_a_file_will_do(void **state) {
    static const char *const paths[] = {NULL, "", ":memory:", "file:test.db", "file::memory:"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct failure failure = {0};
        struct sqlite_options options = {.path = paths[i]};
        assert_null(sqlite_store_open(&options, NULL, &failure));
        assert_int_equal(failure.code, FAILURE_INVALID_SETTING);
        assert_non_null(strstr(failure.detail, "database"));
    }
}

static void opening_survives_a_lack_of_memory(void **state) {
    struct scene *scene = *state;
    const struct sqlite_options options = {.path = scene->path};
    unsigned failures = 0;
    for (ALLOCATION_FAILURES(nth)) {
        struct failure failure = {0};
        struct store *store = sqlite_store_open(&options, NULL, &failure);
        bool failed = allocation_allow();
        assert_int_equal(!store, failed);
        store_close(store);
        if (!failed)
            break;
        assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
        failures++;
    }
    assert_true(failures >= 5);
}

static void attaching_survives_a_lack_of_memory(void **state) {
    struct scene *scene = *state;
    scene_open_store(scene, (struct sqlite_options){0}, NULL);
    struct failure failure = {0};
    struct work *work = work_create(&scene->harness, JOB_WRITE);
    work_add(work, "SELECT 1", "i");
    for (ALLOCATION_FAILURES(nth)) {
        bool done = store_run(scene->harness.store, &work->job, &failure);
        if (!allocation_allow()) {
            assert_true(done);
            break;
        }
        assert_false(done);
        assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
    }
    free(work);
    scene_close_store(scene);
}

static void a_read_only_store_only_reads(void **state) {
    struct scene *scene = *state;
    scene_open_store(scene, (struct sqlite_options){0}, NULL);
    harness_do(&scene->harness, "CREATE TABLE items(id INTEGER PRIMARY KEY)");
    harness_do(&scene->harness, "INSERT INTO items VALUES(5)");
    scene_close_store(scene);
    scene_open_store(scene, (struct sqlite_options){.read_only = true}, NULL);
    harness_expect(&scene->harness, "SELECT id FROM items", "i", "5");
    struct work *work = work_create(&scene->harness, JOB_WRITE);
    work_add(work, "INSERT INTO items VALUES(6)", "");
    assert_int_equal(work_run(work), OUTCOME_UNAVAILABLE);
    free(work);
    harness_expect(&scene->harness, "SELECT id FROM items", "i", "5");
    scene_close_store(scene);
}

// Both may write the same file, one after the other.
static void two_stores_share_a_file(void **state) {
    struct scene *scene = *state;
    struct scene second = *scene;
    scene_open_store(scene, (struct sqlite_options){0}, NULL);
    harness_do(&scene->harness, "CREATE TABLE items(id INTEGER PRIMARY KEY)");
    scene_open_store(&second, (struct sqlite_options){0}, NULL);
    for (int i = 0; i < 50; i++)
        harness_do(i % 2 ? &scene->harness : &second.harness, "INSERT INTO items DEFAULT VALUES");
    harness_expect(&scene->harness, "SELECT count(*), max(id) FROM items", "ii", "50, 50");
    harness_expect(&second.harness, "SELECT count(*), max(id) FROM items", "ii", "50, 50");
    scene_close_store(&second);
    scene_close_store(scene);
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE_TEST(only_a_file_will_do),
        SCENE_TEST(opening_survives_a_lack_of_memory),
        SCENE_TEST(attaching_survives_a_lack_of_memory),
        SCENE_TEST(a_read_only_store_only_reads),
        SCENE_TEST(two_stores_share_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
