#include "cli/record_writer.h"

#include "unit/cli/resource_fixture.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    struct resource_fixture resource;
    struct record_writer writer;
    struct failure failure;
    char folder[40];
    char path[64];
};

static int set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){.folder = "/tmp/trestle-writer-XXXXXX"};
    if (!mkdtemp(fixture.folder))
        return 1;
    (void)snprintf(fixture.path, sizeof fixture.path, "%s/out", fixture.folder);
    resource_fixture_begin(&fixture.resource,
                           "properties: {name: {type: string}, n: {type: integer}}\n");
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    record_writer_abandon(&fixture->writer);
    resource_fixture_end(&fixture->resource);
    (void)unlink(fixture->path);
    return rmdir(fixture->folder); // fails where anything else was left
}

static void begin(struct fixture *fixture, enum record_format format) {
    bool ok = record_writer_open(&fixture->writer, fixture->path, format,
                                 fixture->resource.resource, &fixture->failure);
    assert_true_for(ok, fixture->failure.detail);
}

static void add(struct fixture *fixture, const char *record) {
    assert_true(record_writer_add(&fixture->writer, text_from_string(record), &fixture->failure));
}

static void assert_file(struct fixture *fixture, const char *expected) {
    char content[1000];
    FILE *file = fopen(fixture->path, "r");
    assert_non_null(file);
    size_t size = fread(content, 1, sizeof content, file);
    assert_int_equal(fclose(file), 0);
    assert_text_is(text_of(content, size), expected);
}

static size_t files_in(const char *folder) {
    size_t count = 0;
    DIR *handle = opendir(folder);
    assert_non_null(handle);
    while (readdir(handle))
        count++;
    assert_int_equal(closedir(handle), 0);
    return count - 2; // . and ..
}

static void each_format_is_written(void **state) {
    static const struct {
        enum record_format format;
        const char *none;
        const char *two;
    } cases[] = {
        {RECORDS_NDJSON, "", "{\"id\":1,\"name\":\"a\",\"n\":null}\n{\"id\":2,\"name\":\"\"}\n"},
        {RECORDS_JSON, "[]\n",
         "[\n{\"id\":1,\"name\":\"a\",\"n\":null},\n{\"id\":2,\"name\":\"\"}\n]\n"},
        {RECORDS_CSV, "id,name,n\r\n", "id,name,n\r\n1,a,\r\n2,\"\",\r\n"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin(fixture, cases[i].format);
        assert_true(record_writer_finish(&fixture->writer, &fixture->failure));
        assert_file(fixture, cases[i].none);
        begin(fixture, cases[i].format);
        add(fixture, "{\"id\":1,\"name\":\"a\",\"n\":null}");
        add(fixture, "{\"id\":2,\"name\":\"\"}");
        assert_true(record_writer_finish(&fixture->writer, &fixture->failure));
        assert_file(fixture, cases[i].two);
    }
}

static void the_old_file_stands_until_the_new_one_is_whole(void **state) {
    struct fixture *fixture = *state;
    begin(fixture, RECORDS_NDJSON);
    add(fixture, "{\"id\":1}");
    assert_true(record_writer_finish(&fixture->writer, &fixture->failure));
    begin(fixture, RECORDS_NDJSON);
    add(fixture, "{\"id\":2}");
    assert_file(fixture, "{\"id\":1}\n");
    assert_int_equal(files_in(fixture->folder), 2);
    record_writer_abandon(&fixture->writer);
    assert_file(fixture, "{\"id\":1}\n");
    assert_int_equal(files_in(fixture->folder), 1);
}

static void what_was_never_finished_is_not_there(void **state) {
    struct fixture *fixture = *state;
    begin(fixture, RECORDS_CSV);
    record_writer_abandon(&fixture->writer);
    record_writer_abandon(&fixture->writer);
    assert_int_equal(files_in(fixture->folder), 0);
}

static void a_folder_that_is_not_there_is_told(void **state) {
    struct fixture *fixture = *state;
    assert_false(record_writer_open(&fixture->writer, "/nowhere/out", RECORDS_JSON,
                                    fixture->resource.resource, &fixture->failure));
    assert_string_equal(fixture->failure.detail,
                        "/nowhere/out cannot be written: No such file or directory");
}

static void a_full_device_is_told(void **state) {
    struct fixture *fixture = *state;
    assert_true(record_writer_open(&fixture->writer, "/dev/full", RECORDS_NDJSON,
                                   fixture->resource.resource, &fixture->failure));
    add(fixture, "{\"id\":1}");
    assert_false(record_writer_finish(&fixture->writer, &fixture->failure));
    assert_string_equal(fixture->failure.detail,
                        "/dev/full cannot be written: No space left on device");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(each_format_is_written),
        TEST(the_old_file_stands_until_the_new_one_is_whole),
        TEST(what_was_never_finished_is_not_there),
        TEST(a_folder_that_is_not_there_is_told),
        TEST(a_full_device_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
