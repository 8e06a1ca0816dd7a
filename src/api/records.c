#include "api/records.h"

static const char *const no_parameters[] = {NULL};
static const char *const record_parameters[] = {"fields", NULL};

// How often a write is tried again when others change the same record, before the client is told.
enum { MAX_ROUNDS = 40 };

static struct arena *arena_of(struct exchange *exchange) {
    return &exchange->request->arena;
}

static const struct resource *resource_of(const struct exchange *exchange) {
    return exchange->plan->resource;
}

static struct validation validation_of(struct exchange *exchange) {
    return (struct validation){.resource = resource_of(exchange),
                               .arena = arena_of(exchange),
                               .faults = &exchange->faults,
                               .now = exchange->now};
}

static struct value *allocate_values(struct exchange *exchange) {
    return arena_allocate_zero(arena_of(exchange), resource_of(exchange)->property_count,
                               sizeof(struct value));
}

// One call as the whole job.
static enum step_result one_call(struct exchange *exchange, enum job_kind kind, bool planned) {
    if (!planned)
        return exchange_out_of_memory(exchange);
    exchange->job.kind = kind;
    exchange->job.call_count = 1;
    return STEP_NEXT;
}

static enum step_result no_such_record(struct exchange *exchange) {
    const struct resource *resource = resource_of(exchange);
    struct text name = resource->key.property->name;
    return exchange_fail(exchange, FAILURE_NOT_FOUND, "%.*s has no record with this %.*s",
                         TEXT_ARGS(resource->name), TEXT_ARGS(name));
}

// The key that the path names. What can be no key at all is a mistake (400); a string or a digest
// that no record has is just not there.
static enum step_result read_key(struct exchange *exchange) {
    const struct key *key = &resource_of(exchange)->key;
    bool valid = validate_parameter(key->property, exchange->path_key, arena_of(exchange),
                                    &exchange->key, &exchange->failure);
    if (valid && key->kind == KEY_INTEGER && exchange->key.integer < 1)
        valid = failure_set(&exchange->failure, FAILURE_INVALID_KEY, "%.*s must be 1 or more",
                            TEXT_ARGS(key->property->name));
    if (valid)
        return STEP_NEXT;
    if (exchange->failure.code == FAILURE_OUT_OF_MEMORY)
        return STEP_FAIL;
    if (key->kind == KEY_SHA256 || key->kind == KEY_PROPERTY)
        return no_such_record(exchange);
    exchange->failure.code = FAILURE_INVALID_KEY;
    return STEP_FAIL;
}

static enum step_result invalid_body(struct exchange *exchange) {
    if (exchange->faults.out_of_memory)
        return exchange_out_of_memory(exchange);
    size_t count = exchange->faults.count;
    return exchange_fail(exchange, FAILURE_INVALID_BODY, "the body has %zu fault%s; see errors",
                         count, count == 1 ? "" : "s");
}

// Whether "table.column, table.column" names just this group's columns.
static bool is_group(const struct resource *resource, const struct column_group *group,
                     struct text constraint) {
    struct text rest = constraint;
    for (size_t i = 0; i < group->property_count; i++) {
        struct text part = {"", 0};
        text_split(&rest, ',', &part);
        part = text_trim(part);
        struct text name = group->properties[i]->name;
        if (part.size != resource->name.size + 1 + name.size ||
            !text_starts_with(part, resource->name) ||
            !text_equal(text_from(part, resource->name.size + 1), name))
            return false;
    }
    return rest.data == NULL;
}

static void note_taken(struct exchange *exchange, const struct column_group *group) {
    for (size_t i = 0; i < group->property_count; i++) {
        struct text name = group->properties[i]->name;
        struct text pointer = arena_format(arena_of(exchange), "/%.*s", TEXT_ARGS(name));
        faults_add(&exchange->faults, pointer,
                   group->property_count == 1 ? "is taken by another record"
                                              : "is taken by another record, together with the others");
    }
}

static enum step_result conflict(struct exchange *exchange) {
    const struct resource *resource = resource_of(exchange);
    struct text constraint = text_from_string(exchange->job.outcome.constraint);
    struct property *key = resource->key.property;
    const struct column_group key_group = {.properties = &key, .property_count = 1};
    const struct column_group *group = is_group(resource, &key_group, constraint) ? &key_group : NULL;
    for (size_t i = 0; i < resource->unique_count && !group; i++) {
        if (is_group(resource, &resource->unique[i], constraint))
            group = &resource->unique[i];
    }
    if (group)
        note_taken(exchange, group);
    return exchange_fail(exchange, FAILURE_CONFLICT,
                         "another record of %.*s has the same %s; a record must differ from all others in this",
                         TEXT_ARGS(resource->name), group && group->property_count > 1 ? "values" : "value");
}

// Whether the store did what it was asked; a failure is set otherwise.
static bool is_done(struct exchange *exchange) {
    const struct outcome *outcome = &exchange->job.outcome;
    if (outcome->kind == OUTCOME_CONFLICT && outcome->conflict == CONFLICT_UNIQUE)
        return conflict(exchange), false;
    return outcome_failure(outcome, &exchange->failure);
}

// What caches may do: what is found by its digest never changes.
static struct text cache_control(const struct exchange *exchange) {
    const struct resource *resource = resource_of(exchange);
    bool public = resource->read_access == ACCESS_PUBLIC;
    if (!public)
        return TEXT("private, no-cache");
    bool immutable = resource->key.kind == KEY_SHA256 && exchange->handler == &records_read &&
                     !resource->actions[ACTION_DELETE];
    return immutable ? TEXT("public, max-age=31536000, immutable") : TEXT("no-cache");
}

static enum step_result answer_json(struct exchange *exchange, unsigned status) {
    exchange->answer.status = status;
    http_answer_field(&exchange->answer, "Content-Type", TEXT("application/json"));
    if (exchange->request->method == HTTP_METHOD_GET || exchange->request->method == HTTP_METHOD_HEAD)
        http_answer_field(&exchange->answer, "Cache-Control", cache_control(exchange));
    return STEP_NEXT;
}

static enum step_result answer_created(struct exchange *exchange, unsigned status) {
    answer_json(exchange, status);
    struct buffer *fields = &exchange->answer.fields;
    buffer_append_string(fields, "Location: /");
    buffer_append_text(fields, resource_of(exchange)->name);
    buffer_append_byte(fields, '/');
    encode_key(fields, resource_of(exchange)->key.property, exchange->key);
    buffer_append_string(fields, "\r\n");
    return STEP_NEXT;
}

// The cell of a property in the order of the plan's selection; the property must be in it.
static const struct value *cell_of(const struct plan *plan, const struct value *cells,
                                   const struct property *property) {
    size_t i = 0;
    while (plan->selection.properties[i] != property)
        i++;
    return &cells[i];
}

static bool write_row(struct exchange *exchange, size_t call, const struct value *cells) {
    exchange->rows++;
    encode_record(&exchange->writer, &exchange->plan->selection, cells);
    return !exchange->answer.body.failed;
}

// ---- GET and HEAD of one record

static enum step_result prepare_read(struct exchange *exchange) {
    struct selection *selection = &exchange->query.selection;
    *selection = exchange->plan->selection;
    for (size_t i = 0; i < exchange->parameter_count; i++) {
        if (!query_read_fields(resource_of(exchange), exchange->parameters[i].value,
                               arena_of(exchange), selection, &exchange->failure))
            return STEP_FAIL;
    }
    return read_key(exchange);
}

static enum step_result plan_get(struct exchange *exchange) {
    return one_call(exchange, JOB_READ,
                    plan_read(exchange->plan, exchange->key, arena_of(exchange), exchange->calls));
}

// Writes those members of the record that `fields` asked for.
static bool write_chosen(struct exchange *exchange, const struct value *cells) {
    const struct selection *chosen = &exchange->query.selection;
    struct value *picked = arena_allocate(arena_of(exchange), chosen->count * sizeof *picked);
    if (!picked)
        return false;
    for (size_t i = 0; i < chosen->shown; i++)
        picked[i] = *cell_of(exchange->plan, cells, chosen->properties[i]);
    encode_record(&exchange->writer, chosen, picked);
    return !exchange->answer.body.failed;
}

static bool on_read_row(struct exchange *exchange, size_t call, const struct value *cells) {
    if (exchange->parameter_count == 0)
        return write_row(exchange, call, cells);
    exchange->rows++;
    return write_chosen(exchange, cells);
}

static enum step_result settle_read(struct exchange *exchange) {
    if (!is_done(exchange))
        return STEP_FAIL;
    return exchange->rows ? answer_json(exchange, 200) : no_such_record(exchange);
}

const struct handler records_read = {
    .action = ACTION_READ,
    .parameters = record_parameters,
    .prepare = prepare_read,
    .plan = plan_get,
    .on_row = on_read_row,
    .settle = settle_read,
};

// ---- POST of a new record

enum create_stage { CREATE_INSERT, CREATE_READ_TWIN };

static enum step_result validate_new(struct exchange *exchange) {
    struct validation validation = validation_of(exchange);
    exchange->values = allocate_values(exchange);
    if (!exchange->values)
        return exchange_out_of_memory(exchange);
    return validate_create(&validation, exchange->body, NULL, exchange->values)
               ? STEP_NEXT
               : invalid_body(exchange);
}

static enum step_result plan_insert(struct exchange *exchange) {
    return one_call(
        exchange, JOB_WRITE,
        plan_create(exchange->plan, exchange->values, arena_of(exchange), exchange->calls));
}

static enum step_result plan_new(struct exchange *exchange) {
    return exchange->stage == CREATE_INSERT ? plan_insert(exchange) : plan_get(exchange);
}

static bool on_new_row(struct exchange *exchange, size_t call, const struct value *cells) {
    const struct value *key = cell_of(exchange->plan, cells, resource_of(exchange)->key.property);
    return write_row(exchange, call, cells) &&
           value_copy(arena_of(exchange), *key, &exchange->key);
}

static enum step_result settle_new(struct exchange *exchange) {
    if (!is_done(exchange))
        return STEP_FAIL;
    if (exchange->rows)
        return answer_created(exchange, exchange->stage == CREATE_INSERT ? 201 : 200);
    // No row: content that is there already, or that was deleted between the two looks.
    if (exchange->round >= MAX_ROUNDS)
        return exchange_fail(exchange, FAILURE_CONTENTION, "the record came and went too often");
    exchange->key = exchange->values[resource_of(exchange)->key.property->index];
    exchange->stage = exchange->stage == CREATE_INSERT ? CREATE_READ_TWIN : CREATE_INSERT;
    return STEP_REPEAT;
}

const struct handler records_create = {
    .action = ACTION_CREATE,
    .reads_body = true,
    .parameters = no_parameters,
    .validate = validate_new,
    .plan = plan_new,
    .on_row = on_new_row,
    .settle = settle_new,
};

// ---- PUT and PATCH: read, check, and write under the version that was read

enum change_stage { CHANGE_READ, CHANGE_WRITE, CHANGE_CREATE };

static bool on_change_row(struct exchange *exchange, size_t call, const struct value *cells) {
    if (exchange->stage != CHANGE_READ)
        return on_new_row(exchange, call, cells);
    exchange->rows++;
    exchange->stored = allocate_values(exchange);
    return exchange->stored && plan_values(exchange->plan, cells, arena_of(exchange),
                                           exchange->stored, &exchange->version);
}

static enum step_result plan_change(struct exchange *exchange) {
    if (exchange->stage == CHANGE_READ)
        return plan_get(exchange);
    if (exchange->stage == CHANGE_CREATE)
        return plan_insert(exchange);
    return one_call(exchange, JOB_WRITE,
                    plan_update(exchange->plan, exchange->key, exchange->version, exchange->values,
                                arena_of(exchange), exchange->calls));
}

static enum step_result go_to(struct exchange *exchange, enum change_stage stage) {
    exchange->stage = stage;
    return STEP_REPEAT;
}

static enum step_result read_again(struct exchange *exchange) {
    if (exchange->round >= MAX_ROUNDS)
        return exchange_fail(exchange, FAILURE_CONTENTION,
                             "others changed the record each time; read it and try again");
    return go_to(exchange, CHANGE_READ);
}

// After the write, or after the insert of a PUT that creates.
static enum step_result settle_written(struct exchange *exchange) {
    bool creating = exchange->stage == CHANGE_CREATE;
    if (!is_done(exchange)) {
        bool same_key = creating && exchange->faults.count == 1 &&
                        exchange->failure.code == FAILURE_CONFLICT &&
                        text_equal(text_from(exchange->faults.items[0].pointer, 1),
                                   resource_of(exchange)->key.property->name);
        if (!same_key)
            return STEP_FAIL;
        exchange->faults.count = 0; // somebody else created it just now: replace that
        exchange->failure.code = FAILURE_NONE;
        return read_again(exchange);
    }
    if (exchange->rows == 0)
        return read_again(exchange);
    return creating ? answer_created(exchange, 201) : answer_json(exchange, 200);
}

static enum step_result create_under_key(struct exchange *exchange) {
    const struct resource *resource = resource_of(exchange);
    if (resource->key.kind != KEY_PROPERTY || !resource->actions[ACTION_CREATE])
        return no_such_record(exchange);
    struct validation validation = validation_of(exchange);
    if (!validate_create(&validation, exchange->body, &exchange->key, exchange->values))
        return invalid_body(exchange);
    return go_to(exchange, CHANGE_CREATE);
}

static enum step_result settle_replace(struct exchange *exchange) {
    if (exchange->stage != CHANGE_READ)
        return settle_written(exchange);
    if (!is_done(exchange))
        return STEP_FAIL;
    exchange->values = allocate_values(exchange);
    if (!exchange->values)
        return exchange_out_of_memory(exchange);
    if (exchange->rows == 0)
        return create_under_key(exchange);
    struct validation validation = validation_of(exchange);
    if (!validate_replace(&validation, exchange->body, exchange->stored, exchange->values))
        return invalid_body(exchange);
    return go_to(exchange, CHANGE_WRITE);
}

const struct handler records_replace = {
    .action = ACTION_REPLACE,
    .reads_body = true,
    .parameters = no_parameters,
    .prepare = read_key,
    .plan = plan_change,
    .on_row = on_change_row,
    .settle = settle_replace,
};

// The stored record as a JSON tree, with what clients never see.
static json_t *stored_tree(struct exchange *exchange) {
    const struct resource *resource = resource_of(exchange);
    struct buffer json = {0};
    struct json_writer writer = json_writer_on(&json);
    json_write_object_begin(&writer);
    for (size_t i = 0; i < resource->property_count; i++) {
        json_write_prepared_name(&writer, resource->properties[i].prepared_name);
        encode_value(&writer, &resource->properties[i], exchange->stored[i]);
    }
    json_write_object_end(&writer);
    json_t *tree = json.failed ? NULL : json_read(buffer_text(&json), &exchange->failure);
    if (json.failed)
        failure_out_of_memory(&exchange->failure);
    buffer_free(&json);
    return tree;
}

static enum step_result settle_update(struct exchange *exchange) {
    if (exchange->stage != CHANGE_READ)
        return settle_written(exchange);
    if (!is_done(exchange))
        return STEP_FAIL;
    if (exchange->rows == 0)
        return no_such_record(exchange);
    json_t *tree = stored_tree(exchange);
    if (!tree)
        return STEP_FAIL;
    exchange->values = allocate_values(exchange);
    struct validation validation = validation_of(exchange);
    json_decref(exchange->merged);
    exchange->merged = NULL;
    if (exchange->values)
        exchange->merged = validate_update(&validation, tree, exchange->body, exchange->stored,
                                           exchange->values);
    json_decref(tree);
    if (!exchange->values)
        return exchange_out_of_memory(exchange);
    return exchange->merged ? go_to(exchange, CHANGE_WRITE) : invalid_body(exchange);
}

const struct handler records_update = {
    .action = ACTION_UPDATE,
    .reads_body = true,
    .merge_patch = true,
    .parameters = no_parameters,
    .prepare = read_key,
    .plan = plan_change,
    .on_row = on_change_row,
    .settle = settle_update,
};

// ---- DELETE

static enum step_result plan_delete(struct exchange *exchange) {
    return one_call(exchange, JOB_WRITE,
                    plan_remove(exchange->plan, exchange->key, arena_of(exchange), exchange->calls));
}

static enum step_result settle_delete(struct exchange *exchange) {
    if (!is_done(exchange))
        return STEP_FAIL;
    if (exchange->calls[0].rows == 0)
        return no_such_record(exchange);
    exchange->answer.status = 204;
    return STEP_NEXT;
}

const struct handler records_delete = {
    .action = ACTION_DELETE,
    .parameters = no_parameters,
    .prepare = read_key,
    .plan = plan_delete,
    .settle = settle_delete,
};

// ---- GET and HEAD of the list

enum { LIST_PAGE, LIST_COUNT };

static struct text cursor_secret(const struct exchange *exchange) {
    return text_of((const char *)exchange->service->options->secrets.cursor_key, DIGEST_SIZE);
}

static enum step_result prepare_list(struct exchange *exchange) {
    struct query *query = &exchange->query;
    if (!query_read(resource_of(exchange), exchange->parameters, exchange->parameter_count,
                    cursor_secret(exchange), exchange->now, arena_of(exchange), &exchange->faults,
                    query, &exchange->failure))
        return STEP_FAIL;
    if (query->backward) {
        exchange->row_ends =
            arena_allocate(arena_of(exchange), query->limit * sizeof *exchange->row_ends);
        if (!exchange->row_ends)
            return exchange_out_of_memory(exchange);
    }
    return STEP_NEXT;
}

static enum step_result plan_page(struct exchange *exchange) {
    const struct query *query = &exchange->query;
    struct arena *arena = arena_of(exchange);
    struct job *job = &exchange->job;
    job->kind = query->count || !plan_list_is_short(query) ? JOB_SCAN : JOB_READ;
    job->call_count = query->count ? 2 : 1;
    bool planned = plan_list(exchange->plan, query, exchange->now, arena, &exchange->calls[LIST_PAGE]);
    if (query->count)
        planned = planned && plan_count(exchange->plan, query, exchange->now, arena,
                                        &exchange->calls[LIST_COUNT]);
    return planned ? STEP_NEXT : exchange_out_of_memory(exchange);
}

// The page after the last row shown and the page before the first one are found by cursors at those
// rows; a backward page comes last row first.
static bool note_cursors(struct exchange *exchange, const struct value *cells) {
    const struct query *query = &exchange->query;
    struct arena *arena = arena_of(exchange);
    bool first = exchange->rows == 1 && (query->after || query->offset > 0);
    bool last = exchange->rows == query->limit;
    if (first)
        exchange->first_cursor =
            query_cursor(query, cells, !query->backward, cursor_secret(exchange), arena);
    if (last)
        exchange->last_cursor =
            query_cursor(query, cells, query->backward, cursor_secret(exchange), arena);
    return (!first || exchange->first_cursor.data) && (!last || exchange->last_cursor.data);
}

static bool on_list_row(struct exchange *exchange, size_t call, const struct value *cells) {
    if (call == LIST_COUNT) {
        exchange->total = cells[0].integer;
        return true;
    }
    if (++exchange->rows > exchange->query.limit)
        return true; // it only tells that there is a page behind this one
    if (exchange->rows == 1)
        json_write_array_begin(&exchange->writer);
    encode_record(&exchange->writer, &exchange->query.selection, cells);
    if (exchange->query.backward)
        exchange->row_ends[exchange->rows - 1] = exchange->answer.body.size;
    return !exchange->answer.body.failed && note_cursors(exchange, cells);
}

// A backward page was written from its last record to its first: turns it round.
static void reverse_rows(struct exchange *exchange, size_t count) {
    struct buffer reversed = {0};
    const struct buffer *body = &exchange->answer.body;
    buffer_append_byte(&reversed, '[');
    for (size_t i = count; i-- > 0;) {
        size_t start = i ? exchange->row_ends[i - 1] + 1 : 1; // behind the comma or the bracket
        buffer_append(&reversed, body->data + start, exchange->row_ends[i] - start);
        if (i)
            buffer_append_byte(&reversed, ',');
    }
    buffer_free(&exchange->answer.body);
    exchange->answer.body = reversed;
}

static void append_encoded(struct buffer *out, struct text text) {
    static const char kept[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~,:()";
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] && strchr(kept, text.data[i]))
            buffer_append_byte(out, text.data[i]);
        else
            buffer_format(out, "%%%02X", (unsigned char)text.data[i]);
    }
}

// One link of RFC 8288: the list with the arguments that it was asked with, but at another page.
static void append_link(struct exchange *exchange, const char *relation, struct text cursor) {
    struct buffer *fields = &exchange->answer.fields;
    char separator = '?';
    buffer_append_string(fields, "Link: </");
    buffer_append_text(fields, resource_of(exchange)->name);
    for (size_t i = 0; i < exchange->parameter_count; i++) {
        const struct parameter *parameter = &exchange->parameters[i];
        if (text_is(parameter->name, "cursor") || text_is(parameter->name, "offset"))
            continue;
        buffer_append_byte(fields, separator);
        append_encoded(fields, parameter->name);
        buffer_append_byte(fields, '=');
        append_encoded(fields, parameter->value);
        separator = '&';
    }
    if (cursor.size) {
        buffer_format(fields, "%ccursor=", separator);
        buffer_append_text(fields, cursor);
    }
    buffer_format(fields, ">; rel=\"%s\"\r\n", relation);
}

static void append_links(struct exchange *exchange, bool more) {
    const struct query *query = &exchange->query;
    struct text end = more ? exchange->last_cursor : TEXT("");
    struct text previous = query->backward ? end : exchange->first_cursor;
    struct text next = query->backward ? exchange->first_cursor : end;
    append_link(exchange, "first", TEXT(""));
    if (previous.size)
        append_link(exchange, "prev", previous);
    if (next.size)
        append_link(exchange, "next", next);
}

static enum step_result settle_list(struct exchange *exchange) {
    if (!is_done(exchange))
        return STEP_FAIL;
    bool more = exchange->rows > exchange->query.limit;
    size_t shown = more ? exchange->query.limit : exchange->rows;
    if (shown == 0)
        json_write_array_begin(&exchange->writer);
    else if (exchange->query.backward && !exchange->answer.body.failed)
        reverse_rows(exchange, shown);
    json_write_array_end(&exchange->writer);
    append_links(exchange, more);
    if (exchange->query.count) {
        buffer_append_string(&exchange->answer.fields, "X-Total-Count: ");
        buffer_append_integer(&exchange->answer.fields, exchange->total);
        buffer_append_string(&exchange->answer.fields, "\r\n");
    }
    return answer_json(exchange, 200);
}

const struct handler records_list = {
    .action = ACTION_LIST,
    .prepare = prepare_list,
    .plan = plan_page,
    .on_row = on_list_row,
    .settle = settle_list,
};
