// The lane that listens: one connection, which hears of what other processes tell and passes that
// on. What is told while there is no connection is lost; that it was made is news, too.
#include "store/postgres/parts.h"
#include "store/postgres/session.h"

#include <stdlib.h>

// Milliseconds after a loss; a server that does not let us listen is asked ever more seldom.
enum { FIRST_PAUSE = 250, MOST_DOUBLINGS = 5 };

static void tell(struct pg_session *session) {
    if (session->on_news)
        session->on_news(session->news_owner);
}

static void dispatch(struct pg_lane *lane) {
    if (lane->session->on_news && lane->connections->state == PG_CLOSED)
        (void)pg_lane_want(lane);
}

static void on_ready(struct pg_connection *connection) {
    pg_connection_send_control(connection, PG_LISTEN, NULL, 0);
    pg_connection_sync(connection);
    pg_connection_flush(connection);
}

static void on_job_end(struct pg_connection *connection) {}

static bool on_control(struct pg_connection *connection, enum pg_control control,
                       const PGresult *result) {
    return PQresultStatus(result) == PGRES_COMMAND_OK;
}

static void on_sync(struct pg_connection *connection) {
    connection->session->deaf = 0;
    tell(connection->session);
}

static void on_lost(struct pg_connection *connection) {
    struct pg_session *session = connection->session;
    unsigned doublings = session->deaf < MOST_DOUBLINGS ? session->deaf++ : MOST_DOUBLINGS;
    (void)pg_connection_close(connection);
    pg_lane_pause(connection->lane, (uint64_t)FIRST_PAUSE << doublings);
}

static void on_input(struct pg_connection *connection) {
    PGnotify *heard = PQnotifies(connection->link->connection);
    bool any = heard;
    while (heard) {
        PQfreemem(heard);
        heard = PQnotifies(connection->link->connection);
    }
    if (any)
        tell(connection->session);
}

const struct pg_lane_operations pg_news_operations = {
    .dispatch = dispatch,
    .on_ready = on_ready,
    .on_job_end = on_job_end,
    .on_control = on_control,
    .on_sync = on_sync,
    .on_lost = on_lost,
    .on_input = on_input,
};
