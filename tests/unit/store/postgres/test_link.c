#include "store/postgres/link.h"

#include "unit/testing.h"

static void urls_that_libpq_reads(void **state) {
    static const char *const urls[] = {
        "postgresql://",
        "postgresql:///shop",
        "postgres://u:p%40ss%2Fword@h:5432/shop?sslmode=require",
        "postgresql://u@a:1,b:2,[::1]:3/shop?target_session_attrs=read-write",
        "postgresql://%2Frun%2Fpostgresql/shop",
        "postgresql://u@/shop?host=@abstract,/run/postgresql",
        "postgresql://u@h/an@odd%20name",
        "postgresql://u@h/shop?options=-csearch_path%3Dother",
    };
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct failure failure = {0};
        assert_true_for(pg_url_is_valid(urls[i], "the URL", &failure), urls[i]);
        assert_int_equal(failure.code, FAILURE_NONE);
    }
}

// What is wrong is said without a word of what may be a password.
static void urls_that_cannot_be_read(void **state) {
    static const char *const urls[] = {
        "postgresql://u:secret@[::1/x",         "postgresql://u:secret@[]/x",
        "postgresql://u:secret@[::1]x/x",       "postgresql://u:secret%00@h/x",
        "postgresql://u:secret%zz@h/x",         "postgresql://u:secret%4@h/x",
        "postgresql://u@h/x?password",          "postgresql://u@h/x?secret=secret",
        "postgresql://u@h/x?password=a=secret", "postgresql://u:very@secret@h/x",
        "postgresql://u:secret#y@h/x?port=1x",
    };
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct failure failure = {0};
        assert_true_for(!pg_url_is_valid(urls[i], "the URL", &failure), urls[i]);
        assert_int_equal(failure.code, FAILURE_INVALID_SETTING);
        assert_int_equal(strncmp(failure.detail, "the URL: ", 9), 0);
        assert_true_for(failure.detail[9] != '\0', urls[i]);
        assert_true_for(!strstr(failure.detail, "secret=") && !strstr(failure.detail, "secret@") &&
                            !strstr(failure.detail, "\"secret"),
                        failure.detail);
    }
}

static void what_keeps_from_connecting_is_one_line(void **state) {
    const struct pg_address address = {.url = "postgresql://u:secret@127.0.0.1:1,127.0.0.2:1/x",
                                       .connect_seconds = 2,
                                       .cached_statements = 4};
    struct failure failure = {0};
    assert_null(pg_link_open(&address, &failure));
    assert_int_equal(failure.code, FAILURE_UNAVAILABLE);
    assert_non_null(strstr(failure.detail, "127.0.0.1"));
    assert_non_null(strstr(failure.detail, "127.0.0.2"));
    assert_null(strchr(failure.detail, '\n'));
    assert_null(strstr(failure.detail, "secret"));
    pg_link_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_that_libpq_reads),
        cmocka_unit_test(urls_that_cannot_be_read),
        cmocka_unit_test(what_keeps_from_connecting_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
