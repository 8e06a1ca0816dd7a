// Reads a resource's definition from YAML.
#pragma once

#include "base/diagnostics.h"
#include "resource/definition.h"

// Reads the definition in `source`; `file` is its path, for messages, and the resource's name is
// its base name without ".yaml". Everything that is wrong is noted, with its place; NULL then. The
// resource and all it has belong to the arena, but for what definition_free gives back.
struct resource *definition_read(struct arena *arena, struct text file, struct text source,
                                 struct diagnostics *diagnostics);

// The same for one that is part of the program: `table` names its table, `access: admin` is for it
// alone, and properties that are both readOnly and writeOnly are hidden from clients.
struct resource *definition_read_built_in(struct arena *arena, struct text file, struct text source,
                                          struct diagnostics *diagnostics);

// Gives back what does not belong to the arena: compiled patterns and JSON values. Takes NULL.
void definition_free(struct resource *resource);

// Whether a word may name a resource, a property, a check, a filter: [a-z][a-z0-9_]*, at most 63.
bool definition_name_is_valid(struct text name);
