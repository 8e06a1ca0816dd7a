#include "store/sqlite/cells.h"

#include "base/timestamp.h"

#include <math.h>

// What each kind is in a row: its type, and its size where every text of the kind has the same.
static const struct {
    int type;
    size_t size;
} stored[VALUE_KINDS] = {
    [VALUE_NULL] = {.type = SQLITE_NULL},
    [VALUE_BOOLEAN] = {.type = SQLITE_INTEGER},
    [VALUE_INTEGER] = {.type = SQLITE_INTEGER},
    [VALUE_REAL] = {.type = SQLITE_FLOAT},
    [VALUE_DECIMAL] = {.type = SQLITE_INTEGER},
    [VALUE_TEXT] = {.type = SQLITE_TEXT},
    [VALUE_BYTES] = {.type = SQLITE_BLOB},
    [VALUE_TIMESTAMP] = {.type = SQLITE_TEXT, .size = TIMESTAMP_SIZE},
    [VALUE_DATE] = {.type = SQLITE_TEXT, .size = 10},
    [VALUE_UUID] = {.type = SQLITE_TEXT, .size = 36},
    [VALUE_JSON] = {.type = SQLITE_TEXT},
};

static int bind_value(sqlite3_stmt *statement, int index, const struct value *value) {
    // A NULL pointer would be bound as null, and an empty text is none.
    const char *data = value->text.data ? value->text.data : "";
    switch (stored[value->kind].type) {
    case SQLITE_NULL: return sqlite3_bind_null(statement, index);
    case SQLITE_FLOAT: return sqlite3_bind_double(statement, index, value->real);
    case SQLITE_INTEGER:
        return sqlite3_bind_int64(statement, index,
                                  value->kind == VALUE_BOOLEAN ? value->boolean : value->integer);
    case SQLITE_BLOB:
        return sqlite3_bind_blob64(statement, index, data, value->text.size, SQLITE_STATIC);
    default:
        return sqlite3_bind_text64(statement, index, data, value->text.size, SQLITE_STATIC,
                                   SQLITE_UTF8);
    }
}

int cells_bind(sqlite3_stmt *statement, const struct value *values, size_t count) {
    int code = SQLITE_OK;
    for (size_t i = 0; i < count && code == SQLITE_OK; i++)
        code = bind_value(statement, (int)i + 1, &values[i]);
    return code;
}

static bool read_integer(int64_t integer, struct value *cell) {
    if (cell->kind == VALUE_REAL) { // an expression may well give 1 for 1.0
        cell->real = (double)integer;
    } else if (cell->kind == VALUE_BOOLEAN) {
        cell->boolean = integer != 0;
        return integer == 0 || integer == 1;
    } else {
        cell->integer = integer;
    }
    return true;
}

static bool read_text(const void *data, int size, struct value *cell) {
    cell->text = text_of(data ? data : "", (size_t)size);
    size_t wanted = stored[cell->kind].size;
    return (data || size == 0) && (wanted == 0 || wanted == cell->text.size);
}

static bool read_cell(sqlite3_stmt *statement, int index, struct column column,
                      struct value *cell) {
    int type = sqlite3_column_type(statement, index);
    cell->kind = type == SQLITE_NULL ? VALUE_NULL : column.kind;
    cell->scale = column.scale;
    if (type != stored[cell->kind].type && !(type == SQLITE_INTEGER && column.kind == VALUE_REAL))
        return false;
    const void *data;
    switch (type) {
    case SQLITE_INTEGER: return read_integer(sqlite3_column_int64(statement, index), cell);
    case SQLITE_FLOAT:
        cell->real = sqlite3_column_double(statement, index);
        return isfinite(cell->real);
    case SQLITE_TEXT:
        data = sqlite3_column_text(statement, index);
        return read_text(data, sqlite3_column_bytes(statement, index), cell);
    case SQLITE_BLOB:
        data = sqlite3_column_blob(statement, index);
        return read_text(data, sqlite3_column_bytes(statement, index), cell);
    default: return true;
    }
}

size_t cells_read(sqlite3_stmt *statement, const struct column *columns, size_t count,
                  struct value *cells) {
    for (size_t i = 0; i < count; i++) {
        if (!read_cell(statement, (int)i, columns[i], &cells[i]))
            return i;
    }
    return count;
}
