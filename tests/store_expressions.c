// An expression means one thing: what the evaluator says of a record, the database says too. Random
// conditions and calculations over random records are put to both. Where a condition looks into the
// record that another one refers to, the evaluator, which knows but one record, is given both as
// one.
//
//   EXPRESSIONS=100000 SEED=1 store_expressions    more of them, or others
#include "base/table.h"
#include "random_things.h"
#include "resource/dialect.h"
#include "store_place.h"
#include "unit/testing.h"

#include <stdlib.h>

enum { RECORDS = 150 };

static const int64_t now = RANDOM_NOW_SECONDS * INT64_C(1000);

// A question about one record, or about all of them.
struct question {
    struct job job; // first, so that a job is a question
    struct world *world;
    struct call call;
    struct outcome outcome;
    struct value answers[RECORDS]; // one column's, without texts
    size_t count;
};

struct world {
    struct store_place place;
    uv_loop_t loop;
    struct store_session *session;
    const struct dialect *dialect;
    struct arena arena;                             // of the records
    struct value records[RECORDS][2 * THING_COUNT]; // each with the one that it refers to
    struct question questions[RECORDS];
    struct dice dice;
    long count;
};

// --- the database

static bool on_row(struct job *job, size_t call, const struct value *cells) {
    struct question *question = (struct question *)job;
    if (question->count < RECORDS)
        question->answers[question->count++] = cells[0];
    return true;
}

static void on_restart(struct job *job) {
    ((struct question *)job)->count = 0;
}

static void on_done(struct job *job, const struct outcome *outcome) {
    ((struct question *)job)->outcome = *outcome;
}

static void ask(struct world *world, struct question *question, enum job_kind kind,
                const struct statement *statement, const struct value *parameters, size_t count) {
    question->job = (struct job){.kind = kind,
                                 .calls = &question->call,
                                 .call_count = 1,
                                 .deadline = UINT64_MAX,
                                 .on_row = on_row,
                                 .on_restart = on_restart,
                                 .on_done = on_done};
    question->call = (struct call){.statement = statement,
                                   .parameters = parameters,
                                   .parameter_count = count,
                                   .expect = EXPECT_ANY};
    question->count = 0;
    question->outcome = (struct outcome){.kind = OUTCOME_UNKNOWN};
    assert_true(store_submit(world->session, &question->job));
}

// Waits until the first `count` questions are answered.
static void wait_for(struct world *world, size_t count) {
    for (size_t i = 0; i < count; i++) {
        while (world->questions[i].outcome.kind == OUTCOME_UNKNOWN)
            uv_run(&world->loop, UV_RUN_ONCE);
    }
}

static void run(struct world *world, struct text sql, const struct value *parameters,
                size_t count) {
    struct statement statement = {.sql = sql, .hash = text_hash(sql)};
    ask(world, &world->questions[0], JOB_WRITE, &statement, parameters, count);
    wait_for(world, 1);
    assert_int_equal(world->questions[0].outcome.kind, OUTCOME_DONE);
}

static void create_table(struct world *world) {
    struct buffer sql = {0};
    for (size_t i = 0; i < THING_COUNT; i++) {
        buffer_format(&sql, "%s\"%.*s\" %.*s", i ? ", " : "CREATE TABLE things (",
                      TEXT_ARGS(thing_properties[i].name),
                      TEXT_ARGS(world->dialect->column_type(&thing_properties[i])));
    }
    buffer_append_string(&sql, ")");
    run(world, buffer_text(&sql), NULL, 0);
    buffer_free(&sql);
    run(world, TEXT("CREATE UNIQUE INDEX things_key ON things (id)"), NULL, 0);
}

static void insert_records(struct world *world) {
    struct sql sql = sql_begin(world->dialect, &world->arena);
    sql_text(&sql, "INSERT INTO things VALUES (");
    for (size_t i = 0; i < THING_COUNT; i++) {
        sql_text(&sql, i ? ", " : "");
        world->dialect->placeholder(&sql, i + 1, thing_properties[i].kind);
    }
    sql_text(&sql, ")");
    struct statement statement;
    assert_true(sql_finish(&sql, NULL, 0, &statement));
    for (size_t i = 0; i < RECORDS; i++) {
        for (size_t j = 0; j < THING_COUNT; j++)
            world->records[i][j] = random_value(&world->dice, &thing_properties[j], &world->arena);
        world->records[i][0] = value_integer((int64_t)i);
        if (!value_is_null(world->records[i][THING_NEXT]))
            world->records[i][THING_NEXT] =
                value_integer((int64_t)dice_below(&world->dice, RECORDS));
        run(world, statement.sql, world->records[i], THING_COUNT);
    }
    for (size_t i = 0; i < RECORDS; i++) {
        struct value next = world->records[i][THING_NEXT];
        if (!value_is_null(next))
            memcpy(&world->records[i][THING_COUNT], world->records[next.integer],
                   THING_COUNT * sizeof next);
    }
}

static int set_up(void **state) {
    struct world *world = calloc(1, sizeof *world);
    const char *seed = getenv("SEED");
    const char *count = getenv("EXPRESSIONS");
    struct failure failure;
    assert_non_null(world);
    world->dialect = dialect_of(store_place_dialect());
    world->dice.state = seed ? strtoull(seed, NULL, 10) : 1;
    world->count = count ? strtol(count, NULL, 10) : 1000;
    store_place_open(&world->place);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    assert_true(store_attach(world->place.store, &world->loop, &world->session, &failure));
    create_table(world);
    insert_records(world);
    *state = world;
    return 0;
}

static void on_detached(void *owner) {}

static int tear_down(void **state) {
    struct world *world = *state;
    store_detach(world->session, on_detached, NULL);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    store_place_close(&world->place);
    arena_free(&world->arena);
    free(world);
    return 0;
}

// A statement with an expression in it; and its parameters. One that needs the number of a record
// as its last parameter has it put where @ stands in `after`.
static struct statement statement_with(struct world *world, const char *before,
                                       const struct expression *expression, const char *after,
                                       const struct column *column, struct arena *arena,
                                       struct sql *ret_sql) {
    struct sql sql = sql_begin(world->dialect, arena);
    struct statement statement;
    sql_text(&sql, before);
    sql_expression(&sql, expression, now);
    for (const char *at = after; *at; at++) {
        if (*at == '@')
            sql_value(&sql, value_integer(0));
        else
            buffer_append_byte(&sql.text, *at);
    }
    assert_true(sql_finish(&sql, column, 1, &statement));
    statement.once = true;
    *ret_sql = sql;
    return statement;
}

// --- the evaluator

// A property or member of the other record of two that are one.
static const struct expression *of_other(struct arena *arena, const struct expression *term) {
    struct expression *copy = arena_allocate(arena, sizeof *copy);
    struct property *property = arena_allocate(arena, sizeof *property);
    assert_true(copy && property);
    *copy = *term;
    *property = *term->property;
    property->index += THING_COUNT;
    copy->property = property;
    return copy;
}

// The same expression about two records that are one.
static const struct expression *flat(struct arena *arena, const struct expression *expression) {
    if (expression->kind == EXPRESSION_REFERENCED)
        return of_other(arena, expression->operands[0]);
    struct expression *copy = arena_allocate(arena, sizeof *copy);
    assert_non_null(copy);
    *copy = *expression;
    if (copy->operand_count == 0)
        return copy;
    copy->operands = arena_allocate(arena, copy->operand_count * sizeof copy);
    assert_non_null(copy->operands);
    for (size_t i = 0; i < copy->operand_count; i++)
        copy->operands[i] = flat(arena, expression->operands[i]);
    return copy;
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

static void show(struct world *world, struct text source, const struct statement *statement,
                 size_t record) {
    print_error("%.*s\n%.*s\nfor record %zu\n", TEXT_ARGS(source), TEXT_ARGS(statement->sql),
                record);
    for (size_t i = 0; i < 2 * THING_COUNT; i++) {
        const struct value *value = &world->records[record][i];
        struct text name = thing_properties[i % THING_COUNT].name;
        print_error("%s", i < THING_COUNT || value_is_null(*value) ? "" : "next.");
        if (value_kind_has_text(value->kind))
            print_error("%.*s: %.*s\n", TEXT_ARGS(name), TEXT_ARGS(value->text));
        else if (value->kind == VALUE_REAL)
            print_error("%.*s: %a\n", TEXT_ARGS(name), value->real);
        else if (!value_is_null(*value))
            print_error("%.*s: %lld\n", TEXT_ARGS(name), (long long)value->integer);
    }
    fail();
}

// Both judges name the records that a condition holds for.
static void judge_condition(struct world *world, struct text source,
                            const struct expression *expression, struct arena *arena) {
    static const struct column id = {.kind = VALUE_INTEGER};
    struct sql sql;
    struct statement statement = statement_with(world, "SELECT id FROM things WHERE ", expression,
                                                " ORDER BY id", &id, arena, &sql);
    struct question *question = &world->questions[0];
    ask(world, question, JOB_READ, &statement, sql.parameters, sql.parameter_count);
    wait_for(world, 1);
    if (question->outcome.kind != OUTCOME_DONE)
        show(world, source, &statement, 0);
    size_t found = 0;
    expression = flat(arena, expression);
    for (size_t i = 0; i < RECORDS; i++) {
        bool actual = found < question->count && question->answers[found].integer == (int64_t)i;
        if (holds(world, expression, i, arena) != actual)
            show(world, source, &statement, i);
        found += actual;
    }
    assert_int_equal(found, question->count);
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

static void judge_conditions(struct world *world, enum expression_purpose purpose) {
    struct buffer source = {0};
    struct random_expressions random = {
        .dice = world->dice, .out = &source, .refers = purpose == EXPRESSION_FOR_FILTER};
    long judged = 0;
    for (long i = 0; i < world->count; i++) {
        struct arena arena = {0};
        buffer_clear(&source);
        random_condition(&random, (int)dice_below(&random.dice, 5));
        const struct expression *expression = parse(&arena, purpose, NULL, buffer_text(&source));
        if (expression) {
            judge_condition(world, buffer_text(&source), expression, &arena);
            judged++;
        }
        arena_free(&arena);
    }
    assert_true(judged > world->count / 2);
    buffer_free(&source);
}

static void conditions_mean_the_same(void **state) {
    judge_conditions(*state, EXPRESSION_FOR_PREDICATE);
}

static void filters_mean_the_same(void **state) {
    judge_conditions(*state, EXPRESSION_FOR_FILTER);
}

static bool is_same(const struct value *a, const struct value *b) {
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case VALUE_NULL: return true;
    case VALUE_REAL: return a->real == b->real;
    case VALUE_BOOLEAN: return a->boolean == b->boolean;
    default: return a->integer == b->integer;
    }
}

// What a calculation gives for each record: the same value, or an overflow.
static void judge_calculation(struct world *world, const struct property *target,
                              struct text source, const struct expression *expression,
                              struct arena *arena) {
    const struct column column = {.kind = target->kind, .scale = target->scale};
    struct sql sql;
    struct statement statement = statement_with(world, "SELECT ", expression,
                                                " FROM things WHERE id = @", &column, arena, &sql);
    size_t size = sql.parameter_count * sizeof *sql.parameters;
    for (size_t i = 0; i < RECORDS; i++) {
        struct value *parameters = arena_allocate(arena, size);
        assert_non_null(parameters);
        memcpy(parameters, sql.parameters, size);
        parameters[sql.parameter_count - 1] = value_integer((int64_t)i);
        ask(world, &world->questions[i], JOB_READ, &statement, parameters, sql.parameter_count);
    }
    wait_for(world, RECORDS);
    for (size_t i = 0; i < RECORDS; i++) {
        const struct question *question = &world->questions[i];
        struct value expected;
        struct failure failure = {0};
        bool fits =
            expression_evaluate(expression, world->records[i], now, arena, &expected, &failure);
        bool same =
            fits ? question->outcome.kind == OUTCOME_DONE && question->count == 1 &&
                       is_same(&question->answers[0], &expected)
                 : failure.code == FAILURE_OVERFLOW && question->outcome.kind == OUTCOME_OVERFLOW;
        if (!same)
            show(world, source, &statement, i);
    }
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
        {"next.active = (", ")", EXPRESSION_MAX_LEVELS - 2},
        {"next.active and (next.hidden or (", "))", EXPRESSION_MAX_LEVELS / 2 - 1},
        {"next.store.lat < next.rate or ", "", 100},
        {"next.title = 'a' or ", "", 160},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer source = {0};
        struct arena arena = {0};
        for (int j = 0; j < cases[i].count; j++)
            buffer_append_string(&source, cases[i].opening);
        buffer_append_string(
            &source, "(next.store.open = contains('a', store.city)) = "
                     "(next.store.deep.Size_1 in (1, null) and startsWith(title, next.store.zip))");
        for (int j = 0; j < cases[i].count; j++)
            buffer_append_string(&source, cases[i].closing);
        const struct expression *expression =
            parse(&arena, EXPRESSION_FOR_FILTER, NULL, buffer_text(&source));
        assert_non_null(expression);
        static const struct column id = {.kind = VALUE_INTEGER};
        struct sql sql;
        struct statement statement = statement_with(
            world,
            "SELECT page.id FROM (SELECT * FROM (SELECT id FROM things WHERE id < 0) AS part "
            "UNION ALL SELECT * FROM (SELECT id FROM things WHERE (",
            expression,
            ") AND id > 1 ORDER BY id) AS part LIMIT 9) AS page "
            "LEFT JOIN things AS next ON next.id = page.id ORDER BY page.id",
            &id, &arena, &sql);
        ask(world, &world->questions[0], JOB_READ, &statement, sql.parameters, sql.parameter_count);
        wait_for(world, 1);
        assert_int_equal(world->questions[0].outcome.kind, OUTCOME_DONE);
        arena_free(&arena);
        buffer_free(&source);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(conditions_mean_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(filters_mean_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(calculations_mean_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_database_takes_what_is_allowed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
