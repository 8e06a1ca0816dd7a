#include "unit/allocation.h"
#include "unit/resource/fixture.h"
#include "unit/resource/plan_things.h"

static const char immutable[] = "actions: [create, read]\n"
                                "key: {digest: sha256(message)}\n"
                                "required: [message]\n"
                                "properties:\n"
                                "  message: {type: string}\n";

static const char chosen[] = "key: code\n"
                             "properties:\n"
                             "  code: {type: string, maxLength: 20}\n"
                             "  name: {type: string, maxLength: 20}\n";

static void test_constant_statements(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    const struct plan *plan = fixture.plan;
    assert_text_is(plan->read.sql,
                   "SELECT " COLUMNS ", \"secret\", \"_version\"" FROM " WHERE \"id\" = ?1");
    assert_text_is(plan->create.sql,
                   "INSERT INTO \"things\" (\"title\", \"rank\", \"open\", \"due\", \"secret\", "
                   "\"notes\") VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING " COLUMNS
                   ", \"secret\", \"_version\"");
    assert_text_is(plan->update.sql,
                   "UPDATE \"things\" SET \"title\" = ?1, \"rank\" = ?2, \"open\" = ?3, "
                   "\"due\" = ?4, \"secret\" = ?5, \"notes\" = ?6, \"_version\" = \"_version\" + 1 "
                   "WHERE \"id\" = ?7 AND \"_version\" = ?8 RETURNING " COLUMNS
                   ", \"secret\", \"_version\"");
    assert_text_is(plan->remove.sql, "DELETE FROM \"things\" WHERE \"id\" = ?1");
    assert_text_is(plan->remove_version.sql,
                   "DELETE FROM \"things\" WHERE \"id\" = ?1 AND \"_version\" = ?2");
    assert_int_equal(plan->selection.shown, 6);
    assert_int_equal(plan->selection.count, 8);
    assert_null(plan->selection.properties[7]);
    assert_true(plan->read.hash != 0 && plan->read.hash != plan->create.hash);
    assert_int_equal(plan->read.column_count, 8);
    assert_int_equal(plan->read.columns[0].kind, VALUE_INTEGER);
    assert_int_equal(plan->read.columns[4].kind, VALUE_TIMESTAMP);
    assert_int_equal(plan->read.columns[7].kind, VALUE_INTEGER);
    assert_int_equal(plan->remove.column_count, 0);
    fixture_end(&fixture);
}

// PostgreSQL is told the type of each parameter, which the values of a request do not change.
static void test_constant_statements_of_postgres(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_POSTGRES);
    assert_text_is(fixture.plan->create.sql,
                   "INSERT INTO \"things\" (\"title\", \"rank\", \"open\", \"due\", \"secret\", "
                   "\"notes\") VALUES ($1::text, $2::bigint, $3::boolean, $4::timestamptz, "
                   "$5::text, $6::text) RETURNING " COLUMNS ", \"secret\", \"_version\"");
    fixture_end(&fixture);
}

static void test_content_addressed(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "messages", immutable, STORE_SQLITE);
    const struct plan *plan = fixture.plan;
    assert_text_is(plan->create.sql,
                   "INSERT INTO \"messages\" (\"digest\", \"message\") VALUES (?1, ?2) "
                   "ON CONFLICT (\"digest\") DO NOTHING RETURNING \"digest\", \"message\"");
    assert_text_is(plan->read.sql,
                   "SELECT \"digest\", \"message\" FROM \"messages\" WHERE \"digest\" = ?1");
    assert_int_equal(plan->read.columns[0].kind, VALUE_BYTES);
    assert_null(plan->update.sql.data);
    assert_null(plan->remove_version.sql.data);
    const struct value cells[] = {value_text(VALUE_BYTES, TEXT("digest")),
                                  value_text(VALUE_TEXT, TEXT("a"))};
    const struct value others[] = {value_text(VALUE_BYTES, TEXT("digesT")),
                                   value_text(VALUE_TEXT, TEXT("a"))};
    assert_true(plan_version(plan, cells) >= 0);
    assert_true(plan_version(plan, cells) != plan_version(plan, others));
    fixture_end(&fixture);
}

// Deleted content may come again with other properties beside it.
static void test_versions_of_digests(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "files",
                  "key: {digest: sha256(body)}\nrequired: [body]\n"
                  "properties: {body: {type: string}, note: {type: string}}\n",
                  STORE_SQLITE);
    assert_text_is(fixture.plan->create.sql,
                   "INSERT INTO \"files\" (\"digest\", \"body\", \"note\", \"_version\") "
                   "VALUES (?1, ?2, ?3, ?4) ON CONFLICT (\"digest\") DO NOTHING "
                   "RETURNING \"digest\", \"body\", \"note\", \"_version\"");
    const struct value cells[] = {[3] = value_integer(77)};
    assert_int_equal(plan_version(fixture.plan, cells), 77);
    fixture_end(&fixture);
}

// What is shown, its order and its kinds make the shape, and nothing else does.
static void test_shapes(void **state) {
    static const char *const others[] = {
        "properties: {a: {type: string}, c: {type: integer}}\n",
        "properties: {b: {type: integer}, a: {type: string}}\n",
        "properties: {a: {type: string}, b: {type: number}}\n",
        "properties: {a: {type: string}, b: {type: integer, writeOnly: true}}\n",
        "properties: {a: {type: string, format: decimal, scale: 1}, b: {type: integer}}\n",
        "properties: {a: {type: string, format: decimal, scale: 2}, b: {type: integer}}\n",
        "key: {number: integer}\nproperties: {a: {type: string}, b: {type: integer}}\n",
    };
    struct fixture fixture;
    uint64_t shapes[sizeof others / sizeof *others + 1];
    fixture_begin(&fixture, "t", "properties: {a: {type: string}, b: {type: integer}}\n",
                  STORE_SQLITE);
    uint64_t shape = shapes[0] = fixture.plan->shape;
    fixture_end(&fixture);
    fixture_begin(&fixture, "t",
                  "properties: {a: {type: string, maxLength: 5}, b: {type: integer, minimum: 2}}\n"
                  "actions: [list, read]\n",
                  STORE_POSTGRES);
    assert_true(fixture.plan->shape == shape);
    fixture_end(&fixture);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        fixture_begin(&fixture, "t", others[i], STORE_SQLITE);
        shapes[i + 1] = fixture.plan->shape;
        for (size_t j = 0; j <= i; j++)
            assert_true_for(shapes[j] != shapes[i + 1], others[i]);
        fixture_end(&fixture);
    }
}

static void test_chosen_key(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "places", chosen, STORE_SQLITE);
    assert_text_is(fixture.plan->create.sql,
                   "INSERT INTO \"places\" (\"code\", \"name\", \"_version\") VALUES (?1, ?2, ?3) "
                   "RETURNING \"code\", \"name\", \"_version\"");
    assert_text_is(fixture.plan->update.sql,
                   "UPDATE \"places\" SET \"name\" = ?1, \"_version\" = \"_version\" + 1 "
                   "WHERE \"code\" = ?2 AND \"_version\" = ?3 "
                   "RETURNING \"code\", \"name\", \"_version\"");
    fixture_end(&fixture);
}

// A key that is free again may be given to another record; its version must not be.
static void test_versions_of_chosen_keys(void **state) {
    struct fixture fixture;
    struct call first;
    struct call second;
    const struct value values[] = {value_text(VALUE_TEXT, TEXT("a")), value_null()};
    fixture_begin(&fixture, "places", chosen, STORE_POSTGRES);
    assert_true(plan_create(fixture.plan, values, &fixture.arena, &first));
    assert_true(plan_create(fixture.plan, values, &fixture.arena, &second));
    assert_int_equal(first.parameter_count, 3);
    assert_int_equal(first.parameters[2].kind, VALUE_INTEGER);
    assert_true(first.parameters[2].integer >= 0 && first.parameters[2].integer < INT64_MAX / 2);
    assert_int_not_equal(first.parameters[2].integer, second.parameters[2].integer);
    fixture_end(&fixture);
}

static void test_calls(void **state) {
    struct fixture fixture;
    struct call call;
    struct value values[7] = {[0] = value_null(), [2] = value_integer(5)};
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    values[1] = value_text(VALUE_TEXT, TEXT("a title"));
    assert_true(plan_create(fixture.plan, values, &fixture.arena, &call));
    assert_ptr_equal(call.statement, &fixture.plan->create);
    assert_int_equal(call.parameter_count, 6);
    assert_text_is(call.parameters[0].text, "a title");
    assert_int_equal(call.parameters[1].integer, 5);
    assert_int_equal(call.parameters[5].kind, VALUE_NULL);
    assert_true(plan_update(fixture.plan, value_integer(7), 3, values, &fixture.arena, &call));
    assert_int_equal(call.parameter_count, 8);
    assert_int_equal(call.parameters[6].integer, 7);
    assert_int_equal(call.parameters[7].integer, 3);
    assert_int_equal(call.expect, EXPECT_ANY);
    assert_true(plan_read(fixture.plan, value_integer(9), &fixture.arena, &call));
    assert_int_equal(call.parameter_count, 1);
    assert_int_equal(call.parameters[0].integer, 9);
    assert_true(plan_remove(fixture.plan, value_integer(9), &fixture.arena, &call));
    assert_ptr_equal(call.statement, &fixture.plan->remove);
    assert_true(plan_remove_version(fixture.plan, value_integer(9), 4, &fixture.arena, &call));
    assert_ptr_equal(call.statement, &fixture.plan->remove_version);
    assert_int_equal(call.parameter_count, 2);
    assert_int_equal(call.parameters[0].integer, 9);
    assert_int_equal(call.parameters[1].integer, 4);
    fixture_end(&fixture);
}

static void test_values_of_a_row(void **state) {
    struct fixture fixture;
    struct value values[7];
    int64_t version = 0;
    char note[] = "a note";
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    // id, title, rank, open, due, notes, secret, _version
    const struct value cells[] = {value_integer(1),
                                  value_text(VALUE_TEXT, TEXT("t")),
                                  value_null(),
                                  value_boolean(true),
                                  value_null(),
                                  value_text(VALUE_TEXT, text_from_string(note)),
                                  value_text(VALUE_TEXT, TEXT("s")),
                                  value_integer(12)};
    assert_true(plan_values(fixture.plan, cells, &fixture.arena, values, &version));
    memset(note, 'x', sizeof note - 1);
    assert_int_equal(version, 12);
    assert_int_equal(values[0].integer, 1);
    assert_text_is(values[1].text, "t");
    assert_true(value_is_null(values[2]));
    assert_text_is(values[5].text, "s");
    assert_text_is(values[6].text, "a note");
    fixture_end(&fixture);
}

// Keys, versions and what is never shown are stored as they were.
static void test_restored_records(void **state) {
    struct fixture fixture;
    struct call call;
    char note[] = "a note";
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    assert_text_is(fixture.plan->restore.sql,
                   "INSERT INTO \"things\" (" COLUMNS ", \"secret\", \"_version\") "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    assert_int_equal(fixture.plan->restore.column_count, 0);
    assert_false(fixture.plan->restore.groups);
    const struct value cells[] = {[0] = value_integer(7),
                                  [5] = value_text(VALUE_TEXT, text_from_string(note)),
                                  [7] = value_integer(12)};
    assert_true(plan_restore(fixture.plan, cells, &fixture.arena, &call));
    memset(note, 'x', sizeof note - 1);
    assert_ptr_equal(call.statement, &fixture.plan->restore);
    assert_int_equal(call.parameter_count, 8);
    assert_int_equal(call.parameters[0].integer, 7);
    assert_true(value_is_null(call.parameters[1]));
    assert_text_is(call.parameters[5].text, "a note");
    assert_int_equal(call.parameters[7].integer, 12);
    fixture_end(&fixture);
    fixture_begin(&fixture, "things", things, STORE_POSTGRES);
    assert_text_is(fixture.plan->restore.sql,
                   "INSERT INTO \"things\" (" COLUMNS ", \"secret\", \"_version\") "
                   "VALUES ($1::bigint, $2::text, $3::bigint, $4::boolean, $5::timestamptz, "
                   "$6::text, $7::text, $8::bigint)");
    fixture_end(&fixture);
    // One that never changes has no version, and must not be taken for one that is there.
    fixture_begin(&fixture, "messages", immutable, STORE_SQLITE);
    assert_text_is(fixture.plan->restore.sql,
                   "INSERT INTO \"messages\" (\"digest\", \"message\") VALUES (?1, ?2)");
    fixture_end(&fixture);
}

static void test_numbers_of_made_keys(void **state) {
    struct fixture fixture;
    struct call call;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    assert_true(plan_last_number(fixture.plan, &fixture.arena, &call));
    assert_text_is(call.statement->sql, "SELECT seq FROM sqlite_sequence WHERE name = ?1");
    assert_int_equal(call.statement->column_count, 1);
    assert_int_equal(call.statement->columns[0].kind, VALUE_INTEGER);
    assert_text_is(call.parameters[0].text, "things");
    assert_true(plan_continue_numbers(fixture.plan, 41, &fixture.arena, &call));
    assert_int_equal(call.statement->column_count, 0);
    assert_int_equal(call.parameter_count, 2);
    assert_text_is(call.parameters[0].text, "things");
    assert_int_equal(call.parameters[1].integer, 41);
    fixture_end(&fixture);
    fixture_begin(&fixture, "things", things, STORE_POSTGRES);
    assert_true(plan_last_number(fixture.plan, &fixture.arena, &call));
    assert_text_is(call.statement->sql,
                   "SELECT last_value FROM pg_catalog.pg_sequences WHERE format('%I.%I', "
                   "schemaname, sequencename) = pg_get_serial_sequence($1::text, $2::text)");
    assert_text_is(call.parameters[0].text, "\"things\"");
    assert_text_is(call.parameters[1].text, "id");
    assert_true(plan_continue_numbers(fixture.plan, 41, &fixture.arena, &call));
    assert_text_is(call.statement->sql,
                   "SELECT setval(pg_get_serial_sequence($1::text, $2::text)::regclass, "
                   "$3::bigint)");
    assert_int_equal(call.parameters[2].integer, 41);
    fixture_end(&fixture);
}

static void assert_no_leak_of_numbers(enum store_dialect dialect) {
    static const struct value cells[8] = {[1] = {.kind = VALUE_TEXT, .text = TEXT_INIT("title")}};
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, dialect);
    for (ALLOCATION_FAILURES(nth)) {
        struct arena arena = {0};
        struct call call;
        bool done = plan_restore(fixture.plan, cells, &arena, &call) &&
                    plan_last_number(fixture.plan, &arena, &call) &&
                    plan_continue_numbers(fixture.plan, 41, &arena, &call);
        bool failed = allocation_allow();
        arena_free(&arena);
        assert_int_equal(done, !failed);
        if (!failed)
            break;
    }
    fixture_end(&fixture);
}

static void test_out_of_memory(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    for (ALLOCATION_FAILURES(nth)) {
        struct arena arena = {0};
        struct plan plan;
        bool done = plan_make(&arena, fixture.catalogue->dialect, fixture.resource, &plan);
        bool failed = allocation_allow();
        arena_free(&arena);
        assert_int_equal(done, !failed);
        if (!failed)
            break;
    }
    fixture_end(&fixture);
    assert_no_leak_of_numbers(STORE_SQLITE);
    assert_no_leak_of_numbers(STORE_POSTGRES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constant_statements),
        cmocka_unit_test(test_constant_statements_of_postgres),
        cmocka_unit_test(test_content_addressed),
        cmocka_unit_test(test_versions_of_digests),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_chosen_key),
        cmocka_unit_test(test_versions_of_chosen_keys),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_values_of_a_row),
        cmocka_unit_test(test_restored_records),
        cmocka_unit_test(test_numbers_of_made_keys),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
