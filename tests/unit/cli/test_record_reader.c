#include "cli/record_reader.h"

#include "resource/json.h"
#include "unit/cli/resource_fixture.h"

struct fixture {
    struct resource_fixture resource;
    struct input input;
    struct record_reader reader;
    struct failure failure;
};

static int set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){0};
    resource_fixture_begin(&fixture.resource,
                           "properties: {name: {type: string}, n: {type: integer}}\n");
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    record_reader_close(&fixture->reader);
    resource_fixture_end(&fixture->resource);
    return 0;
}

static bool begin(struct fixture *fixture, enum record_format format, const char *source) {
    record_reader_close(&fixture->reader);
    input_from_text(&fixture->input, text_from_string(source));
    fixture->input.name = "in";
    return record_reader_open(&fixture->reader, &fixture->input, format, fixture->resource.resource,
                              40, &fixture->failure);
}

static void assert_read(struct fixture *fixture, uint64_t line, const char *expected) {
    struct buffer out = {0};
    struct json_writer writer = json_writer_on(&out);
    json_t *record = NULL;
    enum record_result result = record_reader_next(&fixture->reader, &record, &fixture->failure);
    assert_true_for(result == RECORD_READ, fixture->failure.detail);
    json_write_tree(&writer, record);
    assert_text_is(buffer_text(&out), expected);
    assert_int_equal(fixture->reader.line, line);
    json_decref(record);
    buffer_free(&out);
}

static void assert_not_read(struct fixture *fixture, enum record_result expected,
                            const char *says) {
    json_t *record = NULL;
    enum record_result result = record_reader_next(&fixture->reader, &record, &fixture->failure);
    assert_int_equal(result, expected);
    assert_null(record);
    if (says)
        assert_true_for(strstr(fixture->failure.detail, says) != NULL, fixture->failure.detail);
}

static void arrays_are_read_element_by_element(void **state) {
    struct fixture *fixture = *state;
    assert_true(begin(fixture, RECORDS_JSON,
                      " \n[ {\"n\":1} ,\n{\"n\":\n2},{\"name\":\"]},{\\\"[\"}\n]\n"));
    assert_read(fixture, 2, "{\"n\":1}");
    assert_read(fixture, 3, "{\"n\":2}");
    assert_read(fixture, 4, "{\"name\":\"]},{\\\"[\"}");
    assert_not_read(fixture, RECORD_END, NULL);
    assert_true(begin(fixture, RECORDS_JSON, "[]"));
    assert_not_read(fixture, RECORD_END, NULL);
    assert_true(begin(fixture, RECORDS_JSON, "[ \n ] "));
    assert_not_read(fixture, RECORD_END, NULL);
}

static void a_bad_element_is_passed_over(void **state) {
    struct fixture *fixture = *state;
    assert_true(begin(fixture, RECORDS_JSON,
                      "[{\"n\" 1},\n{\"n\":1,\"n\":2},{\"a\":\n\n[1 2]},3,\"x\",[{}],null,{}]"));
    assert_not_read(fixture, RECORD_REJECTED, "character 6 of the record: ");
    assert_not_read(fixture, RECORD_REJECTED, "twice");
    assert_not_read(fixture, RECORD_REJECTED, "line 4, column ");
    for (size_t i = 0; i < 4; i++)
        assert_not_read(fixture, RECORD_REJECTED, "a record must be an object");
    assert_read(fixture, 4, "{}");
    assert_not_read(fixture, RECORD_END, NULL);
}

static void an_array_that_is_none_stops(void **state) {
    static const struct {
        const char *source;
        const char *says;
    } cases[] = {
        {"", "in:1: there is nothing in it"},
        {" \n ", "in:2: there is nothing in it"},
        {"{\"n\":1}", "--format ndjson"},
        {"[", "in:1: the file ends before the array does"},
        {"[{\"n\":1", "the file ends before the array does"},
        {"[{\"n\":\"1", "the file ends before the array does"},
        {"[{\"n\":\"\\", "the file ends before the array does"},
        {"[,{}]", "the file ends before the array does"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(begin(fixture, RECORDS_JSON, cases[i].source));
        assert_not_read(fixture, RECORD_STOP, cases[i].says);
    }
}

static void an_array_may_break_off_behind_a_record(void **state) {
    static const struct {
        const char *source;
        const char *says;
    } cases[] = {
        {"[{}", "the file ends before the array does"},
        {"[{} {}]", "',' or ']' is expected behind a record"},
        {"[{},]", "there is nothing behind ','"},
        {"[{},", "the file ends before the array does"},
        {"[{}]]", "there is something behind the end of the array"},
        {"[{}}]", "',' or ']' is expected behind a record"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(begin(fixture, RECORDS_JSON, cases[i].source));
        assert_read(fixture, 1, "{}");
        assert_not_read(fixture, RECORD_STOP, cases[i].says);
    }
}

static void lines_are_read(void **state) {
    struct fixture *fixture = *state;
    assert_true(begin(fixture, RECORDS_NDJSON, "\n{\"n\":1}\r\n\n \t\n  {\"n\":2}  \n{\"n\":3}"));
    assert_read(fixture, 2, "{\"n\":1}");
    assert_read(fixture, 5, "{\"n\":2}");
    assert_read(fixture, 6, "{\"n\":3}");
    assert_not_read(fixture, RECORD_END, NULL);
    assert_not_read(fixture, RECORD_END, NULL);
    assert_true(begin(fixture, RECORDS_NDJSON, ""));
    assert_not_read(fixture, RECORD_END, NULL);
}

static void a_bad_line_is_passed_over(void **state) {
    struct fixture *fixture = *state;
    assert_true(begin(fixture, RECORDS_NDJSON, "{\"n\":1\n{\"n\":1}{}\n[]\n\xFF\n{\"n\":1}\n"));
    assert_not_read(fixture, RECORD_REJECTED, "ends too early");
    assert_not_read(fixture, RECORD_REJECTED, "character 8 of the record: there is more");
    assert_not_read(fixture, RECORD_REJECTED, "must be an object");
    assert_not_read(fixture, RECORD_REJECTED, "UTF-8");
    assert_read(fixture, 5, "{\"n\":1}");
    assert_not_read(fixture, RECORD_END, NULL);
}

static void a_record_may_not_be_larger_than_asked(void **state) {
    struct fixture *fixture = *state;
    static const char fits[] = "{\"name\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}";
    assert_int_equal(strlen(fits), 40);
    struct buffer source = {0};
    buffer_format(&source, "%s\n%s \n{}", fits, "{\"name\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}");
    buffer_append_byte(&source, '\0');
    assert_true(begin(fixture, RECORDS_NDJSON, source.data));
    assert_read(fixture, 1, fits);
    assert_not_read(fixture, RECORD_REJECTED, "larger than the 40 bytes");
    assert_read(fixture, 3, "{}");
    buffer_clear(&source);
    buffer_format(&source, "[%s,%s ,{}]", fits, "{\"name\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}");
    buffer_append_byte(&source, '\0');
    assert_true(begin(fixture, RECORDS_JSON, source.data));
    assert_read(fixture, 1, fits);
    assert_not_read(fixture, RECORD_REJECTED, "larger than the 40 bytes");
    assert_read(fixture, 1, "{}");
    buffer_free(&source);
}

static void rows_are_read(void **state) {
    struct fixture *fixture = *state;
    assert_true(begin(fixture, RECORDS_CSV, "\nname,n\r\n\"a\nb\",1\r\n\r\nc\r\nd,\"2\"x\r\ne,5"));
    assert_read(fixture, 3, "{\"name\":\"a\\nb\",\"n\":1}");
    assert_not_read(fixture, RECORD_REJECTED, "the row has 1 field");
    assert_int_equal(fixture->reader.line, 6);
    assert_not_read(fixture, RECORD_REJECTED, "behind a closing quote");
    assert_read(fixture, 8, "{\"name\":\"e\",\"n\":5}");
    assert_not_read(fixture, RECORD_END, NULL);
}

static void a_csv_needs_a_header_that_fits(void **state) {
    struct fixture *fixture = *state;
    assert_false(begin(fixture, RECORDS_CSV, "\n\n"));
    assert_string_equal(fixture->failure.detail, "in: there is no header in it");
    assert_false(begin(fixture, RECORDS_CSV, "nme,n\n"));
    assert_non_null(strstr(fixture->failure.detail, "perhaps name is meant"));
    assert_false(begin(fixture, RECORDS_CSV, "\"name\n"));
}

static void formats_are_told_by_name(void **state) {
    static const struct {
        const char *path;
        int format; // -1: none
    } cases[] = {
        {"a.json", RECORDS_JSON},
        {"/x.y/a.NDJSON", RECORDS_NDJSON},
        {"a.jsonl", RECORDS_NDJSON},
        {"a.b.csv", RECORDS_CSV},
        {"a.txt", -1},
        {"csv", -1},
        {"-", -1},
        {"", -1},
        {"a.json.gz", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum record_format format = RECORDS_JSON;
        bool known = record_format_of_path(cases[i].path, &format);
        assert_true_for(known == (cases[i].format >= 0), cases[i].path);
        if (known)
            assert_true_for((int)format == cases[i].format, cases[i].path);
    }
    enum record_format format;
    assert_true(record_format_parse("ndjson", &format));
    assert_int_equal(format, RECORDS_NDJSON);
    assert_false(record_format_parse("jsonl", &format));
    assert_false(record_format_parse("xml", &format));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(arrays_are_read_element_by_element),
        TEST(a_bad_element_is_passed_over),
        TEST(an_array_that_is_none_stops),
        TEST(an_array_may_break_off_behind_a_record),
        TEST(lines_are_read),
        TEST(a_bad_line_is_passed_over),
        TEST(a_record_may_not_be_larger_than_asked),
        TEST(rows_are_read),
        TEST(a_csv_needs_a_header_that_fits),
        TEST(formats_are_told_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
