#include "api/usage.h"

#include "base/timestamp.h"

#include <stdlib.h>
#include <string.h>

enum { DAY = 86400000, DATE_SIZE = 10 };

// Twice the room, so that few entries collide; a power of 2.
enum { SLOTS = 2 * USAGE_ROOM };

// ---- Statements

static const char *const key_parts[] = {
    "UPDATE trestle_keys SET total_requests = COALESCE(total_requests, 0) + ",
    ", last_used_at = CASE WHEN last_used_at > ",
    " THEN last_used_at ELSE ",
    " END WHERE id = ",
};

static bool make_count_key(struct arena *arena, const struct dialect *dialect,
                           struct statement *ret_statement) {
    static const enum value_kind kinds[] = {VALUE_INTEGER, VALUE_TIMESTAMP, VALUE_TIMESTAMP,
                                            VALUE_UUID};
    static const size_t numbers[] = {1, 2, 2, 3};
    struct sql sql = sql_begin(dialect, arena);
    for (size_t i = 0; i < sizeof key_parts / sizeof key_parts[0]; i++) {
        sql_text(&sql, key_parts[i]);
        dialect->placeholder(&sql, numbers[i], kinds[i]);
    }
    return sql_finish(&sql, NULL, 0, ret_statement);
}

static bool make_count_day(struct arena *arena, const struct dialect *dialect,
                           struct statement *ret_statement) {
    static const char *const counted[] = {"requests", "status_2xx", "status_3xx", "status_4xx",
                                          "status_5xx"};
    static const enum value_kind kinds[USAGE_DAY_PARAMETERS] = {
        VALUE_UUID,    VALUE_DATE,    VALUE_INTEGER, VALUE_INTEGER,
        VALUE_INTEGER, VALUE_INTEGER, VALUE_INTEGER, VALUE_TIMESTAMP};
    struct sql sql = sql_begin(dialect, arena);
    sql_text(&sql, "INSERT INTO trestle_key_usage (key_id, day, requests, status_2xx, status_3xx, "
                   "status_4xx, status_5xx, last_used_at) VALUES (");
    for (size_t i = 0; i < USAGE_DAY_PARAMETERS; i++) {
        sql_text(&sql, i ? ", " : "");
        dialect->placeholder(&sql, i + 1, kinds[i]);
    }
    sql_text(&sql, ") ON CONFLICT (key_id, day) DO UPDATE SET ");
    for (size_t i = 0; i < sizeof counted / sizeof counted[0]; i++)
        buffer_format(&sql.text, "%s = trestle_key_usage.%s + excluded.%s, ", counted[i],
                      counted[i], counted[i]);
    sql_text(&sql, "last_used_at = CASE WHEN trestle_key_usage.last_used_at > "
                   "excluded.last_used_at THEN trestle_key_usage.last_used_at "
                   "ELSE excluded.last_used_at END");
    return sql_finish(&sql, NULL, 0, ret_statement);
}

static bool make_forget(struct arena *arena, const struct dialect *dialect,
                        struct statement *ret_statement) {
    struct sql sql = sql_begin(dialect, arena);
    sql_text(&sql, "DELETE FROM trestle_key_usage WHERE id IN (SELECT id FROM trestle_key_usage "
                   "WHERE day < ");
    dialect->placeholder(&sql, 1, VALUE_DATE);
    sql_text(&sql, " ORDER BY day LIMIT ");
    dialect->placeholder(&sql, 2, VALUE_INTEGER);
    sql_text(&sql, ")");
    return sql_finish(&sql, NULL, 0, ret_statement);
}

// ---- Counting

// The last characters of a UUID of version 7 are random.
static size_t slot_of(const char *id, int32_t day) {
    uint64_t tail;
    memcpy(&tail, id + API_KEY_ID_SIZE - sizeof tail, sizeof tail);
    return ((tail ^ (uint64_t)day) * UINT64_C(0x9E3779B97F4A7C15)) >> 32 & (SLOTS - 1);
}

// The entry of a key and a day, which may be new; NULL where there is no more room.
static struct usage_entry *entry_of(struct usage_table *table, const char *id, int32_t day) {
    size_t slot = slot_of(id, day);
    for (; table->slots[slot]; slot = (slot + 1) & (SLOTS - 1)) {
        struct usage_entry *entry = &table->entries[table->slots[slot] - 1];
        if (entry->day == day && memcmp(entry->id, id, sizeof entry->id) == 0)
            return entry;
    }
    if (table->count == USAGE_ROOM)
        return NULL;
    struct usage_entry *entry = &table->entries[table->count++];
    *entry = (struct usage_entry){.day = day};
    memcpy(entry->id, id, sizeof entry->id);
    table->slots[slot] = (uint16_t)table->count;
    return entry;
}

static void clear(struct usage_table *table) {
    table->count = 0;
    memset(table->slots, 0, SLOTS * sizeof *table->slots);
}

static void on_timer(uv_timer_t *timer);

static void wait(struct usage *usage, unsigned ms) {
    (void)uv_timer_start(&usage->timer, on_timer, ms, 0); // fails only where it is closing
}

void usage_count(struct usage *usage, const char *id, int64_t now, unsigned status) {
    struct usage_table *table = usage->counting;
    if (!table->count && !usage->is_out && !usage->stopping)
        wait(usage, USAGE_INTERVAL);
    struct usage_entry *entry = entry_of(table, id, (int32_t)(now / DAY));
    if (!entry) {
        usage->lost++;
        return;
    }
    entry->requests++;
    if (status >= 200 && status < 600)
        entry->classes[status / 100 - 2]++;
    if (now > entry->last_used_at)
        entry->last_used_at = now;
}

// ---- Writing

static void add(struct usage_entry *to, const struct usage_entry *from) {
    to->requests += from->requests;
    for (size_t i = 0; i < USAGE_CLASSES; i++)
        to->classes[i] += from->classes[i];
    if (from->last_used_at > to->last_used_at)
        to->last_used_at = from->last_used_at;
}

// What was to be written counts as if it had just come.
static void take_back(struct usage *usage) {
    for (size_t i = usage->writing->from; i < usage->flushing->count; i++) {
        const struct usage_entry *from = &usage->flushing->entries[i];
        struct usage_entry *to = entry_of(usage->counting, from->id, from->day);
        if (to)
            add(to, from);
        else
            usage->lost += from->requests;
    }
    clear(usage->flushing);
}

// In one order, so that no two processes wait for each other.
static int compare_entries(const void *a, const void *b) {
    const struct usage_entry *left = a;
    const struct usage_entry *right = b;
    int order = memcmp(left->id, right->id, sizeof left->id);
    return order ? order : (left->day > right->day) - (left->day < right->day);
}

static void plan_entry(struct usage *usage, const struct usage_entry *entry, size_t place) {
    struct usage_writing *writing = usage->writing;
    char *instant = writing->instants[place];
    char *day = writing->days[place];
    timestamp_format(entry->last_used_at, instant);
    timestamp_format((int64_t)entry->day * DAY, day);
    struct value id = value_text(VALUE_UUID, text_of(entry->id, sizeof entry->id));
    struct value last = value_text(VALUE_TIMESTAMP, text_of(instant, TIMESTAMP_SIZE));
    struct value *key = writing->of_keys[place];
    key[0] = value_integer((int64_t)entry->requests);
    key[1] = last;
    key[2] = id;
    struct value *days = writing->of_days[place];
    days[0] = id;
    days[1] = value_text(VALUE_DATE, text_of(day, DATE_SIZE));
    days[2] = key[0];
    for (size_t i = 0; i < USAGE_CLASSES; i++)
        days[3 + i] = value_integer((int64_t)entry->classes[i]);
    days[3 + USAGE_CLASSES] = last;
    // A key that was deleted meanwhile is no row, and no reason to fail.
    writing->calls[2 * place] = (struct call){.statement = &usage->count_key,
                                              .parameters = key,
                                              .parameter_count = USAGE_KEY_PARAMETERS,
                                              .expect = EXPECT_ANY};
    writing->calls[2 * place + 1] = (struct call){.statement = &usage->count_day,
                                                  .parameters = days,
                                                  .parameter_count = USAGE_DAY_PARAMETERS,
                                                  .expect = EXPECT_ANY};
}

static void finish(struct usage *usage);
static void on_done(struct job *job, const struct outcome *outcome);

static void note_failure(struct usage *usage, const char *why) {
    if (!usage->failing)
        log_warning(usage->log, "the use of API keys is counted, but cannot be written for now: %s",
                    why);
    usage->failing = true;
    take_back(usage);
    if (usage->stopping) {
        finish(usage);
        return;
    }
    usage->retry = usage->retry ? 2 * usage->retry : USAGE_RETRY;
    if (usage->retry > USAGE_RETRY_MOST)
        usage->retry = USAGE_RETRY_MOST;
    wait(usage, usage->retry);
}

// Writes the next entries of what is flushed.
static void write_batch(struct usage *usage) {
    struct usage_writing *writing = usage->writing;
    size_t left = usage->flushing->count - writing->from;
    size_t count = left < USAGE_BATCH ? left : USAGE_BATCH;
    writing->to = writing->from + count;
    for (size_t i = 0; i < count; i++)
        plan_entry(usage, &usage->flushing->entries[writing->from + i], i);
    writing->job = (struct job){.kind = JOB_WRITE,
                                .calls = writing->calls,
                                .call_count = 2 * count,
                                .owner = usage,
                                .on_done = on_done};
    usage->is_out = store_submit(usage->session, &writing->job);
    if (!usage->is_out)
        note_failure(usage, "too much waits for the database already");
}

static void flush(struct usage *usage) {
    struct usage_table *table = usage->counting;
    if (usage->lost)
        log_warning(usage->log,
                    "%ju requests with API keys were not counted: too many keys at once",
                    (uintmax_t)usage->lost);
    usage->lost = 0;
    usage->counting = usage->flushing;
    usage->flushing = table;
    qsort(table->entries, table->count, sizeof *table->entries, compare_entries);
    usage->writing->from = 0;
    write_batch(usage);
}

static void on_timer(uv_timer_t *timer) {
    flush(timer->data);
}

static void on_written(struct usage *usage) {
    if (usage->failing)
        log_info(usage->log, "the use of API keys is written again");
    usage->failing = false;
    usage->retry = 0;
    usage->writing->from = usage->writing->to;
    if (usage->writing->from < usage->flushing->count) {
        write_batch(usage);
        return;
    }
    clear(usage->flushing);
    if (usage->stopping)
        finish(usage);
    else if (usage->counting->count)
        wait(usage, USAGE_INTERVAL);
}

// What may have been written is not written again: rather a request too few than counted twice.
static void on_done(struct job *job, const struct outcome *outcome) {
    struct usage *usage = job->owner;
    struct failure failure;
    usage->is_out = false;
    if (outcome_failure(outcome, &failure) || outcome->kind == OUTCOME_UNKNOWN)
        on_written(usage);
    else
        note_failure(usage, failure.detail);
}

// ---- Coming and going

static bool table_open(struct usage_table *table) {
    table->entries = calloc(USAGE_ROOM, sizeof *table->entries);
    table->slots = calloc(SLOTS, sizeof *table->slots);
    return table->entries && table->slots;
}

bool usage_open(struct usage *usage, struct arena *arena, const struct dialect *dialect,
                struct log *log) {
    *usage = (struct usage){.log = log};
    usage->counting = &usage->tables[0];
    usage->flushing = &usage->tables[1];
    usage->writing = calloc(1, sizeof *usage->writing);
    return usage->writing && table_open(usage->counting) && table_open(usage->flushing) &&
           make_count_key(arena, dialect, &usage->count_key) &&
           make_count_day(arena, dialect, &usage->count_day) &&
           make_forget(arena, dialect, &usage->forget);
}

void usage_start(struct usage *usage, uv_loop_t *loop, struct store_session *session) {
    usage->session = session;
    (void)uv_timer_init(loop, &usage->timer); // always succeeds
    usage->timer.data = usage;
}

static void on_timer_closed(uv_handle_t *timer) {
    struct usage *usage = timer->data;
    usage->on_stopped(usage->owner);
}

// Nothing is out and nothing will be: there is nothing left, or it cannot be written.
static void finish(struct usage *usage) {
    uint64_t lost = usage->lost;
    if (usage->counting->count && !usage->failing) {
        flush(usage);
        return;
    }
    for (size_t i = 0; i < usage->counting->count; i++)
        lost += usage->counting->entries[i].requests;
    if (lost)
        log_error(usage->log, "the use of API keys by %ju requests was not written",
                  (uintmax_t)lost);
    uv_close((uv_handle_t *)&usage->timer, on_timer_closed);
}

void usage_stop(struct usage *usage, void (*on_stopped)(void *owner), void *owner) {
    usage->on_stopped = on_stopped;
    usage->owner = owner;
    usage->stopping = true;
    uv_timer_stop(&usage->timer);
    if (usage->is_out)
        return;
    usage->failing = false; // try once more
    finish(usage);
}

void usage_close(struct usage *usage) {
    for (size_t i = 0; i < 2; i++) {
        free(usage->tables[i].entries);
        free(usage->tables[i].slots);
    }
    free(usage->writing);
    *usage = (struct usage){0};
}
