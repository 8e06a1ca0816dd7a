// Plans, queries and cursors on a real store: whatever the order, the filter and the size of the
// page, walking a list forward and backward gives each record once and in its place, also while
// others come and go; and an order that an index has is read from that index.
//
//   WALKS=10000 SEED=1 store_plans    more walks, or others
#include "resource/list_plan.h"
#include "resource/migrate.h"
#include "store_place.h"
#include "unit/resource/fixture.h"

#include <stdio.h>
#include <stdlib.h>

static const char by_number[] = "properties:\n"
                                "  name: {type: string, maxLength: 20}\n"
                                "  rank: {type: integer}\n"
                                "  price: {type: string, format: decimal, scale: 2}\n"
                                "  ratio: {type: number}\n"
                                "  open: {type: boolean}\n"
                                "  due: {type: string, format: date-time}\n"
                                "  day: {type: string, format: date}\n"
                                "  notes: {type: string, maxLength: 20}\n"
                                "indexes: [[rank], [open, due], [name, rank], [price]]\n";

static const char by_code[] = "key: code\n"
                              "properties:\n"
                              "  code: {type: string, maxLength: 20}\n"
                              "  name: {type: string, maxLength: 20}\n"
                              "  rank: {type: integer}\n"
                              "  price: {type: string, format: decimal, scale: 2}\n"
                              "  ratio: {type: number}\n"
                              "  open: {type: boolean}\n"
                              "  due: {type: string, format: date-time}\n"
                              "  day: {type: string, format: date}\n"
                              "indexes: [[rank], [open, due], [name, rank], [price]]\n";

enum { PROPERTIES = 9, RECORDS = 300, MAX_RECORDS = 4000, MAX_SORT = 4 };

struct record {
    struct value values[PROPERTIES];
    bool stored;
    bool touched; // it came or went during the walk
    unsigned seen;
};

struct world {
    struct fixture fixture;
    struct store *store;
    struct arena arena; // of the records
    struct record records[MAX_RECORDS];
    size_t record_count;
    uint64_t dice; // the state of SplitMix64
    long walks;
    struct store_place place;
};

static uint64_t roll(struct world *world) {
    uint64_t z = world->dice += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static size_t below(struct world *world, size_t bound) {
    return (size_t)(roll(world) % bound);
}

// ---- Records ----

static struct value random_text(struct world *world, enum value_kind kind) {
    static const char *const names[] = {"", "a", "B", "b", "\xC3\xA9", "\xF0\x9F\x8C\x8D", "aa"};
    static const char *const times[] = {"2016-08-05T08:40:51.620Z", "0001-01-01T00:00:00.000Z",
                                        "9999-12-31T23:59:59.999Z"};
    static const char *const days[] = {"2016-08-05", "2016-08-06", "0001-01-01"};
    if (kind == VALUE_TIMESTAMP)
        return value_text(kind, text_from_string(times[below(world, 3)]));
    if (kind == VALUE_DATE)
        return value_text(kind, text_from_string(days[below(world, 3)]));
    return value_text(kind, text_from_string(names[below(world, 7)]));
}

static struct value random_value(struct world *world, const struct property *property) {
    static const int64_t integers[] = {0, 1, -1, 5, 6, INT64_MAX, INT64_MIN};
    static const double reals[] = {0.0, -0.0, 0.5, -1e300, 1e300, 3.0};
    if (below(world, 4) == 0)
        return value_null();
    switch (property->kind) {
    case VALUE_BOOLEAN: return value_boolean(below(world, 2));
    case VALUE_INTEGER: return value_integer(integers[below(world, 7)]);
    case VALUE_DECIMAL: return value_decimal(integers[below(world, 7)], property->scale);
    case VALUE_REAL: return value_real(reals[below(world, 6)]);
    default: return random_text(world, property->kind);
    }
}

static bool keep_row(struct job *job, size_t call, const struct value *cells) {
    struct world *world = job->owner;
    int64_t version;
    struct record *record = &world->records[world->record_count++];
    return plan_values(world->fixture.plan, cells, &world->arena, record->values, &version);
}

static void run(struct world *world, struct job *job) {
    struct failure failure = {0};
    job->owner = world;
    if (!store_run(world->store, job, &failure))
        print_error("%s: %.*s\n", failure.detail, TEXT_ARGS(job->calls[0].statement->sql));
    assert_int_equal(failure.code, FAILURE_NONE);
}

static void insert_records(struct world *world, size_t count) {
    const struct resource *resource = world->fixture.resource;
    struct arena arena = {0};
    struct call *calls = arena_allocate_zero(&arena, count, sizeof *calls);
    size_t first = world->record_count;
    for (size_t i = 0; i < count; i++) {
        struct value values[PROPERTIES];
        for (size_t k = 0; k < resource->property_count; k++)
            values[k] = random_value(world, &resource->properties[k]);
        values[0] = value_text(VALUE_TEXT, arena_format(&arena, "%x", (unsigned)roll(world)));
        assert_true(plan_create(world->fixture.plan, values, &arena, &calls[i]));
    }
    struct job job = {.kind = JOB_WRITE, .calls = calls, .call_count = count, .on_row = keep_row};
    run(world, &job);
    assert_int_equal(world->record_count, first + count);
    for (size_t i = first; i < world->record_count; i++)
        world->records[i].stored = true;
    arena_free(&arena);
}

static void remove_record(struct world *world, struct record *record) {
    struct arena arena = {0};
    struct call call;
    assert_true(plan_remove(world->fixture.plan, record->values[0], &arena, &call));
    struct job job = {.kind = JOB_WRITE, .calls = &call, .call_count = 1};
    run(world, &job);
    assert_int_equal(call.rows, 1);
    record->stored = false;
    record->touched = true;
    arena_free(&arena);
}

// ---- The order, as anybody would write it ----

struct order {
    const struct property *properties[MAX_SORT + 1];
    bool descending[MAX_SORT + 1];
    size_t count;
};

static int compare_values(struct value a, struct value b) {
    if (value_is_null(a) || value_is_null(b))
        return value_is_null(b) - value_is_null(a);
    switch (a.kind) {
    case VALUE_BOOLEAN: return a.boolean - b.boolean;
    case VALUE_INTEGER:
    case VALUE_DECIMAL: return (a.integer > b.integer) - (a.integer < b.integer);
    case VALUE_REAL: return (a.real > b.real) - (a.real < b.real);
    default: return text_compare(a.text, b.text);
    }
}

static int compare_records(const void *a, const void *b, void *context) {
    const struct record *const *left = a;
    const struct record *const *right = b;
    const struct order *order = context;
    for (size_t i = 0; i < order->count; i++) {
        size_t index = order->properties[i]->index;
        int result = compare_values((*left)->values[index], (*right)->values[index]);
        if (result)
            return order->descending[i] ? -result : result;
    }
    return 0;
}

// A random order, and its `sort=`, or "".
static struct text random_order(struct world *world, struct arena *arena, struct order *order) {
    const struct resource *resource = world->fixture.resource;
    struct text sort = TEXT("");
    *order = (struct order){0};
    size_t count = below(world, MAX_SORT + 1);
    while (order->count < count) {
        const struct property *property =
            &resource->properties[below(world, resource->property_count)];
        bool descending = below(world, 2);
        bool known = false;
        for (size_t i = 0; i < order->count; i++)
            known = known || order->properties[i] == property;
        if (known)
            continue;
        sort = arena_format(arena, "%.*s%s%s%.*s", TEXT_ARGS(sort),
                            order->count ? "," : "&sort=", descending ? "-" : "",
                            TEXT_ARGS(property->name));
        order->properties[order->count] = property;
        order->descending[order->count++] = descending;
    }
    order->properties[order->count] = resource->key.property;
    order->descending[order->count] = count && order->descending[count - 1];
    order->count++;
    return sort;
}

// ---- Walks ----

struct walk {
    struct world *world;
    struct text parameters; // but for the cursor
    struct order order;
    struct record **pages; // what came, in the order of the list
    size_t count;
    bool disturbed; // others write meanwhile
};

struct page {
    struct world *world;
    const struct query *query;
    struct arena *arena;
    struct value **rows;
    size_t count;
};

static bool take_row(struct job *job, size_t call, const struct value *cells) {
    struct page *page = job->owner;
    struct value *row = arena_allocate_zero(page->arena, page->query->selection.count, sizeof *row);
    struct value **slot = arena_grow(page->arena, &page->rows, page->count, sizeof(struct value *));
    for (size_t i = 0; row && i < page->query->selection.count; i++)
        if (!value_copy(page->arena, cells[i], &row[i]))
            return false;
    if (!row || !slot)
        return false;
    *slot = row;
    page->count++;
    return true;
}

static void forget_rows(struct job *job) {
    struct page *page = job->owner;
    page->count = 0;
    page->rows = NULL;
}

static void read_page(struct world *world, const struct query *query, struct page *page) {
    struct call call;
    *page = (struct page){.world = world, .query = query, .arena = &world->fixture.arena};
    assert_true(plan_list(world->fixture.plan, query, 0, page->arena, &call));
    struct job job = {.kind = plan_list_is_short(query) ? JOB_READ : JOB_SCAN,
                      .calls = &call,
                      .call_count = 1,
                      .owner = page,
                      .on_row = take_row,
                      .on_restart = forget_rows};
    struct failure failure = {0};
    if (!store_run(world->store, &job, &failure))
        print_error("%s: %.*s\n", failure.detail, TEXT_ARGS(call.statement->sql));
    assert_int_equal(failure.code, FAILURE_NONE);
    assert_true(page->count <= query->limit + 1);
}

static size_t key_cell(const struct query *query) {
    for (size_t i = 0; i < query->selection.count; i++)
        if (query->selection.properties[i] == query->resource->key.property)
            return i;
    fail();
    return 0;
}

static struct record *find_record(struct world *world, struct value key) {
    for (size_t i = 0; i < world->record_count; i++)
        if (compare_values(world->records[i].values[0], key) == 0)
            return &world->records[i];
    fail();
    return NULL;
}

static void disturb(struct walk *walk) {
    struct world *world = walk->world;
    size_t first = world->record_count;
    if (first + 3 > MAX_RECORDS)
        return;
    insert_records(world, 1 + below(world, 3));
    for (size_t i = first; i < world->record_count; i++)
        world->records[i].touched = true;
    struct record *record = &world->records[below(world, world->record_count)];
    if (record->stored)
        remove_record(world, record);
}

static void step(struct walk *walk, const struct page *page) {
    const struct query *query = page->query;
    size_t shown = page->count < query->limit ? page->count : query->limit;
    size_t cell = key_cell(query);
    for (size_t i = 0; i < shown; i++) {
        struct record *record = find_record(walk->world, page->rows[i][cell]);
        record->seen++;
        walk->pages[walk->count++] = record;
    }
}

// Goes on page by page in one direction, beginning behind `cursor` (or at the start); returns the
// cursor from which to go the other way.
static struct text walk_on(struct walk *walk, struct text cursor, bool backward) {
    struct world *world = walk->world;
    struct fixture *fixture = &world->fixture;
    for (;;) {
        struct text parameters = walk->parameters;
        struct page page;
        if (cursor.data)
            parameters = arena_format(&fixture->arena, "%.*s&cursor=%.*s", TEXT_ARGS(parameters),
                                      TEXT_ARGS(cursor));
        struct query query = fixture_query(fixture, parameters.data);
        assert_int_equal(query.backward, backward);
        read_page(world, &query, &page);
        step(walk, &page);
        if (page.count <= query.limit) {
            if (page.count == 0)
                return (struct text){NULL, 0};
            return query_cursor(&query, page.rows[page.count - 1], !backward, fixture_key,
                                &fixture->arena);
        }
        cursor = query_cursor(&query, page.rows[query.limit - 1], backward, fixture_key,
                              &fixture->arena);
        if (walk->disturbed && below(world, 2))
            disturb(walk);
    }
}

static bool passes(struct world *world, const struct query *query, const struct record *record) {
    struct value value;
    struct failure failure;
    if (!query->filter)
        return true;
    assert_true(expression_evaluate(query->filter, record->values, 0, &world->fixture.arena, &value,
                                    &failure));
    return value.boolean;
}

// What the list must be, of the records that nobody touched.
static size_t expect(struct walk *walk, struct record **expected) {
    struct world *world = walk->world;
    struct query query = fixture_query(&world->fixture, walk->parameters.data);
    size_t count = 0;
    for (size_t i = 0; i < world->record_count; i++)
        if (world->records[i].stored && !world->records[i].touched &&
            passes(world, &query, &world->records[i]))
            expected[count++] = &world->records[i];
    qsort_r(expected, count, sizeof(struct record *), compare_records, &walk->order);
    return count;
}

static void assert_walk(struct walk *walk, struct record *const *expected, size_t expected_count,
                        bool backward) {
    size_t next = 0;
    for (size_t i = 0; i < walk->count; i++) {
        assert_int_equal(walk->pages[i]->seen, 1);
        if (walk->pages[i]->touched)
            continue;
        assert_true(next < expected_count);
        size_t place = backward ? expected_count - 1 - next : next;
        if (walk->pages[i] != expected[place])
            print_error("%.*s: record %zu\n", TEXT_ARGS(walk->parameters), i);
        assert_ptr_equal(walk->pages[i], expected[place]);
        next++;
    }
    assert_int_equal(next, expected_count);
}

static void forget_walk(struct walk *walk) {
    for (size_t i = 0; i < walk->world->record_count; i++)
        walk->world->records[i].seen = 0;
    walk->count = 0;
}

static void check_walk(struct world *world, bool disturbed) {
    static const char *const filters[] = {"",
                                          "",
                                          "",
                                          "&open=true",
                                          "&rank=5",
                                          "&filter=rank > 0 or rank is null",
                                          "&open=true&filter=due is null",
                                          "&name=a&filter=price != 1.00"};
    struct fixture *fixture = &world->fixture;
    struct walk walk = {.world = world, .disturbed = disturbed};
    walk.pages = arena_allocate_zero(&fixture->arena, 2 * MAX_RECORDS, sizeof(struct record *));
    struct record **expected =
        arena_allocate_zero(&fixture->arena, MAX_RECORDS, sizeof(struct record *));
    struct text sort = random_order(world, &fixture->arena, &walk.order);
    walk.parameters = arena_format(&fixture->arena, "limit=%zu%s%.*s%s", 1 + below(world, 60),
                                   below(world, 2) ? "&fields=name" : "", TEXT_ARGS(sort),
                                   filters[below(world, sizeof filters / sizeof *filters)]);
    struct text last = walk_on(&walk, (struct text){NULL, 0}, false);
    size_t count = expect(&walk, expected);
    assert_walk(&walk, expected, count, false);
    if (walk.count == 0)
        return;
    // Back from before the last record, which may have gone meanwhile.
    struct record *end = walk.pages[walk.count - 1];
    forget_walk(&walk);
    walk_on(&walk, last, true);
    count = expect(&walk, expected);
    count -= count && expected[count - 1] == end;
    assert_walk(&walk, expected, count, true);
    forget_walk(&walk);
}

static void settle(struct world *world) {
    for (size_t i = 0; i < world->record_count; i++)
        world->records[i].touched = false;
    arena_free(&world->fixture.arena);
}

// ---- Worlds ----

static void migrate(struct world *world, size_t steps) {
    struct fixture *fixture = &world->fixture;
    struct stored_schema schema;
    struct migration migration = {0};
    bool done =
        migrate_read_schema(world->store, &fixture->arena, &schema, &fixture->failure) &&
        migrate_plan(fixture->catalogue, &schema, &fixture->arena, &migration, &fixture->failure) &&
        migrate_run(world->store, &migration, &fixture->arena, &fixture->failure);
    if (!done || migration.step_count != steps)
        print_error("%zu steps: %s\n", migration.step_count, fixture->failure.detail);
    assert_true(done);
    assert_int_equal(migration.step_count, steps);
    assert_false(migration.lossy);
}

static struct world *world_create(const char *yaml) {
    struct world *world = calloc(1, sizeof *world);
    const char *seed = getenv("SEED");
    const char *walks = getenv("WALKS");
    assert_non_null(world);
    world->dice = seed ? strtoull(seed, NULL, 10) : 1;
    world->walks = walks ? strtol(walks, NULL, 10) : 25;
    fixture_begin(&world->fixture, "things", yaml, store_place_dialect());
    store_place_open(&world->place);
    world->store = world->place.store;
    migrate(world, 5);
    migrate(world, 0); // what was made is what is wanted
    return world;
}

static void world_destroy(struct world *world) {
    store_place_close(&world->place);
    fixture_end(&world->fixture);
    arena_free(&world->arena);
    free(world);
}

static void check_walks(const char *yaml, bool disturbed) {
    struct world *world = world_create(yaml);
    insert_records(world, RECORDS);
    for (long i = 0; i < world->walks; i++) {
        check_walk(world, disturbed);
        settle(world);
    }
    world_destroy(world);
}

static void test_walks(void **state) {
    check_walks(by_number, false);
}

static void test_walks_by_chosen_keys(void **state) {
    check_walks(by_code, false);
}

static void test_walks_while_others_write(void **state) {
    check_walks(by_number, true);
}

static void test_empty_list(void **state) {
    struct world *world = world_create(by_number);
    check_walk(world, false);
    world_destroy(world);
}

// ---- How the database goes about it ----

// SQLite names what it sorts with.
static bool sqlite_sorts(const char *text) {
    return strstr(text, "TEMP B-TREE");
}

// PostgreSQL sorts the parts of a union, which are sorted, but each of them is a page at most: what
// must not be is a scan that is nearer to a Sort above it than to a Limit. Nodes are indented by
// their depth.
static bool postgres_sorts(const char *text) {
    bool sorts[256] = {false}; // whether a Sort is the nearest above, by the column of a node
    struct text rest = text_from_string(text);
    struct text line;
    while (text_split(&rest, '\n', &line)) {
        const char *arrow = memmem(line.data, line.size, "->  ", 4);
        if (!arrow && line.size && line.data[0] == ' ')
            continue; // what is said about a node
        size_t column = arrow ? (size_t)(arrow - line.data) : 0;
        struct text node = text_from(line, arrow ? column + 4 : 0);
        assert_true(column < sizeof sorts);
        bool below = arrow && sorts[column > 6 ? column - 6 : 0];
        if (below && memmem(node.data, node.size, "Scan", 4))
            return true;
        bool sort = text_starts_with(node, TEXT("Sort")) ||
                    text_starts_with(node, TEXT("Incremental Sort"));
        sorts[column] = sort || (below && !text_starts_with(node, TEXT("Limit")));
    }
    return false;
}

// How each database is asked what it will do (PostgreSQL would weigh what there is, and sort what
// is little); whether it says that it sorts more than a page; in which words it says that it looks
// at all that there is.
static const struct explainer {
    const char *first; // a statement that is run before, or NULL
    const char *question;
    struct column columns[4];
    size_t column_count; // the last one has the words
    bool (*sorts)(const char *text);
    const char *looks_at_all;
} explainers[] = {
    [STORE_SQLITE] = {NULL,
                      "EXPLAIN QUERY PLAN",
                      {{.kind = VALUE_INTEGER},
                       {.kind = VALUE_INTEGER},
                       {.kind = VALUE_INTEGER},
                       {.kind = VALUE_TEXT}},
                      4,
                      sqlite_sorts,
                      "SCAN things"},
    [STORE_POSTGRES] =
        {"SELECT set_config('enable_sort', 'off', true), set_config('enable_seqscan', 'off', true),"
         " set_config('enable_bitmapscan', 'off', true)",
         "EXPLAIN (COSTS OFF)",
         {{.kind = VALUE_TEXT}},
         1,
         postgres_sorts,
         "Seq Scan"},
};

struct explanation {
    const struct explainer *explainer;
    struct buffer text;
};

static bool take_explanation(struct job *job, size_t call, const struct value *cells) {
    struct explanation *explanation = job->owner;
    buffer_append_text(&explanation->text, cells[explanation->explainer->column_count - 1].text);
    buffer_append_byte(&explanation->text, '\n');
    return true;
}

// Explains a list, behind a position where there is one.
static void explain(struct world *world, const char *parameters, const struct value *after,
                    bool backward, struct explanation *explanation) {
    const struct explainer *explainer = &explainers[store_dialect(world->store)];
    struct fixture *fixture = &world->fixture;
    struct query query = fixture_query(fixture, parameters);
    struct call call;
    query.after = after;
    query.backward = backward;
    assert_true(plan_list(fixture->plan, &query, 0, &fixture->arena, &call));
    struct text sql = arena_format(&fixture->arena, "%s %.*s", explainer->question,
                                   TEXT_ARGS(call.statement->sql));
    struct statement first = {.sql = text_from_string(explainer->first), .once = true};
    struct statement statement = {.sql = sql,
                                  .columns = explainer->columns,
                                  .column_count = explainer->column_count,
                                  .once = true};
    struct call calls[] = {{.statement = &first, .expect = EXPECT_ANY}, call};
    explanation->explainer = explainer;
    calls[1].statement = &statement;
    struct job job = {.kind = JOB_SCAN,
                      .calls = explainer->first ? calls : calls + 1,
                      .call_count = explainer->first ? 2 : 1,
                      .owner = explanation,
                      .on_row = take_explanation};
    struct failure failure = {0};
    assert_true(store_run(world->store, &job, &failure));
    buffer_append_byte(&explanation->text, '\0');
    assert_false(explanation->text.failed);
}

// What is called short is never sorted, and behind a position it is found by searching.
static void test_short_lists_use_indexes(void **state) {
    static const struct {
        const char *parameters;
        struct value position[3];
    } cases[] = {
        {"", {{.kind = VALUE_INTEGER, .integer = 5}}},
        {"sort=-id", {{.kind = VALUE_INTEGER, .integer = 5}}},
        {"sort=rank", {{.kind = VALUE_INTEGER, .integer = 5}, {.kind = VALUE_INTEGER}}},
        {"sort=-rank", {{.kind = VALUE_INTEGER, .integer = 5}, {.kind = VALUE_INTEGER}}},
        {"sort=rank", {{.kind = VALUE_NULL}, {.kind = VALUE_INTEGER}}},
        {"sort=-rank", {{.kind = VALUE_NULL}, {.kind = VALUE_INTEGER}}},
        {"sort=-price", {{.kind = VALUE_DECIMAL, .scale = 2}, {.kind = VALUE_INTEGER}}},
        {"sort=name,rank",
         {{.kind = VALUE_TEXT, .text = TEXT_INIT("x")},
          {.kind = VALUE_INTEGER},
          {.kind = VALUE_INTEGER}}},
        {"sort=-name,-rank",
         {{.kind = VALUE_TEXT, .text = TEXT_INIT("x")},
          {.kind = VALUE_NULL},
          {.kind = VALUE_INTEGER}}},
        {"name=a&sort=-rank", {{.kind = VALUE_INTEGER}, {.kind = VALUE_INTEGER}}},
        {"open=true&sort=due",
         {{.kind = VALUE_TIMESTAMP, .text = TEXT_INIT("2016-08-05T08:40:51.620Z")},
          {.kind = VALUE_INTEGER}}},
        {"filter=open is null&sort=-due", {{.kind = VALUE_NULL}, {.kind = VALUE_INTEGER}}},
        {"rank=5", {{.kind = VALUE_INTEGER, .integer = 7}}},
    };
    struct world *world = world_create(by_number);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct query query = fixture_query(&world->fixture, cases[i].parameters);
        assert_true_for(plan_list_is_short(&query), cases[i].parameters);
        for (unsigned way = 0; way < 3; way++) {
            struct explanation explanation = {0};
            explain(world, cases[i].parameters, way ? cases[i].position : NULL, way == 2,
                    &explanation);
            const char *text = explanation.text.data;
            const struct explainer *explainer = explanation.explainer;
            bool good =
                !explainer->sorts(text) && (way == 0 || !strstr(text, explainer->looks_at_all));
            if (!good)
                print_error("%s", text);
            assert_true_for(good, cases[i].parameters);
            buffer_free(&explanation.text);
        }
    }
    world_destroy(world);
}

// The deepest filter that is let in, on the statement with the most levels around it.
static void test_deep_filters(void **state) {
    struct world *world = world_create(by_number);
    struct fixture *fixture = &world->fixture;
    const struct value position[] = {value_integer(5), value_integer(5)};
    struct text filter = TEXT("rank = 1");
    struct query query = {0};
    size_t depth = 0;
    insert_records(world, 10);
    for (;; depth++) {
        struct page page;
        struct text parameters =
            arena_format(&fixture->arena, "sort=rank&filter=%.*s", TEXT_ARGS(filter));
        if (!fixture_read(fixture, parameters.data, &query))
            break;
        query.after = position;
        read_page(world, &query, &page);
        filter = arena_format(&fixture->arena,
                              depth % 2 ? "(%.*s) and open = true" : "not (%.*s or ratio > 0.5)",
                              TEXT_ARGS(filter));
    }
    assert_int_equal(fixture->failure.code, FAILURE_INVALID_FILTER);
    assert_true(depth >= 5);
    world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walks),
        cmocka_unit_test(test_walks_by_chosen_keys),
        cmocka_unit_test(test_walks_while_others_write),
        cmocka_unit_test(test_empty_list),
        cmocka_unit_test(test_short_lists_use_indexes),
        cmocka_unit_test(test_deep_filters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
