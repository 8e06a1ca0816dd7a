#include "base/table.h"
#include "base/timestamp.h"
#include "resource/dialect_internal.h"

static void append_condition(struct sql *sql, const struct expression *expression);

const struct dialect *dialect_of(enum store_dialect store) {
    return store == STORE_POSTGRES ? &dialect_postgres : &dialect_sqlite;
}

struct sql sql_begin(const struct dialect *dialect, struct arena *arena) {
    struct sql sql = {.dialect = dialect, .arena = arena};
    buffer_init(&sql.text);
    return sql;
}

void sql_text(struct sql *sql, const char *text) {
    buffer_append_string(&sql->text, text);
}

void sql_append(struct sql *sql, struct text text) {
    buffer_append_text(&sql->text, text);
}

void sql_name(struct sql *sql, struct text name) {
    buffer_append_byte(&sql->text, '"');
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '"')
            buffer_append_byte(&sql->text, '"');
        buffer_append_byte(&sql->text, name.data[i]);
    }
    buffer_append_byte(&sql->text, '"');
}

size_t sql_bind(struct sql *sql, struct value value) {
    struct value *place =
        arena_grow(sql->arena, &sql->parameters, sql->parameter_count, sizeof *place);
    if (!place) {
        sql->failed = true;
        return sql->parameter_count;
    }
    *place = value;
    return ++sql->parameter_count;
}

void sql_value(struct sql *sql, struct value value) {
    size_t number = sql_bind(sql, value);
    sql->dialect->placeholder(sql, number, value.kind);
}

bool sql_finish(struct sql *sql, const struct column *columns, size_t column_count,
                struct statement *ret_statement) {
    struct text text = {NULL, 0};
    if (!sql->failed && !sql->text.failed)
        text = arena_copy(sql->arena, buffer_text(&sql->text));
    buffer_free(&sql->text);
    if (!text.data)
        return false;
    *ret_statement = (struct statement){
        .sql = text,
        .hash = text_hash(text),
        .columns = columns,
        .column_count = column_count,
    };
    return true;
}

static bool is_calculation(const struct expression *expression) {
    return expression->kind == EXPRESSION_ADD || expression->kind == EXPRESSION_SUBTRACT ||
           expression->kind == EXPRESSION_MULTIPLY;
}

static bool is_condition(const struct expression *expression) {
    return expression->kind >= EXPRESSION_COMPARE && expression->kind <= EXPRESSION_STARTS_WITH;
}

// One parameter, however often it is there.
static void append_now(struct sql *sql) {
    if (sql->now_number) {
        sql->dialect->placeholder(sql, sql->now_number, VALUE_TIMESTAMP);
        return;
    }
    char *text = arena_allocate(sql->arena, TIMESTAMP_SIZE);
    if (!text) {
        sql->failed = true;
        return;
    }
    timestamp_format(sql->now, text);
    sql_value(sql, value_text(VALUE_TIMESTAMP, text_of(text, TIMESTAMP_SIZE)));
    sql->now_number = sql->parameter_count;
}

// A value of the record that is `this`, looked up once for the whole statement.
static void append_this(struct sql *sql, const struct expression *expression) {
    const struct resource *resource = sql->this_resource;
    const struct property *key = resource->key.property;
    sql_text(sql, "(SELECT ");
    sql_operand(sql, expression->operands[0]);
    sql_text(sql, " FROM ");
    sql_name(sql, resource->table);
    sql_text(sql, " WHERE ");
    sql_name(sql, key->name);
    sql_text(sql, " = ");
    sql->dialect->placeholder(sql, sql->this_number, key->kind);
    sql_text(sql, ")");
}

// What a reference leads to is found by its key for each record that is looked at; the names inside
// are those of what is looked into. No resource begins with a _.
static void append_referenced(struct sql *sql, const struct expression *expression) {
    const struct property *reference = expression->property;
    const struct resource *target = reference->reference.resource;
    if (sql->inside) {
        sql_operand(sql, expression->operands[0]);
        return;
    }
    sql_text(sql, "(SELECT ");
    sql_operand(sql, expression->operands[0]);
    sql_text(sql, " FROM ");
    sql_name(sql, target->table);
    sql_text(sql, " AS \"_referenced\" WHERE ");
    sql_name(sql, target->key.property->name);
    sql_text(sql, " = ");
    sql_name(sql, expression->resource->table);
    sql_text(sql, ".");
    sql_name(sql, reference->name);
    sql_text(sql, ")");
}

// Whether an expression's SQL begins and ends with parentheses that belong together.
static bool is_enclosed(const struct expression *expression) {
    return expression->kind == EXPRESSION_AND || expression->kind == EXPRESSION_OR;
}

static void append_enclosed_condition(struct sql *sql, const struct expression *expression) {
    bool enclosed = is_enclosed(expression);
    sql_text(sql, enclosed ? "" : "(");
    append_condition(sql, expression);
    sql_text(sql, enclosed ? "" : ")");
}

void sql_operand(struct sql *sql, const struct expression *expression) {
    if (is_condition(expression)) {
        sql_text(sql, "(");
        append_enclosed_condition(sql, expression);
        sql_text(sql, " IS TRUE)");
    } else if (is_calculation(expression)) {
        sql->dialect->calculation(sql, expression);
    } else if (expression->kind == EXPRESSION_LITERAL) {
        sql_value(sql, expression->literal);
    } else if (expression->kind == EXPRESSION_NOW) {
        append_now(sql);
    } else if (expression->kind == EXPRESSION_MEMBER) {
        sql->dialect->member(sql, expression);
    } else if (expression->kind == EXPRESSION_THIS) {
        append_this(sql, expression);
    } else if (expression->kind == EXPRESSION_REFERENCED) {
        append_referenced(sql, expression);
    } else {
        sql_name(sql, expression->property->name);
    }
}

// Whether an operand of a sum or product needs parentheses. A chain of sums has none, so that it
// needs no more of the database's stack when it is long.
static bool needs_parentheses(const struct expression *calculation, size_t operand) {
    const struct expression *inner = calculation->operands[operand];
    if (!is_calculation(inner) || inner->type != calculation->type)
        return false;
    bool product = calculation->kind == EXPRESSION_MULTIPLY;
    return operand == 1 || (product && inner->kind != EXPRESSION_MULTIPLY);
}

// An operand of another type is a calculation in its own right, with a range of its own.
static void append_calculation_operand(struct sql *sql, const struct expression *calculation,
                                       size_t operand) {
    const struct expression *inner = calculation->operands[operand];
    if (!is_calculation(inner) || inner->type != calculation->type) {
        sql_operand(sql, inner);
        return;
    }
    bool parentheses = needs_parentheses(calculation, operand);
    sql_text(sql, parentheses ? "(" : "");
    sql_calculation(sql, inner);
    sql_text(sql, parentheses ? ")" : "");
}

void sql_calculation_operator(struct sql *sql, const struct expression *calculation) {
    static const char *const operators[] = {
        [EXPRESSION_ADD] = " + ", [EXPRESSION_SUBTRACT] = " - ", [EXPRESSION_MULTIPLY] = " * "};
    sql_text(sql, operators[calculation->kind]);
}

void sql_calculation(struct sql *sql, const struct expression *calculation) {
    append_calculation_operand(sql, calculation, 0);
    sql_calculation_operator(sql, calculation);
    append_calculation_operand(sql, calculation, 1);
}

static void append_nulls(struct sql *sql, const struct expression *expression, bool *some) {
    if (expression->kind == EXPRESSION_PROPERTY || expression->kind == EXPRESSION_MEMBER ||
        expression->kind == EXPRESSION_THIS) {
        sql_text(sql, *some ? " OR " : "");
        sql_operand(sql, expression);
        sql_text(sql, " IS NULL");
        *some = true;
        return;
    }
    for (size_t i = 0; i < expression->operand_count; i++)
        append_nulls(sql, expression->operands[i], some);
}

void sql_operand_is_null(struct sql *sql, const struct expression *calculation) {
    bool some = false; // at least one: what depends on literals alone is a literal
    append_nulls(sql, calculation, &some);
}

// A condition is null-safe already, and `now` is never null; the literal null is not compared with.
static bool is_never_null(const struct expression *expression) {
    return expression->kind == EXPRESSION_LITERAL || expression->kind == EXPRESSION_NOW ||
           is_condition(expression);
}

void sql_comparison_operator(struct sql *sql, const struct expression *comparison) {
    static const char *const operators[] = {
        [COMPARISON_EQUAL] = " = ",
        [COMPARISON_LESS] = " < ",
        [COMPARISON_LESS_OR_EQUAL] = " <= ",
        [COMPARISON_GREATER] = " > ",
        [COMPARISON_GREATER_OR_EQUAL] = " >= ",
    };
    bool null_matters =
        !is_never_null(comparison->operands[0]) && !is_never_null(comparison->operands[1]);
    if (comparison->comparison == COMPARISON_UNEQUAL)
        buffer_append_text(&sql->text, sql->dialect->null_safe_unequal);
    else if (comparison->comparison == COMPARISON_EQUAL && null_matters)
        buffer_append_text(&sql->text, sql->dialect->null_safe_equal);
    else
        sql_text(sql, operators[comparison->comparison]);
}

void sql_comparison(struct sql *sql, const struct expression *comparison) {
    sql_operand(sql, comparison->operands[0]);
    sql_comparison_operator(sql, comparison);
    sql_operand(sql, comparison->operands[1]);
}

static bool is_this(const struct expression *expression) {
    return expression->kind == EXPRESSION_THIS;
}

// An index serves each half, which PostgreSQL has none for a null-safe comparison to do.
static void append_equals_this(struct sql *sql, const struct expression *comparison) {
    sql_text(sql, "(");
    sql_operand(sql, comparison->operands[0]);
    sql_text(sql, " = ");
    sql_operand(sql, comparison->operands[1]);
    sql_text(sql, " OR (");
    sql_operand(sql, comparison->operands[0]);
    sql_text(sql, " IS NULL AND ");
    sql_operand(sql, comparison->operands[1]);
    sql_text(sql, " IS NULL))");
}

static void append_compare(struct sql *sql, const struct expression *expression) {
    bool this = is_this(expression->operands[0]) || is_this(expression->operands[1]);
    bool equal = expression->comparison == COMPARISON_EQUAL &&
                 !is_never_null(expression->operands[0]) && !is_never_null(expression->operands[1]);
    if (this && equal && sql->dialect->store == STORE_POSTGRES &&
        expression->operands[0]->type == expression->operands[1]->type)
        append_equals_this(sql, expression);
    else if (expression->operands[0]->type != expression->operands[1]->type)
        sql->dialect->compare_mixed(sql, expression);
    else
        sql_comparison(sql, expression);
}

static void append_in(struct sql *sql, const struct expression *expression) {
    size_t values = 0;
    bool null = false;
    for (size_t i = 1; i < expression->operand_count; i++) {
        if (value_is_null(expression->operands[i]->literal))
            null = true;
        else
            values++;
    }
    sql_text(sql, values && null ? "(" : "");
    if (values) {
        sql_operand(sql, expression->operands[0]);
        const char *separator = " IN (";
        for (size_t i = 1; i < expression->operand_count; i++) {
            if (value_is_null(expression->operands[i]->literal))
                continue;
            sql_text(sql, separator);
            sql_value(sql, expression->operands[i]->literal);
            separator = ", ";
        }
        sql_text(sql, ")");
    }
    sql_text(sql, values && null ? " OR " : "");
    if (null) {
        sql_operand(sql, expression->operands[0]);
        sql_text(sql, " IS NULL");
    }
    sql_text(sql, values && null ? ")" : "");
}

static void append_is_null(struct sql *sql, const struct expression *expression) {
    sql_operand(sql, expression->operands[0]);
    sql_text(sql, " IS NULL");
}

static void append_junction(struct sql *sql, const struct expression *expression) {
    sql_text(sql, "(");
    for (size_t i = 0; i < expression->operand_count; i++) {
        if (i > 0)
            sql_text(sql, expression->kind == EXPRESSION_AND ? " AND " : " OR ");
        append_condition(sql, expression->operands[i]);
    }
    sql_text(sql, ")");
}

static void append_not(struct sql *sql, const struct expression *expression) {
    const struct expression *inner = expression->operands[0];
    if (inner->kind == EXPRESSION_IS_NULL) {
        sql_operand(sql, inner->operands[0]);
        sql_text(sql, " IS NOT NULL");
        return;
    }
    append_enclosed_condition(sql, inner);
    sql_text(sql, " IS NOT TRUE");
}

static void append_contains(struct sql *sql, const struct expression *expression) {
    buffer_append_text(&sql->text, sql->dialect->position);
    sql_text(sql, "(");
    sql_operand(sql, expression->operands[0]);
    sql_text(sql, ", ");
    sql_operand(sql, expression->operands[1]);
    sql_text(sql, ") > 0");
}

// The least text that is greater than every text with that prefix; size 0 where there is none.
static struct text prefix_successor(struct arena *arena, struct text prefix) {
    char *out = arena_allocate(arena, prefix.size + 1);
    if (!out)
        return (struct text){NULL, 0};
    while (prefix.size) {
        size_t last = prefix.size - 1;
        while (((unsigned char)prefix.data[last] & 0xC0) == 0x80)
            last--;
        size_t size;
        uint32_t code_point = text_utf8_decode(text_from(prefix, last), &size);
        if (code_point < 0x10FFFF) {
            memcpy(out, prefix.data, last);
            uint32_t next = code_point == 0xD7FF ? 0xE000 : code_point + 1;
            char encoded[4];
            size = text_utf8_encode(next, encoded);
            memcpy(out + last, encoded, size);
            return text_of(out, last + size);
        }
        prefix.size = last;
    }
    return text_of(out, 0);
}

// As a range, which an index serves.
static void append_prefix_range(struct sql *sql, const struct expression *subject,
                                struct text prefix) {
    struct text successor = prefix_successor(sql->arena, prefix);
    if (!successor.data) {
        sql->failed = true;
        return;
    }
    sql_text(sql, successor.size ? "(" : "");
    sql_operand(sql, subject);
    sql_text(sql, " >= ");
    sql_value(sql, value_text(VALUE_TEXT, prefix));
    if (!successor.size)
        return;
    sql_text(sql, " AND ");
    sql_operand(sql, subject);
    sql_text(sql, " < ");
    sql_value(sql, value_text(VALUE_TEXT, successor));
    sql_text(sql, ")");
}

static void append_starts_with(struct sql *sql, const struct expression *expression) {
    const struct expression *subject = expression->operands[0];
    const struct expression *prefix = expression->operands[1];
    if (prefix->kind == EXPRESSION_LITERAL) {
        append_prefix_range(sql, subject, prefix->literal.text);
        return;
    }
    sql_text(sql, "substr(");
    sql_operand(sql, subject);
    sql_text(sql, ", 1, length(");
    sql_operand(sql, prefix);
    sql_text(sql, ")) = ");
    sql_operand(sql, prefix);
}

static void (*const conditions[])(struct sql *, const struct expression *) = {
    [EXPRESSION_COMPARE] = append_compare,   [EXPRESSION_IN] = append_in,
    [EXPRESSION_IS_NULL] = append_is_null,   [EXPRESSION_AND] = append_junction,
    [EXPRESSION_OR] = append_junction,       [EXPRESSION_NOT] = append_not,
    [EXPRESSION_CONTAINS] = append_contains, [EXPRESSION_STARTS_WITH] = append_starts_with,
};

// Whether a condition is that something of the record that a reference leads to equals literals, or
// begins with one. Then few of those records may pass, and they can be found first, by an index of
// theirs and then by that of the reference.
static bool finds_referenced(const struct expression *condition) {
    bool kind =
        condition->kind == EXPRESSION_IN || condition->kind == EXPRESSION_STARTS_WITH ||
        (condition->kind == EXPRESSION_COMPARE && condition->comparison == COMPARISON_EQUAL);
    if (!kind || condition->operands[0]->kind != EXPRESSION_REFERENCED)
        return false;
    for (size_t i = 1; i < condition->operand_count; i++) {
        const struct expression *operand = condition->operands[i];
        if (operand->kind != EXPRESSION_LITERAL || value_is_null(operand->literal))
            return false;
    }
    return true;
}

static void append_found(struct sql *sql, const struct expression *condition) {
    const struct property *reference = condition->operands[0]->property;
    const struct resource *target = reference->reference.resource;
    sql_name(sql, reference->name);
    sql_text(sql, " IN (SELECT ");
    sql_name(sql, target->key.property->name);
    sql_text(sql, " FROM ");
    sql_name(sql, target->table);
    sql_text(sql, " WHERE ");
    sql->inside = true;
    conditions[condition->kind](sql, condition);
    sql->inside = false;
    sql_text(sql, ")");
}

// A constant is SQL of its own, since not every database takes a parameter for a condition.
static void append_condition(struct sql *sql, const struct expression *expression) {
    if (expression->kind == EXPRESSION_LITERAL)
        sql_text(sql, expression->literal.boolean ? "(1 = 1)" : "(1 = 0)");
    else if (finds_referenced(expression))
        append_found(sql, expression);
    else
        conditions[expression->kind](sql, expression);
}

const struct text version_column = TEXT_INIT("_version");
const struct text operation_column = TEXT_INIT("_operation");

void sql_next_version(struct sql *sql) {
    sql_name(sql, version_column);
    sql_text(sql, " = ");
    sql_name(sql, version_column);
    sql_text(sql, " + 1");
}

void sql_key_text(struct sql *sql, const struct property *key, const char *row) {
    bool postgres = sql->dialect->store == STORE_POSTGRES;
    bool bytes = key->kind == VALUE_BYTES;
    sql_text(sql, postgres ? (bytes ? "encode(" : "(") : (bytes ? "lower(hex(" : "CAST("));
    if (row) {
        sql_text(sql, row);
        sql_text(sql, ".");
    }
    sql_name(sql, key->name);
    sql_text(sql, postgres ? (bytes ? ", 'hex')" : ")::text") : (bytes ? "))" : " AS TEXT)"));
}

void sql_now(struct sql *sql, int64_t now) {
    sql->now = now;
    append_now(sql);
}

void sql_expression(struct sql *sql, const struct expression *expression, int64_t now) {
    sql->now = now;
    if (expression->type == VALUE_BOOLEAN &&
        (expression->kind == EXPRESSION_LITERAL || is_condition(expression)))
        append_condition(sql, expression);
    else
        sql_operand(sql, expression);
}
