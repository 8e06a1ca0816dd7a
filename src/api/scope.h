// Scopes are words that say what an API key may do:
//
//   packages:read      lists and reads the packages
//   packages:write     creates, replaces, updates and deletes them
//   packages:download  makes this transition of theirs
//   packages:run       does the work of those of their transitions that are long
//   *:read, *:write, *:run   the same for every resource
//   admin              everything, the keys included
#pragma once

#include "resource/catalogue.h"

extern const struct text scope_admin;

// The word by which scopes name what an action does: "read" or "write". Transitions have their own
// names.
struct text scope_verb(enum action action);

// Whether a scope allows an action ("read", "write", "run", a transition) of a resource. What is
// built in has no scopes but admin, and is none of the resources that "*" stands for; the caller
// sees to it.
bool scope_allows(struct text scope, struct text resource, struct text action);

// Whether it names what there is; the failure (FAILURE_INVALID_BODY) tells what is wrong with it.
bool scope_check(const struct catalogue *catalogue, struct text scope, struct failure *failure);
