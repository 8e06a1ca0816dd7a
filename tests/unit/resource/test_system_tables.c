#include "resource/system_tables.h"

#include "unit/allocation.h"
#include "unit/testing.h"

#include <stdio.h>

static struct migration plan(struct arena *arena, const struct stored_schema *schema,
                             enum store_dialect dialect) {
    struct migration migration = {0};
    struct failure failure;
    assert_true(system_tables_plan(schema, dialect, arena, &migration, &failure));
    return migration;
}

// How many of the steps make a table of that name.
static size_t count_tables(const struct migration *migration, const char *name) {
    char start[64];
    size_t count = 0;
    (void)snprintf(start, sizeof start, "CREATE TABLE %s (", name);
    for (size_t i = 0; i < migration->step_count; i++)
        count += text_starts_with(migration->steps[i].sql, text_from_string(start));
    return count;
}

static void an_empty_database_lacks_all(void **state) {
    for (enum store_dialect dialect = STORE_SQLITE; dialect <= STORE_POSTGRES; dialect++) {
        struct arena arena = {0};
        struct migration migration = plan(&arena, &(struct stored_schema){0}, dialect);
        assert_false(migration.lossy);
        assert_int_equal(count_tables(&migration, "trestle_meta"), 1);
        assert_int_equal(count_tables(&migration, "trestle_idempotency"), 1);
        assert_true(text_starts_with(migration.steps[0].sql, TEXT("CREATE TABLE ")));
        for (size_t i = 0; i < migration.step_count; i++) {
            assert_int_equal(migration.steps[i].kind, STEP_SAFE);
            assert_true(migration.steps[i].reason.size > 0);
        }
        arena_free(&arena);
    }
}

static void what_is_there_is_left_alone(void **state) {
    struct stored_column columns[] = {{.table = TEXT("others"), .name = TEXT("trestle_meta")},
                                      {.table = TEXT("trestle_meta"), .name = TEXT("name")}};
    struct stored_schema schema = {.columns = columns, .column_count = 2};
    struct arena arena = {0};
    struct migration migration = plan(&arena, &schema, STORE_SQLITE);
    assert_true(system_table_is_there(&schema, TEXT("trestle_meta")));
    assert_false(system_table_is_there(&schema, TEXT("trestle_idempotency")));
    assert_int_equal(count_tables(&migration, "trestle_meta"), 0);
    assert_int_equal(count_tables(&migration, "trestle_idempotency"), 1);
    arena_free(&arena);
}

static void steps_go_behind_others(void **state) {
    struct arena arena = {0};
    struct migration migration = {0};
    struct failure failure;
    for (int i = 0; i < 2; i++)
        assert_true(system_tables_plan(&(struct stored_schema){0}, STORE_SQLITE, &arena, &migration,
                                       &failure));
    assert_int_equal(count_tables(&migration, "trestle_meta"), 2);
    arena_free(&arena);
}

static void names(void **state) {
    assert_true(system_table_is(TEXT("trestle_meta")));
    assert_true(system_table_is(TEXT("trestle_idempotency")));
    assert_false(system_table_is(TEXT("trestle_")));
    assert_false(system_table_is(TEXT("things")));
    assert_false(system_table_is(TEXT("")));
}

static void no_memory(void **state) {
    for (ALLOCATION_FAILURES(nth)) {
        struct arena arena = {0};
        struct migration migration = {0};
        struct failure failure = {0};
        bool made = system_tables_plan(&(struct stored_schema){0}, STORE_POSTGRES, &arena,
                                       &migration, &failure);
        bool failed = allocation_allow();
        assert_int_equal(made, !failed);
        assert_int_equal(failure.code, failed ? FAILURE_OUT_OF_MEMORY : FAILURE_NONE);
        arena_free(&arena);
        if (!failed)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_database_lacks_all),
        cmocka_unit_test(what_is_there_is_left_alone),
        cmocka_unit_test(steps_go_behind_others),
        cmocka_unit_test(names),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
