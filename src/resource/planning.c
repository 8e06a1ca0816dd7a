#include "resource/planning.h"

#include <stdarg.h>
#include <stdio.h>

struct sql planning_begin(const struct planning *planning) {
    return sql_begin(planning->dialect, planning->arena);
}

bool planning_add(struct planning *planning, enum step_kind kind, struct sql *sql,
                  const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char reason[512];
    int size = vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    struct statement statement;
    struct migration *migration = &planning->migration;
    if (!sql_finish(sql, NULL, 0, &statement) || size < 0)
        return failure_out_of_memory(planning->failure);
    struct migration_step *step =
        arena_grow(planning->arena, &migration->steps, migration->step_count, sizeof *step);
    struct text copy = arena_copy(planning->arena, text_from_string(reason));
    if (!step || !copy.data)
        return failure_out_of_memory(planning->failure);
    *step = (struct migration_step){kind, statement.sql, copy};
    migration->step_count++;
    migration->lossy = migration->lossy || kind == STEP_LOSSY;
    return true;
}

bool planning_has_table(const struct planning *planning, struct text table) {
    const struct stored_schema *schema = planning->schema;
    for (size_t i = 0; i < schema->column_count; i++)
        if (text_equal(schema->columns[i].table, table))
            return true;
    return false;
}

const struct stored_column *planning_column(const struct planning *planning, struct text table,
                                            struct text name) {
    const struct stored_schema *schema = planning->schema;
    for (size_t i = 0; i < schema->column_count; i++)
        if (text_equal(schema->columns[i].table, table) &&
            text_equal(schema->columns[i].name, name))
            return &schema->columns[i];
    return NULL;
}

const struct stored_column *planning_column_of(const struct planning *planning,
                                               const struct resource *resource,
                                               const struct property *property) {
    const struct stored_column *column = planning_column(planning, resource->table, property->name);
    if (!column && property->was.size && !resource_property(resource, property->was))
        column = planning_column(planning, resource->table, property->was);
    return column;
}

const struct property *planning_property_of(const struct planning *planning,
                                            const struct resource *resource,
                                            const struct stored_column *column) {
    for (size_t i = 0; i < resource->property_count; i++)
        if (planning_column_of(planning, resource, &resource->properties[i]) == column)
            return &resource->properties[i];
    return NULL;
}

struct text planning_bare_type(struct text type) {
    static const struct text collate = TEXT_INIT(" COLLATE");
    for (size_t i = 0; i + collate.size <= type.size; i++)
        if (text_equal_ignoring_case(text_of(type.data + i, collate.size), collate))
            return text_trim(text_of(type.data, i));
    return text_trim(type);
}

bool planning_type_fits(const struct planning *planning, const struct property *property,
                        const struct stored_column *column) {
    return text_equal_ignoring_case(planning_bare_type(planning->dialect->column_type(property)),
                                    planning_bare_type(column->type));
}
