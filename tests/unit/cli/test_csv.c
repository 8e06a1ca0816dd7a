#include "cli/csv.h"

#include "unit/allocation.h"
#include "unit/testing.h"

struct fixture {
    struct input input;
    struct csv_reader reader;
    struct failure failure;
};

static void begin(struct fixture *fixture, const char *source) {
    *fixture = (struct fixture){0};
    input_from_text(&fixture->input, text_from_string(source));
    csv_reader_init(&fixture->reader, &fixture->input, 1000);
}

// The row as "field|field", with quoted fields in angle brackets.
static void assert_row(struct fixture *fixture, const char *expected) {
    struct buffer row = {0};
    assert_int_equal(csv_read(&fixture->reader, &fixture->failure), CSV_ROW);
    for (size_t i = 0; i < fixture->reader.field_count; i++) {
        const struct csv_field *field = &fixture->reader.fields[i];
        buffer_format(&row, "%s%s%.*s%s", i ? "|" : "", field->quoted ? "<" : "",
                      TEXT_ARGS(field->text), field->quoted ? ">" : "");
    }
    assert_text_is(buffer_text(&row), expected);
    buffer_free(&row);
}

static void assert_bad(struct fixture *fixture, const char *says) {
    assert_int_equal(csv_read(&fixture->reader, &fixture->failure), CSV_BAD);
    assert_true_for(strstr(fixture->failure.detail, says) != NULL, fixture->failure.detail);
}

static void assert_end(struct fixture *fixture) {
    assert_int_equal(csv_read(&fixture->reader, &fixture->failure), CSV_END);
    assert_int_equal(csv_read(&fixture->reader, &fixture->failure), CSV_END);
    csv_reader_free(&fixture->reader);
}

static void rows_are_read(void **state) {
    struct fixture fixture;
    begin(&fixture, "a,b,c\r\n1,,3\r\n,,\n x , y,z\rlast,\xC3\xA9");
    assert_row(&fixture, "a|b|c");
    assert_row(&fixture, "1||3");
    assert_row(&fixture, "||");
    assert_row(&fixture, " x | y|z");
    assert_row(&fixture, "last|\xC3\xA9");
    assert_end(&fixture);
}

static void quotes_hide_what_they_hold(void **state) {
    struct fixture fixture;
    begin(&fixture, "\"a,b\",\"\",\"say \"\"hi\"\"\"\r\n\"two\r\nlines\",\"\n\",x\n\"\"\"\"");
    assert_row(&fixture, "<a,b>|<>|<say \"hi\">");
    assert_row(&fixture, "<two\r\nlines>|<\n>|x");
    assert_row(&fixture, "<\">");
    assert_end(&fixture);
}

static void empty_lines_are_passed_over(void **state) {
    struct fixture fixture;
    begin(&fixture, "\n\r\na\n\n\r\n\rb\n\n");
    assert_row(&fixture, "a");
    assert_row(&fixture, "b");
    assert_end(&fixture);
    begin(&fixture, "");
    assert_end(&fixture);
}

static void a_comma_at_the_end_is_an_empty_field(void **state) {
    struct fixture fixture;
    begin(&fixture, "a,\n,\n\"\",");
    assert_row(&fixture, "a|");
    assert_row(&fixture, "|");
    assert_row(&fixture, "<>|");
    assert_end(&fixture);
}

static void a_bad_row_does_not_take_the_next_along(void **state) {
    struct fixture fixture;
    begin(&fixture, "a\"b,c\nok\n\"a\"b,c\nok\n\"a\" ,b\nok\n\"open,\nnext\n");
    assert_bad(&fixture, "inside a field");
    assert_row(&fixture, "ok");
    assert_bad(&fixture, "behind a closing quote");
    assert_row(&fixture, "ok");
    assert_bad(&fixture, "behind a closing quote");
    assert_row(&fixture, "ok");
    assert_bad(&fixture, "is not closed");
    assert_end(&fixture);
}

static void a_row_may_not_be_larger_than_asked(void **state) {
    struct fixture fixture;
    begin(&fixture, "1234,56\n12345,67\n\"12345\n7\",8\nok\n");
    fixture.reader.row_max = 6;
    assert_row(&fixture, "1234|56");
    assert_bad(&fixture, "larger");
    assert_bad(&fixture, "larger");
    assert_row(&fixture, "ok");
    assert_end(&fixture);
}

static void many_fields_have_room(void **state) {
    enum { COUNT = 5000 };
    struct buffer source = {0};
    struct fixture fixture;
    for (size_t i = 0; i < COUNT; i++)
        buffer_append_string(&source, i ? ",x" : "x");
    buffer_append_byte(&source, '\0');
    begin(&fixture, source.data);
    fixture.reader.row_max = COUNT;
    assert_int_equal(csv_read(&fixture.reader, &fixture.failure), CSV_ROW);
    assert_int_equal(fixture.reader.field_count, COUNT);
    assert_text_is(fixture.reader.fields[COUNT - 1].text, "x");
    assert_end(&fixture);
    buffer_free(&source);
}

static void lines_are_counted(void **state) {
    struct fixture fixture;
    begin(&fixture, "a\n\"b\n\nc\"\nd\n");
    assert_row(&fixture, "a");
    assert_int_equal(fixture.input.line, 2);
    assert_row(&fixture, "<b\n\nc>");
    assert_int_equal(fixture.input.line, 5);
    assert_row(&fixture, "d");
    assert_end(&fixture);
}

static void want_of_memory_is_told(void **state) {
    for (ALLOCATION_FAILURES(nth)) {
        struct fixture fixture;
        begin(&fixture, "a,b\n\"c\",d\n");
        enum csv_result result = csv_read(&fixture.reader, &fixture.failure);
        bool failed = allocation_allow();
        assert_int_equal(result, failed ? CSV_BAD : CSV_ROW);
        if (failed)
            assert_int_equal(fixture.failure.code, FAILURE_OUT_OF_MEMORY);
        csv_reader_free(&fixture.reader);
        if (!failed)
            break;
    }
}

static void fields_are_written_so_that_they_read_back(void **state) {
    static const struct {
        const char *text;
        bool as_string;
        const char *written;
    } cases[] = {
        {"", false, ""},
        {"", true, "\"\""},
        {"plain", false, "plain"},
        {"5", true, "\"5\""},
        {"a,b", false, "\"a,b\""},
        {"a\"b", false, "\"a\"\"b\""},
        {"a\nb", false, "\"a\nb\""},
        {"a\rb", false, "\"a\rb\""},
        {" x ", false, " x "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer out = {0};
        struct fixture fixture;
        csv_write(&out, text_from_string(cases[i].text), cases[i].as_string);
        assert_text_is(buffer_text(&out), cases[i].written);
        buffer_append_string(&out, ",x\r\n");
        buffer_append_byte(&out, '\0');
        begin(&fixture, out.data);
        assert_int_equal(csv_read(&fixture.reader, &fixture.failure), CSV_ROW);
        assert_text_is(fixture.reader.fields[0].text, cases[i].text);
        assert_end(&fixture);
        buffer_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read),
        cmocka_unit_test(quotes_hide_what_they_hold),
        cmocka_unit_test(empty_lines_are_passed_over),
        cmocka_unit_test(a_comma_at_the_end_is_an_empty_field),
        cmocka_unit_test(a_bad_row_does_not_take_the_next_along),
        cmocka_unit_test(a_row_may_not_be_larger_than_asked),
        cmocka_unit_test(many_fields_have_room),
        cmocka_unit_test(lines_are_counted),
        cmocka_unit_test(want_of_memory_is_told),
        cmocka_unit_test(fields_are_written_so_that_they_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
