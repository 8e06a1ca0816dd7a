"""A list as NDJSON: any number of records in one answer, read in short pages."""

import itertools
import json
import os
import threading
import time

import hypothesis
import pytest
from hypothesis import strategies

from harness import (PATIENCE, STORE, Server, links, problem, relative,
                     wait_until)
from streams import NDJSON, Truncated, download, ndjson, rss

SETTINGS = {"write_timeout": "3s", "query_timeout": "20s"}

DEFINITIONS = {
    "things": """
        access: {read: public, write: public}
        required: [name]
        properties:
          name:  {type: string, maxLength: 50}
          size:  {type: integer}
          kind:  {type: string, maxLength: 10}
          note:  {type: string}
          still: {type: boolean, default: false}
        unique: [[name]]
        indexes: [[size], [kind, size]]
        filters:
          weight: {heavy: size >= 3, light: size < 3}
        """,
    "numbers": """
        access: {read: public, write: public}
        properties:
          number: {type: integer}
          text:   {type: string}
        """,
    "parts": """
        access: {read: public, write: public}
        properties:
          thing: {type: integer, references: things}
          owner: {type: string, format: uuid, references: secrets}
        """,
    "secrets": """
        key: {id: uuid}
        properties:
          note: {type: string}
        """,
}

MANY = 20_000


def fill(server, count=MANY, size=10, table="numbers"):
    """Records straight into the table: 1, 2, … with a text of so many bytes."""
    with server.store.connect(server.folder) as connection:
        connection.execute(f"""
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
            INSERT INTO {table} (number, text, _version)
            SELECT i, '{"x" * size}', 1 FROM n""")


def get(client, path, **arguments):
    headers = {"Accept": NDJSON, **arguments.pop("headers", {})}
    return client.get(path, headers=headers, **arguments)


def records(client, path, **parameters):
    response = get(client, path, params=parameters)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == NDJSON
    assert not response.content or response.content.endswith(b"\n")
    return [json.loads(line) for line in response.content.splitlines()]


@pytest.fixture(name="things", scope="module")
def fixture_things(server):
    sent = [{"name": f"n{i * 37 % 60:02}", "size": [None, 1, 2, 3, 4][i % 5],
             "kind": "abc"[i % 3], "note": "\u00e4\n\"" * (i % 4)} for i in range(60)]
    return [server.public.create("/things", record) for record in sent]


# --- what is in it

def test_all_records_as_the_list_has_them(public, things):
    assert records(public, "/things") == public.list("/things", limit=1000) == things


@pytest.mark.parametrize("parameters", [
    {"sort": "-id"}, {"sort": "size"}, {"sort": "-size"}, {"sort": "name"},
    {"sort": "size", "kind": "b"}, {"kind": "b"}, {"weight": "heavy"}, {"sort": "kind,size"},
    {"filter": "startsWith(name, 'n1') and size > 1"}, {"fields": "name"}, {"limit": "7"},
    {"fields": "kind,note", "sort": "-size", "filter": "size != 2"}, {"offset": "53"},
    {"offset": "3", "limit": "40", "sort": "-name"}, {"name": "n07", "sort": "kind"},
    {"limit": "1000", "sort": "still,-size"}, {"limit": "33"}, {"limit": "32"}, {"name": "none"},
])
def test_parameters_mean_what_they_mean_for_a_list(public, things, parameters):
    assert records(public, "/things", **parameters) == \
        public.list("/things", **{"limit": "1000", **parameters})


def test_fields_of_the_answer(public, admin, things):
    response = get(public, "/things", params={"count": "true", "limit": "10", "kind": "a"})
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert response.headers["X-Total-Count"] == "20"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Accept" in response.headers["Vary"]
    assert not {"Link", "ETag", "Content-Length"} & set(response.headers)
    assert len(response.content.splitlines()) == 10
    response = get(admin, "/secrets", params={"count": "true"})
    assert response.content == b""
    assert response.headers["X-Total-Count"] == "0"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Authorization" in response.headers["Vary"]
    problem(get(public, "/secrets"), 401)


def test_what_is_embedded(public, admin, things):
    for i in range(40):
        public.create("/parts", {"thing": things[i % 7]["id"] if i % 5 else None})
    assert records(public, "/parts", expand="thing") == \
        public.list("/parts", expand="thing", limit=1000)
    assert sum(bool(record["_embedded"]["thing"])
               for record in records(public, "/parts", expand="thing", fields="id")) == 32
    problem(get(public, "/parts?expand=owner"), 401)
    assert len(records(admin, "/parts", expand="owner,thing")) == 40


def test_from_a_cursor_on(public, things):
    first = public.get("/things?limit=25&sort=-size")
    rest = records(public, relative(links(first)["next"]).replace("limit=25&", ""))
    assert [record["id"] for record in first.json() + rest] == \
        [record["id"] for record in public.list("/things", limit=1000, sort="-size")]
    second = public.get(relative(links(first)["next"]))
    said = problem(get(public, relative(links(second)["prev"])), 400, "invalid-cursor")
    assert "forward" in said["errors"][0]["detail"]


@pytest.mark.parametrize("query, slug, pointer", [
    ("limit=0", "invalid-parameter", "limit"), ("limit=x", "invalid-parameter", "limit"),
    ("limit=9223372036854775808", "invalid-parameter", "limit"),
    ("offset=-1", "invalid-parameter", "offset"), ("cursor=abc", "invalid-cursor", "cursor"),
    ("sort=still", "invalid-parameter", "sort"), ("sort=-kind,size", "invalid-parameter", "sort"),
    ("sort=still&limit=1001", "invalid-parameter", "sort"), ("colour=red", "unknown-parameter",
                                                            "colour"),
])
def test_what_is_refused(public, query, slug, pointer):
    said = problem(get(public, f"/things?{query}"), 400, slug)
    assert [error["pointer"] for error in said["errors"]] == [pointer]


def test_any_limit(public, things):
    assert len(records(public, "/things", limit=9223372036854775807)) == 60


def test_conditions(public, things):
    everything = public.list("/things", limit=1000)
    for name, value in (("If-None-Match", '"x"'), ("If-Match", "*")):
        response = get(public, "/things", headers={name: value})
        assert [json.loads(line) for line in response.content.splitlines()] == everything
    problem(get(public, "/things", headers={"If-Match": '"x"'}), 412)
    assert get(public, "/things", headers={"If-None-Match": "*"}).status_code == 304


def test_head(server, public, things):
    response = public.head("/things?count=true", headers={"Accept": NDJSON})
    assert response.status_code == 200
    assert (response.headers["Content-Type"], response.headers["X-Total-Count"]) == (NDJSON, "60")
    with server.wire() as wire:
        wire.send_lines("HEAD /things HTTP/1.1", "Host: test", f"Accept: {NDJSON}")
        assert wire.receive("HEAD").status == 200
        wire.get("/things?limit=3", f"Accept: {NDJSON}")
        assert wire.receive().body.count(b"\n") == 3


def test_http_1_0(server, things):
    with server.wire() as wire:
        wire.send_lines("GET /things HTTP/1.0", f"Accept: {NDJSON}")
        head, _, rest = wire.at_end().partition(b"\r\n\r\n")
        assert b"200 OK" in head and b"chunked" not in head
        assert rest.count(b"\n") == 60


def test_requests_behind_it_wait_for_its_end(server, things):
    with server.wire() as wire:
        wire.send("".join(f"GET {target} HTTP/1.1\r\nHost: test\r\nAccept: {media}\r\n\r\n"
                          for target, media in (("/things", NDJSON), ("/things?limit=1", "*/*"),
                                                ("/things?limit=2", NDJSON))))
        assert wire.receive().body.count(b"\n") == 60
        assert len(wire.receive().json()) == 1
        assert wire.receive().body.count(b"\n") == 2


# --- many pages

@pytest.fixture(name="full", scope="module")
def fixture_full():
    """A server with many records, which no test changes."""
    with Server(DEFINITIONS, settings={"write_timeout": "3s"}) as server:
        fill(server)
        yield server


@pytest.mark.parametrize("target, expected", [
    ("/numbers", range(1, MANY + 1)), ("/numbers?sort=-id", range(MANY, 0, -1)),
    ("/numbers?filter=number%20%3E%205000", range(5001, MANY + 1)),
    (f"/numbers?limit={MANY - 1}&offset=1", range(2, MANY + 1)),
    ("/numbers?limit=3001", range(1, 3002)), ("/numbers?limit=4097&offset=4095", range(4096, 8193)),
    ("/numbers?sort=-number&limit=1000", range(MANY, MANY - 1000, -1)),
])
def test_many_records(full, target, expected):
    with download(full, target) as exchange:
        assert [record["number"] for record in exchange.lines()] == list(expected)


def test_records_of_any_size(server):
    """Pages are cut by bytes, so that none is much larger than one record."""
    sizes = [*[10] * 200, 300_000, *[1000] * 50, 65_000, 66_000, *[500_000] * 5, *[0] * 300]
    with server.store.connect(server.folder) as connection:
        for i, size in enumerate(sizes):
            connection.execute(f"INSERT INTO numbers (number, text, _version) "
                               f"VALUES ({i}, '{'y' * size}', 1)")
    for target in ("/numbers", "/numbers?filter=number%20%3E%3D%200"):
        with download(server, target) as exchange:
            found = [(record["number"], len(record["text"])) for record in exchange.lines()]
        assert found == list(enumerate(sizes))


# --- while others write

_names = itertools.count()


class Others:
    """What others write between two pages: records come, move in the order, and go."""

    def __init__(self, client, choices):
        self.client = client
        self.choices = itertools.cycle(choices)
        self.keys = []

    def write(self):
        choice = next(self.choices)
        values = {"size": choice % 7, "kind": "abc"[choice % 3], "note": "z" * (choice * 13 % 999)}
        if choice % 3 == 0 or not self.keys:
            made = self.client.create("/things", {"name": f"other {next(_names)}", **values})
            self.keys.append(made["id"])
        elif choice % 3 == 1:
            assert self.client.patch(f"/things/{self.keys[0]}", values).status_code == 200
        else:
            assert self.client.delete(f"/things/{self.keys.pop(0)}").status_code == 204


@hypothesis.settings(max_examples=8)
@hypothesis.given(sort=strategies.sampled_from(["id", "-id", "size", "-size", "kind,size"]),
                  choices=strategies.lists(strategies.integers(0, 99), min_size=3, max_size=9))
def test_records_that_stay_are_seen_once(server, public, still, sort, choices):
    """The client reads slowly, through a narrow socket, so that pages are read all the while."""
    others = Others(public, choices)
    seen = []
    with download(server, f"/things?sort={sort}", room=4096) as exchange:
        for number, record in enumerate(exchange.lines()):
            if record["still"]:
                seen.append(record["id"])
            if number % 40 == 0:
                others.write()
    assert seen == [record["id"] for record in
                    records(public, "/things", sort=sort, still="true", limit=1000)]
    assert len(seen) == still
    for key in others.keys:
        public.delete(f"/things/{key}")


@pytest.fixture(name="still", scope="module")
def fixture_still(server, public):
    """600 records of a kilobyte that nobody touches: more than the sockets hold."""
    body = ndjson({"name": f"still {i}", "size": [None, 0, 2, 4, 6][i % 5], "kind": "abc"[i % 3],
                   "note": "s" * 1000, "still": True} for i in range(600))
    response = public.post("/things", data=body, headers={"Content-Type": NDJSON})
    assert response.content.count(b'"status":201') == 600
    return 600


# --- ends before the end

def reading(server, path="/numbers", room=4096):
    """A stream that has begun, and of which its client has read but the head."""
    exchange = download(server, path, room=room)
    assert exchange.head()[0] == 200
    return exchange


@pytest.fixture(name="large")
def fixture_large(request):
    """40 MB of records: more than any socket holds."""
    settings = {"write_timeout": "60s", **getattr(request, "param", {})}
    with Server(DEFINITIONS, settings=settings) as server:
        fill(server, size=2000)
        yield server


def test_a_fault_in_the_middle_breaks_it_off(large):
    with reading(large) as exchange:
        with large.store.connect(large.folder) as connection:
            connection.execute("DROP TABLE numbers")
        with pytest.raises(Truncated):
            list(exchange.lines())
        assert exchange.socket.recv(1) == b""
    assert "broke off" in large.log_text()
    with large.wire() as wire:
        wire.get("/things", f"Accept: {NDJSON}")
        assert wire.receive().status == 200


@pytest.mark.skipif(STORE != "postgres", reason="nothing makes a reader of SQLite wait")
@pytest.mark.parametrize("large", [{"query_timeout": "1s"}], indirect=True)
def test_each_page_has_a_deadline(large):
    """One that passes in the middle breaks it off; the whole may take longer."""
    start = time.monotonic()
    with reading(large) as exchange:
        lines = exchange.lines()
        for _ in range(4):
            next(lines)
            time.sleep(0.4)
        assert time.monotonic() - start > 1.5
        with large.store.connect(large.folder) as connection:
            connection.execute("BEGIN")
            connection.execute("LOCK TABLE numbers IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(Truncated):
                list(lines)
            response = get(large.public, "/numbers")
            problem(response, 503)
            connection.execute("ROLLBACK")
    assert len(records(large.public, "/numbers", limit=50)) == 50


def cpu_seconds(server):
    with open(f"/proc/{server.process.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_at_rest(server):
    before = cpu_seconds(server)
    time.sleep(0.3)
    return cpu_seconds(server) - before < 0.1


def test_clients_that_go_away(large):
    for i in range(12):
        exchange = download(large, "/numbers?count=true" if i % 3 else "/numbers", room=4096)
        if i % 2:
            exchange.head()
        exchange.reset()
    wait_until(lambda: is_at_rest(large), "nothing is read for those who went")
    with large.wire() as wire:
        wire.get("/numbers?limit=10", f"Accept: {NDJSON}")
        assert wire.receive().body.count(b"\n") == 10


@pytest.mark.parametrize("large", [{"write_timeout": "1s"}], indirect=True)
def test_a_client_that_does_not_read_is_cut_off(large):
    """What it does not take is not read; after write_timeout it is gone."""
    with reading(large) as exchange:
        wait_until(lambda: "GET /numbers" in large.log_text(), "it is cut off")
        assert is_at_rest(large)
        with pytest.raises((Truncated, ConnectionResetError)):
            list(exchange.lines())


# --- the server's end

def test_a_server_that_stops_lets_it_end(large):
    with reading(large) as exchange:
        large.terminate()
        assert len(list(exchange.lines())) == MANY
        assert exchange.socket.recv(1) == b""
    large.wait()
    large.start()


@pytest.mark.parametrize("large", [{"shutdown_timeout": "2s"}], indirect=True)
def test_a_server_that_stops_cuts_it_when_its_patience_is_over(large):
    with reading(large) as exchange:
        start = time.monotonic()
        large.terminate()
        large.wait()
        assert time.monotonic() - start < 20
        with pytest.raises((Truncated, ConnectionResetError)):
            list(exchange.lines())
    large.start()


# --- beside others

def test_others_are_served_meanwhile(full):
    """Streams that never end keep nobody from anything."""
    stop = threading.Event()
    failures = []

    def read():
        try:
            while not stop.is_set():
                with download(full, "/numbers") as exchange:
                    for _ in exchange.chunks():
                        if stop.is_set():
                            break
        except BaseException as error:  # pylint: disable=broad-exception-caught
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        for number in range(100):
            made = full.public.create("/things", {"name": f"beside {number}"})
            assert full.public.get(f"/things/{made['id']}").json() == made
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
    assert not failures


# --- memory

@pytest.fixture(name="lean")
def fixture_lean(monkeypatch):
    """A server that gives memory back at once, also where a sanitizer would keep it for a while."""
    options = os.environ.get("ASAN_OPTIONS", "")
    monkeypatch.setenv("ASAN_OPTIONS",
                       options + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64")
    with Server(DEFINITIONS, settings={"workers": 1, "write_timeout": "60s"}) as server:
        fill(server, size=2000)
        yield server


@pytest.mark.parametrize("target", ["/numbers", "/numbers?filter=number%20%3E%200"])
def test_memory_does_not_grow_with_the_list(lean, target):
    """Forty megabytes, read by one client as fast as it can, while others read nothing."""
    for _ in range(2):  # fills SQLite's caches, of which each thread that reads has one
        with download(lean, target) as first, download(lean, target) as second:
            for _ in zip(first.lines(), second.lines()):
                pass
    before = rss(lean)
    idle = [reading(lean, target) for _ in range(4)]
    seen = []
    with download(lean, target) as exchange:
        for number, _ in enumerate(exchange.lines()):
            if number % 500 == 0:
                seen.append(rss(lean))
    for exchange in idle:
        exchange.reset()
    assert number + 1 == MANY
    assert max(seen) - before < 16_000, (before, seen[0], max(seen))
    half = len(seen) // 2
    assert max(seen[half:]) - max(seen[:half]) < 3_000, (seen[0], max(seen[:half]), max(seen))
