// What PostgreSQL gives a plain program through libpq: point selects by a random stored digest,
// first through the pipeline of several connections, then one by one, each after the answer to the
// one before; and inserts that are committed one by one. `make bench` measures the program against
// it.
//
//   bench_postgres_floor URL SECONDS STORED CONNECTIONS SELECTS_AT_ONCE MESSAGE_SIZE
//
// Makes a table with so many rows, runs each loop for SECONDS, drops the table and prints
// one JSON object. SELECTS_AT_ONCE are shared out over the connections; those of a connection are
// sent together, with one sync and one flush, when the ones before are answered.
#include "base/clock.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_CONNECTIONS = 64, DIGEST_SIZE = 32 };

struct bench {
    PGconn *connections[MOST_CONNECTIONS];
    size_t connection_count;
    size_t selects_at_once; // on a connection
    char *message;
    int message_size;
    uint64_t stored;
    uint64_t asked;
};

struct result {
    uint64_t count;
    double seconds;
    double cpu_seconds;
};

static void check(PGconn *connection, bool ok) {
    if (ok)
        return;
    (void)fprintf(stderr, "PostgreSQL: %s\n", PQerrorMessage(connection));
    exit(1);
}

static void run_sql(PGconn *connection, const char *sql) {
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    check(connection, status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK);
    PQclear(result);
}

// splitmix64: digests that look random and can be made again from their number.
static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

static void make_digest(uint64_t number, uint64_t out[DIGEST_SIZE / 8]) {
    for (uint64_t i = 0; i < DIGEST_SIZE / 8; i++)
        out[i] = mix(number * (DIGEST_SIZE / 8) + i);
}

static double cpu_seconds(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

// --- the statements

static int send_select(struct bench *bench, PGconn *connection) {
    uint64_t digest[DIGEST_SIZE / 8];
    make_digest(mix(bench->asked++) % bench->stored, digest);
    const char *values[] = {(const char *)digest};
    return PQsendQueryPrepared(connection, "read", 1, values, (int[]){DIGEST_SIZE}, (int[]){1}, 1);
}

static void take_select(PGconn *connection) {
    PGresult *result = PQgetResult(connection);
    check(connection, PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1);
    PQclear(result);
    check(connection, PQgetResult(connection) == NULL); // the end of its results
}

static void insert_one(struct bench *bench, uint64_t number) {
    PGconn *connection = bench->connections[0];
    uint64_t digest[DIGEST_SIZE / 8];
    make_digest(number, digest);
    const char *values[] = {(const char *)digest, bench->message};
    PGresult *result = PQexecPrepared(connection, "insert", 2, values,
                                      (int[]){DIGEST_SIZE, bench->message_size}, (int[]){1, 1}, 1);
    check(connection, PQresultStatus(result) == PGRES_COMMAND_OK);
    PQclear(result);
}

// --- the loops

static struct result result_of(uint64_t count, uint64_t started, double cpu) {
    return (struct result){
        .count = count,
        .seconds = (double)(clock_monotonic_ns() - started) / 1e9,
        .cpu_seconds = cpu_seconds() - cpu,
    };
}

static void flush_all(PGconn *connection) {
    int left;
    while ((left = PQflush(connection)) > 0) {
        struct pollfd socket = {.fd = PQsocket(connection), .events = POLLIN | POLLOUT};
        (void)poll(&socket, 1, -1);
        if (socket.revents & POLLIN)
            check(connection, PQconsumeInput(connection));
    }
    check(connection, left == 0);
}

static void send_batch(struct bench *bench, PGconn *connection) {
    for (size_t i = 0; i < bench->selects_at_once; i++)
        check(connection, send_select(bench, connection));
    check(connection, PQpipelineSync(connection));
    flush_all(connection);
}

// Takes what is there of a batch; whether it is complete. `left` counts its selects.
static bool take_batch(PGconn *connection, size_t *left) {
    check(connection, PQconsumeInput(connection));
    for (; *left > 0; (*left)--) {
        if (PQisBusy(connection))
            return false;
        take_select(connection);
    }
    if (PQisBusy(connection))
        return false;
    PGresult *result = PQgetResult(connection);
    check(connection, PQresultStatus(result) == PGRES_PIPELINE_SYNC);
    PQclear(result);
    return true;
}

static struct result run_pipelined(struct bench *bench, uint64_t milliseconds) {
    struct pollfd sockets[MOST_CONNECTIONS];
    size_t left[MOST_CONNECTIONS];
    size_t running = bench->connection_count;
    uint64_t count = 0;
    uint64_t started = clock_monotonic_ns();
    double cpu = cpu_seconds();
    for (size_t i = 0; i < bench->connection_count; i++) {
        sockets[i] = (struct pollfd){.fd = PQsocket(bench->connections[i]), .events = POLLIN};
        left[i] = bench->selects_at_once;
        send_batch(bench, bench->connections[i]);
    }
    while (running > 0) {
        (void)poll(sockets, bench->connection_count, -1);
        bool over = clock_monotonic_ns() - started >= milliseconds * 1000000;
        for (size_t i = 0; i < bench->connection_count; i++) {
            if (!sockets[i].revents || !take_batch(bench->connections[i], &left[i]))
                continue;
            count += bench->selects_at_once;
            if (over) {
                sockets[i].fd = -1; // poll passes it over
                running--;
                continue;
            }
            left[i] = bench->selects_at_once;
            send_batch(bench, bench->connections[i]);
        }
    }
    return result_of(count, started, cpu);
}

static struct result run_waiting(struct bench *bench, uint64_t milliseconds) {
    uint64_t count = 0;
    uint64_t started = clock_monotonic_ns();
    double cpu = cpu_seconds();
    for (; clock_monotonic_ns() - started < milliseconds * 1000000; count++) {
        check(bench->connections[0], send_select(bench, bench->connections[0]));
        take_select(bench->connections[0]);
    }
    return result_of(count, started, cpu);
}

static struct result run_inserts(struct bench *bench, uint64_t milliseconds) {
    uint64_t count = 0;
    uint64_t started = clock_monotonic_ns();
    double cpu = cpu_seconds();
    for (; clock_monotonic_ns() - started < milliseconds * 1000000; count++)
        insert_one(bench, bench->stored + count);
    return result_of(count, started, cpu);
}

// --- before and after

static void set_pipelined(struct bench *bench, bool pipelined) {
    for (size_t i = 0; i < bench->connection_count; i++) {
        PGconn *connection = bench->connections[i];
        check(connection, PQsetnonblocking(connection, pipelined) == 0);
        check(connection,
              pipelined ? PQenterPipelineMode(connection) : PQexitPipelineMode(connection));
    }
}

static void prepare(PGconn *connection, const char *name, const char *sql) {
    PGresult *result = PQprepare(connection, name, sql, 0, NULL);
    check(connection, PQresultStatus(result) == PGRES_COMMAND_OK);
    PQclear(result);
}

static void fill_table(struct bench *bench, PGconn *connection) {
    PGresult *result = PQexec(connection, "COPY floor FROM STDIN");
    check(connection, PQresultStatus(result) == PGRES_COPY_IN);
    PQclear(result);
    char line[8 + DIGEST_SIZE * 2];
    for (uint64_t i = 0; i < bench->stored; i++) {
        uint64_t digest[DIGEST_SIZE / 8];
        make_digest(i, digest);
        int size = snprintf(line, sizeof line, "\\\\x"); // COPY takes one backslash for itself
        for (size_t j = 0; j < DIGEST_SIZE; j++)
            size += snprintf(line + size, sizeof line - (size_t)size, "%02x",
                             ((unsigned char *)digest)[j]);
        line[size++] = '\t';
        check(connection, PQputCopyData(connection, line, size) == 1);
        check(connection, PQputCopyData(connection, bench->message, bench->message_size) == 1);
        check(connection, PQputCopyData(connection, "\n", 1) == 1);
    }
    check(connection, PQputCopyEnd(connection, NULL) == 1);
    for (result = PQgetResult(connection); result; result = PQgetResult(connection)) {
        check(connection, PQresultStatus(result) == PGRES_COMMAND_OK);
        PQclear(result);
    }
}

static void make_table(struct bench *bench) {
    PGconn *connection = bench->connections[0];
    run_sql(connection, "CREATE TABLE floor(digest bytea NOT NULL PRIMARY KEY, "
                        "message text NOT NULL)");
    fill_table(bench, connection);
    run_sql(connection, "VACUUM ANALYZE floor");
    prepare(connection, "insert", "INSERT INTO floor(digest, message) VALUES($1, $2)");
}

static void open_connections(struct bench *bench, const char *url) {
    for (size_t i = 0; i < bench->connection_count; i++) {
        bench->connections[i] = PQconnectdb(url);
        check(bench->connections[i], PQstatus(bench->connections[i]) == CONNECTION_OK);
    }
    make_table(bench);
    for (size_t i = 0; i < bench->connection_count; i++)
        prepare(bench->connections[i], "read",
                "SELECT digest, message FROM floor WHERE digest = $1");
}

static void print(const char *name, struct result result, const char *end) {
    double count = (double)(result.count ? result.count : 1);
    printf("\"%s\": {\"rows\": %llu, \"rows_per_second\": %.0f, \"cpu_us_per_row\": %.3f}%s", name,
           (unsigned long long)result.count, count / result.seconds,
           result.cpu_seconds * 1e6 / count, end);
}

int main(int argc, char **argv) {
    if (argc != 7) {
        (void)fputs("usage: bench_postgres_floor URL SECONDS STORED CONNECTIONS SELECTS_AT_ONCE "
                    "MESSAGE_SIZE\n",
                    stderr);
        return 2;
    }
    struct bench bench = {
        .stored = strtoull(argv[3], NULL, 10),
        .connection_count = strtoul(argv[4], NULL, 10),
        .message_size = (int)strtol(argv[6], NULL, 10),
    };
    size_t at_once = strtoul(argv[5], NULL, 10);
    if (bench.stored == 0 || bench.connection_count == 0 || bench.message_size < 0 ||
        bench.connection_count > MOST_CONNECTIONS || at_once < bench.connection_count)
        return 2;
    bench.selects_at_once = at_once / bench.connection_count;
    uint64_t milliseconds = (uint64_t)(strtod(argv[2], NULL) * 1000);
    bench.message = malloc((size_t)bench.message_size + 1);
    if (!bench.message)
        return 1;
    memset(bench.message, 'm', (size_t)bench.message_size);
    open_connections(&bench, argv[1]);
    set_pipelined(&bench, true);
    struct result pipelined = run_pipelined(&bench, milliseconds);
    set_pipelined(&bench, false);
    struct result waiting = run_waiting(&bench, milliseconds);
    struct result inserts = run_inserts(&bench, milliseconds);
    run_sql(bench.connections[0], "DROP TABLE floor");
    printf("{\"connections\": %zu, \"selects_at_once\": %zu, \"message_size\": %d, ",
           bench.connection_count, at_once, bench.message_size);
    print("pipelined", pipelined, ", ");
    print("waiting", waiting, ", ");
    print("inserts", inserts, "}\n");
    for (size_t i = 0; i < bench.connection_count; i++)
        PQfinish(bench.connections[i]);
    free(bench.message);
    return 0;
}
