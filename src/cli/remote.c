#include "cli/remote.h"

#include "base/suggest.h"

// A key goes into a header field.
static bool read_key(const struct invocation *invocation, const char **ret_key,
                     struct failure *failure) {
    const char *key = invocation_option(invocation, "key");
    for (const char *c = key; c && *c; c++) {
        if (*c <= ' ' || *c > '~')
            return failure_set(failure, FAILURE_INVALID_SETTING,
                               "an API key has visible ASCII characters only");
    }
    *ret_key = key ? key : invocation->settings->admin_key;
    return true;
}

static bool read_server(const char *url, struct arena *arena, struct client_server *server,
                        struct failure *failure) {
    struct text text = text_from_string(url);
    if (text_starts_with(text, TEXT("unix:")) && text.size > strlen("unix:")) {
        server->url = "http://localhost";
        server->unix_socket = url + strlen("unix:");
        return true;
    }
    if (!text_starts_with(text, TEXT("http://")) && !text_starts_with(text, TEXT("https://")))
        return failure_set(failure, FAILURE_INVALID_SETTING,
                           "--server: \"%s\" is no server; write http://HOST:PORT, https://HOST or "
                           "unix:PATH",
                           url);
    while (text.size && text.data[text.size - 1] == '/')
        text.size--;
    server->url = arena_copy(arena, text).data;
    return server->url || failure_out_of_memory(failure);
}

bool remote_find(const struct invocation *invocation, struct arena *arena, bool *ret_is_remote,
                 struct client_server *ret_server, struct failure *failure) {
    const char *url = invocation_option(invocation, "server");
    const bool direct = invocation_option(invocation, "direct") != NULL;
    struct client_server server = {0};
    const char *key = NULL;
    if (!read_key(invocation, &key, failure))
        return false;
    if (url && !direct && !read_server(url, arena, &server, failure))
        return false;
    bool is_remote =
        !direct && (url || client_find_server(&invocation->settings->listen, arena, &server));
    server.key = key;
    *ret_is_remote = is_remote;
    *ret_server = server;
    return true;
}

bool remote_name(const struct invocation *invocation, struct arena *arena,
                 struct client_server *ret_server, struct failure *failure) {
    const char *url = invocation_option(invocation, "server");
    struct client_server server = {0};
    const char *key = NULL;
    if (!read_key(invocation, &key, failure))
        return false;
    if (url ? !read_server(url, arena, &server, failure)
            : !client_guess_server(&invocation->settings->listen, arena, &server))
        return url ? false
                   : failure_set(failure, FAILURE_INVALID_SETTING,
                                 "`listen` has no address for clients; name one by --server");
    server.key = key;
    *ret_server = server;
    return true;
}

static void refuse_resource(const struct catalogue *catalogue, const char *name,
                            struct failure *failure) {
    struct suggestion suggestion = {.word = text_from_string(name)};
    for (size_t i = 0; i < catalogue->resource_count; i++)
        suggest_offer(&suggestion, catalogue->resources[i]->name);
    if (suggestion.best.data)
        failure_set(failure, FAILURE_NOT_FOUND,
                    "there is no resource \"%s\"; perhaps %.*s is meant", name,
                    TEXT_ARGS(suggestion.best));
    else
        failure_set(
            failure, FAILURE_NOT_FOUND,
            "there is no resource \"%s\" among the %zu definitions; --resources names their "
            "folder",
            name, catalogue->resource_count);
}

const struct plan *remote_resource(const struct catalogue *catalogue, const char *name,
                                   enum action action, struct failure *failure) {
    const struct plan *plan = catalogue_plan(catalogue, text_from_string(name));
    if (!plan) {
        refuse_resource(catalogue, name, failure);
        return NULL;
    }
    if (plan->resource->built_in) {
        failure_set(failure, FAILURE_REFUSED, "%s are trestle's own; \"trestle %s\" is about them",
                    name, name);
        return NULL;
    }
    if (plan->resource->actions[action])
        return plan;
    failure_set(failure, FAILURE_METHOD_NOT_ALLOWED, "the definition of %s has no action \"%s\"",
                name, action_name(action));
    return NULL;
}
