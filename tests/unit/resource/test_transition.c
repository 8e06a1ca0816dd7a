#include "resource/transition.h"

#include "unit/allocation.h"
#include "unit/resource/fixture.h"

static const char things[] =
    "required: [uses]\n"
    "properties:\n"
    "  uses: {type: integer, maximum: 9}\n"
    "  cap: {type: integer}\n"
    "  until: {type: string, format: date-time}\n"
    "  open: {type: boolean}\n"
    "checks: {within: cap is null or uses <= cap, dated: until is not null}\n"
    "lifecycle: {property: state, states: [New, Used, Lost, \"Worn out\"]}\n"
    "transitions:\n"
    "  use:\n"
    "    when: >\n"
    "      (cap is null or\n"
    "        uses < cap)\n"
    "      and until >= now() and (open and uses != 7)\n"
    "    set: {uses: uses + 1}\n"
    "  one: {from: [New], to: Used}\n"
    "  two: {from: [New, Used], to: Lost, when: open}\n"
    "  three: {from: [New, Used, Worn out], to: Lost}\n"
    "  never: {when: 'false', to: New}\n"
    "  either: {when: uses > 5 or not open, to: New}\n";

enum { ID, USES, CAP, UNTIL, OPEN, STATE, PROPERTIES };

static const int64_t now = INT64_C(1709208000000); // 2024-02-29T12:00:00.000Z

static void fill(struct value values[PROPERTIES]) {
    values[ID] = value_integer(1);
    values[USES] = value_integer(3);
    values[CAP] = value_integer(5);
    values[UNTIL] = value_text(VALUE_TIMESTAMP, TEXT("2024-02-29T12:00:00.000Z"));
    values[OPEN] = value_boolean(true);
    values[STATE] = value_text(VALUE_TEXT, TEXT("New"));
}

static void assert_closed(struct fixture *fixture, const char *name, const struct value *values,
                          const char *why) {
    const struct transition *transition =
        resource_transition(fixture->resource, text_from_string(name));
    bool open = transition_is_open(fixture->resource, transition, values, now, &fixture->arena,
                                   &fixture->failure);
    assert_true_for(open == !why, name);
    if (!why)
        return;
    assert_int_equal(fixture->failure.code, FAILURE_TRANSITION_CLOSED);
    assert_string_equal(fixture->failure.detail, why);
}

static void the_reason_is_in_words(void **state) {
    struct fixture fixture;
    struct value values[PROPERTIES];
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    fill(values);
    assert_closed(&fixture, "use", values, NULL);
    assert_closed(&fixture, "one", values, NULL);
    assert_closed(&fixture, "two", values, NULL);
    assert_closed(&fixture, "never", values, "never needs false");
    assert_closed(&fixture, "either", values, "either needs uses > 5 or not open");
    values[USES] = value_integer(7);
    assert_closed(&fixture, "use", values, "use needs (cap is null or uses < cap), and uses != 7");
    values[UNTIL] = value_text(VALUE_TIMESTAMP, TEXT("2024-02-29T11:59:59.999Z"));
    values[CAP] = value_null();
    values[OPEN] = value_null();
    assert_closed(&fixture, "use", values, "use needs until >= now(), and open, and uses != 7");
    assert_closed(&fixture, "two", values, "two needs open");
    values[STATE] = value_text(VALUE_TEXT, TEXT("Lost"));
    assert_closed(&fixture, "one", values, "state is Lost; one needs New");
    assert_closed(&fixture, "two", values, "state is Lost; two needs New or Used");
    assert_closed(&fixture, "three", values, "state is Lost; three needs New, Used or Worn out");
    values[STATE] = value_null(); // by somebody who writes past trestle
    assert_closed(&fixture, "one", values, "state is null; one needs New");
    fixture_end(&fixture);
}

static size_t check(struct fixture *fixture, const char *name, const struct value *values) {
    fixture->faults = (struct faults){.arena = &fixture->arena};
    const struct validation validation = {.resource = fixture->resource,
                                          .arena = &fixture->arena,
                                          .faults = &fixture->faults,
                                          .now = now};
    const struct transition *transition =
        resource_transition(fixture->resource, text_from_string(name));
    bool fits = transition_check(&validation, &transition->effect, values);
    assert_true(fits == (fixture->faults.count == 0));
    return fixture->faults.count;
}

static void only_what_was_set_is_checked(void **state) {
    struct fixture fixture;
    struct value values[PROPERTIES];
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    fill(values);
    values[UNTIL] = value_null(); // breaks a check that no effect is about
    assert_int_equal(check(&fixture, "use", values), 0);
    values[USES] = value_integer(6);
    assert_int_equal(check(&fixture, "use", values), 1);
    assert_text_is(fixture.faults.items[0].pointer, "");
    assert_text_is(fixture.faults.items[0].detail,
                   "must satisfy the check within: cap is null or uses <= cap");
    values[USES] = value_integer(10); // the check is not run where a value does not fit alone
    assert_int_equal(check(&fixture, "use", values), 1);
    assert_text_is(fixture.faults.items[0].pointer, "/uses");
    assert_text_is(fixture.faults.items[0].detail, "must be at most 9; it is 10");
    values[USES] = value_null();
    assert_int_equal(check(&fixture, "use", values), 1);
    assert_text_is(fixture.faults.items[0].detail, "is required");
    assert_int_equal(check(&fixture, "one", values), 0);
    fixture_end(&fixture);
}

static void no_memory_is_survived(void **state) {
    struct fixture fixture;
    struct value values[PROPERTIES];
    fixture_begin(&fixture, "things", things, STORE_SQLITE);
    fill(values);
    values[USES] = value_integer(7);
    for (ALLOCATION_FAILURES(nth)) {
        struct arena arena = {0};
        struct faults faults = {.arena = &arena};
        const struct validation validation = {fixture.resource, &arena, &faults, now};
        const struct transition *use = &fixture.resource->transitions[0];
        bool open =
            transition_is_open(fixture.resource, use, values, now, &arena, &fixture.failure);
        bool fits = transition_check(&validation, &use->effect, values);
        bool failed = allocation_allow();
        assert_false(open);
        assert_true(failed || fixture.failure.code == FAILURE_TRANSITION_CLOSED);
        assert_false(fits);
        assert_true(failed ? faults.out_of_memory || faults.count : faults.count == 1);
        arena_free(&arena);
        if (!failed)
            break;
    }
    fixture_end(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reason_is_in_words),
        cmocka_unit_test(only_what_was_set_is_checked),
        cmocka_unit_test(no_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
