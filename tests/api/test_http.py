"""HTTP/1.1 on the wire: what RFC 9110 and RFC 9112 say, byte by byte."""

import json
import os
import socket
import time
import urllib.parse

import pytest

from harness import ADMIN_KEY, PATIENCE, Closed, Server, check_problem, problem, wait_until

# Limits small enough to be reached at once; the time-outs are those of a server below.
SETTINGS = {"max_body": "6MiB"}

FOO = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
MESSAGE = f"/messages/{FOO}"
JSON = "Content-Type: application/json"


@pytest.fixture(scope="module", autouse=True)
def foo(server):
    """The message that most of these tests ask for."""
    server.public.post("/messages", {"message": "foo"})


def expect_problem(answer, status):
    statuses = {status} if isinstance(status, int) else status
    assert answer.status in statuses, answer
    assert answer.field("Content-Type") == "application/problem+json", answer
    assert answer.field("X-Request-Id"), answer
    return check_problem(answer.status, answer.body)


# Connections

def test_keep_alive(server):
    with server.wire() as wire:
        for _ in range(50):
            wire.get(MESSAGE)
            answer = wire.receive()
            assert answer.status == 200
            assert answer.version == "HTTP/1.1"
            assert (answer.field("Connection") or "keep-alive").lower() == "keep-alive"


def test_errors_keep_the_connection(server):
    """Those that leave no doubt about where the next request begins."""
    with server.wire() as wire:
        for target, status in [("/nowhere", 404), (MESSAGE + "?x=1", 400), ("/packages", 401),
                               ("/messages", 405), ("/coupons/abc", 400), (MESSAGE, 200)] * 5:
            wire.get(target)
            assert wire.receive().status == status


def test_connection_close(server):
    with server.wire() as wire:
        wire.get(MESSAGE, "Connection: close")
        answer = wire.receive()
        assert answer.status == 200
        assert answer.field("Connection").lower() == "close"
        assert wire.at_end() == b""


@pytest.mark.parametrize("value", ["Close", "keep-alive, close", "x,close", "close ,x"])
def test_connection_close_in_other_words(server, value):
    with server.wire() as wire:
        wire.get(MESSAGE, f"Connection: {value}")
        assert wire.receive().status == 200
        assert wire.at_end() == b""


def test_http_1_0_closes(server):
    with server.wire() as wire:
        wire.send(f"GET {MESSAGE} HTTP/1.0\r\n\r\n")
        answer = wire.receive()
        assert answer.status == 200
        assert json.loads(answer.body)["message"] == "foo"
        assert wire.at_end() == b""


def test_http_1_0_keeps_alive_when_asked(server):
    with server.wire() as wire:
        wire.send(f"GET {MESSAGE} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = wire.receive()
        assert answer.status == 200
        if (answer.field("Connection") or "").lower() == "keep-alive":
            wire.send(f"GET {MESSAGE} HTTP/1.0\r\n\r\n")
            assert wire.receive().status == 200
        assert wire.at_end() == b""


def test_a_client_that_shuts_down_its_side_gets_its_answer(server):
    with server.wire() as wire:
        wire.get(MESSAGE)
        wire.shutdown()
        assert wire.receive().status == 200
        assert wire.at_end() == b""


def test_byte_by_byte(server):
    body = json.dumps({"message": "slowly"})
    request = (f"POST /messages HTTP/1.1\r\nHost: test\r\n{JSON}\r\n"
               f"Content-Length: {len(body)}\r\n\r\n{body}")
    with server.wire() as wire:
        for byte in request.encode():
            wire.send(bytes([byte]))
        assert wire.receive().status in (200, 201)


# Pipelining

def test_pipelined_reads_come_in_order(server):
    with server.wire() as wire:
        targets = [MESSAGE, "/nowhere", "/messages", MESSAGE + "?fields=digest"] * 25
        wire.send("".join(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n" for target in targets))
        assert [wire.receive().status for _ in targets] == [200, 404, 405, 200] * 25


def test_pipelined_writes_and_reads_come_in_order(server):
    """Also where a slow answer stands before a quick one."""
    requests, expected = [], []
    for i in range(40):
        body = json.dumps({"message": f"pipelined {i}"})
        requests.append(f"POST /messages HTTP/1.1\r\nHost: test\r\n{JSON}\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n{body}")
        requests.append(f"GET {MESSAGE} HTTP/1.1\r\nHost: test\r\n\r\n")
        expected += [f"pipelined {i}", "foo"]
    with server.wire() as wire:
        wire.send("".join(requests))
        assert [wire.receive().json()["message"] for _ in expected] == expected


def test_a_pipeline_that_nobody_reads_is_held_back(server):
    """It must stop reading long before it has all of this in memory, and still answer all."""
    request = f"GET {MESSAGE} HTTP/1.1\r\nHost: test\r\nX-Filler: {'x' * 1000}\r\n\r\n".encode()
    count = 20_000
    with server.wire() as wire:
        wire.socket.setblocking(False)
        data, sent = request * 1000, 0
        total = len(request) * count
        stalled = 0
        while sent < total and stalled < 50:
            offset = sent % len(request)
            try:
                sent += wire.socket.send(data[offset: offset
                                              + min(len(data) - offset, total - sent)])
                stalled = 0
            except BlockingIOError:
                stalled += 1
                time.sleep(0.01)
        assert sent < total, "it read everything although nobody takes the answers"
        # Take every answer; only then is there room for the rest of the request that was cut.
        wire.socket.settimeout(PATIENCE)
        for _ in range(sent // len(request)):
            assert wire.receive().status == 200
        if sent % len(request):
            wire.send(request[sent % len(request):])
            assert wire.receive().status == 200


def test_a_body_is_not_the_next_request(server):
    """A body of GET is read over, whatever it looks like."""
    inner = "GET /nowhere HTTP/1.1\r\nHost: test\r\n\r\n"
    with server.wire() as wire:
        wire.get(MESSAGE, f"Content-Length: {len(inner)}")
        wire.send(inner)
        wire.get(MESSAGE + "?fields=digest")
        assert wire.receive().json()["message"] == "foo"
        assert wire.receive().json() == {"digest": FOO}


def test_a_refused_body_is_not_the_next_request(server):
    inner = "GET /nowhere HTTP/1.1\r\nHost: test\r\n\r\n"
    with server.wire() as wire:
        wire.send_lines("POST /nowhere HTTP/1.1", "Host: test", f"Content-Length: {len(inner)}",
                        body=inner.encode())
        wire.get(MESSAGE)
        expect_problem(wire.receive(), 404)
        try:
            assert wire.receive().json()["message"] == "foo"
        except Closed:
            pass  # closing is the other safe thing


# Bodies

def post_chunks(wire, chunks, *lines):
    wire.send_lines("POST /messages HTTP/1.1", "Host: test", JSON, "Transfer-Encoding: chunked",
                    *lines)
    wire.send(chunks)


@pytest.mark.parametrize("chunks", [
    b"11\r\n" + b'{"message":"foo"}' + b"\r\n0\r\n\r\n",
    b"5\r\n" + b'{"mes' + b"\r\nC\r\n" + b'sage":"foo"}' + b"\r\n0\r\n\r\n",
    b"0011\r\n" + b'{"message":"foo"}' + b"\r\n000\r\n\r\n",
    b"11;name=value\r\n" + b'{"message":"foo"}' + b"\r\n0;last\r\n\r\n",
    b'11;name="quoted; value"\r\n' + b'{"message":"foo"}' + b"\r\n0\r\n\r\n",
    b"11\r\n" + b'{"message":"foo"}' + b"\r\n0\r\nX-Trailer: value\r\n\r\n",
    b"".join(b"1\r\n%c\r\n" % byte for byte in b'{"message":"foo"}') + b"0\r\n\r\n",
])
def test_chunked(server, chunks):
    with server.wire() as wire:
        for coding in ("chunked", "Chunked"):
            wire.send_lines("POST /messages HTTP/1.1", "Host: test", JSON,
                            f"Transfer-Encoding: {coding}", body=chunks)
            assert wire.receive().json() == {"digest": FOO, "message": "foo"}
        wire.get(MESSAGE)
        assert wire.receive().status == 200


def test_trailers_are_not_fields(server):
    """A key in a trailer is none."""
    with server.wire() as wire:
        wire.send_lines("POST /packages HTTP/1.1", "Host: test", JSON, "Transfer-Encoding: chunked")
        wire.send(b"2\r\n{}\r\n0\r\nAuthorization: Bearer " + ADMIN_KEY.encode() + b"\r\n\r\n")
        assert wire.receive().status == 401


def test_continue(server):
    body = b'{"message":"foo"}'
    with server.wire() as wire:
        for expectation in ("100-continue", "100-Continue"):
            wire.send_lines("POST /messages HTTP/1.1", "Host: test", JSON,
                            f"Content-Length: {len(body)}", f"Expect: {expectation}")
            assert wire.receive().status == 100
            wire.send(body)
            assert wire.receive().json()["message"] == "foo"


def test_continue_is_not_said_before_a_refusal(server):
    """Who may not write is told so before the body is sent."""
    for path, more, status in [("/packages", [], 401), ("/nowhere", [], 404), (MESSAGE, [], 405),
                               ("/messages", ["Content-Type: text/plain"], 415)]:
        with server.wire() as wire:
            wire.send_lines(f"POST {path} HTTP/1.1", "Host: test", *(more or [JSON]),
                            "Content-Length: 1000000", "Expect: 100-continue")
            expect_problem(wire.receive(), status)


def test_continue_is_not_said_to_who_does_not_wait(server):
    body = b'{"message":"foo"}'
    with server.wire() as wire:
        wire.send_lines("POST /messages HTTP/1.1", "Host: test", JSON,
                        f"Content-Length: {len(body)}", "Expect: 100-continue", body=body)
        answer = wire.receive()
        if answer.status == 100:  # it may have been on its way already
            answer = wire.receive()
        assert answer.status == 200
        wire.send(f"POST /messages HTTP/1.0\r\nHost: test\r\n{JSON}\r\nExpect: 100-continue\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n")
        wire.send(body)
        assert wire.receive().status == 200


def test_an_expectation_that_nobody_can_meet(server):
    with server.wire() as wire:
        wire.send_lines("POST /messages HTTP/1.1", "Host: test", JSON, "Content-Length: 2",
                        "Expect: miracles", body=b"{}")
        expect_problem(wire.receive(), 417)


def test_a_body_that_is_too_large(server):
    with server.wire() as wire:
        wire.send_lines("POST /messages HTTP/1.1", "Host: test", JSON,
                        f"Content-Length: {6 * 1024 * 1024 + 1}")
        expect_problem(wire.receive(), 413)
        assert wire.at_end() == b""


def test_a_chunked_body_that_is_too_large(server):
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with server.wire() as wire:
        post_chunks(wire, b"")
        try:
            for _ in range(200):
                wire.send(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass
        else:
            expect_problem(wire.receive(), 413)
            wire.at_end()


def test_a_chunked_body_one_chunk_too_large(server):
    """Read to its very end: the answer must arrive."""
    with server.wire() as wire:
        post_chunks(wire, b"600001\r\n")
        expect_problem(wire.receive(), 413)
        assert wire.at_end() == b""


def test_the_largest_body(server):
    text = "x" * 1024
    body = json.dumps({"message": text}).encode()
    body += b" " * (6 * 1024 * 1024 - len(body))
    response = server.public.post("/messages", data=body,
                                  headers={"Content-Type": "application/json"})
    assert response.status_code in (200, 201)
    problem(server.public.post("/messages", data=body + b" ",
                               headers={"Content-Type": "application/json"}), 413, "body-too-large")


@pytest.mark.parametrize("length", ["99999999999999999999999", "18446744073709551615",
                                    "9223372036854775807", "9223372036854775808", "4294967296"])
def test_lengths_that_no_counter_holds(server, length):
    with server.wire() as wire:
        wire.send_lines("POST /messages HTTP/1.1", "Host: test", JSON, f"Content-Length: {length}")
        expect_problem(wire.receive(), {400, 413})
        assert wire.at_end() == b""


def test_a_body_that_never_comes(server):
    """The client leaves in the middle; nothing is stored and nothing breaks."""
    for lines in (["Content-Length: 100"], ["Transfer-Encoding: chunked"]):
        with server.wire() as wire:
            wire.send_lines("POST /messages HTTP/1.1", "Host: test", JSON, *lines)
            wire.send(b"10\r\n{")
    assert server.public.get(MESSAGE).status_code == 200


def test_clients_that_go_before_their_answer(server):
    body = json.dumps({"message": "never read"})
    for _ in range(20):
        wire = server.wire()
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        wire.send_lines("POST /messages HTTP/1.1", "Host: test", JSON,
                        f"Content-Length: {len(body)}", body=body.encode())
        wire.close()
    assert server.public.get(MESSAGE).status_code == 200


# Methods

def test_head(server):
    with server.wire() as wire:
        wire.get(MESSAGE)
        got = wire.receive()
        wire.send(f"HEAD {MESSAGE} HTTP/1.1\r\nHost: test\r\n\r\n")
        head = wire.receive("HEAD")
        assert head.status == 200
        for name in ("Content-Length", "Content-Type"):
            assert head.field(name) == got.field(name)
        for target, status in [("/nowhere", 404), ("/packages", 401), ("/messages", 405),
                               ("/coupons/abc", 400), ("/coupons", 200)]:
            wire.send(f"HEAD {target} HTTP/1.1\r\nHost: test\r\n\r\n")
            assert wire.receive("HEAD").status == status
        wire.get(MESSAGE)
        assert wire.receive().body == got.body


@pytest.mark.parametrize("target, allowed", [
    ("/messages", "POST OPTIONS"), (MESSAGE, "GET HEAD OPTIONS"),
    (MESSAGE[:-1] + "0", "GET HEAD OPTIONS"), ("/coupons", "GET HEAD POST OPTIONS"),
    ("/coupons/1", "GET HEAD PUT PATCH DELETE OPTIONS"), ("/packages", "GET HEAD POST OPTIONS"),
    ("/packages/1", "GET HEAD PUT PATCH DELETE OPTIONS"), ("/healthz", "GET HEAD OPTIONS"),
    ("/readyz", "GET HEAD OPTIONS"),
])
def test_options(server, public, target, allowed):
    response = public.options(target)
    assert response.status_code in (200, 204)
    assert set(response.headers["Allow"].replace(" ", "").split(",")) == set(allowed.split())
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE",
                   "PROPFIND"} - set(allowed.split()):
        refused = public.request(method, target)
        assert refused.status_code == 405, method
        assert refused.headers["Allow"] == response.headers["Allow"]


def test_options_of_everything(server):
    with server.wire() as wire:
        wire.send("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n")
        answer = wire.receive()
        assert answer.status in (200, 204)
    problem(server.public.options("/nowhere"), 404)


@pytest.mark.parametrize("line", ["FROB /messages HTTP/1.1", "get /messages HTTP/1.1",
                                  "CONNECT test:80 HTTP/1.1", "X /messages HTTP/1.1"])
def test_methods_that_nobody_knows(server, line):
    with server.wire() as wire:
        wire.send_lines(line, "Host: test")
        expect_problem(wire.receive(), {400, 405, 501})


# Targets

@pytest.mark.parametrize("target", [
    "/nowhere", "/", "/messages/a/b", MESSAGE + "/x", "/coupons/1/redemptions", "/Messages",
    "/messages.json", "//messages", "/coupons//1", "/messages/../messages/" + FOO, "/./messages",
    "/messages/" + FOO + "//", "/coupons/1//", "/%2Fmessages", "/coupons%2F1", "/key", "/message",
    "/messagess", "/x" * 2000])
def test_unknown_paths(server, target):
    with server.wire() as wire:
        wire.get(target)
        expect_problem(wire.receive(), 404)


@pytest.mark.parametrize("target",
                         ["/coupons", "/coupons/", "/coupons?limit=1", "/coupons/?limit=1",
                                    MESSAGE, MESSAGE + "/", MESSAGE + "/?fields=digest",
                                    "/healthz/", f"http://test{MESSAGE}",
                                    f"http://other:80{MESSAGE}",
                                    f"HTTP://test{MESSAGE}?fields=message", "/coupons?"])
def test_known_paths(server, target):
    with server.wire() as wire:
        wire.get(target)
        assert wire.receive().status == 200


def test_a_path_is_decoded_once(server):
    encoded = "".join(f"%{ord(c):02x}" for c in FOO)
    twice = encoded.replace("%", "%25")
    with server.wire() as wire:
        for target, status in [(f"/messages/{encoded}", 200), (f"/messages/{twice}", 404),
                               (f"/%6Dessages/{FOO}", 200), (f"/%6dessages/{FOO}", 200),
                               (f"/%256Dessages/{FOO}", 404),
                               (f"/messages/{FOO[:-1]}+", 404), (f"/messages%2F{FOO}", 404)]:
            wire.get(target)
            assert wire.receive().status == status, target


def test_a_query_is_decoded_once(server, admin):
    title = "50%2B50 & more=less+ä🎉;#?/"
    record = admin.create("/coupons", {"title": title})
    with server.wire() as wire:
        encoded = "".join(f"%{byte:02X}" for byte in title.encode())
        sparing = urllib.parse.quote_plus(title, safe="=;?/")
        for target in (f"/coupons?title={encoded}", f"/coupons?%74itle={encoded}",
                       f"/coupons?title={encoded.replace('%20', '+')}",
                       f"/coupons?&title={encoded}&", f"/coupons?title={sparing}"):
            wire.get(target)
            answer = wire.receive()
            assert answer.status == 200, (target, answer)
            assert answer.json() == [record], target
    admin.delete(f"/coupons/{record['id']}")


@pytest.mark.parametrize("target", [
    "/coupons/%00", "/%00", "/messages/a%00", "/coupons?title=%00", "/coupons?%00=1",
    "/coupons?title=a%00b", "/%", "/coupons/%1", "/coupons/%zz", "/coupons?title=%",
    "/coupons?title=%4", "/coupons?title=%gg", "/%ff", "/coupons?title=%ff", "/coupons?title=%C3",
    "/coupons?title=%ED%A0%80", "/coupons?title=%C0%80", "/%C0%AFetc",
    "/coupons?title=%F4%90%80%80"])
def test_targets_that_are_no_text(server, target):
    with server.wire() as wire:
        wire.get(target)
        expect_problem(wire.receive(), 400)
        wire.get(MESSAGE)
        assert wire.receive().status == 200, "nothing is wrong with the framing"


# Limits of the head

def test_a_target_that_is_too_long(server):
    with server.wire() as wire:
        wire.get("/messages/" + "x" * 40_000)
        expect_problem(wire.receive(), 414)
        wire.at_end()


def test_a_target_that_never_ends(server):
    with server.wire() as wire:
        try:
            wire.send("GET /" + "x" * 1_000_000)
        except (BrokenPipeError, ConnectionResetError):
            return
        expect_problem(wire.receive(), 414)
        wire.at_end()


@pytest.mark.parametrize("lines", [
    ["X-Long: " + "x" * 40_000], [f"X-{i}: {'x' * 100}" for i in range(400)],
    ["X" * 40_000 + ": x"], ["X-Long: " + " " * 40_000 + "x"], [f"a{i}:" for i in range(10_000)]])
def test_fields_that_are_too_large(server, lines):
    with server.wire() as wire:
        try:
            wire.get(MESSAGE, *lines)
        except (BrokenPipeError, ConnectionResetError):
            return
        expect_problem(wire.receive(), 431)
        wire.at_end()


def test_fields_that_just_fit(server):
    with server.wire() as wire:
        wire.get(MESSAGE, "X-Long: " + "x" * 15_000)
        assert wire.receive().status == 200
        wire.get(MESSAGE, *[f"X-{i}: {'x' * 40}" for i in range(200)])
        assert wire.receive().status == 200


def test_trailers_that_are_too_large(server):
    with server.wire() as wire:
        try:
            post_chunks(wire, b"2\r\n{}\r\n0\r\n" + b"X-Long: " + b"x" * 200_000 + b"\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            return
        expect_problem(wire.receive(), {400, 413, 431})
        assert wire.at_end() == b""


def test_a_chunk_extension_that_is_too_long(server):
    with server.wire() as wire:
        try:
            post_chunks(wire, b"2;" + b"x" * 200_000 + b"\r\n{}\r\n0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            return
        expect_problem(wire.receive(), {400, 413, 431})
        assert wire.at_end() == b""


# Representations

@pytest.mark.parametrize("accept", [
    "application/json", "*/*", "application/*", "text/html, application/json;q=0.1",
    "APPLICATION/JSON", "text/html;q=0.9, */*;q=0.1", "application/json;charset=utf-8",
    " application/json ", "", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"])
def test_acceptable(server, accept):
    with server.wire() as wire:
        wire.get(MESSAGE, f"Accept: {accept}")
        answer = wire.receive()
        assert answer.status == 200
        assert answer.field("Content-Type") == "application/json"


@pytest.mark.parametrize("accept",
                         ["text/html", "application/xml", "application/json;q=0", "image/*",
                                    "application/json;q=0, text/html",
                                    "application/json;q=0.0, */*;q=0"])
def test_not_acceptable(server, accept):
    for target in (MESSAGE, "/coupons"):
        with server.wire() as wire:
            wire.get(target, f"Accept: {accept}")
            expect_problem(wire.receive(), 406)


def test_errors_come_as_problems_whatever_is_accepted(server):
    with server.wire() as wire:
        wire.get("/nowhere", "Accept: text/html")
        expect_problem(wire.receive(), 404)


@pytest.mark.parametrize("content_type", [
    "text/plain", "application/x-www-form-urlencoded", "application/xml", "application/jsonx",
    "json", "*/*", "application/merge-patch+json", "multipart/form-data; boundary=x", "text/json",
    "application/json-seq"])
def test_bodies_that_are_no_json(server, content_type):
    with server.wire() as wire:
        body = b'{"message":"foo"}'
        wire.send_lines("POST /messages HTTP/1.1", "Host: test", f"Content-Type: {content_type}",
                        f"Content-Length: {len(body)}", body=body)
        expect_problem(wire.receive(), 415)


@pytest.mark.parametrize("content_type",
                         ["application/json", "Application/JSON", "application/json;charset=utf-8",
                                          "application/json ; charset=\"UTF-8\"",
                                          "application/json; x=y"])
def test_bodies_that_are_json(server, content_type):
    with server.wire() as wire:
        body = b'{"message":"foo"}'
        wire.send_lines("POST /messages HTTP/1.1", "Host: test", f"Content-Type: {content_type}",
                        f"Content-Length: {len(body)}", body=body)
        assert wire.receive().status == 200


def test_a_body_without_a_type(server):
    with server.wire() as wire:
        wire.send_lines("POST /messages HTTP/1.1", "Host: test", "Content-Length: 2", body=b"{}")
        expect_problem(wire.receive(), {400, 415})


def test_another_charset(server):
    response = server.public.post("/messages", data='{"message":"ä"}'.encode("latin-1"),
                                  headers={"Content-Type": "application/json; charset=iso-8859-1"})
    assert response.status_code in (400, 415)


def test_a_coding_that_is_not_known(server):
    """Content-Encoding is none of ours; taking the bytes as they are would be wrong."""
    response = server.public.post("/messages", data=b'{"message":"foo"}', headers={
        "Content-Type": "application/json", "Content-Encoding": "gzip"})
    assert response.status_code in (400, 415)


def test_no_body_where_one_is_needed(server):
    with server.wire() as wire:
        for lines in ([], ["Content-Length: 0"], [JSON], [JSON, "Content-Length: 0"]):
            wire.send_lines("POST /messages HTTP/1.1", "Host: test", *lines)
            expect_problem(wire.receive(), {400, 415})


# Request ids

@pytest.mark.parametrize("identity",
                         ["abc", "A-b_c.1", "0" * 64, "7b5ed0cf-9d2d-4d0b-b5a6-8e7dd5f3d0d3"])
def test_a_request_id_is_kept(server, identity):
    with server.wire() as wire:
        for target in (MESSAGE, "/nowhere"):
            wire.get(target, f"X-Request-Id: {identity}")
            assert wire.receive().field("X-Request-Id") == identity


@pytest.mark.parametrize("identity", ["", "x" * 5000, "a b\"<>", "a\tb", "ä"])
def test_a_request_id_that_would_do_harm_is_replaced(server, identity):
    with server.wire() as wire:
        wire.get(MESSAGE, f"X-Request-Id: {identity}")
        answer = wire.receive()
        assert answer.status in (200, 400)
        assert answer.field("X-Request-Id")
        assert answer.field("X-Request-Id") != identity


def test_request_ids_differ(server):
    with server.wire() as wire:
        seen = set()
        for _ in range(100):
            wire.get(MESSAGE)
            seen.add(wire.receive().field("X-Request-Id"))
        assert len(seen) == 100


def test_the_request_id_is_in_the_problem_or_the_log(server):
    with server.wire() as wire:
        wire.get("/nowhere", "X-Request-Id: find-me-again")
        wire.receive()
    wait_until(lambda: "find-me-again" in server.log_text(), "the log has the request")


# Strict: what a proxy and a server could read differently is refused, and the connection closes.

BODY = '{"message":"foo"}'
POST = f"POST /messages HTTP/1.1\r\nHost: test\r\n{JSON}\r\n"
CHUNKS = f"11\r\n{BODY}\r\n0\r\n\r\n"

STRICT = {
    "two equal lengths": POST + f"Content-Length: 17\r\nContent-Length: 17\r\n\r\n{BODY}",
    "two different lengths": POST + f"Content-Length: 17\r\nContent-Length: 3\r\n\r\n{BODY}",
    "a list of equal lengths": POST + f"Content-Length: 17, 17\r\n\r\n{BODY}",
    "a list of lengths": POST + f"Content-Length: 17, 3\r\n\r\n{BODY}",
    "a length with a sign": POST + f"Content-Length: +17\r\n\r\n{BODY}",
    "a negative length": POST + f"Content-Length: -17\r\n\r\n{BODY}",
    "a length in hexadecimal": POST + f"Content-Length: 0x11\r\n\r\n{BODY}",
    "a length with a space": POST + f"Content-Length: 1 7\r\n\r\n{BODY}",
    "a length with a fraction": POST + f"Content-Length: 17.0\r\n\r\n{BODY}",
    "an empty length": POST + f"Content-Length:\r\n\r\n{BODY}",
    "a length that is a word": POST + f"Content-Length: seventeen\r\n\r\n{BODY}",
    "a length and a coding": POST
    + f"Content-Length: 28\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}",
    "a coding and a length": POST
    + f"Transfer-Encoding: chunked\r\nContent-Length: 28\r\n\r\n{CHUNKS}",
    "a coding in HTTP/1.0": POST.replace("1.1", "1.0")
    + f"Transfer-Encoding: chunked\r\n\r\n{CHUNKS}",
    "an unknown coding": POST + f"Transfer-Encoding: frob\r\n\r\n{CHUNKS}",
    "gzip alone": POST + f"Transfer-Encoding: gzip\r\n\r\n{CHUNKS}",
    "identity": POST + f"Transfer-Encoding: identity\r\n\r\n{CHUNKS}",
    "gzip below chunked": POST + f"Transfer-Encoding: gzip, chunked\r\n\r\n{CHUNKS}",
    "chunked below gzip": POST + f"Transfer-Encoding: chunked, gzip\r\n\r\n{CHUNKS}",
    "chunked twice": POST + f"Transfer-Encoding: chunked, chunked\r\n\r\n{CHUNKS}",
    "chunked in two fields": POST
    + f"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}",
    "chunked then identity": POST
    + f"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n{CHUNKS}",
    "a hidden chunked": POST + f"Transfer-Encoding: xchunked\r\n\r\n{CHUNKS}",
    "a quoted chunked": POST + f'Transfer-Encoding: "chunked"\r\n\r\n{CHUNKS}',
    "chunked with a vertical tab": POST + f"Transfer-Encoding: \x0bchunked\r\n\r\n{CHUNKS}",
    "chunked with a parameter": POST + f"Transfer-Encoding: chunked;x=y\r\n\r\n{CHUNKS}",
    "an empty coding": POST + f"Transfer-Encoding:\r\n\r\n{CHUNKS}",
    "line feeds alone": "GET / HTTP/1.1\nHost: test\n\n",
    "a line feed behind the request line": "GET / HTTP/1.1\nHost: test\r\n\r\n",
    "a line feed behind a field": "GET / HTTP/1.1\r\nHost: test\nX: y\r\n\r\n",
    "a line feed at the end": "GET / HTTP/1.1\r\nHost: test\r\n\n",
    "a carriage return inside a value": "GET / HTTP/1.1\r\nHost: test\r\nX: a\rb\r\n\r\n",
    "a carriage return inside a name": "GET / HTTP/1.1\r\nHost: test\r\nX\ra: b\r\n\r\n",
    "two carriage returns": "GET / HTTP/1.1\r\r\nHost: test\r\n\r\n",
    "a carriage return as the end of a line": "GET / HTTP/1.1\rHost: test\r\n\r\n",
    "a folded line": "GET / HTTP/1.1\r\nHost: test\r\nX: a\r\n b\r\n\r\n",
    "a folded line by a tab": "GET / HTTP/1.1\r\nHost: test\r\nX: a\r\n\tb\r\n\r\n",
    "a folded host": "GET / HTTP/1.1\r\nHost:\r\n test\r\n\r\n",
    "a fold at once": "GET / HTTP/1.1\r\n Host: test\r\n\r\n",
    "a fold of nothing": "GET / HTTP/1.1\r\nHost: test\r\n \r\n\r\n",
    "a space before the colon": "GET / HTTP/1.1\r\nHost : test\r\n\r\n",
    "a space before another colon": "GET / HTTP/1.1\r\nHost: test\r\nX : y\r\n\r\n",
    "a tab before the colon": "GET / HTTP/1.1\r\nHost: test\r\nX\t: y\r\n\r\n",
    "a space inside a name": "GET / HTTP/1.1\r\nHost: test\r\nX Y: z\r\n\r\n",
    "a field without a colon": "GET / HTTP/1.1\r\nHost: test\r\nnonsense\r\n\r\n",
    "a field without a name": "GET / HTTP/1.1\r\nHost: test\r\n: x\r\n\r\n",
    "a bracket in a name": "GET / HTTP/1.1\r\nHost: test\r\nX(y): z\r\n\r\n",
    "a byte of Latin-1 in a name": b"GET / HTTP/1.1\r\nHost: test\r\nX\xe4: z\r\n\r\n",
    "a null in a value": "GET / HTTP/1.1\r\nHost: test\r\nX: a\0b\r\n\r\n",
    "a null in a name": "GET / HTTP/1.1\r\nHost: test\r\nX\0: a\r\n\r\n",
    "a null in the target": "GET /\0 HTTP/1.1\r\nHost: test\r\n\r\n",
    "a null in the method": "GE\0T / HTTP/1.1\r\nHost: test\r\n\r\n",
    "a null in the host": "GET / HTTP/1.1\r\nHost: te\0st\r\n\r\n",
    "no host": "GET / HTTP/1.1\r\n\r\n",
    "no host, other fields": "GET / HTTP/1.1\r\nX: y\r\n\r\n",
    "two hosts": "GET / HTTP/1.1\r\nHost: test\r\nHost: other\r\n\r\n",
    "two equal hosts": "GET / HTTP/1.1\r\nHost: test\r\nhost: test\r\n\r\n",
    "two hosts in HTTP/1.0": "GET / HTTP/1.0\r\nHost: test\r\nHost: other\r\n\r\n",
    "a host with a space": "GET / HTTP/1.1\r\nHost: te st\r\n\r\n",
    "a list of hosts": "GET / HTTP/1.1\r\nHost: test, other\r\n\r\n",
    "a host with a slash": "GET / HTTP/1.1\r\nHost: test/path\r\n\r\n",
    "a host with a user": "GET / HTTP/1.1\r\nHost: user@test\r\n\r\n",
    "a host with a scheme": "GET / HTTP/1.1\r\nHost: http://test\r\n\r\n",
    "a host with a bad port": "GET / HTTP/1.1\r\nHost: test:http\r\n\r\n",
    "a host with two ports": "GET / HTTP/1.1\r\nHost: test:80:80\r\n\r\n",
    "a host with half a bracket": "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "a host with a question": "GET / HTTP/1.1\r\nHost: test?x\r\n\r\n",
    "a host with a backslash": "GET / HTTP/1.1\r\nHost: te\\st\r\n\r\n",
    "no target": "GET HTTP/1.1\r\nHost: test\r\n\r\n",
    "an empty target": "GET  HTTP/1.1\r\nHost: test\r\n\r\n",
    "a relative target": "GET messages HTTP/1.1\r\nHost: test\r\n\r\n",
    "a space in the target": "GET /a b HTTP/1.1\r\nHost: test\r\n\r\n",
    "two spaces behind the method": "GET  / HTTP/1.1\r\nHost: test\r\n\r\n",
    "two spaces before the version": "GET /  HTTP/1.1\r\nHost: test\r\n\r\n",
    "a tab behind the method": "GET\t/ HTTP/1.1\r\nHost: test\r\n\r\n",
    "a fragment": "GET /#x HTTP/1.1\r\nHost: test\r\n\r\n",
    "a byte of Latin-1 in the target": b"GET /\xe4 HTTP/1.1\r\nHost: test\r\n\r\n",
    "raw UTF-8 in the target": "GET /ä HTTP/1.1\r\nHost: test\r\n\r\n",
    "a control character in the target": "GET /\x01 HTTP/1.1\r\nHost: test\r\n\r\n",
    "a delete in the target": "GET /\x7f HTTP/1.1\r\nHost: test\r\n\r\n",
    "an asterisk for GET": "GET * HTTP/1.1\r\nHost: test\r\n\r\n",
    "an authority for GET": "GET test:80 HTTP/1.1\r\nHost: test\r\n\r\n",
    "an absolute target without a host": "GET http:///x HTTP/1.1\r\nHost: test\r\n\r\n",
    "a user in an absolute target": "GET http://user@test/ HTTP/1.1\r\nHost: test\r\n\r\n",
    "no version": "GET /\r\nHost: test\r\n\r\n",
    "HTTP/0.9": "GET / HTTP/0.9\r\nHost: test\r\n\r\n",
    "a version in lower case": "GET / http/1.1\r\nHost: test\r\n\r\n",
    "a version that is too long": "GET / HTTP/1.10\r\nHost: test\r\n\r\n",
    "a version without a fraction": "GET / HTTP/1\r\nHost: test\r\n\r\n",
    "another protocol": "GET / ICE/1.0\r\nHost: test\r\n\r\n",
    "white space behind the version": "GET / HTTP/1.1 \r\nHost: test\r\n\r\n",
    "a space before the method": " GET / HTTP/1.1\r\nHost: test\r\n\r\n",
    "no method": "/ HTTP/1.1\r\nHost: test\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)),
    "nonsense": b"\xff\xfe\xfd\r\n\r\n",
    "the preface of HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a chunk size that is no number": POST + "Transfer-Encoding: chunked\r\n\r\nx\r\n",
    "a negative chunk size": POST + "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    "a chunk size with a sign": POST + f"Transfer-Encoding: chunked\r\n\r\n+{CHUNKS}",
    "a chunk size with a prefix": POST + f"Transfer-Encoding: chunked\r\n\r\n0x{CHUNKS}",
    "a space before a chunk size": POST + f"Transfer-Encoding: chunked\r\n\r\n {CHUNKS}",
    "a space behind a chunk size": POST
    + f"Transfer-Encoding: chunked\r\n\r\n11 \r\n{BODY}\r\n0\r\n\r\n",
    "no chunk size": POST + "Transfer-Encoding: chunked\r\n\r\n\r\n",
    "only an extension": POST + "Transfer-Encoding: chunked\r\n\r\n;x\r\n",
    "a chunk size beyond 64 bits": POST + "Transfer-Encoding: chunked\r\n\r\n10000000000000011\r\n",
    "a line feed behind a chunk size": POST
    + f"Transfer-Encoding: chunked\r\n\r\n11\n{BODY}\r\n0\r\n\r\n",
    "a line feed behind a chunk": POST
    + f"Transfer-Encoding: chunked\r\n\r\n11\r\n{BODY}\n0\r\n\r\n",
    "a line feed in an extension": POST
    + f"Transfer-Encoding: chunked\r\n\r\n11;x\n{BODY}\r\n0\r\n\r\n",
    "a chunk that is longer than it says": POST
    + f"Transfer-Encoding: chunked\r\n\r\n10\r\n{BODY}\r\n0\r\n\r\n",
    "a line feed behind the last chunk": POST
    + f"Transfer-Encoding: chunked\r\n\r\n11\r\n{BODY}\r\n0\n\r\n",
    "a trailer without a colon": POST
    + f"Transfer-Encoding: chunked\r\n\r\n11\r\n{BODY}\r\n0\r\nnonsense\r\n\r\n",
    "a line feed in the trailers": POST
    + f"Transfer-Encoding: chunked\r\n\r\n11\r\n{BODY}\r\n0\r\nX: y\n\r\n",
    "a null in a chunk size": POST
    + f"Transfer-Encoding: chunked\r\n\r\n1\x001\r\n{BODY}\r\n0\r\n\r\n",
}
# Where RFC 9112 (section 6.1, 2.3) asks for, or allows, more than 400.
OTHERS = {
    "an unknown coding": {400, 501}, "gzip alone": {400, 501}, "identity": {400, 501},
    "gzip below chunked": {400, 501}, "a hidden chunked": {400, 501},
    "a quoted chunked": {400, 501}, "chunked with a vertical tab": {400, 501},
    "chunked with a parameter": {400, 501}, "chunked then identity": {400, 501},
    "HTTP/0.9": {400, 505}, "a version that is too long": {400, 505},
    "another protocol": {400, 505}, "the preface of HTTP/2": {400, 405, 501, 505},
    "a version without a fraction": {400, 505},
    "a chunk size beyond 64 bits": {400, 413},
}


@pytest.mark.parametrize("name", STRICT)
def test_strict(server, name):
    request = STRICT[name]
    request = request.encode() if isinstance(request, str) else request
    # What follows must not be taken for a request of its own.
    smuggled = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"
    with server.wire() as wire:
        wire.send(request + smuggled.encode())
        answer = wire.receive()
        expect_problem(answer, OTHERS.get(name, 400))
        assert (answer.field("Connection") or "").lower() == "close"
        assert wire.at_end() == b"", "nothing may come behind the refusal"


@pytest.mark.parametrize("name", STRICT)
def test_strict_alone_and_bytewise(server, name):
    """The same, in single bytes, and with nothing behind that could complete it."""
    request = STRICT[name]
    request = request.encode() if isinstance(request, str) else request
    with server.wire() as wire:
        try:
            for byte in request:
                wire.send(bytes([byte]))
            wire.shutdown()
        except OSError:
            pass  # it has refused already
        try:
            answer = wire.receive()
        except Closed:
            return  # half a request, and nobody there any more
        expect_problem(answer, OTHERS.get(name, 400))
        assert wire.at_end() == b""


@pytest.mark.parametrize("request_bytes, status", [
    ("\r\nGET {m} HTTP/1.1\r\nHost: test\r\n\r\n", 200),  # RFC 9112, section 2.2
    ("GET {m} HTTP/1.1\r\nHost:test\r\n\r\n", 200),
    ("GET {m} HTTP/1.1\r\nhOST: \t test \t \r\n\r\n", 200),
    ("GET {m} HTTP/1.1\r\nHost: test:8080\r\n\r\n", 200),
    ("GET {m} HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 200),
    ("GET {m} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 200),
    ("GET {m} HTTP/1.1\r\nHost: xn--mnchen-3ya.example\r\nX: ä\r\n\r\n", 200),
    ("GET {m} HTTP/1.1\r\nHost: test\r\nX:\r\nX: a\r\nX!#$%&'*+-.^_`|~0: z\r\n\r\n", 200),
    ("GET {m} HTTP/1.1\r\nHost: test\r\nUpgrade: h2c\r\n"
     "Connection: Upgrade, HTTP2-Settings\r\n\r\n", 200),
    ("GET {m} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", 200),
    ("GET {m} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n", 200),
    ("GET {m} HTTP/1.0\r\nHost: test\r\n\r\n", 200),
])
def test_odd_but_right(server, request_bytes, status):
    with server.wire() as wire:
        wire.send(request_bytes.format(m=MESSAGE))
        assert wire.receive().status == status


# Time

def test_slow_senders_are_cut_off():
    """By the time for the whole request, however busily they send."""
    with Server(settings={"request_timeout": "1s", "idle_timeout": "1s"}) as server:
        stages = {
            "in the request line": ("GET /mess", "a"),
            "in the fields": ("GET / HTTP/1.1\r\nHost: test\r\nX: ", "a"),
            "in the body": (
                "POST /messages HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
                            "Content-Length: 100000\r\n\r\n", " "),
            "in the chunks": (
                "POST /messages HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
                              "Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n"),
        }
        for stage, (start, drop) in stages.items():
            with server.wire() as wire:
                wire.send(start)
                wire.socket.settimeout(0.05)
                answer = None
                for _ in range(20 * 60):
                    try:
                        wire.send(drop)
                        answer = wire.receive()
                        break
                    except socket.timeout:
                        continue
                    except (Closed, OSError):
                        break  # the answer was lost with the connection: cut off all the same
                else:
                    pytest.fail(f"{stage}: it waits for ever")
                if answer is not None:
                    expect_problem(answer, 408)
        # One that says nothing more at all.
        with server.wire() as wire:
            wire.send("POST /messages HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
                      "Content-Length: 10\r\n\r\n")
            expect_problem(wire.receive(), 408)
            assert wire.at_end() == b""
        # And one that never began, or has nothing to ask any more: closed without a word.
        with server.wire() as wire:
            assert wire.at_end() == b""
        with server.wire() as wire:
            wire.get("/healthz")
            assert wire.receive().status == 200
            assert wire.at_end() == b""


def test_who_does_not_read_is_cut_off():
    """A client that asks for much and takes nothing does not hold its connection for ever."""
    with Server(settings={"write_timeout": "1s"}) as server:
        message = "x" * 1_000_000
        digest = server.public.post("/messages", {"message": message}).json()["digest"]
        with server.wire() as wire:
            wire.socket.settimeout(60)
            request = f"GET /messages/{digest} HTTP/1.1\r\nHost: test\r\n\r\n".encode()
            try:
                # Far more than the sockets' buffers hold; sending fails once the server has closed.
                for _ in range(100_000):
                    wire.send(request * 100)
                pytest.fail("it goes on reading")
            except (BrokenPipeError, ConnectionResetError):
                pass
        assert server.public.get("/healthz").status_code == 200


def test_too_many_connections():
    with Server(settings={"max_connections": 8, "workers": 1}) as server:
        server.close_clients()
        wires = [server.wire() for _ in range(8)]
        for wire in wires:
            wire.get("/healthz")
            assert wire.receive().status == 200
        with server.wire() as more:
            try:
                more.get("/healthz")
                answer = more.receive()
                assert answer.status == 503
                assert answer.field("Content-Type") == "application/problem+json"
            except (Closed, OSError):
                pass
        for wire in wires:
            wire.get("/healthz")
            assert wire.receive().status == 200
            wire.close()


def test_a_unix_socket():
    with Server() as server:
        path = server.folder / "socket"
        server.stop()
        server.spawn(f"unix:{path}")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            def connects():
                try:
                    return connection.connect(os.fspath(path)) is None
                except OSError:
                    return False
            wait_until(connects, "the socket is there")
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            answer = b""
            while part := connection.recv(65536):
                answer += part
            assert answer.startswith(b"HTTP/1.1 200 ")
