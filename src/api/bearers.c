#include "api/bearers.h"

#include "api/authenticate.h"
#include "api/authorize.h"
#include "api/exchange.h"
#include "base/clock.h"

// Milliseconds after which keys are looked at even if nobody said that any has changed: somebody
// may have changed the table by hand.
enum { ROUND_MOST = 30 * 1000 };

static struct bearer *bearer_at(struct link *link) {
    return list_entry(link, struct bearer, link);
}

void bearers_init(struct bearers *bearers, struct service *service,
                  void (*on_refused)(struct bearer *bearer)) {
    *bearers = (struct bearers){.service = service,
                                .on_refused = on_refused,
                                .round = 1,
                                .began_at = clock_monotonic(),
                                .first_end = INT64_MAX};
    list_init(&bearers->list);
}

static void note_end(struct bearers *bearers, const struct exchange *exchange) {
    const struct api_key *key = exchange->identity.key;
    if (key && key->ends_at < bearers->first_end)
        bearers->first_end = key->ends_at;
}

// A key that was remembered is as of the last change that was noted; for one that had to be looked
// up first, there may have been a round meanwhile.
void bearers_add(struct bearers *bearers, struct bearer *bearer, struct exchange *exchange) {
    const struct identity *identity = &exchange->identity;
    *bearer = (struct bearer){.exchange = exchange};
    if (identity->kind == IDENTITY_NOBODY)
        return;
    bearer->round = identity->asked_at ? 0 : bearers->round;
    bearers->doubts = bearers->doubts || bearer->round == 0;
    list_append(&bearers->list, &bearer->link);
    note_end(bearers, exchange);
}

void bearers_remove(struct bearer *bearer) {
    list_remove(&bearer->link);
}

// ---- Deciding

static void decide(struct bearers *bearers, struct bearer *bearer) {
    struct exchange *exchange = bearer->exchange;
    if (authorize_may_this(exchange, exchange->handler)) {
        note_end(bearers, exchange);
        return;
    }
    (void)authorize(exchange); // says why not
    list_remove(&bearer->link);
    bearers->on_refused(bearer);
}

// Does something with each of them, which may take out that one.
static void each(struct bearers *bearers,
                 void (*visit)(struct bearers *bearers, struct bearer *bearer)) {
    struct link *next;
    for (struct link *link = bearers->list.next; link != &bearers->list; link = next) {
        next = link->next;
        visit(bearers, bearer_at(link));
    }
}

static void check_end(struct bearers *bearers, struct bearer *bearer) {
    struct api_key *key = bearer->exchange->identity.key;
    if (key)
        authenticate_again(bearer->exchange, key, false, bearers->now);
    decide(bearers, bearer);
}

static void end_expired(struct bearers *bearers) {
    bearers->now = clock_now();
    if (bearers->now < bearers->first_end)
        return;
    bearers->first_end = INT64_MAX;
    each(bearers, check_end);
}

static struct borne_key *find_key(struct bearers *bearers, const unsigned char *digest) {
    for (size_t i = 0; i < bearers->key_count; i++)
        if (memcmp(bearers->keys[i].digest, digest, DIGEST_SIZE) == 0)
            return &bearers->keys[i];
    return NULL;
}

static void take_answer(struct bearers *bearers, struct bearer *bearer) {
    struct exchange *exchange = bearer->exchange;
    const struct borne_key *found = find_key(bearers, exchange->identity.digest);
    if (!found || bearer->round == bearers->round)
        return;
    bearer->round = bearers->asked_in;
    authenticate_again(exchange, found->key, found->is_admin, bearers->now);
    decide(bearers, bearer);
}

// ---- Looking up

static void look(struct bearers *bearers);

static void forget_keys(struct bearers *bearers) {
    for (size_t i = 0; i < bearers->key_count; i++)
        api_key_release(bearers->keys[i].key);
    bearers->key_count = 0;
    arena_free(&bearers->arena);
}

static void answer(struct bearers *bearers) {
    bearers->now = clock_now();
    each(bearers, take_answer);
    forget_keys(bearers);
}

static bool on_row(struct job *job, size_t call, const struct value *cells) {
    struct bearers *bearers = job->owner;
    struct borne_key *key = &bearers->keys[bearers->key_of[call]];
    struct failure failure;
    api_key_release(key->key);
    key->key = key_lookup_read(cells, key->digest, &failure);
    return key->key != NULL;
}

static void on_restart(struct job *job) {
    struct bearers *bearers = job->owner;
    for (size_t i = 0; i < bearers->key_count; i++) {
        api_key_release(bearers->keys[i].key);
        bearers->keys[i].key = NULL;
    }
}

static void on_done(struct job *job, const struct outcome *outcome) {
    struct bearers *bearers = job->owner;
    bearers->is_out = false;
    if (outcome->kind == OUTCOME_DONE) {
        answer(bearers);
        look(bearers);
    } else {
        forget_keys(bearers); // and with the next tick, again
    }
}

static bool add_call(struct bearers *bearers, size_t index) {
    struct borne_key *key = &bearers->keys[index];
    const struct secrets *secrets = &bearers->service->secrets;
    key->is_admin = digest_equal(key->digest, secrets->admin_digest, DIGEST_SIZE);
    if (key->is_admin)
        return true;
    bearers->key_of[bearers->job.call_count] = index;
    return key_lookup_call(&bearers->service->key_lookup, key->digest, &bearers->arena,
                           &bearers->calls[bearers->job.call_count++]);
}

// The keys of those in doubt, as many as there is room for.
static void gather(struct bearers *bearers) {
    bearers->doubts = false;
    for (struct link *link = bearers->list.next; link != &bearers->list; link = link->next) {
        const struct bearer *bearer = bearer_at(link);
        const unsigned char *digest = bearer->exchange->identity.digest;
        if (bearer->round == bearers->round)
            continue;
        bearers->doubts = true;
        if (find_key(bearers, digest))
            continue;
        if (bearers->key_count == BEARER_KEYS)
            return;
        struct borne_key *key = &bearers->keys[bearers->key_count++];
        *key = (struct borne_key){.key = NULL};
        memcpy(key->digest, digest, DIGEST_SIZE);
    }
}

static bool submit(struct bearers *bearers) {
    struct service *service = bearers->service;
    bearers->asked_in = bearers->round;
    bearers->job = (struct job){.kind = JOB_READ,
                                .calls = bearers->calls,
                                .deadline = clock_monotonic() + service->options->query_timeout,
                                .owner = bearers,
                                .on_row = on_row,
                                .on_restart = on_restart,
                                .on_done = on_done};
    for (size_t i = 0; i < bearers->key_count; i++)
        if (!add_call(bearers, i))
            return false;
    bearers->is_out = bearers->job.call_count > 0;
    return !bearers->is_out || store_submit(service->session, &bearers->job);
}

static void look(struct bearers *bearers) {
    if (bearers->is_out || !bearers->doubts)
        return;
    gather(bearers);
    if (!submit(bearers)) {
        bearers->is_out = false;
        forget_keys(bearers);
    } else if (!bearers->is_out) {
        answer(bearers);
    }
}

void bearers_doubt(struct bearers *bearers) {
    bearers->round++;
    bearers->doubts = true;
    bearers->began_at = clock_monotonic();
}

void bearers_tick(struct bearers *bearers) {
    uint64_t changes = keyring_changes(bearers->service->options->keyring);
    if (changes != bearers->changes || clock_monotonic() - bearers->began_at >= ROUND_MOST)
        bearers_doubt(bearers);
    bearers->changes = changes;
    end_expired(bearers);
    look(bearers);
}
