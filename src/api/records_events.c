#include "api/records.h"
#include "api/records_shared.h"

// GET /RESOURCE/events: the changes of its records, as server-sent events (the HTML standard,
// section 9.2), until the client goes. What happens after the beginning is in listeners.c.

// For clients that cannot set the field.
static const char *const parameters[] = {"last_event_id", NULL};

enum events_stage { EVENTS_BEGIN, EVENTS_END };

// The field is what a client that comes back sends, so it is newer than what stands in the URL.
static enum step_result prepare_events(struct exchange *exchange) {
    struct text number = http_field(exchange->request, "Last-Event-ID");
    exchange->version = -1;
    if (exchange->parameter_count > 1)
        return exchange_fail(exchange, FAILURE_INVALID_PARAMETER, "last_event_id is given twice");
    if (exchange->parameter_count && !number.data)
        number = exchange->parameters[0].value;
    if (!number.data)
        return STEP_NEXT;
    if (text_to_integer(number, &exchange->version) && exchange->version >= 0)
        return STEP_NEXT;
    return exchange_fail(exchange, FAILURE_INVALID_PARAMETER,
                         "Last-Event-ID and last_event_id are the id of an event, a whole number");
}

static enum step_result settle_events(struct exchange *exchange) {
    struct service *service = exchange->service;
    if (exchange->stage == EVENTS_END)
        return exchange->failure.code == FAILURE_NONE || exchange->streams ? STEP_NEXT : STEP_FAIL;
    if (service->stopping)
        return exchange_fail(exchange, FAILURE_STOPPING, "the server is stopping");
    exchange->stage = EVENTS_END;
    return listeners_add(&service->listeners, exchange, exchange->version) ? STEP_WAIT : STEP_FAIL;
}

const struct handler records_events = {
    .action = ACTION_LIST,
    .media = 1U << MEDIA_EVENTS,
    .parameters = parameters,
    .prepare = prepare_events,
    .settle = settle_events,
    .on_writable = listeners_on_writable,
    .on_stopping = listeners_on_stopping,
    .on_gone = listeners_on_gone,
};
