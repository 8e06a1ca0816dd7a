#include "api/route.h"

#include "api/authorize.h"
#include "api/cors.h"
#include "api/health.h"
#include "api/keys.h"
#include "api/negotiate.h"
#include "api/operations.h"
#include "api/records.h"
#include "api/scope.h"

// What a path can be, and what serves each method there.
typedef const struct handler *handlers_by_method[HTTP_METHOD_OTHER + 1];

static const handlers_by_method collection_handlers = {
    [HTTP_METHOD_GET] = &records_list,
    [HTTP_METHOD_HEAD] = &records_list,
    [HTTP_METHOD_POST] = &records_create,
};

static const handlers_by_method record_handlers = {
    [HTTP_METHOD_GET] = &records_read,      [HTTP_METHOD_HEAD] = &records_read,
    [HTTP_METHOD_PUT] = &records_replace,   [HTTP_METHOD_PATCH] = &records_update,
    [HTTP_METHOD_DELETE] = &records_delete,
};

static const handlers_by_method transition_handlers = {
    [HTTP_METHOD_POST] = &records_transition,
};

static const handlers_by_method history_handlers = {
    [HTTP_METHOD_GET] = &records_history,
    [HTTP_METHOD_HEAD] = &records_history,
};

static const handlers_by_method lifecycle_handlers = {
    [HTTP_METHOD_GET] = &records_lifecycle,
    [HTTP_METHOD_HEAD] = &records_lifecycle,
};

// /keys is a resource like others, but for what shows secrets.
static const handlers_by_method key_collection_handlers = {
    [HTTP_METHOD_GET] = &records_list,
    [HTTP_METHOD_HEAD] = &records_list,
    [HTTP_METHOD_POST] = &keys_create,
};

static const handlers_by_method key_handlers = {
    [HTTP_METHOD_GET] = &records_read,
    [HTTP_METHOD_HEAD] = &records_read,
    [HTTP_METHOD_PATCH] = &keys_update,
    [HTTP_METHOD_DELETE] = &keys_delete,
};

// What there is about a key besides: /keys/{id}/NAME.
static const handlers_by_method key_renew_handlers = {[HTTP_METHOD_POST] = &keys_renew};
static const handlers_by_method key_rotate_handlers = {[HTTP_METHOD_POST] = &keys_rotate};

static const handlers_by_method key_history_handlers = {
    [HTTP_METHOD_GET] = &keys_history,
    [HTTP_METHOD_HEAD] = &keys_history,
};

static const handlers_by_method key_usage_handlers = {
    [HTTP_METHOD_GET] = &keys_usage,
    [HTTP_METHOD_HEAD] = &keys_usage,
};

static const handlers_by_method operation_list_handlers = {
    [HTTP_METHOD_GET] = &operations_list,
    [HTTP_METHOD_HEAD] = &operations_list,
};

static const handlers_by_method operation_handlers = {
    [HTTP_METHOD_GET] = &operations_read,
    [HTTP_METHOD_HEAD] = &operations_read,
};

static const handlers_by_method claim_handlers = {[HTTP_METHOD_POST] = &operations_claim};
static const handlers_by_method cancel_handlers = {[HTTP_METHOD_POST] = &operations_cancel};
static const handlers_by_method beat_handlers = {[HTTP_METHOD_POST] = &operations_beat};
static const handlers_by_method finish_handlers = {[HTTP_METHOD_POST] = &operations_finish};

static const handlers_by_method events_handlers = {
    [HTTP_METHOD_GET] = &records_events,
    [HTTP_METHOD_HEAD] = &records_events,
};

static const handlers_by_method live_handlers = {
    [HTTP_METHOD_GET] = &health_live,
    [HTTP_METHOD_HEAD] = &health_live,
};

static const handlers_by_method ready_handlers = {
    [HTTP_METHOD_GET] = &health_ready,
    [HTTP_METHOD_HEAD] = &health_ready,
};

// The program's own routes.
static const struct {
    struct text path;
    const handlers_by_method *handlers;
} own_routes[] = {
    {TEXT_INIT("healthz"), &live_handlers},
    {TEXT_INIT("readyz"), &ready_handlers},
};

static const struct {
    const char *name;
    enum http_method method;
} method_names[] = {
    {"DELETE", HTTP_METHOD_DELETE}, {"GET", HTTP_METHOD_GET},   {"HEAD", HTTP_METHOD_HEAD},
    {"PATCH", HTTP_METHOD_PATCH},   {"POST", HTTP_METHOD_POST}, {"PUT", HTTP_METHOD_PUT},
};

static bool has_lifecycle(const struct resource *resource) {
    return resource->lifecycle.property || resource->transition_count;
}

static bool has_states(const struct resource *resource) {
    return resource->lifecycle.property;
}

static bool has_events(const struct resource *resource) {
    return resource->events;
}

// Where a route is, seen from what it is about.
enum place {
    PLACE_ITSELF, // /NAME
    PLACE_RECORD, // /NAME/{key}
    PLACE_BESIDE, // /NAME/WORD
    PLACE_BEHIND, // /NAME/{key}/WORD
};

struct route {
    enum place place;
    const struct text *word; // NULL: it has none
    const handlers_by_method *handlers;
    bool (*is_there)(const struct resource *resource); // NULL: always
};

static const struct text lifecycle_word = TEXT_INIT("lifecycle");
static const struct text events_word = TEXT_INIT("events");
static const struct text history_word = TEXT_INIT("history");
static const struct text claim_word = TEXT_INIT("claim");
static const struct text cancel_word = TEXT_INIT("cancel");
static const struct text beat_word = TEXT_INIT("beat");
static const struct text finish_word = TEXT_INIT("finish");

// A word goes before a key.
static const struct route record_routes[] = {
    {PLACE_ITSELF, NULL, &collection_handlers, NULL},
    {PLACE_BESIDE, &lifecycle_word, &lifecycle_handlers, has_lifecycle},
    {PLACE_BESIDE, &events_word, &events_handlers, has_events},
    {PLACE_RECORD, NULL, &record_handlers, NULL},
    {PLACE_BEHIND, &history_word, &history_handlers, has_states},
};

static const struct route key_routes[] = {
    {PLACE_ITSELF, NULL, &key_collection_handlers, NULL},
    {PLACE_RECORD, NULL, &key_handlers, NULL},
    {PLACE_BEHIND, &keys_parts[KEYS_RENEW], &key_renew_handlers, NULL},
    {PLACE_BEHIND, &keys_parts[KEYS_ROTATE], &key_rotate_handlers, NULL},
    {PLACE_BEHIND, &keys_parts[KEYS_HISTORY], &key_history_handlers, NULL},
    {PLACE_BEHIND, &keys_parts[KEYS_USAGE], &key_usage_handlers, NULL},
};

static const struct route operation_routes[] = {
    {PLACE_ITSELF, NULL, &operation_list_handlers, NULL},
    {PLACE_BESIDE, &claim_word, &claim_handlers, NULL},
    {PLACE_BESIDE, &events_word, &events_handlers, NULL},
    {PLACE_RECORD, NULL, &operation_handlers, NULL},
    {PLACE_BEHIND, &cancel_word, &cancel_handlers, NULL},
    {PLACE_BEHIND, &beat_word, &beat_handlers, NULL},
    {PLACE_BEHIND, &finish_word, &finish_handlers, NULL},
};

struct routes {
    const struct route *items;
    size_t count;
};

// What there is about a resource, but for its transitions. What is built in has a path only where
// it is given one here.
static struct routes routes_of(const struct resource *resource) {
    static const struct routes none = {NULL, 0};
    static const struct routes operations = {operation_routes,
                                             sizeof operation_routes / sizeof operation_routes[0]};
    static const struct routes keys = {key_routes, sizeof key_routes / sizeof key_routes[0]};
    static const struct routes records = {record_routes,
                                          sizeof record_routes / sizeof record_routes[0]};
    if (!resource->built_in)
        return records;
    if (text_is(resource->name, "operations"))
        return operations;
    return text_is(resource->name, "keys") ? keys : none;
}

// `resource` is NULL for the program's own routes.
static bool is_served(const struct resource *resource, const struct handler *handler) {
    return handler &&
           (handler->action == ACTIONS || (resource && resource->actions[handler->action]));
}

static bool is_allowed(const struct exchange *exchange, const struct handler *handler) {
    return is_served(exchange->plan ? exchange->plan->resource : NULL, handler);
}

static const handlers_by_method *own_route(struct text name) {
    for (size_t i = 0; i < sizeof own_routes / sizeof own_routes[0]; i++) {
        if (text_equal(name, own_routes[i].path))
            return own_routes[i].handlers;
    }
    return NULL;
}

// Whether any method is served there: a path without one does not exist.
static bool any_served(const struct resource *resource, const handlers_by_method *handlers) {
    for (size_t i = 0; i <= HTTP_METHOD_OTHER; i++) {
        if (is_served(resource, (*handlers)[i]))
            return true;
    }
    return false;
}

// A path, taken apart and decoded: /NAME, /NAME/KEY or /NAME/KEY/PART. A "/" at its end says
// nothing.
enum { PATH_NAME, PATH_KEY, PATH_PART, PATH_MAX_SEGMENTS };

struct path {
    struct text segments[PATH_MAX_SEGMENTS];
    size_t count;
};

static bool leads_to(const struct path *path, const struct route *route,
                     const struct resource *resource) {
    static const size_t counts[] = {
        [PLACE_ITSELF] = 1, [PLACE_RECORD] = 2, [PLACE_BESIDE] = 2, [PLACE_BEHIND] = 3};
    if (path->count != counts[route->place] || (route->is_there && !route->is_there(resource)))
        return false;
    return !route->word || text_equal(path->segments[path->count - 1], *route->word);
}

static const handlers_by_method *find_route(struct exchange *exchange, const struct path *path) {
    const struct resource *resource = exchange->plan->resource;
    struct routes routes = routes_of(resource);
    for (size_t i = 0; i < routes.count; i++) {
        if (leads_to(path, &routes.items[i], resource))
            return routes.items[i].handlers;
    }
    if (path->count == 3)
        exchange->transition = resource_transition(resource, path->segments[PATH_PART]);
    return exchange->transition ? &transition_handlers : NULL;
}

// Finds what serves the path and notes the plan and the path's key; NULL for an unknown path.
static const handlers_by_method *find_path(struct exchange *exchange, const struct path *path) {
    struct text name = path->segments[PATH_NAME];
    exchange->plan = catalogue_plan(exchange->catalogue, name);
    if (!exchange->plan)
        return path->count == 1 ? own_route(name) : NULL;
    exchange->path_key = path->segments[PATH_KEY];
    exchange->path_part = path->segments[PATH_PART];
    const handlers_by_method *handlers = find_route(exchange, path);
    return handlers && any_served(exchange->plan->resource, handlers) ? handlers : NULL;
}

static bool decode_segment(struct exchange *exchange, struct text *segment) {
    if (text_find(*segment, '%') < 0)
        return true;
    return http_percent_decode(&exchange->request->arena, *segment, false, segment) ||
           (exchange_fail(exchange, FAILURE_INVALID_PATH,
                          "percent-encoding in a path is %%HH, and gives UTF-8 without U+0000"),
            false);
}

static const handlers_by_method *read_path(struct exchange *exchange) {
    struct text rest = text_from(exchange->request->path, 1);
    struct path path = {.count = 0};
    do {
        struct text *segment = &path.segments[path.count++];
        text_split(&rest, '/', segment);
        if (!decode_segment(exchange, segment))
            return NULL;
        if (path.count > 1 && segment->size == 0)
            return NULL;
    } while (rest.size > 0 && path.count < PATH_MAX_SEGMENTS);
    return rest.size > 0 ? NULL : find_path(exchange, &path);
}

static const handlers_by_method *handlers_of(struct exchange *exchange) {
    return exchange->request->path.data[0] == '/' ? read_path(exchange) : NULL;
}

// Whether the caller's key lets them do it; who has none is told what there is.
static bool may_do(const struct exchange *exchange, const struct handler *handler) {
    return exchange->identity.kind == IDENTITY_NOBODY || authorize_may_this(exchange, handler);
}

static void write_methods(const struct exchange *exchange, const handlers_by_method *handlers,
                          struct http_answer *answer) {
    buffer_append_string(&answer->fields, "OPTIONS");
    for (size_t i = 0; i < sizeof method_names / sizeof method_names[0]; i++) {
        const struct handler *handler = (*handlers)[method_names[i].method];
        if (is_allowed(exchange, handler) && may_do(exchange, handler))
            buffer_format(&answer->fields, ", %s", method_names[i].name);
    }
    buffer_append_string(&answer->fields, "\r\n");
}

static void write_allow(const struct exchange *exchange, const handlers_by_method *handlers,
                        struct http_answer *answer) {
    buffer_append_string(&answer->fields, "Allow: ");
    write_methods(exchange, handlers, answer);
}

// What a browser asks before it sends what a page of another origin would like to send.
static void write_preflight(const struct exchange *exchange, const handlers_by_method *handlers,
                            struct http_answer *answer) {
    if (!cors_is_preflight(&exchange->service->options->cors_origins, exchange->request))
        return;
    buffer_append_string(&answer->fields, "Access-Control-Allow-Methods: ");
    write_methods(exchange, handlers, answer);
    cors_write_preflight(answer);
}

void route_allow(struct exchange *exchange, struct http_answer *answer) {
    const handlers_by_method *handlers = handlers_of(exchange);
    if (handlers)
        write_allow(exchange, handlers, answer);
}

// The bodies that are taken where a method is served.
static void write_accepted(const struct exchange *exchange, const handlers_by_method *handlers,
                           enum http_method method, const char *field, struct http_answer *answer) {
    const struct handler *handler = (*handlers)[method];
    if (handler && handler->reads_body && is_allowed(exchange, handler))
        negotiate_write_body_types(handler, field, answer);
}

static enum step_result settle_options(struct exchange *exchange) {
    struct http_answer *answer = &exchange->answer;
    const handlers_by_method *handlers = handlers_of(exchange);
    answer->status = 204;
    if (!handlers)
        return exchange_out_of_memory(exchange); // it was there when the request was routed
    write_allow(exchange, handlers, answer);
    write_accepted(exchange, handlers, HTTP_METHOD_POST, "Accept-Post", answer);
    write_accepted(exchange, handlers, HTTP_METHOD_PATCH, "Accept-Patch", answer);
    write_preflight(exchange, handlers, answer);
    return STEP_NEXT;
}

// OPTIONS tells nothing that the documentation does not, so it needs no key; with one, it tells
// what that key may do.
static const struct handler options_handler = {
    .action = ACTIONS, .checks_parameters = true, .settle = settle_options};

static enum step_result settle_server_options(struct exchange *exchange) {
    exchange->answer.status = 204;
    http_answer_field(&exchange->answer, "Allow",
                      TEXT("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"));
    return STEP_NEXT;
}

// "OPTIONS *" (RFC 9110 section 9.3.7).
static const struct handler server_options_handler = {
    .action = ACTIONS, .checks_parameters = true, .settle = settle_server_options};

enum step_result route_request(struct exchange *exchange) {
    const struct http_request *request = exchange->request;
    if (text_is(request->path, "*")) {
        exchange->handler = &server_options_handler;
        return STEP_NEXT;
    }
    const handlers_by_method *handlers = handlers_of(exchange);
    if (!handlers && exchange->failure.code != FAILURE_NONE)
        return STEP_FAIL;
    if (!handlers)
        return exchange_fail(exchange, FAILURE_NOT_FOUND, "nothing is served at this path");
    exchange->handler =
        request->method == HTTP_METHOD_OPTIONS ? &options_handler : (*handlers)[request->method];
    if (!is_allowed(exchange, exchange->handler))
        return exchange_fail(exchange, FAILURE_METHOD_NOT_ALLOWED,
                             "%.*s is not served at this path; the field Allow names what is",
                             TEXT_ARGS(request->method_name));
    return STEP_NEXT;
}

// ---- All of them

struct telling {
    struct arena *arena;
    bool (*visit)(void *context, const struct route_told *told);
    void *context;
    struct route_told told; // of which the method is to come
};

static bool tell(struct telling *telling, const char *method, struct text action,
                 enum access access) {
    telling->told.method = method;
    telling->told.action = action;
    telling->told.access = access;
    return telling->visit(telling->context, &telling->told);
}

static bool tell_handler(struct telling *telling, const struct handler *handler,
                         const struct transition *transition, const char *method) {
    const struct resource *resource = telling->told.resource;
    if (handler->action == ACTIONS)
        return tell(telling, method, TEXT(""), handler->each ? ACCESS_EACH : ACCESS_PUBLIC);
    telling->told.verb = transition ? transition->name : scope_verb(handler->action);
    return transition ? tell(telling, method, transition->name, transition->access)
                      : tell(telling, method, text_from_string(action_name(handler->action)),
                             resource_access(resource, handler->action));
}

// What is served at a path, by method; OPTIONS is served wherever anything is.
static bool tell_path(struct telling *telling, struct text path, const handlers_by_method *handlers,
                      const struct transition *transition) {
    const struct resource *resource = telling->told.resource;
    if (!path.data)
        return false;
    telling->told.path = path;
    for (size_t i = 0; i < sizeof method_names / sizeof method_names[0]; i++) {
        const struct handler *handler = (*handlers)[method_names[i].method];
        if (is_served(resource, handler) &&
            !tell_handler(telling, handler, transition, method_names[i].name))
            return false;
    }
    telling->told.verb = TEXT("");
    return tell(telling, "OPTIONS", TEXT(""), ACCESS_PUBLIC);
}

static struct text path_of(struct arena *arena, const struct resource *resource, enum place place,
                           const struct text *word) {
    struct text name = resource->name;
    struct text key = resource->key.property->name;
    switch (place) {
    case PLACE_RECORD: return arena_format(arena, "/%.*s/{%.*s}", TEXT_ARGS(name), TEXT_ARGS(key));
    case PLACE_BESIDE: return arena_format(arena, "/%.*s/%.*s", TEXT_ARGS(name), TEXT_ARGS(*word));
    case PLACE_BEHIND:
        return arena_format(arena, "/%.*s/{%.*s}/%.*s", TEXT_ARGS(name), TEXT_ARGS(key),
                            TEXT_ARGS(*word));
    default: return arena_format(arena, "/%.*s", TEXT_ARGS(name));
    }
}

static bool tell_resource(struct telling *telling, const struct resource *resource) {
    struct routes routes = routes_of(resource);
    telling->told.resource = resource;
    for (size_t i = 0; i < routes.count; i++) {
        const struct route *route = &routes.items[i];
        if ((route->is_there && !route->is_there(resource)) ||
            !any_served(resource, route->handlers))
            continue;
        if (!tell_path(telling, path_of(telling->arena, resource, route->place, route->word),
                       route->handlers, NULL))
            return false;
    }
    for (size_t i = 0; i < resource->transition_count; i++) {
        const struct transition *transition = &resource->transitions[i];
        if (!tell_path(telling, path_of(telling->arena, resource, PLACE_BEHIND, &transition->name),
                       &transition_handlers, transition))
            return false;
    }
    return true;
}

bool routes_each(const struct catalogue *catalogue, struct arena *arena,
                 bool (*visit)(void *context, const struct route_told *told), void *context) {
    struct telling telling = {.arena = arena, .visit = visit, .context = context};
    for (size_t i = 0; i < sizeof own_routes / sizeof own_routes[0]; i++) {
        struct text path = arena_format(arena, "/%.*s", TEXT_ARGS(own_routes[i].path));
        if (!tell_path(&telling, path, own_routes[i].handlers, NULL))
            return false;
    }
    for (size_t i = 0; i < catalogue->table_count; i++) {
        if (!tell_resource(&telling, catalogue->resources[i]))
            return false;
    }
    telling.told = (struct route_told){.path = TEXT("*")};
    return tell(&telling, "OPTIONS", TEXT(""), ACCESS_PUBLIC);
}
