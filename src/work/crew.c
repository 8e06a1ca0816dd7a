#include "work/crew.h"

#include <stdlib.h>

// Milliseconds.
enum {
    BEAT_EVERY = 2000,
    NEWS_EVERY = 250, // so often at most, where a command says something
    RETRY_BEAT = 500,
    RETRY_LEAST = 250, // before an end is reported again; doubled each time
    RETRY_MOST = 5000,
    FRESH = 1000, // a claim that took no longer may begin without another word
    HOLD = 1000,
    STUCK_PAUSE = 1000,
    LAST_WORDS = 10000, // for reporting, when the crew is to stop and commands have ended
};

static void step(struct hand *hand);
static void claim_more(struct crew *crew);

const char *finish_state_name(enum finish_state state) {
    static const char *const names[] = {[STATE_SUCCEEDED] = "succeeded",
                                        [STATE_FAILED] = "failed",
                                        [STATE_CANCELLED] = "cancelled",
                                        [STATE_RELEASED] = "released"};
    return names[state];
}

static void tell(struct hand *hand, enum crew_event event, const char *reason) {
    hand->crew->options.on_event(hand->crew, event, hand, reason);
}

// ---- The end of the crew

static void on_closed(uv_handle_t *handle) {
    struct crew *crew = handle->data;
    if (--crew->open_handles > 0)
        return;
    free(crew->hands);
    crew->hands = NULL;
    crew->options.on_stopped(crew);
}

static void on_hand_closed(uv_handle_t *handle) {
    struct hand *hand = handle->data;
    handle->data = hand->crew;
    on_closed(handle);
}

static void close_if_done(struct crew *crew) {
    if (!crew->is_stopping || crew->busy || crew->is_claiming ||
        uv_is_closing((uv_handle_t *)&crew->pause))
        return;
    uv_close((uv_handle_t *)&crew->pause, on_closed);
    uv_close((uv_handle_t *)&crew->stop, on_closed);
    for (unsigned i = 0; i < crew->options.size; i++)
        uv_close((uv_handle_t *)&crew->hands[i].timer, on_hand_closed);
}

// ---- One hand

static void on_timer(uv_timer_t *timer) {
    step(timer->data);
}

static void step_later(struct hand *hand, uint64_t delay) {
    (void)uv_timer_start(&hand->timer, on_timer, delay, 0);
}

static void set_free(struct hand *hand) {
    struct crew *crew = hand->crew;
    (void)uv_timer_stop(&hand->timer);
    arena_free(&hand->arena);
    hand->state = HAND_FREE;
    crew->busy--;
    close_if_done(crew);
    claim_more(crew);
}

static int64_t lease_end(const struct crew *crew, int64_t asked_at) {
    uint64_t lease = crew->options.lease;
    uint64_t margin = lease / 5 < 1000 ? lease / 5 : 1000;
    return asked_at + (int64_t)(lease - margin);
}

static uint64_t beat_interval(const struct crew *crew) {
    return crew->options.lease / 5 < BEAT_EVERY ? crew->options.lease / 5 : BEAT_EVERY;
}

static void begin_finishing(struct hand *hand, enum finish_state outcome) {
    hand->state = HAND_FINISHING;
    hand->outcome = outcome;
    hand->delay = RETRY_LEAST;
    step(hand);
}

// ---- A hand's task

static void on_news(struct task *task) {
    struct hand *hand = task->owner;
    struct crew *crew = hand->crew;
    task->output.has_news = false;
    hand->progress = task->output.progress;
    hand->has_news = true;
    tell(hand, CREW_NEWS, "");
    uint64_t passed = uv_now(crew->loop) - hand->beaten_at;
    if (hand->state == HAND_WORKING && !hand->is_waiting)
        step_later(hand, passed < NEWS_EVERY ? NEWS_EVERY - passed : 0);
}

// Somebody who ends everything here with one signal wants no operation to fail by it.
static void hold(struct hand *hand) {
    hand->state = HAND_HOLDING;
    step_later(hand, HOLD);
}

static void pause_claims(struct crew *crew, unsigned delay);

static void on_failed(struct hand *hand) {
    if (hand->is_released)
        begin_finishing(hand, STATE_RELEASED);
    else if (hand->task.was_terminated)
        hold(hand);
    else
        begin_finishing(hand, STATE_FAILED);
}

static void on_not_started(struct hand *hand) {
    tell(hand, CREW_STUCK, hand->detail);
    pause_claims(hand->crew, STUCK_PAUSE);
    begin_finishing(hand, STATE_RELEASED);
}

static void on_task_ended(struct task *task) {
    struct hand *hand = task->owner;
    hand->detail = task->output.detail;
    if (task->end != TASK_SUCCEEDED)
        hand->detail = task->description.data ? task->description.data : "out of memory";
    hand->progress = task->output.progress;
    hand->properties = task->properties;
    if (hand->is_overtaken) {
        tell(hand, CREW_OVERTAKEN, "");
        task_free(task);
        set_free(hand);
        return;
    }
    switch (task->end) {
    case TASK_SUCCEEDED: begin_finishing(hand, STATE_SUCCEEDED); break;
    case TASK_FAILED: on_failed(hand); break;
    case TASK_CANCELLED:
        begin_finishing(hand, hand->is_cancelled ? STATE_CANCELLED : STATE_RELEASED);
        break;
    case TASK_LOST: begin_finishing(hand, STATE_RELEASED); break;
    case TASK_NOT_STARTED: on_not_started(hand); break;
    }
}

static bool has_name_of(const char *const *list, const char *variable) {
    size_t size = strcspn(variable, "=") + 1;
    for (; *list; list++) {
        if (strncmp(*list, variable, size) == 0)
            return true;
    }
    return false;
}

// What every command gets, what is declared, and which attempt this is: each stronger than the one
// before. NULL when there is no memory.
static const char *const *make_environment(struct hand *hand) {
    const char *const *common = hand->crew->options.environment;
    const char *const *declared = hand->claim.environment;
    const char *own[] = {
        arena_format(&hand->arena, "TRESTLE_OPERATION=%.*s", TEXT_ARGS(hand->claim.operation)).data,
        arena_format(&hand->arena, "TRESTLE_ATTEMPT=%lld", (long long)hand->claim.attempt).data,
        NULL};
    size_t count = 3;
    for (const char *const *item = common; *item; item++)
        count++;
    for (const char *const *item = declared; *item; item++)
        count++;
    const char **all = arena_allocate_zero(&hand->arena, count, sizeof *all);
    if (!all || !own[0] || !own[1])
        return NULL;
    size_t used = 0;
    for (const char *const *item = common; *item; item++) {
        if (!has_name_of(declared, *item) && !has_name_of(own, *item))
            all[used++] = *item;
    }
    for (const char *const *item = declared; *item; item++) {
        if (!has_name_of(own, *item))
            all[used++] = *item;
    }
    memcpy(all + used, own, sizeof own);
    return all;
}

static void start_task(struct hand *hand) {
    struct crew *crew = hand->crew;
    uint64_t lease_part = crew->options.lease / 4;
    const char *const *environment = make_environment(hand);
    if (!environment) {
        hand->detail = "out of memory";
        task_output_init(&hand->task.output);
        on_not_started(hand);
        return;
    }
    struct task_options options = {
        .program = crew->options.program,
        .command = hand->claim.command,
        .environment = environment,
        .input = hand->claim.record,
        .time_limit = hand->claim.time_limit,
        .grace = crew->options.grace < lease_part ? crew->options.grace : lease_part,
    };
    hand->state = HAND_WORKING;
    hand->task.owner = hand;
    hand->task.on_news = on_news;
    hand->task.on_ended = on_task_ended;
    task_start(&hand->task, crew->loop, &options);
    task_extend(&hand->task, hand->until);
    hand->detail = hand->task.output.detail;
    hand->beaten_at = uv_now(crew->loop);
    tell(hand, CREW_STARTED, "");
    step_later(hand, beat_interval(crew));
}

// ---- Talking with the source

static void send_beat(struct hand *hand) {
    struct crew *crew = hand->crew;
    hand->is_waiting = true;
    hand->has_news = false;
    hand->asked_at = supervisor_clock();
    hand->beaten_at = uv_now(crew->loop);
    crew->source->beat(crew->source, hand);
}

static void send_finish(struct hand *hand) {
    hand->is_waiting = true;
    hand->crew->source->finish(hand->crew->source, hand);
}

static void drop(struct hand *hand) {
    tell(hand, CREW_OVERTAKEN, "its lease ran out before it began");
    set_free(hand);
}

// Does what is due.
static void step(struct hand *hand) {
    struct crew *crew = hand->crew;
    if (hand->is_waiting)
        return;
    switch (hand->state) {
    case HAND_FREE: break;
    case HAND_CONFIRMING:
        if (crew->is_stopping)
            begin_finishing(hand, STATE_RELEASED);
        else if (supervisor_clock() >= hand->until)
            drop(hand);
        else
            send_beat(hand);
        break;
    case HAND_WORKING:
        if (!hand->is_overtaken)
            send_beat(hand);
        break;
    case HAND_HOLDING:
        begin_finishing(hand, crew->is_stopping ? STATE_RELEASED : STATE_FAILED);
        break;
    case HAND_FINISHING: send_finish(hand); break;
    }
}

static void keep(struct hand *hand, bool cancel) {
    hand->until = lease_end(hand->crew, hand->asked_at);
    if (cancel)
        hand->is_cancelled = true;
    if (hand->state == HAND_WORKING) {
        task_extend(&hand->task, hand->until);
        if (cancel)
            task_cancel(&hand->task);
        step_later(hand, hand->has_news ? NEWS_EVERY : beat_interval(hand->crew));
    } else if (cancel) {
        begin_finishing(hand, STATE_CANCELLED);
    } else if (hand->crew->is_stopping) {
        begin_finishing(hand, STATE_RELEASED);
    } else {
        start_task(hand);
    }
}

static void lose(struct hand *hand) {
    if (hand->state == HAND_CONFIRMING) {
        tell(hand, CREW_OVERTAKEN, "");
        set_free(hand);
        return;
    }
    hand->is_overtaken = true;
    task_kill(&hand->task);
}

void crew_beaten(struct hand *hand, enum beat_answer answer) {
    hand->is_waiting = false;
    if (hand->state != HAND_CONFIRMING && hand->state != HAND_WORKING) {
        if (hand->state == HAND_FINISHING) // the task ended meanwhile
            step(hand);
        return;
    }
    if (answer == BEAT_OVERTAKEN) {
        lose(hand);
    } else if (answer == BEAT_UNKNOWN) {
        hand->has_news = true; // as far as is known
        step_later(hand, RETRY_BEAT);
    } else {
        keep(hand, answer == BEAT_CANCEL);
    }
}

void crew_finished(struct hand *hand, enum finish_answer answer, const char *reason) {
    struct crew *crew = hand->crew;
    hand->is_waiting = false;
    bool gives_up = crew->is_hurried && supervisor_clock() >= crew->gives_up_at;
    if (answer == FINISH_UNKNOWN && !gives_up) {
        step_later(hand, hand->delay);
        hand->delay = hand->delay * 2 < RETRY_MOST ? hand->delay * 2 : RETRY_MOST;
        return;
    }
    if (answer == FINISH_ACCEPTED)
        tell(hand, CREW_ENDED, hand->outcome == STATE_SUCCEEDED ? "" : hand->detail);
    else
        tell(hand, answer == FINISH_OVERTAKEN ? CREW_OVERTAKEN : CREW_UNREPORTED, reason);
    task_free(&hand->task);
    set_free(hand);
}

// ---- Claiming

static void on_pause(uv_timer_t *timer) {
    claim_more(timer->data);
}

static void pause_claims(struct crew *crew, unsigned delay) {
    if (!crew->is_stopping)
        (void)uv_timer_start(&crew->pause, on_pause, delay, 0);
}

static void claim_more(struct crew *crew) {
    if (crew->is_stopping || crew->is_claiming || crew->busy == crew->options.size ||
        uv_is_active((uv_handle_t *)&crew->pause))
        return;
    crew->is_claiming = true;
    crew->claims_again = false;
    crew->claimed_at = supervisor_clock();
    crew->source->claim(crew->source);
}

static struct hand *free_hand(struct crew *crew) {
    struct hand *hand = crew->hands;
    while (hand->state != HAND_FREE)
        hand++;
    return hand;
}

static const char *const *copy_list(struct arena *arena, const char *const *list) {
    size_t count = 0;
    while (list[count])
        count++;
    const char **copy = arena_allocate_zero(arena, count + 1, sizeof *copy);
    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = arena_copy(arena, text_from_string(list[i])).data;
        if (!copy[i])
            return NULL;
    }
    return copy;
}

static bool copy_claim(struct hand *hand, const struct claim *claim) {
    struct claim *copy = &hand->claim;
    *copy = *claim;
    copy->operation = arena_copy(&hand->arena, claim->operation);
    copy->title = arena_copy(&hand->arena, claim->title);
    copy->record = arena_copy(&hand->arena, claim->record);
    copy->command = copy_list(&hand->arena, claim->command);
    copy->environment = copy_list(&hand->arena, claim->environment);
    return copy->operation.data && copy->title.data && copy->record.data && copy->command &&
           copy->environment;
}

static void take_on(struct hand *hand, const struct claim *claim) {
    struct crew *crew = hand->crew;
    int64_t now = supervisor_clock();
    bool fresh = now - crew->claimed_at <= FRESH;
    hand->state = HAND_CONFIRMING;
    hand->progress = -1;
    hand->detail = "";
    hand->properties = NULL;
    hand->is_waiting = hand->has_news = false;
    hand->is_cancelled = hand->is_released = hand->is_overtaken = false;
    // It may have been given at any time since. To confirm it can be tried as long as it may last.
    hand->until = lease_end(crew, fresh ? crew->claimed_at : now);
    hand->task = (struct task){.owner = hand};
    crew->busy++;
    if (!copy_claim(hand, claim)) {
        // Without its id nothing can be told; its lease will end.
        crew->options.on_event(crew, CREW_STUCK, NULL, "out of memory");
        pause_claims(crew, STUCK_PAUSE);
        set_free(hand);
    } else if (crew->is_stopping) {
        begin_finishing(hand, STATE_RELEASED);
    } else if (fresh) {
        start_task(hand);
    } else {
        step(hand);
    }
}

void crew_claimed(struct crew *crew, const struct claim *claim) {
    crew->is_claiming = false;
    take_on(free_hand(crew), claim);
    claim_more(crew);
}

void crew_not_claimed(struct crew *crew, unsigned delay) {
    crew->is_claiming = false;
    if (crew->is_stopping) {
        close_if_done(crew);
        return;
    }
    pause_claims(crew, crew->claims_again ? 0 : delay);
    crew->claims_again = false;
}

void crew_wake(struct crew *crew) {
    crew->claims_again = true;
    (void)uv_timer_stop(&crew->pause);
    claim_more(crew);
}

// ---- Starting and stopping

bool crew_start(struct crew *crew, uv_loop_t *loop, struct crew_source *source,
                const struct crew_options *options) {
    struct hand *hands = calloc(options->size, sizeof *hands);
    if (!hands)
        return false;
    *crew = (struct crew){.options = *options,
                          .source = source,
                          .loop = loop,
                          .hands = hands,
                          .open_handles = options->size + 2};
    (void)uv_timer_init(loop, &crew->pause); // none of them can fail
    (void)uv_timer_init(loop, &crew->stop);
    crew->pause.data = crew;
    crew->stop.data = crew;
    for (unsigned i = 0; i < options->size; i++) {
        hands[i].crew = crew;
        hands[i].number = i;
        (void)uv_timer_init(loop, &hands[i].timer);
        hands[i].timer.data = &hands[i];
    }
    pause_claims(crew, 0); // the source need not answer before this returns
    return true;
}

static void on_stop(uv_timer_t *timer) {
    crew_hurry(timer->data);
}

void crew_stop(struct crew *crew, uint64_t grace) {
    if (crew->is_stopping)
        return;
    crew->is_stopping = true;
    (void)uv_timer_stop(&crew->pause);
    (void)uv_timer_start(&crew->stop, on_stop, grace, 0);
    if (crew->is_claiming)
        crew->source->stop_claiming(crew->source);
    for (unsigned i = 0; i < crew->options.size; i++) {
        if (crew->hands[i].state == HAND_HOLDING || crew->hands[i].state == HAND_CONFIRMING)
            step(&crew->hands[i]);
    }
    close_if_done(crew);
}

void crew_hurry(struct crew *crew) {
    if (!crew->is_stopping || crew->is_hurried)
        return;
    crew->is_hurried = true;
    crew->gives_up_at = supervisor_clock() + (int64_t)crew->options.grace + LAST_WORDS;
    for (unsigned i = 0; i < crew->options.size; i++) {
        struct hand *hand = &crew->hands[i];
        if (hand->state != HAND_WORKING)
            continue;
        hand->is_released = true;
        task_cancel(&hand->task);
    }
}
