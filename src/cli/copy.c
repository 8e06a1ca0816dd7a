#include "cli/copy.h"

#include "cli/copy_table.h"
#include "cli/migrate.h"
#include "cli/setting_value.h"
#include "cli/workspace.h"
#include "resource/meta.h"
#include "resource/outbox.h"
#include "resource/system_tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

// One run, with all that must be closed after it.
struct run {
    const struct invocation *invocation;
    struct settings from_settings;
    struct settings to_settings;
    struct workspace from;
    struct workspace to;
    struct copying copying;
    struct table_copy *tables; // one a resource
    size_t table_count;
    uint64_t total; // records of the source; 0 where they could not be counted
    struct arena arena;
};

// ---- Where from and where to

static bool read_url(const struct invocation *invocation, const char *option,
                     struct settings *ret_settings, struct failure *failure) {
    size_t count;
    const struct setting *setting = settings_table(&count);
    const char *url = invocation_option(invocation, option);
    if (!url)
        return failure_set(failure, FAILURE_INVALID_SETTING, "--%s URL is missing", option);
    while (setting->type != SETTING_DATABASE)
        setting++;
    *ret_settings = *invocation->settings;
    ret_settings->arena = (struct arena){0}; // the other one is not ours
    ret_settings->workers = 1;
    ret_settings->data = ""; // nothing is written but the database
    return setting_value_read(setting, text_from_string(url), ret_settings, failure) ||
           failure_set(failure, failure->code, "--%s: %s", option, failure->detail);
}

static bool is_same(const struct database_location *a, const struct database_location *b) {
    struct stat first;
    struct stat second;
    if (a->url && b->url)
        return strcmp(a->url, b->url) == 0;
    if (!a->path || !b->path)
        return false;
    return strcmp(a->path, b->path) == 0 ||
           (stat(a->path, &first) == 0 && stat(b->path, &second) == 0 &&
            first.st_dev == second.st_dev && first.st_ino == second.st_ino);
}

static bool read_urls(struct run *run, struct failure *failure) {
    if (!read_url(run->invocation, "from", &run->from_settings, failure) ||
        !read_url(run->invocation, "to", &run->to_settings, failure))
        return false;
    return !is_same(&run->from_settings.database, &run->to_settings.database) ||
           failure_set(failure, FAILURE_INVALID_SETTING, "--from and --to are the same database");
}

// ---- Opening

// A failure of one of both.
static bool blame(const char *side, struct failure *failure) {
    if (failure->code == FAILURE_INVALID_DEFINITION)
        return false;
    return failure_set(failure, failure->code, "the %s: %s", side, failure->detail);
}

// What a table has is not copied where there is no definition of it.
static void tell_others(const struct catalogue *catalogue, const struct stored_schema *schema) {
    struct text last = TEXT("");
    for (size_t i = 0; i < schema->column_count; i++) {
        struct text table = schema->columns[i].table;
        if (text_equal(table, last) || system_table_is(table) || catalogue_table(catalogue, table))
            continue;
        (void)fprintf(stderr, "The table \"%.*s\" is of no resource, and is not copied.\n",
                      TEXT_ARGS(table));
        last = table; // the columns of a table follow one another
    }
}

static bool open_source(struct run *run, struct stored_schema *ret_schema,
                        struct failure *failure) {
    return workspace_open(&run->from_settings, WORKSPACE_READ, &run->from, failure) &&
           migrate_check(run->from.store, run->from.catalogue, failure) &&
           migrate_read_schema(run->from.store, &run->arena, ret_schema, failure);
}

// The tables of both catalogues, which are read from the same files, in an order in which what
// others refer to comes first, as far as there is one.
static bool pair_tables(struct run *run, struct failure *failure) {
    const struct catalogue *catalogue = run->from.catalogue;
    run->tables = arena_allocate_zero(&run->arena, catalogue->table_count, sizeof *run->tables);
    if (!run->tables)
        return failure_out_of_memory(failure);
    run->table_count = catalogue->table_count;
    for (size_t i = 0; i < run->table_count; i++) {
        struct table_copy *table = &run->tables[i];
        table->from = catalogue_table(catalogue, catalogue->ranked[i]->table);
        table->to = catalogue_table(run->to.catalogue, table->from->resource->table);
        if (!table->to || table->to->selection.count != table->from->selection.count)
            return failure_set(failure, FAILURE_CONTENTION,
                               "the definitions have changed meanwhile");
    }
    return true;
}

// ---- What all processes of a database share

struct meta_rows {
    struct arena arena;
    struct value (*rows)[2];
    size_t count;
};

static bool on_meta_row(struct job *job, size_t call, const struct value *cells) {
    struct meta_rows *meta = job->owner;
    if (text_is(cells[0].text, META_VERSION)) // the target counts its own changes
        return true;
    struct value(*row)[2] = arena_grow(&meta->arena, &meta->rows, meta->count, sizeof *row);
    if (!row || !value_copy(&meta->arena, cells[0], &(*row)[0]) ||
        !value_copy(&meta->arena, cells[1], &(*row)[1]))
        return false;
    meta->count++;
    return true;
}

static void on_meta_restart(struct job *job) {
    struct meta_rows *meta = job->owner;
    meta->count = 0;
}

static bool read_meta(struct run *run, struct meta_rows *meta, struct failure *failure) {
    struct meta_plan plan;
    if (!meta_plan_make(&meta->arena, run->from.catalogue->dialect, &plan))
        return failure_out_of_memory(failure);
    struct call call = {.statement = &plan.list, .expect = EXPECT_ANY};
    struct job job = {.kind = JOB_READ,
                      .calls = &call,
                      .call_count = 1,
                      .owner = meta,
                      .on_row = on_meta_row,
                      .on_restart = on_meta_restart};
    return caller_run(&run->copying.source, &job, failure);
}

static bool write_meta(struct run *run, struct meta_rows *meta, struct failure *failure) {
    struct meta_plan plan;
    struct call *calls = arena_allocate_zero(&meta->arena, meta->count + 1, sizeof *calls);
    if (!calls || !meta_plan_make(&meta->arena, run->to.catalogue->dialect, &plan))
        return failure_out_of_memory(failure);
    for (size_t i = 0; i < meta->count; i++)
        calls[i] = (struct call){.statement = &plan.replace,
                                 .parameters = meta->rows[i],
                                 .parameter_count = 2,
                                 .expect = 1};
    calls[meta->count] = (struct call){.statement = &plan.raise, .expect = EXPECT_ANY};
    struct job job = {.kind = JOB_WRITE, .calls = calls, .call_count = meta->count + 1};
    return caller_run(&run->copying.target, &job, failure);
}

// The keys go last, so that a target which lacks something is not taken for the whole.
static bool copy_meta(struct run *run, const struct stored_schema *schema,
                      struct failure *failure) {
    struct meta_rows meta = {0};
    if (!system_table_is_there(schema, TEXT("trestle_meta"))) // no server ever ran on it
        return true;
    bool ok =
        read_meta(run, &meta, failure) && (meta.count == 0 || write_meta(run, &meta, failure));
    arena_free(&meta.arena);
    return ok;
}

// ---- Events

static bool on_position(struct job *job, size_t call, const struct value *cells) {
    int64_t *last = job->owner;
    *last = outbox_read_position(cells).last;
    return true;
}

// The last number of an outbox, or 0.
static bool read_last_event(struct caller *caller, const struct dialect *dialect,
                            struct arena *arena, int64_t *ret_last, struct failure *failure) {
    struct outbox_plan outbox;
    if (!outbox_plan_make(arena, dialect, &outbox))
        return failure_out_of_memory(failure);
    int64_t last = 0;
    struct call call = {.statement = &outbox.position, .expect = EXPECT_ANY};
    struct job job = {
        .kind = JOB_READ, .calls = &call, .call_count = 1, .owner = &last, .on_row = on_position};
    if (!caller_run(caller, &job, failure))
        return false;
    *ret_last = last;
    return true;
}

// Events are not copied: the target's begin anew, with numbers above all that a listener can have
// seen of either database, so that whoever comes back with one is told of a gap.
static bool continue_events(struct run *run, const struct stored_schema *schema,
                            struct failure *failure) {
    int64_t from = 0;
    int64_t to = 0;
    struct call call;
    const struct dialect *dialect = run->to.catalogue->dialect;
    if (system_table_is_there(schema, TEXT("trestle_events")) &&
        !read_last_event(&run->copying.source, run->from.catalogue->dialect, &run->arena, &from,
                         failure))
        return false;
    if (!read_last_event(&run->copying.target, dialect, &run->arena, &to, failure))
        return false;
    int64_t last = from > to ? from : to;
    if (last > 0 && !outbox_continue(dialect, last, &run->arena, &call))
        return failure_out_of_memory(failure);
    struct job job = {.kind = JOB_WRITE, .calls = &call, .call_count = 1};
    return (last == 0 || caller_run(&run->copying.target, &job, failure)) &&
           migrate_after_copy(&run->to_settings, run->to.store, run->to.catalogue, run->to.log,
                              failure);
}

// ---- Copying

// Without a count the progress is shown all the same.
static void count_records(struct run *run) {
    struct failure ignored;
    uint64_t count;
    for (size_t i = 0; i < run->table_count; i++) {
        if (!pages_count(run->from.store, run->tables[i].from, &count, &ignored)) {
            run->total = 0;
            return;
        }
        run->total += count;
    }
}

static void start_progress(struct run *run, const char *label, uint64_t total, uint64_t done) {
    run->copying.done = done;
    progress_start(
        &run->copying.progress,
        &(struct progress_work){.label = label, .unit = "records", .total = total, .done = done});
}

// Does a step for each table. A failure of the store's says whose it is.
static bool for_each_table(struct run *run,
                           bool (*step)(struct table_copy *, struct copying *, struct failure *),
                           struct failure *failure) {
    struct copying *copying = &run->copying;
    bool ok = true;
    for (size_t i = 0; i < run->table_count && ok; i++)
        ok = step(&run->tables[i], copying, failure);
    if (!ok || copying->done == copying->progress.done_first)
        progress_hide(&copying->progress);
    else
        progress_finish(&copying->progress);
    if (!ok && copying->source.outcome.kind != OUTCOME_DONE)
        return blame("source", failure);
    if (!ok && copying->target.outcome.kind != OUTCOME_DONE)
        return blame("target", failure);
    return ok;
}

// References that lead to what came later.
static bool relate_tables(struct run *run, struct failure *failure) {
    bool any = false;
    for (size_t i = 0; i < run->table_count; i++)
        any |= table_copy_has_forward(&run->tables[i]);
    if (!any)
        return true;
    start_progress(run, "Linking", 0, 0);
    return for_each_table(run, table_copy_relate, failure);
}

static bool copy_tables(struct run *run, struct failure *failure) {
    uint64_t there = 0;
    start_progress(run, "Comparing", 0, 0);
    if (!for_each_table(run, table_copy_resume, failure))
        return false;
    for (size_t i = 0; i < run->table_count; i++)
        there += run->tables[i].there;
    count_records(run);
    start_progress(run, "Copying", run->total, there);
    if (!for_each_table(run, table_copy_fill, failure))
        return false;
    if (!relate_tables(run, failure))
        return false;
    start_progress(run, "Checking", run->total, 0);
    return for_each_table(run, table_copy_verify, failure);
}

static void print_tables(const struct run *run) {
    for (size_t i = 0; i < run->table_count; i++) {
        const struct table_copy *table = &run->tables[i];
        char hex[2 * DIGEST_SIZE];
        text_hex_encode(table->digest, DIGEST_SIZE, hex);
        printf("%.*s: %ju %s, %ju of them copied, digest %.*s\n",
               TEXT_ARGS(table->from->resource->name), (uintmax_t)table->count,
               table->count == 1 ? "record" : "records", (uintmax_t)(table->count - table->there),
               (int)sizeof hex, hex);
    }
    printf("The target has all that the source has.\n");
}

static bool copy_all(struct run *run, const struct stored_schema *schema, struct failure *failure) {
    if (!pair_tables(run, failure))
        return false;
    tell_others(run->from.catalogue, schema);
    return copy_tables(run, failure) && continue_events(run, schema, failure) &&
           copy_meta(run, schema, failure);
}

// ---- The run

static bool open_callers(struct run *run, uv_loop_t *loop, struct failure *failure) {
    return (caller_open(&run->copying.source, loop, run->from.store, failure) ||
            blame("source", failure)) &&
           (caller_open(&run->copying.target, loop, run->to.store, failure) ||
            blame("target", failure));
}

static bool copy_on_loop(struct run *run, const struct stored_schema *schema,
                         struct failure *failure) {
    uv_loop_t loop;
    int error = uv_loop_init(&loop);
    if (error)
        return failure_set(failure, FAILURE_UNAVAILABLE, "no event loop: %s", uv_strerror(error));
    bool ok = open_callers(run, &loop, failure) && copy_all(run, schema, failure);
    caller_close(&run->copying.source);
    caller_close(&run->copying.target);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop); // nothing is left on it
    return ok;
}

static int copy(struct run *run) {
    struct stored_schema schema = {0};
    struct failure failure;
    bool ok = open_source(run, &schema, &failure) || blame("source", &failure);
    ok = ok && (workspace_open(&run->to_settings, WORKSPACE_FILL, &run->to, &failure) ||
                blame("target", &failure));
    ok = ok && copy_on_loop(run, &schema, &failure);
    if (!ok)
        return command_fail(run->invocation, "%s", failure.detail);
    print_tables(run);
    return EXIT_SUCCESS;
}

static void close_run(struct run *run) {
    for (size_t i = 0; i < run->table_count; i++)
        table_copy_free(&run->tables[i]);
    workspace_close(&run->to);
    workspace_close(&run->from);
    settings_free(&run->to_settings);
    settings_free(&run->from_settings);
    arena_free(&run->arena);
}

static int run(const struct invocation *invocation) {
    struct run run = {.invocation = invocation};
    struct failure failure;
    int status =
        read_urls(&run, &failure) ? copy(&run) : command_misused(invocation, "%s", failure.detail);
    close_run(&run);
    return status;
}

static const struct command_option options[] = {
    {.name = "from",
     .placeholder = "URL",
     .help = "the database to copy, as in the setting `database`; it is only read"},
    {.name = "to", .placeholder = "URL", .help = "the database that is to be the same"},
    {.name = NULL},
};

const struct command copy_command = {
    .name = "copy",
    .synopsis = "--from URL --to URL",
    .summary = "Copy everything from one database to another",
    .description =
        "Between SQLite and PostgreSQL, in both directions, or from one to another of a kind:\n"
        "all records with their keys and versions, what is never shown too, the numbers that\n"
        "new keys go on from, the administrator's key and the key of cursors, both of which\n"
        "replace the target's; not the answers that are kept for Idempotency-Key, nor the\n"
        "events: who listens is told of a gap. The target's tables are made by the definitions,\n"
        "which must be those of the source.\n"
        "\n"
        "Stop what writes to the source before; servers that only read may go on. The target\n"
        "must be empty, and nobody else may write to it. What interrupts a copy costs nothing\n"
        "but time: the same command again goes on behind the last record that is there, once\n"
        "it has compared those before it. At the end both are read once more, and only if\n"
        "they have the same records, by number and by a digest of every value, the exit\n"
        "status is 0.\n",
    .options = options,
    .uses = USED_BY_COPY,
    .examples =
        "  trestle copy --from sqlite:data/trestle.db --to postgresql://trestle@db/trestle\n"
        "  PGPASSFILE=/etc/trestle/pgpass trestle copy \\\n"
        "      --from 'postgresql://trestle@db/trestle?sslmode=verify-full' \\\n"
        "      --to sqlite:/var/lib/trestle/trestle.db\n",
    .run = run,
};
