// What an agent shows of its work, on standard error: a line when a command starts and when it
// ends, and between them how far it is, as a bar on a terminal.
#pragma once

#include "base/progress.h"
#include "work/crew.h"

struct agent_view {
    struct progress progress;
    uint64_t *started; // one a hand
    bool is_shown;     // the progress is about what runs
    char label[300];
};

// False when there is no memory.
bool agent_view_open(struct agent_view *view, unsigned size);
void agent_view_close(struct agent_view *view);

// An event of the crew.
void agent_view_tell(struct agent_view *view, const struct crew *crew, enum crew_event event,
                     const struct hand *hand, const char *reason);

// Brings the bar up to date; to be called several times a second while something runs.
void agent_view_update(struct agent_view *view, const struct crew *crew);

// A line about the agent itself.
void agent_view_say(struct agent_view *view, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
