// SQLite 3.40 and later.
#include "resource/dialect_internal.h"

// The types that SQLite knows, in names that say what is stored: a name with INT in it is an
// INTEGER, one with TEXT a TEXT, and of the others it takes whatever it is given. So a column whose
// meaning changes is seen to be of another type.
static const struct text type_names[VALUE_KINDS] = {
    [VALUE_NULL] = TEXT_INIT("TEXT"),       [VALUE_BOOLEAN] = TEXT_INIT("BOOLEAN"),
    [VALUE_INTEGER] = TEXT_INIT("INTEGER"), [VALUE_REAL] = TEXT_INIT("REAL"),
    [VALUE_DECIMAL] = TEXT_INIT("INTEGER"), [VALUE_TEXT] = TEXT_INIT("TEXT"),
    [VALUE_BYTES] = TEXT_INIT("BLOB"),      [VALUE_TIMESTAMP] = TEXT_INIT("TIMESTAMP_TEXT"),
    [VALUE_DATE] = TEXT_INIT("DATE_TEXT"),  [VALUE_UUID] = TEXT_INIT("UUID_TEXT"),
    [VALUE_JSON] = TEXT_INIT("JSON_TEXT"),
};

// A decimal is the integer of its digits.
static const struct text decimal_types[] = {
    TEXT_INIT("SCALED_INTEGER(0)"),  TEXT_INIT("SCALED_INTEGER(1)"),
    TEXT_INIT("SCALED_INTEGER(2)"),  TEXT_INIT("SCALED_INTEGER(3)"),
    TEXT_INIT("SCALED_INTEGER(4)"),  TEXT_INIT("SCALED_INTEGER(5)"),
    TEXT_INIT("SCALED_INTEGER(6)"),  TEXT_INIT("SCALED_INTEGER(7)"),
    TEXT_INIT("SCALED_INTEGER(8)"),  TEXT_INIT("SCALED_INTEGER(9)"),
    TEXT_INIT("SCALED_INTEGER(10)"), TEXT_INIT("SCALED_INTEGER(11)"),
    TEXT_INIT("SCALED_INTEGER(12)"), TEXT_INIT("SCALED_INTEGER(13)"),
    TEXT_INIT("SCALED_INTEGER(14)"), TEXT_INIT("SCALED_INTEGER(15)"),
    TEXT_INIT("SCALED_INTEGER(16)"), TEXT_INIT("SCALED_INTEGER(17)"),
    TEXT_INIT("SCALED_INTEGER(18)"),
};

// Raises the error "integer overflow".
static const char overflow[] = "abs(-9223372036854775808)";

static struct text column_type(const struct property *property) {
    if (property->kind == VALUE_DECIMAL)
        return decimal_types[property->scale];
    return type_names[property->kind];
}

static void append_placeholder(struct sql *sql, size_t number, enum value_kind kind) {
    (void)kind;
    buffer_format(&sql->text, "?%zu", number);
}

// Binds the path to a member: $."store"."city". Names in expressions have no quotes to be escaped.
static size_t bind_path(struct sql *sql, const struct expression *member) {
    struct buffer path;
    buffer_init(&path);
    buffer_append_byte(&path, '$');
    for (size_t i = 0; i < member->path_length; i++)
        buffer_format(&path, ".\"%.*s\"", TEXT_ARGS(member->path[i]));
    struct text copy = {NULL, 0};
    if (!path.failed)
        copy = arena_copy(sql->arena, buffer_text(&path));
    buffer_free(&path);
    if (!copy.data)
        sql->failed = true;
    return sql_bind(sql, value_text(VALUE_TEXT, copy));
}

// Of every kind what its JSON types are, and how it is read. @ stands for the column, # for the
// path. An integer may be written with a fraction of zeros; CAST takes what is beyond 64 bits to
// their end, which is not equal to it.
static const char integer_member[] =
    "CASE json_type(@, #) WHEN 'integer' THEN @ ->> # WHEN 'real' THEN "
    "CASE CAST(@ ->> # AS INTEGER) WHEN @ ->> # THEN CAST(@ ->> # AS INTEGER) END END";
static const char real_member[] =
    "CASE WHEN json_type(@, #) IN ('integer', 'real') THEN CAST(@ ->> # AS REAL) END";

static const char *const member_templates[VALUE_KINDS] = {
    [VALUE_BOOLEAN] = "CASE json_type(@, #) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END",
    [VALUE_INTEGER] = integer_member,
    [VALUE_REAL] = real_member,
    [VALUE_TEXT] = "CASE json_type(@, #) WHEN 'text' THEN @ ->> # END",
    [VALUE_JSON] = "nullif(json_type(@, #), 'null')",
};

static void append_member(struct sql *sql, const struct expression *expression) {
    size_t path = bind_path(sql, expression);
    for (const char *at = member_templates[expression->type]; *at; at++) {
        if (*at == '@')
            sql_name(sql, expression->property->name);
        else if (*at == '#')
            append_placeholder(sql, path, VALUE_TEXT);
        else
            buffer_append_byte(&sql->text, *at);
    }
}

// A sum or product of integers that leaves their range is a real, and so is all that is made of it.
static void append_integer_calculation(struct sql *sql, const struct expression *calculation) {
    sql_text(sql, " WHEN typeof(");
    sql_calculation(sql, calculation);
    sql_text(sql, ") = 'real' THEN ");
    sql_text(sql, overflow);
    sql_text(sql, " ELSE ");
    sql_calculation(sql, calculation);
}

// One of reals is an infinity and stays one, or becomes null, which is not less either.
static void append_real_calculation(struct sql *sql, const struct expression *calculation) {
    sql_text(sql, " WHEN abs(");
    sql_calculation(sql, calculation);
    sql_text(sql, ") <= 1.7976931348623157e308 THEN ");
    sql_calculation(sql, calculation);
    sql_text(sql, " ELSE ");
    sql_text(sql, overflow);
}

static void append_calculation(struct sql *sql, const struct expression *calculation) {
    sql_text(sql, "CASE WHEN ");
    sql_operand_is_null(sql, calculation);
    sql_text(sql, " THEN NULL");
    if (calculation->type == VALUE_REAL)
        append_real_calculation(sql, calculation);
    else
        append_integer_calculation(sql, calculation);
    sql_text(sql, " END");
}

static void append_last_number(struct sql *sql, struct text table, struct text column) {
    (void)column;
    sql_text(sql, "SELECT seq FROM sqlite_sequence WHERE name = ");
    sql_value(sql, value_text(VALUE_TEXT, table));
}

// A table in which nothing was stored yet has no row there, and no key says that it has but one.
static void append_continue_numbers(struct sql *sql, struct text table, struct text column,
                                    int64_t last) {
    (void)column;
    sql_text(sql, "INSERT OR REPLACE INTO sqlite_sequence (rowid, name, seq) "
                  "SELECT (SELECT rowid FROM sqlite_sequence WHERE name = ?1), ?1, ?2");
    sql_bind(sql, value_text(VALUE_TEXT, table));
    sql_bind(sql, value_integer(last));
}

const struct dialect dialect_sqlite = {
    .store = STORE_SQLITE,
    .column_type = column_type,
    .placeholder = append_placeholder,
    .member = append_member,
    .compare_mixed = sql_comparison, // SQLite compares them exactly
    .calculation = append_calculation,
    .last_number = append_last_number,
    .continue_numbers = append_continue_numbers,
    .null_safe_equal = TEXT_INIT(" IS "),
    .null_safe_unequal = TEXT_INIT(" IS NOT "),
    .position = TEXT_INIT("instr"),
    .order_ascending = TEXT_INIT(" ASC"),
    .order_descending = TEXT_INIT(" DESC"),
    .made_key = TEXT_INIT("INTEGER PRIMARY KEY AUTOINCREMENT"),
    .list_columns = TEXT_INIT("SELECT t.name, c.name, c.type, "
                              "c.\"notnull\" OR c.pk > 0 FROM sqlite_schema AS t "
                              "JOIN pragma_table_xinfo(t.name) AS c "
                              "WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
                              "ORDER BY t.name, c.cid"),
    .list_indexes = TEXT_INIT(
        "SELECT t.name, i.name, i.\"unique\", "
        "CASE WHEN i.partial THEN '' ELSE coalesce(c.name, '') END FROM sqlite_schema AS t "
        "JOIN pragma_index_list(t.name) AS i JOIN pragma_index_info(i.name) AS c "
        "WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
        "ORDER BY t.name, i.name, c.seqno"),
    .list_references =
        TEXT_INIT("SELECT t.name, CASE max(f.seq) WHEN 0 THEN f.\"from\" ELSE '' END, f.\"table\", "
                  "CASE max(f.seq) WHEN 0 THEN coalesce(f.\"to\", '') ELSE '' END, f.on_delete, '' "
                  "FROM sqlite_schema AS t JOIN pragma_foreign_key_list(t.name) AS f "
                  "WHERE t.type = 'table' GROUP BY t.name, f.id ORDER BY t.name, f.id"),
    .list_triggers = TEXT_INIT("SELECT tbl_name, name FROM sqlite_schema WHERE type = 'trigger' "
                               "ORDER BY tbl_name, name"),
};
