#include "cli/import_api.h"

#include "base/clock.h"
#include "base/random.h"
#include "resource/json.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SLOTS = 64,       // records under way at once, so that the server commits many at a time
    FIRST_DELAY = 50, // milliseconds before an attempt is repeated; doubled each time
    LONGEST_DELAY = 5000,
    PATIENCE = 120000, // milliseconds for which a record is tried again
    FIELD_SIZE = 96,
};

struct slot;

// What a slot waits for.
struct stage {
    const char *method;
    bool sends_body;
    bool takes_key;
    void (*on_answer)(struct slot *slot);
};

// One record on its way. All that it has is used again for the next one.
struct slot {
    struct api_target *target;
    struct import_record *record; // NULL: the slot is free
    struct client_request request;
    const struct stage *stage;
    struct buffer path;
    struct buffer body;
    char key[FIELD_SIZE]; // the field Idempotency-Key; "": none is needed
    uint64_t given_up;    // when it is not tried again
    unsigned delay;
    size_t group;       // of unique properties, by which the stored record is looked for
    bool may_be_stored; // a connection was lost after the record was sent
};

struct api_target {
    struct import_target base;
    uint64_t run[2]; // at random, for the keys of this run
    uint64_t count;  // of keys
    struct client *client;
    struct slot slots[SLOTS];
    size_t busy;
};

static void settle(struct slot *slot, enum import_result result, const char *reason) {
    struct import_record *record = slot->record;
    slot->record = NULL;
    slot->target->busy--;
    import_settle(slot->target->base.import, record, result, reason);
}

// Settles with what the server said, behind words of our own.
static void settle_explained(struct slot *slot, enum import_result result, const char *before) {
    struct buffer reason = {0};
    buffer_append_string(&reason, before);
    client_explain(&slot->request, &reason);
    buffer_append_byte(&reason, '\0');
    settle(slot, result, reason.failed ? "out of memory" : reason.data);
    buffer_free(&reason);
}

static void send_request(struct slot *slot, unsigned delay) {
    slot->request.method = slot->stage->method;
    slot->request.field = slot->stage->takes_key && slot->key[0] ? slot->key : NULL;
    slot->request.target = slot->path.data;
    slot->request.body =
        slot->stage->sends_body ? buffer_text(&slot->body) : (struct text){NULL, 0};
    client_send(slot->target->client, &slot->request, delay);
}

// Begins a stage; the path was written, but for its end.
static void enter(struct slot *slot, const struct stage *stage) {
    buffer_append_byte(&slot->path, '\0');
    if (slot->path.failed) {
        settle(slot, IMPORT_FAILED, "out of memory");
        return;
    }
    slot->stage = stage;
    send_request(slot, 0);
}

// Sends the same again later, or gives up.
static void repeat(struct slot *slot) {
    if (slot->target->base.import->stopped) {
        settle(slot, IMPORT_GIVEN_UP, NULL);
        return;
    }
    if (clock_monotonic() > slot->given_up) {
        settle_explained(slot, IMPORT_FAILED,
                         slot->may_be_stored ? "it may be stored or not: " : "");
        return;
    }
    unsigned asked = slot->request.retry_after * 1000;
    unsigned delay = asked > slot->delay ? asked : slot->delay;
    slot->delay = slot->delay * 2 < LONGEST_DELAY ? slot->delay * 2 : LONGEST_DELAY;
    send_request(slot, delay);
}

static const struct resource *resource_of(const struct slot *slot) {
    return slot->target->base.import->resource;
}

// Whether the server would refuse to store this record twice. Any other is sent under an
// Idempotency-Key, which costs the server about as much as the record.
static bool is_safe_to_repeat(const struct slot *slot) {
    const struct resource *resource = resource_of(slot);
    if (resource->key.kind == KEY_SHA256 || resource->key.kind == KEY_PROPERTY)
        return true;
    for (size_t i = 0; i < resource->unique_count; i++) {
        if (slot->record->identities[i])
            return true;
    }
    return false;
}

// ---- Replacing: the stored record is looked for by each group of unique properties

static void append_escaped(struct buffer *out, struct text text) {
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] && strchr(plain, text.data[i]))
            buffer_append_byte(out, text.data[i]);
        else
            buffer_format(out, "%%%02X", (unsigned char)text.data[i]);
    }
}

// A value as a query parameter or a path writes it.
static void append_value(struct buffer *out, const json_t *value) {
    if (json_is_string(value)) {
        append_escaped(out, json_text(value));
        return;
    }
    struct buffer json = {0};
    struct json_writer writer = json_writer_on(&json);
    json_write_tree(&writer, value);
    append_escaped(out, buffer_text(&json));
    out->failed |= json.failed;
    buffer_free(&json);
}

static void begin_path(struct slot *slot) {
    buffer_clear(&slot->path);
    buffer_format(&slot->path, "/%.*s", TEXT_ARGS(resource_of(slot)->name));
}

static const json_t *member(const json_t *object, struct text name) {
    return json_object_getn(object, name.data, name.size);
}

static void on_found(struct slot *slot);
static void on_replaced(struct slot *slot);

static const struct stage finding = {"GET", .on_answer = on_found};
static const struct stage replacing = {"PUT", .sends_body = true, .on_answer = on_replaced};

static void replace(struct slot *slot, const json_t *key) {
    begin_path(slot);
    buffer_append_byte(&slot->path, '/');
    append_value(&slot->path, key);
    enter(slot, &replacing);
}

// Looks for the record by the next group all of whose properties have values.
static void find(struct slot *slot) {
    const struct resource *resource = resource_of(slot);
    while (slot->group < resource->unique_count && !slot->record->identities[slot->group])
        slot->group++;
    if (slot->group == resource->unique_count) {
        settle(slot, IMPORT_REJECTED,
               "it conflicts, but no stored record has the same unique properties");
        return;
    }
    const struct column_group *group = &resource->unique[slot->group];
    begin_path(slot);
    buffer_append_string(&slot->path, "?limit=1");
    for (size_t i = 0; i < group->property_count; i++) {
        struct text name = group->properties[i]->name;
        buffer_format(&slot->path, "&%.*s=", TEXT_ARGS(name));
        append_value(&slot->path, member(slot->record->body, name));
    }
    enter(slot, &finding);
}

static void on_found(struct slot *slot) {
    if (slot->request.status != 200) {
        settle_explained(slot, IMPORT_FAILED, "the record that it conflicts with: ");
        return;
    }
    const struct buffer *answer = &slot->request.answer;
    json_t *page = json_loadb(answer->data ? answer->data : "", answer->size, 0, NULL);
    const json_t *record = json_array_get(page, 0);
    const json_t *key = member(record, resource_of(slot)->key.property->name);
    if (key) {
        replace(slot, key);
    } else {
        slot->group++;
        find(slot);
    }
    json_decref(page);
}

static bool is_dangling(const struct slot *slot) {
    return slot->request.status == 409 && client_is_problem(&slot->request, "reference-missing");
}

static void on_replaced(struct slot *slot) {
    unsigned status = slot->request.status;
    if (status == 200 || status == 201 || status == 204)
        settle(slot, IMPORT_REPLACED, NULL);
    else if (is_dangling(slot))
        settle_explained(slot, IMPORT_DANGLING, "");
    else if (status == 400 || status == 409 || status == 413 || status == 422)
        settle_explained(slot, IMPORT_REJECTED, "");
    else if (status == 404)
        settle(slot, IMPORT_REJECTED, "the record that it conflicts with was deleted meanwhile");
    else
        settle_explained(slot, IMPORT_FAILED, "");
}

// ---- Creating

static void begin_replacing(struct slot *slot) {
    const struct resource *resource = resource_of(slot);
    slot->group = 0;
    if (resource->key.kind == KEY_PROPERTY) {
        const json_t *key = member(slot->record->body, resource->key.property->name);
        if (key) {
            replace(slot, key);
            return;
        }
    }
    find(slot);
}

static void on_conflict(struct slot *slot) {
    switch (slot->target->base.import->on_conflict) {
    case ON_CONFLICT_SKIP: settle(slot, IMPORT_SKIPPED, NULL); break;
    case ON_CONFLICT_REPLACE: begin_replacing(slot); break;
    case ON_CONFLICT_FAIL:
        settle_explained(
            slot, IMPORT_CONFLICT,
            slot->may_be_stored
                ? "perhaps with itself, since a connection was lost after it was sent: "
                : "");
        break;
    }
}

static void on_created(struct slot *slot) {
    unsigned status = slot->request.status;
    if (status == 201)
        settle(slot, IMPORT_CREATED, NULL);
    else if (status == 200) // under its content's digest
        settle(slot, IMPORT_SKIPPED, NULL);
    else if (is_dangling(slot))
        settle_explained(slot, IMPORT_DANGLING, "");
    else if (status == 409)
        on_conflict(slot);
    else if (status == 400 || status == 413 || status == 422)
        settle_explained(slot, IMPORT_REJECTED, "");
    else if (status == 401 || status == 403)
        settle_explained(slot, IMPORT_FAILED,
                         "the server wants a key (--key, TRESTLE_KEY or admin_key): ");
    else
        settle_explained(slot, IMPORT_FAILED, "");
}

static const struct stage creating = {"POST", .sends_body = true, .takes_key = true,
                                      .on_answer = on_created};

// Whether the same again may help, or finds out what became of it. It does no harm: a record is
// created but once.
static bool is_to_be_repeated(const struct client_request *request) {
    return request->status == 0 || request->status == 503 || request->status == 429 ||
           (request->status == 409 && client_is_problem(request, "idempotency-in-progress"));
}

static void on_done(struct client_request *request) {
    struct slot *slot = request->owner;
    bool unknown = request->status == 0
                       ? request->was_sent
                       : request->status == 503 && client_is_problem(request, "outcome-unknown");
    slot->may_be_stored |= unknown && slot->stage == &creating;
    if (is_to_be_repeated(request))
        repeat(slot);
    else
        slot->stage->on_answer(slot);
}

// ---- The target

static struct slot *free_slot(struct api_target *target) {
    for (size_t i = 0; i < SLOTS; i++) {
        if (!target->slots[i].record)
            return &target->slots[i];
    }
    return NULL;
}

static void submit(struct import_target *base, struct import_record *record) {
    struct api_target *target = (struct api_target *)base;
    struct slot *slot = free_slot(target);
    target->busy++;
    slot->record = record;
    slot->given_up = clock_monotonic() + PATIENCE;
    slot->delay = FIRST_DELAY;
    slot->may_be_stored = false;
    slot->key[0] = '\0';
    if (!is_safe_to_repeat(slot))
        snprintf(slot->key, sizeof slot->key, "Idempotency-Key: \"%016jx%016jx-%ju\"",
                 (uintmax_t)target->run[0], (uintmax_t)target->run[1], (uintmax_t)++target->count);
    buffer_clear(&slot->body);
    struct json_writer writer = json_writer_on(&slot->body);
    json_write_tree(&writer, record->body);
    if (slot->body.failed) {
        settle(slot, IMPORT_FAILED, "out of memory");
        return;
    }
    begin_path(slot);
    enter(slot, &creating);
    while (target->busy == SLOTS)
        client_run(target->client, 1000);
}

static void finish(struct import_target *base) {
    struct api_target *target = (struct api_target *)base;
    while (target->busy > 0)
        client_run(target->client, 1000);
}

static void close_target(struct import_target *base) {
    struct api_target *target = (struct api_target *)base;
    for (size_t i = 0; i < SLOTS; i++) {
        client_request_free(&target->slots[i].request);
        buffer_free(&target->slots[i].path);
        buffer_free(&target->slots[i].body);
    }
    client_close(target->client);
    free(target);
}

struct import_target *import_api_open(struct import *import, const struct client_server *server,
                                      struct failure *failure) {
    struct api_target *target = calloc(1, sizeof *target);
    if (!target) {
        failure_out_of_memory(failure);
        return NULL;
    }
    target->base = (struct import_target){submit, finish, close_target, import, false};
    bool ok = random_bytes(target->run, sizeof target->run) ||
              failure_set(failure, FAILURE_INTERNAL, "the kernel gives no randomness");
    target->client = ok ? client_open(server, failure) : NULL;
    if (!target->client) {
        free(target);
        return NULL;
    }
    for (size_t i = 0; i < SLOTS; i++) {
        target->slots[i].target = target;
        target->slots[i].request.owner = &target->slots[i];
        target->slots[i].request.on_done = on_done;
    }
    return &target->base;
}
