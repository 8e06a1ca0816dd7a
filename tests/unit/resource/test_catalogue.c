#include "resource/catalogue.h"
#include "unit/allocation.h"
#include "unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char good[] = "properties:\n  name: {type: string, maxLength: 20}\n";
static const char bad[] = "properties:\n  name: {tpye: string}\n  other: {type: sting}\n";

struct folder {
    char path[64];
    struct arena arena; // of the diagnostics, and of paths
    struct diagnostics diagnostics;
};

static int folder_create(void **state) {
    struct folder *folder = calloc(1, sizeof *folder);
    strcpy(folder->path, "/tmp/test_catalogue_XXXXXX");
    diagnostics_init(&folder->diagnostics, &folder->arena);
    *state = folder;
    return mkdtemp(folder->path) ? 0 : -1;
}

static const char *path_of(struct folder *folder, const char *name) {
    return arena_format(&folder->arena, "%s/%s", folder->path, name).data;
}

static void write_file(struct folder *folder, const char *name, struct text content) {
    FILE *file = fopen(path_of(folder, name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(content.data, 1, content.size, file), content.size);
    fclose(file);
}

static int folder_destroy(void **state) {
    struct folder *folder = *state;
    struct text command = arena_format(&folder->arena, "rm -r '%s'", folder->path);
    int status = system(command.data); // NOLINT(cert-env33-c): the path is our own
    arena_free(&folder->arena);
    free(folder);
    return status;
}

static struct catalogue *load(struct folder *folder) {
    return catalogue_load(folder->path, dialect_of(STORE_SQLITE), &folder->diagnostics);
}

static const struct diagnostic *note(struct folder *folder, const char *name) {
    const char *path = path_of(folder, name);
    for (size_t i = 0; i < folder->diagnostics.count; i++)
        if (text_is(folder->diagnostics.items[i].file, path))
            return &folder->diagnostics.items[i];
    print_error("nothing was noted about %s\n", path);
    fail();
    return NULL;
}

static void test_empty_folder(void **state) {
    struct catalogue *catalogue = load(*state);
    assert_non_null(catalogue);
    assert_int_equal(catalogue->resource_count, 0);
    assert_null(catalogue_plan(catalogue, TEXT("coupons")));
    assert_null(catalogue_table(catalogue, TEXT("coupons")));
    // What is part of the program is in every catalogue.
    const struct plan *keys = catalogue_plan(catalogue, TEXT("keys"));
    assert_non_null(keys);
    assert_true(keys->resource->built_in);
    assert_ptr_equal(catalogue_table(catalogue, TEXT("trestle_keys")), keys);
    assert_ptr_equal(keys->resource, catalogue->resources[keys - catalogue->plans]);
    assert_true(property_is_hidden(resource_property(keys->resource, TEXT("digest"))));
    assert_int_equal(resource_access(keys->resource, ACTION_READ), ACCESS_ADMIN);
    catalogue_release(catalogue);
}

static void test_no_folder(void **state) {
    struct folder *folder = *state;
    assert_null(
        catalogue_load("/nonexistent/folder", dialect_of(STORE_SQLITE), &folder->diagnostics));
    assert_int_equal(folder->diagnostics.count, 1);
    assert_text_is(folder->diagnostics.items[0].file, "/nonexistent/folder");
    assert_text_is(folder->diagnostics.items[0].message, "No such file or directory");
}

static void test_definitions_by_name(void **state) {
    struct folder *folder = *state;
    write_file(folder, "pears.yaml", text_from_string(good));
    write_file(folder, "apples.yaml", text_from_string(good));
    write_file(folder, "README.md", TEXT("no: [definition"));
    write_file(folder, ".hidden.yaml", TEXT("no: [definition"));
    write_file(folder, "pears.yaml~", TEXT("no: [definition"));
    struct catalogue *catalogue = load(folder);
    assert_non_null(catalogue);
    assert_true(diagnostics_clean(&folder->diagnostics));
    assert_int_equal(catalogue->resource_count, 2);
    assert_text_is(catalogue->resources[0]->name, "apples");
    assert_text_is(catalogue->resources[1]->name, "pears");
    assert_text_is(catalogue->resources[1]->file, path_of(folder, "pears.yaml"));
    const struct plan *plan = catalogue_plan(catalogue, TEXT("pears"));
    assert_ptr_equal(plan, &catalogue->plans[1]);
    assert_ptr_equal(plan->resource, catalogue->resources[1]);
    assert_ptr_equal(plan->dialect, catalogue->dialect);
    assert_null(catalogue_plan(catalogue, TEXT("pear")));
    catalogue_release(catalogue);
}

// A catalogue lives until its last reference is given back.
static void test_references(void **state) {
    struct folder *folder = *state;
    write_file(folder, "pears.yaml", text_from_string(good));
    struct catalogue *catalogue = load(folder);
    struct catalogue *second = catalogue_retain(catalogue);
    assert_ptr_equal(second, catalogue);
    catalogue_release(catalogue);
    assert_text_is(catalogue_plan(second, TEXT("pears"))->resource->name, "pears");
    catalogue_release(second);
    catalogue_release(NULL);
}

// All that is wrong in all files is told, and can be printed when the catalogue is gone.
static void test_all_faults_of_all_files(void **state) {
    struct folder *folder = *state;
    write_file(folder, "apples.yaml", text_from_string(bad));
    write_file(folder, "nuts.yaml", text_from_string(good));
    write_file(folder, "pears.yaml", TEXT("properties: [\n"));
    write_file(folder, "plums.yml", text_from_string(good));
    assert_null(load(folder));
    assert_true(folder->diagnostics.count >= 4);
    assert_int_equal(note(folder, "apples.yaml")->line, 2);
    assert_true(note(folder, "pears.yaml")->line > 0);
    assert_int_equal(note(folder, "plums.yml")->line, 0);
    assert_non_null(strstr(note(folder, "plums.yml")->message.data, ".yaml"));
    struct buffer out = {0};
    diagnostics_print(&folder->diagnostics, &out);
    assert_false(out.failed);
    assert_true(out.size > 0);
    buffer_free(&out);
}

static void test_what_is_no_file(void **state) {
    struct folder *folder = *state;
    assert_int_equal(mkdir(path_of(folder, "pears.yaml"), 0700), 0);
    assert_int_equal(mkfifo(path_of(folder, "pipes.yaml"), 0600), 0);
    assert_int_equal(symlink("/nonexistent", path_of(folder, "links.yaml")), 0);
    assert_null(load(folder));
    assert_int_equal(folder->diagnostics.count, 3);
    assert_text_is(note(folder, "pears.yaml")->message, "it is no file");
    assert_text_is(note(folder, "pipes.yaml")->message, "it is no file");
    assert_text_is(note(folder, "links.yaml")->message, "No such file or directory");
}

static void test_names_that_cannot_be(void **state) {
    struct folder *folder = *state;
    write_file(folder, "Big Pears.yaml", text_from_string(good));
    assert_null(load(folder));
    assert_int_equal(folder->diagnostics.count, 1);
    note(folder, "Big Pears.yaml");
}

static void test_largest_file(void **state) {
    struct folder *folder = *state;
    size_t size = 1 << 20;
    struct buffer source = {0};
    buffer_append_string(&source, good);
    while (source.size < size)
        buffer_append_string(&source, source.size % 64 ? "#" : "\n");
    source.data[sizeof good - 1] = '#';
    write_file(folder, "pears.yaml", text_of(source.data, size));
    struct catalogue *catalogue = load(folder);
    assert_non_null(catalogue);
    catalogue_release(catalogue);
    buffer_append_byte(&source, '#');
    write_file(folder, "pears.yaml", text_of(source.data, size + 1));
    assert_null(load(folder));
    assert_non_null(strstr(note(folder, "pears.yaml")->message.data, "1 MiB"));
    buffer_free(&source);
}

static void test_from_memory(void **state) {
    struct folder *folder = *state;
    const struct text sources[][2] = {{TEXT("b.yaml"), text_from_string(good)},
                                      {TEXT("x/a.yaml"), text_from_string(good)}};
    struct catalogue *catalogue =
        catalogue_make(sources, 2, dialect_of(STORE_POSTGRES), &folder->diagnostics);
    assert_non_null(catalogue);
    assert_text_is(catalogue->resources[0]->name, "a");
    assert_text_is(catalogue->resources[1]->name, "b");
    assert_int_equal(catalogue->dialect->store, STORE_POSTGRES);
    catalogue_release(catalogue);
}

static void test_names_clash(void **state) {
    struct folder *folder = *state;
    const struct text sources[][2] = {{TEXT("x/a.yaml"), text_from_string(good)},
                                      {TEXT("y/a.yaml"), text_from_string(good)}};
    assert_null(catalogue_make(sources, 2, dialect_of(STORE_SQLITE), &folder->diagnostics));
    assert_int_equal(folder->diagnostics.count, 1);
    assert_non_null(strstr(folder->diagnostics.items[0].message.data, "'a'"));
}

// Notes that were there before say nothing about this catalogue.
static void test_earlier_notes(void **state) {
    struct folder *folder = *state;
    diagnostics_add(&folder->diagnostics, TEXT("elsewhere"), 1, 1, "it is wrong");
    write_file(folder, "pears.yaml", text_from_string(good));
    struct catalogue *catalogue = load(folder);
    assert_non_null(catalogue);
    catalogue_release(catalogue);
    assert_text_is(folder->diagnostics.items[0].file, "elsewhere");
}

static void test_out_of_memory(void **state) {
    struct folder *folder = *state;
    write_file(folder, "pears.yaml", text_from_string(good));
    write_file(folder, "plums.yml", text_from_string(good));
    write_file(folder, "apples.yaml", text_from_string(bad));
    for (ALLOCATION_FAILURES(nth)) {
        struct arena arena = {0};
        struct diagnostics diagnostics;
        diagnostics_init(&diagnostics, &arena);
        struct catalogue *catalogue =
            catalogue_load(folder->path, dialect_of(STORE_SQLITE), &diagnostics);
        bool failed = allocation_allow();
        assert_null(catalogue);
        assert_false(diagnostics_clean(&diagnostics));
        arena_free(&arena);
        if (!failed)
            break;
    }
    assert_int_equal(unlink(path_of(folder, "plums.yml")), 0);
    assert_int_equal(unlink(path_of(folder, "apples.yaml")), 0);
    for (ALLOCATION_FAILURES(nth)) {
        struct arena arena = {0};
        struct diagnostics diagnostics;
        diagnostics_init(&diagnostics, &arena);
        struct catalogue *catalogue =
            catalogue_load(folder->path, dialect_of(STORE_SQLITE), &diagnostics);
        bool failed = allocation_allow();
        assert_true(failed || catalogue);
        assert_int_equal(catalogue != NULL, diagnostics_clean(&diagnostics));
        catalogue_release(catalogue);
        arena_free(&arena);
        if (!failed)
            break;
    }
}

#define in_a_folder(test) cmocka_unit_test_setup_teardown(test, folder_create, folder_destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        in_a_folder(test_empty_folder),
        in_a_folder(test_no_folder),
        in_a_folder(test_definitions_by_name),
        in_a_folder(test_references),
        in_a_folder(test_all_faults_of_all_files),
        in_a_folder(test_what_is_no_file),
        in_a_folder(test_names_that_cannot_be),
        in_a_folder(test_largest_file),
        in_a_folder(test_from_memory),
        in_a_folder(test_names_clash),
        in_a_folder(test_earlier_notes),
        in_a_folder(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
