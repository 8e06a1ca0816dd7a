// What the dialects share with the SQL that is common to them.
#pragma once

#include "resource/dialect.h"

extern const struct dialect dialect_sqlite;
extern const struct dialect dialect_postgres;

// Appends an expression where a value must stand: a condition's is true or false, never null.
void sql_operand(struct sql *sql, const struct expression *expression);

// Appends `left OPERATOR right`, for operands that the database compares as we do.
void sql_comparison(struct sql *sql, const struct expression *comparison);

// Between the operands of a comparison: a null-safe operator where null could make a difference.
void sql_comparison_operator(struct sql *sql, const struct expression *comparison);

// Appends whether any stored value is null that a calculation depends on, and so the calculation.
void sql_operand_is_null(struct sql *sql, const struct expression *calculation);

// Appends a sum or product as it is, without parentheses around it.
void sql_calculation(struct sql *sql, const struct expression *calculation);

// Between the operands of a sum or product.
void sql_calculation_operator(struct sql *sql, const struct expression *calculation);
