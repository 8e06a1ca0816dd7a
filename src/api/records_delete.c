#include "api/records.h"
#include "api/records_shared.h"

static enum step_result plan_delete(struct exchange *exchange) {
    return record_job(
        exchange, JOB_WRITE,
        plan_remove(exchange->plan, exchange->key, arena_of(exchange), exchange->calls));
}

static enum step_result settle_delete(struct exchange *exchange) {
    if (!record_is_done(exchange))
        return STEP_FAIL;
    if (exchange->calls[0].rows == 0)
        return record_missing(exchange);
    exchange->answer.status = 204;
    return STEP_NEXT;
}

const struct handler records_delete = {
    .action = ACTION_DELETE,
    .prepare = record_read_key,
    .plan = plan_delete,
    .settle = settle_delete,
};
