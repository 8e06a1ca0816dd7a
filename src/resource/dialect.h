// A dialect is how one database spells what the plans need. Dialects are constant tables; the SQL
// text that they make goes into a buffer with its parameters beside it, and no value of a client's
// ever becomes part of the text.
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "resource/expression.h"
#include "store/store.h"

// SQL in the making. The parameters grow in the arena; the buffer is the caller's.
struct sql {
    const struct dialect *dialect;
    struct arena *arena;
    struct buffer text;
    struct value *parameters;
    size_t parameter_count;
    int64_t now;       // what now() is, in milliseconds, while an expression is appended
    size_t now_number; // the parameter that it is; 0 where none is yet
    const struct resource
        *this_resource; // what `this.` is about, and the parameter that is its key
    size_t this_number;
    bool inside; // what is appended is about the record that a reference leads to
    bool failed; // no memory; text.failed counts too
};

struct dialect {
    enum store_dialect store;

    // The type of a column in CREATE TABLE, just as list_columns tells it of such a column.
    struct text (*column_type)(const struct property *property);

    // Appends a parameter's place, as the kind that it is bound as.
    void (*placeholder)(struct sql *sql, size_t number, enum value_kind kind);

    // Appends a member of an object property as a value of the expression's type; null where the
    // stored JSON is of another. No stored JSON makes it an error.
    void (*member)(struct sql *sql, const struct expression *expression);

    // Appends a comparison of an integer and a number, neither of which is rounded for it.
    void (*compare_mixed)(struct sql *sql, const struct expression *comparison);

    // Appends a sum or product. It is null where any of its operands is; else, where its result or
    // any on the way leaves its type's range, an error and so OUTCOME_OVERFLOW. PostgreSQL sees to
    // that for the most part. SQLite would go on with a real or an infinity, so there the result is
    // looked at, and abs() of the least integer raises the error.
    void (*calculation)(struct sql *sql, const struct expression *calculation);

    // Appends what tells the last number that the database made for a table's made key, and what
    // lets it go on behind another one.
    void (*last_number)(struct sql *sql, struct text table, struct text column);
    void (*continue_numbers)(struct sql *sql, struct text table, struct text column, int64_t last);

    struct text null_safe_equal;   // " IS ", " IS NOT DISTINCT FROM "
    struct text null_safe_unequal; // " IS NOT ", " IS DISTINCT FROM "
    struct text position;          // the function that tells where a text is in another
    struct text order_ascending;   // " ASC", " ASC NULLS FIRST"
    struct text order_descending;
    struct text made_key;     // what CREATE TABLE says behind the name of a KEY_INTEGER column
    struct text list_columns; // SQL that gives (table, column, type, not null) of all tables
    struct text list_indexes; // SQL that gives (table, index, unique, column) in order, those that
                              // stand for keys included; the column is '' for an expression
    struct text list_references; // SQL that gives (table, column, table that it refers to, column
                                 // of that, what becomes of it on delete, constraint) of the
                                 // foreign keys; the columns are '' where there are several, the
                                 // column referred to also where it is the table's key, the
                                 // constraint where it has no name
    struct text list_triggers;   // SQL that gives (table, trigger)
    struct text tell; // what RETURNING gives so that those who listen (store_listen) hear of it
                      // once it is committed; "" where nobody can. It makes commits wait for each
                      // other, and so is for rare ones
    const struct text *begin_migration; // what a migration's transaction begins with, ended by a
                                        // NULL text, so that processes migrate one after the other;
                                        // NULL where the store sees to that
};

const struct dialect *dialect_of(enum store_dialect store);

struct sql sql_begin(const struct dialect *dialect, struct arena *arena);
void sql_text(struct sql *sql, const char *text);
void sql_append(struct sql *sql, struct text text); // which is SQL already

// A quoted identifier.
void sql_name(struct sql *sql, struct text name);

// The column of a record's version, where it has one; and what a change does to it:
// "_version" = "_version" + 1.
extern const struct text version_column;
void sql_next_version(struct sql *sql);

// The text that a record's key is, as key_text makes it; of a row that has a name ("NEW"), or of
// the statement's only one (NULL). The names of triggers are made of it: where it changes, the next
// migration puts others in their place.
void sql_key_text(struct sql *sql, const struct property *key, const char *row);

// The column of the operation that is under way for a record. It stays in a table whose transitions
// are no longer long.
extern const struct text operation_column;

// Binds a value and appends its place; NULL is bound too.
void sql_value(struct sql *sql, struct value value);

// Binds a value whose place is written later, maybe more than once; its number.
size_t sql_bind(struct sql *sql, struct value value);

// Appends what now() is, in milliseconds; one parameter for the whole statement.
void sql_now(struct sql *sql, int64_t now);

// Appends an expression as a condition whose NULL counts as false, or as a value; `now` is what
// now() is. What the database would compute from literals alone may be computed here.
void sql_expression(struct sql *sql, const struct expression *expression, int64_t now);

// The finished statement in the arena; false when there was no memory. The sql's buffer is freed
// either way. `columns` may be NULL where it gives no rows.
bool sql_finish(struct sql *sql, const struct column *columns, size_t column_count,
                struct statement *ret_statement);
