#include "api/records.h"
#include "api/records_shared.h"

// What the definition says of a record's life: its states, and how it gets from one to the other.

static void write_text(struct json_writer *writer, const char *name, struct text text) {
    if (!text.size)
        return;
    json_write_name(writer, text_from_string(name));
    json_write_string(writer, text);
}

static void write_set(struct json_writer *writer, const struct effect *effect) {
    if (effect->to)
        write_text(writer, "to", *effect->to);
    if (!effect->set_count)
        return;
    json_write_name(writer, TEXT("set"));
    json_write_object_begin(writer);
    for (size_t i = 0; i < effect->set_count; i++) {
        json_write_prepared_name(writer, effect->set[i].property->prepared_name);
        json_write_string(writer, effect->set[i].source);
    }
    json_write_object_end(writer);
}

static void write_from(struct json_writer *writer, const struct lifecycle *lifecycle,
                       const struct transition *transition) {
    if (!lifecycle->property)
        return;
    json_write_name(writer, TEXT("from"));
    json_write_array_begin(writer);
    for (size_t i = 0; i < transition->from_count; i++)
        json_write_string(writer, *transition->from[i]);
    for (size_t i = 0; !transition->from_count && i < lifecycle->state_count; i++)
        json_write_string(writer, lifecycle->states[i]);
    json_write_array_end(writer);
}

// What its work consists of is nobody's business but the workers'.
static void write_work(struct json_writer *writer, const struct work *work) {
    json_write_name(writer, TEXT("long"));
    json_write_boolean(writer, true);
    json_write_name(writer, TEXT("time_limit_seconds"));
    json_write_integer(writer, (work->time_limit + 999) / 1000);
    json_write_name(writer, TEXT("retries"));
    json_write_integer(writer, work->retries);
}

static void write_transition(struct json_writer *writer, const struct lifecycle *lifecycle,
                             const struct transition *transition) {
    json_write_object_begin(writer);
    write_text(writer, "name", transition->name);
    write_text(writer, "description", transition->description);
    write_from(writer, lifecycle, transition);
    write_text(writer, "when", transition->when_source);
    write_set(writer, &transition->effect);
    if (transition->others_where) {
        json_write_name(writer, TEXT("others"));
        json_write_object_begin(writer);
        write_text(writer, "where", transition->others_where_source);
        write_set(writer, &transition->others);
        json_write_object_end(writer);
    }
    if (transition->work)
        write_work(writer, transition->work);
    json_write_object_end(writer);
}

static void write_states(struct json_writer *writer, const struct lifecycle *lifecycle) {
    if (!lifecycle->property)
        return;
    write_text(writer, "property", lifecycle->property->name);
    json_write_name(writer, TEXT("states"));
    json_write_array_begin(writer);
    for (size_t i = 0; i < lifecycle->state_count; i++)
        json_write_string(writer, lifecycle->states[i]);
    json_write_array_end(writer);
}

static enum step_result settle_lifecycle(struct exchange *exchange) {
    const struct resource *resource = resource_of(exchange);
    struct json_writer writer = json_writer_on(&exchange->answer.body);
    json_write_object_begin(&writer);
    write_states(&writer, &resource->lifecycle);
    json_write_name(&writer, TEXT("transitions"));
    json_write_array_begin(&writer);
    for (size_t i = 0; i < resource->transition_count; i++)
        write_transition(&writer, &resource->lifecycle, &resource->transitions[i]);
    json_write_array_end(&writer);
    json_write_object_end(&writer);
    return record_answer(exchange, 200, (struct etag){.kind = ETAG_LIST});
}

const struct handler records_lifecycle = {
    .action = ACTION_READ, .conditions = CONDITIONS_READ, .settle = settle_lifecycle};
