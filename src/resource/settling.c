#include "resource/settling.h"

void settling_start(struct settling *settling, int64_t settled) {
    *settling = (struct settling){.known = true, .settled = settled};
}

static void settle(struct settling *settling, int64_t number) {
    if (!settling->known || settling->settled < number)
        settling->settled = number;
    settling->known = true;
}

// Where the highest number is lower than before, what was known is about another life.
static void notice_other_life(struct settling *settling, const struct outbox_position *position) {
    settling->has_gone_back = (settling->known && position->last < settling->settled) ||
                              (settling->waits && position->last < settling->awaited);
    if (settling->has_gone_back)
        settling->known = settling->waits = false;
}

void settling_look(struct settling *settling, const struct outbox_position *position,
                   const int64_t *numbers, size_t count) {
    notice_other_life(settling, position);
    if (settling->waits && position->oldest >= settling->barrier) {
        settling->waits = false;
        settle(settling, settling->awaited);
    }
    if (position->oldest >= position->next)
        settle(settling, position->last);
    for (size_t i = 0; settling->known && i < count && numbers[i] <= settling->settled + 1; i++)
        settle(settling, numbers[i]);
    if (settling->known && settling->settled >= position->last) {
        settling->waits = false;
    } else if (!settling->waits) {
        settling->waits = true;
        settling->awaited = position->last;
        settling->barrier = position->next;
    }
}
