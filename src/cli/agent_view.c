#include "cli/agent_view.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool agent_view_open(struct agent_view *view, unsigned size) {
    *view = (struct agent_view){.started = calloc(size, sizeof *view->started)};
    return view->started != NULL;
}

void agent_view_close(struct agent_view *view) {
    if (view->is_shown)
        progress_hide(&view->progress);
    free(view->started);
    view->started = NULL;
}

static unsigned running(const struct crew *crew, const struct hand **ret_one, uint64_t *ret_done) {
    unsigned count = 0;
    for (unsigned i = 0; i < crew->options.size; i++) {
        const struct hand *hand = &crew->hands[i];
        if (hand->state != HAND_WORKING)
            continue;
        *ret_one = hand;
        *ret_done += hand->progress > 0 ? (uint64_t)hand->progress : 0;
        count++;
    }
    return count;
}

// The progress is about all that run now; another one begins when they change.
static void begin_progress(struct agent_view *view, const struct crew *crew) {
    const struct hand *one = NULL;
    uint64_t done = 0;
    unsigned count = running(crew, &one, &done);
    view->is_shown = count > 0;
    if (count == 1)
        (void)snprintf(view->label, sizeof view->label, "%.*s", TEXT_ARGS(one->claim.title));
    else
        (void)snprintf(view->label, sizeof view->label, "%u operations", count);
    if (count > 0)
        progress_start(&view->progress, &(struct progress_work){.label = view->label,
                                                                .is_share = true,
                                                                .total = 100 * (uint64_t)count,
                                                                .done = done});
}

void agent_view_update(struct agent_view *view, const struct crew *crew) {
    const struct hand *one = NULL;
    uint64_t done = 0;
    if (!view->is_shown)
        return;
    (void)running(crew, &one, &done);
    progress_update(&view->progress, done);
}

__attribute__((format(printf, 2, 0))) static void say(struct agent_view *view, const char *format,
                                                      va_list arguments) {
    if (view->is_shown)
        progress_hide(&view->progress);
    (void)fputs("trestle agent: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
}

void agent_view_say(struct agent_view *view, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(view, format, arguments);
    va_end(arguments);
}

static void say_end(struct agent_view *view, const struct hand *hand, const char *reason) {
    double seconds = (double)(clock_monotonic() - view->started[hand->number]) / 1000;
    uint64_t ignored = hand->task.output.ignored;
    char note[80] = "";
    if (ignored)
        (void)snprintf(note, sizeof note, " (%llu lines of its output were passed over)",
                       (unsigned long long)ignored);
    agent_view_say(view, "%.*s: %s after %.1f s%s%s%s", TEXT_ARGS(hand->claim.title),
                   finish_state_name(hand->outcome), seconds, note, *reason ? ": " : "", reason);
}

void agent_view_tell(struct agent_view *view, const struct crew *crew, enum crew_event event,
                     const struct hand *hand, const char *reason) {
    const char *between = *reason ? ": " : "";
    switch (event) {
    case CREW_NEWS: agent_view_update(view, crew); return;
    case CREW_STUCK:
        agent_view_say(view, "nothing can be started now%s%s; it is tried again", between, reason);
        return;
    case CREW_STARTED:
        view->started[hand->number] = clock_monotonic();
        agent_view_say(view, "%.*s: started (operation %.*s, attempt %lld)",
                       TEXT_ARGS(hand->claim.title), TEXT_ARGS(hand->claim.operation),
                       (long long)hand->claim.attempt);
        break;
    case CREW_ENDED: say_end(view, hand, reason); break;
    case CREW_OVERTAKEN:
        agent_view_say(view, "%.*s: it is no longer ours; somebody else may have claimed it%s%s",
                       TEXT_ARGS(hand->claim.title), between, reason);
        break;
    case CREW_UNREPORTED:
        agent_view_say(view, "%.*s: its end could not be told%s%s", TEXT_ARGS(hand->claim.title),
                       between, reason);
        break;
    }
    begin_progress(view, crew);
}
