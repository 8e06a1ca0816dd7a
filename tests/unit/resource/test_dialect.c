#include "resource/dialect.h"

#include "base/table.h"
#include "resource/meta.h"
#include "things.h"
#include "unit/allocation.h"
#include "unit/testing.h"

#include <inttypes.h>

// 2024-02-29T12:00:00.000Z
static const int64_t now = INT64_C(1709208000000);

static void print_value(struct buffer *out, struct value value) {
    char hex[64];
    switch (value.kind) {
    case VALUE_NULL: buffer_append_string(out, "null"); break;
    case VALUE_BOOLEAN: buffer_append_string(out, value.boolean ? "true" : "false"); break;
    case VALUE_INTEGER: buffer_append_integer(out, value.integer); break;
    case VALUE_DECIMAL: buffer_format(out, "%" PRId64 "e-%u", value.integer, value.scale); break;
    case VALUE_REAL: buffer_format(out, "%.17gr", value.real); break;
    case VALUE_BYTES:
        text_hex_encode(value.text.data, value.text.size, hex);
        buffer_format(out, "x%.8s", hex);
        break;
    default: buffer_append_text(out, value.text); break;
    }
}

// The SQL of an expression, and behind "--" its parameters. The target is that of a set.
static void print_sql(struct buffer *out, enum store_dialect store, const char *target,
                      const char *source) {
    struct arena arena = {0};
    struct failure failure = {0};
    struct property *property =
        target ? resource_property(&things, text_from_string(target)) : NULL;
    const struct expression *expression =
        expression_parse(&arena, &things, target ? EXPRESSION_FOR_SET : EXPRESSION_FOR_FILTER,
                         property, text_from_string(source), &failure, NULL);
    if (!expression)
        print_error("%s: %s\n", source, failure.detail);
    assert_non_null(expression);
    struct sql sql = sql_begin(dialect_of(store), &arena);
    sql_expression(&sql, expression, now);
    struct statement statement;
    assert_true(sql_finish(&sql, NULL, 0, &statement));
    assert_int_equal(statement.hash, text_hash(statement.sql));
    buffer_append_text(out, statement.sql);
    for (size_t i = 0; i < sql.parameter_count; i++) {
        buffer_append_string(out, i ? ", " : " -- ");
        print_value(out, sql.parameters[i]);
    }
    arena_free(&arena);
}

static const struct {
    const char *target;
    const char *source;
    const char *sqlite;
    const char *postgres;
} expression_cases[] = {
    {NULL, "amount = 1", "\"amount\" = ?1 -- 1", "\"amount\" = $1::bigint -- 1"},
    {NULL, "1 < amount", "\"amount\" > ?1 -- 1", "\"amount\" > $1::bigint -- 1"},
    {NULL, "amount != 1", "\"amount\" IS NOT ?1 -- 1",
     "\"amount\" IS DISTINCT FROM $1::bigint -- 1"},
    {NULL, "amount = null", "\"amount\" IS NULL", "\"amount\" IS NULL"},
    {NULL, "amount != null", "\"amount\" IS NOT NULL", "\"amount\" IS NOT NULL"},
    {NULL, "cap is null or amount <= cap", "(\"cap\" IS NULL OR \"amount\" <= \"cap\")",
     "(\"cap\" IS NULL OR \"amount\" <= \"cap\")"},
    {NULL, "amount != cap", "\"amount\" IS NOT \"cap\"", "\"amount\" IS DISTINCT FROM \"cap\""},
    {NULL, "amount = cap", "\"amount\" IS \"cap\"", "\"amount\" IS NOT DISTINCT FROM \"cap\""},
    {NULL, "now() = since", "?1 = \"since\" -- 2024-02-29T12:00:00.000Z",
     "$1::timestamptz = \"since\" -- 2024-02-29T12:00:00.000Z"},
    {NULL, "until > now() and since <= now()",
     "(\"until\" > ?1 AND \"since\" <= ?1) -- 2024-02-29T12:00:00.000Z",
     "(\"until\" > $1::timestamptz AND \"since\" <= $1::timestamptz) -- "
     "2024-02-29T12:00:00.000Z"},
    {NULL, "amount in (1, 2)", "\"amount\" IN (?1, ?2) -- 1, 2",
     "\"amount\" IN ($1::bigint, $2::bigint) -- 1, 2"},
    {NULL, "amount not in (1, null)",
     "((\"amount\" IN (?1) OR \"amount\" IS NULL)) IS NOT TRUE -- 1",
     "((\"amount\" IN ($1::bigint) OR \"amount\" IS NULL)) IS NOT TRUE -- 1"},
    {NULL, "amount in (null)", "\"amount\" IS NULL", "\"amount\" IS NULL"},
    {NULL, "not (active and hidden)",
     "(\"active\" = ?1 AND \"hidden\" = ?2) IS NOT TRUE -- true, true",
     "(\"active\" = $1::boolean AND \"hidden\" = $2::boolean) IS NOT TRUE -- true, true"},
    {NULL, "active = (amount > 1)", "\"active\" = ((\"amount\" > ?1) IS TRUE) -- 1",
     "\"active\" = ((\"amount\" > $1::bigint) IS TRUE) -- 1"},
    {NULL, "(amount > 1) in (true)", "((\"amount\" > ?1) IS TRUE) IN (?2) -- 1, true",
     "((\"amount\" > $1::bigint) IS TRUE) IN ($2::boolean) -- 1, true"},
    {NULL, "(amount > 1 or active) is null",
     "((\"amount\" > ?1 OR \"active\" = ?2) IS TRUE) IS NULL -- 1, true",
     "((\"amount\" > $1::bigint OR \"active\" = $2::boolean) IS TRUE) IS NULL -- 1, true"},
    {NULL, "rate < amount", "\"rate\" < \"amount\"",
     "(\"rate\", CASE WHEN \"rate\" >= 9223372036854775808 OR \"rate\" < "
     "-9223372036854775808 THEN 9223372036854775808 ELSE CAST(CAST(trunc(\"rate\") AS "
     "bigint) AS numeric) END) < (CAST(\"amount\" AS double precision), CAST(\"amount\" "
     "AS numeric))"},
    {NULL, "amount = rate", "\"amount\" IS \"rate\"",
     "(CAST(\"amount\" AS double precision), CAST(\"amount\" AS numeric)) IS NOT DISTINCT "
     "FROM (\"rate\", CASE WHEN \"rate\" >= 9223372036854775808 OR \"rate\" < "
     "-9223372036854775808 THEN 9223372036854775808 ELSE CAST(CAST(trunc(\"rate\") AS "
     "bigint) AS numeric) END)"},
    {NULL, "startsWith(title, 'ab')", "(\"title\" >= ?1 AND \"title\" < ?2) -- ab, ac",
     "(\"title\" >= $1::text AND \"title\" < $2::text) -- ab, ac"},
    {NULL, "startsWith(title, 'a\355\237\277')",
     "(\"title\" >= ?1 AND \"title\" < ?2) -- a\355\237\277, a\356\200\200",
     "(\"title\" >= $1::text AND \"title\" < $2::text) -- a\355\237\277, a\356\200\200"},
    {NULL, "startsWith(title, 'a\364\217\277\277')",
     "(\"title\" >= ?1 AND \"title\" < ?2) -- a\364\217\277\277, b",
     "(\"title\" >= $1::text AND \"title\" < $2::text) -- a\364\217\277\277, b"},
    {NULL, "startsWith(title, '\364\217\277\277')", "\"title\" >= ?1 -- \364\217\277\277",
     "\"title\" >= $1::text -- \364\217\277\277"},
    {NULL, "startsWith(title, '')", "\"title\" >= ?1 -- ", "\"title\" >= $1::text -- "},
    {NULL, "startsWith(title, code)", "substr(\"title\", 1, length(\"code\")) = \"code\"",
     "substr(\"title\", 1, length(\"code\")) = \"code\""},
    {NULL, "startsWith('abc', code)", "substr(?1, 1, length(\"code\")) = \"code\" -- abc",
     "substr($1::text, 1, length(\"code\")) = \"code\" -- abc"},
    {NULL, "contains(title, 'x')", "instr(\"title\", ?1) > 0 -- x",
     "strpos(\"title\", $1::text) > 0 -- x"},
    {NULL, "contains('abc', store.city)",
     "instr(?1, CASE json_type(\"store\", ?2) WHEN 'text' THEN \"store\" ->> ?2 END) > 0 "
     "-- abc, $.\"city\"",
     "strpos($1::text, (CASE json_typeof(json_extract_path(\"store\", $2::text)) WHEN "
     "'string' THEN json_extract_path_text(\"store\", $2::text) END COLLATE \"C\")) > 0 "
     "-- abc, city"},
    {NULL, "store.city = 'x'",
     "CASE json_type(\"store\", ?1) WHEN 'text' THEN \"store\" ->> ?1 END = ?2 -- "
     "$.\"city\", x",
     "(CASE json_typeof(json_extract_path(\"store\", $1::text)) WHEN 'string' THEN "
     "json_extract_path_text(\"store\", $1::text) END COLLATE \"C\") = $2::text -- city, x"},
    {NULL, "startsWith(store.city, 'x')",
     "(CASE json_type(\"store\", ?1) WHEN 'text' THEN \"store\" ->> ?1 END >= ?2 AND CASE "
     "json_type(\"store\", ?3) WHEN 'text' THEN \"store\" ->> ?3 END < ?4) -- $.\"city\", "
     "x, $.\"city\", y",
     "((CASE json_typeof(json_extract_path(\"store\", $1::text)) WHEN 'string' THEN "
     "json_extract_path_text(\"store\", $1::text) END COLLATE \"C\") >= $2::text AND "
     "(CASE json_typeof(json_extract_path(\"store\", $3::text)) WHEN 'string' THEN "
     "json_extract_path_text(\"store\", $3::text) END COLLATE \"C\") < $4::text) -- city, "
     "x, city, y"},
    {NULL, "store.deep.Size_1 > 5",
     "CASE json_type(\"store\", ?1) WHEN 'integer' THEN \"store\" ->> ?1 WHEN 'real' THEN "
     "CASE CAST(\"store\" ->> ?1 AS INTEGER) WHEN \"store\" ->> ?1 THEN CAST(\"store\" "
     "->> ?1 AS INTEGER) END END > ?2 -- $.\"deep\".\"Size_1\", 5",
     "(CASE WHEN json_typeof(json_extract_path(\"store\", $1::text, $2::text)) <> "
     "'number' THEN NULL WHEN json_extract_path_text(\"store\", $1::text, $2::text) ~ "
     "'^-?[0-9]+$' THEN (json_extract_path_text(\"store\", $1::text, $2::text))::bigint "
     "WHEN (json_extract_path_text(\"store\", $1::text, $2::text))::double precision >= "
     "-9223372036854775808 AND (json_extract_path_text(\"store\", $1::text, "
     "$2::text))::double precision < 9223372036854775808 AND "
     "trunc((json_extract_path_text(\"store\", $1::text, $2::text))::double precision) = "
     "(json_extract_path_text(\"store\", $1::text, $2::text))::double precision THEN "
     "((json_extract_path_text(\"store\", $1::text, $2::text))::double precision)::bigint "
     "END) > $3::bigint -- deep, Size_1, 5"},
    {NULL, "store.lat < 5",
     "CASE WHEN json_type(\"store\", ?1) IN ('integer', 'real') THEN CAST(\"store\" ->> "
     "?1 AS REAL) END < ?2 -- $.\"lat\", 5r",
     "(CASE json_typeof(json_extract_path(\"store\", $1::text)) WHEN 'number' THEN "
     "(json_extract_path_text(\"store\", $1::text))::double precision END) < $2::double "
     "precision -- lat, 5r"},
    {NULL, "store.open",
     "CASE json_type(\"store\", ?1) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END = ?2 -- "
     "$.\"open\", true",
     "(CASE json_typeof(json_extract_path(\"store\", $1::text)) WHEN 'boolean' THEN "
     "(json_extract_path_text(\"store\", $1::text))::boolean END) = $2::boolean -- open, "
     "true"},
    {NULL, "store.opened is not null",
     "nullif(json_type(\"store\", ?1), 'null') IS NOT NULL -- $.\"opened\"",
     "(nullif(json_typeof(json_extract_path(\"store\", $1::text)), 'null')) IS NOT NULL "
     "-- opened"},
    {NULL, "store.zip != store.city",
     "CASE json_type(\"store\", ?1) WHEN 'text' THEN \"store\" ->> ?1 END IS NOT CASE "
     "json_type(\"store\", ?2) WHEN 'text' THEN \"store\" ->> ?2 END -- $.\"zip\", "
     "$.\"city\"",
     "(CASE json_typeof(json_extract_path(\"store\", $1::text)) WHEN 'string' THEN "
     "json_extract_path_text(\"store\", $1::text) END COLLATE \"C\") IS DISTINCT FROM "
     "(CASE json_typeof(json_extract_path(\"store\", $2::text)) WHEN 'string' THEN "
     "json_extract_path_text(\"store\", $2::text) END COLLATE \"C\") -- zip, city"},
    {NULL, "false", "(1 = 0)", "(1 = 0)"},
    {NULL, "amount != 5.5", "(1 = 1)", "(1 = 1)"},
    {NULL, "amount < 5.5", "\"amount\" <= ?1 -- 5", "\"amount\" <= $1::bigint -- 5"},
    {NULL, "price = 1.5", "\"price\" = ?1 -- 150e-2", "\"price\" = $1::numeric -- 150e-2"},
    {NULL, "day = '2024-02-29'", "\"day\" = ?1 -- 2024-02-29", "\"day\" = $1::date -- 2024-02-29"},
    {NULL, "uid in ('F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6')",
     "\"uid\" IN (?1) -- f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
     "\"uid\" IN ($1::uuid) -- f81d4fae-7dec-11d0-a765-00a0c91e6bf6"},
    {NULL, "digest = '2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae'",
     "\"digest\" = ?1 -- x2c26b46b", "\"digest\" = $1::bytea -- x2c26b46b"},
    {"amount", "amount + 1",
     "CASE WHEN \"amount\" IS NULL THEN NULL WHEN typeof(\"amount\" + ?1) = 'real' THEN "
     "abs(-9223372036854775808) ELSE \"amount\" + ?2 END -- 1, 1",
     "(CASE WHEN \"amount\" IS NULL THEN NULL ELSE \"amount\" + $1::bigint END) -- 1"},
    {"amount", "amount - (cap - 1) * 2 + cap",
     "CASE WHEN \"amount\" IS NULL OR \"cap\" IS NULL OR \"cap\" IS NULL THEN NULL WHEN "
     "typeof(\"amount\" - ((\"cap\" - ?1) * ?2) + \"cap\") = 'real' THEN "
     "abs(-9223372036854775808) ELSE \"amount\" - ((\"cap\" - ?3) * ?4) + \"cap\" END -- "
     "1, 2, 1, 2",
     "(CASE WHEN \"amount\" IS NULL OR \"cap\" IS NULL OR \"cap\" IS NULL THEN NULL ELSE "
     "\"amount\" - ((\"cap\" - $1::bigint) * $2::bigint) + \"cap\" END) -- 1, 2"},
    {"rate", "rate * amount",
     "CASE WHEN \"rate\" IS NULL OR \"amount\" IS NULL THEN NULL WHEN abs(\"rate\" * "
     "\"amount\") <= 1.7976931348623157e308 THEN \"rate\" * \"amount\" ELSE "
     "abs(-9223372036854775808) END",
     "(CASE WHEN \"rate\" IS NULL OR \"amount\" IS NULL THEN NULL ELSE \"rate\" * "
     "\"amount\" END)"},
    {"rate", "(amount + cap) * 0.5 + rate",
     "CASE WHEN \"amount\" IS NULL OR \"cap\" IS NULL OR \"rate\" IS NULL THEN NULL WHEN "
     "abs(CASE WHEN \"amount\" IS NULL OR \"cap\" IS NULL THEN NULL WHEN "
     "typeof(\"amount\" + \"cap\") = 'real' THEN abs(-9223372036854775808) ELSE "
     "\"amount\" + \"cap\" END * ?1 + \"rate\") <= 1.7976931348623157e308 THEN CASE WHEN "
     "\"amount\" IS NULL OR \"cap\" IS NULL THEN NULL WHEN typeof(\"amount\" + \"cap\") = "
     "'real' THEN abs(-9223372036854775808) ELSE \"amount\" + \"cap\" END * ?2 + \"rate\" "
     "ELSE abs(-9223372036854775808) END -- 0.5r, 0.5r",
     "(CASE WHEN \"amount\" IS NULL OR \"cap\" IS NULL OR \"rate\" IS NULL THEN NULL ELSE "
     "(CASE WHEN \"amount\" IS NULL OR \"cap\" IS NULL THEN NULL ELSE \"amount\" + "
     "\"cap\" END) * $1::double precision + \"rate\" END) -- 0.5r"},
    {"rate", "amount",
     "CASE WHEN \"amount\" IS NULL THEN NULL WHEN abs(\"amount\" * ?1) <= "
     "1.7976931348623157e308 THEN \"amount\" * ?2 ELSE abs(-9223372036854775808) END -- "
     "1r, 1r",
     "(CASE WHEN \"amount\" IS NULL THEN NULL ELSE \"amount\" * $1::double precision END) "
     "-- 1r"},
    {"price", "price * amount + 0.5",
     "CASE WHEN \"price\" IS NULL OR \"amount\" IS NULL THEN NULL WHEN typeof(\"price\" * "
     "\"amount\" + ?1) = 'real' THEN abs(-9223372036854775808) ELSE \"price\" * "
     "\"amount\" + ?2 END -- 50e-2, 50e-2",
     "(CASE WHEN \"price\" IS NULL OR \"amount\" IS NULL THEN NULL ELSE "
     "(CAST(CAST(((CAST(CAST((\"price\" * \"amount\") * 1e2 AS bigint) AS numeric) * "
     "1e-2) + $1::numeric) * 1e2 AS bigint) AS numeric) * 1e-2) END) -- 50e-2"},
    {"active", "not hidden", "(((\"hidden\" = ?1) IS NOT TRUE) IS TRUE) = ?2 -- true, true",
     "(((\"hidden\" = $1::boolean) IS NOT TRUE) IS TRUE) = $2::boolean -- true, true"},
    {"active", "hidden", "\"hidden\"", "\"hidden\""},
    {"active", "true", "(1 = 1)", "(1 = 1)"},
    {"until", "now()", "?1 -- 2024-02-29T12:00:00.000Z",
     "$1::timestamptz -- 2024-02-29T12:00:00.000Z"},
    {"title", "store.city",
     "CASE json_type(\"store\", ?1) WHEN 'text' THEN \"store\" ->> ?1 END -- $.\"city\"",
     "(CASE json_typeof(json_extract_path(\"store\", $1::text)) WHEN 'string' THEN "
     "json_extract_path_text(\"store\", $1::text) END COLLATE \"C\") -- city"},
    {"title", "null", "?1 -- null", "$1 -- null"},
};

#define NEXT(what)                                                                                 \
    "(SELECT " what " FROM \"things\" AS \"_referenced\" WHERE \"id\" = \"things\".\"next\")"
#define FOUND(condition) "\"next\" IN (SELECT \"id\" FROM \"things\" WHERE " condition ")"

// Equality and beginnings look for what is referred to first, everything else at it.
static void references(void **state) {
    static const struct {
        const char *source;
        const char *sqlite;
    } cases[] = {
        {"next.title = 'a'", FOUND("\"title\" = ?1") " -- a"},
        {"'a' = next.title", FOUND("\"title\" = ?1") " -- a"},
        {"next.active", FOUND("\"active\" = ?1") " -- true"},
        {"next.amount in (1, 2)", FOUND("\"amount\" IN (?1, ?2)") " -- 1, 2"},
        {"startsWith(next.title, 'a')", FOUND("(\"title\" >= ?1 AND \"title\" < ?2)") " -- a, b"},
        {"not next.title = 'a'", "(" FOUND("\"title\" = ?1") ") IS NOT TRUE -- a"},
        {"next.title != 'a'", NEXT("\"title\"") " IS NOT ?1 -- a"},
        {"next.amount > 5", NEXT("\"amount\"") " > ?1 -- 5"},
        {"next.title is null", NEXT("\"title\"") " IS NULL"},
        {"next.amount in (1, null)",
         "(" NEXT("\"amount\"") " IN (?1) OR " NEXT("\"amount\"") " IS NULL) -- 1"},
        {"next.title = code", NEXT("\"title\"") " IS \"code\""},
        {"title = next.code", "\"title\" IS " NEXT("\"code\"")},
        {"startsWith(title, next.code)",
         "substr(\"title\", 1, length(" NEXT("\"code\"") ")) = " NEXT("\"code\"")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer out = {0};
        print_sql(&out, STORE_SQLITE, NULL, cases[i].source);
        assert_text_is(buffer_text(&out), cases[i].sqlite);
        buffer_free(&out);
    }
    struct buffer out = {0};
    print_sql(&out, STORE_POSTGRES, NULL, "next.store.city != title and next.store.city = 'x'");
    assert_text_is(buffer_text(&out),
                   "(" NEXT("(CASE json_typeof(json_extract_path(\"store\", "
                            "$1::text)) WHEN "
                            "'string' THEN json_extract_path_text(\"store\", "
                            "$1::text) END "
                            "COLLATE \"C\")") " IS DISTINCT FROM \"title\" "
                                              "AND " FOUND("(CASE "
                                                           "json_typeof(json_extract_"
                                                           "path(\"store\", "
                                                           "$2::text)) WHEN "
                                                           "'string' THEN "
                                                           "json_extract_path_text("
                                                           "\"store\", $2::text) END "
                                                           "COLLATE \"C\") = "
                                                           "$3::text") ") -- city, "
                                                                       "city, x");
    buffer_free(&out);
}

static void expressions(void **state) {
    struct buffer out;
    buffer_init(&out);
    for (size_t i = 0; i < sizeof expression_cases / sizeof expression_cases[0]; i++) {
        buffer_clear(&out);
        print_sql(&out, STORE_SQLITE, expression_cases[i].target, expression_cases[i].source);
        assert_text_is(buffer_text(&out), expression_cases[i].sqlite);
        buffer_clear(&out);
        print_sql(&out, STORE_POSTGRES, expression_cases[i].target, expression_cases[i].source);
        assert_text_is(buffer_text(&out), expression_cases[i].postgres);
    }
    buffer_free(&out);
}

static void names_are_quoted(void **state) {
    struct arena arena = {0};
    struct sql sql = sql_begin(dialect_of(STORE_SQLITE), &arena);
    sql_name(&sql, TEXT("select"));
    sql_name(&sql, TEXT("a\"b\"\""));
    sql_name(&sql, TEXT(""));
    assert_text_is(buffer_text(&sql.text), "\"select\"\"a\"\"b\"\"\"\"\"\"\"");
    struct statement statement;
    assert_true(sql_finish(&sql, NULL, 0, &statement));
    assert_null(sql.text.data);
    arena_free(&arena);
}

// Every kind, null included, at its place.
static void values_are_bound(void **state) {
    static const struct text texts[] = {
        [VALUE_TEXT] = TEXT_INIT("x"),
        [VALUE_BYTES] = TEXT_INIT("x"),
        [VALUE_TIMESTAMP] = TEXT_INIT("2024-02-29T12:00:00.000Z"),
        [VALUE_DATE] = TEXT_INIT("2024-02-29"),
        [VALUE_UUID] = TEXT_INIT("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
        [VALUE_JSON] = TEXT_INIT("{}"),
    };
    static const char *const expected[] = {
        [STORE_SQLITE] = "?1?2?3?4?5?6?7?8?9?10?11",
        [STORE_POSTGRES] = "$1$2::boolean$3::bigint$4::double precision$5::numeric$6::text"
                           "$7::bytea$8::timestamptz$9::date$10::uuid$11::json",
    };
    for (enum store_dialect store = STORE_SQLITE; store <= STORE_POSTGRES; store++) {
        struct arena arena = {0};
        struct sql sql = sql_begin(dialect_of(store), &arena);
        for (enum value_kind kind = VALUE_NULL; kind < VALUE_KINDS; kind++) {
            struct value value = {.kind = kind};
            if (kind >= VALUE_TEXT)
                value.text = texts[kind];
            sql_value(&sql, value);
            assert_int_equal(sql.parameter_count, kind + 1);
            assert_int_equal(sql.parameters[kind].kind, kind);
        }
        assert_text_is(buffer_text(&sql.text), expected[store]);
        struct statement statement;
        assert_true(sql_finish(&sql, NULL, 0, &statement));
        arena_free(&arena);
    }
}

static void column_types(void **state) {
    static const struct {
        enum value_kind kind;
        uint8_t scale;
        const char *sqlite;
        const char *postgres;
    } cases[] = {
        {VALUE_BOOLEAN, 0, "BOOLEAN", "boolean"},
        {VALUE_INTEGER, 0, "INTEGER", "bigint"},
        {VALUE_REAL, 0, "REAL", "double precision"},
        {VALUE_DECIMAL, 0, "SCALED_INTEGER(0)", "numeric(19,0)"},
        {VALUE_DECIMAL, 2, "SCALED_INTEGER(2)", "numeric(19,2)"},
        {VALUE_DECIMAL, 18, "SCALED_INTEGER(18)", "numeric(19,18)"},
        {VALUE_TEXT, 0, "TEXT", "text COLLATE \"C\""},
        {VALUE_BYTES, 0, "BLOB", "bytea"},
        {VALUE_TIMESTAMP, 0, "TIMESTAMP_TEXT", "timestamp(3) with time zone"},
        {VALUE_DATE, 0, "DATE_TEXT", "date"},
        {VALUE_UUID, 0, "UUID_TEXT", "uuid"},
        {VALUE_JSON, 0, "JSON_TEXT", "json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct property property = {.kind = cases[i].kind, .scale = cases[i].scale};
        assert_text_is(dialect_of(STORE_SQLITE)->column_type(&property), cases[i].sqlite);
        assert_text_is(dialect_of(STORE_POSTGRES)->column_type(&property), cases[i].postgres);
    }
}

static void the_table_of_what_processes_share(void **state) {
    struct arena arena = {0};
    struct meta_plan plan;
    assert_true(meta_plan_make(&arena, dialect_of(STORE_SQLITE), &plan));
    assert_false(plan.read.once);
    assert_text_is(plan.read.sql, "SELECT value FROM trestle_meta WHERE name = ?1");
    assert_int_equal(plan.read.column_count, 1);
    assert_int_equal(plan.read.columns[0].kind, VALUE_TEXT);
    assert_text_is(plan.insert.sql, "INSERT INTO trestle_meta (name, value) VALUES (?1, ?2) "
                                    "ON CONFLICT (name) DO NOTHING");
    assert_text_is(plan.replace.sql, "INSERT INTO trestle_meta (name, value) VALUES (?1, ?2) "
                                     "ON CONFLICT (name) DO UPDATE SET value = excluded.value");
    assert_true(meta_plan_make(&arena, dialect_of(STORE_POSTGRES), &plan));
    assert_text_is(plan.read.sql, "SELECT value FROM trestle_meta WHERE name = $1::text");
    arena_free(&arena);
}

static void no_memory(void **state) {
    struct arena arena = {0};
    struct failure failure;
    const struct expression *expression = expression_parse(
        &arena, &things, EXPRESSION_FOR_PREDICATE, NULL,
        TEXT("startsWith(store.city, 'x') and since < now() and amount in (1, 2, 3, 4, 5, 6, 7)"),
        &failure, NULL);
    for (enum store_dialect store = STORE_SQLITE; store <= STORE_POSTGRES; store++) {
        for (ALLOCATION_FAILURES(nth)) {
            struct arena request = {0};
            struct meta_plan plan;
            struct sql sql = sql_begin(dialect_of(store), &request);
            sql_expression(&sql, expression, now);
            struct statement statement;
            bool made = sql_finish(&sql, NULL, 0, &statement) &&
                        meta_plan_make(&request, dialect_of(store), &plan);
            bool failed = allocation_allow();
            assert_int_equal(made, !failed);
            arena_free(&request);
            if (!failed)
                break;
        }
    }
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions),      cmocka_unit_test(references),
        cmocka_unit_test(names_are_quoted), cmocka_unit_test(values_are_bound),
        cmocka_unit_test(column_types),     cmocka_unit_test(the_table_of_what_processes_share),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
