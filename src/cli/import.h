// trestle import: takes the records of a file one by one and gives them to a target, which stores
// them in its own way, many at a time, and says of each what became of it.
#pragma once

#include "cli/command.h"
#include "resource/plan.h"

#include <jansson.h>
#include <stdio.h>

extern const struct command import_command;

enum on_conflict {
    ON_CONFLICT_FAIL, // stop the import
    ON_CONFLICT_SKIP,
    ON_CONFLICT_REPLACE,
};

enum import_result {
    IMPORT_CREATED,
    IMPORT_SKIPPED, // it was there already
    IMPORT_REPLACED,
    IMPORT_REJECTED, // it does not satisfy the definition, or conflicts where it was to replace
    IMPORT_DANGLING, // it refers to what is not there: rejected, unless that may still come
    IMPORT_CONFLICT, // with ON_CONFLICT_FAIL: the import stops
    IMPORT_FAILED,   // nothing is wrong with it, but it could not be stored: the import stops
    IMPORT_GIVEN_UP, // the import had stopped before it was stored
    IMPORT_RESULTS
};

// A record on its way. It belongs to the import.
struct import_record {
    json_t *body; // without the members that only trestle writes
    uint64_t line;
    uint64_t *identities; // of its unique properties, as hashes; 0: of those that have a null
    uint64_t key;         // what others of the file refer to it by, as a hash; 0: nobody can
    uint64_t *references; // what it refers to by that, as hashes; 0: nothing
    size_t reference_count;
    char *reason; // why it has to wait for others; NULL where it has not
    bool ordered; // import_in_order's own
    struct import_record *next;
    struct import_record *previous;
};

struct import;

// What stores records.
struct import_target {
    // Takes a record, and waits until there is room for another. import_settle is called once for
    // each record, in this call or a later one.
    void (*submit)(struct import_target *target, struct import_record *record);

    // Waits until every record is settled.
    void (*finish)(struct import_target *target);

    // Frees it; every record is settled.
    void (*close)(struct import_target *target);

    struct import *import;
    bool keeps_order; // each record is stored behind those that were submitted before it, as long
                      // as none is refused
};

// What a target may know of the import.
struct import {
    const struct invocation *invocation;
    const struct resource *resource;
    enum on_conflict on_conflict;
    bool stopped; // give up retrying: settle what is under way

    // The import's own.
    struct import_target *target;
    struct import_record *pending; // submitted and not settled
    size_t pending_count;
    struct import_record *deferred; // they refer to what may still come; the latest is the first
    size_t deferred_count;
    uint64_t counts[IMPORT_RESULTS];
    bool dropped[RESOURCE_MAX_PROPERTIES + 1]; // properties that came and are not imported
    const char *input_name;
    FILE *rejects;
    struct progress *progress;
};

// Says what became of a record, which is freed. `reason` may be NULL where nothing went wrong.
void import_settle(struct import *import, struct import_record *record, enum import_result result,
                   const char *reason);
