// Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a POST or PATCH that brings one is
// done once, however often it is sent. Its answer is kept by the transaction that does it, and is
// given again to whoever sends the same once more.
//
// An exchange with a key asks, before its body is looked at, whether an answer is kept. Each job
// that writes then goes between a guard, which sees that nobody else is at it and that no answer
// has come meanwhile, and a late call that keeps the answer which the handler's `settle` makes of
// the rows: both are run while the job is out, on a thread of the store's.
// Only an answer from such a job is kept: a handler whose answer comes from a job that reads gives
// that job the kind JOB_WRITE where the exchange has a key. A failure undoes the job and leaves
// nothing. An exchange without a key has no struct idempotency, and nothing to do here.
#pragma once

#include "api/exchange.h"

// The step behind "prepare": reads the field.
enum step_result idempotency_read(struct exchange *exchange);

// The steps before "parse": asks for a kept answer, which may wait; gives it where there is one.
enum step_result idempotency_look(struct exchange *exchange);
enum step_result idempotency_replay(struct exchange *exchange);

// For an exchange with a key. Puts a planned job in its guard; false when there is no memory.
bool idempotency_guard(struct exchange *exchange);

// What a job that is out says; in place of the handler's.
bool idempotency_on_row(struct exchange *exchange, size_t call, const struct value *cells);
bool idempotency_on_late(struct exchange *exchange, size_t call);
void idempotency_on_restart(struct exchange *exchange);

// In place of the handler's `settle`, which it calls.
enum step_result idempotency_settle(struct exchange *exchange);
