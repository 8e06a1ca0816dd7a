// Migration: what must be done to a database's tables so that they fit the definitions.
//
// Safe: a new table, column or index; the version column; a declared rename; an index of trestle's
// own making that is no longer declared (known by its name, TABLE_COLUMNS_idx or _key, and its
// columns); a foreign key that comes, goes or does something else on delete, and the triggers that
// raise the versions of records whose references become null. A new unique index or foreign key may
// fail on what is stored, and then nothing was done.
// Lossy: a column that is no longer declared, a column of another type, and other people's indexes
// that stand in the way of either.
// Rules of a definition (required, maxLength, checks) are no part of the tables. A new column is
// null in stored records, but where it is required and has a constant default, and of a lifecycle's
// state. Tables that no resource has are left alone.
#pragma once

#include "resource/catalogue.h"

// What the database has, as rows of the dialect's lists.
struct stored_column {
    struct text table;
    struct text name;
    struct text type;
    bool not_null;
};

struct stored_index {
    struct text table;
    struct text name;
    bool unique;
    struct text *columns;
    size_t column_count;
};

// A foreign key; its columns are "" where it has several.
struct stored_reference {
    struct text table;
    struct text column;
    struct text to_table;
    struct text to_column; // "" for the table's key
    struct text on_delete; // "NO ACTION", "CASCADE", …
    struct text name;      // "" where it has none
};

struct stored_trigger {
    struct text table;
    struct text name;
};

struct stored_schema {
    struct stored_column *columns;
    size_t column_count;
    struct stored_index *indexes;
    size_t index_count;
    struct stored_reference *references;
    size_t reference_count;
    struct stored_trigger *triggers;
    size_t trigger_count;
};

enum step_kind {
    STEP_SAFE,  // nothing can be lost, and older processes go on working
    STEP_LOSSY, // it drops or rewrites something; done only when allowed
};

struct migration_step {
    enum step_kind kind;
    struct text sql;
    struct text reason; // one line, for people
};

struct migration {
    struct migration_step *steps; // in the order in which they are to be run
    size_t step_count;
    bool lossy; // one of them is

    // What the schema that was compared had, as rows of the dialect's lists.
    size_t listed_columns;
    size_t listed_index_columns;
    size_t listed_references;
    size_t listed_triggers;
};

// Reads the schema from a store.
bool migrate_read_schema(struct store *store, struct arena *arena, struct stored_schema *ret_schema,
                         struct failure *failure);

// Compares; the steps belong to the arena. False where no steps would do (a table of that name
// which is none of trestle's, …) or there is no memory; the failure says so.
bool migrate_plan(const struct catalogue *catalogue, const struct stored_schema *schema,
                  struct arena *arena, struct migration *ret_migration, struct failure *failure);

// Notes against which schema a migration was made, which migrate_plan does by itself.
void migration_note_schema(struct migration *migration, const struct stored_schema *schema);

// Runs the steps as one transaction, unless the schema is not what they were made against:
// FAILURE_CONTENTION, since another process was quicker, and nothing was done.
bool migrate_run(struct store *store, const struct migration *migration, struct arena *arena,
                 struct failure *failure);
