"""Runs the real program for a test and talks to it.

`Server` is one running `trestle serve` in a folder of its own; `Client` speaks HTTP to it as people
do, with requests, and checks of every answer what holds for every answer; `Wire` is a bare
connection for those who choose each byte themselves.

$TRESTLE is the program, $STORE the database that it keeps its records in. $POSTGRES_CLUSTER is the
file of a cluster (tools/postgres_cluster) for STORE=postgres; without it one is started here.
"""

import atexit
import collections
import contextlib
import ctypes
import functools
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import urllib.parse

import pytest
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
RESOURCES = ROOT / "resources"
PROGRAM = os.path.abspath(os.environ.get("TRESTLE", ROOT / "build" / "debug" / "trestle"))
STORE = os.environ.get("STORE", "sqlite")

# It has the form of a key that trestle makes, for tests that hand it to tools that look at that.
ADMIN_KEY = "tr_adminadminadminadminadminadminadminadminadm" + "000000"

PROBLEM = "urn:trestle:problem:"

# Generous, because a loaded machine must not fail a test; nothing ever waits this long in order to
# pass.
PATIENCE = 60

# Every process that runs tests has an address of its own on the loopback network (all of 127/8 is
# local on Linux), so that a port that is free here cannot be taken by tests that run beside us.
_PID = os.getpid()
HOST = f"127.{100 + (_PID >> 16) % 100}.{(_PID >> 8) & 255}.{_PID & 255}"
if _PID & 255 == 0:
    HOST = HOST[: HOST.rindex(".")] + ".255"


class SqliteStore:
    """The database of one server, as SQLite's own tools see it."""

    Error = sqlite3.OperationalError

    def settings(self, folder):
        return {"database": f"sqlite:{folder}/data/trestle.db"}

    def path(self, folder):
        return pathlib.Path(folder) / "data" / "trestle.db"

    def connect(self, folder):
        """A connection to it; each statement is a transaction unless BEGIN says otherwise."""
        return contextlib.closing(sqlite3.connect(self.path(folder), isolation_level=None))

    def hold(self, connection, table):
        """Begins a transaction that keeps others from writing."""
        connection.execute("BEGIN IMMEDIATE")

    def indexes(self, connection, table):
        """Of a table, but for its key: (whether it is unique, its columns)."""
        names = [(row[1], bool(row[2]))
                 for row in connection.execute(f"PRAGMA index_list({table})") if row[3] == "c"]
        return [(unique, [row[2] for row in connection.execute(f"PRAGMA index_info({name})")])
                for name, unique in names]

    def empty(self, folder):
        """Removes all that is in it, while no server runs."""
        for path in self.path(folder).parent.glob("trestle.db*"):
            path.unlink()

    def remove(self):
        """It is in the server's folder, and goes with it."""


class PostgresConnection:
    """psycopg2's, as short to use as sqlite3's."""

    def __init__(self, url):
        # Who tests SQLite alone does not need it.
        import psycopg2  # pylint: disable=import-outside-toplevel
        self._connection = psycopg2.connect(url)
        self._connection.autocommit = True

    def execute(self, sql, parameters=None):
        cursor = self._connection.cursor()
        cursor.execute(sql, parameters)
        return cursor

    def close(self):
        self._connection.close()


_CLUSTER_TOOL = ROOT / "tools" / "postgres_cluster"


@functools.cache
def cluster_url():
    """Of the cluster that all tests of this process use."""
    file = os.environ.get("POSTGRES_CLUSTER")
    if file is None:
        folder = tempfile.mkdtemp(prefix="trestle-cluster-")
        file = os.path.join(folder, "cluster")
        subprocess.run([_CLUSTER_TOOL, "start", file], check=True, stdout=subprocess.DEVNULL)
        atexit.register(shutil.rmtree, folder)
        atexit.register(subprocess.run, [_CLUSTER_TOOL, "stop", file], check=True)
    return pathlib.Path(file).read_text("utf-8").splitlines()[0]


class PostgresStore:
    """The database of one server, in the cluster that all share."""

    _numbers = itertools.count()

    def __init__(self):
        import psycopg2  # pylint: disable=import-outside-toplevel
        self.Error = psycopg2.Error
        self.name = f"test_{os.getpid()}_{next(self._numbers)}"
        self._cluster_do(f"CREATE DATABASE {self.name}")

    def _cluster_do(self, sql):
        with contextlib.closing(PostgresConnection(cluster_url())) as connection:
            connection.execute(sql)

    @property
    def url(self):
        return cluster_url().rpartition("/")[0] + "/" + self.name

    def settings(self, folder):
        return {"database": self.url}

    def connect(self, folder):
        return contextlib.closing(PostgresConnection(self.url))

    def hold(self, connection, table):
        connection.execute("BEGIN")
        connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")

    def indexes(self, connection, table):
        rows = connection.execute(
            """SELECT i.indexrelid, i.indisunique, a.attname
               FROM pg_index AS i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (n, place)
               JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.n
               WHERE i.indrelid = %s::regclass AND NOT i.indisprimary ORDER BY 1, k.place""",
            (table,)).fetchall()
        return [(unique, [column for _, _, column in group])
                for (_, unique), group in itertools.groupby(rows, lambda row: row[:2])]

    def empty(self, folder):
        self.remove()
        self._cluster_do(f"CREATE DATABASE {self.name}")

    def remove(self):
        self._cluster_do(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")


STORES = {"sqlite": SqliteStore, "postgres": PostgresStore}

# For tests of what only one of them has.
only_sqlite = pytest.mark.skipif(STORE != "sqlite", reason="it is about SQLite's file")


def store(name=STORE):
    if name not in STORES:
        raise RuntimeError(f"STORE={name}: there are {', '.join(STORES)}")
    return STORES[name]()


def wait_until(condition, what, patience=PATIENCE):
    """Waits until a condition gives something true, and gives it."""
    end = time.monotonic() + patience
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience} s in vain: {what}")
        time.sleep(0.005)


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def program(*arguments, folder, settings=None, stdin=None, check=None, timeout=PATIENCE * 5):
    """Runs a subcommand to its end; `check` is the exit status that is expected."""
    result = subprocess.run(
        [PROGRAM, *arguments], cwd=folder, env=_environment(settings or {}),
        input=stdin, capture_output=True, timeout=timeout, preexec_fn=_die_with_parent)
    result.stdout = result.stdout.decode("utf-8")
    result.stderr = result.stderr.decode("utf-8")
    assert_no_report(result.stderr)
    if check is not None:
        said = f"{result.stdout}\n{result.stderr}"
        assert result.returncode == check, f"exit {result.returncode}\n{said}"
    return result


def _environment(settings):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("TRESTLE")}
    for name, value in settings.items():
        environment["TRESTLE_" + name.upper()] = str(value)
    return environment


# (PostgreSQL talks of "corrupted shared memory" when one of its own processes was killed.)
REPORT = re.compile(r"(Address|Leak|Thread|UndefinedBehavior|Memory)Sanitizer|runtime error:|"
                    r"Assertion .* failed|stack smashing|corrupted(?! shared memory)")


def assert_no_report(text):
    found = REPORT.search(text)
    assert not found, "the program reported:\n" + text[max(0, found.start() - 500):][:20000]


class Server:
    """A running `trestle serve`. Its folder has resources/ and data/, and goes when it is closed.

    `definitions` are YAML texts by resource name; without any, and with `defaults`, the resources
    that trestle ships with are served. `settings` become TRESTLE_* variables. `store_name` is a
    database other than $STORE.
    """

    def __init__(self, definitions=None, *, defaults=None, settings=None, data=None,
                 store_name=STORE):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="trestle-test-"))
        self.resources = self.folder / "resources"
        self.data = pathlib.Path(data) if data else self.folder / "data"
        if defaults if defaults is not None else definitions is None:
            shutil.copytree(RESOURCES, self.resources)
        else:
            self.resources.mkdir()
        for name, text in (definitions or {}).items():
            self.define(name, text)
        self.store = store(store_name)
        self.settings = {
            "admin_key": ADMIN_KEY,
            "resources": self.resources,
            "data": self.data,
            "workers": 2,
            "rate_limit_failures": "off",  # tests try bad keys as often as they like
            "runner": 0,  # operations wait for what a test does with them
            **self.store.settings(self.folder),
            **(settings or {}),
        }
        self.log_path = self.folder / "log"
        self.process = None
        self.port = None
        self._clients = threading.local()

    def define(self, name, text):
        (self.resources / f"{name}.yaml").write_text(text, encoding="utf-8")

    def beside(self, **settings):
        """Another process, not started yet, with this one's database and definitions."""
        # SQLite's store makes and removes nothing of its own.
        other = Server({}, store_name="sqlite")
        other.settings = {**self.settings, **settings}
        return other

    # Life

    def start(self, **settings):
        """Starts it and waits until it is ready."""
        self.settings.update(settings)
        for _ in range(5):
            self.spawn()
            if self._wait_ready():
                return self
            self._reap()
            if "in use" not in self.log_text():
                break
        raise AssertionError(f"it did not start:\n{self.log_text()}")

    def spawn(self, listen=None):
        """Starts it, and does not wait."""
        self.port = free_port()
        self.settings["listen"] = listen or f"{HOST}:{self.port}"
        log = open(self.log_path, "ab")
        with log:
            self.process = subprocess.Popen(
                [PROGRAM, "serve"], cwd=self.folder, env=_environment(self.settings),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent)

    def _wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                return "dead"
            try:
                return requests.get(self.url("/readyz"), timeout=PATIENCE).status_code == 200
            except requests.ConnectionError:
                return False
        return wait_until(ready, "trestle is ready") != "dead"

    def refuses_to_start(self):
        """Starts it where it must not start; gives what it said."""
        before = len(self.log_text())
        self.spawn()
        status = self._reap()
        said = self.log_text()[before:]
        assert status > 0, f"exit {status}: {said}"
        assert_no_report(said)
        return said

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self):
        """Waits until it has ended in order after a signal, and checks that it did."""
        status = self._reap()
        said = self.log_text()
        assert_no_report(said)
        assert status == 0, f"exit {status}:\n{said[-20000:]}"

    def stop(self):
        self.close_clients()
        self.terminate()
        self.wait()

    def kill(self):
        self.process.kill()
        self._reap()

    def _reap(self):
        status = self.process.wait(PATIENCE)
        self.process = None
        return status

    def restart(self, **settings):
        self.stop()
        return self.start(**settings)

    def close(self):
        """Ends it, checks how it went, and removes its folder."""
        try:
            assert_no_report(self.log_text())
            if self.process:
                status = self.process.poll()
                assert status is None, f"it ended by itself (exit {status}):\n{self.log_text()}"
                self.stop()
        finally:
            if self.process:
                self.kill()
            self.store.remove()
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        if error is not None and self.log_path.exists():
            print(f"--- the program's log ---\n{self.log_text()[-20000:]}")
        self.close()

    def log_text(self):
        return self.log_path.read_text("utf-8", "replace") if self.log_path.exists() else ""

    # Talk

    def url(self, path=""):
        return f"http://{HOST}:{self.port}{path}"

    def client(self, key=ADMIN_KEY, checked=True):
        return Client(self, key, checked)

    @property
    def admin(self):
        """A client of this thread that presents the admin key."""
        return self._client("admin", ADMIN_KEY)

    @property
    def public(self):
        """A client of this thread without a key."""
        return self._client("public", None)

    def _client(self, name, key):
        client = getattr(self._clients, name, None)
        if client is None or client.server_url != self.url():
            client = self.client(key)
            setattr(self._clients, name, client)
        return client

    def close_clients(self):
        for name in ("admin", "public"):
            client = getattr(self._clients, name, None)
            if client is not None:
                client.close()
                delattr(self._clients, name)

    def wire(self):
        return Wire(self.port)

    def program(self, *arguments, check=None, stdin=None, **settings):
        return program(*arguments, folder=self.folder, settings={**self.settings, **settings},
                       check=check, stdin=stdin)


class Client:
    """A requests.Session on one server. Unless told otherwise it checks of every answer what must
    hold for all: an id, and for errors a complete problem."""

    def __init__(self, server, key, checked):
        self.server = server
        self.server_url = server.url()
        self.session = requests.Session()
        self.session.trust_env = False
        # Debian's requests asks for */* and compression by itself; say no more than needed.
        self.session.headers.clear()
        if key is not None:
            self.session.headers["Authorization"] = f"Bearer {key}"
        if checked:
            self.session.hooks["response"].append(lambda response, **_: check_answer(response))

    def request(self, method, path, **arguments):
        arguments.setdefault("timeout", PATIENCE * 2)
        arguments.setdefault("allow_redirects", False)
        return self.session.request(method, self.server_url + path, **arguments)

    def get(self, path, **arguments):
        return self.request("GET", path, **arguments)

    def head(self, path, **arguments):
        return self.request("HEAD", path, **arguments)

    def options(self, path, **arguments):
        return self.request("OPTIONS", path, **arguments)

    def post(self, path, json=None, **arguments):
        return self.request("POST", path, **_body(json, arguments))

    def put(self, path, json=None, **arguments):
        return self.request("PUT", path, **_body(json, arguments))

    def patch(self, path, json=None, **arguments):
        return self.request("PATCH", path, **_body(json, arguments))

    def delete(self, path, **arguments):
        return self.request("DELETE", path, **arguments)

    def list(self, path, **parameters):
        """A list's records, of which there must be some answer."""
        response = self.get(path, params=parameters)
        assert response.status_code == 200, response.text
        return response.json()

    def create(self, path, record):
        """Creates a record, which must work, and gives it."""
        response = self.post(path, record)
        assert response.status_code == 201, response.text
        return response.json()

    def walk(self, path, **parameters):
        """Follows `next` from a list's first page to its last; gives the pages."""
        response = self.get(path, params=parameters)
        while True:
            assert response.status_code == 200, response.text
            yield response.json()
            following = links(response).get("next")
            if following is None:
                return
            response = self.get(relative(following))

    def close(self):
        self.session.close()


def _body(value, arguments):
    """Sends JSON as it is, in UTF-8; requests would escape it, and knows no null body."""
    if "data" in arguments:
        return arguments
    headers = {"Content-Type": "application/json", **arguments.pop("headers", {})}
    body = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return {"data": body, "headers": headers, **arguments}


def links(response):
    """The targets of a Link field by relation (RFC 8288)."""
    found = {}
    for target, parameters in re.findall(r'<([^>]*)>([^,<]*)', response.headers.get("Link", "")):
        relation = re.search(r';\s*rel="?([^";]+)"?', parameters)
        assert relation, response.headers["Link"]
        found[relation.group(1)] = target
    return found


def relative(target):
    """The path and query of a link's target, which may be a whole URL."""
    parts = urllib.parse.urlsplit(target)
    return urllib.parse.urlunsplit(("", "", parts.path, parts.query, ""))


def check_answer(response):
    """What holds for every answer."""
    assert response.headers.get("X-Request-Id"), dict(response.headers)
    assert response.headers.get("Date"), dict(response.headers)
    if response.status_code < 400:
        return
    assert response.headers.get("Content-Type") == "application/problem+json", dict(
        response.headers)
    if response.request is not None and response.request.method == "HEAD":
        assert not response.content
        return
    check_problem(response.status_code, response.content)


def check_problem(status, content):
    """RFC 9457: every error is a whole problem."""
    value = json.loads(content)
    assert value["type"].startswith(PROBLEM), value
    assert value["status"] == status, value
    assert isinstance(value["title"], str) and value["title"], value
    assert isinstance(value.get("detail", ""), str), value
    for error in value.get("errors", []):
        assert isinstance(error["detail"], str) and error["detail"], value
        assert isinstance(error.get("pointer", error.get("parameter")), str), value
    return value


def problem(response, status, slug=None):
    """Expects an error, and gives it; `slug` is the last part of its type (or a set of them)."""
    assert response.status_code == status, f"{response.status_code}: {response.text[:2000]}"
    value = check_problem(status, response.content)
    if slug is not None:
        slugs = {slug} if isinstance(slug, str) else slug
        assert value["type"].removeprefix(PROBLEM) in slugs, value
    return value


def pointers(response):
    """The JSON pointers of what is wrong with a body, which must be a 400."""
    value = problem(response, 400, {"invalid-body", "malformed-json"})
    return [error["pointer"] for error in value["errors"]]


Answer = collections.namedtuple("Answer", "status reason version fields body")


class Answered(Answer):
    """An answer as it came over the wire."""

    def field(self, name):
        values = [value for key, value in self.fields if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)


class Closed(Exception):
    """The server closed the connection before a whole answer."""


class Wire:
    """A connection to the server, byte by byte."""

    def __init__(self, port):
        self.socket = socket.create_connection((HOST, port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode("utf-8") if isinstance(data, str) else data)

    def send_lines(self, *lines, body=b""):
        self.send("\r\n".join([*lines, "", ""]).encode("utf-8") + body)

    def get(self, target, *lines):
        self.send_lines(f"GET {target} HTTP/1.1", "Host: test", *lines)

    def shutdown(self):
        self.socket.shutdown(socket.SHUT_WR)

    def receive(self, method="GET"):
        """The next answer, 1xx ones included; Closed where there is none."""
        head = self._until(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        version, status, reason = (lines[0].split(" ", 2) + [""])[:3]
        assert re.fullmatch(r"HTTP/1\.[01]", version), lines[0]
        fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:-2]]
        answer = Answered(int(status), reason, version, fields, b"")
        if method == "HEAD" or answer.status in (204, 304) or answer.status < 200:
            return answer
        if (answer.field("Transfer-Encoding") or "").lower() == "chunked":
            return answer._replace(body=self._chunks())
        length = answer.field("Content-Length")
        assert length is not None, fields
        return answer._replace(body=self._count(int(length)))

    def at_end(self):
        """Waits until the server closes; gives what came before that."""
        rest = self.buffer
        self.buffer = b""
        while True:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                return rest
            if not data:
                return rest
            rest += data

    def _fill(self):
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed(self.buffer)
        self.buffer += data

    def _until(self, mark):
        while mark not in self.buffer:
            self._fill()
        part, self.buffer = self.buffer[:], b""
        end = part.index(mark) + len(mark)
        self.buffer = part[end:]
        return part[:end]

    def _count(self, size):
        while len(self.buffer) < size:
            self._fill()
        part, self.buffer = self.buffer[:size], self.buffer[size:]
        return part

    def _chunks(self):
        body = b""
        while True:
            size = int(self._until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                while self._until(b"\r\n") != b"\r\n":
                    pass
                return body
            body += self._count(size)
            assert self._count(2) == b"\r\n"
