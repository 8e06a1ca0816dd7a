// Reads a schema from a definition: JSON Schema's words, each enforced or refused.
#pragma once

#include "resource/reading.h"

// What is read, and what it is called in notes ("store.lat").
struct schema_reading {
    struct reading *reading;
    struct text label;
    bool nested;   // inside an object or an array; else it is a property of the resource
    bool nullable; // a null is let through though the schema does not say so
    bool sound;    // set: the constraints can be used to check values
    bool typed;    // set: the type is known
};

// Reads the schema of a node. The schema is usable in any case (and to be freed by schema_free);
// what is wrong is noted.
void schema_read(struct schema_reading *context, const struct yaml_node *node,
                 struct schema *ret_schema);

// A schema that lets any value through.
struct schema schema_any(void);

// Reads a value that must fit the schema, such as a default; NULL where it does not, which is
// noted.
json_t *schema_read_value(struct schema_reading *context, const struct yaml_node *node,
                          const char *what, const struct schema *schema);

// Gives back patterns and JSON values, those of inner schemas too.
void schema_free(struct schema *schema);
