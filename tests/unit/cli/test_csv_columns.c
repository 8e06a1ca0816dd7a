#include "cli/csv_columns.h"

#include "resource/json.h"
#include "unit/cli/resource_fixture.h"

static const char definition[] =
    "properties:\n"
    "  title: {type: string}\n"
    "  amount: {type: integer}\n"
    "  price: {type: number}\n"
    "  open: {type: boolean}\n"
    "  mixed: {type: object, properties: {either: {type: [string, integer]}}}\n"
    "  tags: {type: array, items: {type: string}}\n"
    "  extra: {type: object}\n"
    "  secret: {type: string, writeOnly: true}\n"
    "  store:\n"
    "    type: object\n"
    "    properties:\n"
    "      city: {type: string}\n"
    "      spot:\n"
    "        type: object\n"
    "        properties: {lat: {type: number}, long: {type: number}}\n";

struct fixture {
    struct resource_fixture resource;
    struct csv_columns columns;
    struct failure failure;
};

static int set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){0};
    resource_fixture_begin(&fixture.resource, definition);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    csv_columns_free(&fixture->columns);
    resource_fixture_end(&fixture->resource);
    return 0;
}

static bool read_header(struct fixture *fixture, const char *header) {
    struct input input;
    struct csv_reader reader;
    input_from_text(&input, text_from_string(header));
    csv_reader_init(&reader, &input, 1000);
    assert_int_equal(csv_read(&reader, &fixture->failure), CSV_ROW);
    csv_columns_free(&fixture->columns);
    bool ok = csv_columns_read(&fixture->columns, fixture->resource.resource, reader.fields,
                               reader.field_count, &fixture->failure);
    csv_reader_free(&reader);
    return ok;
}

static json_t *read_row(struct fixture *fixture, const char *row) {
    struct input input;
    struct csv_reader reader;
    input_from_text(&input, text_from_string(row));
    csv_reader_init(&reader, &input, 1000);
    assert_int_equal(csv_read(&reader, &fixture->failure), CSV_ROW);
    json_t *record =
        csv_columns_record(&fixture->columns, reader.fields, reader.field_count, &fixture->failure);
    csv_reader_free(&reader);
    return record;
}

static void assert_record(struct fixture *fixture, const char *row, const char *expected) {
    struct buffer out = {0};
    struct json_writer writer = json_writer_on(&out);
    json_t *record = read_row(fixture, row);
    assert_non_null(record);
    json_write_tree(&writer, record);
    assert_text_is(buffer_text(&out), expected);
    json_decref(record);
    buffer_free(&out);
}

static void fields_become_what_the_definition_says(void **state) {
    struct fixture *fixture = *state;
    assert_true(read_header(fixture, "title,amount,price,open,tags,extra"));
    assert_record(fixture, "5,5,5,true,\"[\"\"a\"\"]\",{}",
                  "{\"title\":\"5\",\"amount\":5,\"price\":5,\"open\":true,\"tags\":[\"a\"],"
                  "\"extra\":{}}");
    assert_record(fixture, "null,-1,1.5e3,FALSE,[],\"{\"\"a\"\":1}\"",
                  "{\"title\":\"null\",\"amount\":-1,\"price\":1500.0,\"open\":false,\"tags\":[],"
                  "\"extra\":{\"a\":1}}");
}

static void a_field_that_does_not_fit_is_left_to_validation(void **state) {
    struct fixture *fixture = *state;
    assert_true(read_header(fixture, "amount,open,tags"));
    assert_record(fixture, "many,yes,a", "{\"amount\":\"many\",\"open\":\"yes\",\"tags\":\"a\"}");
    assert_record(fixture, "99999999999999999999,1,{}",
                  "{\"amount\":\"99999999999999999999\",\"open\":\"1\",\"tags\":\"{}\"}");
    assert_record(fixture, "01, true ,\"[1,\"",
                  "{\"amount\":\"01\",\"open\":true,\"tags\":\"[1,\"}");
}

static void empty_without_quotes_is_absent(void **state) {
    struct fixture *fixture = *state;
    assert_true(read_header(fixture, "title,amount,store.city"));
    assert_record(fixture, ",,", "{}");
    assert_record(fixture, "\"\",,\"\"", "{\"title\":\"\",\"store\":{\"city\":\"\"}}");
    assert_record(fixture, ",\"\",", "{\"amount\":\"\"}");
}

static void quotes_make_a_string_where_there_is_a_choice(void **state) {
    struct fixture *fixture = *state;
    assert_true(read_header(fixture, "mixed.either,amount"));
    assert_record(fixture, "5,\"5\"", "{\"mixed\":{\"either\":5},\"amount\":5}");
    assert_record(fixture, "\"5\",5", "{\"mixed\":{\"either\":\"5\"},\"amount\":5}");
    assert_record(fixture, "five,5", "{\"mixed\":{\"either\":\"five\"},\"amount\":5}");
}

static void dots_lead_into_objects(void **state) {
    struct fixture *fixture = *state;
    assert_true(read_header(fixture, "store.spot.long,title,store.city,store.spot.lat"));
    assert_record(fixture, "2,t,c,1",
                  "{\"store\":{\"spot\":{\"long\":2,\"lat\":1},\"city\":\"c\"},\"title\":\"t\"}");
    assert_record(fixture, ",t,c,", "{\"title\":\"t\",\"store\":{\"city\":\"c\"}}");
    assert_true(read_header(fixture, "store"));
    assert_record(fixture, "\"{\"\"city\"\":\"\"c\"\"}\"", "{\"store\":{\"city\":\"c\"}}");
}

static void headers_that_do_not_fit_are_refused(void **state) {
    static const struct {
        const char *header;
        const char *says;
    } cases[] = {
        {"titel", "perhaps title is meant"},
        {"store.cty", "perhaps store.city is meant"},
        {"zzzzzzzz",
         "it has id, title, amount, price, open, mixed.either, tags, extra, store.city, "
         "store.spot.lat, store.spot.long"},
        {"title,title", "\"title\" is there twice"},
        {"store,store.city", "exclude each other"},
        {"store.spot.lat,store.spot", "exclude each other"},
        {"extra.a", "no property"},
        {"title.a", "no property"},
        {"title,", "no property"},
        {"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r."
         "s."
         "t.u.v.w.x.y.z.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z",
         "too many dots"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true_for(!read_header(fixture, cases[i].header), cases[i].header);
        assert_true_for(strstr(fixture->failure.detail, cases[i].says) != NULL,
                        fixture->failure.detail);
    }
    assert_true(read_header(fixture, " title ,secret"));
}

static void a_row_must_be_as_long_as_the_header(void **state) {
    struct fixture *fixture = *state;
    assert_true(read_header(fixture, "title,amount"));
    assert_null(read_row(fixture, "a"));
    assert_string_equal(fixture->failure.detail, "the row has 1 field, the header 2");
    assert_null(read_row(fixture, "a,1,"));
    assert_string_equal(fixture->failure.detail, "the row has 3 fields, the header 2");
}

static void what_is_not_utf8_is_refused(void **state) {
    struct fixture *fixture = *state;
    assert_true(read_header(fixture, "amount,title"));
    assert_null(read_row(fixture, "1,caf\xE9"));
    assert_string_equal(fixture->failure.detail, "the column \"title\" is not UTF-8");
    assert_null(read_row(fixture, "\xFF,x"));
}

static void records_are_written_so_that_they_read_back(void **state) {
    static const char *const records[] = {
        "{\"title\":\"a, \\\"b\\\"\\nc\",\"amount\":1,\"price\":1.5,\"open\":true}",
        "{\"title\":\"\",\"mixed\":{\"either\":\"5\"}}",
        ("{\"title\":\"x\",\"mixed\":{\"either\":5},\"tags\":[\"a\",\"b, c\"],"
         "\"extra\":{\"n\":null}}"),
        "{\"title\":\"x\",\"store\":{\"city\":\"\",\"spot\":{\"lat\":0.1,\"long\":-1}}}",
        "{\"title\":\"null\",\"extra\":{}}",
        "{\"title\":\"\xF0\x9F\x98\x80 \xD7\xA9\"}",
    };
    struct fixture *fixture = *state;
    assert_true(csv_columns_make(&fixture->columns, fixture->resource.resource, &fixture->failure));
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        struct buffer row = {0};
        json_t *record = json_read(text_from_string(records[i]), &fixture->failure);
        assert_non_null(record);
        csv_columns_write(&fixture->columns, record, &row);
        buffer_append_byte(&row, '\0');
        json_t *again = read_row(fixture, row.data);
        assert_non_null(again);
        assert_true_for(json_equal(record, again), row.data);
        json_decref(record);
        json_decref(again);
        buffer_free(&row);
    }
}

static void the_header_names_what_is_shown(void **state) {
    struct fixture *fixture = *state;
    struct buffer header = {0};
    assert_true(csv_columns_make(&fixture->columns, fixture->resource.resource, &fixture->failure));
    csv_columns_write_header(&fixture->columns, &header);
    assert_text_is(buffer_text(&header),
                   "id,title,amount,price,open,mixed.either,tags,extra,store.city,"
                   "store.spot.lat,store.spot.long\r\n");
    buffer_free(&header);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(fields_become_what_the_definition_says),
        TEST(a_field_that_does_not_fit_is_left_to_validation),
        TEST(empty_without_quotes_is_absent),
        TEST(quotes_make_a_string_where_there_is_a_choice),
        TEST(dots_lead_into_objects),
        TEST(headers_that_do_not_fit_are_refused),
        TEST(a_row_must_be_as_long_as_the_header),
        TEST(what_is_not_utf8_is_refused),
        TEST(records_are_written_so_that_they_read_back),
        TEST(the_header_names_what_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
