#include "api/preferences.h"

#include "api/negotiate.h"
#include "resource/definition.h"

// Answers of one piece, that are made by asking the store, end in time.
static bool can_wait(const struct exchange *exchange) {
    return exchange->handler->plan && exchange->media != MEDIA_LINES &&
           exchange->media != MEDIA_EVENTS && !negotiate_takes_lines(exchange);
}

static bool can_return(const struct exchange *exchange, enum returns returns) {
    return (exchange->handler->returns & returns) && !negotiate_takes_lines(exchange);
}

static bool can_honour(const struct exchange *exchange, enum preference preference) {
    switch (preference) {
    case PREFER_MINIMAL: return can_return(exchange, RETURNS_NOTHING);
    case PREFER_REPRESENTATION:
        return can_return(exchange, RETURNS_ALL) || action_reads(exchange->handler->action);
    case PREFER_STRICT:
    case PREFER_LENIENT: return true;
    case PREFER_WAIT: return can_wait(exchange);
    default: return false;
    }
}

static enum step_result refuse(struct exchange *exchange, struct text name) {
    return exchange_fail(exchange, FAILURE_INVALID_FIELD,
                         name.data ? "Prefer: handling=strict, and `%.*s` is not known or cannot "
                                     "be honoured here"
                                   : "Prefer: handling=strict, and %.*sit has something that is "
                                     "no preference",
                         TEXT_ARGS(name.data ? name : TEXT("")));
}

enum step_result preferences_read(struct exchange *exchange) {
    struct preferences *preferences = &exchange->preferences;
    struct text field;
    if (!http_field_joined(exchange->request, "Prefer", &field))
        return exchange_out_of_memory(exchange);
    if (!field.data || exchange->handler->action == ACTIONS)
        return STEP_NEXT;
    prefer_read(field, preferences);
    bool strict = preferences->asked & 1U << PREFER_STRICT;
    if (strict && preferences->others)
        return refuse(exchange, preferences->other);
    for (unsigned i = 0; i < PREFERENCES; i++) {
        if (!(preferences->asked & 1U << i))
            continue;
        if (can_honour(exchange, (enum preference)i))
            preferences->applied |= 1U << i;
        else if (strict)
            return refuse(exchange, text_from_string(prefer_name((enum preference)i)));
    }
    return STEP_NEXT;
}

void preferences_tell(const struct exchange *exchange, struct http_answer *answer) {
    const struct preferences *preferences = &exchange->preferences;
    struct buffer *fields = &answer->fields;
    if (!preferences->applied)
        return;
    const char *before = "Preference-Applied: ";
    for (unsigned i = 0; i < PREFERENCES; i++) {
        if (!prefers(preferences, (enum preference)i))
            continue;
        buffer_append_string(fields, before);
        buffer_append_string(fields, prefer_name((enum preference)i));
        if (i == PREFER_WAIT)
            buffer_append_integer(fields, preferences->wait);
        before = ", ";
    }
    buffer_append_string(fields, "\r\n");
    if (preferences->applied &
        (1U << PREFER_MINIMAL | 1U << PREFER_REPRESENTATION | 1U << PREFER_LENIENT))
        buffer_append_string(fields, "Vary: Prefer\r\n");
}

void preferences_leave_out(struct exchange *exchange) {
    buffer_clear(&exchange->answer.body);
    if (exchange->answer.status == 200)
        exchange->answer.status = 204;
}
