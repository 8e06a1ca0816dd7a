#include "store/postgres/link.h"

#include <stdio.h>
#include <stdlib.h>

// Seconds of silence on the network after which a connection with data under way counts as lost,
// and after which an idle one is probed.
#define SILENT_MS "15000"
#define IDLE_SECONDS "30"

static const char *value_of(const PQconninfoOption *options, const char *keyword) {
    while (options->keyword && strcmp(options->keyword, keyword) != 0)
        options++;
    return options->val ? options->val : "";
}

// libpq's words about a URL that it cannot read, without what they quote of it.
static bool refuse_url(struct failure *failure, const char *what, const char *words) {
    const char *quote = strstr(words, ": \"");
    size_t size = quote ? (size_t)(quote - words) : strcspn(words, "\n");
    return failure_set(failure, FAILURE_INVALID_SETTING, "%s: %.*s", what, (int)size, words);
}

// A mark of the URL's own in a user's name or a password makes a part of that a host or a port,
// which libpq would then quote. (An "@" in front names an abstract socket.)
static bool is_cut_right(const PQconninfoOption *options) {
    const char *host = value_of(options, "host");
    const char *port = value_of(options, "port");
    for (const char *at = strchr(host, '@'); at; at = strchr(at + 1, '@')) {
        if (at > host && at[-1] != ',')
            return false;
    }
    return port[strspn(port, "0123456789,")] == '\0';
}

bool pg_url_is_valid(const char *url, const char *what, struct failure *failure) {
    char *words = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &words);
    bool valid = options && is_cut_right(options);
    if (options && !valid)
        failure_set(failure, FAILURE_INVALID_SETTING,
                    "%s: its host or its port is none; write @ : / ? # and %% in a name or a "
                    "password as %%40 %%3A %%2F %%3F %%23 and %%25",
                    what);
    else if (words)
        (void)refuse_url(failure, what, words);
    else if (!options)
        failure_out_of_memory(failure);
    PQconninfoFree(options);
    PQfreemem(words);
    return valid;
}

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

static void ignore_notice(void *argument, const PGresult *result) {}

void pg_link_ignore_notices(struct pg_link *link) {
    (void)PQsetNoticeReceiver(link->connection, ignore_notice, NULL);
}

struct pg_link *pg_link_open(const struct pg_address *address, struct failure *failure) {
    struct pg_link *link = calloc(1, sizeof *link);
    if (!link || !pg_statements_open(&link->statements, address->cached_statements) ||
        !(link->connection = connect_now(address))) {
        failure_out_of_memory(failure);
        pg_link_close(link);
        return NULL;
    }
    if (check(link->connection, failure)) {
        pg_link_ignore_notices(link);
        return link;
    }
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
