#include "store/postgres/statements.h"

#include "base/table.h"
#include "unit/allocation.h"
#include "unit/testing.h"

#include <stdio.h>
#include <stdlib.h>

static struct statement statement_of(const char *sql) {
    struct text text = text_from_string(sql);
    return (struct statement){.sql = text, .hash = text_hash(text)};
}

static bool has(struct pg_statements *statements, const char *sql) {
    struct statement statement = statement_of(sql);
    return pg_statements_find(statements, &statement);
}

static struct pg_prepared *add(struct pg_statements *statements, const char *sql) {
    struct statement statement = statement_of(sql);
    return pg_statements_add(statements, &statement);
}

static void forget(struct pg_statements *statements, const char *sql) {
    struct statement statement = statement_of(sql);
    pg_statements_forget(statements, &statement);
}

static void what_was_added_is_found(void **state) {
    struct pg_statements statements;
    assert_true(pg_statements_open(&statements, 3));
    assert_false(has(&statements, "a"));
    struct pg_prepared *a = add(&statements, "a");
    struct pg_prepared *b = add(&statements, "b");
    assert_string_not_equal(a->name, b->name);
    assert_string_equal(a->sql.data, "a"); // with a zero byte at its end
    assert_true(has(&statements, "a") && has(&statements, "b"));
    assert_false(has(&statements, "ab"));
    pg_statements_close(&statements);
}

static void statements_of_one_hash_are_told_apart(void **state) {
    struct pg_statements statements;
    struct statement one = {.sql = TEXT("one"), .hash = 7};
    struct statement two = {.sql = TEXT("two"), .hash = 7};
    assert_true(pg_statements_open(&statements, 3));
    const struct pg_prepared *first = pg_statements_add(&statements, &one);
    assert_null(pg_statements_find(&statements, &two));
    const struct pg_prepared *second = pg_statements_add(&statements, &two);
    assert_ptr_equal(pg_statements_find(&statements, &one), first);
    assert_ptr_equal(pg_statements_find(&statements, &two), second);
    pg_statements_forget(&statements, &one);
    assert_ptr_equal(pg_statements_find(&statements, &two), second);
    pg_statements_close(&statements);
}

static void the_one_not_used_for_longest_goes(void **state) {
    struct pg_statements statements;
    assert_true(pg_statements_open(&statements, 3));
    add(&statements, "a");
    add(&statements, "b");
    add(&statements, "c");
    assert_true(has(&statements, "a"));
    assert_null(pg_statements_take_doomed(&statements));
    add(&statements, "d"); // instead of b
    struct pg_prepared *doomed = pg_statements_take_doomed(&statements);
    assert_string_equal(doomed->sql.data, "b");
    free(doomed);
    assert_null(pg_statements_take_doomed(&statements));
    assert_false(has(&statements, "b"));
    assert_true(has(&statements, "a") && has(&statements, "c") && has(&statements, "d"));
    pg_statements_close(&statements);
}

static void what_is_forgotten_gets_another_name(void **state) {
    struct pg_statements statements;
    char name[PG_NAME_SIZE];
    assert_true(pg_statements_open(&statements, 3));
    (void)snprintf(name, sizeof name, "%s", add(&statements, "a")->name);
    forget(&statements, "a");
    forget(&statements, "nobody knows it");
    assert_false(has(&statements, "a"));
    assert_string_not_equal(add(&statements, "a")->name, name);
    struct pg_prepared *doomed = pg_statements_take_doomed(&statements);
    assert_string_equal(doomed->name, name);
    free(doomed);
    forget(&statements, "a"); // and is freed with the others
    pg_statements_close(&statements);
    pg_statements_close(&statements);
}

static void many_come_and_go(void **state) {
    struct pg_statements statements;
    char sql[32];
    assert_true(pg_statements_open(&statements, 16));
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(sql, sizeof sql, "SELECT %d", i % 37);
        if (!has(&statements, sql))
            assert_non_null(add(&statements, sql));
        assert_true(has(&statements, sql));
        assert_in_range(statements.count, 1, 16);
        free(pg_statements_take_doomed(&statements));
    }
    pg_statements_close(&statements);
}

static void want_of_memory_is_told(void **state) {
    struct pg_statements statements;
    allocation_fail_from(1);
    assert_false(pg_statements_open(&statements, 3));
    assert_true(allocation_allow());
    assert_true(pg_statements_open(&statements, 1));
    add(&statements, "a");
    allocation_fail_from(1);
    assert_null(add(&statements, "b"));
    assert_true(allocation_allow());
    assert_true(has(&statements, "a"));
    pg_statements_close(&statements);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found),
        cmocka_unit_test(statements_of_one_hash_are_told_apart),
        cmocka_unit_test(the_one_not_used_for_longest_goes),
        cmocka_unit_test(what_is_forgotten_gets_another_name),
        cmocka_unit_test(many_come_and_go),
        cmocka_unit_test(want_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
