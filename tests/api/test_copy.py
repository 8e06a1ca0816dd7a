"""trestle copy: from one database to another and back, interrupted, refused, checked."""

import contextlib
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import time
import uuid

import pytest

import debian_index
import harness
from harness import PROGRAM, STORE, STORES, Server, free_port

THINGS = """
access: {read: public, write: public}
required: [name]
properties:
  name: {type: string, maxLength: 200000}
  secret: {type: string, maxLength: 50, writeOnly: true}
  amount: {type: integer}
  ratio: {type: number}
  price: {type: string, format: decimal, scale: 2}
  exact: {type: string, format: decimal, scale: 18}
  open: {type: boolean}
  day: {type: string, format: date}
  at: {type: string, format: date-time}
  link: {type: string, format: uri, maxLength: 100}
  token: {type: string, format: uuid}
  tags: {type: array}
  extra: {type: object}
  uses: {type: integer, default: 3, readOnly: true}
indexes: [[amount]]
"""

UUIDS = """
key: {id: uuid}
access: {read: public, write: public}
properties:
  text: {type: string, maxLength: 50}
unique: [[text]]
"""

CODES = """
key: code
access: {read: public, write: public}
properties:
  code: {type: string, maxLength: 20}
  amount: {type: integer}
"""

TOKENS = """
key: token
access: {read: public, write: public}
properties:
  token: {type: string, format: uuid}
  amount: {type: integer}
"""

NOTES = """
key: {digest: sha256(text)}
access: {read: public, write: public}
actions: [list, create, read]
required: [text]
properties:
  text: {type: string, maxLength: 100}
"""

DEFINITIONS = {"things": THINGS, "uuids": UUIDS, "codes": CODES, "tokens": TOKENS,
               "notes": NOTES}

TEXTS = ["", " ", "a", "A", "\u00e9", "e\u0301", "\uffff", "\U0001F600", "\u0001\t\r\n", "'\"\\",
         "%s;--", "null"]
VALUES = {
    "name": TEXTS + ["x" * 150_000],
    "secret": TEXTS + [None],
    "amount": [None, 0, 1, -1, 2**63 - 1, -2**63, 2**53 + 1],
    "ratio": [None, 0, 0.1, -0.0, 1, 5e-324, 1.7976931348623157e308, -1e-300, 1e22, 2**53 + 2],
    "price": [None, "0.00", "-0.01", "92233720368547758.07", "-92233720368547758.08"],
    "exact": [None, "0.000000000000000001", "-9.223372036854775808", "9.223372036854775807"],
    "open": [None, True, False],
    "day": [None, "0001-01-01", "9999-12-31", "2024-02-29", "1969-12-31"],
    "at": [None, "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z",
           "1999-12-31T23:59:59.999Z", "2000-01-01T00:00:00.000Z", "1969-12-31T23:59:59.001Z"],
    "link": [None, "https://example.org/a?b=c%20d#e"],
    "token": [None, "00000000-0000-0000-0000-000000000000",
              "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "tags": [None, [], ["x", 1, None, {"deep": [1.5, 1e30]}]],
    "extra": [None, {}, {"z": 1, "a": {"\u00fc": "\U0001F600"}, "": None}],
}

LINE = re.compile(r"^([\w-]+): (\d+) records?, (\d+) of them copied, digest ([0-9a-f]{64})$",
                  re.MULTILINE)


@pytest.fixture
def place(tmp_path):
    """Makes empty databases; gives their URLs."""
    made = []

    def make(kind):
        store = STORES[kind]()
        made.append(store)
        folder = tmp_path / str(len(made))
        (folder / "data").mkdir(parents=True)
        return store.settings(folder)["database"]
    yield make
    for store in made:
        store.remove()


# SQLite is there always.
KINDS = ["sqlite"] if STORE == "sqlite" else ["sqlite", STORE]
elsewhere = pytest.mark.parametrize("kind", KINDS)


def fill(server):
    """Records with every value that is hard to keep, changed and removed ones among them."""
    choice = random.Random(5)
    client = server.public
    for i in range(120):
        record = {name: values[i] if i < len(values) else choice.choice(values)
                  for name, values in VALUES.items()}
        client.create("/things", record)
    for i in range(1, 120, 7):
        changed = client.patch(f"/things/{i}", {"amount": i, "secret": f"changed {i}"})
        assert changed.status_code == 200, changed.text
        assert client.patch(f"/things/{i}", {"amount": i + 1}).status_code == 200
    for i in (5, 77, 119, 120):
        assert client.delete(f"/things/{i}").status_code == 204
    for i, text in enumerate(TEXTS):
        assert client.post("/notes", {"text": text}).status_code == 201
        client.create("/uuids", {"text": text})
        client.create("/tokens", {"token": str(uuid.UUID(int=choice.getrandbits(128)))})
        client.create("/codes", {"code": f"{text}{i}".replace("/", ""), "amount": i})


def filled():
    """A server with records, which does not run."""
    server = Server(DEFINITIONS).start()
    fill(server)
    server.stop()
    return server


@pytest.fixture(scope="module")
def server():
    """For tests that change nothing in it and leave it stopped."""
    server = filled()
    yield server
    server.close()


@pytest.fixture
def own_server():
    server = filled()
    yield server
    server.close()


def copy(server, source, target, check=0):
    return server.program("copy", "--from", source, "--to", target, check=check)


def digests(said):
    """What a copy says of each resource: (records, copied, digest)."""
    found = {name: (int(count), int(copied), digest)
             for name, count, copied, digest in LINE.findall(said.stdout)}
    assert "The target has all that the source has." in said.stdout
    return found


def exported(server, database):
    return {name: server.program("export", name, "--direct", "--database", database,
                                 check=0).stdout for name in DEFINITIONS}


def everything(server):
    """All that a server shows."""
    return {name: [record for page in server.public.walk(f"/{name}", limit=50) for record in page]
            for name in DEFINITIONS}


def serving(server, database, **settings):
    """Another server, on another database with the same definitions."""
    other = Server(DEFINITIONS, settings={"database": database, **settings})
    return other


@elsewhere
def test_everything_arrives_and_comes_back(server, place, kind):
    source = server.settings["database"]
    there, back = place(kind), place(STORE)
    going = digests(copy(server, source, there))
    coming = digests(copy(server, there, back))
    assert set(going) == {*DEFINITIONS, "history", "keys", "key-history", "key-usage", "operations"}
    assert {name: (count, digest) for name, (count, _, digest) in going.items()} == \
        {name: (count, digest) for name, (count, _, digest) in coming.items()}
    assert all(going[name][0] == going[name][1] > 0 for name in DEFINITIONS)
    assert going["things"][0] == 116
    exports = [exported(server, database) for database in (source, there, back)]
    assert exports[0] == exports[1] == exports[2]
    assert len(exports[0]["things"]) > 150_000
    # Digests tell of what no client ever sees, too.
    assert server.program("check", "--data", "--database", there, check=0)


@elsewhere
def test_what_is_never_shown_arrives(server, place, kind):
    source, there, back = server.settings["database"], place(kind), place("sqlite")
    copy(server, source, there)
    copy(server, there, back)
    with sqlite3.connect(back.removeprefix("sqlite:")) as connection:
        rows = dict((row[0], row[1:]) for row in connection.execute(
            "SELECT id, secret, _version FROM things"))
    connection.close()
    for i in range(1, 120, 7):
        assert rows[i] == (f"changed {i}", 3)
    assert rows[2] == (TEXTS[1], 1)


@elsewhere
def test_a_server_goes_on_with_the_copy(server, place, kind):
    there = place(kind)
    server.start()
    page = server.public.get("/things?limit=10&sort=-amount")
    following = harness.relative(harness.links(page)["next"])
    before, rest = everything(server), server.public.list(following)
    server.stop()
    copy(server, server.settings["database"], there)
    with serving(server, there) as other:
        assert everything(other) == before
        # Cursors that were handed out hold.
        assert other.public.list(following) == rest
        # Numbers of records that are gone are not given again.
        assert other.public.create("/things", {"name": "new"})["id"] == 121
        assert other.public.patch("/things/1", {"amount": 5}).status_code == 200
        harness.problem(other.public.post("/uuids", {"text": TEXTS[2]}), 409, "conflict")
        assert other.public.post("/notes", {"text": TEXTS[2]}).status_code == 200


@elsewhere
def test_the_made_admin_key_goes_along(place, kind):
    definition = {"things": "properties:\n  name: {type: string}\n"}
    there = place(kind)
    with Server(definition, settings={"admin_key": ""}) as server:
        key = re.search(r"tr_[0-9A-Za-z]{49}", server.log_text()).group()
        with server.client(key).session:
            server.client(key).create("/things", {"name": "x"})
        server.stop()
        copy(server, server.settings["database"], there)
        with Server(definition, settings={"admin_key": "", "database": there}) as other:
            assert "tr_" not in other.log_text()
            assert other.client(key).list("/things") == [{"id": 1, "name": "x"}]
        server.start()


@elsewhere
def test_again_there_is_nothing_to_do(server, place, kind):
    there = place(kind)
    first = digests(copy(server, server.settings["database"], there))
    again = digests(copy(server, server.settings["database"], there))
    assert {name: (count, 0, digest) for name, (count, _, digest) in first.items()} == again


@elsewhere
def test_what_was_added_meanwhile_is_brought_along(own_server, place, kind):
    there = place(kind)
    copy(own_server, own_server.settings["database"], there)
    own_server.start()
    for i in range(3):
        own_server.public.create("/things", {"name": f"more {i}"})
    own_server.stop()
    said = copy(own_server, own_server.settings["database"], there)
    assert digests(said)["things"][:2] == (119, 3)


def stored(database):
    """How many things there are in a database, which need not be there yet."""
    try:
        if database.startswith("sqlite:"):
            path = database.removeprefix("sqlite:")
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0)
        else:
            connection = harness.PostgresConnection(database)
        with contextlib.closing(connection):
            return connection.execute("SELECT count(*) FROM things").fetchone()[0]
    except Exception:  # pylint: disable=broad-exception-caught
        return 0  # no file, no table, or a moment in which it cannot be read


def kill_copies(command, there, count, choice, **arguments):
    """Kills a dozen copies, and gives how many of them left a part of the whole. Half of the kills
    come after any time, so that the beginning is hit; the others when so many more records are
    there, since a busy machine comes to them late."""
    parts = 0
    for number in range(12):
        process = subprocess.Popen(command, **arguments)
        if number % 2:
            enough = min(stored(there) + choice.randrange(count // 6), count - 1)
            while stored(there) <= enough and process.poll() is None:
                time.sleep(0.005)
        else:
            time.sleep(choice.uniform(0, 0.6))
        process.kill()
        killed = process.wait() == -signal.SIGKILL
        parts += killed and 0 < stored(there) < count
    return parts


@elsewhere
def test_killed_at_any_moment_it_goes_on(place, kind):
    """However often it is killed: what is there is the beginning of the whole, and at the end all
    of it."""
    definition = {"things": "properties:\n  name: {type: string}\n"}
    count = 30_000
    choice = random.Random(9)
    with Server(definition) as server:
        lines = "".join(json.dumps({"name": f"{i} " + "x" * (i % 50)}) + "\n"
                        for i in range(count))
        server.program("import", "things", "-", "--format", "ndjson", stdin=lines.encode(),
                       check=0)
        server.stop()
        source = server.settings["database"]
        environment = {**os.environ, "TRESTLE_RESOURCES": str(server.resources)}
        # Where a copy is through before anybody looks, another one is begun.
        for _ in range(5):
            there = place(kind)
            with open(server.folder / "copy.log", "ab") as log:
                parts = kill_copies([PROGRAM, "copy", "--from", source, "--to", there], there,
                                    count, choice, env=environment, stdout=log, stderr=log,
                                    cwd=server.folder)
            if parts:
                break
        said = copy(server, source, there)
        number, copied, _ = digests(said)["things"]
        print(f"killed {parts} times in the middle; the last run copied {copied} of {number}")
        assert parts > 0
        assert number == count
        assert copied < count, "nothing of what was there was kept"
        mine, theirs = (server.program("export", "things", "--direct", "--database", database,
                                       check=0).stdout for database in (source, there))
        assert mine == theirs and mine.count("\n") == count
        server.start()


@elsewhere
def test_a_target_with_other_records_is_refused_and_left_alone(server, place, kind):
    there = place(kind)
    with serving(server, there) as other:
        other.public.create("/uuids", {"text": "mine"})
        mine = everything(other)
        other.stop()
        said = copy(server, server.settings["database"], there, check=1)
        assert re.search(r"the target has uuids/[0-9a-f-]{36} where the source has uuids/",
                         said.stderr), said.stderr
        assert "the target must be empty" in said.stderr
        other.start()
        # Not even the resources before that one were begun with.
        assert everything(other) == mine


@elsewhere
def test_a_target_that_was_changed_is_refused(server, place, kind):
    there = place(kind)
    copy(server, server.settings["database"], there)
    with serving(server, there) as other:
        assert other.public.patch("/things/8", {"secret": "other"}).status_code == 200
    said = copy(server, server.settings["database"], there, check=1)
    assert "things/8 is not the same in both" in said.stderr


@elsewhere
def test_a_server_may_read_meanwhile(server, place, kind):
    server.start()
    before = everything(server)
    copy(server, server.settings["database"], place(kind))
    assert everything(server) == before
    server.stop()


def test_progress_is_told(server, place):
    said = copy(server, server.settings["database"], place("sqlite"))
    assert re.search(r"^Copying: 164 records in ", said.stderr, re.MULTILINE), said.stderr
    assert re.search(r"^Checking: 164 records in ", said.stderr, re.MULTILINE)


@pytest.mark.parametrize("arguments, says", [
    ([], "--from URL is missing"),
    (["--from", "sqlite:x.db"], "--to URL is missing"),
    (["--to", "sqlite:x.db"], "--from URL is missing"),
    (["--from", "x.db", "--to", "sqlite:y.db"], "--from: that names no database"),
    (["--from", "sqlite:x.db", "--to", "mysql://x"], "--to: that names no database"),
    (["--from", "sqlite:x.db", "--to", "sqlite:x.db"], "are the same database"),
    (["--from", "postgresql://h/x", "--to", "postgresql://h/x"], "are the same database"),
    (["sqlite:x.db", "sqlite:y.db"], "one argument too many"),
])
def test_a_wrong_use_is_explained(tmp_path, arguments, says):
    said = harness.program("copy", *arguments, folder=tmp_path, check=2)
    assert says in said.stderr
    assert "trestle copy --help" in said.stderr
    assert list(tmp_path.iterdir()) == []


@harness.only_sqlite
def test_one_file_under_two_names_is_the_same_database(server):
    path = server.store.path(server.folder)
    os.symlink(path, server.folder / "link.db")
    said = copy(server, f"sqlite:{path}", f"sqlite:{server.folder}/link.db", check=2)
    assert "are the same database" in said.stderr


def test_what_is_not_there_is_not_made(server, tmp_path):
    said = copy(server, f"sqlite:{tmp_path}/none.db", f"sqlite:{tmp_path}/other.db", check=1)
    assert "the source: cannot open the database" in said.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_reached_is_named(server, tmp_path):
    url = f"postgresql://me:hush@127.0.0.1:{free_port()}/x?connect_timeout=2"
    for source, target, side in ((server.settings["database"], url, "target"),
                                 (url, f"sqlite:{tmp_path}/other.db", "source")):
        said = copy(server, source, target, check=1)
        assert f"the {side}: the database cannot be reached" in said.stderr
        assert "hush" not in said.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_does_not_fit_the_definitions_is_refused(own_server, place):
    own_server.define("things", THINGS.replace("open: {type: boolean}", "shut: {type: boolean}"))
    said = copy(own_server, own_server.settings["database"], place("sqlite"), check=1)
    assert "the source: the tables do not fit the definitions" in said.stderr


def test_faults_of_definitions_are_told_once(own_server, place):
    own_server.define("broken", "properties: 5\n")
    said = copy(own_server, own_server.settings["database"], place("sqlite"), check=1)
    assert said.stderr.count("broken.yaml:1:") == 1


@elsewhere
def test_tables_of_others_are_named(own_server, place, kind):
    there = place(kind)
    with own_server.store.connect(own_server.folder) as connection:
        connection.execute("CREATE TABLE others (a integer, b integer)")
    said = copy(own_server, own_server.settings["database"], there)
    assert said.stderr.count('The table "others" is of no resource, and is not copied.') == 1
    assert 'The table "trestle_' not in said.stderr


def test_never_migrate_leaves_the_target_alone(server, place):
    said = server.program("copy", "--from", server.settings["database"], "--to", place("sqlite"),
                          "--migrate", "never", check=1)
    assert "the target: the tables do not fit the definitions" in said.stderr
    assert "CREATE TABLE" in said.stderr


@elsewhere
def test_the_debian_index_goes_there_and_back(place, kind):
    """A part of it; tests/faults takes all."""
    debian_index.copy_there_and_back(8_000, place("sqlite"), place(kind), place("sqlite"))
