#include "resource/list_plan.h"

#include "unit/allocation.h"
#include "unit/resource/fixture.h"
#include "unit/resource/plan_things.h"

static struct call list(struct fixture *fixture, const char *parameters, const struct value *after,
                        bool backward) {
    struct query query = fixture_query(fixture, parameters);
    struct call call = {0};
    query.after = after;
    query.backward = backward;
    assert_true(plan_list(fixture->plan, &query, 0, &fixture->arena, &call));
    size_t embedded = 0;
    for (size_t i = 0; i < query.expansions.count; i++)
        embedded += query.expansions.items[i].selection.count;
    assert_int_equal(call.statement->column_count, query.selection.count + embedded);
    assert_int_equal(call.expect, EXPECT_ANY);
    return call;
}

static void assert_list(struct fixture *fixture, const char *parameters, const char *sql) {
    assert_text_is(list(fixture, parameters, NULL, false).statement->sql, sql);
}

static void test_lists(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    assert_list(&fixture, "", "SELECT " COLUMNS FROM " ORDER BY \"id\" ASC LIMIT ?1");
    assert_list(&fixture, "sort=-id", "SELECT " COLUMNS FROM " ORDER BY \"id\" DESC LIMIT ?1");
    assert_list(&fixture, "sort=-due,title",
                "SELECT " COLUMNS FROM
                " ORDER BY \"due\" DESC, \"title\" ASC, \"id\" ASC LIMIT ?1");
    assert_list(&fixture, "fields=notes,title&sort=-rank",
                "SELECT \"title\", \"notes\", \"rank\", \"id\"" FROM
                " ORDER BY \"rank\" DESC, \"id\" DESC LIMIT ?1");
    assert_list(&fixture, "offset=20&limit=10",
                "SELECT " COLUMNS FROM " ORDER BY \"id\" ASC LIMIT ?1 OFFSET ?2");
    assert_list(&fixture, "offset=0", "SELECT " COLUMNS FROM " ORDER BY \"id\" ASC LIMIT ?1");
    fixture_end(&fixture);
}

static void test_limit_is_one_more(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    struct call call = list(&fixture, "limit=10&offset=20", NULL, false);
    assert_int_equal(call.parameter_count, 2);
    assert_int_equal(call.parameters[0].integer, 11);
    assert_int_equal(call.parameters[1].integer, 20);
    fixture_end(&fixture);
}

static void test_filters(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    struct call call = list(&fixture, "rank=5&filter=open = true or due is null", NULL, false);
    assert_text_is(call.statement->sql,
                   "SELECT " COLUMNS FROM " WHERE (\"rank\" = ?1 AND (\"open\" = ?2 OR "
                   "\"due\" IS NULL)) ORDER BY \"id\" ASC LIMIT ?3");
    assert_int_equal(call.parameter_count, 3);
    assert_int_equal(call.parameters[0].integer, 5);
    struct query query = fixture_query(&fixture, "rank=5&sort=due&limit=3&count=true");
    assert_true(plan_count(fixture.plan, &query, 0, &fixture.arena, &call));
    assert_text_is(call.statement->sql, "SELECT count(*)" FROM " WHERE \"rank\" = ?1");
    assert_int_equal(call.parameter_count, 1);
    assert_int_equal(call.statement->column_count, 1);
    query = fixture_query(&fixture, "count=true");
    assert_true(plan_count(fixture.plan, &query, 0, &fixture.arena, &call));
    assert_text_is(call.statement->sql, "SELECT count(*)" FROM);
    fixture_end(&fixture);
}

static void test_positions(void **state) {
    struct fixture fixture;
    const struct value at_5_7[] = {value_integer(5), value_integer(7)};
    const struct value at_null_7[] = {value_null(), value_integer(7)};
    const struct value *at_7 = &at_5_7[1];
    static const struct {
        const char *parameters;
        bool null;
        bool backward;
        const char *sql;
    } cases[] = {
        {"", false, false, "SELECT \"id\"" FROM " WHERE \"id\" > ?1 ORDER BY \"id\" ASC LIMIT ?2"},
        {"", false, true, "SELECT \"id\"" FROM " WHERE \"id\" < ?1 ORDER BY \"id\" DESC LIMIT ?2"},
        {"sort=-id", false, true,
         "SELECT \"id\"" FROM " WHERE \"id\" > ?1 ORDER BY \"id\" ASC LIMIT ?2"},
        {"sort=rank", false, false,
         "SELECT * FROM (SELECT \"id\", \"rank\"" FROM
         " WHERE \"rank\" = ?1 AND \"id\" > ?2 ORDER BY \"id\" ASC LIMIT ?3) AS part "
         "UNION ALL SELECT * FROM (SELECT \"id\", \"rank\"" FROM
         " WHERE \"rank\" > ?1 ORDER BY \"rank\" ASC, \"id\" ASC LIMIT ?3) AS part LIMIT ?3"},
        {"sort=rank", true, false,
         "SELECT * FROM (SELECT \"id\", \"rank\"" FROM
         " WHERE \"rank\" IS NULL AND \"id\" > ?1 ORDER BY \"id\" ASC LIMIT ?2) AS part "
         "UNION ALL SELECT * FROM (SELECT \"id\", \"rank\"" FROM
         " WHERE \"rank\" IS NOT NULL ORDER BY \"rank\" ASC, \"id\" ASC LIMIT ?2) AS part LIMIT "
         "?2"},
        {"sort=-rank", false, false,
         "SELECT * FROM (SELECT \"id\", \"rank\"" FROM
         " WHERE \"rank\" = ?1 AND \"id\" < ?2 ORDER BY \"id\" DESC LIMIT ?3) AS part "
         "UNION ALL SELECT * FROM (SELECT \"id\", \"rank\"" FROM
         " WHERE \"rank\" < ?1 ORDER BY \"rank\" DESC, \"id\" DESC LIMIT ?3) AS part "
         "UNION ALL SELECT * FROM (SELECT \"id\", \"rank\"" FROM
         " WHERE \"rank\" IS NULL ORDER BY \"id\" DESC LIMIT ?3) AS part LIMIT ?3"},
        // Nothing comes behind the nulls of a descending order but more of them.
        {"sort=-rank", true, false,
         "SELECT \"id\", \"rank\"" FROM
         " WHERE \"rank\" IS NULL AND \"id\" < ?1 ORDER BY \"id\" DESC LIMIT ?2"},
        {"sort=-rank", true, true,
         "SELECT * FROM (SELECT \"id\", \"rank\"" FROM
         " WHERE \"rank\" IS NULL AND \"id\" > ?1 ORDER BY \"id\" ASC LIMIT ?2) AS part "
         "UNION ALL SELECT * FROM (SELECT \"id\", \"rank\"" FROM
         " WHERE \"rank\" IS NOT NULL ORDER BY \"rank\" ASC, \"id\" ASC LIMIT ?2) AS part LIMIT "
         "?2"},
    };
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *parameters = cases[i].parameters;
        struct text all =
            arena_format(&fixture.arena, "%s%sfields=id", parameters, *parameters ? "&" : "");
        const struct value *position = strstr(parameters, "rank") ? at_5_7 : at_7;
        struct call call =
            list(&fixture, all.data, cases[i].null ? at_null_7 : position, cases[i].backward);
        assert_text_is(call.statement->sql, cases[i].sql);
    }
    fixture_end(&fixture);
}

// The filter stands in every part, and is bound once.
static void test_position_with_filter(void **state) {
    struct fixture fixture;
    const struct value position[] = {value_integer(5), value_integer(7)};
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    struct call call =
        list(&fixture, "sort=rank&fields=id&filter=contains(notes, 'x') and open = true", position,
             false);
    assert_text_is(call.statement->sql,
                   "SELECT * FROM (SELECT \"id\", \"rank\"" FROM
                   " WHERE (instr(\"notes\", ?1) > 0 AND \"open\" = ?2) AND \"rank\" = ?3 AND "
                   "\"id\" > ?4 ORDER BY \"id\" ASC LIMIT ?5) AS part "
                   "UNION ALL SELECT * FROM (SELECT \"id\", \"rank\"" FROM
                   " WHERE (instr(\"notes\", ?1) > 0 AND \"open\" = ?2) AND \"rank\" > ?3 "
                   "ORDER BY \"rank\" ASC, \"id\" ASC LIMIT ?5) AS part LIMIT ?5");
    assert_int_equal(call.parameter_count, 5);
    fixture_end(&fixture);
}

static void test_position_on_postgres(void **state) {
    struct fixture fixture;
    const struct value position[] = {value_integer(5), value_integer(7)};
    fixture_begin(&fixture, "things", things, STORE_POSTGRES);
    struct call call = list(&fixture, "sort=-rank&fields=id", position, false);
    assert_text_is(call.statement->sql,
                   "SELECT * FROM (SELECT \"id\", \"rank\"" FROM
                   " WHERE \"rank\" = $1::bigint AND \"id\" < $2::bigint "
                   "ORDER BY \"rank\" DESC NULLS LAST, \"id\" DESC "
                   "LIMIT $3::bigint) AS part UNION ALL SELECT * FROM (SELECT \"id\", \"rank\"" FROM
                   " WHERE \"rank\" < $1::bigint ORDER BY \"rank\" DESC NULLS LAST, \"id\" DESC "
                   "LIMIT $3::bigint) AS part UNION ALL SELECT * FROM (SELECT \"id\", \"rank\"" FROM
                   " WHERE \"rank\" IS NULL ORDER BY \"rank\" DESC NULLS LAST, \"id\" DESC "
                   "LIMIT $3::bigint) AS part "
                   "ORDER BY \"rank\" DESC NULLS LAST, \"id\" DESC LIMIT $3::bigint");
    fixture_end(&fixture);
}

static void test_which_lists_are_short(void **state) {
    static const struct {
        const char *parameters;
        bool is_short;
    } cases[] = {
        {"", true},
        {"sort=-id&limit=1000", true},
        {"offset=1000", true},
        {"offset=1001", false},
        {"count=true", false},
        {"sort=due", true},
        {"sort=-due", true},
        {"sort=due,-id", false},
        {"sort=title", true}, // unique, and required
        {"sort=rank", false}, // the index goes on with the title
        {"sort=rank,title", true},
        {"sort=-rank,-title", true},
        {"sort=rank,-title", false},
        {"sort=rank,title,-id", false},
        {"sort=notes", false},
        {"title=x", true},
        {"title=x&sort=notes", true},
        {"title=x&filter=contains(notes, 'x')", true},
        {"id=5&sort=notes", true},
        {"filter=contains(notes, 'x')", false},
        {"filter=startsWith(title, 'x')", false},
        {"open=true", true},
        {"filter=open", true},
        {"filter=open&sort=due", false},
        {"filter=not open", false},
        {"open=true&sort=-id", true},
        {"open=true&sort=due", false},
        {"open=true&sort=open", true},
        {"filter=open = true and due is null", false}, // no index begins with both
        {"filter=rank is null&sort=title", true},
        {"filter=rank is not null&sort=rank,title", false},
        {"filter=open = true or open = false", false},
        {"filter=not open = true", false},
        {"filter=open != true", false},
        {"rank=5", false},
        {"rank=5&sort=title", true},
        {"rank=5&sort=-title", true},
        {"rank=5&open=true&sort=title", false},
        {"filter='x' = title", true},
        {"filter=due = null", true},
        {"notes=x", false},
        {"filter=rank > 5&sort=rank,title", false},
    };
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct query query = fixture_query(&fixture, cases[i].parameters);
        assert_true_for(plan_list_is_short(&query) == cases[i].is_short, cases[i].parameters);
    }
    fixture_end(&fixture);
}

// The filter may say anything: what counts is whether a page must sort all that it lets through.
static void test_which_orders_are_indexed(void **state) {
    static const struct {
        const char *parameters;
        bool is_indexed;
    } cases[] = {
        {"", true},
        {"sort=-id", true},
        {"offset=5000&count=true", true},
        {"filter=contains(notes, 'x')", true},
        {"sort=due&filter=contains(notes, 'x')", true},
        {"sort=-due&filter=due < now()", true},
        {"sort=title&rank=5", true},
        {"sort=title&rank=5&filter=open = true or notes = 'x'", true},
        {"sort=-rank,-title&open=true&notes=x", true},
        {"sort=rank,-title", false},
        {"sort=rank", false}, // the index goes on with the title
        {"sort=title,rank", false},
        {"sort=due,-id", false},
        {"sort=notes", false},
        {"sort=notes&notes=x", true}, // nothing is left of it
        {"sort=notes&filter=title = 'x' or title = 'y'", false},
        {"sort=notes&title=x", true}, // there is at most one
        {"sort=notes&id=5", true},
        {"sort=open,due", false},
        {"sort=-open", true},
    };
    struct fixture fixture;
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct query query = fixture_query(&fixture, cases[i].parameters);
        assert_true_for(plan_order_is_indexed(&query) == cases[i].is_indexed, cases[i].parameters);
        assert_true_for(!plan_list_is_short(&query) || cases[i].is_indexed, cases[i].parameters);
    }
    fixture_end(&fixture);
}

// A null is not equal to another in a unique index, so there may be many records.
static void test_null_is_not_unique(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "things",
                  "properties:\n  code: {type: string, maxLength: 9}\n"
                  "  notes: {type: string, maxLength: 9}\nunique: [[code]]\n",
                  STORE_SQLITE);
    struct query query = fixture_query(&fixture, "filter=code = null&sort=notes");
    assert_false(plan_list_is_short(&query));
    query = fixture_query(&fixture, "filter=code = 'x'&sort=notes");
    assert_true(plan_list_is_short(&query));
    // Ties among nulls would have to be sorted.
    query = fixture_query(&fixture, "sort=code");
    assert_false(plan_list_is_short(&query));
    assert_false(plan_order_is_indexed(&query));
    fixture_end(&fixture);
}

static const char nodes[] = "key: code\n"
                            "properties:\n"
                            "  code: {type: string, maxLength: 20}\n"
                            "  parent: {type: string, references: nodes}\n"
                            "  twin: {type: string, references: nodes}\n";

// Whatever the page is, it is finished before anything is joined to it.
static void test_embedded(void **state) {
    struct fixture fixture;
    fixture_begin(&fixture, "nodes", nodes, STORE_SQLITE);
    struct call call = list(&fixture, "expand=twin&fields=parent&sort=-parent", NULL, false);
    assert_text_is(call.statement->sql,
                   "SELECT \"_page\".\"parent\", \"_page\".\"code\", \"_page\".\"twin\", "
                   "\"_0\".\"code\", \"_0\".\"parent\", \"_0\".\"twin\" FROM ("
                   "SELECT \"parent\", \"code\", \"twin\" FROM \"nodes\" "
                   "ORDER BY \"parent\" DESC, \"code\" DESC LIMIT ?1) AS \"_page\" "
                   "LEFT JOIN \"nodes\" AS \"_0\" ON \"_0\".\"code\" = \"_page\".\"twin\" "
                   "ORDER BY \"_page\".\"parent\" DESC, \"_page\".\"code\" DESC");
    struct query query = fixture_query(&fixture, "expand=parent,twin");
    assert_true(plan_read_expanded(fixture.plan, value_text(VALUE_TEXT, TEXT("a")),
                                   &query.expansions, &fixture.arena, &call));
    assert_text_is(call.statement->sql,
                   "SELECT \"_page\".\"code\", \"_page\".\"parent\", \"_page\".\"twin\", "
                   "\"_page\".\"_version\", \"_0\".\"code\", \"_0\".\"parent\", "
                   "\"_0\".\"twin\", \"_1\".\"code\", \"_1\".\"parent\", \"_1\".\"twin\" "
                   "FROM (SELECT \"code\", \"parent\", \"twin\", \"_version\" FROM \"nodes\" "
                   "WHERE \"code\" = ?1) AS \"_page\" "
                   "LEFT JOIN \"nodes\" AS \"_0\" ON \"_0\".\"code\" = \"_page\".\"parent\" "
                   "LEFT JOIN \"nodes\" AS \"_1\" ON \"_1\".\"code\" = \"_page\".\"twin\"");
    assert_int_equal(call.statement->column_count, 10);
    assert_int_equal(call.parameter_count, 1);
    for (ALLOCATION_FAILURES(nth)) {
        struct arena arena = {0};
        bool done = plan_list(fixture.plan, &query, 0, &arena, &call) &&
                    plan_read_expanded(fixture.plan, value_text(VALUE_TEXT, TEXT("a")),
                                       &query.expansions, &arena, &call);
        bool failed = allocation_allow();
        arena_free(&arena);
        assert_int_equal(done, !failed);
        if (!failed)
            break;
    }
    fixture_end(&fixture);
}

// What looks into other records may have to look at all of them first.
static void test_which_filters_through_references_are_short(void **state) {
    static const struct {
        const char *parameters;
        bool is_short;
    } cases[] = {
        {"filter=parent = 'x'", true},
        {"filter=parent.code = 'x'", true}, // which is the same
        {"filter=parent.twin = 'x'", false},
        {"filter=code = 'x' and parent.twin = 'x'", false},
        {"expand=parent,twin", true},
        {"expand=parent&parent=x", true},
    };
    struct fixture fixture;
    fixture_begin(&fixture, "nodes", nodes, STORE_SQLITE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct query query = fixture_query(&fixture, cases[i].parameters);
        assert_true_for(plan_list_is_short(&query) == cases[i].is_short, cases[i].parameters);
    }
    fixture_end(&fixture);
}

static void test_out_of_memory(void **state) {
    struct fixture fixture;
    const struct value position[] = {value_integer(5), value_integer(7)};
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    struct query query = fixture_query(&fixture, "sort=-rank&filter=contains(notes, 'x')");
    query.after = position;
    for (ALLOCATION_FAILURES(nth)) {
        struct arena arena = {0};
        struct call call;
        bool done = plan_list(fixture.plan, &query, 0, &arena, &call) &&
                    plan_count(fixture.plan, &query, 0, &arena, &call);
        bool failed = allocation_allow();
        arena_free(&arena);
        assert_int_equal(done, !failed);
        if (!failed)
            break;
    }
    fixture_end(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_limit_is_one_more),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_position_with_filter),
        cmocka_unit_test(test_position_on_postgres),
        cmocka_unit_test(test_which_lists_are_short),
        cmocka_unit_test(test_which_orders_are_indexed),
        cmocka_unit_test(test_null_is_not_unique),
        cmocka_unit_test(test_embedded),
        cmocka_unit_test(test_which_filters_through_references_are_short),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
