"""NDJSON: any number of records in one request, each of which stands alone."""

import hashlib
import json
import os
import random
import socket
import threading
import time

import hypothesis
import hypothesis.strategies as st
import pytest

from harness import HOST, PATIENCE, Server, problem, wait_until
from streams import NDJSON, Truncated, ndjson, rss, sending, upload

MOST = 5000  # bytes of a line

SETTINGS = {"max_body": MOST, "write_timeout": "3s", "request_timeout": "3s"}

DEFINITIONS = {
    "things": """
        access: {read: public, write: public}
        required: [name]
        properties:
          name:  {type: string, minLength: 1, maxLength: 50}
          size:  {type: integer, minimum: 0, default: 1}
          note:  {type: string}
        unique: [[name]]
        """,
    "texts": """
        key: {digest: sha256(text)}
        access: {read: public, write: public}
        required: [text]
        properties:
          text: {type: string, maxLength: 1000}
        """,
    "secrets": """
        key: {id: uuid}
        properties:
          note: {type: string}
        """,
}


def post(client, path, data, **fields):
    return client.post(path, data=data, headers={"Content-Type": NDJSON, **fields})


def outcomes(response):
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == NDJSON
    return [json.loads(line) for line in response.content.splitlines()]


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def shorts(found):
    return [(outcome["line"], outcome["status"]) for outcome in found]


# --- outcomes

def test_each_line_is_created_and_told_in_order(public):
    sent = [{"name": f"n{i}", "size": i} for i in range(1000)]
    found = outcomes(post(public, "/things", ndjson(sent)))
    assert shorts(found) == [(i + 1, 201) for i in range(1000)]
    assert len({outcome["key"] for outcome in found}) == 1000
    for i in random.sample(range(1000), 10):
        assert found[i].keys() == {"line", "status", "key"}
        thing = public.get(f"/things/{found[i]['key']}").json()
        assert (thing["name"], thing["size"]) == (f"n{i}", i)


def test_a_line_that_fails_takes_no_other_along(public):
    public.create("/things", {"name": "taken"})
    body = b"\n".join([
        b'{"name": "first"}', b'{"name": ""}', b"", b'{"name": "taken"}', b"nonsense", b" \t\r",
        b'[{"name": "in an array"}]', b'{"name": "x", "siez": 1, "size": -1}', b"\xff", b"7",
        b'{"name": "last"}'])
    found = outcomes(post(public, "/things", body))
    assert shorts(found) == [(1, 201), (2, 400), (4, 409), (5, 400), (7, 400), (8, 400), (9, 400),
                             (10, 400), (11, 201)]
    kinds = [outcome["problem"]["type"].rpartition(":")[2]
             for outcome in found if outcome["status"] >= 400]
    assert kinds == ["invalid-body", "conflict", "malformed-json", "invalid-body", "invalid-body",
                     "malformed-json", "invalid-body"]
    assert found[2]["problem"]["errors"][0]["pointer"] == "/name"
    assert [error["pointer"] for error in found[5]["problem"]["errors"]] == ["/siez", "/size"]
    for outcome in found:
        assert outcome.keys() == {"line", "status", "key" if outcome["status"] < 400 else "problem"}
        assert outcome.get("problem", outcome)["status"] == outcome["status"]
    for name, count in {"first": 1, "last": 1, "taken": 1, "in an array": 0, "x": 0}.items():
        assert len(public.list("/things", name=name)) == count


def test_content_that_is_there_already(public):
    texts = ["a", "b", "a", "c"]
    found = outcomes(post(public, "/texts", ndjson({"text": text} for text in texts)))
    assert [outcome["key"] for outcome in found] == [digest(text) for text in texts]
    # Lines are under way together, so either of the same content may be the first.
    assert sorted(outcome["status"] for outcome in found) == [200, 201, 201, 201]
    found = outcomes(post(public, "/texts", ndjson({"text": text} for text in texts)))
    assert shorts(found) == [(i + 1, 200) for i in range(4)]


def test_no_lines(public):
    for body in (b"", b"\n", b"\r\n \n\t"):
        assert outcomes(post(public, "/things", body)) == []


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n"])
def test_the_last_line_need_not_end(public, end):
    body = json.dumps({"text": f"the end {end!r}"}).encode() + end
    assert shorts(outcomes(post(public, "/texts", body))) == [(1, 201)]


@hypothesis.given(data=st.data(), records=st.lists(st.one_of(
    st.none(), st.builds(lambda text: {"text": text}, st.text(alphabet="ab\n\u00e4", max_size=40)),
    st.builds(lambda text: {"txet": text}, st.text(alphabet="ab", max_size=3))), max_size=30))
@hypothesis.settings(max_examples=40)
def test_any_cuts_between_chunks(server, data, records):
    lines = [b"" if record is None else json.dumps(record, ensure_ascii=False).encode()
             for record in records]
    body = b"\n".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=20)))
    parts = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)])]
    with upload(server, "/texts") as exchange:
        with sending(exchange, parts):
            found = list(exchange.lines())
    expected = [(i + 1, "key" if "text" in record else "problem")
                for i, record in enumerate(records) if record is not None]
    assert [(outcome["line"], "key" if "key" in outcome else "problem")
            for outcome in found] == expected


# --- limits

def record_of(size):
    """A line of so many bytes."""
    text = json.dumps({"name": f"{random.getrandbits(60):x}", "note": ""})
    return text[:-2].encode() + b"x" * (size - len(text)) + b'"}'


@pytest.mark.parametrize("cut", [None, 1, 100, 3000])
def test_a_line_that_is_too_long_is_passed_over(server, public, cut):
    lines = [record_of(MOST), record_of(MOST + 1), record_of(100), record_of(70_000),
             record_of(400_000), record_of(100), record_of(MOST), record_of(MOST + 1)]
    body = b"\n".join(lines)
    expected = [(1, 201), (2, 413), (3, 201), (4, 413), (5, 413), (6, 201), (7, 201), (8, 413)]
    if cut is None:
        assert shorts(outcomes(post(public, "/things", body + b"\n"))) == expected
        return
    with upload(server, "/things") as exchange:
        parts = (body[i:i + cut] for i in range(0, len(body), cut)) if cut > 1 else (
            body[:MOST - 1], *(body[i:i + 1] for i in range(MOST - 1, MOST + 20)), body[MOST + 20:])
        with sending(exchange, parts):
            found = list(exchange.lines())
    assert shorts(found) == expected
    assert found[1]["problem"]["type"].endswith(":body-too-large")


def test_the_whole_has_no_bound(public):
    found = outcomes(post(public, "/things", ndjson(
        {"name": f"unbounded {i}", "note": "x" * 2000} for i in range(500))))
    assert shorts(found) == [(i + 1, 201) for i in range(500)]


# --- requests that are refused

def test_what_is_no_such_body(server, public, admin):
    problem(post(public, "/secrets", b"{}\n"), 401, "key-required")
    problem(post(admin, "/nothing", b"{}\n"), 404)
    problem(post(admin, "/secrets", b"{}\n", **{"Idempotency-Key": "k"}), 400)
    problem(post(admin, "/secrets?x=1", b"{}\n"), 400, "unknown-parameter")
    problem(admin.post("/secrets", data=b"{}\n", headers={"Content-Type": NDJSON + "; charset=x"}),
            415)
    problem(post(admin, "/secrets", b"{}\n", **{"Content-Encoding": "gzip"}), 415)
    problem(admin.put("/things/1", data=b"{}\n", headers={"Content-Type": NDJSON}), 415)
    response = admin.post("/secrets", data=b"{}\n",
                          headers={"Content-Type": "Application/X-NDJSON; charset=UTF-8"})
    assert shorts(outcomes(response)) == [(1, 201)]


def test_http_1_0(server):
    with server.wire() as wire:
        body = b'{"text": "of old"}\n'
        wire.send_lines("POST /texts HTTP/1.0", f"Content-Type: {NDJSON}",
                        f"Content-Length: {len(body)}", body=body)
        head, _, rest = wire.at_end().partition(b"\r\n\r\n")
        assert b"200 OK" in head and b"chunked" not in head
        assert json.loads(rest)["key"] == digest("of old")


def test_continue_then_outcomes_then_the_next_request(server):
    with server.wire() as wire:
        body = b'{"text": "go on"}\n'
        wire.send_lines("POST /texts HTTP/1.1", "Host: test", f"Content-Type: {NDJSON}",
                        f"Content-Length: {len(body)}", "Expect: 100-continue")
        assert wire.receive().status == 100
        wire.send(body)
        assert shorts(map(json.loads, wire.receive().body.splitlines())) == [(1, 201)]
        wire.get(f"/texts/{digest('go on')}")
        assert wire.receive().status == 200


# --- at the same time

def test_outcomes_come_while_lines_are_sent(server):
    with upload(server, "/texts") as exchange:
        found = exchange.lines()
        for i in range(20):
            exchange.send(b'{"text": "duplex %d"}\n{"te' % i)
            assert next(found)["status"] == 201
            exchange.send(b'xt": "and %d"}\n' % i)
            assert next(found)["line"] == 2 * i + 2
        exchange.end()
        assert list(found) == []


def test_a_client_that_does_not_read_is_cut_off_in_the_end(server):
    """It is made to wait first: what is not read yet is bounded, and so is what was taken."""
    with upload(server, "/things", room=4096) as exchange:
        exchange.socket.settimeout(PATIENCE / 2)
        line = b'{"nope": "' + b"x" * 60 + b'"}\n'
        sent = 0
        with pytest.raises(OSError):
            while sent < 200_000_000:
                exchange.send(line * 200)
                sent += len(line) * 200
    # A line's outcome is several times its size, so the sockets' room is used up soon.
    assert sent < 40_000_000


def test_a_client_that_stands_still_is_told(server):
    with upload(server, "/texts") as exchange:
        exchange.send(b'{"text": "then nothing"}\n{"text": "hal')
        found = list(exchange.lines())
        assert shorts(found) == [(1, 201), (2, 408)]
        assert found[1]["problem"]["type"].endswith(":request-timeout")
        assert exchange.socket.recv(1) == b""


def test_a_body_that_breaks_off_is_told(server, public):
    with upload(server, "/texts") as exchange:
        exchange.send(b'{"text": "whole"}\n{"text": "broken"}')
        exchange.socket.sendall(b"5\r\nabcdefghij")
        found = list(exchange.lines())
        assert shorts(found) == [(1, 201), (2, 400)]
        assert found[1]["problem"]["type"].endswith(":malformed-request")
    with upload(server, "/texts") as exchange:
        exchange.send(b'{"text": "whole 2"}\n{"text": "broken"}')
        exchange.socket.shutdown(1)
        assert shorts(exchange.lines()) == [(1, 201), (2, 400)]
    problem(public.get(f"/texts/{digest('broken')}"), 404)


def test_clients_that_go_away(server, public):
    for i in range(10):
        exchange = upload(server, "/texts")
        exchange.send(ndjson({"text": f"gone {i} {j}"} for j in range(300)))
        if i % 2:
            exchange.head()
        exchange.reset()
    # What was taken is done, and the server is well.
    assert shorts(outcomes(post(public, "/texts", b'{"text": "after"}'))) == [(1, 201)]


def test_many_uploads_at_once(server):
    failures = []

    def work(number):
        try:
            sent = [{"name": f"many {number} {i}"} for i in range(400)]
            with upload(server, "/things") as exchange:
                with sending(exchange, (ndjson(sent[i:i + 7]) for i in range(0, 400, 7))):
                    assert shorts(exchange.lines()) == [(i + 1, 201) for i in range(400)]
        except BaseException as error:  # pylint: disable=broad-exception-caught
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


# --- the server's end

def test_a_server_that_stops_says_from_where_on(public):
    with Server(DEFINITIONS, settings={"shutdown_timeout": "20s"}) as server:
        with upload(server, "/texts") as exchange:
            exchange.send(b'{"text": "before"}\n')
            found = exchange.lines()
            assert next(found)["status"] == 201
            server.terminate()
            last = list(found)
            assert shorts(last) == [(2, 503)]
            assert last[0]["problem"]["type"].endswith(":stopping")
            assert exchange.socket.recv(1) == b""
        start = time.monotonic()
        server.wait()
        assert time.monotonic() - start < 10
        server.process = None
        server.start()


# --- memory

@pytest.fixture(name="lean")
def fixture_lean(monkeypatch):
    """A server that gives memory back at once, also where a sanitizer would keep it for a while."""
    options = os.environ.get("ASAN_OPTIONS", "")
    monkeypatch.setenv("ASAN_OPTIONS", options + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64")
    with Server(DEFINITIONS, settings={"workers": 1}) as server:
        yield server


def test_memory_does_not_grow_with_the_body(lean):
    """20,000 records of 2,000 bytes: forty megabytes, of which the server must never have more
    than a few. SQLite's cache of 16 MiB fills once."""
    def chunks():
        for i in range(0, 20_000, 50):
            yield ndjson({"name": f"memory {j}", "note": "x" * 2000} for j in range(i, i + 50))
            seen.append(rss(lean))

    seen = []
    with upload(lean, "/things") as exchange:
        with sending(exchange, chunks()):
            count = sum(outcome["status"] == 201 for outcome in exchange.lines())
    assert count == 20_000
    half = len(seen) // 2
    assert max(seen[half:]) - max(seen[:half]) < 3_000, (seen[0], max(seen[:half]), max(seen))
    assert max(seen) - seen[0] < 40_000


# --- cuts

def cut_requests(server, request, whole):
    """Sends the first bytes of a request, more each time, and goes without a word."""
    for size in [*range(1, len(request)), *[len(request)] * 3]:
        with server.wire() as wire:
            wire.send(request[:size])
            if size % 2:
                wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       b"\1\0\0\0\0\0\0\0")
    with server.wire() as wire:
        wire.send(request)
        assert wire.receive().body.count(b"\n") == whole


def test_a_post_that_is_cut_at_any_byte(server, public):
    """What is stored are whole lines, each at most once for each time that it was sent."""
    lines = [b'{"name": "cut %d"}\n' % i for i in range(3)]
    body = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (
        len(lines[0]) + 4, lines[0] + lines[1][:4], len(lines[1] + lines[2]) - 4,
        lines[1][4:] + lines[2])
    head = (f"POST /things HTTP/1.1\r\nHost: test\r\nContent-Type: {NDJSON}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n").encode()
    cut_requests(server, head + body, 3)
    for i in range(3):
        assert len(public.list("/things", name=f"cut {i}")) == 1
    assert public.list("/things", filter="startsWith(name, 'cut') and not "
                       "(name in ('cut 0', 'cut 1', 'cut 2'))") == []


def test_a_stream_that_is_cut_at_any_byte(server, public):
    for i in range(5):
        public.post("/texts", {"text": f"stream {i}"})
    cut_requests(server, (f"GET /texts?limit=5 HTTP/1.1\r\nHost: test\r\nAccept: {NDJSON}\r\n"
                          "\r\n").encode(), 5)
    with server.wire() as wire:
        wire.get("/texts?limit=5", f"Accept: {NDJSON}")
        size = len(wire.receive().body) + 200
    for read in range(1, size):
        with server.wire() as wire:
            wire.get("/texts?limit=5", f"Accept: {NDJSON}")
            wire.socket.recv(read)
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert public.get("/texts?limit=1").status_code == 200
