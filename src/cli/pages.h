// Pages: all records of a resource, in the order of their keys, read in short pages: not one
// snapshot, so that no other reader or writer is held up, however long it takes.
#pragma once

#include "cli/caller.h"
#include "resource/plan.h"

enum pages_of {
    PAGES_SHOWN,  // what a client would see
    PAGES_ALL,    // and write-only properties behind that
    PAGES_STORED, // and the version last, where the resource has one: the plan's selection
};

// What to do with each record; the cells are valid during the call.
struct page_reader {
    // False ends the reading.
    bool (*on_record)(void *context, const struct selection *selection, const struct value *cells);
    void *context;
};

// The page that was read last. Its rows are kept until the store is done with the job, since it may
// run the job anew.
struct page {
    struct arena arena; // of this page
    struct value **rows;
    size_t row_count;
    size_t bytes;
    bool out_of_memory;
};

// Records while they are read one by one. It owns its memory, and uses a caller while it is asked
// for the next; the plan and the caller must outlive it.
struct pages {
    const struct plan *plan;
    struct caller *caller;
    struct selection selection;
    struct sort_key by_key;
    struct query query;
    struct page page;
    size_t next_row;       // of the page
    bool is_last;          // nothing is behind the page
    struct value after;    // where the next page begins, when the query says so
    struct arena position; // of that
};

// Begins behind a key, or with the first record where `after` is NULL. False when there is no
// memory; pages_close is due either way.
bool pages_open(struct pages *pages, struct caller *caller, const struct plan *plan,
                enum pages_of what, const struct value *after);

// The cells of the next record, in the order of pages->selection and valid until the next call;
// NULL behind the last one. False when the store fails.
bool pages_next(struct pages *pages, const struct value **ret_cells, struct failure *failure);

// Where among the cells the key is.
size_t pages_key(const struct pages *pages);

// The key of the last record of those pages that were read, valid as its cells are; NULL where
// there was none.
const struct value *pages_last_key(const struct pages *pages);

void pages_close(struct pages *pages);

// Reads all of them. False and a failure when the store fails, with FAILURE_NONE where the reader
// ended it.
bool pages_read(struct store *store, const struct plan *plan, enum pages_of what,
                const struct page_reader *reader, struct failure *failure);

// How many records there are.
bool pages_count(struct store *store, const struct plan *plan, uint64_t *ret_count,
                 struct failure *failure);
