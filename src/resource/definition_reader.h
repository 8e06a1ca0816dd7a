// Reads a resource's definition from YAML.
#pragma once

#include "base/diagnostics.h"
#include "resource/definition.h"

// Reads a definition that refers to none but itself; `file` is its path, for messages, and the
// resource's name is its base name without ".yaml". Everything that is wrong is noted, with its
// place; NULL then. The resource and all it has belong to the arena, but for what definition_free
// gives back.
struct resource *definition_read(struct arena *arena, struct text file, struct text source,
                                 struct diagnostics *diagnostics);

// The same for one that is part of the program: `table` names its table, `access: admin` is for it
// alone, and properties that are both readOnly and writeOnly are hidden from clients.
struct resource *definition_read_built_in(struct arena *arena, struct text file, struct text source,
                                          struct diagnostics *diagnostics);

// A definition that was read as far as it can be read alone. It belongs to its arena.
struct definition;

// Reads definitions that refer to each other, in three steps. First each by itself, where nothing
// is said of what refers to another or depends on what does. `source` must live until the last
// step. NULL only when there is no memory, which is noted.
struct definition *definition_begin(struct arena *arena, struct text file, struct text source,
                                    struct diagnostics *diagnostics);

// Then each is tied to `all` of them, itself among them; and when all are, the rest is read, which
// may look into what it refers to. What is wrong is noted; whoever began it must look whether
// anything was.
void definition_link(struct definition *definition, struct definition *const *all, size_t count);
void definition_finish(struct definition *definition);

// What is read; definition_free is due for it, whatever was wrong with it.
struct resource *definition_resource(const struct definition *definition);

// Gives back what does not belong to the arena: compiled patterns and JSON values. Takes NULL.
void definition_free(struct resource *resource);

// Whether a word may name a resource, a property, a check, a filter: [a-z][a-z0-9_]*, at most 63.
bool definition_name_is_valid(struct text name);
