"""The primary of two PostgreSQL servers is killed under load and its standby takes over: trestle
finds it without being told, and nothing acknowledged is lost."""

import concurrent.futures
import contextlib
import os
import shutil
import signal
import time

import pytest

from clusters import empty_cluster, make_cluster
from harness import Server, problem, wait_until
from ledger import DEFINITIONS, Ledger

ROUNDS = int(os.environ.get("FAILOVER_ROUNDS", "6"))
RETURN = 3.0  # seconds after the promotion, from when everything must be served

# Of a standby: it waits for nobody when it takes over, and does so at once (it may otherwise sleep
# for 5 seconds before it sees that it is to be the primary).
STANDBY = {"synchronous_standby_names": "", "wal_retrieve_retry_interval": "100ms"}


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
        self.standby.follow(self.primary, STANDBY)
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

    @contextlib.contextmanager
    def frozen(self):
        """The standby receives nothing meanwhile, so that no commit comes to its end."""
        [(receiver,)] = self.standby.rows("SELECT pid FROM pg_stat_wal_receiver")
        os.kill(receiver, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(receiver, signal.SIGCONT)

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
    refused = []
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
                refused += (these := ledger.refusals(since, back + RETURN))
                print(f"round {number + 1}, {way}: {back - since:.2f} s away, "
                      f"{len(these)} refused, the last at "
                      f"{max((each.ended - back for each in these), default=0):.2f} s")
                ledger.check_database(pair.primary)
                if number + 1 < ROUNDS:
                    pair.rebuild()
        print(ledger.summary())
        ledger.check_database(pair.primary)
        assert refused or ROUNDS < 3


@pytest.mark.parametrize("seconds", [1, 7])
def test_what_the_standby_lacked_was_not_acknowledged(pair, seconds):
    """It hangs for a while; then the primary dies with what only it had."""
    with Server(DEFINITIONS, settings={"database": pair.url}) as server:
        ledger = Ledger(server)
        with ledger:
            time.sleep(1)
            with pair.frozen():
                since = time.monotonic()
                time.sleep(seconds)
                done = [event for event in list(ledger.events) if event.status < 300 and
                        event.method != "GET" and event.started > since + 0.1]
                assert not done, done[:5]
                assert server.public.get("/notes").status_code == 200
                pair.primary.crash_all()
            pair.fail_over(lambda cluster: None)
            back = time.monotonic()
            time.sleep(RETURN + 1)
            assert not ledger.surprises, ledger.surprises[:5]
            late = ledger.refusals(back + RETURN, time.monotonic())
            assert not late, [(event.started - back, event) for event in late[:5]]
            ledger.check_database(pair.primary)
        print(ledger.summary())
        ledger.check_database(pair.primary)


@pytest.mark.parametrize("ending", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_commit_that_stopped_waiting_for_the_standby(pair, ending):
    """PostgreSQL then says COMMIT, with no more than a warning; it may still be lost."""
    waiting = ("SELECT pid FROM pg_stat_activity "
               "WHERE application_name = 'trestle' AND wait_event = 'SyncRep'")
    with Server(DEFINITIONS, settings={"database": pair.url}) as server:
        server.public.create("/messages", {"message": "before"})
        with concurrent.futures.ThreadPoolExecutor() as threads:
            with pair.frozen():
                answer = threads.submit(
                    lambda: server.public.post("/messages", {"message": "doubtful"}))
                wait_until(lambda: pair.primary.rows(waiting), "it waits for the standby")
                pair.primary.rows(f"SELECT {ending}(pid) FROM ({waiting}) AS w")
                problem(answer.result(), 503, "outcome-unknown")
        assert server.public.post("/messages", {"message": "after"}).status_code == 201


def server_processes(cluster):
    return cluster.rows("SELECT count(*) FROM pg_stat_activity "
                        "WHERE application_name = 'trestle'")[0][0]


def test_processes_do_not_pile_up_while_the_standby_is_away(pair):
    """PostgreSQL keeps the process of a commit that waits for a standby; trestle does not leave ever
    more of them behind, and serves at once when the standby is back."""
    settings = {"database": pair.url, "workers": 2, "connections": 8, "query_timeout": "500ms"}
    most = 2 * (2 + 2 * 2) + 1  # a worker reads and scans, and writes in two places; one watches
    with Server(DEFINITIONS, settings=settings) as server:
        ledger = Ledger(server)
        with ledger:
            time.sleep(1)
            with pair.frozen():
                counts = []
                for _ in range(20):
                    time.sleep(1)
                    counts.append(server_processes(pair.primary))
            back = time.monotonic()
            print(counts)
            assert max(counts) <= most, counts
            time.sleep(2 + 1)
            assert not ledger.surprises, ledger.surprises[:5]
            late = ledger.refusals(back + 2, time.monotonic())
            assert not late, [(event.started - back, event) for event in late[:5]]
            ledger.check_database(pair.primary)
        print(ledger.summary())
