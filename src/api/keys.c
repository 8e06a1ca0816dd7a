#include "api/keys.h"

#include "api/conditions.h"
#include "api/key_change.h"
#include "api/records.h"
#include "api/records_shared.h"

const struct text keys_parts[KEYS_PARTS] = {
    [KEYS_RENEW] = TEXT_INIT("renew"),
    [KEYS_ROTATE] = TEXT_INIT("rotate"),
    [KEYS_HISTORY] = TEXT_INIT("history"),
    [KEYS_USAGE] = TEXT_INIT("usage"),
};

// ---- What all of them do

// "{…}" becomes "{…,"secret":"…"}".
void keys_show_secret(struct exchange *exchange) {
    struct buffer *body = &exchange->answer.body;
    bool has_members = body->size > 2;
    if (body->size)
        body->size--;
    struct json_writer writer = {.out = body, .comma = has_members};
    if (!body->size)
        json_write_object_begin(&writer);
    json_write_name(&writer, TEXT("secret"));
    json_write_string(&writer, exchange->secret);
    json_write_object_end(&writer);
}

// Every worker looks keys up anew, whatever became of the job.
static void note_change(struct exchange *exchange) {
    keyring_note_change(exchange->service->options->keyring);
}

static bool make_secret(struct exchange *exchange) {
    char *secret = arena_allocate(arena_of(exchange), SECRET_SIZE);
    if (!secret ||
        !key_make_secret(resource_of(exchange), exchange->values, arena_of(exchange), secret))
        return false;
    exchange->secret = text_from_string(secret);
    return true;
}

// What has a secret in it is for whoever asked, and for no cache.
static enum step_result answer_secret(struct exchange *exchange, enum step_result result) {
    http_answer_field(&exchange->answer, "Cache-Control", TEXT("no-store"));
    exchange->representation.etag = (struct etag){.kind = ETAG_NONE};
    return result;
}

static struct text name_caller(struct exchange *exchange) {
    char *room = arena_allocate(arena_of(exchange), IDENTITY_NAME_SIZE);
    return room ? identity_name(&exchange->identity, room) : (struct text){NULL, 0};
}

// What is done to a key is noted in the same job, and every process is told.
static bool note(struct exchange *exchange, const char *action) {
    const struct key_event event = {
        .action = action,
        .key = exchange->key,
        .keys = resource_of(exchange),
        .before = exchange->stored,
        .after = exchange->values,
        .now = exchange->now,
        .by = name_caller(exchange),
        .request_id = exchange->request_id,
    };
    const struct plan *history = catalogue_table(exchange->catalogue, key_history_table);
    struct call *call = &exchange->calls[exchange->job.call_count];
    bool noted;
    if (!event.by.data || !key_event_plan(&event, history, arena_of(exchange), call, &noted))
        return false;
    exchange->job.call_count += noted;
    if (noted)
        exchange->calls[exchange->job.call_count++] =
            (struct call){.statement = &exchange->catalogue->meta.raise, .expect = EXPECT_ANY};
    return true;
}

// The first call is about the key; the row of the history says nothing new.
static bool on_new_row(struct exchange *exchange, size_t call, const struct value *cells) {
    return call > 0 || record_on_new_row(exchange, call, cells);
}

static bool on_change_row(struct exchange *exchange, size_t call, const struct value *cells) {
    return call > 0 || record_on_change_row(exchange, call, cells);
}

// ---- Create

static enum step_result validate_key(struct exchange *exchange) {
    const struct resource *keys = resource_of(exchange);
    struct validation validation = record_validation(exchange);
    exchange->values = record_values(exchange);
    if (!exchange->values ||
        !key_validate_new(exchange->catalogue, &validation, exchange->body, exchange->values))
        return exchange_out_of_memory(exchange);
    if (!faults_none(&exchange->faults))
        return record_invalid(exchange);
    struct text maker = name_caller(exchange);
    key_set(keys, exchange->values, "created_by", value_text(VALUE_TEXT, maker));
    exchange->key = exchange->values[keys->key.property->index];
    return maker.data && make_secret(exchange) ? STEP_NEXT : exchange_out_of_memory(exchange);
}

static bool note_create(struct exchange *exchange) {
    return note(exchange, "create");
}

static enum step_result settle_new_key(struct exchange *exchange) {
    if (!record_is_done(exchange))
        return STEP_FAIL;
    return answer_secret(exchange, record_answer_created(exchange, 201));
}

const struct handler keys_create = {
    .action = ACTION_CREATE,
    .media = RECORD_MEDIA,
    .returns = RETURNS_ALL, // the secret is shown once
    .reads_body = true,
    .takes_record = true,
    .conditions = CONDITIONS_LIST,
    .validate = validate_key,
    .plan = record_plan_create,
    .accompany = note_create,
    .on_row = on_new_row,
    .on_written = note_change,
    .settle = settle_new_key,
};

// ---- Update

static bool inspect_key(struct exchange *exchange) {
    const struct resource *keys = resource_of(exchange);
    if (!key_complete_change(keys, exchange->values, exchange->body, exchange->now,
                             arena_of(exchange)))
        exchange->faults.out_of_memory = true;
    key_check_ends(keys, exchange->values, &exchange->faults);
    key_check_scopes(exchange->catalogue, keys, exchange->values, exchange->stored,
                     &exchange->faults);
    return faults_none(&exchange->faults);
}

static bool note_update(struct exchange *exchange) {
    return note(exchange, "update");
}

static enum step_result settle_update(struct exchange *exchange) {
    return records_update.settle(exchange);
}

const struct handler keys_update = {
    .action = ACTION_UPDATE,
    .media = RECORD_MEDIA,
    .returns = RETURNS_NOTHING | RETURNS_ALL,
    .reads_body = true,
    .takes_record = true,
    .body_types = 1U << BODY_MERGE_PATCH | 1U << BODY_JSON_PATCH,
    .conditions = CONDITIONS_CHANGE,
    .prepare = record_read_key,
    .plan = record_plan_change,
    .accompany = note_update,
    .on_row = on_change_row,
    .inspect = inspect_key,
    .on_written = note_change,
    .settle = settle_update,
};

// ---- Delete

static enum step_result plan_delete(struct exchange *exchange) {
    return records_delete.plan(exchange);
}

static bool note_delete(struct exchange *exchange) {
    return note(exchange, "delete");
}

static bool on_delete_row(struct exchange *exchange, size_t call, const struct value *cells) {
    return call > 0 || records_delete.on_row(exchange, call, cells);
}

static enum step_result settle_delete(struct exchange *exchange) {
    return records_delete.settle(exchange);
}

const struct handler keys_delete = {
    .action = ACTION_DELETE,
    .media = RECORD_MEDIA,
    .returns = RETURNS_NOTHING,
    .conditions = CONDITIONS_CHANGE,
    .prepare = record_read_key,
    .plan = plan_delete,
    .accompany = note_delete,
    .on_row = on_delete_row,
    .on_written = note_change,
    .settle = settle_delete,
};

// ---- Renew and rotate: read the key, and write what becomes of it

static bool begin_change(struct exchange *exchange) {
    size_t count = resource_of(exchange)->property_count;
    exchange->values = record_values(exchange);
    if (exchange->values)
        memcpy(exchange->values, exchange->stored, count * sizeof *exchange->values);
    return exchange->values != NULL;
}

static enum step_result settle_read(struct exchange *exchange,
                                    bool (*change)(struct exchange *exchange)) {
    if (exchange->rows == 0)
        return record_missing(exchange);
    if (!conditions_hold(exchange, &exchange->version))
        return STEP_FAIL;
    if (!begin_change(exchange) || !change(exchange))
        return exchange_out_of_memory(exchange);
    exchange->stage = CHANGE_WRITE;
    return STEP_REPEAT;
}

static enum step_result settle_change(struct exchange *exchange,
                                      bool (*change)(struct exchange *exchange)) {
    if (!record_is_done(exchange))
        return STEP_FAIL;
    if (exchange->stage == CHANGE_READ)
        return settle_read(exchange, change);
    return exchange->rows ? record_answer_whole(exchange, 200)
                          : record_read_again(exchange, CHANGE_READ);
}

static enum step_result validate_renewal(struct exchange *exchange) {
    key_check_renewal(exchange->body, &exchange->faults);
    return faults_none(&exchange->faults) ? STEP_NEXT : record_invalid(exchange);
}

static bool renew(struct exchange *exchange) {
    return key_renew(resource_of(exchange), exchange->values, exchange->now, arena_of(exchange));
}

static bool note_renew(struct exchange *exchange) {
    return note(exchange, "renew");
}

static enum step_result settle_renew(struct exchange *exchange) {
    return settle_change(exchange, renew);
}

static const char *const members_of_renewal[] = {NULL};

const struct handler keys_renew = {
    .members = members_of_renewal,
    .action = ACTION_UPDATE,
    .media = RECORD_MEDIA,
    .returns = RETURNS_NOTHING | RETURNS_ALL,
    .reads_body = true,
    .body_may_lack = true,
    .conditions = CONDITIONS_CHANGE,
    .prepare = record_read_key,
    .validate = validate_renewal,
    .plan = record_plan_change,
    .accompany = note_renew,
    .on_row = on_change_row,
    .on_written = note_change,
    .settle = settle_renew,
};

static enum step_result validate_rotation(struct exchange *exchange) {
    int64_t ignored;
    key_read_grace(exchange->body, &ignored, &exchange->faults);
    return faults_none(&exchange->faults) ? STEP_NEXT : record_invalid(exchange);
}

static bool rotate(struct exchange *exchange) {
    int64_t grace;
    key_read_grace(exchange->body, &grace, &exchange->faults);
    return key_rotate(resource_of(exchange), exchange->values, exchange->now, grace,
                      arena_of(exchange)) &&
           make_secret(exchange);
}

static bool note_rotate(struct exchange *exchange) {
    return note(exchange, "rotate");
}

static enum step_result settle_rotate(struct exchange *exchange) {
    enum step_result result = settle_change(exchange, rotate);
    return result == STEP_NEXT ? answer_secret(exchange, result) : result;
}

static const char *const members_of_rotation[] = {"grace_seconds", NULL};

const struct handler keys_rotate = {
    .members = members_of_rotation,
    .action = ACTION_UPDATE,
    .media = RECORD_MEDIA,
    .returns = RETURNS_ALL, // the secret is shown once
    .reads_body = true,
    .body_may_lack = true,
    .conditions = CONDITIONS_CHANGE,
    .prepare = record_read_key,
    .validate = validate_rotation,
    .plan = record_plan_change,
    .accompany = note_rotate,
    .on_row = on_change_row,
    .on_written = note_change,
    .settle = settle_rotate,
};
