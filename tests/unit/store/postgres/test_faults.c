#include "store/postgres/faults.h"

#include "unit/testing.h"

static struct outcome outcome_of(struct pg_fault fault, enum pg_remedy *ret_remedy) {
    struct outcome outcome = {.kind = OUTCOME_DONE, .constraint = "old"};
    *ret_remedy = pg_fault_outcome(&fault, &outcome);
    return outcome;
}

static void states_have_outcomes(void **state) {
    static const struct {
        const char *state;
        enum outcome_kind kind;
        enum pg_remedy remedy;
    } cases[] = {
        {"22003", OUTCOME_OVERFLOW, PG_REMEDY_NONE},
        {"57014", OUTCOME_TIMEOUT, PG_REMEDY_NONE},
        {"40001", OUTCOME_BUSY, PG_REMEDY_AGAIN},
        {"40P01", OUTCOME_BUSY, PG_REMEDY_AGAIN},
        {"55P03", OUTCOME_BUSY, PG_REMEDY_AGAIN},
        {"26000", OUTCOME_FAILED, PG_REMEDY_PREPARE},
        {"53100", OUTCOME_FULL, PG_REMEDY_NONE},
        {"53200", OUTCOME_UNAVAILABLE, PG_REMEDY_NONE},
        {"53300", OUTCOME_UNAVAILABLE, PG_REMEDY_NONE},
        {"57P01", OUTCOME_UNAVAILABLE, PG_REMEDY_NONE},
        {"57P03", OUTCOME_UNAVAILABLE, PG_REMEDY_NONE},
        {"25006", OUTCOME_UNAVAILABLE, PG_REMEDY_NONE},
        {"08006", OUTCOME_UNAVAILABLE, PG_REMEDY_NONE},
        {"08P01", OUTCOME_FAILED, PG_REMEDY_NONE},
        {"42601", OUTCOME_FAILED, PG_REMEDY_NONE},
        {"42P01", OUTCOME_FAILED, PG_REMEDY_NONE},
        {"23502", OUTCOME_FAILED, PG_REMEDY_NONE},
        {"0A000", OUTCOME_FAILED, PG_REMEDY_NONE},
        {"", OUTCOME_FAILED, PG_REMEDY_NONE},
        {NULL, OUTCOME_UNAVAILABLE, PG_REMEDY_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum pg_remedy remedy;
        struct outcome outcome = outcome_of((struct pg_fault){.state = cases[i].state}, &remedy);
        assert_int_equal(outcome.kind, cases[i].kind);
        assert_int_equal(remedy, cases[i].remedy);
        assert_string_equal(outcome.constraint, "");
    }
}

static void a_stale_plan_is_prepared_anew(void **state) {
    enum pg_remedy remedy;
    outcome_of((struct pg_fault){.state = "0A000", .function = "RevalidateCachedQuery"}, &remedy);
    assert_int_equal(remedy, PG_REMEDY_PREPARE);
    outcome_of((struct pg_fault){.state = "42601", .function = "RevalidateCachedQuery"}, &remedy);
    assert_int_equal(remedy, PG_REMEDY_NONE);
}

static void conflicts_name_columns(void **state) {
    static const struct {
        const char *table;
        const char *detail;
        const char *named;
    } cases[] = {
        {"things", "Key (name)=(x) already exists.", "things.name"},
        {"things", "Key (name, version)=(a, 1.0) already exists.", "things.name, things.version"},
        {"t", "Schlüssel »(\"order\", b)=(a)=(, x)« existiert bereits.", "t.order, t.b"},
        {"t", "Key (a)=(b)=(c) already exists.", "t.a"},
        {"t", "Key (lower(a), b)=(x, 1) already exists.", "t.lower(a), t.b"},
        {"t", NULL, "the_index"},
        {"t", "Key already exists.", "the_index"},
        {"t", "Key (a already exists.", "the_index"},
        {NULL, "Key (a)=(b) already exists.", "the_index"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum pg_remedy remedy;
        struct outcome outcome = outcome_of((struct pg_fault){.state = "23505",
                                                              .constraint = "the_index",
                                                              .table = cases[i].table,
                                                              .detail = cases[i].detail},
                                            &remedy);
        assert_int_equal(outcome.kind, OUTCOME_CONFLICT);
        assert_int_equal(outcome.conflict, CONFLICT_UNIQUE);
        assert_string_equal(outcome.constraint, cases[i].named);
    }
}

static void what_is_too_long_is_named_by_its_index(void **state) {
    char columns[400] = "Key (";
    memset(columns + strlen(columns), 'c', sizeof columns - strlen(columns));
    memcpy(columns + sizeof columns - 8, ")=(x).", 7);
    enum pg_remedy remedy;
    struct outcome outcome = outcome_of(
        (struct pg_fault){.state = "23505", .table = "t", .constraint = "i", .detail = columns},
        &remedy);
    assert_string_equal(outcome.constraint, "i");
    outcome = outcome_of((struct pg_fault){.state = "23505"}, &remedy);
    assert_string_equal(outcome.constraint, "");
}

static void references_are_told_apart(void **state) {
    static const char *const states[] = {"23503", "23001"};
    for (size_t i = 0; i < 2; i++) {
        enum pg_remedy remedy;
        struct outcome outcome =
            outcome_of((struct pg_fault){.state = states[i], .constraint = "fk"}, &remedy);
        assert_int_equal(outcome.kind, OUTCOME_CONFLICT);
        assert_int_equal(outcome.conflict, CONFLICT_REFERENCE);
        assert_string_equal(outcome.constraint, "fk");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_have_outcomes),
        cmocka_unit_test(a_stale_plan_is_prepared_anew),
        cmocka_unit_test(conflicts_name_columns),
        cmocka_unit_test(what_is_too_long_is_named_by_its_index),
        cmocka_unit_test(references_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
