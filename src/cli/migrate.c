#include "cli/migrate.h"

#include "cli/workspace.h"
#include "resource/outbox.h"
#include "resource/system_tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// So many processes may change the tables while one starts.
enum { START_TRIES = 20 };

// What stands between the tables and the definitions; the steps belong to the arena.
struct difference {
    struct arena arena;
    struct stored_schema schema;
    struct migration migration;
};

static bool compare_resources(struct store *store, const struct catalogue *catalogue,
                              struct difference *difference, struct failure *failure) {
    difference->schema = (struct stored_schema){0};
    arena_reset(&difference->arena);
    // A store that is not there yet has no tables.
    if (store && !migrate_read_schema(store, &difference->arena, &difference->schema, failure))
        return false;
    return migrate_plan(catalogue, &difference->schema, &difference->arena, &difference->migration,
                        failure);
}

// With the tables of trestle's own, which a server needs, and the triggers that write to them.
static bool compare(struct store *store, const struct catalogue *catalogue,
                    enum outbox_triggers triggers, struct difference *difference,
                    struct failure *failure) {
    return compare_resources(store, catalogue, difference, failure) &&
           system_tables_plan(&difference->schema, catalogue->dialect->store, &difference->arena,
                              &difference->migration, failure) &&
           outbox_plan_triggers(catalogue, &difference->schema, triggers, &difference->arena,
                                &difference->migration, failure);
}

static void print_steps(FILE *out, const struct migration *migration) {
    for (size_t i = 0; i < migration->step_count; i++) {
        const struct migration_step *step = &migration->steps[i];
        bool ends = step->sql.size && step->sql.data[step->sql.size - 1] == ';';
        (void)fprintf(out, "-- %.*s%s\n%.*s%s\n", TEXT_ARGS(step->reason),
                      step->kind == STEP_LOSSY ? " (something may be lost)" : "",
                      TEXT_ARGS(step->sql), ends ? "" : ";");
    }
}

static void log_steps(struct log *log, const struct migration *migration) {
    for (size_t i = 0; i < migration->step_count; i++)
        log_info(log, "migrated: %.*s", TEXT_ARGS(migration->steps[i].reason));
}

static bool refuse(const struct settings *settings, const struct migration *migration,
                   struct failure *failure) {
    print_steps(stderr, migration);
    if (settings->migrate == MIGRATE_NEVER)
        return failure_set(failure, FAILURE_REFUSED,
                           "the tables do not fit the definitions, and \"migrate: never\" leaves "
                           "them alone; run the SQL above, or \"trestle migrate\"%s",
                           migration->lossy ? " with --allow-loss" : "");
    return failure_set(failure, FAILURE_REFUSED,
                       "the definitions ask for changes of the tables by which something may be "
                       "lost; run the SQL above or \"trestle migrate --allow-loss\", or take the "
                       "definitions back");
}

// Runs what is to be done. Another process may start at the same moment and be quicker: then what
// is left is looked at anew.
static bool follow(const struct settings *settings, struct store *store,
                   const struct catalogue *catalogue, enum outbox_triggers triggers,
                   struct log *log, struct failure *failure) {
    struct difference difference = {0};
    const struct migration *migration = &difference.migration;
    bool ok = false;
    for (unsigned i = 0; i < START_TRIES && !ok; i++) {
        if (!compare(store, catalogue, triggers, &difference, failure))
            break;
        bool never = settings->migrate == MIGRATE_NEVER && triggers != TRIGGERS_RESTART;
        if (migration->step_count && (never || migration->lossy)) {
            ok = refuse(settings, migration, failure);
            break;
        }
        ok = migrate_run(store, migration, &difference.arena, failure);
        if (ok)
            log_steps(log, migration);
        else if (failure->code != FAILURE_CONTENTION)
            break;
    }
    arena_free(&difference.arena);
    return ok;
}

bool migrate_at_start(const struct settings *settings, struct store *store,
                      const struct catalogue *catalogue, struct log *log, struct failure *failure) {
    return follow(settings, store, catalogue, TRIGGERS_FOLLOW, log, failure);
}

// With MIGRATE_NEVER the triggers stay, and what they note is of no use to anybody.
bool migrate_before_copy(const struct settings *settings, struct store *store,
                         const struct catalogue *catalogue, struct log *log,
                         struct failure *failure) {
    enum outbox_triggers triggers =
        settings->migrate == MIGRATE_NEVER ? TRIGGERS_FOLLOW : TRIGGERS_GO;
    return follow(settings, store, catalogue, triggers, log, failure);
}

bool migrate_after_copy(const struct settings *settings, struct store *store,
                        const struct catalogue *catalogue, struct log *log,
                        struct failure *failure) {
    return follow(settings, store, catalogue, TRIGGERS_RESTART, log, failure);
}

bool migrate_check(struct store *store, const struct catalogue *catalogue,
                   struct failure *failure) {
    struct difference difference = {0};
    bool ok = compare_resources(store, catalogue, &difference, failure);
    if (ok && difference.migration.step_count > 0)
        ok =
            failure_set(failure, FAILURE_REFUSED,
                        "the tables do not fit the definitions (%.*s); \"trestle migrate\" changes "
                        "them",
                        TEXT_ARGS(difference.migration.steps[0].reason));
    arena_free(&difference.arena);
    return ok;
}

static const struct command_option options[] = {
    {.name = "dry-run", .help = "print what would be done, and do nothing"},
    {.name = "allow-loss", .help = "do also what drops or rewrites something; take a copy before"},
    {.name = NULL},
};

static int migrate(const struct invocation *invocation, const struct workspace *workspace,
                   struct difference *difference) {
    const struct migration *migration = &difference->migration;
    struct failure failure;
    if (!compare(workspace->store, workspace->catalogue, TRIGGERS_FOLLOW, difference, &failure))
        return command_fail(invocation, "%s", failure.detail);
    print_steps(stdout, migration);
    if (migration->step_count == 0) {
        printf("The tables fit the definitions; there is nothing to do.\n");
        return EXIT_SUCCESS;
    }
    if (invocation_option(invocation, "dry-run")) {
        printf("%zu %s to do%s; nothing was done.\n", migration->step_count,
               migration->step_count == 1 ? "step" : "steps",
               migration->lossy ? ", for which it takes --allow-loss" : "");
        return EXIT_SUCCESS;
    }
    if (migration->lossy && !invocation_option(invocation, "allow-loss"))
        return command_fail(invocation, "something may be lost by this, so nothing was done; with "
                                        "--allow-loss it is");
    if (!migrate_run(workspace->store, migration, &difference->arena, &failure))
        return command_fail(invocation, "nothing was done: %s", failure.detail);
    printf("Done: %zu %s.\n", migration->step_count, migration->step_count == 1 ? "step" : "steps");
    return EXIT_SUCCESS;
}

static int run(const struct invocation *invocation) {
    struct workspace workspace;
    struct difference difference = {0};
    struct failure failure;
    enum workspace_parts parts = WORKSPACE_WRITE;
    const char *path = invocation->settings->database.path;
    if (invocation_option(invocation, "dry-run")) // a file that is missing is not made for it
        parts = !path || access(path, F_OK) == 0 ? WORKSPACE_READ : WORKSPACE_DEFINITIONS;
    if (!workspace_open(invocation->settings, parts, &workspace, &failure))
        return command_fail(invocation, "%s", failure.detail);
    int status = migrate(invocation, &workspace, &difference);
    arena_free(&difference.arena);
    workspace_close(&workspace);
    return status;
}

const struct command migrate_command = {
    .name = "migrate",
    .synopsis = "",
    .summary = "Change the database's tables so that they fit the definitions",
    .description =
        "Prints each step with its reason and its SQL, then runs all of them as one transaction.\n"
        "Steps by which something may be lost are run only with --allow-loss.\n",
    .options = options,
    .uses = USED_BY_MIGRATE,
    .examples = "  trestle migrate --dry-run\n"
                "  trestle migrate\n"
                "  trestle migrate --allow-loss\n",
    .run = run,
};
