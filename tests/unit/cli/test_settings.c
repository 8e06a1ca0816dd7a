#include "cli/settings.h"

#include "unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// A folder of its own, in which the test runs, so that no trestle.yaml is there by chance.
struct fixture {
    char folder[64];
    struct arena arena;
    struct diagnostics diagnostics;
    struct settings settings;
    struct buffer said;
};

static int set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){.folder = "/tmp/trestle-settings-XXXXXX"};
    diagnostics_init(&fixture.diagnostics, &fixture.arena);
    *state = &fixture;
    return mkdtemp(fixture.folder) && chdir(fixture.folder) == 0 ? 0 : 1;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    settings_free(&fixture->settings);
    arena_free(&fixture->arena);
    buffer_free(&fixture->said);
    (void)unlink("trestle.yaml");
    (void)unlink("other.yaml");
    (void)unlink("key");
    return chdir("/") == 0 && rmdir(fixture->folder) == 0 ? 0 : 1;
}

static void write_file(const char *path, const char *content) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static const struct setting *setting_named(const char *name) {
    size_t count;
    const struct setting *table = settings_table(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    }
    fail_msg("there is no setting %s", name);
    return NULL;
}

static bool read_all(struct fixture *fixture, const struct settings_sources *sources) {
    settings_free(&fixture->settings);
    diagnostics_init(&fixture->diagnostics, &fixture->arena);
    buffer_clear(&fixture->said);
    bool ok = settings_read(sources, &fixture->settings, &fixture->diagnostics);
    diagnostics_print(&fixture->diagnostics, &fixture->said);
    buffer_append_byte(&fixture->said, '\0');
    return ok;
}

static bool read_environment(struct fixture *fixture, const char *const *environment) {
    struct settings_sources sources = {.environment = (char *const *)environment,
                                       .reads_secrets = true};
    return read_all(fixture, &sources);
}

static bool read_file(struct fixture *fixture, const char *content) {
    write_file("trestle.yaml", content);
    return read_environment(fixture, NULL);
}

static void without_any_source_the_defaults_count(void **state) {
    struct fixture *fixture = *state;
    assert_true(read_environment(fixture, NULL));
    const struct settings *settings = &fixture->settings;
    assert_int_equal(settings->listen.count, 1);
    assert_string_equal(settings->listen.items[0].host, "127.0.0.1");
    assert_int_equal(settings->listen.items[0].port, 8080);
    assert_string_equal(settings->database.path, "data/trestle.db");
    assert_string_equal(settings->resources, "resources");
    assert_string_equal(settings->data, "data");
    assert_null(settings->admin_key);
    assert_null(settings->log_file);
    assert_int_equal(settings->workers, 0);
    assert_int_equal(settings->log, LOG_TEXT);
    assert_int_equal(settings->log_level, LOG_INFO);
    assert_true(settings->log_access);
    assert_int_equal(settings->migrate, MIGRATE_AUTO);
    assert_int_equal(settings->max_body, 8 << 20);
    assert_int_equal(settings->max_head, 16 << 10);
    assert_int_equal(settings->request_timeout, 30000);
    assert_int_equal(settings->idle_timeout, 75000);
    assert_int_equal(settings->query_timeout, 5000);
    assert_int_equal(settings->queue_limit, 8192);
    assert_int_equal(settings->proxies.trusted.count, 0);
    assert_false(settings->proxies.trusted.unix_sockets);
    assert_int_equal(settings->proxies.field, PROXY_X_FORWARDED_FOR);
    assert_false(rate_is_limit(&settings->rate_limit_key));
    assert_false(rate_is_limit(&settings->rate_limit_address));
    assert_int_equal(settings->rate_limit_failures.burst, 100);
}

static void proxies_may_be_a_list(void **state) {
    struct fixture *fixture = *state;
    assert_true(read_file(fixture, "trusted_proxies: [10.0.0.0/8, '2001:db8::/32', unix]\n"
                                   "proxy_field: forwarded\nrate_limit_key: 6000/m burst 7\n"));
    assert_int_equal(fixture->settings.proxies.trusted.count, 2);
    assert_true(fixture->settings.proxies.trusted.unix_sockets);
    assert_int_equal(fixture->settings.proxies.field, PROXY_FORWARDED);
    assert_int_equal(fixture->settings.rate_limit_key.burst, 7);
}

static void bad_proxies_and_rates_are_told_with_their_places(void **state) {
    struct fixture *fixture = *state;
    assert_false(read_file(fixture, "trusted_proxies: [10.0.0.0/8,\n  10.0.0.1/8]\n"
                                    "rate_limit_address: 100\n"));
    assert_non_null(strstr(fixture->said.data, "trestle.yaml:1:18: trusted_proxies: "));
    assert_non_null(strstr(fixture->said.data, "10.0.0.1/8"));
    assert_non_null(strstr(fixture->said.data, "trestle.yaml:3:21: rate_limit_address: "));
}

static void each_source_is_stronger_than_the_one_before(void **state) {
    struct fixture *fixture = *state;
    static const char *const environment[] = {"TRESTLE_DATA=from-variable",
                                              "TRESTLE_LOG_FILE=from-variable", NULL};
    const struct setting_flag flag = {setting_named("log_file"), "from-flag"};
    struct settings_sources sources = {
        .environment = (char *const *)environment, .flags = &flag, .flag_count = 1};
    write_file("trestle.yaml", "resources: from-file\ndata: from-file\nlog_file: from-file\n");
    assert_true(read_all(fixture, &sources));
    assert_string_equal(fixture->settings.resources, "from-file");
    assert_string_equal(fixture->settings.data, "from-variable");
    assert_string_equal(fixture->settings.log_file, "from-flag");
}

static void a_file_may_be_named(void **state) {
    struct fixture *fixture = *state;
    static const char *const environment[] = {"TRESTLE_CONFIG=other.yaml", NULL};
    write_file("trestle.yaml", "data: wrong\n");
    write_file("other.yaml", "data: right\n");
    assert_true(read_environment(fixture, environment));
    assert_string_equal(fixture->settings.data, "right");
    struct settings_sources sources = {.config = "trestle.yaml",
                                       .environment = (char *const *)environment};
    assert_true(read_all(fixture, &sources));
    assert_string_equal(fixture->settings.data, "wrong");
}

static void a_named_file_must_be_there(void **state) {
    struct fixture *fixture = *state;
    struct settings_sources sources = {.config = "missing.yaml"};
    assert_false(read_all(fixture, &sources));
    assert_string_equal(fixture->said.data,
                        "missing.yaml: it cannot be read: No such file or directory\n");
}

static void what_a_file_may_hold(void **state) {
    struct fixture *fixture = *state;
    assert_true(read_file(fixture, ""));
    assert_true(read_file(fixture, "# nothing\n"));
    assert_true(read_file(fixture, "log_access: on\nworkers: 3\nmax_body: 8388608\nadmin_key:\n"));
    assert_true(fixture->settings.log_access);
    assert_int_equal(fixture->settings.workers, 3);
    assert_int_equal(fixture->settings.max_body, 8388608);
    assert_null(fixture->settings.admin_key);
    assert_true(read_file(fixture, "log_access: false\nidle_timeout: \"2m\"\n"));
    assert_false(fixture->settings.log_access);
    assert_int_equal(fixture->settings.idle_timeout, 120000);
    assert_true(read_file(fixture, "listen: [127.0.0.1:1, 'unix:x']\n"));
    assert_int_equal(fixture->settings.listen.count, 2);
}

static void all_faults_of_a_file_are_told_with_their_places(void **state) {
    struct fixture *fixture = *state;
    assert_false(read_file(fixture, "lissten: 127.0.0.1:1\n"
                                    "workers: many\n"
                                    "log_level:  verbose\n"
                                    "zzzzzzzz: 1\n"
                                    "data: [a]\n"
                                    "resources: {a: b}\n"
                                    "listen: []\n"));
    assert_string_equal(
        fixture->said.data,
        "trestle.yaml:1:1: there is no setting \"lissten\"; perhaps listen is meant\n"
        "trestle.yaml:2:10: workers: \"many\" is no integer from 0 to 1024\n"
        "trestle.yaml:3:13: log_level: \"verbose\" is none of debug, info, warning, "
        "error\n"
        "trestle.yaml:4:1: there is no setting \"zzzzzzzz\"; \"trestle help serve\" "
        "lists them\n"
        "trestle.yaml:5:7: data: one value is expected, not a list\n"
        "trestle.yaml:6:12: resources: one value is expected, not a mapping\n"
        "trestle.yaml:7:9: listen: an address or a list of them is expected, not a "
        "list\n");
}

static void what_is_no_mapping_is_refused(void **state) {
    struct fixture *fixture = *state;
    assert_false(read_file(fixture, "- a\n"));
    assert_non_null(strstr(fixture->said.data, "trestle.yaml:1:1: "));
    assert_false(read_file(fixture, "data: x\ndata: y\n"));
    assert_non_null(strstr(fixture->said.data, "trestle.yaml:2:1: "));
    assert_false(read_file(fixture, "data: {\n"));
}

static void faults_of_all_sources_are_told_at_once(void **state) {
    struct fixture *fixture = *state;
    static const char *const environment[] = {
        "PATH=/bin",         "TRESTLE=x",           "TRESTLE_WORKER=1",
        "TRESTLE_WORKERS=x", "TRESTLE_ZZZZZZZZ=",   "TRESTLE_data=x",
        "TRESTLE_KEY=x",     "TRESTLE_SERVER=http", NULL};
    const struct setting_flag flag = {setting_named("max_body"), "big"};
    struct settings_sources sources = {
        .environment = (char *const *)environment, .flags = &flag, .flag_count = 1};
    write_file("trestle.yaml", "log: xml\n");
    assert_false(read_all(fixture, &sources));
    static const char *const expected[] = {
        "trestle.yaml:1:6: log: \"xml\" is none of text, json\n",
        "TRESTLE_WORKER: there is no such setting; perhaps TRESTLE_WORKERS is meant\n",
        "TRESTLE_WORKERS: \"x\" is no integer from 0 to 1024\n",
        "TRESTLE_ZZZZZZZZ: there is no such setting;",
        "TRESTLE_data: there is no such setting;",
        "--max-body: \"big\" is no size; write 8MiB, 64KiB or a number of bytes\n",
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_true_for(strstr(fixture->said.data, expected[i]) != NULL, expected[i]);
    assert_int_equal(fixture->diagnostics.count, sizeof expected / sizeof *expected);
}

static void an_empty_variable_is_not_set(void **state) {
    struct fixture *fixture = *state;
    static const char *const environment[] = {
        "TRESTLE_DATA=", "TRESTLE_ADMIN_KEY=", "TRESTLE_CONFIG=", NULL};
    assert_true(read_environment(fixture, environment));
    assert_string_equal(fixture->settings.data, "data");
    assert_null(fixture->settings.admin_key);
}

static void the_key_may_be_in_a_file(void **state) {
    struct fixture *fixture = *state;
    static const char *const environment[] = {"TRESTLE_ADMIN_KEY_FILE=key", NULL};
    write_file("key", "0123456789abcdef\r\n");
    assert_true(read_environment(fixture, environment));
    assert_string_equal(fixture->settings.admin_key, "0123456789abcdef");
    write_file("key", "short\n");
    assert_false(read_environment(fixture, environment));
    assert_non_null(strstr(fixture->said.data, "the key in key does not do"));
    assert_null(strstr(fixture->said.data, "short"));
    assert_int_equal(unlink("key"), 0);
    assert_false(read_environment(fixture, environment));
    assert_non_null(strstr(fixture->said.data, "key cannot be read"));
    struct settings_sources sources = {.environment = (char *const *)environment};
    assert_true(read_all(fixture, &sources)); // who needs no secret needs no file
    assert_null(fixture->settings.admin_key);
}

static void the_stronger_source_of_the_key_counts(void **state) {
    struct fixture *fixture = *state;
    static const char *const environment[] = {"TRESTLE_ADMIN_KEY=from-a-variable-1", NULL};
    write_file("key", "from-a-key-file-1");
    write_file("trestle.yaml", "admin_key_file: key\n");
    assert_true(read_environment(fixture, environment));
    assert_string_equal(fixture->settings.admin_key, "from-a-variable-1");
    write_file("trestle.yaml", "admin_key: from-trestle-yaml\n");
    static const char *const by_file[] = {"TRESTLE_ADMIN_KEY_FILE=key", NULL};
    assert_true(read_environment(fixture, by_file));
    assert_string_equal(fixture->settings.admin_key, "from-a-key-file-1");
    write_file("trestle.yaml", "admin_key: from-trestle-yaml\nadmin_key_file: key\n");
    assert_false(read_environment(fixture, NULL));
    assert_non_null(strstr(fixture->said.data, "keep one of the two"));
    assert_null(strstr(fixture->said.data, "from-trestle-yaml"));
}

static void a_secret_in_a_file_is_never_shown(void **state) {
    struct fixture *fixture = *state;
    assert_false(read_file(fixture, "admin_key: hunter2\n"));
    assert_non_null(strstr(fixture->said.data, "trestle.yaml:1:12: admin_key: "));
    assert_null(strstr(fixture->said.data, "hunter2"));
}

static void the_table_is_whole(void **state) {
    size_t count;
    const struct setting *table = settings_table(&count);
    for (size_t i = 0; i < count; i++) {
        assert_true_for(table[i].help && *table[i].help, table[i].name);
        assert_true_for(table[i].used_by != 0, table[i].name);
        assert_true_for(table[i].offset < offsetof(struct settings, arena), table[i].name);
        assert_true_for((table[i].type == SETTING_CHOICE) == (table[i].choices != NULL),
                        table[i].name);
        assert_non_null(setting_placeholder(&table[i]));
        for (size_t j = 0; j < i; j++)
            assert_true_for(table[i].offset != table[j].offset, table[i].name);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(without_any_source_the_defaults_count),
        TEST(each_source_is_stronger_than_the_one_before),
        TEST(a_file_may_be_named),
        TEST(a_named_file_must_be_there),
        TEST(what_a_file_may_hold),
        TEST(all_faults_of_a_file_are_told_with_their_places),
        TEST(proxies_may_be_a_list),
        TEST(bad_proxies_and_rates_are_told_with_their_places),
        TEST(what_is_no_mapping_is_refused),
        TEST(faults_of_all_sources_are_told_at_once),
        TEST(an_empty_variable_is_not_set),
        TEST(the_key_may_be_in_a_file),
        TEST(the_stronger_source_of_the_key_counts),
        TEST(a_secret_in_a_file_is_never_shown),
        TEST(the_table_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
