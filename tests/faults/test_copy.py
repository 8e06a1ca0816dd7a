"""trestle copy while PostgreSQL dies and comes back."""

import random
import re
import threading
import time

import pytest

from harness import Server

RECORDS = 60_000
CRASHES = 12

THINGS = """
required: [name]
properties:
  name: {type: string, maxLength: 300}
  amount: {type: integer}
"""


@pytest.fixture
def server():
    """Stopped, with records in SQLite."""
    server = Server({"things": THINGS}, settings={"database": "sqlite:data/first.db"})
    choice = random.Random(3)
    lines = "".join(f'{{"name": "{i} {"x" * choice.randrange(200)}", "amount": {i}}}\n'
                    for i in range(RECORDS))
    server.program("import", "things", "-", "--format", "ndjson", "--direct",
                   stdin=lines.encode(), check=0)
    yield server
    server.close()


class Crashes:
    """Kills a cluster again and again, and lets it come back after a while."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.stop = threading.Event()
        self.count = 0
        self.error = None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        choice = random.Random(11)
        try:
            while not self.stop.wait(choice.uniform(0.1, 0.6)) and self.count < CRASHES:
                self.cluster.crash_all()
                time.sleep(choice.uniform(0, 0.5))
                self.cluster.resume()
                self.count += 1
        except BaseException as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        if self.error:
            raise self.error


def copy(server, source, target):
    return server.program("copy", "--from", source, "--to", target)


def copy_until_done(server, source, target):
    """A commit of which nobody knows whether it happened ends a copy; the next run finds out."""
    for runs in range(1, 100):
        said = copy(server, source, target)
        if said.returncode == 0:
            return runs, said
        assert "run it again" in said.stderr or "cannot be reached" in said.stderr, said.stderr
    raise AssertionError(said.stderr)


def test_a_copy_goes_through_crashes(server, cluster):
    """Nothing is lost and nothing doubled, in either direction."""
    with Crashes(cluster) as crashes:
        runs, there = copy_until_done(server, "sqlite:data/first.db", cluster.url)
    print(f"{crashes.count} crashes, {runs} run(s)\n{there.stderr}")
    assert crashes.count > 0
    with Crashes(cluster) as crashes:
        runs, back = copy_until_done(server, cluster.url, "sqlite:data/back.db")
    print(f"{crashes.count} crashes, {runs} runs\n{back.stderr}")
    digest = re.compile(rf"things: {RECORDS} records, .* (digest [0-9a-f]+)")
    assert digest.search(there.stdout).group(1) == digest.search(back.stdout).group(1)
    exports = [server.program("export", "things", "--direct", "--database", database,
                              check=0).stdout
               for database in ("sqlite:data/first.db", cluster.url, "sqlite:data/back.db")]
    assert exports[0] == exports[1] == exports[2]
    assert exports[0].count("\n") == RECORDS
    assert cluster.rows("SELECT count(*), count(DISTINCT amount) FROM things") == [
        (RECORDS, RECORDS)]
