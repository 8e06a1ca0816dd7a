#include "api/scope.h"

#include "base/suggest.h"

const struct text scope_admin = TEXT_INIT("admin");

static const struct text every_resource = TEXT_INIT("*");

struct text scope_verb(enum action action) {
    return action_reads(action) ? TEXT("read") : TEXT("write");
}

// What there is to be done with every resource.
static bool is_general(struct text action) {
    return text_is(action, "read") || text_is(action, "write") || text_is(action, "run");
}

bool scope_allows(struct text scope, struct text resource, struct text action) {
    struct text rest = scope;
    struct text name = {"", 0};
    if (text_equal(scope, scope_admin))
        return true;
    text_split(&rest, ':', &name);
    if (!rest.data || !text_equal(rest, action))
        return false;
    return text_equal(name, resource) || (text_equal(name, every_resource) && is_general(action));
}

static bool refuse_form(struct text scope, struct failure *failure) {
    return failure_set(failure, FAILURE_INVALID_BODY,
                       "\"%.*s\" is no scope; one is RESOURCE:read, RESOURCE:write, *:read, "
                       "*:write, *:run or admin",
                       TEXT_ARGS(scope));
}

static bool refuse_resource(const struct catalogue *catalogue, struct text name,
                            struct failure *failure) {
    struct suggestion suggestion = {.word = name};
    for (size_t i = 0; i < catalogue->resource_count; i++)
        suggest_offer(&suggestion, catalogue->resources[i]->name);
    if (suggestion.best.data)
        return failure_set(failure, FAILURE_INVALID_BODY,
                           "there is no resource \"%.*s\"; perhaps %.*s is meant", TEXT_ARGS(name),
                           TEXT_ARGS(suggestion.best));
    return failure_set(failure, FAILURE_INVALID_BODY, "there is no resource \"%.*s\"",
                       TEXT_ARGS(name));
}

bool scope_check(const struct catalogue *catalogue, struct text scope, struct failure *failure) {
    struct text action = scope;
    struct text name = {"", 0};
    if (text_equal(scope, scope_admin))
        return true;
    text_split(&action, ':', &name);
    if (!action.data || name.size == 0)
        return refuse_form(scope, failure);
    const struct plan *plan = catalogue_plan(catalogue, name);
    bool every = text_equal(name, every_resource);
    if (!every && (!plan || plan->resource->built_in))
        return refuse_resource(catalogue, name, failure);
    bool runs = every || plan->resource->operation;
    bool is_known = (is_general(action) && (runs || !text_is(action, "run"))) ||
                    (!every && resource_transition(plan->resource, action));
    return is_known || failure_set(failure, FAILURE_INVALID_BODY,
                                   "%.*s has no \"%.*s\"; there is %.*s:read and %.*s:write%s",
                                   TEXT_ARGS(name), TEXT_ARGS(action), TEXT_ARGS(name),
                                   TEXT_ARGS(name), every ? "" : ", and its transitions");
}
