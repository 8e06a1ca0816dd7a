"""Ten writers, three processes, listeners that come back at random and servers that are killed."""

import contextlib
import os
import time

import psycopg2
import pytest

from feed_history import Judge, Play, three_servers
from harness import PostgresConnection

ROUNDS = int(os.environ.get("FEED_ROUNDS", "4"))
DISTURBANCES = 6


def run(servers, seed, disturb, store=None):
    play = Play(servers, seed, store=store)
    play.start()
    for _ in range(DISTURBANCES):
        time.sleep(0.3 + play.choice.random() * 1.5)
        disturb(play)
    time.sleep(0.5)
    rows = play.finish()
    print(play.summary())
    Judge(play, rows).judge()


@pytest.mark.parametrize("round", range(ROUNDS))
@pytest.mark.parametrize("store_name", ["sqlite", "postgres"])
def test_each_history_is_whole(store_name, round):
    with three_servers(store_name) as servers:
        run(servers, f"{store_name} {round}", Play.kill_one)


class ClusterStore:
    """A cluster's own database, for those who look at it."""

    Error = psycopg2.Error

    def __init__(self, cluster):
        self.cluster = cluster

    def connect(self, folder):
        return contextlib.closing(PostgresConnection(self.cluster.url))


@pytest.mark.parametrize("round", range(ROUNDS))
def test_each_history_is_whole_when_the_database_crashes(cluster, round):
    """It recovers: numbers that were drawn are lost, and transactions that nobody ended."""
    def disturb(play):
        if play.choice.random() < 0.7:
            cluster.crash_client()
        else:
            play.kill_one()
    cluster.clear()
    with three_servers("sqlite", database=cluster.url) as servers:
        run(servers, f"crash {round}", disturb, ClusterStore(cluster))
