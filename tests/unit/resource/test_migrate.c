#include "resource/migrate.h"
#include "unit/allocation.h"
#include "unit/resource/fixture.h"

static const char things[] = "properties:\n"
                             "  name: {type: string, maxLength: 20}\n"
                             "  rank: {type: integer}\n"
                             "  price: {type: string, format: decimal, scale: 2}\n"
                             "unique: [[name]]\n"
                             "indexes: [[rank, name]]\n";

// The columns and indexes of a table that fits `things` on SQLite: "TABLE COLUMN TYPE", with a "!"
// at its end where it is not null, and "TABLE INDEX unique|plain COLUMN…".
static const char *const fitting[] = {"things id INTEGER!",
                                      "things name TEXT",
                                      "things rank INTEGER",
                                      "things price SCALED_INTEGER(2)",
                                      "things _version INTEGER!",
                                      "index things things_name_key unique name",
                                      "index things things_rank_name_idx plain rank name",
                                      NULL};

static struct text word(struct text *rest) {
    struct text part = TEXT("");
    assert_true(text_split(rest, ' ', &part));
    return part;
}

static void add_index(struct fixture *fixture, struct stored_schema *schema, struct text rest) {
    struct stored_index *index = &schema->indexes[schema->index_count++];
    index->table = word(&rest);
    index->name = word(&rest);
    index->unique = text_is(word(&rest), "unique");
    index->columns = arena_allocate_zero(&fixture->arena, 8, sizeof *index->columns);
    struct text column;
    while (rest.data && text_split(&rest, ' ', &column))
        index->columns[index->column_count++] = column;
}

static void add_column(struct stored_schema *schema, struct text rest) {
    struct stored_column *column = &schema->columns[schema->column_count++];
    column->table = word(&rest);
    column->name = word(&rest);
    column->type = rest;
    column->not_null = rest.data[rest.size - 1] == '!';
    column->type.size -= column->not_null;
}

static struct stored_schema schema_of(struct fixture *fixture, const char *const *lines) {
    struct stored_schema schema = {0};
    schema.columns = arena_allocate_zero(&fixture->arena, 32, sizeof *schema.columns);
    schema.indexes = arena_allocate_zero(&fixture->arena, 32, sizeof *schema.indexes);
    for (; *lines; lines++) {
        struct text line = text_from_string(*lines);
        if (text_starts_with(line, TEXT("index ")))
            add_index(fixture, &schema, text_from(line, 6));
        else
            add_column(&schema, line);
    }
    return schema;
}

static bool plan(struct fixture *fixture, const char *const *lines, struct migration *migration) {
    struct stored_schema schema = schema_of(fixture, lines);
    return migrate_plan(fixture->catalogue, &schema, &fixture->arena, migration, &fixture->failure);
}

// The steps must be these: "+SQL" for a safe one, "-SQL" for a lossy one; NULL at their end.
static void assert_steps(struct fixture *fixture, const char *const *lines,
                         const char *const *expected) {
    struct migration migration = {0};
    bool lossy = false;
    if (!plan(fixture, lines, &migration))
        print_error("%s\n", fixture->failure.detail);
    assert_int_equal(fixture->failure.code, FAILURE_NONE);
    size_t count = 0;
    for (; count < migration.step_count && expected[count]; count++) {
        const struct migration_step *step = &migration.steps[count];
        struct text line = arena_format(&fixture->arena, "%c%.*s",
                                        step->kind == STEP_LOSSY ? '-' : '+', TEXT_ARGS(step->sql));
        assert_text_is(line, expected[count]);
        assert_true(step->reason.size > 0 && text_find(step->reason, '\n') < 0);
        lossy = lossy || step->kind == STEP_LOSSY;
    }
    if (count < migration.step_count)
        print_error("more: %.*s\n", TEXT_ARGS(migration.steps[count].sql));
    assert_int_equal(count, migration.step_count);
    assert_null(expected[count]);
    assert_int_equal(migration.lossy, lossy);
}

#define STEPS(...) ((const char *const[]){__VA_ARGS__, NULL})

// The lines of `fitting` with one of them replaced; an empty one is left out, and one more is
// added.
static const char *const *fitting_but(struct fixture *fixture, const char *old, const char *new,
                                      const char *more) {
    const char **lines = arena_allocate_zero(&fixture->arena, 16, sizeof *lines);
    size_t count = 0;
    bool found = !*old;
    for (size_t i = 0; fitting[i]; i++) {
        bool same = strcmp(fitting[i], old) == 0;
        found = found || same;
        if (!same)
            lines[count++] = fitting[i];
        else if (*new)
            lines[count++] = new;
    }
    assert_true(found);
    if (*more)
        lines[count++] = more;
    return lines;
}

static void assert_refused(struct fixture *fixture, const char *const *lines, const char *words) {
    struct migration migration = {0};
    assert_false(plan(fixture, lines, &migration));
    assert_int_equal(fixture->failure.code, FAILURE_REFUSED);
    if (!strstr(fixture->failure.detail, words))
        print_error("%s\n", fixture->failure.detail);
    assert_non_null(strstr(fixture->failure.detail, words));
    assert_int_equal(migration.step_count, 0);
    fixture->failure = (struct failure){0};
}

static void test_new_table(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    assert_steps(&fixture, STEPS("others id INTEGER!"),
                 STEPS("+CREATE TABLE \"things\" (\"id\" INTEGER PRIMARY KEY AUTOINCREMENT, "
                       "\"name\" TEXT, \"rank\" INTEGER, \"price\" SCALED_INTEGER(2), "
                       "\"_version\" INTEGER NOT NULL DEFAULT 1)",
                       "+CREATE UNIQUE INDEX \"things_name_key\" ON \"things\" (\"name\")",
                       "+CREATE INDEX \"things_rank_name_idx\" ON \"things\" (\"rank\", "
                       "\"name\")"));
    fixture_end(&fixture);
}

static void test_new_table_on_postgres(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_POSTGRES);
    assert_steps(
        &fixture, STEPS("others id bigint!"),
        STEPS("+CREATE TABLE \"things\" (\"id\" bigint GENERATED BY DEFAULT AS IDENTITY "
              "PRIMARY KEY, \"name\" text COLLATE \"C\", \"rank\" bigint, "
              "\"price\" numeric(19,2), \"_version\" bigint NOT NULL DEFAULT 1)",
              "+CREATE UNIQUE INDEX \"things_name_key\" ON \"things\" (\"name\" ASC NULLS FIRST)",
              "+CREATE INDEX \"things_rank_name_idx\" ON \"things\" (\"rank\" ASC NULLS FIRST, "
              "\"name\" ASC NULLS FIRST, \"id\")"));
    fixture_end(&fixture);
}

static void test_keys_of_other_kinds(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things",
                  "key: {digest: sha256(text)}\nactions: [create, read]\nrequired: [text]\n"
                  "properties:\n  text: {type: string}\n  rank: {type: integer}\n"
                  "indexes: [[rank]]\n",
                  STORE_SQLITE);
    assert_steps(&fixture, STEPS("others id INTEGER!"),
                 STEPS("+CREATE TABLE \"things\" (\"digest\" BLOB NOT NULL PRIMARY KEY, "
                       "\"text\" TEXT, \"rank\" INTEGER)",
                       "+CREATE INDEX \"things_rank_idx\" ON \"things\" (\"rank\", \"digest\")"));
    assert_steps(&fixture,
                 STEPS("things digest BLOB!", "things text TEXT", "things rank INTEGER",
                       "index things sqlite_autoindex_things_1 unique digest",
                       "index things things_rank_idx plain rank digest"),
                 (const char *const[]){NULL});
    fixture_end(&fixture);
    fixture_begin(&fixture, "things",
                  "key: code\nproperties:\n  code: {type: string, maxLength: 9}\n"
                  "  rank: {type: integer}\nindexes: [[rank], [code, rank]]\n",
                  STORE_SQLITE);
    assert_steps(
        &fixture, STEPS("others id INTEGER!"),
        STEPS("+CREATE TABLE \"things\" (\"code\" TEXT NOT NULL PRIMARY KEY, \"rank\" INTEGER, "
              "\"_version\" INTEGER NOT NULL DEFAULT 1)",
              "+CREATE INDEX \"things_rank_idx\" ON \"things\" (\"rank\", \"code\")",
              "+CREATE INDEX \"things_code_rank_idx\" ON \"things\" (\"code\", \"rank\")"));
    fixture_end(&fixture);
}

static void test_nothing_to_do(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    assert_steps(&fixture, fitting, (const char *const[]){NULL});
    fixture_end(&fixture);
    fixture_begin(&fixture, "things", things, STORE_POSTGRES);
    assert_steps(&fixture,
                 STEPS("things id bigint!", "things name text COLLATE \"C\"", "things rank bigint",
                       "things price numeric(19,2)", "things _version bigint!",
                       "index things things_pkey unique id",
                       "index things things_name_key unique name",
                       "index things things_rank_name_idx plain rank name id"),
                 (const char *const[]){NULL});
    fixture_end(&fixture);
}

static void test_new_column(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    assert_steps(&fixture, fitting_but(&fixture, "things price SCALED_INTEGER(2)", "", ""),
                 STEPS("+ALTER TABLE \"things\" ADD COLUMN \"price\" SCALED_INTEGER(2)"));
    assert_steps(&fixture, fitting_but(&fixture, "things _version INTEGER!", "", ""),
                 STEPS("+ALTER TABLE \"things\" ADD COLUMN \"_version\" INTEGER NOT NULL "
                       "DEFAULT 1"));
    fixture_end(&fixture);
}

// Where null would break a rule, stored records get the default; else it is for new ones alone.
static void test_new_column_with_default(void **state) {
    static const char yaml[] = "required: [a, b, c, d, e, f]\n"
                               "properties:\n"
                               "  a: {type: string, maxLength: 20, default: \"it's\"}\n"
                               "  b: {type: integer, default: -5}\n"
                               "  c: {type: boolean, default: true}\n"
                               "  d: {type: string, format: decimal, scale: 2, default: \"1.5\"}\n"
                               "  e: {type: number, default: 0.5}\n"
                               "  f: {type: string, format: date-time, default_expression: now()}\n"
                               "  g: {type: integer, default: 7}\n"
                               "lifecycle: {property: status, states: [New, Old]}\n";
    struct fixture fixture;
    fixture_begin(&fixture, "things", yaml, STORE_SQLITE);
    assert_steps(&fixture, STEPS("things id INTEGER!", "things _version INTEGER!"),
                 STEPS("+ALTER TABLE \"things\" ADD COLUMN \"a\" TEXT DEFAULT 'it''s'",
                       "+ALTER TABLE \"things\" ADD COLUMN \"b\" INTEGER DEFAULT -5",
                       "+ALTER TABLE \"things\" ADD COLUMN \"c\" BOOLEAN DEFAULT 1",
                       "+ALTER TABLE \"things\" ADD COLUMN \"d\" SCALED_INTEGER(2) DEFAULT 150",
                       "+ALTER TABLE \"things\" ADD COLUMN \"e\" REAL DEFAULT 0.5",
                       "+ALTER TABLE \"things\" ADD COLUMN \"f\" TIMESTAMP_TEXT",
                       "+ALTER TABLE \"things\" ADD COLUMN \"g\" INTEGER",
                       "+ALTER TABLE \"things\" ADD COLUMN \"status\" TEXT DEFAULT 'New'"));
    fixture_end(&fixture);
    fixture_begin(&fixture, "things",
                  "required: [c, d]\nproperties:\n  c: {type: boolean, default: false}\n"
                  "  d: {type: string, format: decimal, scale: 2, default: \"-1.5\"}\n",
                  STORE_POSTGRES);
    assert_steps(
        &fixture,
        STEPS("things id bigint!", "things _version bigint!", "index things things_pkey unique id"),
        STEPS("+ALTER TABLE \"things\" ADD COLUMN \"c\" boolean DEFAULT false",
              "+ALTER TABLE \"things\" ADD COLUMN \"d\" numeric(19,2) DEFAULT -1.50"));
    fixture_end(&fixture);
}

static void test_dropped_column(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    assert_steps(&fixture, fitting_but(&fixture, "", "", "things old TEXT"),
                 STEPS("-ALTER TABLE \"things\" DROP COLUMN \"old\""));
    fixture_end(&fixture);
    // A resource whose records cannot change any more keeps their versions.
    fixture_begin(&fixture, "things",
                  "actions: [list, create, read, delete]\nproperties:\n  name: {type: string}\n",
                  STORE_SQLITE);
    assert_steps(&fixture,
                 STEPS("things id INTEGER!", "things name TEXT", "things _version INTEGER!"),
                 (const char *const[]){NULL});
    fixture_end(&fixture);
}

static void test_renamed_column(void **state) {
    static const char yaml[] = "properties:\n"
                               "  title: {type: string, maxLength: 20, was: name}\n"
                               "unique: [[title]]\n";
    struct fixture fixture;
    fixture_begin(&fixture, "things", yaml, STORE_SQLITE);
    assert_steps(&fixture,
                 STEPS("things id INTEGER!", "things name TEXT", "things _version INTEGER!",
                       "index things things_name_key unique name"),
                 STEPS("+DROP INDEX \"things_name_key\"",
                       "+ALTER TABLE \"things\" RENAME COLUMN \"name\" TO \"title\"",
                       "+CREATE UNIQUE INDEX \"things_title_key\" ON \"things\" (\"title\")"));
    // It was done before.
    assert_steps(&fixture,
                 STEPS("things id INTEGER!", "things title TEXT", "things _version INTEGER!",
                       "index things things_title_key unique title"),
                 (const char *const[]){NULL});
    // Both are there: what the old one holds would be lost.
    assert_steps(&fixture,
                 STEPS("things id INTEGER!", "things title TEXT", "things name TEXT",
                       "things _version INTEGER!", "index things things_title_key unique title"),
                 STEPS("-ALTER TABLE \"things\" DROP COLUMN \"name\""));
    fixture_end(&fixture);
}

static void test_changed_type(void **state) {
    static const char new_index[] =
        "+CREATE INDEX \"things_rank_name_idx\" ON \"things\" (\"rank\", \"name\")";
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    assert_steps(&fixture, fitting_but(&fixture, "things rank INTEGER", "things rank TEXT", ""),
                 STEPS("+DROP INDEX \"things_rank_name_idx\"",
                       "-ALTER TABLE \"things\" ADD COLUMN \"_new_rank\" INTEGER",
                       "-UPDATE \"things\" SET \"_new_rank\" = CAST(\"rank\" AS INTEGER)",
                       "-ALTER TABLE \"things\" DROP COLUMN \"rank\"",
                       "-ALTER TABLE \"things\" RENAME COLUMN \"_new_rank\" TO \"rank\"",
                       new_index));
    fixture_end(&fixture);
    fixture_begin(&fixture, "things", things, STORE_POSTGRES);
    assert_steps(&fixture,
                 STEPS("things id bigint!", "things name text COLLATE \"C\"", "things rank text",
                       "things price numeric(19,2)", "things _version bigint!",
                       "index things things_pkey unique id",
                       "index things things_name_key unique name",
                       "index things things_rank_name_idx plain rank name id"),
                 STEPS("-ALTER TABLE \"things\" ALTER COLUMN \"rank\" TYPE bigint USING "
                       "CAST(\"rank\" AS bigint)"));
    fixture_end(&fixture);
}

// The point of a decimal moves without its digits going through a double.
static void test_changed_scale(void **state) {
    static const struct {
        const char *type;
        const char *update;
    } cases[] = {
        {"things price SCALED_INTEGER(0)",
         "-UPDATE \"things\" SET \"_new_price\" = \"price\" * 100"},
        {"things price INTEGER", "-UPDATE \"things\" SET \"_new_price\" = \"price\" * 100"},
        {"things price SCALED_INTEGER(5)",
         "-UPDATE \"things\" SET \"_new_price\" = \"price\" / 1000"},
        {"things price TEXT",
         "-UPDATE \"things\" SET \"_new_price\" = CAST(round(\"price\" * 1e2) AS INTEGER)"},
    };
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_steps(&fixture,
                     fitting_but(&fixture, "things price SCALED_INTEGER(2)", cases[i].type, ""),
                     STEPS("-ALTER TABLE \"things\" ADD COLUMN \"_new_price\" SCALED_INTEGER(2)",
                           cases[i].update, "-ALTER TABLE \"things\" DROP COLUMN \"price\"",
                           "-ALTER TABLE \"things\" RENAME COLUMN \"_new_price\" TO \"price\""));
    fixture_end(&fixture);
}

static void test_types_as_databases_write_them(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    assert_steps(&fixture, fitting_but(&fixture, "things rank INTEGER", "things rank integer", ""),
                 (const char *const[]){NULL});
    assert_steps(&fixture,
                 fitting_but(&fixture, "things name TEXT", "things name text collate binary", ""),
                 (const char *const[]){NULL});
    fixture_end(&fixture);
}

static void test_dropped_indexes(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    // Those that trestle made go when they are no longer declared, others stay.
    assert_steps(&fixture,
                 fitting_but(&fixture, "", "", "index things things_price_idx plain price"),
                 STEPS("+DROP INDEX \"things_price_idx\""));
    assert_steps(&fixture, fitting_but(&fixture, "", "", "index things my_index plain price"),
                 (const char *const[]){NULL});
    assert_steps(&fixture, fitting_but(&fixture, "", "", "index others others_x_idx plain x"),
                 (const char *const[]){NULL});
    // An index somebody made by hand will do, too.
    assert_steps(&fixture,
                 fitting_but(&fixture, "index things things_rank_name_idx plain rank name",
                             "index things by_rank plain rank name", ""),
                 (const char *const[]){NULL});
    // One that is unique where it should not be will not.
    assert_steps(&fixture,
                 fitting_but(&fixture, "index things things_rank_name_idx plain rank name",
                             "index things things_rank_name_key unique rank name", ""),
                 STEPS("+DROP INDEX \"things_rank_name_key\"",
                       "+CREATE INDEX \"things_rank_name_idx\" ON \"things\" (\"rank\", "
                       "\"name\")"));
    fixture_end(&fixture);
}

// A column that goes takes the indexes on it along, those of other people too.
static void test_index_on_dropped_column(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", "properties:\n  name: {type: string}\n", STORE_SQLITE);
    assert_steps(&fixture,
                 STEPS("things id INTEGER!", "things name TEXT", "things old TEXT",
                       "things _version INTEGER!", "index things theirs plain name old"),
                 STEPS("-DROP INDEX \"theirs\"", "-ALTER TABLE \"things\" DROP COLUMN \"old\""));
    fixture_end(&fixture);
}

static void test_index_of_a_new_column(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", "properties:\n  a: {type: integer}\nindexes: [[a]]\n",
                  STORE_SQLITE);
    assert_steps(&fixture, STEPS("things id INTEGER!", "things _version INTEGER!"),
                 STEPS("+ALTER TABLE \"things\" ADD COLUMN \"a\" INTEGER",
                       "+CREATE INDEX \"things_a_idx\" ON \"things\" (\"a\")"));
    fixture_end(&fixture);
}

static struct text last_index_name(struct fixture *fixture, const char *const *lines) {
    struct migration migration = {0};
    assert_true(plan(fixture, lines, &migration));
    struct text sql = migration.steps[migration.step_count - 1].sql;
    ptrdiff_t start = text_find(sql, '"');
    assert_true(start > 0);
    struct text name = text_from(sql, (size_t)start + 1);
    return text_of(name.data, (size_t)text_find(name, '"'));
}

static void test_names_of_indexes(void **state) {
    struct fixture fixture;
    // 63 bytes are let be, 64 are cut, and the cut ones still differ.
    static const char yaml[] =
        "properties:\n"
        "  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: {type: integer}\n"
        "  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab: {type: integer}\n"
        "  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac: {type: integer}\n"
        "indexes:\n"
        "  - [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\n"
        "  - [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab]\n"
        "  - [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac]\n";
    fixture_begin(&fixture, "things", yaml, STORE_SQLITE);
    struct migration migration = {0};
    assert_true(plan(&fixture, STEPS("others id INTEGER!"), &migration));
    assert_int_equal(migration.step_count, 4);
    assert_true(text_starts_with(
        migration.steps[1].sql,
        TEXT("CREATE INDEX "
             "\"things_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_idx\" ")));
    for (size_t i = 2; i < 4; i++) {
        struct text name = text_from(migration.steps[i].sql, strlen("CREATE INDEX \""));
        assert_int_equal(text_find(name, '"'), 63);
    }
    assert_false(text_equal(text_of(migration.steps[2].sql.data, 77),
                            text_of(migration.steps[3].sql.data, 77)));
    fixture_end(&fixture);
}

// The columns b_c of a, and c of a_b, would have one name; so would an index called like a table.
static void test_names_that_are_taken(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "a", "properties:\n  b_c: {type: integer}\nindexes: [[b_c]]\n",
                  STORE_SQLITE);
    assert_text_is(last_index_name(&fixture, STEPS("a_b c INTEGER")), "a_b_c_idx");
    struct text other =
        last_index_name(&fixture, STEPS("a_b c INTEGER", "index a_b a_b_c_idx plain c"));
    assert_true(text_starts_with(other, TEXT("a_b_c_")) &&
                other.size == strlen("a_b_c_00000000_idx"));
    assert_true(text_equal(other, last_index_name(&fixture, STEPS("a_b_c_idx c INTEGER"))));
    // It is known by that name, too.
    struct text line = arena_format(&fixture.arena, "index a %.*s plain b_c", TEXT_ARGS(other));
    assert_steps(&fixture,
                 STEPS("a id INTEGER!", "a b_c INTEGER", "a _version INTEGER!", line.data),
                 (const char *const[]){NULL});
    fixture_end(&fixture);
    fixture_begin(&fixture, "a", "properties:\n  b_c: {type: integer}\n", STORE_SQLITE);
    line = arena_format(&fixture.arena, "index a %.*s plain b_c", TEXT_ARGS(other));
    struct text drop = arena_format(&fixture.arena, "+DROP INDEX \"%.*s\"", TEXT_ARGS(other));
    assert_steps(&fixture,
                 STEPS("a id INTEGER!", "a b_c INTEGER", "a _version INTEGER!", line.data),
                 STEPS(drop.data));
    fixture_end(&fixture);
}

static void test_tables_of_other_people(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    assert_refused(&fixture, STEPS("things name TEXT"), "\"id\" is missing");
    assert_refused(&fixture, STEPS("things name TEXT"),
                   "ALTER TABLE \"things\" RENAME TO \"things_old\"");
    assert_refused(&fixture, fitting_but(&fixture, "things id INTEGER!", "things id TEXT!", ""),
                   "another type");
    assert_refused(&fixture, fitting_but(&fixture, "things id INTEGER!", "things id INTEGER", ""),
                   "no primary key");
    assert_refused(&fixture, fitting_but(&fixture, "things name TEXT", "things name TEXT!", ""),
                   "\"name\" takes no null");
    assert_refused(&fixture,
                   fitting_but(&fixture, "things _version INTEGER!", "things _version TEXT", ""),
                   "\"_version\" is no integer");
    fixture_end(&fixture);
    fixture_begin(&fixture, "things",
                  "key: code\nproperties:\n  code: {type: string, maxLength: 9}\n", STORE_SQLITE);
    assert_refused(&fixture, STEPS("things code TEXT!", "things _version INTEGER!"),
                   "\"code\" is not unique");
    fixture_end(&fixture);
}

static void test_out_of_memory(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    struct stored_schema schema =
        schema_of(&fixture, fitting_but(&fixture, "things rank INTEGER", "things rank TEXT",
                                        "index things things_price_idx plain price"));
    for (ALLOCATION_FAILURES(nth)) {
        struct arena arena = {0};
        struct migration migration = {0};
        struct failure failure = {0};
        bool done = migrate_plan(fixture.catalogue, &schema, &arena, &migration, &failure);
        bool failed = allocation_allow();
        if (failed) {
            assert_false(done);
            assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
        }
        arena_free(&arena);
        if (!failed)
            break;
    }
    fixture_end(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_table),
        cmocka_unit_test(test_new_table_on_postgres),
        cmocka_unit_test(test_keys_of_other_kinds),
        cmocka_unit_test(test_nothing_to_do),
        cmocka_unit_test(test_new_column),
        cmocka_unit_test(test_new_column_with_default),
        cmocka_unit_test(test_dropped_column),
        cmocka_unit_test(test_renamed_column),
        cmocka_unit_test(test_changed_type),
        cmocka_unit_test(test_changed_scale),
        cmocka_unit_test(test_types_as_databases_write_them),
        cmocka_unit_test(test_dropped_indexes),
        cmocka_unit_test(test_index_on_dropped_column),
        cmocka_unit_test(test_index_of_a_new_column),
        cmocka_unit_test(test_names_of_indexes),
        cmocka_unit_test(test_names_that_are_taken),
        cmocka_unit_test(test_tables_of_other_people),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
