#include "store/postgres/cells.h"

#include "base/timestamp.h"

#include <endian.h>
#include <math.h>
#include <stdlib.h>

// Of pg_type: these never change.
enum {
    TYPE_BOOL = 16,
    TYPE_BYTEA = 17,
    TYPE_INT8 = 20,
    TYPE_INT2 = 21,
    TYPE_INT4 = 23,
    TYPE_TEXT = 25,
    TYPE_JSON = 114,
    TYPE_FLOAT4 = 700,
    TYPE_FLOAT8 = 701,
    TYPE_BPCHAR = 1042,
    TYPE_VARCHAR = 1043,
    TYPE_DATE = 1082,
    TYPE_TIMESTAMPTZ = 1184,
    TYPE_NUMERIC = 1700,
    TYPE_UUID = 2950,
};

// 2000-01-01, from which PostgreSQL counts, and the first and last instants that have a form.
static const int64_t EPOCH = 946684800000;
static const int64_t FIRST_MS = -62135596800000;
static const int64_t LAST_MS = 253402300799999;
enum { DAY_MS = 24 * 3600 * 1000 };

static uint16_t read_16(const char *data) {
    uint16_t number;
    memcpy(&number, data, sizeof number);
    return be16toh(number);
}

static uint32_t read_32(const char *data) {
    uint32_t number;
    memcpy(&number, data, sizeof number);
    return be32toh(number);
}

static uint64_t read_64(const char *data) {
    uint64_t number;
    memcpy(&number, data, sizeof number);
    return be64toh(number);
}

static bool read_integer(const char *data, size_t size, int64_t *ret_integer) {
    switch (size) {
    case 2: *ret_integer = (int16_t)read_16(data); return true;
    case 4: *ret_integer = (int32_t)read_32(data); return true;
    case 8: *ret_integer = (int64_t)read_64(data); return true;
    default: return false;
    }
}

static bool read_boolean_cell(const char *data, size_t size, struct value *cell, char *scratch) {
    cell->boolean = size == 1 && data[0];
    return size == 1;
}

static bool read_integer_cell(const char *data, size_t size, struct value *cell, char *scratch) {
    return read_integer(data, size, &cell->integer);
}

static bool read_integer_as_real(const char *data, size_t size, struct value *cell, char *scratch) {
    int64_t integer;
    if (!read_integer(data, size, &integer))
        return false;
    cell->real = (double)integer;
    return true;
}

static bool read_real_cell(const char *data, size_t size, struct value *cell, char *scratch) {
    if (size == 4) {
        uint32_t bits = read_32(data);
        float real;
        memcpy(&real, &bits, sizeof real);
        cell->real = (double)real;
    } else if (size == 8) {
        uint64_t bits = read_64(data);
        memcpy(&cell->real, &bits, sizeof cell->real);
    } else {
        return false;
    }
    return isfinite(cell->real);
}

// Numerics are digits to the base of 10,000, the first of which stands for 10,000^weight.
enum { NUMERIC_HEAD = 8, NUMERIC_BASE = 10000, NUMERIC_NEGATIVE = 0x4000 };

// value * 10^count + digits; false where that does not fit.
static bool append_digits(uint64_t *value, unsigned count, unsigned digits) {
    static const uint64_t powers[] = {1, 10, 100, 1000, 10000};
    return !__builtin_mul_overflow(*value, powers[count], value) &&
           !__builtin_add_overflow(*value, digits, value);
}

// The first `scale` decimal places of a numeric's digits and all before them, as one integer; false
// where it has more of them, or is too large.
static bool read_digits(const char *data, int count, int weight, int scale, uint64_t *ret_value) {
    static const unsigned cuts[] = {1, 1000, 100, 10};
    uint64_t value = 0;
    int last = scale ? -((scale + 3) / 4) : 0; // the place of the last digit that may be there
    for (int place = weight, i = 0; place >= last; place--, i++) {
        unsigned digit = i < count ? read_16(data + NUMERIC_HEAD + 2 * i) : 0;
        // Of the last one perhaps only the first decimal places count.
        unsigned cut = place == last ? cuts[scale % 4] : 1;
        unsigned places = place == last && scale % 4 ? (unsigned)scale % 4 : 4;
        if (digit % cut || !append_digits(&value, places, digit / cut))
            return false;
    }
    *ret_value = value;
    return count <= weight - last + 1;
}

// As an integer of 10^-scale; false where it is none, or does not fit 64 bits.
static bool read_numeric(const char *data, size_t size, uint8_t scale, int64_t *ret_integer) {
    if (size < NUMERIC_HEAD)
        return false;
    int count = read_16(data);
    int weight = (int16_t)read_16(data + 2);
    unsigned sign = read_16(data + 4);
    uint64_t value = 0;
    if (size != NUMERIC_HEAD + 2 * (size_t)count || (sign && sign != NUMERIC_NEGATIVE))
        return false; // not a number, or an infinity
    if (count && !read_digits(data, count, weight, scale, &value))
        return false;
    if (value > (uint64_t)INT64_MAX + (sign != 0))
        return false;
    *ret_integer = sign ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

static bool read_numeric_cell(const char *data, size_t size, struct value *cell, char *scratch) {
    return read_numeric(data, size, cell->kind == VALUE_DECIMAL ? cell->scale : 0, &cell->integer);
}

static bool read_text_cell(const char *data, size_t size, struct value *cell, char *scratch) {
    cell->text = text_of(data, size);
    return true;
}

static bool read_timestamp_cell(const char *data, size_t size, struct value *cell, char *scratch) {
    if (size != 8)
        return false;
    int64_t microseconds = (int64_t)read_64(data);
    // Downwards, also before 2000. (Our own columns hold whole milliseconds.)
    int64_t ms = microseconds / 1000 - (microseconds % 1000 < 0) + EPOCH;
    if (ms < FIRST_MS || ms > LAST_MS) // or an infinity
        return false;
    timestamp_format(ms, scratch);
    cell->text = text_of(scratch, TIMESTAMP_SIZE);
    return true;
}

static bool read_date_cell(const char *data, size_t size, struct value *cell, char *scratch) {
    if (size != 4)
        return false;
    int64_t ms = (int64_t)(int32_t)read_32(data) * DAY_MS + EPOCH;
    if (ms < FIRST_MS || ms > LAST_MS)
        return false;
    timestamp_format(ms, scratch);
    cell->text = text_of(scratch, 10);
    return true;
}

static bool read_uuid_cell(const char *data, size_t size, struct value *cell, char *scratch) {
    static const struct {
        size_t from;
        size_t bytes;
        size_t at;
    } parts[] = {{0, 4, 0}, {4, 2, 9}, {6, 2, 14}, {8, 2, 19}, {10, 6, 24}};
    if (size != 16)
        return false;
    memset(scratch, '-', 36);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        text_hex_encode(data + parts[i].from, parts[i].bytes, scratch + parts[i].at);
    cell->text = text_of(scratch, 36);
    return true;
}

// Which types a kind is read from.
static const struct {
    enum value_kind kind;
    Oid type;
    pg_cell_reader *read;
} readers[] = {
    {VALUE_TEXT, TYPE_TEXT, read_text_cell},
    {VALUE_TEXT, TYPE_VARCHAR, read_text_cell},
    {VALUE_TEXT, TYPE_BPCHAR, read_text_cell},
    {VALUE_INTEGER, TYPE_INT8, read_integer_cell},
    {VALUE_INTEGER, TYPE_INT4, read_integer_cell},
    {VALUE_INTEGER, TYPE_INT2, read_integer_cell},
    {VALUE_INTEGER, TYPE_NUMERIC, read_numeric_cell}, // the sum of integers
    {VALUE_TIMESTAMP, TYPE_TIMESTAMPTZ, read_timestamp_cell},
    {VALUE_BYTES, TYPE_BYTEA, read_text_cell},
    {VALUE_JSON, TYPE_JSON, read_text_cell},
    {VALUE_BOOLEAN, TYPE_BOOL, read_boolean_cell},
    {VALUE_UUID, TYPE_UUID, read_uuid_cell},
    {VALUE_REAL, TYPE_FLOAT8, read_real_cell},
    {VALUE_REAL, TYPE_FLOAT4, read_real_cell},
    {VALUE_REAL, TYPE_INT8, read_integer_as_real},
    {VALUE_REAL, TYPE_INT4, read_integer_as_real},
    {VALUE_DECIMAL, TYPE_NUMERIC, read_numeric_cell},
    {VALUE_DATE, TYPE_DATE, read_date_cell},
};

static pg_cell_reader *reader_of(enum value_kind kind, Oid type) {
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        if (readers[i].kind == kind && readers[i].type == type)
            return readers[i].read;
    }
    return NULL;
}

static bool grow(struct pg_cells *cells, size_t count) {
    if (count <= cells->capacity)
        return true;
    struct pg_cells larger = {
        .cells = calloc(count, sizeof *larger.cells),
        .readers = calloc(count, sizeof *larger.readers),
        .scratch = calloc(count, sizeof *larger.scratch),
        .capacity = count,
    };
    bool ok = larger.cells && larger.readers && larger.scratch;
    if (!ok) {
        pg_cells_free(&larger);
        return false;
    }
    struct pg_cells smaller = *cells;
    *cells = larger;
    pg_cells_free(&smaller);
    return true;
}

bool pg_cells_prepare(struct pg_cells *cells, const PGresult *result, const struct column *columns,
                      size_t count, size_t *ret_unfit) {
    if (!grow(cells, count))
        return false;
    size_t i = 0;
    while (i < count && (cells->readers[i] = reader_of(columns[i].kind, PQftype(result, (int)i))))
        i++;
    *ret_unfit = i;
    return true;
}

size_t pg_cells_read(struct pg_cells *cells, const PGresult *result, int row,
                     const struct column *columns, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int column = (int)i;
        struct value *cell = &cells->cells[i];
        *cell = (struct value){.kind = columns[i].kind, .scale = columns[i].scale};
        if (PQgetisnull(result, row, column))
            *cell = value_null();
        else if (!cells->readers[i](PQgetvalue(result, row, column),
                                    (size_t)PQgetlength(result, row, column), cell,
                                    cells->scratch[i]))
            return i;
    }
    return count;
}

void pg_cells_free(struct pg_cells *cells) {
    free(cells->cells);
    free(cells->readers);
    free(cells->scratch);
    *cells = (struct pg_cells){0};
}
