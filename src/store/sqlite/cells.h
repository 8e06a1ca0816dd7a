// Cells carries values between their form in trestle and their form in SQLite: booleans, integers
// and the digits of decimals are INTEGER, reals REAL, bytes BLOB, all others TEXT.
#pragma once

#include "store/store.h"

#include <sqlite3.h>

// Binds all parameters of a statement, without copies: they must live until it is reset. An SQLite
// result code.
int cells_bind(sqlite3_stmt *statement, const struct value *values, size_t count);

// Reads the current row as the kinds that are asked for. The cells live until the next step.
// Returns the index of the first column that does not fit (its type differs, or there was no
// memory for it), or `count`.
size_t cells_read(sqlite3_stmt *statement, const struct column *columns, size_t count,
                  struct value *cells);
