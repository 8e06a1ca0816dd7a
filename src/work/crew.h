// A crew works on operations, so many at once: it claims them from a source, runs the command of
// each as a task, renews the lease while that runs, and reports how it ended. It knows nothing of
// how the source is reached: through a database (the server's runner) or over HTTP (an agent). It
// lives on a loop; all calls are made on its thread.
//
// Its rule is that a command ends before its lease does: what is renewed counts from when it was
// asked for, by a clock that goes on while the machine sleeps, and the supervisor has that instant.
#pragma once

#include "base/arena.h"
#include "work/task.h"

struct crew;

// An operation that was claimed. The crew copies it.
struct claim {
    struct text operation;          // its id
    struct text title;              // what it is, for people: "download of packages/42"
    int64_t attempt;                // the fencing number
    struct text record;             // JSON, the command's input
    const char *const *command;     // NULL-terminated
    const char *const *environment; // "NAME=VALUE", NULL-terminated: what is declared
    uint64_t time_limit;            // milliseconds; 0: none
};

enum finish_state { STATE_SUCCEEDED, STATE_FAILED, STATE_CANCELLED, STATE_RELEASED };

enum beat_answer {
    BEAT_KEPT,      // the lease is renewed
    BEAT_CANCEL,    // it is, but somebody wants the operation to end
    BEAT_OVERTAKEN, // the attempt no longer counts
    BEAT_UNKNOWN,   // nobody answered; or nothing happened
};

enum finish_answer {
    FINISH_ACCEPTED,
    FINISH_OVERTAKEN,
    FINISH_REFUSED, // it will never be accepted
    FINISH_UNKNOWN, // it is reported again
};

enum hand_state {
    HAND_FREE,
    HAND_CONFIRMING, // the claim took long: its lease is renewed before anything begins
    HAND_WORKING,
    HAND_HOLDING, // a SIGTERM of somebody else ended it: perhaps one for us follows
    HAND_FINISHING,
};

// One of those that work. A source reads what it has to say from it, and no more.
struct hand {
    struct crew *crew;
    unsigned number; // from 0 on
    enum hand_state state;
    struct claim claim;
    int progress;              // -1: none was said
    const char *detail;        // "": none was said
    enum finish_state outcome; // HAND_FINISHING
    json_t *properties;        // to set, or NULL

    // The crew's own.
    struct arena arena;
    struct task task;
    uv_timer_t timer;
    bool is_waiting; // for the source's answer
    bool has_news;   // that the source has not got
    bool is_cancelled;
    bool is_released;
    bool is_overtaken;
    unsigned delay; // before the end is reported again
    int64_t asked_at;
    int64_t until;
    uint64_t beaten_at; // when the source was asked last, by the loop's clock
};

// Where operations come from. Each question is answered by one call of the function that is named,
// at once or later.
struct crew_source {
    void (*claim)(struct crew_source *source);         // crew_claimed, crew_not_claimed
    void (*stop_claiming)(struct crew_source *source); // the claim under way is to be answered soon
    void (*beat)(struct crew_source *source, struct hand *hand);   // crew_beaten
    void (*finish)(struct crew_source *source, struct hand *hand); // crew_finished
};

enum crew_event {
    CREW_STARTED,    // a command was
    CREW_NEWS,       // it has said how far it is
    CREW_ENDED,      // it was reported: hand->outcome
    CREW_OVERTAKEN,  // somebody else works on it now
    CREW_UNREPORTED, // its end was not taken; the lease has to end
    CREW_STUCK,      // no command can be started now
};

struct crew_options {
    unsigned size;                  // how many commands at once, at least 1
    uint64_t lease;                 // milliseconds, at least 1000
    uint64_t grace;                 // milliseconds between SIGTERM and SIGKILL
    const char *program;            // as in struct task_options
    const char *const *environment; // what every command gets; what is declared is stronger
    // Tells what happens; `hand` may be NULL only for CREW_STUCK. `reason` may be "".
    void (*on_event)(struct crew *crew, enum crew_event event, const struct hand *hand,
                     const char *reason);
    void (*on_stopped)(struct crew *crew);
    void *owner;
};

struct crew {
    struct crew_options options;
    struct crew_source *source;
    uv_loop_t *loop;
    struct hand *hands;
    unsigned busy;
    uv_timer_t pause; // until something is claimed again
    uv_timer_t stop;  // until commands that still run are ended
    unsigned open_handles;
    bool is_claiming;
    bool claims_again; // something came up while it was
    bool is_stopping;
    bool is_hurried;
    int64_t claimed_at; // when it was asked for
    int64_t gives_up_at;
};

// Begins. False when there is no memory; nothing is to be freed then.
bool crew_start(struct crew *crew, uv_loop_t *loop, struct crew_source *source,
                const struct crew_options *options);

// Ends in order: claims nothing more, lets commands that run go on for `grace` milliseconds, then
// asks them to end and hands their operations back. on_stopped comes when all is done, and not in
// this call; the crew's memory may go then.
void crew_stop(struct crew *crew, uint64_t grace);

// What runs is asked to end now. Only after crew_stop.
void crew_hurry(struct crew *crew);

// There may be something to claim.
void crew_wake(struct crew *crew);

// The answers of a source.
void crew_claimed(struct crew *crew, const struct claim *claim);
void crew_not_claimed(struct crew *crew, unsigned delay); // milliseconds until it is tried again
void crew_beaten(struct hand *hand, enum beat_answer answer);
void crew_finished(struct hand *hand, enum finish_answer answer, const char *reason);

// "succeeded", "failed", "cancelled", "released".
const char *finish_state_name(enum finish_state state);
