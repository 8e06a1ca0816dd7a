#include "store/postgres/cells.h"

#include "unit/allocation.h"
#include "unit/testing.h"

#include <stdio.h>
#include <stdlib.h>

enum { BOOL = 16, BYTEA = 17, INT8 = 20, INT2 = 21, INT4 = 23, TEXT_TYPE = 25, JSON = 114 };
enum { FLOAT4 = 700, FLOAT8 = 701, VARCHAR = 1043, DATE = 1082, TIMESTAMPTZ = 1184 };
enum { NUMERIC = 1700, UUID = 2950 };

// A result of one row and one column, in binary.
static PGresult *result_of(Oid type, const char *hex) {
    char bytes[256];
    char name[] = "column";
    PGresAttDesc attribute = {.name = name, .format = 1, .typid = type};
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    size_t size = hex ? strlen(hex) / 2 : 0;
    assert_non_null(result);
    assert_true(!hex || text_hex_decode(text_from_string(hex), bytes, size));
    assert_int_equal(PQsetResultAttrs(result, 1, &attribute), 1);
    assert_int_equal(PQsetvalue(result, 0, 0, hex ? bytes : NULL, hex ? (int)size : -1), 1);
    return result;
}

static void print_cell(const struct value *cell, char out[128]) {
    switch (cell->kind) {
    case VALUE_NULL: (void)snprintf(out, 128, "null"); break;
    case VALUE_BOOLEAN: (void)snprintf(out, 128, "%d", cell->boolean); break;
    case VALUE_REAL: (void)snprintf(out, 128, "%g", cell->real); break;
    case VALUE_INTEGER:
    case VALUE_DECIMAL: (void)snprintf(out, 128, "%lld", (long long)cell->integer); break;
    default: (void)snprintf(out, 128, "%.*s", TEXT_ARGS(cell->text));
    }
}

// What a cell is read as; "unfit" where its type is not read as this kind, "wrong" where its bytes
// are not.
static void read_cell(Oid type, const char *hex, struct column column, char out[128]) {
    struct pg_cells cells = {0};
    PGresult *result = result_of(type, hex);
    size_t unfit;
    assert_true(pg_cells_prepare(&cells, result, &column, 1, &unfit));
    if (unfit == 0)
        (void)snprintf(out, 128, "unfit");
    else if (pg_cells_read(&cells, result, 0, &column, 1) == 0)
        (void)snprintf(out, 128, "wrong");
    else
        print_cell(&cells.cells[0], out);
    pg_cells_free(&cells);
    PQclear(result);
}

struct example {
    Oid type;
    const char *hex;
    enum value_kind kind;
    const char *read;
};

static void check(const struct example *examples, size_t count, uint8_t scale) {
    for (size_t i = 0; i < count; i++) {
        char read[128];
        read_cell(examples[i].type, examples[i].hex, (struct column){examples[i].kind, scale},
                  read);
        if (strcmp(read, examples[i].read) != 0)
            print_error("%zu: %s\n", i, examples[i].hex ? examples[i].hex : "null");
        assert_string_equal(read, examples[i].read);
    }
}

static void types_are_read_as_kinds(void **state) {
    static const struct example examples[] = {
        {BOOL, "01", VALUE_BOOLEAN, "1"},
        {BOOL, "00", VALUE_BOOLEAN, "0"},
        {BOOL, "0000", VALUE_BOOLEAN, "wrong"},
        {BOOL, "01", VALUE_INTEGER, "unfit"},
        {INT8, "8000000000000000", VALUE_INTEGER, "-9223372036854775808"},
        {INT8, "7fffffffffffffff", VALUE_INTEGER, "9223372036854775807"},
        {INT4, "ffffffff", VALUE_INTEGER, "-1"},
        {INT2, "8000", VALUE_INTEGER, "-32768"},
        {INT8, "01", VALUE_INTEGER, "wrong"},
        {INT8, "0000000000000003", VALUE_REAL, "3"},
        {INT4, "00000003", VALUE_REAL, "3"},
        {FLOAT8, "3ff8000000000000", VALUE_REAL, "1.5"},
        {FLOAT4, "3fc00000", VALUE_REAL, "1.5"},
        {FLOAT8, "7ff0000000000000", VALUE_REAL, "wrong"},
        {FLOAT8, "7ff8000000000000", VALUE_REAL, "wrong"},
        {FLOAT8, "3ff80000", VALUE_REAL, "1.9375"}, // as long as a float4
        {TEXT_TYPE, "", VALUE_TEXT, ""},
        {TEXT_TYPE, "c3a4", VALUE_TEXT, "ä"},
        {VARCHAR, "61", VALUE_TEXT, "a"},
        {JSON, "7b7d", VALUE_JSON, "{}"},
        {JSON, "7b7d", VALUE_TEXT, "unfit"},
        {BYTEA, "6162", VALUE_BYTES, "ab"},
        {UUID, "0190163d8694739baea5966c26f8ad91", VALUE_UUID,
         "0190163d-8694-739b-aea5-966c26f8ad91"},
        {UUID, "0190163d8694739baea5966c26f8ad", VALUE_UUID, "wrong"},
        {INT8, NULL, VALUE_INTEGER, "null"},
        {UUID, NULL, VALUE_UUID, "null"},
    };
    check(examples, sizeof examples / sizeof *examples, 0);
}

static void instants_are_read(void **state) {
    static const struct example examples[] = {
        {TIMESTAMPTZ, "0000000000000000", VALUE_TIMESTAMP, "2000-01-01T00:00:00.000Z"},
        {TIMESTAMPTZ, "00000000000003e8", VALUE_TIMESTAMP, "2000-01-01T00:00:00.001Z"},
        {TIMESTAMPTZ, "fffffffffffffc18", VALUE_TIMESTAMP, "1999-12-31T23:59:59.999Z"},
        // Downwards to a millisecond.
        {TIMESTAMPTZ, "00000000000003e7", VALUE_TIMESTAMP, "2000-01-01T00:00:00.000Z"},
        {TIMESTAMPTZ, "ffffffffffffffff", VALUE_TIMESTAMP, "1999-12-31T23:59:59.999Z"},
        {TIMESTAMPTZ, "ff1fe2ffc59c6000", VALUE_TIMESTAMP, "0001-01-01T00:00:00.000Z"},
        {TIMESTAMPTZ, "ff1fe2ffc59c5fff", VALUE_TIMESTAMP, "wrong"},
        {TIMESTAMPTZ, "0380e70b913b7c18", VALUE_TIMESTAMP, "9999-12-31T23:59:59.999Z"},
        {TIMESTAMPTZ, "0380e70b913b8000", VALUE_TIMESTAMP, "wrong"},
        {TIMESTAMPTZ, "7fffffffffffffff", VALUE_TIMESTAMP, "wrong"}, // infinity
        {TIMESTAMPTZ, "8000000000000000", VALUE_TIMESTAMP, "wrong"},
        {TIMESTAMPTZ, "00000000", VALUE_TIMESTAMP, "wrong"},
        {DATE, "00000000", VALUE_DATE, "2000-01-01"},
        {DATE, "ffffffff", VALUE_DATE, "1999-12-31"},
        {DATE, "7fffffff", VALUE_DATE, "wrong"}, // infinity
        {DATE, "80000000", VALUE_DATE, "wrong"},
        {DATE, "0000000000000000", VALUE_DATE, "wrong"},
    };
    check(examples, sizeof examples / sizeof *examples, 0);
}

// Heads of numerics: how many digits to the base of 10,000, the place of the first, sign, scale.
static void numerics_are_read(void **state) {
    static const struct example whole[] = {
        {NUMERIC, "0000000000000000", VALUE_INTEGER, "0"},
        {NUMERIC, "00010000000000000001", VALUE_INTEGER, "1"},
        {NUMERIC, "00010000400000000001", VALUE_INTEGER, "-1"},
        {NUMERIC, "00010001000000000001", VALUE_INTEGER, "10000"},
        {NUMERIC, "000200010000000000010002", VALUE_INTEGER, "10002"},
        {NUMERIC, "0005000400000000039a0d2c0170156516b0", VALUE_INTEGER, "wrong"}, // 2^63
        {NUMERIC, "0005000440000000039a0d2c0170156516b0", VALUE_INTEGER, "-9223372036854775808"},
        {NUMERIC, "0005000440000000039a0d2c0170156516b1", VALUE_INTEGER, "wrong"},
        {NUMERIC, "0001ffff000000010001", VALUE_INTEGER, "wrong"},     // 0.0001
        {NUMERIC, "00020000000000010001138a", VALUE_INTEGER, "wrong"}, // 1.5002
        {NUMERIC, "00017fff000000000001", VALUE_INTEGER, "wrong"},     // 10^131068
        {NUMERIC, "00018000000000000001", VALUE_INTEGER, "wrong"},
        {NUMERIC, "00000000c0000000", VALUE_INTEGER, "wrong"}, // NaN
        {NUMERIC, "00000000d0000000", VALUE_INTEGER, "wrong"}, // infinity
        {NUMERIC, "0002000000000000000a", VALUE_INTEGER, "wrong"},
        {NUMERIC, "0001", VALUE_INTEGER, "wrong"},
    };
    static const struct example cents[] = {
        {NUMERIC, "0002000000000002001326ac", VALUE_DECIMAL, "1999"},
        {NUMERIC, "0001ffff000000020064", VALUE_DECIMAL, "1"},
        {NUMERIC, "0001ffff400000020064", VALUE_DECIMAL, "-1"},
        {NUMERIC, "0001ffff000000030065", VALUE_DECIMAL, "wrong"}, // 0.0101
        {NUMERIC, "0001fffe000000080001", VALUE_DECIMAL, "wrong"},
        {NUMERIC, "00010000000000000001", VALUE_DECIMAL, "100"},
    };
    check(whole, sizeof whole / sizeof *whole, 0);
    check(cents, sizeof cents / sizeof *cents, 2);
}

// A number of digits / 10^scale as PostgreSQL sends it, worked out on its decimal digits.
static void write_numeric(int64_t digits, unsigned scale, char *hex) {
    char text[64];
    char padded[128] = "";
    bool negative = digits < 0;
    uint64_t magnitude = negative ? 0 - (uint64_t)digits : (uint64_t)digits;
    (void)snprintf(text, sizeof text, "%0*llu", (int)scale + 1, (unsigned long long)magnitude);
    size_t whole = strlen(text) - scale;
    size_t before = (4 - whole % 4) % 4;
    size_t behind = (4 - scale % 4) % 4;
    memset(padded, '0', before);
    memcpy(padded + before, text, strlen(text));
    memset(padded + before + strlen(text), '0', behind);
    size_t groups = strlen(padded) / 4;
    size_t first = 0;
    int weight = (int)((before + whole) / 4) - 1;
    while (first < groups && memcmp(padded + 4 * first, "0000", 4) == 0) {
        first++;
        weight--;
    }
    while (groups > first && memcmp(padded + 4 * (groups - 1), "0000", 4) == 0)
        groups--;
    if (groups == first)
        weight = 0;
    hex += sprintf(hex, "%04x%04x%04x%04x", (unsigned)(groups - first), (unsigned)weight & 0xffff,
                   negative ? 0x4000U : 0U, scale);
    for (size_t i = first; i < groups; i++) {
        char group[5] = "";
        memcpy(group, padded + 4 * i, 4);
        hex += sprintf(hex, "%04lx", strtol(group, NULL, 10));
    }
}

static void every_decimal_comes_back(void **state) {
    static const int64_t edges[] = {
        0,     1,        9,         10,        9999,          10000,
        10001, 99999999, 100000000, INT64_MAX, INT64_MAX - 1, 1000000000000000000};
    uint64_t dice = 1;
    for (size_t i = 0; i < 20000; i++) {
        dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        int64_t digits = i < 24 ? edges[i / 2] : (int64_t)(dice >> (dice % 60));
        unsigned scale = (unsigned)((dice >> 32) % 19);
        char hex[256];
        char expected[32];
        if (i % 2)
            digits = digits == INT64_MAX ? INT64_MIN : -digits;
        write_numeric(digits, scale, hex);
        (void)snprintf(expected, sizeof expected, "%lld", (long long)digits);
        check(&(struct example){NUMERIC, hex, VALUE_DECIMAL, expected}, 1, (uint8_t)scale);
    }
}

static void columns_are_looked_at_in_their_order(void **state) {
    static const struct column columns[] = {{.kind = VALUE_INTEGER}, {.kind = VALUE_TEXT}};
    char a[] = "a";
    char b[] = "b";
    PGresAttDesc attributes[] = {{.name = a, .format = 1, .typid = INT8},
                                 {.name = b, .format = 1, .typid = INT8}};
    struct pg_cells cells = {0};
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    size_t unfit;
    assert_int_equal(PQsetResultAttrs(result, 2, attributes), 1);
    assert_true(pg_cells_prepare(&cells, result, columns, 2, &unfit));
    assert_int_equal(unfit, 1);
    assert_true(pg_cells_prepare(&cells, result, columns, 1, &unfit));
    assert_int_equal(unfit, 1);
    pg_cells_free(&cells);
    PQclear(result);
}

static void want_of_memory_is_told(void **state) {
    const struct column column = {.kind = VALUE_INTEGER};
    PGresult *result = result_of(INT8, "0000000000000001");
    for (ALLOCATION_FAILURES(nth)) {
        struct pg_cells cells = {0};
        size_t unfit;
        bool prepared = pg_cells_prepare(&cells, result, &column, 1, &unfit);
        pg_cells_free(&cells);
        bool failed = allocation_allow();
        assert_int_equal(prepared, !failed);
        if (!failed)
            break;
    }
    PQclear(result);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_read_as_kinds),
        cmocka_unit_test(instants_are_read),
        cmocka_unit_test(numerics_are_read),
        cmocka_unit_test(every_decimal_comes_back),
        cmocka_unit_test(columns_are_looked_at_in_their_order),
        cmocka_unit_test(want_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
