// Parameters of a list, "name=value&name=value" with nothing encoded: nothing may crash, and what
// is accepted is SQL that the database takes, on the first page and behind any position.
#include "fuzz/fuzz.h"

#include "resource/list_plan.h"
#include "resource/migrate.h"

#include <sqlite3.h>
#include <stdlib.h>

static const char things[] = "required: [title]\n"
                             "properties:\n"
                             "  title: {type: string, maxLength: 100}\n"
                             "  rank: {type: integer}\n"
                             "  price: {type: string, format: decimal, scale: 2}\n"
                             "  ratio: {type: number}\n"
                             "  open: {type: boolean}\n"
                             "  due: {type: string, format: date-time}\n"
                             "  day: {type: string, format: date}\n"
                             "  ref: {type: string, format: uuid}\n"
                             "  place: {type: object, properties: {city: {type: string}}}\n"
                             "  tags: {type: array, items: {type: string}}\n"
                             "  secret: {type: string, maxLength: 50, writeOnly: true}\n"
                             "  next: {type: integer, references: things}\n"
                             "  twin: {type: integer, references: things}\n"
                             "filters: {status: {late: due < now(), early: due >= now()}}\n"
                             "indexes: [[due], [rank, title]]\n"
                             "unique: [[title]]\n";

static const struct text cursor_key = TEXT_INIT("the key of the cursors");

enum { MAX_PARAMETERS = 64 };

// The catalogue and the tables are made once, and serve all inputs.
struct scene {
    struct arena kept;
    struct arena arena; // of one input
    struct catalogue *catalogue;
    const struct plan *plan;
    sqlite3 *database;
};

static void require(bool condition) {
    if (!condition)
        abort();
}

static void prepare(struct scene *scene, struct text sql, bool run) {
    sqlite3_stmt *statement = NULL;
    require(sqlite3_prepare_v2(scene->database, sql.data, (int)sql.size, &statement, NULL) ==
            SQLITE_OK);
    if (run)
        require(sqlite3_step(statement) == SQLITE_DONE);
    sqlite3_finalize(statement);
}

static void make_tables(struct scene *scene) {
    const struct stored_schema nothing = {0};
    struct migration migration;
    struct failure failure;
    require(migrate_plan(scene->catalogue, &nothing, &scene->kept, &migration, &failure));
    for (size_t i = 0; i < migration.step_count; i++)
        prepare(scene, migration.steps[i].sql, true);
}

static void scene_begin(struct scene *scene) {
    const struct text sources[][2] = {{TEXT("things.yaml"), text_from_string(things)}};
    struct diagnostics diagnostics;
    diagnostics_init(&diagnostics, &scene->kept);
    scene->catalogue = catalogue_make(sources, 1, dialect_of(STORE_SQLITE), &diagnostics);
    require(scene->catalogue);
    scene->plan = catalogue_plan(scene->catalogue, TEXT("things"));
    require(sqlite3_open(":memory:", &scene->database) == SQLITE_OK);
    make_tables(scene);
}

static bool read_query(struct scene *scene, const struct parameter *parameters, size_t count,
                       struct query *query) {
    struct faults faults = {.arena = &scene->arena};
    struct failure failure = {0};
    bool read = query_read(scene->plan->resource, parameters, count, cursor_key, &scene->arena,
                           &faults, query, &failure);
    require(read == faults_none(&faults));
    require(read == (failure.code == FAILURE_NONE));
    for (size_t i = 0; i < faults.count; i++)
        require(faults.items[i].detail.size > 0 && text_is_utf8(faults.items[i].detail));
    return read;
}

static void check_list(struct scene *scene, const struct query *query) {
    struct call call;
    require(plan_list(scene->plan, query, 0, &scene->arena, &call));
    prepare(scene, call.statement->sql, false);
    require(plan_count(scene->plan, query, 0, &scene->arena, &call));
    prepare(scene, call.statement->sql, false);
    (void)plan_list_is_short(query);
    struct plan other = *scene->plan;
    other.dialect = dialect_of(STORE_POSTGRES);
    require(plan_list(&other, query, 0, &scene->arena, &call));
}

// The cursor of a row opens with the same parameters.
static void check_cursor(struct scene *scene, struct parameter *parameters, size_t count,
                         const struct query *query) {
    struct value *cells = arena_allocate_zero(&scene->arena, query->selection.count, sizeof *cells);
    for (size_t i = 0; i < query->selection.count; i++)
        if (query->selection.properties[i] == query->resource->key.property)
            cells[i] = value_integer(7);
    for (unsigned backward = 0; backward < 2; backward++) {
        struct query page;
        struct text cursor = query_cursor(query, cells, backward, cursor_key, &scene->arena);
        parameters[count] = (struct parameter){TEXT("cursor"), cursor};
        require(read_query(scene, parameters, count + 1, &page));
        require(page.after && page.backward == backward);
        check_list(scene, &page);
    }
}

static void check(struct scene *scene, struct text input) {
    struct parameter parameters[MAX_PARAMETERS + 1];
    size_t count = 0;
    struct text rest = input;
    struct text part;
    struct query query;
    while (count < MAX_PARAMETERS && text_split(&rest, '&', &part)) {
        struct text value = part;
        struct text name;
        (void)text_split(&value, '=', &name);
        parameters[count++] = (struct parameter){name, value.data ? value : TEXT("")};
    }
    if (!read_query(scene, parameters, count, &query))
        return;
    require(query.sort_count > 0 && query.sort_count <= QUERY_MAX_SORT_KEYS + 1);
    require(query.sort[query.sort_count - 1].property == query.resource->key.property);
    check_list(scene, &query);
    if (!query.has_offset && !query.after)
        check_cursor(scene, parameters, count, &query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct scene scene;
    struct text input = text_of((const char *)data, size);
    // What the server decodes is always text.
    if (size == 0 || !text_is_utf8(input) || text_find(input, '\0') >= 0)
        return 0;
    if (!scene.database)
        scene_begin(&scene);
    check(&scene, input);
    arena_reset(&scene.arena);
    return 0;
}
