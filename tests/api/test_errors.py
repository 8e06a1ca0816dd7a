"""Errors: a whole problem each, of a type that stays, every fault at once, nothing of the inside."""

import concurrent.futures
import re

import pytest

from harness import PROBLEM, ROOT, Server, pointers, problem

JSON = {"Content-Type": "application/json"}


def post(client, body, path="/coupons"):
    return client.post(path, data=body, headers=JSON)


@pytest.mark.parametrize("body", [
    b"", b" ", b"{", b"}", b"{}}", b"{} {}", b"{},", b"[", b"]", b"nul", b"tru", b"NaN",
    b"Infinity", b"-Infinity", b"undefined", b"{'title':'x'}", b"{title:1}", b'{"title":}',
    b'{"title" "x"}', b'{"title":"x",}', b'{,"title":"x"}', b'{"title":"x" /* comment */}',
    b'// comment\n{}', b'{"title":"x"', b'{"title":"x}', b'{"title":"\\x41"}',
    b'{"title":"\\u12"}', b'{"max_redemptions":01}', b'{"max_redemptions":+1}',
    b'{"max_redemptions":.5}', b'{"max_redemptions":1.}', b'{"max_redemptions":0x1}',
    b'{"max_redemptions":1e}', b'{"max_redemptions":--1}', b'{"max_redemptions":1_000}',
    b'\xef\xbb\xbf{"title":"x"}', b"\x00", b'{"title":"x"}\x00', b"\xff\xfe{\x00}\x00",
    b'{"title":"x","title":"x"}', b'{"title":"x","store":{"lat":1,"lat":1}}',
    b'{"title":"x","\\u0074itle":"y"}', b'{"title":"x","store":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b"[" * 100_000, b'{"a":' * 100_000,
    b'{"title":"x","store":{"lat":1e999}}', b'{"title":"x","store":{"lat":-1e999}}',
    b'{"max_redemptions":9223372036854775808,"title":"x"}',
    b'{"max_redemptions":-9223372036854775809,"title":"x"}',
    b'{"max_redemptions":100000000000000000000000000000,"title":"x"}', b'"\\u0000"',
    b'{"\\u0000":1}', "ÿ".encode("latin-1"),
])
def test_bodies_that_are_no_json(admin, body):
    value = problem(post(admin, body), 400, {"malformed-json", "invalid-body"})
    assert value["detail"]
    problem(admin.put("/coupons/1", data=body, headers=JSON), 400,
            {"malformed-json", "invalid-body"})
    problem(admin.patch("/coupons/1", data=body, headers=JSON), 400,
            {"malformed-json", "invalid-body"})


@pytest.mark.parametrize("depth, status", [(62, 400), (63, 400), (64, 400), (65, 400), (1000, 400)])
def test_depth(admin, depth, status):
    """Up to 64 levels it is JSON that does not fit the resource, beyond it is no JSON to us."""
    body = b"[" * depth + b"]" * depth
    value = problem(post(admin, body), status)
    slug = value["type"].removeprefix(PROBLEM)
    assert slug == ("invalid-body" if depth <= 64 else "malformed-json")


def test_a_syntax_error_has_its_place(admin):
    value = problem(post(admin, b'{\n  "title": "x",\n  "category": oops\n}'), 400,
                    "malformed-json")
    assert "3" in value["detail"]


def test_duplicates_have_their_place(admin):
    value = problem(post(admin, b'{"title":"x","category":"a",\n"category":"b"}'), 400)
    assert "line 2" in value["detail"] or "category" in value["detail"]


@pytest.mark.parametrize("number, stored", [
    ("0", 0), ("-0", 0), ("9223372036854775807", 2**63 - 1), ("1.0", 1), ("1e2", 100),
    ("100E-2", 1), ("0.0", 0), ("9007199254740993", 2**53 + 1)])
def test_integers(admin, number, stored):
    """JSON Schema: a number without a fraction is an integer, however it is written."""
    response = post(admin, b'{"title":"x","max_redemptions":%s}' % number.encode())
    assert response.status_code == 201, response.text
    assert response.json()["max_redemptions"] == stored
    assert isinstance(response.json()["max_redemptions"], int)
    admin.delete(f"/coupons/{response.json()['id']}")


@pytest.mark.parametrize("number",
                         ["0.5", "1e-1", "9223372036854775808.0", "1e19", "1.0000000001", "-1",
                          "-1e0"])
def test_numbers_that_are_no_such_integers(admin, number):
    response = post(admin, b'{"title":"x","max_redemptions":%s}' % number.encode())
    assert pointers(response) == ["/max_redemptions"]


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 400 + ".0"])
def test_numbers_that_no_double_holds(admin, number):
    problem(post(admin, b'{"title":"x","store":{"lat":%s}}' % number.encode()), 400)


def test_all_faults_at_once(admin):
    body = {"title": 1, "category": "x" * 101, "max_redemptions": -1, "expire_at": "never",
            "store": {"lat": 100, "x": 1},
            "y": 1, "redemptions": 7}
    assert sorted(pointers(admin.post("/coupons", body))) == [
        "/category", "/expire_at", "/max_redemptions", "/redemptions", "/store/lat", "/store/x",
        "/title", "/y"]


def test_faults_do_not_repeat_what_was_sent(admin):
    response = admin.post("/coupons", {"title": "x" * 1_000_000})
    assert len(response.content) < 2000


def test_faults_name_members_that_look_alike(admin):
    value = problem(admin.post("/coupons", {"tilte": "x"}), 400)
    where = {error["pointer"]: error["detail"] for error in value["errors"]}
    assert set(where) == {"/tilte", "/title"}


def test_names_that_are_hard_to_repeat(admin):
    """Pointers and details are JSON and UTF-8 whatever the member was called."""
    names = ["\"", "\\", "\n", "\x7f", "ä", "🎉", "\u2028", "</script>", "~1", "/", "%s%n%d",
             "\u0001"]
    value = problem(admin.post("/coupons", {"title": "x", **dict.fromkeys(names, 1)}), 400)
    assert len(value["errors"]) == len(names)
    expected = {"/" + name.replace("~", "~0").replace("/", "~1") for name in names}
    assert {error["pointer"] for error in value["errors"]} == expected


def test_a_name_that_is_too_long_to_repeat(admin):
    response = admin.post("/coupons", {"title": "x", "a" * 100_000: 1})
    assert len(pointers(response)) == 1
    assert len(response.content) < 200_000


def test_errors_are_not_cached(admin, public):
    for response in (public.get("/nowhere"), public.get("/coupons/999999"),
                     public.get("/coupons?x=1"),
                     public.get("/packages")):
        assert "no-store" in response.headers.get("Cache-Control", "no-store")
        assert "immutable" not in response.headers.get("Cache-Control", "")


def test_problems_carry_the_request_id(public):
    value = problem(public.get("/nowhere", headers={"X-Request-Id": "me"}), 404)
    assert value.get("request_id", "me") == "me"


def test_nothing_of_the_inside_shows(admin, public):
    """Neither SQL nor paths nor names of functions in any of the errors above."""
    for response in (public.get("/coupons?filter=x'"), public.get("/coupons?sort='"),
                     public.get("/coupons/'"),
                     admin.post("/packages", {"name": "ab", "version": "1"}),
                     admin.post("/packages", {"name": "ab", "version": "1"}),
                     public.get("/messages/'"), post(admin, b"{")):
        assert not re.search(r"sqlite|SELECT|INSERT|constraint failed|\.c:|/work|/tmp|errno",
                             response.text, re.I)


def test_every_type_is_documented(public):
    """Types are part of the interface: docs/HTTP.md lists the ones that clients may meet."""
    table = (ROOT / "src/base/failure.h").read_text()
    documentation = (ROOT / "docs/HTTP.md").read_text()
    for status, slug in re.findall(r'X\(\w+, (\d+), "([a-z-]+)"', table):
        if slug in ("none", "forbidden", "in-use", "overflow",
                    "outcome-unknown",
                    "invalid-definition", "invalid-setting", "refused"):
            continue  # not met over HTTP yet
        assert slug in documentation, f"{slug} ({status})"


def test_a_query_that_takes_too_long():
    """503 with Retry-After, and the server goes on."""
    with Server() as server:
        text = "ab" * 5000

        def create(i):
            return server.admin.post("/coupons", {"title": f"{i}", "description": text}).status_code
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            assert set(pool.map(create, range(2000))) == {201}
        server.restart(query_timeout="100ms")
        # A hundred searches through each text.
        expression = " or ".join(f"contains(description, '{'ab' * 40}{i}')" for i in range(100))
        response = server.admin.get("/coupons", params={"filter": expression, "count": "true"})
        value = problem(response, 503, "query-timeout")
        assert int(response.headers["Retry-After"]) >= 0
        assert value["detail"]
        assert len(server.public.list("/coupons", limit=1)) == 1
