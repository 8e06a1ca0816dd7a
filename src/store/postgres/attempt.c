#include "store/postgres/attempt.h"

#include "base/clock.h"

#include <pthread.h>
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
    if (uv_cond_init(&attempts->ended) != 0) {
        uv_mutex_destroy(&attempts->lock);
        free(attempts);
        return NULL;
    }
    return attempts;
}

static void free_attempts(struct pg_attempts *attempts) {
    uv_cond_destroy(&attempts->ended);
    uv_mutex_destroy(&attempts->lock);
    free(attempts);
}

void pg_attempts_close(struct pg_attempts *attempts, unsigned seconds) {
    if (!attempts)
        return;
    uint64_t until = clock_monotonic_ns() + seconds * UINT64_C(1000000000);
    uv_mutex_lock(&attempts->lock);
    for (uint64_t now = clock_monotonic_ns(); attempts->running && now < until;
         now = clock_monotonic_ns())
        (void)uv_cond_timedwait(&attempts->ended, &attempts->lock, until - now);
    attempts->orphaned = attempts->running > 0;
    bool orphaned = attempts->orphaned;
    uv_mutex_unlock(&attempts->lock);
    if (!orphaned)
        free_attempts(attempts);
}

void pg_attempt_free(struct pg_attempt *attempt) {
    pg_link_close(attempt->link);
    free((char *)attempt->address.url);
    free(attempt);
}

// The last thing that an attempt's thread does.
static void end_thread(struct pg_attempts *attempts) {
    uv_mutex_lock(&attempts->lock);
    bool last = --attempts->running == 0 && attempts->orphaned;
    uv_cond_signal(&attempts->ended);
    uv_mutex_unlock(&attempts->lock);
    if (last)
        free_attempts(attempts);
}

static void *run_attempt(void *argument) {
    struct pg_attempt *attempt = argument;
    struct pg_attempts *attempts = attempt->attempts;
    attempt->link = pg_link_open(&attempt->address, &attempt->failure);
    // Under the lock: the mailbox is there as long as nobody gave us up.
    uv_mutex_lock(&attempts->lock);
    bool posted = attempt->mailbox != NULL;
    if (posted)
        mailbox_post(attempt->mailbox, &attempt->letter);
    uv_mutex_unlock(&attempts->lock);
    if (!posted)
        pg_attempt_free(attempt);
    end_thread(attempts);
    return NULL;
}

// Signals are for the threads that know what to do with them.
static bool start_thread(struct pg_attempt *attempt) {
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, &attributes, run_attempt, attempt);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
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
    bool started = attempt->address.url && start_thread(attempt);
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
