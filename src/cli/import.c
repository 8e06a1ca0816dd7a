#include "cli/import.h"

#include "base/progress.h"
#include "cli/import_api.h"
#include "cli/import_order.h"
#include "cli/import_store.h"
#include "cli/record_reader.h"
#include "cli/remote.h"
#include "cli/workspace.h"
#include "resource/json.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

static const char *const policies[] = {
    [ON_CONFLICT_FAIL] = "fail", [ON_CONFLICT_SKIP] = "skip", [ON_CONFLICT_REPLACE] = "replace"};

enum { POLICIES = sizeof policies / sizeof *policies };

enum { MAX_DEFERRED = 100000 }; // records that wait in memory for what they refer to

// One run, with all that must be closed after it.
struct run {
    struct import import;
    enum record_format format;
    struct input input;
    struct workspace workspace;
    struct record_reader reader;
    const struct plan *plan;
    bool is_remote;
    struct client_server server;
    struct progress progress;
    struct arena arena;
};

// ---- Settling

static void free_record(struct import_record *record) {
    json_decref(record->body);
    free(record->identities);
    free(record->references);
    free(record->reason);
    free(record);
}

static void unlink_record(struct import *import, struct import_record *record) {
    if (record->previous)
        record->previous->next = record->next;
    else
        import->pending = record->next;
    if (record->next)
        record->next->previous = record->previous;
    import->pending_count--;
}

// A line about one record: where rejects go, or, where the import stops by it, for whoever looks.
static void report(struct import *import, FILE *out, uint64_t line, const char *reason) {
    progress_hide(import->progress);
    (void)fprintf(out, "%s:%ju: %s\n", import->input_name, (uintmax_t)line, reason);
}

static void count(struct import *import, enum import_result result, uint64_t line,
                  const char *reason) {
    bool first_stop = !import->stopped;
    import->counts[result]++;
    if (result == IMPORT_REJECTED)
        report(import, import->rejects, line, reason);
    if (result != IMPORT_CONFLICT && result != IMPORT_FAILED)
        return;
    import->stopped = true;
    if (first_stop)
        report(import, stderr, line, reason);
}

// Puts a record aside until all others are stored.
static bool defer(struct import *import, struct import_record *record, const char *reason) {
    if (import->stopped || import->deferred_count == MAX_DEFERRED ||
        !import_may_refer(import->resource))
        return false;
    char *copy = strdup(reason);
    if (!copy)
        return false;
    free(record->reason);
    record->reason = copy;
    unlink_record(import, record);
    record->next = import->deferred;
    record->previous = NULL;
    import->deferred = record;
    import->deferred_count++;
    return true;
}

void import_settle(struct import *import, struct import_record *record, enum import_result result,
                   const char *reason) {
    if (result == IMPORT_DANGLING) {
        if (defer(import, record, reason))
            return;
        result = IMPORT_REJECTED;
    }
    count(import, result, record->line, reason);
    unlink_record(import, record);
    free_record(record);
}

// ---- Records

// Whether trestle alone writes a property. An export has it, and an import leaves it out.
static bool is_made(const struct resource *resource, const struct property *property) {
    return property->read_only ||
           (property == resource->key.property && resource->key.kind != KEY_PROPERTY);
}

static void drop_made_members(struct import *import, json_t *body) {
    const struct resource *resource = import->resource;
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        if (is_made(resource, property) &&
            json_object_deln(body, property->name.data, property->name.size) == 0)
            import->dropped[i] = true;
    }
}

// A hash of a group's values as they were sent, never 0; 0 where one of them is null.
static uint64_t identify(const json_t *body, struct property *const *properties, size_t size,
                         struct buffer *scratch) {
    struct json_writer writer = json_writer_on(scratch);
    buffer_clear(scratch);
    for (size_t i = 0; i < size; i++) {
        struct text name = properties[i]->name;
        const json_t *value = json_object_getn(body, name.data, name.size);
        if (!value || json_is_null(value))
            return 0;
        json_write_tree(&writer, value);
    }
    uint64_t hash = text_hash(buffer_text(scratch));
    return hash ? hash : 1;
}

// One identity a group of unique properties, and one of a client's own key.
static size_t identity_count(const struct resource *resource) {
    return resource->unique_count + 1;
}

static bool identify_all(struct import *import, struct import_record *record) {
    const struct resource *resource = import->resource;
    struct buffer scratch = {0};
    record->identities = calloc(identity_count(resource), sizeof *record->identities);
    if (!record->identities)
        return false;
    for (size_t i = 0; i < resource->unique_count; i++)
        record->identities[i] = identify(record->body, resource->unique[i].properties,
                                         resource->unique[i].property_count, &scratch);
    if (resource->key.kind == KEY_PROPERTY)
        record->identities[resource->unique_count] =
            identify(record->body, &resource->key.property, 1, &scratch);
    bool ok = !scratch.failed;
    buffer_free(&scratch);
    return ok;
}

// Takes the body.
static struct import_record *make_record(struct import *import, json_t *body, uint64_t line) {
    struct import_record *record = calloc(1, sizeof *record);
    if (!record) {
        json_decref(body);
        return NULL;
    }
    record->body = body;
    record->line = line;
    drop_made_members(import, body);
    if (identify_all(import, record) && import_identify_references(import->resource, record))
        return record;
    free_record(record);
    return NULL;
}

static bool is_same(const struct import *import, const struct import_record *a,
                    const struct import_record *b) {
    for (size_t i = 0; i < identity_count(import->resource); i++) {
        if (a->identities[i] && a->identities[i] == b->identities[i])
            return true;
    }
    return false;
}

// Whether a record must be stored before another one that comes later in the file: they are the
// same thing, or that one refers to it.
static bool must_be_first(const struct import *import, const struct import_record *first,
                          const struct import_record *record) {
    return is_same(import, first, record) ||
           (!import->target->keeps_order && import_refers(record, first));
}

// Records are stored in no certain order; but those that must come first are waited for.
static void wait_for_first(struct import *import, const struct import_record *record) {
    const struct import_record *other = import->pending;
    while (other && !must_be_first(import, other, record))
        other = other->next;
    if (other)
        import->target->finish(import->target);
}

static void submit(struct import *import, struct import_record *record) {
    wait_for_first(import, record);
    if (import->stopped) {
        import->counts[IMPORT_GIVEN_UP]++;
        free_record(record);
        return;
    }
    record->next = import->pending;
    if (import->pending)
        import->pending->previous = record;
    import->pending = record;
    import->pending_count++;
    import->target->submit(import->target, record);
}

static struct import_record *take_deferred(struct import *import) {
    struct import_record *list = import_in_order(import->deferred, import->deferred_count);
    import->deferred = NULL;
    import->deferred_count = 0;
    return list;
}

// Records that refer to others of the same file, again and again as long as that helps any of
// them: what a hash says of their order need not be all.
static void submit_deferred(struct import *import) {
    size_t before = SIZE_MAX;
    while (import->deferred && !import->stopped && import->deferred_count < before) {
        before = import->deferred_count;
        struct import_record *next;
        for (struct import_record *record = take_deferred(import); record; record = next) {
            next = record->next;
            record->next = record->previous = NULL;
            submit(import, record);
        }
        import->target->finish(import->target);
    }
    struct import_record *next;
    for (struct import_record *record = take_deferred(import); record; record = next) {
        next = record->next;
        count(import, import->stopped ? IMPORT_GIVEN_UP : IMPORT_REJECTED, record->line,
              record->reason);
        free_record(record);
    }
}

// ---- The run

static void show_progress(struct run *run, uint64_t records) {
    progress_update(&run->progress, run->input.size ? run->input.taken : records);
}

// Before a pipe makes us wait, what is under way is brought to its end: nobody would look after it
// meanwhile.
static void settle_before_waiting(struct run *run) {
    struct pollfd ready = {.fd = run->input.descriptor, .events = POLLIN};
    if (run->input.ahead.size > 0 || run->input.size > 0 || run->import.pending_count == 0)
        return;
    if (poll(&ready, 1, 0) == 0)
        run->import.target->finish(run->import.target);
}

// Reads all records and submits them. False where the reading stopped, which was reported.
static bool read_all(struct run *run) {
    struct import *import = &run->import;
    struct failure failure;
    for (uint64_t records = 0; !import->stopped; records++) {
        json_t *body = NULL;
        settle_before_waiting(run);
        enum record_result result = record_reader_next(&run->reader, &body, &failure);
        if (result == RECORD_END)
            return true;
        struct import_record *record = NULL;
        if (result == RECORD_READ) {
            record = make_record(import, body, run->reader.line);
            if (!record)
                result = RECORD_STOP;
            if (!record)
                failure_out_of_memory(&failure);
        }
        if (result == RECORD_STOP) {
            progress_hide(import->progress);
            command_fail(import->invocation, "%s", failure.detail);
            return false;
        }
        if (record)
            submit(import, record);
        else
            count(import, IMPORT_REJECTED, run->reader.line, failure.detail);
        show_progress(run, records + 1);
    }
    return true;
}

static void print_dropped(const struct import *import) {
    const struct resource *resource = import->resource;
    bool any = false;
    for (size_t i = 0; i < resource->property_count; i++) {
        if (!import->dropped[i])
            continue;
        printf("%s%.*s", any ? ", " : "Left out, because only trestle writes them: ",
               TEXT_ARGS(resource->properties[i].name));
        any = true;
    }
    if (any)
        printf(".\n");
}

static void print_summary(const struct import *import) {
    const uint64_t *counts = import->counts;
    uint64_t not_stored = counts[IMPORT_CONFLICT] + counts[IMPORT_FAILED] + counts[IMPORT_GIVEN_UP];
    printf("%.*s: %ju created, %ju replaced, %ju skipped, %ju rejected", // one line, easy to parse
           TEXT_ARGS(import->resource->name), (uintmax_t)counts[IMPORT_CREATED],
           (uintmax_t)counts[IMPORT_REPLACED], (uintmax_t)counts[IMPORT_SKIPPED],
           (uintmax_t)counts[IMPORT_REJECTED]);
    if (not_stored)
        printf(", %ju not stored", (uintmax_t)not_stored);
    printf(".\n");
    print_dropped(import);
}

static int conclude(struct run *run, bool complete) {
    const struct import *import = &run->import;
    (void)fflush(import->rejects);
    progress_finish(&run->progress);
    print_summary(import);
    if (import->counts[IMPORT_CONFLICT] && !import->counts[IMPORT_FAILED])
        return command_fail(import->invocation,
                            "stopped at a conflict with a stored record; --on-conflict skip or "
                            "replace goes on");
    if (import->stopped)
        return command_fail(
            import->invocation,
            "stopped; what is stored stays, and running it again with --on-conflict "
            "skip goes on");
    return complete && !import->counts[IMPORT_REJECTED] ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool open_target(struct run *run, struct failure *failure) {
    struct import *import = &run->import;
    import->target = run->is_remote
                         ? import_api_open(import, &run->server, failure)
                         : import_store_open(import, run->workspace.store, run->plan, failure);
    return import->target != NULL;
}

static void announce(const struct run *run, const char *label) {
    const struct client_server *server = &run->server;
    if (run->is_remote)
        (void)fprintf(stderr, "%s through %s.\n", label,
                      server->unix_socket ? server->unix_socket : server->url);
    else
        (void)fprintf(stderr, "%s straight into the database.\n", label);
}

static int import_all(struct run *run) {
    struct import *import = &run->import;
    struct failure failure;
    if (!open_target(run, &failure))
        return command_fail(import->invocation, "%s", failure.detail);
    struct text label =
        arena_format(&run->arena, "Importing %.*s", TEXT_ARGS(import->resource->name));
    struct progress_work work = {.label = label.data ? label.data : "Importing",
                                 .unit = run->input.size ? NULL : "records",
                                 .total = run->input.size};
    announce(run, work.label);
    progress_start(&run->progress, &work);
    bool complete = read_all(run);
    import->target->finish(import->target);
    submit_deferred(import);
    import->target->close(import->target);
    return conclude(run, complete);
}

static bool read_policy(const struct invocation *invocation, enum on_conflict *ret_policy,
                        struct failure *failure) {
    const char *word = invocation_option(invocation, "on-conflict");
    *ret_policy = ON_CONFLICT_FAIL;
    if (!word)
        return true;
    for (unsigned i = 0; i < POLICIES; i++) {
        if (strcmp(word, policies[i]) == 0) {
            *ret_policy = (enum on_conflict)i;
            return true;
        }
    }
    return failure_set(failure, FAILURE_INVALID_SETTING,
                       "--on-conflict: \"%s\" is none of fail, skip, replace", word);
}

static bool read_format(const struct invocation *invocation, enum record_format *ret_format,
                        struct failure *failure) {
    const char *word = invocation_option(invocation, "format");
    const char *path = invocation->arguments[1];
    if (word)
        return record_format_parse(word, ret_format) ||
               failure_set(failure, FAILURE_INVALID_SETTING,
                           "--format: \"%s\" is none of json, ndjson, csv", word);
    return record_format_of_path(path, ret_format) ||
           failure_set(
               failure, FAILURE_INVALID_SETTING,
               "%s does not end in .json, .ndjson, .jsonl or .csv; say what it is by --format",
               path);
}

static bool read_options(struct run *run, struct failure *failure) {
    const struct invocation *invocation = run->import.invocation;
    return read_policy(invocation, &run->import.on_conflict, failure) &&
           read_format(invocation, &run->format, failure) &&
           remote_find(invocation, &run->arena, &run->is_remote, &run->server, failure);
}

// Replacing takes more than creating.
static bool check_actions(const struct run *run, struct failure *failure) {
    const struct resource *resource = run->import.resource;
    bool has_own_key = resource->key.kind == KEY_PROPERTY;
    if (run->import.on_conflict != ON_CONFLICT_REPLACE ||
        (resource->unique_count == 0 && !has_own_key))
        return true;
    enum action needed = ACTION_REPLACE;
    if (resource->actions[ACTION_REPLACE] && run->is_remote && !has_own_key)
        needed = ACTION_LIST;
    return resource->actions[needed] ||
           failure_set(failure, FAILURE_METHOD_NOT_ALLOWED,
                       "--on-conflict replace: the definition of %.*s has no action \"%s\"",
                       TEXT_ARGS(resource->name), action_name(needed));
}

static bool open_rejects(struct import *import, struct failure *failure) {
    const char *path = invocation_option(import->invocation, "rejects");
    import->rejects = path ? fopen(path, "we") : stderr;
    return import->rejects || failure_set(failure, FAILURE_INVALID_SETTING, "--rejects: %s: %s",
                                          path, strerror(errno));
}

static bool prepare(struct run *run, struct failure *failure) {
    struct import *import = &run->import;
    const struct invocation *invocation = import->invocation;
    const struct settings *settings = invocation->settings;
    if (!input_open(&run->input, invocation->arguments[1], failure))
        return false;
    import->input_name = run->input.name;
    if (!workspace_open(settings, run->is_remote ? WORKSPACE_DEFINITIONS : WORKSPACE_SERVE,
                        &run->workspace, failure))
        return false;
    run->plan =
        remote_resource(run->workspace.catalogue, invocation->arguments[0], ACTION_CREATE, failure);
    if (!run->plan)
        return false;
    import->resource = run->plan->resource;
    return check_actions(run, failure) && open_rejects(import, failure) &&
           record_reader_open(&run->reader, &run->input, run->format, import->resource,
                              settings->max_body, failure);
}

// False where what was written to the file of rejects did not get there.
static bool close_rejects(struct import *import) {
    if (!import->rejects || import->rejects == stderr)
        return true;
    bool ok = !ferror(import->rejects);
    return fclose(import->rejects) == 0 && ok;
}

static int run(const struct invocation *invocation) {
    struct run run = {.import = {.invocation = invocation}, .input = {.descriptor = -1}};
    struct failure failure;
    int status;
    run.import.progress = &run.progress;
    if (!read_options(&run, &failure))
        status = command_misused(invocation, "%s", failure.detail);
    else if (!prepare(&run, &failure))
        status = command_fail(invocation, "%s", failure.detail);
    else
        status = import_all(&run);
    if (!close_rejects(&run.import))
        status = command_fail(invocation, "the file of --rejects could not be written");
    record_reader_close(&run.reader);
    workspace_close(&run.workspace);
    input_close(&run.input);
    arena_free(&run.arena);
    return status;
}

static const struct command_option options[] = {
    {.name = "format",
     .placeholder = "json|ndjson|csv",
     .help = "what the file is; else told by its name"},
    {.name = "on-conflict",
     .placeholder = "fail|skip|replace",
     .help = "what to do where a unique property is taken [fail: stop there]"},
    {.name = "rejects",
     .placeholder = "FILE",
     .help = "write the lines about rejected records to it instead of standard error"},
    REMOTE_OPTIONS,
    {.name = NULL},
};

const struct command import_command = {
    .name = "import",
    .synopsis = "RESOURCE FILE",
    .summary = "Load records from a file",
    .description =
        "FILE is a JSON array, has a JSON object a line (NDJSON), or is a CSV whose header names "
        "the\n"
        "properties (store.city is a member of an object; an empty field without quotes is "
        "absent);\n"
        "\"-\" is standard input. Each record is checked and stored by itself: those that do not\n"
        "satisfy the definition are listed with their line and reason, and the exit status is 1.\n"
        "Members that only trestle writes (made keys, read-only properties) are left out. Records\n"
        "may refer to others that come later in the file; what other resources have comes first.\n"
        "\n"
        "It goes through the API of a server: the one that --server names, or one that answers at\n"
        "`listen`; where none does, straight into the database. When a connection breaks, a record "
        "is\n"
        "sent again only where it could not be stored twice, which takes a unique property.\n",
    .options = options,
    .uses = USED_BY_IMPORT,
    .arguments_least = 2,
    .arguments_most = 2,
    .examples = "  trestle import coupons coupons.json\n"
                "  trestle import packages packages.ndjson --on-conflict skip\n"
                "  trestle export coupons | trestle import coupons - --format ndjson \\\n"
                "      --server https://shop.example.org --key \"$KEY\"\n",
    .run = run,
};
