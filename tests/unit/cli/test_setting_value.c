#include "cli/setting_value.h"

#include "unit/testing.h"

#include <inttypes.h>

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

static bool read_as(const char *name, const char *value, struct settings *settings,
                    struct failure *failure) {
    *settings = (struct settings){0};
    return setting_value_read(setting_named(name), text_from_string(value), settings, failure);
}

static void addresses_are_read(void **state) {
    static const struct {
        const char *text;
        enum listen_kind kind;
        const char *where; // host or path
        int number;        // port or descriptor
    } cases[] = {
        {"127.0.0.1:8080", LISTEN_TCP, "127.0.0.1", 8080},
        {"0.0.0.0:0", LISTEN_TCP, "0.0.0.0", 0},
        {"localhost:65535", LISTEN_TCP, "localhost", 65535},
        {"my-host.example.org:80", LISTEN_TCP, "my-host.example.org", 80},
        {"[::]:8080", LISTEN_TCP, "::", 8080},
        {"[fe80::1%eth0]:8080", LISTEN_TCP, "fe80::1%eth0", 8080},
        {"[::ffff:127.0.0.1]:1", LISTEN_TCP, "::ffff:127.0.0.1", 1},
        {"unix:/run/trestle/http", LISTEN_UNIX, "/run/trestle/http", 0},
        {"unix:a:b", LISTEN_UNIX, "a:b", 0},
        {"fd:3", LISTEN_DESCRIPTOR, NULL, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct settings settings;
        struct failure failure;
        assert_true_for(read_as("listen", cases[i].text, &settings, &failure), cases[i].text);
        assert_int_equal(settings.listen.count, 1);
        const struct listen_address *address = &settings.listen.items[0];
        assert_int_equal(address->kind, cases[i].kind);
        assert_string_equal(address->text, cases[i].text);
        if (address->kind == LISTEN_TCP) {
            assert_string_equal(address->host, cases[i].where);
            assert_int_equal(address->port, cases[i].number);
        } else if (address->kind == LISTEN_UNIX) {
            assert_string_equal(address->path, cases[i].where);
        } else {
            assert_int_equal(address->descriptor, cases[i].number);
        }
        settings_free(&settings);
    }
}

static void a_list_of_addresses_is_read(void **state) {
    struct settings settings;
    struct failure failure;
    assert_true(read_as("listen", "127.0.0.1:80, [::1]:80,unix:x", &settings, &failure));
    assert_int_equal(settings.listen.count, 3);
    assert_string_equal(settings.listen.items[1].text, "[::1]:80");
    assert_string_equal(settings.listen.items[2].path, "x");
    settings_free(&settings);
    assert_false(read_as("listen", "127.0.0.1:80,", &settings, &failure));
    assert_int_equal(settings.listen.count, 0);
    settings_free(&settings);
}

static void what_is_no_address_is_refused(void **state) {
    static const char *const cases[] = {
        "",         "8080",   ":8080",      "127.0.0.1", "127.0.0.1:",  "127.0.0.1:x",
        "::1:8080", "[::1]",  "[::1]8080",  "[]:80",     "[::g]:80",    "[127.0.0.1]:80",
        "a b:80",   "a/b:80", "host:65536", "host:-1",   "host:080",    "http://host:80",
        "unix:",    "fd:",    "fd:2",       "fd:x",      "fd:99999999", "[::1:80",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct settings settings;
        struct failure failure = {0};
        assert_true_for(!read_as("listen", cases[i], &settings, &failure), cases[i]);
        assert_int_equal(failure.code, FAILURE_INVALID_SETTING);
        settings_free(&settings);
    }
}

static void a_socket_path_must_fit(void **state) {
    char longest[5 + 107 + 1] = "unix:";
    char longer[5 + 108 + 1] = "unix:";
    struct settings settings;
    struct failure failure;
    memset(longest + 5, 'x', 107);
    memset(longer + 5, 'x', 108);
    assert_true(read_as("listen", longest, &settings, &failure));
    settings_free(&settings);
    assert_false(read_as("listen", longer, &settings, &failure));
    settings_free(&settings);
}

static void databases_are_read(void **state) {
    struct settings settings;
    struct failure failure;
    assert_true(read_as("database", "sqlite:data/x.db", &settings, &failure));
    assert_int_equal(settings.database.dialect, STORE_SQLITE);
    assert_string_equal(settings.database.path, "data/x.db");
    settings_free(&settings);
    assert_true(read_as("database", "sqlite:/a b.db", &settings, &failure));
    assert_string_equal(settings.database.path, "/a b.db");
    assert_null(settings.database.url);
    settings_free(&settings);
    static const char *const urls[] = {"postgresql://u:p@[::1]:5433,b/x?sslmode=require",
                                       "postgres://"};
    for (size_t i = 0; i < 2; i++) {
        assert_true(read_as("database", urls[i], &settings, &failure));
        assert_int_equal(settings.database.dialect, STORE_POSTGRES);
        assert_string_equal(settings.database.url, urls[i]);
        assert_null(settings.database.path);
        settings_free(&settings);
    }
}

static void other_databases_are_refused_in_words(void **state) {
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {"postgres:x", "postgresql://"},
        {"postgresql:/u:secret@h/x", "postgresql://"},
        {"sqlite:", "sqlite:PATH"},
        {"data/x.db", "sqlite:PATH"},
        {"", "sqlite:PATH"},
        {"sqlite:///srv/x.db", "write sqlite:/srv/x.db"},
        {"sqlite::memory:", "would be lost"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct settings settings;
        struct failure failure = {0};
        assert_true_for(!read_as("database", cases[i].text, &settings, &failure), cases[i].text);
        assert_true_for(strstr(failure.detail, cases[i].says) != NULL, failure.detail);
        assert_null(strstr(failure.detail, "secret"));
        settings_free(&settings);
    }
}

static void a_secret_is_never_repeated(void **state) {
    static const char *const cases[] = {"tooshort", "has a blank in it all",
                                        ("control\x01"
                                         "character"),
                                        "gar\xC3\xA7on-gar\xC3\xA7on-gar"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct settings settings;
        struct failure failure = {0};
        assert_true_for(!read_as("admin_key", cases[i], &settings, &failure), cases[i]);
        assert_null(strstr(failure.detail, cases[i]));
        assert_null(settings.admin_key);
        settings_free(&settings);
    }
}

static void a_long_enough_secret_is_taken(void **state) {
    struct settings settings;
    struct failure failure;
    assert_true(read_as("admin_key", "0123456789abcdef", &settings, &failure));
    assert_string_equal(settings.admin_key, "0123456789abcdef");
    settings_free(&settings);
    assert_false(read_as("admin_key", "0123456789abcde", &settings, &failure));
    settings_free(&settings);
}

static void bounds_are_told(void **state) {
    struct settings settings;
    struct failure failure;
    assert_true(read_as("workers", "1024", &settings, &failure));
    assert_int_equal(settings.workers, 1024);
    assert_false(read_as("workers", "1025", &settings, &failure));
    assert_non_null(strstr(failure.detail, "from 0 to 1024"));
    assert_false(read_as("workers", "-1", &settings, &failure));
    assert_false(read_as("queue_limit", "0", &settings, &failure));
    assert_true(read_as("max_body", "1KiB", &settings, &failure));
    assert_int_equal(settings.max_body, 1024);
    assert_false(read_as("max_body", "1023", &settings, &failure));
    assert_non_null(strstr(failure.detail, "1KiB to 1GiB"));
    assert_true(read_as("idle_timeout", "1d", &settings, &failure));
    assert_int_equal(settings.idle_timeout, 86400000);
    assert_false(read_as("idle_timeout", "2d", &settings, &failure));
    assert_non_null(strstr(failure.detail, "100ms to 1d"));
    assert_true(read_as("shutdown_timeout", "0", &settings, &failure));
    settings_free(&settings);
}

static void switches_are_on_or_off(void **state) {
    static const struct {
        const char *text;
        bool fits;
        bool on;
    } cases[] = {{"on", true, true},     {"true", true, true},  {"off", true, false},
                 {"false", true, false}, {"yes", false, false}, {"1", false, false},
                 {"ON", false, false},   {"", false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct settings settings;
        struct failure failure;
        assert_true_for(read_as("log_access", cases[i].text, &settings, &failure) == cases[i].fits,
                        cases[i].text);
        assert_true_for(settings.log_access == cases[i].on, cases[i].text);
        settings_free(&settings);
    }
}

static void a_direct_way_is_on_or_off_or_a_url(void **state) {
    static const struct {
        const char *text;
        bool fits;
        const char *value;
    } cases[] = {{"on", true, ""},
                 {"true", true, ""},
                 {"off", true, NULL},
                 {"false", true, NULL},
                 {"postgresql://u:secret@h/x", true, "postgresql://u:secret@h/x"},
                 {"postgres://h", true, "postgres://h"},
                 {"sqlite:secret", false, NULL},
                 {"secret", false, NULL},
                 {"", false, NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct settings settings;
        struct failure failure;
        bool fits = read_as("database_listen", cases[i].text, &settings, &failure);
        assert_true_for(fits == cases[i].fits, cases[i].text);
        assert_true_for(!settings.database_listen == !cases[i].value, cases[i].text);
        if (cases[i].value)
            assert_string_equal(settings.database_listen, cases[i].value);
        if (!fits)
            assert_null(strstr(failure.detail, "secret"));
        settings_free(&settings);
    }
}

static void choices_are_words(void **state) {
    struct settings settings;
    struct failure failure;
    assert_true(read_as("log_level", "error", &settings, &failure));
    assert_int_equal(settings.log_level, LOG_ERROR);
    assert_true(read_as("log", "json", &settings, &failure));
    assert_int_equal(settings.log, LOG_JSON);
    assert_true(read_as("migrate", "never", &settings, &failure));
    assert_int_equal(settings.migrate, MIGRATE_NEVER);
    assert_false(read_as("log_level", "warn", &settings, &failure));
    assert_string_equal(failure.detail, "\"warn\" is none of debug, info, warning, error");
    settings_free(&settings);
}

static void networks_are_read(void **state) {
    struct settings settings = {0};
    struct failure failure;
    assert_true(read_as("trusted_proxies", "10.0.0.0/8, ::1,unix, 192.0.2.7", &settings, &failure));
    assert_int_equal(settings.proxies.trusted.count, 3);
    assert_true(settings.proxies.trusted.unix_sockets);
    settings_free(&settings);
    assert_true(read_as("trusted_proxies", "none", &settings, &failure));
    assert_int_equal(settings.proxies.trusted.count, 0);
    assert_false(settings.proxies.trusted.unix_sockets);
    static const char *const wrong[] = {"",      "10.0.0.0/8,",    "none,unix",   "*",
                                        "Unix",  "10.0.0.1/8",     "proxy.local", "10.0.0.0/33",
                                        "[::1]", "10.0.0.0/8 ::1", "unix:/run/x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_true_for(!read_as("trusted_proxies", wrong[i], &settings, &failure), wrong[i]);
        settings_free(&settings);
    }
}

static void rates_are_read(void **state) {
    struct settings settings = {0};
    struct failure failure;
    assert_true(read_as("rate_limit_key", "60/m burst 100", &settings, &failure));
    assert_int_equal(settings.rate_limit_key.burst, 100);
    assert_false(read_as("rate_limit_key", "60", &settings, &failure));
    assert_non_null(strstr(failure.detail, "\"60\" is no rate"));
    assert_true(read_as("rate_limit_key", "off", &settings, &failure));
    assert_false(rate_is_limit(&settings.rate_limit_key));
    settings_free(&settings);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read),
        cmocka_unit_test(a_list_of_addresses_is_read),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(a_socket_path_must_fit),
        cmocka_unit_test(databases_are_read),
        cmocka_unit_test(other_databases_are_refused_in_words),
        cmocka_unit_test(a_secret_is_never_repeated),
        cmocka_unit_test(a_long_enough_secret_is_taken),
        cmocka_unit_test(bounds_are_told),
        cmocka_unit_test(switches_are_on_or_off),
        cmocka_unit_test(a_direct_way_is_on_or_off_or_a_url),
        cmocka_unit_test(choices_are_words),
        cmocka_unit_test(networks_are_read),
        cmocka_unit_test(rates_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
