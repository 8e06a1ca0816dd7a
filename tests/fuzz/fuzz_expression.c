// Expressions from anywhere: the first byte says what for, the rest is the source. What is accepted
// is evaluated for some records and written as SQL for each database; what a condition's negation
// gives must be the opposite.
#include "fuzz/fuzz.h"
#include "random_things.h"
#include "resource/dialect.h"

#include <assert.h>

enum { RECORDS = 4 };

static const int64_t now = RANDOM_NOW_SECONDS * INT64_C(1000);

static const struct {
    enum expression_purpose purpose;
    const char *target;
} uses[] = {
    {EXPRESSION_FOR_PREDICATE, NULL},   {EXPRESSION_FOR_QUERY, NULL},
    {EXPRESSION_FOR_SET, "amount"},     {EXPRESSION_FOR_SET, "rate"},
    {EXPRESSION_FOR_SET, "price"},      {EXPRESSION_FOR_SET, "active"},
    {EXPRESSION_FOR_SET, "title"},      {EXPRESSION_FOR_SET, "store"},
    {EXPRESSION_FOR_DEFAULT, "since"},  {EXPRESSION_FOR_DEFAULT, "uid"},
    {EXPRESSION_FOR_DEFAULT, "digest"}, {EXPRESSION_FOR_DEFAULT, "day"},
};

static void check_failure(const struct failure *failure, struct text source, size_t offset) {
    assert(failure->code == FAILURE_INVALID_FILTER);
    assert(offset <= source.size);
    assert(text_is_utf8(text_from_string(failure->detail)));
    assert(text_starts_with(text_from_string(failure->detail), TEXT("at character ")));
}

static void make_record(struct dice *dice, struct arena *arena, struct value *values) {
    for (size_t i = 0; i < THING_COUNT; i++)
        values[i] = random_value(dice, &thing_properties[i], arena);
}

// The same condition with `not` before it; NULL where that makes it too deep.
static const struct expression *negate(struct arena *arena, struct text source) {
    struct failure failure;
    struct text negated = arena_format(arena, "not (%.*s)", TEXT_ARGS(source));
    return expression_parse(arena, &things, EXPRESSION_FOR_PREDICATE, NULL, negated, &failure,
                            NULL);
}

static void evaluate(const struct expression *expression, const struct expression *negation,
                     enum value_kind kind, struct arena *arena) {
    struct value values[THING_COUNT];
    struct dice dice = {.state = 1};
    for (int i = 0; i < RECORDS; i++) {
        struct failure failure = {0};
        struct value value;
        struct value opposite;
        make_record(&dice, arena, values);
        if (!expression_evaluate(expression, values, now, arena, &value, &failure)) {
            assert(failure.code == FAILURE_OVERFLOW);
            continue;
        }
        assert(value_is_null(value) || value.kind == kind);
        assert(value.kind != VALUE_TEXT || text_is_utf8(value.text));
        if (!negation)
            continue;
        assert(expression_evaluate(negation, values, now, arena, &opposite, &failure));
        assert(value.boolean != opposite.boolean);
    }
}

// Whatever the source says, the text of the SQL is ours: plain ASCII, its quotes in pairs.
static void write_sql(const struct expression *expression, enum store_dialect store,
                      struct arena *arena) {
    struct sql sql = sql_begin(dialect_of(store), arena);
    sql_expression(&sql, expression, now);
    struct statement statement;
    bool finished = sql_finish(&sql, NULL, 0, &statement);
    assert(finished);
    size_t quotes = 0;
    for (size_t i = 0; i < statement.sql.size; i++) {
        char c = statement.sql.data[i];
        assert(c >= ' ' && c <= '~' && c != ';' && c != '\\');
        quotes += c == '"';
    }
    assert(quotes % 2 == 0);
    (void)finished;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    size_t use = data[0] % (sizeof uses / sizeof uses[0]);
    struct text source = text_of((const char *)data + 1, size - 1);
    struct property *target =
        uses[use].target ? resource_property(&things, text_from_string(uses[use].target)) : NULL;
    bool predicate = target == NULL;
    struct arena arena = {0};
    struct failure failure = {0};
    size_t offset = 0;
    const struct expression *expression =
        expression_parse(&arena, &things, uses[use].purpose, target, source, &failure, &offset);
    if (expression) {
        if (!expression_refers(expression))
            evaluate(expression, predicate ? negate(&arena, source) : NULL,
                     predicate ? VALUE_BOOLEAN : target->kind, &arena);
        write_sql(expression, STORE_SQLITE, &arena);
        write_sql(expression, STORE_POSTGRES, &arena);
    } else {
        check_failure(&failure, source, offset);
    }
    arena_free(&arena);
    return 0;
}
