"""Whatever is sent, it answers properly: never a 5xx, never silence where an answer is due."""

import json
import string

import hypothesis
import hypothesis.strategies as st

from conftest import HUNT
from harness import Closed, check_problem

DEFINITIONS = {"things": """
access: {read: public, write: public}
required: [a]
properties:
  a: {type: string, maxLength: 20, pattern: "^(a|b|c|.)*$"}
  b: {type: integer, minimum: -100, multipleOf: 7}
  c: {type: number}
  d: {type: string, format: decimal, scale: 2}
  e: {type: boolean}
  f: {type: string, format: date-time}
  g:
    type: object
    properties:
      h: {type: string}
      i: {type: object, properties: {j: {type: integer}}}
  k: {type: array, items: {type: [string, integer]}, uniqueItems: true}
  l: {type: string, format: uuid}
  m: {type: string, format: uri, maxLength: 100}
filters:
  n: {o: b < 0, p: c is null}
checks: {q: b is null or c is null or b < c}
indexes: [[a], [b, f]]
"""}

TEXT = st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=8)
TOKENS = st.sampled_from([
    "a", "b", "c", "d", "e", "f", "g.h", "g.i.j", "g", "k", "l", "m", "id", "nope", "=", "!=", "<",
    "<=", ">", ">=", "in", "is", "not", "null", "and", "or", "true", "false", "(", ")", ",",
    "now()", "contains(", "startsWith(", "'x'", "''", "'ä🎉'", "1", "-1", "0.5",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "1e308", "1e309",
    "1e-400", "'2000-01-01T00:00:00Z'", "'1.5'", "+", "-", "*", ".", ";", "--", "\"", "'", "\\",
    "%", "_", "\t", "\n", "&", "g.", ".h"])
EXPRESSION = st.lists(TOKENS, max_size=12).map(" ".join) | TEXT
NAMES = st.sampled_from(["filter", "sort", "limit", "offset", "cursor", "fields", "count", "n", "a",
                         "b", "c", "d", "e", "f", "g", "k", "l", "id"]) | TEXT
VALUES = EXPRESSION | st.integers().map(str) | st.sampled_from(["o", "p", "-a,b", "a,a", "id",
    "true", "1", "", "AA", "-"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | TOKENS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(list("abcdefghijklm") + ["id"]) | TEXT, inner, max_size=8), max_leaves=20)
SENSIBLE = st.fixed_dictionaries({"a": TEXT}, optional={
    "b": st.integers(-20, 20).map(lambda n: n * 7) | JSON, "c": st.floats(-1e3, 1e3) | JSON,
    "d": st.sampled_from(["1", "1.50", "-0", "x"]), "e": st.booleans(),
    "f": st.sampled_from(["2000-01-01T00:00:00Z", "2000-02-30T00:00:00Z"]), "g": JSON,
    "k": st.lists(TEXT | st.integers(-2, 2), max_size=3) | JSON})


def examples(count):
    return hypothesis.settings(max_examples=count * max(HUNT, 1))


@hypothesis.given(expression=EXPRESSION)
@examples(300)
def test_filters(public, expression):
    assert public.get("/things", params={"filter": expression}).status_code in (200, 400)


@hypothesis.given(parameters=st.lists(st.tuples(NAMES, VALUES), max_size=4))
@examples(300)
def test_parameters(public, parameters):
    assert public.get("/things", params=parameters).status_code in (200, 400)


@hypothesis.given(query=st.text(alphabet=string.ascii_letters + string.digits
                                + "%=&+-._~!$'()*,;:@/?", max_size=30))
@examples(200)
def test_queries(public, query):
    with public.server.wire() as wire:
        wire.get("/things?" + query)
        assert wire.receive().status in (200, 400)


@hypothesis.given(path=st.text(alphabet=string.ascii_lowercase + string.digits
                               + "%/.-_~!$&'()*+,;=:@", max_size=20))
@examples(200)
def test_paths(public, path):
    for start in ("/", "/things/"):
        with public.server.wire() as wire:
            wire.get(start + path)
            assert wire.receive().status in (200, 400, 404, 405)


@hypothesis.given(body=JSON | SENSIBLE, patch=JSON | SENSIBLE)
@examples(100)
def test_bodies(public, body, patch):
    made = public.post("/things", body)
    assert made.status_code in (201, 400), made.text
    if made.status_code == 201:
        path = f"/things/{made.json()['id']}"
        assert public.get(path).json() == made.json()
        for method in ("PATCH", "PUT"):
            response = public.request(method, path, data=json.dumps(patch).encode(),
                                      headers={"Content-Type": "application/json"})
            assert response.status_code in (200, 400), response.text
            if response.status_code == 200:
                assert public.get(path).json() == response.json()
        assert public.delete(path).status_code == 204


@hypothesis.given(body=st.binary(max_size=40)
                  | TEXT.map(lambda text: json.dumps({"a": text}).encode()), cut=st.integers(0, 40),
                  flip=st.integers(0, 255))
@examples(150)
def test_bytes(public, body, cut, flip):
    """Any bytes, and JSON with one byte changed."""
    if cut < len(body):
        body = body[:cut] + bytes([flip]) + body[cut + 1:]
    response = public.post("/things", data=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (201, 400)


REQUESTS = st.sampled_from([
    b"GET /things?limit=1 HTTP/1.1\r\nHost: test\r\nAccept: application/json\r\n\r\n",
    b"POST /things HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
    b"Content-Length: 9\r\n\r\n{\"a\":\"x\"}",
    b"POST /things HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: application/json\r\n\r\n"
    b"4\r\n{\"a\"\r\n5;x=y\r\n:\"x\"}\r\n0\r\nX: y\r\n\r\n",
])
CHANGES = st.lists(st.tuples(st.integers(0, 200), st.sampled_from(
    [b"", b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\0", b"\xff", b"0", b"9", b"f", b";", b",",
     b"/", b"%", b"HTTP", b"chunked", b"Host: x\r\n"]),
    st.integers(0, 2)), max_size=3)


@hypothesis.given(requests=st.lists(st.tuples(REQUESTS, CHANGES), min_size=1, max_size=3),
                  pieces=st.lists(st.integers(1, 60), max_size=4))
@examples(300)
def test_requests(public, requests, pieces):
    """With bytes put in, left out and replaced, in any pieces: each answer is a whole one."""
    data = b""
    for request, changes in requests:
        for place, put, left_out in changes:
            request = request[:place] + put + request[place + left_out:]
        data += request
    with public.server.wire() as wire:
        try:
            for size in pieces:
                wire.send(data[:size])
                data = data[size:]
            wire.send(data)
            wire.shutdown()
        except OSError:
            pass
        try:
            while True:
                answer = wire.receive()
                assert answer.status in (100, 200, 201, 400, 404, 405, 406, 408, 411, 413, 414, 415,
                                         417, 431, 501, 505), answer
                if answer.status >= 400:
                    check_problem(answer.status, answer.body)
        except Closed as closed:
            assert closed.args[0] == b"", "half an answer"


def test_the_log_has_no_errors(server):
    """After all of the above."""
    server.stop()
    errors = [line for line in server.log_text().splitlines() if " error " in line[:40]]
    server.start()
    assert not errors, errors[:3]
