// Reads all records of a resource from a store, in the order of their keys, in short pages: not one
// snapshot, so that no other reader or writer is held up, however long it takes.
#pragma once

#include "resource/plan.h"

enum pages_of {
    PAGES_SHOWN, // what a client would see
    PAGES_ALL,   // and write-only properties behind that
};

// What to do with each record; the cells are valid during the call.
struct page_reader {
    // False ends the reading.
    bool (*on_record)(void *context, const struct selection *selection, const struct value *cells);
    void *context;
};

// False and a failure when the store fails, with FAILURE_NONE where the reader ended it.
bool pages_read(struct store *store, const struct plan *plan, enum pages_of what,
                const struct page_reader *reader, struct failure *failure);

// How many records there are.
bool pages_count(struct store *store, const struct plan *plan, uint64_t *ret_count,
                 struct failure *failure);
