#include "unit/allocation.h"
#include "unit/api/events.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_JOBS = 8 };

struct rig {
    uv_loop_t loop;
    struct store *store;
    struct catalogue *catalogue;
    struct arena arena;
    struct outbox_plan outbox;
    struct event_page page;
    struct scripted_job script[MAX_JOBS];
    size_t job_count;
    struct scripted_call look_calls[2];
    bool ended;
    bool done;
};

static void on_done(struct event_page *page, bool done) {
    struct rig *rig = page->owner;
    rig->ended = true;
    rig->done = done;
}

static int set_up(void **state) {
    struct rig *rig = calloc(1, sizeof *rig);
    rig->catalogue = events_catalogue(STORE_SQLITE);
    assert_true(outbox_plan_make(&rig->arena, dialect_of(STORE_SQLITE), &rig->outbox));
    *state = rig;
    return uv_loop_init(&rig->loop);
}

static void on_detached(void *owner) {
    *(bool *)owner = true;
}

static int tear_down(void **state) {
    struct rig *rig = *state;
    bool detached = false;
    event_page_free(&rig->page);
    store_detach(rig->page.session, on_detached, &detached);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_true(detached);
    assert_string_equal(scripted_store_difference(rig->store), "");
    store_close(rig->store);
    catalogue_release(rig->catalogue);
    arena_free(&rig->arena);
    assert_int_equal(uv_loop_close(&rig->loop), 0);
    free(rig);
    return 0;
}

// ---- Scripts

static struct scripted_job *add_job(struct rig *rig, const struct scripted_call *calls,
                                    size_t count) {
    assert_true(rig->job_count < MAX_JOBS);
    struct scripted_job *job = &rig->script[rig->job_count++];
    *job = (struct scripted_job){.calls = calls, .call_count = count};
    return job;
}

// A look that finds these events.
static struct scripted_job *add_look(struct rig *rig, const struct value *events, size_t count) {
    static const struct value position[] = {POSITION(1, 99, 0, 0)};
    rig->look_calls[0] = (struct scripted_call){.cells = position, .row_count = 1};
    rig->look_calls[1] = (struct scripted_call){
        .sql = "FROM trestle_events WHERE seq > ?1", .cells = events, .row_count = count};
    return add_job(rig, rig->look_calls, 2);
}

static void start(struct rig *rig, size_t enough) {
    struct failure failure;
    rig->store = scripted_store_open(STORE_SQLITE, rig->script, rig->job_count, &failure);
    assert_non_null(rig->store);
    rig->page = (struct event_page){
        .outbox = &rig->outbox, .enough = enough, .owner = rig, .on_done = on_done};
    assert_true(store_attach(rig->store, &rig->loop, &rig->page.session, &failure));
}

static bool wait_for_it(struct rig *rig) {
    assert_false(rig->ended); // never inside the call
    while (!rig->ended)
        uv_run(&rig->loop, UV_RUN_ONCE);
    rig->ended = false;
    return rig->done;
}

static bool look(struct rig *rig) {
    return event_page_look(&rig->page, rig->catalogue, 7) && wait_for_it(rig);
}

// All is of interest that has events.
static bool write_all(struct rig *rig) {
    struct event_page *page = &rig->page;
    for (size_t i = 0; i < page->count; i++) {
        const struct plan *plan = catalogue_plan(page->catalogue, page->events[i].event.resource);
        page->events[i].plan = plan->resource->events ? plan : NULL;
    }
    return event_page_write(page, page->count) && wait_for_it(rig);
}

#define AT "\"at\":\"2026-01-02T03:04:05.006Z\""

// ---- Tests

static void events_have_their_records(void **state) {
    struct rig *rig = *state;
    static const struct value events[] = {
        EVENT(8, "1", "created", 1), EVENT(9, "2", "created", 1), EVENT(11, "1", "updated", 2),
        EVENT(12, "3", "deleted", 5), EVENT(13, "", "gap", 0),
        EVENT_OF(14, "silent", "1", "created", INTEGER(1)),
        // Of keys that the resource could not have now, and of records without versions.
        EVENT_OF(15, "notes", "a\"b", "created", NOTHING), EVENT(16, "x", "deleted", 1)};
    static const struct value one[] = {NOTE(1, "{\"a\":\r\n1}", 2)};
    static const struct scripted_call reads[] = {
        {.sql = "FROM \"notes\" WHERE \"id\" = ?1", .cells = one, .row_count = 1},
        {.sql = "FROM \"notes\" WHERE \"id\" = ?1"}}; // gone
    add_look(rig, events, ROWS(events, EVENT_CELLS));
    add_job(rig, reads, 2);
    start(rig, 1 << 20);
    assert_true(look(rig));
    assert_true(rig->page.is_whole);
    assert_int_equal(rig->page.count, 8);
    assert_int_equal(rig->page.position.last, 99);
    assert_true(write_all(rig));
    assert_int_equal(rig->page.written, 8);
    static const char *const expected[] = {
        "id: 8\nevent: created\ndata: {\"key\":1,\"version\":1," AT
        ",\"record\":{\"id\":1,\"extra\":{\"a\":  1}}}\n\n",
        "id: 9\nevent: created\ndata: {\"key\":2,\"version\":1," AT ",\"record\":null}\n\n",
        "id: 11\nevent: updated\ndata: {\"key\":1,\"version\":2," AT
        ",\"record\":{\"id\":1,\"extra\":{\"a\":  1}}}\n\n",
        "id: 12\nevent: deleted\ndata: {\"key\":3,\"version\":5," AT ",\"record\":null}\n\n",
        "id: 13\nevent: gap\ndata: {\"from\":13}\n\n"};
    for (size_t i = 0; i < 5; i++)
        assert_text_is(event_page_text(&rig->page, i), expected[i]);
    assert_text_is(event_page_text(&rig->page, 6),
                   "id: 15\nevent: created\ndata: {\"key\":\"a\\\"b\",\"version\":null," AT
                   ",\"record\":null}\n\n");
    assert_text_is(event_page_text(&rig->page, 7),
                   "id: 16\nevent: deleted\ndata: {\"key\":\"x\",\"version\":1," AT
                   ",\"record\":null}\n\n");
}

static void what_nobody_wants_is_not_read(void **state) {
    struct rig *rig = *state;
    static const struct value events[] = {EVENT(8, "1", "created", 1)};
    add_look(rig, events, 1);
    add_job(rig, NULL, 0);
    start(rig, 1 << 20);
    assert_true(look(rig));
    assert_true(event_page_write(&rig->page, 1)); // of no plan
    assert_true(wait_for_it(rig));
    assert_int_equal(rig->page.written, 1);
    assert_int_equal(event_page_text(&rig->page, 0).size, 0);
}

// What came before a job was run anew counts for nothing.
static void jobs_that_are_run_anew(void **state) {
    struct rig *rig = *state;
    static const struct value events[] = {EVENT(8, "1", "created", 1), EVENT(9, "2", "created", 1)};
    static const struct value notes[] = {NOTE(1, "{}", 1), NOTE(2, "{}", 1)};
    static const struct scripted_call reads[] = {{.cells = notes, .row_count = 1},
                                                 {.cells = notes + NOTE_CELLS, .row_count = 1}};
    add_look(rig, events, 2)->restarted = true;
    add_job(rig, reads, 2)->restarted = true;
    start(rig, 1 << 20);
    assert_true(look(rig));
    assert_int_equal(rig->page.count, 2);
    assert_true(write_all(rig));
    assert_text_is(event_page_text(&rig->page, 1),
                   "id: 9\nevent: created\ndata: {\"key\":2,\"version\":1," AT
                   ",\"record\":{\"id\":2,\"extra\":{}}}\n\n");
}

static void a_page_ends_when_it_is_enough(void **state) {
    struct rig *rig = *state;
    static const struct value events[] = {EVENT(8, "1", "created", 1), EVENT(9, "2", "created", 1),
                                          EVENT(10, "3", "deleted", 1)};
    static const struct value notes[] = {NOTE(1, "{\"a\":\"long enough\"}", 1), NOTE(2, "{}", 1)};
    static const struct scripted_call reads[] = {{.cells = notes, .row_count = 1},
                                                 {.cells = notes + NOTE_CELLS, .row_count = 1}};
    add_look(rig, events, 3);
    add_job(rig, reads, 2);
    start(rig, 20);
    assert_true(look(rig));
    assert_true(write_all(rig));
    assert_int_equal(rig->page.written, 1);
}

// More than go into one job, each read once.
static void many_records(void **state) {
    struct rig *rig = *state;
    enum { RECORDS = 70 };
    static struct value events[2 * RECORDS][EVENT_CELLS];
    static struct value notes[RECORDS][NOTE_CELLS];
    static char keys[RECORDS][4];
    static struct scripted_call reads[RECORDS];
    for (size_t i = 0; i < RECORDS; i++) {
        int size = snprintf(keys[i], sizeof keys[i], "%zu", i + 1);
        const struct value event[EVENT_CELLS] = {EVENT(8, "", "updated", 2)};
        const struct value note[NOTE_CELLS] = {NOTE(0, "{}", 2)};
        for (size_t twice = 0; twice < 2; twice++) {
            struct value *cells = events[i + twice * RECORDS];
            memcpy(cells, event, sizeof event);
            cells[0].integer += (int64_t)(i + twice * RECORDS);
            cells[2].text = text_of(keys[i], (size_t)size);
        }
        memcpy(notes[i], note, sizeof note);
        notes[i][0].integer = (int64_t)i + 1;
        reads[i] = (struct scripted_call){.cells = notes[i], .row_count = 1};
    }
    add_look(rig, events[0], ROWS(events, 1));
    add_job(rig, reads, 32);
    add_job(rig, reads + 32, 32);
    add_job(rig, reads + 64, RECORDS - 64);
    start(rig, 1 << 20);
    assert_true(look(rig));
    assert_true(write_all(rig));
    assert_int_equal(rig->page.written, rig->page.count);
    assert_text_is(event_page_text(&rig->page, 2 * RECORDS - 1),
                   "id: 147\nevent: updated\ndata: {\"key\":70,\"version\":2," AT
                   ",\"record\":{\"id\":70,\"extra\":{}}}\n\n");
}

static void a_store_that_fails(void **state) {
    struct rig *rig = *state;
    static const struct value events[] = {EVENT(8, "1", "created", 1)};
    add_job(rig, NULL, 0)->refused = true;
    add_job(rig, NULL, 0)->outcome.kind = OUTCOME_UNAVAILABLE;
    add_look(rig, events, 1);
    add_job(rig, NULL, 0)->refused = true;
    add_job(rig, NULL, 0)->outcome.kind = OUTCOME_TIMEOUT;
    start(rig, 1 << 20);
    assert_false(event_page_look(&rig->page, rig->catalogue, 7));
    assert_false(look(rig));
    assert_true(look(rig));
    assert_false(event_page_write(&rig->page, 1));
    event_page_clear(&rig->page);
    rig->page.count = 0;
    assert_true(event_page_write(&rig->page, 0));
    assert_false(wait_for_it(rig));
}

static void a_row_that_no_trigger_made(void **state) {
    struct rig *rig = *state;
    static const struct value events[] = {EVENT(8, "1", "created", 1), EVENT(9, "1", "eaten", 1)};
    add_look(rig, events, 2);
    start(rig, 1 << 20);
    assert_false(look(rig));
}

static void what_is_cancelled_ends(void **state) {
    struct rig *rig = *state;
    static const struct value events[] = {EVENT(8, "1", "created", 1)};
    add_look(rig, events, 1);
    start(rig, 1 << 20);
    assert_true(event_page_look(&rig->page, rig->catalogue, 7));
    event_page_cancel(&rig->page);
    assert_false(wait_for_it(rig));
    event_page_cancel(&rig->page); // nothing is under way
}

static void one_resources_history(void **state) {
    struct rig *rig = *state;
    static const struct value events[] = {EVENT(8, "1", "deleted", 1)};
    static const struct value parameters[] = {INTEGER(7), INTEGER(90), STRING("notes"),
                                              INTEGER(EVENT_PAGE_EVENTS)};
    add_look(rig, events, 1);
    rig->look_calls[1].parameters = parameters;
    rig->look_calls[1].parameter_count = 4;
    start(rig, 1 << 20);
    const struct plan *plan = catalogue_plan(rig->catalogue, TEXT("notes"));
    assert_true(event_page_look_at(&rig->page, rig->catalogue, plan, 7, 90));
    assert_true(wait_for_it(rig));
    assert_int_equal(rig->page.count, 1);
}

static void no_memory(void **state) {
    struct rig *rig = *state;
    static const struct value events[] = {EVENT(8, "1", "created", 1)};
    static const struct value note[] = {NOTE(1, "{}", 1)};
    static const struct scripted_call reads[] = {{.cells = note, .row_count = 1}};
    size_t failures = 0;
    for (size_t nth = 1;; nth++) {
        bool detached = false;
        rig->job_count = 0;
        add_look(rig, events, 1);
        add_job(rig, reads, 1);
        start(rig, 1 << 20);
        allocation_fail_from(nth);
        bool written = look(rig) && write_all(rig);
        bool failed = allocation_allow();
        assert_true(written || failed);
        failures += failed;
        if (!failed)
            break;
        event_page_free(&rig->page);
        store_detach(rig->page.session, on_detached, &detached);
        uv_run(&rig->loop, UV_RUN_DEFAULT);
        store_close(rig->store);
    }
    assert_true(failures > 3);
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(events_have_their_records),
        TEST(what_nobody_wants_is_not_read),
        TEST(jobs_that_are_run_anew),
        TEST(a_page_ends_when_it_is_enough),
        TEST(many_records),
        TEST(a_store_that_fails),
        TEST(a_row_that_no_trigger_made),
        TEST(what_is_cancelled_ends),
        TEST(one_resources_history),
        TEST(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
