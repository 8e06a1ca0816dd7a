// Cells reads rows of libpq's results, in PostgreSQL's binary form, as values.
#pragma once

#include "store/store.h"

#include <libpq-fe.h>

enum { PG_CELL_SIZE = 40 };

// Reads the bytes of one cell, which is not null; false where they are not of its kind. Texts that
// are not in the row as such go to `scratch`.
typedef bool pg_cell_reader(const char *data, size_t size, struct value *cell,
                            char scratch[PG_CELL_SIZE]);

// Room for a row, which grows and is used again. Zeroed memory is a valid one.
struct pg_cells {
    struct value *cells;
    pg_cell_reader **readers; // of the result's columns
    char (*scratch)[PG_CELL_SIZE];
    size_t capacity;
};

// Gets ready to read the rows of a result, which has so many columns. False when there is no
// memory; otherwise `ret_unfit` is the first column that cannot be read as it is to be, or `count`.
bool pg_cells_prepare(struct pg_cells *cells, const PGresult *result, const struct column *columns,
                      size_t count, size_t *ret_unfit);

// Reads one row into cells->cells, which live as long as the result and until the next row. Returns
// the index of the first column whose value does not fit, or `count`.
size_t pg_cells_read(struct pg_cells *cells, const PGresult *result, int row,
                     const struct column *columns, size_t count);

void pg_cells_free(struct pg_cells *cells);
