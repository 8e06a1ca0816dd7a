#include "store/postgres/link.h"

#include <stdio.h>
#include <stdlib.h>

// Seconds of silence on the network after which a connection with data under way counts as lost,
// and after which an idle one is probed.
#define SILENT_MS "15000"
#define IDLE_SECONDS "30"

static PGconn *connect_now(const struct pg_address *address) {
    char seconds[16];
    (void)snprintf(seconds, sizeof seconds, "%u", address->connect_seconds);
    // What stands before dbname may be overridden by the URL in it; what stands behind may not.
    const char *const keywords[] = {"fallback_application_name",
                                    "connect_timeout",
                                    "tcp_user_timeout",
                                    "keepalives_idle",
                                    "dbname",
                                    "client_encoding",
                                    NULL};
    const char *const values[] = {"trestle",    seconds, SILENT_MS, IDLE_SECONDS,
                                  address->url, "UTF8",  NULL};
    return PQconnectdbParams(keywords, values, 1);
}

// libpq's words, which are lines, as one line; passwords are never in them.
static bool fail(struct failure *failure, const PGconn *connection) {
    char words[sizeof failure->detail];
    (void)snprintf(words, sizeof words, "%s", PQerrorMessage(connection));
    size_t size = strlen(words);
    while (size && words[size - 1] == '\n')
        words[--size] = '\0';
    for (char *c = words; *c; c++) {
        if (*c == '\n' || *c == '\t')
            *c = ' ';
    }
    return failure_set(failure, FAILURE_UNAVAILABLE, "the database cannot be reached: %s", words);
}

static bool check(PGconn *connection, struct failure *failure) {
    if (PQstatus(connection) != CONNECTION_OK)
        return fail(failure, connection);
    const char *encoding = PQparameterStatus(connection, "server_encoding");
    if (!encoding || strcmp(encoding, "UTF8") != 0)
        return failure_set(failure, FAILURE_UNAVAILABLE,
                           "the database %s is in %s; only UTF8 will do (CREATE DATABASE … "
                           "ENCODING 'UTF8' TEMPLATE template0)",
                           PQdb(connection), encoding ? encoding : "an unknown encoding");
    if (PQsetnonblocking(connection, 1) != 0 || !PQenterPipelineMode(connection))
        return fail(failure, connection);
    return true;
}

struct pg_link *pg_link_open(const struct pg_address *address, struct failure *failure) {
    struct pg_link *link = calloc(1, sizeof *link);
    if (!link || !pg_statements_open(&link->statements, address->cached_statements) ||
        !(link->connection = connect_now(address))) {
        failure_out_of_memory(failure);
        pg_link_close(link);
        return NULL;
    }
    if (check(link->connection, failure))
        return link;
    pg_link_close(link);
    return NULL;
}

void pg_link_close(struct pg_link *link) {
    if (!link)
        return;
    PQfinish(link->connection);
    pg_statements_close(&link->statements);
    free(link);
}
