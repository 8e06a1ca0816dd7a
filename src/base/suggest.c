#include "base/suggest.h"

#include <limits.h>

enum { WORD_MAX = 63 };

static unsigned least_of(unsigned a, unsigned b) {
    return a < b ? a : b;
}

// The distance of Damerau and Levenshtein, in the form that swaps a pair at most once: a table of
// which only the last three rows are kept.
unsigned suggest_distance(struct text a, struct text b) {
    if (a.size > WORD_MAX || b.size > WORD_MAX)
        return text_equal(a, b) ? 0 : UINT_MAX;
    unsigned rows[3][WORD_MAX + 1];
    for (unsigned j = 0; j <= b.size; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a.size; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *above_that = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b.size; j++) {
            unsigned change = a.data[i - 1] != b.data[j - 1];
            row[j] = least_of(above[j - 1] + change, least_of(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1])
                row[j] = least_of(row[j], above_that[j - 2] + 1);
        }
    }
    return rows[a.size % 3][b.size];
}

void suggest_offer(struct suggestion *suggestion, struct text candidate) {
    unsigned distance = suggest_distance(suggestion->word, candidate);
    // One letter of a short word, one in four more of a longer one: beyond that it is another word.
    unsigned near_enough = least_of(4, 1 + (unsigned)(suggestion->word.size / 4));
    if (distance > near_enough || distance >= candidate.size)
        return;
    if (suggestion->best.data && distance >= suggestion->distance)
        return;
    suggestion->best = candidate;
    suggestion->distance = distance;
}
