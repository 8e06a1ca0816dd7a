#include "cli/keys.h"

#include "api/api_key.h"
#include "base/clock.h"
#include "base/quantity.h"
#include "base/suggest.h"
#include "base/timestamp.h"
#include "cli/key_store.h"
#include "cli/listing.h"
#include "cli/migrate.h"
#include "cli/workspace.h"
#include "resource/encode.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { NAME_SIZE = 128 };

// The options, in the order of the table at the end, as bits.
enum {
    OPTION_SCOPE = 1 << 0,
    OPTION_EXPIRES = 1 << 1,
    OPTION_NEVER_EXPIRES = 1 << 2,
    OPTION_GRACE = 1 << 3,
    OPTION_STATE = 1 << 4,
    OPTION_JSON = 1 << 5,
};

struct run;

// One of the things that can be done.
struct task {
    const char *name;
    const char *argument; // what it is done to: NULL for nothing
    unsigned options;     // besides OPTION_JSON
    bool writes;
    int (*run)(struct run *run);
};

// One run, with all that must be freed after it.
struct run {
    const struct invocation *invocation;
    const struct task *task;
    struct text argument;
    bool json;
    struct workspace workspace;
    struct key_store keys;
    char by[NAME_SIZE];
    struct arena arena;
    struct buffer out; // JSON
    struct json_writer writer;
    struct listing listing;
    void (*add_row)(struct listing *listing, const struct key_page *page, size_t row);
    size_t shown;
};

static const char *option(const struct run *run, const char *name) {
    return invocation_option(run->invocation, name);
}

static int fail(const struct run *run, const struct failure *failure) {
    return command_fail(run->invocation, "%s", failure->detail);
}

// ---- Texts for people

// "2026-12-06T22:01:11Z": nobody needs the milliseconds.
static struct text show_instant(struct value value, struct arena *arena) {
    return value.kind == VALUE_TIMESTAMP ? arena_format(arena, "%.19sZ", value.text.data)
                                         : TEXT("-");
}

static struct text show_scopes(struct value value, struct arena *arena) {
    struct failure failure;
    json_t *scopes = value.kind == VALUE_JSON ? json_read(value.text, &failure) : NULL;
    struct text all = TEXT("");
    for (size_t i = 0; i < json_array_size(scopes); i++)
        all = arena_format(arena, "%.*s%s%.*s", TEXT_ARGS(all), i ? " " : "",
                           TEXT_ARGS(json_text(json_array_get(scopes, i))));
    json_decref(scopes);
    return all;
}

static struct text show(const struct property *property, struct value value, struct arena *arena) {
    switch (value.kind) {
    case VALUE_NULL: return TEXT("-");
    case VALUE_BOOLEAN: return value.boolean ? TEXT("yes") : TEXT("no");
    case VALUE_INTEGER: return arena_format(arena, "%jd", (intmax_t)value.integer);
    case VALUE_TIMESTAMP: return show_instant(value, arena);
    case VALUE_JSON:
        return text_is(property->name, "scopes") ? show_scopes(value, arena) : value.text;
    default: return value.text;
    }
}

static const char *state_of(struct value active, struct value end) {
    int64_t ms;
    if (active.kind == VALUE_BOOLEAN && !active.boolean)
        return "inactive";
    return end.kind == VALUE_TIMESTAMP && timestamp_parse(end.text, &ms) && ms <= clock_now()
               ? "expired"
               : "live";
}

// ---- Lists

static struct value cell(const struct key_page *page, size_t row, const char *name) {
    const struct selection *selection = &page->query->selection;
    for (size_t i = 0; i < selection->count; i++) {
        if (selection->properties[i] && text_is(selection->properties[i]->name, name))
            return page->rows[row][i];
    }
    return value_null();
}

static void add(struct listing *listing, const struct key_page *page, size_t row,
                const char *name) {
    const struct property *property =
        resource_property(page->query->resource, text_from_string(name));
    listing_add(listing, show(property, cell(page, row, name), &listing->arena));
}

static const char *const key_titles[] = {"ID",        "NAME",     "PREFIX", "STATE", "EXPIRES",
                                         "LAST USED", "REQUESTS", "SCOPES", NULL};

static void add_key(struct listing *listing, const struct key_page *page, size_t row) {
    struct value end = cell(page, row, "expires_at");
    const char *state = state_of(cell(page, row, "active"), end);
    add(listing, page, row, "id");
    add(listing, page, row, "name");
    add(listing, page, row, "prefix");
    listing_add(listing, text_from_string(state));
    listing_add(listing, value_is_null(end) ? TEXT("never") : show_instant(end, &listing->arena));
    add(listing, page, row, "last_used_at");
    add(listing, page, row, "total_requests");
    add(listing, page, row, "scopes");
}

static const char *const event_titles[] = {"AT", "ACTION", "BY", "CHANGES", NULL};
static const char *const event_properties[] = {"at", "action", "by", "changes", NULL};
static const char *const day_titles[] = {"DAY", "REQUESTS", "2XX",       "3XX",
                                         "4XX", "5XX",      "LAST USED", NULL};
static const char *const day_properties[] = {"day",          "requests",   "status_2xx",
                                             "status_3xx",   "status_4xx", "status_5xx",
                                             "last_used_at", NULL};

static void add_event(struct listing *listing, const struct key_page *page, size_t row) {
    for (size_t i = 0; event_properties[i]; i++)
        add(listing, page, row, event_properties[i]);
}

static void add_day(struct listing *listing, const struct key_page *page, size_t row) {
    for (size_t i = 0; day_properties[i]; i++)
        add(listing, page, row, day_properties[i]);
}

static bool flush_json(struct run *run) {
    bool ok = !run->out.failed;
    if (ok && run->out.size)
        (void)fwrite(run->out.data, 1, run->out.size, stdout); // main() sees what fails
    buffer_clear(&run->out);
    return ok;
}

static bool on_page(void *context, struct key_page *page) {
    struct run *run = context;
    run->shown += page->count;
    for (size_t i = 0; i < page->count; i++) {
        if (run->json)
            encode_record(&run->writer, &page->query->selection, page->rows[i]);
        else
            run->add_row(&run->listing, page, i);
    }
    return run->json ? flush_json(run) : listing_print(&run->listing, stdout);
}

static int print_list(struct run *run, const struct plan *plan, const struct query_scope *scope,
                      const struct parameter *parameters, size_t count) {
    struct failure failure;
    if (run->json)
        json_write_array_begin(&run->writer);
    if (!key_store_list(&run->keys, plan, scope, parameters, count, on_page, run, &failure))
        return fail(run, &failure);
    if (!run->json)
        return EXIT_SUCCESS;
    json_write_array_end(&run->writer);
    buffer_append_byte(&run->out, '\n');
    return flush_json(run) ? EXIT_SUCCESS : command_fail(run->invocation, "out of memory");
}

static int run_list(struct run *run) {
    const char *state = option(run, "state");
    const struct query_scope all = {.resource = run->keys.plan->resource};
    const struct parameter parameter = {TEXT("state"), text_from_string(state ? state : "")};
    listing_init(&run->listing, key_titles);
    run->add_row = add_key;
    return print_list(run, run->keys.plan, &all, &parameter, state != NULL);
}

// What is kept about a key, which may be gone: then its id tells which.
static int print_kept(struct run *run, struct text table) {
    const struct plan *plan = catalogue_table(run->workspace.catalogue, table);
    const struct property *property = resource_property(plan->resource, TEXT("key_id"));
    struct stored_key key = {.id = value_text(VALUE_UUID, run->argument)};
    struct failure failure;
    bool there = key_store_find(&run->keys, run->argument, &run->arena, &key, &failure);
    bool is_gone =
        !there && failure.code == FAILURE_NOT_FOUND && run->argument.size == API_KEY_ID_SIZE;
    if (!there && !is_gone)
        return fail(run, &failure);
    struct query_scope scope = {.resource = plan->resource, .name = key.id.text};
    scope.filter = expression_equal(&run->arena, property, key.id);
    if (!scope.filter)
        return command_fail(run->invocation, "out of memory");
    int status = print_list(run, plan, &scope, NULL, 0);
    return status == EXIT_SUCCESS && !there && run->shown == 0 ? fail(run, &failure) : status;
}

static int run_history(struct run *run) {
    listing_init(&run->listing, event_titles);
    run->add_row = add_event;
    return print_kept(run, key_history_table);
}

static int run_usage(struct run *run) {
    listing_init(&run->listing, day_titles);
    run->add_row = add_day;
    return print_kept(run, key_usage_table);
}

// ---- One key

static int print_json(struct run *run, const struct value *values, const char *secret) {
    const struct resource *resource = run->keys.plan->resource;
    json_write_object_begin(&run->writer);
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        if (property->write_only)
            continue;
        json_write_prepared_name(&run->writer, property->prepared_name);
        encode_value(&run->writer, property, values[i]);
    }
    if (secret) {
        json_write_name(&run->writer, TEXT("secret"));
        json_write_string(&run->writer, text_from_string(secret));
    }
    json_write_object_end(&run->writer);
    buffer_append_byte(&run->out, '\n');
    return flush_json(run) ? EXIT_SUCCESS : command_fail(run->invocation, "out of memory");
}

static void print_members(struct run *run, const struct value *values, FILE *out) {
    const struct resource *resource = run->keys.plan->resource;
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        if (property->write_only)
            continue;
        (void)fprintf(out, "%-20.*s", TEXT_ARGS(property->name));
        listing_print_text(show(property, values[i], &run->arena), out);
        (void)fputc('\n', out);
    }
}

static int print_key(struct run *run, const struct stored_key *key) {
    if (run->json)
        return print_json(run, key->values, NULL);
    print_members(run, key->values, stdout);
    return EXIT_SUCCESS;
}

// The secret alone goes to standard output, where it can be caught; the rest is for whoever looks.
static int print_secret(struct run *run, const struct stored_key *key, const char *secret) {
    if (run->json)
        return print_json(run, key->values, secret);
    print_members(run, key->values, stderr);
    (void)fprintf(stderr, "The secret, shown only this once:\n");
    (void)fflush(stderr);
    printf("%s\n", secret);
    return EXIT_SUCCESS;
}

static bool find(struct run *run, struct stored_key *ret_key, struct failure *failure) {
    return key_store_find(&run->keys, run->argument, &run->arena, ret_key, failure);
}

static int run_show(struct run *run) {
    struct stored_key key;
    struct failure failure;
    return find(run, &key, &failure) ? print_key(run, &key) : fail(run, &failure);
}

// ---- Create

// "30d" is so long from now, "2027-01-01" the day's begin; anything else is what the body takes.
static struct text read_end(struct run *run, const char *end) {
    struct text text = text_from_string(end);
    uint64_t ms;
    if (quantity_parse_duration(text, &ms) && ms <= INT64_C(31536000000) * 1000) {
        char *instant = arena_allocate(&run->arena, TIMESTAMP_SIZE);
        if (instant)
            timestamp_format(clock_now() + (int64_t)ms, instant);
        return text_of(instant, TIMESTAMP_SIZE);
    }
    return date_is_valid(text) ? arena_format(&run->arena, "%sT00:00:00Z", end) : text;
}

static json_t *new_string(struct text text) {
    return json_stringn(text.data, text.size);
}

static json_t *split_scopes(const char *scopes) {
    json_t *array = json_array();
    struct text rest = text_from_string(scopes ? scopes : "");
    struct text scope;
    bool ok = array != NULL;
    while (ok && scopes && text_split(&rest, ',', &scope))
        ok = json_array_append_new(array, new_string(scope)) == 0;
    if (ok)
        return array;
    json_decref(array);
    return NULL;
}

// The body that POST /keys would be sent; NULL when there is no memory, or where a text is not
// UTF-8.
static json_t *make_body(struct run *run) {
    const char *end = option(run, "expires");
    json_t *body = json_object();
    bool ok = body && json_object_set_new(body, "name", new_string(run->argument)) == 0 &&
              json_object_set_new(body, "scopes", split_scopes(option(run, "scope"))) == 0;
    if (ok && option(run, "never-expires"))
        ok = json_object_set_new(body, "never_expires", json_true()) == 0;
    if (ok && end) {
        struct text text = read_end(run, end);
        ok = text.data && json_object_set_new(body, "expires_at", new_string(text)) == 0;
    }
    if (ok)
        return body;
    json_decref(body);
    return NULL;
}

static void print_faults(const struct run *run, const struct faults *faults) {
    for (size_t i = 0; i < faults->count; i++)
        (void)command_fail(run->invocation, "%.*s: %.*s", TEXT_ARGS(faults->items[i].pointer),
                           TEXT_ARGS(faults->items[i].detail));
}

static int run_create(struct run *run) {
    char secret[SECRET_SIZE];
    struct faults faults = {.arena = &run->arena};
    struct stored_key key;
    struct failure failure;
    if (!option(run, "scope"))
        return command_misused(run->invocation, "a key needs a --scope, such as packages:read");
    json_t *body = make_body(run);
    if (!body)
        return command_fail(run->invocation, "the name, a scope or the end is no UTF-8");
    bool made = key_store_create(&run->keys, body, &run->arena, &faults, &key, secret, &failure);
    int status;
    if (made) {
        status = print_secret(run, &key, secret);
    } else {
        print_faults(run, &faults);
        status = fail(run, &failure);
    }
    explicit_bzero(secret, sizeof secret);
    json_decref(body);
    return status;
}

// ---- Changes

static int change(struct run *run, const struct key_action *action, struct stored_key *ret_key) {
    struct failure failure;
    if (find(run, ret_key, &failure) &&
        key_store_change(&run->keys, action, &run->arena, ret_key, &failure))
        return EXIT_SUCCESS;
    return fail(run, &failure);
}

static int change_and_print(struct run *run, const struct key_action *action) {
    struct stored_key key;
    int status = change(run, action, &key);
    return status == EXIT_SUCCESS ? print_key(run, &key) : status;
}

static bool set_active(void *context, const struct resource *keys, struct value *values,
                       int64_t now, struct arena *arena) {
    const bool *active = context;
    key_set(keys, values, "active", value_boolean(*active));
    return true;
}

static int run_deactivate(struct run *run) {
    bool active = false;
    return change_and_print(run, &(struct key_action){"update", set_active, &active});
}

static int run_reactivate(struct run *run) {
    bool active = true;
    return change_and_print(run, &(struct key_action){"update", set_active, &active});
}

static bool renew(void *context, const struct resource *keys, struct value *values, int64_t now,
                  struct arena *arena) {
    return key_renew(keys, values, now, arena);
}

static int run_renew(struct run *run) {
    return change_and_print(run, &(struct key_action){"renew", renew, NULL});
}

struct rotation {
    int64_t grace;
    char secret[SECRET_SIZE];
};

static bool rotate(void *context, const struct resource *keys, struct value *values, int64_t now,
                   struct arena *arena) {
    struct rotation *rotation = context;
    return key_rotate(keys, values, now, rotation->grace, arena) &&
           key_make_secret(keys, values, arena, rotation->secret);
}

static int run_rotate(struct run *run) {
    struct rotation rotation = {.grace = KEY_GRACE};
    struct stored_key key;
    const char *grace = option(run, "grace");
    uint64_t ms = KEY_GRACE;
    if (grace && (!quantity_parse_duration(text_from_string(grace), &ms) || ms > KEY_GRACE_MOST))
        return command_misused(run->invocation,
                               "--grace is a time such as 12h or 7d, from 0 to 30d");
    rotation.grace = (int64_t)ms;
    int status = change(run, &(struct key_action){"rotate", rotate, &rotation}, &key);
    if (status == EXIT_SUCCESS)
        status = print_secret(run, &key, rotation.secret);
    explicit_bzero(&rotation, sizeof rotation);
    return status;
}

static int run_delete(struct run *run) {
    struct stored_key key;
    struct failure failure;
    if (!find(run, &key, &failure) || !key_store_delete(&run->keys, &key, &run->arena, &failure))
        return fail(run, &failure);
    return print_key(run, &key);
}

// ---- The command

static const struct task tasks[] = {
    {"create", "NAME", OPTION_SCOPE | OPTION_EXPIRES | OPTION_NEVER_EXPIRES, true, run_create},
    {"list", NULL, OPTION_STATE, false, run_list},
    {"show", "KEY", 0, false, run_show},
    {"deactivate", "KEY", 0, true, run_deactivate},
    {"reactivate", "KEY", 0, true, run_reactivate},
    {"renew", "KEY", 0, true, run_renew},
    {"rotate", "KEY", OPTION_GRACE, true, run_rotate},
    {"delete", "KEY", 0, true, run_delete},
    {"history", "KEY", 0, false, run_history},
    {"usage", "KEY", 0, false, run_usage},
};

static const struct task *find_task(const char *name, struct suggestion *suggestion) {
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
        if (strcmp(tasks[i].name, name) == 0)
            return &tasks[i];
        suggest_offer(suggestion, text_from_string(tasks[i].name));
    }
    return NULL;
}

// The task's arguments and options; EXIT_SUCCESS, or that of a wrong use.
static int check_use(const struct invocation *invocation, const struct task *task) {
    const struct command_option *options = invocation->command->options;
    size_t wanted = task->argument ? 2 : 1;
    if (invocation->argument_count < wanted)
        return command_misused(invocation, "\"keys %s\" is done to a %s, which is missing",
                               task->name, task->argument);
    if (invocation->argument_count > wanted)
        return command_misused(invocation, "\"%s\" is one argument too many",
                               invocation->arguments[wanted]);
    for (size_t i = 0; options[i].name; i++) {
        if (invocation->option_values[i] && !((task->options | OPTION_JSON) & 1U << i))
            return command_misused(invocation, "--%s has no meaning for \"keys %s\"",
                                   options[i].name, task->name);
    }
    if (invocation_option(invocation, "expires") && invocation_option(invocation, "never-expires"))
        return command_misused(invocation, "--expires and --never-expires exclude each other");
    return EXIT_SUCCESS;
}

// Who does it, as far as the system knows.
static void name_user(char out[NAME_SIZE]) {
    char room[4096];
    struct passwd entry;
    struct passwd *user;
    if (getpwuid_r(getuid(), &entry, room, sizeof room, &user) == 0 && user)
        (void)snprintf(out, NAME_SIZE, "cli:%s", user->pw_name);
    else
        (void)snprintf(out, NAME_SIZE, "cli:%ju", (uintmax_t)getuid());
}

static int run_task(struct run *run) {
    struct failure failure;
    const struct settings *settings = run->invocation->settings;
    enum workspace_parts parts = run->task->writes ? WORKSPACE_SERVE : WORKSPACE_READ;
    if (!workspace_open(settings, parts, &run->workspace, &failure))
        return fail(run, &failure);
    int status = EXIT_FAILURE;
    name_user(run->by);
    key_store_init(&run->keys, run->workspace.store, run->workspace.catalogue, run->by);
    run->writer = json_writer_on(&run->out);
    if (run->task->writes ||
        migrate_check(run->workspace.store, run->workspace.catalogue, &failure))
        status = run->task->run(run);
    else
        fail(run, &failure);
    buffer_free(&run->out);
    listing_free(&run->listing);
    arena_free(&run->arena);
    workspace_close(&run->workspace);
    return status;
}

static int run(const struct invocation *invocation) {
    struct text name = text_from_string(invocation->arguments[0]);
    struct suggestion suggestion = {.word = name};
    struct run run = {.invocation = invocation,
                      .task = find_task(name.data, &suggestion),
                      .json = invocation_option(invocation, "json") != NULL};
    if (!run.task && suggestion.best.data)
        return command_misused(invocation, "there is no \"keys %s\"; perhaps %.*s is meant",
                               name.data, TEXT_ARGS(suggestion.best));
    if (!run.task)
        return command_misused(invocation, "there is no \"keys %s\"", name.data);
    int status = check_use(invocation, run.task);
    if (status != EXIT_SUCCESS)
        return status;
    if (run.task->argument)
        run.argument = text_from_string(invocation->arguments[1]);
    return run_task(&run);
}

static const struct command_option options[] = {
    {.name = "scope",
     .placeholder = "SCOPE",
     .help =
         "what a new key may do: packages:read, packages:write, packages:reject (a transition), "
         "*:read, *:write or admin; several with commas, or several times",
     .repeats = true},
    {.name = "expires",
     .placeholder = "WHEN",
     .help = "when a new key ends: 30d from now, 2027-01-01, or a date-time [15d]"},
    {.name = "never-expires", .help = "a new key has no end"},
    {.name = "grace",
     .placeholder = "TIME",
     .help = "how long the replaced secret is good, 0 to 30d [1d]"},
    {.name = "state", .placeholder = "STATE", .help = "list only those: live, expired or inactive"},
    {.name = "json", .help = "print JSON, as the API answers it"},
    {.name = NULL},
};

const struct command keys_command = {
    .name = "keys",
    .synopsis = "ACTION [NAME|KEY]",
    .summary = "Make, list and change API keys",
    .description =
        "Works on the database itself, while servers run on it or not; they see a change within\n"
        "a second. KEY is the id of a key, how its secret begins (tr_7mQ2xK4z), or a name that no\n"
        "other key has.\n"
        "\n"
        "  create NAME        make a key; its secret goes to standard output, this once\n"
        "  list               all keys\n"
        "  show KEY           all about one\n"
        "  deactivate KEY     have it refused\n"
        "  reactivate KEY     and taken again\n"
        "  renew KEY          let it end 15 days from now, if it would end before\n"
        "  rotate KEY         give it a new secret, which goes to standard output, this once\n"
        "  delete KEY         remove it\n"
        "  history KEY        what was done to it, and by whom\n"
        "  usage KEY          how often it was used, by day (UTC)\n",
    .options = options,
    .uses = USED_BY_KEYS,
    .arguments_least = 1,
    .arguments_most = 2,
    .examples =
        "  trestle keys create \"build agent\" --scope packages:read --scope packages:write\n"
        "  SECRET=$(trestle keys create dashboard --scope '*:read' --expires 90d)\n"
        "  trestle keys list --state expired\n"
        "  trestle keys rotate \"build agent\" --grace 7d\n"
        "  trestle keys deactivate tr_7mQ2xK4z\n"
        "  trestle keys usage dashboard --json\n",
    .run = run,
};
