#include "http/deadline.h"

void deadlines_init(struct deadlines *deadlines, unsigned duration) {
    list_init(&deadlines->waiting);
    deadlines->duration = duration;
}

void deadline_start(struct deadlines *deadlines, struct deadline *deadline, uint64_t now) {
    list_remove(&deadline->link);
    deadline->of = deadlines;
    deadline->start = now;
    list_append(&deadlines->waiting, &deadline->link);
}

void deadline_stop(struct deadline *deadline) {
    list_remove(&deadline->link);
    deadline->of = NULL;
}

struct deadline *deadlines_over(const struct deadlines *deadlines, uint64_t now) {
    if (list_is_empty(&deadlines->waiting))
        return NULL;
    struct deadline *oldest = list_entry(deadlines->waiting.next, struct deadline, link);
    return now - oldest->start >= deadlines->duration ? oldest : NULL;
}
