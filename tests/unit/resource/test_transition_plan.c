#include "resource/transition_plan.h"

#include "unit/allocation.h"
#include "unit/resource/fixture.h"

static const char things[] =
    "properties:\n"
    "  name: {type: string, maxLength: 100}\n"
    "  uses: {type: integer}\n"
    "  until: {type: string, format: date-time}\n"
    "  size: {type: object, properties: {label: {type: string}}}\n"
    "  pin: {type: string, writeOnly: true}\n"
    "lifecycle: {property: state, states: [New, Open, Shut]}\n"
    "transitions:\n"
    "  use: {when: until > now() and uses < 5, set: {uses: uses + 1, until: now()}}\n"
    "  open:\n"
    "    from: [New, Shut]\n"
    "    to: Open\n"
    "    others: {where: name = this.name and state = 'Open' and name > this.size.label,\n"
    "             to: Shut,\n"
    "             set: {uses: this.uses + uses}}\n"
    "  shut: {to: Shut}\n";

#define SHOWN "\"id\", \"name\", \"uses\", \"until\", \"size\", \"state\", \"pin\", \"_version\""

static const struct transition_plan *plan_named(const struct fixture *fixture, const char *name) {
    const struct transition *transition =
        resource_transition(fixture->resource, text_from_string(name));
    assert_non_null(transition);
    const struct transition_plan *plan =
        &fixture->plan->transitions[transition - fixture->resource->transitions];
    assert_ptr_equal(plan->transition, transition);
    return plan;
}

static void one_statement_changes_on_sqlite(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    const struct transition_plan *use = plan_named(&fixture, "use");
    assert_text_is(use->move.statement.sql,
                   "UPDATE \"things\" SET \"uses\" = CASE WHEN \"uses\" IS NULL THEN NULL WHEN "
                   "typeof(\"uses\" + ?1) = 'real' THEN abs(-9223372036854775808) ELSE \"uses\" + "
                   "?2 END, \"until\" = ?3, \"_version\" = \"_version\" + 1 WHERE \"id\" = ?4 AND "
                   "(?5 IS NULL OR \"_version\" = ?5) AND ((\"until\" > ?3 AND \"uses\" < ?6)) "
                   "RETURNING " SHOWN);
    assert_int_equal(use->move.parameter_count, 6);
    assert_int_equal(use->move.numbers[MOVEMENT_NOW], 3);
    assert_int_equal(use->move.numbers[MOVEMENT_KEY], 4);
    assert_int_equal(use->move.numbers[MOVEMENT_VERSION], 5);
    assert_int_equal(use->move.numbers[MOVEMENT_BY], 0);
    assert_int_equal(use->move.statement.column_count, 8);
    assert_text_is(
        use->history.statement.sql,
        "INSERT INTO trestle_history (resource, record, at, transition, \"from\", \"to\", "
        "\"by\", request_id) SELECT ?1, CAST(\"id\" AS TEXT), ?2, ?3, \"state\", \"state\", "
        "?4, ?5 FROM \"things\" WHERE \"id\" = ?6 AND (?7 IS NULL OR \"_version\" = ?7) "
        "AND ((\"until\" > ?2 AND \"uses\" < ?8))");
    assert_null(use->others.statement.sql.data);
    assert_null(use->others_history.statement.sql.data);
    assert_text_is(plan_named(&fixture, "shut")->move.statement.sql,
                   "UPDATE \"things\" SET \"state\" = ?1, \"_version\" = \"_version\" + 1 WHERE "
                   "\"id\" = ?2 AND (?3 IS NULL OR \"_version\" = ?3) RETURNING " SHOWN);
    fixture_end(&fixture);
}

static void others_and_a_lock_on_postgres(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_POSTGRES);
    const struct transition_plan *open = plan_named(&fixture, "open");
    assert_text_is(open->lock.statement.sql, "SELECT pg_advisory_xact_lock($1::bigint)");
    assert_text_is(
        open->history.statement.sql,
        "INSERT INTO trestle_history (resource, record, at, transition, \"from\", \"to\", "
        "\"by\", request_id) SELECT $1::text, (\"id\")::text, $2::timestamptz, "
        "$3::text, \"state\", $4::text, $5::text, $6::text FROM \"things\" WHERE \"id\" = "
        "$7::bigint AND ($8::bigint IS NULL OR \"_version\" = $8::bigint) AND (\"state\" "
        "IN ($9::text, $10::text)) FOR UPDATE");
    assert_text_is(open->move.statement.sql,
                   "UPDATE \"things\" SET \"state\" = $1::text, \"_version\" = \"_version\" + 1 "
                   "WHERE \"id\" = $2::bigint AND ($3::bigint IS NULL OR \"_version\" = "
                   "$3::bigint) AND (\"state\" IN ($4::text, $5::text)) RETURNING " SHOWN);
    assert_text_is(
        open->others.statement.sql,
        "UPDATE \"things\" SET \"state\" = $2::text, \"uses\" = (CASE WHEN (SELECT \"uses\" FROM "
        "\"things\" WHERE \"id\" = $1::bigint) IS NULL OR \"uses\" IS NULL THEN NULL ELSE (SELECT "
        "\"uses\" FROM \"things\" WHERE \"id\" = $1::bigint) + \"uses\" END), \"_version\" = "
        "\"_version\" + 1 WHERE \"id\" <> $1::bigint AND (((\"name\" = (SELECT \"name\" FROM "
        "\"things\" WHERE \"id\" = $1::bigint) OR (\"name\" IS NULL AND (SELECT \"name\" FROM "
        "\"things\" WHERE \"id\" = $1::bigint) IS NULL)) AND \"state\" = $3::text AND \"name\" > "
        "(SELECT (CASE json_typeof(json_extract_path(\"size\", $4::text)) WHEN 'string' THEN "
        "json_extract_path_text(\"size\", $4::text) END COLLATE \"C\") FROM \"things\" WHERE "
        "\"id\" = $1::bigint))) RETURNING " SHOWN);
    assert_null(plan_named(&fixture, "use")->lock.statement.sql.data);
    fixture_end(&fixture);
}

static bool has(struct text sql, const char *part) {
    return memmem(sql.data, sql.size, part, strlen(part));
}

static void null_safe_without_a_twin_on_sqlite(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    const struct transition_plan *open = plan_named(&fixture, "open");
    assert_true(has(open->others.statement.sql, "\"name\" IS (SELECT \"name\" FROM"));
    assert_true(has(open->others_history.statement.sql, "\"name\" IS (SELECT \"name\" FROM"));
    assert_true(has(open->others_history.statement.sql, " WHERE \"id\" <> ?1 AND"));
    assert_false(has(open->others_history.statement.sql, "FOR UPDATE"));
    assert_null(open->lock.statement.sql.data);
    fixture_end(&fixture);
}

static void a_history_has_keys_as_texts_and_a_counter_has_none(void **state) {
    static const char hidden[] = "key: {digest: sha256(body)}\n"
                                 "required: [body]\n"
                                 "properties: {body: {type: string}}\n"
                                 "lifecycle: {property: state, states: [Shown, Hidden]}\n"
                                 "transitions: {hide: {to: Hidden}}\n";
    struct fixture fixture;
    fixture_begin(&fixture, "files", hidden, STORE_SQLITE);
    assert_true(has(plan_named(&fixture, "hide")->history.statement.sql, "lower(hex(\"digest\"))"));
    fixture_end(&fixture);
    fixture_begin(&fixture, "files", hidden, STORE_POSTGRES);
    assert_true(
        has(plan_named(&fixture, "hide")->history.statement.sql, "encode(\"digest\", 'hex')"));
    fixture_end(&fixture);
    fixture_begin(&fixture, "codes",
                  "properties: {a: {type: integer}}\n"
                  "transitions: {count: {set: {a: a + 1}}}\n",
                  STORE_SQLITE);
    const struct transition_plan *count_plan = plan_named(&fixture, "count");
    assert_null(count_plan->history.statement.sql.data);
    // Nothing else of its table is locked by a group, so that it may be part of one.
    assert_true(count_plan->move.statement.groups);
    assert_int_equal(count_plan->move.statement.group_keys[0],
                     count_plan->move.numbers[MOVEMENT_KEY] - 1);
    struct call calls[TRANSITION_MAX_CALLS];
    size_t count;
    const struct movement movement = {.key = value_integer(7)};
    assert_true(transition_plan_calls(count_plan, &movement, &fixture.arena, calls, &count));
    assert_int_equal(calls[0].expect, EXPECT_ANY);
    fixture_end(&fixture);
    fixture_begin(&fixture, "codes",
                  "properties: {a: {type: integer}}\n"
                  "unique: [[a]]\n"
                  "transitions: {count: {set: {a: a + 1}}}\n",
                  STORE_SQLITE);
    assert_false(plan_named(&fixture, "count")->move.statement.groups);
    fixture_end(&fixture);
}

static void calls_have_what_is_known_of_the_request(void **state) {
    struct fixture fixture;
    struct call calls[TRANSITION_MAX_CALLS];
    size_t count;
    fixture_begin(&fixture, "things", things, STORE_POSTGRES);
    struct movement movement = {
        .key = value_integer(7), .now = INT64_C(1709208000000), .by = TEXT("admin")};
    const struct transition_plan *use = plan_named(&fixture, "use");
    assert_true(transition_plan_calls(use, &movement, &fixture.arena, calls, &count));
    assert_int_equal(count, 2);
    const struct call *history = &calls[0];
    const size_t *numbers = use->history.numbers;
    assert_ptr_equal(history->statement, &use->history.statement);
    assert_int_equal(history->expect, 1);
    assert_text_is(history->parameters[numbers[MOVEMENT_BY] - 1].text, "admin");
    assert_true(value_is_null(history->parameters[numbers[MOVEMENT_REQUEST] - 1]));
    const struct call *move = &calls[1];
    numbers = use->move.numbers;
    assert_ptr_equal(move->statement, &use->move.statement);
    assert_int_equal(move->expect, 1);
    assert_int_equal(move->parameters[numbers[MOVEMENT_KEY] - 1].integer, 7);
    assert_true(value_is_null(move->parameters[numbers[MOVEMENT_VERSION] - 1]));
    assert_text_is(move->parameters[numbers[MOVEMENT_NOW] - 1].text, "2024-02-29T12:00:00.000Z");
    // What was made once is not changed by a use.
    assert_true(value_is_null(use->move.parameters[numbers[MOVEMENT_KEY] - 1]));
    movement.has_version = true;
    movement.version = 3;
    const struct transition_plan *open = plan_named(&fixture, "open");
    assert_true(transition_plan_calls(open, &movement, &fixture.arena, calls, &count));
    assert_int_equal(count, TRANSITION_MAX_CALLS);
    assert_ptr_equal(calls[0].statement, &open->lock.statement);
    assert_ptr_equal(calls[1].statement, &open->history.statement);
    assert_ptr_equal(calls[2].statement, &open->move.statement);
    assert_int_equal(calls[2].parameters[open->move.numbers[MOVEMENT_VERSION] - 1].integer, 3);
    assert_ptr_equal(calls[3].statement, &open->others_history.statement);
    assert_ptr_equal(calls[4].statement, &open->others.statement);
    assert_int_equal(calls[4].expect, EXPECT_ANY);
    assert_int_equal(calls[4].parameters[0].integer, 7);
    fixture_end(&fixture);
}

static void no_memory_is_survived(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_POSTGRES);
    for (ALLOCATION_FAILURES(nth)) {
        struct arena arena = {0};
        struct plan plan;
        struct call calls[TRANSITION_MAX_CALLS];
        size_t count;
        const struct movement movement = {.key = value_integer(7)};
        bool made = plan_make(&arena, dialect_of(STORE_POSTGRES), fixture.resource, &plan) &&
                    transition_plan_calls(&plan.transitions[0], &movement, &arena, calls, &count);
        bool failed = allocation_allow();
        assert_true(failed || made);
        arena_free(&arena);
        if (!failed)
            break;
    }
    fixture_end(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_statement_changes_on_sqlite),
        cmocka_unit_test(others_and_a_lock_on_postgres),
        cmocka_unit_test(null_safe_without_a_twin_on_sqlite),
        cmocka_unit_test(a_history_has_keys_as_texts_and_a_counter_has_none),
        cmocka_unit_test(calls_have_what_is_known_of_the_request),
        cmocka_unit_test(no_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
