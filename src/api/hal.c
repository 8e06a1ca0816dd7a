#include "api/hal.h"

#include "api/authorize.h"
#include "api/keys.h"
#include "resource/transition.h"

bool hal_is_keyed(const struct resource *resource) {
    for (size_t i = 0; i < resource->transition_count; i++) {
        if (resource->transitions[i].access != ACCESS_PUBLIC)
            return true;
    }
    return false;
}

// ---- What links depend on

static bool has_link(const struct property *property) {
    return property->reference.resource && !property->write_only;
}

// A guard may look at any property.
static bool links_need(const struct resource *resource, const struct property *property) {
    return resource->transition_count || property == resource->key.property || has_link(property);
}

bool hal_complete_selection(struct exchange *exchange, struct selection *selection) {
    const struct resource *resource = exchange->plan->resource;
    struct arena *arena = &exchange->request->arena;
    struct selection all = *selection;
    size_t room = selection->count + resource->property_count;
    bool *present = arena_allocate_zero(arena, resource->property_count, sizeof *present);
    all.properties = arena_allocate_zero(arena, room, sizeof *all.properties);
    if (!present || !all.properties)
        return false;
    for (size_t i = 0; i < selection->count; i++) {
        all.properties[i] = selection->properties[i];
        if (all.properties[i])
            present[all.properties[i]->index] = true;
    }
    for (size_t i = 0; i < resource->property_count; i++) {
        if (!present[i] && links_need(resource, &resource->properties[i]))
            all.properties[all.count++] = &resource->properties[i];
    }
    *selection = all;
    return true;
}

// The cells by their properties' index; NULL when there is no memory.
static const struct value *spread(struct exchange *exchange, const struct record_row *row) {
    size_t count = exchange->plan->resource->property_count;
    if (!exchange->linked)
        exchange->linked =
            arena_allocate_zero(&exchange->request->arena, count, sizeof *exchange->linked);
    for (size_t i = 0; exchange->linked && i < row->selection->count; i++) {
        const struct property *property = row->selection->properties[i];
        if (property)
            exchange->linked[property->index] = row->cells[i];
    }
    return exchange->linked;
}

// ---- Links

void hal_begin_link(struct json_writer *writer, struct text relation) {
    json_write_name(writer, relation);
    json_write_raw(writer, TEXT("{\"href\":\"/"));
}

void hal_end_link(struct json_writer *writer) {
    buffer_append_text(writer->out, TEXT("\"}"));
}

// To a record, or to a part of it.
static void write_link(struct json_writer *writer, struct text relation,
                       const struct resource *resource, struct value key, struct text part) {
    hal_begin_link(writer, relation);
    buffer_append_text(writer->out, resource->name);
    buffer_append_byte(writer->out, '/');
    encode_key(writer->out, resource->key.property, key);
    if (part.size) {
        buffer_append_byte(writer->out, '/');
        buffer_append_text(writer->out, part);
    }
    hal_end_link(writer);
}

static bool is_taken(struct text relation) {
    return text_is(relation, "self") || text_is(relation, "collection") ||
           text_is(relation, "history");
}

static void write_references(struct json_writer *writer, const struct resource *resource,
                             const struct value *values) {
    for (size_t i = 0; i < resource->property_count; i++) {
        const struct property *property = &resource->properties[i];
        if (has_link(property) && !value_is_null(values[i]) && !is_taken(property->name))
            write_link(writer, property->name, property->reference.resource, values[i], TEXT(""));
    }
}

// Whose name a reference has, has no link: no object may have a member twice.
static bool is_reference(const struct resource *resource, struct text name) {
    const struct property *property = resource_property(resource, name);
    return property && has_link(property);
}

static bool write_transitions(struct exchange *exchange, const struct value *values) {
    const struct resource *resource = exchange->plan->resource;
    struct value key = values[resource->key.property->index];
    for (size_t i = 0; i < resource->transition_count; i++) {
        const struct transition *transition = &resource->transitions[i];
        struct failure failure = {.code = FAILURE_NONE};
        if (is_reference(resource, transition->name) || is_taken(transition->name) ||
            !authorize_may_move(exchange, resource, transition))
            continue;
        if (transition_is_open(resource, transition, values, exchange->now,
                               &exchange->request->arena, &failure))
            write_link(&exchange->writer, transition->name, resource, key, transition->name);
        else if (failure.code == FAILURE_OUT_OF_MEMORY)
            return false;
    }
    return true;
}

static bool write_parts(struct exchange *exchange, const struct value *values) {
    const struct resource *resource = exchange->plan->resource;
    struct value key = values[resource->key.property->index];
    for (size_t i = 0; resource->built_in && i < KEYS_PARTS; i++)
        write_link(&exchange->writer, keys_parts[i], resource, key, keys_parts[i]);
    if (!resource->built_in && resource->lifecycle.property &&
        authorize_may(exchange, resource, ACTION_READ))
        write_link(&exchange->writer, TEXT("history"), resource, key, TEXT("history"));
    return write_transitions(exchange, values);
}

static bool write_links(struct exchange *exchange, const struct value *values) {
    const struct resource *resource = exchange->plan->resource;
    struct json_writer *writer = &exchange->writer;
    json_write_name(writer, TEXT("_links"));
    json_write_object_begin(writer);
    write_link(writer, TEXT("self"), resource, values[resource->key.property->index], TEXT(""));
    hal_begin_link(writer, TEXT("collection"));
    buffer_append_text(writer->out, resource->name);
    hal_end_link(writer);
    write_references(writer, resource, values);
    bool written = write_parts(exchange, values);
    json_write_object_end(writer);
    return written;
}

// ---- Records and lists

// The records that this one refers to. HAL has no word for those that are not there.
static void write_embedded(struct exchange *exchange, const struct value *cells) {
    const struct expansions *expansions = &exchange->query.expansions;
    struct json_writer *writer = &exchange->writer;
    json_write_name(writer, TEXT("_embedded"));
    json_write_object_begin(writer);
    for (size_t i = 0; i < expansions->count; i++) {
        const struct expansion *expansion = &expansions->items[i];
        const struct property *property = expansion->property;
        struct value key = cells[expansion->key];
        if (!value_is_null(key)) {
            json_write_prepared_name(writer, property->prepared_name);
            json_write_object_begin(writer);
            encode_members(writer, &expansion->selection, cells);
            json_write_name(writer, TEXT("_links"));
            json_write_object_begin(writer);
            write_link(writer, TEXT("self"), property->reference.resource, key, TEXT(""));
            json_write_object_end(writer);
            json_write_object_end(writer);
        }
        cells += expansion->selection.count;
    }
    json_write_object_end(writer);
}

bool hal_write_record(struct exchange *exchange, const struct record_row *row) {
    const struct value *values = spread(exchange, row);
    if (!values)
        return false;
    json_write_object_begin(&exchange->writer);
    encode_members(&exchange->writer, row->shown, row->shown_cells);
    bool written = write_links(exchange, values);
    if (exchange->query.expansions.count)
        write_embedded(exchange, row->cells + row->selection->count);
    json_write_object_end(&exchange->writer);
    return written && !exchange->answer.body.failed;
}

void hal_begin_records(struct json_writer *writer, struct text name) {
    json_write_object_begin(writer);
    json_write_name(writer, TEXT("_embedded"));
    json_write_object_begin(writer);
    json_write_name(writer, name);
    json_write_array_begin(writer);
}

void hal_end_records(struct json_writer *writer) {
    json_write_array_end(writer);
    json_write_object_end(writer);
}
