// Who may do what.
#pragma once

#include "api/exchange.h"

// The step that refuses those who may not: 401 without a key that is good, 403 without the scope.
enum step_result authorize(struct exchange *exchange);

// Whether the caller may do something to a resource; a transition of it; what a handler does at the
// exchange's path.
bool authorize_may(const struct exchange *exchange, const struct resource *resource,
                   enum action action);
bool authorize_may_move(const struct exchange *exchange, const struct resource *resource,
                        const struct transition *transition);
bool authorize_may_this(const struct exchange *exchange, const struct handler *handler);

// Refuses those (401, 403) who may not read a resource of whose records they asked to see something
// beside those of the path: query->seen.
enum step_result authorize_seen(struct exchange *exchange);

// The same for what is known by its name, and may have gone since: whether the caller may "read"
// the records of a resource, "run" its operations, or make a transition. As a step: refuses who may
// not, and whoever has no key that is good.
bool authorize_may_verb(const struct exchange *exchange, struct text resource, struct text verb);
enum step_result authorize_verb(struct exchange *exchange, struct text resource, struct text verb);
enum step_result authorize_somebody(struct exchange *exchange);

// Whether the caller may do everything.
bool authorize_is_admin(const struct exchange *exchange);

// Adds the challenge of RFC 6750 section 3 to the answer of a request that failed by its key.
void authorize_challenge(const struct exchange *exchange, struct http_answer *answer);
