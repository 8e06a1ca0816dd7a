"""The primary of two PostgreSQL servers is killed under load and its standby takes over: trestle
finds it without being told, and nothing acknowledged is lost."""

import contextlib
import os
import shutil
import time

import psycopg2
import pytest

from clusters import empty_cluster, make_cluster
from harness import Server, problem, wait_until
from ledger import DEFINITIONS, Ledger

ROUNDS = int(os.environ.get("FAILOVER_ROUNDS", "6"))
RETURN = 3.0  # seconds after the promotion, from when everything must be served

ALONE = {"synchronous_standby_names": ""}


class Pair:
    """A primary, and a standby that has all that the primary says is committed."""

    def __init__(self, level):
        self.primary = make_cluster(synchronous_commit=level)
        self.standby = empty_cluster(self.primary.password)
        self.attach()

    @property
    def url(self):
        """The same whoever is the primary."""
        hosts = ",".join(f"127.0.0.1:{port}"
                         for port in sorted([self.primary.port, self.standby.port]))
        return (f"postgresql://trestle:{self.primary.password}@{hosts}/postgres"
                "?target_session_attrs=read-write")

    def attach(self):
        """Makes the standby anew, and has the primary wait for it from now on."""
        self.standby.follow(self.primary, ALONE)
        self._set("synchronous_standby_names", "*")
        wait_until(self.in_step, "the standby is in step")

    def _set(self, name, value):
        with self.primary.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            cursor.execute("SELECT pg_reload_conf()")

    def in_step(self):
        """Whether commits wait for the standby, and it has those that did not."""
        return self.primary.rows(
            "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync' "
            "AND replay_lsn >= pg_current_wal_lsn() - 8192")

    def fail_over(self, kill, away=0):
        """The primary dies, and a moment later the standby is it."""
        kill(self.primary)
        time.sleep(away)
        promoted = self.standby.run("pg_ctl", "promote", "--wait", "--silent",
                                    "-D", str(self.standby.folder / "data"))
        assert promoted.returncode == 0, promoted.stdout
        self.primary, self.standby = self.standby, self.primary

    def rebuild(self):
        """The old primary becomes a standby of the new one."""
        shutil.rmtree(self.standby.folder / "data")
        self.attach()

    def remove(self):
        self.standby.remove()
        self.primary.remove()


@pytest.fixture(name="pair", params=["on", "remote_apply"])
def _pair(request):
    pair = Pair(request.param)
    try:
        yield pair
    finally:
        pair.remove()


KILLS = {
    "killed": lambda cluster: cluster.crash(),
    "killed, all processes": lambda cluster: cluster.crash_all(),
}


def test_the_standby_takes_over_under_load(pair):
    with Server(DEFINITIONS, settings={"database": pair.url}) as server:
        ledger = Ledger(server)
        with ledger:
            for number in range(ROUNDS):
                way = list(KILLS)[number % len(KILLS)]
                time.sleep(0.7)
                since = time.monotonic()
                pair.fail_over(KILLS[way], away=[0, 0, 1][number // len(KILLS) % 3])
                back = time.monotonic()
                time.sleep(RETURN + 1)
                assert not ledger.surprises, ledger.surprises[:5]
                late = ledger.refusals(back + RETURN, time.monotonic())
                assert not late, [(event.started - back, event) for event in late[:5]]
                refused = ledger.refusals(since, back + RETURN)
                print(f"round {number + 1}, {way}: {back - since:.2f} s away, "
                      f"{len(refused)} refused, the last at "
                      f"{max((each.ended - back for each in refused), default=0):.2f} s")
                assert refused
                ledger.check_database(pair.primary)
                if number + 1 < ROUNDS:
                    pair.rebuild()
        print(ledger.summary())
        ledger.check_database(pair.primary)
