#include "resource/outbox.h"
#include "unit/allocation.h"
#include "unit/resource/fixture.h"

#include <ctype.h>

static const char notes[] = "properties: {text: {type: string}}\nevents: true\n";

static void plan_with(struct fixture *fixture, const struct stored_schema *schema,
                      enum outbox_triggers what, struct migration *ret_migration) {
    *ret_migration = (struct migration){0};
    assert_true(outbox_plan_triggers(fixture->catalogue, schema, what, &fixture->arena,
                                     ret_migration, &fixture->failure));
    assert_false(ret_migration->lossy);
    for (size_t i = 0; i < ret_migration->step_count; i++) {
        assert_int_equal(ret_migration->steps[i].kind, STEP_SAFE);
        assert_true(ret_migration->steps[i].reason.size > 0);
    }
}

// Whether a text begins like another, in which # stands for 16 hexadecimal digits.
static bool begins_like(struct text text, const char *pattern) {
    size_t i = 0;
    for (; *pattern; pattern++) {
        if (*pattern == '#') {
            for (size_t end = i + 16; i < end; i++)
                if (i >= text.size || !isxdigit((unsigned char)text.data[i]))
                    return false;
        } else if (i >= text.size || text.data[i++] != *pattern) {
            return false;
        }
    }
    return true;
}

// The steps must begin like this, in this order.
static void assert_steps(const struct migration *migration, const char *const *begins) {
    size_t count = 0;
    for (; count < migration->step_count && begins[count]; count++)
        assert_true_for(begins_like(migration->steps[count].sql, begins[count]),
                        migration->steps[count].sql.data);
    assert_null(begins[count]);
    assert_int_equal(count, migration->step_count);
}

#define STEPS(...) ((const char *const[]){__VA_ARGS__, NULL})

// What a database has after a migration on SQLite, as it would list it.
static struct stored_schema triggers_of(struct fixture *fixture,
                                        const struct migration *migration) {
    struct stored_schema schema = {0};
    schema.triggers = arena_allocate_zero(&fixture->arena, 8, sizeof *schema.triggers);
    for (size_t i = 0; i < migration->step_count; i++) {
        struct text rest = migration->steps[i].sql;
        struct text part;
        if (!text_starts_with(rest, TEXT("CREATE TRIGGER")))
            continue;
        struct stored_trigger *trigger = &schema.triggers[schema.trigger_count++];
        assert_true(text_split(&rest, '"', &part));
        assert_true(text_split(&rest, '"', &trigger->name));
        assert_true(text_split(&rest, '"', &part));
        assert_true(text_split(&rest, '"', &trigger->table));
    }
    return schema;
}

static void triggers_on_sqlite(void **state) {
    static const struct {
        const char *yaml;
        const char *created;
        const char *deleted;
    } rows[] = {
        {notes,
         "CREATE TRIGGER \"trestle_events_#\" AFTER INSERT ON \"notes\" BEGIN INSERT INTO "
         "trestle_events (resource, key, change, version, at) VALUES ('notes', CAST(NEW.\"id\" AS "
         "TEXT), 'created', NEW.\"_version\", strftime('%Y-%m-%dT%H:%M:%fZ', 'now')); END",
         "CREATE TRIGGER \"trestle_events_#\" AFTER DELETE ON \"notes\" BEGIN INSERT INTO "
         "trestle_events (resource, key, change, version, at) VALUES ('notes', CAST(OLD.\"id\" AS "
         "TEXT), 'deleted', OLD.\"_version\", strftime('%Y-%m-%dT%H:%M:%fZ', 'now')); END"},
        {"key: {digest: sha256(text)}\nrequired: [text]\nproperties: {text: {type: string}}\n"
         "events: true\n",
         "CREATE TRIGGER \"trestle_events_#\" AFTER INSERT ON \"notes\" BEGIN INSERT INTO "
         "trestle_events (resource, key, change, version, at) VALUES ('notes', "
         "lower(hex(NEW.\"digest\")), 'created', NULL, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')); END",
         NULL},
        {"key: code\nactions: [list, create, read, delete]\n"
         "properties: {code: {type: string, maxLength: 9}}\nevents: true\n",
         "CREATE TRIGGER \"trestle_events_#\" AFTER INSERT ON \"notes\" BEGIN INSERT INTO "
         "trestle_events (resource, key, change, version, at) VALUES ('notes', "
         "CAST(NEW.\"code\" AS TEXT), 'created', ",
         NULL},
    };
    static const char updated[] = "CREATE TRIGGER \"trestle_events_#\" AFTER UPDATE";
    static const char gap[] =
        "INSERT INTO trestle_events (resource, key, change, at) VALUES ('notes', '', 'gap', ";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture fixture;
        struct migration migration;
        fixture_begin(&fixture, "notes", rows[i].yaml, STORE_SQLITE);
        plan_with(&fixture, &(struct stored_schema){0}, TRIGGERS_FOLLOW, &migration);
        assert_steps(&migration, STEPS(rows[i].created, updated,
                                       rows[i].deleted ? rows[i].deleted : "CREATE TRIGGER", gap));
        fixture_end(&fixture);
    }
}

static void triggers_on_postgres(void **state) {
    struct fixture fixture;
    struct migration migration;
    fixture_begin(&fixture, "notes", notes, STORE_POSTGRES);
    plan_with(&fixture, &(struct stored_schema){0}, TRIGGERS_FOLLOW, &migration);
    assert_steps(
        &migration,
        STEPS("DO $do$ BEGIN EXECUTE replace($sql$CREATE OR REPLACE FUNCTION "
              "\"trestle_events_#\"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET "
              "search_path = pg_catalog, pg_temp AS $body$BEGIN IF TG_OP = 'DELETE' THEN INSERT "
              "INTO trestle_events (resource, key, change, version, at) VALUES ('notes', "
              "(OLD.\"id\")::text, 'deleted', OLD.\"_version\", clock_timestamp()); ELSE INSERT "
              "INTO trestle_events (resource, key, change, version, at) VALUES ('notes', "
              "(NEW.\"id\")::text, CASE TG_OP WHEN 'INSERT' THEN 'created' ELSE 'updated' END, "
              "NEW.\"_version\", clock_timestamp()); END IF; RETURN NULL; END$body$$sql$, "
              "'trestle_events (', quote_ident(current_schema()) || '.trestle_events ('); END $do$",
              "CREATE TRIGGER \"trestle_events_#\" AFTER INSERT OR UPDATE OR DELETE ON "
              "\"notes\" FOR EACH ROW EXECUTE FUNCTION \"trestle_events_#\"()",
              "INSERT INTO trestle_events (resource, key, change, at) VALUES ('notes', '', 'gap', "
              "clock_timestamp())"));
    fixture_end(&fixture);
    fixture_begin(&fixture, "notes",
                  "key: {digest: sha256(text)}\nrequired: [text]\n"
                  "properties: {text: {type: string}}\nevents: true\n",
                  STORE_POSTGRES);
    plan_with(&fixture, &(struct stored_schema){0}, TRIGGERS_FOLLOW, &migration);
    assert_non_null(
        strstr(migration.steps[0].sql.data, "('notes', encode(NEW.\"digest\", 'hex'), CASE TG_OP"));
    assert_non_null(strstr(migration.steps[0].sql.data, "'deleted', NULL, clock_timestamp()"));
    fixture_end(&fixture);
}

static void what_fits_stays(void **state) {
    struct fixture fixture;
    struct migration first;
    struct migration second;
    fixture_begin(&fixture, "notes", notes, STORE_SQLITE);
    plan_with(&fixture, &(struct stored_schema){0}, TRIGGERS_FOLLOW, &first);
    struct stored_schema schema = triggers_of(&fixture, &first);
    assert_int_equal(schema.trigger_count, 3);
    plan_with(&fixture, &schema, TRIGGERS_FOLLOW, &second);
    assert_int_equal(second.step_count, 0);
    plan_with(&fixture, &schema, TRIGGERS_RESTART, &second);
    assert_steps(&second, STEPS("INSERT INTO trestle_events"));
    plan_with(&fixture, &(struct stored_schema){0}, TRIGGERS_RESTART, &second);
    assert_int_equal(second.step_count, first.step_count); // one gap, not two
    plan_with(&fixture, &schema, TRIGGERS_GO, &second);
    assert_steps(&second, STEPS("DROP TRIGGER IF EXISTS \"trestle_events_#\"",
                                "DROP TRIGGER IF EXISTS \"trestle_events_#\"",
                                "DROP TRIGGER IF EXISTS \"trestle_events_#\""));
    // Without events they go.
    struct fixture without;
    fixture_begin(&without, "notes", "properties: {text: {type: string}}\n", STORE_SQLITE);
    plan_with(&without, &schema, TRIGGERS_FOLLOW, &second);
    assert_int_equal(second.step_count, 3);
    for (size_t i = 0; i < 3; i++)
        schema.triggers[i].table = TEXT("others"); // of no resource: somebody else's business
    plan_with(&without, &schema, TRIGGERS_FOLLOW, &second);
    assert_int_equal(second.step_count, 0);
    fixture_end(&without);
    fixture_end(&fixture);
}

static void what_is_otherwise_is_made_anew(void **state) {
    struct fixture fixture;
    struct migration first;
    struct migration second;
    fixture_begin(&fixture, "notes", notes, STORE_SQLITE);
    plan_with(&fixture, &(struct stored_schema){0}, TRIGGERS_FOLLOW, &first);
    struct stored_schema schema = triggers_of(&fixture, &first);
    // In one transaction, so that nothing is missed.
    schema.triggers[1].name = TEXT("trestle_events_of_an_older_program");
    plan_with(&fixture, &schema, TRIGGERS_FOLLOW, &second);
    assert_steps(&second, STEPS("DROP TRIGGER IF EXISTS \"trestle_events_of_an_older_program\"",
                                "CREATE TRIGGER \"trestle_events_#\" AFTER UPDATE ON \"notes\""));
    // One that is missing has not noted what it should have.
    schema.triggers[1] = schema.triggers[2];
    schema.trigger_count = 2;
    plan_with(&fixture, &schema, TRIGGERS_FOLLOW, &second);
    assert_steps(&second, STEPS("CREATE TRIGGER \"trestle_events_#\" AFTER UPDATE ON \"notes\"",
                                "INSERT INTO trestle_events"));
    // Others are left alone.
    schema = triggers_of(&fixture, &first);
    schema.triggers[schema.trigger_count++] =
        (struct stored_trigger){TEXT("notes"), TEXT("trestle_version_0123456789abcdef")};
    plan_with(&fixture, &schema, TRIGGERS_FOLLOW, &second);
    assert_int_equal(second.step_count, 0);
    // They went along with a table that was renamed, and have the names that are needed.
    schema = triggers_of(&fixture, &first);
    for (size_t i = 0; i < 3; i++)
        schema.triggers[i].table = TEXT("notes_old");
    plan_with(&fixture, &schema, TRIGGERS_FOLLOW, &second);
    assert_int_equal(second.step_count, 7);
    assert_true(begins_like(second.steps[2].sql, "DROP TRIGGER"));
    assert_true(begins_like(second.steps[6].sql, "INSERT INTO trestle_events"));
    fixture_end(&fixture);
}

static void on_postgres_a_function_goes_with_it(void **state) {
    struct fixture fixture;
    struct migration migration;
    struct stored_trigger trigger = {.table = TEXT("notes")};
    struct stored_schema schema = {.triggers = &trigger, .trigger_count = 1};
    fixture_begin(&fixture, "notes", notes, STORE_POSTGRES);
    plan_with(&fixture, &(struct stored_schema){0}, TRIGGERS_FOLLOW, &migration);
    trigger.name = text_of(strstr(migration.steps[1].sql.data, "trestle_events_"), 31);
    plan_with(&fixture, &schema, TRIGGERS_FOLLOW, &migration);
    assert_int_equal(migration.step_count, 0);
    trigger.name = TEXT("trestle_events_0");
    plan_with(&fixture, &schema, TRIGGERS_FOLLOW, &migration);
    assert_steps(&migration, STEPS("DROP FUNCTION IF EXISTS \"trestle_events_0\"() CASCADE",
                                   "DO $do$", "CREATE TRIGGER"));
    fixture_end(&fixture);
}

static struct text name_for(struct arena *arena, const char *resource, const char *yaml) {
    struct fixture fixture;
    struct migration migration;
    fixture_begin(&fixture, resource, yaml, STORE_POSTGRES);
    plan_with(&fixture, &(struct stored_schema){0}, TRIGGERS_FOLLOW, &migration);
    struct text name =
        arena_copy(arena, text_of(strstr(migration.steps[1].sql.data, "trestle_events_"), 31));
    fixture_end(&fixture);
    return name;
}

static void another_trigger_has_another_name(void **state) {
    struct arena arena = {0};
    struct text name = name_for(&arena, "notes", notes);
    assert_true(text_equal(name, name_for(&arena, "notes", notes)));
    assert_false(text_equal(name, name_for(&arena, "others", notes)));
    assert_false(text_equal(
        name,
        name_for(&arena, "notes",
                 "actions: [list, read]\nproperties: {text: {type: string}}\nevents: true\n")));
    arena_free(&arena);
}

static void rows_become_events(void **state) {
    struct value cells[] = {value_integer(7),
                            value_text(VALUE_TEXT, TEXT("notes")),
                            value_text(VALUE_TEXT, TEXT("12")),
                            value_text(VALUE_TEXT, TEXT("updated")),
                            value_integer(3),
                            value_text(VALUE_TIMESTAMP, TEXT("2016-08-05T08:40:51.620Z"))};
    struct outbox_event event;
    assert_true(outbox_read_event(cells, &event));
    assert_int_equal(event.number, 7);
    assert_int_equal(event.change, CHANGE_UPDATED);
    assert_text_is(event.resource, "notes");
    assert_text_is(event.key, "12");
    assert_int_equal(event.version.integer, 3);
    assert_text_is(event.at, "2016-08-05T08:40:51.620Z");
    for (enum outbox_change change = CHANGE_CREATED; change < CHANGES; change++) {
        cells[3].text = outbox_change_name(change);
        assert_true(outbox_read_event(cells, &event));
        assert_int_equal(event.change, change);
    }
    cells[3].text = TEXT("update");
    assert_false(outbox_read_event(cells, &event));
}

static void statements_are_made_for_both(void **state) {
    for (enum store_dialect dialect = STORE_SQLITE; dialect <= STORE_POSTGRES; dialect++) {
        struct arena arena = {0};
        struct outbox_plan plan;
        struct call call;
        assert_true(outbox_plan_make(&arena, dialect_of(dialect), &plan));
        const struct statement *const all[] = {&plan.position, &plan.events, &plan.history,
                                               &plan.prune};
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(all[i]->hash, text_hash(all[i]->sql));
        assert_int_equal(plan.position.column_count, 4);
        assert_int_equal(plan.events.column_count, plan.history.column_count);
        assert_true(outbox_continue(dialect_of(dialect), 12, &arena, &call));
        assert_true(call.parameter_count > 0);
        arena_free(&arena);
    }
}

static void want_of_memory_is_a_failure(void **state) {
    for (enum store_dialect dialect = STORE_SQLITE; dialect <= STORE_POSTGRES; dialect++) {
        struct fixture fixture;
        fixture_begin(&fixture, "notes", notes, dialect);
        for (ALLOCATION_FAILURES(nth)) {
            struct arena arena = {0};
            struct migration migration = {0};
            struct failure failure = {0};
            struct outbox_plan plan;
            struct call call;
            bool planned = outbox_plan_triggers(fixture.catalogue, &(struct stored_schema){0},
                                                TRIGGERS_FOLLOW, &arena, &migration, &failure);
            bool made = planned && outbox_plan_make(&arena, dialect_of(dialect), &plan) &&
                        outbox_continue(dialect_of(dialect), 1, &arena, &call);
            bool failed = allocation_allow();
            arena_free(&arena);
            assert_true(made != failed);
            if (!planned)
                assert_int_equal(failure.code, FAILURE_OUT_OF_MEMORY);
            if (!failed)
                break;
        }
        fixture_end(&fixture);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(triggers_on_sqlite),
        cmocka_unit_test(triggers_on_postgres),
        cmocka_unit_test(what_fits_stays),
        cmocka_unit_test(what_is_otherwise_is_made_anew),
        cmocka_unit_test(on_postgres_a_function_goes_with_it),
        cmocka_unit_test(another_trigger_has_another_name),
        cmocka_unit_test(rows_become_events),
        cmocka_unit_test(statements_are_made_for_both),
        cmocka_unit_test(want_of_memory_is_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
