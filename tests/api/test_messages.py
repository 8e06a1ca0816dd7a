"""Messages: a content-addressed store, as it comes with trestle."""

import hashlib
import json
import random
import unicodedata

import hypothesis
import hypothesis.strategies as st
import pytest

from harness import problem, relative

FOO = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
LONGEST = 1_048_576


def digest(message):
    return hashlib.sha256(message.encode("utf-8")).hexdigest()


def check_message(public, message):
    """Stores a message twice and reads it back."""
    body = {"digest": digest(message), "message": message}
    first = public.post("/messages", {"message": message})
    assert first.status_code in (200, 201), first.text[:2000]
    assert first.json() == body
    again = public.post("/messages", {"message": message})
    assert again.status_code == 200
    assert again.content == first.content
    got = public.get("/messages/" + body["digest"])
    assert got.status_code == 200
    assert got.json() == body


def test_the_digest_of_foo(public):
    response = public.post("/messages", {"message": "foo"})
    assert response.status_code == 201
    assert response.json() == {"digest": FOO, "message": "foo"}
    assert list(response.json()) == ["digest", "message"]
    assert response.headers["Content-Type"] == "application/json"
    assert relative(response.headers["Location"]) == f"/messages/{FOO}"
    again = public.post("/messages", {"message": "foo"})
    assert again.status_code == 200
    assert again.content == response.content
    assert public.get(relative(response.headers["Location"])).content == response.content


def test_hexadecimal_of_either_case(public):
    public.post("/messages", {"message": "foo"})
    mixed = "".join(c.upper() if i % 2 else c for i, c in enumerate(FOO))
    for path in (FOO, FOO.upper(), mixed):
        response = public.get(f"/messages/{path}")
        assert response.status_code == 200
        assert response.json() == {"digest": FOO, "message": "foo"}


@pytest.mark.parametrize("key", [
    digest("never stored"), digest("never stored").upper(), "0" * 64, "f" * 64,
    FOO[:-1], FOO + "0", FOO[:-1] + "g", "a", "0", "-1", "foo", "null", "digest", "limit",
    "%20", "%2E%2E%2Fetc%2Fpasswd", "%2F", "a%2Fb", "'%20or%20'1'='1", "%22", "%F0%9F%8E%89",
    "x" * 5000, "%F0%9F%8E%89" * 16, "0x" + FOO[:62], "+" + FOO[1:], "%C3%A4" * 32,
])
def test_a_string_that_is_no_stored_digest_is_not_found(public, key):
    public.post("/messages", {"message": "foo"})
    problem(public.get(f"/messages/{key}"), 404, "not-found")
    assert public.head(f"/messages/{key}").status_code == 404


@hypothesis.given(key=st.text(alphabet=st.characters(blacklist_categories=["Cs"],
                                                     blacklist_characters="\0"), min_size=1))
@hypothesis.settings(max_examples=100)
def test_any_string_is_not_found(public, key):
    hypothesis.assume(key not in (".", ".."))
    encoded = "".join(f"%{byte:02X}" for byte in key.encode("utf-8"))
    problem(public.get(f"/messages/{encoded}"), 404, "not-found")


@pytest.mark.parametrize("key", ["%00", "a%00b", "%FF", "%C3", "%ED%A0%80", "%C0%80", "%", "%2",
                                 "%zz"])
def test_what_is_no_text_is_refused(public, key):
    with public.server.wire() as wire:  # requests would repair these
        wire.get(f"/messages/{key}")
        answer = wire.receive()
        assert answer.status == 400
        assert answer.field("Content-Type") == "application/problem+json"


def test_the_empty_message(public):
    response = public.post("/messages", {"message": ""})
    assert response.status_code == 201
    assert response.json()["digest"] == hashlib.sha256(b"").hexdigest()
    check_message(public, "")


@pytest.mark.parametrize("character", ["a", "ä", "€", "🎉"])
def test_the_longest_message(public, character):
    check_message(public, character * LONGEST)


@pytest.mark.parametrize("character", ["a", "ä", "€", "🎉"])
def test_one_character_more(public, character):
    response = public.post("/messages", {"message": character * (LONGEST + 1)})
    value = problem(response, 400, "invalid-body")
    assert [error["pointer"] for error in value["errors"]] == ["/message"]
    assert len(response.content) < 5000
    problem(public.get("/messages/" + digest(character * (LONGEST + 1))), 404)


def test_combining_characters_count_as_what_they_are(public):
    composed, decomposed = "é", unicodedata.normalize("NFD", "é")
    assert composed != decomposed
    check_message(public, composed)
    check_message(public, decomposed)
    check_message(public, "e" + "\u0301" * 500)
    check_message(public, "👩‍👩‍👧‍👦🏳️‍🌈" * 20)
    assert public.post("/messages", {"message": ("e\u0301") * (LONGEST // 2)}).status_code == 201
    problem(public.post("/messages", {"message": ("e\u0301") * (LONGEST // 2) + "."}), 400)


@pytest.mark.parametrize("plane", range(17))
def test_every_plane_of_unicode(public, plane):
    """Every code point there is but U+0000 and the surrogates, non-characters too."""
    start = plane << 16
    message = "".join(chr(c) for c in range(max(start, 1), start + 0x10000)
                      if not 0xD800 <= c <= 0xDFFF)
    check_message(public, message)


@hypothesis.given(message=st.text(alphabet=st.characters(blacklist_categories=["Cs"],
                                                         blacklist_characters="\0")))
@hypothesis.settings(max_examples=150)
def test_any_text_comes_back(public, message):
    check_message(public, message)


def test_escapes_stand_for_their_characters(public):
    body = rb'{"message":"\u00e4\ud83c\udf89\/\b\f\n\r\t\"\\\u007f\u0001"}'
    response = public.post("/messages", data=body, headers={"Content-Type": "application/json"})
    message = "ä🎉/\b\f\n\r\t\"\\\x7f\x01"
    assert response.status_code == 201
    assert response.json() == {"digest": digest(message), "message": message}
    check_message(public, message)


@pytest.mark.parametrize("body, what", [
    (rb'{"message":"\u0000"}', "the null character"),
    (rb'{"message":"a\u0000b"}', "the null character inside"),
    (rb'{"mess\u0000age":"a"}', "in a name"),
    (b'{"message":"a\0b"}', "as a raw byte"),
    (rb'{"message":"\ud800"}', "a lone leading surrogate"),
    (rb'{"message":"\udc00"}', "a lone trailing surrogate"),
    (rb'{"message":"\ud83c\ud83c"}', "two leading surrogates"),
    (rb'{"message":"\udf89\ud83c"}', "a pair in the wrong order"),
    (rb'{"message":"\ud83cx"}', "half a pair"),
    (b'{"message":"\xed\xa0\x80"}', "a surrogate in UTF-8"),
    (b'{"message":"\xff"}', "a byte that never occurs"),
    (b'{"message":"\xc3"}', "half a character"),
    (b'{"message":"\xc0\x80"}', "an overlong null"),
    (b'{"message":"\xe0\x80\xaf"}', "an overlong slash"),
    (b'{"message":"\xf4\x90\x80\x80"}', "beyond U+10FFFF"),
    (b'{"message":"\xf8\x88\x80\x80\x80"}', "five bytes"),
    (b'{"message":"a\nb"}', "a raw line feed"),
    ('{"message":"a"}'.encode("utf-16"), "UTF-16"),
])
def test_what_is_no_unicode_text_is_refused(public, body, what):
    response = public.post("/messages", data=body, headers={"Content-Type": "application/json"})
    problem(response, 400, {"malformed-json", "invalid-body"})


@pytest.mark.parametrize("body, pointers", [
    ({}, ["/message"]),
    ({"message": None}, ["/message"]),
    ({"message": 1}, ["/message"]),
    ({"message": True}, ["/message"]),
    ({"message": ["foo"]}, ["/message"]),
    ({"message": {"foo": "bar"}}, ["/message"]),
    ({"message": "foo", "extra": 1}, ["/extra"]),
    ({"Message": "foo"}, ["/Message", "/message"]),
    ({"message": 1, "a/b": 1, "c~d": 2}, ["/a~1b", "/c~0d", "/message"]),
    ("foo", [""]), (None, [""]), (1, [""]), (True, [""]),
])
def test_a_body_that_does_not_fit(public, body, pointers):
    value = problem(public.post("/messages", body), 400, "invalid-body")
    assert sorted(error["pointer"] for error in value["errors"]) == pointers


def test_the_digest_may_come_along_where_it_is_right(public):
    """What was read can be sent again."""
    assert public.post("/messages", {"digest": FOO, "message": "foo"}).status_code in (200, 201)
    value = problem(public.post("/messages", {"digest": "0" * 64, "message": "foo"}), 400)
    assert [error["pointer"] for error in value["errors"]] == ["/digest"]


def allowed(response):
    return {method.strip() for method in response.headers["Allow"].split(",")}


def test_there_is_no_list(public):
    response = public.get("/messages")
    problem(response, 405, "method-not-allowed")
    assert allowed(response) == {"POST", "OPTIONS"}
    assert public.head("/messages").status_code == 405
    for method in ("PUT", "PATCH", "DELETE"):
        response = public.request(method, "/messages", json={})
        problem(response, 405, "method-not-allowed")
        assert allowed(response) == {"POST", "OPTIONS"}


def test_a_message_never_changes(public):
    public.post("/messages", {"message": "foo"})
    for method in ("PUT", "PATCH", "DELETE", "POST"):
        response = public.request(method, f"/messages/{FOO}", json={"message": "bar"})
        problem(response, 405, "method-not-allowed")
        assert allowed(response) == {"GET", "HEAD", "OPTIONS"}
    assert public.get(f"/messages/{FOO}").json()["message"] == "foo"


def test_parameters_that_it_does_not_know(public):
    problem(public.get(f"/messages/{FOO}?limit=1"), 400, "unknown-parameter")
    problem(public.post("/messages?x=1", {"message": "foo"}), 400, "unknown-parameter")


def test_fields_of_one(public):
    public.post("/messages", {"message": "foo"})
    assert public.get(f"/messages/{FOO}?fields=message").json() == {"message": "foo"}


def test_whoever_presents_a_key_may_too(admin):
    assert admin.post("/messages", {"message": "with a key"}).status_code in (200, 201)


def test_head_is_get_without_the_body(public):
    public.post("/messages", {"message": "foo"})
    got, head = public.get(f"/messages/{FOO}"), public.head(f"/messages/{FOO}")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Length"] == str(len(got.content))


def test_many_at_once_store_one(server):
    """The same message from many threads: one 201, the rest 200."""
    import concurrent.futures
    message = f"once {random.random()}"
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(
            lambda _: server.public.post("/messages", {"message": message}).status_code, range(64)))
    assert sorted(statuses) == [200] * 63 + [201]


def test_json_that_is_not_compact(public):
    body = b' \r\n\t{ "message" : "spaced" } \n'
    response = public.post("/messages", data=body,
                           headers={"Content-Type": "application/json; charset=utf-8"})
    assert response.json() == {"digest": digest("spaced"), "message": "spaced"}
    assert json.loads(response.text) == response.json()


def test_it_caches_for_ever(public):
    public.post("/messages", {"message": "foo"})
    assert public.get(f"/messages/{FOO}").headers["Cache-Control"] == (
        "public, max-age=31536000, immutable")
    missing = public.get(f"/messages/{'0' * 64}").headers.get("Cache-Control", "")
    assert "immutable" not in missing and "max-age=3" not in missing
