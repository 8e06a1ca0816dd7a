#include "cli/routes.h"

#include "api/route.h"
#include "base/json_writer.h"
#include "cli/workspace.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const access_words[] = {[ACCESS_KEY] = "key",
                                           [ACCESS_PUBLIC] = "public",
                                           [ACCESS_ADMIN] = "admin",
                                           [ACCESS_EACH] = "each"};

// The listing in the making; the paths are as wide as the widest of them.
struct listing {
    struct arena arena;
    struct buffer out;
    struct json_writer writer;
    int width;
};

static struct text scope_of(struct listing *listing, const struct route_told *told) {
    return arena_format(&listing->arena, "%.*s:%.*s", TEXT_ARGS(told->resource->name),
                        TEXT_ARGS(told->verb));
}

static bool measure(void *context, const struct route_told *told) {
    struct listing *listing = context;
    if ((int)told->path.size > listing->width)
        listing->width = (int)told->path.size;
    return true;
}

static bool write_line(void *context, const struct route_told *told) {
    struct listing *listing = context;
    struct text who = text_from_string(access_words[told->access]);
    if (told->access == ACCESS_KEY)
        who = scope_of(listing, told);
    if (!who.data)
        return false;
    buffer_format(&listing->out, "%-7s  %-*.*s  %-12.*s  %.*s\n", told->method, listing->width,
                  TEXT_ARGS(told->path), TEXT_ARGS(told->action), TEXT_ARGS(who));
    return !listing->out.failed;
}

static void write_member(struct json_writer *writer, const char *name, struct text text) {
    json_write_name(writer, text_from_string(name));
    if (text.size)
        json_write_string(writer, text);
    else
        json_write_null(writer);
}

static bool write_object(void *context, const struct route_told *told) {
    struct listing *listing = context;
    struct json_writer *writer = &listing->writer;
    struct text scope = TEXT("");
    if (told->access == ACCESS_KEY)
        scope = scope_of(listing, told);
    if (!scope.data)
        return false;
    json_write_object_begin(writer);
    write_member(writer, "method", text_from_string(told->method));
    write_member(writer, "path", told->path);
    write_member(writer, "resource", told->resource ? told->resource->name : TEXT(""));
    write_member(writer, "action", told->action);
    write_member(writer, "access", text_from_string(access_words[told->access]));
    write_member(writer, "scope", scope);
    json_write_object_end(writer);
    return !listing->out.failed;
}

static bool write_table(struct listing *listing, const struct catalogue *catalogue) {
    return routes_each(catalogue, &listing->arena, measure, listing) &&
           routes_each(catalogue, &listing->arena, write_line, listing);
}

static bool write_json(struct listing *listing, const struct catalogue *catalogue) {
    listing->writer = json_writer_on(&listing->out);
    json_write_array_begin(&listing->writer);
    bool ok = routes_each(catalogue, &listing->arena, write_object, listing);
    json_write_array_end(&listing->writer);
    buffer_append_byte(&listing->out, '\n');
    return ok && !listing->out.failed;
}

static int run(const struct invocation *invocation) {
    struct workspace workspace;
    struct failure failure;
    if (!workspace_open(invocation->settings, WORKSPACE_DEFINITIONS, &workspace, &failure))
        return command_fail(invocation, "%s", failure.detail);
    struct listing listing = {.width = 0};
    bool ok = invocation_option(invocation, "json") ? write_json(&listing, workspace.catalogue)
                                                    : write_table(&listing, workspace.catalogue);
    if (ok)
        (void)fwrite(listing.out.data, 1, listing.out.size, stdout); // main() sees what fails
    buffer_free(&listing.out);
    arena_free(&listing.arena);
    workspace_close(&workspace);
    return ok ? EXIT_SUCCESS : command_fail(invocation, "out of memory");
}

static const struct command_option options[] = {
    {.name = "json", .help = "print them as a JSON array"},
    {.name = NULL},
};

const struct command routes_command = {
    .name = "routes",
    .synopsis = "",
    .summary = "List every route, and what it takes to use it",
    .description =
        "For each method of each path: what it does, and whether everybody may (public), "
        "the keys\nwith a scope (such as packages:read), or administrators alone; or whether "
        "each record\nsays who may, by the resource that it is about (each). It reads the "
        "definitions and\nneeds no database.\n",
    .options = options,
    .uses = USED_BY_ROUTES,
    .examples = "  trestle routes\n"
                "  trestle routes --json | jq '.[] | select(.access == \"public\")'\n",
    .run = run,
};
