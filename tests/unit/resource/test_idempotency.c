#include "resource/idempotency.h"

#include "unit/allocation.h"
#include "unit/testing.h"

static void statements_of_sqlite(void **state) {
    struct arena arena = {0};
    struct idempotency_plan plan;
    assert_true(idempotency_plan_make(&arena, dialect_of(STORE_SQLITE), &plan));
    assert_int_equal(plan.lock.sql.size, 0);
    assert_text_is(plan.find.sql, "SELECT fingerprint, status, fields, body FROM "
                                  "trestle_idempotency WHERE id = ?1 AND expires_at > ?2");
    assert_int_equal(plan.find.column_count, 4);
    assert_int_equal(plan.keep.column_count, 0);
    assert_text_is(plan.forget.sql, "DELETE FROM trestle_idempotency WHERE id IN (SELECT id FROM "
                                    "trestle_idempotency WHERE expires_at <= ?1 ORDER BY "
                                    "expires_at LIMIT ?2)");
    arena_free(&arena);
}

static void statements_of_postgres(void **state) {
    struct arena arena = {0};
    struct idempotency_plan plan;
    assert_true(idempotency_plan_make(&arena, dialect_of(STORE_POSTGRES), &plan));
    assert_text_is(plan.lock.sql, "SELECT 1::bigint WHERE pg_try_advisory_xact_lock($1::bigint)");
    assert_int_equal(plan.lock.column_count, 1); // rows that give nothing are not counted
    assert_true(strstr(plan.keep.sql.data, "$7::timestamptz AS expires_at") != NULL);
    assert_true(strstr(plan.forget.sql.data, "LIMIT $2::bigint FOR UPDATE SKIP LOCKED") != NULL);
    arena_free(&arena);
}

static void no_memory(void **state) {
    for (ALLOCATION_FAILURES(nth)) {
        struct arena arena = {0};
        struct idempotency_plan plan;
        bool made = idempotency_plan_make(&arena, dialect_of(STORE_POSTGRES), &plan);
        bool failed = allocation_allow();
        assert_int_equal(made, !failed);
        arena_free(&arena);
        if (!failed)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_of_sqlite),
        cmocka_unit_test(statements_of_postgres),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
