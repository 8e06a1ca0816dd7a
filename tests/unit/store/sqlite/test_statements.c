#include "store/sqlite/statements.h"

#include "base/table.h"
#include "unit/allocation.h"
#include "unit/testing.h"

struct scene {
    sqlite3 *database;
    struct statements statements;
};

static int open_four(void **state) {
    static struct scene scene;
    assert_int_equal(sqlite3_open(":memory:", &scene.database), SQLITE_OK);
    assert_true(statements_open(&scene.statements, scene.database, 4));
    *state = &scene;
    return 0;
}

static int close_four(void **state) {
    struct scene *scene = *state;
    statements_close(&scene->statements);
    statements_close(&scene->statements);
    assert_int_equal(sqlite3_close(scene->database), SQLITE_OK); // none was left behind
    return 0;
}

static struct statement statement_of(const char *sql) {
    struct text text = text_from_string(sql);
    return (struct statement){.sql = text, .hash = text_hash(text)};
}

// Uses a statement once and says which one it was.
static sqlite3_stmt *use(struct scene *scene, const char *sql) {
    struct statement statement = statement_of(sql);
    struct prepared *prepared;
    assert_int_equal(statements_get(&scene->statements, &statement, &prepared), SQLITE_OK);
    sqlite3_stmt *found = prepared->statement;
    assert_string_equal(sqlite3_sql(found), sql);
    statements_release(prepared);
    return found;
}

static bool is_kept(struct scene *scene, const char *sql) {
    for (sqlite3_stmt *statement = sqlite3_next_stmt(scene->database, NULL); statement;
         statement = sqlite3_next_stmt(scene->database, statement)) {
        if (strcmp(sqlite3_sql(statement), sql) == 0)
            return true;
    }
    return false;
}

static void a_statement_is_prepared_once(void **state) {
    sqlite3_stmt *first = use(*state, "SELECT 1");
    use(*state, "SELECT 2");
    char same[] = "SELECT 1"; // the same text elsewhere
    assert_ptr_equal(use(*state, same), first);
}

static void the_oldest_goes_first(void **state) {
    use(*state, "SELECT 1");
    use(*state, "SELECT 2");
    use(*state, "SELECT 3");
    use(*state, "SELECT 4");
    use(*state, "SELECT 1");
    use(*state, "SELECT 5");
    assert_false(is_kept(*state, "SELECT 2"));
    assert_true(is_kept(*state, "SELECT 1"));
    use(*state, "SELECT 6");
    assert_false(is_kept(*state, "SELECT 3"));
    use(*state, "SELECT 2");
    use(*state, "SELECT 7");
    use(*state, "SELECT 8");
    assert_false(is_kept(*state, "SELECT 1"));
    assert_true(is_kept(*state, "SELECT 2"));
}

static void texts_with_one_hash_are_told_apart(void **state) {
    struct scene *scene = *state;
    static const char *const texts[] = {"SELECT 1", "SELECT 2", "SELECT 3",
                                        "SELECT 4", "SELECT 5", "SELECT 6"};
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 6; i++) {
            struct statement statement = statement_of(texts[(i * 5) % 6]);
            statement.hash = 7;
            struct prepared *prepared;
            assert_int_equal(statements_get(&scene->statements, &statement, &prepared), SQLITE_OK);
            assert_string_equal(sqlite3_sql(prepared->statement), texts[(i * 5) % 6]);
            statements_release(prepared);
        }
    }
}

static void once_is_not_kept(void **state) {
    struct scene *scene = *state;
    struct statement statement = statement_of("SELECT 1");
    statement.once = true;
    struct prepared *prepared;
    assert_int_equal(statements_get(&scene->statements, &statement, &prepared), SQLITE_OK);
    assert_true(is_kept(scene, "SELECT 1"));
    statements_release(prepared);
    assert_false(is_kept(scene, "SELECT 1"));
}

static void a_statement_is_known_by_its_size(void **state) {
    struct scene *scene = *state;
    struct statement statement = statement_of("SELECT 12");
    statement.sql.size--; // "SELECT 1", without a zero byte
    statement.hash = text_hash(statement.sql);
    struct prepared *prepared;
    assert_int_equal(statements_get(&scene->statements, &statement, &prepared), SQLITE_OK);
    assert_int_equal(sqlite3_step(prepared->statement), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(prepared->statement, 0), 1);
    statements_release(prepared);
}

static void facts_about_a_statement(void **state) {
    struct scene *scene = *state;
    struct statement statement = statement_of("SELECT ?1, ?2, 3 ; \n");
    struct prepared *prepared;
    assert_int_equal(statements_get(&scene->statements, &statement, &prepared), SQLITE_OK);
    assert_int_equal(prepared->parameter_count, 2);
    assert_int_equal(prepared->column_count, 3);
    statements_release(prepared);
}

static void what_is_no_statement_is_refused(void **state) {
    struct scene *scene = *state;
    static const struct {
        const char *sql;
        int code;
    } cases[] = {
        {"", SQLITE_MISUSE},
        {" ;", SQLITE_MISUSE},
        {"-- a comment", SQLITE_MISUSE},
        {"SELECT 1; SELECT 2", SQLITE_MISUSE},
        {"SELEC 1", SQLITE_ERROR},
        {"SELECT * FROM nowhere", SQLITE_ERROR},
        {"SELECT \"nothing\"", SQLITE_OK}, // this connection allows it; the store's do not
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct statement statement = statement_of(cases[i].sql);
        struct prepared *prepared = NULL;
        int code = statements_get(&scene->statements, &statement, &prepared);
        assert_true_for(code == cases[i].code, cases[i].sql);
        assert_int_equal(!prepared, code != SQLITE_OK);
        if (prepared)
            statements_release(prepared);
    }
}

static void a_lack_of_memory_is_told(void **state) {
    struct scene *scene = *state;
    struct statement statement = statement_of("SELECT 1");
    struct prepared *prepared;
    allocation_fail_from(1);
    assert_int_equal(statements_get(&scene->statements, &statement, &prepared), SQLITE_NOMEM);
    assert_true(allocation_allow());
    struct statements none;
    allocation_fail_from(1);
    assert_false(statements_open(&none, scene->database, 4));
    assert_true(allocation_allow());
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, open_four, close_four)

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_statement_is_prepared_once),       SCENE_TEST(the_oldest_goes_first),
        SCENE_TEST(texts_with_one_hash_are_told_apart), SCENE_TEST(once_is_not_kept),
        SCENE_TEST(a_statement_is_known_by_its_size),   SCENE_TEST(facts_about_a_statement),
        SCENE_TEST(what_is_no_statement_is_refused),    SCENE_TEST(a_lack_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
