#include "store/postgres/attempt.h"

#include "base/clock.h"

#include <signal.h>
#include <stdlib.h>

struct pg_attempts *pg_attempts_create(void) {
    struct pg_attempts *attempts = calloc(1, sizeof *attempts);
    if (!attempts)
        return NULL;
    if (uv_mutex_init(&attempts->lock) != 0) {
        free(attempts);
        return NULL;
    }
    if (uv_cond_init(&attempts->one_ended) != 0) {
        uv_mutex_destroy(&attempts->lock);
        free(attempts);
        return NULL;
    }
    return attempts;
}

static void free_attempts(struct pg_attempts *attempts) {
    uv_cond_destroy(&attempts->one_ended);
    uv_mutex_destroy(&attempts->lock);
    free(attempts);
}

// With the lock held. They have all but ended, so that this does not wait.
static void join_ended(struct pg_attempts *attempts) {
    while (attempts->ended) {
        struct pg_attempt_thread *thread = attempts->ended;
        attempts->ended = thread->next;
        (void)pthread_join(thread->id, NULL);
        free(thread);
    }
}

void pg_attempts_close(struct pg_attempts *attempts, unsigned seconds) {
    if (!attempts)
        return;
    uint64_t until = clock_monotonic_ns() + seconds * UINT64_C(1000000000);
    uv_mutex_lock(&attempts->lock);
    for (uint64_t now = clock_monotonic_ns(); attempts->running && now < until;
         now = clock_monotonic_ns())
        (void)uv_cond_timedwait(&attempts->one_ended, &attempts->lock, until - now);
    join_ended(attempts);
    bool orphaned = attempts->orphaned = attempts->running > 0;
    uv_mutex_unlock(&attempts->lock);
    if (!orphaned)
        free_attempts(attempts);
}

void pg_attempt_free(struct pg_attempt *attempt) {
    pg_link_close(attempt->link);
    free((char *)attempt->address.url);
    free(attempt);
}

// The last thing that a thread does with what it shares.
static void end_thread(struct pg_attempt_thread *thread) {
    struct pg_attempts *attempts = thread->attempts;
    uv_mutex_lock(&attempts->lock);
    bool orphaned = attempts->orphaned;
    bool last = --attempts->running == 0;
    if (!orphaned) {
        thread->next = attempts->ended;
        attempts->ended = thread;
        uv_cond_signal(&attempts->one_ended);
    }
    uv_mutex_unlock(&attempts->lock);
    if (!orphaned)
        return;
    (void)pthread_detach(pthread_self());
    free(thread);
    if (last)
        free_attempts(attempts);
}

static void *run_attempt(void *argument) {
    struct pg_attempt *attempt = argument;
    struct pg_attempt_thread *thread = attempt->thread;
    attempt->link = pg_link_open(&attempt->address, &attempt->failure);
    // Under the lock: the mailbox is there as long as nobody gave us up.
    uv_mutex_lock(&thread->attempts->lock);
    bool posted = attempt->mailbox != NULL;
    if (posted)
        mailbox_post(attempt->mailbox, &attempt->letter);
    uv_mutex_unlock(&thread->attempts->lock);
    if (!posted)
        pg_attempt_free(attempt);
    end_thread(thread);
    return NULL;
}

// With the lock held, which keeps the thread from its end until all is noted.
static bool start_thread(struct pg_attempt *attempt, struct pg_attempts *attempts) {
    struct pg_attempt_thread *thread = calloc(1, sizeof *thread);
    sigset_t all;
    sigset_t before;
    if (!thread)
        return false;
    thread->attempts = attempts;
    attempt->thread = thread;
    // Signals are for the threads that know what to do with them.
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread->id, NULL, run_attempt, attempt);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        free(thread);
    return error == 0;
}

struct pg_attempt *pg_attempt_start(struct pg_attempts *attempts, const struct pg_address *address,
                                    struct mailbox *mailbox, void (*deliver)(struct letter *letter),
                                    void *owner) {
    struct pg_attempt *attempt = calloc(1, sizeof *attempt);
    if (!attempt)
        return NULL;
    attempt->letter.deliver = deliver;
    attempt->owner = owner;
    attempt->attempts = attempts;
    attempt->mailbox = mailbox;
    attempt->address = *address;
    attempt->address.url = strdup(address->url);
    uv_mutex_lock(&attempts->lock);
    join_ended(attempts);
    bool started = attempt->address.url && start_thread(attempt, attempts);
    attempts->running += started;
    uv_mutex_unlock(&attempts->lock);
    if (started)
        return attempt;
    pg_attempt_free(attempt);
    return NULL;
}

void pg_attempt_give_up(struct pg_attempt *attempt) {
    struct pg_attempts *attempts = attempt->attempts;
    attempt->owner = NULL;
    // From here on the thread may free it at any moment, unless the letter is on its way.
    uv_mutex_lock(&attempts->lock);
    attempt->mailbox = NULL;
    uv_mutex_unlock(&attempts->lock);
}
