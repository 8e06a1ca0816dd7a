"""What a key in a path may be: one that cannot be a key is 400, one that is not there is 404."""

import uuid

import pytest

from harness import pointers, problem, relative

DEFINITIONS = {
    "numbers": "access: {read: public, write: public}\nproperties:\n  a: {type: string}\n",
    "uuids": """
access: {read: public, write: public}
key: {uid: uuid}
properties:
  a: {type: string}
""",
    "words": """
access: {read: public, write: public}
key: code
properties:
  code: {type: string, minLength: 1, maxLength: 20}
  a:    {type: string}
""",
    "digests": """
access: {read: public, write: public}
key: {digest: sha256(a)}
required: [a]
properties:
  a: {type: string, maxLength: 100}
  b: {type: integer}
""",
}


@pytest.mark.parametrize("key", ["abc", "-1", "0", "1.5", "1e3", "%201", "1%20", "+1", "0x1",
                                 "9223372036854775808",
                                 "99999999999999999999999999", "%D9%A1", "null", "01", "-0",
                                 "%E2%88%921", "1,2", "1;2", "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_what_cannot_be_a_number(public, key, method):
    response = public.request(method, f"/numbers/{key}", json={})
    assert response.status_code == 400, response.text
    if method != "HEAD":
        problem(response, 400, "invalid-key")


@pytest.mark.parametrize("key", ["1", "9223372036854775807", "42"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_numbers_that_are_not_there(public, key, method):
    problem(public.request(method, f"/numbers/{int(key) + 1000 if len(key) < 5 else key}", json={}),
            404, "not-found")


def test_numbers_count_up(public):
    made = [public.create("/numbers", {})["id"] for _ in range(5)]
    assert made == sorted(made) and len(set(made)) == 5
    assert made[0] > 0


@pytest.mark.parametrize("key", ["abc", "1", "017F22E2-79B0-7CC3-98C4-DC0C0C07398",
                                 "017F22E2-79B0-7CC3-98C4-DC0C0C07398F0",
                                 "017F22E279B07CC398C4DC0C0C07398F",
                                 "%7B017F22E2-79B0-7CC3-98C4-DC0C0C07398F%7D",
                                 "urn:uuid:017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
                                 "g17F22E2-79B0-7CC3-98C4-DC0C0C07398F",
                                 "017F22E2-79B0-7CC3-98C4_DC0C0C07398F"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_what_cannot_be_a_uuid(public, key, method):
    problem(public.request(method, f"/uuids/{key}", json={}), 400, "invalid-key")


def test_uuids(public):
    record = public.create("/uuids", {"a": "x"})
    identity = uuid.UUID(record["uid"])
    assert identity.version == 7 and identity.variant == uuid.RFC_4122
    assert record["uid"] == str(identity)
    for form in (str(identity), str(identity).upper()):
        assert public.get(f"/uuids/{form}").json() == record
    problem(public.get("/uuids/017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), 404, "not-found")
    problem(public.get("/uuids/00000000-0000-0000-0000-000000000000"), 404, "not-found")
    made = [public.create("/uuids", {})["uid"] for _ in range(20)]
    assert len(set(made)) == 20
    assert [uuid.UUID(each).int >> 80 for each in made] == sorted(uuid.UUID(each).int >> 80
        for each in made)


def test_words_are_chosen_by_clients(public):
    record = {"code": "a b/ä🎉?#%", "a": "1"}
    path = "/words/" + "".join(f"%{byte:02X}" for byte in record["code"].encode())
    response = public.post("/words", record)
    assert response.status_code == 201
    assert public.get(relative(response.headers["Location"])).json() == record
    assert public.get(path).json() == record
    problem(public.post("/words", record), 409, "conflict")
    changed = public.put(path, {"a": "2"})
    assert changed.status_code == 200
    assert changed.json() == {"code": record["code"], "a": "2"}
    assert pointers(public.put(path, {"code": "other", "a": "2"})) == ["/code"]
    assert pointers(public.patch(path, {"code": "other"})) == ["/code"]
    assert public.patch(path, {"code": record["code"], "a": "3"}).json()["a"] == "3"
    assert public.delete(path).status_code == 204
    problem(public.get(path), 404, "not-found")


def test_put_creates_where_clients_choose_the_key(public):
    response = public.put("/words/new", {"a": "1"})
    assert response.status_code == 201
    assert relative(response.headers["Location"]) == "/words/new"
    assert response.json() == {"code": "new", "a": "1"}
    assert public.put("/words/new", {"a": "1"}).status_code == 200
    assert public.put("/words/new2", {"code": "new2"}).status_code == 201
    assert pointers(public.put("/words/new3", {"code": "other"})) == ["/code"]
    problem(public.get("/words/new3"), 404)
    problem(public.patch("/words/new3", {"a": "1"}), 404)


def test_words_that_are_too_long(public):
    """Text that is not there, and never can be: not found all the same; but it cannot be made."""
    problem(public.get("/words/" + "x" * 21), 404, "not-found")
    assert public.put("/words/" + "x" * 21, {"a": "1"}).status_code == 400
    assert public.put("/words/" + "x" * 20, {"a": "1"}).status_code == 201
    assert public.put("/words/" + "%C3%A4" * 20, {"a": "1"}).status_code == 201
    assert public.put("/words/" + "%C3%A4" * 21, {"a": "1"}).status_code == 400


@pytest.mark.parametrize("code", ["-", "~", "%2525", "a+b", "a=b&c", "0", "null", "'", "\"", "\\",
                                  "\u0001", "\x7f"])
def test_odd_words(public, code):
    made = public.create("/words", {"code": code})
    path = "/words/" + "".join(f"%{byte:02X}" for byte in code.encode())
    assert public.get(path).json() == made
    assert public.list("/words", code=code) == [made]


@pytest.mark.parametrize("code", [".", ".."])
def test_words_that_no_path_can_have(public, code):
    """RFC 3986 section 5.2.4: clients and proxies take them away."""
    assert pointers(public.post("/words", {"code": code})) == ["/code"]


def test_the_same_content_is_the_same_record(public):
    first = public.post("/digests", {"a": "x", "b": 1})
    assert first.status_code == 201
    again = public.post("/digests", {"a": "x", "b": 2})
    # What is stored stays as it is.
    assert again.status_code in (200, 409)
    if again.status_code == 200:
        assert again.json() == first.json()
    assert public.get(f"/digests/{first.json()['digest']}").json() == first.json()
