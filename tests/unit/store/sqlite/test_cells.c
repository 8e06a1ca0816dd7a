#include "store/sqlite/cells.h"

#include "unit/testing.h"

static int open_memory(void **state) {
    sqlite3 *database;
    assert_int_equal(sqlite3_open(":memory:", &database), SQLITE_OK);
    *state = database;
    return 0;
}

static int close_memory(void **state) {
    assert_int_equal(sqlite3_close(*state), SQLITE_OK);
    return 0;
}

// Reads one expression as a kind; whether it fits.
static bool read_as(sqlite3 *database, const char *expression, enum value_kind kind,
                    struct value *ret_cell) {
    char sql[256];
    (void)snprintf(sql, sizeof sql, "SELECT 1, %s", expression);
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const struct column columns[] = {{.kind = VALUE_INTEGER}, {.kind = kind, .scale = 3}};
    struct value cells[2];
    size_t fit = cells_read(statement, columns, 2, cells);
    assert_true(fit == 1 || fit == 2);
    *ret_cell = cells[1];
    sqlite3_finalize(statement);
    return fit == 2;
}

static void kinds_fit_or_do_not(void **state) {
    static const struct {
        const char *expression;
        enum value_kind kind;
        bool fits;
    } cases[] = {
        {"1", VALUE_BOOLEAN, true},
        {"0", VALUE_BOOLEAN, true},
        {"2", VALUE_BOOLEAN, false},
        {"-1", VALUE_BOOLEAN, false},
        {"'1'", VALUE_BOOLEAN, false},
        {"1.0", VALUE_INTEGER, false},
        {"'1'", VALUE_INTEGER, false},
        {"x'01'", VALUE_INTEGER, false},
        {"1", VALUE_REAL, true},
        {"1.5", VALUE_REAL, true},
        {"9e999", VALUE_REAL, false},
        {"'1.5'", VALUE_REAL, false},
        {"1.5", VALUE_DECIMAL, false},
        {"150", VALUE_DECIMAL, true},
        {"1", VALUE_TEXT, false},
        {"x'61'", VALUE_TEXT, false},
        {"'a'", VALUE_BYTES, false},
        {"x''", VALUE_BYTES, true},
        {"'2016-08-05T08:40:51.620Z'", VALUE_TIMESTAMP, true},
        {"'2016-08-05T08:40:51Z'", VALUE_TIMESTAMP, false},
        {"''", VALUE_TIMESTAMP, false},
        {"'2016-08-05'", VALUE_DATE, true},
        {"'2016-08-5'", VALUE_DATE, false},
        {"'0190163d-8694-739b-aea5-966c26f8ad91'", VALUE_UUID, true},
        {"'0190163d8694739baea5966c26f8ad91'", VALUE_UUID, false},
        {"'[]'", VALUE_JSON, true},
        {"5", VALUE_JSON, false},
        {"5", VALUE_NULL, false},
    };
    struct value cell;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool fits = read_as(*state, cases[i].expression, cases[i].kind, &cell);
        assert_true_for(fits == cases[i].fits, cases[i].expression);
        assert_true_for(!fits || cell.kind == cases[i].kind, cases[i].expression);
    }
}

static void null_fits_every_kind(void **state) {
    for (enum value_kind kind = VALUE_NULL; kind < VALUE_KINDS; kind++) {
        struct value cell = value_integer(7);
        assert_true(read_as(*state, "NULL", kind, &cell));
        assert_true(value_is_null(cell));
    }
}

static void values_are_taken_over(void **state) {
    struct value cell;
    assert_true(read_as(*state, "9223372036854775807", VALUE_INTEGER, &cell));
    assert_true(cell.integer == INT64_MAX);
    assert_true(read_as(*state, "-12345", VALUE_DECIMAL, &cell));
    assert_true(cell.integer == -12345 && cell.scale == 3);
    assert_true(read_as(*state, "7", VALUE_REAL, &cell));
    assert_true(cell.kind == VALUE_REAL && cell.real >= 7.0 && cell.real <= 7.0);
    assert_true(read_as(*state, "''", VALUE_TEXT, &cell));
    assert_true(cell.text.size == 0 && cell.text.data);
}

// What SQLite makes of a parameter: its type and its text.
static void expect_bound(sqlite3 *database, struct value value, const char *quoted) {
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(database, "SELECT quote(?1)", -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(cells_bind(statement, &value, 1), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), quoted);
    sqlite3_finalize(statement);
}

static void parameters_are_bound(void **state) {
    expect_bound(*state, value_null(), "NULL");
    expect_bound(*state, value_boolean(true), "1");
    expect_bound(*state, value_boolean(false), "0");
    expect_bound(*state, value_integer(INT64_MIN), "-9223372036854775808");
    expect_bound(*state, value_decimal(1999, 2), "1999");
    expect_bound(*state, value_real(0.5), "0.5");
    expect_bound(*state, value_text(VALUE_TEXT, TEXT("a'b")), "'a''b'");
    expect_bound(*state, value_text(VALUE_TEXT, text_of("abcdef", 3)), "'abc'");
    expect_bound(*state, value_text(VALUE_TEXT, text_of(NULL, 0)), "''");
    expect_bound(*state, value_text(VALUE_BYTES, text_of(NULL, 0)), "X''");
    expect_bound(*state, value_text(VALUE_BYTES, text_of("\0\x7f", 2)), "X'007F'");
    expect_bound(*state, value_text(VALUE_JSON, TEXT("{}")), "'{}'");
    expect_bound(*state, value_text(VALUE_DATE, TEXT("2016-08-05")), "'2016-08-05'");
}

static void too_many_parameters_are_an_error(void **state) {
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(*state, "SELECT ?1", -1, &statement, NULL), SQLITE_OK);
    const struct value values[] = {value_integer(1), value_integer(2)};
    assert_int_equal(cells_bind(statement, values, 2), SQLITE_RANGE);
    sqlite3_finalize(statement);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_fit_or_do_not),
        cmocka_unit_test(null_fits_every_kind),
        cmocka_unit_test(values_are_taken_over),
        cmocka_unit_test(parameters_are_bound),
        cmocka_unit_test(too_many_parameters_are_an_error),
    };
    return cmocka_run_group_tests(tests, open_memory, close_memory);
}
