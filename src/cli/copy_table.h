// A table copy is the way of one resource's records from one database to another, in the order of
// their keys. Each batch of them is written when the one before is there, so that whatever
// interrupts it, the target has the first so many of the source's records, and another run goes on
// behind them.
#pragma once

#include "base/digest.h"
#include "base/progress.h"
#include "cli/pages.h"

// What all tables of one run share. Both callers are on one loop.
struct copying {
    struct caller source;
    struct caller target;
    struct progress progress;
    uint64_t done; // records, of the progress
};

struct table_copy {
    const struct plan *from; // in the source's dialect
    const struct plan *to;   // the same resource, in the target's
    uint64_t there;          // records that the target had before
    uint64_t count;          // records that both have, once they were compared
    struct value last;       // the key of the target's last record; VALUE_NULL: it has none
    struct arena arena;      // of that
    unsigned char digest[DIGEST_SIZE]; // of all rows, once they were compared
};

// Refuses (FAILURE_REFUSED) where the target's records are not the first of the source's, whatever
// those refer to that may come later; sets `there` and `last`.
bool table_copy_resume(struct table_copy *copy, struct copying *copying, struct failure *failure);

// Copies what is behind `last`, but for references to what may come later, and has the target make
// its numbers behind those that the source made.
bool table_copy_fill(struct table_copy *copy, struct copying *copying, struct failure *failure);

// Whether there are such references; and puts them in, once all tables are filled.
bool table_copy_has_forward(const struct table_copy *copy);
bool table_copy_relate(struct table_copy *copy, struct copying *copying, struct failure *failure);

// Reads both again, and refuses where they are not the same; sets `count` and `digest`.
bool table_copy_verify(struct table_copy *copy, struct copying *copying, struct failure *failure);

void table_copy_free(struct table_copy *copy);
