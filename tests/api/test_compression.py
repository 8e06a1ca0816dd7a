"""gzip by Accept-Encoding: which answers are compressed, and what names their bytes."""

import gzip
import json
import socket

import pytest

from harness import HOST, PATIENCE, Server, problem
from listening import Listener

DEFINITIONS = {
    "things": "access: {read: public, write: public}\nevents: true\n"
              "properties: {name: {type: string}}\n",
}
GZIP = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}
TEXT = "all work and no play " * 200


@pytest.fixture(name="large", scope="module")
def a_large_record(public):
    return f"/things/{public.create('/things', {'name': TEXT})['id']}"


@pytest.fixture(name="small", scope="module")
def a_small_record(public):
    return f"/things/{public.create('/things', {'name': 'a'})['id']}"


def varies(response):
    return "Accept-Encoding" in response.headers.get("Vary", "").split(", ")


def test_large_answers_are_compressed(public, large):
    coded = public.get(large, headers=GZIP)
    plain = public.get(large, headers=PLAIN)
    assert coded.headers["Content-Encoding"] == "gzip" and "Content-Encoding" not in plain.headers
    assert int(coded.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 5
    assert coded.json() == plain.json()
    assert varies(coded) and varies(plain)
    assert coded.headers["ETag"] == plain.headers["ETag"][:-1] + '+gz"'
    assert coded.headers["Content-Type"] == "application/json"


def test_small_answers_are_not(public, small):
    response = public.get(small, headers=GZIP)
    assert "Content-Encoding" not in response.headers and not varies(response)


def test_very_large_answers_are_compressed_beside(public):
    """On another thread: other requests are served meanwhile."""
    public.post("/things", [{"name": f"{i} {TEXT}"} for i in range(500)])
    coded = public.get("/things?limit=1000", headers=GZIP)
    plain = public.get("/things?limit=1000", headers=PLAIN)
    assert coded.headers["Content-Encoding"] == "gzip" and coded.json() == plain.json()
    assert len(plain.content) > 1000 * 1000 > int(coded.headers["Content-Length"])


@pytest.mark.parametrize("accepted, coded", [
    ("gzip", True), ("GZIP", True), ("x-gzip", True), ("*", True), ("gzip, deflate, br", True),
    ("br, gzip;q=0.1", True), ("gzip;q=0.5, identity;q=0.5", True), ("identity;q=0, *", True),
    ("gzip;q=0", False), ("identity", False), ("deflate, br", False), ("", False),
    ("*;q=0.5, identity", False), ("gzip;q=0.2, identity;q=0.3", False), ("*;q=0, identity", False),
    ("gzip;q=x", False), ("\"gzip\"", False), (";", False),
])
def test_who_takes_it(public, large, accepted, coded):
    response = public.get(large, headers={"Accept-Encoding": accepted})
    assert response.status_code == 200
    assert ("Content-Encoding" in response.headers) is coded


@pytest.mark.parametrize("accepted", ["identity;q=0", "*;q=0", "gzip;q=0, identity;q=0", "br, *;q=0"])
def test_who_takes_nothing_gets_nothing(public, large, accepted):
    assert "gzip" in problem(public.get(large, headers={"Accept-Encoding": accepted}), 406)["detail"]


def test_who_takes_nothing_else_gets_it_however_small(public, small):
    response = public.get(small, headers={"Accept-Encoding": "gzip, identity;q=0"})
    assert response.headers["Content-Encoding"] == "gzip" and response.json()["name"] == "a"


def test_tags(public, large):
    coded = public.get(large, headers=GZIP).headers["ETag"]
    plain = public.get(large, headers=PLAIN).headers["ETag"]
    for headers, tag, status in ((GZIP, coded, 304), (PLAIN, plain, 304), (PLAIN, coded, 200),
                                 (GZIP, plain, 304), (GZIP, f'"x", W/{coded}', 304)):
        response = public.get(large, headers={**headers, "If-None-Match": tag})
        assert response.status_code == status, (headers, tag)
        if status == 304:
            assert response.headers["ETag"] == tag[tag.rindex('"', 0, -1):] and not response.content
            assert "Content-Encoding" not in response.headers and varies(response)
    assert public.get(large, headers={**GZIP, "If-Match": coded}).status_code == 200
    problem(public.get(large, headers={**PLAIN, "If-Match": coded}), 412)


def test_a_list_s_tags(public, large):
    coded = public.get("/things", headers=GZIP).headers["ETag"]
    assert coded.endswith('+gz"')
    assert public.get("/things", headers={**GZIP, "If-None-Match": coded}).status_code == 304
    assert public.get("/things", headers={**PLAIN, "If-None-Match": coded}).status_code == 200


def test_a_write_takes_the_tag_of_what_was_compressed(public):
    path = public.post("/things", {"name": TEXT}).headers["Location"]
    tag = public.get(path, headers=GZIP).headers["ETag"]
    changed = public.patch(path, {"name": TEXT + "!"}, headers={**GZIP, "If-Match": tag})
    assert changed.status_code == 200 and changed.headers["Content-Encoding"] == "gzip"
    assert changed.headers["ETag"] == public.get(path, headers=GZIP).headers["ETag"] != tag
    problem(public.patch(path, {"name": "x"}, headers={"If-Match": tag}), 412)
    assert public.delete(path, headers={"If-Match": changed.headers["ETag"]}).status_code == 204


def test_head_says_what_get_does(public, large):
    for path in (large, "/things"):
        head, get = public.head(path, headers=GZIP), public.get(path, headers=GZIP)
        for name in ("ETag", "Content-Encoding", "Content-Length", "Vary"):
            assert head.headers[name] == get.headers[name], name


def test_what_does_not_become_smaller():
    """gzip's own frame is larger than what it would save."""
    with Server(DEFINITIONS, settings={"GZIP_MIN": "1B"}) as own:
        path = own.public.post("/things", {"name": "q"}).headers["Location"]
        response = own.public.get(path, headers=GZIP)
        assert "Content-Encoding" not in response.headers and varies(response)


def test_the_same_bytes_each_time(server, large):
    def fetch_raw():
        with socket.create_connection((HOST, server.port), PATIENCE) as client:
            client.sendall(f"GET {large} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n"
                           "Connection: close\r\n\r\n".encode())
            data = b""
            while chunk := client.recv(65536):
                data += chunk
        return data.split(b"\r\n\r\n", 1)[1]
    first = fetch_raw()
    assert first == fetch_raw() and json.loads(gzip.decompress(first))["name"] == TEXT


def test_replays(public):
    headers = {"Idempotency-Key": "gzip-1"}
    first = public.post("/things", {"name": TEXT}, headers={**headers, **GZIP})
    again = public.post("/things", {"name": TEXT}, headers={**headers, **GZIP})
    plain = public.post("/things", {"name": TEXT}, headers={**headers, **PLAIN})
    assert first.json() == again.json() == plain.json()
    assert again.headers["Idempotency-Replayed"] == plain.headers["Idempotency-Replayed"] == "true"
    assert first.headers["Content-Encoding"] == again.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert first.headers["ETag"] == again.headers["ETag"] == plain.headers["ETag"][:-1] + '+gz"'


def test_secrets_are_never_compressed(admin):
    response = admin.post("/keys", {"name": "k", "scopes": ["things:read"]}, headers={
        "Accept-Encoding": "gzip, identity;q=0"})
    assert response.json()["secret"] and "Content-Encoding" not in response.headers
    rotated = admin.post(f"/keys/{response.json()['id']}/rotate", {}, headers={
        "Accept-Encoding": "gzip, identity;q=0"})
    assert rotated.json()["secret"] and "Content-Encoding" not in rotated.headers


def test_streams_are_not_compressed(server, public):
    with Listener(server, "things", fields=["Accept-Encoding: gzip"]) as listener:
        assert "content-encoding" not in listener.fields
    response = public.post("/things", data=b'{"name":"a"}\n' * 50, headers={
        **GZIP, "Content-Type": "application/x-ndjson"})
    assert "Content-Encoding" not in response.headers and len(response.text.splitlines()) == 50


def test_nothing_is_compressed_without_content(public, small):
    response = public.delete(small, headers={"Accept-Encoding": "gzip, identity;q=0"})
    assert response.status_code == 204 and "Content-Encoding" not in response.headers


def test_clients_that_go_meanwhile(server, public):
    public.post("/things", [{"name": f"{i} {TEXT}"} for i in range(300)])
    for _ in range(20):
        with socket.create_connection((HOST, server.port), PATIENCE) as client:
            client.sendall(b"GET /things?limit=1000 HTTP/1.1\r\nHost: x\r\n"
                           b"Accept-Encoding: gzip\r\n\r\n")
    assert public.get("/things", headers=GZIP).status_code == 200


def test_off():
    with Server(DEFINITIONS, settings={"GZIP_MIN": "off"}) as server:
        path = server.public.post("/things", {"name": TEXT}).headers["Location"]
        response = server.public.get(path, headers=GZIP)
        assert "Content-Encoding" not in response.headers and not varies(response)
        refused = server.public.get(path, headers={"Accept-Encoding": "identity;q=0, gzip"})
        problem(refused, 406)
