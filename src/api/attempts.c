#include "api/attempts.h"

#include "base/random.h"
#include "base/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SLOTS = ATTEMPTS_SETS * ATTEMPTS_WAYS };

bool attempts_open(struct attempts *attempts, struct log *log, struct failure *failure) {
    *attempts = (struct attempts){.log = log};
    if (!random_bytes(&attempts->seed, sizeof attempts->seed))
        return failure_set(failure, FAILURE_INTERNAL, "the kernel gives no randomness");
    attempts->slots = calloc(SLOTS, sizeof *attempts->slots);
    if (attempts->slots && uv_mutex_init(&attempts->lock) == 0)
        return true;
    free(attempts->slots);
    attempts->slots = NULL;
    return failure_out_of_memory(failure);
}

// "an unknown address" is that of somebody on a Unix socket.
static const char *name_of(const struct address *address, char room[ADDRESS_TEXT_SIZE]) {
    return address->kind == ADDRESS_NONE ? "a Unix socket" : address_format(address, room).data;
}

static void tell_slot(struct attempts *attempts, struct attempt_slot *slot) {
    char room[ADDRESS_TEXT_SIZE];
    if (slot->count)
        log_warning(
            attempts->log,
            "%" PRIu64 " more requests with an API key that is not good came from %s within "
            "%d s; the last one was %s",
            slot->count, name_of(&slot->address, room), ATTEMPTS_INTERVAL / 1000, slot->last);
    slot->count = 0;
}

static void tell_others(struct attempts *attempts) {
    if (attempts->others)
        log_warning(attempts->log,
                    "%" PRIu64 " more requests with an API key that is not good came from so many "
                    "other addresses that they were only counted",
                    attempts->others);
    attempts->others = 0;
}

void attempts_close(struct attempts *attempts) {
    if (!attempts->slots)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        tell_slot(attempts, &attempts->slots[i]);
    tell_others(attempts);
    uv_mutex_destroy(&attempts->lock);
    free(attempts->slots);
    attempts->slots = NULL;
}

// The slot of an address, or a free one, or NULL.
static struct attempt_slot *slot_for(struct attempts *attempts, const struct address *address) {
    struct text party = address_party(address);
    uint64_t hash = bytes_hash(party, attempts->seed);
    struct attempt_slot *set = &attempts->slots[hash % ATTEMPTS_SETS * ATTEMPTS_WAYS];
    struct attempt_slot *found = NULL;
    for (size_t i = 0; i < ATTEMPTS_WAYS; i++) {
        if (set[i].since && text_equal(address_party(&set[i].address), party))
            return &set[i];
        if (!set[i].since)
            found = &set[i];
    }
    return found;
}

static void describe(const struct attempt *attempt, char *out, size_t size) {
    (void)snprintf(out, size, "request %.*s, whose key %.*s%s%s", TEXT_ARGS(attempt->request_id),
                   TEXT_ARGS(attempt->prefix), attempt->prefix.size ? "... " : "", attempt->reason);
}

static void tell_first(struct attempts *attempts, struct attempt_slot *slot) {
    char room[ADDRESS_TEXT_SIZE];
    log_warning(attempts->log, "an API key that is not good came from %s: %s",
                name_of(&slot->address, room), slot->last);
}

static void note(struct attempts *attempts, const struct attempt *attempt, uint64_t now) {
    struct attempt_slot *slot = slot_for(attempts, &attempt->address);
    if (!slot) {
        attempts->others++;
        return;
    }
    slot->address = attempt->address;
    describe(attempt, slot->last, sizeof slot->last);
    if (slot->since) {
        slot->count++;
        return;
    }
    slot->since = now;
    tell_first(attempts, slot);
}

void attempts_note(struct attempts *attempts, const struct attempt *attempt, uint64_t now) {
    uv_mutex_lock(&attempts->lock);
    note(attempts, attempt, now);
    uv_mutex_unlock(&attempts->lock);
}

// An address from which more came is watched for another interval.
static void flush_slot(struct attempts *attempts, struct attempt_slot *slot, uint64_t now) {
    if (!slot->since || now - slot->since < ATTEMPTS_INTERVAL)
        return;
    slot->since = slot->count ? now : 0;
    tell_slot(attempts, slot);
}

void attempts_flush(struct attempts *attempts, uint64_t now) {
    uv_mutex_lock(&attempts->lock);
    for (size_t i = 0; i < SLOTS; i++)
        flush_slot(attempts, &attempts->slots[i], now);
    if (now - attempts->others_since >= ATTEMPTS_INTERVAL) {
        attempts->others_since = now;
        tell_others(attempts);
    }
    uv_mutex_unlock(&attempts->lock);
}
