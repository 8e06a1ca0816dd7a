#include "api/runner.h"

#include "api/operation_claim.h"
#include "base/clock.h"
#include "base/mailbox.h"
#include "work/crew.h"
#include "work/environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Milliseconds.
enum {
    LOOK_EVERY = 1000, // for what other processes have queued
    LOOK_NEVER = 3600 * 1000,
    KILL_AFTER = 5000, // SIGTERM
};

// What is under way for one hand: a beat, or a finish.
struct report {
    struct runner *runner;
    struct hand *hand;
    struct arena arena;
    struct catalogue *catalogue; // a reference, while something is
    struct operation_finish finish;
    struct job job; // of a beat
    struct call call;
    bool found;
    struct operation row;
};

struct runner {
    struct crew_source source; // the first member, so that a crew's source is its runner
    struct runner_options options;
    struct arena arena;
    struct catalogue *catalogue; // a reference
    char worker[200];            // HOST:PID
    uv_loop_t loop;
    uv_thread_t thread;
    struct mailbox mailbox;
    struct store_session *session;
    struct crew crew;
    bool is_stopping;
    bool is_done; // the crew has stopped and the session is gone …
    bool is_left; // … and nobody will post any more: both end the thread
    struct letter wake;
    atomic_bool is_woken; // the letter is on its way
    struct letter stop;
    struct letter leave;

    // A claim under way.
    struct catalogue *claim_catalogue; // a reference
    struct arena claim_arena;
    struct claimable *claimables; // all of them
    size_t claimable_count;
    size_t first; // of those that are looked for in one go
    int64_t idle; // the shortest wait that was found
    struct operation_claim claim;

    struct report *reports; // one a hand
};

// ---- Claims

static size_t count_commands(const struct catalogue *catalogue) {
    size_t count = 0;
    for (size_t i = 0; i < catalogue->resource_count; i++) {
        const struct resource *resource = catalogue->resources[i];
        for (size_t j = 0; j < resource->transition_count; j++)
            count += resource->transitions[j].work && resource->transitions[j].work->command_count;
    }
    return count;
}

// Those transitions that have a command. False when there is no memory.
static bool find_claimables(struct runner *runner) {
    const struct catalogue *catalogue = runner->claim_catalogue;
    size_t count = count_commands(catalogue);
    runner->claimables =
        arena_allocate_zero(&runner->claim_arena, count, sizeof *runner->claimables);
    runner->claimable_count = 0;
    for (size_t i = 0; runner->claimables && i < catalogue->resource_count; i++) {
        const struct plan *plan = &catalogue->plans[i];
        for (size_t j = 0; j < plan->resource->transition_count; j++) {
            const struct transition *transition = &plan->resource->transitions[j];
            if (transition->work && transition->work->command_count)
                runner->claimables[runner->claimable_count++] =
                    (struct claimable){.plan = plan, .transition = transition};
        }
    }
    return runner->claimables != NULL;
}

static void end_claim(struct runner *runner) {
    catalogue_release(runner->claim_catalogue);
    runner->claim_catalogue = NULL;
    arena_reset(&runner->claim_arena);
}

static void claim_nothing(struct runner *runner, unsigned delay) {
    end_claim(runner);
    crew_not_claimed(&runner->crew, delay);
}

static const char *const *copy_words(struct arena *arena, const struct work *work) {
    const char **words = arena_allocate_zero(arena, work->command_count + 1, sizeof *words);
    for (size_t i = 0; words && i < work->command_count; i++) {
        words[i] = arena_copy(arena, work->command[i]).data;
        if (!words[i])
            return NULL;
    }
    return words;
}

static const char *const *copy_variables(struct arena *arena, const struct work *work) {
    const char **list = arena_allocate_zero(arena, work->environment_count + 1, sizeof *list);
    for (size_t i = 0; list && i < work->environment_count; i++) {
        const struct variable *variable = &work->environment[i];
        list[i] =
            arena_format(arena, "%.*s=%.*s", TEXT_ARGS(variable->name), TEXT_ARGS(variable->value))
                .data;
        if (!list[i])
            return NULL;
    }
    return list;
}

static bool describe_claim(struct runner *runner, struct buffer *record, struct claim *claim) {
    const struct operation_claim *claimed = &runner->claim;
    const struct operation *operation = &claimed->operation;
    const struct work *work = claimed->claimed->transition->work;
    struct arena *arena = &runner->claim_arena;
    struct json_writer writer = json_writer_on(record);
    operation_write_record(&writer, claimed->claimed->plan->resource, claimed->record);
    *claim = (struct claim){
        .operation = operation->id.text,
        .title = arena_format(arena, "%.*s of %.*s/%.*s", TEXT_ARGS(operation->transition),
                              TEXT_ARGS(operation->resource), TEXT_ARGS(operation->record)),
        .attempt = operation->attempts,
        .record = buffer_text(record),
        .command = copy_words(arena, work),
        .environment = copy_variables(arena, work),
        .time_limit = (uint64_t)work->time_limit,
    };
    return !record->failed && claim->title.data && claim->command && claim->environment;
}

static void take_claim(struct runner *runner) {
    struct buffer record = {0};
    struct claim claim;
    if (describe_claim(runner, &record, &claim)) {
        crew_claimed(&runner->crew, &claim); // which copies it, and may claim again at once
        if (!runner->crew.is_claiming)
            end_claim(runner);
    } else {
        // Its lease will end.
        log_error(runner->options.log, "there is no memory for an operation that was claimed");
        claim_nothing(runner, LOOK_EVERY);
    }
    buffer_free(&record);
}

static void look(struct runner *runner);

// Nothing is due among those that were looked for; there may be others.
static void look_on(struct runner *runner) {
    if (runner->claim.idle < runner->idle)
        runner->idle = runner->claim.idle;
    runner->first += CLAIMABLES_MAX;
    if (runner->first < runner->claimable_count)
        look(runner);
    else
        claim_nothing(runner, runner->idle < LOOK_EVERY ? (unsigned)runner->idle : LOOK_EVERY);
}

static void on_claimed(struct operation_claim *claim) {
    struct runner *runner = claim->owner;
    if (claim->failure.code != FAILURE_NONE)
        claim_nothing(runner, LOOK_EVERY); // the database is away, perhaps
    else if (claim->claimed)
        take_claim(runner);
    else
        look_on(runner);
}

static void look(struct runner *runner) {
    size_t rest = runner->claimable_count - runner->first;
    runner->claim = (struct operation_claim){
        .session = runner->session,
        .catalogue = runner->claim_catalogue,
        .arena = &runner->claim_arena,
        .patience = runner->options.patience,
        .claimables = runner->claimables + runner->first,
        .claimable_count = rest < CLAIMABLES_MAX ? rest : CLAIMABLES_MAX,
        .worker = text_from_string(runner->worker),
        .lease = runner->options.lease,
        .owner = runner,
        .on_done = on_claimed,
    };
    if (!operation_claim_start(&runner->claim))
        claim_nothing(runner, LOOK_EVERY);
}

static void claim(struct crew_source *source) {
    struct runner *runner = (struct runner *)source;
    end_claim(runner); // what the last one has left
    runner->claim_catalogue = catalogue_retain(runner->catalogue);
    runner->first = 0;
    runner->idle = INT64_MAX;
    if (!find_claimables(runner))
        claim_nothing(runner, LOOK_EVERY);
    else if (runner->claimable_count == 0)
        claim_nothing(runner, LOOK_NEVER); // until there are other definitions
    else
        look(runner);
}

// What is asked of the database is answered soon.
static void stop_claiming(struct crew_source *source) {}

// ---- Reports

static void begin_report(struct report *report, struct hand *hand) {
    arena_reset(&report->arena);
    report->hand = hand;
    report->catalogue = catalogue_retain(report->runner->catalogue);
}

static void end_report(struct report *report) {
    catalogue_release(report->catalogue);
    report->catalogue = NULL;
}

// A copy, for the command may say something else while the job is out; none where there is no
// memory.
static struct text detail_of(struct report *report) {
    struct text detail = text_from_string(report->hand->detail);
    if (detail.size > OPERATION_DETAIL_MAX)
        detail = text_whole_characters(text_of(detail.data, OPERATION_DETAIL_MAX));
    return detail.size ? arena_copy(&report->arena, detail) : (struct text){NULL, 0};
}

static bool on_beat_row(struct job *job, size_t call, const struct value *cells) {
    struct report *report = job->owner;
    report->found = true;
    return operation_read(&report->catalogue->operations, cells, &report->arena, &report->row);
}

static void on_beat_restart(struct job *job) {
    struct report *report = job->owner;
    report->found = false;
}

static void on_beat_done(struct job *job, const struct outcome *outcome) {
    struct report *report = job->owner;
    enum beat_answer answer = BEAT_UNKNOWN;
    if (outcome->kind == OUTCOME_DONE && !report->found)
        answer = BEAT_OVERTAKEN;
    else if (outcome->kind == OUTCOME_DONE)
        answer = report->row.cancel_requested ? BEAT_CANCEL : BEAT_KEPT;
    end_report(report);
    crew_beaten(report->hand, answer);
}

static bool submit_beat(struct report *report) {
    struct runner *runner = report->runner;
    struct hand *hand = report->hand;
    struct value id = value_text(VALUE_UUID, hand->claim.operation);
    unsigned third = runner->options.lease / 3; // later an answer is of little use
    unsigned patience = runner->options.patience < third ? runner->options.patience : third;
    report->found = false;
    report->job = (struct job){.kind = JOB_WRITE,
                               .calls = &report->call,
                               .call_count = 1,
                               .deadline = clock_monotonic() + patience,
                               .owner = report,
                               .on_row = on_beat_row,
                               .on_restart = on_beat_restart,
                               .on_done = on_beat_done};
    return operation_plan_beat(&report->catalogue->operations, id, hand->claim.attempt,
                               hand->progress, detail_of(report), runner->options.lease,
                               &report->arena, &report->call) &&
           store_submit(runner->session, &report->job);
}

static void beat(struct crew_source *source, struct hand *hand) {
    struct runner *runner = (struct runner *)source;
    struct report *report = &runner->reports[hand->number];
    begin_report(report, hand);
    if (submit_beat(report))
        return;
    end_report(report);
    crew_beaten(hand, BEAT_UNKNOWN);
}

static enum finish_answer finish_answer_of(const struct failure *failure) {
    switch (failure->code) {
    case FAILURE_NONE: return FINISH_ACCEPTED;
    case FAILURE_OVERTAKEN:
    case FAILURE_OPERATION_ENDED:
    case FAILURE_NOT_FOUND: return FINISH_OVERTAKEN;
    default: return FINISH_UNKNOWN;
    }
}

static void on_finish_done(struct operation_finish *finish) {
    struct report *report = finish->owner;
    struct failure failure = finish->failure;
    end_report(report);
    crew_finished(report->hand, finish_answer_of(&failure),
                  failure.code == FAILURE_NONE ? "" : failure.detail);
}

static void finish(struct crew_source *source, struct hand *hand) {
    static const enum finish_kind kinds[] = {[STATE_SUCCEEDED] = FINISH_SUCCEEDED,
                                             [STATE_FAILED] = FINISH_FAILED,
                                             [STATE_CANCELLED] = FINISH_CANCELLED,
                                             [STATE_RELEASED] = FINISH_RELEASED};
    struct runner *runner = (struct runner *)source;
    struct report *report = &runner->reports[hand->number];
    begin_report(report, hand);
    report->finish = (struct operation_finish){.session = runner->session,
                                               .catalogue = report->catalogue,
                                               .arena = &report->arena,
                                               .patience = runner->options.patience,
                                               .kind = kinds[hand->outcome],
                                               .id = value_text(VALUE_UUID, hand->claim.operation),
                                               .attempt = hand->claim.attempt,
                                               .set = hand->properties,
                                               .detail = detail_of(report),
                                               .owner = report,
                                               .on_done = on_finish_done};
    if (operation_finish_start(&report->finish))
        return;
    end_report(report);
    crew_finished(hand, FINISH_UNKNOWN, report->finish.failure.detail);
}

// ---- What is told

static void log_end(struct log *log, const struct hand *hand, const char *reason) {
    uint64_t ignored = hand->task.output.ignored;
    char note[80] = "";
    if (ignored)
        (void)snprintf(note, sizeof note, " (%llu lines of its output were passed over)",
                       (unsigned long long)ignored);
    log_info(log, "%.*s: %s%s%s%s", TEXT_ARGS(hand->claim.title), finish_state_name(hand->outcome),
             note, *reason ? ": " : "", reason);
}

static void on_event(struct crew *crew, enum crew_event event, const struct hand *hand,
                     const char *reason) {
    struct runner *runner = crew->options.owner;
    struct log *log = runner->options.log;
    const char *between = *reason ? ": " : "";
    switch (event) {
    case CREW_NEWS: break;
    case CREW_STARTED:
        log_info(log, "%.*s: started (operation %.*s, attempt %lld)", TEXT_ARGS(hand->claim.title),
                 TEXT_ARGS(hand->claim.operation), (long long)hand->claim.attempt);
        break;
    case CREW_ENDED: log_end(log, hand, reason); break;
    case CREW_OVERTAKEN:
        log_warning(log, "%.*s: it is no longer ours; somebody else may have claimed it%s%s",
                    TEXT_ARGS(hand->claim.title), between, reason);
        break;
    case CREW_UNREPORTED:
        log_warning(log, "%.*s: its end could not be stored, and its lease has to run out%s%s",
                    TEXT_ARGS(hand->claim.title), between, reason);
        break;
    case CREW_STUCK: log_warning(log, "no command can be started now%s%s", between, reason); break;
    }
}

// ---- Its life

static void on_mailbox_closed(struct mailbox *mailbox) {}

static void leave_if_done(struct runner *runner) {
    if (runner->is_done && runner->is_left)
        mailbox_close(&runner->mailbox, on_mailbox_closed);
}

static void on_detached(void *owner) {
    struct runner *runner = owner;
    runner->is_done = true;
    leave_if_done(runner);
}

static void on_crew_stopped(struct crew *crew) {
    struct runner *runner = crew->options.owner;
    store_detach(runner->session, on_detached, runner);
}

static void on_wake(struct letter *letter) {
    struct runner *runner = (void *)((char *)letter - offsetof(struct runner, wake));
    atomic_store(&runner->is_woken, false);
    if (!runner->is_stopping)
        crew_wake(&runner->crew);
}

static void on_stop(struct letter *letter) {
    struct runner *runner = (void *)((char *)letter - offsetof(struct runner, stop));
    runner->is_stopping = true;
    if (runner->crew.busy)
        log_info(runner->options.log, "commands that run may end by themselves within %u s",
                 (runner->options.grace + 999) / 1000);
    crew_stop(&runner->crew, runner->options.grace);
}

static void on_leave(struct letter *letter) {
    struct runner *runner = (void *)((char *)letter - offsetof(struct runner, leave));
    runner->is_left = true;
    leave_if_done(runner);
}

struct new_catalogue {
    struct letter letter;
    struct runner *runner;
    struct catalogue *catalogue; // a reference
};

static void on_new_catalogue(struct letter *letter) {
    struct new_catalogue *order = (void *)letter; // its first member
    struct runner *runner = order->runner;
    catalogue_release(runner->catalogue);
    runner->catalogue = order->catalogue;
    free(order);
    if (!runner->is_stopping)
        crew_wake(&runner->crew);
}

static void run_loop(void *argument) {
    struct runner *runner = argument;
    (void)uv_run(&runner->loop, UV_RUN_DEFAULT);
}

static bool open_loop(struct runner *runner, struct failure *failure) {
    int error = uv_loop_init(&runner->loop);
    if (error)
        return failure_set(failure, FAILURE_INTERNAL, "the runner's loop: %s", uv_strerror(error));
    error = mailbox_open(&runner->mailbox, &runner->loop);
    if (!error)
        return true;
    (void)uv_loop_close(&runner->loop);
    return failure_set(failure, FAILURE_INTERNAL, "the runner's mailbox: %s", uv_strerror(error));
}

static bool start_crew(struct runner *runner, struct failure *failure) {
    struct crew_options options = {
        .size = runner->options.size,
        .lease = runner->options.lease,
        .grace = KILL_AFTER,
        .environment = environment_make(&runner->arena, runner->options.data, getenv("PATH")),
        .on_event = on_event,
        .on_stopped = on_crew_stopped,
        .owner = runner,
    };
    runner->reports = arena_allocate_zero(&runner->arena, options.size, sizeof *runner->reports);
    for (unsigned i = 0; runner->reports && i < options.size; i++)
        runner->reports[i].runner = runner;
    return (options.environment && runner->reports &&
            crew_start(&runner->crew, &runner->loop, &runner->source, &options)) ||
           failure_out_of_memory(failure);
}

static bool start_thread(struct runner *runner, struct failure *failure) {
    int error = uv_thread_create(&runner->thread, run_loop, runner);
    if (!error)
        return true;
    failure_set(failure, FAILURE_INTERNAL, "the runner's thread: %s", uv_strerror(error));
    crew_stop(&runner->crew, 0); // which then has the session detached
    runner->is_left = true;
    return false;
}

static void give_up(struct runner *runner, bool has_session) {
    if (has_session && !runner->is_left)
        store_detach(runner->session, on_detached, runner);
    runner->is_left = true;
    if (!has_session)
        on_detached(runner);
    (void)uv_run(&runner->loop, UV_RUN_DEFAULT); // what was opened on it closes
    (void)uv_loop_close(&runner->loop);
}

static bool start(struct runner *runner, struct failure *failure) {
    if (!open_loop(runner, failure))
        return false;
    bool attached = store_attach(runner->options.store, &runner->loop, &runner->session, failure);
    if (attached && start_crew(runner, failure) && start_thread(runner, failure))
        return true;
    give_up(runner, attached);
    return false;
}

static void runner_free(struct runner *runner) {
    for (unsigned i = 0; runner->reports && i < runner->options.size; i++)
        arena_free(&runner->reports[i].arena);
    end_claim(runner);
    arena_free(&runner->claim_arena);
    catalogue_release(runner->catalogue);
    arena_free(&runner->arena);
    free(runner);
}

bool runner_start(const struct runner_options *options, struct catalogue *catalogue,
                  struct runner **ret_runner, struct failure *failure) {
    struct runner *runner = calloc(1, sizeof *runner);
    char host[100] = "";
    if (!runner)
        return failure_out_of_memory(failure);
    runner->options = *options;
    runner->catalogue = catalogue_retain(catalogue);
    runner->source = (struct crew_source){claim, stop_claiming, beat, finish};
    runner->wake.deliver = on_wake;
    runner->stop.deliver = on_stop;
    runner->leave.deliver = on_leave;
    (void)gethostname(host, sizeof host - 1); // a name without a host is one, too
    (void)snprintf(runner->worker, sizeof runner->worker, "%s:%ld", host, (long)getpid());
    if (start(runner, failure)) {
        *ret_runner = runner;
        return true;
    }
    runner_free(runner);
    return false;
}

void runner_wake(struct runner *runner) {
    if (runner && !atomic_exchange(&runner->is_woken, true))
        mailbox_post(&runner->mailbox, &runner->wake);
}

bool runner_reload(struct runner *runner, struct catalogue *catalogue) {
    if (!runner)
        return true;
    struct new_catalogue *order = malloc(sizeof *order);
    if (!order)
        return false;
    *order = (struct new_catalogue){.letter.deliver = on_new_catalogue,
                                    .runner = runner,
                                    .catalogue = catalogue_retain(catalogue)};
    mailbox_post(&runner->mailbox, &order->letter);
    return true;
}

void runner_stop(struct runner *runner) {
    if (runner)
        mailbox_post(&runner->mailbox, &runner->stop);
}

void runner_join(struct runner *runner) {
    if (!runner)
        return;
    mailbox_post(&runner->mailbox, &runner->leave);
    uv_thread_join(&runner->thread);
    (void)uv_loop_close(&runner->loop); // nothing is left on it
    runner_free(runner);
}
