// Routes: which handler serves a method at a path.
#pragma once

#include "api/exchange.h"

// The step that finds the handler: 404 for an unknown path, 405 for a known one, and the answer to
// OPTIONS.
enum step_result route_request(struct exchange *exchange);

// One method of one route, for who wants to know them all.
struct route_told {
    const char *method;
    struct text path;                // "/packages/{id}/reject"
    const struct resource *resource; // NULL: a route of the program's own
    struct text action;              // "list" …, or a transition; "" where it is neither
    enum access access;
    struct text verb; // of the scope that ACCESS_KEY asks for: "read", "write", a transition
};

// Tells every method of every route that is served by a catalogue; the texts are in the arena.
// False when there is no memory, or when `visit` says so.
bool routes_each(const struct catalogue *catalogue, struct arena *arena,
                 bool (*visit)(void *context, const struct route_told *told), void *context);

// Adds the field Allow for the exchange's path.
void route_allow(struct exchange *exchange, struct http_answer *answer);
