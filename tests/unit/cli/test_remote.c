#include "cli/remote.h"

#include "unit/cli/resource_fixture.h"

static const struct command_option options[] = {REMOTE_OPTIONS, {.name = NULL}};
static const struct command command = {.name = "import", .options = options};

// A run whose options have these values.
struct run {
    const char *values[4]; // server, key, direct
    struct settings settings;
    struct invocation invocation;
    struct arena arena;
    bool is_remote;
    struct client_server server;
    struct failure failure;
};

static bool finds(struct run *run, const char *server, const char *key, const char *direct,
                  const char *admin_key) {
    // Nobody can answer at a descriptor.
    static struct listen_address nowhere = {.kind = LISTEN_DESCRIPTOR, .descriptor = 3};
    *run = (struct run){.values = {server, key, direct}};
    run->settings.listen = (struct listen_list){&nowhere, 1};
    run->settings.admin_key = admin_key;
    run->invocation = (struct invocation){
        .command = &command, .settings = &run->settings, .option_values = run->values};
    return remote_find(&run->invocation, &run->arena, &run->is_remote, &run->server, &run->failure);
}

static void without_a_server_it_is_the_database(void **state) {
    struct run run;
    assert_true(finds(&run, NULL, NULL, NULL, NULL));
    assert_false(run.is_remote);
}

static void a_server_may_be_named(void **state) {
    static const struct {
        const char *written;
        const char *url;
        const char *unix_socket;
    } cases[] = {
        {"http://example.org", "http://example.org", NULL},
        {"https://example.org:8443/base//", "https://example.org:8443/base", NULL},
        {"unix:/run/x", "http://localhost", "/run/x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run run;
        assert_true_for(finds(&run, cases[i].written, NULL, NULL, NULL), cases[i].written);
        assert_true(run.is_remote);
        assert_string_equal(run.server.url, cases[i].url);
        if (cases[i].unix_socket)
            assert_string_equal(run.server.unix_socket, cases[i].unix_socket);
        else
            assert_null(run.server.unix_socket);
        arena_free(&run.arena);
    }
}

static void what_is_no_server_is_refused(void **state) {
    static const char *const cases[] = {"example.org", "ftp://example.org", "unix:", "", "/run/x"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run run;
        assert_true_for(!finds(&run, cases[i], NULL, NULL, NULL), cases[i]);
        arena_free(&run.arena);
    }
}

static void direct_is_stronger_than_a_server(void **state) {
    struct run run;
    assert_true(finds(&run, "http://example.org", NULL, "", NULL));
    assert_false(run.is_remote);
    arena_free(&run.arena);
}

static void the_key_is_the_one_that_was_given(void **state) {
    struct run run;
    assert_true(finds(&run, "unix:x", "given", NULL, "configured"));
    assert_string_equal(run.server.key, "given");
    assert_true(finds(&run, "unix:x", NULL, NULL, "configured"));
    assert_string_equal(run.server.key, "configured");
    assert_true(finds(&run, "unix:x", NULL, NULL, NULL));
    assert_null(run.server.key);
}

static void a_key_that_would_break_the_request_is_refused(void **state) {
    static const char *const cases[] = {"a b", "a\r\nX: y", "\xC3\xA9", "tab\t"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run run;
        assert_true_for(!finds(&run, "unix:x", cases[i], NULL, NULL), cases[i]);
    }
}

static void resources_are_found_by_name_and_action(void **state) {
    struct resource_fixture fixture;
    struct failure failure;
    resource_fixture_begin(&fixture, "actions: [create, read]\nproperties: {a: {type: string}}\n");
    const struct plan *plan = remote_resource(fixture.catalogue, "things", ACTION_CREATE, &failure);
    assert_ptr_equal(plan->resource, fixture.resource);
    assert_null(remote_resource(fixture.catalogue, "things", ACTION_LIST, &failure));
    assert_string_equal(failure.detail, "the definition of things has no action \"list\"");
    assert_null(remote_resource(fixture.catalogue, "thinsg", ACTION_CREATE, &failure));
    assert_string_equal(failure.detail, "there is no resource \"thinsg\"; perhaps things is meant");
    assert_null(remote_resource(fixture.catalogue, "zzzzzz", ACTION_CREATE, &failure));
    assert_non_null(strstr(failure.detail, "there is no resource \"zzzzzz\""));
    resource_fixture_end(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_server_it_is_the_database),
        cmocka_unit_test(a_server_may_be_named),
        cmocka_unit_test(what_is_no_server_is_refused),
        cmocka_unit_test(direct_is_stronger_than_a_server),
        cmocka_unit_test(the_key_is_the_one_that_was_given),
        cmocka_unit_test(a_key_that_would_break_the_request_is_refused),
        cmocka_unit_test(resources_are_found_by_name_and_action),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
