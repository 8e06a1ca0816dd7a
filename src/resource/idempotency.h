// The statements on the table trestle_idempotency, which keeps the answers to requests that brought
// an Idempotency-Key, each under an id (the SHA-256 of the key and what it belongs to) and with a
// fingerprint of the request (another SHA-256), until it expires.
#pragma once

#include "resource/dialect.h"

struct idempotency_plan {
    // (number VALUE_INTEGER) -> a row where nobody else has taken that number, which is this
    // transaction's then. Without text on SQLite, where writes wait for their turn.
    struct statement lock;

    // (id, now) -> fingerprint, status, fields, body: of an answer that has not expired by then
    struct statement find;

    // (id, fingerprint, status, fields, body, now, expires): keeps an answer, over one that has
    // expired; changes nothing where there is one that has not, and where the status is null
    struct statement keep;

    // (now, count): forgets so many of those that have expired, the oldest first
    struct statement forget;
};

bool idempotency_plan_make(struct arena *arena, const struct dialect *dialect,
                           struct idempotency_plan *ret_plan);
