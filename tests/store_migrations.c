// Migrations on a real store: tables are made and changed as one definition follows another, what
// they hold is kept or converted, and afterwards there is nothing left to do.
#include "resource/migrate.h"
#include "store/sqlite/sqlite_store.h"
#include "unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct world {
    struct store *store;
    struct arena arena;
    struct diagnostics diagnostics;
    struct failure failure;
    struct buffer answer; // of a query
    char folder[64];
};

static int world_create(void **state) {
    struct world *world = calloc(1, sizeof *world);
    diagnostics_init(&world->diagnostics, &world->arena);
    strcpy(world->folder, "/tmp/store_migrations_XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    struct text path = arena_format(&world->arena, "%s/test.db", world->folder);
    world->store =
        sqlite_store_open(&(struct sqlite_options){.path = path.data}, NULL, &world->failure);
    assert_non_null(world->store);
    *state = world;
    return 0;
}

static int world_destroy(void **state) {
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    struct world *world = *state;
    store_close(world->store);
    for (size_t i = 0; i < 3; i++) {
        struct text path = arena_format(&world->arena, "%s/test.db%s", world->folder, suffixes[i]);
        unlink(path.data);
    }
    rmdir(world->folder);
    buffer_free(&world->answer);
    arena_free(&world->arena);
    free(world);
    return 0;
}

static bool take_row(struct job *job, size_t call, const struct value *cells) {
    struct world *world = job->owner;
    buffer_append_string(&world->answer, world->answer.size ? "|" : "");
    buffer_append_text(&world->answer, value_is_null(cells[0]) ? TEXT("-") : cells[0].text);
    return true;
}

static bool run(struct world *world, enum job_kind kind, const char *sql) {
    static const struct column column = {.kind = VALUE_TEXT};
    struct statement statement = {.sql = text_from_string(sql),
                                  .columns = &column,
                                  .column_count = kind == JOB_WRITE ? 0 : 1,
                                  .once = true};
    struct call call = {.statement = &statement, .expect = EXPECT_ANY};
    struct job job = {
        .kind = kind, .calls = &call, .call_count = 1, .owner = world, .on_row = take_row};
    return store_run(world->store, &job, &world->failure);
}

static void change(struct world *world, const char *sql) {
    assert_true_for(run(world, JOB_WRITE, sql), sql);
}

// The rows of a query of one text column must be these, with "|" between them and "-" for null.
static void assert_rows(struct world *world, const char *sql, const char *expected) {
    buffer_clear(&world->answer);
    assert_true_for(run(world, JOB_SCAN, sql), sql);
    assert_text_is(buffer_text(&world->answer), expected);
}

static struct catalogue *read_definition(struct world *world, const char *yaml) {
    const struct text sources[][2] = {{TEXT("things.yaml"), text_from_string(yaml)}};
    struct catalogue *catalogue =
        catalogue_make(sources, 1, dialect_of(STORE_SQLITE), &world->diagnostics);
    for (size_t i = 0; i < world->diagnostics.count; i++)
        print_error("%.*s\n", TEXT_ARGS(world->diagnostics.items[i].message));
    assert_non_null(catalogue);
    return catalogue;
}

static bool plan(struct world *world, const struct catalogue *catalogue,
                 struct migration *migration) {
    struct stored_schema schema;
    return migrate_read_schema(world->store, &world->arena, &schema, &world->failure) &&
           migrate_plan(catalogue, &schema, &world->arena, migration, &world->failure);
}

// Follows a definition; then there is nothing left to be done.
static void follow(struct world *world, const char *yaml, bool lossy) {
    struct catalogue *catalogue = read_definition(world, yaml);
    struct migration migration = {0};
    struct migration rest = {0};
    bool done = plan(world, catalogue, &migration) &&
                migrate_run(world->store, &migration, &world->arena, &world->failure);
    if (!done)
        print_error("%s\n", world->failure.detail);
    assert_true(done);
    assert_int_equal(migration.lossy, lossy);
    assert_true(plan(world, catalogue, &rest));
    if (rest.step_count)
        print_error("left: %.*s\n", TEXT_ARGS(rest.steps[0].sql));
    assert_int_equal(rest.step_count, 0);
    catalogue_release(catalogue);
}

static const char first[] = "properties:\n"
                            "  name: {type: string, maxLength: 20}\n"
                            "  rank: {type: integer}\n"
                            "indexes: [[rank], [name, rank]]\n";

static void make_first(struct world *world) {
    follow(world, first, false);
    change(world, "INSERT INTO things (name, rank) VALUES ('a', 1), ('b', 2), (NULL, NULL)");
}

static void test_every_kind_of_key(void **state) {
    static const char *const yaml[] = {
        "key: {id: integer}\nproperties:\n  name: {type: string, maxLength: 9}\nindexes: "
        "[[name]]\n",
        "key: {id: uuid}\nproperties:\n  name: {type: string, maxLength: 9}\nindexes: [[name]]\n",
        "key: {digest: sha256(name)}\nactions: [list, create, read]\nrequired: [name]\n"
        "properties:\n  name: {type: string, maxLength: 9}\nindexes: [[name]]\n",
        "key: name\nproperties:\n  name: {type: string, maxLength: 9}\n",
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof yaml / sizeof *yaml; i++) {
        follow(world, yaml[i], false);
        change(world, "DROP TABLE things");
    }
}

static void test_every_type(void **state) {
    struct world *world = *state;
    follow(world,
           "properties:\n"
           "  a: {type: string}\n  b: {type: integer}\n  c: {type: number}\n"
           "  d: {type: boolean}\n  e: {type: object}\n  f: {type: array}\n"
           "  g: {type: string, format: date-time}\n  h: {type: string, format: date}\n"
           "  i: {type: string, format: uuid}\n  j: {type: string, format: uri}\n"
           "  k: {type: string, format: email}\n"
           "  l: {type: string, format: decimal, scale: 0}\n"
           "  m: {type: string, format: decimal, scale: 18}\n"
           "  n: {type: [string, \"null\"]}\n"
           "lifecycle: {property: status, states: [New, Old]}\n",
           false);
}

static void test_new_columns(void **state) {
    struct world *world = *state;
    make_first(world);
    follow(world,
           "required: [size]\n"
           "properties:\n"
           "  name: {type: string, maxLength: 20}\n"
           "  rank: {type: integer}\n"
           "  size: {type: string, maxLength: 9, default: \"it's\"}\n"
           "  open: {type: boolean, default: true}\n"
           "lifecycle: {property: status, states: [New, Old]}\n"
           "indexes: [[rank], [name, rank], [size, open]]\n"
           "unique: [[name]]\n",
           false);
    assert_rows(world, "SELECT name || ' ' || size || ' ' || status FROM things WHERE rank = 1",
                "a it's New");
    assert_rows(world, "SELECT open FROM things WHERE rank = 1", "-");
    // Numbers go on where they were.
    change(world, "DELETE FROM things");
    change(world, "INSERT INTO things (name) VALUES ('x')");
    assert_rows(world, "SELECT CAST(id AS TEXT) FROM things", "4");
}

static void test_versions_come_later(void **state) {
    struct world *world = *state;
    follow(world, "actions: [list, create, read]\nproperties:\n  name: {type: string}\n", false);
    change(world, "INSERT INTO things (name) VALUES ('x')");
    follow(world, "properties:\n  name: {type: string}\n", false);
    assert_rows(world, "SELECT CAST(_version AS TEXT) FROM things", "1");
}

static void test_rename(void **state) {
    struct world *world = *state;
    make_first(world);
    follow(world,
           "properties:\n"
           "  title: {type: string, maxLength: 20, was: name}\n"
           "  rank: {type: integer}\n"
           "indexes: [[rank], [title, rank]]\n",
           false);
    assert_rows(world, "SELECT title FROM things ORDER BY id", "a|b|-");
    assert_rows(world, "SELECT name FROM sqlite_schema WHERE type = 'index' ORDER BY name",
                "things_rank_idx|things_title_rank_idx");
}

static void test_drop(void **state) {
    struct world *world = *state;
    make_first(world);
    follow(world, "properties:\n  rank: {type: integer}\n", true);
    assert_rows(world, "SELECT name FROM pragma_table_info('things') ORDER BY cid",
                "id|rank|_version");
    assert_rows(world, "SELECT name FROM sqlite_schema WHERE type = 'index'", "");
}

static void test_changed_types(void **state) {
    static const struct {
        const char *from;
        const char *value; // as SQL
        const char *to;
        const char *converted; // as text
    } cases[] = {
        {"integer", "12", "string, format: decimal, scale: 2", "1200"},
        {"integer", "-12", "string", "-12"},
        {"integer", "12", "number", "12.0"},
        {"string, format: decimal, scale: 2", "9007199254740993",
         "string, format: decimal, scale: 4", "900719925474099300"},
        {"string, format: decimal, scale: 4", "900719925474099399",
         "string, format: decimal, scale: 2", "9007199254740993"},
        {"string, format: decimal, scale: 2", "1250", "number", "12.5"},
        {"string, format: decimal, scale: 2", "1250", "integer", "12"},
        {"string", "'12.34'", "string, format: decimal, scale: 3", "12340"},
        {"string", "'7'", "integer", "7"},
        {"string", "'2016-08-05T10:40:51.62+02:00'", "string, format: date-time",
         "2016-08-05T08:40:51.620Z"},
        {"string", "'yesterday'", "string, format: date-time", "-"},
        {"string, format: date-time", "'2016-08-05T08:40:51.620Z'", "string, format: date",
         "2016-08-05"},
        {"string", "'say \"x\"'", "object", "\"say \\\"x\\\"\""},
        {"integer", "NULL", "object", "-"},
        {"object", "'{\"a\":1}'", "string", "{\"a\":1}"},
        {"string", "'01890A5D-AC96-774B-BCCE-B302099A8057'", "string, format: uuid",
         "01890a5d-ac96-774b-bcce-b302099a8057"},
        {"string", "'none'", "string, format: uuid", "-"},
        {"integer", "5", "boolean", "1"},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text yaml =
            arena_format(&world->arena, "properties:\n  x: {type: %s}\n", cases[i].from);
        follow(world, yaml.data, false);
        change(
            world,
            arena_format(&world->arena, "INSERT INTO things (x) VALUES (%s)", cases[i].value).data);
        yaml = arena_format(&world->arena, "properties:\n  x: {type: %s}\n", cases[i].to);
        follow(world, yaml.data, true);
        assert_rows(world, "SELECT CAST(x AS TEXT) FROM things", cases[i].converted);
        change(world, "DROP TABLE things");
    }
}

static void test_changed_type_under_an_index(void **state) {
    struct world *world = *state;
    make_first(world);
    change(world, "CREATE INDEX theirs ON things (rank DESC)");
    follow(world,
           "properties:\n"
           "  name: {type: string, maxLength: 20}\n"
           "  rank: {type: string, maxLength: 20}\n"
           "indexes: [[rank], [name, rank]]\n",
           true);
    assert_rows(world, "SELECT typeof(rank) || rank FROM things WHERE rank IS NOT NULL ORDER BY id",
                "text1|text2");
    assert_rows(world, "SELECT name FROM sqlite_schema WHERE type = 'index' ORDER BY name",
                "things_name_rank_idx|things_rank_idx");
}

// All or nothing: the column that came first is not there either.
static void test_duplicates_under_a_new_unique_index(void **state) {
    struct world *world = *state;
    struct migration migration = {0};
    make_first(world);
    change(world, "INSERT INTO things (name, rank) VALUES ('a', 9)");
    struct catalogue *catalogue = read_definition(world, "properties:\n"
                                                         "  name: {type: string, maxLength: 20}\n"
                                                         "  rank: {type: integer}\n"
                                                         "  more: {type: integer}\n"
                                                         "indexes: [[rank], [name, rank]]\n"
                                                         "unique: [[name]]\n");
    assert_true(plan(world, catalogue, &migration));
    assert_false(migration.lossy);
    assert_false(migrate_run(world->store, &migration, &world->arena, &world->failure));
    assert_int_equal(world->failure.code, FAILURE_CONFLICT);
    assert_non_null(strstr(world->failure.detail, "stored records have the same values"));
    assert_non_null(strstr(world->failure.detail, "things_name_key"));
    assert_rows(world, "SELECT name FROM pragma_table_info('things') ORDER BY cid",
                "id|name|rank|_version");
    change(world, "DELETE FROM things WHERE rank = 9");
    assert_true(migrate_run(world->store, &migration, &world->arena, &world->failure));
    catalogue_release(catalogue);
}

static void test_tables_of_other_people(void **state) {
    static const char *const tables[] = {
        "CREATE TABLE things (name TEXT)",
        "CREATE TABLE things (id INTEGER, name TEXT, rank INTEGER)",
        "CREATE TABLE things (id INTEGER NOT NULL UNIQUE, name TEXT, rank INTEGER)",
        "CREATE TABLE things (id TEXT PRIMARY KEY, name TEXT, rank INTEGER)",
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct migration migration = {0};
        struct catalogue *catalogue = read_definition(world, first);
        change(world, tables[i]);
        assert_true_for(!plan(world, catalogue, &migration), tables[i]);
        assert_int_equal(world->failure.code, FAILURE_REFUSED);
        change(world, "DROP TABLE things");
        catalogue_release(catalogue);
    }
    // What has all that is needed will do.
    change(world, "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)");
    follow(world, first, false);
}

// A partial index, or one on an expression, is not the one that is wanted.
static void test_indexes_of_other_people(void **state) {
    struct world *world = *state;
    make_first(world);
    change(world, "DROP INDEX things_rank_idx");
    change(world, "CREATE INDEX theirs ON things (rank) WHERE rank > 5");
    change(world, "CREATE INDEX others ON things (abs(rank))");
    follow(world, first, false);
    assert_rows(world, "SELECT name FROM sqlite_schema WHERE type = 'index' ORDER BY name",
                "others|theirs|things_name_rank_idx|things_rank_idx");
}

static void test_no_steps(void **state) {
    struct world *world = *state;
    const struct migration migration = {0};
    assert_true(migrate_run(world->store, &migration, &world->arena, &world->failure));
}

#define in_a_world(test) cmocka_unit_test_setup_teardown(test, world_create, world_destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        in_a_world(test_every_kind_of_key),
        in_a_world(test_every_type),
        in_a_world(test_new_columns),
        in_a_world(test_versions_come_later),
        in_a_world(test_rename),
        in_a_world(test_drop),
        in_a_world(test_changed_types),
        in_a_world(test_changed_type_under_an_index),
        in_a_world(test_duplicates_under_a_new_unique_index),
        in_a_world(test_tables_of_other_people),
        in_a_world(test_indexes_of_other_people),
        in_a_world(test_no_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
