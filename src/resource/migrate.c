#include "resource/migrate.h"

#include "base/table.h"
#include "resource/planning.h"

#include <stdio.h>

// Does something for each resource; for those alone whose tables are there, or are not.
static bool for_resources(struct planning *planning, bool stored,
                          bool (*step)(struct planning *, const struct resource *)) {
    for (size_t i = 0; i < planning->catalogue->table_count; i++) {
        const struct resource *resource = planning->catalogue->resources[i];
        if (planning_has_table(planning, resource->table) == stored && !step(planning, resource))
            return false;
    }
    return true;
}

static bool for_each_resource(struct planning *planning,
                              bool (*step)(struct planning *, const struct resource *)) {
    for (size_t i = 0; i < planning->catalogue->table_count; i++) {
        if (!step(planning, planning->catalogue->resources[i]))
            return false;
    }
    return true;
}

// What stands on columns goes before they do, and comes when they are there; and so do references
// and the tables that they lead to.
static bool plan_steps(struct planning *planning) {
    return planning_drop_triggers(planning) && planning_drop_references(planning) &&
           planning_drop_indexes(planning) &&
           for_resources(planning, false, planning_create_table) &&
           for_resources(planning, true, planning_follow_columns) &&
           for_each_resource(planning, planning_create_indexes) &&
           for_each_resource(planning, planning_create_references) &&
           planning_create_triggers(planning);
}

bool migrate_plan(const struct catalogue *catalogue, const struct stored_schema *schema,
                  struct arena *arena, struct migration *ret_migration, struct failure *failure) {
    struct planning planning = {
        .catalogue = catalogue,
        .dialect = catalogue->dialect,
        .schema = schema,
        .arena = arena,
        .failure = failure,
    };
    for (size_t i = 0; i < catalogue->table_count; i++)
        if (planning_has_table(&planning, catalogue->resources[i]->table) &&
            !planning_check_table(&planning, catalogue->resources[i]))
            return false;
    if (!planning_expect_triggers(&planning) || !plan_steps(&planning))
        return false;
    *ret_migration = planning.migration;
    migration_note_schema(ret_migration, schema);
    return true;
}

void migration_note_schema(struct migration *migration, const struct stored_schema *schema) {
    migration->listed_columns = schema->column_count;
    migration->listed_index_columns = 0;
    for (size_t i = 0; i < schema->index_count; i++)
        migration->listed_index_columns += schema->indexes[i].column_count;
    migration->listed_references = schema->reference_count;
    migration->listed_triggers = schema->trigger_count;
}

// ---- The store's part ----

// The schema while its rows come in.
struct schema_reader {
    struct arena *arena;
    struct stored_schema schema;
};

enum { READ_COLUMNS, READ_INDEXES, READ_REFERENCES, READ_TRIGGERS, READ_CALLS };

static bool on_column(struct schema_reader *reader, const struct value *cells) {
    struct stored_schema *schema = &reader->schema;
    struct stored_column *column =
        arena_grow(reader->arena, &schema->columns, schema->column_count, sizeof *column);
    if (!column)
        return false;
    *column = (struct stored_column){
        .table = arena_copy(reader->arena, cells[0].text),
        .name = arena_copy(reader->arena, cells[1].text),
        .type = arena_copy(reader->arena, cells[2].text),
        .not_null = cells[3].boolean,
    };
    schema->column_count++;
    return column->table.data && column->name.data && column->type.data;
}

// The index of the row before, where this row is another column of it, or a new one.
static struct stored_index *index_of_row(struct schema_reader *reader, const struct value *cells) {
    struct stored_schema *schema = &reader->schema;
    struct stored_index *last =
        schema->index_count ? &schema->indexes[schema->index_count - 1] : NULL;
    if (last && text_equal(last->table, cells[0].text) && text_equal(last->name, cells[1].text))
        return last;
    struct stored_index *index =
        arena_grow(reader->arena, &schema->indexes, schema->index_count, sizeof *index);
    if (!index)
        return NULL;
    *index = (struct stored_index){
        .table = arena_copy(reader->arena, cells[0].text),
        .name = arena_copy(reader->arena, cells[1].text),
        .unique = cells[2].boolean,
    };
    schema->index_count++;
    return index->table.data && index->name.data ? index : NULL;
}

static bool on_index_column(struct schema_reader *reader, const struct value *cells) {
    struct stored_index *index = index_of_row(reader, cells);
    struct text *column =
        index ? arena_grow(reader->arena, &index->columns, index->column_count, sizeof *column)
              : NULL;
    if (!column)
        return false;
    // An expression has no name, and is no column that anything is looked for in.
    struct text name = value_is_null(cells[3]) ? TEXT("") : cells[3].text;
    *column = arena_copy(reader->arena, name);
    index->column_count++;
    return column->data != NULL;
}

// Copies the texts of a row, from which a row of nothing but texts is made.
static bool copy_texts(struct arena *arena, const struct value *cells, struct text *texts,
                       size_t count) {
    for (size_t i = 0; i < count; i++) {
        texts[i] = arena_copy(arena, cells[i].text);
        if (!texts[i].data)
            return false;
    }
    return true;
}

static bool on_reference(struct schema_reader *reader, const struct value *cells) {
    struct stored_schema *schema = &reader->schema;
    struct stored_reference *reference =
        arena_grow(reader->arena, &schema->references, schema->reference_count, sizeof *reference);
    struct text texts[6];
    if (!reference || !copy_texts(reader->arena, cells, texts, 6))
        return false;
    *reference =
        (struct stored_reference){texts[0], texts[1], texts[2], texts[3], texts[4], texts[5]};
    schema->reference_count++;
    return true;
}

static bool on_trigger(struct schema_reader *reader, const struct value *cells) {
    struct stored_schema *schema = &reader->schema;
    struct stored_trigger *trigger =
        arena_grow(reader->arena, &schema->triggers, schema->trigger_count, sizeof *trigger);
    struct text texts[2];
    if (!trigger || !copy_texts(reader->arena, cells, texts, 2))
        return false;
    *trigger = (struct stored_trigger){texts[0], texts[1]};
    schema->trigger_count++;
    return true;
}

static bool on_schema_row(struct job *job, size_t call, const struct value *cells) {
    static bool (*const readers[READ_CALLS])(struct schema_reader *, const struct value *) = {
        [READ_COLUMNS] = on_column,
        [READ_INDEXES] = on_index_column,
        [READ_REFERENCES] = on_reference,
        [READ_TRIGGERS] = on_trigger,
    };
    return readers[call](job->owner, cells);
}

static void on_schema_restart(struct job *job) {
    struct schema_reader *reader = job->owner;
    reader->schema = (struct stored_schema){0};
}

static struct statement statement_once(struct text sql, const struct column *columns,
                                       size_t count) {
    return (struct statement){.sql = sql,
                              .hash = text_hash(sql),
                              .columns = columns,
                              .column_count = count,
                              .once = true};
}

static void list_schema(const struct dialect *dialect, struct statement statements[READ_CALLS]) {
    static const struct column of_columns[] = {
        {.kind = VALUE_TEXT}, {.kind = VALUE_TEXT}, {.kind = VALUE_TEXT}, {.kind = VALUE_BOOLEAN}};
    static const struct column of_indexes[] = {
        {.kind = VALUE_TEXT}, {.kind = VALUE_TEXT}, {.kind = VALUE_BOOLEAN}, {.kind = VALUE_TEXT}};
    static const struct column texts[6] = {{.kind = VALUE_TEXT}, {.kind = VALUE_TEXT},
                                           {.kind = VALUE_TEXT}, {.kind = VALUE_TEXT},
                                           {.kind = VALUE_TEXT}, {.kind = VALUE_TEXT}};
    statements[READ_COLUMNS] = statement_once(dialect->list_columns, of_columns, 4);
    statements[READ_INDEXES] = statement_once(dialect->list_indexes, of_indexes, 4);
    statements[READ_REFERENCES] = statement_once(dialect->list_references, texts, 6);
    statements[READ_TRIGGERS] = statement_once(dialect->list_triggers, texts, 2);
}

bool migrate_read_schema(struct store *store, struct arena *arena, struct stored_schema *ret_schema,
                         struct failure *failure) {
    struct statement statements[READ_CALLS];
    list_schema(dialect_of(store_dialect(store)), statements);
    struct call calls[READ_CALLS];
    for (size_t i = 0; i < READ_CALLS; i++)
        calls[i] = (struct call){.statement = &statements[i], .expect = EXPECT_ANY};
    struct schema_reader reader = {.arena = arena};
    struct job job = {
        .kind = JOB_SCAN,
        .calls = calls,
        .call_count = READ_CALLS,
        .owner = &reader,
        .on_row = on_schema_row,
        .on_restart = on_schema_restart,
    };
    if (!store_run(store, &job, failure))
        return false;
    *ret_schema = reader.schema;
    return true;
}

// What failed, with the step that it was; the steps begin with a call of the job's.
static bool explain_failure(const struct migration *migration, const struct job *job,
                            size_t first_step, struct failure *failure) {
    char words[sizeof failure->detail];
    if (job->outcome.kind == OUTCOME_UNEXPECTED)
        return failure_set(failure, FAILURE_CONTENTION,
                           "another process is changing the tables at the same time");
    size_t step = job->outcome.call - first_step;
    if (job->outcome.kind == OUTCOME_DONE || job->outcome.call < first_step ||
        step >= migration->step_count)
        return false;
    static const char *const conflicts[] = {
        [CONFLICT_UNIQUE] = "stored records have the same values there",
        [CONFLICT_REFERENCE] = "stored records refer to some that are not there",
    };
    bool conflict = job->outcome.kind == OUTCOME_CONFLICT;
    (void)snprintf(words, sizeof words, "%s", failure->detail);
    return failure_set(failure, failure->code, "%s (%.*s: %.*s)",
                       conflict ? conflicts[job->outcome.conflict] : words,
                       TEXT_ARGS(migration->steps[step].reason),
                       TEXT_ARGS(migration->steps[step].sql));
}

// The statements of a migration's transaction: what keeps others away, a look whether somebody was
// quicker, the steps.
struct script {
    struct statement *statements;
    struct call *calls;
    size_t count;
};

static void append_call(struct script *script, struct statement statement, int64_t expect) {
    script->statements[script->count] = statement;
    script->calls[script->count] =
        (struct call){.statement = &script->statements[script->count], .expect = expect};
    script->count++;
}

bool migrate_run(struct store *store, const struct migration *migration, struct arena *arena,
                 struct failure *failure) {
    static const struct text nothing = {NULL, 0};
    const struct dialect *dialect = dialect_of(store_dialect(store));
    const struct text *first = dialect->begin_migration ? dialect->begin_migration : &nothing;
    size_t most = migration->step_count + READ_CALLS;
    for (const struct text *sql = first; sql->data; sql++)
        most++;
    struct script script = {
        .statements = arena_allocate_zero(arena, most, sizeof *script.statements),
        .calls = arena_allocate_zero(arena, most, sizeof *script.calls),
    };
    if (!script.statements || !script.calls)
        return failure_out_of_memory(failure);
    if (migration->step_count == 0)
        return true;
    struct statement lists[READ_CALLS];
    list_schema(dialect, lists);
    for (const struct text *sql = first; sql->data; sql++)
        append_call(&script, statement_once(*sql, NULL, 0), EXPECT_ANY);
    append_call(&script, lists[READ_COLUMNS], (int64_t)migration->listed_columns);
    append_call(&script, lists[READ_INDEXES], (int64_t)migration->listed_index_columns);
    append_call(&script, lists[READ_REFERENCES], (int64_t)migration->listed_references);
    append_call(&script, lists[READ_TRIGGERS], (int64_t)migration->listed_triggers);
    size_t first_step = script.count;
    for (size_t i = 0; i < migration->step_count; i++)
        append_call(&script, statement_once(migration->steps[i].sql, NULL, 0), EXPECT_ANY);
    struct job job = {.kind = JOB_WRITE,
                      .calls = script.calls,
                      .call_count = script.count,
                      .deadline = UINT64_MAX};
    return store_run(store, &job, failure) || explain_failure(migration, &job, first_step, failure);
}
