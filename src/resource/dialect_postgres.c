// PostgreSQL 15 and later.
#include "resource/dialect_internal.h"

// Of a column, and as what a parameter is bound: PostgreSQL cannot always infer it.
static const struct {
    struct text column;
    struct text parameter;
} type_names[VALUE_KINDS] = {
    [VALUE_NULL] = {TEXT_INIT("text"), TEXT_INIT("")},
    [VALUE_BOOLEAN] = {TEXT_INIT("boolean"), TEXT_INIT("::boolean")},
    [VALUE_INTEGER] = {TEXT_INIT("bigint"), TEXT_INIT("::bigint")},
    [VALUE_REAL] = {TEXT_INIT("double precision"), TEXT_INIT("::double precision")},
    [VALUE_DECIMAL] = {TEXT_INIT("numeric"), TEXT_INIT("::numeric")},
    [VALUE_TEXT] = {TEXT_INIT("text COLLATE \"C\""), TEXT_INIT("::text")},
    [VALUE_BYTES] = {TEXT_INIT("bytea"), TEXT_INIT("::bytea")},
    [VALUE_TIMESTAMP] = {TEXT_INIT("timestamp(3) with time zone"), TEXT_INIT("::timestamptz")},
    [VALUE_DATE] = {TEXT_INIT("date"), TEXT_INIT("::date")},
    [VALUE_UUID] = {TEXT_INIT("uuid"), TEXT_INIT("::uuid")},
    [VALUE_JSON] = {TEXT_INIT("json"), TEXT_INIT("::json")},
};

// 19 digits hold every integer of 64 bits, which is what the digits of a decimal are.
static const struct text decimal_types[] = {
    TEXT_INIT("numeric(19,0)"),  TEXT_INIT("numeric(19,1)"),  TEXT_INIT("numeric(19,2)"),
    TEXT_INIT("numeric(19,3)"),  TEXT_INIT("numeric(19,4)"),  TEXT_INIT("numeric(19,5)"),
    TEXT_INIT("numeric(19,6)"),  TEXT_INIT("numeric(19,7)"),  TEXT_INIT("numeric(19,8)"),
    TEXT_INIT("numeric(19,9)"),  TEXT_INIT("numeric(19,10)"), TEXT_INIT("numeric(19,11)"),
    TEXT_INIT("numeric(19,12)"), TEXT_INIT("numeric(19,13)"), TEXT_INIT("numeric(19,14)"),
    TEXT_INIT("numeric(19,15)"), TEXT_INIT("numeric(19,16)"), TEXT_INIT("numeric(19,17)"),
    TEXT_INIT("numeric(19,18)"),
};

static struct text column_type(const struct property *property) {
    if (property->kind == VALUE_DECIMAL)
        return decimal_types[property->scale];
    return type_names[property->kind].column;
}

static void append_placeholder(struct sql *sql, size_t number, enum value_kind kind) {
    buffer_format(&sql->text, "$%zu", number);
    buffer_append_text(&sql->text, type_names[kind].parameter);
}

// What is read of a member's JSON, @, and of its text, #: guarded by its type, so that no cast can
// fail. An integer may be written with a fraction of zeros. A double's text is read as one, since
// as a numeric it would not be quite the same number.
static const char *const member_templates[VALUE_KINDS] = {
    [VALUE_BOOLEAN] = "CASE json_typeof(@) WHEN 'boolean' THEN (#)::boolean END",
    [VALUE_INTEGER] =
        "CASE WHEN json_typeof(@) <> 'number' THEN NULL WHEN # ~ '^-?[0-9]+$' THEN (#)::bigint "
        "WHEN (#)::double precision >= -9223372036854775808 "
        "AND (#)::double precision < 9223372036854775808 "
        "AND trunc((#)::double precision) = (#)::double precision "
        "THEN ((#)::double precision)::bigint END",
    [VALUE_REAL] = "CASE json_typeof(@) WHEN 'number' THEN (#)::double precision END",
    [VALUE_TEXT] = "CASE json_typeof(@) WHEN 'string' THEN # END COLLATE \"C\"",
    [VALUE_JSON] = "nullif(json_typeof(@), 'null')",
};

// FUNCTION(column, name, …) with the names of the path, which were bound from `first` on.
static void append_path(struct sql *sql, const char *function, const struct expression *member,
                        size_t first) {
    sql_text(sql, function);
    sql_text(sql, "(");
    sql_name(sql, member->property->name);
    for (size_t i = 0; i < member->path_length; i++) {
        sql_text(sql, ", ");
        append_placeholder(sql, first + i, VALUE_TEXT);
    }
    sql_text(sql, ")");
}

static void append_member(struct sql *sql, const struct expression *expression) {
    size_t first = sql->parameter_count + 1;
    for (size_t i = 0; i < expression->path_length; i++)
        sql_bind(sql, value_text(VALUE_TEXT, expression->path[i]));
    sql_text(sql, "(");
    for (const char *at = member_templates[expression->type]; *at; at++) {
        if (*at == '@')
            append_path(sql, "json_extract_path", expression, first);
        else if (*at == '#')
            append_path(sql, "json_extract_path_text", expression, first);
        else
            buffer_append_byte(&sql->text, *at);
    }
    sql_text(sql, ")");
}

// The nearest double, and what tells the integers apart that have the same one. A double that
// equals an integer's is whole, and within 64 bits but for 2^63 itself, which is above all of them.
static void append_mixed_operand(struct sql *sql, const struct expression *operand) {
    if (operand->type == VALUE_INTEGER) {
        sql_text(sql, "(CAST(");
        sql_operand(sql, operand);
        sql_text(sql, " AS double precision), CAST(");
        sql_operand(sql, operand);
        sql_text(sql, " AS numeric))");
        return;
    }
    sql_text(sql, "(");
    sql_operand(sql, operand);
    sql_text(sql, ", CASE WHEN ");
    sql_operand(sql, operand);
    sql_text(sql, " >= 9223372036854775808 OR ");
    sql_operand(sql, operand);
    sql_text(sql, " < -9223372036854775808 THEN 9223372036854775808 ELSE CAST(CAST(trunc(");
    sql_operand(sql, operand);
    sql_text(sql, ") AS bigint) AS numeric) END)");
}

// By rows, which compare their second members only where the first are equal.
static void append_compare_mixed(struct sql *sql, const struct expression *comparison) {
    append_mixed_operand(sql, comparison->operands[0]);
    sql_comparison_operator(sql, comparison);
    append_mixed_operand(sql, comparison->operands[1]);
}

// A numeric has no range of its own that would do, but the integer that its digits are has: every
// result on the way is taken through it.
static void append_decimal_calculation(struct sql *sql, const struct expression *calculation) {
    sql_text(sql, "(CAST(CAST((");
    for (size_t i = 0; i < calculation->operand_count; i++) {
        const struct expression *operand = calculation->operands[i];
        if (i > 0)
            sql_calculation_operator(sql, calculation);
        if (operand->type == VALUE_DECIMAL && operand->operand_count)
            append_decimal_calculation(sql, operand);
        else
            sql_operand(sql, operand);
    }
    buffer_format(&sql->text, ") * 1e%u AS bigint) AS numeric) * 1e-%u)", calculation->scale,
                  calculation->scale);
}

static void append_calculation(struct sql *sql, const struct expression *calculation) {
    sql_text(sql, "(CASE WHEN ");
    sql_operand_is_null(sql, calculation);
    sql_text(sql, " THEN NULL ELSE ");
    if (calculation->type == VALUE_DECIMAL)
        append_decimal_calculation(sql, calculation);
    else
        sql_calculation(sql, calculation);
    sql_text(sql, " END)");
}

// The name of the sequence of a column.
static void append_sequence(struct sql *sql, struct text table, struct text column) {
    struct buffer name = {0};
    buffer_append_byte(&name, '"'); // the function reads it as SQL does
    buffer_append_text(&name, table);
    buffer_append_byte(&name, '"');
    struct text copy = {NULL, 0};
    if (!name.failed)
        copy = arena_copy(sql->arena, buffer_text(&name));
    buffer_free(&name);
    if (!copy.data)
        sql->failed = true;
    sql_text(sql, "pg_get_serial_sequence(");
    sql_value(sql, value_text(VALUE_TEXT, copy));
    sql_text(sql, ", ");
    sql_value(sql, value_text(VALUE_TEXT, column));
    sql_text(sql, ")");
}

static void append_last_number(struct sql *sql, struct text table, struct text column) {
    sql_text(sql, "SELECT last_value FROM pg_catalog.pg_sequences "
                  "WHERE format('%I.%I', schemaname, sequencename) = ");
    append_sequence(sql, table, column);
}

static void append_continue_numbers(struct sql *sql, struct text table, struct text column,
                                    int64_t last) {
    sql_text(sql, "SELECT setval(");
    append_sequence(sql, table, column);
    sql_text(sql, "::regclass, ");
    sql_value(sql, value_integer(last));
    sql_text(sql, ")");
}

// One process after the other, however long the others take. What the steps themselves wait for,
// whoever holds a table, must not keep everybody else waiting behind them.
static const struct text begin_migration[] = {
    TEXT_INIT("SELECT set_config('lock_timeout', '0', true)"),
    TEXT_INIT("SELECT pg_advisory_xact_lock(32776877352709221)"), // "trestle" in ASCII
    TEXT_INIT("SELECT set_config('lock_timeout', '5s', true)"),
    {NULL, 0},
};

const struct dialect dialect_postgres = {
    .store = STORE_POSTGRES,
    .column_type = column_type,
    .placeholder = append_placeholder,
    .member = append_member,
    .compare_mixed = append_compare_mixed,
    .calculation = append_calculation,
    .last_number = append_last_number,
    .continue_numbers = append_continue_numbers,
    .null_safe_equal = TEXT_INIT(" IS NOT DISTINCT FROM "),
    .null_safe_unequal = TEXT_INIT(" IS DISTINCT FROM "),
    .position = TEXT_INIT("strpos"),
    .order_ascending = TEXT_INIT(" ASC NULLS FIRST"),
    .order_descending = TEXT_INIT(" DESC NULLS LAST"),
    .made_key = TEXT_INIT("bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
    .list_columns = TEXT_INIT(
        "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod) || "
        "CASE WHEN a.attcollation <> t.typcollation THEN ' COLLATE ' || quote_ident(o.collname) "
        "ELSE '' END, a.attnotnull FROM pg_catalog.pg_class AS c "
        "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
        "JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid "
        "JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid "
        "LEFT JOIN pg_catalog.pg_collation AS o ON o.oid = a.attcollation "
        "WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND a.attnum > 0 "
        "AND NOT a.attisdropped ORDER BY c.relname, a.attnum"),
    .list_indexes = TEXT_INIT(
        "SELECT c.relname::text, i.relname::text, x.indisunique, "
        "CASE WHEN x.indpred IS NOT NULL THEN '' ELSE coalesce(a.attname::text, '') END "
        "FROM pg_catalog.pg_index AS x JOIN pg_catalog.pg_class AS c ON c.oid = x.indrelid "
        "JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid "
        "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
        "CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY AS k (attnum, position) "
        "LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum "
        "WHERE n.nspname = current_schema() AND k.position <= x.indnkeyatts "
        "ORDER BY c.relname, i.relname, k.position"),
    .list_references = TEXT_INIT(
        "SELECT c.relname::text, CASE WHEN cardinality(f.conkey) = 1 THEN a.attname::text "
        "ELSE '' END, r.relname::text, CASE WHEN cardinality(f.conkey) = 1 THEN b.attname::text "
        "ELSE '' END, CASE f.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' "
        "WHEN 'd' THEN 'SET DEFAULT' WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END, "
        "f.conname::text FROM pg_catalog.pg_constraint AS f "
        "JOIN pg_catalog.pg_class AS c ON c.oid = f.conrelid "
        "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
        "JOIN pg_catalog.pg_class AS r ON r.oid = f.confrelid "
        "JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = f.conkey[1] "
        "JOIN pg_catalog.pg_attribute AS b ON b.attrelid = r.oid AND b.attnum = f.confkey[1] "
        "WHERE f.contype = 'f' AND n.nspname = current_schema() AND f.conparentid = 0 "
        "ORDER BY c.relname, f.conname"),
    .list_triggers = TEXT_INIT("SELECT c.relname::text, t.tgname::text "
                               "FROM pg_catalog.pg_trigger AS t "
                               "JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid "
                               "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
                               "WHERE n.nspname = current_schema() AND NOT t.tgisinternal "
                               "ORDER BY c.relname, t.tgname"),
    .tell = TEXT_INIT("pg_notify('trestle', '')"),
    .begin_migration = begin_migration,
};
