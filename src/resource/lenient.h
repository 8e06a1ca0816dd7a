// What of a body means nothing to a resource.
#pragma once

#include "resource/definition.h"

// Takes out of a body (a record, an array of such, or an RFC 7396 patch) the members that the
// resource's definition does not have, also inside objects and arrays that declare what they hold.
void lenient_strip_record(const struct resource *resource, json_t *body);

// Takes out of an object the members that are not among `names`, which end with NULL.
void lenient_strip_others(const char *const *names, json_t *body);
