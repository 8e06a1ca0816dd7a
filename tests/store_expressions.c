// An expression means one thing: what the evaluator says of a record, the database says too. Random
// conditions and calculations over random records are put to both.
//
//   EXPRESSIONS=100000 SEED=1 store_expressions    more of them, or others
#include "random_things.h"
#include "resource/dialect.h"
#include "store/sqlite/cells.h"
#include "unit/testing.h"

#include <sqlite3.h>
#include <stdlib.h>

enum { RECORDS = 150 };

static const int64_t now = RANDOM_NOW_SECONDS * INT64_C(1000);

struct world {
    sqlite3 *database;
    const struct dialect *dialect;
    struct arena arena; // of the records
    struct value records[RECORDS][THING_COUNT];
    struct dice dice;
    long count;
};

static sqlite3_stmt *prepare(struct world *world, struct text sql) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(world->database, sql.data, (int)sql.size, &statement, NULL) != SQLITE_OK)
        print_error("%s: %.*s\n", sqlite3_errmsg(world->database), TEXT_ARGS(sql));
    return statement;
}

static void create_table(struct world *world) {
    struct buffer sql = {0};
    for (size_t i = 0; i < THING_COUNT; i++) {
        buffer_format(&sql, "%s\"%.*s\" %.*s", i ? ", " : "CREATE TABLE things (",
                      TEXT_ARGS(thing_properties[i].name),
                      TEXT_ARGS(world->dialect->column_type(&thing_properties[i])));
    }
    buffer_append_string(&sql, ")");
    sqlite3_stmt *statement = prepare(world, buffer_text(&sql));
    assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
    sqlite3_finalize(statement);
    buffer_free(&sql);
}

static void insert_records(struct world *world) {
    struct buffer sql = {0};
    buffer_append_string(&sql, "INSERT INTO things VALUES (?");
    for (size_t i = 1; i < THING_COUNT; i++)
        buffer_append_string(&sql, ", ?");
    buffer_append_string(&sql, ")");
    sqlite3_stmt *statement = prepare(world, buffer_text(&sql));
    for (size_t i = 0; i < RECORDS; i++) {
        for (size_t j = 0; j < THING_COUNT; j++)
            world->records[i][j] = random_value(&world->dice, &thing_properties[j], &world->arena);
        world->records[i][0] = value_integer((int64_t)i);
        assert_int_equal(cells_bind(statement, world->records[i], THING_COUNT), SQLITE_OK);
        assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    buffer_free(&sql);
}

static int set_up(void **state) {
    struct world *world = calloc(1, sizeof *world);
    const char *seed = getenv("SEED");
    const char *count = getenv("EXPRESSIONS");
    world->dialect = dialect_of(STORE_SQLITE);
    world->dice.state = seed ? strtoull(seed, NULL, 10) : 1;
    world->count = count ? strtol(count, NULL, 10) : 1000;
    if (sqlite3_open(":memory:", &world->database) != SQLITE_OK)
        return -1;
    create_table(world);
    insert_records(world);
    *state = world;
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    sqlite3_close(world->database);
    arena_free(&world->arena);
    free(world);
    return 0;
}

// SELECT before WHERE or not, with an expression; NULL where it cannot be prepared.
static sqlite3_stmt *prepare_with(struct world *world, const char *before,
                                  const struct expression *expression, const char *after,
                                  struct arena *arena) {
    struct sql sql = sql_begin(world->dialect, arena);
    sql_text(&sql, before);
    sql_expression(&sql, expression, now);
    sql_text(&sql, after);
    struct statement statement;
    assert_true(sql_finish(&sql, NULL, 0, &statement));
    sqlite3_stmt *prepared = prepare(world, statement.sql);
    assert_non_null(prepared);
    assert_int_equal(cells_bind(prepared, sql.parameters, sql.parameter_count), SQLITE_OK);
    return prepared;
}

static bool holds(struct world *world, const struct expression *expression, size_t record,
                  struct arena *arena) {
    struct value value;
    struct failure failure;
    assert_true(
        expression_evaluate(expression, world->records[record], now, arena, &value, &failure));
    assert_int_equal(value.kind, VALUE_BOOLEAN);
    return value.boolean;
}

static void show(struct world *world, struct text source, sqlite3_stmt *statement, size_t record) {
    char *sql = sqlite3_expanded_sql(statement);
    print_error("%.*s\n%s\nfor record %zu\n", TEXT_ARGS(source), sql, record);
    sqlite3_free(sql);
    const struct value store = world->records[record][19];
    if (!value_is_null(store))
        print_error("store: %.*s\n", TEXT_ARGS(store.text));
    print_error("%s\n", sqlite3_errmsg(world->database));
}

// Both judges name the records that a condition holds for.
static void judge_condition(struct world *world, struct text source,
                            const struct expression *expression, struct arena *arena) {
    sqlite3_stmt *statement =
        prepare_with(world, "SELECT id FROM things WHERE ", expression, " ORDER BY id", arena);
    int step = sqlite3_step(statement);
    for (size_t i = 0; i < RECORDS; i++) {
        bool expected = holds(world, expression, i, arena);
        bool actual = step == SQLITE_ROW && sqlite3_column_int64(statement, 0) == (int64_t)i;
        if (expected != actual) {
            show(world, source, statement, i);
            fail();
        }
        if (actual)
            step = sqlite3_step(statement);
    }
    assert_int_equal(step, SQLITE_DONE);
    sqlite3_finalize(statement);
}

static struct expression *parse(struct arena *arena, enum expression_purpose purpose,
                                const struct property *target, struct text source) {
    struct failure failure = {0};
    struct expression *expression =
        expression_parse(arena, &things, purpose, target, source, &failure, NULL);
    // What the dice cannot know: a literal may not fit where it stands.
    if (!expression && !strstr(failure.detail, "does not fit") &&
        !strstr(failure.detail, "digits behind the point") &&
        !strstr(failure.detail, "too large for a decimal") &&
        !strstr(failure.detail, "levels deep")) {
        print_error("%.*s\n%s\n", TEXT_ARGS(source), failure.detail);
        fail();
    }
    return expression;
}

static void conditions_mean_the_same(void **state) {
    struct world *world = *state;
    struct buffer source = {0};
    struct random_expressions random = {.dice = world->dice, .out = &source};
    long judged = 0;
    for (long i = 0; i < world->count; i++) {
        struct arena arena = {0};
        buffer_clear(&source);
        random_condition(&random, (int)dice_below(&random.dice, 5));
        const struct expression *expression =
            parse(&arena, EXPRESSION_FOR_PREDICATE, NULL, buffer_text(&source));
        if (expression) {
            judge_condition(world, buffer_text(&source), expression, &arena);
            judged++;
        }
        arena_free(&arena);
    }
    assert_true(judged > world->count / 2);
    buffer_free(&source);
}

// What a calculation gives for each record: the same value, or an overflow.
static void judge_calculation(struct world *world, const struct property *target,
                              struct text source, const struct expression *expression,
                              struct arena *arena) {
    const struct column column = {.kind = target->kind, .scale = target->scale};
    sqlite3_stmt *statement =
        prepare_with(world, "SELECT ", expression, " FROM things WHERE id = ?9999", arena);
    for (size_t i = 0; i < RECORDS; i++) {
        struct value expected;
        struct value actual;
        struct failure failure = {0};
        bool fits =
            expression_evaluate(expression, world->records[i], now, arena, &expected, &failure);
        sqlite3_bind_int64(statement, 9999, (int64_t)i);
        int step = sqlite3_step(statement);
        bool same;
        if (step == SQLITE_ROW) {
            same = fits && cells_read(statement, &column, 1, &actual) == 1 &&
                   expected.kind == actual.kind;
            same = same && (value_is_null(expected) || target->kind != VALUE_BOOLEAN ||
                            expected.boolean == actual.boolean);
            if (same && !value_is_null(expected))
                same = target->kind == VALUE_REAL      ? expected.real == actual.real
                       : target->kind == VALUE_BOOLEAN ? expected.boolean == actual.boolean
                                                       : expected.integer == actual.integer;
        } else {
            same = !fits && failure.code == FAILURE_OVERFLOW &&
                   strcmp(sqlite3_errmsg(world->database), "integer overflow") == 0;
        }
        if (!same) {
            show(world, source, statement, i);
            fail();
        }
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
}

static void calculations_mean_the_same(void **state) {
    static const char *const targets[] = {"amount", "rate", "price", "active"};
    struct world *world = *state;
    struct buffer source = {0};
    struct random_expressions random = {.dice = world->dice, .out = &source};
    long judged = 0;
    for (long i = 0; i < world->count / 2; i++) {
        struct arena arena = {0};
        const struct property *target =
            resource_property(&things, text_from_string(DICE_PICK(&random.dice, targets)));
        buffer_clear(&source);
        if (target->kind == VALUE_BOOLEAN)
            random_condition(&random, 2);
        else
            random_number(&random, target->kind, 4);
        const struct expression *expression =
            parse(&arena, EXPRESSION_FOR_SET, target, buffer_text(&source));
        if (expression) {
            judge_calculation(world, target, buffer_text(&source), expression, &arena);
            judged++;
        }
        arena_free(&arena);
    }
    assert_true(judged > world->count / 4);
    buffer_free(&source);
}

// The deepest and the longest that are allowed, in a statement as a page of a list needs it.
static void the_database_takes_what_is_allowed(void **state) {
    static const struct {
        const char *opening;
        const char *closing;
        int count;
    } cases[] = {
        {"active and (hidden or (", "))", EXPRESSION_MAX_LEVELS / 2 - 1},
        {"active and hidden or active and (", ")", EXPRESSION_MAX_LEVELS / 2 - 1},
        {"active = (", ")", EXPRESSION_MAX_LEVELS - 2},
        {"(active or hidden) != (active and (", "))", EXPRESSION_MAX_LEVELS / 2 - 1},
        {"not (active = (", "))", EXPRESSION_MAX_LEVELS / 2 - 1},
        {"active and not (hidden or ", ")", EXPRESSION_MAX_LEVELS / 4},
        {"active and ", "", 480},
        {"store.lat < rate or ", "", 100},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer source = {0};
        struct arena arena = {0};
        for (int j = 0; j < cases[i].count; j++)
            buffer_append_string(&source, cases[i].opening);
        buffer_append_string(&source,
                             "(store.open = contains('a', store.city)) = "
                             "(store.deep.Size_1 in (1, null) and startsWith(title, store.zip))");
        for (int j = 0; j < cases[i].count; j++)
            buffer_append_string(&source, cases[i].closing);
        const struct expression *expression =
            parse(&arena, EXPRESSION_FOR_PREDICATE, NULL, buffer_text(&source));
        assert_non_null(expression);
        sqlite3_stmt *statement =
            prepare_with(world,
                         "SELECT * FROM (SELECT id FROM things WHERE id < 0) AS part UNION ALL "
                         "SELECT * FROM (SELECT id FROM things WHERE (",
                         expression, ") AND id > 1 ORDER BY id) AS part LIMIT 9", &arena);
        assert_int_not_equal(sqlite3_step(statement), SQLITE_ERROR);
        sqlite3_finalize(statement);
        arena_free(&arena);
        buffer_free(&source);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(conditions_mean_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(calculations_mean_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_database_takes_what_is_allowed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
