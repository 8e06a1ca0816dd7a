#include "cli/check.h"

#include "base/clock.h"
#include "cli/migrate.h"
#include "cli/pages.h"
#include "cli/workspace.h"
#include "resource/validate.h"

#include <stdio.h>
#include <stdlib.h>

// The stored records of one resource while they are checked.
struct check {
    const struct plan *plan;
    int64_t now;
    uint64_t checked;
    uint64_t faulty;
    struct arena arena; // of the record
    struct buffer json;
    struct failure failure;
};

static void print_fault(const struct check *check, struct text key, const struct fault *fault) {
    printf("%.*s/%.*s: %.*s%s%.*s\n", TEXT_ARGS(check->plan->resource->name), TEXT_ARGS(key),
           TEXT_ARGS(fault->pointer), fault->pointer.size ? ": " : "", TEXT_ARGS(fault->detail));
}

static bool print_faults(struct check *check, const struct value *values,
                         const struct faults *faults) {
    const struct property *key = check->plan->resource->key.property;
    buffer_clear(&check->json);
    encode_key(&check->json, key, values[key->index]);
    if (check->json.failed)
        return failure_out_of_memory(&check->failure);
    for (size_t i = 0; i < faults->count; i++)
        print_fault(check, buffer_text(&check->json), &faults->items[i]);
    check->faulty++;
    return true;
}

static bool check_values(struct check *check, const json_t *record, const struct value *values) {
    struct faults faults = {.arena = &check->arena};
    struct validation validation = {.resource = check->plan->resource,
                                    .arena = &check->arena,
                                    .faults = &faults,
                                    .now = check->now};
    validate_stored(&validation, record, values);
    if (faults.out_of_memory)
        return failure_out_of_memory(&check->failure);
    return faults.count == 0 || print_faults(check, values, &faults);
}

static bool check_record(void *context, const struct selection *selection,
                         const struct value *cells) {
    struct check *check = context;
    const struct resource *resource = check->plan->resource;
    arena_reset(&check->arena);
    buffer_clear(&check->json);
    struct value *values =
        arena_allocate_zero(&check->arena, resource->property_count, sizeof *values);
    if (!values)
        return failure_out_of_memory(&check->failure);
    for (size_t i = 0; i < selection->count; i++)
        values[selection->properties[i]->index] = cells[i];
    struct json_writer writer = json_writer_on(&check->json);
    encode_record(&writer, selection, cells);
    if (check->json.failed)
        return failure_out_of_memory(&check->failure);
    json_t *record = json_read(buffer_text(&check->json), &check->failure);
    bool ok = record && check_values(check, record, values);
    json_decref(record);
    check->checked++;
    return ok;
}

// Adds what it finds to the totals. False and a failure when the check could not be finished.
static bool check_resource(const struct workspace *workspace, const struct plan *plan,
                           uint64_t *checked, uint64_t *faulty, struct failure *failure) {
    struct check check = {.plan = plan, .now = clock_now()};
    const struct page_reader reader = {check_record, &check};
    bool ok = pages_read(workspace->store, plan, PAGES_ALL, &reader, failure);
    if (!ok && failure->code == FAILURE_NONE)
        *failure = check.failure;
    *checked += check.checked;
    *faulty += check.faulty;
    arena_free(&check.arena);
    buffer_free(&check.json);
    return ok;
}

static int check_data(const struct invocation *invocation, const struct workspace *workspace) {
    const struct catalogue *catalogue = workspace->catalogue;
    uint64_t checked = 0;
    uint64_t faulty = 0;
    struct failure failure;
    if (!migrate_check(workspace->store, catalogue, &failure))
        return command_fail(invocation, "%s", failure.detail);
    for (size_t i = 0; i < catalogue->resource_count; i++) {
        const struct plan *plan = &catalogue->plans[i];
        if (!check_resource(workspace, plan, &checked, &faulty, &failure))
            return command_fail(invocation, "%.*s: %s", TEXT_ARGS(plan->resource->name),
                                failure.detail);
    }
    printf("%ju %s checked, %ju no longer %s.\n", (uintmax_t)checked,
           checked == 1 ? "record" : "records", (uintmax_t)faulty,
           faulty == 1 ? "satisfies the definitions" : "satisfy the definitions");
    return faulty ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(const struct invocation *invocation) {
    const struct settings *settings = invocation->settings;
    const bool data = invocation_option(invocation, "data") != NULL;
    struct workspace workspace;
    struct failure failure;
    if (!workspace_open(settings, data ? WORKSPACE_READ : WORKSPACE_DEFINITIONS, &workspace,
                        &failure))
        return command_fail(invocation, "%s", failure.detail);
    size_t count = workspace.catalogue->resource_count;
    printf("%zu %s in %s: no faults.\n", count, count == 1 ? "definition" : "definitions",
           settings->resources);
    int status = data ? check_data(invocation, &workspace) : EXIT_SUCCESS;
    workspace_close(&workspace);
    return status;
}

static const struct command_option options[] = {
    {.name = "data", .help = "also list the stored records that no longer satisfy them"},
    {.name = NULL},
};

const struct command check_command = {
    .name = "check",
    .synopsis = "",
    .summary = "Check the settings and the definitions",
    .description =
        "Prints everything that is wrong as FILE:LINE:COLUMN: MESSAGE. The exit status is 1 "
        "when there\nis anything, 2 when it is in the settings.\n",
    .options = options,
    .uses = USED_BY_CHECK,
    .examples = "  trestle check\n"
                "  trestle check --resources /etc/trestle/resources\n"
                "  trestle check --data\n",
    .run = run,
};
