#include "resource/operation_plan.h"

#include "resource/plan_parts.h"

enum { MAX_PARAMETERS = 11, STUCK_AT_ONCE = 20 };

static const struct text state_names[OPERATION_STATES] = {
    [OPERATION_QUEUED] = TEXT_INIT("queued"),       [OPERATION_RUNNING] = TEXT_INIT("running"),
    [OPERATION_SUCCEEDED] = TEXT_INIT("succeeded"), [OPERATION_FAILED] = TEXT_INIT("failed"),
    [OPERATION_CANCELLED] = TEXT_INIT("cancelled"),
};

struct text operation_state_name(enum operation_state state) {
    return state_names[state];
}

int64_t operation_backoff(int64_t failures) {
    int64_t delay = OPERATION_BACKOFF_LEAST;
    for (int64_t i = 1; i < failures && delay < OPERATION_BACKOFF_MOST; i++)
        delay *= 2;
    return delay < OPERATION_BACKOFF_MOST ? delay : OPERATION_BACKOFF_MOST;
}

// ---- Statements ----

// SQL in which #a is the first parameter, !  the database's clock, ^a the clock and so many
// milliseconds more, @ the columns of the table's selection, and | where PostgreSQL is told to pass
// over rows that others are at.
struct template {
    const char *sql;
    enum value_kind parameters[MAX_PARAMETERS];
    enum { GIVES_NOTHING, GIVES_NUMBER, GIVES_OPERATION } gives;
};

// One that is running may be claimed again when its lease is over, unless it is to be cancelled or
// was lost too often.
#define MAY_BE_CLAIMED "(state = 'queued' OR (NOT cancel_requested AND lost < 9))"
_Static_assert(OPERATION_LOST_MAX == 10, "the tenth is lost when the ninth was counted");

static const struct template start = {
    .sql = "INSERT INTO trestle_operations (id, resource, record, transition, state, progress, "
           "requested_by, request_id, created_at, attempts, failures, cancel_requested, due_at, "
           "lost) VALUES (#a, #b, #c, #d, 'queued', 0, #e, #f, !, 0, 0, FALSE, !, 0) RETURNING @",
    .parameters = {VALUE_UUID, VALUE_TEXT, VALUE_TEXT, VALUE_TEXT, VALUE_TEXT, VALUE_TEXT},
    .gives = GIVES_OPERATION,
};

static const struct template due[] = {
    [STORE_SQLITE] = {.sql = "SELECT CAST(round((julianday(due_at) - julianday('now')) * 86400000) "
                             "AS INTEGER) FROM trestle_operations WHERE resource = #a AND "
                             "transition = #b AND due_at IS NOT NULL AND " MAY_BE_CLAIMED
                             " ORDER BY due_at LIMIT 1",
                      .parameters = {VALUE_TEXT, VALUE_TEXT},
                      .gives = GIVES_NUMBER},
    [STORE_POSTGRES] = {.sql = "SELECT CAST(extract(epoch FROM due_at - clock_timestamp()) * 1000 "
                               "AS bigint) FROM trestle_operations WHERE resource = #a AND "
                               "transition = #b AND due_at IS NOT NULL AND " MAY_BE_CLAIMED
                               " ORDER BY due_at LIMIT 1",
                        .parameters = {VALUE_TEXT, VALUE_TEXT},
                        .gives = GIVES_NUMBER},
};

static const struct template claim = {
    .sql = "UPDATE trestle_operations SET state = 'running', attempts = attempts + 1, "
           "worker = #c, progress = 0, started_at = coalesce(started_at, !), due_at = ^d, "
           "lost = CASE state WHEN 'running' THEN lost + 1 ELSE 0 END, "
           "\"_version\" = \"_version\" + 1 WHERE id = (SELECT id FROM trestle_operations "
           "WHERE resource = #a AND transition = #b AND due_at <= (SELECT !) AND " MAY_BE_CLAIMED
           " ORDER BY due_at, id LIMIT 1|) RETURNING @",
    .parameters = {VALUE_TEXT, VALUE_TEXT, VALUE_TEXT, VALUE_INTEGER},
    .gives = GIVES_OPERATION,
};

static const struct template beat = {
    .sql = "UPDATE trestle_operations SET progress = coalesce(#c, progress), "
           "detail = coalesce(#d, detail), due_at = ^e, \"_version\" = \"_version\" + 1 "
           "WHERE id = #a AND attempts = #b AND state = 'running' RETURNING @",
    .parameters = {VALUE_UUID, VALUE_INTEGER, VALUE_INTEGER, VALUE_TEXT, VALUE_INTEGER},
    .gives = GIVES_OPERATION,
};

static const struct template turn = {
    .sql = "UPDATE trestle_operations SET state = #e, detail = coalesce(#f, detail), "
           "failures = failures + #g, progress = CASE #e WHEN 'succeeded' THEN 100 ELSE progress "
           "END, ended_at = CASE WHEN #h THEN ! END, due_at = CASE WHEN #h THEN NULL ELSE ^i END, "
           "lost = 0, \"_version\" = \"_version\" + 1 WHERE id = #a AND attempts = #b AND "
           "state = #c AND cancel_requested = #d AND (due_at <= ! OR NOT #j) RETURNING @",
    .parameters = {VALUE_UUID, VALUE_INTEGER, VALUE_TEXT, VALUE_BOOLEAN, VALUE_TEXT, VALUE_TEXT,
                   VALUE_INTEGER, VALUE_BOOLEAN, VALUE_INTEGER, VALUE_BOOLEAN},
    .gives = GIVES_OPERATION,
};

static const struct template ask_cancel = {
    .sql = "UPDATE trestle_operations SET cancel_requested = TRUE, "
           "\"_version\" = \"_version\" + 1 WHERE id = #a AND attempts = #b AND state = 'running' "
           "RETURNING @",
    .parameters = {VALUE_UUID, VALUE_INTEGER},
    .gives = GIVES_OPERATION,
};

static const struct template stuck = {
    .sql = "SELECT @ FROM trestle_operations WHERE resource = #a AND transition = #b AND "
           "due_at <= (SELECT !) AND state = 'running' AND NOT " MAY_BE_CLAIMED
           " ORDER BY due_at LIMIT #c",
    .parameters = {VALUE_TEXT, VALUE_TEXT, VALUE_INTEGER},
    .gives = GIVES_OPERATION,
};

// What another process is about to remove is left to it.
static const struct template forget = {
    .sql = "DELETE FROM trestle_operations WHERE id IN (SELECT id FROM trestle_operations "
           "WHERE ended_at <= (SELECT ^a) ORDER BY ended_at LIMIT #b|)",
    .parameters = {VALUE_INTEGER, VALUE_INTEGER},
};

static void append_clock(struct sql *sql) {
    sql_text(sql, sql->dialect->store == STORE_POSTGRES ? "clock_timestamp()"
                                                        : "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')");
}

static void append_clock_and(struct sql *sql, size_t number) {
    bool postgres = sql->dialect->store == STORE_POSTGRES;
    sql_text(sql, postgres ? "(clock_timestamp() + "
                           : "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', printf('%+.3f seconds', ");
    sql->dialect->placeholder(sql, number, VALUE_INTEGER);
    sql_text(sql, postgres ? " * interval '1 millisecond')" : " / 1000.0))");
}

static void append_place(struct sql *sql, const struct template *template, char letter) {
    size_t index = (size_t)(letter - 'a');
    sql->dialect->placeholder(sql, index + 1, template->parameters[index]);
}

static bool make(struct arena *arena, const struct plan *table, const struct template *template,
                 struct statement *ret_statement) {
    static const struct column number = {.kind = VALUE_INTEGER};
    struct sql sql = sql_begin(table->dialect, arena);
    for (const char *at = template->sql; *at; at++) {
        switch (*at) {
        case '#': append_place(&sql, template, *++at); break;
        case '^': append_clock_and(&sql, (size_t)(*++at - 'a') + 1); break;
        case '!': append_clock(&sql); break;
        case '@': plan_append_selection(&sql, &table->selection); break;
        case '|':
            if (table->dialect->store == STORE_POSTGRES)
                sql_text(&sql, " FOR UPDATE SKIP LOCKED");
            break;
        default: buffer_append_byte(&sql.text, *at); break;
        }
    }
    if (template->gives == GIVES_OPERATION)
        return plan_finish_with_selection(&sql, &table->selection, ret_statement);
    return sql_finish(&sql, &number, template->gives == GIVES_NUMBER, ret_statement);
}

bool operation_plan_make(struct arena *arena, const struct plan *table,
                         struct operation_plan *ret_plan) {
    struct operation_plan plan = {.table = table};
    bool made =
        !table ||
        (make(arena, table, &start, &plan.start) &&
         make(arena, table, &due[table->dialect->store], &plan.due) &&
         make(arena, table, &claim, &plan.claim) && make(arena, table, &beat, &plan.beat) &&
         make(arena, table, &turn, &plan.turn) &&
         make(arena, table, &ask_cancel, &plan.ask_cancel) &&
         make(arena, table, &stuck, &plan.stuck) && make(arena, table, &forget, &plan.forget));
    if (made)
        *ret_plan = plan;
    return made;
}

// ---- Rows ----

static struct value cell(const struct operation_plan *plan, const struct value *cells,
                         const char *name) {
    const struct selection *selection = &plan->table->selection;
    size_t i = 0;
    while (!selection->properties[i] || !text_is(selection->properties[i]->name, name))
        i++;
    return cells[i];
}

static struct text text_cell(const struct operation_plan *plan, const struct value *cells,
                             const char *name, struct arena *arena) {
    struct value value = cell(plan, cells, name);
    return value_is_null(value) ? TEXT("") : arena_copy(arena, value.text);
}

bool operation_read(const struct operation_plan *plan, const struct value *cells,
                    struct arena *arena, struct operation *ret_operation) {
    struct operation operation = {
        .resource = text_cell(plan, cells, "resource", arena),
        .record = text_cell(plan, cells, "record", arena),
        .transition = text_cell(plan, cells, "transition", arena),
        .attempts = cell(plan, cells, "attempts").integer,
        .failures = cell(plan, cells, "failures").integer,
        .lost = cell(plan, cells, "lost").integer,
        .cancel_requested = cell(plan, cells, "cancel_requested").boolean,
        .requested_by = text_cell(plan, cells, "requested_by", arena),
        .request_id = text_cell(plan, cells, "request_id", arena),
    };
    struct value state = cell(plan, cells, "state");
    while (operation.state < OPERATION_STATES &&
           !(state.kind == VALUE_TEXT && text_equal(state_names[operation.state], state.text)))
        operation.state++;
    bool read = value_copy(arena, cell(plan, cells, "id"), &operation.id) &&
                operation.state < OPERATION_STATES && operation.resource.data &&
                operation.record.data && operation.transition.data && operation.requested_by.data &&
                operation.request_id.data;
    if (read)
        *ret_operation = operation;
    return read;
}

// ---- Calls ----

static struct value text_or_null(struct text text) {
    return text.size ? value_text(VALUE_TEXT, text) : value_null();
}

static bool use(const struct statement *statement, const struct value *values, size_t count,
                struct arena *arena, struct call *ret_call) {
    struct value *parameters = arena_allocate(arena, count * sizeof *parameters);
    if (!parameters)
        return false;
    memcpy(parameters, values, count * sizeof *parameters);
    *ret_call = (struct call){.statement = statement,
                              .parameters = parameters,
                              .parameter_count = count,
                              .expect = EXPECT_ANY};
    return true;
}

#define USE(statement, values)                                                                     \
    use(statement, values, sizeof(values) / sizeof *(values), arena, ret_call)

bool operation_plan_start(const struct operation_plan *plan, const struct operation *operation,
                          struct arena *arena, struct call *ret_call) {
    const struct value values[] = {
        operation->id,
        value_text(VALUE_TEXT, operation->resource),
        value_text(VALUE_TEXT, operation->record),
        value_text(VALUE_TEXT, operation->transition),
        text_or_null(operation->requested_by),
        text_or_null(operation->request_id),
    };
    return USE(&plan->start, values);
}

bool operation_plan_due(const struct operation_plan *plan, struct text resource,
                        struct text transition, struct arena *arena, struct call *ret_call) {
    const struct value values[] = {
        value_text(VALUE_TEXT, resource),
        value_text(VALUE_TEXT, transition),
    };
    return USE(&plan->due, values);
}

bool operation_plan_claim(const struct operation_plan *plan, struct text resource,
                          struct text transition, struct text worker, int64_t lease,
                          struct arena *arena, struct call *ret_call) {
    const struct value values[] = {
        value_text(VALUE_TEXT, resource),
        value_text(VALUE_TEXT, transition),
        text_or_null(worker),
        value_integer(lease),
    };
    return USE(&plan->claim, values);
}

bool operation_plan_beat(const struct operation_plan *plan, struct value id, int64_t attempt,
                         int64_t progress, struct text detail, int64_t lease, struct arena *arena,
                         struct call *ret_call) {
    const struct value values[] = {
        id,
        value_integer(attempt),
        progress < 0 ? value_null() : value_integer(progress),
        detail.data ? value_text(VALUE_TEXT, detail) : value_null(),
        value_integer(lease),
    };
    return USE(&plan->beat, values);
}

bool operation_plan_turn(const struct operation_plan *plan, const struct operation *operation,
                         const struct operation_turn *to, struct arena *arena,
                         struct call *ret_call) {
    const struct value values[] = {
        operation->id,
        value_integer(operation->attempts),
        value_text(VALUE_TEXT, state_names[operation->state]),
        value_boolean(operation->cancel_requested),
        value_text(VALUE_TEXT, state_names[to->state]),
        to->detail.data ? value_text(VALUE_TEXT, to->detail) : value_null(),
        value_integer(to->failed),
        value_boolean(operation_has_ended(to->state)),
        value_integer(to->delay),
        value_boolean(to->is_late),
    };
    return USE(&plan->turn, values);
}

bool operation_plan_ask_cancel(const struct operation_plan *plan, const struct operation *operation,
                               struct arena *arena, struct call *ret_call) {
    const struct value values[] = {operation->id, value_integer(operation->attempts)};
    return USE(&plan->ask_cancel, values);
}

bool operation_plan_stuck(const struct operation_plan *plan, struct text resource,
                          struct text transition, struct arena *arena, struct call *ret_call) {
    const struct value values[] = {
        value_text(VALUE_TEXT, resource),
        value_text(VALUE_TEXT, transition),
        value_integer(STUCK_AT_ONCE),
    };
    return USE(&plan->stuck, values);
}

bool operation_plan_forget(const struct operation_plan *plan, int64_t retention, int64_t count,
                           struct arena *arena, struct call *ret_call) {
    const struct value values[] = {value_integer(-retention), value_integer(count)};
    return USE(&plan->forget, values);
}
