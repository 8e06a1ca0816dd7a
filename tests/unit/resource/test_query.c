#include "resource/cursor.h"
#include "resource/list_plan.h"
#include "unit/allocation.h"
#include "unit/resource/fixture.h"

static const char things[] = "required: [title]\n"
                             "properties:\n"
                             "  title: {type: string, maxLength: 100}\n"
                             "  rank: {type: integer}\n"
                             "  price: {type: string, format: decimal, scale: 2}\n"
                             "  ratio: {type: number}\n"
                             "  open: {type: boolean}\n"
                             "  due: {type: string, format: date-time}\n"
                             "  ref: {type: string, format: uuid}\n"
                             "  place: {type: object, properties: {city: {type: string}}}\n"
                             "  secret: {type: string, maxLength: 50, writeOnly: true}\n"
                             "  notes: {type: string}\n"
                             "  bulk: {type: string, maxLength: 1501}\n"
                             "  half: {type: string, maxLength: 1000}\n"
                             "  link: {type: string, format: uri, maxLength: 3000}\n"
                             "  size: {type: string, enum: [small, large]}\n"
                             "filters:\n"
                             "  status:\n"
                             "    late: due < now()\n"
                             "    early: due >= now()\n"
                             "    hidden: secret = 'x'\n";

// What a sort came to: "-due -id".
static const char *describe_sort(struct fixture *fixture, const struct query *query) {
    struct text out = TEXT("");
    for (size_t i = 0; i < query->sort_count; i++)
        out = arena_format(&fixture->arena, "%.*s%s%s%.*s", TEXT_ARGS(out), i ? " " : "",
                           query->sort[i].descending ? "-" : "",
                           TEXT_ARGS(query->sort[i].property->name));
    return out.data;
}

// What a selection came to: "title|id".
static const char *describe_selection(struct fixture *fixture, const struct selection *selection) {
    struct text out = TEXT("");
    for (size_t i = 0; i < selection->count; i++)
        out = arena_format(&fixture->arena, "%.*s%s%.*s", TEXT_ARGS(out),
                           i == selection->shown ? "|"
                           : i                   ? " "
                                                 : "",
                           TEXT_ARGS(selection->properties[i]->name));
    return out.data;
}

static void test_defaults(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    struct query query = fixture_query(&fixture, "");
    assert_ptr_equal(query.resource, fixture.resource);
    assert_null(query.filter);
    assert_int_equal(query.limit, 100);
    assert_false(query.has_offset);
    assert_false(query.count);
    assert_false(query.backward);
    assert_null(query.after);
    assert_string_equal(describe_sort(&fixture, &query), "id");
    assert_string_equal(describe_selection(&fixture, &query.selection),
                        "id title rank price ratio open due ref place notes bulk half link size");
    fixture_end(&fixture);
}

static void test_page(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    struct query query = fixture_query(&fixture, "limit=1&offset=9223372036854775807&count=true");
    assert_int_equal(query.limit, 1);
    assert_true(query.has_offset);
    assert_true(query.offset == INT64_MAX);
    assert_true(query.count);
    query = fixture_query(&fixture, "limit=1000&offset=0&count=false");
    assert_int_equal(query.limit, 1000);
    assert_true(query.has_offset);
    assert_false(query.count);
    fixture_end(&fixture);
}

static void test_sorts(void **state) {
    static const char *const cases[][2] = {
        {"sort=due", "due id"},
        {"sort=-due", "-due -id"},
        {"sort=-due,title", "-due title id"},
        {"sort=title,-due", "title -due -id"},
        {"sort= -due , title ", "-due title id"},
        {"sort=id", "id"},
        {"sort=-id", "-id"},
        // Nothing has the same key, so nothing behind it matters.
        {"sort=due,-id,title", "due -id"},
        {"sort=half,size,rank,price,ratio,open,due,ref",
         "half size rank price ratio open due ref id"},
        {"sort=link,size", "link size id"},
        // What the filter fixes is the same in all of the list.
        {"rank=5&sort=-rank,title", "title id"},
        {"sort=title,-rank&rank=5", "title -id"},
        {"sort=-rank&filter=5 = rank and open = true", "-id"},
        {"sort=-rank,open&filter=rank = null and due = null and open = true", "id"},
        {"sort=-rank&filter=rank = 5 or open = true", "-rank -id"},
        {"sort=-rank&filter=not rank = 5", "-rank -id"},
        {"sort=-rank&filter=rank != 5", "-rank -id"},
        {"sort=-open,rank&filter=open", "rank id"},
        {"sort=-open,rank&filter=not open", "-open rank id"},
        {"sort=rank&filter=rank in (5)", "rank id"},
        {"sort=rank&id=5", "rank id"},
    };
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct query query = fixture_query(&fixture, cases[i][0]);
        assert_string_equal(describe_sort(&fixture, &query), cases[i][1]);
    }
    fixture_end(&fixture);
}

static void test_selections(void **state) {
    static const char *const cases[][2] = {
        {"fields=title", "title|id"},
        {"fields=id", "id"},
        {"fields=rank,title,id", "id title rank"}, // in the definition's order
        {"fields= rank , title ", "title rank|id"},
        {"fields=place&sort=-due,title", "place|due title id"},
        {"fields=due&sort=-due", "due|id"},
    };
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct query query = fixture_query(&fixture, cases[i][0]);
        assert_string_equal(describe_selection(&fixture, &query.selection), cases[i][1]);
    }
    fixture_end(&fixture);
}

// "name=value" for a single record, as fixture_read has them for a list.
static bool read_record(struct fixture *fixture, const char *name, const char *value,
                        struct query *ret_query) {
    const struct parameter parameter = {text_from_string(name), text_from_string(value)};
    fixture->faults = (struct faults){.arena = &fixture->arena};
    fixture->failure = (struct failure){0};
    return query_read_record(fixture->resource, &parameter, 1, &fixture->arena, &fixture->faults,
                             ret_query, &fixture->failure);
}

static void test_fields_of_a_record(void **state) {
    struct fixture fixture;
    struct query query;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    assert_true(read_record(&fixture, "fields", "due,title", &query));
    assert_string_equal(describe_selection(&fixture, &query.selection), "title due");
    assert_int_equal(query.selection.shown, 2);
    assert_false(read_record(&fixture, "fields", "due,titel", &query));
    assert_int_equal(fixture.failure.code, FAILURE_INVALID_PARAMETER);
    assert_non_null(strstr(fixture.failure.detail, "titel"));
    assert_false(read_record(&fixture, "fields", "secret", &query));
    assert_null(strstr(fixture.failure.detail, "it takes secret"));
    assert_false(read_record(&fixture, "limit", "5", &query));
    assert_int_equal(fixture.failure.code, FAILURE_UNKNOWN_PARAMETER);
    fixture_end(&fixture);
}

static const char nodes[] = "key: code\n"
                            "properties:\n"
                            "  code: {type: string, maxLength: 20}\n"
                            "  name: {type: string}\n"
                            "  note: {type: string, writeOnly: true}\n"
                            "  parent: {type: string, references: nodes}\n"
                            "  twin: {type: string, references: nodes}\n"
                            "filters: {family: {named: parent.note = 'x'}}\n";

// What is embedded: "parent(code name parent twin) twin(…)".
static const char *describe_expansions(struct fixture *fixture, const struct query *query) {
    struct text out = TEXT("");
    for (size_t i = 0; i < query->expansions.count; i++) {
        const struct expansion *expansion = &query->expansions.items[i];
        const struct property *key = expansion->selection.properties[expansion->key];
        assert_ptr_equal(key, fixture->resource->key.property);
        out = arena_format(&fixture->arena, "%.*s%s%.*s(%s)", TEXT_ARGS(out), i ? " " : "",
                           TEXT_ARGS(expansion->property->name),
                           describe_selection(fixture, &expansion->selection));
    }
    return out.data;
}

static void test_expansions(void **state) {
    static const char *const cases[][3] = {
        {"expand=parent", "code name parent twin", "parent(code name parent twin)"},
        {"expand=twin, parent", "code name parent twin",
         "parent(code name parent twin) twin(code name parent twin)"},
        {"expand=twin&fields=name&sort=parent", "name|parent code twin",
         "twin(code name parent twin)"},
        {"sort=twin&expand=twin&fields=code", "code|twin", "twin(code name parent twin)"},
    };
    struct fixture fixture;
    fixture_begin(&fixture, "nodes", nodes, STORE_SQLITE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct query query = fixture_query(&fixture, cases[i][0]);
        assert_string_equal(describe_selection(&fixture, &query.selection), cases[i][1]);
        assert_string_equal(describe_expansions(&fixture, &query), cases[i][2]);
        assert_int_equal(query.seen_count, 1);
        assert_ptr_equal(query.seen[0], fixture.resource);
    }
    struct query plain = fixture_query(&fixture, "sort=twin");
    struct query query = fixture_query(&fixture, "sort=twin&expand=twin");
    assert_int_equal(plain.seen_count, 0);
    assert_true(text_equal(plain.arguments, query.arguments));
    assert_true(read_record(&fixture, "expand", "twin", &query));
    assert_string_equal(describe_selection(&fixture, &query.selection), "code name parent twin");
    assert_string_equal(describe_expansions(&fixture, &query), "twin(code name parent twin)");
    assert_false(read_record(&fixture, "expand", "name", &query));
    assert_string_equal(fixture.failure.detail,
                        "expand: 'name' refers to nothing; it takes parent, twin");
    fixture_end(&fixture);
}

// Whose records a client asked to see something of: not where the definition asks.
static void test_what_filters_see(void **state) {
    static const struct {
        const char *parameters;
        size_t seen;
    } cases[] = {
        {"filter=parent = 'x'", 0},
        {"filter=parent.code = 'x'", 0},
        {"filter=parent.name = 'x'", 1},
        {"filter=name = 'a' or not twin.name < parent.name", 1},
        {"family=named", 0},
        {"family=named&filter=parent.name is null", 1},
        {"filter=parent.name = 'x' and false", 0},
    };
    struct fixture fixture;
    fixture_begin(&fixture, "nodes", nodes, STORE_SQLITE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct query query = fixture_query(&fixture, cases[i].parameters);
        assert_true_for(query.seen_count == cases[i].seen, cases[i].parameters);
    }
    fixture_end(&fixture);
}

static void test_filters_are_joined(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    struct query query = fixture_query(&fixture, "rank=5&status=late&filter=open = true");
    struct value value;
    assert_non_null(query.filter);
    assert_true(query_fixes(query.filter, fixture_property(&fixture, "rank"), &value));
    assert_int_equal(value.integer, 5);
    assert_true(query_fixes(query.filter, fixture_property(&fixture, "open"), &value));
    assert_true(value.boolean);
    assert_false(query_fixes(query.filter, fixture_property(&fixture, "due"), &value));
    fixture_end(&fixture);
}

static void test_values_of_properties(void **state) {
    static const struct {
        const char *parameters;
        const char *name;
        enum value_kind kind;
    } cases[] = {
        {"title=", "title", VALUE_TEXT},
        {"title=null", "title", VALUE_TEXT},
        {"rank=-9223372036854775808", "rank", VALUE_INTEGER},
        {"price=12.5", "price", VALUE_DECIMAL},
        {"ratio=1e3", "ratio", VALUE_REAL},
        {"open=false", "open", VALUE_BOOLEAN},
        {"due=2016-08-05T08:40:51Z", "due", VALUE_TIMESTAMP},
        {"ref=01890A5D-AC96-774B-BCCE-B302099A8057", "ref", VALUE_UUID},
        {"id=7", "id", VALUE_INTEGER},
    };
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct query query = fixture_query(&fixture, cases[i].parameters);
        struct value value = value_null();
        assert_true_for(
            query_fixes(query.filter, fixture_property(&fixture, cases[i].name), &value),
            cases[i].parameters);
        assert_int_equal(value.kind, cases[i].kind);
    }
    fixture_end(&fixture);
}

static void test_refusals(void **state) {
    static const struct {
        const char *parameters;
        const char *pointer;
        const char *detail; // a part of it
        enum failure_code code;
    } cases[] = {
        {"limit=0", "limit", "1 to 1000", FAILURE_INVALID_PARAMETER},
        {"limit=1001", "limit", "1 to 1000", FAILURE_INVALID_PARAMETER},
        {"limit=-1", "limit", "1 to 1000", FAILURE_INVALID_PARAMETER},
        {"limit=", "limit", "1 to 1000", FAILURE_INVALID_PARAMETER},
        {"limit=1.0", "limit", "1 to 1000", FAILURE_INVALID_PARAMETER},
        {"limit=99999999999999999999", "limit", "1 to 1000", FAILURE_INVALID_PARAMETER},
        {"offset=-1", "offset", "integer", FAILURE_INVALID_PARAMETER},
        {"offset=9223372036854775808", "offset", "integer", FAILURE_INVALID_PARAMETER},
        {"offset=x", "offset", "integer", FAILURE_INVALID_PARAMETER},
        {"count=1", "count", "true or false", FAILURE_INVALID_PARAMETER},
        {"count=TRUE", "count", "true or false", FAILURE_INVALID_PARAMETER},
        {"count=", "count", "true or false", FAILURE_INVALID_PARAMETER},
        {"sort=", "sort", "no property here", FAILURE_INVALID_PARAMETER},
        {"sort=due,", "sort", "no property here", FAILURE_INVALID_PARAMETER},
        {"sort=-", "sort", "no property here", FAILURE_INVALID_PARAMETER},
        {"sort=--due", "sort", "'-due' is no property", FAILURE_INVALID_PARAMETER},
        {"sort=duo", "sort", "it takes id, title, rank", FAILURE_INVALID_PARAMETER},
        {"sort=due,-due", "sort", "'due' is named twice", FAILURE_INVALID_PARAMETER},
        {"sort=place", "sort", "'place' has no order", FAILURE_INVALID_PARAMETER},
        {"sort=place.city", "sort", "no property", FAILURE_INVALID_PARAMETER},
        {"sort=secret", "sort", "'secret' is no property here", FAILURE_INVALID_PARAMETER},
        {"sort=notes", "sort", "'notes' is too long", FAILURE_INVALID_PARAMETER},
        {"sort=bulk", "sort", "'bulk' is too long", FAILURE_INVALID_PARAMETER},
        {"sort=half,link", "sort", "6000 bytes", FAILURE_INVALID_PARAMETER},
        {"sort=half,size,rank,price,ratio,open,due,ref,title", "sort", "at most 8",
         FAILURE_INVALID_PARAMETER},
        {"fields=", "fields", "no property here", FAILURE_INVALID_PARAMETER},
        {"fields=title,", "fields", "no property here", FAILURE_INVALID_PARAMETER},
        {"fields=title,title", "fields", "named twice", FAILURE_INVALID_PARAMETER},
        {"fields=secret", "fields", "no property here", FAILURE_INVALID_PARAMETER},
        {"fields=place.city", "fields", "no property here", FAILURE_INVALID_PARAMETER},
        {"status=soon", "status", "must be one of: late, early, hidden", FAILURE_INVALID_PARAMETER},
        {"status=", "status", "must be one of", FAILURE_INVALID_PARAMETER},
        {"rank=x", "rank", "rank", FAILURE_INVALID_PARAMETER},
        {"rank=", "rank", "rank", FAILURE_INVALID_PARAMETER},
        {"open=1", "open", "open", FAILURE_INVALID_PARAMETER},
        {"due=yesterday", "due", "due", FAILURE_INVALID_PARAMETER},
        {"price=1.234", "price", "price", FAILURE_INVALID_PARAMETER},
        {"id=x", "id", "id", FAILURE_INVALID_PARAMETER},
        {"filter=", "filter", "filter", FAILURE_INVALID_FILTER},
        {"filter=rank = 'x'", "filter", "filter", FAILURE_INVALID_FILTER},
        {"filter=secret = 'x'", "filter", "filter", FAILURE_INVALID_FILTER},
        {"filter=rank", "filter", "filter", FAILURE_INVALID_FILTER},
        {"place=x", "place", "no parameter here", FAILURE_UNKNOWN_PARAMETER},
        {"secret=x", "secret", "no parameter here", FAILURE_UNKNOWN_PARAMETER},
        {"expand=x", "expand", "no property here; it takes nothing", FAILURE_INVALID_PARAMETER},
        {"Limit=5", "Limit", "did you mean limit?", FAILURE_UNKNOWN_PARAMETER},
        {"=5", "", "no parameter here", FAILURE_UNKNOWN_PARAMETER},
        {"limit=5&limit=5", "limit", "more than once", FAILURE_INVALID_PARAMETER},
        {"rank=5&rank=6", "rank", "more than once", FAILURE_INVALID_PARAMETER},
        {"filter=rank = 1&filter=rank = 1", "filter", "more than once", FAILURE_INVALID_PARAMETER},
        {"cursor=x", "cursor", "cursor was altered", FAILURE_INVALID_CURSOR},
        {"cursor=", "cursor", "cursor was altered", FAILURE_INVALID_CURSOR},
        {"cursor=x&offset=0", "cursor", "exclude", FAILURE_INVALID_PARAMETER},
    };
    struct fixture fixture;
    struct query query = {0};
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *parameters = cases[i].parameters;
        assert_true_for(!fixture_read(&fixture, parameters, &query), parameters);
        assert_true_for(fixture.failure.code == cases[i].code, parameters);
        assert_true_for(fixture.faults.count == 1, parameters);
        assert_text_is(fixture.faults.items[0].pointer, cases[i].pointer);
        if (!strstr(fixture.faults.items[0].detail.data, cases[i].detail))
            print_error("%s: %s\n", parameters, fixture.faults.items[0].detail.data);
        assert_non_null(strstr(fixture.faults.items[0].detail.data, cases[i].detail));
    }
    assert_null(query.resource); // untouched
    fixture_end(&fixture);
}

static void test_what_does_not_fit_is_named_once(void **state) {
    struct fixture fixture;
    struct query query;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    assert_false(fixture_read(&fixture, "open=1", &query));
    assert_text_is(fixture.faults.items[0].detail, "open must be true or false");
    fixture_end(&fixture);
}

static void test_unknown_parameters_name_those_that_exist(void **state) {
    struct fixture fixture;
    struct query query;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    assert_false(fixture_read(&fixture, "stats=late&color=red", &query));
    assert_int_equal(fixture.faults.count, 2);
    assert_text_is(
        fixture.faults.items[0].detail,
        "'stats' is no parameter here; did you mean status?; there are filter, sort, "
        "limit, offset, cursor, fields, expand, count, status, id, title, rank, price, ratio, "
        "open, due, ref, notes, bulk, half, link, size");
    assert_text_is(fixture.faults.items[1].detail, "'color' is no parameter here");
    fixture_end(&fixture);
}

static void test_all_faults_at_once(void **state) {
    struct fixture fixture;
    struct query query;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    assert_false(fixture_read(
        &fixture, "limit=0&sort=duo,title,dua&rank=x&filter=(&bogus=1&cursor=x&offset=-1", &query));
    assert_int_equal(fixture.failure.code, FAILURE_INVALID_PARAMETER);
    static const char *const pointers[] = {"limit",  "sort",  "sort",   "rank",
                                           "filter", "bogus", "offset", "cursor"};
    assert_int_equal(fixture.faults.count, sizeof pointers / sizeof *pointers);
    for (size_t i = 0; i < fixture.faults.count; i++)
        assert_text_is(fixture.faults.items[i].pointer, pointers[i]);
    assert_non_null(strstr(fixture.failure.detail, "limit"));
    fixture_end(&fixture);
}

// A request full of nonsense is given up before it costs much.
static void test_faults_are_bounded(void **state) {
    struct fixture fixture;
    struct query query;
    struct buffer fields = {0};
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    buffer_append_string(&fields, "sort=-due&fields=title");
    for (size_t i = 0; i < 5000; i++)
        buffer_append_string(&fields, ",x");
    buffer_append_byte(&fields, '\0');
    assert_false(fixture_read(&fixture, fields.data, &query));
    assert_int_equal(fixture.faults.count, FAULTS_MAX);
    buffer_free(&fields);
    fixture_end(&fixture);
}

static struct text arguments(struct fixture *fixture, const char *parameters) {
    struct query query = fixture_query(fixture, parameters);
    assert_non_null(query.arguments.data);
    return query.arguments;
}

static void test_arguments(void **state) {
    static const struct {
        const char *a;
        const char *b;
        bool same;
    } cases[] = {
        {"", "limit=5&fields=title&count=true&offset=7", true},
        {"", "sort=id", true},
        {"", "sort=-id", false},
        {"", "sort=due", false},
        {"sort=due", "sort=-due", false},
        {"sort=due", "sort=due,id", true},
        {"sort=due", "sort=due,-id", false},
        {"rank=5&open=true", "open=true&rank=5", true},
        {"rank=5", "rank=6", false},
        {"rank=5", "filter=rank = 5", false},
        {"status=late", "status=early", false},
        {"title=x&size=y", "title=xsize=y", false},
        {"filter=rank = 5", "filter=rank = 6", false},
    };
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true_for(text_equal(arguments(&fixture, cases[i].a),
                                   arguments(&fixture, cases[i].b)) == cases[i].same,
                        cases[i].b);
    struct text here = arguments(&fixture, "");
    struct fixture other;
    fixture_begin(&other, "others", things, STORE_SQLITE);
    assert_false(text_equal(here, arguments(&other, "")));
    fixture_end(&other);
    fixture_end(&fixture);
}

// What a list belongs to is part of its filter, and of what its cursors are tied to.
static void test_scopes(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    const struct property *title = resource_property(fixture.resource, TEXT("title"));
    struct query_scope scopes[] = {{.resource = fixture.resource, .name = TEXT("a")},
                                   {.resource = fixture.resource, .name = TEXT("b")}};
    struct query queries[2];
    const struct parameter rank = {TEXT("rank"), TEXT("5")};
    fixture.faults.arena = &fixture.arena;
    for (size_t i = 0; i < 2; i++) {
        struct value value;
        scopes[i].filter =
            expression_equal(&fixture.arena, title, value_text(VALUE_TEXT, scopes[i].name));
        assert_true(query_read_within(&scopes[i], &rank, 1, fixture_key, &fixture.arena,
                                      &fixture.faults, &queries[i], &fixture.failure));
        assert_true(query_fixes(queries[i].filter, title, &value));
        assert_text_is(value.text, i ? "b" : "a");
        assert_true(query_fixes(queries[i].filter,
                                resource_property(fixture.resource, TEXT("rank")), &value));
    }
    assert_false(text_equal(queries[0].arguments, queries[1].arguments));
    assert_false(text_equal(queries[0].arguments, arguments(&fixture, "rank=5")));
    fixture_end(&fixture);
}

static bool read_stream(struct fixture *fixture, const char *name, struct text value,
                        struct query *ret_query) {
    const struct query_scope scope = {.resource = fixture->resource, .is_stream = true};
    const struct parameter parameter = {text_from_string(name), value};
    fixture->faults = (struct faults){.arena = &fixture->arena};
    fixture->failure = (struct failure){0};
    return query_read_within(&scope, &parameter, 1, fixture_key, &fixture->arena, &fixture->faults,
                             ret_query, &fixture->failure);
}

// A stream's limit is of the whole, and only the next page's cursor leads into it.
static void test_streams(void **state) {
    static const struct {
        const char *limit;
        uint64_t whole; // 0: it is none
    } limits[] = {{"1", 1},   {"1001", 1001}, {"9223372036854775807", INT64_MAX},
                  {"0", 0},   {"-1", 0},      {"9223372036854775808", 0},
                  {"1.0", 0}, {"", 0}};
    struct fixture fixture;
    struct query query = {0};
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        bool done = read_stream(&fixture, "limit", text_from_string(limits[i].limit), &query);
        assert_true_for(done == (limits[i].whole > 0), limits[i].limit);
        if (done)
            assert_true_for(query.whole == limits[i].whole, limits[i].limit);
        else
            assert_int_equal(fixture.failure.code, FAILURE_INVALID_PARAMETER);
    }
    assert_true(read_stream(&fixture, "offset", TEXT("5000"), &query));
    assert_true(query.whole == UINT64_MAX);
    const struct value cells[16] = {value_integer(42)};
    for (unsigned backward = 0; backward < 2; backward++) {
        struct text cursor = query_cursor(&query, cells, backward, fixture_key, &fixture.arena);
        assert_int_equal(read_stream(&fixture, "cursor", cursor, &query), !backward);
        assert_int_equal(fixture.failure.code, backward ? FAILURE_INVALID_CURSOR : FAILURE_NONE);
    }
    fixture_end(&fixture);
}

// It stays when the row that it is of is gone.
static void test_positions(void **state) {
    char title[] = "a title";
    char due[] = "2016-08-05T08:40:51.620Z";
    struct fixture fixture;
    const struct value cells[] = {value_text(VALUE_TEXT, text_from_string(title)),
                                  value_text(VALUE_TIMESTAMP, text_from_string(due)),
                                  value_integer(42)};
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    struct query query = fixture_query(&fixture, "sort=-due&fields=title");
    const struct value *position = query_position(&query, cells, &fixture.arena);
    memset(due, 'x', sizeof due);
    assert_text_is(position[0].text, "2016-08-05T08:40:51.620Z");
    assert_int_equal(position[1].integer, 42);
    fixture_end(&fixture);
}

// The cursor of a row of "title|due id" opens in a request that differs only in shape.
static void test_cursors(void **state) {
    struct fixture fixture;
    const struct value cells[] = {value_text(VALUE_TEXT, TEXT("a title")),
                                  value_text(VALUE_TIMESTAMP, TEXT("2016-08-05T08:40:51.620Z")),
                                  value_integer(42)};
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    struct query query = fixture_query(&fixture, "sort=-due&fields=title&open=true");
    for (unsigned backward = 0; backward < 2; backward++) {
        struct text cursor = query_cursor(&query, cells, backward, fixture_key, &fixture.arena);
        struct text next = arena_format(&fixture.arena, "cursor=%.*s&limit=7&open=true&sort=-due",
                                        TEXT_ARGS(cursor));
        struct query page = fixture_query(&fixture, next.data);
        assert_int_equal(page.backward, backward);
        assert_non_null(page.after);
        assert_text_is(page.after[0].text, "2016-08-05T08:40:51.620Z");
        assert_int_equal(page.after[1].integer, 42);
        static const char *const others[] = {"sort=-due", "sort=-due&open=false",
                                             "sort=due&open=true", "open=true"};
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
            next = arena_format(&fixture.arena, "%s&cursor=%.*s", others[i], TEXT_ARGS(cursor));
            assert_true_for(!fixture_read(&fixture, next.data, &page), others[i]);
            assert_int_equal(fixture.failure.code, FAILURE_INVALID_CURSOR);
        }
    }
    fixture_end(&fixture);
}

// The longest strings that may be sorted by make a cursor that fits into a request.
static void test_longest_cursor(void **state) {
    struct fixture fixture;
    struct buffer characters = {0};
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    for (size_t i = 0; i < 1000; i++)
        buffer_append_string(&characters, "\xF0\x9F\x8C\x8D");
    struct query query = fixture_query(&fixture, "sort=half&fields=half");
    const struct value cells[] = {value_text(VALUE_TEXT, buffer_text(&characters)),
                                  value_integer(INT64_MAX)};
    struct text cursor = query_cursor(&query, cells, false, fixture_key, &fixture.arena);
    assert_true(cursor.size > 0 && cursor.size < 8192);
    buffer_free(&characters);
    fixture_end(&fixture);
}

static void test_many_filters(void **state) {
    struct fixture fixture;
    struct buffer yaml = {0};
    struct buffer parameters = {0};
    struct parameter *items;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    fixture_end(&fixture);
    buffer_append_string(&yaml, "properties:\n");
    for (size_t i = 0; i < 250; i++)
        buffer_format(&yaml, "  p%zu: {type: integer}\n", i);
    buffer_append_byte(&yaml, '\0');
    fixture_begin(&fixture, "things", yaml.data, STORE_SQLITE);
    items = arena_allocate_zero(&fixture.arena, 250, sizeof *items);
    for (size_t i = 0; i < 250; i++)
        items[i] = (struct parameter){arena_format(&fixture.arena, "p%zu", i), TEXT("5")};
    struct query query;
    fixture.faults = (struct faults){.arena = &fixture.arena};
    assert_true(query_read(fixture.resource, items, 250, fixture_key, &fixture.arena,
                           &fixture.faults, &query, &fixture.failure));
    struct value value;
    assert_true(query_fixes(query.filter, fixture_property(&fixture, "p249"), &value));
    struct call call;
    assert_true(plan_list(fixture.plan, &query, 0, &fixture.arena, &call));
    assert_int_equal(call.parameter_count, 251);
    buffer_free(&yaml);
    buffer_free(&parameters);
    fixture_end(&fixture);
}

static void test_out_of_memory(void **state) {
    static const char *const cases[] = {
        "sort=-due,title&fields=title&rank=5&status=late&filter=open = true and rank < 9",
        "sort=duo&fields=x&rank=x&status=x&bogus=1&filter=(",
    };
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    for (size_t i = 0; i < 2; i++) {
        for (ALLOCATION_FAILURES(nth)) {
            struct query query = {0};
            bool done = fixture_read(&fixture, cases[i], &query);
            bool failed = allocation_allow();
            if (failed)
                assert_true_for(!done && (fixture.failure.code == FAILURE_OUT_OF_MEMORY ||
                                          fixture.faults.out_of_memory),
                                cases[i]);
            else
                assert_int_equal(done, i == 0);
            if (!failed)
                break;
        }
    }
    fixture_end(&fixture);
}

static void test_out_of_memory_while_expanding(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "nodes", nodes, STORE_SQLITE);
    for (ALLOCATION_FAILURES(nth)) {
        struct query query = {0};
        bool done = fixture_read(&fixture,
                                 "expand=twin,parent&fields=name&filter=parent.name = 'a'", &query);
        bool failed = allocation_allow();
        assert_int_equal(done, !failed);
        if (!failed)
            break;
        assert_int_equal(fixture.failure.code, FAILURE_OUT_OF_MEMORY);
    }
    fixture_end(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_sorts),
        cmocka_unit_test(test_selections),
        cmocka_unit_test(test_fields_of_a_record),
        cmocka_unit_test(test_expansions),
        cmocka_unit_test(test_what_filters_see),
        cmocka_unit_test(test_filters_are_joined),
        cmocka_unit_test(test_values_of_properties),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_what_does_not_fit_is_named_once),
        cmocka_unit_test(test_unknown_parameters_name_those_that_exist),
        cmocka_unit_test(test_all_faults_at_once),
        cmocka_unit_test(test_faults_are_bounded),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_cursors),
        cmocka_unit_test(test_longest_cursor),
        cmocka_unit_test(test_many_filters),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_out_of_memory_while_expanding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
