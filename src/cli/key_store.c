#include "cli/key_store.h"

#include "api/api_key.h"
#include "base/clock.h"
#include "resource/encode.h"
#include "resource/list_plan.h"

#include <time.h>

enum {
    PREFIX_SIZE = 11,
    TRIES = 10,       // of a change that others are quicker than
    BUSY_DELAY = 100, // milliseconds before a database that another process holds is tried again
    PATIENCE = 10000, // and for how long
    MOST_PARAMETERS = 8,
};

// Cursors lead from one page to the next within this process.
static const char cursor_key[DIGEST_SIZE];

void key_store_init(struct key_store *keys, struct store *store, const struct catalogue *catalogue,
                    const char *by) {
    *keys = (struct key_store){.store = store,
                               .catalogue = catalogue,
                               .plan = catalogue_plan(catalogue, TEXT("keys")),
                               .by = by};
}

// ---- Jobs

static void pause_for(unsigned ms) {
    const struct timespec time = {.tv_nsec = (long)ms * 1000000};
    (void)nanosleep(&time, NULL); // a signal ends it early, which does no harm
}

static bool run(const struct key_store *keys, struct job *job, struct failure *failure) {
    uint64_t given_up = clock_monotonic() + PATIENCE;
    while (!store_run(keys->store, job, failure)) {
        if (job->outcome.kind != OUTCOME_BUSY || clock_monotonic() > given_up)
            return false;
        pause_for(BUSY_DELAY);
    }
    return true;
}

// ---- Lists

// A page while it comes.
struct reading {
    const struct query *query;
    struct arena arena; // of its rows
    const struct value **rows;
    size_t count;
    bool out_of_memory;
};

static bool on_page_row(struct job *job, size_t call, const struct value *cells) {
    struct reading *reading = job->owner;
    const struct selection *selection = &reading->query->selection;
    struct value *row = arena_allocate(&reading->arena, selection->count * sizeof *row);
    const struct value **slot =
        arena_grow(&reading->arena, &reading->rows, reading->count, sizeof *slot);
    bool ok = row && slot;
    for (size_t i = 0; ok && i < selection->count; i++)
        ok = value_copy(&reading->arena, cells[i], &row[i]);
    if (ok) {
        *slot = row;
        reading->count++;
    }
    reading->out_of_memory |= !ok;
    return ok;
}

static void on_page_restart(struct job *job) {
    struct reading *reading = job->owner;
    arena_free(&reading->arena);
    reading->rows = NULL;
    reading->count = 0;
}

// Reads the page that a query asks for, and one row more where there is another one behind it.
static bool read_page(const struct key_store *keys, const struct plan *plan,
                      const struct query *query, struct arena *arena, struct reading *reading,
                      struct failure *failure) {
    struct call call;
    *reading = (struct reading){.query = query};
    if (!plan_list(plan, query, clock_now(), arena, &call))
        return failure_out_of_memory(failure);
    struct job job = {.kind = JOB_SCAN,
                      .calls = &call,
                      .call_count = 1,
                      .owner = reading,
                      .on_row = on_page_row,
                      .on_restart = on_page_restart};
    bool ok = run(keys, &job, failure);
    return ok || (reading->out_of_memory ? failure_out_of_memory(failure) : false);
}

// Hands a page on; `ret_cursor` is empty behind the last one.
static bool hand_on(struct reading *reading, bool (*on_page)(void *, struct key_page *),
                    void *context, struct arena *arena, struct text *ret_cursor) {
    const struct query *query = reading->query;
    bool more = reading->count > query->limit;
    struct key_page page = {query, reading->rows, more ? query->limit : reading->count};
    *ret_cursor = TEXT("");
    if (more)
        *ret_cursor = query_cursor(query, reading->rows[query->limit - 1], false,
                                   text_of(cursor_key, sizeof cursor_key), arena);
    return ret_cursor->data && on_page(context, &page);
}

static bool read_query(const struct query_scope *scope, const struct parameter *parameters,
                       size_t count, struct arena *arena, struct query *ret_query,
                       struct failure *failure) {
    struct faults faults = {.arena = arena};
    struct text secret = text_of(cursor_key, sizeof cursor_key);
    if (query_read_within(scope, parameters, count, secret, arena, &faults, ret_query, failure))
        return true;
    if (faults.count)
        (void)failure_set(failure, failure->code, "%.*s: %.*s", TEXT_ARGS(faults.items[0].pointer),
                          TEXT_ARGS(faults.items[0].detail));
    return false;
}

bool key_store_list(const struct key_store *keys, const struct plan *plan,
                    const struct query_scope *scope, const struct parameter *parameters,
                    size_t parameter_count, bool (*on_page)(void *context, struct key_page *page),
                    void *context, struct failure *failure) {
    struct parameter all[MOST_PARAMETERS];
    struct text cursor = TEXT("");
    struct arena arenas[2] = {{0}}; // of this page, and of the one before, which has the cursor
    bool ok = true;
    for (size_t i = 0; i < parameter_count; i++)
        all[i] = parameters[i];
    all[parameter_count++] = (struct parameter){TEXT("limit"), TEXT("1000")};
    for (unsigned turn = 0; ok && cursor.data; turn = !turn) {
        struct arena *arena = &arenas[turn];
        struct query query;
        struct reading reading = {0};
        size_t count = parameter_count;
        if (cursor.size)
            all[count++] = (struct parameter){TEXT("cursor"), cursor};
        arena_reset(arena);
        ok = read_query(scope, all, count, arena, &query, failure) &&
             read_page(keys, plan, &query, arena, &reading, failure);
        ok = ok && (hand_on(&reading, on_page, context, arena, &cursor) ||
                    failure_out_of_memory(failure));
        arena_free(&reading.arena);
        if (!cursor.size)
            cursor.data = NULL;
    }
    arena_free(&arenas[0]);
    arena_free(&arenas[1]);
    return ok;
}

// ---- One key

struct found_key {
    const struct plan *plan;
    struct arena *arena;
    struct stored_key key;
    bool is_there;
};

static bool on_key_row(struct job *job, size_t call, const struct value *cells) {
    struct found_key *found = job->owner;
    if (call > 0)
        return true;
    const struct resource *resource = found->plan->resource;
    struct stored_key *key = &found->key;
    key->values = arena_allocate_zero(found->arena, resource->property_count, sizeof *key->values);
    if (!key->values || !plan_values(found->plan, cells, found->arena, key->values, &key->version))
        return false;
    key->id = key->values[resource->key.property->index];
    found->is_there = true;
    return true;
}

static void on_key_restart(struct job *job) {
    struct found_key *found = job->owner;
    found->is_there = false;
}

static struct job key_job(enum job_kind kind, struct call *calls, size_t count,
                          struct found_key *found) {
    return (struct job){.kind = kind,
                        .calls = calls,
                        .call_count = count,
                        .owner = found,
                        .on_row = on_key_row,
                        .on_restart = on_key_restart};
}

// Reads a key by its id.
static bool read_key(const struct key_store *keys, struct value id, struct arena *arena,
                     struct stored_key *ret_key, struct failure *failure) {
    struct found_key found = {.plan = keys->plan, .arena = arena};
    struct call call;
    if (!plan_read(keys->plan, id, arena, &call))
        return failure_out_of_memory(failure);
    struct job job = key_job(JOB_READ, &call, 1, &found);
    if (!run(keys, &job, failure))
        return false;
    if (!found.is_there)
        return failure_set(failure, FAILURE_NOT_FOUND, "there is no API key %.*s",
                           TEXT_ARGS(id.text));
    *ret_key = found.key;
    return true;
}

// The id of the first that has a property of a value, and how many there are.
struct search {
    struct arena *arena;
    struct value id;
    size_t count;
};

static bool on_match(void *context, struct key_page *page) {
    struct search *search = context;
    search->count += page->count;
    if (search->id.kind != VALUE_NULL || page->count == 0)
        return true;
    const struct selection *selection = &page->query->selection;
    const struct property *id = page->query->resource->key.property;
    for (size_t i = 0; i < selection->count; i++) {
        if (selection->properties[i] == id)
            return value_copy(search->arena, page->rows[0][i], &search->id);
    }
    return true;
}

static bool find_by(const struct key_store *keys, const char *property, struct text meant,
                    struct search *search, struct failure *failure) {
    const struct query_scope all = {.resource = keys->plan->resource};
    const struct parameter parameter = {text_from_string(property), meant};
    return key_store_list(keys, keys->plan, &all, &parameter, 1, on_match, search, failure);
}

static bool is_id(struct text text) {
    return text.size == API_KEY_ID_SIZE && text.data[8] == '-';
}

bool key_store_find(const struct key_store *keys, struct text meant, struct arena *arena,
                    struct stored_key *ret_key, struct failure *failure) {
    struct search search = {.arena = arena};
    if (secret_is_well_formed(meant))
        return failure_set(failure, FAILURE_INVALID_PARAMETER,
                           "that is a secret, which does not belong on a command line; say %.*s, "
                           "which is how it begins, and rotate the key if others may have seen it",
                           PREFIX_SIZE, meant.data);
    const char *property = "name";
    if (is_id(meant))
        property = "id";
    else if (meant.size == PREFIX_SIZE && text_starts_with(meant, TEXT("tr_")))
        property = "prefix";
    if (!find_by(keys, property, meant, &search, failure))
        return false;
    if (search.count > 1)
        return failure_set(failure, FAILURE_INVALID_PARAMETER,
                           "%zu API keys have the %s \"%.*s\"; \"trestle keys list\" tells their "
                           "ids",
                           search.count, property, TEXT_ARGS(meant));
    if (search.count == 0)
        return failure_set(failure, FAILURE_NOT_FOUND, "there is no API key \"%.*s\"",
                           TEXT_ARGS(meant));
    return read_key(keys, search.id, arena, ret_key, failure);
}

// ---- Changes

// Behind the call that is about the key: that it is noted, and that every process is told.
static bool accompany(const struct key_store *keys, const struct key_event *event,
                      struct arena *arena, struct call calls[3], size_t *ret_count) {
    const struct plan *history = catalogue_table(keys->catalogue, key_history_table);
    bool noted;
    calls[0].expect = 1;
    *ret_count = 1;
    if (!key_event_plan(event, history, arena, &calls[1], &noted))
        return false;
    if (!noted)
        return true;
    calls[2] = (struct call){.statement = &keys->catalogue->meta.raise, .expect = EXPECT_ANY};
    *ret_count = 3;
    return true;
}

static struct key_event event_of(const struct key_store *keys, const char *action,
                                 struct value id) {
    return (struct key_event){.action = action,
                              .key = id,
                              .keys = keys->plan->resource,
                              .now = clock_now(),
                              .by = text_from_string(keys->by),
                              .request_id = TEXT("")};
}

bool key_store_create(const struct key_store *keys, json_t *body, struct arena *arena,
                      struct faults *faults, struct stored_key *ret_key,
                      char ret_secret[SECRET_SIZE], struct failure *failure) {
    const struct resource *resource = keys->plan->resource;
    const struct validation validation = {
        .resource = resource, .arena = arena, .faults = faults, .now = clock_now()};
    struct found_key found = {.plan = keys->plan, .arena = arena};
    struct value *values = arena_allocate_zero(arena, resource->property_count, sizeof *values);
    struct call calls[3];
    size_t count;
    if (!values || !key_validate_new(keys->catalogue, &validation, body, values))
        return failure_out_of_memory(failure);
    if (faults->count)
        return failure_set(failure, FAILURE_INVALID_BODY, "there can be no such key");
    key_set(resource, values, "created_by", value_text(VALUE_TEXT, text_from_string(keys->by)));
    struct key_event event = event_of(keys, "create", values[resource->key.property->index]);
    event.after = values;
    if (faults->out_of_memory || !key_make_secret(resource, values, arena, ret_secret) ||
        !plan_create(keys->plan, values, arena, calls) ||
        !accompany(keys, &event, arena, calls, &count))
        return failure_out_of_memory(failure);
    struct job job = key_job(JOB_WRITE, calls, count, &found);
    if (!run(keys, &job, failure))
        return false;
    *ret_key = found.key;
    return true;
}

// One attempt; `ret_done` is false where somebody else was quicker.
static bool try_change(const struct key_store *keys, const struct key_action *action,
                       struct arena *arena, struct stored_key *key, bool *ret_done,
                       struct failure *failure) {
    const struct resource *resource = keys->plan->resource;
    struct key_event event = event_of(keys, action->name, key->id);
    struct found_key found = {.plan = keys->plan, .arena = arena};
    struct value *values = arena_allocate(arena, resource->property_count * sizeof *values);
    struct call calls[3];
    size_t count;
    if (!values)
        return failure_out_of_memory(failure);
    memcpy(values, key->values, resource->property_count * sizeof *values);
    event.before = key->values;
    event.after = values;
    if (!action->change(action->context, resource, values, event.now, arena) ||
        !plan_update(keys->plan, key->id, key->version, values, arena, calls) ||
        !accompany(keys, &event, arena, calls, &count))
        return failure_out_of_memory(failure);
    struct job job = key_job(JOB_WRITE, calls, count, &found);
    *ret_done = run(keys, &job, failure);
    if (*ret_done)
        *key = found.key;
    return *ret_done || job.outcome.kind == OUTCOME_UNEXPECTED;
}

bool key_store_change(const struct key_store *keys, const struct key_action *action,
                      struct arena *arena, struct stored_key *key, struct failure *failure) {
    for (unsigned i = 0; i < TRIES; i++) {
        bool done = false;
        if (!try_change(keys, action, arena, key, &done, failure))
            return false;
        if (done)
            return true;
        if (!read_key(keys, key->id, arena, key, failure))
            return false;
    }
    return failure_set(failure, FAILURE_CONTENTION, "others changed the key each time");
}

bool key_store_delete(const struct key_store *keys, const struct stored_key *key,
                      struct arena *arena, struct failure *failure) {
    struct key_event event = event_of(keys, "delete", key->id);
    struct found_key found = {.plan = keys->plan, .arena = arena};
    struct call calls[3];
    size_t count;
    event.before = key->values;
    if (!plan_remove(keys->plan, key->id, arena, calls) ||
        !accompany(keys, &event, arena, calls, &count))
        return failure_out_of_memory(failure);
    struct job job = key_job(JOB_WRITE, calls, count, &found);
    if (run(keys, &job, failure))
        return true;
    if (job.outcome.kind == OUTCOME_UNEXPECTED)
        return failure_set(failure, FAILURE_NOT_FOUND, "the key has just been deleted");
    return false;
}
