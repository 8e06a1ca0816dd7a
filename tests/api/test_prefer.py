"""Prefer (RFC 7240): what clients would like, and what is said of it."""

import json

import pytest

from harness import problem

PUBLIC = "access: {read: public, write: public}\n"
DEFINITIONS = {
    "things": """
access: {read: public, write: public, open: public}
required: [name]
properties:
  name:  {type: string, maxLength: 20}
  level: {type: integer, readOnly: true, default: 1}
  place: {type: object, properties: {city: {type: string}}}
lifecycle: {property: status, states: [Shut, Open]}
transitions:
  open: {from: [Shut], to: Open}
""",
    "texts": PUBLIC + "key: {digest: sha256(body)}\nrequired: [body]\nactions: [list, create, read]\n"
                      "properties: {body: {type: string, maxLength: 100}}\n",
}
MINIMAL = {"Prefer": "return=minimal"}
LENIENT = {"Prefer": "handling=lenient"}


def applied(response):
    return response.headers.get("Preference-Applied")


def varies(response):
    return "Prefer" in response.headers.get("Vary", "").split(", ")


def make(public, **members):
    return f"/things/{public.create('/things', {'name': 'a', **members})['id']}"


# return

def test_create_minimal(public):
    response = public.post("/things", {"name": "x"}, headers=MINIMAL)
    assert response.status_code == 201 and response.content == b""
    assert "Content-Type" not in response.headers
    assert applied(response) == "return=minimal" and varies(response)
    read = public.get(response.headers["Location"])
    assert read.headers["ETag"] == response.headers["ETag"] and read.json()["name"] == "x"


def test_content_that_is_there_already(public):
    codes = [public.post("/texts", {"body": "x"}, headers=MINIMAL) for _ in range(2)]
    assert [response.status_code for response in codes] == [201, 204]
    assert codes[0].headers["Location"] == codes[1].headers["Location"]
    assert all(response.content == b"" for response in codes)


@pytest.mark.parametrize("write", [
    lambda client, path, headers: client.put(path, {"name": "b"}, headers=headers),
    lambda client, path, headers: client.patch(path, {"name": "b"}, headers=headers),
    lambda client, path, headers: client.post(path + "/open", {}, headers=headers),
], ids=["put", "patch", "transition"])
def test_writes_minimal(public, write):
    path = make(public)
    response = write(public, path, MINIMAL)
    assert response.status_code == 204 and response.content == b""
    assert applied(response) == "return=minimal"
    assert response.headers["ETag"] == public.get(path).headers["ETag"]
    whole = write(public, make(public), {"Prefer": "return=representation"})
    assert whole.status_code == 200 and whole.json()["name"]
    assert applied(whole) == "return=representation"
    assert applied(write(public, make(public), {})) is None


def test_minimal_in_hal_has_the_tag_of_hal(public):
    path = make(public)
    accept = {"Accept": "application/hal+json"}
    response = public.patch(path, {"name": "b"}, headers={**MINIMAL, **accept})
    assert response.status_code == 204
    assert response.headers["ETag"] == public.get(path, headers=accept).headers["ETag"]


def test_array_minimal(public):
    response = public.post("/things", [{"name": "x"}, {"name": "y"}], headers=MINIMAL)
    assert response.status_code == 201 and response.content == b""
    assert applied(response) == "return=minimal"


def test_errors_are_told_in_full(public):
    response = public.post("/things", {"nam": "x"}, headers=MINIMAL)
    problem(response, 400)
    assert applied(response) is None


def test_delete_returns_nothing_anyway(public):
    response = public.delete(make(public), headers=MINIMAL)
    assert response.status_code == 204 and applied(response) == "return=minimal"
    response = public.delete(make(public), headers={"Prefer": "return=representation"})
    assert response.status_code == 204 and applied(response) is None


def test_reads_do_not_return_less(public):
    path = make(public)
    for target in (path, "/things"):
        response = public.get(target, headers=MINIMAL)
        assert response.status_code == 200 and response.json()
        assert applied(response) is None and not varies(response)


def test_minimal_is_kept_under_an_idempotency_key(public):
    headers = {**MINIMAL, "Idempotency-Key": "minimal-1"}
    first = public.post("/things", {"name": "k"}, headers=headers)
    again = public.post("/things", {"name": "k"}, headers=headers)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (again.status_code, again.content) == (201, b"")
    for name in ("Location", "ETag", "Preference-Applied"):
        assert again.headers[name] == first.headers[name]
    problem(public.post("/things", {"name": "k"}, headers={"Idempotency-Key": "minimal-1"}), 422)


def test_secrets_are_shown_whatever_is_preferred(admin):
    response = admin.post("/keys", {"name": "k", "scopes": ["things:read"]}, headers=MINIMAL)
    key = response.json()
    assert response.status_code == 201 and key["secret"] and applied(response) is None
    rotated = admin.post(f"/keys/{key['id']}/rotate", {}, headers=MINIMAL)
    assert rotated.json()["secret"] and applied(rotated) is None
    edited = admin.patch(f"/keys/{key['id']}", {"name": "l"}, headers=MINIMAL)
    assert edited.status_code == 204 and applied(edited) == "return=minimal"


def test_lines_have_outcomes_whatever_is_preferred(public):
    response = public.post("/things", data=b'{"name":"a"}\n{"name":"b"}\n',
                           headers={**MINIMAL, "Content-Type": "application/x-ndjson"})
    assert len(response.text.splitlines()) == 2 and applied(response) is None


# handling

def test_unknown_members(public):
    body = {"name": "x", "colour": "red", "place": {"city": "Rome", "planet": "Earth"}}
    problem(public.post("/things", body), 400)
    response = public.post("/things", body, headers=LENIENT)
    assert response.status_code == 201 and applied(response) == "handling=lenient"
    assert response.json()["place"] == {"city": "Rome"} and "colour" not in response.json()
    path = response.headers["Location"]
    for answer in (public.put(path, body, headers=LENIENT),
                   public.patch(path, body, headers=LENIENT)):
        assert answer.status_code == 200 and answer.json()["place"] == {"city": "Rome"}
    assert public.post("/things", [body, body], headers=LENIENT).status_code == 201
    moved = public.post(path + "/open", {"why": "so"}, headers=LENIENT)
    assert moved.status_code == 200, moved.text
    lines = public.post("/things", data=(json.dumps(body) + "\n").encode(),
                        headers={**LENIENT, "Content-Type": "application/x-ndjson"})
    assert lines.json()["status"] == 201 and applied(lines) == "handling=lenient"


@pytest.mark.parametrize("body, pointer", [
    ({"colour": "red"}, "/name"),
    ({"name": 1, "colour": "red"}, "/name"),
    ({"name": "x", "level": 7}, "/level"),
    ({"name": "x", "place": {"city": 1, "planet": 2}}, "/place/city"),
    ([{"name": "x"}, {"colour": "red"}], "/1/name"),
])
def test_other_faults_stay(public, body, pointer):
    errors = problem(public.post("/things", body, headers=LENIENT), 400)["errors"]
    assert [error["pointer"] for error in errors] == [pointer]


def test_a_body_twice_said_is_wrong_to_all(public):
    response = public.post("/things", data=b'{"name":"x","name":"y"}',
                           headers={**LENIENT, "Content-Type": "application/json"})
    problem(response, 400)


def test_a_json_patch_names_what_is_there(public):
    patch = [{"op": "add", "path": "/colour", "value": "red"}]
    response = public.patch(make(public), patch, headers={
        **LENIENT, "Content-Type": "application/json-patch+json"})
    problem(response, 400)


def test_unknown_parameters(public):
    path = make(public, name="lenient")
    for target in ("/things?colour=red&name=lenient", path + "?colour=red&fields=name",
                   path + "?x", path + "/history?nothing=1"):
        problem(public.get(target), 400)
        response = public.get(target, headers=LENIENT)
        assert response.status_code == 200, response.text
        assert applied(response) == "handling=lenient" and varies(response)
    listed = public.get("/things?colour=red&name=lenient&limit=1", headers=LENIENT)
    assert len(listed.json()) == 1 and "colour" not in listed.headers["Link"]
    problem(public.get("/things?limit=x&colour=red", headers=LENIENT), 400)
    problem(public.get("/things?name=1&name=2", headers=LENIENT), 400)
    assert public.post("/things?colour=red", {"name": "x"}, headers=LENIENT).status_code == 201


def test_keys_leniently(admin):
    key = admin.create("/keys", {"name": "k", "scopes": ["things:read"]})
    path = f"/keys/{key['id']}"
    assert admin.post(path + "/renew", {"x": 1}, headers=LENIENT).status_code == 200
    rotated = admin.post(path + "/rotate", {"x": 1, "grace_seconds": 5}, headers=LENIENT)
    assert rotated.status_code == 200
    problem(admin.post(path + "/rotate", {"x": 1}), 400)


@pytest.mark.parametrize("preferred, named", [
    ("respond-async", "respond-async"),
    ("return=nothing", "return"),
    ("tomato", "tomato"),
    ("return=minimal", "return=minimal"),
    ("a b", "no preference"),
])
def test_strict_refuses_what_it_cannot_honour(public, preferred, named):
    path = make(public)
    response = public.get(path, headers={"Prefer": f"{preferred}, handling=strict"})
    assert named in problem(response, 400)["detail"]
    response = public.get(path, headers={"Prefer": preferred})
    assert response.status_code == 200 and applied(response) is None


def test_strict_with_what_is_honoured(public):
    response = public.post("/things", {"name": "x"}, headers={
        "Prefer": "handling=strict, wait=5, return=minimal"})
    assert response.status_code == 201
    assert applied(response) == "return=minimal, handling=strict, wait=5"


# wait, and the field

def test_wait(public):
    response = public.get("/things", headers={"Prefer": "wait=7"})
    assert response.status_code == 200 and applied(response) == "wait=7" and not varies(response)
    for nothing in ("wait=0", "wait=soon", "wait"):
        assert applied(public.get("/things", headers={"Prefer": nothing})) is None


def test_several_fields_are_one_list(server):
    with server.wire() as wire:
        wire.get("/things", "Prefer: wait=5", "prefer: HANDLING=\"lenient\";x=\"a,b\"",
                 "Prefer: handling=strict")
        answer = wire.receive()
        assert answer.status == 200
        assert answer.field("Preference-Applied") == "handling=lenient, wait=5"


def test_not_modified_tells_too(public):
    path = make(public)
    tag = public.get(path).headers["ETag"]
    response = public.get(path + "?x=1", headers={**LENIENT, "If-None-Match": tag})
    assert response.status_code == 304 and applied(response) == "handling=lenient"


def test_the_program_s_own_routes_have_no_preferences(public):
    response = public.get("/healthz", headers={"Prefer": "handling=strict, tomato"})
    assert response.status_code == 200 and applied(response) is None
