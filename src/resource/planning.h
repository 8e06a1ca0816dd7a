// What the parts of migrate_plan share: the migration in the making, and questions about what is
// stored. All that they make belongs to the planning's arena; they return false, with the failure
// set, when there is no memory.
#pragma once

#include "resource/migrate.h"

struct planning {
    const struct catalogue *catalogue;
    const struct dialect *dialect;
    const struct stored_schema *schema;
    struct arena *arena;
    struct failure *failure;
    struct migration migration;
    struct text *names; // of the indexes that it makes
    size_t name_count;
    struct expected_trigger *triggers;
    size_t trigger_count;
};

// A trigger that must be there; its name tells all that it does.
struct expected_trigger {
    struct text table;
    struct text name;
    struct text sql; // from CREATE TRIGGER on
    const struct resource *resource;
    const struct property *property; // whose column it is about
};

// The beginning of a statement, for planning_add.
struct sql planning_begin(const struct planning *planning);

// Adds a step of the statement that was put together, which is freed either way.
bool planning_add(struct planning *planning, enum step_kind kind, struct sql *sql,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

bool planning_has_table(const struct planning *planning, struct text table);

// The stored column of that name, or NULL.
const struct stored_column *planning_column(const struct planning *planning, struct text table,
                                            struct text name);

// The column that has a property's values: of its name, or of the name that it had before.
const struct stored_column *planning_column_of(const struct planning *planning,
                                               const struct resource *resource,
                                               const struct property *property);

// The property that a stored column has the values of, or NULL.
const struct property *planning_property_of(const struct planning *planning,
                                            const struct resource *resource,
                                            const struct stored_column *column);

// A type without its collation: "TEXT COLLATE \"C\"" is listed as "text".
struct text planning_bare_type(struct text type);

// Whether a stored column is of the type that a property has.
bool planning_type_fits(const struct planning *planning, const struct property *property,
                        const struct stored_column *column);

// Steps for the indexes that go, and for those that come. They go before their columns do, and come
// when their columns are there.
bool planning_drop_indexes(struct planning *planning);
bool planning_create_indexes(struct planning *planning, const struct resource *resource);

// Steps for a new table, without its indexes.
bool planning_create_table(struct planning *planning, const struct resource *resource);

// Whether a stored table is one that trestle can use; FAILURE_REFUSED says why it is not.
bool planning_check_table(const struct planning *planning, const struct resource *resource);

// Steps for the columns of a stored table.
bool planning_follow_columns(struct planning *planning, const struct resource *resource);

// Whether a stored column stays as it is: of the type of its property, and referring to what that
// refers to.
bool planning_column_fits(const struct planning *planning, const struct resource *resource,
                          const struct property *property, const struct stored_column *column);

// Whether what a stored column refers to is what its property does.
bool planning_reference_fits(const struct planning *planning, const struct resource *resource,
                             const struct property *property, const struct stored_column *column);

// Appends what a column's declaration says of a reference on SQLite; nothing on PostgreSQL, where
// tables may come in an order in which it would not be there yet.
void planning_append_reference(struct sql *sql, const struct property *property);

// Steps for PostgreSQL's foreign keys that go, and for those that come.
bool planning_drop_references(struct planning *planning);
bool planning_create_references(struct planning *planning, const struct resource *resource);

// Finds out which triggers there must be; then steps for those that go, and for those that come.
bool planning_expect_triggers(struct planning *planning);
bool planning_drop_triggers(struct planning *planning);
bool planning_create_triggers(struct planning *planning);
