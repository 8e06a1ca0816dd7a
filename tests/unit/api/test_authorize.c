// Who may do what: every kind of caller, every kind of access.
#include "api/authorize.h"

#include "unit/api/support.h"
#include "unit/testing.h"

#include "resource/definition_reader.h"

enum { OPEN, CLOSED, MIXED, BUILT_IN, RESOURCES };

static struct arena arena;
static struct resource *resources[RESOURCES];

static int set_up(void **state) {
    static const char *const files[] = {"open.yaml", "closed.yaml", "mixed.yaml", "built_in.yaml"};
    static const char *const sources[] = {
        "access: {read: public, write: public}\nproperties: {a: {type: string}}\n",
        "properties: {a: {type: string}}\n",
        "access: {read: public, write: key}\nproperties: {a: {type: string}}\n",
        "access: {read: admin, write: admin}\nproperties: {a: {type: string}}\n",
    };
    struct diagnostics diagnostics;
    diagnostics_init(&diagnostics, &arena);
    for (size_t i = 0; i < RESOURCES; i++) {
        struct text file = text_from_string(files[i]);
        struct text source = text_from_string(sources[i]);
        resources[i] = i == BUILT_IN ? definition_read_built_in(&arena, file, source, &diagnostics)
                                     : definition_read(&arena, file, source, &diagnostics);
        assert_non_null(resources[i]);
    }
    return 0;
}

static int tear_down(void **state) {
    for (size_t i = 0; i < RESOURCES; i++)
        definition_free(resources[i]);
    arena_free(&arena);
    return 0;
}

static const struct who {
    const char *name;
    enum identity_kind kind;
    enum key_state state;
    const char *scopes; // of a key that is known; NULL: none is
    bool replaced;
} nobody = {"nobody", IDENTITY_NOBODY, KEY_ABSENT, NULL, false},
  admin = {"the administrator", IDENTITY_ADMIN, KEY_GOOD, NULL, false};

static void become(struct exchange *exchange, const struct who *who) {
    struct failure failure;
    exchange->identity = (struct identity){.kind = who->kind, .state = who->state};
    if (!who->scopes)
        return;
    struct api_key_row row = {.id = TEXT("01890000-0000-7000-8000-000000000000"),
                              .scopes = text_from_string(who->scopes),
                              .active = true,
                              .replaced = who->replaced,
                              .ends_at = 1500000000000};
    exchange->identity.key = api_key_make(&row, &failure);
    assert_non_null(exchange->identity.key);
}

// What becomes of a request for one action; the failure and the challenge are the bench's.
static enum failure_code try(struct bench *bench, const struct who *who, int resource,
                             enum action action) {
    struct exchange *exchange = bench_begin(bench, HTTP_METHOD_GET, "GET", "/");
    struct handler handler = {.action = action};
    struct plan plan = {.resource = resources[resource]};
    exchange->handler = &handler;
    exchange->plan = &plan;
    become(exchange, who);
    enum step_result result = authorize(exchange);
    bool may = authorize_may(exchange, plan.resource, action);
    assert_int_equal(result, may ? STEP_NEXT : STEP_FAIL);
    authorize_challenge(exchange, &exchange->answer);
    buffer_append_byte(&exchange->answer.fields, '\0');
    identity_release(&exchange->identity);
    return result == STEP_NEXT ? FAILURE_NONE : exchange->failure.code;
}

static void expect(const struct who *who, int resource, enum action action,
                   enum failure_code code) {
    struct bench bench;
    enum failure_code found = try(&bench, who, resource, action);
    if (found != code)
        print_error("%s: %s of resource %d gave %s\n", who->name, action_name(action), resource,
                    failure_type(found));
    assert_int_equal(found, code);
    bench_end(&bench);
}

static void what_is_public_is_for_everybody(void **state) {
    static const struct who guests[] = {
        {"a typo", IDENTITY_NOBODY, KEY_MALFORMED, NULL, false},
        {"unknown", IDENTITY_NOBODY, KEY_UNKNOWN, NULL, false},
        {"inactive", IDENTITY_NOBODY, KEY_INACTIVE, "[\"admin\"]", false},
        {"expired", IDENTITY_NOBODY, KEY_EXPIRED, "[\"admin\"]", false},
        {"unchecked", IDENTITY_NOBODY, KEY_UNCHECKED, NULL, false},
        {"powerless", IDENTITY_KEY, KEY_GOOD, "[]", false},
    };
    for (size_t i = 0; i < ACTION_DELETE + 1; i++) {
        for (size_t j = 0; j < sizeof guests / sizeof *guests; j++)
            expect(&guests[j], OPEN, (enum action)i, FAILURE_NONE);
        expect(&nobody, OPEN, (enum action)i, FAILURE_NONE);
        expect(&admin, OPEN, (enum action)i, FAILURE_NONE);
    }
    expect(&nobody, MIXED, ACTION_LIST, FAILURE_NONE);
    expect(&nobody, MIXED, ACTION_READ, FAILURE_NONE);
    expect(&nobody, MIXED, ACTION_CREATE, FAILURE_KEY_REQUIRED);
}

// Whoever asks to see something of other resources must be allowed to read each of them.
static void what_is_seen_beside(void **state) {
    static const struct who reader = {"reader", IDENTITY_KEY, KEY_GOOD, "[\"mixed:read\"]", false},
                            other = {"other", IDENTITY_KEY, KEY_GOOD, "[\"closed:read\"]", false};
    static const struct {
        const struct who *who;
        enum failure_code code;
    } cases[] = {
        {&nobody, FAILURE_KEY_REQUIRED},
        {&reader, FAILURE_FORBIDDEN},
        {&other, FAILURE_NONE},
        {&admin, FAILURE_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench bench;
        struct exchange *exchange = bench_begin(&bench, HTTP_METHOD_GET, "GET", "/");
        const struct resource *seen[] = {resources[OPEN], resources[CLOSED], resources[MIXED]};
        const struct handler handler = {.action = ACTION_READ};
        const struct plan plan = {.resource = resources[OPEN]};
        exchange->handler = &handler;
        exchange->plan = &plan;
        become(exchange, cases[i].who);
        assert_int_equal(authorize_seen(exchange), STEP_NEXT); // nothing
        exchange->query = (struct query){.seen = seen, .seen_count = 3};
        enum step_result result = authorize_seen(exchange);
        assert_int_equal(result, cases[i].code == FAILURE_NONE ? STEP_NEXT : STEP_FAIL);
        assert_int_equal(exchange->failure.code, cases[i].code);
        authorize_challenge(exchange, &exchange->answer);
        buffer_append_byte(&exchange->answer.fields, '\0');
        assert_true((strstr(exchange->answer.fields.data, "scope=\"closed:read\"") != NULL) ==
                    (cases[i].code == FAILURE_FORBIDDEN));
        identity_release(&exchange->identity);
        bench_end(&bench);
    }
}

static void nobody_gets_in_without_a_good_key(void **state) {
    static const struct {
        struct who who;
        enum failure_code code;
    } cases[] = {
        {{"nobody", IDENTITY_NOBODY, KEY_ABSENT, NULL, false}, FAILURE_KEY_REQUIRED},
        {{"a typo", IDENTITY_NOBODY, KEY_MALFORMED, NULL, false}, FAILURE_KEY_INVALID},
        {{"unknown", IDENTITY_NOBODY, KEY_UNKNOWN, NULL, false}, FAILURE_KEY_INVALID},
        {{"inactive", IDENTITY_NOBODY, KEY_INACTIVE, "[\"admin\"]", false}, FAILURE_KEY_INACTIVE},
        {{"expired", IDENTITY_NOBODY, KEY_EXPIRED, "[\"admin\"]", false}, FAILURE_KEY_EXPIRED},
        {{"replaced", IDENTITY_NOBODY, KEY_EXPIRED, "[\"admin\"]", true}, FAILURE_KEY_EXPIRED},
        {{"queue full", IDENTITY_NOBODY, KEY_UNASKED, NULL, false}, FAILURE_QUEUE_FULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t action = 0; action <= ACTION_DELETE; action++) {
            expect(&cases[i].who, CLOSED, (enum action)action, cases[i].code);
            expect(&cases[i].who, BUILT_IN, (enum action)action, cases[i].code);
        }
    }
}

static void scopes_decide(void **state) {
    static const struct {
        struct who who;
        bool reads;
        bool writes;
        bool administers;
    } cases[] = {
        {{"none", IDENTITY_KEY, KEY_GOOD, "[]", false}, false, false, false},
        {{"read", IDENTITY_KEY, KEY_GOOD, "[\"closed:read\"]", false}, true, false, false},
        {{"write", IDENTITY_KEY, KEY_GOOD, "[\"closed:write\"]", false}, false, true, false},
        {{"both", IDENTITY_KEY, KEY_GOOD, "[\"closed:write\", \"closed:read\"]", false},
         true,
         true,
         false},
        {{"another's", IDENTITY_KEY, KEY_GOOD, "[\"open:read\", \"open:write\"]", false},
         false,
         false,
         false},
        {{"all read", IDENTITY_KEY, KEY_GOOD, "[\"*:read\"]", false}, true, false, false},
        {{"all write", IDENTITY_KEY, KEY_GOOD, "[\"*:write\"]", false}, false, true, false},
        {{"built in", IDENTITY_KEY, KEY_GOOD, "[\"built_in:read\", \"built_in:write\"]", false},
         false,
         false,
         false},
        {{"admin", IDENTITY_KEY, KEY_GOOD, "[\"admin\"]", false}, true, true, true},
        {{"administrator", IDENTITY_ADMIN, KEY_GOOD, NULL, false}, true, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t n = 0; n <= ACTION_DELETE; n++) {
            enum action action = (enum action)n;
            bool may = action_reads(action) ? cases[i].reads : cases[i].writes;
            expect(&cases[i].who, CLOSED, action, may ? FAILURE_NONE : FAILURE_FORBIDDEN);
            expect(&cases[i].who, BUILT_IN, action,
                   cases[i].administers ? FAILURE_NONE : FAILURE_FORBIDDEN);
        }
    }
}

static void challenge(const struct who *who, int resource, enum action action, const char *line) {
    struct bench bench;
    try(&bench, who, resource, action);
    assert_string_equal(bench.exchange.answer.fields.data, line);
    bench_end(&bench);
}

// RFC 6750 section 3.
static void challenges_say_what_is_missing(void **state) {
    static const struct who powerless = {"powerless", IDENTITY_KEY, KEY_GOOD, "[]", false};
    static const struct who expired = {"expired", IDENTITY_NOBODY, KEY_EXPIRED, "[]", false};
    static const struct who unknown = {"unknown", IDENTITY_NOBODY, KEY_UNKNOWN, NULL, false};
    challenge(&admin, CLOSED, ACTION_LIST, "");
    challenge(&nobody, OPEN, ACTION_LIST, "");
    challenge(&nobody, CLOSED, ACTION_LIST, "WWW-Authenticate: Bearer realm=\"trestle\"\r\n");
    challenge(&unknown, CLOSED, ACTION_LIST,
              "WWW-Authenticate: Bearer realm=\"trestle\", error=\"invalid_token\"\r\n");
    challenge(&expired, CLOSED, ACTION_LIST,
              "WWW-Authenticate: Bearer realm=\"trestle\", error=\"invalid_token\"\r\n");
    challenge(&powerless, CLOSED, ACTION_READ,
              "WWW-Authenticate: Bearer realm=\"trestle\", error=\"insufficient_scope\", "
              "scope=\"closed:read\"\r\n");
    challenge(&powerless, CLOSED, ACTION_DELETE,
              "WWW-Authenticate: Bearer realm=\"trestle\", error=\"insufficient_scope\", "
              "scope=\"closed:write\"\r\n");
    challenge(&powerless, BUILT_IN, ACTION_LIST,
              "WWW-Authenticate: Bearer realm=\"trestle\", error=\"insufficient_scope\", "
              "scope=\"admin\"\r\n");
}

static void the_end_is_told(void **state) {
    static const struct who expired = {"expired", IDENTITY_NOBODY, KEY_EXPIRED, "[]", false};
    static const struct who replaced = {"replaced", IDENTITY_NOBODY, KEY_EXPIRED, "[]", true};
    struct bench bench;
    try(&bench, &expired, CLOSED, ACTION_LIST);
    assert_string_equal(bench.exchange.failure.detail,
                        "this API key expired at 2017-07-14T02:40:00.000Z");
    bench_end(&bench);
    try(&bench, &replaced, CLOSED, ACTION_LIST);
    assert_non_null(strstr(bench.exchange.failure.detail, "was replaced"));
    bench_end(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_public_is_for_everybody),   cmocka_unit_test(what_is_seen_beside),
        cmocka_unit_test(nobody_gets_in_without_a_good_key), cmocka_unit_test(scopes_decide),
        cmocka_unit_test(challenges_say_what_is_missing),    cmocka_unit_test(the_end_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
