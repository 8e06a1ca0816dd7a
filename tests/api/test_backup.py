"""trestle backup: of a database that is in use, checked and whole."""

import concurrent.futures
import os
import signal
import sqlite3
import stat
import subprocess
import threading

import pytest

import harness
from harness import Server

THINGS = """
access: {read: public, write: public}
properties:
  name: {type: string}
  amount: {type: integer, default: 0}
"""

# Of PostgreSQL it says what to do; see the last test.
only_sqlite = harness.only_sqlite


@pytest.fixture
def server():
    with Server({"things": THINGS}) as running:
        yield running


def ask(path, sql):
    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def names(path):
    return {name for name, in ask(path, "SELECT name FROM things")}


class Writers:
    """Write until they are told to stop; `answered` has what is sure to be stored."""

    def __init__(self, server, count=8):
        self.server = server
        self.stop = threading.Event()
        self.answered = []
        self.pool = concurrent.futures.ThreadPoolExecutor(count)
        self.count = count

    def write(self, number):
        client = self.server.client()
        i = 0
        while not self.stop.is_set():
            name = f"{number}-{i}-" + "x" * 3000
            created = client.create("/things", {"name": name})
            self.answered.append(name)
            # What changes together must be seen together: a record and its amount.
            client.patch(f"/things/{created['id']}", {"amount": 1})
            i += 1
        client.close()

    def __enter__(self):
        self.running = [self.pool.submit(self.write, number) for number in range(self.count)]
        return self

    def __exit__(self, *_):
        self.stop.set()
        for each in self.running:
            each.result()
        self.pool.shutdown()


@only_sqlite
def test_every_answered_write_is_in_it_while_others_write(server, tmp_path):
    with Writers(server) as writers:
        harness.wait_until(lambda: len(writers.answered) > 200, "some are written")
        for i in range(5):
            path = tmp_path / f"{i}.db"
            before = set(writers.answered)
            said = server.program("backup", str(path), check=0)
            assert said.stdout == ""
            assert "Backing up: " in said.stderr
            stored = names(path)
            assert before <= stored, f"{len(before - stored)} of {len(before)} are missing"
            assert ask(path, "PRAGMA integrity_check") == [("ok",)]
            assert sorted(os.listdir(tmp_path)) == [f"{n}.db" for n in range(i + 1)]
    assert len(writers.answered) > 200


@only_sqlite
def test_a_server_runs_on_it(server, tmp_path):
    first = server.public.create("/things", {"name": "x"})
    server.program("backup", str(tmp_path / "backup.db"), check=0)
    server.public.create("/things", {"name": "later"})
    with Server({"things": THINGS},
                settings={"database": f"sqlite:{tmp_path}/backup.db"}) as other:
        assert other.public.list("/things") == [first]
        assert other.public.create("/things", {"name": "y"})["id"] == 2
    assert [each["name"] for each in server.public.list("/things")] == ["x", "later"]


@only_sqlite
def test_it_can_be_read_where_nothing_can_be_written(server, tmp_path):
    server.public.create("/things", {"name": "x"})
    folder = tmp_path / "shelf"
    folder.mkdir()
    server.program("backup", str(folder / "backup.db"), check=0)
    assert stat.S_IMODE((folder / "backup.db").stat().st_mode) == 0o600
    folder.chmod(0o500)
    try:
        said = server.program("export", "things", "--direct", "--database",
                              f"sqlite:{folder}/backup.db", check=0)
        assert '"name":"x"' in said.stdout
        assert os.listdir(folder) == ["backup.db"]
    finally:
        folder.chmod(0o700)


@only_sqlite
def test_a_file_that_is_there_stays(server, tmp_path):
    path = tmp_path / "backup.db"
    path.write_text("mine")
    said = server.program("backup", str(path), check=1)
    assert f"{path} is there already; with --force it is replaced" in said.stderr
    assert path.read_text() == "mine"
    server.public.create("/things", {"name": "x"})
    server.program("backup", "--force", str(path), check=0)
    assert names(path) == {"x"}
    assert os.listdir(tmp_path) == ["backup.db"]


@only_sqlite
def test_what_is_no_file_is_never_replaced(server, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("folder", "link"):
        said = server.program("backup", "--force", str(tmp_path / name), check=1)
        assert "is there, and is no file" in said.stderr
    assert sorted(os.listdir(tmp_path)) == ["folder", "link"]


@only_sqlite
def test_the_database_itself_is_never_replaced(server):
    server.public.create("/things", {"name": "x"})
    path = server.store.path(server.folder)
    os.link(path, server.folder / "other.db")
    for each in (path, server.folder / "other.db"):
        said = server.program("backup", "--force", str(each), check=1)
        assert "is the database itself" in said.stderr
    assert len(server.public.list("/things")) == 1


@only_sqlite
@pytest.mark.parametrize("target, says", [
    ("/nowhere/backup.db", "/nowhere/backup.db"),
    ("-", "not to standard output"),
])
def test_where_it_cannot_go(server, target, says):
    said = server.program("backup", target)
    assert said.returncode in (1, 2)
    assert says in said.stderr


@only_sqlite
def test_without_a_database_there_is_no_backup(tmp_path):
    said = harness.program("backup", "backup.db", folder=tmp_path, check=1)
    assert "cannot open the database data/trestle.db: No such file" in said.stderr
    assert os.listdir(tmp_path) == []
    said = harness.program("backup", folder=tmp_path, check=2)
    assert "an argument is missing" in said.stderr


@only_sqlite
def test_a_full_disk_leaves_nothing(server, tmp_path):
    """By a limit on the size of files."""
    for i in range(3):
        server.public.create("/things", {"name": f"{i}" * 1_000_000})
    said = subprocess.run(
        ["bash", "-c", 'ulimit -f 1024; exec "$0" "$@"', harness.PROGRAM, "backup",
         str(tmp_path / "backup.db")],
        env={"TRESTLE_DATABASE": server.settings["database"]}, cwd=tmp_path, capture_output=True)
    assert said.returncode == 1, said.stderr
    assert b"backup.db" in said.stderr
    assert os.listdir(tmp_path) == []


@only_sqlite
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_that_is_stopped_leaves_nothing(server, tmp_path, number):
    for i in range(40):
        server.public.create("/things", {"name": f"{i:02}" * 500_000})
    process = subprocess.Popen(
        [harness.PROGRAM, "backup", str(tmp_path / "backup.db")], cwd=tmp_path,
        env={"TRESTLE_DATABASE": server.settings["database"]}, stderr=subprocess.DEVNULL)
    harness.wait_until(lambda: os.listdir(tmp_path) or process.poll() is not None, "it began")
    process.send_signal(number)
    status = process.wait()
    assert status in (-number, 0)
    assert os.listdir(tmp_path) == ([] if status else ["backup.db"])


def test_postgres_has_its_own_tool(tmp_path):
    said = harness.program("backup", "backup.db", folder=tmp_path, check=1,
                           settings={"database": "postgresql://me:hush@h/x"})
    assert "pg_dump" in said.stderr and "hush" not in said.stderr
    assert os.listdir(tmp_path) == []
