// What SQLite itself gives a plain loop on one thread: durable inserts of so many rows a commit,
// and point reads by a random stored digest. `make bench` measures the program against it.
//
//   bench_sqlite_floor PATH SECONDS ROWS_A_COMMIT MESSAGE_SIZE
//
// Makes the database anew at PATH, runs each loop for SECONDS, and prints one JSON object.
#include "base/clock.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct bench {
    sqlite3 *database;
    sqlite3_stmt *insert;
    sqlite3_stmt *read;
    char *message;
    int message_size;
    unsigned rows_a_commit;
    uint64_t stored;
};

struct result {
    uint64_t count;
    double seconds;
    double cpu_seconds;
};

static void check(const struct bench *bench, int code, int wanted) {
    if (code == wanted)
        return;
    (void)fprintf(stderr, "SQLite: %s\n", sqlite3_errmsg(bench->database));
    exit(1);
}

static void run_sql(const struct bench *bench, const char *sql) {
    check(bench, sqlite3_exec(bench->database, sql, NULL, NULL, NULL), SQLITE_OK);
}

// splitmix64: digests that look random and can be made again from their number.
static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

static void make_digest(uint64_t number, uint64_t out[4]) {
    for (uint64_t i = 0; i < 4; i++)
        out[i] = mix(number * 4 + i);
}

static double cpu_seconds(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void insert_some(struct bench *bench) {
    run_sql(bench, "BEGIN IMMEDIATE");
    for (unsigned i = 0; i < bench->rows_a_commit; i++) {
        uint64_t digest[4];
        make_digest(bench->stored++, digest);
        sqlite3_bind_blob(bench->insert, 1, digest, sizeof digest, SQLITE_STATIC);
        sqlite3_bind_text(bench->insert, 2, bench->message, bench->message_size, SQLITE_STATIC);
        check(bench, sqlite3_step(bench->insert), SQLITE_DONE);
        sqlite3_reset(bench->insert);
    }
    run_sql(bench, "COMMIT");
}

static void read_one(struct bench *bench, uint64_t number) {
    uint64_t digest[4];
    make_digest(mix(number) % bench->stored, digest);
    sqlite3_bind_blob(bench->read, 1, digest, sizeof digest, SQLITE_STATIC);
    check(bench, sqlite3_step(bench->read), SQLITE_ROW);
    if (!sqlite3_column_text(bench->read, 0))
        check(bench, SQLITE_NOMEM, SQLITE_OK);
    check(bench, sqlite3_step(bench->read), SQLITE_DONE);
    sqlite3_reset(bench->read);
}

static struct result run_inserts(struct bench *bench, uint64_t milliseconds) {
    uint64_t started = clock_monotonic_ns();
    double cpu = cpu_seconds();
    while (clock_monotonic_ns() - started < milliseconds * 1000000)
        insert_some(bench);
    return (struct result){
        .count = bench->stored,
        .seconds = (double)(clock_monotonic_ns() - started) / 1e9,
        .cpu_seconds = cpu_seconds() - cpu,
    };
}

static struct result run_reads(struct bench *bench, uint64_t milliseconds) {
    uint64_t started = clock_monotonic_ns();
    double cpu = cpu_seconds();
    uint64_t count = 0;
    while (clock_monotonic_ns() - started < milliseconds * 1000000) {
        for (unsigned i = 0; i < 64; i++)
            read_one(bench, count++);
    }
    return (struct result){
        .count = count,
        .seconds = (double)(clock_monotonic_ns() - started) / 1e9,
        .cpu_seconds = cpu_seconds() - cpu,
    };
}

static void open_database(struct bench *bench, const char *path) {
    char name[4096];
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
    check(bench, sqlite3_open(path, &bench->database), SQLITE_OK);
    run_sql(bench, "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                   "CREATE TABLE messages(digest BLOB NOT NULL UNIQUE, message TEXT NOT NULL)");
    check(bench,
          sqlite3_prepare_v2(bench->database,
                             "INSERT INTO messages(digest, message) VALUES(?1, ?2)", -1,
                             &bench->insert, NULL),
          SQLITE_OK);
    check(bench,
          sqlite3_prepare_v2(bench->database, "SELECT message FROM messages WHERE digest = ?1", -1,
                             &bench->read, NULL),
          SQLITE_OK);
}

static void print(const char *name, struct result result, const char *end) {
    double count = (double)(result.count ? result.count : 1);
    printf("\"%s\": {\"rows\": %llu, \"rows_per_second\": %.0f, \"cpu_us_per_row\": %.3f}%s", name,
           (unsigned long long)result.count, count / result.seconds,
           result.cpu_seconds * 1e6 / count, end);
}

int main(int argc, char **argv) {
    if (argc != 5) {
        (void)fputs("usage: bench_sqlite_floor PATH SECONDS ROWS_A_COMMIT MESSAGE_SIZE\n", stderr);
        return 2;
    }
    struct bench bench = {
        .rows_a_commit = (unsigned)strtoul(argv[3], NULL, 10),
        .message_size = (int)strtol(argv[4], NULL, 10),
    };
    if (bench.rows_a_commit == 0 || bench.message_size < 0)
        return 2;
    uint64_t milliseconds = (uint64_t)(strtod(argv[2], NULL) * 1000);
    bench.message = malloc((size_t)bench.message_size + 1);
    if (!bench.message)
        return 1;
    memset(bench.message, 'm', (size_t)bench.message_size);
    open_database(&bench, argv[1]);
    struct result inserts = run_inserts(&bench, milliseconds);
    struct result reads = run_reads(&bench, milliseconds);
    printf("{\"rows_a_commit\": %u, \"message_size\": %d, ", bench.rows_a_commit,
           bench.message_size);
    print("inserts", inserts, ", ");
    print("reads", reads, "}\n");
    sqlite3_finalize(bench.insert);
    sqlite3_finalize(bench.read);
    sqlite3_close(bench.database);
    free(bench.message);
    return 0;
}
