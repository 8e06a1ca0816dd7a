#include "cli/export.h"

#include "base/clock.h"
#include "base/progress.h"
#include "cli/migrate.h"
#include "cli/pages.h"
#include "cli/record_writer.h"
#include "cli/remote.h"
#include "cli/workspace.h"

#include <stdlib.h>

enum {
    ATTEMPTS = 8,      // to get a page
    FIRST_DELAY = 100, // milliseconds, doubled each time
};

// One run, with all that must be closed after it.
struct run {
    const struct invocation *invocation;
    enum record_format format;
    struct workspace workspace;
    const struct plan *plan;
    bool is_remote;
    struct client_server server;
    struct record_writer writer;
    struct progress progress;
    struct buffer json; // a record
    struct arena arena;
    struct failure failure; // what a callback met
};

static bool add(struct run *run, struct text record, struct failure *failure) {
    if (!record_writer_add(&run->writer, record, failure))
        return false;
    progress_update(&run->progress, run->writer.count);
    return true;
}

// ---- Straight from the database

static bool on_record(void *context, const struct selection *selection, const struct value *cells) {
    struct run *run = context;
    struct json_writer writer = json_writer_on(&run->json);
    buffer_clear(&run->json);
    encode_record(&writer, selection, cells);
    if (run->json.failed)
        return failure_out_of_memory(&run->failure);
    return add(run, buffer_text(&run->json), &run->failure);
}

static bool export_from_store(struct run *run, struct failure *failure) {
    const struct page_reader reader = {on_record, run};
    struct failure ignored;
    uint64_t count;
    if (!migrate_check(run->workspace.store, run->workspace.catalogue, failure))
        return false;
    // Without a count the progress is shown all the same.
    if (pages_count(run->workspace.store, run->plan, &count, &ignored))
        progress_set_total(&run->progress, count);
    if (pages_read(run->workspace.store, run->plan, PAGES_SHOWN, &reader, failure))
        return true;
    if (failure->code == FAILURE_NONE)
        *failure = run->failure;
    return false;
}

// ---- Through the API

// An answer of 200, asked for again where that may help: reading changes nothing.
static bool get(struct client *client, struct client_request *request, struct failure *failure) {
    unsigned delay = FIRST_DELAY;
    for (unsigned attempt = 0;; attempt++, delay *= 2) {
        client_ask(client, request);
        if (request->status == 200)
            return true;
        bool may_help = request->status == 0 || request->status == 503 || request->status == 429;
        if (!may_help || attempt + 1 == ATTEMPTS)
            break;
        uint64_t end = clock_monotonic() + delay;
        for (uint64_t now; (now = clock_monotonic()) < end;)
            client_run(client, (unsigned)(end - now));
    }
    struct buffer reason = {0};
    client_explain(request, &reason);
    const char *hint = request->status == 401 || request->status == 403
                           ? "the server wants a key (--key, TRESTLE_KEY or admin_key): "
                           : "";
    if (reason.failed)
        failure_out_of_memory(failure);
    else
        failure_set(failure, FAILURE_UNAVAILABLE, "%s%.*s", hint, TEXT_ARGS(buffer_text(&reason)));
    buffer_free(&reason);
    return false;
}

static bool add_page(struct run *run, struct text page, struct failure *failure) {
    struct input input;
    struct record_reader reader;
    struct text record;
    enum record_result result;
    input_from_text(&input, page);
    input.name = "the server's answer";
    if (!record_reader_open(&reader, &input, RECORDS_JSON, run->plan->resource, page.size, failure))
        return false;
    bool ok = true;
    while (ok && (result = record_reader_next_element(&reader, &record, failure)) != RECORD_END)
        ok = result == RECORD_READ && add(run, record, failure);
    record_reader_close(&reader);
    return ok;
}

// Asked for once and not with each page, since it may look at all records. Without it the progress
// is shown all the same.
static void count_pages(struct run *run, struct client *client, struct client_request *request) {
    struct text target =
        arena_format(&run->arena, "/%.*s?limit=1&count=true", TEXT_ARGS(run->plan->resource->name));
    if (!target.data)
        return;
    request->target = target.data;
    client_ask(client, request);
    if (request->status == 200 && request->total >= 0)
        progress_set_total(&run->progress, (uint64_t)request->total);
}

static bool export_pages(struct run *run, struct client *client, struct client_request *request,
                         struct buffer *target, struct failure *failure) {
    count_pages(run, client, request);
    buffer_format(target, "/%.*s?limit=%d", TEXT_ARGS(run->plan->resource->name), QUERY_MAX_LIMIT);
    for (;;) {
        buffer_append_byte(target, '\0');
        if (target->failed)
            return failure_out_of_memory(failure);
        request->target = target->data;
        if (!get(client, request, failure))
            return false;
        if (!add_page(run, buffer_text(&request->answer), failure))
            return false;
        buffer_clear(target);
        if (!client_link(request, "next", target))
            return true;
    }
}

static bool export_from_server(struct run *run, struct failure *failure) {
    struct client *client = client_open(&run->server, failure);
    if (!client)
        return false;
    struct client_request request = {.method = "GET"};
    struct buffer target = {0};
    bool ok = export_pages(run, client, &request, &target, failure);
    buffer_free(&target);
    client_request_free(&request);
    client_close(client);
    return ok;
}

// ---- The run

static int export_all(struct run *run) {
    const struct invocation *invocation = run->invocation;
    const struct resource *resource = run->plan->resource;
    const char *path = invocation->argument_count > 1 ? invocation->arguments[1] : NULL;
    struct failure failure;
    if (!record_writer_open(&run->writer, path, run->format, resource, &failure))
        return command_fail(invocation, "%s", failure.detail);
    struct text label = arena_format(&run->arena, "Exporting %.*s", TEXT_ARGS(resource->name));
    struct progress_work work = {.label = label.data ? label.data : "Exporting", .unit = "records"};
    progress_start(&run->progress, &work);
    bool ok = run->is_remote ? export_from_server(run, &failure) : export_from_store(run, &failure);
    ok = ok && record_writer_finish(&run->writer, &failure);
    if (ok) {
        progress_finish(&run->progress);
        return EXIT_SUCCESS;
    }
    progress_hide(&run->progress);
    return command_fail(invocation, "%s", failure.detail);
}

static bool read_format(const struct invocation *invocation, enum record_format *ret_format,
                        struct failure *failure) {
    const char *word = invocation_option(invocation, "format");
    *ret_format = RECORDS_NDJSON;
    if (word)
        return record_format_parse(word, ret_format) ||
               failure_set(failure, FAILURE_INVALID_SETTING,
                           "--format: \"%s\" is none of json, ndjson, csv", word);
    if (invocation->argument_count > 1)
        (void)record_format_of_path(invocation->arguments[1], ret_format);
    return true;
}

static bool prepare(struct run *run, struct failure *failure) {
    const struct invocation *invocation = run->invocation;
    if (!workspace_open(invocation->settings,
                        run->is_remote ? WORKSPACE_DEFINITIONS : WORKSPACE_READ, &run->workspace,
                        failure))
        return false;
    run->plan =
        remote_resource(run->workspace.catalogue, invocation->arguments[0], ACTION_LIST, failure);
    return run->plan != NULL;
}

static int run(const struct invocation *invocation) {
    struct run run = {.invocation = invocation};
    struct failure failure;
    int status;
    if (!read_format(invocation, &run.format, &failure) ||
        !remote_find(invocation, &run.arena, &run.is_remote, &run.server, &failure))
        status = command_misused(invocation, "%s", failure.detail);
    else if (!prepare(&run, &failure))
        status = command_fail(invocation, "%s", failure.detail);
    else
        status = export_all(&run);
    record_writer_abandon(&run.writer);
    workspace_close(&run.workspace);
    buffer_free(&run.json);
    arena_free(&run.arena);
    return status;
}

static const struct command_option options[] = {
    {.name = "format",
     .placeholder = "json|ndjson|csv",
     .help = "what to write; else told by the file's name [ndjson]"},
    REMOTE_OPTIONS,
    {.name = NULL},
};

const struct command export_command = {
    .name = "export",
    .synopsis = "RESOURCE [FILE]",
    .summary = "Write all records of a resource to a file",
    .description =
        "Without FILE, or with \"-\", they go to standard output. A file appears whole or not at "
        "all.\n"
        "Records are read in short pages, so that nobody has to wait: what is written meanwhile "
        "may be\n"
        "in it or not. In a CSV the declared members of an object are columns (store.city), so an "
        "empty\n"
        "object is written as none; NDJSON and JSON are exact.\n"
        "\n"
        "It goes through the API of a server: the one that --server names, or one that answers at\n"
        "`listen`; where none does, straight from the database.\n",
    .options = options,
    .uses = USED_BY_EXPORT,
    .arguments_least = 1,
    .arguments_most = 2,
    .examples = "  trestle export packages packages.ndjson\n"
                "  trestle export coupons coupons.csv\n"
                "  trestle export coupons --server https://shop.example.org | jq -r .title\n",
    .run = run,
};
