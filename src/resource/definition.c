#include "resource/definition.h"

struct property *resource_property(const struct resource *resource, struct text name) {
    for (size_t i = 0; i < resource->property_count; i++) {
        if (text_equal(resource->properties[i].name, name))
            return &resource->properties[i];
    }
    return NULL;
}

bool property_is_hidden(const struct property *property) {
    return property->read_only && property->write_only;
}

const struct named_filter *resource_filter(const struct resource *resource, struct text name) {
    for (size_t i = 0; i < resource->filter_count; i++) {
        if (text_equal(resource->filters[i].name, name))
            return &resource->filters[i];
    }
    return NULL;
}

const struct transition *resource_transition(const struct resource *resource, struct text name) {
    for (size_t i = 0; i < resource->transition_count; i++) {
        if (text_equal(resource->transitions[i].name, name))
            return &resource->transitions[i];
    }
    return NULL;
}

bool reference_is_forward(const struct resource *resource, const struct property *property) {
    return property->reference.resource && property->reference.resource->rank >= resource->rank;
}

bool resource_is_immutable(const struct resource *resource) {
    if (resource->versioned || resource->actions[ACTION_DELETE])
        return false;
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct reference *reference = &resource->properties[i].reference;
        if (reference->resource && reference->on_delete != ON_DELETE_RESTRICT)
            return false;
    }
    return true;
}

static const struct {
    const char *name;
    bool reads;
} actions[ACTIONS] = {
    [ACTION_LIST] = {"list", true},
    [ACTION_CREATE] = {"create", false},
    [ACTION_READ] = {"read", true},
    [ACTION_REPLACE] = {"replace", false},
    [ACTION_UPDATE] = {"update", false},
    [ACTION_DELETE] = {"delete", false},
    [ACTION_TRANSITION] = {"transition", false},
};

const char *action_name(enum action action) {
    return actions[action].name;
}

bool action_reads(enum action action) {
    return actions[action].reads;
}

enum access resource_access(const struct resource *resource, enum action action) {
    return actions[action].reads ? resource->read_access : resource->write_access;
}
