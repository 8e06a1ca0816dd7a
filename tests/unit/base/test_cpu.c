#include "base/cpu.h"

#include "unit/testing.h"

#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// A folder that stands for /sys/fs/cgroup, and a file in it for /proc/self/cgroup.
static char root[64];
static char membership[128];

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where) {
    return remove(path);
}

static int set_up(void **state) {
    (void)snprintf(root, sizeof root, "/tmp/test_cpu.XXXXXX");
    if (!mkdtemp(root))
        return -1;
    (void)snprintf(membership, sizeof membership, "%s/membership", root);
    return 0;
}

static int tear_down(void **state) {
    return nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

// Writes a file below the root, and makes the folders on its way.
static void write_file(const char *path, const char *content) {
    char whole[256];
    (void)snprintf(whole, sizeof whole, "%s/%s", root, path);
    for (char *slash = strchr(whole + strlen(root) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(whole, 0700);
        *slash = '/';
    }
    FILE *file = fopen(whole, "we");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static unsigned quota(void) {
    return cpu_quota(membership, root);
}

static void no_files_no_quota(void **state) {
    assert_int_equal(quota(), 0);
    write_file("membership", "");
    assert_int_equal(quota(), 0);
    write_file("membership", "nonsense\n0::\n:::\n0::/a/b/c\n");
    assert_int_equal(quota(), 0);
}

static void version_2(void **state) {
    static const struct {
        const char *max;
        unsigned processors;
    } cases[] = {
        {"max 100000\n", 0},
        {"100000 100000\n", 1},
        {"150000 100000\n", 2},
        {"1000 100000\n", 1},
        {"400000 100000\n", 4},
        {"50000 10000", 5},
        {"9223372036854775807 1\n", 0},
        {"-1 100000\n", 0},
        {"100000\n", 0},
        {"100000 0\n", 0},
        {"", 0},
    };
    write_file("membership", "0::/user.slice/app.scope\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file("user.slice/app.scope/cpu.max", cases[i].max);
        assert_true_for(quota() == cases[i].processors, cases[i].max);
    }
}

static void the_smallest_quota_on_the_way_up_counts(void **state) {
    write_file("membership", "0::/a/b/c\n");
    write_file("a/b/c/cpu.max", "800000 100000\n");
    assert_int_equal(quota(), 8);
    write_file("a/b/cpu.max", "max 100000\n");
    assert_int_equal(quota(), 8);
    write_file("a/cpu.max", "300000 100000\n");
    assert_int_equal(quota(), 3);
    write_file("cpu.max", "600000 100000\n");
    assert_int_equal(quota(), 3);
}

// In a container: the file names a group from the host's root, but the mount shows only its own.
static void folders_that_are_not_there_are_passed_over(void **state) {
    write_file("membership", "0::/system.slice/docker-0123.scope\n");
    write_file("cpu.max", "200000 100000\n");
    assert_int_equal(quota(), 2);
}

static void version_1(void **state) {
    write_file("membership", "5:memory:/jobs\n4:cpu,cpuacct:/jobs/one\n0::/\n");
    write_file("cpu,cpuacct/jobs/one/cpu.cfs_quota_us", "-1\n");
    write_file("cpu,cpuacct/jobs/one/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 0);
    write_file("cpu,cpuacct/jobs/one/cpu.cfs_quota_us", "250000\n");
    assert_int_equal(quota(), 3);
    write_file("membership", "4:cpuset:/jobs/one\n"); // another controller
    assert_int_equal(quota(), 0);
}

static void what_is_available_is_within_the_mask(void **state) {
    cpu_set_t all;
    cpu_set_t one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    assert_in_range(cpu_available(), 1, CPU_COUNT(&all));
    int first = 0;
    while (!CPU_ISSET(first, &all))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(cpu_available(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_files_no_quota, set_up, tear_down),
        cmocka_unit_test_setup_teardown(version_2, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_smallest_quota_on_the_way_up_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folders_that_are_not_there_are_passed_over, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(version_1, set_up, tear_down),
        cmocka_unit_test(what_is_available_is_within_the_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
