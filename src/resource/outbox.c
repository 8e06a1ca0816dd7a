#include "resource/outbox.h"

static const struct column position_columns[] = {{.kind = VALUE_INTEGER},
                                                 {.kind = VALUE_INTEGER},
                                                 {.kind = VALUE_INTEGER},
                                                 {.kind = VALUE_INTEGER}};

static const struct column event_columns[] = {{.kind = VALUE_INTEGER}, {.kind = VALUE_TEXT},
                                              {.kind = VALUE_TEXT},    {.kind = VALUE_TEXT},
                                              {.kind = VALUE_INTEGER}, {.kind = VALUE_TIMESTAMP}};

enum { EVENT_COLUMNS = sizeof event_columns / sizeof *event_columns };

#define ENDS                                                                                       \
    "coalesce((SELECT min(seq) FROM trestle_events), 0), "                                         \
    "coalesce((SELECT max(seq) FROM trestle_events), 0)"

// SQLite has one writer, so what is visible is all there is. On PostgreSQL age() counts up to the
// number that the next transaction gets, and that at a moment after the snapshot was taken: whoever
// drew a number before the last one that is visible here had its transaction's number by then. (The
// snapshot's own upper end will not do: it is behind the last transaction that has ended, and one
// that still runs may be beyond.)
static const struct text positions[] = {
    [STORE_SQLITE] = TEXT_INIT("SELECT " ENDS ", 0, 0"),
    [STORE_POSTGRES] = TEXT_INIT(
        "SELECT " ENDS ", s.oldest::text::bigint, s.oldest::text::bigint + age(s.oldest::xid) "
        "FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS oldest) AS s"),
};

static const struct text change_names[CHANGES] = {
    [CHANGE_CREATED] = TEXT_INIT("created"),
    [CHANGE_UPDATED] = TEXT_INIT("updated"),
    [CHANGE_DELETED] = TEXT_INIT("deleted"),
    [CHANGE_GAP] = TEXT_INIT("gap"),
};

static const char select_events[] =
    "SELECT seq, resource, key, change, version, at FROM trestle_events WHERE seq > ";

static bool make_events(struct arena *arena, const struct dialect *dialect,
                        struct statement *ret_statement) {
    struct sql sql = sql_begin(dialect, arena);
    sql_text(&sql, select_events);
    dialect->placeholder(&sql, 1, VALUE_INTEGER);
    sql_text(&sql, " ORDER BY seq LIMIT ");
    dialect->placeholder(&sql, 2, VALUE_INTEGER);
    return sql_finish(&sql, event_columns, EVENT_COLUMNS, ret_statement);
}

static bool make_history(struct arena *arena, const struct dialect *dialect,
                         struct statement *ret_statement) {
    struct sql sql = sql_begin(dialect, arena);
    sql_text(&sql, select_events);
    dialect->placeholder(&sql, 1, VALUE_INTEGER);
    sql_text(&sql, " AND seq <= ");
    dialect->placeholder(&sql, 2, VALUE_INTEGER);
    sql_text(&sql, " AND resource = ");
    dialect->placeholder(&sql, 3, VALUE_TEXT);
    sql_text(&sql, " ORDER BY seq LIMIT ");
    dialect->placeholder(&sql, 4, VALUE_INTEGER);
    return sql_finish(&sql, event_columns, EVENT_COLUMNS, ret_statement);
}

// Times need not be in the order of the numbers, and only a whole beginning may go: of the oldest
// so many, all before the first that is still young.
static bool make_prune(struct arena *arena, const struct dialect *dialect,
                       struct statement *ret_statement) {
    struct sql sql = sql_begin(dialect, arena);
    sql_text(&sql, "DELETE FROM trestle_events WHERE seq <= ");
    dialect->placeholder(&sql, 1, VALUE_INTEGER);
    sql_text(&sql, " AND seq < (SELECT coalesce(min(CASE WHEN at >= ");
    dialect->placeholder(&sql, 2, VALUE_TIMESTAMP);
    sql_text(&sql, " THEN seq END), max(seq)) FROM "
                   "(SELECT seq, at FROM trestle_events ORDER BY seq LIMIT ");
    dialect->placeholder(&sql, 3, VALUE_INTEGER);
    sql_text(&sql, ") AS oldest)");
    return sql_finish(&sql, NULL, 0, ret_statement);
}

bool outbox_plan_make(struct arena *arena, const struct dialect *dialect,
                      struct outbox_plan *ret_plan) {
    struct outbox_plan plan = {
        .position = {.sql = positions[dialect->store],
                     .columns = position_columns,
                     .column_count = 4},
    };
    plan.position.hash = text_hash(plan.position.sql);
    bool made = make_events(arena, dialect, &plan.events) &&
                make_history(arena, dialect, &plan.history) &&
                make_prune(arena, dialect, &plan.prune);
    if (made)
        *ret_plan = plan;
    return made;
}

struct outbox_position outbox_read_position(const struct value *cells) {
    return (struct outbox_position){.first = cells[0].integer,
                                    .last = cells[1].integer,
                                    .oldest = cells[2].integer,
                                    .next = cells[3].integer};
}

bool outbox_read_event(const struct value *cells, struct outbox_event *ret_event) {
    struct outbox_event event = {.number = cells[0].integer,
                                 .resource = cells[1].text,
                                 .key = cells[2].text,
                                 .version = cells[4],
                                 .at = cells[5].text};
    while (event.change < CHANGES && !text_equal(cells[3].text, change_names[event.change]))
        event.change++;
    if (event.change == CHANGES)
        return false;
    *ret_event = event;
    return true;
}

struct text outbox_change_name(enum outbox_change change) {
    return change_names[change];
}

bool outbox_continue(const struct dialect *dialect, int64_t last, struct arena *arena,
                     struct call *ret_call) {
    struct sql sql = sql_begin(dialect, arena);
    struct statement *statement = arena_allocate(arena, sizeof *statement);
    dialect->continue_numbers(&sql, TEXT("trestle_events"), TEXT("seq"), last);
    if (!statement)
        sql.failed = true;
    if (!sql_finish(&sql, NULL, 0, statement))
        return false;
    *ret_call = (struct call){.statement = statement,
                              .parameters = sql.parameters,
                              .parameter_count = sql.parameter_count,
                              .expect = EXPECT_ANY};
    return true;
}
