// What the SQLite store gives one loop that keeps so many jobs under way: durable inserts, then
// point reads; to be held against bench_sqlite_floor.
//
//   bench_store PATH SECONDS JOBS MESSAGE_SIZE
//
// Makes the database anew at PATH, runs each for SECONDS, and prints one JSON object.
#include "base/clock.h"
#include "base/table.h"
#include "store/sqlite/sqlite_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { TIMES = 1 << 20 };

struct bench {
    struct store *store;
    struct store_session *session;
    uv_loop_t loop;
    struct text message;
    uint64_t ends; // nanoseconds
    uint64_t submitted;
    uint64_t stored;
    uint64_t done;
    size_t under_way;
    bool reads;
    uint32_t *times; // of the first jobs, in microseconds
};

struct slot {
    struct job job;
    struct call call;
    struct value parameters[2];
    uint64_t digest[4];
    uint64_t started;
    struct bench *bench;
};

static struct column message_column = {.kind = VALUE_TEXT};
static struct statement insert_row = {
    .sql = TEXT_INIT("INSERT INTO messages(digest, message) VALUES(?1, ?2)"),
};
static struct statement read_row = {
    .sql = TEXT_INIT("SELECT message FROM messages WHERE digest = ?1"),
    .columns = &message_column,
    .column_count = 1,
};
static struct statement create_table = {
    .sql = TEXT_INIT("CREATE TABLE messages(digest BLOB NOT NULL UNIQUE, message TEXT NOT NULL)"),
    .once = true,
};

// splitmix64, as in bench_sqlite_floor.
static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

static double cpu_seconds(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void give_up(const char *what) {
    (void)fprintf(stderr, "%s\n", what);
    exit(1);
}

static void submit_next(struct slot *slot) {
    struct bench *bench = slot->bench;
    uint64_t number = bench->submitted++;
    if (bench->reads)
        number = mix(number) % bench->stored;
    for (uint64_t i = 0; i < 4; i++)
        slot->digest[i] = mix(number * 4 + i);
    slot->started = clock_monotonic_ns();
    if (!store_submit(bench->session, &slot->job))
        give_up("refused");
    bench->under_way++;
}

static void ignore_detached(void *owner) {}

static bool on_row(struct job *job, size_t call, const struct value *cells) {
    return cells[0].kind == VALUE_TEXT;
}

static void on_done(struct job *job, const struct outcome *outcome) {
    struct slot *slot = (struct slot *)job;
    struct bench *bench = slot->bench;
    if (outcome->kind != OUTCOME_DONE)
        give_up("a job failed");
    uint64_t now = clock_monotonic_ns();
    if (bench->done < TIMES)
        bench->times[bench->done] = (uint32_t)((now - slot->started) / 1000);
    bench->done++;
    bench->under_way--;
    if (now < bench->ends)
        submit_next(slot);
    else if (bench->under_way == 0)
        store_detach(bench->session, ignore_detached, NULL);
}

static struct slot *make_slot(struct bench *bench) {
    struct slot *slot = calloc(1, sizeof *slot);
    if (!slot)
        give_up("out of memory");
    slot->bench = bench;
    slot->parameters[0] =
        value_text(VALUE_BYTES, text_of((const char *)slot->digest, sizeof slot->digest));
    slot->parameters[1] = value_text(VALUE_TEXT, bench->message);
    slot->call = (struct call){
        .statement = bench->reads ? &read_row : &insert_row,
        .parameters = slot->parameters,
        .parameter_count = bench->reads ? 1 : 2,
        .expect = 1,
    };
    slot->job = (struct job){
        .kind = bench->reads ? JOB_READ : JOB_WRITE,
        .calls = &slot->call,
        .call_count = 1,
        .on_row = on_row,
        .on_done = on_done,
    };
    return slot;
}

static int compare_times(const void *a, const void *b) {
    uint32_t first = *(const uint32_t *)a;
    uint32_t second = *(const uint32_t *)b;
    return (first > second) - (first < second);
}

static void print(const struct bench *bench, const char *name, double seconds, double cpu) {
    size_t times = bench->done < TIMES ? bench->done : TIMES;
    qsort(bench->times, times, sizeof *bench->times, compare_times);
    double count = (double)bench->done;
    printf("\"%s\": {\"jobs\": %.0f, \"jobs_per_second\": %.0f, \"cpu_us_per_job\": %.3f, "
           "\"us\": {\"p50\": %u, \"p99\": %u, \"p99.9\": %u, \"max\": %u}}",
           name, count, count / seconds, cpu * 1e6 / count, bench->times[times / 2],
           bench->times[times * 99 / 100], bench->times[times * 999 / 1000],
           bench->times[times - 1]);
}

static void run(struct bench *bench, const char *name, size_t jobs, uint64_t milliseconds) {
    struct failure failure;
    if (!store_attach(bench->store, &bench->loop, &bench->session, &failure))
        give_up(failure.detail);
    struct slot **slots = calloc(jobs, sizeof *slots);
    if (!slots)
        give_up("out of memory");
    bench->done = bench->submitted = 0;
    uint64_t started = clock_monotonic_ns();
    double cpu = cpu_seconds();
    bench->ends = started + milliseconds * 1000000;
    for (size_t i = 0; i < jobs; i++) {
        slots[i] = make_slot(bench);
        submit_next(slots[i]);
    }
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    print(bench, name, (double)(clock_monotonic_ns() - started) / 1e9, cpu_seconds() - cpu);
    for (size_t i = 0; i < jobs; i++)
        free(slots[i]);
    free(slots);
}

static void open_store(struct bench *bench, const char *path) {
    char name[4096];
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
    struct failure failure;
    struct sqlite_options options = {.path = path};
    bench->store = sqlite_store_open(&options, NULL, &failure);
    if (!bench->store)
        give_up(failure.detail);
    struct call call = {.statement = &create_table, .expect = EXPECT_ANY};
    struct job job = {.kind = JOB_WRITE, .calls = &call, .call_count = 1};
    if (!store_run(bench->store, &job, &failure))
        give_up(failure.detail);
}

int main(int argc, char **argv) {
    if (argc != 5) {
        (void)fputs("usage: bench_store PATH SECONDS JOBS MESSAGE_SIZE\n", stderr);
        return 2;
    }
    uint64_t milliseconds = (uint64_t)(strtod(argv[2], NULL) * 1000);
    size_t jobs = strtoul(argv[3], NULL, 10);
    size_t size = strtoul(argv[4], NULL, 10);
    if (jobs == 0)
        return 2;
    struct bench bench = {.times = calloc(TIMES, sizeof *bench.times)};
    char *message = calloc(1, size + 1);
    if (!message || !bench.times)
        give_up("out of memory");
    memset(message, 'm', size);
    bench.message = text_of(message, size);
    insert_row.hash = text_hash(insert_row.sql);
    read_row.hash = text_hash(read_row.sql);
    create_table.hash = text_hash(create_table.sql);
    open_store(&bench, argv[1]);
    uv_loop_init(&bench.loop);
    printf("{\"jobs_under_way\": %zu, \"message_size\": %zu, ", jobs, size);
    run(&bench, "inserts", jobs, milliseconds);
    struct store_statistics statistics;
    store_statistics(bench.store, &statistics);
    printf(", \"jobs_a_group\": %.1f, ",
           (double)statistics.grouped_jobs / (double)statistics.groups);
    bench.stored = bench.done;
    bench.reads = true;
    run(&bench, "reads", jobs, milliseconds);
    printf("}\n");
    uv_loop_close(&bench.loop);
    store_close(bench.store);
    free(message);
    free(bench.times);
    return 0;
}
