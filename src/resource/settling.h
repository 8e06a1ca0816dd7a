// Settling finds out up to which number of the outbox nothing can come any more. Numbers are drawn
// while records are locked, so those of one record count up as it changes; but transactions that
// drew them may commit in another order, or not at all. A reader that went on to a number while a
// lower one was still to come would never see it.
//
// Two things settle numbers. Where they follow each other without a hole, each was seen. And where
// one was visible in a snapshot, whoever drew a lower one had begun before: once every transaction
// that had begun by then has ended, the holes below are of those that were rolled back.
#pragma once

#include "resource/outbox.h"

// Zeroed memory is one that knows nothing yet.
struct settling {
    bool known;         // below, there is nothing to come up to `settled`
    int64_t settled;    //
    bool waits;         // `awaited` settles once all transactions below `barrier` have ended
    int64_t awaited;    //
    int64_t barrier;    //
    bool has_gone_back; // the last look found less than was there before: another life of the
                        // database, as after a backup was restored
};

// Starts from a number that was settled at some time.
void settling_start(struct settling *settling, int64_t settled);

// Takes a look: the position, and the numbers behind what was settled that the same snapshot shows,
// in order, from the first one on.
void settling_look(struct settling *settling, const struct outbox_position *position,
                   const int64_t *numbers, size_t count);
