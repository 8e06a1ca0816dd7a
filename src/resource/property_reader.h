// Reads the properties of a resource, and makes those that the definition does not declare.
#pragma once

#include "resource/schema_reader.h"

// A property in the making.
struct property_reading {
    struct reading *reading;
    const struct resource *resource;
    const struct yaml_node *node; // what stands under its name
    struct property *property;    // its name, index, place and `required` are set
};

// Reads its schema and its own keywords, but for the expression of its default. `ret_typed` tells
// whether its kind is known.
void property_read(const struct property_reading *context, bool *ret_typed);

// Puts the expression of its default in; all properties must have been read.
void property_read_default_expression(const struct property_reading *context);

// Names a property: its name, and its name as JSON. False when there is no memory.
bool property_name_it(struct arena *arena, struct property *property, struct text name);

// A property that trestle makes and clients cannot set. False when there is no memory.
bool property_make_key(struct arena *arena, enum key_kind kind, struct property *property);
bool property_make_state(struct arena *arena, const struct lifecycle *lifecycle,
                         struct property *property);
void property_make_operation(struct property *property);

// How many bytes a value takes in an index, at most; SIZE_MAX where there is no bound.
size_t property_index_size(const struct property *property);
