// The order of records that refer to each other: those that others refer to come first.
#pragma once

#include "cli/import.h"

// Whether records of a resource may refer to each other.
bool import_may_refer(const struct resource *resource);

// Sets what a record is and what it refers to, from its body, as hashes. False when there is no
// memory.
bool import_identify_references(const struct resource *resource, struct import_record *record);

// Whether a record refers to another one, as far as their hashes tell.
bool import_refers(const struct import_record *record, const struct import_record *other);

// Puts a list into such an order, as far as circles let; it stays as it is when there is no memory.
// It is linked by `next` alone.
struct import_record *import_in_order(struct import_record *list, size_t count);
