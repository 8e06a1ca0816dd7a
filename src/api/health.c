#include "api/health.h"

static enum step_result settle_live(struct exchange *exchange) {
    http_answer_field(&exchange->answer, "Content-Type", TEXT("application/json"));
    http_answer_field(&exchange->answer, "Cache-Control", TEXT("no-store"));
    buffer_append_text(&exchange->answer.body, TEXT("{\"status\":\"ok\"}"));
    return STEP_NEXT;
}

const struct handler health_live = {
    .action = ACTIONS,
    .asks_nobody = true,
    .settle = settle_live,
};

// The shortest question there is: whether the database answers at all.
static const struct column one_integer = {.kind = VALUE_INTEGER};
static const struct statement one = {
    .sql = TEXT_INIT("SELECT 1"), .hash = 1, .columns = &one_integer, .column_count = 1};

static enum step_result plan_ready(struct exchange *exchange) {
    if (exchange->service->stopping)
        return exchange_fail(exchange, FAILURE_STOPPING, "the server is stopping");
    exchange->calls[0] = (struct call){.statement = &one, .expect = EXPECT_ANY};
    exchange->job.call_count = 1;
    exchange->job.kind = JOB_READ;
    return STEP_NEXT;
}

static bool on_row(struct exchange *exchange, size_t call, const struct value *cells) {
    return cells[0].integer == 1;
}

static enum step_result settle_ready(struct exchange *exchange) {
    if (!outcome_failure(&exchange->outcome, &exchange->failure))
        return STEP_FAIL;
    return settle_live(exchange);
}

const struct handler health_ready = {
    .action = ACTIONS,
    .asks_nobody = true,
    .plan = plan_ready,
    .on_row = on_row,
    .settle = settle_ready,
};
