// A listing prints rows of texts in aligned columns, for people. What would move a terminal's
// cursor or more is shown as "?". Rows are kept until they are printed; their texts are copied.
#pragma once

#include "base/arena.h"

#include <stdio.h>

enum { LISTING_COLUMNS = 8 };

struct listing {
    const char *const *titles; // of the columns, NULL-terminated; at most LISTING_COLUMNS
    size_t columns;
    bool titled; // the titles were printed
    struct arena arena;
    struct text *cells;
    size_t count;
    bool out_of_memory;
};

void listing_init(struct listing *listing, const char *const *titles);

// The next cell; rows come one after the other.
void listing_add(struct listing *listing, struct text text);

// Prints the rows, below the titles the first time, and forgets them. False when there was no
// memory. Columns are as wide as these rows need.
bool listing_print(struct listing *listing, FILE *out);

void listing_free(struct listing *listing);

// Prints a text as a listing does.
void listing_print_text(struct text text, FILE *out);
